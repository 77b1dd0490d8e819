"""Eigen-tools for the kernel K = V diag(λ) V^T: factorize once, evaluate functions of λ often.

The N×N algebra is float64 whatever the kernel's dtype; what counts as rounding in λ is judged by
the precision the kernel was computed in.
"""

import math
import operator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ntklin.errors import DegenerateKernelError


@dataclass(frozen=True, eq=False)
class Spectrum:
    """K = V diag(λ) V^T for a symmetric positive semidefinite kernel.

    Attributes
    ----------
    values : ndarray, shape (N,), float64
        λ, ascending, as LAPACK returns them: rounding can make the smallest slightly negative.
    vectors : ndarray, shape (N, N), float64
        V; column i belongs to ``values[i]``.
    resolution : float
        N · eps of the kernel's dtype, the default rank cut relative to λ_max.
    n_excess : int
        max(0, N − P): so many eigenvalues vanish whatever rounding says, since rank K ≤ P.
    """

    values: np.ndarray
    vectors: np.ndarray
    resolution: float
    n_excess: int

    @property
    def smallest(self):
        """λ_min."""
        return float(self.values[0])

    @property
    def largest(self):
        """λ_max, at least 0."""
        return max(float(self.values[-1]), 0.0)

    def threshold(self, rcond=None):
        """The rank cut rcond · λ_max, by default N · eps · λ_max."""
        return (self.resolution if rcond is None else rcond) * self.largest

    def kept(self, rcond=None):
        """Which eigenvalues lie above the rank cut, (N,)."""
        above = self.values > self.threshold(rcond)
        above[: self.n_excess] = False
        return above

    @property
    def significant(self):
        """λ with 0 for what rounding cannot tell from 0, (N,)."""
        return np.where(self.kept(), self.values, 0.0)

    @property
    def is_degenerate(self):
        """Whether λ_min cannot be told from 0 although P ≥ N."""
        return self.n_excess == 0 and not bool(self.kept()[0])


def factorize(K, rank_bound=None):
    """K = V diag(λ) V^T by the symmetric eigensolver of LAPACK, in float64.

    Parameters
    ----------
    K : ndarray, shape (N, N), float32 or float64
        Symmetric positive semidefinite; only the lower triangle is read.
    rank_bound : int, optional
        An upper bound on the rank of K (P for K = φφ^T with φ ∈ R^{N×P}).

    Returns
    -------
    Spectrum
    """
    n = len(K)
    values, vectors = np.linalg.eigh(K.astype(np.float64, copy=False))
    values.flags.writeable = vectors.flags.writeable = False
    return Spectrum(
        values,
        vectors,
        resolution=n * float(np.finfo(K.dtype).eps),
        n_excess=0 if rank_bound is None else max(0, n - rank_bound),
    )


# Discrete time


class Steps(NamedTuple):
    """Numbers of gradient steps: as float64 for size, with their parity kept exactly."""

    count: np.ndarray
    odd: np.ndarray
    shape: tuple


def as_steps(t, *, name="t"):
    """Check numbers of steps and split them into size and parity.

    Parameters
    ----------
    t : int or array_like of int
        Integers ≥ 0 of any size and any shape; floats that hold integers pass too.
    name : str
        The argument's name in messages.

    Returns
    -------
    Steps
        Flat ``count`` and ``odd``, and the shape that ``t`` had.
    """
    raw = t if isinstance(t, np.ndarray | np.generic) else np.asarray(t, dtype=object)
    flat = raw.reshape(-1)
    if raw.dtype.kind == "O":
        flat = [_as_python_integer(v, name) for v in flat]
        _refuse_negative(min(flat, default=0), name)
        return Steps(
            np.array([_as_float(v) for v in flat], dtype=np.float64),
            np.array([v % 2 == 1 for v in flat], dtype=bool),
            raw.shape,
        )
    if raw.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold integers, got dtype {raw.dtype}")
    if raw.dtype.kind == "f":
        whole = np.isfinite(flat) & (flat == np.floor(flat))
        if not whole.all():
            raise ValueError(f"{name} must hold whole numbers of steps, got {flat[~whole][0]}")
    _refuse_negative(flat.min(initial=0), name)
    return Steps(flat.astype(np.float64), flat % 2 == 1, raw.shape)


def _as_python_integer(value, name):
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must hold integers, got {value!r}")
    if isinstance(value, float | np.floating):
        if not (math.isfinite(value) and value == math.floor(value)):
            raise ValueError(f"{name} must hold whole numbers of steps, got {value}")
        return int(value)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must hold integers, got {value!r}") from None


def _as_float(integer):
    try:
        return float(integer)
    except OverflowError:
        return np.finfo(np.float64).max


def _refuse_negative(smallest, name):
    if smallest < 0:
        raise ValueError(f"{name} must be at least 0 steps, got {smallest}")


# Functions of the eigenvalues


def decay(values, rate, steps):
    """(1 − rate · λ)^t, the factor that t gradient steps leave of a residual.

    Parameters
    ----------
    values : ndarray, shape (N,)
        λ ≥ 0.
    rate : float
        η/N.
    steps : Steps
        T numbers of steps.

    Returns
    -------
    ndarray, shape (T, N)
        Beyond the range of float64, where rate · λ > 2, infinite.
    """
    logs, flips = _logarithms(values, rate, steps)
    with np.errstate(over="ignore"):
        powers = np.exp(logs)
    np.negative(powers, where=flips, out=powers)
    return powers


