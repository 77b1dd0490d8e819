"""``ntklin figure``: the paper's figures, from options to files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from ntklin.apps.cli import threads
from ntklin.apps.cli.ending import INTERRUPTED, concluded, tell_written
from ntklin.apps.cli.threads import MOST_THREADS
from ntklin.apps.options import checks, shared
from ntklin.apps.options.declared import checked, words
from ntklin.apps.options.option import CHANGED, NEVER, Option

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from rich.console import Console

    from ntklin.validation.figures.planning import Plan
    from ntklin.validation.figures.store import Store

HELP = """Draw the paper's figures, and some beyond it, from real training runs.

    FIGURES are 1 to 10, decay, moments, or all. Every run is kept in the output folder, so that a \
figure that was interrupted goes on where it stopped, and several processes can share the folder. \
Beside the trained networks stand their linearizations under the same steps."""
EXAMPLES = (
    "ntklin figure 2 --scale quick",
    "ntklin figure decay moments",
    "ntklin figure all",
    "ntklin figure 3 --dataset fashion01 --replot",
    "ntklin figure 2 --scale paper --dask tcp://10.0.0.1:8786",
)
ALL = "all"
RUNS = "runs"
# Windows waits for 63 things at a time; a pool of processes keeps two of them for itself.
MOST_ON_WINDOWS = 61


def known_scale(value: Any, name: str) -> str:
    """A scale that figures have."""
    from ntklin.validation.figures import SCALES

    return checks.one_of(*SCALES)(value, name)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

    figures: Annotated[
        list[str], Option(metavar="FIGURES", help="Which figures.", is_argument=True)
    ]
    scale: Annotated[
        str,
        Option(
            metavar="NAME",
            help="quick (seconds a figure), standard (minutes), paper (the paper's sizes: hours; "
            "how many is estimated first).",
            check=known_scale,
        ),
    ] = "standard"
    dataset: Annotated[
        str | None,
        Option(metavar="NAME|PATH", help="As --data of the other commands. Default: the paper's."),
    ] = None
    device: Annotated[
        str,
        Option(
            metavar="NAME",
            help="Where networks are trained: cpu or gpu (CUDA, by CuPy: "
            "pip install 'ntklin\\[gpu]').",
            repeated=CHANGED,
        ),
    ] = "cpu"
    out: Annotated[str, shared.folder("pictures, points and runs go")] = "ntklin-figures"
    replot: Annotated[
        bool, Option(help="Draw from the runs that are there; train nothing.", repeated=NEVER)
    ] = False
    processes: Annotated[
        int | None,
        Option(
            metavar="N",
            help="Runs at a time. Default: one for each core, and one on a GPU.",
            check=checks.optional(checks.count_up_to(MOST_THREADS)),
            repeated=NEVER,
        ),
    ] = None
    threads: Annotated[
        int | None,
        Option(
            metavar="N",
            help="Threads of Numba and BLAS in each. Default: 1, and the cores' share on a GPU.",
            check=checks.optional(checks.count_up_to(MOST_THREADS)),
            repeated=NEVER,
        ),
    ] = None
    dask: Annotated[
        str | None,
        Option(
            metavar="ADDRESS",
            help="Compute on the Dask cluster with this scheduler.",
            repeated=NEVER,
        ),
    ] = None
    quiet: shared.Quiet = False


def run(options: Options) -> None:
    """Compute what is missing, draw, write; what is computed is kept whatever happens."""
    threads.sleep_while_waiting(os.environ)

    from rich.text import Text

    from ntklin.apps.cli.console import Console
    from ntklin.apps.cli.failures import warnings_on
    from ntklin.edge.files.names import shown
    from ntklin.edge.files.writing import require_writable
    from ntklin.validation import figures

    chosen = chosen_of(options.figures, figures.FIGURES)
    require_sense(options)
    require_writable(options.out)
    require_device(options)
    store = figures.Store(Path(options.out) / RUNS)
    plans = [figures.plan(figures.FIGURES[name], options.scale, options.dataset) for name in chosen]
    names = [name for plan in plans for name in figures.names(plan)]
    require_writable(options.out, names, [RUNS, f"{RUNS}/{figures.LOCKS}"])
    console = Console(quiet=options.quiet)

    def conclude(ending: str) -> None:
        if ending == INTERRUPTED:
            kept = f"Interrupted. What is finished is in {shown(store.folder)}."
            console.print(Text(kept), soft_wrap=True)

    with warnings_on(console):
        if options.replot:
            for plan in plans:
                draw(console, plan, store, options, 0.0)
            return
        with concluded(conclude), executor(options, figures.executors) as (workers, slots):
            if options.scale == "paper":
                announce(console, plans, store, slots, options)
            for plan in plans:
                began = time.perf_counter()
                compute(console, plan, store, workers, slots, options.device)
                draw(console, plan, store, options, time.perf_counter() - began)


def chosen_of(typed: Collection[str], known: Collection[int | str]) -> list[int | str]:
    """The figures' numbers and names, in their order."""
    if ALL in typed:
        return list(known)
    chosen = set()
    for word in typed:
        name = int(word) if word.isdecimal() else word
        if name not in known:
            numbers = [n for n in known if isinstance(n, int)]
            names = ", ".join(n for n in known if isinstance(n, str))
            raise ValueError(
                f"no figure {word!r}; there are {min(numbers)} to {max(numbers)}, {names}, and all"
            )
        chosen.add(name)
    return [name for name in known if name in chosen]


