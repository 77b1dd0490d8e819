"""Copy and fill with non-temporal stores, for the limits of memory bandwidth.

An ordinary store first reads the line that it overwrites; a non-temporal one does not, so that
these kernels reach what the memory can take.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, prange, types
from numba.extending import intrinsic

from ntklin.validation.arrays import Array

# One store is a cache line of float64.
LANES = 8
LINE = 64
JIT_DISABLED = bool(config.DISABLE_JIT)  # pyright: ignore[reportAttributeAccessIssue]


def _lines(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> tuple[Any, Any]:
    """A pointer to line ``index`` of a float64 array, and the type of a line."""
    line = ir.VectorType(ir.DoubleType(), LANES)
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.gep(data, [builder.mul(index, ir.Constant(index.type, LANES))])
    return builder.bitcast(start, line.as_pointer()), line


def _stream(builder: Any, value: Any, pointer: Any) -> None:
    store = builder.store(value, pointer)
    store.align = LINE
    store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


def _fill_codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    pointer, line = _lines(context, builder, signature.args[0], args[0], args[1])
    value = ir.Constant(line, [1.0] * LANES)
    _stream(builder, value, pointer)
    return context.get_dummy_value()


def _copy_codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    target, _ = _lines(context, builder, signature.args[0], args[0], args[2])
    source, _ = _lines(context, builder, signature.args[1], args[1], args[2])
    value = builder.load(source)
    value.align = LINE
    _stream(builder, value, target)
    return context.get_dummy_value()


@intrinsic
def _fill_line(typing_context: Any, out: Any, index: Any) -> tuple[Any, Any]:
    return types.void(out, index), _fill_codegen


@intrinsic
def _copy_line(typing_context: Any, out: Any, source: Any, index: Any) -> tuple[Any, Any]:
    return types.void(out, source, index), _copy_codegen


def aligned(n_bytes: int) -> Array:
    """A touched float64 array on a cache line, of a whole number of lines."""
    size = n_bytes // LINE * LANES
    raw = np.empty(size + LANES)
    start = -raw.ctypes.data % LINE // raw.itemsize
    out = raw[start : start + size]
    out[:] = 0.5
    return out


def _fill(out: Any) -> None:
    out[:] = 1.0


def _copy(out: Any, source: Any) -> None:
    out[:] = source


@njit(parallel=True, cache=True)
def _fill_streaming(out: Any) -> None:
    for i in prange(out.size // LANES):
        _fill_line(out, i)  # pyright: ignore[reportCallIssue]


@njit(parallel=True, cache=True)
def _copy_streaming(out: Any, source: Any) -> None:
    for i in prange(out.size // LANES):
        _copy_line(out, source, i)  # pyright: ignore[reportCallIssue]


# ``fill(out)``: out ← 1, and ``copy(out, source)``: out ← source, for arrays from ``aligned``.
fill, copy = (_fill, _copy) if JIT_DISABLED else (_fill_streaming, _copy_streaming)
