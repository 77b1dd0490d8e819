"""SGD whose batches go through shuffled epochs: its moments over orders, exactly or from draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host
from ntklin.edge.checks import MOST_STEPS, as_step, require_memory
from ntklin.edge.faces.shown import Shown
from ntklin.edge.ranges import in_range, shift
from ntklin.edge.sendable import Sendable
from ntklin.runs.batches import Batches
from ntklin.theory.discrete_time import Steps, as_steps
from ntklin.theory.epoch_laws import Estimate, ExactLaw, Law, Problem, SampledLaw
from ntklin.theory.source import Evaluation

if TYPE_CHECKING:
    from ntklin.theory.moments import SGDMoments

# Numbers that the steps of an exact epoch may change, for all sets of samples seen before them.
MOST_NUMBERS = 10**7


class Shuffling(NamedTuple):
    """What shuffled epochs change, against batches that are drawn for each step.

    Attributes
    ----------
    loss : Estimate
        E L_t divided by that of independent batches.
    mean : Estimate
        The distance of the mean outputs, in standard deviations of independent batches; rms over
        x. Of draws it is never below its error.
    variance : Estimate
        Σ_x Var f_t(x) divided by that of independent batches; NaN where these have none.
    """

    loss: Estimate
    mean: Estimate
    variance: Estimate


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class EpochMoments(Shown, Sendable):
    """Moments of SGD whose epochs have each sample once, in a new random order.

    Batches as :class:`ntklin.Batches` has them: b samples in turn, the last batch of an epoch
    smaller where b does not divide N. Steps within an epoch are not independent, and there is no
    recursion of N×N matrices: given which samples an epoch has seen, though, the steps to come do
    not depend on their order, so that exact moments are sums over sets, of which there are at most
    2^N, instead of N! orders. For one output that is done for N ≤ 12 and any b, up to N = 16 for
    b = N/2 and up to N = 170 for b = N − 1, in seconds an epoch. Else moments are those of draws,
    with standard errors: draw i is the run with ``Batches(size=b, rng=rng + i)``. Made by
    ``SGDMoments.epochs``.

    Attributes
    ----------
    moments : SGDMoments
        Of the same problem with independent batches.
    draws : int or None
        None where moments are exact.
    rng : int
    """

    moments: SGDMoments
    draws: int | None
    rng: int
    _problem: Problem

    def loss(self, t: ArrayLike) -> Estimate:
        """E L_t.

        Parameters
        ----------
        t : int or array_like of int

        Returns
        -------
        Estimate
            Two floats or arrays of shape t.shape.
        """
        steps = as_steps(t)
        return _stacked([law.loss() for law in self._laws(steps)], steps.shape)

    def predict(self, X_new: ArrayLike, t: ArrayLike) -> Estimate:
        """E f_t(X_new).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int or array_like of int

        Returns
        -------
        Estimate
            Of t.shape + (N_new,), for targets (N, C) of t.shape + (N_new, C).
        """
        steps, (at, exponent) = as_steps(t), self._at(X_new)
        maps = host(at.kernel).astype(np.float64, copy=False)
        columns, anchor = self.moments.linearization.source.columns, self._anchor
        start = columns.of(shift(host(at.outputs).astype(np.float64), exponent))
        start = np.broadcast_to(start, (len(start), self._problem.residual.shape[1]))
        found = [law.outputs(maps, start) for law in self._laws(steps)]
        means = _stacked(found, (*steps.shape, *start.shape))
        return Estimate(*(beside(columns.shown(a, self.moments.targets), anchor) for a in means))

    def covariance(self, X_new: ArrayLike, t: ArrayLike) -> Estimate:
        """Cov f_t(X_new) over orders; of several outputs each one's own.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int or array_like of int

        Returns
        -------
        Estimate
            Of t.shape + (N_new, N_new), for targets (N, C) of t.shape + (N_new, N_new, C).
        """
        steps, maps = as_steps(t), host(self._at(X_new)[0].kernel).astype(np.float64, copy=False)
        source = self.moments.linearization.source
        rows = source.columns.rows
        n, C = len(maps) // rows, rows * self._problem.residual.shape[1]
        shape = (n, n) if self.moments.targets.ndim == 1 else (n, n, C)
        require_memory(
            4 * 8 * len(steps) * n * n * C,
            f"covariances of {n} outputs at {len(steps)} steps",
            "ask for fewer t or fewer inputs at a time",
        )
        with np.errstate(over="ignore", invalid="ignore"):
            found = [law.covariance(maps, rows) for law in self._laws(steps)]
        both = _stacked(found, (*steps.shape, *shape))
        for a in both:
            in_range(a, np.float64, "the covariance", source.remedy)
        return Estimate(*(beside(a, self._anchor) for a in both))

    def difference(self, X_new: ArrayLike, t: int) -> Shuffling:
        """How far the laws of f_t differ, with shuffled epochs and with independent batches.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int

        Returns
        -------
        Shuffling
        """
        t, units = as_step(t), self.moments.linearization.in_units(np.float64)
        X_new = units.linearization.source.new_inputs(X_new)
        own, other = self.moments.covariance(X_new, t), host(self.moments.predict(X_new, t))
        variance = float(np.einsum("ii...->", host(own)))
        loss, spread, mean = self.loss(t), self.covariance(X_new, t), self.predict(X_new, t)
        total = float(self.moments.loss(t))
        trace, error = (float(np.einsum("ii...->", host(a))) for a in spread)
        distance, scatter = (
            float(np.linalg.norm(a)) for a in (host(mean.value) - other, host(mean.error))
        )
        unit = 1 / variance if variance > 0 else np.nan
        return Shuffling(
            loss=Estimate(loss.value / total, loss.error / total),
            mean=Estimate(distance * math.sqrt(unit), scatter * math.sqrt(unit)),
            variance=Estimate(trace * unit, error * unit),
        )

    @property
    def _anchor(self) -> Array:
        return self.moments.linearization.source.anchor

    def _at(self, X_new: ArrayLike) -> tuple[Evaluation, int]:
        """The kernel and f_0 there, in the problem's units, f = 2^e f', and e."""
        units = self.moments.linearization.in_units(np.float64)
        return units.linearization.at(X_new), units.exponent

    def _laws(self, steps: Steps) -> list[Law]:
        """The laws of c_t, one for each t."""
        if float(steps.count.max(initial=0)) >= MOST_STEPS:
            raise ValueError("t must be below 2^63: every step is taken, one after the other")
        counts = steps.count.astype(np.int64)
        problem, last = self._problem, int(counts.max(initial=0))
        wanted = set(counts.tolist())
        if self.draws is None:
            course: Iterator[Law] = ExactLaw.course(problem)
        else:
            size = 8 * self.draws * problem.residual.size
            require_memory(
                (3 + len(wanted)) * size, f"{self.draws} runs", "ask for fewer draws or fewer t"
            )
            seeds = [self.rng + i for i in range(self.draws)]
            batches = [Batches(size=problem.batch_size, rng=seed) for seed in seeds]
            course = SampledLaw.course(problem, batches)
        kept = {
            step: law
            for step, law in enumerate(itertools.islice(course, last + 1))
            if step in wanted
        }
        return [kept[step] for step in counts.tolist()]


def is_enumerable(moments: SGDMoments) -> bool:
    """Whether an epoch has few enough sets of seen samples, and steps from one to another."""
    n, b = len(moments.targets), moments.batch_size
    steps = sum(math.comb(n, s) * math.comb(n - s, min(b, n - s)) for s in range(0, n, b))
    numbers = (moments.linearization.source.n_rows + 1) ** 2
    return steps * numbers <= MOST_NUMBERS


def _stacked(estimates: list[Estimate], shape: tuple[int, ...]) -> Estimate:
    values, errors = (
        np.array([estimate[i] for estimate in estimates], dtype=float).reshape(shape)
        for i in range(2)
    )
    return Estimate(values, errors) if shape else Estimate(float(values), float(errors))
