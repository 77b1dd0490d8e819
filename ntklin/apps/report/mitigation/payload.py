"""A mitigation as plain values, for results.json."""

from ntklin.apps.report.mitigation.columns import COLUMNS, KINDS
from ntklin.apps.report.payload import plain
from ntklin.edge.files.unfinished import COMPLETE
from ntklin.recipes.mitigation import INTERRUPTED

SCHEMA = "ntklin-mitigate/1"


def mitigation_payload(found, config, provenance):
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
        ``trials``, ``baselines`` and ``provenance``. A number that is missing or not finite is
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
            "provenance": provenance,
        }
    )


def _numbers(trial):
    numbers = {column.name: getattr(trial, column.name) for column in COLUMNS}
    return {
        "sigma": trial.sigma,
        "n_parameters": trial.network.n_parameters,
        "outcome": trial.outcome,
        **numbers,
    }
