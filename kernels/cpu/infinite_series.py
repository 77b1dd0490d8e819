"""Moments of any activation by its Hermite series, where no closed form is known.

With the normalized Hermite polynomials h_k of a standard normal z, and (z, z') of correlation ρ,

    a_k(n) = E α(n z) h_k(z),   E α(n z) α(n' z') = Σ_k ρ^k a_k(n) a_k(n')        (Mehler)

so that the integrals are one-dimensional, one for each norm, and a pair of rows costs a polynomial
in ρ. By Cauchy and Schwarz what is left out from k = K on is at most |ρ|^K times the roots of
T_K(n) = E α(n z)² − Σ_{k<K} a_k(n)² and T_K(n'): a bound that is known for every entry. The same
holds for α'. An analytic α has T_K that falls exponentially; one with a kink, T_K ~ K^{−3/2} for α
and K^{−1/2} for α', so that there |ρ|^K has to be small.

The integrals are sums over Gauss–Legendre panels on either side of 0, a place where α may have a
kink. The panels are halved until E α² and E α'² stay what they were.
"""

import math
from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.activations import activated
from ntklin.kernels.infinite_scales import Unresolved
from ntklin.kernels.structures import Layer

# z where the normal density ends: e^{−z²/4} is below eps.
END = 13.0
POINTS = 16
# Relative to E α² and E α'²: when the panels are fine enough, and the series long enough.
RESOLVED = 1e-13
# What a panel of a width of 1 resolves of h_k: k up to its square.
FREQUENCY = 8.0
HALVINGS = 9
SHORTEST = 32
ROWS = 512
ORDERS = 256


class Series(NamedTuple):
    """The Hermite coefficients of α and α' for some norms.

    Attributes
    ----------
    values, slopes : ndarray, shape (K, N)
        Those of α over √E α², those of α' as they are.
    tails : ndarray, shape (2, N)
        √T_K, relative to √E α² and √E α'².
    root_slopes : ndarray, shape (N,)
        √E α'².
    """

    values: np.ndarray
    slopes: np.ndarray
    tails: np.ndarray
    root_slopes: np.ndarray


def _nodes(width):
    """Places z and weights of ∫ … φ(z)^{1/2} dz, panel by panel, and φ^{1/2} there."""
    x, w = np.polynomial.legendre.leggauss(POINTS)
    count = math.ceil(END / width)
    half = END / count / 2
    z = (half * (2 * np.arange(count)[:, None] + 1 + x)).ravel()
    weights = np.tile(half * w, count)
    z, weights = np.concatenate([-z[::-1], z]), np.concatenate([weights[::-1], weights])
    root = np.exp(-z * z / 4) / (2 * math.pi) ** 0.25
    return z, weights * root, root


def _values(body, n, z):
    """α(n z) and α'(n z), shapes (N, number of z): a layer whose one input is n, its weights z."""
    layer = Layer(z[:, None], np.zeros_like(z), np.float64(1), np.float64(0))
    return activated(body, layer, np.ascontiguousarray(n)[:, None])[:2]


def _squares(body, n, width):
    """E α(n z)² and E α'(n z)², shape (2, N), and whether the last panels have no share in them."""
    z, weights, root = _nodes(width)
    density = weights * root
    found = np.empty((2, len(n)))
    last = np.abs(z) > END - 1
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(n), ROWS):
            part = slice(start, start + ROWS)
            for square, values in zip(found, _values(body, n[part], z), strict=True):
                terms = values * values * density
                square[part] = terms.sum(axis=1)
                if not (terms[:, last].sum(axis=1) <= RESOLVED * square[part]).all():
                    square[part] = np.inf
    return found


def squares(body, n):
    """E α(n z)² and E α'(n z)² for a standard normal z.

    Parameters
    ----------
    body : Body
    n : ndarray, shape (N,)

    Returns
    -------
    squares : ndarray, shape (2, N)
        Infinite where they overflow, or do not exist.
    width : float
        Of panels that resolve them.
    error : float
        By how much, relatively, half of that width would still change them.
    """
    width = min(1.0, 2 / max(float(n.max(initial=0)), 1.0))
    coarse = _squares(body, n, width)
    error = math.inf
    for _ in range(HALVINGS):
        fine = _squares(body, n, width / 2)
        if not np.isfinite(fine).all():
            return fine, width, 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            error = float(np.nan_to_num(np.abs(fine - coarse) / fine, posinf=1.0).max(initial=0))
        if error <= RESOLVED:
            return fine, width, error
        coarse, width = fine, width / 2
    return coarse, width, error


def root_moment(body, n):
    """√E α(n z)², infinite where it overflows.

    Parameters
    ----------
    body : Body
    n : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (N,)
    """
    distinct, place = np.unique(n, return_inverse=True)
    return np.sqrt(squares(body, distinct)[0][0])[place]


def _coefficients(body, n, width, K):
    """E α(n z) h_k(z) and E α'(n z) h_k(z), k < K, shape (2, K, N)."""
    z, weights, root = _nodes(min(width, FREQUENCY / math.sqrt(K)))
    found = np.empty((2, K, len(n)))
    h = np.empty((min(K, ORDERS), len(z)))
    before, here = np.zeros_like(z), root
    for first in range(0, K, ORDERS):
        stop = min(first + ORDERS, K)
        for k in range(first, stop):
            h[k - first] = here * weights
            before, here = here, (z * here - math.sqrt(k) * before) / math.sqrt(k + 1)
        for start in range(0, len(n), ROWS):
            part = slice(start, start + ROWS)
            for kind, values in enumerate(_values(body, n[part], z)):
                found[kind, first:stop, part] = h[: stop - first] @ values.T
    return found


def series(body, n, tolerance, longest):
    """The ``Series`` of an activation at some norms, as long as the tolerance asks for.

    Parameters
    ----------
    body : Body
    n : ndarray, shape (N,)
    tolerance : float
        For T_K, relative to E α² and E α'².
    longest : int
        The most terms. What is left then is for the pairs' bounds to judge.

    Returns
    -------
    Series

    Raises
    ------
    Unresolved
        If even the integrals are not known to the tolerance.
    """
    distinct, place = np.unique(n, return_inverse=True)
    total, width, error = squares(body, distinct)
    if error > tolerance:
        raise Unresolved(error)
    scale = np.where(total > 0, total, 1)
    K = min(SHORTEST, longest)
    while True:
        found = _coefficients(body, distinct, width, K)
        # Backwards, so that the small ones are not lost.
        tails = np.maximum(1 - (found[:, ::-1] ** 2).sum(axis=1) / scale, 0) * (total > 0)
        if longest == K or float(tails.max()) <= tolerance:
            break
        K = min(2 * K, longest)
    roots = np.sqrt(total[:, place])
    values = found[0][:, place] / np.sqrt(scale[0])[place]
    return Series(values, found[1][:, place], np.sqrt(tails)[:, place], roots[1])
