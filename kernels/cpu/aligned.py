"""Arrays that start on a cache line.

Vector loads that straddle cache lines halve the throughput of the register-blocked tiles.
"""

import math

import numpy as np

from ntklin.kernels.cpu.sizes import LINE


def _address(a):
    return a.__array_interface__["data"][0]


def aligned_empty(shape, dtype):
    """An uninitialized C-contiguous array that starts on a 64-byte cache line."""
    size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * np.dtype(dtype).itemsize
    raw = np.empty(size + LINE, dtype=np.uint8)
    start = -_address(raw) % LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_zeros(shape, dtype):
    """The same, of zeros."""
    out = aligned_empty(shape, dtype)
    out[...] = 0
    return out


class Aligned:
    """What holds aligned arrays; those of its copies, pickled or deep, are aligned again."""

    def __setstate__(self, state):
        self.__dict__.update({name: _aligned(value) for name, value in state.items()})


def _aligned(value):
    if isinstance(value, list):
        return list(map(_aligned, value))
    if isinstance(value, tuple):
        # A NamedTuple is made from its fields, a plain tuple from a sequence of them.
        return getattr(value, "_make", tuple)(map(_aligned, value))
    if not isinstance(value, np.ndarray) or _address(value) % LINE == 0:
        return value
    out = aligned_empty(value.shape, value.dtype)
    out[...] = value
    return out


def padded(a, dtype=None, columns=None):
    """A copy of ``a`` (or of its ``columns``) with aligned rows, zero-padded to whole lines.

    Parameters
    ----------
    a : ndarray, shape (N, M)
    dtype : dtype, optional
        Of the copy; that of ``a`` when not given.
    columns : ndarray of int, optional

    Returns
    -------
    ndarray, shape (N, M rounded up to a multiple of 16, at least 16)
    """
    width = a.shape[1] if columns is None else len(columns)
    out = aligned_empty((len(a), max(1, -(-width // 16)) * 16), a.dtype if dtype is None else dtype)
    out[:, width:] = 0
    out[:, :width] = a if columns is None else a[:, columns]
    return out
