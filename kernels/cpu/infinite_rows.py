"""The rows of the infinite-width recursion: what depends on one of them alone."""

import math
from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.compiler import dot_kernel, kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors
from ntklin.kernels.infinite_scales import rows

# Rows whose largest entries all lie within 2^±EVEN, by the bytes of a number, need no scaling.
EVEN = {4: 16, 8: 128}


class Inputs(NamedTuple):
    """Inputs as the recursion takes them, see ``infinite_scales.Rows``, all in their own dtype.

    Attributes
    ----------
    X : ndarray, shape (N, d)
        x/2^k.
    unit, e : ndarray, shape (N,)
        √w 2^k/n_1, by which it becomes u, and |u|².
    r, q : ndarray, shapes (L − 1, N) and (L, N)
    norms : ndarray, shape (N,)
        n_L, or what stands for it in products with the other side.
    """

    X: np.ndarray
    unit: np.ndarray
    e: np.ndarray
    r: np.ndarray
    q: np.ndarray
    norms: np.ndarray


@kernel
def _exponents(bits, exponents):
    """k for each row x, with entries of x/2^k up to 1 to 2; 0 where x = 0. ``bits`` are x's own."""
    wide_vectors()
    # As whole numbers, sizes are ordered as they are, and their largest is found in vectors.
    narrow = bits.itemsize == 4
    all_but_sign = bits.dtype.type(0x7FFFFFFF if narrow else 0x7FFFFFFFFFFFFFFF)
    for i in range(bits.shape[0]):
        largest = bits.dtype.type(0)
        for j in range(bits.shape[1]):
            largest = max(largest, bits[i, j] & all_but_sign)
        field = np.int64(largest) >> (23 if narrow else 52)
        exponents[i] = max(field, 1) - (127 if narrow else 1023) if largest > 0 else 0


@dot_kernel
def _length(x):
    wide_vectors()
    total = 0.0
    for j in range(x.shape[0]):
        total += np.float64(x[j]) * np.float64(x[j])
    return math.sqrt(total)


@kernel
def _lengths(X, lengths):
    for i in range(X.shape[0]):
        lengths[i] = _length(X[i])


@kernel
def _scale_rows(X, exponents, scaled):
    """scaled ← x/2^k, row by row."""
    for i in range(X.shape[0]):
        scale = X.dtype.type(math.ldexp(1.0, -int(exponents[i])))
        for j in range(X.shape[1]):
            scaled[i, j] = scale * X[i, j]


def scaled_inputs(X):
    """x/2^k, and k and |x|/2^k, row by row."""
    exponents, lengths = np.empty(len(X), np.int64), np.empty(len(X))
    _exponents(X.view(f"i{X.itemsize}"), exponents)
    if np.abs(exponents).max() <= EVEN[X.itemsize]:
        exponents[:] = 0  # and a copy on fresh pages is spared
        scaled = X
    else:
        scaled = np.empty(X.shape, X.dtype)
        _scale_rows(X, exponents, scaled)
    _lengths(scaled, lengths)
    return scaled, exponents, lengths


def inputs_of(X, n_layers, weight, gain, bias):
    """``Inputs`` without their norms, and n_L as m · 2^k."""
    scaled, exponents, lengths = scaled_inputs(X)
    found = rows(exponents, lengths, n_layers, weight, gain, bias)
    arrays = (found.unit, found.share, found.r, found.q)
    with np.errstate(under="ignore"):  # a bias beside a long input, for one
        own = [np.ascontiguousarray(a, X.dtype) for a in arrays]
    return Inputs(scaled, *own, norms=None), found.norm  # pyright: ignore[reportArgumentType]
