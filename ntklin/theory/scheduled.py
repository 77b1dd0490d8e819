"""Gradient descent whose learning rate depends on the step, with momentum and without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ntklin.edge.arrays import Array
from ntklin.edge.errors import DivergenceError, FloatRangeError
from ntklin.edge.ranges import shift
from ntklin.runs.schedules import LearningRate, rates
from ntklin.theory.descent_rules import Rule
from ntklin.theory.discrete_time import Steps, log_base
from ntklin.theory.first_passage import Course
from ntklin.theory.momentum import contributions

_BLOCK = 1 << 18  # entries of one block of steps and directions
MOST_STEPS = 10**7  # that one walk goes


@dataclass(frozen=True, eq=False, kw_only=True)
class ScheduledRule(Rule):
    """p_t(μ) by walking the steps, all directions and all t in one pass.

    A later request goes on where the latest one ended, if it is for the same directions.

    Attributes
    ----------
    schedule : callable
        t ↦ η_t ≥ 0.
    exponent : int
        Rates are taken times 2^exponent.
    n_samples : int
        N.
    momentum : float
        0 ≤ β < 1.
    is_nesterov : bool
    """

    schedule: LearningRate
    exponent: int
    n_samples: int
    momentum: float = 0.0
    is_nesterov: bool = False
    _latest: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def _sent(self) -> dict[str, Any]:
        return super()._sent() | {"_latest": {}}

    def left(self, values: Array, steps: Steps) -> Array:
        """p_t(μ)."""
        walk, states, which = self._walk(values, steps)
        return walk.left(*states)[which]

    def growth(self, values: Array, steps: Steps) -> Array:
        """(1 − p_t(μ))/μ."""
        walk, states, which = self._walk(values, steps)
        return walk.growth(*states)[which]

    def progress(self, steps: Steps) -> Array:
        """Σ_{s<t} η_s/N without momentum."""
        return self.growth(np.zeros(1), steps)[:, 0]

    def first_below(self, course: Course, target: float) -> int | None:
        """By looking at every step, up to 10⁷ of them."""
        most, stop = max(1, _BLOCK // max(1, len(course.values))), 0
        while stop <= MOST_STEPS:
            start, stop = stop, min(stop + min(most, max(64, stop)), MOST_STEPS + 1)
            count = np.arange(start, stop, dtype=np.float64)
            left = self.left(course.values, Steps(count, count % 2 == 1, count.shape))
            losses = course.losses(left)
            below = np.flatnonzero(losses < target)
            if len(below):
                return start + int(below[0])
            if not np.isfinite(losses[-1]):
                last = self.rates(stop - 1, stop)[0] * self.n_samples
                raise DivergenceError(
                    "gradient descent diverges: the loss is no longer a number after "
                    f"{stop - 1} steps; let the schedule have lower rates",
                    learning_rate=float(last),
                    bound=None,
                    step=stop - 1,
                )
        return None

    def rates(self, start: int, stop: int) -> Array:
        """2^exponent η_t/N of the steps start … stop − 1."""
        found = shift(rates(self.schedule, start, stop), self.exponent)
        if not np.isfinite(found).all():  # small ones may well underflow: schedules end near 0
            raise FloatRangeError(
                "learning_rate times the kernel overflows float64; let the schedule have rates "
                "nearer to N/λ_max"
            )
        return found / self.n_samples

    def _walk(self, values: Array, steps: Steps) -> tuple[_Walk, list[Array], NDArray[np.intp]]:
        """A walk, its states at the different t in ascending order, and which is each t's."""
        farthest = float(steps.count.max(initial=0.0))
        if farthest > MOST_STEPS:
            raise ValueError(
                f"with a schedule steps are taken one by one: t must be at most {MOST_STEPS:.0e}, "
                f"got {farthest:.6g}"
            )
        walk: _Walk | None = self._latest.get("walk")
        nearest = steps.count.min(initial=np.inf)
        if walk is None or walk.t > nearest or not np.array_equal(walk.values, values):
            walk = (_Coasting if self.momentum else _Sliding)(self, values)
        counts, which = np.unique(steps.count, return_inverse=True)
        walk, states = walk.visit(self, counts.astype(np.int64))
        self._latest["walk"] = walk
        return walk, states, which.reshape(-1)


