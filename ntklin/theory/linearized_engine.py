"""What the engines of the linearized network share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from ntklin.edge.arrays import Array
from ntklin.runs.engine import Stepwise

if TYPE_CHECKING:
    from ntklin.theory.task import LinearizedTask


class LinearizedEngine(Stepwise):
    """An engine of f_t = f_0 + φ(X)(θ_t − θ_0), at t = 0.

    Parameters
    ----------
    task : LinearizedTask
    """

    def __init__(self, task: LinearizedTask) -> None:
        phi = task.linearization.features
        self.dtype = phi.dtype
        self._phi, self._targets = phi, task.targets
        self._optimizer, self._loss = task.optimizer, task.loss
        self._outputs = phi.outputs

    @abstractmethod
    def displacement(self) -> Array:
        """Δ_t = θ_t − θ_0, a copy."""

    def outputs(self) -> Array:
        """f_t(X), a copy."""
        return self._outputs.copy()

    def _moved(self, change: Array) -> Array:
        """f_0(X) plus a change that has a number for each row of φ(X)."""
        start = self._phi.outputs
        return start + change.reshape(start.shape)
