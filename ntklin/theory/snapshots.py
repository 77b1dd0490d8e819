"""What a run on the linearized network keeps of chosen steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ntklin.edge.arrays import Array
from ntklin.edge.backends import freeze
from ntklin.edge.faces.shown import Shown
from ntklin.edge.sendable import Sendable
from ntklin.runs.engine import Engine
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.recording import Moment, Record, RecordedSteps, Recorder

if TYPE_CHECKING:
    from ntklin.theory.linearized_run import LinearizedRun
    from ntklin.theory.task import LinearizedTask


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Snapshot(Shown, Sendable):
    """The linearized network after t steps; its arrays are read-only.

    Attributes
    ----------
    step : int
        t.
    displacement : ndarray, shape (P,)
        θ_t − θ_0.
    outputs : ndarray, shape (N,) or (N, C)
        f_t(X).
    weights : float, or ndarray, shape (P,) or (P, P)
        D_{t−1}, the preconditioner of the latest step; 1 before the first one.
    """

    step: int
    displacement: Array
    outputs: Array
    weights: float | Array


class Displacement(Record):
    """θ_t − θ_0."""

    name = "displacement"

    def __init__(self, size: int) -> None:
        self._size = size

    def take(self, moment: Moment) -> Array:
        """θ_t − θ_0, read-only."""
        return freeze(moment.displacement)

    def nbytes(self) -> int:
        """P numbers."""
        return self._size


class Outputs(Record):
    """f_t(X)."""

    name = "outputs"

    def take(self, moment: Moment) -> Array:
        """f_t(X), read-only."""
        return freeze(moment.outputs)

    def nbytes(self) -> int:
        """Nothing to speak of beside a displacement."""
        return 0  # beside a displacement


class Weights(Record):
    """D_{t−1}, the preconditioner of the latest step; 1 before the first one."""

    name = "weights"

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self.first: float | Array | None = None

    def take(self, moment: Moment) -> float | Array:
        """D_{t−1}, read-only where it is an array."""
        if moment.step == 0:
            return 1.0
        D: Any = self._optimizer.preconditioner(moment.optimizer_state)
        return freeze(D)

    def nbytes(self) -> int:
        """What D_0 took, once that is known."""
        return getattr(self.first, "nbytes", 0)


class SnapshotRecorder(Recorder):
    """Takes snapshots of the linearized network, and keeps D_0 after the first step.

    Parameters
    ----------
    when : RecordedSteps
    task : LinearizedTask

    Attributes
    ----------
    first_weights : None, float, or ndarray, shape (P,) or (P, P)
        D_0, once a first step was taken in a run of which something is recorded.
    """

    def __init__(self, when: RecordedSteps, task: LinearizedTask) -> None:
        phi = task.linearization.features
        self._weights = Weights(task.optimizer)
        size = phi.shape[1] * task.dtype.itemsize
        super().__init__(
            when,
            [Displacement(size), Outputs(), self._weights],
            what="recording the parameters and D_t of {count} step{s}",
            advice="record fewer steps (record= takes a list of them too)",
        )
        self._end = None

    @property
    def first_weights(self) -> float | Array | None:
        """D_0; None before the first step."""
        return self._weights.first

    def go_on(self, past: LinearizedRun) -> None:
        """Go on after the snapshots of a run."""
        kept = past.snapshots
        names = ("displacement", "outputs", "weights")
        self.resume([s.step for s in kept], {k: [getattr(s, k) for s in kept] for k in names})
        self._weights.first = past.first_weights

    @property
    def _keeps_first(self) -> bool:
        return self._when.is_some and self._weights.first is None

    def begin(self, step: int, end: int | None, engine: Engine) -> None:
        """Refuse what will not fit, and record the first step if it is one to record."""
        self._end = end
        super().begin(step, end, engine)

    def until_next(self, step: int) -> int | None:
        """How many steps until the next record, or until D_0 is known."""
        following = super().until_next(step)
        return 1 if step == 0 and self._keeps_first else following

    def after(self, step: int, engine: Engine) -> None:
        """Record a step if it is one to record, and D_0 after the first one."""
        if step == 1 and self._keeps_first:
            self._weights.first = self._weights.take(Moment(engine, step))
            self.require(self.to_come(step, self._end))  # now that it is known what D_t takes
        super().after(step, engine)

    def snapshots(self) -> tuple[Snapshot, ...]:
        """What was recorded so far, a tuple of Snapshot."""
        rows = zip(self.steps, *self.values.values(), strict=True)
        return tuple(
            Snapshot(step=step, **dict(zip(self.values, row, strict=True))) for step, *row in rows
        )
