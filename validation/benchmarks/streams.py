"""Copy and fill with non-temporal stores, for the limits of memory bandwidth.

An ordinary store first reads the line that it overwrites; a non-temporal one does not, so that
these kernels reach what the memory can take.
"""

import numpy as np
from llvmlite import ir
from numba import config, njit, prange, types
from numba.extending import intrinsic

# One store is a cache line of float64.
LANES = 8
LINE = 64
JIT_DISABLED = bool(config.DISABLE_JIT)


def _lines(context, builder, array_type, array, index):
    """A pointer to line ``index`` of a float64 array, and the type of a line."""
    line = ir.VectorType(ir.DoubleType(), LANES)
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.gep(data, [builder.mul(index, ir.Constant(index.type, LANES))])
    return builder.bitcast(start, line.as_pointer()), line


def _stream(builder, value, pointer):
    store = builder.store(value, pointer)
    store.align = LINE
    store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


def _fill_codegen(context, builder, signature, args):
    pointer, line = _lines(context, builder, signature.args[0], args[0], args[1])
    value = ir.Constant(line, [1.0] * LANES)
    _stream(builder, value, pointer)
    return context.get_dummy_value()


def _copy_codegen(context, builder, signature, args):
    target, _ = _lines(context, builder, signature.args[0], args[0], args[2])
    source, _ = _lines(context, builder, signature.args[1], args[1], args[2])
    value = builder.load(source)
    value.align = LINE
    _stream(builder, value, target)
    return context.get_dummy_value()


@intrinsic
def _fill_line(typing_context, out, index):
    return types.void(out, index), _fill_codegen


@intrinsic
def _copy_line(typing_context, out, source, index):
    return types.void(out, source, index), _copy_codegen


def aligned(n_bytes):
    """A touched float64 array on a cache line, of a whole number of lines."""
    size = n_bytes // LINE * LANES
    raw = np.empty(size + LANES)
    start = -raw.ctypes.data % LINE // raw.itemsize
    out = raw[start : start + size]
    out[:] = 0.5
    return out


if JIT_DISABLED:

    def fill(out):
        """out ← 1."""
        out[:] = 1.0

    def copy(out, source):
        """out ← source."""
        out[:] = source

else:

    @njit(parallel=True, cache=True)
    def fill(out):
        """out ← 1, for an array from ``aligned``."""
        for i in prange(out.size // LANES):
            _fill_line(out, i)

    @njit(parallel=True, cache=True)
    def copy(out, source):
        """out ← source, for arrays from ``aligned``."""
        for i in prange(out.size // LANES):
            _copy_line(out, source, i)
