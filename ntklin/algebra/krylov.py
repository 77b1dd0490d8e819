"""Functions of a symmetric operator times vectors, by products alone: Lanczos' approximation.

Also the quadrature that belongs to it, b^T f(A) b ≈ Σ_i w_i f(θ_i).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from ntklin.algebra.operators import Product
from ntklin.edge.arrays import Array
from ntklin.edge.errors import ConvergenceError, FloatRangeError

# Products between two looks at what has been gained.
_EVERY = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class KrylovValue:
    """f(A) B for some functions f.

    Attributes
    ----------
    values : ndarray, shape (T, n, k)
    error : float
        An estimate of the largest ‖Δ f(A)b‖/‖f(A)b‖ over functions and columns.
    iterations : int
    """

    values: Array
    error: float
    iterations: int


def function_of_operator(
    product: Product,
    right: Array,
    functions: Callable[[Array], Array],
    *,
    tolerance: float,
    most: int,
    progress: Callable[[int, float], object] | None = None,
) -> KrylovValue:
    """f(A) B for a symmetric positive semidefinite A and functions f on its spectrum.

    After j products f(A)b ≈ ‖b‖ V f(T) e_1, with A V = V T + β v e^T, V orthonormal by full
    reorthogonalization. The error is at most 2‖b‖ min_p max_λ |f(λ) − p(λ)| over polynomials p of
    degree j − 1 and the spectrum of A and T: for f of degree below j it is rounding. As an
    estimate serves what the latest few products have changed, continued as the geometric series
    that these changes are.

    Parameters
    ----------
    product : callable
        V ↦ A V, (n, k).
    right : ndarray, shape (n, k)
        B; each column has its own recursion, and products are taken together.
    functions : callable
        λ ↦ (T, len(λ)), for λ ≥ 0.
    tolerance : float
    most : int
        Products; so many vectors of length n are kept of each column.
    progress : callable, optional
        Called as ``progress(iteration, error)`` whenever the error is estimated.

    Returns
    -------
    KrylovValue

    Raises
    ------
    FloatRangeError
        If a function is not finite on the spectrum.
    ConvergenceError
        If so many products have not been enough; its ``solution`` is (T, n, k).
    """
    error, j, runs = 0.0, 0, []
    for j, runs in recursions(product, right, most):
        ended = all(run.is_done for run in runs)
        if j % _EVERY == 0 or j == most or ended:
            error = max((run.look(functions) for run in runs), default=0.0)
            if progress is not None:
                progress(j, error)
            if error <= tolerance:
                break
    values = np.stack([run.value(functions) for run in runs], axis=2)
    if error > tolerance:
        raise ConvergenceError(
            f"the error of a function of the kernel is estimated at {error:.2g} after {most} "
            f"products, not below tol={tolerance:.2g}; take a larger tol, a smaller t, or the "
            "limit t = None",
            solution=values,
            residual=error,
            iterations=most,
        )
    return KrylovValue(values=values, error=error, iterations=j)


def recursions(product: Product, right: Array, most: int) -> Iterator[tuple[int, list[Lanczos]]]:
    """Lanczos' recursions of all columns, product by product, until all are done.

    Parameters
    ----------
    product : callable
        V ↦ A V, (n, k).
    right : ndarray, shape (n, k)
    most : int
        Products.

    Yields
    ------
    j : int
        Products so far, at least 1.
    runs : list of Lanczos
        One for each column.
    """
    runs = [Lanczos(column, most) for column in right.T]
    for j in range(1, most + 1):
        going = [run for run in runs if not run.is_done]
        if going:
            images = product(np.stack([run.latest for run in going], axis=1))
            for run, image in zip(going, images.T, strict=True):
                run.extend(image)
        yield j, runs
        if all(run.is_done for run in runs):
            return


class Lanczos:
    """The recursion of one column b.

    Parameters
    ----------
    b : ndarray, shape (n,)
    most : int
        Vectors at most.

    Attributes
    ----------
    is_done : bool
        Whether it has come to its end: an invariant space, or so many vectors.
    """

    def __init__(self, b: Array, most: int) -> None:
        self._most = min(most, len(b))
        self._size = float(np.linalg.norm(b))
        self._basis = np.empty((min(64, self._most) + 1, len(b)))
        self._basis[0] = b / self._size if self._size else b
        self._diagonal: list[float] = []
        self._side: list[float] = []
        self._before: NDArray[np.float64] | None = None
        self._change = np.inf
        self.is_done = self._size == 0

    @property
    def latest(self) -> Array:
        """The vector whose image is wanted."""
        return self._basis[len(self._diagonal)]

    @property
    def is_invariant(self) -> bool:
        """Whether the space is invariant, to rounding: more products would tell nothing new."""
        if not self._diagonal or len(self._diagonal) == self._basis.shape[1]:
            return self.is_done
        return self.is_done and self._side[-1] <= 1e-8 * max(map(abs, self._diagonal))

    def extend(self, image: Array) -> None:
        """Take A times the latest vector."""
        j = len(self._diagonal) + 1
        if j == len(self._basis):
            grown = np.empty((min(2 * j, self._most + 1), len(image)))
            grown[:j] = self._basis
            self._basis = grown
        known = self._basis[:j]
        self._diagonal.append(float(known[-1] @ image))
        for _ in range(2):
            image = image - (known @ image) @ known
        side = float(np.linalg.norm(image))
        self._side.append(side)
        scale = max(map(abs, self._diagonal))
        # An invariant space, to rounding: what is reached is exact.
        self.is_done = j >= self._most or side <= 16 * j * np.finfo(np.float64).eps * scale
        if not self.is_done:
            self._basis[j] = image / side

    @property
    def _ritz(self) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors of T."""
        T: Any = eigh_tridiagonal(np.array(self._diagonal), np.array(self._side[:-1]))
        return T

    def gauss(self) -> tuple[Array, Array]:
        """Nodes θ_i, ascending, and weights w_i of b^T f(A) b ≈ Σ_i w_i f(θ_i).

        Exact for polynomials f of degree below 2j after j products. Where all even derivatives of
        f are ≥ 0 on the spectrum of A, the sum is a lower bound.

        Returns
        -------
        nodes, weights : ndarray, shape (j,)
        """
        if not self._diagonal:
            return np.zeros(0), np.zeros(0)
        values, S = self._ritz
        return values, (self._size * S[0]) ** 2

    def lobatto(self, low: float, high: float) -> tuple[Array, Array]:
        """The same with two more nodes, low and high, in the place of one that is free.

        For the same f the sum is an upper bound, if the spectrum is within low … high. Of an
        invariant space it is that of ``gauss``, which is exact there.

        Parameters
        ----------
        low, high : float
            Below and above all of ``gauss``'s nodes.

        Returns
        -------
        nodes, weights : ndarray, shape (j + 1,)
        """
        if self.is_invariant:
            return self.gauss()
        values, S = self._ritz
        # The last entries of (T − low)^{-1} e_j and (T − high)^{-1} e_j decide the row that T gets.
        below, above = ((S[-1] ** 2 / (values - end)).sum() for end in (low, high))
        square = (high - low) / (below - above)
        diagonal = np.append(self._diagonal, low + below * square)
        nodes, S = eigh_tridiagonal(diagonal, np.append(self._side[:-1], np.sqrt(square)))
        nodes[0], nodes[-1] = low, high
        return nodes, (self._size * S[0]) ** 2

    def _coefficients(self, functions: Callable[[Array], Array]) -> Array:
        """‖b‖ f(T) e_1, (T, j)."""
        values, S = self._ritz
        found = functions(np.maximum(values, 0.0))
        if not np.isfinite(found).all():
            raise FloatRangeError(
                "a function of the kernel overflows float64 on its spectrum, as of gradient "
                "descent that diverges: take a learning rate below max_learning_rate"
            )
        return self._size * (found * S[0]) @ S.T

    def look(self, functions: Callable[[Array], Array]) -> float:
        """The estimate of the relative error, by what has changed since the last look."""
        if not self._diagonal:
            return 0.0
        now = self._coefficients(functions)
        sizes = np.linalg.norm(now, axis=1)
        if self._before is None:
            change = 1.0
        else:
            old = np.zeros_like(now)
            old[:, : self._before.shape[1]] = self._before
            changes = np.linalg.norm(now - old, axis=1)
            change = float(np.divide(changes, sizes, where=sizes > 0, out=0 * sizes).max())
        ratio = min(change / self._change, 0.99) if 0 < self._change < np.inf else 0.99
        self._before, self._change = now, change
        if self.is_invariant:
            return 0.0
        return change * max(1.0, ratio / (1 - ratio))

    def value(self, functions: Callable[[Array], Array]) -> Array:
        """f(A) b, (T, n)."""
        if not self._diagonal:
            return functions(np.zeros(1)) * np.zeros(self._basis.shape[1])
        return self._coefficients(functions) @ self._basis[: len(self._diagonal)]
