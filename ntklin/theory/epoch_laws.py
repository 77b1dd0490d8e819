"""The law of c_t, θ_t = θ_0 + φ(X)^T c_t, over the orders of shuffled epochs."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.faces.shown import facts, line
from ntklin.runs.batches import Batches

if TYPE_CHECKING:
    from ntklin.theory.descent_modes import DescentModes


class Estimate(NamedTuple):
    """A number or an array, and its standard error, 0 where it is exact.

    Attributes
    ----------
    value, error : float or ndarray
    """

    value: Any
    error: Any

    def __repr__(self) -> str:
        return line(facts("Estimate", value=self.value, error=self.error))


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """K and Y − f_0(X) in units in which neither leaves the range.

    Attributes
    ----------
    kernel : ndarray, shape (M, M)
    residual : ndarray, shape (M, k)
    rate : float
        η, in these units.
    n_samples, batch_size : int
    """

    kernel: Array
    residual: Array
    rate: float
    n_samples: int
    batch_size: int

    @classmethod
    def of(cls, modes: DescentModes, targets: Array, batch_size: int) -> Self:
        """That of these targets.

        Returns
        -------
        Problem
        """
        lin, e = modes.units.linearization, modes.units.exponent
        return cls(
            kernel=host(lin.kernel).astype(np.float64, copy=False),
            residual=lin.source.residual(targets, e),
            rate=modes.scaled_rate,
            n_samples=len(targets),
            batch_size=batch_size,
        )

    def rows(self, batch: Sequence[int]) -> list[int]:
        """The kernel's rows of a batch."""
        C = len(self.kernel) // self.n_samples
        return [sample * C + c for sample in batch for c in range(C)]


class Law(ABC):
    """The law of c_t, k columns of M numbers."""

    @abstractmethod
    def loss(self) -> Estimate:
        """E L_t."""

    @abstractmethod
    def outputs(self, maps: Array, start: Array) -> Estimate:
        """E f_t in columns, for K(X_new, X) and f_0(X_new)."""

    @abstractmethod
    def covariance(self, maps: Array, rows: int) -> Estimate:
        """Cov f_t, (N_new, N_new, C), for K(X_new, X) with so many rows an input."""


@dataclass(frozen=True, eq=False)
class ExactLaw(Law):
    """Both moments of u = (c, 1), one column of c after the other.

    Attributes
    ----------
    problem : Problem
    second : ndarray, shape (k, M + 1, M + 1)
        E u u^T.
    """

    problem: Problem
    second: Array

    @classmethod
    def course(cls, problem: Problem) -> Iterator[Self]:
        """The laws at t = 0, 1 and so on.

        Within an epoch there is one second moment for each set of samples seen so far, times the
        probability of that set.

        Yields
        ------
        ExactLaw
        """
        m, k = problem.residual.shape
        start: Array = np.zeros((k, m + 1, m + 1))
        start[:, m, m] = 1.0
        yield cls(problem, start)
        while True:
            seen: dict[frozenset[int], Array] = {frozenset(): start}
            for _ in range(0, problem.n_samples, problem.batch_size):
                seen = cls._step(problem, seen)
                start = np.asarray(sum(seen.values()))
                yield cls(problem, start)

    @staticmethod
    def _step(problem: Problem, seen: dict[frozenset[int], Array]) -> dict[frozenset[int], Array]:
        everything = set(range(problem.n_samples))
        # u ↦ K c − (Y − f_0(X)), for each column of targets.
        slopes = np.stack([np.column_stack([problem.kernel, -z]) for z in problem.residual.T])
        following: dict[frozenset[int], Array] = {}
        for before, second in seen.items():
            left = sorted(everything - before)
            size = min(problem.batch_size, len(left))
            share = 1 / math.comb(len(left), size)
            for batch in itertools.combinations(left, size):
                rows = problem.rows(batch)
                step = slopes[:, rows] * (problem.rate / size)
                after = second.copy()
                after[:, rows] -= step @ second
                after[:, :, rows] -= after @ step.transpose(0, 2, 1)
                after *= share
                key = before | set(batch)
                following[key] = following[key] + after if key in following else after
        return following

    @property
    def _mean(self) -> Array:
        """E c, (M, k)."""
        return self.second[:, :-1, -1].T

    @property
    def _spread(self) -> Array:
        """Cov c, (k, M, M)."""
        mean = self._mean.T
        return self.second[:, :-1, :-1] - mean[:, :, None] * mean[:, None, :]

    def loss(self) -> Estimate:
        """E L_t."""
        K, n = self.problem.kernel, self.problem.n_samples
        mean = K @ self._mean - self.problem.residual
        noise = float(np.einsum("kij,ji->", self._spread, K @ K))
        return Estimate((float((mean**2).sum()) + noise) / (2 * n), 0.0)

    def outputs(self, maps: Array, start: Array) -> Estimate:
        """E f_t in columns."""
        found = start + maps @ self._mean
        return Estimate(found, np.zeros_like(found))

    def covariance(self, maps: Array, rows: int) -> Estimate:
        """Cov f_t."""
        own = [maps[c::rows] for c in range(rows)]
        found = np.stack([S @ H @ S.T for H in self._spread for S in own], axis=-1)
        return Estimate(found, np.zeros_like(found))


@dataclass(frozen=True, eq=False)
class SampledLaw(Law):
    """c_t of independent runs.

    Attributes
    ----------
    problem : Problem
    runs : ndarray, shape (n, M, k)
    """

    problem: Problem
    runs: Array

    @classmethod
    def course(cls, problem: Problem, batches: Sequence[Batches]) -> Iterator[Self]:
        """The laws at t = 0, 1 and so on, of a run for each of these batches.

        Yields
        ------
        SampledLaw
        """
        streams = [b.from_step(0, problem.n_samples) for b in batches]
        m, k = problem.residual.shape
        runs = np.zeros((len(batches), m, k))
        while True:
            yield cls(problem, runs)
            chosen = [next(stream) for stream in streams]
            rows = np.array([problem.rows(batch.tolist()) for batch in chosen])
            slopes = problem.kernel @ runs - problem.residual
            which = np.arange(len(runs))[:, None]
            runs = runs.copy()
            runs[which, rows] -= problem.rate / len(chosen[0]) * slopes[which, rows]

    def loss(self) -> Estimate:
        """E L_t."""
        residuals = self.problem.kernel @ self.runs - self.problem.residual
        found = _mean((residuals**2).sum(axis=(1, 2)) / (2 * self.problem.n_samples))
        return Estimate(float(found.value), float(found.error))

    def outputs(self, maps: Array, start: Array) -> Estimate:
        """E f_t in columns."""
        return _mean(start + maps @ self.runs)

    def covariance(self, maps: Array, rows: int) -> Estimate:
        """Cov f_t, without the bias of a mean over the same draws."""
        outputs = maps @ self.runs
        n, m_new, k = outputs.shape
        # (n, N_new, C): columns of targets, or rows of features, but not both.
        outputs = outputs.reshape(n, m_new // rows, rows * k)
        deviations = outputs - outputs.mean(axis=0)
        products = deviations[:, :, None] * deviations[:, None] * (n / (n - 1))
        return _mean(products)


def _mean(samples: Array) -> Estimate:
    """The mean over the first axis, and its standard error."""
    n = len(samples)
    return Estimate(samples.mean(axis=0), samples.std(axis=0, ddof=1) / math.sqrt(n))
