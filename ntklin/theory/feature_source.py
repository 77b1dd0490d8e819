"""The features of a network as what a linearization is of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ntklin.algebra.preconditioners import (
    Constant,
    LowRank,
    Weights,
    as_finite_constant,
    as_preconditioner,
    precondition,
    weighted_kernel,
)
from ntklin.algebra.spectrum import require_kernel_in_range
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, namespace, refuse_mixed
from ntklin.edge.checks import as_new_inputs
from ntklin.edge.faces.shown import Facts, facts
from ntklin.networks.features import REMEDY
from ntklin.networks.network import FeatureOperator, as_feature_operator, named
from ntklin.runs import stability
from ntklin.theory.columns import Columns
from ntklin.theory.source import Expansion, Source, runs


class FeatureSource(Source):
    """K = φφ^T and f_0 of a network at θ_0.

    Parameters
    ----------
    features : FeatureOperator, shape (N·C, P)
        φ(X); others become a FeatureOperator by ``as_feature_operator``.
    """

    remedy = REMEDY
    without_kernel = (
        "take fewer inputs, or train step by step (ntklin.train), which needs no kernel"
    )

    def __init__(self, features: Any) -> None:
        self._features = phi = as_feature_operator(features)
        n_outputs = phi.shape[0] // len(phi.inputs)
        self.columns = Columns(rows=n_outputs, n_outputs=n_outputs)
        self._factor: tuple[LowRank | None, Array | None] = None, None

    def _sent(self) -> dict[str, Any]:
        return super()._sent() | {"_factor": (None, None)}

    @property
    def in_words(self) -> Facts:
        """The network and the sizes of its features."""
        phi = self._features
        return facts(
            "FeatureSource",
            network=named(phi.network),
            samples=self.n_samples,
            outputs=self.columns.n_outputs,
            parameters=phi.shape[1],
            dtype=str(phi.dtype),
        )

    @property
    def known_inputs(self) -> Array:
        """X."""
        return self._features.inputs

    @property
    def anchor(self) -> Array:
        """X."""
        return self._features.inputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the features."""
        return self._features.dtype

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self._features.inputs)

    @property
    def outputs(self) -> Array:
        """f_0(X), (N,) or (N, C)."""
        return self._features.outputs

    @property
    def features(self) -> FeatureOperator:
        """φ(X)."""
        return self._features

    @property
    def rank_bound(self) -> int:
        """P."""
        return self._features.shape[1]

    @property
    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below."""
        return self._features.output_rounding()

    def constant(self, weights: Weights) -> Constant:
        """A constant D on P parameters."""
        return as_finite_constant(weights, self.rank_bound)

    def preconditioner(self, weights: Weights) -> Constant:
        """A constant D ≥ 0 on P parameters, copied."""
        return as_preconditioner(weights, self.rank_bound)

    def kernel(self, weights: Constant = None) -> Array:
        """φ(X) D φ(X)^T."""
        if weights is None:
            K = self._features.gram()
            require_kernel_in_range(K)
            return K
        factors = (self.factor(weights), None)
        return weighted_kernel(self._features, weights, factors=factors)

    def factor(self, weights: Constant) -> Array | None:
        """φ(X)W of a LowRank, kept for the latest one; None for any other D."""
        if not isinstance(weights, LowRank):
            return None
        kept, factor = self._factor
        if kept is not weights:
            factor = self._features @ weights.W
            self._factor = weights, factor
        return factor

    def tile(self, rows: slice, columns: slice, weights: Constant = None) -> Array:
        """φ(X_i) D φ(X_j)^T, from the passes that are there."""
        phi = self._features
        factor = self.factor(weights)
        if factor is not None:
            C = phi.n_outputs
            i, j = (slice(C * s.start, C * s.stop) for s in (rows, columns))
            return factor[i] @ factor[j].T
        first = phi.rows(rows)
        second = None if rows == columns else phi.rows(columns)
        return weighted_kernel(first, weights, second)

    def columns_of(self, inputs: NDArray[np.int64], weights: Constant = None) -> Array:
        """φ(X) D φ(X_i)^T, a few rows of φ(X) at a time."""
        phi, factor = self._features, self.factor(weights)
        if factor is not None:
            by_input = host(factor).reshape(self.n_samples, phi.n_outputs, -1)
            return host(factor) @ by_input[inputs].reshape(-1, by_input.shape[2]).T
        some = phi.at(phi.inputs[beside(inputs, phi.inputs)])
        parts = [weighted_kernel(phi.rows(i), weights, some) for i in runs(self.n_samples)]
        return np.concatenate([host(part) for part in parts])

    def product(self, V: Array, weights: Constant = None) -> Array:
        """φ(X) D φ(X)^T V."""
        phi = self._features
        if weights is None:
            found = phi.gram_product(beside(np.ascontiguousarray(V, phi.dtype), phi.inputs))
        else:
            found = phi @ self._pulled(V, weights)
        return host(found).astype(np.float64, copy=False)

    def _pulled(self, V: Array, weights: Constant) -> Array:
        """D φ(X)^T V."""
        phi = self._features
        moved = phi.T @ beside(np.ascontiguousarray(V, phi.dtype), phi.inputs)
        return precondition(weights, moved)

    def expansion(self, coefficients: Array, weights: Constant = None) -> Expansion:
        """φ(x) v with v = D φ(X)^T α, which is made once."""
        v = self._pulled(coefficients, weights)

        def at(X_new: Array) -> tuple[Array, Array]:
            found = []
            for i in runs(len(X_new)):
                phi = self._features.at(X_new[i])
                found.append((phi.outputs, phi @ v))
            xp = namespace(X_new)
            outputs, products = map(xp.concatenate, zip(*found, strict=True))
            return outputs, products

        return at

    def largest_eigenvalue(self) -> float:
        """λ_max of φφ^T, by products with φ and φ^T where there are many inputs."""
        return stability.largest_eigenvalue(self._features)

    def new_inputs(self, X_new: ArrayLike) -> Array:
        """Inputs of the network."""
        X_new = as_new_inputs(X_new, self._features)
        refuse_mixed(self._features.inputs, X_new)
        return X_new

    def between(self, X_new: Array, weights: Constant = None) -> tuple[Array, Array]:
        """f_0(X_new) and φ(X_new) D φ(X)^T."""
        new = self._features.at(X_new)
        factors = (None, self.factor(weights))
        return new.outputs, weighted_kernel(new, weights, self._features, factors=factors)

    def balanced(self, dtype: DTypeLike) -> tuple[FeatureSource, int]:
        """The features at a scale where neither they nor their kernel leave the range."""
        phi, e = self._features.balanced(dtype)
        return self if phi is self._features else FeatureSource(phi), e

    def covariance(self, first: Array | None = None, second: Array | None = None) -> Array:
        """Not known: one θ_0 has one f_0."""
        raise ValueError(
            "this linearization is of a network at one θ_0, so that f_0 has no covariance; that "
            "over initializations is known for infinite width: ntklin.InfiniteMLP(net).linearize(X)"
        )
