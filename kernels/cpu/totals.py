"""Sums of whole arrays, which one thread would read more slowly than the memory gives them."""

import numpy as np

from ntklin.kernels.cpu.compiler import dot_kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors

# Elements of a part: the sums of parts are added in their order, so that no bit depends on threads.
PART = 1 << 15


@dot_kernel
def _sum_part(a, start, stop):
    wide_vectors()
    total = a.dtype.type(0)
    for i in range(np.uint64(start), np.uint64(stop)):
        total += a[i]
    return total


@parallel_kernel
def _sum_parts(part, a, totals):
    start = part * PART
    totals[part] = _sum_part(a, start, min(start + PART, a.shape[0]))


def total(a):
    """Σ a, to some roundings.

    Parameters
    ----------
    a : ndarray

    Returns
    -------
    float
        NaN or infinite if an element is, or where the sum leaves the range.
    """
    flags, is_floating = a.flags, a.dtype.char in "fd" and a.dtype.isnative
    is_plain = flags.c_contiguous and flags.aligned and flags.writeable
    if not (is_plain and is_floating and a.size > PART):
        return a.sum()
    totals = np.empty(-(-a.size // PART), a.dtype)
    _sum_parts[len(totals)](a.reshape(-1), totals)
    return totals.sum()
