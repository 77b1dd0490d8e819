"""A study as one HTML file that needs nothing else."""

from html import escape

from ntklin.report.columns import DYNAMICS, TEST, cell, outcome_sentences, slope_sentence
from ntklin.report.html import (
    document,
    facts,
    formulas,
    legend,
    notes,
    number_table,
    origin,
    picture,
)

INTRODUCTION = (
    "Training from θ_0 on the squared loss ends, for a wide network, near the minimizer of its "
    "linearization, f_∞ = f_int + f_init. The kernel interpolator f_int comes from the data alone; "
    "f_init is what the initialization leaves behind, and grows like σ^L with the initialization "
    "scale σ and the number of layers L. All σ start from the same Gaussian draw."
)


def html_page(result, image, provenance):
    """The study as a self-contained page: findings, plot, tables, configuration, how to repeat it.

    Parameters
    ----------
    result : StudyResult
    image : bytes
        The plot, a PNG.
    provenance : dict
        ``command`` (str), ``created`` (str), ``elapsed_seconds`` (float), ``versions`` (dict) and
        ``machine`` (dict).

    Returns
    -------
    str
    """
    config = result.config
    finding = slope_sentence(result)
    bands = " Bands: one standard deviation over the seeds." if len(config.seeds) > 1 else ""
    target = f"Gradient descent to training loss {config.until:g}"
    test_title = f"Test loss ‖f − Y‖²/(2N) on {len(config.data.X_test)} test points"
    plot = picture(
        image,
        "Left: test loss against σ for the trained network, the linearized network and the kernel "
        "interpolator. Right: size of the initialization term against σ with its fitted power law.",
        "Left: test loss against the initialization scale σ, and how a loss ∝ σ<sup>2L</sup> would "
        f"grow. Right: size of the initialization term, and its fitted power of σ.{bands}",
    )
    numbers = "Every number is also in results.json, with all digits and seed by seed."
    body = f"""<h1>Which minimizer does the network converge to?</h1>
<p class="quiet">{escape(_subtitle(config))}</p>
{notes(outcome_sentences(result))}<p>{formulas(INTRODUCTION)}</p>
{f"<p><strong>{formulas(finding)}.</strong></p>" if finding else ""}
{plot}
<h2>{escape(target)}</h2>
{_table(result, DYNAMICS)}
<h2>{escape(test_title)}</h2>
{_table(result, TEST)}
<h2>Configuration</h2>
{facts(_configuration(config))}
{origin(provenance, numbers)}"""
    return document(f"ntklin minimizer: {config.data.name}", body)


def _subtitle(config):
    seeds = len(config.seeds)
    return (
        f"{config.data.name}, {len(config.data.X_train)} training points, L = {config.depth}, "
        f"widths {'–'.join(map(str, config.widths))}, "
        f"{seeds} initialization{'s' if seeds > 1 else ''}"
    )


def _configuration(config):
    values = config.describe()
    for name in ("widths", "sigmas", "seeds"):
        values[name] = ", ".join(format(value, "g") for value in values[name])
    values["n_parameters"] = f"{values['n_parameters']:,}"
    if values["rcond"] is None:
        values["rcond"] = "no rank cut"
    if values["max_steps"] is None:
        values["max_steps"] = "ten times as many as predicted"
    values["train"] = "yes" if values["train"] else "no"
    return values


def _table(result, columns):
    """One row per σ, and below it what each column means."""
    rows = [[f"{row.sigma:g}", *(_cell(row, column) for column in columns)] for row in result.rows]
    headings = ["σ", *(column.heading for column in columns)]
    meanings = [(column.heading, column.meaning) for column in columns]
    return f"{number_table(headings, rows)}\n{legend(meanings)}"


def _cell(row, column):
    mean, spread = cell(row.statistics[column.name], column.style)
    return escape(mean) + (f"<small>{escape(spread)}</small>" if spread else "")
