"""What a kernel and its targets determine, enclosed rigorously in ball arithmetic: Thm 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.balls import arb, arb_mat, ball_from, ctx, described
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import host
from ntklin.edge.checks import as_count
from ntklin.edge.errors import DegenerateKernelError, FloatRangeError
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.values import said

# Far beyond any use; python-flint could not count much more.
MOST_BITS = 1 << 24
# How far below the estimate of λ_min the certified bound is tried, relative to it.
GAPS = (2.0**-40, 2.0**-20, 0.5)


@dataclass(frozen=True, eq=False, repr=False)
class Enclosure(Shown):
    """Real numbers, each of which is proved to lie in a ball: the midpoint, plus or minus a radius.

    Attributes
    ----------
    balls : tuple of flint.arb, length n
    """

    balls: tuple[arb, ...]

    def __len__(self) -> int:
        return len(self.balls)

    def __reduce__(self) -> Any:
        return _enclosure_of, (tuple(map(described, self.balls)),)

    @cached_property
    def midpoint(self) -> Array:
        """The centers, rounded to float64, (n,)."""
        return np.array([float(x) for x in self.balls])

    @cached_property
    def lower(self) -> Array:
        """Numbers that are certainly not larger, (n,), float64."""
        return np.array([_below(x) for x in self.balls])

    @cached_property
    def upper(self) -> Array:
        """Numbers that are certainly not smaller, (n,), float64."""
        return np.array([-_below(-x) for x in self.balls])

    @cached_property
    def digits(self) -> float:
        """How many decimal digits are certain, relative to the largest entry; inf if all are."""
        radius = max(x.rad() for x in self.balls)
        size = max(abs(x.mid()) for x in self.balls)
        if radius == 0:
            return math.inf
        if size == 0:
            return 0
        return max(0, math.floor(-float((radius / size).log() / arb(10).log())))

    @property
    def in_words(self) -> str:
        """How many numbers, and how many of their digits are certain."""
        digits = "all" if self.digits == math.inf else f"{self.digits:g}"
        numbers = "1 number" if len(self) == 1 else f"{len(self):,} numbers"
        return f"{numbers}, {digits} digits certain"

    def _facts(self) -> Facts:
        return facts("Enclosure", holds=self.in_words)

    def distance(self, approximation: ArrayLike) -> Enclosure:
        """|approximation − x| of each entry: the true error of a result in floating point.

        Parameters
        ----------
        approximation : array_like, shape (n,) or (n, 1)
            Taken as exact, float32 or float64.

        Returns
        -------
        Enclosure
            ``distance(a).upper.max()`` is an error that is certainly not exceeded.
        """
        values = _matrix(approximation, None, (len(self),), "approximation").entries()
        with ctx.workprec(max(ctx.prec, _bits(self.balls))):
            return Enclosure(
                tuple(abs(a - x) for a, x in zip(values, self.balls, strict=True)),
            )


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Certificate(Shown):
    """What ``certify`` proves of a kernel, its targets and the minimizer that training reaches.

    Attributes
    ----------
    smallest_eigenvalue : float
        A lower bound of λ_min(K), which is positive.
    coefficients : Enclosure, length N
        K^{-1} Y.
    interpolator : Enclosure or None, length N_new
        f_int(X_new) = K_new K^{-1} Y; this and what follows is None without ``K_new``.
    initialization : Enclosure or None, length N_new
        f_init(X_new) = f_0(X_new) − K_new K^{-1} f_0(X).
    minimizer : Enclosure or None, length N_new
        f_∞ = f_int + f_init.
    initialization_size : Enclosure or None, length 1
        ‖f_init(X_new)‖/√(2 N_new): σ^L J of Thm 2 if the activation is homogeneous.
    precision : int
        The bits of all midpoints.
    """

    smallest_eigenvalue: float
    coefficients: Enclosure
    interpolator: Enclosure | None
    initialization: Enclosure | None
    minimizer: Enclosure | None
    initialization_size: Enclosure | None
    precision: int

    def _facts(self) -> Facts:
        names = "coefficients", "interpolator", "initialization", "minimizer", "initialization_size"
        found = {name: getattr(self, name) for name in names}
        return facts(
            "Certificate",
            samples=len(self.coefficients),
            smallest_eigenvalue=f"at least {self.smallest_eigenvalue!r}",  # rounded, it may be more
            **{name: None if one is None else one.in_words for name, one in found.items()},
            precision=f"{self.precision:,} bits",
        )


def certify(
    K: ArrayLike | arb_mat,
    Y: ArrayLike | arb_mat,
    K_new: ArrayLike | arb_mat | None = None,
    f0: ArrayLike | arb_mat | None = None,
    f0_new: ArrayLike | arb_mat | None = None,
    *,
    radii: Mapping[str, ArrayLike] | None = None,
    precision: int = 128,
) -> Certificate:
    r"""Enclose the minimizer of a kernel regression, with proof: no rounding error is left out.

    .. math::

        f_{int} = K_{new} K^{-1} Y, \quad f_{init} = f_0(X_{new}) - K_{new} K^{-1} f_0(X), \quad
        f_\infty = f_{int} + f_{init}

    All is computed in ball arithmetic (python-flint's Arb). What is returned holds for the numbers
    that were passed: arrays are taken as exact binary numbers, or as the centers of intervals whose
    half-widths are ``radii``. So a kernel that was itself computed in floating point is to come
    with a bound of its rounding errors, or the certificate is one of the rounded kernel.

    Parameters
    ----------
    K : array_like, shape (N, N), or flint.arb_mat
        The kernel on the training inputs, symmetric.
    Y : array_like, shape (N,) or (N, 1), or flint.arb_mat
    K_new : array_like, shape (N_new, N), or flint.arb_mat, optional
        The kernel between new inputs and the training inputs.
    f0, f0_new : array_like, shapes (N,) and (N_new,), or flint.arb_mat, optional
        f_0(X) and f_0(X_new); zero when not given, as it is for an ``AntisymmetricPair``.
    radii : dict, optional
        Half-widths of arguments by their names, numbers or arrays ≥ 0: ``{"K": 1e-12}``.
    precision : int
        Bits; enclosures get narrower with more of them, as far as ``radii`` permit.

    Returns
    -------
    Certificate

    Raises
    ------
    DegenerateKernelError
        If K could not be proved to be positive definite, for every K within the radii.
    ValueError
        For shapes that do not fit, NaN or infinite entries, or a K that is not symmetric.

    Notes
    -----
    λ_min is bounded by the pivots of K − c1, which are all positive if and only if λ_min > c. The
    work is O(N³) in multiple precision: 0.3 s for N = 100. python-flint's precision is a global
    setting; it is restored, but do not call this from several threads.

    Examples
    --------
    >>> import ntklin
    >>> c = ntklin.certify([[2.0, 1.0], [1.0, 2.0]], [1.0, 0.0], K_new=[[1.0, 1.0]])
    >>> c.smallest_eigenvalue
    0.9999999999990905
    >>> c.interpolator.distance([0.3333]).upper  # of 1/3
    array([3.33333333e-05])
    """  # noqa: DOC501
    precision = as_count(precision, name="precision", minimum=32)
    if precision > MOST_BITS:
        raise ValueError(f"precision must be at most {MOST_BITS} bits, got {precision}")
    radii = _as_radii(radii)
    if (f0 is None) != (f0_new is None) or (f0 is not None and K_new is None):
        raise ValueError("f0, f0_new and K_new belong together: pass K_new alone or all three")
    K, n = _with_rows(K, "K")
    with ctx.workprec(precision):
        K = _symmetric(_matrix(K, radii.pop("K", None), (n, n), "K"))
        Y = _matrix(Y, radii.pop("Y", None), (n,), "Y")
        if K_new is not None:
            K_new, n_new = _with_rows(K_new, "K_new")
            K_new = _matrix(K_new, radii.pop("K_new", None), (n_new, n), "K_new")
            given = f0 is not None
            f0 = _matrix(f0, radii.pop("f0", None), (n,), "f0") if given else arb_mat(n, 1)
            f0_new = (
                _matrix(f0_new, radii.pop("f0_new", None), (n_new,), "f0_new")
                if given
                else arb_mat(n_new, 1)
            )
        if radii:
            other = said(next(iter(radii)))
            raise ValueError(f"radii has {other}, which is not among the arguments")
        smallest = _smallest_eigenvalue(K, precision)
        try:
            found = _solved(K, Y, K_new, f0, f0_new)
        except ZeroDivisionError:
            raise _degenerate(K, precision) from None
    return Certificate(smallest_eigenvalue=smallest, precision=precision, **found)


def _solved(K: arb_mat, Y: arb_mat, K_new: arb_mat | None, f0: Any, f0_new: Any) -> dict[str, Any]:
    """The enclosures of a Certificate."""
    alpha = K.solve(Y)
    names = ("interpolator", "initialization", "minimizer", "initialization_size")
    found: dict[str, Any] = dict.fromkeys(names)
    if K_new is not None:
        pull = K.solve(K_new.transpose()).transpose()
        f_init = f0_new - _applied(K, K_new, pull, f0)
        found = {
            "interpolator": _enclosure(_applied(K, K_new, pull, Y)),
            "initialization": _enclosure(f_init),
            "minimizer": _enclosure(f0_new + _applied(K, K_new, pull, Y - f0)),
            "initialization_size": Enclosure((_root_mean_square(f_init) / arb(2).sqrt(),)),
        }
    return {"coefficients": _enclosure(alpha), **found}


def _applied(K: arb_mat, K_new: arb_mat, pull: arb_mat, r: arb_mat) -> arb_mat:
    """K_new K^{-1} r as K_new α̃ + (K_new K^{-1})(r − K α̃), for any α̃, here the center of K^{-1} r.

    ``pull`` is K_new K^{-1}. Radii of K and r enter by the residual, so that they are amplified by
    the size of ``pull`` only; in K_new (K^{-1} r) it would be by 1/λ_min.

    Returns
    -------
    arb_mat
    """
    near = K.solve(r).mid()
    return K_new * near + pull * (r - K * near)


def _root_mean_square(f: arb_mat) -> arb:
    """‖f‖/√n from its ends, as balls around 0 have squares whose root Arb refuses."""
    ends = [abs(x) for x in f.entries()]
    least, most = (
        (sum((x * x for x in end), arb(0)) / len(end)).sqrt()
        for end in ([max(x.lower(), arb(0)) for x in ends], [x.upper() for x in ends])
    )
    return least.union(most)


def _enclosure(matrix: arb_mat) -> Enclosure:
    return Enclosure(tuple(matrix.entries()))


def _enclosure_of(descriptions: tuple[Any, ...]) -> Enclosure:
    return Enclosure(tuple(map(ball_from, descriptions)))


def _smallest_eigenvalue(K: arb_mat, precision: int) -> float:
    """A float c > 0 with λ_min ≥ c for every symmetric matrix in the balls.

    By Weyl's inequality that is a bound for the centers, less a norm of the radii.

    Returns
    -------
    float
    """  # noqa: DOC501
    n = K.nrows()
    unit = _unit(K)
    center, width = (K * unit).mid(), _width(K) * unit
    try:
        inverse = center.solve(_diagonal([arb(1)] * n))
        estimate = 1 / np.linalg.norm(_floats(inverse), 2)
    except (ZeroDivisionError, np.linalg.LinAlgError):
        estimate = 0.0
    for gap in GAPS:
        shift = arb(float(estimate * (1 - gap)))
        if shift > width and _is_positive_definite(center - _diagonal([shift] * n)):
            bound = _below((shift - width) / unit)
            if bound > 0:
                return bound
            raise FloatRangeError("λ_min of K underflows float64; scale K, Y and f0 up")
    raise _degenerate(K, precision)


def _unit(K: arb_mat) -> arb:
    """A power of two by which the largest entry comes near 1; products with it are exact."""
    largest = max(abs(x).upper() for x in K.entries())
    if largest == 0:
        return arb(1)
    return arb(2) ** -round(float(largest.log() / arb(2).log()))


def _degenerate(K: arb_mat, precision: int) -> DegenerateKernelError:
    """The error for a K that is singular, or too uncertain."""
    unit = _unit(K)
    smallest = arb(float(np.linalg.eigvalsh(_floats(K * unit))[0])) / unit
    return DegenerateKernelError(
        f"K could not be proved to be positive definite with {precision} bits: in float64 its "
        f"λ_min is {float(smallest):.3g}, from which its radii take up to "
        f"{float(_width(K)):.3g}. Remove inputs that are the same up to a factor, add a ridge to "
        "the diagonal of K, or pass smaller radii= or more bits as precision="
    )


def _width(K: arb_mat) -> arb:
    """A bound of the spectral norm of what K's radii allow: their largest row sum."""
    return max(sum((x.rad() for x in row), arb(0)).upper() for row in K.tolist())


def _is_positive_definite(A: arb_mat) -> bool:
    """Whether all symmetric matrices in A are, for certain, by Schur complements of halves.

    A is if and only if its upper left block is and the Schur complement of that; a block's solve is
    the one of Arb, which does not let radii grow from pivot to pivot.

    Returns
    -------
    bool
    """
    n = A.nrows()
    if n == 1:
        return bool(A[0, 0] > 0)
    table, k = A.tolist(), n // 2
    first = arb_mat([row[:k] for row in table[:k]])
    if not _is_positive_definite(first):
        return False
    corner = arb_mat([row[k:] for row in table[:k]])
    last = arb_mat([row[k:] for row in table[k:]])
    try:
        return _is_positive_definite(last - corner.transpose() * first.solve(corner))
    except ZeroDivisionError:
        return False


def _diagonal(values: list[arb]) -> arb_mat:
    matrix = arb_mat(len(values), len(values))
    for i, value in enumerate(values):
        matrix[i, i] = value
    return matrix


def _as_radii(radii: Any) -> dict[str, Any]:
    try:
        return dict(radii or {})
    except (TypeError, ValueError):
        raise TypeError(f"radii must be a dict such as {{'K': 1e-12}}, got {said(radii)}") from None


def _with_rows(values: Any, name: str) -> tuple[Any, int]:
    """A matrix as ``_matrix`` takes it, read once, and how many rows it has."""
    if isinstance(values, arb_mat):
        shape = values.nrows(), values.ncols()
    else:
        values = _array(values, name)
        shape = values.shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{name} must be a matrix, got shape {shape}")
    return values, shape[0]


def _matrix(values: Any, radius: Any, shape: tuple[int, ...], name: str) -> arb_mat:
    """An arb_mat of this shape, or a column for (n,), finite and without any rounding."""
    n_rows, n_columns = shape if len(shape) == 2 else (*shape, 1)
    entries: Sequence[Any]
    if isinstance(values, arb_mat):
        found, entries = (values.nrows(), values.ncols()), values.entries()
    else:
        array = _array(values, name)
        found, entries = array.shape, array.ravel().tolist()
    if found not in (shape, (n_rows, n_columns)):
        raise ValueError(f"{name} must have shape {shape}, got shape {found}")
    if radius is not None:
        widths = _widths(radius, shape, f"radii[{said(name)}]")
        entries = [_ball(x, r) for x, r in zip(entries, widths, strict=True)]
    matrix = arb_mat(n_rows, n_columns, entries)
    if not all(x.is_finite() for x in matrix.entries()):
        raise ValueError(f"{name} contains NaN or infinite values")
    return matrix


def _widths(radius: Any, shape: tuple[int, ...], name: str) -> list[float]:
    """The radii of all entries, row by row."""
    widths = _array(radius, name)
    if widths.shape not in ((), shape):
        raise ValueError(f"{name} must be a number or have shape {shape}, got {widths.shape}")
    if not bool((np.isfinite(widths) & (widths >= 0)).all()):
        raise ValueError(f"{name} must be finite and at least 0")
    return np.broadcast_to(widths, shape).ravel().tolist()


def _ball(x: Any, r: float) -> arb:
    """[x − r, x + r], or more."""
    x = arb(x)
    return arb(x.mid(), x.rad() + r)


def _array(values: Any, name: str) -> Array:
    """An array of numbers that convert to balls without rounding."""
    array = host(as_array(values, name, exact=True))
    if array.dtype.itemsize > 8:
        raise TypeError(
            f"{name} must be an array of float64, float32 or integers, got dtype {array.dtype}"
        )
    return array.astype(int) if array.dtype.kind == "b" else array


def _symmetric(K: arb_mat) -> arb_mat:
    """The part of K's balls that symmetric matrices fill, or a little more."""
    other = K.transpose()
    if not K.overlaps(other):
        gap = max(abs(float(x)) for x in (K - other).entries())
        raise ValueError(
            f"K must be symmetric, but |K − K^T| is up to {gap:.3g}; pass (K + K.T)/2, or the "
            "errors of its entries as radii="
        )
    return (K + other) * arb(0.5)


def _floats(matrix: arb_mat) -> Array:
    return np.array([[float(x) for x in row] for row in matrix.tolist()])


def _below(x: arb) -> float:
    """A float64 that is certainly not above any number in a ball, and close to them."""
    bound = x.lower()
    nearest = float(bound)
    return nearest if arb(nearest) <= bound else float(np.nextafter(nearest, -np.inf))


def _bits(balls: tuple[arb, ...]) -> int:
    """Enough bits to subtract a float from these without widening them."""
    return max((x.mid().bits() for x in balls), default=0) + 64
