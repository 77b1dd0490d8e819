"""Products w X W^T of inputs with rows of weights, as a forward pass takes them.

BLAS copies both factors into a layout of its own before it multiplies. The copy of W pays where it
meets many inputs; for a few of them W is read where it lies, and X alone is packed, in lines of
inputs, each of which meets PANEL_ROWS rows of W.
"""

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import add_rows, next_task, store_panel, task_counter
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.shares import block_size
from ntklin.kernels.cpu.sizes import LINE, PANEL_LINES, PANEL_ROWS

# With fewer inputs BLAS is the faster one, and with more neither is.
FEWEST, MOST = 4, 256
# Bytes of a copy that nobody has to count.
SMALL = 1 << 25
# Columns of W that are multiplied at a time: PANEL_ROWS rows of them fit a cache.
COLUMNS = 128
# Rows of W of a task; each is multiplied by itself, so that no bit depends on it.
TASK_ROWS = 6 * PANEL_ROWS


@parallel_kernel
def _pack(X, packed):
    """packed[t, k, q] ← X[t width + q, k], 0 beyond the last input."""
    width, columns = np.uint64(packed.shape[2]), np.uint64(packed.shape[1])
    for block in prange((packed.shape[1] + COLUMNS - 1) // COLUMNS):
        start = np.uint64(block) * np.uint64(COLUMNS)
        stop = min(start + np.uint64(COLUMNS), columns)
        for t in range(np.uint64(packed.shape[0])):
            for q in range(width):
                n = t * width + q
                if n < np.uint64(X.shape[0]):
                    for k in range(start, stop):
                        packed[t, k, q] = X[n, k]
                else:
                    for k in range(start, stop):
                        packed[t, k, q] = 0


def packed_inputs(X, W):
    """X as :func:`multiply` takes it with W; nothing where BLAS is to take it.

    Returns
    -------
    ndarray, shape (tiles, d, width), or (0, d, width)
    """
    width = PANEL_LINES * LINE // X.itemsize
    is_ours = FEWEST <= len(X) <= MOST and len(W) >= PANEL_ROWS and X.nbytes <= SMALL
    packed = aligned_empty((-(-len(X) // width) if is_ours else 0, X.shape[1], width), X.dtype)
    if is_ours:
        _pack(X, packed)
    return packed


def task_rows(packed, W):
    """How many rows of W a task takes, whole panels or what suits BLAS."""
    return TASK_ROWS if len(packed) else block_size(len(W))


def product_sums(packed, n_workers):
    """Where each thread's :func:`multiply` sums."""
    return aligned_empty((n_workers, len(packed), PANEL_ROWS, packed.shape[2]), packed.dtype)


@twin(plain.add_rows)
@kernel
def _add_rows(sums, t, W, i, packed, k, count, n_lines):
    """sums[t] += W[i : i + PANEL_ROWS, k : k + count] packed[t, k : k + count]."""
    target = t * sums.shape[1] * sums.shape[2] * sums.itemsize
    row = (i * W.shape[1] + k) * W.itemsize
    values = (t * packed.shape[1] + k) * packed.shape[2] * packed.itemsize
    step = W.shape[1] * W.itemsize
    add_rows((sums, target), (W, row), step, (packed, values), count, n_lines)


@kernel
def _sum_rows(sums, W, i, packed, n_inputs):
    """sums[t, r, q] ← ⟨row i + r of W, input t width + q⟩ for all tiles of the first inputs."""
    width = packed.shape[2]
    lanes = LINE // packed.itemsize
    n_tiles = (n_inputs + width - 1) // width
    sums[:n_tiles] = 0
    for k in range(0, W.shape[1], COLUMNS):
        count = min(COLUMNS, W.shape[1] - k)
        for t in range(n_tiles):
            n_lines = min(PANEL_LINES, (n_inputs - t * width + lanes - 1) // lanes)
            _add_rows(sums, t, W, i, packed, k, count, n_lines)


@twin(plain.store_rows)
@kernel
def _store(sums, w, n_inputs, a, i, start, stop):
    """a[n, i + r] ← w sums[t, r, q] for inputs n = t width + q and rows start ≤ i + r < stop."""
    width = sums.shape[2]
    first, last = max(0, start - i), min(PANEL_ROWS, stop - i)
    for t in range(sums.shape[0]):
        columns = min(width, n_inputs - t * width)
        done = 0
        if last - first == PANEL_ROWS:
            done = columns // PANEL_ROWS
            target = (t * width * a.shape[1] + i) * a.itemsize
            panel = t * PANEL_ROWS * width * sums.itemsize
            store_panel((a, target), a.shape[1] * a.itemsize, (sums, panel), done, w)
        for q in range(done * PANEL_ROWS, columns):
            for r in range(first, last):
                a[t * width + q, i + r] = w * sums[t, r, q]


@kernel
def multiply(w, X, packed, W, start, stop, a, sums):
    """a[:, start:stop] = w X W[start:stop]^T.

    Parameters
    ----------
    w : float
    X : ndarray, shape (N, d)
    packed : ndarray
        From :func:`packed_inputs`.
    W : ndarray, shape (m, d)
        C-contiguous.
    start, stop : int
    a : ndarray, shape (N, m)
    sums : ndarray
        The thread's own, from :func:`product_sums`.
    """
    if packed.shape[0] == 0:
        gemm(PLAIN, TRANSPOSED, w, X[:, :], W[start:stop, :], w * 0, a[:, start:stop])
        return
    for start_row in range(start, stop, PANEL_ROWS):
        # The last rows of all are not taken beyond the end of W, but some of them twice.
        i = min(start_row, W.shape[0] - PANEL_ROWS)
        _sum_rows(sums, W, i, packed, X.shape[0])
        _store(sums, w, X.shape[0], a, i, start_row, stop)


@parallel_kernel
def _lower_gram(K, x, packed, sums, counter):
    width = packed.shape[2]
    n_tasks = (x.shape[0] + PANEL_ROWS - 1) // PANEL_ROWS
    for worker in prange(sums.shape[0]):
        my_sums = sums[worker]
        task = next_task(counter)
        while task < n_tasks:
            # Those with most to do come first.
            start = (n_tasks - 1 - task) * PANEL_ROWS
            i = min(start, x.shape[0] - PANEL_ROWS)
            stop = i + PANEL_ROWS
            n_tiles = (stop + width - 1) // width
            _sum_rows(my_sums, x, i, packed, stop)
            for n in range(start, stop):
                for t in range(n_tiles):
                    for q in range(min(width, n + 1 - t * width)):
                        K[n, t * width + q] = my_sums[t, n - i, q]
            task = next_task(counter)


def lower_gram(x):
    """The lower triangle of x x^T, where x is of a shape for it; else None.

    Returns
    -------
    ndarray, shape (N, N), or None
        What is above the diagonal is not meant.
    """
    x = np.ascontiguousarray(x)
    packed = packed_inputs(x, x)
    if len(packed) == 0:
        return None
    K, sums = np.empty((len(x), len(x)), x.dtype), product_sums(packed, get_num_threads())
    _lower_gram(K, x, packed, sums, task_counter())
    return K
