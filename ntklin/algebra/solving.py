"""Solving with a kernel K = φ D φ^T, and how much the digits of the solution are worth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpocon, dpotrf, dpotrs  # pyright: ignore

from ntklin.algebra.spectrum import Spectrum, factorize, refuse_degenerate
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.faces.shown import Shown
from ntklin.edge.ranges import norm


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class KernelSolution(Shown):
    """(K + ridge·1)^{-1} R for right-hand sides R.

    Attributes
    ----------
    coefficients : ndarray, of the shape of R, float64
    rank : int
        How many eigenvalues the inverse keeps.
    condition : float
        κ, the condition number of what was inverted: LAPACK's estimate in the 1-norm where Cholesky
        served, exact in the 2-norm on the kept spectrum otherwise.
    error_bounds : tuple of float
        For each right-hand side R, what the relative error ‖Δα‖/‖α‖ is expected to stay below:

            8 √N κ eps (1 + ‖K^{-1}‖ ‖c‖/‖α‖) + ‖K^{-1}‖ ‖ΔR‖/‖α‖

        with eps of the kernel's dtype, c the part of R that the cut leaves, and ΔR the errors of R
        itself. The first term is the rounding of K, which also turns the eigenvectors of the kept
        spectrum, by up to eps ‖K‖/λ_min, against those that are cut. Near 1 no digit is certain.
    residuals : tuple of float
        ‖R − (K + ridge·1)α‖/‖R‖ of each, computed from α in float64; what a cut leaves of R counts.
    solver : str
        What solved.
    iterations : int
        Of conjugate gradients.
    """

    coefficients: Array
    rank: int
    condition: float
    error_bounds: tuple[float, ...]
    residuals: tuple[float, ...]
    solver: str
    iterations: int = 0

    @property
    def error_bound(self) -> float:
        """The largest one of ``error_bounds``."""
        return max(self.error_bounds)


def solve_kernel(
    K: Array,
    right: Array,
    *,
    right_errors: Sequence[float] | None = None,
    rank_bound: int | None = None,
    rcond: float | None = None,
    ridge: float = 0.0,
    spectrum: Callable[[], Spectrum] | None = None,
    by_eigenvectors: bool = False,
) -> KernelSolution:
    """Solve (K + ridge·1) α = R.

    Cholesky where it proves the matrix to be well conditioned; otherwise, and with an explicit rank
    cut, the eigendecomposition.

    Parameters
    ----------
    K : ndarray, shape (N, N), float32 or float64
        A symmetric positive semidefinite kernel. Its dtype decides which digits count as rounding;
        the algebra is float64.
    right : ndarray, shape (N,) or (N, k), float64
    right_errors : sequence of k floats, optional
        ‖ΔR‖ of each column; 0 when not given.
    rank_bound : int, optional
        An upper bound on the rank of K, such as P; below N the null space is cut (App. A).
    rcond : float, optional
        Eigenvalues ≤ rcond · λ_max are cut.
    ridge : float
    spectrum : callable, optional
        Returns the Spectrum of K, where the caller keeps one.
    by_eigenvectors : bool
        Whether Cholesky is not even tried.

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
    solution, solver = None, "cholesky"
    if not by_eigenvectors and rcond is None and (rank_bound is None or rank_bound >= n):
        solution = _by_cholesky(K, ridge, columns, max_condition=0.1 / (n * eps))
    if solution is None:
        solver = "eigh"
        found = factorize(K, rank_bound) if spectrum is None else spectrum()
        refuse_degenerate(K, found, rcond=rcond, ridge=ridge)
        solution = _by_eigenvectors(K, ridge, columns, found, rcond)
    coefficients, rank, condition, inverse_norm, left = solution
    errors = np.zeros(columns.shape[1]) if right_errors is None else np.asarray(right_errors)
    bounds = error_bounds(coefficients, condition, eps, inverse_norm * errors, inverse_norm * left)
    with np.errstate(over="ignore", invalid="ignore"):  # of right-hand sides near the end of it
        rest = columns - K.astype(np.float64, copy=False) @ coefficients - ridge * coefficients
        sizes = [(norm(r), norm(b)) for r, b in zip(rest.T, columns.T, strict=True)]
    return KernelSolution(
        coefficients=coefficients.reshape(right.shape),
        rank=rank,
        condition=condition,
        error_bounds=bounds,
        residuals=tuple(r / b if b else 0.0 for r, b in sizes),
        solver=solver,
    )


def error_bounds(
    coefficients: Array,
    condition: float,
    eps: float,
    errors: Array,
    cut: Array | None = None,
) -> tuple[float, ...]:
    """What the relative errors of solutions are expected to stay below; see ``KernelSolution``.

    Parameters
    ----------
    coefficients : ndarray, shape (N, k)
        α.
    condition, eps : float
    errors, cut : ndarray, shape (k,)
        ‖K^{-1}‖ ‖ΔR‖ of each column, and ‖K^{-1}‖ ‖c‖ with what the cut leaves.

    Returns
    -------
    tuple of k floats
    """
    sizes = np.array([norm(alpha) for alpha in coefficients.T])
    own, given = (
        np.divide(a, sizes, where=sizes > 0, out=np.zeros_like(sizes))
        for a in (np.zeros_like(errors) if cut is None else cut, errors)
    )
    root = math.sqrt(len(coefficients))
    return tuple((8 * root * condition * eps * (1 + own) + given).tolist())


def _by_cholesky(
    K: Array, ridge: float, right: Array, *, max_condition: float
) -> tuple[Array, int, float, float, Array] | None:
    """(K + ridge·1)^{-1} right, rank, κ, ‖K^{-1}‖, 0 for what is left; None where in doubt.

    Iterative refinement is left out: with a residual in working precision it gains no digit here,
    and one in higher precision resolves what the rounding of K itself has already lost.

    Returns
    -------
    tuple or None
    """
    A = K.astype(np.float64)
    A.flat[:: len(A) + 1] += ridge
    size = float(np.abs(A).sum(axis=0).max())
    factor, info = dpotrf(A.T, lower=True, overwrite_a=True)
    if info != 0:
        return None
    reciprocal, _ = dpocon(factor, size, uplo="L")
    if reciprocal * max_condition < 1:
        return None
    condition = 1 / float(reciprocal)
    solution = dpotrs(factor, right, lower=True)[0]
    return solution, len(A), condition, condition / size, np.zeros(right.shape[1])


def _by_eigenvectors(
    K: Array, ridge: float, right: Array, spectrum: Spectrum, rcond: float | None
) -> tuple[Array, int, float, float, Array]:
    """The same on the kept spectrum, and the norms of what that leaves of ``right``.

    One step of refinement follows: eigenvectors solve with a backward error of about eps ‖K‖, which
    it takes down three- to fivefold, to that of Cholesky.

    Returns
    -------
    tuple
    """
    K = K.astype(np.float64, copy=False)
    kept = spectrum.kept(rcond, ridge)
    V, inverse = spectrum.vectors[:, kept], spectrum.inverse(rcond, ridge)[kept, None]
    solution = V @ (inverse * (V.T @ right))
    residual = right - K @ solution - ridge * solution
    solution += V @ (inverse * (V.T @ residual))
    if not len(inverse):
        return solution, 0, math.inf, 0.0, np.zeros(right.shape[1])
    left = right - V @ (V.T @ right) if V.shape[1] < len(K) else np.zeros_like(right)
    condition = float(inverse.max() / inverse.min())
    sizes = np.array([norm(column) for column in left.T])
    return solution, int(kept.sum()), condition, float(inverse.max()), sizes
