"""Layers of a forward pass that skip the zeros among their inputs, as about half of a ReLU's are.

A layer is (W, b, w, v), its inputs are sample-major.
"""

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import fma, next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sizes import GROUP
from ntklin.kernels.cpu.skipping import add_rows, pack, work_space
from ntklin.kernels.cpu.sums import clear_rows
from ntklin.kernels.structures import Layer

# What skipping costs for each weight, in units of a dense multiply-add: to turn tiles of W over,
# and a multiply-add for each input that is not zero.
TURNING, ADDING = 28.0, 1.2

# Inputs that share a tile of W: their sums, and what they are added from, stay in a second-level
# cache, and the tile is seldom turned over.
ROWS = 512


def pays(inputs, W):
    """Whether skipping the zeros of ``inputs`` (N, ≥ d) is faster than a product with W (m, d)."""
    n = len(inputs)
    if n <= TURNING or W.size < GROUP * GROUP:
        return False
    return TURNING + ADDING * np.count_nonzero(inputs) / W.shape[1] < n


@twin(plain.is_finite)
@dot_kernel
def _is_finite(tile):
    """Whether all of a tile is."""
    wide_vectors()
    zero = tile.dtype.type(0)
    total = zero
    for p in range(np.uint64(tile.shape[0])):
        for q in range(np.uint64(tile.shape[1])):
            total += zero * tile[p, q]
    return total == zero


@kernel
def _activate(a, n, start, sums, row, layer: Layer, count):
    """a[n, start + q] ← max(w sums[row, q] + v b[start + q], 0), q < count."""
    wide_vectors()
    _, b, w, v = layer
    n, start, row, zero = np.uint64(n), np.uint64(start), np.uint64(row), sums.dtype.type(0)
    for q in range(np.uint64(count)):
        a[n, start + q] = max(fma(w, sums[row, q], v * b[start + q]), zero)


@parallel_kernel
def _layer(worker, layer: Layer, inputs, a, sums, tile, counter, doubtful):
    """``doubtful`` counts each thread's rows of W that may not be finite."""
    W = layer.W
    rows, width = sums.shape[1], sums.shape[2]
    n_blocks = (W.shape[0] + width - 1) // width
    n_tasks = n_blocks * ((inputs.shape[0] + rows - 1) // rows)
    my_sums, my_tile = sums[worker], tile[worker]
    task = next_task(counter)
    while task < n_tasks:
        start, first = task % n_blocks * width, task // n_blocks * rows
        count, is_finite = min(width, W.shape[0] - start), True
        last = min(first + rows, inputs.shape[0])
        clear_rows(my_sums, 0, last - first)
        for k in range(0, W.shape[1], GROUP):
            pack(W, True, k, start, my_tile)
            is_finite &= _is_finite(my_tile)
            add_rows(my_sums, inputs, first, last, k, my_tile)
        for n in range(first, last):
            _activate(a, n, start, my_sums, n - first, layer, count)
        doubtful[worker] += 0 if is_finite else count
        task = next_task(counter)


def skipping_layer(layer, inputs, a):
    """a = max(w a' W^T + v b, 0) of ``inputs`` a', skipping their zeros.

    Parameters
    ----------
    layer : Layer
        W (m, d) is C-contiguous.
    inputs : ndarray, shape (N, at least d)
        Zero from column d on.
    a : ndarray, shape (N, at least m)
        Overwritten up to column m.

    Returns
    -------
    int
        How many rows of W may have an element that is not finite.
    """
    sums, tile = work_space(get_num_threads(), min(len(inputs), ROWS), a.dtype)
    doubtful = np.zeros(len(sums), np.int64)
    work = sums, tile, task_counter(), doubtful
    _layer[len(sums)](layer, np.ascontiguousarray(inputs), a, *work)
    return int(doubtful.sum())
