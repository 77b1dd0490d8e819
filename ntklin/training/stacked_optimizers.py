"""One optimizer for each of several networks that are trained at once."""

from collections.abc import Sequence

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.runs.optimizer import Optimizer, OptimizerState


class StackedOptimizers:
    """Optimizers of one class, whose numbers differ, for the parameters of several networks.

    In an engine it stands in the place of an optimizer. Its vectors are those of all networks, one
    after the other; each network's part makes a step of its own.

    Parameters
    ----------
    optimizers : sequence of Optimizer
        With their learning rates.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self._optimizers = tuple(optimizers)
        self.rule = self._optimizers[0].rule
        self.has_schedule = any(one.has_schedule for one in self._optimizers)

    def rate(self, t: int) -> Array:
        """η_t of each network, (S,)."""
        return np.array([one.rate(t) for one in self._optimizers])

    def rates(self, start: int, stop: int) -> Array:
        """η_t of the steps ``start`` … ``stop`` − 1, (steps, S)."""
        return np.stack([one.rates(start, stop) for one in self._optimizers], axis=1)

    def init(self, theta: Array) -> OptimizerState:
        """The state before the first step."""
        return self._optimizers[0].init(theta)

    def step(self, state: OptimizerState, theta: Array, gradient: Array) -> OptimizerState:
        """One step in place, as ``Optimizer.step``."""
        count = len(self._optimizers)
        thetas, gradients = theta.reshape(count, -1), gradient.reshape(count, -1)
        slots = {name: a.reshape(count, -1) for name, a in state.slots.items()}
        for s, optimizer in enumerate(self._optimizers):
            own = OptimizerState(state.count, {name: a[s] for name, a in slots.items()})
            optimizer.step(own, thetas[s], gradients[s])
        return OptimizerState(state.count + 1, state.slots)
