"""A study as tables on the terminal."""

from rich.table import Table
from rich.text import Text

from ntklin.report.columns import DYNAMICS, TEST, cell, outcome_sentences, slope_sentence


def print_result(console, result):
    """Print a study: its two tables, the fitted slope, and what went wrong.

    Parameters
    ----------
    console : rich.console.Console
    result : StudyResult
        With at least one record.
    """
    config = result.config
    n_test = len(config.data.X_test)
    console.print(result_table(result, DYNAMICS, f"Gradient descent to loss {config.until:g}"))
    console.print(result_table(result, TEST, f"Test loss ‖f − Y‖²/(2N) on {n_test} test points"))
    if sentence := slope_sentence(result):
        console.print(Text(sentence + "."), soft_wrap=True)
    for sentence in outcome_sentences(result):
        console.print(Text(sentence + ".", style="yellow"), soft_wrap=True)


def result_table(result, columns, title):
    """One row per σ; a second line per row for standard deviations.

    Parameters
    ----------
    result : StudyResult
    columns : sequence of Column
    title : str

    Returns
    -------
    rich.table.Table
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("\nσ", justify="right", style="bold", no_wrap=True)
    for column in columns:
        # On a narrow terminal a number wraps rather than losing digits.
        heading = column.heading if "\n" in column.heading else f"\n{column.heading}"
        table.add_column(heading, justify="right", overflow="fold")
    for row in result.rows:
        cells = [cell(row.statistics[column.name], column.style) for column in columns]
        texts = [f"{mean}\n{spread}" if spread else mean for mean, spread in cells]
        table.add_row(f"{row.sigma:g}", *texts)
    return table
