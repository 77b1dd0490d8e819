"""Instructions for subset sums, as LLVM code: see ``instructions``."""

from llvmlite import ir
from numba.core import cgutils

from ntklin.kernels.cpu.instructions import in_lanes, listed_number, opaque
from ntklin.kernels.cpu.sizes import LINE, SAMPLES, SUBSET, SUBSET_LINES, WORD


def _subset_sums(builder, rows):
    """The sums over all subsets of vectors, in the order of their bits."""
    sums = [ir.Constant(rows[0].type, None)]
    for row in rows:
        sums += [builder.fadd(partial, row) if s else row for s, partial in enumerate(sums)]
    return sums


def tabulate_subsets(context, builder, signature, args):
    table, rows, step, scale, _ = args
    element = context.get_value_type(signature.args[4])
    lanes = LINE * 8 // signature.args[4].bitwidth
    vector = ir.VectorType(element, lanes)
    address = table.type
    row_bytes = SUBSET_LINES * LINE

    def at(base, offset, kind=vector):
        place = builder.add(base, ir.Constant(address, offset))
        return builder.inttoptr(place, kind.as_pointer())

    with cgutils.for_range(builder, ir.Constant(address, WORD // SUBSET)) as loop:
        first = builder.mul(loop.index, ir.Constant(address, SUBSET))
        places = [builder.add(rows, builder.mul(first, step))]
        for _ in range(SUBSET - 1):
            places.append(builder.add(places[-1], step))
        item = ir.Constant(address, LINE // lanes)
        factors = builder.add(scale, builder.mul(first, item))
        entry = builder.add(
            table, builder.mul(loop.index, ir.Constant(address, row_bytes << SUBSET))
        )
        for r in range(SUBSET_LINES):
            scaled = []
            for i, place in enumerate(places):
                factor = builder.load(at(factors, i * item.constant, element))
                row = builder.load(at(place, r * LINE), align=item.constant)
                scaled.append(builder.fmul(in_lanes(builder, factor, lanes), row))
            for s, total in enumerate(_subset_sums(builder, scaled)):
                builder.store(total, at(entry, s * row_bytes + r * LINE), align=LINE)
    return context.get_dummy_value()


def add_subsets(context, builder, signature, args):
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
        entry = opaque(builder, builder.add(table, offset))
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
        entry = opaque(builder, builder.add(builder.add(table, group), entry))
        for r, slot in enumerate(sums):
            value = builder.load(line(entry, r), align=LINE)
            builder.store(builder.fadd(builder.load(slot), value), slot)
    splat = in_lanes(builder, factor, lanes)
    for r, slot in enumerate(sums):
        product = builder.fmul(splat, builder.load(slot), flags=("contract",))
        old = builder.load(line(target, r), align=LINE // lanes)
        total = builder.fadd(old, product, flags=("contract",))
        builder.store(total, line(target, r), align=LINE // lanes)


def add_entries(context, builder, signature, args):
    target, index, table, n_groups, factor = args
    _add_entries(builder, target, table, n_groups, factor, lambda k: builder.add(index, k))
    return context.get_dummy_value()


def add_listed_entries(context, builder, signature, args):
    target, index, listed, table, n_groups, factor = args

    def subset_of(k):
        return builder.add(index, listed_number(builder, listed, k))

    _add_entries(builder, target, table, n_groups, factor, subset_of)
    return context.get_dummy_value()


def transpose_bits(context, builder, signature, args):
    target, row, listed = args
    element = ir.IntType(WORD)
    vector, gate = ir.VectorType(element, WORD), ir.VectorType(ir.IntType(1), WORD)
    nothing = bits = ir.Constant(vector, None)
    for k in range(WORD):
        place = listed_number(builder, listed, ir.Constant(listed.type, k))
        place = builder.add(row, builder.mul(place, ir.Constant(row.type, WORD // 8)))
        active = builder.load(builder.inttoptr(place, element.as_pointer()))
        bit = ir.Constant(vector, [1 << k] * WORD)
        bits = builder.or_(bits, builder.select(builder.bitcast(active, gate), bit, nothing))
    target = builder.inttoptr(target, vector.as_pointer())
    builder.store(bits, target, align=WORD // 8)
    return context.get_dummy_value()


def tabulate_listed(context, builder, signature, args):
    table, rows, listed, step, _ = args
    element = context.get_value_type(signature.args[4])
    vector = ir.VectorType(element, LINE * 8 // signature.args[4].bitwidth)
    row_bytes = SUBSET_LINES * LINE

    def at(base, offset):
        place = builder.add(base, ir.Constant(base.type, offset))
        return builder.inttoptr(place, vector.as_pointer())

    for g in range(WORD // SUBSET):
        places = [
            builder.add(
                rows, builder.mul(step, listed_number(builder, listed, ir.Constant(rows.type, k)))
            )
            for k in range(g * SUBSET, (g + 1) * SUBSET)
        ]
        for r in range(SUBSET_LINES):
            lines = [builder.load(at(place, r * LINE), align=LINE) for place in places]
            for s, total in enumerate(_subset_sums(builder, lines)):
                entry = ((g << SUBSET) + s) * row_bytes
                builder.store(total, at(table, entry + r * LINE), align=LINE)
    return context.get_dummy_value()


def positive_samples(context, builder, signature, args):
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


def positive_bits(context, builder, signature, args):
    target, source, n_lines, _ = args
    element = context.get_value_type(signature.args[3])
    lanes = LINE * 8 // signature.args[3].bitwidth
    vector, bits = ir.VectorType(element, lanes), ir.IntType(lanes)
    with cgutils.for_range(builder, n_lines) as loop:
        place = builder.add(source, builder.mul(loop.index, ir.Constant(source.type, LINE)))
        values = builder.load(builder.inttoptr(place, vector.as_pointer()), align=LINE)
        active = builder.fcmp_ordered(">", values, ir.Constant(vector, None))
        place = builder.add(target, builder.mul(loop.index, ir.Constant(target.type, lanes // 8)))
        place = builder.inttoptr(place, bits.as_pointer())
        builder.store(builder.bitcast(active, bits), place, align=1)
    return context.get_dummy_value()


def tabulate_line(context, builder, signature, args):
    table, rows, step, listed, factors, n_groups, _ = args
    element, address = context.get_value_type(signature.args[6]), table.type
    size = signature.args[6].bitwidth // 8
    vector = ir.VectorType(element, LINE // size)

    def element_of(places, k, kind, width):
        place = builder.add(places, builder.mul(k, ir.Constant(address, width)))
        return builder.load(builder.inttoptr(place, kind.as_pointer()))

    with cgutils.for_range(builder, n_groups) as loop:
        lines = []
        for p in range(SUBSET):
            k = builder.mul(loop.index, ir.Constant(address, SUBSET))
            k = builder.add(k, ir.Constant(address, p))
            place = builder.add(rows, builder.mul(step, element_of(listed, k, address, 8)))
            row = builder.load(builder.inttoptr(place, vector.as_pointer()), align=size)
            factor = in_lanes(builder, element_of(factors, k, element, size), LINE // size)
            lines.append(builder.fmul(factor, row))
        group = ir.Constant(address, LINE << SUBSET)
        entry = builder.add(table, builder.mul(loop.index, group))
        for s, total in enumerate(_subset_sums(builder, lines)):
            place = builder.add(entry, ir.Constant(address, s * LINE))
            builder.store(total, builder.inttoptr(place, vector.as_pointer()), align=LINE)
    return context.get_dummy_value()


def add_line(context, builder, signature, args):
    # Some rows at a time, each with a sum of its own: a sum waits for its last addition.
    n_rows = (len(args) - 4) // 3
    (target, *offsets), args = args[: 1 + n_rows], args[1 + n_rows :]
    (sets, *places), (table, n_bytes, *factors) = args[: 1 + n_rows], args[1 + n_rows :]
    element, address = factors[0].type, target.type
    lanes = LINE // (8 if isinstance(element, ir.DoubleType) else 4)
    vector, byte = ir.VectorType(element, lanes), ir.IntType(8)
    slots = [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in offsets]
    rows = [builder.add(sets, place) for place in places]
    group = LINE << SUBSET
    with cgutils.for_range(builder, n_bytes) as loop:
        base = builder.mul(loop.index, ir.Constant(address, 2 * group))
        base = opaque(builder, builder.add(table, base))
        for slot, row in zip(slots, rows, strict=True):
            place = builder.inttoptr(builder.add(row, loop.index), byte.as_pointer())
            members = builder.zext(builder.load(place), address)
            # Four bits are the number of a line.
            low = builder.and_(members, ir.Constant(address, 15))
            low = builder.mul(low, ir.Constant(address, LINE))
            high = builder.and_(members, ir.Constant(address, 15 << SUBSET))
            high = builder.mul(high, ir.Constant(address, LINE >> SUBSET))
            high = builder.add(high, ir.Constant(address, group))
            for offset in (low, high):
                place = builder.inttoptr(builder.add(base, offset), vector.as_pointer())
                value = builder.load(place, align=LINE)
                builder.store(builder.fadd(builder.load(slot), value), slot)
    for slot, offset, factor in zip(slots, offsets, factors, strict=True):
        place = builder.inttoptr(builder.add(target, offset), vector.as_pointer())
        product = builder.fmul(
            in_lanes(builder, factor, lanes), builder.load(slot), flags=("contract",)
        )
        total = builder.fadd(builder.load(place, align=LINE), product, flags=("contract",))
        builder.store(total, place, align=LINE)
    return context.get_dummy_value()
