"""Solving with a kernel K = φ D φ^T, and how much the digits of the solution are worth."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpocon, dpotrf, dpotrs

from ntklin.backends import host
from ntklin.spectral import factorize, refuse_degenerate


@dataclass(frozen=True, eq=False, kw_only=True)
class KernelSolution:
    """(K + ridge·1)^{-1} R for right-hand sides R.

    Attributes
    ----------
    coefficients : ndarray, of the shape of R, float64
    rank : int
        How many eigenvalues the inverse keeps.
    condition : float
        κ, the condition number of what was inverted: LAPACK's estimate in the 1-norm where Cholesky
        served, exact in the 2-norm on the kept spectrum otherwise.
    error_bound : float
        8 √N κ eps of the kernel's dtype: what the coefficients' relative error ‖Δα‖/‖α‖ is expected
        to stay below. Near 1 no digit is certain.
    """

    coefficients: np.ndarray
    rank: int
    condition: float
    error_bound: float


def solve_kernel(K, right, *, rank_bound=None, rcond=None, ridge=0.0, spectrum=None):
    """Solve (K + ridge·1) α = R.

    Cholesky where it proves the matrix to be well conditioned; otherwise, and with an explicit rank
    cut, the eigendecomposition.

    Parameters
    ----------
    K : ndarray, shape (N, N), float32 or float64
        A symmetric positive semidefinite kernel. Its dtype decides which digits count as rounding;
        the algebra is float64.
    right : ndarray, shape (N,) or (N, k), float64
    rank_bound : int, optional
        An upper bound on the rank of K, such as P; below N the null space is cut (App. A).
    rcond : float, optional
        Eigenvalues ≤ rcond · λ_max are cut.
    ridge : float
    spectrum : callable, optional
        Returns the Spectrum of K, where the caller keeps one.

    Returns
    -------
    KernelSolution

    Raises
    ------
    DegenerateKernelError
        If K is singular to working precision and neither ``rcond`` nor ``ridge`` is given.
    """
    n, K = len(K), host(K)
    eps = float(np.finfo(K.dtype).eps)
    columns = right.reshape(n, -1)
    solution = None
    if rcond is None and (rank_bound is None or rank_bound >= n):
        solution = _by_cholesky(K, ridge, columns, max_condition=0.1 / (n * eps))
    if solution is None:
        spectrum = factorize(K, rank_bound) if spectrum is None else spectrum()
        refuse_degenerate(K, spectrum, rcond=rcond, ridge=ridge)
        solution = _by_eigenvectors(K, ridge, columns, spectrum, rcond)
    coefficients, rank, condition = solution
    return KernelSolution(
        coefficients=coefficients.reshape(right.shape),
        rank=rank,
        condition=condition,
        error_bound=8 * math.sqrt(n) * condition * eps,
    )


def _by_cholesky(K, ridge, right, *, max_condition):
    """(K + ridge·1)^{-1} right, its rank and its condition; None where that is not certain to hold.

    Iterative refinement is left out: with a residual in working precision it gains no digit here,
    and one in higher precision resolves what the rounding of K itself has already lost.
    """
    A = K.astype(np.float64)
    A.flat[:: len(A) + 1] += ridge
    norm = float(np.abs(A).sum(axis=0).max())
    factor, info = dpotrf(A.T, lower=True, overwrite_a=True)
    if info != 0:
        return None
    reciprocal, _ = dpocon(factor, norm, uplo="L")
    if reciprocal * max_condition < 1:
        return None
    return dpotrs(factor, right, lower=True)[0], len(A), 1 / float(reciprocal)


def _by_eigenvectors(K, ridge, right, spectrum, rcond):
    """The same on the kept spectrum.

    One step of refinement follows: eigenvectors solve with a backward error of about eps ‖K‖, which
    it takes down three- to fivefold, to that of Cholesky.
    """
    K = K.astype(np.float64, copy=False)
    kept = spectrum.kept(rcond, ridge)
    V, inverse = spectrum.vectors[:, kept], spectrum.inverse(rcond, ridge)[kept, None]
    solution = V @ (inverse * (V.T @ right))
    residual = right - K @ solution - ridge * solution
    solution += V @ (inverse * (V.T @ residual))
    condition = float(inverse.max() / inverse.min()) if len(inverse) else math.inf
    return solution, int(kept.sum()), condition
