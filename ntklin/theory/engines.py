"""What takes the steps of training on the linearized network, f_t = f_0 + φ(X)(θ_t − θ_0).

Engines hold the displacement Δ_t = θ_t − θ_0 in place of θ_t, so that a small step is not rounded
to the size of θ_0: ``displacement()`` returns a copy of it, and ``outputs()`` one of f_t(X).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, namespace
from ntklin.networks.features import FeatureMap
from ntklin.networks.layers import LayeredNetwork
from ntklin.runs.engine import workspace
from ntklin.runs.optimizer import OptimizerState
from ntklin.theory.linearized_engine import LinearizedEngine
from ntklin.theory.span_engine import SpanEngine

if TYPE_CHECKING:
    from ntklin.theory.task import LinearizedTask


class DirectEngine(LinearizedEngine):
    """Steps by the products φ(X) Δ and φ(X)^T r, without J, for any feature operator and optimizer.

    Of ``task.linearization.features`` it takes ``outputs``, ``dtype``, ``shape``, ``@`` and
    ``.T @``.
    """

    method = "direct"

    def __init__(self, task: LinearizedTask) -> None:
        super().__init__(task)
        self._adjoint = self._phi.T
        xp = namespace(self._targets)
        self._displacement = xp.zeros(self._phi.shape[1], self._phi.dtype)
        self._state = self._optimizer.init(self._displacement)
        # Weight decay is of θ_t = θ_0 + Δ_t.
        decays = bool(self._optimizer.weight_decay)
        self._origin = {"origin": self._phi.parameters} if decays else {}

    @staticmethod
    def requires(task: LinearizedTask) -> str | None:
        """Nothing."""
        return None

    @staticmethod
    def pays(task: LinearizedTask) -> bool:
        """Where nothing faster serves."""
        return True

    @staticmethod
    def needs(task: LinearizedTask) -> int:
        """Δ with its gradient, its slots, a step, decay and copies."""
        n, P = task.linearization.features.shape
        slots = len(task.optimizer.init(np.zeros(1)).slots)
        decay = 3 * bool(task.optimizer.weight_decay)
        return task.dtype.itemsize * ((4 + slots + decay) * P + workspace(n))

    def _step(self, slopes: Array, weights: Array) -> None:
        gradient = self._adjoint @ slopes.reshape(-1)
        moved, origin = self._displacement, self._origin
        self._state = self._optimizer.step(self._state, moved, gradient, **origin)
        self._outputs = self._moved(self._phi @ self._displacement)

    def displacement(self) -> Array:
        """Δ_t, a copy."""
        return self._displacement.copy()

    def optimizer_state(self) -> OptimizerState:
        """The optimizer's state, a copy."""
        return self._state.copy()

    def arrays(self) -> dict[str, Any]:
        """Δ_t, f_t(X) and the optimizer's slots; no copies."""
        own = {"displacement": self._displacement, "outputs": self._outputs}
        return own | self._state.arrays()

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from such arrays, in copies."""
        self._displacement = beside(arrays["displacement"], self._targets).copy()
        self._outputs = beside(arrays["outputs"], self._targets).copy()
        self._state = OptimizerState.from_arrays(arrays, self._targets)


class FusedEngine(LinearizedEngine):
    """Steps by compiled loops that take each parameter through the cache once.

    For the features of an MLP and an optimizer with a compiled rule.
    """

    method = "fused"

    def __init__(self, task: LinearizedTask) -> None:
        super().__init__(task)
        self._network = self._phi.linearized(self._optimizer.rule)
        self._count = 0

    @property
    def is_blind(self) -> bool:
        """Never: there are no such loops for a GPU."""
        return False

    @staticmethod
    def requires(task: LinearizedTask) -> str | None:
        """The features that there are such loops for, and a compiled rule without decay."""
        features, optimizer = task.linearization.features, task.optimizer
        if optimizer.weight_decay:  # of θ, which these loops do not have
            return "an optimizer without weight decay"
        if isinstance(features, FeatureMap) and optimizer.rule is not None:
            return None
        return (
            "the features of an MLP and an optimizer with a rule of its own, got "
            f"{type(features).__name__} and {type(optimizer).__name__}"
        )

    @staticmethod
    def pays(task: LinearizedTask) -> bool:
        """On the CPU, whose caches such loops are made for."""
        return task.on_cpu

    @staticmethod
    def needs(task: LinearizedTask) -> int:
        """Δ and its slots in their own layout and in that of θ, activations in theirs."""
        features = task.linearization.features
        n, P = features.shape  # N C rows
        slots = len(task.optimizer.init(np.zeros(1)).slots)
        network = cast(LayeredNetwork, features.network)
        layers = 2 * n * sum(network.widths[1:])
        return task.dtype.itemsize * ((2 + 2 * slots) * P + layers + workspace(n))

    def _step(self, slopes: Array, weights: Array) -> None:
        self._count += 1
        coefficients = self._optimizer.coefficients(self._count)
        self._outputs = self._moved(self._network.step(coefficients, slopes.reshape(-1)))

    def displacement(self) -> Array:
        """Δ_t, in the layout of θ."""
        return self._in_layout_of_theta()[0]

    def optimizer_state(self) -> OptimizerState:
        """The optimizer's state, in the layout of θ."""
        return self._in_layout_of_theta()[1]

    def _in_layout_of_theta(self) -> tuple[Array, OptimizerState]:
        """Δ_t and the optimizer's state."""
        unpack = cast(LayeredNetwork, self._phi.network).unpack
        displacement = namespace(self._targets).zeros(self._phi.shape[1], self.dtype)
        slots = self._optimizer.init(displacement).slots
        self._network.write(unpack(displacement), [unpack(a) for a in slots.values()])
        return displacement, OptimizerState(self._count, slots)

    def arrays(self) -> dict[str, Any]:
        """Δ_t, f_t(X) and the optimizer's slots, in the layout of θ."""
        displacement, state = self._in_layout_of_theta()
        return {"displacement": displacement, "outputs": self._outputs} | state.arrays()

    keep = arrays  # which are copies, or outputs that the next step replaces

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from such arrays, in copies."""
        unpack = cast(LayeredNetwork, self._phi.network).unpack
        state = OptimizerState.from_arrays(arrays, self._targets)
        names = self._optimizer.init(self._phi.outputs.reshape(-1)[:0]).slots  # in the rule's order
        displacement = beside(arrays["displacement"], self._targets)
        self._network.read(unpack(displacement), [unpack(state.slots[name]) for name in names])
        self._outputs = beside(arrays["outputs"], self._targets).copy()
        self._count = state.count


# The first one that serves and pays is taken; ``direct`` always does both.
ENGINES = {engine.method: engine for engine in (SpanEngine, FusedEngine, DirectEngine)}
METHODS = ("auto", *ENGINES)
