"""A verification as a table on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntklin.apps.report.verification_verdicts import STRENGTHS, Judged, summary

COLORS = {"holds": "green", "FAILS": "bold red", "BLIND": "bold red"}


def print_verification(console: Console, judged: Sequence[Judged]) -> None:
    """Print a table for each strength, and every check that did not pass in full.

    Parameters
    ----------
    console : rich.console.Console
    judged : sequence of Judged
    """
    for strength, meaning in STRENGTHS.items():
        items = [item for item in judged if item.verdict.strength == strength]
        if items:
            console.print(strength_table(f"{strength.capitalize()}: {meaning}", items))
    for item in judged:
        if not item.verdict.passed:
            claim = f"{item.statement.title}, {item.check.name}: {item.check.hypothesis}"
            console.print(Text(f"{item.word}: {claim}", style="red"), soft_wrap=True)
    console.print(Text(summary(judged) + "."), soft_wrap=True)


def strength_table(title: str, judged: Sequence[Judged]) -> Table:
    """One row per check."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("statement\n  check", no_wrap=True)
    for heading in ("measured", "predicted", "verdict"):
        table.add_column(f"\n{heading}")
    latest = None
    for item in judged:
        name = Text(f"  {item.check.name}")
        if item.statement is not latest:
            latest = item.statement
            table.add_section()
            name = Text.assemble((f"{latest.title}\n", "bold"), name)
        m = item.verdict.measurement
        indent = "\n" * name.plain.count("\n")
        told = Text.assemble(indent, (item.word, COLORS[item.word]), f": {item.reason}")
        table.add_row(name, Text(indent + m.measured), Text(indent + m.predicted), told)
    return table
