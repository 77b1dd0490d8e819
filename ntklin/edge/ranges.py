"""The range of floating point: exact scaling by powers of two, and errors where a number has none.

What is homogeneous is computed at a scale where nothing over- or underflows, and brought back by
``ldexp``, which is exact as long as the result can be represented.
"""

import math
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import namespace
from ntklin.edge.errors import FloatRangeError

# Quantities within 2^±COMFORT may be squared, and their squares multiplied, without a second look.
COMFORT = {np.dtype(np.float32): 16, np.dtype(np.float64): 128}

# Between them a norm has its digits without scaling: squares that underflow are none of them.
_SMALLEST, _LARGEST = 1e-140, 1e140


def exponent(x: float) -> int:
    """The integer e with 2^(e−1) ≤ |x| < 2^e, for a number; 0 for 0 and what is not finite."""
    x = float(x)
    return math.frexp(x)[1] if x and math.isfinite(x) else 0


def largest_exponent(a: Array) -> int:
    """``exponent`` of the largest |entry| of an array."""
    return exponent(max(float(a.max()), -float(a.min()))) if a.size else 0


def is_far(size: float, dtype: DTypeLike) -> bool:
    """Whether a size is so far from 1 that what led to it may have left the range, as 0 is."""
    reach = 4 * COMFORT[np.dtype(dtype)]
    return not math.ldexp(1.0, -reach) <= size <= math.ldexp(1.0, reach - 1)


@overload
def shift(a: float, e: int) -> float: ...
@overload
def shift(a: Array, e: int) -> Array: ...
@overload
def shift(a: float | Array, e: int) -> float | Array: ...
def shift(a: Any, e: int) -> Any:
    """2^e · a for an array or a number and any integer e, without a step out of range on the way.

    ``ldexp`` takes C's int, and 2^e by itself may not be representable.

    Returns
    -------
    ndarray or float
    """
    if e == 0:
        return a
    e = max(-5000, min(5000, int(e)))
    if isinstance(a, float | int):
        try:
            return math.ldexp(a, e)
        except OverflowError:
            return math.copysign(math.inf, a)
    with np.errstate(over="ignore", under="ignore"):
        return namespace(a).ldexp(a, np.int32(e))


def length(v: Array) -> float:
    """‖v‖_2 without BLAS, whose threads would decide the last bits; squares are to be in range."""
    return math.sqrt(float((v * v).sum()))


def norm(v: Any) -> float:
    """‖v‖_2 of a vector, in float64, on its device if it is on one; its squares stay in range."""
    v = np.asarray(v, np.float64) if namespace(v) is np else v.astype(np.float64, copy=False)
    with np.errstate(over="ignore", under="ignore"):
        found = length(v)
    # A power of two changes no bit of it where all squares are in range, and costs a copy.
    if _SMALLEST < found < _LARGEST:
        return found
    e = largest_exponent(v)
    return shift(length(shift(v, -e)), e)


@overload
def in_range(
    a: float,
    dtype: DTypeLike,
    what: str,
    remedy: str,
    *,
    scale: int = 0,
    terms: Array | None = None,
) -> float: ...
@overload
def in_range(
    a: Array,
    dtype: DTypeLike,
    what: str,
    remedy: str,
    *,
    scale: int = 0,
    terms: Array | None = None,
) -> Array: ...
def in_range(
    a: Any,
    dtype: DTypeLike,
    what: str,
    remedy: str,
    *,
    scale: int = 0,
    terms: Array | None = None,
) -> Any:
    """2^scale · a in ``dtype``, or an error where that is not what it says.

    Refused are entries that overflow, and an array all of whose entries underflow; that of entries
    of very different size some do is rounding.

    Parameters
    ----------
    a : ndarray or float
    dtype : dtype
    what, remedy : str
        The subject of the message, and what to do.
    scale : int
    terms : ndarray, optional
        What ``a`` is a difference of: where these stay in range, so does all that is left of them.

    Returns
    -------
    ndarray or float
        Of ``dtype``; a float stays one.

    Raises
    ------
    FloatRangeError
    """
    dtype = np.dtype(dtype)
    result = shift(a, scale)
    if isinstance(a, float):
        largest, given = abs(result), abs(a)
    else:
        with np.errstate(over="ignore", under="ignore"):
            result = result.astype(dtype, copy=False)
        largest = float(abs(result).max()) if a.size else 0.0
        given = float(abs(a).max()) if a.size else 0.0
    info = np.finfo(dtype)
    if not largest <= float(info.max):
        raise FloatRangeError(f"{what} overflows {dtype}; {remedy}")
    if terms is not None:
        given = float(abs(terms).max())
        largest = max(largest, shift(given, scale))
    if given > 0 and largest < float(info.tiny):
        raise FloatRangeError(f"{what} underflows {dtype}; {remedy}")
    return result
