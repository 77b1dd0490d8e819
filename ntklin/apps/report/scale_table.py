"""Minimizers of more and more samples as tables on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ntklin.apps.report.columns import MISSING, Column
from ntklin.apps.report.scale_columns import QUALITY, SOLUTION, cell, known
from ntklin.apps.scale.clock import PHASES
from ntklin.apps.scale.result import SizeResult
from ntklin.edge.amounts import duration


def print_sizes(console: Console, results: Sequence[SizeResult]) -> None:
    """Print what was measured, how it was found, and the time of each phase.

    Parameters
    ----------
    console : rich.console.Console
    results : sequence of SizeResult
        At least one.
    """
    for title, columns in (("On the test points", QUALITY), ("The solutions", SOLUTION)):
        console.print(_table(title, known(columns, results), results))
    console.print(_phases(results))


def _table(title: str, columns: Sequence[Column], results: Sequence[SizeResult]) -> Table:
    table = _empty(title, [column.two_lines for column in columns])
    for result in results:
        table.add_row(f"{result.n:,}", *(cell(result, column) for column in columns))
    return table


def _phases(results: Sequence[SizeResult]) -> Table:
    names = [name for name in PHASES if any(name in seconds_of(one) for one in results)]
    table = _empty("Time by phase", [f"\n{PHASES[name]}" for name in names])
    for result in results:
        seconds = seconds_of(result)
        cells = (duration(seconds[n]) if n in seconds else MISSING for n in names)
        table.add_row(f"{result.n:,}", *cells)
    return table


def _empty(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("\nN", justify="right", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def seconds_of(result: SizeResult) -> dict[str, float]:
    """The seconds of each phase, by its name."""
    return {phase.name: phase.seconds for phase in result.phases}
