"""Products A B that skip the zeros of A, about half of the work for activations and signals.

Plain sparse formats lose to dense BLAS at half density. Here a tile of B stays in the first-level
cache while all rows of A pass over it, and each row's sums stay in registers.
"""

import numpy as np

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import (
    accumulate_active,
    next_task,
    store_panel,
    task_counter,
)
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sizes import GROUP, PANEL_ROWS, skipping_width
from ntklin.kernels.cpu.sums import clear_rows

# Rows of A to ask for in advance: they lie too far apart for the hardware to foresee.
AHEAD = 4


@kernel
def _copy(tile, B, k, j, height, width):
    """tile[p, q] ← B[k + p, j + q], p < height, q < width."""
    k, j = np.uint64(k), np.uint64(j)
    for p in range(np.uint64(height)):
        for q in range(np.uint64(width)):
            tile[p, q] = B[k + p, j + q]


@twin(plain.transpose_panels)
@kernel
def _transpose_panels(target, i, first, B, k, j, height, width):
    """The same, of whole panels."""
    step, target_step = B.shape[1] * B.itemsize, target.shape[1] * target.itemsize
    source = (j * B.shape[1] + k) * B.itemsize
    place = (i * target.shape[1] + first) * target.itemsize
    count, one = height // PANEL_ROWS, B.dtype.type(1)
    for _ in range(0, width, PANEL_ROWS):
        store_panel((target, place), target_step, (B, source), step, count, one)
        source += PANEL_ROWS * step
        place += PANEL_ROWS * target.itemsize


@kernel
def write_transposed(target, i, first, B, k, j, height, width):
    """target[i + p, first + q] ← B[j + q, k + p], p < height, q < width; both C-contiguous."""
    whole_height = height - height % PANEL_ROWS
    whole_width = width - width % PANEL_ROWS
    _transpose_panels(target, i, first, B, k, j, whole_height, whole_width)
    for q in range(width):
        for p in range(whole_height if q < whole_width else 0, height):
            target[i + p, first + q] = B[j + q, k + p]


@kernel
def pack(B, transpose, k, j, tile):
    """tile ← B[k:, j:] (or B[j:, k:]^T), zero beyond the ends of B, which is C-contiguous."""
    height, width = tile.shape
    if transpose:
        k_stop = min(height, B.shape[1] - k)
        j_stop = min(width, B.shape[0] - j)
    else:
        k_stop = min(height, B.shape[0] - k)
        j_stop = min(width, B.shape[1] - j)
    if k_stop < height or j_stop < width:
        tile[:] = 0
    if transpose:
        write_transposed(tile, np.int64(0), np.int64(0), B, k, j, k_stop, j_stop)
    else:
        _copy(tile, B, k, j, k_stop, j_stop)


@twin(plain.add_row)
@kernel
def _add_row(sums, place, A, n, k, tile):
    """sums[place] += A[n, k : k + GROUP] tile; beyond A's columns element by element."""
    if k + GROUP <= A.shape[1]:
        target = place * sums.shape[1] * sums.itemsize
        row = (n * A.shape[1] + k) * A.itemsize
        ahead = (min(n + AHEAD, A.shape[0] - 1) * A.shape[1] + k) * A.itemsize
        accumulate_active((sums, target), (A, row), (A, ahead), (tile, 0))
        return
    for p in range(A.shape[1] - k):
        value = A[n, k + p]
        if value != 0:
            for q in range(sums.shape[1]):
                sums[place, q] += value * tile[p, q]


@kernel
def add_rows(sums, A, start, stop, k, tile):
    """sums[n − start] += A[n, k : k + GROUP] tile for the rows start ≤ n < stop."""
    for n in range(start, stop):
        _add_row(sums, n - start, A, n, k, tile)


@kernel
def _skipping_product(A, B, j, first, sums, tile):
    """sums[n − first] ← Σ_k A_nk B[j:, k] for the rows n ≥ ``first``.

    Parameters
    ----------
    A : ndarray, shape (N, K)
        C-contiguous.
    B : ndarray, shape (M, K)
        C-contiguous.
    sums : ndarray, shape (at least N − first, width)
        Overwritten up to there; columns beyond the rows of B are zero.
    tile : ndarray, shape (GROUP, width)
        Work space, aligned like ``sums``.
    """
    clear_rows(sums, 0, A.shape[0] - first)
    for k in range(0, A.shape[1], GROUP):
        pack(B, True, k, j, tile)
        add_rows(sums, A, first, A.shape[0], k, tile)


def work_space(n_tasks, n_rows, dtype):
    """``sums`` (tasks, rows, width) and ``tile`` (tasks, GROUP, width) for :func:`add_rows`."""
    width = skipping_width(dtype)
    return (
        aligned_empty((n_tasks, n_rows, width), dtype),
        aligned_empty((n_tasks, GROUP, width), dtype),
    )


@parallel_kernel
def _lower_gram(worker, A, K, sums, tile, counter):
    width = sums.shape[2]
    # Tasks are blocks of columns; the first ones have longer work.
    j = next_task(counter) * width
    while j < A.shape[0]:
        _skipping_product(A, A, j, j, sums[worker], tile[worker])
        stop = min(width, A.shape[0] - j)
        for n in range(j, A.shape[0]):
            for q in range(stop):
                K[n, j + q] = sums[worker, n - j, q]
        j = next_task(counter) * width


def lower_gram(A, n_tasks):
    """A A^T, its lower triangle only; the rest is not set.

    Parameters
    ----------
    A : ndarray, shape (N, K)
    n_tasks : int
        The number of threads.

    Returns
    -------
    ndarray, shape (N, N)
    """
    K = np.empty((len(A), len(A)), A.dtype)
    sums, tile = work_space(n_tasks, len(A), A.dtype)
    _lower_gram[len(sums)](A, K, sums, tile, task_counter())
    return K


def tiled(B):
    """B (K, M) cut into the tiles that :func:`add_tiled` takes, zero beyond its ends.

    Returns
    -------
    ndarray, shape (⌈M/width⌉, ⌈K/GROUP⌉, GROUP, width)
    """
    width = skipping_width(B.dtype)
    tiles = aligned_empty((-(-B.shape[1] // width), -(-B.shape[0] // GROUP), GROUP, width), B.dtype)
    for j in range(tiles.shape[0]):
        for k in range(tiles.shape[1]):
            pack(B, False, k * GROUP, j * width, tiles[j, k])
    return tiles


@twin(plain.add_tiled)
@kernel
def add_tiled(C, start, stop, A, tiles):
    """C[start:stop] ← C[start:stop] + A B, skipping the zeros of A.

    Parameters
    ----------
    C : ndarray, shape (m, width · tiles)
        Aligned rows, a whole number of tiles wide.
    A : ndarray, shape (at least stop − start, GROUP · tiles)
        C-contiguous; zero beyond the rows of B.
    tiles : ndarray
        B, from :func:`tiled`. Each of its tiles is used by all rows before the next one.
    """
    width = tiles.shape[3]
    for j in range(tiles.shape[0]):
        for k in range(tiles.shape[1]):
            tile = (j * tiles.shape[1] + k) * GROUP * width * C.itemsize
            row = k * GROUP * A.itemsize
            for i in range(start, stop):
                target = (i * C.shape[1] + j * width) * C.itemsize
                accumulate_active((C, target), (A, row), (A, row), (tiles, tile))
                row += A.shape[1] * A.itemsize
