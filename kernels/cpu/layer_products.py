"""Products w X W^T of inputs with rows of weights, as a forward pass takes them.

BLAS copies both factors into a layout of its own before it multiplies. The copy of W pays where it
meets many inputs; for a few of them W is read where it lies, and X alone is packed, in lines of
inputs, each of which meets PANEL_ROWS rows of W.
"""

import math
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import add_rows, next_task, store_panel, task_counter
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.shares import TASKS, block_size
from ntklin.kernels.cpu.sizes import LINE, PANEL_LINES, PANEL_ROWS

# With fewer inputs BLAS is the faster one, and with more neither is.
FEWEST, MOST = 4, 256
# Numbers below which rows are multiplied by each other as fast by anything.
LEAST = 1 << 10
# Bytes of a copy that nobody has to count.
SMALL = 1 << 25
# Columns that are multiplied at a time: those of all packed inputs stay in a second-level cache
# while the rows of a task pass.
COLUMNS = 384
# Rows of W of a task; each is multiplied by itself, so that no bit depends on it.
TASK_ROWS = 12 * PANEL_ROWS


@twin(plain.pack_panel)
@kernel
def _pack_panel(X, n, k, stop, packed, t, place, q):
    """packed[t, place + j, q + i] ← X[n + i, k + j] for PANEL_ROWS inputs and whole panels of j."""
    width = packed.shape[2]
    target = ((t * packed.shape[1] + place) * width + q) * packed.itemsize
    panel = (n * X.shape[1] + k) * X.itemsize
    steps = width * packed.itemsize, X.shape[1] * X.itemsize
    count, one = (stop - k) // PANEL_ROWS, packed.dtype.type(1)
    store_panel((packed, target), steps[0], (X, panel), steps[1], count, one)


@kernel
def _pack_columns(X, start, stop, packed, place):
    """packed[t, place + j, q] ← X[t width + q, start + j], 0 beyond the last input."""
    width = packed.shape[2]
    whole = stop - (stop - start) % PANEL_ROWS
    for t in range(packed.shape[0]):
        first = t * width
        n_inputs = min(width, X.shape[0] - first)
        for q in range(0, width, PANEL_ROWS):
            done = start
            if q + PANEL_ROWS <= n_inputs:
                _pack_panel(X, first + q, start, whole, packed, t, place, q)
                done = whole
            for k in range(done, stop):
                for i in range(q, min(q + PANEL_ROWS, width)):
                    packed[t, place + k - start, i] = X[first + i, k] if i < n_inputs else 0


@parallel_kernel
def _pack(block, X, packed):
    start = block * COLUMNS
    _pack_columns(X, start, min(start + COLUMNS, X.shape[1]), packed, start)


def _tile_width(itemsize):
    """How many inputs meet a row of W at a time."""
    return PANEL_LINES * LINE // itemsize


def _is_ours(X, W):
    """Whether :func:`multiply` takes X with W, and not BLAS."""
    return FEWEST <= len(X) <= MOST and len(W) >= PANEL_ROWS and X.nbytes <= SMALL


