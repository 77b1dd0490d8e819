"""What users say about how a minimizer is to be solved for, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from ntklin.algebra.course import Course
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import host
from ntklin.edge.checks import as_callback, as_inputs, as_positive, as_vector
from ntklin.edge.values import said

SolverName = Literal["auto", "eigh", "cholesky", "packed", "mixed", "pcg"]
PreconditionerName = Literal["ntk", "mean_output", "nystrom", "none"]
# M^{-1} for conjugate gradients: by name, as a matrix or operator, or as a function R ↦ M^{-1} R.
Preconditioner = PreconditionerName | ArrayLike | LinearOperator | Callable[[Array], ArrayLike]

# Residuals that conjugate gradients are to reach where nobody says, and the least that may be
# asked for: a residual has rounding errors of its own.
TOLERANCE = 1e-10
LEAST = 4 * float(np.finfo(np.float64).eps)
ITERATIVE = ("mixed", "pcg")


class SolverProgress(NamedTuple):
    """How far a solver has come, as ``progress`` is told.

    Attributes
    ----------
    phase : {"kernel", "factor", "iterations"}
        Blocks of the kernel, or of the preconditioner, are computed; panels are factorized;
        conjugate gradients iterate.
    done : int
        Panels or iterations.
    total : int or None
        Panels; None for iterations, whose number nobody knows.
    residual : float or None
        The largest one of the iterates' columns.
    """

    phase: str
    done: int
    total: int | None
    residual: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class SolverOptions:
    """How to solve.

    Attributes
    ----------
    solver : str
    preconditioner : str, LinearOperator, callable or None
        None lets the solver choose.
    tolerance : float or None
        What was asked for.
    progress : callable or None
    start : ndarray, shape (N, 2) or (N, C, 2), or None
        Coefficients to start from.
    course : Course or None
        What is done with panels and iterates.
    """

    solver: SolverName = "auto"
    preconditioner: Any = None
    tolerance: float | None = None
    progress: Callable[[SolverProgress], object] | None = None
    start: Array | None = None
    course: Course | None = None

    def report(self, phase: str) -> Callable[[int, int], None] | None:
        """What is called by a solver in this phase with (done, total)."""
        progress = self.progress
        if progress is None:
            return None
        return lambda done, total: void(progress(SolverProgress(phase, done, total)))


def void(_: object) -> None:
    """What a call returned, ignored."""


def as_solver_options(
    solver: Any,
    preconditioner: Any,
    tol: Any,
    progress: Any,
    start: Any,
    *,
    rows: int,
    shape: tuple[int, ...],
    rcond: float | None,
) -> SolverOptions:
    """The options of ``Linearization.minimizer``, checked.

    Parameters
    ----------
    solver, preconditioner, tol, progress, start
        As they were passed.
    rows : int
        M, the size of the kernel.
    shape : tuple of int
        That of the targets.
    rcond : float or None
        The rank cut.

    Returns
    -------
    SolverOptions

    Raises
    ------
    TypeError
        For a ``progress`` that cannot be called.
    ValueError
        For what cannot be, or not together.
    """
    known = get_args(SolverName)
    if not isinstance(solver, str) or solver not in known:
        raise ValueError(f"solver must be one of {', '.join(map(repr, known))}, got {said(solver)}")
    if rcond is not None and solver not in ("auto", "eigh"):
        raise ValueError(
            f"rcond cuts the spectrum, which solver={solver!r} never has; take solver='eigh', or "
            "a ridge in the place of the cut"
        )
    if preconditioner is not None:
        if solver != "pcg":
            raise ValueError(f"preconditioner is for solver='pcg', got solver={solver!r}")
        preconditioner = _as_preconditioner(preconditioner, rows)
    if tol is not None:
        tol = as_tolerance(tol)
        if rcond is not None:
            raise ValueError("tol cannot be kept with rcond, whose cut leaves a residual itself")
    as_callback(progress)
    if start is not None:
        if solver not in ITERATIVE:
            raise ValueError(f"start is for solver='mixed' and 'pcg', got solver={solver!r}")
        start = host(as_array(start, "start"))
        if start.shape != (*shape, 2):
            raise ValueError(
                f"start must have shape {(*shape, 2)}, as coefficients have, got {start.shape}"
            )
        start = as_vector(start.reshape(-1), start.size, name="start", dtype=np.float64)
        start = start.reshape(*shape, 2)
    return SolverOptions(
        solver=solver,  # pyright: ignore[reportArgumentType]
        preconditioner=preconditioner,
        tolerance=tol,
        progress=progress,
        start=start,
    )


def as_tolerance(tol: Any) -> float:
    """A relative error that float64 can have.

    Parameters
    ----------
    tol : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For one that is not.
    """
    tol = as_positive(tol, name="tol")
    if not LEAST <= tol < 1:
        raise ValueError(
            f"tol is relative and must be below 1 and at least {LEAST:.2g}, since float64 knows no "
            f"smaller error, got {tol:.3g}"
        )
    return tol


def _as_preconditioner(given: Any, rows: int) -> Any:
    """A name, or M^{-1} as an operator or a function."""
    names = get_args(PreconditionerName)
    if isinstance(given, str):
        if given not in names:
            raise ValueError(
                f"preconditioner must be one of {', '.join(map(repr, names))}, a matrix or "
                f"LinearOperator of shape ({rows}, {rows}), or a function, got {said(given)}"
            )
        return given
    if isinstance(given, type):
        raise TypeError(f"preconditioner must be M^-1, and not a class, got {said(given)}")
    if callable(given) and not isinstance(given, LinearOperator):
        return given
    if not isinstance(given, LinearOperator):
        given = aslinearoperator(host(as_inputs(given, name="preconditioner")))
    if given.shape != (rows, rows):
        raise ValueError(
            f"preconditioner must have shape ({rows}, {rows}), as the kernel has, got {given.shape}"
        )
    return given
