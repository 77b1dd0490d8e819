"""Progress of a study's two parts: the sweep over σ, and the comparison of optimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ntklin.apps.cli.progress import Lines, LossBars, is_live

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.apps.study import OptimizerResult, ScaleResult, StudyConfig


def progress(console: Console, config: StudyConfig, part: Part) -> StudyBars | StudyLines:
    """Bars on a terminal, lines elsewhere, nothing when quiet.

    Parameters
    ----------
    console : rich.console.Console
    config : StudyConfig
    part : Part
        ``SWEEP`` or ``COMPARISON``.

    Returns
    -------
    StudyBars or StudyLines
    """
    return (StudyBars if is_live(console) else StudyLines)(console, config, part)


@dataclass(frozen=True)
class Part:
    """What is said of a part's runs.

    Attributes
    ----------
    subject : str
        The name of what is run in the results: "sigma" or "optimizer".
    first : str
        What is done before training, in words.
    label : callable
        ``label(config, subject, seed)`` is what a run is called.
    summary : callable
        ``summary(result)`` is a finished run in a few words.
    """

    subject: str
    first: str
    label: Callable[[StudyConfig, Any, int], str]
    summary: Callable[[Any], str]


class StudyBars(LossBars):
    """One bar per run.

    This and StudyLines have the methods of ``ntklin.apps.study.StudyObserver``.
    """

    def __init__(self, console: Console, config: StudyConfig, part: Part) -> None:
        super().__init__(console, config.until)
        self.config, self.part = config, part

    def started(self, subject: float | str, seed: int) -> None:
        """A run begins."""
        self.begin(self.part.label(self.config, subject, seed), self.part.first)

    def searched(self, learning_rate: float, step: int, loss: float) -> None:
        """A trial of a learning rate goes on."""
        self.tell(f"learning rate {learning_rate:.2g}? loss {loss:.1e}, step {step:,}")

    def linearized(self, step: int, loss: float) -> None:
        """The linearized network is trained."""
        self.tell(f"linearized, loss {loss:.1e}, step {step:,}")

    def predicted(self, initial_loss: float, steps: int) -> None:
        """The linearized network is done, and the real one begins."""
        self.start, self.expected = initial_loss, steps
        if self.config.train:
            self.trained(0, initial_loss)

    def trained(self, step: int, loss: float) -> None:
        """The real network is trained."""
        self.approach(loss, f"loss {loss:.1e}, step {step:,} of ≈ {self.expected:,}")

    def finished(self, result: ScaleResult | OptimizerResult) -> None:
        """The run is over."""
        self.end(self.part.summary(result))


class StudyLines(Lines):
    """One line per finished run."""

    def __init__(self, console: Console, config: StudyConfig, part: Part) -> None:
        super().__init__(console)
        self.config, self.part = config, part

    def started(self, subject: float | str, seed: int) -> None:
        """Nothing: only finished runs have a line."""

    def searched(self, learning_rate: float, step: int, loss: float) -> None:
        """Nothing: only finished runs have a line."""

    def linearized(self, step: int, loss: float) -> None:
        """Nothing: only finished runs have a line."""

    def predicted(self, initial_loss: float, steps: int) -> None:
        """Nothing: only finished runs have a line."""

    def trained(self, step: int, loss: float) -> None:
        """Nothing: only finished runs have a line."""

    def finished(self, result: ScaleResult | OptimizerResult) -> None:
        """The run is over."""
        name = self.part.label(self.config, getattr(result, self.part.subject), result.seed)
        self.say(f"{name}  {self.part.summary(result)}")


def sweep_label(config: StudyConfig, sigma: float, seed: int) -> str:
    """The scale; the seed only where there are several."""
    return f"σ = {sigma:<4g}" + seed_label(config, seed)


def comparison_label(config: StudyConfig, optimizer: str, seed: int) -> str:
    """The optimizer; the seed only where there are several."""
    from ntklin.apps.study import METHODS

    width = max(len(METHODS[name].label) for name in config.optimizers)
    return f"{METHODS[optimizer].label:<{width}}" + seed_label(config, seed)


def seed_label(config: StudyConfig, seed: int) -> str:
    """The seed, where there are several."""
    return f" seed {seed}" if len(config.seeds) > 1 else ""


def sweep_summary(result: ScaleResult) -> str:
    """The steps of the real network beside the predicted ones."""
    from ntklin.apps.study import CONVERGED

    if result.steps_taken is None:
        return f"{result.steps_predicted:,} steps expected, not trained"
    steps = f"{result.steps_taken:,} steps ({result.steps_predicted:,} expected)"
    return steps if result.outcome == CONVERGED else f"{result.outcome} after {steps}"


def comparison_summary(result: OptimizerResult) -> str:
    """The steps of both networks, and how they ended where not at the target."""
    from ntklin.apps.study import CONVERGED

    def ended(steps: int, outcome: str, kind: str = "") -> str:
        return f"{steps:,} steps{kind}" + ("" if outcome == CONVERGED else f" ({outcome})")

    ends = [ended(result.steps_linearized, result.outcome_linearized, " linearized")]
    if result.steps_taken is not None:
        ends.insert(0, ended(result.steps_taken, result.outcome))
    return ", ".join(ends)


SWEEP = Part("sigma", "kernel and closed form", sweep_label, sweep_summary)
COMPARISON = Part("optimizer", "linearized network", comparison_label, comparison_summary)
