"""Sect. 3's algorithm against what the initialization leaves in the trained network."""

from ntklin.recipes.mitigation.algorithm import mitigate_initialization
from ntklin.recipes.mitigation.half_life import decay_initialization
from ntklin.recipes.mitigation.result import (
    DIVERGED,
    INTERRUPTED,
    NO_DECREASE,
    SMALLEST,
    TOO_SLOW,
    Mitigation,
    MitigationInterrupted,
)
from ntklin.recipes.mitigation.trial import CONVERGED, HALF_LIFE, STEP_LIMIT, TIME_LIMIT, Trial

__all__ = [
    "CONVERGED",
    "DIVERGED",
    "HALF_LIFE",
    "INTERRUPTED",
    "NO_DECREASE",
    "SMALLEST",
    "STEP_LIMIT",
    "TIME_LIMIT",
    "TOO_SLOW",
    "Mitigation",
    "MitigationInterrupted",
    "Trial",
    "decay_initialization",
    "mitigate_initialization",
]
