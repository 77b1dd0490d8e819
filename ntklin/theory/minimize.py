"""From targets and options to a minimizer: the solver that is taken, and its room."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklin.algebra.preconditioners import Constant
from ntklin.edge.arrays import Array
from ntklin.edge.checks import advising, require_memory
from ntklin.theory.kernel_equation import KernelEquation
from ntklin.theory.minimizer import Minimizer
from ntklin.theory.solver_choice import chosen
from ntklin.theory.solver_options import SolverOptions
from ntklin.theory.source import Source

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization

_log = logging.getLogger("ntklin.theory")


def solve_minimizer(
    linearization: Linearization,
    targets: Array,
    *,
    weights: Constant = None,
    rcond: float | None = None,
    ridge: float = 0.0,
    options: SolverOptions | None = None,
) -> Minimizer:
    """Solve (K_D + ridge·1) α = [Y, f_0(X)] and wrap the solution.

    Parameters
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,) or (N, C), float64
    weights : float, ndarray or LowRank, optional
        A D that ``as_preconditioner`` returned.
    rcond : float, optional
    ridge : float
    options : SolverOptions, optional
        ``"auto"`` when not given.

    Returns
    -------
    Minimizer

    Raises
    ------
    DegenerateKernelError
        See ``Linearization.minimizer``.
    FloatRangeError
        If the ridge is of another size than the kernel by more than the range.
    """
    source, m = linearization.source, linearization.source.n_rows
    options = chosen(
        SolverOptions() if options is None else options,
        linearization,
        weights=weights,
        rcond=rcond,
        ridge=ridge,
    )
    dense = options.solver in ("auto", "eigh")
    advice = _advice(source, weights, ridge) if dense else _smaller(source, options)
    if dense:
        factor = 3 if options.solver == "auto" else 5
        require_memory(factor * 8 * m * m, f"solving with {linearization.described_kernel}", advice)
    given: dict[str, Any] = {"weights": weights, "rcond": rcond, "ridge": ridge, "options": options}
    units = linearization.in_units(None if dense else np.float64)
    equation = KernelEquation.of(units, targets, **given)
    with advising(advice):
        solution = equation.answer
    single = dense and source.dtype != np.float64
    if single and solution.condition > 0.1 / (m * np.finfo(np.float32).eps):
        # No digit would be certain, but a ridge or an explicit cut asks for an answer.
        _log.info("condition %.2g: solving again in float64", solution.condition)
        equation = KernelEquation.of(linearization.in_units(np.float64), targets, **given)
        solution = equation.answer
    _log.info(
        "minimizer by %r: residual %.2g, condition %.2g, rank %d of %d, %d iterations",
        solution.solver,
        max(solution.residuals, default=0.0),
        solution.condition,
        solution.rank,
        m,
        solution.iterations,
    )
    return Minimizer(
        linearization=linearization,
        targets=targets,
        weights=weights,
        ridge=ridge,
        rcond=rcond,
        rank=solution.rank,
        condition=solution.condition,
        error_bounds=equation.error_bounds,
        _equation=equation,
    )


def _smaller(source: Source, options: SolverOptions) -> str:
    """What takes less memory than a solver with a factor."""
    if options.solver == "pcg" and options.preconditioner == "none":
        return source.without_kernel
    return "take solver='pcg' with preconditioner='none', which holds a few vectors and no kernel"


def _advice(source: Source, weights: Constant, ridge: float) -> str:
    """How to come to θ_∞ − θ_0 by products alone, where there is a θ."""
    if source.rank_bound is None:
        return source.without_kernel
    damp = ", damp=ridge**0.5" if ridge else ""
    solved = f"z = scipy.sparse.linalg.lsmr(A, Y - f_0(X){damp})[0]"
    way = f"θ_∞ − θ_0 is {solved} for A = lin.features"
    if weights is not None:
        way = f"θ_∞ − θ_0 is R z with {solved}, where A = lin.features @ R and D = R R^T"
    return f"take fewer inputs, train step by step (ntklin.train), or without a kernel {way}"
