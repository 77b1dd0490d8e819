"""What the search as a whole has to say; sentences without their full stops."""

import math
from dataclasses import replace
from typing import Any

from ntklin.apps.report.mitigation_columns import kind
from ntklin.recipes.mitigation import (
    CONVERGED,
    DIVERGED,
    HALF_LIFE,
    INTERRUPTED,
    NO_DECREASE,
    SMALLEST,
    TIME_LIMIT,
    TOO_SLOW,
    Mitigation,
    Trial,
)


def finding(found: Mitigation) -> str:
    """What was gained, in a sentence."""
    first, best = found.trials[0], found.best
    if best is first:
        return f"The first network, σ = {best.sigma:g}, has the smallest validation loss"
    test = "" if best.test_loss is None else f" and the test loss {_times(first, best, 'test')}"
    return (
        f"From σ = {first.sigma:.3g} to σ = {best.sigma:.3g} the validation loss fell "
        f"{_times(first, best, 'validation')}{test}"
    )


def _times(first: Trial, best: Trial, kind: str) -> str:
    before, after = (getattr(trial, f"{kind}_loss") for trial in (first, best))
    return f"from {before:.2e} to {after:.2e}"


def _ratio(trial: Trial, other: Trial) -> float:
    """Of two validation losses; NaN where one of them is unknown."""
    mine, theirs = trial.validation_loss, other.validation_loss
    return math.nan if mine is None or theirs is None else mine / theirs


def reason(found: Mitigation, config: dict[str, Any]) -> str:
    """Why the search stopped, in a sentence."""
    last = found.trials[-1]
    at = f"σ = {last.sigma:.3g}"
    if found.stopped == NO_DECREASE:
        change = 1 - _ratio(last, found.trials[-2])
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


def comparison(found: Mitigation) -> list[str]:
    """How the best compares with the baselines."""
    sentences = []
    trials = list(found.baselines)
    if len(trials) == 2 and trials[1] == replace(trials[0], network=trials[1].network):
        name = f"The {kind(trials[0])} and the {kind(trials[1])}, one function here, have"
        return [_compared(found, name, trials[0]), *_decay(found)]
    for trial in trials:
        if trial.validation_loss is None:
            sentences.append(f"The {kind(trial)} diverged")
        else:
            sentences.append(_compared(found, f"The {kind(trial)} has", trial))
    return sentences + _decay(found)


def _decay(found: Mitigation) -> list[str]:
    """What weight decay came to."""
    trial, first = found.decayed, found.trials[0]
    if trial is None:
        return []
    if trial.validation_loss is None:
        return [f"The {kind(trial)} diverged"]
    sentences = [_compared(found, f"The {kind(trial)} has", trial)]
    if trial.outcome == HALF_LIFE and trial.interpolator_distance is not None:
        sentences.append(
            f"With weight decay {trial.weight_decay:.2g} the linearized network is f_int after "
            f"{trial.steps:,} steps; the real one, its training loss {trial.training_loss:.1e}, is "
            f"{trial.interpolator_distance:.2g} away from it, and without decay "
            f"{first.interpolator_distance:.2g}"
        )
    return sentences


def _compared(found: Mitigation, subject: str, trial: Trial) -> str:
    ratio = _ratio(trial, found.best)
    size = trial.network.n_parameters / found.network.n_parameters
    is_cut = trial.outcome not in (CONVERGED, HALF_LIFE)
    end = ", its training being cut short" if is_cut else ""
    return (
        f"{subject} {ratio:.2f} times the validation loss of the best network with {size:.2f} "
        f"times as many parameters{end}"
    )


def warnings(found: Mitigation) -> list[str]:
    """What a reader must not miss."""
    sentences = []
    if found.stopped == INTERRUPTED:
        sentences.append("Incomplete: the search was interrupted; a smaller σ may be better")
    if not found.best.converged:
        sentences.append(
            "No network reached the target: the one that is kept is not trained to the end"
        )
    return sentences
