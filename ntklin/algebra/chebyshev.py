"""Powers of a symmetric operator by fewer products: x^t as a Chebyshev sum on its spectrum."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from ntklin.edge.arrays import Array

# log(2/ε) of the tail that is left out, ε = 2e-18 of the largest value that x^t takes.
DIGITS = 41.5

# Entries of one block of the table that is transformed.
_BLOCK = 1 << 20


def degree(t: int, low: float, high: float) -> int:
    """From which degree on x^t is its Chebyshev sum on [low, high], to rounding.

    With y = (x − m)/h, m the middle and h half the length, c_p(t) in x^t = Σ_p c_p(t) T_p(y) is
    high^t times the probability that a walk which goes up or down with probability h/(2 high) each
    is at ±p after t steps, so that Bernstein's inequality bounds what is left out: about √(2t h)
    times √log(1/ε) terms stand for t products.

    Parameters
    ----------
    t : int
    low, high : float
        −high ≤ low < high.

    Returns
    -------
    int
        At most t, of which degree the polynomial is.
    """
    variance = (high - low) / (2 * high)
    third = DIGITS / 3
    return min(t, math.ceil(third + math.sqrt(third * third + 2 * DIGITS * variance * t)))


def power_coefficients(t: NDArray[np.int64], low: float, high: float) -> Array:
    """c_p(t) with x^t = Σ_p c_p(t) T_p((x − m)/h) on [low, high], each up to its own degree.

    Parameters
    ----------
    t : ndarray of int, shape (n,)
    low, high : float
        See ``degree``.

    Returns
    -------
    ndarray, shape (n, q + 1)
        q the largest of the degrees; infinite where high^t is.
    """
    degrees = np.array([degree(int(s), low, high) for s in t])
    most = int(degrees.max(initial=0))
    nodes = most + 1
    middle, half = (high + low) / 2, (high - low) / 2
    x = middle + half * np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    coefficients = np.empty((len(t), nodes))
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        logs = np.log(np.abs(x))
        size = max(1, _BLOCK // nodes)
        for i in range(0, len(t), size):
            s = t[i : i + size, None]
            powers = np.where(s == 0, 1.0, np.exp(s * logs))
            np.negative(powers, where=(s % 2 == 1) & (x < 0), out=powers)
            coefficients[i : i + size] = np.asarray(dct(powers, axis=1)) / nodes
    coefficients[:, 0] /= 2
    coefficients[np.arange(nodes) > degrees[:, None]] = 0.0
    return coefficients
