"""The second moments of a run on random batches, from step to step or many steps at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ntklin.algebra.chebyshev import degree, power_coefficients
from ntklin.edge.arrays import Array
from ntklin.theory.batch_noise import BatchNoise
from ntklin.theory.discrete_time import as_steps, decay

# So many steps are taken one by one, at first and wherever sums would not save a quarter of them.
_FEW = 64
# Blocks of more steps ask whether sums would, which takes ``BatchNoise.curvature``.
SHORT = 96

# Binary digits by which the noise may fall in a block against what the sum's terms can grow by: so
# many of them does rounding lose. A block is made so long that it is about the first number, and
# taken again, shorter, beyond the second.
_AIM, _MOST = 6, 14

# By how much a block can be longer than the one before: blocks that grow so cost half as much again
# as one that had all steps.
_GROWTH = 8

# Of a residual of the size 1: less is as good as 0, and would soon be too small to shrink.
_FADED = 1e-280

# Sums that are evaluated at once.
_SUMS = 4096

# Seconds between two calls of ``progress``.
_PULSE = 0.1

Told = Callable[[int], object]


class NoiseCourse:
    """H_t of :class:`BatchNoise`, from H_0 = 0 on.

    One step costs two products of M×M matrices with half a matrix. Since the step is symmetric in
    the right coordinates (``BatchNoise.curvature``), t of them are a Chebyshev sum of some √(t · 41
    · length of the spectrum) steps, whose terms also give the noise at every step on the way.
    Blocks of steps so taken grow with t, but not so long that a falling noise loses digits.

    Parameters
    ----------
    noise : BatchNoise
    residual : ndarray, shape (M, k)
        V^T r_0, of the size 1; k columns of it make P_0 = Σ r_0 r_0^T.

    Attributes
    ----------
    t : int
    H : ndarray, shape (M, M)
        Its upper triangle.
    """

    def __init__(self, noise: BatchNoise, residual: Array) -> None:
        self.noise, self._residual = noise, residual
        m = len(residual)
        self.t, self.H = 0, np.zeros((m, m))
        self._length, self._high = _FEW, 1.0

    def mean(self) -> Array:
        """P_t, in closed form, (M, M)."""
        r = self._residual
        left = decay(self.noise.steps, 1.0, as_steps(self.t))[0, :, None] * r
        return left @ left.T

    def advance(
        self, stop: int, wanted: NDArray[np.int64] | None = None, told: Told | None = None
    ) -> Array:
        """Go on to step ``stop``.

        Parameters
        ----------
        stop : int
            At least t.
        wanted : ndarray of int, shape (n,), optional
            Ascending steps from t to ``stop``.
        told : callable, optional
            Told the step that is reached, about ten times a second.

        Returns
        -------
        ndarray, shape (n,)
            tr K Cov(c) K at these; infinite once that has left the range.
        """
        wanted = np.zeros(0, np.int64) if wanted is None else wanted
        found, pulse = np.zeros(len(wanted)), _Pulse(told)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            found[wanted == self.t] = self.noise.trace(self.H)
            while self.t < stop:
                if self._is_over():
                    self.t = stop
                    break
                length = min(self._length, stop - self.t)
                own = (wanted > self.t) & (wanted <= self.t + length)
                taken = self._block(length, wanted[own] - self.t, pulse)
                if taken is None:
                    self._length = max(_FEW, length // 2)
                    continue
                found[own] = taken
                if not np.isfinite(self.H).all():
                    found[wanted > self.t] = np.inf
                    self.t = stop
        return np.where(np.isnan(found), np.inf, found)

    def _is_over(self) -> bool:
        """Whether nothing happens any more: of a full batch, and once all has faded."""
        if self.noise.share:
            moving = self.noise.steps > 0  # no step changes what is left where y = 0
            mean = self.mean().diagonal()[moving]
            if self.t == 0 or self.noise.trace(self.H) > _FADED or (mean > _FADED).any():
                return False
            self.H[moving] = self.H[:, moving] = 0.0
        return True

    def _block(self, length: int, wanted: NDArray[np.int64], pulse: _Pulse) -> Array | None:
        """Take a block of steps, and return the noise at some of them; None for too long a one."""
        if length <= SHORT or degree(length, *self.noise.interval) > 0.75 * length:
            H, traces = self._single(length, wanted, pulse)
            self._settle(length, H)
            return traces
        self._high = self.noise.interval[1]
        H, traces = self._summed(length, wanted, pulse)
        if self._fall(length, H) > _MOST:
            return None
        self._settle(length, H)
        return traces

    def _fall(self, length: int, H: Array) -> float:
        """By how many digits the noise falls behind what the terms of a sum can grow to."""
        start, end = self.noise.trace(self.H), self.noise.trace(H)
        if start == 0 and end >= 0:
            return 0.0
        if not 0 < end < np.inf:
            return np.inf
        return math.log2(start / end) + length * math.log2(self._high)

    def _settle(self, length: int, H: Array) -> None:
        if length == self._length:
            fall = max(self._fall(length, H), _AIM / _GROWTH)
            self._length = max(_FEW, int(length * _AIM / fall))
        self.t, self.H = self.t + length, H

    def _single(self, length: int, wanted: NDArray[np.int64], pulse: _Pulse) -> tuple[Array, Array]:
        """A block's end, and the noise at some of its steps, step by step."""
        P, H = self.mean(), self.H.copy()
        traces = np.empty(length + 1)
        for s in range(1, length + 1):
            for place, mean, noise in self.noise.images(P, H):
                P[place], H[place] = mean, noise
            traces[s] = self.noise.trace(H)
            pulse.at(self.t + s)
        return H, traces[wanted]

    def _summed(self, length: int, wanted: NDArray[np.int64], pulse: _Pulse) -> tuple[Array, Array]:
        """The same as Chebyshev sums."""
        low, high = self.noise.interval
        middle, half = (high + low) / 2, (high - low) / 2
        end = power_coefficients(np.array([length]), low, high)[0]
        P, H = self.mean(), self.H.copy()
        older_P, older_H = np.zeros_like(P), np.zeros_like(H)
        total, traces = end[0] * H, np.empty(len(end))
        traces[0] = self.noise.trace(H)
        for p in range(1, len(end)):
            # T_1 = y T_0 and T_{p+1} = 2 y T_p − T_{p−1}, y = (step − middle)/half
            factor = (1 if p == 1 else 2) / half
            for place, mean, noise in self.noise.images(P, H):
                for older, image, latest in ((older_P, mean, P), (older_H, noise, H)):
                    image -= middle * latest[place]
                    image *= factor
                    image -= older[place]
                    older[place] = image
                total[place] += end[p] * older_H[place]
            P, older_P, H, older_H = older_P, P, older_H, H
            traces[p] = self.noise.trace(H)
            pulse.at(self.t + int(length * (p / len(end)) ** 2))
        sums = np.empty(len(wanted))
        for i in range(0, len(wanted), _SUMS):
            c = power_coefficients(wanted[i : i + _SUMS], low, high)
            sums[i : i + _SUMS] = c @ traces[: c.shape[1]]
        return total, sums


class _Pulse:
    """Tells of progress, not too often, and not of a block that is taken again."""

    def __init__(self, told: Told | None) -> None:
        self._told, self._next, self._latest = told, time.monotonic() + _PULSE, 0

    def at(self, step: int) -> None:
        if self._told is not None and step > self._latest and time.monotonic() >= self._next:
            self._told(step)
            self._next, self._latest = time.monotonic() + _PULSE, step
