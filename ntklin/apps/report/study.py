"""The report of a study: its files, and the numbers in results.json."""

from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from ntklin.apps.plots import png, study_figure, without_tex
from ntklin.apps.report.result_files import plain, write_files
from ntklin.apps.report.study_page import study_page
from ntklin.apps.study import OptimizerRow, ScaleRow, StudyResult

NAMES = ("minimizer.png", "report.html", "results.json")
SCHEMA = "ntklin-minimizer/2"


def write_study(
    result: StudyResult, folder: str | PathLike[str], provenance: dict[str, Any]
) -> list[Path]:
    """Write plot, page and JSON into ``folder``; replaces its own files and touches no others.

    Parameters
    ----------
    result : StudyResult
        With at least one result.
    folder : path
        Created if need be.
    provenance : dict
        How the run came about; see ``study_page``.

    Returns
    -------
    list of pathlib.Path
    """
    with without_tex():
        image = png(study_figure(result))
    page = study_page(result, image, provenance)
    return write_files(folder, NAMES, (image, page, study_json(result, provenance)))


def study_json(result: StudyResult, provenance: dict[str, Any]) -> dict[str, Any]:
    """The study as values that JSON can hold.

    Parameters
    ----------
    result : StudyResult
    provenance : dict
        How the run came about: command, versions, time. Goes in as it is.

    Returns
    -------
    dict
        ``schema``, ``complete``, ``config``, ``slope`` (expected L, mean, std and per seed),
        ``infinite_width_missing`` (why nothing is known of it, or None), ``summary`` (per σ:
        outcomes and statistics), ``records``, ``optimizers`` (the comparison: its own ``summary``
        and ``records``) and ``provenance``. A number that is missing or not finite is None.
    """
    slope = result.slope
    return plain(
        {
            "schema": SCHEMA,
            "complete": result.complete,
            "config": result.config.describe(),
            "slope": {
                "expected": result.config.power,
                "mean": None if slope is None else slope.mean,
                "std": None if slope is None else slope.std,
                "per_seed": {str(seed): law.exponent for seed, law in result.power_laws.items()},
            },
            "infinite_width_missing": result.infinite_width_missing or None,
            "summary": [
                {
                    "sigma": row.sigma,
                    "outcomes": row.outcomes,
                    "statistics": _statistics(row),
                }
                for row in result.rows
            ],
            "records": [
                {**one.numbers(), "compared_at": one.compared_at} for one in result.scale_results
            ],
            "optimizers": {
                "summary": [
                    {
                        "optimizer": row.optimizer,
                        "outcomes": row.outcomes,
                        "outcomes_linearized": row.outcomes_linearized,
                        "statistics": _statistics(row),
                    }
                    for row in result.optimizer_rows
                ],
                "records": [asdict(one) for one in result.optimizer_results],
            },
            "provenance": provenance,
        }
    )


def _statistics(row: ScaleRow | OptimizerRow) -> dict[str, Any]:
    return {
        name: None if statistic is None else asdict(statistic)
        for name, statistic in row.statistics.items()
    }
