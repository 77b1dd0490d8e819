"""``ntklin verify``: the paper's statements, from options to files."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ntklin.cli import threads
from ntklin.cli.written import tell_written

FAILED = 1
VERDICTS = "verdicts"
# Threads for quick runs: such small networks lose more by a second one than they gain.
SMALL = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options as typed; the names are those of the flags."""

    names: tuple
    exact: bool
    certified: bool
    statistical: bool
    quick: bool
    seed: int
    out: str
    threads: int | None
    quiet: bool


def run(options):
    """Judge; show and write what was finished, even when Ctrl-C ends it.

    Returns
    -------
    int
        The exit status: 0, or 1 where a check did not pass.
    """
    began = time.perf_counter()
    threads.sleep_while_waiting(os.environ)

    from ntklin._validate import as_count
    from ntklin.cli import signals
    from ntklin.cli.console import Console
    from ntklin.cli.failures import warnings_on
    from ntklin.cli.verify_progress import progress
    from ntklin.files import unfinished
    from ntklin.report import require_writable
    from ntklin.report.verification import NAMES
    from ntklin.validation import theorems

    statements = chosen(options.names, theorems.STATEMENTS)
    wanted = [s for s in theorems.Strength if getattr(options, s.value)] or list(theorems.Strength)
    setting = theorems.Setting(
        quick=options.quick, seed=as_count(options.seed, name="--seed", minimum=0)
    )
    require_writable(options.out, NAMES, [VERDICTS, unfinished.FOLDER])
    console, judged, interruption = Console(quiet=options.quiet), [], None
    n_checks = sum(check.strength in wanted for s in statements for check in s.checks)
    if not n_checks:
        names = ", ".join(statement.key for statement in statements)
        raise ValueError(f"{names}: no check of this strength; leave out the other options")
    with (
        threads.limited(options.threads or (SMALL if options.quick else None)),
        warnings_on(console),
        progress(console, n_checks) as observer,
    ):
        try:
            for _ in theorems.run(
                statements,
                setting,
                strengths=wanted,
                folder=Path(options.out) / VERDICTS,
                progress=lambda *event: observe(observer, judged, *event),
            ):
                pass
        except KeyboardInterrupt as e:
            interruption = e
    if judged:
        complete = interruption is None
        with signals.held(not complete):
            conclude(console, judged, options, time.perf_counter() - began, complete)
    if interruption is not None:
        raise interruption
    return 0 if all(item.verdict.passed for item in judged) else FAILED


def chosen(names, statements):
    """The statements with these keys, in the paper's order; all of them for no names."""
    keys = [statement.key for statement in statements]
    unknown = [name for name in names if name.lower() not in keys]
    if unknown:
        raise ValueError(f"unknown statement {unknown[0]!r}; there are {', '.join(keys)}")
    lower = {name.lower() for name in names}
    return [s for s in statements if not names or s.key in lower]


def observe(observer, judged, statement, check, verdict):
    """Show an event of a run, and keep its verdict."""
    from ntklin.report.verification.judged import Judged

    if verdict is None:
        observer.started(statement, check)
        return
    judged.append(Judged(statement, check, verdict))
    observer.finished(judged[-1])


def conclude(console, judged, options, elapsed, complete):
    """Write the files and print the table; the table even where the files fail."""
    from ntklin.cli import environment
    from ntklin.report.verification import print_verification, write_verification

    provenance = environment.provenance(command(options), elapsed)
    config = {"size": "quick" if options.quick else "full", "seed": options.seed}
    try:
        paths = write_verification(judged, config, options.out, provenance, complete)
    finally:
        console.print()
        print_verification(console, judged)
    tell_written(console, options.out, paths)


def command(options):
    """A command line that repeats the run."""
    from ntklin.files.names import command_line

    words = [
        *("ntklin", "verify", *options.names),
        *(f"--{s}" for s in ("exact", "certified", "statistical") if getattr(options, s)),
        *(["--quick"] if options.quick else []),
        *("--seed", str(options.seed)),
    ]
    return command_line(words)
