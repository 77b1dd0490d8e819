"""A figure's files: PNG and PDF, the points as CSV, the runs as JSON."""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np

from ntklin.edge.files.names import LONGEST_NAME, as_cell, shown
from ntklin.edge.files.seal import sealed
from ntklin.edge.files.writing import write_together
from ntklin.validation.figures.configuration import VERSION, Record, Task
from ntklin.validation.figures.drawing import draw, image
from ntklin.validation.figures.outcomes import CONVERGED, Results
from ntklin.validation.figures.panel import Panel, Rows
from ntklin.validation.figures.planning import Plan
from ntklin.validation.figures.style import LABELS

SCHEMA = "ntklin-figure/1"
COLUMNS = ("panel", "series", "x_label", "x", "y_label", "mean", "std", "sem", "n")
KINDS = ("png", "pdf", "csv", "json")
DPI = 200
# Characters of a data set's name in those of files, which have at most 255 bytes.
LONGEST_STEM = 40


def write(
    planned: Plan, results: Results, folder: str | PathLike[str], provenance: dict[str, Any]
) -> list[Path]:
    """Draw a figure and write its files; where some cannot be written, the others are kept.

    Parameters
    ----------
    planned : Plan
    results : Results
    folder : path
        Created if need be.
    provenance : dict
        For the JSON: how it came about.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    OSError
        Naming the files that could not be written, and those that were.
    """
    rows = planned.figure.panels(results, planned.scale)
    text = caption(planned, results, rows)
    canvas = draw(rows, text)
    contents = {  # on a full disk the numbers come first
        "json": json.dumps(sealed(payload(planned, results, text, provenance)), indent=1),
        "csv": points(rows),
        "png": image(canvas, "png", dpi=DPI),
        "pdf": image(canvas, "pdf", metadata={"CreationDate": None}),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_together({folder / f"{stem(planned)}.{kind}": c for kind, c in contents.items()})
    return [folder / name for name in names(planned)]


def names(planned: Plan) -> list[str]:
    """Of a figure's files."""
    return [f"{stem(planned)}.{kind}" for kind in KINDS]


def stem(planned: Plan) -> str:
    """The files' name without its ending: figure, data unless its own, scale."""
    name = planned.figure.name
    parts = [f"figure{name:02d}" if isinstance(name, int) else f"figure-{name}"]
    if planned.dataset != planned.figure.dataset:
        parts.append(re.sub(r"[^\w.+-]", "_", Path(planned.dataset).stem)[:LONGEST_STEM])
        if Path(planned.dataset).is_absolute():
            parts.append(planned.runs[0].digest[:6])  # other data may have the same name
    if planned.scale_name != "standard":
        parts.append(planned.scale_name)
    return "-".join(parts)


def caption(planned: Plan, results: Results, rows: Rows) -> str:
    """What was run, and what of it did not go as it should."""
    series = [s for row in rows for panel in row for s in panel.series]
    sentences = [
        f"Figure {planned.figure.name}. {planned.figure.title}",
        f"{shown(planned.dataset, LONGEST_NAME)}, N = {span(results, 'n_train')} training and "
        f"{span(results, 'n_test')} test points; L = {span(results, 'depth')}, "
        f"m = {span(results, 'width')}, σ = {span(results, 'sigma')}, biases trained from 0; "
        + draws(planned.scale["n_seeds"], any(s.error == "sem" for s in series)),
    ]
    sentences += (planned.figure.notes or of_training)(results)
    if any(cut(panel) for row in rows for panel in row):
        sentences.append("Bars and bands that would reach below 0 are cut")
    return ". ".join(sentences) + "."


def draws(n_seeds: int, are_errors: bool) -> str:
    """How many initializations there are, and what bars and bands show of them."""
    if n_seeds == 1:
        return "one initialization"
    shown_of = "standard errors" if are_errors else "standard deviations"
    return f"{n_seeds} initializations, means and {shown_of}"


def of_training(results: Results) -> list[str]:
    """Sentences on how networks were trained, and what did not go as it should."""
    methods = results.values("method")
    sentences = [
        f"Training ends when the {results.values('loss')[0]} loss first drops below "
        f"{span(results, 'until')}",
    ]
    if len(rates := results.where(method="sgd").values("split")) == 1:
        sentences.append(f"SGD has mini-batches of {rates[0]:g} N, shuffled")
    if adaptive := [LABELS[m] for m in methods if m not in ("gd", "sgd")]:
        sentences.append(
            f"{' and '.join(adaptive)}: the largest learning rate with which the squared loss of "
            "the first initialization only falls on all samples, within 20 %"
        )
    return sentences + failures(results)


def span(results: Results, name: str) -> str:
    """An attribute's values: one, two, or the smallest and the largest."""
    values = [f"{value:g}" for value in results.values(name)]
    return " and ".join(values) if len(values) < 3 else f"{values[0]} to {values[-1]}"


def failures(results: Results) -> list[str]:
    """Sentences on runs that did not converge, and on losses that rose."""
    sentences = []
    for what in ("network", "linearized"):
        ends = [getattr(result, what) for _, result in results.items]
        missed = sum(end.outcome != CONVERGED for end in ends)
        if missed:
            which = "networks" if what == "network" else "linearized networks"
            sentences.append(f"{missed} of {len(ends)} {which} did not get there and are left out")
    watched = [result.monotone for _, result in results.items if result.monotone is not None]
    if rose := watched.count(False):
        sentences.append(f"In {rose} of {len(watched)} runs on all samples the loss rose in a step")
    return sentences


def cut(panel: Panel) -> bool:
    """Whether a bar of a panel would reach below zero on its logarithmic scale."""
    return panel.y_scale == "log" and any(
        np.any(s.mean - np.nan_to_num(s.half) <= 0) for s in panel.series
    )


def points(rows: Rows) -> str:
    """The panels' curves as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for panel in (panel for row in rows for panel in row):
        for series in panel.series:
            for k, x in enumerate(series.x):
                writer.writerow(
                    [
                        *map(as_cell, (panel.title, series.label, panel.x_label)),
                        *(x, as_cell(panel.y_label)),
                        *(repr(float(v[k])) for v in (series.mean, series.std, series.sem)),
                        len(series.draws[k]),
                    ]
                )
    return buffer.getvalue()


def payload(
    planned: Plan, results: Results, text: str, provenance: dict[str, Any]
) -> dict[str, Any]:
    """All runs with what they left, as values for JSON."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "figure": planned.figure.name,
        "title": planned.figure.title,
        "claim": planned.figure.claim,
        "caption": text,
        "scale": planned.scale_name,
        "dataset": shown(planned.dataset),
        "computing_seconds": sum(found.seconds for _, found in results.searches + results.items),
        "provenance": provenance,
        "searches": pairs(results.searches),
        "runs": pairs(results.items),
    }


def pairs(items: Iterable[tuple[Task, Record]]) -> list[dict[str, Any]]:
    """Configurations with what came of them, as values for JSON."""
    return [
        {"configuration": asdict(task), "record": asdict(cast(Any, found))} for task, found in items
    ]
