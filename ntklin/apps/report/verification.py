"""The report of a verification: its files, and the verdicts in results.json."""

from dataclasses import asdict

from ntklin.apps.report.result_files import write_files
from ntklin.apps.report.verification_page import verification_page
from ntklin.apps.report.verification_verdicts import counts
from ntklin.edge.files.unfinished import COMPLETE

NAMES = ("report.html", "results.json")
SCHEMA = "ntklin-verify/1"


def write_verification(judged, config, folder, provenance, complete=True):
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


def verification_json(judged, config, provenance, complete=True):
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
