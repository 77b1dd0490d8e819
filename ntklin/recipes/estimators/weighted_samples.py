"""Weights of samples: the loss Σ_n s_n (f(x_n) − y_n)²/(2N) as the plain one of another network.

Of √s f(x), with targets √s y. The factor travels with its input, as a last column; where outputs
are predicted it is 1. So solvers, closed forms and recursions know nothing of weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_vector
from ntklin.networks.network import FeatureOperator, Network, NetworkAround, as_feature_operator


def weighted(X: Array, y: Array, sample_weight: Any) -> tuple[Array, Array, Array | None]:
    """The samples whose weight is above 0, and their weights.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    y : ndarray, shape (N,) or (N, C)
    sample_weight : array_like, shape (N,), or number, or None

    Returns
    -------
    X, y : ndarray
    sample_weight : ndarray, float64, or None
        None where none are given.

    Raises
    ------
    ValueError
        For other shapes, NaN, negative weights, and if all are 0.
    """
    if sample_weight is None:
        return X, y, None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(len(X), sample_weight)
    s = as_vector(sample_weight, len(X), name="sample_weight", dtype=np.float64)
    if (s < 0).any():
        raise ValueError(f"sample_weight must not be negative, got {float(s.min())!r}")
    kept = s > 0
    if not kept.any():
        raise ValueError("sample_weight is zero for every sample")
    return X[kept], y[kept], s[kept]


def with_factors(X: Array, factors: ArrayLike = 1.0) -> Array:
    """Inputs of what is weighted.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    factors : array_like, shape (N,), or a number

    Returns
    -------
    ndarray, shape (N, d + 1)
    """
    return np.column_stack([X, np.broadcast_to(factors, len(X)).astype(X.dtype)])


@dataclass(frozen=True)
class WeightedKernel:
    """w K(x, x') w' of inputs (x, w).

    Parameters
    ----------
    kernel : callable
        X_1, X_2 ↦ K(X_1, X_2).
    """

    kernel: Callable[[Array, Array], Array]

    def __call__(self, X1: Array, X2: Array) -> Array:
        """The kernel of weighted outputs, (N_1, N_2)."""
        first = X1[:, :-1]
        second = first if X2 is X1 else X2[:, :-1]
        return np.multiply.outer(X1[:, -1], X2[:, -1]) * self.kernel(first, second)


class WeightedNetwork(NetworkAround):
    """w f_θ(x) of inputs (x, w).

    Parameters
    ----------
    network : Network
        f.
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def n_inputs(self) -> int:
        """d + 1."""
        return self.network.n_inputs + 1

    def apply(self, theta: Array, X: Array) -> Array:
        """The outputs, (N,) or (N, C)."""
        return (self.network.apply(theta, X[:, :-1]).T * X[:, -1]).T

    def features(self, theta: Array, X: Array) -> WeightedRows:
        """φ of it, (N C, P)."""
        return WeightedRows(self, theta, X)


class WeightedRows(FeatureOperator):
    """w φ_f(x), the features of a WeightedNetwork.

    Attributes
    ----------
    features : FeatureOperator
        φ_f(X).
    factors : ndarray, shape (N C,)
        w, once for each output.
    """

    def __init__(self, network: WeightedNetwork, theta: Array, X: Array) -> None:
        self.network, self.inputs = network, X
        self.features = as_feature_operator(network.network.features(theta, X[:, :-1]))
        self.parameters = self.features.parameters
        self.outputs = (self.features.outputs.T * X[:, -1]).T
        super().__init__(self.features.dtype, self.features.shape)
        self.factors = np.repeat(X[:, -1], self.shape[0] // len(X)).astype(self.dtype)

    def _matvec(self, v: Array) -> Array:
        return self._matmat(v.reshape(-1))

    def _rmatvec(self, r: Array) -> Array:
        return self._rmatmat(r.reshape(-1))

    def _matmat(self, X: Array) -> Array:
        return (self.factors * (self.features @ X).T).T

    def _rmatmat(self, X: Array) -> Array:
        return self.features.T @ (self.factors * X.T).T

    def gram(self, other: Any = None, weights: ArrayLike | None = None) -> Array:
        """w φ_f D φ_f'^T w', by the features themselves."""
        options = {} if weights is None else {"weights": weights}
        second = self if other is None else other
        K = self.features.gram(None if other is None else other.features, **options)
        return np.multiply.outer(self.factors, second.factors) * K

    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below."""
        return self.factors * self.features.output_rounding()
