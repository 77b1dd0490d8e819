"""Instructions that Numba has no word for, as LLVM code.

Each function writes the instructions of the intrinsic of the same name, which says what they do.
Addresses are integers here; ``places`` takes them from arrays.
"""

from llvmlite import ir
from numba.core import cgutils

from ntklin.kernels.cpu.sizes import (
    GROUP,
    LINE,
    PANEL_LINES,
    PANEL_ROWS,
    REGISTERS,
)


def wide_vectors(context, builder, signature, args):
    # llvmlite keeps a closed list of attribute names, so the string attribute is added to the set.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')
    return context.get_dummy_value()


def fma(context, builder, signature, args):
    return builder.fma(*args)


def power_of_two(context, builder, signature, args):
    mantissa = {32: 23, 64: 52}[signature.args[0].bitwidth]
    word = ir.IntType(signature.args[0].bitwidth)
    bits = builder.shl(builder.bitcast(args[0], word), ir.Constant(word, mantissa))
    return builder.bitcast(bits, args[0].type)


def never_inlined(context, builder, signature, args):
    builder.function.attributes.add("noinline")
    return context.get_dummy_value()


def in_lanes(builder, value, lanes):
    """A vector with ``value`` in every lane."""
    vector = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    for lane in range(lanes):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
    return vector


def stream_scaled(context, builder, signature, args):
    target, source, factor, n_lines = args
    word = context.get_value_type(signature.args[2])
    word_bytes = signature.args[2].bitwidth // 8
    lanes = LINE // word_bytes
    pointer = ir.VectorType(word, lanes).as_pointer()
    splat = in_lanes(builder, factor, lanes)
    nontemporal = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
    with cgutils.for_range(builder, n_lines) as loop:
        offset = builder.mul(loop.index, ir.Constant(loop.index.type, LINE))
        line = builder.inttoptr(builder.add(source, offset), pointer)
        product = builder.fmul(builder.load(line, align=word_bytes), splat)
        line = builder.inttoptr(builder.add(target, offset), pointer)
        store = builder.store(product, line, align=LINE)
        store.set_metadata("nontemporal", nontemporal)
    return context.get_dummy_value()


def fetch_line(builder, pointer):
    """Ask for the cache line at ``pointer`` (i8*), to be read soon and kept everywhere."""
    word = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [pointer, word(0), word(3), word(1)])


def prefetch(context, builder, signature, args):
    fetch_line(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()))
    return context.get_dummy_value()


def to_next_line(context, builder, signature, args):
    address = args[0]
    return builder.and_(builder.neg(address), ir.Constant(address.type, LINE - 1))


def opaque(builder, address):
    """The same address, but LLVM does not know how it came about.

    It would fold the last addition into every access through it. With an indexed address a vector
    operation takes two slots of the scheduler, which nearly halves the rate of the loops here.

    Returns
    -------
    LLVM value
    """
    kind = ir.FunctionType(address.type, [address.type])
    return builder.asm(kind, "", "=r,0", [address], False)


def accumulate_active(context, builder, signature, args):
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
        fetch_line(builder, at(ahead, constant(r * LINE), ir.IntType(8)))
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
    splat = in_lanes(builder, value, lanes)
    line = builder.add(tile, builder.mul(k, constant(REGISTERS * LINE)))
    line = opaque(builder, line)
    for r, slot in enumerate(sums):
        factor = builder.load(at(line, constant(r * LINE), vector), align=LINE)
        product = builder.fmul(splat, factor, flags=("contract",))
        builder.store(builder.fadd(builder.load(slot), product, flags=("contract",)), slot)
    builder.branch(test)
    builder.position_at_end(done)
    for r, slot in enumerate(sums):
        builder.store(builder.load(slot), at(target, constant(r * LINE), vector), align=LINE)
    return context.get_dummy_value()


