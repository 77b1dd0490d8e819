"""Vector instructions that Numba has no word for, as LLVM code.

Each ``_*_codegen`` writes the instructions of the intrinsic of the same name, which says what it
does. Without the JIT the kernels take their plain twins and none of this runs.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ntklin.kernels.cpu.compiler import (
    GROUP,
    JIT_DISABLED,
    LINE,
    PANEL_ROWS,
    REGISTERS,
    SAMPLES,
    SUBSET,
    SUBSET_LINES,
    WORD,
    kernel,
)


def _wide_vectors_codegen(context, builder, signature, args):
    # llvmlite keeps a closed list of attribute names, so the string attribute is added to the set.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')
    return context.get_dummy_value()


def _splat(builder, value, lanes):
    """A vector with ``value`` in every lane."""
    vector = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    for lane in range(lanes):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
    return vector


def _stream_scaled_codegen(context, builder, signature, args):
    target, source, factor, n_lines = args
    word = context.get_value_type(signature.args[2])
    word_bytes = signature.args[2].bitwidth // 8
    lanes = LINE // word_bytes
    pointer = ir.VectorType(word, lanes).as_pointer()
    splat = _splat(builder, factor, lanes)
    nontemporal = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
    with cgutils.for_range(builder, n_lines) as loop:
        offset = builder.mul(loop.index, ir.Constant(loop.index.type, LINE))
        line = builder.inttoptr(builder.add(source, offset), pointer)
        product = builder.fmul(builder.load(line, align=word_bytes), splat)
        line = builder.inttoptr(builder.add(target, offset), pointer)
        store = builder.store(product, line, align=LINE)
        store.set_metadata("nontemporal", nontemporal)
    return context.get_dummy_value()


def _prefetch(builder, pointer):
    """Ask for the cache line at ``pointer`` (i8*), to be read soon and kept everywhere."""
    word = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [pointer, word(0), word(3), word(1)])


def _prefetch_codegen(context, builder, signature, args):
    _prefetch(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()))
    return context.get_dummy_value()


def _opaque(builder, address):
    """The same address, but LLVM does not know how it came about.

    It would fold the last addition into every access through it. With an indexed address a vector
    operation takes two slots of the scheduler, which nearly halves the rate of the loops here.
    """
    kind = ir.FunctionType(address.type, [address.type])
    return builder.asm(kind, "", "=r,0", [address], False)


def _accumulate_active_codegen(context, builder, signature, args):
    target, row, ahead, tile, _ = args
    word = context.get_value_type(signature.args[4])
    word_bytes = signature.args[4].bitwidth // 8
    lanes = LINE // word_bytes
    vector = ir.VectorType(word, lanes)
    bits = ir.IntType(lanes)
    mask_type = ir.IntType(GROUP)
    address = target.type

    def at(base, offset, kind):
        return builder.inttoptr(builder.add(base, offset), kind.as_pointer())

    def constant(value, kind=address):
        return ir.Constant(kind, value)

    # The accumulators live in stack slots, which LLVM promotes to registers.
    sums = [cgutils.alloca_once(builder, vector) for _ in range(REGISTERS)]
    for r, slot in enumerate(sums):
        line = builder.load(at(target, constant(r * LINE), vector), align=LINE)
        builder.store(line, slot)
    active = constant(0, mask_type)
    for r in range(GROUP // lanes):
        values = builder.load(at(row, constant(r * LINE), vector), align=word_bytes)
        nonzero = builder.fcmp_unordered("!=", values, ir.Constant(vector, [0.0] * lanes))
        part = builder.zext(builder.bitcast(nonzero, bits), mask_type)
        active = builder.or_(active, builder.shl(part, constant(r * lanes, mask_type)))
        _prefetch(builder, at(ahead, constant(r * LINE), ir.IntType(8)))
    remaining = cgutils.alloca_once_value(builder, active)
    test = builder.append_basic_block("any")
    body = builder.append_basic_block("one")
    done = builder.append_basic_block("done")
    builder.branch(test)
    builder.position_at_end(test)
    left = builder.load(remaining)
    builder.cbranch(builder.icmp_unsigned("!=", left, constant(0, mask_type)), body, done)
    builder.position_at_end(body)
    k = builder.cttz(left, ir.Constant(ir.IntType(1), 1))
    fewer = builder.and_(left, builder.sub(left, constant(1, mask_type)))
    builder.store(fewer, remaining)
    value = builder.load(at(row, builder.mul(k, constant(word_bytes)), word))
    splat = _splat(builder, value, lanes)
    line = builder.add(tile, builder.mul(k, constant(REGISTERS * LINE)))
    line = _opaque(builder, line)
    for r, slot in enumerate(sums):
        factor = builder.load(at(line, constant(r * LINE), vector), align=LINE)
        product = builder.fmul(splat, factor, flags=("contract",))
        builder.store(builder.fadd(builder.load(slot), product, flags=("contract",)), slot)
    builder.branch(test)
    builder.position_at_end(done)
    for r, slot in enumerate(sums):
        builder.store(builder.load(slot), at(target, constant(r * LINE), vector), align=LINE)
    return context.get_dummy_value()


def _tabulate_subsets_codegen(context, builder, signature, args):
    table, tile, scale, _ = args
    element = context.get_value_type(signature.args[3])
    lanes = LINE * 8 // signature.args[3].bitwidth
    vector = ir.VectorType(element, lanes)
    address = table.type
    zero = ir.Constant(vector, [0.0] * lanes)
    row_bytes = SUBSET_LINES * LINE

    def at(base, offset, kind=vector):
        place = builder.add(base, ir.Constant(address, offset))
        return builder.inttoptr(place, kind.as_pointer())

    with cgutils.for_range(builder, ir.Constant(address, WORD // SUBSET)) as loop:
        rows = builder.add(tile, builder.mul(loop.index, ir.Constant(address, SUBSET * row_bytes)))
        offset = builder.mul(loop.index, ir.Constant(address, SUBSET * LINE // lanes))
        factors = builder.add(scale, offset)
        entry = builder.add(
            table, builder.mul(loop.index, ir.Constant(address, row_bytes << SUBSET))
        )
        for r in range(SUBSET_LINES):
            sums = [zero]
            for i in range(SUBSET):
                factor = builder.load(at(factors, i * LINE // lanes, element))
                row = builder.load(at(rows, i * row_bytes + r * LINE), align=LINE)
                row = builder.fmul(_splat(builder, factor, lanes), row)
                sums += [builder.fadd(partial, row) for partial in sums]
            for s, total in enumerate(sums):
                builder.store(total, at(entry, s * row_bytes + r * LINE), align=LINE)
    return context.get_dummy_value()


def _add_subsets_codegen(context, builder, signature, args):
    target, word, table, _ = args
    element = context.get_value_type(signature.args[3])
    lanes = LINE * 8 // signature.args[3].bitwidth
    vector = ir.VectorType(element, lanes).as_pointer()
    address = target.type

    def line(base, offset):
        return builder.inttoptr(builder.add(base, ir.Constant(address, offset)), vector)

    word = builder.zext(word, address)
    sums = [builder.load(line(target, r * LINE), align=LINE) for r in range(SUBSET_LINES)]
    for g in range(WORD // SUBSET):
        subset = builder.lshr(word, ir.Constant(address, SUBSET * g))
        subset = builder.and_(subset, ir.Constant(address, (1 << SUBSET) - 1))
        offset = builder.mul(subset, ir.Constant(address, SUBSET_LINES * LINE))
        entry = _opaque(builder, builder.add(table, offset))
        for r in range(SUBSET_LINES):
            place = ((g << SUBSET) * SUBSET_LINES + r) * LINE
            sums[r] = builder.fadd(sums[r], builder.load(line(entry, place), align=LINE))
    for r in range(SUBSET_LINES):
        builder.store(sums[r], line(target, r * LINE), align=LINE)
    return context.get_dummy_value()


def _add_entries(builder, target, table, n_groups, factor, subset_of):
    """target ← target + factor Σ_k table[k, s_k], the byte s_k being at ``subset_of(k)``."""
    lanes = LINE // (8 if isinstance(factor.type, ir.DoubleType) else 4)
    vector = ir.VectorType(factor.type, lanes)
    address = target.type
    entry_bytes = SUBSET_LINES * LINE

    def line(base, r):
        place = builder.add(base, ir.Constant(address, r * LINE))
        return builder.inttoptr(place, vector.as_pointer())

    # As in accumulate_active: the sums are promoted to registers.
    zero = ir.Constant(vector, [0.0] * lanes)
    sums = [cgutils.alloca_once_value(builder, zero) for _ in range(SUBSET_LINES)]
    with cgutils.for_range(builder, n_groups) as loop:
        subset = builder.inttoptr(subset_of(loop.index), ir.IntType(8).as_pointer())
        entry = builder.mul(
            builder.zext(builder.load(subset), address), ir.Constant(address, entry_bytes)
        )
        group = builder.mul(loop.index, ir.Constant(address, entry_bytes << SAMPLES))
        entry = _opaque(builder, builder.add(builder.add(table, group), entry))
        for r, slot in enumerate(sums):
            value = builder.load(line(entry, r), align=LINE)
            builder.store(builder.fadd(builder.load(slot), value), slot)
    splat = _splat(builder, factor, lanes)
    for r, slot in enumerate(sums):
        product = builder.fmul(splat, builder.load(slot), flags=("contract",))
        old = builder.load(line(target, r), align=LINE // lanes)
        total = builder.fadd(old, product, flags=("contract",))
        builder.store(total, line(target, r), align=LINE // lanes)


def _add_entries_codegen(context, builder, signature, args):
    target, index, table, n_groups, factor = args
    _add_entries(builder, target, table, n_groups, factor, lambda k: builder.add(index, k))
    return context.get_dummy_value()


def _add_listed_entries_codegen(context, builder, signature, args):
    target, index, places, table, n_groups, factor = args

    def subset_of(k):
        place = builder.add(places, builder.mul(k, ir.Constant(places.type, 4)))
        place = builder.load(builder.inttoptr(place, ir.IntType(32).as_pointer()))
        return builder.add(index, builder.zext(place, index.type))

    _add_entries(builder, target, table, n_groups, factor, subset_of)
    return context.get_dummy_value()


def _positive_samples_codegen(context, builder, signature, args):
    address, _ = args
    element = context.get_value_type(signature.args[1])
    item = ir.Constant(address.type, signature.args[1].bitwidth // 8)
    word = ir.IntType(64)

    def positive(value):
        zero = ir.Constant(value.type, None)
        return builder.fcmp_ordered(">", value, zero)

    lanes = 4  # whose bits one instruction gathers
    pointer = builder.inttoptr(address, ir.VectorType(element, lanes).as_pointer())
    active = positive(builder.load(pointer, align=item.constant))
    bits = builder.zext(builder.bitcast(active, ir.IntType(lanes)), word)
    for p in range(lanes, SAMPLES):
        place = builder.add(address, builder.mul(item, ir.Constant(address.type, p)))
        active = positive(builder.load(builder.inttoptr(place, element.as_pointer())))
        bit = builder.shl(builder.zext(active, word), ir.Constant(word, p))
        bits = builder.or_(bits, bit)
    return bits


def _add_panel_codegen(context, builder, signature, args):
    target, target_step, row, row_step, values, offsets, count, _ = args
    element = context.get_value_type(signature.args[7])
    lanes = LINE * 8 // signature.args[7].bitwidth
    vector = ir.VectorType(element, lanes)
    address = target.type

    def at(base, kind):
        return builder.inttoptr(base, kind.as_pointer())

    targets, rows = [target], [row]
    for _ in range(PANEL_ROWS - 1):
        targets.append(builder.add(targets[-1], target_step))
        rows.append(builder.add(rows[-1], row_step))
    sums = [
        cgutils.alloca_once_value(builder, builder.load(at(place, vector), align=LINE))
        for place in targets
    ]
    with cgutils.for_range(builder, count) as loop:
        line = builder.add(values, builder.mul(loop.index, ir.Constant(address, LINE)))
        x = builder.load(at(line, vector), align=LINE)
        place = builder.add(offsets, builder.mul(loop.index, ir.Constant(address, 4)))
        offset = builder.zext(builder.load(at(place, ir.IntType(32))), address)
        for slot, base in zip(sums, rows, strict=True):
            weight = builder.load(at(builder.add(base, offset), element))
            product = builder.fmul(_splat(builder, weight, lanes), x, flags=("contract",))
            builder.store(builder.fadd(builder.load(slot), product, flags=("contract",)), slot)
    for slot, place in zip(sums, targets, strict=True):
        builder.store(builder.load(slot), at(place, vector), align=LINE)
    return context.get_dummy_value()


def _next_task_codegen(context, builder, signature, args):
    word = args[0].type
    address = builder.inttoptr(args[0], word.as_pointer())
    return builder.atomic_rmw("add", address, ir.Constant(word, 1), "monotonic")


if JIT_DISABLED:

    def wide_vectors():
        """Compiled code only: see the intrinsic of the same name."""

    def next_task(counter):
        """As the compiled function of the same name."""
        counter[0] += 1
        return counter[0] - 1

    def positive_samples(A, i, n):
        """As the compiled function of the same name."""
        return sum(int(A[i, n + p] > 0) << p for p in range(SAMPLES))

else:

    @intrinsic
    def _next_task(typing_context, address):
        return types.intp(types.uintp), _next_task_codegen

    @kernel
    def next_task(counter):
        """Take the number of the next task from ``counter`` (int64, shape (1,)), atomically.

        The threads of a ``prange`` with one turn each share out tasks this way as they become free:
        cores are seldom equally fast, and a fixed share would wait for the slowest one.
        """
        return _next_task(counter.ctypes.data)

    @intrinsic
    def wide_vectors(typing_context):
        """Let the vectorizer use 512-bit registers in the calling function.

        LLVM keeps to 256 bits on Intel's server cores by default, which halves the peak of loops
        that are bound by multiply-adds. The attribute has no effect where there is no AVX-512.
        """
        return types.void(), _wide_vectors_codegen

    @intrinsic
    def prefetch(typing_context, address):
        """Ask for the cache line at ``address``, which will be read soon."""
        return types.void(types.uintp), _prefetch_codegen

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

    @intrinsic
    def accumulate_active(typing_context, target, row, ahead, tile, zero):
        """target ← target + Σ_k row_k tile_k over the k < GROUP with row_k ≠ 0.

        ``target`` and each of the tile's rows are REGISTERS cache lines long and aligned; ``row``
        has GROUP elements of the type of ``zero``, and ``ahead`` is a row that comes up soon. The
        zeros are skipped by their bit mask, and the sums stay in registers throughout. Addresses
        are integers.
        """
        if not isinstance(zero, types.Float):
            raise TypingError("zero must be a floating-point number")
        signature = types.void(types.uintp, types.uintp, types.uintp, types.uintp, zero)
        return signature, _accumulate_active_codegen

    @intrinsic
    def tabulate_subsets(typing_context, table, tile, scale, zero):
        """table[g, s] ← Σ_i scale_k tile_k, k = SUBSET·g + i, over the bits i of s.

        ``tile`` has WORD rows of SUBSET_LINES aligned cache lines, of the type of ``zero``, and
        ``scale`` has WORD elements. Addresses are integers.
        """
        if not isinstance(zero, types.Float):
            raise TypingError("zero must be a floating-point number")
        signature = types.void(types.uintp, types.uintp, types.uintp, zero)
        return signature, _tabulate_subsets_codegen

    @intrinsic
    def add_subsets(typing_context, target, word, table, zero):
        """target ← target + Σ_g table[g, s_g], s_g being the g-th SUBSET bits of ``word``.

        ``target`` is SUBSET_LINES cache lines long and aligned, as are the entries of ``table``,
        WORD/SUBSET × 2^SUBSET of them, of the type of ``zero``. Addresses are integers.
        """
        if not isinstance(zero, types.Float):
            raise TypingError("zero must be a floating-point number")
        return types.void(types.uintp, types.uint32, types.uintp, zero), _add_subsets_codegen

    @intrinsic
    def add_entries(typing_context, target, index, table, n_groups, factor):
        """target ← target + factor · Σ_g table[g, index_g], g < n_groups.

        ``target`` is SUBSET_LINES cache lines long, ``index`` holds bytes, and ``table`` has
        2^SAMPLES aligned entries for each group, of the type of ``factor``. Addresses are integers.
        """
        if not isinstance(factor, types.Float):
            raise TypingError("factor must be a floating-point number")
        signature = types.void(types.uintp, types.uintp, types.uintp, types.intp, factor)
        return signature, _add_entries_codegen

    @intrinsic
    def add_listed_entries(typing_context, target, index, places, table, n_groups, factor):
        """target ← target + factor · Σ_k table[k, index_{places_k}], k < n_groups.

        As ``add_entries``, for the groups that ``places`` (int32) lists.
        """
        if not isinstance(factor, types.Float):
            raise TypingError("factor must be a floating-point number")
        signature = types.void(*(types.uintp,) * 4, types.intp, factor)
        return signature, _add_listed_entries_codegen

    @intrinsic
    def _positive_samples(typing_context, address, zero):
        if not isinstance(zero, types.Float):
            raise TypingError("zero must be a floating-point number")
        return types.uint64(types.uintp, zero), _positive_samples_codegen

    @kernel
    def positive_samples(A, i, n):
        """Bit p of the result says whether A[i, n + p] > 0, for SAMPLES elements from n on."""
        return _positive_samples(A.ctypes.data + (i * A.shape[1] + n) * A.itemsize, A[0, 0])

    @intrinsic
    def add_panel(typing_context, target, target_step, row, row_step, values, offsets, count, zero):
        """target_i ← target_i + Σ_k row_i[offset_k] values_k for PANEL_ROWS rows i, k < count.

        ``target_i`` and ``values_k`` are aligned cache lines, of the type of ``zero``; ``offsets``
        (int32) and the steps from row to row count bytes. Addresses are integers.
        """
        if not isinstance(zero, types.Float):
            raise TypingError("zero must be a floating-point number")
        signature = types.void(*(types.uintp,) * 6, types.intp, zero)
        return signature, _add_panel_codegen


def task_counter():
    """A counter for :func:`next_task`."""
    return np.zeros(1, np.int64)
