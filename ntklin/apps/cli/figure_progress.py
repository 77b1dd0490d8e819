"""Progress of a figure on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntklin.apps.cli.progress import CountingBar, CountingLines, is_live

if TYPE_CHECKING:
    from rich.console import Console

    from ntklin.validation.figures.planning import Plan

# Without a terminal: a line for every so many results.
EVERY = 20


def progress(console: Console, plan: Plan) -> FigureBar | FigureLines:
    """A bar on a terminal, lines elsewhere."""
    title = f"Figure {plan.figure.name}, {plan.scale_name}"
    return (FigureBar if is_live(console) else FigureLines)(console, plan.n_tasks, title)


class FigureBar(CountingBar):
    """One bar for all runs and searches of a figure."""

    def finished(self) -> None:
        """One more result is there."""
        self.bars.advance(self.task)


class FigureLines(CountingLines):
    """A line now and then."""

    def __init__(self, console: Console, total: int, title: str) -> None:
        super().__init__(console, total)
        self.title = title

    def finished(self) -> None:
        """One more result is there."""
        self.count += 1
        if self.count % EVERY == 0 or self.count == self.total:
            self.say(f"{self.title}: {self.count}/{self.total}")
