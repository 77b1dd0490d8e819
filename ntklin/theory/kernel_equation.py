"""The linear equation behind a minimizer, in units in which nothing leaves the range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ntklin.algebra.preconditioners import Constant, as_comfortable, rank_bound
from ntklin.algebra.solving import KernelSolution, solve_kernel
from ntklin.algebra.spectrum import (
    degenerate_error,
    factorize,
    require_kernel_in_range,
    ridge_in_units,
)
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.errors import DegenerateKernelError
from ntklin.edge.ranges import is_far, largest_exponent, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.columns import Columns

if TYPE_CHECKING:
    from ntklin.theory.factorized import Rescaled


@dataclass(frozen=True, eq=False, kw_only=True)
class KernelEquation(Sendable):
    """(K'_D + ridge'·1) α' = R' for Y and f_0(X), in columns.

    Attributes
    ----------
    units : Rescaled
        f = 2^e f', φ = 2^e φ'.
    weights : float, ndarray, LowRank or None
        D'.
    exponent : int
        s with K_D = 2^s K'_D, ridge = 2^s ridge'; even.
    ridge : float
        ridge'.
    rcond : float or None
    right : ndarray, shape (2, M, k)
        R', 2^(−y) times Y and f_0(X).
    sizes : tuple of two ints
        Their y.
    rounding : float
        What the rounding errors of 2^(−y) f_0(X) are expected to stay below.
    """

    units: Rescaled
    weights: Constant
    exponent: int
    ridge: float
    rcond: float | None
    right: Array
    sizes: tuple[int, int]
    rounding: float

    @classmethod
    def of(
        cls,
        units: Rescaled,
        targets: Array,
        *,
        weights: Constant,
        rcond: float | None,
        ridge: float,
    ) -> KernelEquation:
        """That of these targets, (N,) or (N, C), and options.

        Returns
        -------
        KernelEquation
        """
        source, e = units.linearization.source, units.exponent
        D, d = as_comfortable(weights, source.dtype)
        start = host(source.outputs).astype(np.float64)
        parts = np.broadcast_arrays(source.columns.of(targets), source.columns.of(start))
        y, z = (
            largest_exponent(a) if is_far(float(abs(a).max()), source.dtype) else 0 for a in parts
        )
        return cls(
            units=units,
            weights=D,
            exponent=2 * e + d,
            ridge=ridge_in_units(ridge, 2 * e + d),
            rcond=rcond,
            right=np.stack([shift(parts[0], -y), shift(parts[1], -z)]),
            sizes=(y, z + e),
            rounding=shift(norm(source.output_rounding), -z),
        )

    @property
    def columns(self) -> Columns:
        """How outputs are arranged for K'_D."""
        return self.units.linearization.source.columns

    @property
    def kernel(self) -> Array:
        """K'_D(X, X), (M, M)."""
        return self.units.linearization.weighted_kernel(self.weights)

    def solve(self, right: Array, right_errors: Sequence[float] | None = None) -> KernelSolution:
        """(K'_D + ridge'·1)^{-1} R for any R.

        Cholesky where it proves the matrix to be well conditioned; otherwise, and with an explicit
        rank cut, the eigendecomposition.

        Parameters
        ----------
        right : ndarray, shape (M, n)
        right_errors : sequence of n floats, optional

        Returns
        -------
        KernelSolution

        Raises
        ------
        DegenerateKernelError
            See ``Linearization.minimizer``.
        """  # noqa: DOC501
        lin, D, bound = self.units.linearization, self.weights, None
        if lin.source.rank_bound is not None:
            bound = rank_bound(D, lin.source.rank_bound)
        K = self.kernel
        require_kernel_in_range(K)
        try:
            return solve_kernel(
                K,
                right,
                right_errors=right_errors,
                rank_bound=bound,
                rcond=self.rcond,
                ridge=self.ridge,
                spectrum=(lambda: lin.spectrum) if D is None else None,
            )
        except DegenerateKernelError:
            if D is None:
                raise
            raise degenerate_error(K, factorize(K, bound), unweighted=lin.spectrum) from None

    @cached_property
    def answer(self) -> KernelSolution:
        """The solution for 2k columns, those of Y first."""
        _, m, k = self.right.shape
        right = np.moveaxis(self.right, 0, 1).reshape(m, 2 * k)
        return self.solve(right, (0.0,) * k + (self.rounding,) * k)

    @cached_property
    def solution(self) -> Array:
        """α', (2, M, k)."""
        _, m, k = self.right.shape
        return np.ascontiguousarray(np.moveaxis(self.answer.coefficients.reshape(m, 2, k), 1, 0))

    @property
    def error_bounds(self) -> tuple[float, float]:
        """The largest one of the columns of Y, and of those of f_0(X)."""
        bounds, k = self.answer.error_bounds, self.right.shape[2]
        return max(bounds[:k]), max(bounds[k:])

    @property
    def moves(self) -> tuple[Array, int]:
        """2^(−y) K'_D^{-1} (Y − f_0(X)), (M, k), and y."""
        return self._difference(self.solution)

    @property
    def residual(self) -> tuple[Array, int]:
        """2^(−y) (Y − f_0(X)) and the same y."""
        return self._difference(self.right)

    def _difference(self, columns: Array) -> tuple[Array, int]:
        size = max(self.sizes)
        first, second = (shift(a, y - size) for a, y in zip(columns, self.sizes, strict=True))
        return first - second, size
