"""How a study measures outputs; summed in float64 whatever their dtype."""

from typing import Any

import numpy as np

from ntklin.data import Dataset
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host


def mean_square(f: Any, g: Any) -> float:
    """‖f(X) − g(X)‖²/N, summed over outputs."""
    return float(((host(f).astype(np.float64) - host(g)) ** 2).sum() / len(f))


def loss(outputs: Any, Y: Array) -> float:
    """L(f) = ‖f(X) − Y‖²/(2N), summed over outputs."""
    return mean_square(outputs, Y) / 2


def distance(f: Any, g: Any) -> float:
    """‖f(X) − g(X)‖/√N over all outputs."""
    return mean_square(f, g) ** 0.5


def accuracy(outputs: Any, data: Dataset) -> float | None:
    """The share of test samples whose class the outputs give; None for targets of no classes."""
    if data.n_outputs == 1 and data.threshold is None:
        return None
    return float((data.labels_of(host(outputs)) == data.labels_test).mean())
