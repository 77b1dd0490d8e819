"""What tasks leave: small results, which are all that a figure is drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ntklin.validation.figures.configuration import Measurement, Record, Task
from ntklin.validation.figures.panel import Series

CONVERGED, STEP_LIMIT, DIVERGED = "converged", "step limit", "diverged"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a search found.

    Attributes
    ----------
    learning_rate : float
    steps : int
        At this rate, until the loss was low enough.
    n_trials : int
    seconds : float
    """

    learning_rate: float
    steps: int
    n_trials: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class End:
    """Where a network's training ended, the real one's or that of its linearization.

    Attributes
    ----------
    outcome : {"converged", "step limit", "diverged"}
    steps : int
    train_loss, test_loss, test_error : float or None
        ``test_error`` is the share of test points on the wrong side; None where it diverged.
    outputs : tuple of float
        On the test points; empty where it diverged.
    """

    outcome: str
    steps: int
    train_loss: float | None = None
    test_loss: float | None = None
    test_error: float | None = None
    outputs: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run leaves.

    Attributes
    ----------
    learning_rate : float
    network, linearized : End
        Of the real network, and of its linearization at θ_0 by the same optimizer and batches.
    monotone : bool or None
        Whether the real network's loss only fell; None with mini-batches, where it need not.
    interpolator_loss, minimizer_loss : float or None
        Test losses of f_int and of f_∞, the limit of gradient descent; None for other losses than
        the squared one, or where K is singular to working precision.
    interpolating_loss : float or None
        The test loss of the interpolating part of the linearization's end, Thms 3 and 6,
    path_dependent : float or None
        and the rms of the rest, φ(X_T) B_t; both None where it diverged or K_D is singular to
        working precision.
    seconds : float
        How long it took.
    """

    learning_rate: float
    network: End
    linearized: End
    monotone: bool | None
    interpolator_loss: float | None
    minimizer_loss: float | None
    interpolating_loss: float | None
    path_dependent: float | None
    seconds: float


def from_json(task: Task, values: dict[str, Any]) -> Record:
    """The result of a task, from these values."""
    if isinstance(task, Measurement):
        return task.record(values)
    if "network" not in values:
        return Rate(**values)
    ends = {name: values[name] for name in ("network", "linearized")}
    ends = {name: End(**end | {"outputs": tuple(end["outputs"])}) for name, end in ends.items()}
    return Result(**values | ends)


@dataclass(frozen=True)
class Results:
    """Runs with what they left, to choose from.

    Attributes
    ----------
    items : tuple of (Run, Result)
        Or of a figure's own Measurement and its record.
    searches : tuple of (Search, Rate)
        Where the learning rates come from.
    """

    items: tuple[tuple[Any, Any], ...]
    searches: tuple[tuple[Any, Rate], ...] = ()

    def chosen(self, choice: Callable[[Any], bool]) -> Results:
        """Those for which ``choice(run)`` holds."""
        return Results(tuple(item for item in self.items if choice(item[0])))

    def where(self, **values: Any) -> Results:
        """Those whose configuration has these values."""
        return self.chosen(
            lambda run: all(getattr(run, name) == value for name, value in values.items())
        )

    def values(self, name: str) -> list[Any]:
        """The different values of an attribute of the configurations, in order."""
        return sorted({getattr(run, name) for run, _ in self.items})

    def series(
        self, name: str, x: str, y: Callable[[Any, Any], float | None], look: str, **options: Any
    ) -> Series:
        """A curve: ``y(run, result)`` against the attribute x; where it is None there is no draw.

        Parameters
        ----------
        name : str
        x : str
        y : callable
        look : str
        **options
            Of Series.

        Returns
        -------
        Series
        """
        draws = {}
        for run, result in self.items:
            value = y(run, result)
            if value is not None:
                draws.setdefault(getattr(run, x), []).append(value)
        places = sorted(draws)
        return Series(
            name=name,
            x=tuple(places),
            draws=tuple(tuple(draws[place]) for place in places),
            look=look,
            **options,
        )
