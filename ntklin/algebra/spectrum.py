"""Eigen-tools for the kernel K = V diag(λ) V^T: factorize once, evaluate functions of λ often.

The N×N algebra is float64 whatever the kernel's dtype; what counts as rounding in λ is judged by
the precision the kernel was computed in.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ntklin.edge.arrays import Array
from ntklin.edge.backends import freeze, host
from ntklin.edge.checks import as_nonnegative
from ntklin.edge.errors import DegenerateKernelError, FloatRangeError
from ntklin.edge.faces.shown import Shown
from ntklin.edge.ranges import in_range, shift
from ntklin.edge.sendable import Sendable
from ntklin.edge.values import said


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Shown, Sendable):
    """K = V diag(λ) V^T for a symmetric positive semidefinite kernel.

    Attributes
    ----------
    values : ndarray, shape (N,), float64
        λ, ascending, as LAPACK returns them: rounding can make the smallest slightly negative.
    vectors : ndarray, shape (N, N), float64
        V; column i belongs to ``values[i]``.
    resolution : float
        N · eps of the features' dtype, the default rank cut relative to λ_max.
    rounding : float
        N · eps of the dtype that the kernel was computed in: relative to λ_max, what rounding can
        move λ by in the worst case.
    n_excess : int
        max(0, N − P): so many eigenvalues vanish whatever rounding says, since rank K ≤ P.
    """

    values: Array
    vectors: Array
    resolution: float
    rounding: float
    n_excess: int

    @property
    def smallest(self) -> float:
        """λ_min."""
        return float(self.values[0])

    @property
    def largest(self) -> float:
        """λ_max, at least 0."""
        return max(float(self.values[-1]), 0.0)

    def threshold(self, rcond: float | None = None) -> float:
        """The rank cut rcond · λ_max, by default N · eps · λ_max."""
        return (self.resolution if rcond is None else rcond) * self.largest

    def kept(self, rcond: float | None = None, ridge: float = 0.0) -> NDArray[np.bool_]:
        """Which eigenvalues an inverse keeps, (N,): those above the rank cut.

        With a ridge nothing needs cutting, unless ``rcond`` asks for it.

        Returns
        -------
        ndarray, shape (N,), bool
        """
        if ridge and rcond is None:
            above = np.ones(len(self.values), dtype=bool)
        else:
            above = self.values > self.threshold(rcond)
        above[: self.n_excess] = False
        return above

    def inverse(self, rcond: float | None = None, ridge: float = 0.0) -> Array:
        """1/(λ + ridge) on the kept spectrum and 0 below the cut, (N,)."""
        return 1 / np.where(self.kept(rcond, ridge), self.nonnegative + ridge, np.inf)

    @property
    def nonnegative(self) -> Array:
        """λ with 0 for what rounding made negative, (N,)."""
        values = np.maximum(self.values, 0.0)
        values[: self.n_excess] = 0.0
        return values

    @property
    def noise(self) -> float:
        """The rounding of λ to expect, min(N, 4√N) · eps · λ_max.

        N · eps · λ_max bounds it for any order of summation. Rounding errors behave
        randomly, though, and in single precision that bound would disown eigenvalues that are
        known to several digits and matter within a few thousand steps.
        """
        n = len(self.values)
        return min(1.0, 4 / math.sqrt(n)) * self.rounding * self.largest

    @property
    def significant(self) -> Array:
        """λ with 0 for what cannot be told from rounding, (N,)."""
        values = np.where(self.values > self.noise, self.values, 0.0)
        values[: self.n_excess] = 0.0
        return values

    @property
    def tilts(self) -> Array:
        """How far rounding can tilt a null v_i towards each significant v_j, (N,).

        First-order perturbation theory: |v_j^T ΔK v_i|/λ_j, with 4 eps λ_max for the former. The
        rounding errors of K are independent of its eigenvectors, so that such a component of ΔK
        does not grow with N as ‖ΔK‖ does; over some thirty families of exactly singular kernels it
        reached 1.1 eps λ_max.
        """
        values, unit = self.significant, 4 * self.rounding / len(self.values) * self.largest
        return np.divide(unit, values, where=values > 0, out=np.zeros_like(values))

    def scaled(self, exponent: int) -> Self:
        """The factorization of 2^exponent · K.

        Returns
        -------
        Spectrum

        Raises
        ------
        FloatRangeError
            If λ_max is not 0 and leaves the range.
        """
        if exponent == 0:
            return self
        remedy = "change sigma or the lengths of the inputs"
        values = in_range(self.values, np.float64, "λ_max", remedy, scale=exponent)
        return replace(self, values=freeze(values))

    @property
    def is_degenerate(self) -> bool:
        """Whether λ_min cannot be told from 0 although P ≥ N."""
        return self.n_excess == 0 and not bool(self.kept()[0])


def factorize(K: Array, rank_bound: int | None = None, dtype: DTypeLike | None = None) -> Spectrum:
    """K = V diag(λ) V^T by the symmetric eigensolver of LAPACK, in float64.

    Parameters
    ----------
    K : ndarray, shape (N, N), float32 or float64
        Symmetric positive semidefinite; only the lower triangle is read.
    rank_bound : int, optional
        An upper bound on the rank of K (P for K = φφ^T with φ ∈ R^{N×P}).
    dtype : dtype, optional
        That of the features, which decides the rank cut, where K is more precise than they are.

    Returns
    -------
    Spectrum
    """
    n, K = len(K), host(K)
    values, vectors = np.linalg.eigh(K.astype(np.float64, copy=False))
    values.flags.writeable = vectors.flags.writeable = False
    return Spectrum(
        values,
        vectors,
        resolution=n * float(np.finfo(K.dtype if dtype is None else dtype).eps),
        rounding=n * float(np.finfo(K.dtype).eps),
        n_excess=0 if rank_bound is None else max(0, n - rank_bound),
    )


def require_kernel_in_range(K: Array) -> None:
    """Refuse a kernel whose entries have left the range of floating point.

    Parameters
    ----------
    K : ndarray, shape (N, N)

    Raises
    ------
    FloatRangeError
        If it overflows, or its largest entry has lost digits to underflow.
    """
    happened = None
    if not bool(np.isfinite(K).all()):
        happened, change = "overflows", "take a smaller sigma or scale these down"
    elif 0 < float(K.diagonal().max()) < np.finfo(K.dtype).tiny:
        happened, change = "underflows", "take a larger sigma or scale these up"
    if happened:
        wider = "" if K.dtype == np.float64 else ", or use float64 inputs and parameters"
        raise FloatRangeError(
            f"the kernel {happened} {K.dtype}: its entries grow like σ^(2L) and with the squares "
            f"of inputs and parameters; {change}{wider}"
        )


def ridge_in_units(ridge: float, exponent: int) -> float:
    """2^(−exponent) · ridge, the ridge for a kernel that was divided by 2^exponent.

    Returns
    -------
    float

    Raises
    ------
    FloatRangeError
        If it is too large; one that is too small counts as the smallest number that there is.
    """
    scaled = shift(float(ridge), -exponent)
    if scaled == math.inf:
        raise FloatRangeError(
            f"ridge={ridge:.3g} is larger than the kernel by more than the range of float64; "
            "change it, sigma or the lengths of the inputs"
        )
    return scaled if scaled or not ridge else math.ulp(0.0)


def modes(K_new: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """K(X_new, X) V, split into what is known and what may be rounding.

    Where λ_i cannot be told from 0, K(x, X)v_i is either 0 up to rounding or, since only
    |K(x, X)v_i|² ≤ λ_i K(x, x) holds, orders of magnitude above it. What is not certainly above it
    is *doubtful*: often it has digits all the same, as the bound on the rounding is a generous one,
    but no number of steps may amplify it.

    Parameters
    ----------
    K_new : ndarray, shape (N_new, N)
    spectrum : Spectrum
        Of K(X, X).

    Returns
    -------
    certain : ndarray, shape (N_new, N), float64
        With exact zeros in the place of what is doubtful.
    doubtful : ndarray, shape (N_new, n), float64
        Of the n λ_i that cannot be told from 0 (``spectrum.significant == 0``), with exact zeros in
        the place of what is certain, and of what is 0 as rank K ≤ P.
    """
    projected = host(K_new).astype(np.float64, copy=False) @ spectrum.vectors
    projected[:, : spectrum.n_excess] = 0.0
    null = spectrum.significant == 0
    rounding = np.linalg.norm(projected * spectrum.tilts, axis=1, keepdims=True)
    raw = projected[:, null]
    above = np.abs(raw) > rounding
    projected[:, null] *= above
    return projected, np.where(above, 0.0, raw)


def fade(growth: Array, spectrum: Spectrum) -> Array:
    """g/(1 + (g/g_max)²), the growth of what may be rounding: like g at first, and 0 in the limit.

    What may be rounding, g amplifies; but so does a run of g λ_max steps, each of which adds a
    rounding error of its own. Up to g_max = eps^(−1/4)/λ_max, for which a quarter of the digits is
    lost, it is taken for what it says; beyond it, more and more for an exact 0, which it is for
    t → ∞.

    Parameters
    ----------
    growth : ndarray
        g, in units of 1/λ.
    spectrum : Spectrum

    Returns
    -------
    ndarray, of the shape of ``growth``
    """
    with np.errstate(over="ignore", under="ignore"):
        size = growth * (spectrum.largest * (spectrum.rounding / len(spectrum.values)) ** 0.25)
        return growth / (1 + size * size)


def refuse_degenerate(K: Array, spectrum: Spectrum, *, rcond: float | None, ridge: float) -> None:
    """Refuse to invert a kernel that is singular to working precision, unless told how.

    Parameters
    ----------
    K : ndarray, shape (N, N)
    spectrum : Spectrum
        Its factorization.
    rcond : float or None
    ridge : float

    Raises
    ------
    DegenerateKernelError
        If neither a rank cut nor a ridge says what to do with the null directions.
    """  # noqa: DOC501
    if rcond is None and not ridge and spectrum.is_degenerate:
        raise degenerate_error(K, spectrum)


def degenerate_error(
    K: Array, spectrum: Spectrum, remedy: str | None = None, *, unweighted: Spectrum | None = None
) -> DegenerateKernelError:
    """The error for a kernel that is singular to working precision: rows, λ_min, what to do.

    Parameters
    ----------
    K : ndarray, shape (N, N)
    spectrum : Spectrum
        Its factorization.
    remedy : str, optional
        What to do, where a ridge and a rank cut are not on offer.
    unweighted : Spectrum, optional
        For K = φ D φ^T that of φφ^T, which tells whether D is the cause.

    Returns
    -------
    DegenerateKernelError
    """
    K = host(K)
    precision = "" if K.dtype == np.float64 else "; float64 inputs and parameters resolve more"
    kernel, blame, under, cause = "K(X, X)", "", "", "Remove the cause"
    if unweighted is not None:
        kernel = "K_D(X, X) = φ(X) D φ(X)^T"
        if not unweighted.is_degenerate:
            blame = (
                f"; K(X, X) itself is not (its λ_min = {unweighted.smallest:.3g}): D is the cause"
            )
            under = ", weighted by D"
            cause = "Give D fewer zeros or a smaller range"
    if remedy is None:
        remedy = (
            f"{cause}, or pass ridge= > 0, or rcond= to cut the null directions (such as "
            f"rcond={spectrum.resolution:.1g})"
        )
    return DegenerateKernelError(
        f"the kernel {kernel} is singular to working precision: λ_min = {spectrum.smallest:.3g} is "
        f"not above N·eps·λ_max = {spectrum.threshold():.3g}{blame}. Counting rows from 0: "
        f"{_dependent_rows(K, spectrum, under)}. {remedy}{precision}"
    )


def _dependent_rows(K: Array, spectrum: Spectrum, under: str = "") -> str:
    """Name the rows (0-based) that make K singular; ``under`` goes with the word features."""
    sizes = K.diagonal()
    zero = np.flatnonzero(sizes <= min(spectrum.threshold(), _rounding(K) * float(sizes.max())))
    if len(zero):
        return f"rows without features{under or ', φ(x) = 0 to rounding'}: {_listing(zero)}"
    pairs = parallel_rows(K, spectrum.threshold())
    if pairs:
        why = under or (", as of equal or parallel inputs or of inputs that reach no neuron")
        return f"rows of X with parallel features{why}: {_listing(pairs)}"
    weights = np.abs(spectrum.vectors[:, 0])
    involved = np.flatnonzero(weights > 0.1 * weights.max())
    return (
        f"no two rows have parallel features{under}, but these have linearly dependent ones: "
        f"{_listing(involved)}"
    )


def _rounding(K: Array) -> float:
    """What an entry of a kernel may be wrong by, relatively: a sum of a million products or so."""
    return 1024 * float(np.finfo(K.dtype).eps)


def parallel_rows(K: Array, threshold: float) -> list[tuple[int, int]]:
    """Pairs i < j whose 2×2 block of K alone is singular: λ ≤ ``threshold``, and to its rounding.

    λ_min of the block bounds λ_min(K) from above (Cauchy interlacing), so each pair is a reason of
    its own for K to be singular. Of many rows in single precision the threshold is so high that
    all pairs stay below it; φ(x_i) and φ(x_j) are parallel only where the block's own entries
    cannot tell them apart.

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
    rounding = _rounding(K)
    pairs = []
    for i in range(len(K) - 1):
        a, b = diagonal[i], diagonal[i + 1 :]
        c = K[i, i + 1 :].astype(np.float64)
        larger = 0.5 * (a + b + np.hypot(a - b, 2 * c))
        # det/λ_larger; (√a√b − |c|)(√a√b + |c|) keeps the digits that a·b − c² would cancel.
        mean = np.sqrt(a) * np.sqrt(b)
        smaller = (mean - np.abs(c)) * (mean + np.abs(c)) / larger
        parallel = smaller <= np.minimum(threshold, rounding * larger)
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(parallel)]
    return pairs


def _listing(items: Any, limit: int = 6) -> str:
    """The first few of ``items``, and how many more there are."""
    named = ", ".join(str(v if isinstance(v, tuple) else int(v)) for v in items[:limit])
    return named if len(items) <= limit else f"{named} and {len(items) - limit} more"


def as_ridge(ridge: Any) -> float:
    """A finite ridge λ ≥ 0, in units of the kernel."""
    return as_nonnegative(ridge, name="ridge")


def as_rank_cut(rcond: Any) -> float | None:
    """A rank cut 0 ≤ rcond < 1 relative to λ_max, or None for the default."""
    if rcond is None:
        return None
    rcond = as_nonnegative(rcond, name="rcond")
    if rcond >= 1:
        raise ValueError(f"rcond must be below 1 (it is relative to λ_max), got {said(rcond)}")
    return rcond
