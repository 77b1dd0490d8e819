"""Sums of rows over sets of them, a cache line of columns at a time.

As in ``sample_subsets`` and ``neuron_subsets`` there is a table of the sums over all sixteen
subsets of each four rows. One cache line wide, those of a hundred rows stay in a first-level cache,
where a table of whole tiles comes from the second one, at three quarters of the speed. Sets are
bits, eight rows to a byte, the first one lowest.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.intrinsics import add_line, positive_bits, prefetch, tabulate_line
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sizes import LINE, SET_BYTES, SUBSET

# Sums that are added to side by side, so that none waits for its last addition.
ABREAST = 4
# Rows that are asked for in advance. Several lines of a row the hardware foresees by itself; one
# line of each lies too far from the next.
AHEAD = 8
# Of a line's tables for a byte of the sets.
TABLE_BYTES = 2 * (LINE << SUBSET)


class Span(NamedTuple):
    """Neighbors: the first of them, and how many."""

    first: int
    count: int


def line_tables(dtype):
    """Room for :func:`tabulate_sets`, a table for each thread."""
    lanes = LINE // np.dtype(dtype).itemsize
    return aligned_empty((get_num_threads(), 2 * SET_BYTES, 1 << SUBSET, lanes), dtype)


@kernel
def bytes_at_a_time(n_bytes):
    """Into how large parts, of 1 to SET_BYTES, sets of so many bytes are cut evenly."""
    n_parts = max(1, (n_bytes + SET_BYTES - 1) // SET_BYTES)
    return max(1, (n_bytes + n_parts - 1) // n_parts)


@kernel
def lines_at_a_time(n_bytes):
    """Of how many lines the tables of so many bytes are kept at once."""
    return SET_BYTES // n_bytes


@twin(plain.positive_set)
@kernel
def positive_set(sets, i, A, k):
    """sets[i] ← which elements of A[k] are positive; rows of A are whole aligned lines."""
    n_lines = A.shape[1] * A.itemsize // LINE
    positive_bits((sets, i * sets.shape[1]), (A, k * A.shape[1] * A.itemsize), n_lines)


@kernel
def listed_positive_set(sets, i, A, k, listed, count):
    """sets[i] ← which of the first ``count`` listed elements of A[k] are positive."""
    for place in range((count + 7) // 8):
        members = 0
        for p in range(min(8, count - 8 * place)):
            members |= (A[k, listed[8 * place + p]] > 0) << p
        sets[i, place] = members


@twin(plain.tabulate_sets)
@kernel
def tabulate_sets(table, line, rows, j, listed, factors, members: Span):
    """The sums over subsets of factors_k rows[listed_k, j:], for the k of so many bytes.

    Parameters
    ----------
    table : ndarray, shape (2 SET_BYTES, 2^SUBSET, lanes)
        The tables of one line after the other.
    line : int
        Whose tables are made.
    rows : ndarray, shape (n, width)
        With a whole line from column j on.
    j : int
    listed : ndarray of int64
    factors : ndarray
        Both go on to the end of the last byte.
    members : Span
        The bytes of the sets.
    """
    size, k, n_bytes = rows.itemsize, 8 * members.first, members.count
    target, source = (table, line * n_bytes * TABLE_BYTES), (rows, j * size)
    numbers = (listed, listed.itemsize * k), (factors, size * k)
    tabulate_line(target, source, rows.shape[1] * size, *numbers, 2 * n_bytes)


@twin(plain.add_sets)
@kernel
def add_sets(A, lines: Span, rows: Span, sets, members: Span, table, scale, factor):
    """A[i] += factor scale_i Σ over the set i of what was tabulated, on some lines of rows i.

    Parameters
    ----------
    A : ndarray, shape (m, width)
        Whole aligned lines.
    lines, rows : Span
    sets : ndarray of uint8, shape (m, bytes)
    members : Span
        The bytes that ``table`` is of.
    table : ndarray
        From :func:`tabulate_sets`.
    scale : ndarray, shape (m,)
    factor : float
    """
    step, size, n_bytes = A.shape[1] * A.itemsize, sets.shape[1], members.count
    start, stop = rows.first, rows.first + rows.count
    target, place = start * step + lines.first * LINE, start * size + members.first
    whole = start + rows.count // ABREAST * ABREAST
    for i in range(start, whole, ABREAST):
        factors = (
            factor * scale[i],
            factor * scale[i + 1],
            factor * scale[i + 2],
            factor * scale[i + 3],
        )
        is_ahead = lines.count < ABREAST and i + AHEAD + ABREAST <= stop
        for line in range(lines.count):
            here = target + line * LINE
            add_line(
                (A, here),
                (0, step, 2 * step, 3 * step),
                (sets, place),
                (0, size, 2 * size, 3 * size),
                (table, line * n_bytes * TABLE_BYTES),
                n_bytes,
                factors,
            )
            if is_ahead:
                for k in range(AHEAD, AHEAD + ABREAST):
                    prefetch((A, here + k * step))
        target += ABREAST * step
        place += ABREAST * size
    for i in range(whole, stop):
        for line in range(lines.count):
            here, tables = (A, target + line * LINE), (table, line * n_bytes * TABLE_BYTES)
            add_line(here, (0,), (sets, place), (0,), tables, n_bytes, (factor * scale[i],))
        target += step
        place += size
