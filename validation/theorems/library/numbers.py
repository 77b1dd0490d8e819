"""Arrays of balls: NumPy's notation on numbers of 256 bits whose rounding errors are enclosed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import acb_mat, arb, arb_mat
from numpy.typing import ArrayLike

from ntklin.validation.arrays import Array

PRECISION = 256


def exact(values: ArrayLike) -> Any:
    """Floats as the numbers that they are: an array of balls without radius, or one ball."""
    return each(arb, np.asarray(values, float).astype(object))


def each(function: Callable[[Any], Any], values: Any) -> Any:
    """A function of every entry."""
    return np.frompyfunc(function, 1, 1)(values)


def root(values: Any) -> Any:
    """√ of every entry; of an exact 0 it is 0."""
    return each(lambda x: x.sqrt(), values)


def norm(values: Any) -> arb:
    """√(Σ x²); 0 where that cannot be told from it."""
    total = (np.ravel(values) ** 2).sum()
    return total.sqrt() if total > 0 else arb(0)


def identity(n: int) -> Array:
    """The n×n identity."""
    return exact(np.eye(n))


def solve(A: Array, B: Array) -> Array:
    """A^{-1} B, for B of shape (n,) or (n, k)."""
    columns = B.reshape(len(B), -1)
    found = matrix(A).solve(matrix(columns))
    return np.array(found.entries(), object).reshape(B.shape)


def inverse(A: Array) -> Array:
    """A^{-1}."""
    return solve(A, identity(len(A)))


def matrix(A: Array) -> arb_mat:
    """As python-flint has it."""
    n, m = A.shape
    return arb_mat(n, m, list(A.ravel()))


def power(A: Array, t: int) -> Array:
    """A^t by repeated squaring."""
    found = identity(len(A))
    while t:
        if t & 1:
            found = found @ A
        A, t = A @ A, t >> 1
    return found


def eigenvalues(A: Array) -> Array:
    """Those of a symmetric matrix, ascending."""
    found = [z.real for z in acb_mat(matrix(A)).eig()]
    return np.array(sorted(found, key=float), object)