class _Walk(ABC):
    """n directions after t steps; walking on makes another one.

    Parameters
    ----------
    rule : ScheduledRule
    values : ndarray, shape (n,)
        μ.
    """

    t: int = 0
    #: Arrays of n numbers, or of one.
    state: tuple[Array, ...]

    def __init__(self, rule: ScheduledRule, values: Array) -> None:
        self.values, self.momentum = values.copy(), rule.momentum
        self.own, self.carried = contributions(rule.momentum, rule.is_nesterov)

    def visit(self, rule: ScheduledRule, counts: NDArray[np.int64]) -> tuple[Self, list[Array]]:
        """The walk at the last of some ascending t, and the states at all, (T, n) or (T, 1)."""
        block = max(1, _BLOCK // max(1, len(self.values)))
        walk, found = copy(self), [[a[None]] * int((counts == self.t).sum()) for a in self.state]
        while walk.t < counts.max(initial=0):
            stop = min(int(counts[-1]), walk.t + block)
            picks = counts[(counts > walk.t) & (counts <= stop)] - walk.t
            with np.errstate(all="ignore"):
                states = walk.take(rule.rates(walk.t, stop), picks)
            walk.t = stop
            for parts, rows in zip(found, states, strict=True):
                parts.append(rows)
        empty = _stacked([], self.state)
        return walk, [np.concatenate([e, *p]) for e, p in zip(empty, found, strict=True)]

    @abstractmethod
    def take(self, rates: Array, picks: NDArray[np.int64]) -> Sequence[Array]:
        """Steps of these η/N, and the states after so many of them."""

    @abstractmethod
    def left(self, *states: Array) -> Array:
        """p_t of states."""

    @abstractmethod
    def growth(self, *states: Array) -> Array:
        """(1 − p_t)/μ of states."""


class _Sliding(_Walk):
    """Without momentum: p_t = Π_s (1 − η_s μ/N), by sums of logarithms and a count of signs."""

    def __init__(self, rule: ScheduledRule, values: Array) -> None:
        super().__init__(rule, values)
        self.state = np.zeros(len(values)), np.zeros(len(values), dtype=bool), np.zeros(1)

    def take(self, rates: Array, picks: NDArray[np.int64]) -> Sequence[Array]:
        """Cumulative sums where many t are asked for, else equal rates together."""
        logs, is_odd, total = self.state
        if 16 * len(picks) > len(rates):
            x = np.multiply.outer(rates, self.values)
            logs = logs + np.cumsum(log_base(x), axis=0)
            is_odd = is_odd ^ np.logical_xor.accumulate(x > 1, axis=0)
            total = total + np.cumsum(rates)[:, None]
            self.state = logs[-1], is_odd[-1], total[-1]
            return logs[picks - 1], is_odd[picks - 1], total[picks - 1]
        states = []
        for some in np.split(rates, picks):
            distinct, counts = np.unique(some, return_counts=True)
            x = np.multiply.outer(distinct, self.values)
            logs = logs + (counts[:, None] * log_base(x)).sum(axis=0)
            is_odd = is_odd ^ ((counts[:, None] * (x > 1)).sum(axis=0) % 2 == 1)
            total = total + counts @ distinct
            states.append((logs, is_odd, total))
        self.state = states[-1]
        kept = states[: len(picks)]
        return _stacked(kept, self.state)

    def left(self, *states: Array) -> Array:
        """± exp Σ log|1 − η_s μ/N|."""
        logs, is_odd, _ = states
        with np.errstate(over="ignore", under="ignore"):
            left = np.exp(logs)
        return np.where(is_odd, -left, left)

    def growth(self, *states: Array) -> Array:
        """(1 − p_t)/μ by expm1, and Σ η_s/N where nothing has been taken off yet."""
        logs, is_odd, total = states
        with np.errstate(all="ignore"):
            gained = -np.expm1(logs)
            gained = np.where(is_odd, 2 - gained, gained) / self.values
            return np.where(total * self.values < np.finfo(np.float64).eps, total, gained)


class _Coasting(_Walk):
    """With momentum: products of 2×2 matrices, on p_t and the velocity, and the growth beside."""

    def __init__(self, rule: ScheduledRule, values: Array) -> None:
        super().__init__(rule, values)
        n = len(values)
        self.state = np.ones(n), np.zeros(n)
        self._velocity = np.zeros(n)

    def take(self, rates: Array, picks: NDArray[np.int64]) -> Sequence[Array]:
        """One by one; the velocity is N v/μ."""
        (p, G), u, mu = self.state, self._velocity, self.values
        beta, carried = self.momentum, self.carried * self.momentum
        states, wanted = [], set(picks.tolist())
        for k, rate in enumerate(rates.tolist(), 1):
            step = rate * (self.own * p + carried * u)
            u = beta * u + p
            G = G + step
            p = p - mu * step
            if k in wanted:
                states.append((p, G))
        self.state, self._velocity = (p, G), u
        return _stacked(states, self.state)

    def left(self, *states: Array) -> Array:
        """p_t."""
        return states[0]

    def growth(self, *states: Array) -> Array:
        """Σ_s (steps along a gradient of 1), (1 − p_t)/μ."""
        return states[1]


def _stacked(states: Sequence[Sequence[Array]], like: Sequence[Array]) -> list[Array]:
    """States as arrays of a row for each."""
    return [
        np.array([state[k] for state in states], a.dtype).reshape(len(states), len(a))
        for k, a in enumerate(like)
    ]
