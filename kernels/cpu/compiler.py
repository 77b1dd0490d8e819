"""How the kernels are compiled: decorators, the sizes of tiles, and aligned arrays.

No kernel uses full ``fastmath``. ``contract`` fuses a multiplication and an addition, which only
drops a rounding; ``reassoc`` lets a sum be taken in vector lanes and is kept to the one tile
function whose inner loop is a dot product. NaN and infinities keep their meaning everywhere.
"""

import functools

import llvmlite.binding
import numpy as np
from numba import config, njit

from ntklin.kernels.cpu.caching import with_cache
from ntklin.kernels.cpu.launching import launcher

JIT_DISABLED = bool(config.DISABLE_JIT)  # pyright: ignore


def _compiled(function=None, **options):
    """``njit`` with options, for a function or, as a decorator, without one."""
    if function is None:
        return functools.partial(_compiled, **options)
    return with_cache(njit(nogil=True, **options)(function))


kernel = functools.partial(_compiled, fastmath={"contract"})
dot_kernel = functools.partial(_compiled, fastmath={"contract", "reassoc", "nsz"})


def parallel_kernel(function):
    """A kernel whose ``prange`` is shared out to threads; called from Python only."""
    return function if JIT_DISABLED else launcher(function, kernel(function, parallel=True), kernel)


LINE = 64  # bytes of a cache line, and of the widest vector register
GROUP = 64  # elements whose zeros are told by one machine word
# Cache lines that accumulate_active sums in registers: 8 hide the latency of a multiply-add, and a
# tile of GROUP rows of 8 lines fills 32 kB, a first-level cache.
REGISTERS = 8
# Subset sums: words of 32 neurons, tabulated by fours. A sum of SUBSET_LINES cache lines is four
# vectors of the machine's width; the 8 tables of 16 sums then fill half of a first-level cache of
# 32 kB, or two thirds of the 48 kB that come with AVX-512.
WORD = 32
SUBSET = 4
AVX512 = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
SUBSET_LINES = 4 if AVX512 else 2
# Samples whose 32 subset sums share a table where many neurons look up the same few samples; tables
# of a whole chunk of samples fill at most a quarter megabyte of a second-level cache.
SAMPLES = 5
CHUNK_GROUPS = 32
# Rows of weights that add_panel takes at a time: as many sums as the registers hold, at least eight
# vectors of the machine's width, which hide the latency of a multiply-add.
PANEL_ROWS = 8 if AVX512 else 4


def aligned_empty(shape, dtype):
    """An uninitialized C-contiguous array that starts on a 64-byte cache line.

    Vector loads that straddle cache lines halve the throughput of the register-blocked tiles.
    """
    size = int(np.prod(shape))
    itemsize = np.dtype(dtype).itemsize
    raw = np.empty(size * itemsize + LINE, dtype=np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size * itemsize].view(dtype).reshape(shape)


class Aligned:
    """What holds aligned arrays; those of its copies, pickled or deep, are aligned again."""

    def __setstate__(self, state):
        self.__dict__.update({name: _aligned(value) for name, value in state.items()})


def _aligned(value):
    if isinstance(value, list | tuple):
        return type(value)(map(_aligned, value))
    if not isinstance(value, np.ndarray) or value.ctypes.data % LINE == 0:
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
