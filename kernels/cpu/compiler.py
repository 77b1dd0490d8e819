"""How the kernels are compiled: decorators, vector width and non-temporal stores.

No kernel uses full ``fastmath``. ``contract`` fuses a multiplication and an addition, which only
drops a rounding; ``reassoc`` lets a sum be taken in vector lanes and is kept to the one tile
function whose inner loop is a dot product. NaN and infinities keep their meaning everywhere.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

kernel = functools.partial(njit, cache=True, nogil=True, fastmath={"contract"})
parallel_kernel = functools.partial(kernel, parallel=True)
dot_kernel = functools.partial(
    njit, cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}
)

JIT_DISABLED = bool(config.DISABLE_JIT)
LINE = 64  # bytes of a cache line, and of the widest vector register


def _wide_vectors_codegen(context, builder, signature, args):
    # llvmlite keeps a closed list of attribute names, so the string attribute is added to the set.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')
    return context.get_dummy_value()


def _stream_scaled_codegen(context, builder, signature, args):
    target, source, factor, n_lines = args
    word = context.get_value_type(signature.args[2])
    word_bytes = signature.args[2].bitwidth // 8
    lanes = LINE // word_bytes
    pointer = ir.VectorType(word, lanes).as_pointer()
    splat = ir.Constant(ir.VectorType(word, lanes), ir.Undefined)
    for lane in range(lanes):
        splat = builder.insert_element(splat, factor, ir.Constant(ir.IntType(32), lane))
    nontemporal = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
    with cgutils.for_range(builder, n_lines) as loop:
        offset = builder.mul(loop.index, ir.Constant(loop.index.type, LINE))
        line = builder.inttoptr(builder.add(source, offset), pointer)
        product = builder.fmul(builder.load(line, align=word_bytes), splat)
        line = builder.inttoptr(builder.add(target, offset), pointer)
        store = builder.store(product, line, align=LINE)
        store.set_metadata("nontemporal", nontemporal)
    return context.get_dummy_value()


if JIT_DISABLED:

    def wide_vectors():
        """Compiled code only: see the intrinsic of the same name."""

else:

    @intrinsic
    def wide_vectors(typing_context):
        """Let the vectorizer use 512-bit registers in the calling function.

        LLVM keeps to 256 bits on Intel's server cores by default, which halves the peak of loops
        that are bound by multiply-adds. The attribute has no effect where there is no AVX-512.
        """
        return types.void(), _wide_vectors_codegen

    @intrinsic
    def stream_scaled(typing_context, target, source, factor, n_lines):
        """target ← factor · source for whole 64-byte lines, past the caches.

        Non-temporal stores spare reading the lines that are about to be overwritten, which is half
        of the traffic of an ordinary store. ``target`` (on a 64-byte boundary) and ``source`` are
        addresses, ``factor`` has the type of their elements.
        """
        if not isinstance(factor, types.Float):
            raise TypingError("factor must be a floating-point number")
        signature = types.void(types.uintp, types.uintp, factor, types.intp)
        return signature, _stream_scaled_codegen


def aligned_empty(shape, dtype):
    """An uninitialized C-contiguous array that starts on a 64-byte cache line.

    Vector loads that straddle cache lines halve the throughput of the register-blocked tiles.
    """
    size = int(np.prod(shape))
    itemsize = np.dtype(dtype).itemsize
    raw = np.empty(size * itemsize + LINE, dtype=np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size * itemsize].view(dtype).reshape(shape)


def padded_rows(a, columns, multiple=16):
    """The ``columns`` of ``a`` with aligned rows, zero-padded to a ``multiple`` of elements."""
    width = len(columns)
    out = aligned_empty((a.shape[0], max(1, -(-width // multiple)) * multiple), a.dtype)
    out[:, width:] = 0
    if width == a.shape[1]:
        out[:, :width] = a
    else:
        out[:, :width] = a[:, columns]
    return out
