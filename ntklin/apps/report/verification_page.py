"""A verification as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ntklin.apps.plots.axes import png, without_tex
from ntklin.apps.plots.scaling import scaling_figure
from ntklin.apps.report.html import document, facts, formulas, legend, notes, origin, picture
from ntklin.apps.report.verification_verdicts import STRENGTHS, Judged, summary

if TYPE_CHECKING:
    from ntklin.validation.theorems import Curve

INTRODUCTION = (
    "Each statement of the paper is measured, and so is a control: the same check of a formula "
    "that is deliberately wrong. A check passes if the statement holds and its control does not."
)


def verification_page(
    judged: Sequence[Judged], config: dict[str, Any], provenance: dict[str, Any]
) -> str:
    """The verification as a self-contained page: findings, then statement by statement.

    Parameters
    ----------
    judged : sequence of Judged
    config : dict
        Names and values of what was chosen.
    provenance : dict
        See ``ntklin.apps.report.study_page``.

    Returns
    -------
    str
    """
    failed = [item for item in judged if not item.verdict.passed]
    sentences = [
        f"{item.word}: {item.statement.title}, {item.check.name}: {item.check.hypothesis}"
        for item in failed
    ]
    sections, statements = [], {}
    for item in judged:
        statements.setdefault(item.statement.key, []).append(item)
    for items in statements.values():
        sections.append(_section(items))
    numbers = "Every verdict is also in results.json."
    body = f"""<h1>Do the paper's theorems hold?</h1>
{notes(sentences)}<p>{formulas(INTRODUCTION)}</p>
<p><strong>{formulas(summary(judged))}.</strong></p>
{legend(STRENGTHS.items())}
{"".join(sections)}
<h2>Configuration</h2>
{facts(config)}
{origin(provenance, numbers)}"""
    return document("ntklin verify", body)


def _section(items: Sequence[Judged]) -> str:
    statement = items[0].statement
    rows = "".join(_row(item) for item in items)
    return f"""<h2>{formulas(statement.title)}: {formulas(statement.claim)}</h2>
<div class="wide"><table class="facts">
<thead><tr><th>check</th><th>claim</th><th>measured</th><th>predicted</th><th>verdict</th>
<th>control</th></tr></thead>
<tbody>
{rows}</tbody>
</table></div>
{_pictures(items)}<details><summary>Text and tolerances</summary>
<pre>{escape((statement.text or "").strip())}</pre></details>
"""


def _row(item: Judged) -> str:
    m, control = item.verdict.measurement, item.verdict.control
    told = "fails, as it should" if not control.holds else "holds, and should not"
    return f"""<tr><th>{escape(item.check.name)}<small>{escape(item.verdict.strength)}</small></th>
<td>{formulas(item.check.hypothesis)}</td><td>{formulas(m.measured)}</td>
<td>{formulas(m.predicted)}</td>
<td><strong>{escape(item.word)}</strong><small>{formulas(m.margin)}</small></td>
<td>{formulas(item.check.control)}: {told}<small>{formulas(control.measured)}</small></td></tr>
"""


def _pictures(items: Sequence[Judged]) -> str:
    """The measured scaling laws, side by side."""
    curves = ((item, item.verdict.measurement.curve) for item in items)
    found = [_picture(item, curve) for item, curve in curves if curve is not None]
    return f'<div class="pictures">{"".join(found)}</div>\n' if found else ""


def _picture(item: Judged, curve: Curve) -> str:
    with without_tex():
        image = png(scaling_figure(curve), dpi=140)
    description = f"{curve.y_label} against {curve.x_label} on logarithmic scales"
    return picture(image, description, formulas(f"{item.check.name}: {item.check.hypothesis}."))
