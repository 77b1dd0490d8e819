"""A figure's files: PNG and PDF, the points as CSV, the runs as JSON."""

import csv
import io
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from ntklin.validation.figures.configuration import VERSION
from ntklin.validation.figures.drawing import draw, image
from ntklin.validation.figures.records import CONVERGED, to_json

SCHEMA = "ntklin-figure/1"
COLUMNS = ("panel", "series", "x_label", "x", "y_label", "mean", "std", "sem", "n")
DPI = 200


def write(planned, results, folder, provenance):
    """Draw a figure and write its files; each appears whole or not at all.

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
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = planned.figure.panels(results, planned.scale)
    text = caption(planned, results)
    canvas = draw(rows, text)
    name = stem(planned)
    contents = {
        f"{name}.png": image(canvas, "png", dpi=DPI),
        f"{name}.pdf": image(canvas, "pdf", metadata={"CreationDate": None}),
        f"{name}.csv": points(rows).encode(),
        f"{name}.json": json.dumps(payload(planned, results, text, provenance), indent=1).encode(),
    }
    paths = []
    for file, content in contents.items():
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)
        paths.append(folder / file)
        os.replace(temporary, paths[-1])
    return paths


def stem(planned):
    """The files' name without its ending."""
    name = f"figure{planned.figure.number:02d}"
    if planned.dataset != planned.figure.dataset:
        name += f"-{Path(planned.dataset).stem}"
    return name if planned.scale_name == "standard" else f"{name}-{planned.scale_name}"


def caption(planned, results):
    """What was run, and what of it did not go as it should."""
    scale = planned.scale
    runs = len(results.items)
    text = (
        f"Figure {planned.figure.number}. {planned.figure.title}. Data: {planned.dataset}, at most "
        f"{scale['n_train']} training and {scale['n_test']} test points; "
        f"{scale['n_seeds']} initializations, mean and "
        f"{'standard error' if planned.figure.number == 5 else 'standard deviation'}; trained "
        f"until the loss first dropped below {scale['until']:g}. Solid: trained networks; dashed: "
        "their linearizations at θ_0."
    )
    missed = [run for run, record in results.items if record.network.outcome != CONVERGED]
    rising = [run for run, record in results.items if record.monotone is False]
    if missed:
        text += f" {len(missed)} of {runs} networks did not get there and are left out."
    if rising:
        text += f" In {len(rising)} of {runs} runs the loss rose in some step."
    return text


def points(rows):
    """The panels' curves as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for panel in (panel for row in rows for panel in row):
        for series in panel.series:
            for k, x in enumerate(series.x):
                writer.writerow(
                    [
                        *(panel.title, series.label, panel.x_label, x, panel.y_label),
                        *(repr(float(v[k])) for v in (series.mean, series.std, series.sem)),
                        len(series.draws[k]),
                    ]
                )
    return buffer.getvalue()


def payload(planned, results, text, provenance):
    """All runs with their records, as values for JSON."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "figure": planned.figure.number,
        "title": planned.figure.title,
        "claim": planned.figure.claim,
        "caption": text,
        "scale": planned.scale_name,
        "dataset": planned.dataset,
        "provenance": provenance,
        "runs": [
            {"configuration": asdict(run), "record": to_json(record)}
            for run, record in results.items
        ],
    }
