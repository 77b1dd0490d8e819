"""``ntklin figure``: the paper's figures, from options to files."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ntklin.cli import threads
from ntklin.cli.written import tell_written

ALL = "all"
RUNS = "runs"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options as typed; the names are those of the flags."""

    numbers: tuple
    scale: str
    dataset: str | None
    device: str
    out: str
    replot: bool
    processes: int | None
    threads: int | None
    dask: str | None
    quiet: bool


def run(options):
    """Compute what is missing, draw, write; what is computed is kept whatever happens."""
    threads.sleep_while_waiting(os.environ)

    from rich.text import Text

    from ntklin.cli.console import Console
    from ntklin.cli.failures import warnings_on
    from ntklin.files.names import shown
    from ntklin.report import require_writable
    from ntklin.validation import figures

    chosen = numbers(options.numbers, figures.FIGURES)
    require_known(options, figures.SCALES)
    require_writable(options.out)
    require_device(options)
    store = figures.Store(Path(options.out) / RUNS)
    plans = [
        figures.plan(figures.FIGURES[number], options.scale, options.dataset) for number in chosen
    ]
    names = [name for plan in plans for name in figures.names(plan)]
    require_writable(options.out, names, [RUNS, f"{RUNS}/{figures.LOCKS}"])
    console = Console(quiet=options.quiet)
    with warnings_on(console):
        if options.replot:
            for plan in plans:
                draw(console, plan, store, options, 0.0)
            return
        try:
            with executor(options, figures.executors) as (workers, slots):
                if options.scale == "paper":
                    announce(console, plans, store, slots, options)
                for plan in plans:
                    began = time.perf_counter()
                    compute(console, plan, store, workers, slots, options.device)
                    draw(console, plan, store, options, time.perf_counter() - began)
        except KeyboardInterrupt:
            kept = f"Interrupted. What is finished is in {shown(store.folder)}."
            console.print(Text(kept), soft_wrap=True)
            raise


def numbers(typed, known):
    """The figures' numbers, in order."""
    if ALL in typed:
        return sorted(known)
    chosen = set()
    for word in typed:
        if not word.isdecimal() or int(word) not in known:
            raise ValueError(f"no figure {word!r}; there are {min(known)} to {max(known)}, and all")
        chosen.add(int(word))
    return sorted(chosen)


def require_known(options, scales):
    """Refuse options that cannot be, before any work."""
    if options.scale not in scales:
        raise ValueError(f"--scale must be one of {', '.join(scales)}, got {options.scale!r}")
    for flag, value in (("--processes", options.processes), ("--threads", options.threads)):
        if value is not None and value < 1:
            raise ValueError(f"{flag} must be at least 1, got {value}")
        if value is not None and value > threads.MOST:
            raise ValueError(f"{flag} must be at most {threads.MOST}, got {value}")
        if value is not None and options.dask is not None:
            raise ValueError(f"{flag} is for this machine's processes; --dask uses the cluster's")
    if options.replot and options.dask is not None:
        raise ValueError("--replot computes nothing; leave out --dask")


def require_device(options):
    """Refuse a device that is not there; whether a cluster's workers have one, they have to say."""
    from ntklin.backends import device_namespace

    if options.device != "gpu" or (options.dask is None and not options.replot):
        device_namespace(options.device)


def executor(options, executors):
    """Where the runs are computed, and how many at once: a context manager."""
    if options.dask is not None:
        return executors.dask(options.dask)
    return executors.local(*shares(options))


def shares(options):
    """How many processes, and how many threads each has.

    A process for each core; but one for a GPU, whose runs would wait for each other there.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if options.device == "gpu":
        processes = options.processes or 1
        return processes, options.threads or max(1, cores // processes)
    n_threads = options.threads or 1
    return options.processes or max(1, cores // n_threads), n_threads


def announce(console, plans, store, slots, options):
    """Say how long it will take, before it starts."""
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


def duration(seconds):
    """A time in the unit that suits it."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def compute(console, plan, store, workers, slots, device):
    """Compute what is missing of a figure, with a bar."""
    from ntklin.cli.figure_progress import progress
    from ntklin.validation import figures

    with progress(console, plan) as observer:
        for task, record in figures.compute(plan, store, workers, slots, device):
            observer.finished(task, record)


def draw(console, plan, store, options, elapsed):
    """Draw a figure from the store and write its files."""
    from ntklin.cli import environment, signals
    from ntklin.validation import figures

    provenance = environment.provenance(command(plan, options), elapsed)
    with signals.held():
        paths = figures.write(plan, figures.results(plan, store), options.out, provenance)
    tell_written(console, options.out, paths)


def command(plan, options):
    """A command line that makes this figure again."""
    from ntklin.files.names import command_line

    words = ["ntklin", "figure", str(plan.figure.number), "--scale", options.scale]
    if options.dataset is not None:
        words += ["--dataset", options.dataset]
    if options.device != "cpu":
        words += ["--device", options.device]
    return command_line(words)