def gradient_filter(values, rate, steps):
    """(1 − (1 − rate · λ)^t)/λ, and t · rate where λ = 0.

    Evaluated through log1p and expm1: no digits cancel, however small rate · λ and however large t.

    Parameters
    ----------
    values : ndarray, shape (N,)
        λ ≥ 0.
    rate : float
        η/N.
    steps : Steps
        T numbers of steps.

    Returns
    -------
    ndarray, shape (T, N)
        Beyond the range of float64, where rate · λ > 2, infinite.
    """
    x = rate * values
    logs, flips = _logarithms(values, rate, steps)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        gained = np.expm1(logs, out=logs)
        np.negative(gained, out=gained, where=~flips)
        np.add(gained, 2.0, out=gained, where=flips)  # an odd power of a negative base: 1 + |·|^t
        gained /= x
        progress = np.multiply.outer(steps.count, x)
    # Below eps the power series of the bracket is t·x(1 + O(t·x)), and x may be 0 or subnormal.
    small = progress < np.finfo(np.float64).eps
    np.copyto(gained, steps.count[:, None], where=small)
    gained *= rate
    return gained


def _logarithms(values, rate, steps):
    """t · log|1 − rate·λ| and where the power of 1 − rate·λ is negative, both (T, N)."""
    x = rate * values
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # 2 − x is exact for 1 ≤ x ≤ 4, so the base near −1 loses nothing either.
        logs = np.multiply.outer(steps.count, np.log1p(np.where(x > 1, x - 2, -x)))
    logs[steps.count == 0] = 0.0  # 0 · log 0 at x = 1
    return logs, np.logical_and.outer(steps.odd, x > 1)


# Degenerate kernels


def degenerate_error(K, spectrum):
    """The error for a kernel that is singular to working precision: rows, λ_min, what to do.

    Parameters
    ----------
    K : ndarray, shape (N, N)
    spectrum : Spectrum
        Its factorization.

    Returns
    -------
    DegenerateKernelError
    """
    precision = "" if K.dtype == np.float64 else "; float64 inputs and parameters resolve more"
    return DegenerateKernelError(
        f"the kernel K(X, X) is singular to working precision: λ_min = {spectrum.smallest:.3g} is "
        f"not above N·eps·λ_max = {spectrum.threshold():.3g}. {_dependent_rows(K, spectrum)}. "
        f"Remove the cause, or pass ridge= > 0, or rcond= to cut the null directions (such as "
        f"rcond={spectrum.resolution:.1g}){precision}"
    )


def _dependent_rows(K, spectrum):
    """Name the rows (0-based) that make K singular."""
    zero = np.flatnonzero(K.diagonal() <= spectrum.threshold())
    if len(zero):
        return f"Rows without features, φ(x) = 0 to rounding: {_listing(zero)}"
    pairs = parallel_rows(K, spectrum.threshold())
    if pairs:
        return f"Rows of X with parallel features (equal or parallel inputs): {_listing(pairs)}"
    weights = np.abs(spectrum.vectors[:, 0])
    involved = np.flatnonzero(weights > 0.1 * weights.max())
    return f"No two rows are parallel, but these have linearly dependent features: {_listing(involved)}"


def parallel_rows(K, threshold):
    """Pairs i < j whose 2×2 block of K alone has an eigenvalue ≤ ``threshold``.

    λ_min of the block bounds λ_min(K) from above (Cauchy interlacing), so each pair is a reason of
    its own for K to be singular: φ(x_i) and φ(x_j) are parallel to rounding.

    Parameters
    ----------
    K : ndarray, shape (N, N)
    threshold : float
        In units of K.

    Returns
    -------
    list of tuple of int
    """
    diagonal = K.diagonal().astype(np.float64)
    pairs = []
    for i in range(len(K) - 1):
        a, b = diagonal[i], diagonal[i + 1 :]
        c = K[i, i + 1 :].astype(np.float64)
        larger = 0.5 * (a + b + np.hypot(a - b, 2 * c))
        # det/λ_larger; (√a√b − |c|)(√a√b + |c|) keeps the digits that a·b − c² would cancel.
        mean = np.sqrt(a) * np.sqrt(b)
        smaller = (mean - np.abs(c)) * (mean + np.abs(c)) / larger
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(smaller <= threshold)]
    return pairs


def _listing(items, limit=6):
    """The first few of ``items``, and how many more there are."""
    named = ", ".join(str(int(v)) if np.isscalar(v) else str(v) for v in items[:limit])
    return named if len(items) <= limit else f"{named} and {len(items) - limit} more"


# Options shared by everything that inverts a spectrum


def as_ridge(ridge):
    """A finite ridge λ ≥ 0, in units of the kernel."""
    return _as_nonnegative(ridge, "ridge")


def as_rank_cut(rcond):
    """A rank cut 0 ≤ rcond < 1 relative to λ_max, or None for the default."""
    if rcond is None:
        return None
    rcond = _as_nonnegative(rcond, "rcond")
    if rcond >= 1:
        raise ValueError(f"rcond must be below 1 (it is relative to λ_max), got {rcond!r}")
    return rcond


def _as_nonnegative(value, name):
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be finite and at least 0, got {value!r}")
    return number
