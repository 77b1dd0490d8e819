"""Minimizers of more and more samples as one HTML file that needs nothing else."""

from collections.abc import Sequence
from html import escape
from typing import Any

from ntklin.apps.options.declared import told
from ntklin.apps.options.scale import ScaleSettings
from ntklin.apps.report.columns import MISSING
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
from ntklin.apps.report.scale_columns import QUALITY, SOLUTION, cell, known
from ntklin.apps.scale.clock import PHASES
from ntklin.apps.scale.result import SizeResult
from ntklin.edge.amounts import duration, format_bytes
from ntklin.edge.files.names import shown

INTRODUCTION = (
    "Gradient descent on the linearized network converges to f_∞ = f_int + f_init: the "
    "interpolator of the targets, and what the initialization leaves. Here it is solved for, not "
    "trained to: (N, N) equations with the kernel K of the network at θ_0, for the first N "
    "training points each, to the residual that the table tells."
)


def scale_page(
    results: Sequence[SizeResult],
    config: dict[str, Any],
    complete: bool,
    image: bytes,
    provenance: dict[str, Any],
) -> str:
    """The minimizers as a self-contained page.

    Parameters
    ----------
    results : sequence of SizeResult
        At least one.
    config : dict
        See ``ntklin.apps.report.scale.scale_json``.
    complete : bool
        Whether these are all that were asked for.
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
        "Test losses, errors and the time of each phase against the number of training points.",
        "Left: the test losses of the minimizer and of the interpolator against the number of "
        "training points, and for classes the share of test points that the minimizer gets wrong. "
        "Right: the seconds of each phase. Between them, where there were any, what is left after "
        "each iteration of conjugate gradients.",
    )
    title = f"The exact minimizer of {results[-1].n:,} samples"
    columns = [*known(QUALITY, results), *SOLUTION]
    body = f"""<h1>{escape(title)}</h1>
<p class="quiet">{escape(_subtitle(config))}</p>
{notes(_warnings(config, complete))}<p>{formulas(INTRODUCTION)}</p>
{plot}
<h2>On the test points</h2>
{_table(known(QUALITY, results), results)}
<h2>The solutions</h2>
{_table(SOLUTION, results)}
{legend([(column.heading, column.meaning) for column in columns])}
<h2>Time and memory by phase, N = {results[-1].n:,}</h2>
{_phases(results[-1])}
<p>minimizer.npz holds K^<sup>-1</sup>Y and K^<sup>-1</sup>f<sub>0</sub>(X) of it.</p>
<h2>Configuration</h2>
{facts(_configuration(config))}
{origin(provenance, "Every number is also in results.json, with all digits, and in sizes.csv.")}"""
    return document(f"ntklin scale: {shown(config['data'])}", body)


def _subtitle(config: dict[str, Any]) -> str:
    return (
        f"{shown(config['data'])}, {config['n']:,} training and {config['n_test']:,} test points, "
        f"widths {'–'.join(map(str, config['widths']))}, σ = {config['sigma']:g}"
    )


def _warnings(config: dict[str, Any], complete: bool) -> list[str]:
    """Sentences on what is not what it may seem."""
    found = []
    if not complete:
        found.append("The run is not finished: the same command goes on with it")
    if config["data"].endswith("_like"):
        found.append(f"The data is {config['provenance']}")
    return found


def _table(columns: Sequence[Any], results: Sequence[SizeResult]) -> str:
    rows = [[f"{one.n:,}", *(escape(cell(one, column)) for column in columns)] for one in results]
    return number_table(["N", *(column.heading for column in columns)], rows)


def _phases(result: SizeResult) -> str:
    rows = [
        [
            PHASES[phase.name],
            duration(phase.seconds),
            duration(phase.restored) if phase.restored else MISSING,
            MISSING if phase.peak_memory is None else format_bytes(phase.peak_memory),
        ]
        for phase in result.phases
    ]
    headings = ["phase", "time", "of it in\nearlier runs", "memory,\nat most so far"]
    return number_table(headings, rows)


def _configuration(config: dict[str, Any]) -> dict[str, Any]:
    values = told(ScaleSettings, config)
    values["widths"] = ", ".join(map(str, config["widths"]))
    values["classes"] = ", ".join(map(shown, config["classes"]))
    return values
