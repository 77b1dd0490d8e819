"""Products A B with A of zeros and ones, from tables of subset sums.

The backward signal of the last hidden layer is w_L W^L_i where neuron i is active and 0 elsewhere,
so that a product with it sums rows of the other factor over active sets. The sums over all sixteen
subsets of four rows are tabulated once for a tile (the method of four Russians); each row of A then
adds one table entry for four neurons, where the dense product has four multiply-adds.
"""

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.compiler import (
    JIT_DISABLED,
    LINE,
    SUBSET,
    SUBSET_LINES,
    WORD,
    aligned_empty,
    kernel,
    next_task,
    parallel_kernel,
    task_counter,
)
from ntklin.kernels.cpu.skipping import pack

# Rows of A that share a table: their sums fit a second-level cache.
ROWS = 1024
# Rows whose bits are gathered together, one cache line of them for each word.
ROWS_OF_BITS = 16


@parallel_kernel
def _active_bits(a, bits):
    for block in prange((a.shape[0] + ROWS_OF_BITS - 1) // ROWS_OF_BITS):
        start = block * ROWS_OF_BITS
        stop = min(start + ROWS_OF_BITS, a.shape[0])
        for k in range(bits.shape[0]):
            for n in range(start, stop):
                word = np.uint32(0)
                for i in range(min(WORD, a.shape[1] - k * WORD)):
                    word |= np.uint32(a[n, k * WORD + i] != 0) << np.uint32(i)
                bits[k, n] = word


def active_bits(a):
    """Where a (N, m) is not zero: bit i of word (k, n) is for a[n, WORD·k + i].

    Returns
    -------
    ndarray of uint32, shape (⌈m/WORD⌉, N)
    """
    bits = np.empty((-(-a.shape[1] // WORD), a.shape[0]), np.uint32)
    _active_bits(a, bits)
    return bits


if JIT_DISABLED:

    def _add_rows(sums, words, scale, tile, table):
        """As the compiled function of the same name."""
        active = words[:, None] >> np.arange(WORD, dtype=np.uint32) & 1
        sums[: len(words)] += active.astype(tile.dtype) @ (scale[:, None] * tile)

else:
    from ntklin.kernels.cpu.compiler import add_subsets, tabulate_subsets

    @kernel
    def _add_rows(sums, words, scale, tile, table):
        """sums[n] += Σ_i scale_i tile_i over the bits i of words[n]."""
        entries = table.ctypes.data
        tabulate_subsets(entries, tile.ctypes.data, scale.ctypes.data, tile[0, 0])
        row = sums.ctypes.data
        for n in range(words.shape[0]):
            add_subsets(row, words[n], entries, tile[0, 0])
            row += sums.shape[1] * sums.itemsize


@kernel
def _clear(sums, n_rows):
    for n in range(n_rows):
        for q in range(sums.shape[1]):
            sums[n, q] = 0


def _whole_words(scale):
    """``scale``, zero-padded to a multiple of WORD."""
    padded = np.zeros(-(-len(scale) // WORD) * WORD, scale.dtype)
    padded[: len(scale)] = scale
    return padded


def _work_space(dtype):
    """A sum, a tile and a table for each thread."""
    n_threads, width = get_num_threads(), SUBSET_LINES * LINE // np.dtype(dtype).itemsize
    return (
        aligned_empty((n_threads, ROWS, width), dtype),
        aligned_empty((n_threads, WORD, width), dtype),
        aligned_empty((n_threads, WORD // SUBSET, 1 << SUBSET, width), dtype),
    )


@kernel
def _expand(words, tile):
    """tile[i, q] ← bit i of words[q], 0 beyond the ends of ``words``."""
    if words.shape[0] < tile.shape[1]:
        tile[:] = 0
    for i in range(WORD):
        for q in range(min(words.shape[0], tile.shape[1])):
            tile[i, q] = words[q] >> np.uint32(i) & np.uint32(1)


@parallel_kernel
def _add_layer(K, G, w2, v2, bits, squares, sums, tile, table, counter):
    width = sums.shape[2]
    n_blocks = (K.shape[0] + width - 1) // width
    for worker in prange(sums.shape[0]):
        task = next_task(counter)
        while task < n_blocks * ((K.shape[0] + ROWS - 1) // ROWS):
            j = task % n_blocks * width
            start = max(j, task // n_blocks * ROWS)
            stop = max(start, min(K.shape[0], (task // n_blocks + 1) * ROWS))
            _clear(sums[worker], stop - start)
            for k in range(bits.shape[0] if start < stop else 0):
                _expand(bits[k, j:], tile[worker])
                scale = squares[k * WORD : (k + 1) * WORD]
                _add_rows(sums[worker], bits[k, start:stop], scale, tile[worker], table[worker])
            for n in range(start, stop):
                for q in range(min(width, n + 1 - j)):
                    K[n, j + q] += (w2 * G[n, j + q] + v2) * sums[worker, n - start, q]
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
    _add_layer(
        *(K, G, w2, v2, active_bits(a), _whole_words(scale * scale)),
        *(*_work_space(K.dtype), task_counter()),
    )


@parallel_kernel
def _signal_below(bits, scale, W, a, delta, sums, tile, table, counter):
    width = sums.shape[2]
    n_blocks = (W.shape[1] + width - 1) // width
    for worker in prange(sums.shape[0]):
        task = next_task(counter)
        while task < n_blocks * ((a.shape[0] + ROWS - 1) // ROWS):
            j = task % n_blocks * width
            start = task // n_blocks * ROWS
            stop = min(a.shape[0], start + ROWS)
            _clear(sums[worker], stop - start)
            for k in range(bits.shape[0]):
                pack(W, False, k * WORD, j, tile[worker])
                factors = scale[k * WORD : (k + 1) * WORD]
                _add_rows(sums[worker], bits[k, start:stop], factors, tile[worker], table[worker])
            for n in range(start, stop):
                for q in range(min(width, W.shape[1] - j)):
                    delta[n, j + q] = sums[worker, n - start, q] if a[n, j + q] > 0 else 0
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
    _signal_below(
        *(active_bits(above), _whole_words(scale), W, a, delta),
        *(*_work_space(a.dtype), task_counter()),
    )
    return delta
