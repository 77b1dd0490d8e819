"""The infinite-width recursion row by row: everything that depends on one input alone.

What follows from layer to layer is |C| and Θ relative to the rows' own norms n_l = √C_l(x, x), so
that no square of an input, of σ or of σ^L is ever formed. The norms themselves are held as m · 2^k
with integers k. Once per row and layer, on the host, in float64.
"""

import math
from typing import NamedTuple

import numpy as np

NOTHING = -(1 << 24)  # the exponent of 0, below all others


class Rows(NamedTuple):
    """What the recursion over pairs needs of one input.

    Attributes
    ----------
    unit : ndarray, shape (N,)
        √w 2^k/n_1, by which x/2^k is multiplied to give u.
    share : ndarray, shape (N,)
        e = |u|² = w |x|²/n_1².
    r : ndarray, shape (L − 1, N)
        √g n_l/n_{l+1}; 0 for a zero row, whose neurons are inactive.
    q : ndarray, shape (L, N)
        √b/n_l.
    norm : (ndarray, ndarray)
        n_L as m · 2^k.
    """

    unit: np.ndarray
    share: np.ndarray
    r: np.ndarray
    q: np.ndarray
    norm: tuple


def _pair(m, k=0):
    """m · 2^k with 1/2 ≤ m < 1; of numbers or of arrays."""
    if isinstance(m, float) and isinstance(k, int):
        fraction, e = math.frexp(m)
        return fraction, k + e if fraction else NOTHING
    fraction, e = np.frexp(np.asarray(m, np.float64))
    return fraction, np.where(fraction == 0, NOTHING, k + e.astype(np.int64))


def _times(first, second):
    return _pair(first[0] * second[0], first[1] + second[1])


def _hypot(first, second):
    """The second is a number."""
    if second[0] == 0:
        return first
    k = np.maximum(first[1], second[1])
    parts = (np.ldexp(m, np.maximum(e - k, -1000).astype(np.int32)) for m, e in (first, second))
    with np.errstate(under="ignore"):
        return _pair(np.sqrt(sum(p * p for p in parts)), k)


def _ratio(first, second):
    """first/second as a float; 0 where the second is 0."""
    none = second[0] == 0
    quotient = np.where(none, 0, first[0] / np.where(none, 1, second[0]))
    exponent = np.minimum(np.maximum(first[1] - second[1], -2000), 2000)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(quotient, exponent.astype(np.int32))


def rows(exponents, lengths, n_layers, weight, gain, bias):
    """The ``Rows`` of inputs.

    Parameters
    ----------
    exponents, lengths : ndarray, shape (N,)
        k and |x|/2^k.
    n_layers : int
        L.
    weight, gain, bias : float
        √w, √g and √b.

    Returns
    -------
    Rows
    """
    offset, step = _pair(bias), _pair(gain)
    size = _times(_pair(weight), _pair(lengths, exponents))
    n = _hypot(size, offset)
    unit = _ratio(_times(_pair(weight), _pair(np.ones(len(lengths)), exponents)), n)
    q, r = [_ratio(offset, n)], []
    with np.errstate(under="ignore"):
        share = _ratio(size, n) ** 2
    for _ in range(n_layers - 1):
        grown = _times(step, n)
        n = _hypot(grown, offset)
        r.append(_ratio(grown, n))
        q.append(_ratio(offset, n))
    shape = (n_layers - 1, len(lengths))
    return Rows(unit, share, np.reshape(r, shape), np.stack(q), n)


class Unresolved(ArithmeticError):
    """The moments of an activation could not be found to the accuracy that is asked for.

    Attributes
    ----------
    error : float
        The bound that was reached, relative to √(E α(u)² E α(v)²) or √(E α'(u)² E α'(v)²).
    """

    def __init__(self, error):
        super().__init__(error)
        self.error = error


class TwoSlopes(NamedTuple):
    """α(h) = right · h for h > 0 and left · h for h < 0: every α with α(c h) = c α(h) for c > 0.

    Attributes
    ----------
    right, left : float
    at_zero : float
        α'(0), which a zero row has.
    """

    right: float
    left: float
    at_zero: float

    @property
    def square(self):
        """E α(z)² of a standard normal z."""
        return (self.right * self.right + self.left * self.left) / 2


# Beyond these, fourth powers of a norm overflow, or its square has no digits.
LEAST, LARGEST = 2.0**-500, 2.0**250


class Norms(NamedTuple):
    """What the recursion needs beside ``Rows`` where α is not homogeneous.

    Attributes
    ----------
    n : ndarray, shape (L − 1, N)
        n_l, l = 1, …, L − 1.
    root : ndarray, shape (L − 1, N)
        √E α(n_l z)².
    k : ndarray, shape (L − 1, N)
        √g n_l/n_{l+1}, of which κ has one for each row.
    """

    n: np.ndarray
    root: np.ndarray
    k: np.ndarray


