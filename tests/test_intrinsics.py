"""The instructions that the kernels are made of, compiled one by one without Numba's JIT."""

import ctypes
import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from tolerances import assert_close

from ntklin.kernels.cpu import instructions, subset_instructions
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.sizes import (
    GROUP,
    LINE,
    PANEL_LINES,
    PANEL_ROWS,
    REGISTERS,
    SAMPLES,
    SUBSET,
    SUBSET_LINES,
    WORD,
)

DTYPES = (np.float32, np.float64)
ADDRESS = types.uintp
C_TYPES = {types.float32: ctypes.c_float, types.float64: ctypes.c_double}
rng = np.random.default_rng(3)


def compiled(codegen, *arguments, result=types.void):
    """``codegen``'s code for arguments of these types as a function, and what keeps it alive."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    context = cpu_target.target_context
    kinds = [context.get_value_type(argument) for argument in arguments]
    returned = ir.VoidType() if result is types.void else context.get_value_type(result)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(returned, kinds), "run")
    builder = ir.IRBuilder(function.append_basic_block())
    value = codegen(context, builder, result(*arguments), function.args)
    builder.ret_void() if result is types.void else builder.ret(value)
    machine = llvm.Target.from_default_triple().create_target_machine()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    c_types = [C_TYPES.get(argument, ctypes.c_size_t) for argument in arguments]
    c_result = None if result is types.void else C_TYPES.get(result, ctypes.c_size_t)
    pointer = engine.get_function_address("run")
    return ctypes.CFUNCTYPE(c_result, *c_types)(pointer), engine


def aligned(shape, dtype):
    out = aligned_empty(shape, dtype)
    out[...] = rng.standard_normal(shape)
    return out


def lanes(dtype):
    return LINE // np.dtype(dtype).itemsize


def of(dtype):
    return types.float32 if dtype == np.float32 else types.float64


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma(dtype):
    number, eps = of(dtype), float(np.finfo(dtype).eps)
    run, _engine = compiled(instructions.fma, number, number, number, result=number)
    assert run(1 + eps, 1 + eps, -1 - 2 * eps) == eps**2  # 0 if the product were rounded
    assert run(3, 5, 7) == 22


@pytest.mark.parametrize("dtype", DTYPES)
def test_stream_scaled(dtype):
    codegen = instructions.stream_scaled
    run, _engine = compiled(codegen, ADDRESS, ADDRESS, of(dtype), types.intp)
    source, target = aligned(5 * lanes(dtype) + 1, dtype), aligned(6 * lanes(dtype), dtype)
    before = target.copy()
    run(target.ctypes.data, source.ctypes.data + source.itemsize, 1.5, 5)  # source is unaligned
    np.testing.assert_array_equal(target[: 5 * lanes(dtype)], dtype(1.5) * source[1:])
    np.testing.assert_array_equal(target[5 * lanes(dtype) :], before[5 * lanes(dtype) :])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("active", [0, 1, 40, GROUP])
def test_accumulate_active(dtype, active):
    codegen = instructions.accumulate_active
    run, _engine = compiled(codegen, ADDRESS, ADDRESS, ADDRESS, ADDRESS, of(dtype))
    width = REGISTERS * lanes(dtype)
    target, tile, row = aligned(width, dtype), aligned((GROUP, width), dtype), aligned(GROUP, dtype)
    row[rng.permutation(GROUP)[active:]] = 0
    tile[row == 0] = np.nan  # must not be touched
    expected = target.astype(float) + row[row != 0].astype(float) @ tile[row != 0]
    run(target.ctypes.data, row.ctypes.data, row.ctypes.data, tile.ctypes.data, 0)
    assert_close(target, expected, kind="gram", n=GROUP, scale=GROUP)


@pytest.mark.parametrize("dtype", DTYPES)
def test_subsets(dtype):
    zero = of(dtype)
    codegen = subset_instructions.tabulate_subsets
    tabulate, _first = compiled(codegen, ADDRESS, ADDRESS, types.intp, ADDRESS, zero)
    add, _second = compiled(subset_instructions.add_subsets, ADDRESS, types.uint32, ADDRESS, zero)
    width = SUBSET_LINES * lanes(dtype)
    tile, scale = aligned((WORD, width), dtype), aligned(WORD, dtype)
    table = aligned((WORD // SUBSET, 1 << SUBSET, width), dtype)
    tabulate(table.ctypes.data, tile.ctypes.data, tile.strides[0], scale.ctypes.data, 0)
    rows = (scale[:, None].astype(float) * tile).reshape(-1, SUBSET, width)
    bits = np.arange(1 << SUBSET)[:, None] >> np.arange(SUBSET) & 1
    assert_close(table, np.einsum("sk,gkq->gsq", bits, rows), kind="gram", n=SUBSET, scale=10)
    for word in (0, 1, 0x80000000, 0xFFFFFFFF, 0x9E3779B9):
        target = aligned(width, dtype)
        chosen = rows.reshape(WORD, width)[[word >> i & 1 == 1 for i in range(WORD)]]
        expected = target + chosen.sum(axis=0)
        add(target.ctypes.data, word, table.ctypes.data, 0)
        assert_close(target, expected, kind="gram", n=WORD, scale=WORD)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tabulate_listed(dtype):
    """Listed rows, in any order and more than once."""
    codegen = subset_instructions.tabulate_listed
    run, _engine = compiled(codegen, ADDRESS, ADDRESS, ADDRESS, types.intp, of(dtype))
    width = SUBSET_LINES * lanes(dtype)
    rows = aligned((50, width + lanes(dtype)), dtype)
    listed = rng.integers(0, len(rows), WORD).astype(np.int32)
    table = aligned((WORD // SUBSET, 1 << SUBSET, width), dtype)
    run(table.ctypes.data, rows.ctypes.data, listed.ctypes.data, rows.strides[0], 0)
    groups = rows[listed, :width].astype(float).reshape(-1, SUBSET, width)
    bits = np.arange(1 << SUBSET)[:, None] >> np.arange(SUBSET) & 1
    assert_close(table, np.einsum("sk,gkq->gsq", bits, groups), kind="gram", n=SUBSET, scale=10)


def test_transpose_bits():
    run, _engine = compiled(subset_instructions.transpose_bits, ADDRESS, ADDRESS, ADDRESS)
    row = rng.integers(0, 1 << 32, 70, dtype=np.uint32)
    row[:2] = 0, 0xFFFFFFFF
    listed = np.r_[0, 1, 69, rng.integers(0, 70, WORD - 3)].astype(np.int32)
    target = np.full(WORD + 2, 7, np.uint32)
    run(target[1:].ctypes.data, row.ctypes.data, listed.ctypes.data)
    bits = row[listed] >> np.arange(WORD, dtype=np.uint32)[:, None] & 1  # (q, k)
    assert target[1:-1].tolist() == [sum(int(b) << k for k, b in enumerate(q)) for q in bits]
    assert target[0] == target[-1] == 7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", [0, 1, 7])
def test_add_entries(dtype, groups):
    run, _engine = compiled(
        subset_instructions.add_entries, ADDRESS, ADDRESS, ADDRESS, types.intp, of(dtype)
    )
    width = SUBSET_LINES * lanes(dtype)
    table = aligned((7, 1 << SAMPLES, width), dtype)
    index = rng.integers(0, 1 << SAMPLES, 7).astype(np.uint8)
    target = aligned(width + 1, dtype)[1:]  # unaligned
    expected = target - 0.5 * table[np.arange(groups), index[:groups]].sum(axis=0, dtype=float)
    run(target.ctypes.data, index.ctypes.data, table.ctypes.data, groups, -0.5)
    assert_close(target, expected, kind="gram", n=9, scale=10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tabulate_line(dtype):
    """Listed rows, in any order and more than once, from any element on."""
    codegen = subset_instructions.tabulate_line
    places = ADDRESS, ADDRESS, types.intp, ADDRESS, ADDRESS, types.intp
    run, _engine = compiled(codegen, *places, of(dtype))
    rows, n = aligned((50, lanes(dtype) + 3), dtype), 7 * SUBSET
    listed, factors = rng.integers(0, len(rows), n), aligned(n, dtype)
    table = aligned((8, 1 << SUBSET, lanes(dtype)), dtype)
    behind = table[7].copy()
    start = rows[:, 2:].ctypes.data, rows.strides[0], listed.ctypes.data, factors.ctypes.data
    run(table.ctypes.data, *start, 7, 0)
    groups = factors[:, None].astype(float) * rows[listed, 2 : 2 + lanes(dtype)]
    groups = groups.reshape(7, SUBSET, -1)
    bits = np.arange(1 << SUBSET)[:, None] >> np.arange(SUBSET) & 1
    assert_close(table[:7], np.einsum("sk,gkq->gsq", bits, groups), kind="gram", n=4, scale=10)
    np.testing.assert_array_equal(table[7], behind)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, 4])
@pytest.mark.parametrize("n_bytes", [0, 1, 5])
def test_add_line(dtype, n_rows, n_bytes):
    kinds = [ADDRESS, *[types.intp] * n_rows]
    kinds += [*kinds, ADDRESS, types.intp, *[of(dtype)] * n_rows]
    run, _engine = compiled(subset_instructions.add_line, *kinds)
    table = aligned((10, 1 << SUBSET, lanes(dtype)), dtype)
    sets = rng.integers(0, 256, (6, 9), dtype=np.uint8)
    sets[0], sets[1] = 0, 255
    target, factors = aligned((6, lanes(dtype)), dtype), rng.standard_normal(n_rows).astype(dtype)
    chosen = [5, 0, 1, 3][:n_rows]
    expected = target.astype(float)
    for i, factor in zip(chosen, factors, strict=True):
        halves = np.stack([sets[i] & 15, sets[i] >> SUBSET], axis=1).ravel()[: 2 * n_bytes]
        expected[i] += factor * table[np.arange(2 * n_bytes), halves].sum(axis=0, dtype=float)
    offsets = [i * LINE for i in chosen]
    places = [i * sets.strides[0] for i in chosen]
    start = target.ctypes.data, *offsets, sets.ctypes.data, *places
    run(*start, table.ctypes.data, n_bytes, *factors)
    assert_close(target, expected, kind="gram", n=12, scale=20)


@pytest.mark.parametrize("dtype", DTYPES)
def test_positive_bits(dtype):
    codegen = subset_instructions.positive_bits
    run, _engine = compiled(codegen, ADDRESS, ADDRESS, types.intp, of(dtype))
    values = aligned(3 * lanes(dtype), dtype)
    values[:6] = 0, -0.0, np.nan, np.inf, -np.inf, 1e-30
    target = np.full(3 * lanes(dtype) // 8 + 2, 7, np.uint8)
    run(target[1:].ctypes.data, values.ctypes.data, 3, 0)
    expected = np.packbits(values > 0, bitorder="little")
    np.testing.assert_array_equal(target[1:-1], expected)
    assert target[0] == target[-1] == 7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_halves", range(1, 2 * PANEL_LINES + 1))
@pytest.mark.parametrize("count", [0, 1, 30])
def test_add_rows(dtype, n_halves, count):
    codegen = instructions.add_rows
    places = (ADDRESS, ADDRESS, types.intp, ADDRESS)
    run, _engine = compiled(codegen, *places, types.intp, types.intp, of(dtype))
    width = PANEL_LINES * lanes(dtype)
    target, values = aligned((PANEL_ROWS, width), dtype), aligned((30, width), dtype)
    rows = aligned((PANEL_ROWS, 41), dtype)  # unaligned from the second on
    expected = target.astype(float)
    seen = slice(n_halves * lanes(dtype) // 2)
    expected[:, seen] += rows[:, :count].astype(float) @ values[:count, seen]
    place = target.ctypes.data, rows.ctypes.data, rows.strides[0], values.ctypes.data
    run(*place, count, n_halves, 0)
    assert_close(target, expected, kind="gram", n=30, scale=30)


@pytest.mark.parametrize("dtype", DTYPES)
def test_store_panel(dtype):
    codegen = instructions.store_panel
    places = ADDRESS, types.intp, ADDRESS, types.intp
    run, _engine = compiled(codegen, *places, types.intp, of(dtype))
    width = PANEL_LINES * lanes(dtype)
    panel, target = aligned((PANEL_ROWS, width + 3), dtype), np.full((width, 21), 7, dtype)
    for n_blocks in (0, 1, width // PANEL_ROWS):
        place = target[:, 2:].ctypes.data, target.strides[0]
        run(*place, panel.ctypes.data, panel.strides[0], n_blocks, 0.5)
        n = n_blocks * PANEL_ROWS
        expected = np.full_like(target, 7)
        expected[:n, 2 : 2 + PANEL_ROWS] = panel[:, :n].T / 2
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_positive_samples(dtype):
    run, _engine = compiled(
        subset_instructions.positive_samples, ADDRESS, of(dtype), result=types.uint64
    )
    for subset in range(1 << SAMPLES):
        values = np.where(subset >> np.arange(SAMPLES) & 1, 1e-30, -1).astype(dtype)
        padded = np.array([1, *values, 1], dtype)
        assert run(padded[1:].ctypes.data, 0) == subset
    values = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1][:SAMPLES], dtype)
    assert run(values.ctypes.data, 0) == sum(1 << p for p in range(SAMPLES) if values[p] > 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_that_are_added_at_once_may_be_so_in_one_instruction(dtype):
    """And what is asked for ahead is a byte, whatever is read there."""

    def codegen(context, builder, signature, arguments):
        value = instructions.accumulate_active(context, builder, signature, arguments)
        lines = str(builder.function).splitlines()
        sums = [line for line in lines if re.search(r"= f(mul|add) ", line)]
        assert len(sums) == 2 * REGISTERS
        assert all(" contract " in line for line in sums)
        ahead = [line for line in lines if "llvm.prefetch" in line]
        assert len(ahead) == GROUP // lanes(dtype)
        assert all("(i8* " in line for line in ahead)
        return value

    compiled(codegen, *[ADDRESS] * 4, of(dtype))


def test_a_task_is_given_out_once():
    run, _engine = compiled(instructions.next_task, ADDRESS, result=types.intp)
    counter = np.array([5])
    assert [run(counter.ctypes.data) for _ in range(3)] == [5, 6, 7]
    assert counter == 8


def test_a_prefetch_changes_nothing():
    run, _engine = compiled(instructions.prefetch, ADDRESS)
    data = np.arange(8.0)
    run(data.ctypes.data)
    np.testing.assert_array_equal(data, np.arange(8.0))


def test_the_next_line_is_that_of_the_next_boundary():
    run, _engine = compiled(instructions.to_next_line, ADDRESS, result=types.intp)
    assert [run(address) for address in (0, 1, 8, 63, 64, 2**40 + 60)] == [0, 63, 56, 1, 0, 4]


def test_wide_vectors_are_asked_for():
    """The attribute is there, and the code still compiles."""

    def codegen(context, builder, signature, arguments):
        value = instructions.wide_vectors(context, builder, signature, arguments)
        assert '"prefer-vector-width"="512"' in str(builder.function)
        return value

    compiled(codegen)