def listed_number(builder, places, k):
    """The k-th of a list of int32, as an address is."""
    place = builder.add(places, builder.mul(k, ir.Constant(places.type, 4)))
    number = builder.load(builder.inttoptr(place, ir.IntType(32).as_pointer()))
    return builder.zext(number, places.type)


def _add_panel(builder, target, row, steps, n_turns, element, turn):
    """target_i ← target_i + Σ_k row_i[o_k] x_k, where ``turn(k)`` gives o_k in bytes and x_k's."""
    lanes = LINE * 8 // (64 if isinstance(element, ir.DoubleType) else 32)
    vector = ir.VectorType(element, lanes)

    def at(base, kind):
        return builder.inttoptr(base, kind.as_pointer())

    targets, rows = [target], [row]
    for _ in range(PANEL_ROWS - 1):
        targets.append(builder.add(targets[-1], steps[0]))
        rows.append(builder.add(rows[-1], steps[1]))
    sums = [
        cgutils.alloca_once_value(builder, builder.load(at(place, vector), align=LINE))
        for place in targets
    ]
    with cgutils.for_range(builder, n_turns) as loop:
        offset, line = turn(loop.index)
        x = builder.load(at(line, vector), align=LINE)
        for slot, base in zip(sums, rows, strict=True):
            weight = builder.load(at(builder.add(base, offset), element))
            product = builder.fmul(in_lanes(builder, weight, lanes), x, flags=("contract",))
            builder.store(builder.fadd(builder.load(slot), product, flags=("contract",)), slot)
    for slot, place in zip(sums, targets, strict=True):
        builder.store(builder.load(slot), at(place, vector), align=LINE)


def add_panel(context, builder, signature, args):
    target, row, target_step, row_step, values, offsets, count, _ = args
    element = context.get_value_type(signature.args[7])

    def turn(k):
        line = builder.add(values, builder.mul(k, ir.Constant(values.type, LINE)))
        return listed_number(builder, offsets, k), line

    _add_panel(builder, target, row, (target_step, row_step), count, element, turn)
    return context.get_dummy_value()


