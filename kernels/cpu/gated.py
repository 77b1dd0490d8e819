"""J V and J^T R of the last hidden layer of one output and ReLU, by subset sums.

Its signal is δ_ni = c_i 1[neuron i is active], so that

    Σ_i δ_ni (w V_i·a_n + v b_i) = w ⟨a_n, Y_n⟩ + v y_n,    (Y_n, y_n) = Σ_{i active} c_i (V_i, b_i)
    w Σ_n r_n δ_ni a_n = w c_i Σ_{n that activate i} r_n a_n

and both sum rows of a matrix over active sets. No array of N × m numbers is made or read: of the
activations above there are bits.
"""

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.neuron_subsets import (
    ROWS,
    Work,
    add_neurons,
    tabulate_neurons,
    whole_words,
    work_space,
)
from ntklin.kernels.cpu.sample_subsets import add_groups, sample_tables, tabulate_samples
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, WORD, subset_width
from ntklin.kernels.cpu.skipping import pack
from ntklin.kernels.cpu.sums import clear_rows, dot_of_parts
from ntklin.kernels.structures import Layer

# From this many rows and columns on, tables pay: a table is made for all rows, and is a vector of
# columns wide.
ROWS_PAY = 64
COLUMNS_PAY = 8
# Fewer rows than these do not share a table where there are too few tasks for the threads.
FEWEST_ROWS = 64


def pays(n_rows, n_columns):
    """Whether subset sums are faster than dense products."""
    return n_rows >= ROWS_PAY and n_columns >= COLUMNS_PAY


def _rows_of_a_task(n_rows, n_others):
    """So many rows that each thread gets several tasks, of which there are ``n_others`` a row."""
    # A row's sums are its own: their bits do not depend on how many rows share a table.
    tasks = 4 * get_num_threads()
    return max(FEWEST_ROWS, min(ROWS, -(-n_rows * n_others // tasks)))


@kernel
def _sum_tile(bits, scale, B, last, j, start, stop, work: Work):
    """sums[n − start] ← Σ_i scale_i (B, last)[i, j:] over the bits i of n, start ≤ n < stop.

    ``last`` is one more column of B, unless it is empty.
    """
    sums, tile, table = work
    column = B.shape[1] - j
    clear_rows(sums, 0, stop - start)
    for k in range(bits.shape[0]):
        pack(B, False, k * WORD, j, tile)
        if column < tile.shape[1] and last.shape[0] > 0:
            for i in range(min(WORD, last.shape[0] - k * WORD)):
                tile[i, column] = last[k * WORD + i]
        tabulate_neurons(table, tile, np.int64(0), np.int64(0), scale, k * WORD)
        add_neurons(sums, bits, k, start, stop, table)


@kernel
def _store(R, i, start, factor, sums, row, count):
    """R[i, start + q] ← factor · sums[row, q], q < count."""
    wide_vectors()
    i, start, row = np.uint64(i), np.uint64(start), np.uint64(row)
    for q in range(np.uint64(count)):
        R[i, start + q] = factor * sums[row, q]


@parallel_kernel
def _push(worker, bits, scale, a, layer: Layer, rows, out, work: Work, counter):
    (V, b, w, v), (sums, tile, table) = layer, work
    width, n_columns, has_bias = sums.shape[2], a.shape[1], b.shape[1] > 0
    n_tiles = (n_columns + has_bias + width - 1) // width
    n_blocks = (a.shape[0] + rows - 1) // rows
    mine = Work(sums[worker], tile[worker], table[worker])
    task = next_task(counter)
    while task < V.shape[0] * n_blocks:
        k, start = task // n_blocks, task % n_blocks * rows
        stop = min(start + rows, a.shape[0])
        for n in range(start, stop):
            out[k, n] = 0
        for t in range(n_tiles):
            j = t * width
            _sum_tile(bits, scale, V[k], b[k], j, start, stop, mine)
            count = min(width, n_columns - j)
            for n in range(start, stop):
                out[k, n] += w * dot_of_parts(a, n, j, mine.sums, n - start, count)
            if count < width and has_bias:
                for n in range(start, stop):
                    out[k, n] += v * mine.sums[n - start, count]
        task = next_task(counter)


def push(gates, scale, a, layer):
    """Σ_i δ_ni (w V_i·a_n + v b_i) for each (V, b) of several.

    Parameters
    ----------
    gates : Gates
    scale : ndarray, shape (m,)
        c.
    a : ndarray, shape (N, m')
        What the layer is given.
    layer : Layer
        V, b of shapes (k, m, m'), and (k, m) or (k, 0), C-contiguous, with w and v.

    Returns
    -------
    ndarray, shape (k, N)
    """
    k = len(layer.W)
    rows = _rows_of_a_task(len(a), k)
    out, work = np.empty((k, len(a)), a.dtype), work_space(a.dtype, rows)
    _push[len(work.sums)](
        gates.neurons, whole_words(scale), a, layer, rows, out, work, task_counter()
    )
    return out


@parallel_kernel
def _pull(worker, index, scale, below, r, layer: Layer, sums, tables, counter):
    R, s, w, v = layer
    rows, width, n_columns, has_bias = sums.shape[1], sums.shape[2], below.shape[0], s.shape[1] > 0
    n_tiles = (n_columns + has_bias + width - 1) // width
    n_blocks = (scale.shape[0] + rows - 1) // rows
    my_sums, my_table = sums[worker], tables[worker]
    task = next_task(counter)
    while task < R.shape[0] * n_blocks * n_tiles:
        k, j = task // (n_blocks * n_tiles), task % n_tiles * width
        start = task // n_tiles % n_blocks * rows
        stop = min(start + rows, scale.shape[0])
        count, target, signal = min(width, n_columns - j), R[k], r[k]
        clear_rows(my_sums, 0, stop - start)
        for chunk in range((index.shape[1] + CHUNK_GROUPS - 1) // CHUNK_GROUPS):
            tabulate_samples(my_table, signal, below, chunk, j, has_bias)
            add_groups(my_sums, 0, start, stop, index, chunk, my_table)
        for i in range(start, stop):
            _store(target, i, j, w * scale[i], my_sums, i - start, count)
        if count < width and has_bias:
            for i in range(start, stop):
                s[k, i] = v * scale[i] * my_sums[i - start, count]
        task = next_task(counter)


def pull(gates, scale, a, r, layer):
    """R_i ← w Σ_n r_n δ_ni a_n and s_i ← v Σ_n r_n δ_ni, for each r of several.

    Parameters
    ----------
    gates : Gates
    scale : ndarray, shape (m,)
        c.
    a : ndarray, shape (N, m')
    r : ndarray, shape (k, N)
    layer : Layer
        R, s of shapes (k, m, m'), and (k, m) or (k, 0), C-contiguous, overwritten; with w and v.
    """
    n_tiles = -(-(a.shape[1] + 1) // subset_width(a.dtype))
    rows = _rows_of_a_task(len(scale), len(r) * n_tiles)
    tables = sample_tables(get_num_threads(), a.dtype)
    sums = aligned_empty((len(tables), rows, tables.shape[3]), a.dtype)
    below = np.ascontiguousarray(a).T
    _pull[len(sums)](gates.samples, scale, below, r, layer, sums, tables, task_counter())
