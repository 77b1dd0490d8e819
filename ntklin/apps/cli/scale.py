"""``ntklin scale``: the exact minimizer of many samples, from options to files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ntklin.apps.cli import threads
from ntklin.apps.cli.ending import FINISHED, concluded, deliver
from ntklin.apps.options import shared
from ntklin.apps.options.declared import words
from ntklin.apps.options.option import NEVER, Option
from ntklin.apps.options.scale import ManyDataOptions, ScaleSettings

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.apps.scale.problem import Problem
    from ntklin.apps.scale.result import SizeResult

HELP = """Solve for the exact minimizer of many samples.

    Finds what gradient descent on the linearized network converges to, for more and more of the \
training points up to all of them, and measures test loss and accuracy. What it takes of memory \
and time is told before it begins, and refused if it does not fit. Whatever ends the run, even \
kill -9 or a scheduler's limit, the same command goes on from where it was."""
EXAMPLES = (
    "ntklin scale",
    "ntklin scale --n 60000 --n-test 10000 --plan",
    "ntklin scale --data mnist --classes 0-9 --n 60000 --solver pcg --tol 1e-6",
    "ntklin scale --n 20000 --sizes 1000,2000,5000,10000 --solver packed --out packed",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

    data: ManyDataOptions
    settings: ScaleSettings
    out: Annotated[str, shared.folder("plot, report, results and checkpoints go")] = "ntklin-scale"
    plan: Annotated[
        bool, Option(help="Tell memory, operations and time, and end.", repeated=NEVER)
    ] = False
    threads: shared.Threads = None
    quiet: shared.Quiet = False


def run(options: Options) -> None:
    """Solve; show and write what was finished, even when it ends early."""
    began = time.perf_counter()
    threads.sleep_while_waiting(os.environ)

    from ntklin.apps.cli.console import Console
    from ntklin.apps.cli.failures import warnings_on
    from ntklin.apps.cli.scale_progress import progress
    from ntklin.apps.report.scale import NAMES
    from ntklin.apps.scale.checkpoint import FOLDER as CHECKPOINT
    from ntklin.apps.scale.clock import DATA
    from ntklin.apps.scale.minimizers import checkpoint_of, minimizers
    from ntklin.apps.scale.plans import plans, require
    from ntklin.apps.scale.problem import Problem
    from ntklin.edge.files.unfinished import FOLDER
    from ntklin.edge.files.writing import require_writable

    require_writable(options.out, NAMES, [FOLDER, CHECKPOINT])
    console = Console(quiet=options.quiet)
    found: list[SizeResult] = []
    coefficients: Any = None

    def conclude(ending: str) -> None:
        if found and problem is not None:
            elapsed = time.perf_counter() - began
            finished = (problem, found, coefficients, ending == FINISHED)
            deliver_sizes(console, *finished, options, elapsed)
        if checkpoint is not None and found and ending == FINISHED:
            checkpoint.remove()

    problem, checkpoint = None, None
    with concluded(conclude), threads.limited(options.threads), warnings_on(console):
        with progress(console) as observer:
            problem = Problem.make(
                options.data,
                options.settings,
                lambda done, total: observer.advanced(DATA, done, total),
            )
        checkpoint = checkpoint_of(problem, options.out, options.settings.checkpoint)
        earlier = checkpoint.earlier()
        planned = plans(problem, earlier)
        tell_plan(console, problem, planned)
        if options.plan:
            return
        require(planned, checkpoint)
        solvers = {one.n: one.solver for one in planned}
        checkpoint.begin(earlier | solvers)
        if earlier:
            console.print("Going on with what an earlier run kept.")
        with progress(console) as observer:
            for result, coefficients in minimizers(problem, solvers, checkpoint, observer):  # noqa: B007
                found.append(result)


def tell_plan(console: Console, problem: Problem, planned: Sequence[Any]) -> None:
    """Print what is about to be done."""
    from ntklin.apps.report.plan_table import plan_table

    console.print(plan_table(problem.describe(), planned))


def deliver_sizes(
    console: Console,
    problem: Problem,
    found: Sequence[SizeResult],
    coefficients: Any,
    complete: bool,
    options: Options,
    elapsed: float,
) -> None:
    """Write the files and print the tables."""
    from ntklin.apps.cli import environment
    from ntklin.apps.report.scale import write_scale
    from ntklin.apps.report.scale_table import print_sizes

    provenance = environment.provenance(["scale", *words(Options, options)], elapsed)
    config = problem.describe()
    deliver(
        console,
        options.out,
        lambda: write_scale(found, coefficients, config, complete, options.out, provenance),
        lambda: print_sizes(console, found),
    )
