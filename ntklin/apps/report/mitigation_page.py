"""A mitigation as one HTML file that needs nothing else."""

from html import escape
from typing import Any

from ntklin.apps.options.declared import told
from ntklin.apps.options.mitigation import MitigationSettings
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
from ntklin.apps.report.mitigation_columns import COLUMNS, beside, cell, kind
from ntklin.apps.report.mitigation_sentences import comparison, finding, reason, warnings
from ntklin.edge.files.names import shown
from ntklin.recipes.mitigation import CONVERGED, Mitigation, Trial

INTRODUCTION = (
    "The minimizer that a wide network is trained to holds a term f_init that grows like σ^L with "
    "the initialization scale σ and has nothing to do with the targets. Smaller σ remove it, but "
    "make training slower. So the same draw θ_0 is trained at ever smaller σ, as long as the loss "
    "on a validation set falls by a significant margin, and the network of smallest validation "
    "loss is kept. The baselines start at f = 0 by a symmetry between two copies, at the first σ. "
    "Weight decay, too, takes f_init away: the linearized network is f_int alone when (1 − ηw)^t "
    "has come down to 1 − 1/L, where of the real one (1 − 1/L)^L of f_init is left."
)


def mitigation_page(
    found: Mitigation, config: dict[str, Any], image: bytes, provenance: dict[str, Any]
) -> str:
    """The mitigation as a self-contained page.

    Parameters
    ----------
    found : Mitigation
    config : dict
        See ``mitigation_json``.
    image : bytes
        The plot, a PNG.
    provenance : dict
        See ``ntklin.apps.report.study_page``.

    Returns
    -------
    str
    """
    plot = picture(
        image,
        "Left: validation and test loss against σ, the size of the initialization term and the "
        "baselines. Right: steps of gradient descent against σ.",
        "Left: validation and test loss against the initialization scale σ, with a ring around the "
        "network that is kept, and the mean square of the initialization term that the "
        "linearization predicts on the validation points. Right: the steps that training took.",
    )
    summary = " ".join(f"{sentence}." for sentence in (reason(found, config), *comparison(found)))
    body = f"""<h1>How much of the initialization has to stay in the network?</h1>
<p class="quiet">{escape(_subtitle(config))}</p>
{notes(warnings(found))}<p>{formulas(INTRODUCTION)}</p>
<p><strong>{formulas(finding(found))}.</strong> {formulas(summary)}</p>
{plot}
<h2>{escape(f"Gradient descent to training loss {config['until']:g}")}</h2>
{_table(found)}
{legend([(column.heading, column.meaning) for column in COLUMNS])}
<p>The network that is kept is in network.npz:
<code>ntklin.load_run("network.npz").predict(X)</code> applies it.</p>
<h2>Configuration</h2>
{facts(_configuration(config))}
{origin(provenance, "Every number is also in results.json, with all digits.")}"""
    return document(f"ntklin mitigate: {shown(config['data'])}", body)


def _subtitle(config: dict[str, Any]) -> str:
    return (
        f"{shown(config['data'])}, {config['n_train']} training, {config['n_val']} validation and "
        f"{config['n_test']} test points, L = {config['depth']}, "
        f"widths {'–'.join(map(str, config['widths']))}"
    )


def _table(found: Mitigation) -> str:
    rows = [_row(f"{trial.sigma:.3g}", trial, trial is found.best) for trial in found.trials]
    rows += [_row(kind(trial), trial, False) for trial in beside(found)]
    return number_table(["σ", *(column.heading for column in COLUMNS)], rows)


def _row(name: str, trial: Trial, best: bool) -> list[str]:
    notes = ["best"] * best + [trial.outcome] * (trial.outcome != CONVERGED)
    small = "".join(f"<small>{escape(note)}</small>" for note in notes)
    cells = [escape(cell(trial, column)) for column in COLUMNS]
    if best:
        cells = [f"<strong>{text}</strong>" for text in cells]
    return [escape(name) + small, *cells]


def _configuration(config: dict[str, Any]) -> dict[str, Any]:
    values = told(MitigationSettings, config)
    values["widths"] = ", ".join(map(str, config["widths"]))
    values["max_steps"] = f"{config['max_steps']:,}"
    return values
