"""How a study measures outputs; summed in float64 whatever their dtype."""

from typing import Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import host


def mean_square(f: Any, g: Any) -> float:
    """‖f(X) − g(X)‖²/N."""
    return float(((host(f).astype(np.float64) - host(g)) ** 2).mean())


def loss(outputs: Any, Y: Array) -> float:
    """L(f) = ‖f(X) − Y‖²/(2N)."""
    return mean_square(outputs, Y) / 2


def distance(f: Any, g: Any) -> float:
    """‖f(X) − g(X)‖/√N."""
    return mean_square(f, g) ** 0.5
