"""Words for the instructions of ``instructions``, to be used inside compiled code.

Where they read and write is said by places, see ``places``: an array, which has to be C-contiguous,
and an offset in bytes. Without the JIT the kernels take their plain twins and none of this runs.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from ntklin.kernels.cpu import instructions
from ntklin.kernels.cpu.compiler import JIT_DISABLED, SAMPLES, kernel
from ntklin.kernels.cpu.places import Place, Typed, floating, on_places

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
    def _next_task(typing_context, counter, at):
        return on_places(instructions.next_task, types.intp, Place(counter))

    @kernel
    def next_task(counter):
        """Take the number of the next task from ``counter`` (int64, shape (1,)), atomically.

        The threads of a ``prange`` with one turn each share out tasks this way as they become free:
        cores are seldom equally fast, and a fixed share would wait for the slowest one.
        """
        return _next_task(counter, 0)

    @intrinsic
    def wide_vectors(typing_context):
        """Let the vectorizer use 512-bit registers in the calling function.

        LLVM keeps to 256 bits on Intel's server cores by default, which halves the peak of loops
        that are bound by multiply-adds. The attribute has no effect where there is no AVX-512.
        """
        return types.void(), instructions.wide_vectors

    @intrinsic
    def never_inlined(typing_context):
        """Keep the calling function out of those that call it: for what seldom happens."""
        return types.void(), instructions.never_inlined

    @intrinsic
    def prefetch(typing_context, array, at):
        """Ask for a cache line that will be read soon."""
        return on_places(instructions.prefetch, types.void, Place(array))

    @intrinsic
    def to_next_line(typing_context, array, at):
        """How many bytes it is from a place to the next one on a 64-byte boundary."""
        return on_places(instructions.to_next_line, types.intp, Place(array))

    @intrinsic
    def stream_scaled(typing_context, target, at, source, source_at, factor, n_lines):
        """target ← factor · source for whole 64-byte lines, past the caches.

        Non-temporal stores spare reading the lines that are about to be overwritten, which is half
        of the traffic of an ordinary store. ``target`` is on a 64-byte boundary.
        """
        return on_places(
            *(instructions.stream_scaled, types.void, Place(target), Place(source)),
            *(floating(target, source), types.intp),
        )

    @intrinsic
    def accumulate_active(typing_context, target, at, rows, row_at, ahead, ahead_at, tile, tile_at):
        """target ← target + Σ_k row_k tile_k over the k < GROUP with row_k ≠ 0.

        ``target`` and each of the tile's rows are REGISTERS cache lines long and aligned; the row
        has GROUP elements, and ``ahead`` is a row that comes up soon. The zeros are skipped by
        their bit mask, and the sums stay in registers throughout.
        """
        return on_places(
            *(instructions.accumulate_active, types.void, Place(target)),
            *(Place(rows), Place(ahead), Place(tile), Typed(floating(target, rows, tile))),
        )

    @intrinsic
    def tabulate_subsets(typing_context, table, at, tile, tile_at, scale, scale_at):
        """table[g, s] ← Σ_i scale_k tile_k, k = SUBSET·g + i, over the bits i of s.

        ``tile`` has WORD rows of SUBSET_LINES aligned cache lines, and ``scale`` WORD elements.
        """
        return on_places(
            *(instructions.tabulate_subsets, types.void, Place(table)),
            *(Place(tile), Place(scale), Typed(floating(table, tile, scale))),
        )

    @intrinsic
    def add_subsets(typing_context, target, at, word, table, table_at):
        """target ← target + Σ_g table[g, s_g], s_g being the g-th SUBSET bits of ``word``.

        ``target`` is SUBSET_LINES cache lines long and aligned, as are the entries of ``table``,
        WORD/SUBSET × 2^SUBSET of them.
        """
        return on_places(
            *(instructions.add_subsets, types.void, Place(target)),
            *(types.uint32, Place(table), Typed(floating(target, table))),
        )

    @intrinsic
    def add_entries(typing_context, target, at, index, index_at, table, table_at, n_groups, factor):
        """target ← target + factor · Σ_g table[g, index_g], g < n_groups.

        ``target`` is SUBSET_LINES cache lines long, ``index`` holds bytes, and ``table`` has
        2^SAMPLES aligned entries for each group.
        """
        return on_places(
            *(instructions.add_entries, types.void, Place(target), Place(index), Place(table)),
            *(types.intp, floating(target, table)),
        )

    @intrinsic
    def add_listed_entries(
        typing_context,
        target,
        at,
        index,
        index_at,
        places,
        places_at,
        table,
        table_at,
        n_groups,
        factor,
    ):
        """target ← target + factor · Σ_k table[k, index_{places_k}], k < n_groups.

        As ``add_entries``, for the groups that ``places`` (int32) lists.
        """
        return on_places(
            *(instructions.add_listed_entries, types.void, Place(target), Place(index)),
            *(Place(places), Place(table), types.intp, floating(target, table)),
        )

    @intrinsic
    def _positive_samples(typing_context, A, at):
        return on_places(instructions.positive_samples, types.uint64, Place(A), Typed(floating(A)))

    @kernel
    def positive_samples(A, i, n):
        """Bit p of the result says whether A[i, n + p] > 0, for SAMPLES elements from n on."""
        return _positive_samples(A, (i * A.shape[1] + n) * A.itemsize)

    @intrinsic
    def add_panel(
        typing_context,
        target,
        at,
        target_step,
        rows,
        row_at,
        row_step,
        values,
        values_at,
        offsets,
        offsets_at,
        count,
    ):
        """target_i ← target_i + Σ_k row_i[offset_k] values_k for PANEL_ROWS rows i, k < count.

        ``target_i`` and ``values_k`` are aligned cache lines; ``offsets`` (int32) and the steps
        from row to row count bytes.
        """
        return on_places(
            *(instructions.add_panel, types.void, Place(target), types.uintp),
            *(Place(rows), types.uintp, Place(values), Place(offsets), types.intp),
            Typed(floating(target, rows, values)),
        )


def task_counter():
    """A counter for :func:`next_task`."""
    return np.zeros(1, np.int64)
