"""Products A B with A of zeros and ones, from tables of subset sums.

The backward signal of the last hidden layer is w_L W^L_i where neuron i is active and 0 elsewhere,
so that a product with it sums rows of the other factor over active sets. The sums over all sixteen
subsets of four rows are tabulated once for a tile (the method of four Russians); each row of A then
adds one table entry for four neurons, where the dense product has four multiply-adds.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import (
    add_subsets,
    next_task,
    prefetch,
    tabulate_subsets,
    task_counter,
)
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sample_subsets import (
    active_samples,
    add_samples,
    sample_tables,
    tabulate_samples,
)
from ntklin.kernels.cpu.sizes import (
    CHUNK_GROUPS,
    LINE,
    SAMPLES,
    SUBSET,
    SUBSET_LINES,
    WORD,
    subset_width,
)
from ntklin.kernels.cpu.skipping import pack, write_transposed
from ntklin.kernels.cpu.sums import clear_rows, gate_row

# Rows of A that share a table: their sums fit a second-level cache.
ROWS = 1024
# Rows whose bits are gathered together, one cache line of them for each word.
ROWS_OF_BITS = 16


@parallel_kernel
def _active_bits(block, a, bits, size):
    start = block * ROWS_OF_BITS
    stop = min(start + ROWS_OF_BITS, a.shape[0])
    for k in range(bits.shape[0]):
        for n in range(start, stop):
            word = np.uint32(0)
            for i in range(min(size, a.shape[1] - k * size)):
                word |= np.uint32(a[n, k * size + i] != 0) << np.uint32(i)
            bits[k, n] = word


def active_bits(a):
    """Where a (N, m) is not zero: bit i of word (k, n) is for a[n, WORD·k + i].

    Returns
    -------
    ndarray of uint32, shape (⌈m/WORD⌉, N)
    """
    bits = np.empty((-(-a.shape[1] // WORD), a.shape[0]), np.uint32)
    _active_bits[-(-len(a) // ROWS_OF_BITS)](a, bits, WORD)
    return bits


class Gates(NamedTuple):
    """Where a (N, m) is not zero, in bits, for those who ask by samples and by neurons.

    Attributes
    ----------
    neurons : ndarray of uint32, shape (⌈m/WORD⌉, N)
        Which neurons are active for each sample.
    samples : ndarray of uint8, shape (m, ⌈N/SAMPLES⌉)
        Which samples activate each neuron.
    """

    neurons: np.ndarray
    samples: np.ndarray


def gates(a):
    """The gates of activations a (N, m)."""
    samples = np.empty((a.shape[1], -(-len(a) // SAMPLES)), np.uint8)
    _active_bits[-(-a.shape[1] // ROWS_OF_BITS)](a.T, samples.T, SAMPLES)
    return Gates(active_bits(a), samples)


# Every slice of an array counts its references atomically, and threads that share the array wait
# for each other there: inner loops take whole arrays with the place where to start.


@twin(plain.tabulate_neurons)
@kernel
def tabulate_neurons(table, B, k, j, scale, start):
    """Sums of scale[start + i] B[k + i, j:] over all subsets of SUBSET neighboring rows i.

    B is C-contiguous and has WORD rows from k on, of at least the table's width from j on.
    """
    rows = (k * B.shape[1] + j) * B.itemsize
    step = B.shape[1] * B.itemsize
    tabulate_subsets((table, 0), (B, rows), step, (scale, start * scale.itemsize))


@kernel
def tabulate_weights(table, W, start, j, scale, tile):
    """The same of the rows from ``start`` on of W, where it has any; ``tile`` is work space."""
    if start + WORD <= W.shape[0] and j + tile.shape[1] <= W.shape[1]:
        tabulate_neurons(table, W, start, j, scale, start)
    else:
        pack(W, False, start, j, tile)
        tabulate_neurons(table, tile, np.int64(0), np.int64(0), scale, start)


@twin(plain.prefetch_rows)
@kernel
def prefetch_rows(W, start, j):
    """Ask for a tile of WORD rows of W, which lie too far apart for the hardware to foresee."""
    for i in range(start, min(start + WORD, W.shape[0])):
        place = (i * W.shape[1] + j) * W.itemsize
        for line in range(SUBSET_LINES):
            prefetch((W, place + line * LINE))


@twin(plain.add_neurons)
@kernel
def add_neurons(sums, bits, k, start, stop, table):
    """sums[n − start] += Σ_i scale_i tile_i over the bits i of bits[k, n], start ≤ n < stop."""
    row = 0
    for n in range(start, stop):
        add_subsets((sums, row), bits[k, n], (table, 0))
        row += sums.shape[1] * sums.itemsize


def whole_words(scale):
    """``scale``, zero-padded to a multiple of WORD."""
    padded = np.zeros(-(-len(scale) // WORD) * WORD, scale.dtype)
    padded[: len(scale)] = scale
    return padded


class Work(NamedTuple):
    """What each thread sums in: rows of sums, a tile of the other factor, and its subset sums."""

    sums: np.ndarray
    tile: np.ndarray
    table: np.ndarray


def work_space(dtype, n_rows=ROWS):
    """For all threads."""
    n_threads, width = get_num_threads(), subset_width(dtype)
    return Work(
        aligned_empty((n_threads, n_rows, width), dtype),
        aligned_empty((n_threads, WORD, width), dtype),
        aligned_empty((n_threads, WORD // SUBSET, 1 << SUBSET, width), dtype),
    )


class Active(NamedTuple):
    """Neurons whose backward signal is a constant where they are active and 0 elsewhere.

    Attributes
    ----------
    scale : ndarray, shape (m, rounded up to whole words)
        The constants c.
    bits : ndarray of uint32, shape (⌈m/WORD⌉, N)
        From :func:`active_bits`: which neurons each sample activates.
    index : ndarray of uint8, shape (m, ⌈N/SAMPLES⌉)
        From ``active_samples``: which samples activate each neuron.
    """

    scale: np.ndarray
    bits: np.ndarray
    index: np.ndarray


@kernel
def _expand(bits, k, j, tile):
    """tile[i, q] ← bit i of bits[k, j + q], 0 beyond the end."""
    columns = min(bits.shape[1] - j, tile.shape[1])
    if columns < tile.shape[1]:
        tile[:] = 0
    for i in range(WORD):
        for q in range(columns):
            tile[i, q] = bits[k, j + q] >> np.uint32(i) & np.uint32(1)


@parallel_kernel
def _add_layer(worker, K, G, w2, v2, bits, squares, work: Work, counter):
    sums, tile, table = work
    width = sums.shape[2]
    n_blocks = (K.shape[0] + width - 1) // width
    my_sums, my_tile, my_table = sums[worker], tile[worker], table[worker]
    task = next_task(counter)
    while task < n_blocks * ((K.shape[0] + ROWS - 1) // ROWS):
        j = task % n_blocks * width
        start = max(j, task // n_blocks * ROWS)
        stop = max(start, min(K.shape[0], (task // n_blocks + 1) * ROWS))
        clear_rows(my_sums, 0, stop - start)
        for k in range(bits.shape[0] if start < stop else 0):
            _expand(bits, k, j, my_tile)
            tabulate_neurons(my_table, my_tile, np.int64(0), np.int64(0), squares, k * WORD)
            add_neurons(my_sums, bits, k, start, stop, my_table)
        for n in range(start, stop):
            for q in range(min(width, n + 1 - j)):
                K[n, j + q] += (w2 * G[n, j + q] + v2) * my_sums[n - start, q]
        task = next_task(counter)


def add_layer(K, G, w2, v2, a, scale):
    """K += (w² G + v²) ∘ δ δ^T with δ = c ∘ 1[a ≠ 0], on and below the diagonal.

    Parameters
    ----------
    K, G : ndarray, shape (N, N)
    a : ndarray, shape (N, m)
    scale : ndarray, shape (m,)
        c.
    """
    squares, work = whole_words(scale * scale), work_space(K.dtype)
    _add_layer[len(work.sums)](K, G, w2, v2, active_bits(a), squares, work, task_counter())


@parallel_kernel
def _signal_below(worker, bits, scale, W, a, delta, work: Work, counter):
    sums, tile, table = work
    width = sums.shape[2]
    n_blocks = (W.shape[1] + width - 1) // width
    my_sums, my_tile, my_table = sums[worker], tile[worker], table[worker]
    task = next_task(counter)
    while task < n_blocks * ((a.shape[0] + ROWS - 1) // ROWS):
        j = task % n_blocks * width
        start = task // n_blocks * ROWS
        stop = min(a.shape[0], start + ROWS)
        clear_rows(my_sums, 0, stop - start)
        for k in range(bits.shape[0]):
            prefetch_rows(W, (k + 1) * WORD, j)
            tabulate_weights(my_table, W, k * WORD, j, scale, my_tile)
            add_neurons(my_sums, bits, k, start, stop, my_table)
        for n in range(start, stop):
            for q in range(min(width, W.shape[1] - j)):
                delta[n, j + q] = my_sums[n - start, q] if a[n, j + q] > 0 else 0
        task = next_task(counter)


def signal_below(above, scale, W, a):
    """δ = (c ∘ 1[a' ≠ 0]) W ∘ 1[a > 0], the signal that the last hidden layer passes down.

    Parameters
    ----------
    above : ndarray, shape (N, m')
        The last hidden layer's activations a'.
    scale : ndarray, shape (m',)
        c.
    W : ndarray, shape (m', m)
    a : ndarray, shape (N, m)

    Returns
    -------
    ndarray, shape (N, m)
    """
    delta = np.empty_like(a)
    bits, work = active_bits(above), work_space(a.dtype)
    _signal_below[len(work.sums)](bits, whole_words(scale), W, a, delta, work, task_counter())
    return delta


@kernel
def _backward_tile(W, j, active: Active, r, below, delta, rate, work: Work, gradients):
    """The columns j … of :func:`backward_step`; ``work`` and the table are the thread's own."""
    scale, bits, index = active
    sums, tile, table = work
    spare = tile[0]
    clear_rows(sums, 0, below.shape[1])
    for chunk in range((index.shape[1] + CHUNK_GROUPS - 1) // CHUNK_GROUPS):
        tabulate_samples(gradients, r, below, chunk, j, False)
        for start in range(0, W.shape[0], WORD):
            if chunk == 0:
                tabulate_weights(table, W, start, j, scale, tile)
                add_neurons(sums, bits, start // WORD, 0, bits.shape[1], table)
            stop = min(start + WORD, W.shape[0])
            add_samples(W, start, stop, j, index, chunk, gradients, -rate, scale, spare)
    zero, columns = np.int64(0), min(sums.shape[1], W.shape[1] - j)
    write_transposed(delta, j, zero, sums, zero, zero, columns, below.shape[1])
    for i in range(j, j + columns):
        gate_row(delta, i, below, i)


@kernel
def far_apart(task, n_workers, n_tiles):
    """The tile of a task, of ``n_tiles`` for each worker; neighbors share lines, and come apart."""
    return task % n_workers * n_tiles + task // n_workers


@parallel_kernel
def _backward_step(
    worker,
    W,
    active: Active,
    r,
    below,
    delta,
    rate,
    work: Work,
    gradients,
    counter,
):
    sums, tile, table = work
    n_workers, _, width = sums.shape
    n_tiles = (W.shape[1] + n_workers * width - 1) // (n_workers * width)
    mine = Work(sums[worker], tile[worker], table[worker])
    task = next_task(counter)
    while task < n_workers * n_tiles:
        j = far_apart(task, n_workers, n_tiles) * width
        if j < W.shape[1]:
            _backward_tile(W, j, active, r, below, delta, rate, mine, gradients[worker])
        task = next_task(counter)


def backward_step(W, scale, above, r, below, delta, w, rate):
    """One gradient step on the last hidden layer's W, and the signal it passes down before.

    δ = w (c ∘ 1[a' > 0])^T W ∘ 1[a > 0], then W ← W − η w c ∘ (1[a' > 0] (r ∘ a)): one pass over W.

    Parameters
    ----------
    W : ndarray, shape (m', m)
        Updated in place.
    scale : ndarray, shape (m',)
        c.
    above, below : ndarray, shapes (m', N), (m, N)
        a' and a, neuron-major.
    r : ndarray, shape (N,)
    delta : ndarray, shape (m, N)
        Overwritten with δ.
    w, rate : float
    """
    active = Active(whole_words(w * scale), active_bits(above.T), active_samples(above))
    work = work_space(W.dtype, below.shape[1])
    gradients = sample_tables(len(work.sums), W.dtype)
    given = W, active, r, below, delta, rate, work, gradients
    _backward_step[len(gradients)](*given, task_counter())
