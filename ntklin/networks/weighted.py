"""φ(X) R for a constant D = R R^T: the features by which D-weighted descent is a plain one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.preconditioners import Constant, LowRank, as_comfortable, weighted_kernel
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, freeze, host, namespace
from ntklin.edge.ranges import shift
from ntklin.networks.network import FeatureOperator


class WeightedFeatures(FeatureOperator):
    """φ R with D = R R^T, an operator on the z of θ = θ_0 + R z.

    θ_{t+1} = θ_t − η D ∇L is z_{t+1} = z_t − η ∇_z L, plain gradient descent with the kernel
    φ R R^T φ^T = K_D. R has a column for each direction that D trains, so that the rank of K_D is
    bounded by their number.

    Parameters
    ----------
    features : FeatureOperator, shape (N, P)
        φ.
    weights : ndarray, shape (P,), or LowRank
        D' = R' R'^T.
    exponent : int
        R = 2^exponent R', and with it f = 2^exponent f', where D itself leaves the range.
    """

    def __init__(
        self, features: FeatureOperator, weights: Array | LowRank, exponent: int = 0
    ) -> None:
        self.features, self.weights, self.exponent = features, weights, exponent
        self.network, self.parameters = features.network, features.parameters
        self.inputs, self.outputs = features.inputs, shift(features.outputs, -exponent)
        if isinstance(weights, LowRank):
            self._trained, self._root = slice(None), weights.W
            k = weights.W.shape[1]
        else:
            xp = namespace(weights)
            self._trained = xp.flatnonzero(weights)
            self._root = xp.sqrt(weights[self._trained]).astype(features.dtype)
            k = len(self._root)
        super().__init__(features.dtype, (features.shape[0], k))

    def step(self, z: Array) -> Array:
        """R z, what the step z in the coordinates of these features moves θ by.

        Parameters
        ----------
        z : ndarray, shape (k,)

        Returns
        -------
        ndarray, shape (P,)
        """
        return shift(self._spread(z), self.exponent)

    def _spread(self, z: Array) -> Array:
        """R' z, of one z or of columns."""
        if isinstance(self.weights, LowRank):
            return self._root @ z
        theta = namespace(z).zeros((len(self.weights), *z.shape[1:]), z.dtype)
        theta[self._trained] = (self._root * z.T).T
        return theta

    def _matvec(self, v: Array) -> Array:
        return self._matmat(v.reshape(-1))

    def _rmatvec(self, r: Array) -> Array:
        return self._rmatmat(r.reshape(-1))

    def _matmat(self, X: Array) -> Array:
        return self.features @ self._spread(X)

    def _rmatmat(self, X: Array) -> Array:
        v = self.features.T @ X
        if isinstance(self.weights, LowRank):
            return self._root.T @ v
        return (self._root * v[self._trained].T).T

    def gram(
        self, other: WeightedFeatures | None = None, weights: ArrayLike | None = None
    ) -> Array:
        """φ D φ'^T, by the features themselves; ``weights`` are refused, since D is there."""
        if weights is not None:
            raise ValueError("these features have their D already; give the product of both")
        return weighted_kernel(self.features, self.weights, other and other.features)

    def at(self, X_new: Array) -> WeightedFeatures:
        """The features of other inputs with the same D, in the same units."""
        return WeightedFeatures(self.features.at(X_new), self.weights, self.exponent)

    def rows(self, index: slice) -> WeightedFeatures:
        """The features of a run of these inputs with the same D."""
        return WeightedFeatures(self.features.rows(index), self.weights, self.exponent)

    def balanced(self, dtype: DTypeLike | None = None) -> tuple[FeatureOperator, int]:
        """The same features, φ and R both well within the range."""
        phi, e = self.features.balanced(dtype)
        D: Any
        D, d = as_comfortable(self.weights, phi.dtype)
        if phi is self.features and d == 0:
            return self, 0
        return WeightedFeatures(phi, D, self.exponent + d // 2), e + d // 2

    def along_parameters(self) -> Array:
        """φ(X) θ, whatever D."""
        return shift(self.features.along_parameters(), -self.exponent)

    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below."""
        return shift(self.features.output_rounding(), -self.exponent)


def as_weighted(features: FeatureOperator, weights: Constant) -> FeatureOperator:
    """φ R for any D that ``as_preconditioner`` returned; φ itself for None.

    Parameters
    ----------
    features : FeatureOperator, shape (N, P)
    weights : None, float, ndarray of shape (P,) or (P, P), or LowRank

    Returns
    -------
    FeatureOperator
    """
    if weights is None:
        return features
    return WeightedFeatures(features, _settled(weights, features))


def _settled(weights: float | Array | LowRank, features: FeatureOperator) -> Array | LowRank:
    """D as a diagonal or as W W^T."""
    if isinstance(weights, float | int):
        return beside(np.full(features.shape[1], float(weights)), features.inputs)
    if isinstance(weights, LowRank) or weights.ndim == 1:
        return weights
    values, V = np.linalg.eigh(host(weights).astype(np.float64))
    # What is below rounding is no direction that D trains.
    kept = values > len(values) * np.finfo(weights.dtype).eps * values[-1]
    return LowRank(freeze(beside(V[:, kept] * np.sqrt(values[kept]), features.inputs)))
