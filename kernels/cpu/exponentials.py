"""Activations that are made of exponentials, by rows: α and α' from one e^x, in vector lanes.

A call of the C library for each number keeps a loop scalar, and has float64 in it at that. Here
e^x is arithmetic in the row's own type. With x = k ln 2 + r for the nearest integer k,

    e^x = 2^k (1 + q),    q = e^r − 1 = r + r²/2! + r³/3! + …,    |r| ≤ ln 2/2.

Adding 1.5 · 2^(bits of a mantissa) rounds to an integer and leaves it in the last bits. ln 2 is
split in two, so that k times the first part is exact. Arguments are at most 0: that is all that
the functions below need to keep their digits, and nothing overflows.
"""

import math
from typing import NamedTuple

import numpy as np
from numba.extending import overload
from numba.np.numpy_support import as_dtype

from ntklin.kernels.activations import ERF_SLOPE, GAUSS, ROOT_2
from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.intrinsics import fma, power_of_two, wide_vectors
from ntklin.kernels.cpu.sums import horner

LN_2 = math.log(2)
# ln 2 is the sum of both, to twice as many digits.
LN_2_REST = 2.3190468138462996e-17


class Constants(NamedTuple):
    """What the functions of one type are made of.

    Attributes
    ----------
    least : float
        From here down e^x rounds to 0.
    rounder : float
        Rounds to integers what it is added to, and adds the bias of an exponent and of ``scale``.
    scale : float
        What 2^k comes without: it would be no normal number where e^x is not.
    high, low : float
        ln 2.
    exp, log : tuple of float
        (e^r − 1 − r)/r² in r, and (log(1 + e) − y)/y³ in y² for y = 2e/(2 + e).
    """

    least: float
    per_ln_2: float
    rounder: float
    scale: float
    high: float
    low: float
    exp: tuple
    log: tuple


def _constants_for(dtype, n_exp, n_log):
    """The series have as many terms as reach the last digit at |r| = ln 2/2 and at e = 1."""
    info = np.finfo(dtype)
    real, bias = info.dtype.type, 2 ** (info.nexp - 1) - 1
    below = info.nmant + 2  # the number of binary places under the normal numbers, and one more
    unit = 2.0 ** (info.nmant + 1 - info.nexp)
    high = round(LN_2 * unit) / unit
    return Constants(
        least=real(-(bias + below - 1) * LN_2),
        per_ln_2=real(1 / LN_2),
        rounder=real(1.5 * 2**info.nmant + bias + below),
        scale=real(2.0**-below),
        high=real(high),
        low=real(LN_2 - high + LN_2_REST),
        exp=tuple(real(1 / math.factorial(k)) for k in range(2, 2 + n_exp)),
        log=tuple(real(0.25**k / (2 * k + 1)) for k in range(1, 1 + n_log)),
    )


CONSTANTS = {
    np.dtype(np.float32): _constants_for(np.float32, 6, 6),
    np.dtype(np.float64): _constants_for(np.float64, 12, 15),
}


def _constants(A):
    """``Constants`` of the array's type."""
    return CONSTANTS[A.dtype]


@overload(_constants)
def _compiled_constants(A):
    constants = CONSTANTS[as_dtype(A.dtype)]
    return lambda A: constants


# Nothing here divides by zero, and without the check for it the loops vectorize.
row_kernel = kernel(error_model="numpy")


@row_kernel
def _exponential(x, c):
    """e^x for x ≤ 0, and the s = 2^k and q of which it is s (1 + q)."""
    x = c.least if x < c.least else x  # a NaN stays
    rounded = x * c.per_ln_2 + c.rounder
    k = rounded - c.rounder
    r = x - k * c.high - k * c.low
    q = r + r * r * horner(c.exp, r)
    unscaled = power_of_two(rounded)
    return (unscaled + unscaled * q) * c.scale, unscaled * c.scale, q


@row_kernel
def _log1p(e, c):
    """log(1 + e) = 2 artanh(e/(2 + e)) for 0 ≤ e ≤ 1."""
    y = (e + e) / (type(e)(2) + e)
    square = y * y
    return y + y * square * horner(c.log, square)


@row_kernel
def tanh_row(A, slopes, i, start, stop):
    """tanh |h| = −d/(2 + d) and tanh' h = 4 e/(2 + d)², where e = e^{−2|h|} and d = e − 1."""
    wide_vectors()
    c = _constants(A)
    one, two, four = A.dtype.type(1), A.dtype.type(2), A.dtype.type(4)
    for n in range(start, stop):
        h = A[i, n]
        e, s, q = _exponential(-two * abs(h), c)
        d = s * q + (s - one)
        part = one / (two + d)
        slopes[i, n] = four * e * part * part
        A[i, n] = math.copysign(d * part, h)


@row_kernel
def sigmoid_row(A, slopes, i, start, stop):
    """σ = 1/(1 + e) or, of h < 0, e/(1 + e), and σ' = e/(1 + e)², where e = e^{−|h|}."""
    wide_vectors()
    c = _constants(A)
    zero, one = A.dtype.type(0), A.dtype.type(1)
    for n in range(start, stop):
        h = A[i, n]
        e, _, _ = _exponential(-abs(h), c)
        part = one / (one + e)
        A[i, n] = part if h > zero else e * part
        slopes[i, n] = e * part * part


@row_kernel
def softplus_row(p, A, slopes, i, start, stop):
    """max(h, 0) + log(1 + e)/p, where e = e^{−|p h|}, and the sigmoid of p h."""
    wide_vectors()
    c = _constants(A)
    zero, one, p = A.dtype.type(0), A.dtype.type(1), A.dtype.type(p)
    for n in range(start, stop):
        h = A[i, n]
        e, _, _ = _exponential(-abs(p * h), c)
        part = one / (one + e)
        slopes[i, n] = part if h > zero else e * part
        A[i, n] = (h if h > zero else zero) + _log1p(e, c) / p


@row_kernel
def _gauss_row(factor, rate, A, slopes, i, start, stop):
    """slopes_i ← factor e^{−rate h²}."""
    wide_vectors()
    c = _constants(A)
    factor, rate = A.dtype.type(factor), A.dtype.type(rate)
    for n in range(start, stop):
        h = A[i, n]
        e, _, _ = _exponential(-rate * h * h, c)
        slopes[i, n] = factor * e


@row_kernel
def erf_row(A, slopes, i, start, stop):
    """Of these two the slope alone has vector lanes."""
    _gauss_row(ERF_SLOPE, 1.0, A, slopes, i, start, stop)
    for n in range(start, stop):
        A[i, n] = math.erf(A[i, n])


@row_kernel
def gelu_row(A, slopes, i, start, stop):
    """h Φ(h) and Φ(h) + h φ(h): one erfc for both."""
    _gauss_row(GAUSS, 0.5, A, slopes, i, start, stop)
    for n in range(start, stop):
        h = A[i, n]
        below = 0.5 * math.erfc(-h / ROOT_2)
        A[i, n] = h * below
        slopes[i, n] = fma(h, slopes[i, n], below)
