"""A mitigation as a table on the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntklin.apps.report.mitigation_columns import NARROW, beside, cell, short_kind
from ntklin.apps.report.mitigation_sentences import comparison, finding, reason, warnings
from ntklin.recipes.mitigation import CONVERGED, Mitigation, Trial


def print_mitigation(console: Console, found: Mitigation, config: dict[str, Any]) -> None:
    """Print the trials, the baselines, what was gained and why the search stopped.

    Parameters
    ----------
    console : rich.console.Console
    found : Mitigation
    config : dict
        See ``mitigation_json``.
    """
    console.print(mitigation_table(found, config))
    for sentence in (finding(found), reason(found, config), *comparison(found)):
        console.print(Text(sentence + "."), soft_wrap=True)
    for sentence in warnings(found):
        console.print(Text(sentence + ".", style="yellow"), soft_wrap=True)


def mitigation_table(found: Mitigation, config: dict[str, Any]) -> Table:
    """One row per trained network; the best is marked, baselines stand below a line.

    Returns
    -------
    rich.table.Table
    """
    title = f"Gradient descent to training loss {config['until']:g}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("\nσ", justify="right", no_wrap=True)
    for column in NARROW:
        table.add_column(column.two_lines, justify="right", overflow="fold")
    for i, trial in enumerate(found.trials):
        best = trial is found.best
        name = f"{'best ' if best else ''}{trial.sigma:.3g}"
        last = i == len(found.trials) - 1
        table.add_row(*_row(name, trial), style="bold green" if best else None, end_section=last)
    for trial in beside(found):
        table.add_row(*_row(short_kind(trial), trial))
    return table


def _row(name: str, trial: Trial) -> tuple[str, ...]:
    if trial.outcome != CONVERGED:
        name = f"{name}\n{trial.outcome}"
    return name, *(cell(trial, column) for column in NARROW)