def rows_through(first, n_layers, gain, bias, root_of):
    """``Rows`` and ``Norms`` for an α that is not homogeneous: r is √g √E α(n_l z)²/n_{l+1}.

    Parameters
    ----------
    first : Rows
        Of one layer.
    n_layers : int
        L.
    gain, bias : float
        √g and √b.
    root_of : callable
        √E α(n z)² of an array n.

    Raises
    ------
    OverflowError
    """
    offset, step, n = _pair(bias), _pair(gain), first.norm
    q, r, norms, roots, ks = [first.q[0]], [], [], [], []
    for _ in range(n_layers - 1):
        with np.errstate(over="ignore", under="ignore"):
            here = np.ldexp(n[0], np.clip(n[1], -2000, 2000).astype(np.int32))
        if (here > LARGEST).any():
            raise OverflowError("overflows")
        if (here[n[0] > 0] < LEAST).any():
            raise OverflowError("underflows")
        root = root_of(here)
        if not np.isfinite(root).all():
            raise OverflowError("overflows")
        grown = _times(step, _pair(root))
        latest, n = n, _hypot(grown, offset)
        norms.append(here)
        roots.append(root)
        r.append(_ratio(grown, n))
        q.append(_ratio(offset, n))
        ks.append(_ratio(_times(step, latest), n))
    shape = (n_layers - 1, len(first.unit))
    found = Norms(*(np.reshape(a, shape) for a in (norms, roots, ks)))
    return Rows(first.unit, first.share, np.reshape(r, shape), np.stack(q), n), found


class Shift(NamedTuple):
    """How a trained bias that starts at 0 adds to Θ: θ⁺ = κ θ + s, θ_1 = s, whatever the norms.

    It is held as s G^(l−1) τ_l with G = max(g, 1), so that τ⁺ = (g/G) (κ/g) τ + G^(−l) stays in
    range.

    Attributes
    ----------
    ratio : float
        g/G.
    terms : ndarray, shape (L − 1,)
        G^(−l).
    scale : (float, int)
        s G^(L−1) as m · 2^k.
    """

    ratio: float
    terms: np.ndarray
    scale: tuple


def shift_of(n_layers, gain, shift):
    """The ``Shift`` for √g and √s."""
    G = _times(_pair(gain), _pair(gain)) if gain > 1 else _pair(1.0)
    power, terms = _pair(1.0), []
    for _ in range(n_layers - 1):
        power = _times(power, G)
        terms.append(math.ldexp(1 / power[0], -int(power[1])))
    scale = _times(_times(_pair(shift), _pair(shift)), power)
    return Shift(1.0 if gain > 1 else float(gain) ** 2, np.array(terms), scale)


def products(own, other, dtype, added=None):
    """Factors whose products are n_L n'_L, and s G^(L−1), all in ``dtype``.

    Parameters
    ----------
    own, other : (ndarray, ndarray)
        n_L and n'_L as m · 2^k; the same object where the rows are the same.
    dtype : dtype
    added : (float, int), optional
        s G^(L−1), where it is added.

    Returns
    -------
    own, other : ndarray
    added : scalar
        0 without one.
    doubtful : bool
        Whether some entry may overflow all the same.

    Raises
    ------
    OverflowError
        With the one word ``overflows`` or ``underflows``, where no entry of this size has digits.
    """
    info, (m, k), (other_m, other_k) = np.finfo(dtype), own, other
    live, other_live = k[m > 0], other_k[other_m > 0]
    constant = (
        0.0 if added is None else float(np.ldexp(added[0], int(np.clip(added[1], -2000, 2000))))
    )
    if constant > float(info.max):
        raise OverflowError("overflows")
    if not (len(live) and len(other_live)):
        zeros = np.zeros(len(m), dtype), np.zeros(len(other_m), dtype)
        return *zeros, dtype.type(constant), False
    # Where the rows are not the same, the factors share the exponent.
    c = 0
    if own is not other:
        c = int(live.max() + live.min() - other_live.max() - other_live.min()) // 4
    with np.errstate(over="ignore", under="ignore"):
        factors = [
            np.ldexp(f, np.clip(e, -2000, 2000).astype(np.int32)).astype(dtype)
            for f, e in ((m, k - c), (other_m, other_k + c))
        ]
    largest = int(live.max() + other_live.max())
    smallest = int(live.min() + other_live.min())
    with np.errstate(over="ignore"):
        finite = all(bool(np.isfinite(f).all()) for f in factors)
    if largest - 1 > info.maxexp or not finite:
        raise OverflowError("overflows")
    least = min(float(f[f > 0].min(initial=np.inf)) for f in factors)
    lost = smallest <= info.minexp or least < float(info.tiny)
    lost = lost or any(
        bool((f[g > 0] == 0).any()) for f, g in zip(factors, (m, other_m), strict=True)
    )
    if lost and constant < float(info.tiny):
        raise OverflowError("underflows")
    return *factors, dtype.type(constant), largest >= info.maxexp - 8