def packed_inputs(X, W):
    """X as :func:`multiply` takes it with W; nothing where BLAS is to take it.

    Returns
    -------
    ndarray, shape (tiles, d, width), or (0, d, width)
    """
    width = _tile_width(X.itemsize)
    n_tiles = -(-len(X) // width) if _is_ours(X, W) else 0
    packed = aligned_empty((n_tiles, X.shape[1], width), X.dtype)
    if n_tiles:
        _pack[-(-X.shape[1] // COLUMNS)](np.ascontiguousarray(X), packed)
    return packed


def blas_beside(packed):
    """The context in which a kernel calls :func:`multiply`: one thread for BLAS, if it is used."""
    return nullcontext() if len(packed) else sequential_blas


def task_rows(packed, W):
    """How many rows of W a task takes, whole panels or what suits BLAS."""
    return TASK_ROWS if len(packed) else block_size(len(W))


def product_sums(packed, n_workers):
    """Where each thread's :func:`multiply` sums."""
    n_panels = TASK_ROWS // PANEL_ROWS
    shape = n_workers, n_panels, len(packed), PANEL_ROWS, packed.shape[2]
    return aligned_empty(shape, packed.dtype)


class Work(NamedTuple):
    """Work space of threads that multiply.

    Attributes
    ----------
    sums : ndarray
        As :func:`product_sums` gives them.
    counter : ndarray of int, shape (1,)
    doubtful : ndarray of int, shape (threads,)
        How many rows of W may have an element that is not finite, of those that each has seen.
    """

    sums: np.ndarray
    counter: np.ndarray
    doubtful: np.ndarray


def product_work(packed):
    """Work space for all threads."""
    n_workers = get_num_threads()
    return Work(product_sums(packed, n_workers), task_counter(), np.zeros(n_workers, np.int64))


@twin(plain.add_rows)
@kernel
def _add_rows(sums, p, t, W, i, k, packed, place, count, n_halves):
    """sums[p, t] += W[i : i + PANEL_ROWS, k : k + count] packed[t, place : place + count]."""
    target = (p * sums.shape[1] + t) * sums.shape[2] * sums.shape[3] * sums.itemsize
    row = (i * W.shape[1] + k) * W.itemsize
    values = (t * packed.shape[1] + place) * packed.shape[2] * packed.itemsize
    step = W.shape[1] * W.itemsize
    add_rows((sums, target), (W, row), step, (packed, values), count, n_halves)


@kernel
def _add_columns(sums, p, W, i, k, packed, place, count, n_inputs):
    """The same for all tiles of the first inputs."""
    width = packed.shape[2]
    half = LINE // 2 // packed.itemsize
    for t in range((n_inputs + width - 1) // width):
        n_halves = min(2 * PANEL_LINES, (n_inputs - t * width + half - 1) // half)
        _add_rows(sums, p, t, W, i, k, packed, place, count, n_halves)


@twin(plain.store_rows)
@kernel
def _store(sums, p, w, n_inputs, a, i, start, stop):
    """a[n, i + r] ← w sums[p, t, r, q] for inputs n = t width + q, rows start ≤ i + r < stop."""
    width = sums.shape[3]
    first, last = max(0, start - i), min(PANEL_ROWS, stop - i)
    for t in range(sums.shape[1]):
        columns = min(width, n_inputs - t * width)
        done = 0
        if last - first == PANEL_ROWS:
            done = columns // PANEL_ROWS
            target = (t * width * a.shape[1] + i) * a.itemsize
            panel = (p * sums.shape[1] + t) * PANEL_ROWS * width * sums.itemsize
            steps = a.shape[1] * a.itemsize, width * sums.itemsize
            store_panel((a, target), steps[0], (sums, panel), steps[1], done, w)
        for q in range(done * PANEL_ROWS, columns):
            for r in range(first, last):
                a[t * width + q, i + r] = w * sums[p, t, r, q]


@twin(plain.are_finite)
@dot_kernel
def _are_finite(sums, p):
    """Whether the sums of a panel are."""
    zero = sums.dtype.type(0)
    total = zero
    for t in range(sums.shape[1]):
        for r in range(sums.shape[2]):
            for q in range(sums.shape[3]):
                total += zero * sums[p, t, r, q]
    return total == zero


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

    Returns
    -------
    int
        How many rows of W may have an element that is not finite: 0 if each has met an input, and
        all sums are finite.
    """
    if packed.shape[0] == 0:
        gemm(PLAIN, TRANSPOSED, w, X[:, :], W[start:stop, :], w * 0, a[:, start:stop])
        return stop - start
    doubtful, last = 0, W.shape[0] - PANEL_ROWS
    for first in range(start, stop, TASK_ROWS):
        end = min(first + TASK_ROWS, stop)
        sums[:] = 0
        for k in range(0, W.shape[1], COLUMNS):
            count = min(COLUMNS, W.shape[1] - k)
            for p, row in enumerate(range(first, end, PANEL_ROWS)):
                # The last rows of all are not taken beyond the end of W, but some of them twice.
                _add_columns(sums, p, W, min(row, last), k, packed, k, count, X.shape[0])
        for p, row in enumerate(range(first, end, PANEL_ROWS)):
            _store(sums, p, w, X.shape[0], a, min(row, last), row, end)
            doubtful += 0 if _are_finite(sums, p) else PANEL_ROWS
    return doubtful


@parallel_kernel
def _add_shares(worker, sums, x, packed, counter):
    """sums[s n + p, t] ← row i of panel p < n by the inputs of tile t, over share s of columns."""
    n_panels = (x.shape[0] + PANEL_ROWS - 1) // PANEL_ROWS
    n_shares, columns = sums.shape[0] // n_panels, packed.shape[2]
    n_blocks = (x.shape[1] + columns - 1) // columns
    mine = packed[worker]
    s = next_task(counter)
    while s < n_shares:
        for p in range(s * n_panels, (s + 1) * n_panels):
            sums[p] = 0
        for block in range(s * n_blocks // n_shares, (s + 1) * n_blocks // n_shares):
            k = block * columns
            count = min(columns, x.shape[1] - k)
            _pack_columns(x, k, k + count, mine, 0)
            for p in range(n_panels):
                i, place = min(p * PANEL_ROWS, x.shape[0] - PANEL_ROWS), s * n_panels + p
                _add_columns(sums, place, x, i, k, mine, 0, count, i + PANEL_ROWS)
        s = next_task(counter)


@parallel_kernel
def _add_up(p, K, sums):
    """K ← the sums of all shares, on and below the diagonal."""
    width = sums.shape[3]
    n_panels = (K.shape[0] + PANEL_ROWS - 1) // PANEL_ROWS
    start = p * PANEL_ROWS
    i = min(start, K.shape[0] - PANEL_ROWS)
    for n in range(start, i + PANEL_ROWS):
        for k in range(n + 1):
            t, q = k // width, k % width
            K[n, k] = sums[p, t, n - i, q]
            for place in range(p + n_panels, sums.shape[0], n_panels):
                K[n, k] += sums[place, t, n - i, q]


def _pays(n, columns, itemsize):
    """Whether :func:`lower_gram` takes so many rows and columns."""
    return PANEL_ROWS <= n <= MOST and LEAST <= n * columns <= SMALL // itemsize


def _work_shapes(n, columns, itemsize, n_workers):
    """Those of the sums of all shares, and of the columns that each thread packs."""
    width = _tile_width(itemsize)
    n_tiles, n_panels = -(-n // width), -(-n // PANEL_ROWS)
    n_blocks = -(-columns // COLUMNS)
    n_shares = min(TASKS, n_blocks)
    # As many blocks for each share, of whole panels, so that threads end together.
    length = -(-columns // (n_shares * -(-n_blocks // n_shares)))
    length = min(columns, -(-length // PANEL_ROWS) * PANEL_ROWS)
    return (n_shares * n_panels, n_tiles, PANEL_ROWS, width), (n_workers, n_tiles, length, width)


def work_size(n, columns, itemsize):
    """How many numbers :func:`lower_gram` takes beside its result.

    Parameters
    ----------
    n, columns : int
        The shape of x.
    itemsize : int

    Returns
    -------
    int
    """
    if not _pays(n, columns, itemsize):
        return 0
    return sum(map(math.prod, _work_shapes(n, columns, itemsize, get_num_threads())))


def lower_gram(x):
    """The lower triangle of x x^T, where x is of a shape for it; else None.

    Blocks of columns are packed where they are needed, and stay in a cache until they are.

    Returns
    -------
    ndarray, shape (N, N), or None
        What is above the diagonal is not meant.
    """
    if not _pays(*x.shape, x.itemsize):
        return None
    x = np.ascontiguousarray(x)
    shapes = _work_shapes(*x.shape, x.itemsize, get_num_threads())
    sums, packed = (aligned_empty(shape, x.dtype) for shape in shapes)
    _add_shares[len(packed)](sums, x, packed, task_counter())
    K = np.empty((len(x), len(x)), x.dtype)
    _add_up[-(-len(K) // PANEL_ROWS)](K, sums)
    return K
