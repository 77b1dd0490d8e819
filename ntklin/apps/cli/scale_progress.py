"""Progress of ``ntklin scale`` on the terminal: a phase after the other, with the time left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import TextColumn, TimeRemainingColumn
from rich.text import Text

from ntklin.apps.cli.progress import Bars, Lines, is_live

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.apps.scale.result import SizeResult

# Seconds between two lines of one phase.
OFTEN = 60.0


def progress(console: Console) -> ScaleBars | ScaleLines:
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    return ScaleBars(console) if is_live(console) else ScaleLines(console)


class ScaleBars(Bars):
    """One bar per phase of a size, with the time it still takes.

    This and ScaleLines have the methods of ``ntklin.apps.scale.minimizers.Observer``.
    """

    def __init__(self, console: Console) -> None:
        columns = TextColumn("{task.fields[state]}"), TimeRemainingColumn(compact=True)
        super().__init__(console, 24, *columns)
        self._n: int | None = None
        self._phase = ""

    def started(self, n: int) -> None:
        """The minimizer of the first ``n`` points begins."""
        self._end()
        self._n, self._phase = n, ""

    def advanced(self, phase: str, done: float, total: float | None) -> None:
        """So much of a phase's work is done."""
        from ntklin.apps.scale.clock import PHASES

        if phase != self._phase:
            self._end()
            self._phase = phase
            name = PHASES[phase] if self._n is None else f"N = {self._n:,}  {PHASES[phase]}"
            self._task = self.bars.add_task(name, total=total, state="")
        self.bars.update(self._task, completed=done, total=total)
        if total is None:
            self.bars.update(self._task, state=f"{done:.0f} iterations")

    def finished(self, result: SizeResult) -> None:
        """The minimizer is found and measured."""
        self._end()
        self.bars.console.print(Text(summary(result)))

    def _end(self) -> None:
        if self._phase:
            self.bars.stop_task(self._task)
            self._phase = ""


class ScaleLines(Lines):
    """A line for each finished size, and in long phases one every minute."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._n: int | None = None
        self._phase, self._began, self._told = "", 0.0, 0.0

    def started(self, n: int) -> None:
        """The minimizer of the first ``n`` points begins."""
        self._n, self._phase = n, ""

    def advanced(self, phase: str, done: float, total: float | None) -> None:
        """So much of a phase's work is done."""
        from ntklin.apps.scale.clock import PHASES
        from ntklin.edge.amounts import duration

        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began, self._told, self._first = phase, now, now, done
        if now < self._told + OFTEN:
            return
        self._told = now
        where = "" if self._n is None else f"N = {self._n:,}  "
        if total is None:
            self.say(f"{where}{PHASES[phase]}: {done:.0f} iterations")
        elif done > self._first:
            left = (now - self._began) * (total - done) / (done - self._first)
            self.say(f"{where}{PHASES[phase]}: {done / total:.0%}, {duration(left)} left")

    def finished(self, result: SizeResult) -> None:
        """The minimizer is found and measured."""
        self.say(summary(result))


def summary(result: SizeResult) -> str:
    """A finished size in a line."""
    from ntklin.edge.amounts import duration

    right = "" if result.test_accuracy is None else f", accuracy {result.test_accuracy:.2%}"
    return (
        f"N = {result.n:,}  {result.solver}, residual {result.residual:.1e}, test loss "
        f"{result.test_loss:.3e}{right}, {duration(result.seconds)}"
    )
