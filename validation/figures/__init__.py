"""The paper's ten figures, from real training runs.

``FIGURES`` has them by number. A figure is a grid of runs; ``plan`` lists them, ``compute`` runs
those that are missing, ``results`` collects what they left, and ``write`` draws.
"""

from ntklin.validation.figures import (
    executors,
    figure1_10,
    figure2_6,
    figure3_7,
    figure4_8,
    figure5,
    figure9,
)
from ntklin.validation.figures.estimate import estimate
from ntklin.validation.figures.figure import SCALES
from ntklin.validation.figures.output import names, write
from ntklin.validation.figures.planning import IncompleteError, compute, plan, results
from ntklin.validation.figures.scheduler import WorkerDiedError
from ntklin.validation.figures.store import LOCKS, Store

MODULES = (figure1_10, figure2_6, figure3_7, figure4_8, figure5, figure9)
FIGURES = dict(sorted((figure.number, figure) for module in MODULES for figure in module.FIGURES))

__all__ = [
    "FIGURES",
    "LOCKS",
    "SCALES",
    "IncompleteError",
    "Store",
    "WorkerDiedError",
    "compute",
    "estimate",
    "executors",
    "names",
    "plan",
    "results",
    "write",
]
