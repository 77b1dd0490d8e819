"""Checks of kernels that others made: shapes, symmetry, positive semidefiniteness."""

from __future__ import annotations

from numpy.typing import ArrayLike

from ntklin.algebra.semidefinite import as_semidefinite
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, host
from ntklin.edge.checks import as_inputs


def as_matrix(a: ArrayLike, shape: tuple[int, int], name: str) -> Array:
    """A finite matrix of this shape, float32 or float64."""
    a = as_array(a, name)
    if a.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got shape {a.shape}")
    return as_inputs(a, name=name)


def as_kernel(K: ArrayLike, name: str, n: int | None = None) -> Array:
    """A kernel on N inputs, (N, N): finite, symmetric and positive semidefinite up to rounding.

    Parameters
    ----------
    K : array_like
    name : str
        The argument's name in messages.
    n : int, optional
        N, where it is known.

    Returns
    -------
    ndarray, shape (N, N)
        A copy.

    Raises
    ------
    ValueError
        For what is no kernel.
    """
    given = as_array(K, name)
    if n is None:
        if given.ndim != 2 or given.shape[0] != given.shape[1]:
            raise ValueError(f"{name} must be a square matrix, (N, N), got shape {given.shape}")
        n = len(given)
    given = as_matrix(given, (n, n), name)
    return beside(as_semidefinite(host(given), name), given)


def as_outputs(f0: ArrayLike, n: int, name: str, n_outputs: int | None) -> Array:
    """f_0 of N inputs, (N,) or (N, C), finite."""
    f0 = as_array(f0, name)
    C = n_outputs if n_outputs is not None else f0.shape[-1] if f0.ndim == 2 else 1
    if f0.shape != (n, C) and (C > 1 or f0.shape != (n,)):
        wanted = f"({n}, {C})" if C > 1 else f"({n},)"
        raise ValueError(f"{name} must have shape {wanted}, got shape {f0.shape}")
    f0 = as_inputs(f0.reshape(n, -1), name=name)
    return f0[:, 0] if C == 1 else f0
