"""The report of a mitigation: its files, and the numbers in results.json."""

from os import PathLike
from pathlib import Path
from typing import Any

from ntklin.apps.plots import png, without_tex
from ntklin.apps.plots.mitigation import mitigation_figure
from ntklin.apps.report.mitigation_columns import COLUMNS, KINDS
from ntklin.apps.report.mitigation_page import mitigation_page
from ntklin.apps.report.result_files import plain, write_files
from ntklin.edge.files.unfinished import COMPLETE
from ntklin.recipes.mitigation import INTERRUPTED, Mitigation, Trial

NAMES = ("mitigate.png", "report.html", "results.json", "network.npz")
SCHEMA = "ntklin-mitigate/1"


def write_mitigation(
    found: Mitigation,
    config: dict[str, Any],
    folder: str | PathLike[str],
    provenance: dict[str, Any],
) -> list[Path]:
    """Write plot, page, JSON and the network that is kept into ``folder``; touches no other files.

    Parameters
    ----------
    found : Mitigation
    config : dict
        See ``mitigation_json``.
    folder : path
        Created if need be.
    provenance : dict
        See ``ntklin.apps.report.study_page``.

    Returns
    -------
    list of pathlib.Path
    """
    with without_tex():
        image = png(mitigation_figure(found, config))
    page = mitigation_page(found, config, image, provenance)
    values = mitigation_json(found, config, provenance)
    return write_files(folder, NAMES, (image, page, values, found.run.write))


def mitigation_json(
    found: Mitigation, config: dict[str, Any], provenance: dict[str, Any]
) -> dict[str, Any]:
    """The mitigation as values that JSON can hold.

    Parameters
    ----------
    found : Mitigation
    config : dict
        What was asked for: ``data``, ``provenance`` (of the data), ``n_train``, ``n_val``,
        ``n_test``, ``depth``, ``widths``, ``scaling``, ``bias``, ``seed``, ``dtype``, ``sigma``,
        ``factor``, ``margin``, ``min_sigma``, ``until``, ``max_steps`` and ``time_limit``.
    provenance : dict
        How the run came about: command, versions, time. Goes in as it is.

    Returns
    -------
    dict
        ``schema``, ``complete``, ``stopped``, ``best`` (its place among the trials), ``config``,
        ``trials``, ``baselines``, ``decayed`` (None if it was not asked for) and ``provenance``. A
        number that is missing or not finite is
        None.
    """
    return plain(
        {
            "schema": SCHEMA,
            COMPLETE: found.stopped != INTERRUPTED,
            "stopped": found.stopped,
            "best": found.trials.index(found.best),
            "config": config,
            "trials": [_numbers(trial) for trial in found.trials],
            "baselines": [
                {"network": KINDS[type(trial.network)], **_numbers(trial)}
                for trial in found.baselines
            ],
            "decayed": found.decayed
            and {"weight_decay": found.decayed.weight_decay, **_numbers(found.decayed)},
            "provenance": provenance,
        }
    )


def _numbers(trial: Trial) -> dict[str, Any]:
    numbers = {column.name: getattr(trial, column.name) for column in COLUMNS}
    return {
        "sigma": trial.sigma,
        "n_parameters": trial.network.n_parameters,
        "outcome": trial.outcome,
        **numbers,
    }
