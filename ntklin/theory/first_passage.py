"""When a loss first drops below a target, by bisection on exact integers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ntklin.edge.arrays import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Course:
    """A loss Σ_i w_i (a_i + b_i p_t(μ_i))² along the steps.

    Attributes
    ----------
    values : ndarray, shape (M,)
        μ ≥ 0.
    floors, shares : ndarray, shape (M,)
        a, what is left for t → ∞, and b.
    weights : ndarray, shape (M,)
        w ≥ 0.
    """

    values: Array
    floors: Array
    shares: Array
    weights: Array

    @property
    def moving(self) -> Array:
        """The μ > 0 in which something moves."""
        return self.values[(self.values > 0) & (self.shares != 0)]

    def residuals(self, left: Array) -> Array:
        """a + b p for p (…, M)."""
        with np.errstate(under="ignore"):
            return self.floors + self.shares * left

    def losses(self, left: Array) -> Array:
        """Σ_i w_i (a_i + b_i p_i)² for p (…, M), which is overwritten: it may be large."""
        # What diverges overflows to ∞, and whoever asks looks for that.
        with np.errstate(over="ignore", under="ignore"):
            left *= self.shares
            left += self.floors
            np.square(left, out=left)
            return left @ self.weights


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


def first_within(
    least: Callable[[int, int], float],
    losses: Callable[[int, int], Array],
    target: float,
    horizon: int,
    *,
    block: int,
) -> int | None:
    """The smallest t in 0 … horizon with a loss below ``target``, or None.

    Intervals whose lower bound is not below the target are passed over; others are halved, down to
    blocks in which every t is looked at.

    Parameters
    ----------
    least : callable
        (first, last) ↦ a lower bound on the losses at first, …, last.
    losses : callable
        (start, stop) ↦ those at start, …, stop − 1.
    target : float
    horizon : int
    block : int

    Returns
    -------
    int or None
    """
    intervals = [(0, horizon)]
    while intervals:
        first, last = intervals.pop()
        if least(first, last) >= target:
            continue
        if last - first < block:
            below = np.flatnonzero(losses(first, last + 1) < target)
            if len(below):
                return first + int(below[0])
            continue
        middle = first + (last - first) // 2
        intervals += [(middle + 1, last), (first, middle)]
    return None
