"""Which numbers of a trial are shown, and what the search as a whole has to say."""

from dataclasses import dataclass, replace

from ntklin.apps.report.columns import MISSING
from ntklin.networks.symmetrized import AntisymmetricPair, DoubledNetwork
from ntklin.recipes.mitigation import (
    DIVERGED,
    INTERRUPTED,
    NO_DECREASE,
    SMALLEST,
    TIME_LIMIT,
    TOO_SLOW,
)

KINDS = {AntisymmetricPair: "antisymmetrical pair", DoubledNetwork: "doubled network"}
SHORT = {AntisymmetricPair: "pair", DoubledNetwork: "doubled"}


@dataclass(frozen=True)
class Column:
    """One number per trial.

    Attributes
    ----------
    name : str
        Of the number in ``Trial``.
    heading : str
        A newline where the terminal breaks it.
    meaning : str
    style : str or callable
        Its format, or what makes a text of it.
    """

    name: str
    heading: str
    meaning: str
    style: object


def _duration(seconds):
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


COLUMNS = (
    Column("validation_loss", "validation\nloss", "by which the network is chosen", ".2e"),
    Column("test_loss", "test\nloss", "by which nothing is chosen", ".2e"),
    Column("training_loss", "training\nloss", "after the last step", ".1e"),
    Column(
        "initialization_size",
        "size of\nf_init",
        "‖f_init(X_val)‖/√(2 N_val): what the initialization leaves in the linearized network, in "
        "units of the root of a validation loss",
        ".1e",
    ),
    Column("steps", "steps", "of gradient descent until the training loss is reached", ",d"),
    Column("seconds", "time", "of training", _duration),
)


def cell(trial, column):
    """The number as text."""
    value = getattr(trial, column.name)
    if value is None:
        return MISSING
    return column.style(value) if callable(column.style) else format(value, column.style)


def kind(trial):
    """What a baseline is called."""
    return KINDS[type(trial.network)]


def short_kind(trial):
    """The same in one word."""
    return SHORT[type(trial.network)]


def finding(found):
    """What was gained, in a sentence without its full stop."""
    first, best = found.trials[0], found.best
    if best is first:
        return f"The first network, σ = {best.sigma:g}, has the smallest validation loss"
    test = "" if best.test_loss is None else f" and the test loss {_times(first, best, 'test')}"
    return (
        f"From σ = {first.sigma:.3g} to σ = {best.sigma:.3g} the validation loss fell "
        f"{_times(first, best, 'validation')}{test}"
    )


def _times(first, best, kind):
    before, after = (getattr(trial, f"{kind}_loss") for trial in (first, best))
    return f"from {before:.2e} to {after:.2e}"


def reason(found, config):
    """Why the search stopped, in a sentence without its full stop."""
    last = found.trials[-1]
    at = f"σ = {last.sigma:.3g}"
    if found.stopped == NO_DECREASE:
        before = found.trials[-2].validation_loss
        change = (before - last.validation_loss) / before
        moved = f"fell by only {change:.1%}" if change >= 0 else f"rose by {-change:.1%}"
        why = f"at {at} the validation loss {moved}; the margin is {100 * found.margin:.3g}%"
    elif found.stopped == TOO_SLOW:
        limit = (
            f"{config['time_limit']:g} s"
            if last.outcome == TIME_LIMIT
            else f"{config['max_steps']:,} steps"
        )
        why = (
            f"at {at} training is impractically slow: its loss is {last.training_loss:.1e} after "
            f"{limit}"
        )
    else:
        why = {
            SMALLEST: f"the next σ would be below {config['min_sigma']:g}",
            DIVERGED: f"training diverged at {at}; wider layers stay closer to the linearization, "
            "by which the learning rate is chosen",
            INTERRUPTED: "interrupted",
        }[found.stopped]
    return f"Stopped: {why}"


def comparison(found):
    """How the best compares with the baselines: sentences without full stops."""
    sentences = []
    trials = list(found.baselines)
    if len(trials) == 2 and trials[1] == replace(trials[0], network=trials[1].network):
        name = f"The {kind(trials[0])} and the {kind(trials[1])}, one function here, have"
        return [_compared(found, name, trials[0])]
    for trial in trials:
        if trial.validation_loss is None:
            sentences.append(f"The {kind(trial)} diverged")
        else:
            sentences.append(_compared(found, f"The {kind(trial)} has", trial))
    return sentences


def _compared(found, subject, trial):
    ratio = trial.validation_loss / found.best.validation_loss
    size = trial.network.n_parameters / found.network.n_parameters
    end = "" if trial.converged else ", its training being cut short"
    return (
        f"{subject} {ratio:.2f} times the validation loss of the best network with {size:.2f} "
        f"times as many parameters{end}"
    )


def warnings(found):
    """What a reader must not miss."""
    sentences = []
    if found.stopped == INTERRUPTED:
        sentences.append("Incomplete: the search was interrupted; a smaller σ may be better")
    if not found.best.converged:
        sentences.append(
            "No network reached the target: the one that is kept is not trained to the end"
        )
    return sentences
