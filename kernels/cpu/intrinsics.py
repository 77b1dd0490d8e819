"""Words for the instructions of ``instructions``, to be used inside compiled code.

Where they read and write is said by places, see ``places``: pairs of an array, which has to be
C-contiguous, and an offset in bytes.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from ntklin.kernels.cpu import instructions, plain, subset_instructions
from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.places import Numbers, Place, Typed, floating, on_places
from ntklin.kernels.cpu.plain import twin


@intrinsic
def _next_task(typing_context, counter):
    return on_places(instructions.next_task, types.intp, Place(counter))


@twin(plain.next_task)
@kernel
def next_task(counter):
    """Take the number of the next task from ``counter`` (int64, shape (1,)), atomically.

    Threads with one turn each share out tasks this way as they become free: cores are seldom
    equally fast, and a fixed share would wait for the slowest one.

    Returns
    -------
    int
    """
    return _next_task((counter, 0))


def task_counter():
    """A counter for :func:`next_task`."""
    return np.zeros(1, np.int64)


@twin(plain.wide_vectors)
@intrinsic
def wide_vectors(typing_context):
    """Let the vectorizer use 512-bit registers in the calling function.

    LLVM keeps to 256 bits on Intel's server cores by default, which halves the peak of loops that
    are bound by multiply-adds. The attribute has no effect where there is no AVX-512.
    """
    return types.void(), instructions.wide_vectors


@twin(plain.fma)
@intrinsic
def fma(typing_context, a, b, c):
    """a b + c, rounded once.

    A sum of two products is written with it: in ``a * b + c * d`` either product may be the one
    that is rounded, and the compiler takes now the one and now the other of them, in the copies
    of a function that it makes for its callers.
    """
    number = floating(typing_context.unify_types(a, b, c))
    return number(number, number, number), instructions.fma


@twin(plain.power_of_two)
@intrinsic
def power_of_two(typing_context, number):
    """2^k, of a number in whose last bits there is k and the bias of an exponent."""
    return floating(number)(number), instructions.power_of_two


@intrinsic
def never_inlined(typing_context):
    """Keep the calling function out of those that call it: for what seldom happens."""
    return types.void(), instructions.never_inlined


@intrinsic
def prefetch(typing_context, place):
    """Ask for a cache line that will be read soon."""
    return on_places(instructions.prefetch, types.void, Place(place))


@intrinsic
def to_next_line(typing_context, place):
    """How many bytes it is from a place to the next one on a 64-byte boundary."""
    return on_places(instructions.to_next_line, types.intp, Place(place))


@intrinsic
def stream_scaled(typing_context, target, source, factor, n_lines):
    """target ← factor · source for whole 64-byte lines, past the caches.

    Non-temporal stores spare reading the lines that are about to be overwritten, which is half of
    the traffic of an ordinary store. ``target`` is on a 64-byte boundary.
    """
    dtype = floating(target, source)
    parameters = Place(target), Place(source), dtype, types.intp
    return on_places(instructions.stream_scaled, types.void, *parameters)


@intrinsic
def accumulate_active(typing_context, target, row, ahead, tile):
    """target ← target + Σ_k row_k tile_k over the k < GROUP with row_k ≠ 0.

    ``target`` and each of the tile's rows are REGISTERS cache lines long and aligned; the row has
    GROUP elements, and ``ahead`` is a row that comes up soon. The zeros are skipped by their bit
    mask, and the sums stay in registers throughout.
    """
    dtype = Typed(floating(target, row, tile))
    parameters = Place(target), Place(row), Place(ahead), Place(tile), dtype
    return on_places(instructions.accumulate_active, types.void, *parameters)


@intrinsic
def tabulate_subsets(typing_context, table, rows, step, scale):
    """table[g, s] ← Σ_i scale_k rows_k, k = SUBSET·g + i, over the bits i of s.

    There are WORD rows, ``step`` bytes apart, which begin with SUBSET_LINES cache lines, aligned or
    not; ``scale`` has WORD elements.
    """
    dtype = Typed(floating(table, rows, scale))
    parameters = Place(table), Place(rows), types.intp, Place(scale), dtype
    return on_places(subset_instructions.tabulate_subsets, types.void, *parameters)


@intrinsic
def add_subsets(typing_context, target, word, table):
    """target ← target + Σ_g table[g, s_g], s_g being the g-th SUBSET bits of ``word``.

    ``target`` is SUBSET_LINES cache lines long and aligned, as are the entries of ``table``,
    WORD/SUBSET × 2^SUBSET of them.
    """
    parameters = Place(target), types.uint32, Place(table), Typed(floating(target, table))
    return on_places(subset_instructions.add_subsets, types.void, *parameters)


@intrinsic
def add_entries(typing_context, target, index, table, n_groups, factor):
    """target ← target + factor · Σ_g table[g, index_g], g < n_groups.

    ``target`` is SUBSET_LINES cache lines long, ``index`` holds bytes, and ``table`` has 2^SAMPLES
    aligned entries for each group.
    """
    parameters = Place(target), Place(index), Place(table), types.intp, floating(target, table)
    return on_places(subset_instructions.add_entries, types.void, *parameters)


@intrinsic
def add_listed_entries(typing_context, target, index, listed, table, n_groups, factor):
    """target ← target + factor · Σ_k table[k, index_{listed_k}], k < n_groups.

    As ``add_entries``, for the groups that ``listed`` (int32) lists.
    """
    dtype = floating(target, table)
    parameters = Place(target), Place(index), Place(listed), Place(table), types.intp, dtype
    return on_places(subset_instructions.add_listed_entries, types.void, *parameters)


@intrinsic
def transpose_bits(typing_context, target, row, listed):
    """target_q ← Σ_k 2^k bit q of row[listed_k], k < WORD, q < WORD.

    ``target`` and ``row`` are of uint32, ``listed`` of int32.
    """
    parameters = Place(target), Place(row), Place(listed)
    return on_places(subset_instructions.transpose_bits, types.void, *parameters)


@intrinsic
def tabulate_listed(typing_context, table, rows, listed, step):
    """table[g, s] ← Σ_i rows[listed_k], k = SUBSET·g + i < WORD, over the bits i of s.

    Rows begin with SUBSET_LINES aligned cache lines and lie ``step`` bytes apart.
    """
    parameters = Place(table), Place(rows), Place(listed), types.intp, Typed(floating(table, rows))
    return on_places(subset_instructions.tabulate_listed, types.void, *parameters)


@intrinsic
def _positive_samples(typing_context, place):
    parameters = Place(place), Typed(floating(place))
    return on_places(subset_instructions.positive_samples, types.uint64, *parameters)


@twin(plain.positive_samples)
@kernel
def positive_samples(A, i, n):
    """Bit p of the result says whether A[i, n + p] > 0, for SAMPLES elements from n on."""
    return _positive_samples((A, (i * A.shape[1] + n) * A.itemsize))


@intrinsic
def positive_bits(typing_context, target, source, n_lines):
    """Bit n of target ← source_n > 0, for whole aligned cache lines of source."""
    parameters = Place(target), Place(source), types.intp, Typed(floating(source))
    return on_places(subset_instructions.positive_bits, types.void, *parameters)


@intrinsic
def tabulate_line(typing_context, table, rows, step, listed, factors, n_groups):
    """table[g, s] ← Σ_i factors_k rows_{listed_k}, k = SUBSET·g + i, over the bits i of s.

    Of each row there is one cache line, aligned or not; rows lie ``step`` bytes apart, and
    ``listed`` is of int64.
    """
    dtype = Typed(floating(table, rows, factors))
    places = Place(table), Place(rows), types.intp, Place(listed), Place(factors)
    return on_places(subset_instructions.tabulate_line, types.void, *places, types.intp, dtype)


@intrinsic
def add_line(typing_context, target, offsets, sets, places, table, n_bytes, factors):
    """target_i ← target_i + factor_i Σ_k table[2k, low_ik] + table[2k + 1, high_ik], k < n_bytes.

    ``target_i``, ``offsets`` from target, are some aligned cache lines, and low and high the halves
    of the bytes at ``places`` from sets; of each tuple there are as many.
    """
    several = [Numbers(types.intp, len(offsets)) for _ in range(2)]
    factor = Numbers(floating(target, table), len(offsets))
    parameters = Place(target), several[0], Place(sets), several[1], Place(table), types.intp
    return on_places(subset_instructions.add_line, types.void, *parameters, factor)


@intrinsic
def add_panel(typing_context, target, row, steps, values, offsets, count):
    """target_i ← target_i + Σ_k row_i[offset_k] values_k for PANEL_ROWS rows i, k < count.

    ``target_i`` and ``values_k`` are aligned cache lines; ``offsets`` (int32) and the two ``steps``
    from row to row, of target and row, count bytes.
    """
    dtype = Typed(floating(target, row, values))
    places = Place(target), Place(row), Numbers(types.intp, 2), Place(values), Place(offsets)
    return on_places(instructions.add_panel, types.void, *places, types.intp, dtype)


@intrinsic
def add_listed_panel(typing_context, target, row, steps, values, listed, count):
    """target_i ← target_i + Σ_k row_i[n_k] values_{n_k} for PANEL_ROWS rows i, n_k = listed_k.

    As ``add_panel``, for the k < count that ``listed`` (int32) lists; the third of the ``steps`` is
    from one of the ``values`` to the next.
    """
    dtype = Typed(floating(target, row, values))
    places = Place(target), Place(row), Numbers(types.intp, 3), Place(values), Place(listed)
    return on_places(instructions.add_listed_panel, types.void, *places, types.intp, dtype)


@intrinsic
def add_rows(typing_context, target, row, step, values, count, n_halves):
    """target_i ← target_i + Σ_k row_i[k] values_k for PANEL_ROWS rows i, k < count.

    ``target_i`` and ``values_k`` are the first ``n_halves`` halves of PANEL_LINES aligned cache
    lines, and rows lie ``step`` bytes apart.
    """
    dtype = Typed(floating(target, row, values))
    places = Place(target), Place(row), types.intp, Place(values)
    return on_places(instructions.add_rows, types.void, *places, types.intp, types.intp, dtype)


@intrinsic
def store_panel(typing_context, target, step, panel, panel_step, n_blocks, factor):
    """target_q[i] ← factor panel_i[q] for PANEL_ROWS rows i, and q < PANEL_ROWS n_blocks.

    Rows ``target_q`` lie ``step`` bytes apart, and ``panel_i`` ``panel_step`` bytes.
    """
    places = Place(target), types.intp, Place(panel), types.intp
    return on_places(
        instructions.store_panel, types.void, *places, types.intp, floating(target, panel)
    )
