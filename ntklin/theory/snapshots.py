"""What a run on the linearized network keeps of chosen steps."""

from dataclasses import dataclass

import numpy as np

from ntklin.edge.backends import freeze
from ntklin.edge.checks import require_memory
from ntklin.edge.sendable import Sendable
from ntklin.runs.stepping import Record


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot(Sendable):
    """The linearized network after t steps; its arrays are read-only.

    Attributes
    ----------
    step : int
        t.
    displacement : ndarray, shape (P,)
        θ_t − θ_0.
    outputs : ndarray, shape (N,)
        f_t(X).
    weights : float, or ndarray, shape (P,) or (P, P)
        D_{t−1}, the preconditioner of the latest step; 1 before the first one.
    """

    step: int
    displacement: np.ndarray
    outputs: np.ndarray
    weights: object


class Recorder:
    """Takes snapshots of a running engine, and refuses more of them than fit into memory.

    Parameters
    ----------
    engine : object
        See ``ntklin.theory.engines``; at t = 0.
    optimizer : Optimizer
    n_parameters : int
        P.
    when : None, int or iterable of int
        See ``ntklin.runs.stepping.Record``.
    steps : int, optional
        The last step of the run, where it is known.

    Attributes
    ----------
    record : Record
    active : bool
        Whether anything is to be recorded.
    snapshots : list of Snapshot
    first_weights : None, float, or ndarray, shape (P,) or (P, P)
        D_0, once :meth:`began` was called.
    """

    def __init__(self, engine, optimizer, n_parameters, when, steps):
        self._engine, self._optimizer = engine, optimizer
        self._vector_bytes = n_parameters * engine.dtype.itemsize
        self.record, self.active = Record(when), when is not None
        ends = [t for t in (steps, max(self.record.steps, default=None)) if t is not None]
        self._last = min(ends, default=None)
        self.snapshots, self.first_weights = [], None
        if self._last is not None:
            self._require_memory(self.record.count(self._last))
        if 0 in self.record:
            self(0)

    def snapshot(self, step):
        """The engine's present state, which is that after ``step`` steps."""
        displacement, outputs = self._engine.displacement(), self._engine.outputs()
        return Snapshot(
            step=step,
            displacement=freeze(displacement),
            outputs=freeze(outputs),
            weights=self._weights() if step else 1.0,
        )

    def began(self):
        """Keep D_0 after the first step, and refuse early what recording D_t will need."""
        self.first_weights = self._weights()
        if self._last is not None:
            self._require_memory(self.record.count(self._last) - self.record.count(1))

    def __call__(self, step):
        """Record the present state."""
        if self._last is None:
            self._require_memory(1)
        self.snapshots.append(self.snapshot(step))

    def _weights(self):
        return freeze(self._optimizer.preconditioner(self._engine.optimizer_state()))

    def _require_memory(self, count):
        first = getattr(self.first_weights, "nbytes", 0)
        require_memory(
            count * (self._vector_bytes + first),
            f"recording the parameters and D_t of {count} step{'s' * (count > 1)}",
            "record fewer steps (record= takes a list of them too)",
        )
