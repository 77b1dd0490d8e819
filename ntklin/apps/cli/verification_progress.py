"""Progress of a verification on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ntklin.apps.cli.progress import CountingBar, CountingLines, is_live

if TYPE_CHECKING:
    from ntklin.apps.report.verification_verdicts import Judged
    from ntklin.validation.theorems.check import Check, Statement


def progress(console: Console, n_checks: int) -> VerificationBar | VerificationLines:
    """A bar on a terminal, lines elsewhere."""
    return (VerificationBar if is_live(console) else VerificationLines)(console, n_checks)


class VerificationBar(CountingBar):
    """One bar for all checks, with the name of the one that runs; a line for each that fails."""

    def started(self, statement: Statement, check: Check) -> None:
        """The check runs."""
        self.bars.update(self.task, description=f"{statement.title}, {check.name}")

    def finished(self, judged: Judged) -> None:
        """The check is judged."""
        self.bars.advance(self.task)
        if not judged.verdict.passed:
            self.bars.console.print(Text(line(judged), style="red"), soft_wrap=True)


class VerificationLines(CountingLines):
    """One line per check."""

    def started(self, statement: Statement, check: Check) -> None:
        """Nothing: only what is judged has a line."""

    def finished(self, judged: Judged) -> None:
        """The check is judged."""
        self.count += 1
        self.say(f"{self.count}/{self.total}  {line(judged)}")


def line(judged: Judged) -> str:
    """A check and its verdict."""
    return f"{judged.statement.title}, {judged.check.name}: {judged.word} ({judged.reason})"
