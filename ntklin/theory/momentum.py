"""Gradient descent with momentum in closed form: heavy ball and Nesterov."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.theory.companion import Companion, heavy_ball, nesterov
from ntklin.theory.descent_rules import Rule, bound_of
from ntklin.theory.discrete_time import Steps, as_steps
from ntklin.theory.first_passage import Course, first_within

_BLOCK = 1 << 18  # entries of p_t that one look at a block of steps makes
_FAR = 1e280  # steps, beyond which their numbers might overflow


def contributions(momentum: float, is_nesterov: bool) -> tuple[float, float]:
    """What g_t and β v_t contribute to a step of −η: (1, 1), or (1 + β, β) of Nesterov's."""
    return (1 + momentum, momentum) if is_nesterov else (1.0, 1.0)


def best_rate(ratio: float, momentum: float, is_nesterov: bool) -> float:
    """The ημ/N of the largest μ at which the slowest direction contracts fastest in the limit.

    2(1 + β)/(1 + ratio) for heavy ball, at which both ends of the spectrum do alike; with Nesterov
    |z_1| falls up to ημ/N = 1 and rises beyond, so that both ends meet there, too.

    Parameters
    ----------
    ratio : float
        The smallest μ over the largest, in (0, 1].
    momentum : float
        0 ≤ β < 1.
    is_nesterov : bool

    Returns
    -------
    float
    """
    if not (is_nesterov and momentum):
        return 2 * (1 + momentum) / (1 + ratio)
    below, above = 1.0, bound_of(momentum, is_nesterov)[0]
    while below < (middle := (below + above) / 2) < above:
        slow, fast = nesterov(np.array([ratio, 1.0]) * middle, momentum).spread("log_size")
        below, above = (middle, above) if fast < slow else (below, middle)
    return below


@dataclass(frozen=True, eq=False)
class MomentumRule(Rule):
    """p_t by powers of a 2×2 companion matrix; see ``companion``.

    Attributes
    ----------
    rate : float
        η/N.
    momentum : float
        0 < β < 1.
    is_nesterov : bool
    """

    rate: float
    momentum: float
    is_nesterov: bool

    def roots(self, values: Array) -> Companion:
        """The companion matrices' roots."""
        with np.errstate(over="ignore", under="ignore"):
            x = self.rate * values
        return (nesterov if self.is_nesterov else heavy_ball)(x, self.momentum)

    def left(self, values: Array, steps: Steps) -> Array:
        """p_t(μ)."""
        return self.roots(values).left(steps)

    def growth(self, values: Array, steps: Steps) -> Array:
        """(1 − p_t)/μ; where p_t is near 1, by squaring 1 − A^t for the matrix A of a step."""
        with np.errstate(all="ignore"):
            x, count = self.rate * values, np.minimum(steps.count, _FAR)
            growth = (1 - self.left(values, steps)) / values
            # 1 − p_t is at most twice x times this.
            reach = count * np.minimum(count, 1 / (1 - self.momentum))
            early = np.multiply.outer(reach, x) < 1
            columns = np.flatnonzero(early.any(axis=0))
            first = _Moved.first(x[columns], self.momentum, self.is_nesterov)
            moved = self.rate * first.power(x[columns], count)
        growth[:, columns] = np.where(early[:, columns], moved, growth[:, columns])
        return growth

    def progress(self, steps: Steps) -> Array:
        """Their limit at μ = 0, about ηt/((1 − β)N)."""
        return self.growth(np.zeros(1), steps)[:, 0]

    def first_below(self, course: Course, target: float) -> int | None:
        """By bisection, with a bound on the loss from below over an interval of steps.

        Directions with 0 < z_2 ≤ z_1 only fall, those with z_1 ≤ z_2 < 0 rise and fall once, and
        all others stay below |z_1|^t times a constant. Where that bound tells nothing, while what
        oscillates alone keeps the loss above the target, every step is looked at: some
        log(L_0/L)/(1 − β) of them.

        Returns
        -------
        int or None
        """
        roots = self.roots(course.values)
        falls = ~roots.oscillates & ~roots.spread("negative")
        turns = ~falls & ~roots.oscillates & (not self.is_nesterov)
        amplitude, log_size = roots.spread("amplitude"), roots.spread("log_size")
        floors, shares = np.abs(course.floors), np.abs(course.shares)

        def least(first: int, last: int) -> float:
            ends = roots.left(as_steps([first, last]))
            r, s = course.residuals(ends)
            lower = np.where(falls & (r * s > 0), np.minimum(np.abs(r), np.abs(s)), 0.0)
            with np.errstate(all="ignore"):
                most = np.exp(first * log_size) * amplitude
                lower = np.where(falls, lower, np.maximum(floors - shares * most, 0.0))
                fewest = shares * np.minimum(*np.abs(ends)) - floors
                lower = np.where(turns, np.maximum(lower, fewest), lower)
                return float(np.nan_to_num(lower) ** 2 @ course.weights)

        def losses(start: int, stop: int) -> Array:
            return course.losses(roots.left(as_steps(np.arange(start, stop))))

        moving = (course.values > 0) & (course.shares != 0)
        slowest = float(np.min(-log_size[moving], initial=np.inf))
        horizon = math.ceil(1600 / max(slowest, 1e-300))
        block = max(16, _BLOCK // max(1, len(course.values)))
        return first_within(least, losses, target, horizon, block=block)


@dataclass(frozen=True, eq=False)
class _Moved:
    """1 − A^t = [[x P, x Q], [−R, S]], the step's matrix A acting on (p, N v/μ).

    1 − A^{s+t} is the sum of both less their product, in which early on all terms of one entry have
    one sign; so P = (1 − p_t)/x has its digits for every x and t.
    """

    P: Array
    Q: Array
    R: Array
    S: Array

    @classmethod
    def first(cls, x: Array, momentum: float, is_nesterov: bool) -> _Moved:
        """1 − A."""
        own, carried = contributions(momentum, is_nesterov)
        return cls(*(np.full(x.shape, c) for c in (own, carried * momentum, 1.0, 1 - momentum)))

    def then(self, other: _Moved, x: Array) -> _Moved:
        """Both, one after the other."""
        P, Q, R, S = self.P, self.Q, self.R, self.S
        return _Moved(
            P + other.P - x * P * other.P + Q * other.R,
            Q + other.Q - x * P * other.Q - Q * other.S,
            R + other.R - x * R * other.P - S * other.R,
            S + other.S + x * R * other.Q - S * other.S,
        )

    def power(self, x: Array, count: Array) -> Array:
        """P of 1 − A^t, (T, M)."""
        left, square = count.copy(), self
        found = _Moved(*np.zeros((4, len(count), len(x))))
        while left.any():
            rows = np.flatnonzero(left % 2)
            if len(rows):
                part = replace(found, **{k: a[rows] for k, a in vars(found).items()})
                for name, a in vars(part.then(square, x)).items():
                    getattr(found, name)[rows] = a
            left = np.floor(left / 2)
            if left.any():
                square = square.then(square, x)
        return found.P
