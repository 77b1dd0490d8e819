"""Exact linear algebra: NumPy object arrays of fractions, whose ``@`` and ``+`` are exact."""

from fractions import Fraction

import numpy as np


def exact(values):
    """An array of fractions, each the exact value of an integer or a float."""
    values = np.asarray(values)
    return np.array([Fraction(v) for v in values.ravel().tolist()], object).reshape(values.shape)


def identity(n):
    return exact(np.eye(n, dtype=int))


def solve(A, B):
    """A^{-1} B by Gauss and Jordan; ZeroDivisionError where A is singular."""
    n = len(A)
    work = np.concatenate([A, B.reshape(n, -1)], axis=1)
    for k in range(n):
        pivot = next((i for i in range(k, n) if work[i, k] != 0), k)
        work[[k, pivot]] = work[[pivot, k]]
        work[k] = work[k] / work[k, k]
        for i in range(n):
            if i != k:
                work[i] = work[i] - work[i, k] * work[k]
    return work[:, n:].reshape(B.shape)


def small(rng, shape, largest=4):
    """Random fractions p/q with |p| ≤ ``largest`` and 1 ≤ q ≤ 3."""
    p, q = rng.integers(-largest, largest + 1, shape), rng.integers(1, 4, shape)
    return exact(p) / exact(q)


def floats(values):
    """The nearest floats."""
    return np.array([float(v) for v in values.ravel()]).reshape(values.shape)
