"""The paper's ten figures and some beyond it, from real training runs.

``FIGURES`` has them by number or name. A figure is a grid of runs; ``plan`` lists them, ``compute``
runs those that are missing, ``results`` collects what they left, and ``write`` draws.
"""

from ntklin.validation.figures import (
    decay,
    executors,
    figure1_10,
    figure2_6,
    figure3_7,
    figure4_8,
    figure5,
    figure9,
    moments,
)
from ntklin.validation.figures.estimate import estimate
from ntklin.validation.figures.figure import SCALES
from ntklin.validation.figures.output import names, write
from ntklin.validation.figures.planning import IncompleteError, compute, plan, results
from ntklin.validation.figures.scheduler import WorkerDiedError
from ntklin.validation.figures.store import LOCKS, Store

PAPERS = (figure1_10, figure2_6, figure3_7, figure4_8, figure5, figure9)
BEYOND = (decay, moments)
FIGURES = dict(sorted((figure.name, figure) for module in PAPERS for figure in module.FIGURES))
FIGURES |= {figure.name: figure for module in BEYOND for figure in module.FIGURES}

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