def require_sense(options: Options) -> None:
    """Refuse options that cannot be, before any work."""
    checked(Options, options, by_flag=True)
    for flag, value in (("--processes", options.processes), ("--threads", options.threads)):
        if value is not None and options.dask is not None:
            raise ValueError(f"{flag} is for this machine's processes; --dask uses the cluster's")
    if options.replot and options.dask is not None:
        raise ValueError("--replot computes nothing; leave out --dask")


def require_device(options: Options) -> None:
    """Refuse a device that is not there; whether a cluster's workers have one, they have to say."""
    from ntklin.edge.backends import device_namespace

    device: Any = options.device
    if device != "gpu" or (options.dask is None and not options.replot):
        device_namespace(device)


def executor(
    options: Options, executors: ModuleType
) -> AbstractContextManager[tuple[Executor, int]]:
    """Where the runs are computed, and how many at once: a context manager."""
    if options.dask is not None:
        return executors.dask(options.dask)
    return executors.local(*shares(options))


def shares(options: Options) -> tuple[int, int]:
    """How many processes, and how many threads each has.

    A process for each core; but one for a GPU, whose runs would wait for each other there.

    Returns
    -------
    processes, threads : int
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    if options.device == "gpu":
        processes = options.processes or 1
        return processes, options.threads or max(1, cores // processes)
    n_threads = options.threads or 1
    processes = options.processes or max(1, cores // n_threads)
    if sys.platform == "win32":
        processes = min(processes, MOST_ON_WINDOWS)
    return processes, n_threads


def announce(
    console: Console, plans: Sequence[Plan], store: Store, slots: int, options: Options
) -> None:
    """Say how long it will take, before it starts."""
    from ntklin.edge.amounts import duration
    from ntklin.validation import figures

    _, n_threads = shares(options)
    with (
        console.status("Timing a few steps of each network for an estimate"),
        figures.executors.limited(n_threads),
    ):
        seconds = figures.estimate(plans, store, slots, options.device)
    console.print(
        f"This takes about {duration(seconds)} with {slots} at a time, by this machine's speed "
        "just now. Ctrl-C keeps what is finished; the same command goes on from there.",
        soft_wrap=True,
    )


def compute(
    console: Console, plan: Plan, store: Store, workers: Executor, slots: int, device: str
) -> None:
    """Compute what is missing of a figure, with a bar."""
    from ntklin.apps.cli.figure_progress import progress
    from ntklin.validation import figures

    with progress(console, plan) as observer:
        for _ in figures.compute(plan, store, workers, slots, device):
            observer.finished()


def draw(console: Console, plan: Plan, store: Store, options: Options, elapsed: float) -> None:
    """Draw a figure from the store and write its files."""
    from ntklin.apps.cli import environment, signals
    from ntklin.validation import figures

    again = words(Options, replace(options, figures=[str(plan.figure.name)]))
    provenance = environment.provenance(["figure", *again], elapsed)
    with signals.held():
        paths = figures.write(plan, figures.results(plan, store), options.out, provenance)
    tell_written(console, options.out, paths)
