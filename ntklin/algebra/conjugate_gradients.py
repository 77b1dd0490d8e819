"""Conjugate gradients for many right-hand sides at once, stopped by what is truly left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from ntklin.algebra.operators import Product
from ntklin.edge.arrays import Array
from ntklin.edge.errors import ConvergenceError

# Iterations after which the residual of the recursion is compared with the true one, and before
# which no solution that has become no better is given up.
CHECKED = 50
PATIENCE = 500
# Iterations at most: rounding makes them several times n where A is ill-conditioned.
MOST = 10_000
# How much better a solution has to be after the recursion was started again from it.
GAIN = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Iterate:
    """What conjugate gradients have reached.

    Attributes
    ----------
    solution : ndarray, shape (n, k)
    residuals : ndarray, shape (k,)
        ‖b − A x‖/‖b‖ of each column, computed from x; 0 for b = 0.
    iterations : int
    smallest, largest : float
        The outermost Ritz values of M^{-1} A that were met, within its spectrum; 1 where there was
        nothing to do.
    """

    solution: Array
    residuals: Array
    iterations: int
    smallest: float
    largest: float


def conjugate_gradients(
    product: Product,
    right: Array,
    *,
    preconditioner: Product | None = None,
    tolerance: float,
    start: Array | None = None,
    most: int | None = None,
    progress: Callable[[int, float, Array], object] | None = None,
) -> Iterate:
    """Solve A X = B for a symmetric positive definite A, by products alone.

    Each column has its own recursion; products are taken for all that are not done. A column is
    done when its true residual b − A x says so. The one that the recursion carries along drifts
    away from it by rounding, and where it does, the recursion starts again from x.

    Parameters
    ----------
    product : callable
        V ↦ A V, shape (n, k).
    right : ndarray, shape (n, k), float64
        B.
    preconditioner : callable, optional
        R ↦ M^{-1} R for a symmetric positive definite M; M = 1 when not given.
    tolerance : float
        ‖b − A x‖ ≤ tolerance ‖b‖ for each column.
    start : ndarray, shape (n, k), optional
        Where to start, as the iterate of an earlier call; 0 when not given.
    most : int, optional
        Iterations; 10,000 when not given.
    progress : callable, optional
        Called as ``progress(iteration, residual, X)`` after each iteration with the largest
        residual of the recursion, relative to b, and the iterate itself, which is not to be
        changed. What it raises ends the work.

    Returns
    -------
    Iterate

    Raises
    ------
    ConvergenceError
        If the tolerance is out of reach: beyond what rounding leaves of the residual, after
        ``most`` iterations, or where A or M is not positive definite. Its ``solution`` is the
        best iterate.
    """
    n, k = right.shape
    most = MOST if most is None else most
    sizes = _norms(right)
    X = np.zeros((n, k)) if start is None else np.array(start, np.float64)
    R = right.copy() if start is None else right - product(X)
    left = _relative(_norms(R), sizes)
    best, reached, iterations, ritz = X.copy(), float(left.max()), 0, (np.inf, 0.0)
    while (left > tolerance).any():
        columns = np.flatnonzero(left > tolerance)
        run, before, fault = _Recursion(product, preconditioner, R[:, columns]), left[columns], ""
        while len(run.going):
            fault = run.advance(X, columns)
            if fault:
                break
            iterations += 1
            claimed = _relative(run.norms, sizes[columns])
            if progress is not None:
                progress(iterations, float(claimed.max()), X)
            if iterations >= most:
                fault = f"{most} iterations have not been enough"
                break
            run.going = np.flatnonzero(claimed > 0.5 * tolerance)
            if run.length % CHECKED == 0:
                left = _relative(_norms(right - product(X)), sizes)[columns]
                if (left > np.maximum(2 * claimed, tolerance)).any():
                    break
                stays = run.length >= PATIENCE and (left > GAIN * before).all()
                if stays and run.length >= _patience(run.ritz, n):
                    fault = f"{run.length} iterations have gained nothing"
                    break
        ritz = min(ritz[0], run.ritz[0]), max(ritz[1], run.ritz[1])
        R = right - product(X)
        left = _relative(_norms(R), sizes)
        if left.max() < reached:
            best, reached = X.copy(), float(left.max())
        if not fault and not (left[columns] <= GAIN * before).any():
            fault = "rounding of the products leaves no more"
        if fault and (left > tolerance).any():
            raise ConvergenceError(
                f"the residual ‖R − Kα‖/‖R‖ = {reached:.2g} after {iterations} iterations is not "
                f"below tol={tolerance:.2g}: {fault}; take a larger tol, a ridge, or another "
                "preconditioner",
                solution=best,
                residual=reached,
                iterations=iterations,
            )
    low, high = ritz if np.isfinite(ritz[0]) else (1.0, 1.0)
    return Iterate(solution=X, residuals=left, iterations=iterations, smallest=low, largest=high)


class _Recursion:
    """The recursions of some columns, which share products and nothing else.

    Parameters
    ----------
    product, preconditioner : callable
    R : ndarray, shape (n, k)
        Their residuals at the start; a copy.

    Attributes
    ----------
    going : ndarray of int
        The columns that are not done.
    norms : ndarray, shape (k,)
        ‖r‖ by the recursion's own account.
    length : int
        Its iterations.
    """

    def __init__(self, product: Product, preconditioner: Product | None, R: Array) -> None:
        self._product, self._preconditioner, self._R = product, preconditioner, R
        self._P = np.zeros_like(R)
        self._rho = np.zeros(R.shape[1])
        self._steps: list[Array] = []
        self._ratios: list[Array] = []
        self.going = np.arange(R.shape[1])
        self.norms = _norms(R)

    @property
    def length(self) -> int:
        """How many iterations it has taken."""
        return len(self._steps)

    def advance(self, X: Array, columns: NDArray[np.intp]) -> str:
        """One iteration of the columns that are going, those of X in place; what is wrong, or "".

        Returns
        -------
        str
        """
        going, R = self.going, self._R[:, self.going]
        Z = R if self._preconditioner is None else self._preconditioner(R)
        rho = np.einsum("ij,ij->j", R, Z)
        if not (rho > 0).all():
            return "the preconditioner is not positive definite"
        ratio, step = np.zeros(self._R.shape[1]), np.zeros(self._R.shape[1])
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            if self._steps:
                ratio[going] = rho / self._rho[going]
            P = Z + ratio[going] * self._P[:, going]
        if not np.isfinite(P).all():
            return "the residuals leave the range of float64"
        Q = self._product(P)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            curvature = np.einsum("ij,ij->j", P, Q)
            if not (curvature > 0).all():
                return "the kernel is not positive definite to working precision"
            step[going] = rho / curvature
        if not np.isfinite(step).all():
            return "the residuals leave the range of float64"
        X[:, columns[going]] += step[going] * P
        self._R[:, going] = R - step[going] * Q
        self._P[:, going], self._rho[going] = P, rho
        self.norms[going] = _norms(self._R[:, going])
        self._steps.append(step)
        self._ratios.append(ratio)
        return ""

    @property
    def ritz(self) -> tuple[float, float]:
        """The outermost eigenvalues of Lanczos' matrix T = V^T M^{-1}A V, over all columns."""
        low, high = np.inf, 0.0
        if not self._steps:
            return low, high
        for a, b in zip(np.array(self._steps).T, np.array(self._ratios).T, strict=True):
            length = int(np.count_nonzero(a))
            if not length:  # even its first step is below the range
                continue
            a, b = a[:length], b[1:length]
            diagonal = 1 / a
            diagonal[1:] += b / a[:-1]
            side = np.sqrt(b) / a[:-1]
            first, last = (
                float(eigh_tridiagonal(diagonal, side, True, "i", (i, i))[0])
                for i in (0, length - 1)
            )
            low, high = min(low, first), max(high, last)
        return low, high


def _patience(ritz: tuple[float, float], n: int) -> float:
    """Iterations after which a residual must have fallen to GAIN of its start, at least PATIENCE.

    It is the energy that falls in every iteration, ‖x − x_k‖_A ≤ 2ρ^k ‖x − x_0‖_A with
    ρ = (√κ − 1)/(√κ + 1); residuals may rise by √κ before they do, so that ‖r_k‖ ≤ 2√κ ρ^k ‖r_0‖.
    κ is that of the Ritz values met so far; of a matrix that is singular to working precision,
    where right-hand sides may have no solution, nothing is to be waited for.

    Returns
    -------
    float
    """
    low, high = ritz
    condition = max(1.0, high / low) if low > 0 else np.inf
    if condition * n * np.finfo(np.float64).eps > 1:
        return PATIENCE
    root = np.sqrt(condition)
    return max(PATIENCE, 0.5 * root * np.log(2 * root / GAIN))


def _norms(R: Array) -> NDArray[np.float64]:
    return np.sqrt(np.einsum("ij,ij->j", R, R))


def _relative(norms: Array, sizes: Array) -> Array:
    return np.divide(norms, sizes, where=sizes > 0, out=np.zeros_like(norms))
