"""``ntklin verify``: the paper's statements, from options to files."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ntklin.apps.cli import threads
from ntklin.apps.cli.ahead import helper
from ntklin.apps.cli.ending import FAILED, FINISHED, concluded, deliver
from ntklin.apps.options import checks, shared
from ntklin.apps.options.declared import checked, words
from ntklin.apps.options.option import Option

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.apps.cli.verification_progress import VerificationBar, VerificationLines
    from ntklin.apps.report.verification_verdicts import Judged
    from ntklin.validation.theorems.check import Check, Setting, Statement, Strength
    from ntklin.validation.theorems.verdicts import Verdict

HELP = """Check the paper's lemmas and theorems.

    Each statement is measured in rational arithmetic (exact), in ball arithmetic (certified) or \
over random draws (statistical), and the functions that compute it are held to the exact truth of \
small problems (library). Beside each is a control: a wrong formula, on which the same check must \
fail. NAMES are statements such as theorem3 or lemma4; without one, all. Verdicts are kept in the \
output folder, so that a run that was interrupted goes on. Exit code 1 if a check fails."""
EXAMPLES = (
    "ntklin verify --quick",
    "ntklin verify theorem3 theorem6 --exact",
    "ntklin verify --statistical --seed 1",
)
NOT_PASSED = 1
# Threads for quick runs: such small networks lose more by a second one than they gain.
SMALL = 1
# The folder of what was judged, in the output folder.
VERDICTS = "verdicts"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is typed."""

    names: Annotated[
        list[str] | None, Option(metavar="[NAMES]", help="Which statements.", is_argument=True)
    ] = None
    exact: Annotated[bool, Option(help="Only the exact checks.")] = False
    certified: Annotated[bool, Option(help="Only the certified checks.")] = False
    statistical: Annotated[bool, Option(help="Only the statistical checks.")] = False
    library: Annotated[bool, Option(help="Only the checks of public functions.")] = False
    quick: Annotated[bool, Option(help="Smaller problems, in float64: about a minute.")] = False
    seed: Annotated[
        int, Option(metavar="SEED", help="Of all random numbers.", check=checks.seed)
    ] = 0
    out: Annotated[str, shared.folder("report and verdicts go")] = "ntklin-verify"
    threads: shared.Threads = None
    quiet: shared.Quiet = False


def run(options: Options) -> int:
    """Judge; show and write what was finished, even when Ctrl-C ends it.

    Returns
    -------
    int
        The exit status: 0, or 1 where a check did not pass.

    Raises
    ------
    ValueError
        For a statement that is not there, or where there is nothing to check.
    """
    began = time.perf_counter()
    threads.sleep_while_waiting(os.environ)

    from ntklin.apps.cli.console import Console
    from ntklin.apps.cli.failures import warnings_on
    from ntklin.apps.cli.verification_progress import progress
    from ntklin.apps.report.verification import NAMES
    from ntklin.edge.files.unfinished import FOLDER
    from ntklin.edge.files.writing import require_writable
    from ntklin.validation import theorems

    statements, wanted, setting = asked_for(options)
    require_writable(options.out, NAMES, [VERDICTS, FOLDER])
    console, judged = Console(quiet=options.quiet), []
    n_checks = sum(check.strength in wanted for s in statements for check in s.checks)
    if not n_checks:
        names = ", ".join(statement.key for statement in statements)
        raise ValueError(f"{names}: no check of this strength; leave out the other options")

    if options.quick and options.threads is None:
        helper.start(judge_backwards, options)

    def conclude(ending: str) -> None:
        if judged and ending != FAILED:
            elapsed = time.perf_counter() - began
            deliver_verification(console, judged, options, elapsed, ending == FINISHED)

    with (
        concluded(conclude),
        threads.limited(options.threads or (SMALL if options.quick else None)),
        warnings_on(console),
        progress(console, n_checks) as observer,
    ):
        for _ in theorems.run(
            statements,
            setting,
            strengths=wanted,
            folder=Path(options.out) / VERDICTS,
            progress=lambda *event: observe(observer, judged, *event),
        ):
            pass
    return 0 if all(item.verdict.passed for item in judged) else NOT_PASSED


def asked_for(options: Options) -> tuple[list[Statement], list[Strength], Setting]:
    """The statements, the kinds of checks and the setting that the options ask for."""
    from ntklin.validation import theorems

    statements = chosen(options.names or (), theorems.STATEMENTS)
    wanted = [s for s in theorems.Strength if getattr(options, s.value)] or list(theorems.Strength)
    setting = theorems.Setting(quick=options.quick, **checked(Options, options, by_flag=True))
    return statements, wanted, setting


def judge_backwards(options: Options) -> None:
    """Judge from the last check to the first; the command takes each verdict that is there.

    So two processes share the checks, and each of them compiles what the other need not.
    """
    from ntklin.validation import theorems

    statements, wanted, setting = asked_for(options)
    backwards = [replace(s, checks=s.checks[::-1]) for s in reversed(statements)]
    folder = Path(options.out) / VERDICTS
    for _ in theorems.run(backwards, setting, strengths=wanted, folder=folder):
        pass


def chosen(names: Collection[str], statements: Sequence[Statement]) -> list[Statement]:
    """The statements with these keys, in the paper's order; all of them for no names."""
    keys = [statement.key for statement in statements]
    unknown = [name for name in names if name.lower() not in keys]
    if unknown:
        raise ValueError(f"unknown statement {unknown[0]!r}; there are {', '.join(keys)}")
    lower = {name.lower() for name in names}
    return [s for s in statements if not names or s.key in lower]


def observe(
    observer: VerificationBar | VerificationLines,
    judged: list[Judged],
    statement: Statement,
    check: Check,
    verdict: Verdict | None,
) -> None:
    """Show an event of a run, and keep its verdict."""
    from ntklin.apps.report.verification_verdicts import Judged

    if verdict is None:
        observer.started(statement, check)
        return
    judged.append(Judged(statement, check, verdict))
    observer.finished(judged[-1])


def deliver_verification(
    console: Console, judged: list[Judged], options: Options, elapsed: float, complete: bool
) -> None:
    """Write the files and print the table."""
    from ntklin.apps.cli import environment
    from ntklin.apps.report.verification import write_verification
    from ntklin.apps.report.verification_table import print_verification

    provenance = environment.provenance(["verify", *words(Options, options)], elapsed)
    config = {"size": "quick" if options.quick else "full", "seed": options.seed}
    deliver(
        console,
        options.out,
        lambda: write_verification(judged, config, options.out, provenance, complete),
        lambda: print_verification(console, judged),
    )
