"""The report of a verification: its files, and the verdicts in results.json."""

from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from ntklin.apps.report.result_files import write_files
from ntklin.apps.report.verification_page import verification_page
from ntklin.apps.report.verification_verdicts import Judged, counts
from ntklin.edge.files.unfinished import COMPLETE

NAMES = ("report.html", "results.json")
SCHEMA = "ntklin-verify/1"


def write_verification(
    judged: Sequence[Judged],
    config: dict[str, Any],
    folder: str | PathLike[str],
    provenance: dict[str, Any],
    complete: bool = True,
) -> list[Path]:
    """Write page and JSON into ``folder``; replaces its own files and touches no others.

    Parameters
    ----------
    judged : sequence of Judged
    config : dict
    folder : path
        Created if need be.
    provenance : dict
    complete : bool
        Whether all that was asked for was judged.

    Returns
    -------
    list of pathlib.Path
    """
    page = verification_page(judged, config, provenance)
    values = verification_json(judged, config, provenance, complete)
    return write_files(folder, NAMES, (page, values))


def verification_json(
    judged: Sequence[Judged],
    config: dict[str, Any],
    provenance: dict[str, Any],
    complete: bool = True,
) -> dict[str, Any]:
    """The verification as values for JSON."""
    return {
        "schema": SCHEMA,
        COMPLETE: complete,
        "config": config,
        "counts": {k: {"passed": p, "checks": n} for k, (p, n) in counts(judged).items()},
        "checks": [
            {
                "title": item.statement.title,
                "hypothesis": item.check.hypothesis,
                "wrong": item.check.control,
                "passed": item.verdict.passed,
                **asdict(item.verdict),
            }
            for item in judged
        ],
        "provenance": provenance,
    }
