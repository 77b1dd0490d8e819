"""α (f_θ − f_{θ_0}): by α training goes from rich to lazy, Chizat et al. (2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import freeze
from ntklin.edge.checks import as_inputs, as_positive, as_vector
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.ranges import in_range
from ntklin.edge.sendable import Sendable
from ntklin.networks.balanced import REMEDY
from ntklin.networks.network import (
    FeatureOperator,
    Network,
    NetworkAround,
    as_feature_operator,
    require_network,
)


class ScaledNetwork(Shown, Sendable, NetworkAround):
    """f(x) = α (g(x; θ) − g(x; θ_0)), which is 0 at θ_0, where its kernel is α² times that of g.

    The loss over α² is what keeps θ's speed the same at every α: a learning rate over α², as the
    default one is by itself. Training stays as near to its linearization as 1/α.

    Parameters
    ----------
    network : Network
        g.
    scale : float
        α > 0.
    origin : array_like, shape (P,)
        θ_0.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> net = ntklin.MLP((2, 8, 1))
    >>> theta = net.init(0)
    >>> lazy = ntklin.ScaledNetwork(net, 100.0, theta)
    >>> lazy.apply(theta, np.eye(2))
    array([0., 0.])
    """

    def __init__(self, network: Network, scale: float, origin: ArrayLike) -> None:
        require_network(network, name="network")
        self.network, self.scale = network, as_positive(scale, name="scale")
        self.origin = freeze(as_vector(origin, network.n_parameters, name="origin").copy())

    def __repr__(self) -> str:
        return f"ScaledNetwork({self.network!r}, {self.scale:g}, ...)"

    def _facts(self) -> Facts:
        network, scale = repr(self.network), f"{self.scale:g}"
        parameters = self.n_parameters
        return facts("ScaledNetwork", network=network, scale=scale, parameters=parameters)

    def apply(self, theta: ArrayLike, X: ArrayLike) -> Array:
        """The outputs f_θ(X), shape (N,), or (N, C) of more than one output."""
        theta, X = as_array(theta, "theta"), as_inputs(X, self.n_inputs)
        return _centered(self, self.network.apply(theta, X), X)

    def features(self, theta: ArrayLike, X: ArrayLike) -> ScaledFeatures:
        """φ(X) = α φ_g(X; θ) as a linear operator, shape (N C, P)."""
        return ScaledFeatures(self, theta, X)


class ScaledFeatures(FeatureOperator):
    """φ(X) of a ScaledNetwork.

    Attributes
    ----------
    features : FeatureOperator
        φ_g(X).
    """

    network: ScaledNetwork

    def __init__(self, network: ScaledNetwork, theta: ArrayLike, X: ArrayLike) -> None:
        theta, X = as_array(theta, "theta"), as_inputs(X, network.n_inputs)
        self.network, self._scale = network, network.scale
        self.features = as_feature_operator(network.network.features(theta, X))
        self.parameters, self.inputs = self.features.parameters, self.features.inputs
        self.outputs = _centered(network, self.features.outputs, self.inputs)
        super().__init__(self.features.dtype, self.features.shape)

    def _matvec(self, v: Array) -> Array:
        return self._matmat(v.reshape(-1))

    def _rmatvec(self, r: Array) -> Array:
        return self._rmatmat(r.reshape(-1))

    def _matmat(self, X: Array) -> Array:
        return self._scale * (self.features @ X)

    def _rmatmat(self, X: Array) -> Array:
        return self._scale * (self.features.T @ X)

    def gram(
        self, other: ScaledFeatures | None = None, weights: ArrayLike | None = None, **options: Any
    ) -> Array:
        """α² φ_g D φ_g'^T, by the features themselves."""
        theirs = None if other is None else other.features
        if weights is not None:
            options["weights"] = weights
        return self._scale**2 * self.features.gram(theirs, **options)

    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below; none at θ_0."""
        if bool((self.parameters == self.network.origin).all()):
            return np.zeros(self.shape[0])
        return 2 * self._scale * self.features.output_rounding()


def _centered(net: ScaledNetwork, outputs: Array, X: Array) -> Array:
    """α (g − g(X; θ_0)) of outputs g."""
    start = net.network.apply(net.origin.astype(outputs.dtype, copy=False), X)
    with np.errstate(over="ignore"):
        centered = net.scale * (outputs - start)
    return in_range(centered, centered.dtype, "f(X)", REMEDY)
