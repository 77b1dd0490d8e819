"""When a loss first drops below a target, by bisection on exact integers."""

from collections.abc import Callable

import numpy as np

from ntklin.edge.arrays import Array


def first_below(
    residuals: Callable[[int], Array], weights: Array, target: float, horizon: int
) -> int | None:
    """The smallest t in 0 … horizon with Σ_i w_i r_i(t)² < target, or None.

    Parameters
    ----------
    residuals : callable
        t ↦ r(t), (N,), each entry monotone over the even t and over the odd t, as
        a + b (1 − x)^t is. A residual may pass 0 on its way, so the loss need not be monotone.
    weights : ndarray, shape (N,)
        w ≥ 0.
    target : float
    horizon : int

    Returns
    -------
    int or None
    """
    found = [
        _first_of_parity(residuals, weights, target, parity, horizon + (horizon + parity) % 2)
        for parity in (0, 1)
    ]
    return min((t for t in found if t is not None), default=None)


def _first_of_parity(
    residuals: Callable[[int], Array], weights: Array, target: float, start: int, stop: int
) -> int | None:
    """The same over start, start + 2, …, stop: bisection that skips what cannot hold such a t."""
    intervals = [(start, stop)]
    while intervals:
        first, last = intervals.pop()
        if _least(residuals(first), residuals(last), weights) >= target:
            continue
        if first == last:
            return first
        middle = first + (last - first) // 4 * 2
        intervals += [(middle + 2, last), (first, middle)]
    return None


def _least(r: Array, s: Array, weights: Array) -> float:
    """A lower bound on Σ w r² between two t; the smaller end where no residual changes sign."""
    with np.errstate(under="ignore"):
        squares = np.where(r * s > 0, np.minimum(np.abs(r), np.abs(s)), 0.0) ** 2
        return float(squares @ weights)
