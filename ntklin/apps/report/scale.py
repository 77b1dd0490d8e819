"""The report of minimizers of many samples: its files, and the numbers in results.json."""

import csv
import io
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from ntklin.apps.plots import png, without_tex
from ntklin.apps.plots.sizes import sizes_figure
from ntklin.apps.report.result_files import plain, write_files
from ntklin.apps.report.scale_columns import COLUMNS
from ntklin.apps.report.scale_page import scale_page
from ntklin.apps.scale.clock import PHASES
from ntklin.apps.scale.result import SizeResult
from ntklin.edge.arrays import Array
from ntklin.edge.files.unfinished import COMPLETE

NAMES = ("scale.png", "report.html", "results.json", "sizes.csv", "minimizer.npz")
SCHEMA = "ntklin-scale/1"


def write_scale(
    results: Sequence[SizeResult],
    coefficients: Array,
    config: dict[str, Any],
    complete: bool,
    folder: str | PathLike[str],
    provenance: dict[str, Any],
) -> list[Path]:
    """Write plot, page, JSON, CSV and coefficients into ``folder``; touches no other files.

    Parameters
    ----------
    results : sequence of SizeResult
        At least one, N increasing.
    coefficients : ndarray, shape (N, 2) or (N, C, 2)
        K^{-1} Y and K^{-1} f_0(X) of the last one.
    config : dict
        See ``scale_json``.
    complete : bool
        Whether these are all that were asked for.
    folder : path
        Created if need be.
    provenance : dict
        See ``ntklin.apps.report.study_page``.

    Returns
    -------
    list of pathlib.Path
    """
    with without_tex():
        image = png(sizes_figure(results, config))
    page = scale_page(results, config, complete, image, provenance)
    values = scale_json(results, config, complete, provenance)

    def write_coefficients(f: IO[bytes]) -> None:
        np.savez(f, coefficients=coefficients)

    contents = (image, page, values, sizes_csv(results), write_coefficients)
    return write_files(folder, NAMES, contents)


def scale_json(
    results: Sequence[SizeResult],
    config: dict[str, Any],
    complete: bool,
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """The minimizers as values that JSON can hold.

    Parameters
    ----------
    results : sequence of SizeResult
    config : dict
        See ``ntklin.apps.scale.problem.Problem.describe``.
    complete : bool
    provenance : dict
        How the run came about: command, versions, time. Goes in as it is.

    Returns
    -------
    dict
        ``schema``, ``complete``, ``config``, ``sizes`` (a ``SizeResult`` each, with its phases) and
        ``provenance``. A number that is missing or not finite is None.
    """
    return plain(
        {
            "schema": SCHEMA,
            COMPLETE: complete,
            "config": config,
            "sizes": [one.numbers() for one in results],
            "provenance": provenance,
        }
    )


def sizes_csv(results: Sequence[SizeResult]) -> str:
    """A row for each N: the numbers of the tables, and the seconds of each phase."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = ["n", *(column.name for column in COLUMNS)]
    writer.writerow([*names, *(f"seconds_{name}" for name in PHASES)])
    for one in results:
        seconds = {phase.name: phase.seconds for phase in one.phases}
        values = [getattr(one, name) for name in names] + [seconds.get(name) for name in PHASES]
        writer.writerow(["" if value is None else value for value in values])
    return buffer.getvalue()
