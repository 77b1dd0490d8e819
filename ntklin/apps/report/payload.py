"""A study as plain values, for results.json."""

import math
from dataclasses import asdict

SCHEMA = "ntklin-minimizer/2"


def payload(result, provenance):
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
        ``summary`` (per σ: outcomes and statistics), ``records``, ``optimizers`` (the comparison:
        its own ``summary`` and ``records``) and ``provenance``. A number that is missing or not
        finite is None.
    """
    slope = result.slope
    return plain(
        {
            "schema": SCHEMA,
            "complete": result.complete,
            "config": result.config.describe(),
            "slope": {
                "expected": result.config.depth,
                "mean": None if slope is None else slope.mean,
                "std": None if slope is None else slope.std,
                "per_seed": {str(seed): law.exponent for seed, law in result.power_laws.items()},
            },
            "summary": [
                {
                    "sigma": row.sigma,
                    "outcomes": row.outcomes,
                    "statistics": _statistics(row),
                }
                for row in result.rows
            ],
            "records": [
                {**record.numbers(), "compared_at": record.compared_at} for record in result.records
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
                "records": [asdict(record) for record in result.optimizer_records],
            },
            "provenance": provenance,
        }
    )


def _statistics(row):
    return {
        name: None if statistic is None else asdict(statistic)
        for name, statistic in row.statistics.items()
    }


def plain(value):
    """``value`` with None for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
