"""A study as one HTML file that needs nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ntklin.apps.options.declared import told
from ntklin.apps.options.study import StudySettings
from ntklin.apps.report.columns import Column
from ntklin.apps.report.html import (
    document,
    facts,
    formulas,
    legend,
    notes,
    number_table,
    origin,
    picture,
)
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
from ntklin.apps.study import METHODS, StudyConfig, StudyResult
from ntklin.edge.files.names import shown

INTRODUCTION = (
    "Training from θ_0 on the squared loss ends, for a wide network, near the minimizer of its "
    "linearization, f_∞ = f_int + f_init. The kernel interpolator f_int comes from the data alone; "
    "f_init is what the initialization leaves behind, and grows {power} the initialization scale σ"
    "{layers}. All σ start from the same Gaussian draw."
)
LIMIT = (
    "At infinite width f_0 is a Gaussian process and the kernel does not depend on the draw, so "
    "that what f_init is on average is known in closed form: its root mean square over test points "
    "and initializations stands beside the size that was measured."
)
CLASSES = (
    "Each of the {n} classes has an output of its own, with the higher target on its samples and "
    "the lower one on all others; losses and distances are sums over outputs, and the largest "
    "output gives the class."
)
OPTIMIZERS = "From the same θ_0, steps θ_{t+1} = θ_t − η D_t ∇L take the linearized network to"
SPLIT = (
    "f_t(x) = f_0(x) + φ(x) A_t (f_t(X) − f_0(X)) + φ(x) B_t,   "
    "A_t = D_{t−1} φ(X)^T (φ(X) D_{t−1} φ(X)^T)^{−1}"
)
PARTS = (
    "The interpolating part is decided by the last D and by the outputs on the training points; "
    "the path-dependent part φ B_t vanishes on those points. Where D is constant, as for gradient "
    "descent with or without mini-batches, B_t = 0, and the end is GD's minimizer f_∞ up to what "
    "training leaves undone. AdaGrad, RMSprop and Adam change D and end elsewhere; Adam carries a "
    "velocity as well, and its end is split in the same way."
)


def study_page(result: StudyResult, image: bytes, provenance: dict[str, Any]) -> str:
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
    findings = [text for text in (slope_sentence(result), optimizer_sentence(result)) if text]
    finding = " ".join(f"{formulas(text)}." for text in findings)
    title = titles(result)
    sweep = [(f"{row.sigma:g}", row.statistics) for row in result.rows]
    numbers = "Every number is also in results.json, with all digits and seed by seed."
    body = f"""<h1>Which minimizer does the network converge to?</h1>
<p class="quiet">{escape(_subtitle(config))}</p>
{notes(outcome_sentences(result))}<p>{formulas(_introduction(result))}</p>
{f"<p><strong>{finding}</strong></p>" if finding else ""}
{_picture(result, image)}
<h2>{escape(title["dynamics"])}</h2>
{_table("σ", sweep, DYNAMICS)}
<h2>{escape(title["test"])}</h2>
{_table("σ", sweep, TEST)}
<h2>{escape(title["term"])}</h2>
{_table("σ", sweep, known(TERM, (statistics for _, statistics in sweep)))}
{_comparison(result, title)}<h2>Configuration</h2>
{facts(_configuration(config))}
{origin(provenance, numbers)}"""
    return document(f"ntklin minimizer: {shown(config.data.name)}", body)


def _introduction(result: StudyResult) -> str:
    config = result.config
    powers = (
        ("with", "") if config.power is None else ("like σ^L with", " and the number of layers L")
    )
    text = INTRODUCTION.format(power=powers[0], layers=powers[1])
    if config.data.n_outputs > 1:
        text += " " + CLASSES.format(n=config.data.n_outputs)
    return f"{text} {LIMIT}" if _has_limit(result) else text


def _has_limit(result: StudyResult) -> bool:
    """Whether there is anything to say of infinite width."""
    return any(row.statistics["initialization_size_infinite"] for row in result.rows)


def _picture(result: StudyResult, image: bytes) -> str:
    description = (
        "Left: test loss against σ for the trained network, the linearized network and the kernel "
        "interpolator. Right: size of the initialization term against σ with its fitted power law"
    )
    caption = "Left: test loss against the initialization scale σ"
    if result.config.power is not None:
        caption += ", and how a loss ∝ σ<sup>2L</sup> would grow"
    caption += ". Right: size of the initialization term, and its fitted power of σ"
    if _has_limit(result):
        description += " and what it is at infinite width"
        caption += "; the root of its mean square over initializations at infinite width"
    description, caption = f"{description}.", f"{caption}."
    if result.optimizer_rows:
        description += " Below: test losses and distances on the test points for each optimizer."
        caption += (
            f" Below, by optimizer at σ = {result.config.optimizer_sigma:g}: test losses, and "
            "distances on the test points; what is 0 up to rounding has no mark."
        )
    if len(result.config.seeds) > 1:
        caption += " Bands and bars: one standard deviation over the seeds."
    return picture(image, description, caption)


def _comparison(result: StudyResult, title: Mapping[str, str]) -> str:
    """The section on optimizers, or nothing."""
    rows = [(METHODS[row.optimizer].label, row.statistics) for row in result.optimizer_rows]
    if not rows:
        return ""
    return f"""<h2>{escape(title["training"])}</h2>
<p>{formulas(OPTIMIZERS)}</p>
<p class="formula">{formulas(SPLIT)}</p>
<p>{formulas(PARTS)}</p>
{_table("optimizer", rows, TRAINING)}
<h2>{escape(title["ends"])}</h2>
{_table("optimizer", rows, ENDS)}
{_accuracies(rows, title)}"""


def _accuracies(rows: Sequence[tuple[str, Mapping[str, Any]]], title: Mapping[str, str]) -> str:
    """The optimizers' accuracies, or nothing where targets are of no classes."""
    columns = known(ACCURACIES, (statistics for _, statistics in rows))
    if not columns:
        return ""
    return f"""<h2>{escape(title["accuracies"])}</h2>
{_table("optimizer", rows, columns)}
"""


def _subtitle(config: StudyConfig) -> str:
    seeds = len(config.seeds)
    return (
        f"{shown(config.data.name)}, {len(config.data.X_train)} training points, "
        f"L = {config.depth}, "
        f"widths {'–'.join(map(str, config.widths))}, "
        f"{seeds} initialization{'s' if seeds > 1 else ''}"
    )


def _configuration(config: StudyConfig) -> dict[str, Any]:
    values = told(StudySettings, config.describe())
    values["classes"] = ", ".join(map(str, values["classes"])) or "not known"
    values["widths"] = ", ".join(map(str, values["widths"]))
    values["n_parameters"] = f"{values['n_parameters']:,}"
    return values


def _table(
    head: str, rows: Iterable[tuple[str, Mapping[str, Any]]], columns: Sequence[Column]
) -> str:
    """Means and standard deviations, and below them what each column means."""
    cells = [
        [name, *(_cell(statistics, column) for column in columns)] for name, statistics in rows
    ]
    headings = [head, *(column.heading for column in columns)]
    meanings = [(column.heading, column.meaning) for column in columns]
    return f"{number_table(headings, cells)}\n{legend(meanings)}"


def _cell(statistics: Mapping[str, Any], column: Column) -> str:
    mean, spread = cell(statistics[column.name], column.style)
    return escape(mean) + (f"<small>{escape(spread)}</small>" if spread else "")
