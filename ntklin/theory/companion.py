r"""Powers of the 2×2 companion matrices of momentum: p_t for t of any size.

With x = ημ/N and p_0 = 1, PyTorch's heavy ball and Nesterov's method are

    p_{t+1} = a p_t − b p_{t−1},   a = 1 + β − x,          b = β,            p_1 = 1 − x
                                   a = (1 − x)(1 + β),     b = (1 − x) β,    p_1 = 1 − (1 + β) x

whose roots z² − a z + b = 0, |z_1| ≥ |z_2|, have with w = 1 − z

    w_1 w_2 = x,   w_1 + w_2 = 1 − β + x,  or 1 − β + (1 + β) x

so that the slow w_1 has all its digits however small x is. Real roots give

    p_t = z_1^t (1 + c (1 − q^t)/(z_1 − z_2)),   q = z_2/z_1,   c = w_1 z_2, or w_1 z_2²/(1 − x)

in which nothing cancels, since c/(z_1 − z_2) > 0; at a double root (1 − q^t)/(z_1 − z_2) is t/z_1.
Complex ones, z = r e^{±iθ} with r² = b, give

    p_t = r^t cos tθ + (p_1 − a/2) r^{t−1} sin tθ/sin θ
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntklin.edge.arrays import Array
from ntklin.theory.discrete_time import Steps


@dataclass(frozen=True, eq=False, kw_only=True)
class RealRoots:
    """Of n directions; see the module.

    Attributes
    ----------
    log_size : ndarray, shape (n,)
        log|z_1|.
    negative : ndarray, shape (n,), bool
        Whether z_1 < 0.
    log_ratio : ndarray, shape (n,)
        log|q|.
    alternates : ndarray, shape (n,), bool
        Whether q < 0.
    gap : ndarray, shape (n,)
        |z_1 − z_2|.
    share : ndarray, shape (n,)
        |c|.
    """

    log_size: Array
    negative: NDArray[np.bool_]
    log_ratio: Array
    alternates: NDArray[np.bool_]
    gap: Array
    share: Array

    def left(self, steps: Steps) -> Array:
        """p_t, (T, n)."""
        count, odd = steps.count[:, None], steps.odd[:, None]
        with np.errstate(all="ignore"):
            powers = np.where(count == 0, 0.0, count * self.log_ratio)
            faded = -np.expm1(powers)
            faded = np.where(odd & self.alternates, 2 - faded, faded)
            # (1 − q^t)/(z_1 − z_2) at a double root
            still = count / np.exp(self.log_size)
            faded = np.where(self.gap > 0, faded / self.gap, still)
            size = np.exp(np.where(count == 0, 0.0, count * self.log_size))
            left = size * (1 + self.share * faded)
        left[np.broadcast_to(size == 0, left.shape)] = 0.0  # not 0 · ∞
        return np.where(odd & self.negative, -left, left)

    @property
    def amplitude(self) -> Array:
        """sup_t |p_t|/|z_1|^t or more, (n,)."""
        with np.errstate(divide="ignore"):
            return 1 + self.share * (1 + self.alternates) / self.gap


@dataclass(frozen=True, eq=False, kw_only=True)
class ComplexRoots:
    """Of n directions; see the module.

    Attributes
    ----------
    log_size : ndarray, shape (n,)
        log r.
    angle : ndarray, shape (n,)
        θ, or π − θ where the roots lie to the left of 0.
    negative : ndarray, shape (n,), bool
        Whether they do.
    sine : ndarray, shape (n,)
        sin θ.
    slope : ndarray, shape (n,)
        p_1 − a/2, with the other sign where the roots lie to the left.
    """

    log_size: Array
    angle: Array
    negative: NDArray[np.bool_]
    sine: Array
    slope: Array

    def left(self, steps: Steps) -> Array:
        """p_t, (T, n)."""
        count, odd = steps.count[:, None], steps.odd[:, None]
        with np.errstate(all="ignore"):
            power = np.exp(np.where(count == 0, 0.0, count * self.log_size))
            before = np.exp(np.where(count <= 1, 0.0, (count - 1) * self.log_size))
            turned = count * self.angle
            left = power * np.cos(turned)
            left += before * self.slope * (np.sin(turned) / self.sine)
        left[np.broadcast_to(before == 0, left.shape)] = 0.0  # whatever the angle has become
        return np.where(odd & self.negative, -left, left)

    @property
    def amplitude(self) -> Array:
        """sup_t |p_t|/r^t or more, (n,)."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return 1 + np.abs(self.slope) / (np.exp(self.log_size) * self.sine)


@dataclass(frozen=True, eq=False, kw_only=True)
class Companion:
    """The companion matrices of M directions.

    Attributes
    ----------
    oscillates : ndarray, shape (M,), bool
        Where the roots are complex.
    real : RealRoots
        Of the other directions.
    complex : ComplexRoots
        Of these.
    """

    oscillates: NDArray[np.bool_]
    real: RealRoots
    complex: ComplexRoots

    def left(self, steps: Steps) -> Array:
        """p_t, (T, M)."""
        left = np.empty((len(steps), len(self.oscillates)))
        left[:, ~self.oscillates] = self.real.left(steps)
        left[:, self.oscillates] = self.complex.left(steps)
        return left

    def spread(self, name: str) -> Array:
        """An attribute that both kinds of roots have, (M,)."""
        real, others = getattr(self.real, name), getattr(self.complex, name)
        spread = np.empty(len(self.oscillates), real.dtype)
        spread[~self.oscillates], spread[self.oscillates] = real, others
        return spread


