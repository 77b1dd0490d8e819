"""What takes the steps of training on the linearized network, f_t = f_0 + φ(X)(θ_t − θ_0).

An engine is what ``stepping.run`` drives (``dtype``, ``loss()``, ``advance(weights, until,
ceiling)``, ``optimizer_state()``) and holds the displacement Δ_t = θ_t − θ_0 in place of θ_t, so
that a small step is not rounded to the size of θ_0: ``displacement()`` returns a copy of it, and
``outputs()`` one of f_t(X). Its ``method`` is the name it is chosen by. ``serves(linearization,
optimizer)`` tells whether it can take these steps, for which it has its ``requirement``, and
``pays(linearization)`` whether it is the one to take them where it can.
"""

import numpy as np

from ntklin.edge.backends import namespace
from ntklin.networks.features import FeatureMap
from ntklin.runs.optimizers import OptimizerState
from ntklin.runs.stepping import Stepwise
from ntklin.theory.reduced import ReducedEngine


class DirectEngine(Stepwise):
    """Steps by the products φ(X) Δ and φ(X)^T r, without J, for any feature operator and optimizer.

    Parameters
    ----------
    linearization : Linearization
        With ``features``, anything with ``outputs``, ``dtype``, ``shape``, ``@`` and ``.T @``.
    targets : ndarray, shape (N,)
        Of the dtype of ``phi``.
    optimizer : Optimizer
        With its learning rate set.
    loss : Loss
    """

    method = "direct"

    requirement = "nothing"

    def __init__(self, linearization, targets, optimizer, loss):
        phi = linearization.features
        self.dtype = phi.dtype
        self._phi, self._adjoint = phi, phi.T
        self._targets, self._optimizer, self._loss = targets, optimizer, loss
        self._displacement = namespace(targets).zeros(phi.shape[1], phi.dtype)
        self._state = optimizer.init(self._displacement)
        self._outputs = phi.outputs

    @staticmethod
    def serves(linearization, optimizer):
        """Always."""
        return True

    @staticmethod
    def pays(linearization):
        """Where nothing faster serves."""
        return True

    def _step(self, signal, weights):
        gradient = self._adjoint @ signal
        self._state = self._optimizer.step(self._state, self._displacement, gradient)
        self._outputs = self._phi.outputs + self._phi @ self._displacement

    def _changing(self):
        return self._displacement, self._state, self._outputs

    def _go_back(self, kept):
        self._displacement, self._state, self._outputs = kept

    def displacement(self):
        """Δ_t = θ_t − θ_0, a copy."""
        return self._displacement.copy()

    def outputs(self):
        """f_t(X), a copy."""
        return self._outputs.copy()

    def optimizer_state(self):
        """The optimizer's state after t steps, a copy."""
        return self._state.copy()


class FusedEngine(Stepwise):
    """Steps by compiled loops that take each parameter through the cache once.

    For the features of an MLP and an optimizer with a compiled rule; the arguments are those of
    :class:`DirectEngine`.
    """

    method = "fused"
    requirement = "the features of an MLP and an optimizer with a rule of its own"

    def __init__(self, linearization, targets, optimizer, loss):
        phi = linearization.features
        self.dtype = phi.dtype
        self._phi, self._targets = phi, targets
        self._optimizer, self._loss = optimizer, loss
        self._network = phi.linearized(optimizer.rule)
        self._count = 0
        self._outputs = phi.outputs

    @staticmethod
    def serves(linearization, optimizer):
        """Whether there are such loops for these features and this optimizer."""
        return isinstance(linearization.features, FeatureMap) and optimizer.rule is not None

    @staticmethod
    def pays(linearization):
        """On the CPU, whose caches such loops are made for."""
        return namespace(linearization.features.inputs) is np

    def _step(self, signal, weights):
        self._count += 1
        coefficients = self._optimizer.coefficients(self._count)
        self._outputs = self._phi.outputs + self._network.step(coefficients, signal)

    def displacement(self):
        """Δ_t = θ_t − θ_0."""
        return self._read()[0]

    def outputs(self):
        """f_t(X), a copy."""
        return self._outputs.copy()

    def optimizer_state(self):
        """The optimizer's state after t steps."""
        return self._read()[1]

    def _read(self):
        """Δ_t and the optimizer's state, in the layout of θ."""
        unpack = self._phi.network.unpack
        displacement = namespace(self._targets).zeros(self._phi.shape[1], self.dtype)
        slots = self._optimizer.init(displacement).slots
        self._network.write(unpack(displacement), [unpack(a) for a in slots.values()])
        return displacement, OptimizerState(self._count, slots)


# The first one that serves and pays is taken; ``direct`` always does both.
ENGINES = {engine.method: engine for engine in (ReducedEngine, FusedEngine, DirectEngine)}
METHODS = ("auto", *ENGINES)


def engine_for(linearization, targets, optimizer, loss, method="auto"):
    """The engine that ``method`` names, or the fastest one that serves.

    Parameters
    ----------
    linearization, targets, optimizer, loss
        See :class:`DirectEngine`.
    method : {"auto", "reduced", "fused", "direct"}

    Returns
    -------
    engine
        At t = 0.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if method == "auto":
        kind = next(
            engine
            for engine in ENGINES.values()
            if engine.serves(linearization, optimizer) and engine.pays(linearization)
        )
    else:
        kind = ENGINES[method]
        if not kind.serves(linearization, optimizer):
            raise ValueError(
                f"method={method!r} needs {kind.requirement}, got "
                f"{type(linearization.features).__name__} and {type(optimizer).__name__}; use "
                "method='direct'"
            )
    return kind(linearization, targets, optimizer, loss)
