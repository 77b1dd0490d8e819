"""The linear equation behind a minimizer, in units in which nothing leaves the range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.lanczos import rough_norm
from ntklin.algebra.preconditioners import Constant, as_comfortable
from ntklin.algebra.residuals import residual_bounds
from ntklin.algebra.solving import KernelSolution
from ntklin.algebra.spectrum import ridge_in_units
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host
from ntklin.edge.errors import FloatRangeError
from ntklin.edge.ranges import is_far, largest_exponent, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.columns import Columns
from ntklin.theory.solver_options import SolverOptions
from ntklin.theory.solvers import KernelSolver, solver_of
from ntklin.theory.source import Expansion, Source, certain_outputs, runs

if TYPE_CHECKING:
    from ntklin.theory.factorized import Rescaled


# Entries of K that are there at once where its residual is certified.
_ENTRIES = 1 << 24


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluated:
    """f'_0(x) and K'_D(x, X) times columns.

    Attributes
    ----------
    start : ndarray, shape (N_new,) or (N_new, C), or None
    product : ndarray, shape (M_new, k)
    """

    start: Array | None
    product: Array

    @property
    def outputs(self) -> Array:
        """f'_0(x), or an error where nobody knows it."""
        return certain_outputs(self.start)


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
    solver : KernelSolver
    start : ndarray, shape (2, M, k), or None
        α' to start from.
    """

    units: Rescaled
    weights: Constant
    exponent: int
    ridge: float
    rcond: float | None
    right: Array
    sizes: tuple[int, int]
    rounding: float
    solver: KernelSolver
    start: Array | None = None

    def _sent(self) -> dict[str, Any]:
        return {k: v for k, v in super()._sent().items() if k != "_expansions"}

    @classmethod
    def of(
        cls,
        units: Rescaled,
        targets: Array,
        *,
        weights: Constant,
        rcond: float | None,
        ridge: float,
        options: SolverOptions,
    ) -> KernelEquation:
        """That of these targets, (N,) or (N, C), and options.

        Returns
        -------
        KernelEquation

        Raises
        ------
        FloatRangeError
            If the start overflows in units of the targets.
        """
        source, e = units.linearization.source, units.exponent
        D, d = as_comfortable(weights, source.dtype)
        start = host(source.outputs).astype(np.float64)
        parts = np.broadcast_arrays(source.columns.of(targets), source.columns.of(start))
        y, z = (
            largest_exponent(a) if is_far(float(abs(a).max()), source.dtype) else 0 for a in parts
        )
        begin, sizes = options.start, (y, z + e)
        if begin is not None:
            given = (source.columns.of(begin[..., i]) for i in (0, 1))
            begin = np.stack(
                [shift(a, 2 * e + d - size) for a, size in zip(given, sizes, strict=True)]
            )
            if not np.isfinite(begin).all():
                raise FloatRangeError(
                    "start is beyond the range of what it is to lead to; leave it out"
                )
        return cls(
            units=units,
            weights=D,
            exponent=2 * e + d,
            ridge=ridge_in_units(ridge, 2 * e + d),
            rcond=rcond,
            right=np.stack([shift(parts[0], -y), shift(parts[1], -z)]),
            sizes=sizes,
            rounding=shift(norm(source.output_rounding), -z),
            solver=solver_of(options),
            start=begin,
        )

    @property
    def source(self) -> Source:
        """Of K' and f'_0."""
        return self.units.linearization.source

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

        Parameters
        ----------
        right : ndarray, shape (M, n)
        right_errors : sequence of n floats, optional

        Returns
        -------
        KernelSolution

        Raises
        ------
        DegenerateKernelError, ConvergenceError
            See ``Linearization.minimizer``.
        """
        return self.solver.solve(self, right, right_errors)

    def product(self, V: Array) -> Array:
        """(K'_D + ridge'·1) V without a kernel.

        Returns
        -------
        ndarray, shape (M, n)

        Raises
        ------
        FloatRangeError
            If it overflows.
        """
        found = self.source.product(V, self.weights) + self.ridge * V
        if not bool(np.isfinite(found).all()):
            raise FloatRangeError(f"the kernel overflows {found.dtype}; {self.source.remedy}")
        return found

    @cached_property
    def norm(self) -> float:
        """‖K'_D + ridge'·1‖_2 from above, by products."""
        return rough_norm(self.product, self.source.n_rows)

    def residual_bounds(self) -> tuple[float, ...]:
        """Certified bounds of ‖R − (K'_D + ridge'·1)α'‖/‖R‖ for each column; see ``Minimizer``."""
        source, C = self.source, self.source.columns.rows
        everything = slice(0, source.n_samples)
        rows = runs(source.n_samples, max(1, _ENTRIES // source.n_rows // C))
        if self.solver.holds_kernel:
            K = host(self.kernel)
            blocks = ((i, K[C * i.start : C * i.stop]) for i in rows)
        else:
            blocks = ((i, source.block(i, everything, self.weights)) for i in rows)
        tiles = ((slice(C * i.start, C * i.stop), K) for i, K in blocks)
        right, alpha = self._flat(self.right), self._flat(self.solution)
        return residual_bounds(tiles, right, alpha, self.ridge)

    def evaluate(self, X_new: ArrayLike, columns: Array, name: str) -> Evaluated:
        """f'_0(X_new), where it is known, and K'_D(X_new, X) times columns (M, k).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        columns : ndarray
        name : str
            By which what is made of the columns is kept, where no kernel is; "" keeps nothing.

        Returns
        -------
        Evaluated
        """
        lin = self.units.linearization
        if self.solver.holds_kernel:
            at = lin.at(X_new, self.weights)
            with np.errstate(over="ignore", invalid="ignore"):  # ``in_range`` sees what left it
                product = at.kernel @ beside(columns, at.kernel)
            return Evaluated(start=at.start, product=product)
        expansion = self._expansions.get(name)
        if expansion is None:
            expansion = self.source.expansion(columns, self.weights)
            if name:
                self._expansions[name] = expansion
        start, product = expansion(self.source.new_inputs(X_new))
        return Evaluated(start=start, product=product)

    @cached_property
    def _expansions(self) -> dict[str, Expansion]:
        return {}

    @cached_property
    def answer(self) -> KernelSolution:
        """The solution for 2k columns, those of Y first."""
        k = self.right.shape[2]
        start = None if self.start is None else self._flat(self.start)
        errors = (0.0,) * k + (self.rounding,) * k
        return self.solver.solve(self, self._flat(self.right), errors, start)

    @staticmethod
    def _flat(columns: Array) -> Array:
        """(2, M, k) as (M, 2k)."""
        _, m, k = columns.shape
        return np.moveaxis(columns, 0, 1).reshape(m, 2 * k)

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
