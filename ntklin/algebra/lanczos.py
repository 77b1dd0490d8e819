"""The largest eigenvalue of an operator, by products alone."""

import numpy as np

from ntklin.algebra.operators import Product
from ntklin.edge.arrays import Array
from ntklin.edge.ranges import length
from ntklin.edge.threads import reproducible

# Vectors that are kept to be orthogonal to, and how often they make way for the best one of them.
MOST_VECTORS = 128
MOST_ROUNDS = 8
# The tolerance and the vectors that serve a condition number.
ROUGHLY = 0.1
FEW_VECTORS = 24


def largest_eigenvalue(
    product: Product, n: int, tolerance: float, vectors: int = MOST_VECTORS
) -> float:
    """λ_max of a symmetric positive semidefinite A ∈ R^{n×n}, from above.

    Lanczos' recursion A V = V T + β v e^T with full reorthogonalization, from a fixed start: the
    same operator gives the same number. Its residual r = β |e^T y| for the uppermost eigenvector y
    of T bounds the distance of θ = λ_max(T) ≤ λ_max(A) to an eigenvalue of A; θ + r is returned, so
    that a step size taken from it errs on the safe side.

    Parameters
    ----------
    product : callable
        v ↦ A v, both of shape (n,) and float64.
    n : int
    tolerance : float
        Ends the recursion where r ≤ tolerance · θ. The error of θ itself is about r² over the
        distance to the next eigenvalue. Without a gap r may stay above it, and is returned with θ.
    vectors : int
        So many of length n are kept.

    Returns
    -------
    float
        Not finite if the operator is not.
    """
    # Kernels of ReLU networks have their uppermost eigenvector near the constant one.
    start = 1 + np.random.default_rng(0).standard_normal(n)
    start /= length(start)
    size = float(np.abs(product(start)).max())
    if size == 0 or not np.isfinite(size):
        return size
    # In units in which no square leaves the range of floating point.
    unit = 2.0 ** np.clip(np.frexp(size)[1], -1000, 1000)
    value = residual = 0.0
    for _ in range(MOST_ROUNDS):
        value, residual, start = _round(lambda v: product(v) / unit, start, tolerance, vectors)
        if not residual > tolerance * value:
            break
    return unit * (value + residual)


def rough_norm(product: Product, n: int) -> float:
    """‖A‖_2 of a symmetric positive semidefinite A to a tenth or so, from above.

    Parameters
    ----------
    product : callable
        V ↦ A V, (n, k).
    n : int

    Returns
    -------
    float
    """

    def column(r: Array) -> Array:
        return product(r[:, None])[:, 0].astype(np.float64, copy=False)

    return largest_eigenvalue(column, n, ROUGHLY, FEW_VECTORS)


def _round(
    product: Product, start: Array, tolerance: float, vectors: int
) -> tuple[float, float, Array]:
    """θ, r and the Ritz vector, from one start, after as many products as it takes or as fit."""
    most = min(vectors, len(start))
    basis = np.empty((most, len(start)))
    diagonal, side = np.empty(most), np.empty(most)
    vector = start
    for k in range(most):
        basis[k] = vector
        vector = product(vector)
        known = basis[: k + 1]
        with reproducible():  # learning rates follow; beside the product all this is little
            diagonal[k] = basis[k] @ vector
            if not np.isfinite(diagonal[k]):
                return np.inf, 0.0, start
            for _ in range(2):  # once leaves a trace where the vectors nearly agree
                vector = vector - (known @ vector) @ known
            side[k] = length(vector)
            T = np.diag(diagonal[: k + 1]) + np.diag(side[:k], 1) + np.diag(side[:k], -1)
            values, ritz = np.linalg.eigh(T)
        value, residual = float(values[-1]), float(side[k] * abs(ritz[-1, -1]))
        if not residual > tolerance * value or side[k] == 0:
            break
        vector = vector / side[k]
    else:
        if most == len(start):  # the whole space: what is left is rounding
            residual = min(residual, tolerance * value)
    with reproducible():
        best = ritz[:, -1] @ known
    return value, residual, best / length(best)
