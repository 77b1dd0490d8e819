"""The rows of the infinite-width recursion for activations other than ReLU.

What depends on one row alone, for each hidden layer: its norm, and what the laws of
``infinite_laws`` need of it. In float64 for either dtype.
"""

import math
from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.infinite_rows import scaled_inputs
from ntklin.kernels.cpu.infinite_series import root_moment, series
from ntklin.kernels.infinite_scales import TwoSlopes, rows, rows_through

TWO_SLOPES, ERF, SIN, GELU, SERIES = range(5)
CLOSED = {"erf": ERF, "sin": SIN, "gelu": GELU}


class Side(NamedTuple):
    """Rows x, see ``infinite_scales.Rows`` and ``Norms``.

    Attributes
    ----------
    X : ndarray, shape (N, d)
        x/2^k.
    unit, share : ndarray, shape (N,)
    r, k : ndarray, shape (L − 1, N)
    q : ndarray, shape (L, N)
    norms : ndarray, shape (N,)
        n_L, or what stands for it in products with the other side.
    n : ndarray, shape (L − 1, N)
        n_l; of ``TwoSlopes`` 1, and 0 for a zero row.
    sign : ndarray, shape (N,)
        Of ``TwoSlopes``: E sgn u, which only a zero row may have.
    e, w : ndarray, shape (L − 1, N)
        1/√(1 + p n²) and √p n/√(1 + p n²) of erf, p = 2, and gelu, p = 1; of a series w = √E α'².
    per_root : ndarray, shape (L − 1, N)
        1/√E α².
    values, slopes : ndarray, shape (L − 1, K, N)
        The Hermite coefficients of α, over √E α², and of α'.
    tails : ndarray, shape (L − 1, 2, N)
        What they leave out, see ``infinite_series.Series``.
    """

    X: np.ndarray
    unit: np.ndarray
    share: np.ndarray
    r: np.ndarray
    k: np.ndarray
    q: np.ndarray
    norms: np.ndarray
    n: np.ndarray
    sign: np.ndarray
    e: np.ndarray
    w: np.ndarray
    per_root: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    tails: np.ndarray


def kind_of(activation):
    """Which law is that of a ``TwoSlopes`` or of a ``Body``."""
    if isinstance(activation, TwoSlopes):
        return TWO_SLOPES
    return CLOSED.get(activation.name, SERIES)


def _arcsine(n2):
    """asin(n²/(1 + n²)), with all its digits near 1, where it is steep."""
    away = math.pi / 2 - 2 * np.arcsin(np.sqrt(0.5 / (1 + n2)))
    return np.where(n2 > 1, away, np.arcsin(n2 / (1 + n2)))


def _roots(activation):
    """√E α(n z)² as a function of an array n."""

    def of_erf(n):
        return np.sqrt(2 / math.pi * _arcsine(2 * n * n))

    def of_sin(n):
        return np.sqrt(-np.expm1(-2 * n * n) / 2)

    def of_gelu(n):
        n2 = n * n
        quarter = 0.25 + _arcsine(n2) / (2 * math.pi)
        return n * np.sqrt(quarter + n2 / (1 + n2) / np.sqrt(1 + 2 * n2) / math.pi)

    closed = {ERF: of_erf, SIN: of_sin, GELU: of_gelu}
    return closed.get(kind_of(activation)) or (lambda n: root_moment(activation, n))


def sides(activation, inputs, n_layers, scales, tolerance, longest):
    """The ``Side`` of each of some inputs, without norms, and their n_L as m · 2^k.

    Parameters
    ----------
    activation : TwoSlopes or Body
    inputs : sequence of ndarray, shapes (N, d)
        One or two.
    n_layers : int
        L.
    scales : (float, float, float)
        The weight's of the first layer, √g and √b.
    tolerance : float
        For what a series leaves out.
    longest : int
        Its most terms.

    Raises
    ------
    OverflowError, Unresolved
    """
    weight, gain, bias = scales
    found = []
    for X in inputs:
        X, exponents, lengths = scaled_inputs(X)
        at = (exponents, lengths)
        if isinstance(activation, TwoSlopes):
            root = math.sqrt(activation.square)
            own = rows(*at, n_layers, weight, gain * root, bias)
            live = np.where((lengths > 0) | (bias > 0), 1.0, 0.0)
            norms = np.tile(live, (n_layers - 1, 1)), own.r / (root or 1), None
            found.append((X, own, norms, _signs(activation, live)))
        else:
            first = rows(*at, 1, weight, gain, bias)
            own, norms = rows_through(first, n_layers, gain, bias, _roots(activation))
            found.append((X, own, (norms.n, norms.k, norms.root), np.zeros(len(X))))
    splits = np.cumsum([len(X) for X, *_ in found])[:-1]
    n = np.concatenate([norms[0] for _, _, norms, _ in found], axis=1)
    moments = _moments(activation, n, tolerance, longest)
    result = []
    for part, (X, own, norms, sign) in enumerate(found):
        e, w, values, slopes, tails = (np.split(a, splits, axis=-1)[part] for a in moments)
        n, k, root = norms
        root = np.ones_like(n) if root is None else root
        per_root = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
        arrays = (own.unit, own.share, own.r, k, own.q, own.unit, n, sign, e, w, per_root)
        series = (values, slopes, tails)
        side = Side(X, *(np.ascontiguousarray(a, np.float64) for a in (*arrays, *series)))
        result.append((side, own.norm))
    return result


def _signs(activation, live):
    """E sgn u: 0, and where u = 0 what makes α'(0) of the two slopes."""
    c = (activation.right - activation.left) / 2
    d = (activation.right + activation.left) / 2
    return (1 - live) * ((activation.at_zero - d) / c if c else 0.0)


def _moments(activation, n, tolerance, longest):
    """e, w, the two kinds of coefficients and their tails, for all rows of both sides."""
    kind = kind_of(activation)
    n_hidden, n_rows = n.shape
    e, w = np.zeros(n.shape), np.zeros(n.shape)
    values = slopes = np.zeros((n_hidden, 0, n_rows))
    tails = np.zeros((n_hidden, 2, n_rows))
    if kind in (ERF, GELU):
        p = 2 if kind == ERF else 1
        e = 1 / np.sqrt(1 + p * n * n)
        w = math.sqrt(p) * n * e
    elif kind == SERIES and n_hidden:
        layers = [series(activation, row, tolerance, longest) for row in n]
        shape = (n_hidden, max(len(found.values) for found in layers), n_rows)
        values, slopes = np.zeros(shape), np.zeros(shape)
        for l, found in enumerate(layers):
            values[l, : len(found.values)] = found.values
            slopes[l, : len(found.slopes)] = found.slopes
            tails[l] = found.tails
            w[l] = found.root_slopes
    return e, w, values, slopes, tails
