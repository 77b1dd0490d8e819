"""Bounds of a residual that hold for certain, from floating point and the theory of its rounding.

A sum of n products in any order, with or without fused additions, is off by at most
γ_n Σ|x_i||y_i| with γ_n = n u/(1 − n u), u = eps/2, as long as nothing underflows (Higham 2002,
section 3.1). Here n eps stands for γ_n, with spare terms for what is added and multiplied after,
and a number for underflow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ntklin.edge.arrays import Array

# Roundings beside those of the sums: the ridge, the right-hand side, the bound itself.
_SPARE = 16


def residual_bounds(
    tiles: Iterable[tuple[slice, Array]], right: Array, solution: Array, ridge: float
) -> tuple[float, ...]:
    """Upper bounds of ‖b − (A + ridge·1) x‖/‖b‖ for each column, exact for these numbers.

    Parameters
    ----------
    tiles : iterable of (slice, ndarray)
        Rows of A, float32 or float64, each once; their entries are taken for exact.
    right, solution : ndarray, shape (n, k), float64
        b and x.
    ridge : float

    Returns
    -------
    tuple of k floats
        0 for b = 0 and x = 0; infinite where b alone is 0.
    """
    n, k = right.shape
    unit = (n + _SPARE) * float(np.finfo(np.float64).eps)
    tiny = (n + _SPARE) * float(np.finfo(np.float64).tiny)
    squares = np.zeros(k)
    sizes = np.abs(solution)
    for rows, A in tiles:
        A = A.astype(np.float64, copy=False)
        here = solution[rows]
        found = right[rows] - A @ solution - ridge * here
        terms = np.abs(right[rows]) + np.abs(A) @ sizes + ridge * np.abs(here)
        # |found| is off by unit · (terms without rounding) ≤ unit · terms / (1 − unit).
        bound = np.abs(found) + 2 * unit * terms + tiny
        squares += np.einsum("ij,ij->j", bound, bound)
    above = np.sqrt(squares) * (1 + 2 * unit) + math.sqrt(float(np.finfo(np.float64).tiny))
    below = np.sqrt(np.einsum("ij,ij->j", right, right)) * (1 - 2 * unit)
    bounds = []
    for i in range(k):
        if below[i] > 0:
            bounds.append(float(np.nextafter(above[i] / below[i], np.inf)))
        else:
            bounds.append(0.0 if not solution[:, i].any() and not right[:, i].any() else math.inf)
    return tuple(bounds)
