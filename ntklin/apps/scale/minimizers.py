"""One minimizer after the other, from few training points to all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ntklin.apps.scale.checkpoint import Checkpoint, SizeFiles
from ntklin.apps.scale.clock import FEATURES, KERNEL, SOLVE, TEST, Clock, Teller
from ntklin.apps.scale.course import KeptCourse
from ntklin.apps.scale.problem import Problem
from ntklin.apps.scale.result import SizeResult
from ntklin.apps.study.measures import accuracy, loss
from ntklin.edge.arrays import Array
from ntklin.networks.mlp import MLP
from ntklin.runs.checkpoint import digest
from ntklin.theory.linearization import linearize
from ntklin.theory.minimize import solve_minimizer
from ntklin.theory.minimizer import Minimizer
from ntklin.theory.solver_costs import ONE_FOR_ALL
from ntklin.theory.solver_options import SolverProgress, as_solver_options

RESULT = "result.npz"
# Test points at a time.
ROWS = 1000
# An entry of Θ takes as long, for each layer, as so many multiplications and additions.
LIMIT_LAYER = 2000


class Observer(Teller, Protocol):
    """Who is told how a run goes on."""

    def started(self, n: int) -> None:
        """The minimizer of the first ``n`` points begins."""

    def finished(self, result: SizeResult) -> None:
        """It is found and measured."""


def checkpoint_of(problem: Problem, out: str, wanted: bool) -> Checkpoint:
    """The checkpoint of this problem in an output folder."""
    data = problem.data
    arrays = {"theta": problem.theta, "X": data.X_train, "Y": data.Y_train}
    prints = {name: digest(a) for name, a in arrays.items()} if wanted else {}
    return Checkpoint(out, problem.describe() | prints, wanted)


def minimizers(
    problem: Problem, solvers: Mapping[int, str], checkpoint: Checkpoint, observer: Observer
) -> Iterator[tuple[SizeResult, Array]]:
    """The minimizer of each size; of those that an earlier run finished what it found.

    Parameters
    ----------
    problem : Problem
    solvers : dict of int to str
        The one of each size; see ``ntklin.apps.scale.plans.AUTO``.
    checkpoint : Checkpoint
        Opened.
    observer : Observer

    Yields
    ------
    result : SizeResult
    coefficients : ndarray, shape (N, 2) or (N, C, 2)
        K^{-1} Y and K^{-1} f_0(X).
    """
    for n, solver in solvers.items():
        files = checkpoint.of(n)
        observer.started(n)
        found = _kept(files)
        if found is None:
            found = _solved(problem, n, solver, files, observer)
            result, coefficients = found
            files.write(RESULT, result.numbers(), {"coefficients": coefficients})
            files.forget(RESULT)
        observer.finished(found[0])
        yield found


def _kept(files: SizeFiles) -> tuple[SizeResult, Array] | None:
    kept = files.read(RESULT)
    if kept is None:
        return None
    values, arrays = kept
    numbers = {name: values[name] for name in SizeResult.__dataclass_fields__}
    return SizeResult.from_numbers(numbers), arrays["coefficients"]


def _solved(
    problem: Problem, n: int, solver: str, files: SizeFiles, observer: Observer
) -> tuple[SizeResult, Array]:
    clock, settings = Clock(observer), problem.settings
    solver, _, preconditioner = solver.partition("+")
    lin = linearize(problem.network, problem.theta, problem.data.X_train[:n])
    Y = lin.source.targets(problem.data.Y_train[:n])
    clock.lap(FEATURES)
    course = KeptCourse(files, clock, *_factorized(problem.network, n, preconditioner))

    def advanced(progress: SolverProgress) -> None:
        # Of panels and iterates the course hears itself.
        if progress.phase == KERNEL or solver == "cholesky":
            clock.lap(progress.phase)
            clock.tell(progress.phase, progress.done, progress.total)

    given = solver, preconditioner or None, settings.tol, advanced, None
    options = as_solver_options(*given, rows=lin.source.n_rows, shape=Y.shape, rcond=None)
    found = solve_minimizer(lin, Y, ridge=settings.ridge, options=replace(options, course=course))
    coefficients = found.coefficients
    clock.lap(SOLVE)
    measured = _measured(problem, found, clock)
    result = SizeResult(
        n=n,
        solver=found.solver,
        residual=found.residual,
        iterations=found.iterations,
        residuals=tuple(course.residuals),
        error_bound=found.error_bound,
        **measured,
        phases=clock.phases,
    )
    return result, coefficients


def _factorized(network: MLP, n: int, preconditioner: str) -> tuple[int, float]:
    """The rows of the matrix that is factorized, and operations for one of its entries."""
    rows = n if preconditioner in ONE_FOR_ALL else n * network.n_outputs
    is_limit, hidden = preconditioner == "ntk", network.widths[1:-1]
    layers = LIMIT_LAYER * len(hidden) if is_limit else 2 * sum(hidden)
    return rows, 2.0 * (layers + network.n_inputs)


def _measured(problem: Problem, found: Minimizer, clock: Clock) -> dict[str, Any]:
    """Losses and accuracies of f_∞ and f_int on the test points, and the size of f_init."""
    data = problem.data
    X, Y = data.X_test, data.Y_test
    end, interpolator = [], []
    for start in range(0, len(X), ROWS):
        rows = X[start : start + ROWS]
        end.append(found.predict(rows))
        interpolator.append(found.interpolator(rows))
        clock.lap(TEST)
        clock.tell(TEST, start + len(rows), len(X))
    f_end, f_int = np.concatenate(end), np.concatenate(interpolator)
    return {
        "test_loss": loss(f_end, Y),
        "test_accuracy": accuracy(f_end, data),
        "interpolator_test_loss": loss(f_int, Y),
        "interpolator_accuracy": accuracy(f_int, data),
        "initialization_size": float(np.sqrt(loss(f_end, f_int))),
    }
