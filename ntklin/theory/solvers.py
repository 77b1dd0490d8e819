"""How (K_D + ridge·1) α = R is solved: by the spectrum, by factors, by conjugate gradients."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklin.algebra.conjugate_gradients import conjugate_gradients
from ntklin.algebra.lanczos import rough_norm
from ntklin.algebra.preconditioners import rank_bound
from ntklin.algebra.solving import KernelSolution, error_bounds, solve_kernel
from ntklin.algebra.spectrum import degenerate_error, factorize, require_kernel_in_range
from ntklin.edge.arrays import Array
from ntklin.edge.errors import ConvergenceError, DegenerateKernelError
from ntklin.edge.sendable import Sendable
from ntklin.theory.approximate_inverses import ApproximateInverse, approximate_inverse
from ntklin.theory.solver_options import TOLERANCE, SolverOptions, SolverProgress, void

if TYPE_CHECKING:
    from ntklin.theory.kernel_equation import KernelEquation


class KernelSolver(Sendable, ABC):
    """Solves equations of one kernel, and keeps what it has factorized.

    Parameters
    ----------
    options : SolverOptions
        ``solver`` is this one's name.
    """

    # Whether K_D(x, X) is kept for the latest new inputs, as the kernel itself is.
    holds_kernel = False

    def __init__(self, options: SolverOptions) -> None:
        self.options = options

    def _sent(self) -> dict[str, Any]:
        # A factor is made again where something new is to be solved. Neither what the caller does
        # with progress nor a preconditioner of his own need be sendable, and both can be missed.
        named = self.options.preconditioner
        named = named if isinstance(named, str) else None
        options = replace(self.options, preconditioner=named, progress=None, start=None)
        return {"options": options}

    @abstractmethod
    def solve(
        self,
        equation: KernelEquation,
        right: Array,
        right_errors: Sequence[float] | None = None,
        start: Array | None = None,
    ) -> KernelSolution:
        """(K'_D + ridge'·1)^{-1} R for any R.

        Parameters
        ----------
        equation : KernelEquation
        right : ndarray, shape (M, n)
        right_errors : sequence of n floats, optional
            ‖ΔR‖ of each column.
        start : ndarray, shape (M, n), optional
            Where conjugate gradients start.

        Returns
        -------
        KernelSolution

        Raises
        ------
        DegenerateKernelError
            If the matrix is singular to working precision.
        ConvergenceError
            If the tolerance is not reached.
        """


class DenseSolver(KernelSolver):
    """By Cholesky where it proves the matrix to be well conditioned, otherwise by eigenvectors.

    For ``"eigh"`` by eigenvectors alone.
    """

    holds_kernel = True

    def solve(
        self,
        equation: KernelEquation,
        right: Array,
        right_errors: Sequence[float] | None = None,
        start: Array | None = None,
    ) -> KernelSolution:
        """See :class:`KernelSolver`; with an explicit rank cut by eigenvectors."""
        lin, D, bound = equation.units.linearization, equation.weights, None
        if lin.source.rank_bound is not None:
            bound = rank_bound(D, lin.source.rank_bound)
        K = equation.kernel
        require_kernel_in_range(K)
        try:
            solution = solve_kernel(
                K,
                right,
                right_errors=right_errors,
                rank_bound=bound,
                rcond=equation.rcond,
                ridge=equation.ridge,
                spectrum=(lambda: lin.spectrum) if D is None else None,
                by_eigenvectors=self.options.solver == "eigh",
            )
        except DegenerateKernelError:
            if D is None:
                raise
            raise degenerate_error(K, factorize(K, bound), unweighted=lin.spectrum) from None
        tolerance, reached = self.options.tolerance, max(solution.residuals, default=0.0)
        if tolerance is not None and reached > tolerance:
            raise ConvergenceError(
                f"the residual ‖R − Kα‖/‖R‖ = {reached:.2g} of a direct solution is not below "
                f"tol={tolerance:.2g}: rounding leaves no more; take a larger tol or a ridge",
                solution=solution.coefficients,
                residual=reached,
                iterations=0,
            )
        return solution


class FactorSolver(KernelSolver):
    """By an exact or approximate inverse M^{-1}, and conjugate gradients with products of K alone.

    ``"cholesky"`` and ``"packed"`` have the inverse itself, and iterate only where a tolerance asks
    for more digits than it gives; ``"mixed"`` and ``"pcg"`` always do.
    """

    @property
    def is_exact(self) -> bool:
        """Whether the factor is one of the kernel itself, in float64."""
        return self.options.solver in ("cholesky", "packed")

    def _inverse(self, equation: KernelEquation) -> ApproximateInverse:
        if "_approximate" not in self.__dict__:
            self._approximate = approximate_inverse(equation, self.options)
        return self._approximate

    @cached_property
    def _inverse_norm(self) -> float:
        """‖M^{-1}‖_2, from above."""
        M = self._approximate
        return 1.0 if M.solve is None else rough_norm(M.solve, M.size)

    def solve(
        self,
        equation: KernelEquation,
        right: Array,
        right_errors: Sequence[float] | None = None,
        start: Array | None = None,
    ) -> KernelSolution:
        """See :class:`KernelSolver`."""
        M, tolerance = self._inverse(equation), self.options.tolerance
        sizes = np.linalg.norm(right, axis=0)
        iterations, smallest = 0, 1.0
        if self.is_exact and M.solve is not None:
            found = start = M.solve(right)
            left = np.linalg.norm(right - equation.product(found), axis=0)
            residuals = np.divide(left, sizes, where=sizes > 0, out=np.zeros_like(left))
            wanted = math.inf if tolerance is None else tolerance
        else:
            found, residuals = start, np.array([math.inf])
            wanted = TOLERANCE if tolerance is None else tolerance
        if not (residuals <= wanted).all():
            iterate = conjugate_gradients(
                equation.product,
                right,
                preconditioner=M.solve,
                tolerance=wanted,
                start=start,
                progress=self._watched(),
            )
            found, residuals = iterate.solution, iterate.residuals
            iterations, smallest = iterate.iterations, iterate.smallest
        assert found is not None
        size = equation.norm if M.norm is None else M.norm
        inverse_norm = self._inverse_norm / smallest
        condition, n = max(1.0, size * inverse_norm), len(right)
        if condition * n * np.finfo(np.float64).eps > 1 and not equation.ridge:
            raise DegenerateKernelError(
                "the kernel K(X, X) is singular to working precision: its condition number is "
                f"about {condition:.1g}, not below 1/(N·eps) = "
                f"{1 / (n * np.finfo(np.float64).eps):.1g}. Remove the cause, such as equal or "
                "parallel inputs, or pass ridge= > 0; solver='eigh' cuts null directions by rcond="
            )
        given = np.zeros(len(sizes)) if right_errors is None else np.asarray(right_errors)
        errors = inverse_norm * (given + residuals * sizes)
        return KernelSolution(
            coefficients=found,
            rank=n,
            condition=condition,
            error_bounds=error_bounds(found, condition, np.finfo(np.float64).eps, errors),
            residuals=tuple(residuals.tolist()),
            solver=self.options.solver,
            iterations=iterations,
        )

    def _watched(self) -> Any:
        progress = self.options.progress
        if progress is None:
            return None
        return lambda i, left, _: void(progress(SolverProgress("iterations", i, None, left)))


def solver_of(options: SolverOptions) -> KernelSolver:
    """The solver that the options name; ``"auto"`` here is the one of small problems.

    Parameters
    ----------
    options : SolverOptions

    Returns
    -------
    KernelSolver
    """
    return (DenseSolver if options.solver in ("auto", "eigh") else FactorSolver)(options)