def add_listed_panel(context, builder, signature, args):
    target, row, target_step, row_step, value_step, values, listed, count, _ = args
    element = context.get_value_type(signature.args[8])
    size = ir.Constant(row.type, signature.args[8].bitwidth // 8)

    def turn(k):
        n = listed_number(builder, listed, k)
        return builder.mul(n, size), builder.add(values, builder.mul(n, value_step))

    _add_panel(builder, target, row, (target_step, row_step), count, element, turn)
    return context.get_dummy_value()


def _add_rows(builder, target, row, step, values, count, n_halves, element):
    """:func:`add_rows` of a number of halves of lines that is known."""
    lanes = LINE * 8 // (64 if isinstance(element, ir.DoubleType) else 32)
    address = target.type
    item = ir.Constant(address, LINE // lanes)
    sizes = [lanes] * (n_halves // 2) + [lanes // 2] * (n_halves % 2)

    def line(base, r):
        place = builder.add(base, ir.Constant(address, r * LINE))
        return builder.inttoptr(place, ir.VectorType(element, sizes[r]).as_pointer())

    rows, targets = [row], [target]
    for _ in range(PANEL_ROWS - 1):
        rows.append(builder.add(rows[-1], step))
        targets.append(builder.add(targets[-1], ir.Constant(address, PANEL_LINES * LINE)))
    sums = [
        [
            cgutils.alloca_once_value(builder, builder.load(line(base, r), align=LINE))
            for r in range(len(sizes))
        ]
        for base in targets
    ]
    with cgutils.for_range(builder, count) as loop:
        offset = builder.mul(loop.index, item)
        base = builder.add(
            values, builder.mul(loop.index, ir.Constant(address, PANEL_LINES * LINE))
        )
        inputs = [builder.load(line(base, r), align=LINE) for r in range(len(sizes))]
        for slots, place in zip(sums, rows, strict=True):
            place = builder.inttoptr(builder.add(place, offset), element.as_pointer())
            weight = builder.load(place)
            for slot, x in zip(slots, inputs, strict=True):
                product = builder.fmul(in_lanes(builder, weight, x.type.count), x, ("contract",))
                builder.store(builder.fadd(builder.load(slot), product, flags=("contract",)), slot)
    for slots, base in zip(sums, targets, strict=True):
        for r, slot in enumerate(slots):
            builder.store(builder.load(slot), line(base, r), align=LINE)


def add_rows(context, builder, signature, args):
    target, row, step, values, count, n_halves, _ = args
    element = context.get_value_type(signature.args[6])
    for known in range(1, 2 * PANEL_LINES + 1):
        is_it = builder.icmp_signed("==", n_halves, ir.Constant(n_halves.type, known))
        with builder.if_then(is_it):
            _add_rows(builder, target, row, step, values, count, known, element)
    return context.get_dummy_value()


def _transposed(builder, rows):
    """The columns of a square of vectors, by perfect shuffles."""
    n = len(rows)
    order = [k // 2 + (k % 2) * n for k in range(2 * n)]  # elements of two vectors in turn
    low, high = (ir.Constant(ir.VectorType(ir.IntType(32), n), o) for o in (order[:n], order[n:]))
    for _ in range(n.bit_length() - 1):
        pairs = list(zip(rows[: n // 2], rows[n // 2 :], strict=True))
        rows = [builder.shuffle_vector(*pair, mask) for pair in pairs for mask in (low, high)]
    return rows


def store_panel(context, builder, signature, args):
    target, step, panel, panel_step, n_blocks, factor = args
    size = 8 if isinstance(factor.type, ir.DoubleType) else 4
    vector, address = ir.VectorType(factor.type, PANEL_ROWS), target.type
    scale = in_lanes(builder, factor, PANEL_ROWS)
    block_bytes = ir.Constant(address, PANEL_ROWS * size)
    with cgutils.for_range(builder, n_blocks) as loop:
        base = builder.add(panel, builder.mul(loop.index, block_bytes))
        rows = []
        for _ in range(PANEL_ROWS):
            rows.append(builder.load(builder.inttoptr(base, vector.as_pointer()), align=size))
            base = builder.add(base, panel_step)
        place = builder.mul(loop.index, builder.mul(step, ir.Constant(address, PANEL_ROWS)))
        place = builder.add(target, place)
        for column in _transposed(builder, rows):
            pointer = builder.inttoptr(place, vector.as_pointer())
            builder.store(builder.fmul(scale, column), pointer, align=size)
            place = builder.add(place, step)
    return context.get_dummy_value()


def next_task(context, builder, signature, args):
    word = args[0].type
    address = builder.inttoptr(args[0], word.as_pointer())
    return builder.atomic_rmw("add", address, ir.Constant(word, 1), "monotonic")


def gemm(context, builder, signature, args):
    """The entry point that Numba's own np.dot calls; it forwards to SciPy's BLAS without the GIL.

    Pointers are declared as integers, which have the same ABI. α and β are passed by address: they
    lie on the stack of the calling function.

    Returns
    -------
    LLVM value
        What the entry point returns: not 0 if it failed.
    """
    op_a, op_b, m, n, inner, lda, ldb, ldc, alpha, a, b, beta, c = args
    char = ir.IntType(8)
    alpha, beta = (
        builder.ptrtoint(cgutils.alloca_once_value(builder, scalar), a.type)
        for scalar in (alpha, beta)
    )
    kind = ir.Constant(char, ord("d" if isinstance(args[8].type, ir.DoubleType) else "s"))
    passed = [kind, op_a, op_b, m, n, inner, alpha, a, lda, b, ldb, beta, c, ldc]
    returned = ir.FunctionType(ir.IntType(32), [value.type for value in passed])
    function = cgutils.get_or_insert_function(builder.module, returned, "numba_xxgemm")
    return builder.call(function, passed)
