"""A study as tables on the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntklin.apps.report.columns import Column
from ntklin.apps.report.study_columns import (
    ACCURACIES,
    DYNAMICS,
    ENDS,
    TERM,
    TEST,
    TRAINING,
    cell,
    known,
)
from ntklin.apps.report.study_sentences import (
    optimizer_sentence,
    outcome_sentences,
    slope_sentence,
    titles,
)
from ntklin.apps.study import METHODS, StudyResult


def print_study(console: Console, result: StudyResult) -> None:
    """Print a study: its tables, what they amount to, and what went wrong.

    Parameters
    ----------
    console : rich.console.Console
    result : StudyResult
        With at least one result of the sweep.
    """
    title = titles(result)
    sweep = [(f"{row.sigma:g}", row.statistics) for row in result.rows]
    optimizers = [(METHODS[row.optimizer].label, row.statistics) for row in result.optimizer_rows]
    console.print(study_table("σ", sweep, DYNAMICS, title["dynamics"]))
    console.print(study_table("σ", sweep, TEST, title["test"]))
    term = known(TERM, (statistics for _, statistics in sweep))
    console.print(study_table("σ", sweep, term, title["term"]))
    if optimizers:
        console.print(study_table("optimizer", optimizers, TRAINING, title["training"]))
        console.print(study_table("optimizer", optimizers, ENDS, title["ends"]))
        if shares := known(ACCURACIES, (statistics for _, statistics in optimizers)):
            console.print(study_table("optimizer", optimizers, shares, title["accuracies"]))
    for sentence in (slope_sentence(result), optimizer_sentence(result)):
        if sentence:
            console.print(Text(sentence + "."), soft_wrap=True)
    for sentence in outcome_sentences(result):
        console.print(Text(sentence + ".", style="yellow"), soft_wrap=True)


def study_table(
    head: str, rows: Iterable[tuple[str, Mapping[str, Any]]], columns: Sequence[Column], title: str
) -> Table:
    """A table of means, with a second line per row for standard deviations.

    Parameters
    ----------
    head : str
        Above the rows' names.
    rows : sequence of (str, dict)
        Names, and Statistics by the columns' names.
    columns : sequence of Column
    title : str

    Returns
    -------
    rich.table.Table
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(f"\n{head}", justify="right", style="bold", no_wrap=True)
    for column in columns:
        # On a narrow terminal a number wraps rather than losing digits.
        table.add_column(column.two_lines, justify="right", overflow="fold")
    for name, statistics in rows:
        cells = [cell(statistics[column.name], column.style) for column in columns]
        texts = [f"{mean}\n{spread}" if spread else mean for mean, spread in cells]
        table.add_row(name, *texts)
    return table
