"""Training of the linearized network in the span of its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, kernels
from ntklin.edge.checks import fits
from ntklin.runs.monotone import LINEAR_RULES
from ntklin.runs.optimizer import OptimizerState
from ntklin.theory.linearized_engine import LinearizedEngine

if TYPE_CHECKING:
    from ntklin.theory.task import LinearizedTask

# Bytes of the largest kernel that is made for steps alone, of N C = 11,585 rows.
LARGEST = 1 << 30


class SpanEngine(LinearizedEngine):
    """Steps of gradient descent, with or without mini-batches and momentum, on a number a feature.

    Every gradient is φ(X)^T s for some s in R^N, or R^{NC} for C outputs. Displacement and velocity
    then are of that form, too, and follow the optimizer's own rule with s in the place of the
    gradient:

        Δ_t = φ(X)^T c_t,    f_t(X) = f_0(X) + K c_t

    Weight decay moves θ_t along θ_0, too, so that one more number follows the same rule, from 1 and
    without a gradient of its own:

        θ_t = s_t θ_0 + φ(X)^T c_t,    f_t(X) = f_0(X) + K c_t + (s_t − 1) φ(X) θ_0

    N² operations a step, exact, in float64 whatever the dtype of the features, and on the host
    wherever these are: N numbers are too few for a GPU.
    """

    method = "reduced"

    def __init__(self, task: LinearizedTask) -> None:
        super().__init__(task)
        self._targets = host(task.targets)
        self._kernel = host(task.linearization.kernel).astype(np.float64, copy=False)
        self._outputs = host(self._phi.outputs)
        self._start = self._outputs.astype(np.float64)
        self._decays = bool(self._optimizer.weight_decay)
        self._coefficients = np.zeros(len(self._kernel) + self._decays)  # c_t, and s_t behind it
        if self._decays:
            self._coefficients[-1] = 1.0
            pull = host(self._phi @ self._phi.parameters).astype(np.float64)  # φ(X) θ_0
            self._kernel = np.column_stack([self._kernel, pull])
        self._state = self._optimizer.init(self._coefficients)

    @property
    def is_blind(self) -> bool:
        """Never: it is on the host."""
        return False

    @staticmethod
    def requires(task: LinearizedTask) -> str | None:
        """A rule that stays in the span."""
        if task.optimizer.rule in LINEAR_RULES:
            return None
        features, optimizer = task.linearization.features, task.optimizer
        kinds = f"{type(features).__name__} and {type(optimizer).__name__}"
        return f"gradient descent or momentum, got {kinds}"

    @staticmethod
    def pays(task: LinearizedTask) -> bool:
        """Whether a step on N numbers is the shorter one, and the kernel small beside the memory.

        Nothing else in training needs the kernel; φ(X) and its transpose take 2NP products a step.
        However much memory there is, a kernel beyond ``LARGEST`` bytes takes minutes to make, in
        which products take many steps.

        Returns
        -------
        bool
        """
        n, P = task.linearization.features.shape
        return n <= 2 * P and 8 * n * n <= LARGEST and fits(10 * 8 * n * n)

    @staticmethod
    def needs(task: LinearizedTask) -> int:
        """The kernel with its copies."""
        n, P = task.linearization.features.shape
        return 8 * 3 * n * n + 2 * task.dtype.itemsize * P

    def _step(self, slopes: Array, weights: Array) -> None:
        slopes = slopes.astype(np.float64, copy=False).reshape(-1)
        if self._decays:
            slopes = np.append(slopes, 0.0)
        self._state = self._optimizer.step(self._state, self._coefficients, slopes)
        product = kernels(self._kernel).dense_product(self._kernel, self._moved_by()[None])
        outputs = self._start + product.reshape(self._start.shape)
        self._outputs = outputs.astype(self.dtype, copy=False)

    def _moved_by(self) -> Array:
        """c_t, and s_t − 1 behind it."""
        if not self._decays:
            return self._coefficients
        moved = self._coefficients.copy()
        moved[-1] -= 1.0
        return moved

    def displacement(self) -> Array:
        """Δ_t = φ(X)^T c_t + (s_t − 1) θ_0."""
        return self._spread(self._moved_by())

    def outputs(self) -> Array:
        """f_t(X), a copy where the inputs are."""
        return beside(self._outputs.copy(), self._phi.inputs)

    def optimizer_state(self) -> OptimizerState:
        """The state with slots of shape (P,), as the other engines have it."""
        slots = {name: self._spread(a) for name, a in self._state.slots.items()}
        return OptimizerState(self._state.count, slots)

    def _spread(self, c: Array) -> Array:
        """φ(X)^T c, and of weight decay's last number that multiple of θ_0."""
        along = c[:-1] if self._decays else c
        spread = self._phi.T @ beside(along.astype(self.dtype), self._phi.inputs)
        return spread + float(c[-1]) * self._phi.parameters if self._decays else spread

    def arrays(self) -> dict[str, Any]:
        """c_t, f_t(X) and the optimizer's slots, of the length of c_t; no copies."""
        own = {"coefficients": self._coefficients, "outputs": self._outputs}
        return own | self._state.arrays()

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from such arrays, in copies."""
        self._coefficients = host(arrays["coefficients"]).copy()
        self._outputs = host(arrays["outputs"]).copy()
        self._state = OptimizerState.from_arrays(arrays, self._coefficients)
