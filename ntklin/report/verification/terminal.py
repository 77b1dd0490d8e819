"""A verification as a table on the terminal."""

from rich.table import Table
from rich.text import Text

from ntklin.report.verification.judged import summary

COLORS = {"holds": "green", "FAILS": "bold red", "BLIND": "bold red"}


def print_verification(console, judged):
    """Print the table, and every check that did not pass in full.

    Parameters
    ----------
    console : rich.console.Console
    judged : sequence of Judged
    """
    table = Table(title="Statements", title_justify="left", title_style="bold")
    for heading in ("statement", "check", "strength"):
        table.add_column(heading, no_wrap=True)
    for heading in ("measured", "predicted", "verdict"):
        table.add_column(heading)
    latest = None
    for item in judged:
        title = "" if item.statement is latest else item.statement.title
        latest = item.statement
        m = item.verdict.measurement
        table.add_row(
            *(Text(title, style="bold"), item.check.name, item.verdict.strength),
            *(Text(m.measured), Text(m.predicted)),
            Text.assemble((item.word, COLORS[item.word]), f": {item.reason}"),
        )
    console.print(table)
    for item in judged:
        if not item.verdict.passed:
            claim = f"{item.statement.title}, {item.check.name}: {item.check.hypothesis}"
            console.print(Text(f"{item.word}: {claim}", style="red"), soft_wrap=True)
    console.print(Text(summary(judged) + "."), soft_wrap=True)