def heavy_ball(x: Array, momentum: float) -> Companion:
    """The roots of z² − (1 + β − x) z + β = 0.

    x ↦ 2(1 + β) − x turns z into −z, so that roots near −1 have all digits, too.

    Parameters
    ----------
    x : ndarray, shape (M,)
        ημ/N ≥ 0.
    momentum : float
        0 < β < 1.

    Returns
    -------
    Companion
    """
    beta = momentum
    left_of_0 = x > 1 + beta
    near = np.where(left_of_0, 2 * (1 + beta) - x, x)
    trace, total = np.abs((1 - x) + beta), (1 - beta) + near
    # a² − 4b, by what has more digits: the roots themselves, or what they are short of 1.
    if beta < 0.25:
        root = 2 * np.sqrt(beta)
        squared_gap = (trace - root) * (trace + root)
    else:
        root = 2 * np.sqrt(np.maximum(near, 0.0))
        squared_gap = np.where(near > 0, (total - root) * (total + root), total**2 - 4 * near)
    oscillates = squared_gap < 0

    pick = ~oscillates
    gap = np.sqrt(squared_gap[pick])
    slow, sum_of_w, negative = near[pick], total[pick], left_of_0[pick]
    with np.errstate(all="ignore"):
        w = np.where(sum_of_w >= 0, 2 * slow / (sum_of_w + gap), (sum_of_w - gap) / 2)
    largest = (trace[pick] + gap) / 2
    smallest = beta / largest
    real = RealRoots(
        log_size=_log(largest, w),
        negative=negative,
        log_ratio=_log_below(gap / largest),
        alternates=np.zeros(len(gap), dtype=bool),
        gap=gap,
        share=np.where(negative, 1 + largest, w) * smallest,
    )
    pick = oscillates
    height, a, r = np.sqrt(-squared_gap[pick]), trace[pick], np.sqrt(beta)
    slope = ((1 - beta) - x[pick]) / 2
    others = ComplexRoots(
        log_size=np.full(len(a), np.log(beta) / 2),
        angle=np.arctan2(height, a),
        negative=left_of_0[pick],
        sine=height / (2 * r),
        slope=np.where(left_of_0[pick], -slope, slope),
    )
    return Companion(oscillates=oscillates, real=real, complex=others)


def nesterov(x: Array, momentum: float) -> Companion:
    """The roots of z² − (1 − x)(1 + β) z + (1 − x) β = 0.

    Parameters
    ----------
    x : ndarray, shape (M,)
        ημ/N ≥ 0.
    momentum : float
        0 < β < 1.

    Returns
    -------
    Companion
    """
    beta = momentum
    kept = 1 - x  # the steps of x > 1 have roots of either sign
    root = np.sqrt(x) * (1 + beta)
    inner = ((1 - beta) - root) * ((1 - beta) + root)
    oscillates = (kept >= 0) & (inner < 0)

    pick = ~oscillates
    over = x[pick] > 1
    k = np.abs(kept[pick])
    trace = k * (1 + beta)
    gap = np.sqrt(k * np.where(over, trace * (1 + beta) + 4 * beta, inner[pick]))
    largest = (trace + gap) / 2
    smallest = k * beta / largest
    total = (1 - beta) + x[pick] * (1 + beta)
    w = np.where(over, (1 - k * (1 + 2 * beta)) / (1 + smallest), 2 * x[pick] / (total + gap))
    real = RealRoots(
        log_size=_log(largest, w),
        negative=over,
        log_ratio=_log_below(np.where(over, 2 * trace / (trace + gap), gap / largest)),
        alternates=over,
        gap=gap,
        share=np.where(over, 1 + largest, w) * smallest**2 / k,
    )
    pick = oscillates
    with np.errstate(divide="ignore"):
        log_size = (np.log1p(-x[pick]) + np.log(beta)) / 2
    height = np.sqrt(kept[pick] * -inner[pick])
    r = np.sqrt(kept[pick] * beta)
    angle = np.arctan2(height, kept[pick] * (1 + beta))
    others = ComplexRoots(
        log_size=log_size,
        angle=np.where(r > 0, angle, np.pi / 2),
        negative=np.zeros(len(r), dtype=bool),
        sine=np.divide(height, 2 * r, where=r > 0, out=np.ones_like(r)),
        slope=((1 - beta) - x[pick] * (1 + beta)) / 2,
    )
    return Companion(oscillates=oscillates, real=real, complex=others)


def _log(size: Array, w: Array) -> Array:
    """log z of z = 1 − w, by whichever has its digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(w) < 0.5, np.log1p(-w), np.log(size))


def _log_below(u: Array) -> Array:
    """log(1 − u) for 0 ≤ u ≤ 1."""
    with np.errstate(divide="ignore"):
        return np.log1p(-np.minimum(u, 1.0))
