"""Training of the linearized network in the span of its N features."""

import numpy as np

from ntklin.edge.backends import beside, host
from ntklin.edge.checks import fits
from ntklin.runs.monotone import LINEAR_RULES
from ntklin.runs.optimizers import OptimizerState
from ntklin.runs.stepping import Stepwise


class ReducedEngine(Stepwise):
    """Steps of gradient descent, with or without mini-batches and momentum, on N numbers.

    Every gradient is φ(X)^T s for some s in R^N. Displacement and velocity then are of that form,
    too, and follow the optimizer's own rule with s in the place of the gradient:

        Δ_t = φ(X)^T c_t,    f_t(X) = f_0(X) + K c_t

    N² operations a step, exact, in float64 whatever the dtype of the features, and on the host
    wherever these are: N numbers are too few for a GPU. The arguments are those of
    ``ntklin.theory.engines.DirectEngine``.
    """

    method = "reduced"
    requirement = "gradient descent or momentum"

    def __init__(self, linearization, targets, optimizer, loss):
        phi = linearization.features
        self.dtype = phi.dtype
        self._phi, self._optimizer, self._loss = phi, optimizer, loss
        self._targets = host(targets)
        self._kernel = host(linearization.kernel).astype(np.float64, copy=False)
        self._outputs = host(phi.outputs)
        self._start = self._outputs.astype(np.float64)
        self._coefficients = np.zeros(len(targets))
        self._state = optimizer.init(self._coefficients)

    @staticmethod
    def serves(linearization, optimizer):
        """Whether the rule stays in the span."""
        return optimizer.rule in LINEAR_RULES

    @staticmethod
    def pays(linearization):
        """Whether a step on N numbers is the shorter one, and the kernel small beside the memory.

        Nothing else in training needs the kernel; φ(X) and its transpose take 2NP products a step.
        """
        n, P = linearization.features.shape
        return n <= 2 * P and fits(10 * 8 * n * n)

    def _step(self, signal, weights):
        signal = signal.astype(np.float64, copy=False)
        self._state = self._optimizer.step(self._state, self._coefficients, signal)
        outputs = self._start + self._kernel @ self._coefficients
        self._outputs = outputs.astype(self.dtype, copy=False)

    def displacement(self):
        """Δ_t = θ_t − θ_0."""
        return self._spread(self._coefficients)

    def outputs(self):
        """f_t(X), a copy."""
        return beside(self._outputs.copy(), self._phi.inputs)

    def optimizer_state(self):
        """The optimizer's state after t steps."""
        slots = {name: self._spread(a) for name, a in self._state.slots.items()}
        return OptimizerState(self._state.count, slots)

    def _spread(self, c):
        """φ(X)^T c."""
        return self._phi.T @ beside(c.astype(self.dtype), self._phi.inputs)
