"""K_D = J D J^T for a diagonal D, from active sets, live columns and 4×4 register tiles.

K_D(x, x') = Σ_l Σ_i δ^l_i δ'^l_i ( w_l² Σ_j D^{W,l}_ij a_j a'_j + v_l² D^{b,l}_i )

Neuron i of layer l contributes only to pairs of inputs that are both active (δ^l_i ≠ 0), about a
quarter of all pairs, and only the columns j in which some input has a_j ≠ 0 count. Sparse inputs
come first, and columns in the order of their use, so that pairs with a sparse input stop early.
J is never built: beside the layers' activations there is an (N, N') accumulator, or several of a
small K, and each thread holds four rows.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import weighted_outputs
from ntklin.kernels.cpu.aligned import aligned_empty, padded
from ntklin.kernels.cpu.blas import SLICE, mirror_lower, product, slice_count
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.ordering import sparsest_first, staircase
from ntklin.kernels.cpu.shares import TASKS
from ntklin.kernels.cpu.weighted_tiles import (
    ActiveRows,
    Diagonal,
    add_tile,
    panels,
    room,
    scaled_rows,
)

# Layers narrower than this have too few neurons to share out; BLAS does them (the last one always).
NARROW = 8
# Rows of K of a task: enough of them that to list a neuron's active inputs is little beside.
BAND = 128


class Side(NamedTuple):
    """One side of K_D on a panel of columns of one layer.

    Attributes
    ----------
    a : ndarray, shape (N, padded columns)
        The panel's columns of the activations, rows aligned, padding zero.
    stops : ndarray, shape (N,)
        How many of the panel's columns each row needs.
    delta : ndarray, shape (m, N)
        w_l δ^l.
    """

    a: np.ndarray
    stops: np.ndarray
    delta: np.ndarray


@kernel
def _find_active(side: Side, i, start, stop, active: ActiveRows):
    """Set ``active`` for neuron i, from the inputs ``start`` to ``stop``; how many there are."""
    rows, factors, ends = active
    stops, delta = side.stops, side.delta
    count = np.uint64(0)
    for n in range(np.uint64(start), np.uint64(stop)):
        rows[count] = n
        factors[count] = delta[i, n]
        count += np.uint64(delta[i, n] != 0)
    for k in range(count, (count + np.uint64(3)) // np.uint64(4) * np.uint64(4)):
        rows[k] = start  # a row of the same task, to which 0 is added
        factors[k] = 0
    for p in range(0, np.int64(count), 4):
        ends[p // 4] = max(
            max(stops[rows[p]], stops[rows[p + 1]]), max(stops[rows[p + 2]], stops[rows[p + 3]])
        )
    return np.int64(count)


@parallel_kernel
def _panel(
    worker,
    K,
    own: Side,
    other: Side,
    diagonal: Diagonal,
    symmetric,
    height,
    left,
    counter,
):
    """Add a panel of columns of one layer to the accumulators.

    A task is a band of rows of one accumulator. It takes its share of the neurons in their order,
    so that no sum depends on who takes the task.

    Parameters
    ----------
    K : ndarray, shape (shares, N, N')
        One accumulator for each share of the neurons; when symmetric, only tiles on and below the
        diagonal of the active sets are added.
    own, other : Side
    diagonal : Diagonal
    symmetric : bool
    height : int
        Rows of a band.
    left : ndarray, shape (threads, 5, padded columns)
        Work space: four scaled rows, and D_i.
    counter : ndarray of int, shape (1,)
    """
    D, columns, bias = diagonal
    n_shares, a, other_a = K.shape[0], own.a, other.a
    n_neurons, n, n_other = own.delta.shape[0], own.delta.shape[1], other.delta.shape[1]
    n_bands = (n + height - 1) // height
    wide_vectors()
    active, other_active = room(height, a), room(n_other, a)
    rows, ends, other_ends = active.rows, active.ends, other_active.ends
    work = left[worker]
    work[4] = 0
    task = next_task(counter)
    while task < n_bands * n_shares:
        # The last rows come first: they are the longest ones of a triangle.
        start = (n_bands - 1 - task // n_shares) * height
        stop = min(start + height, n)
        width = stop if symmetric else n_other
        accumulator = K[task % n_shares]
        for i in range(task % n_shares, n_neurons, n_shares):
            count = _find_active(own, i, start, stop, active)
            other_count = _find_active(other, i, np.int64(0), width, other_active)
            for k in range(columns.shape[0] if count > 0 else 0):
                work[4, k] = D[i, columns[k]]
            for p in range(0, count, 4):
                row_stop = ends[p // 4]
                scaled_rows(work, a, row_stop, rows, p)
                last = other_count
                if symmetric:  # up to the diagonal, which is in the band
                    last = min(last, other_count - count + p + 4)
                for q in range(0, last, 4):
                    end = min(row_stop, other_ends[q // 4])
                    add_tile(accumulator, work, other_a, end, active, p, other_active, q, bias[i])
        task = next_task(counter)


def _cut(n_rows):
    """The height of bands of so many rows, and into how many shares neurons are dealt out."""
    n_bands = -(-n_rows // BAND)
    return -(-n_rows // n_bands), -(-2 * TASKS // n_bands)  # bands of a triangle are unequal


def weighted_gram_copies(shape, itemsize):
    """How many (N, N') arrays :func:`weighted_gram` holds at its peak: accumulators, and others.

    Parameters
    ----------
    shape : (N, N')
    itemsize : int
        Does not matter here.

    Returns
    -------
    int
    """
    return _cut(max(shape))[1] + 2 + slice_count(*shape, False, TASKS * SLICE)


def weighted_gram(passes, diagonal, other=None):
    """K_D(X, X') for a diagonal D ≥ 0; see the module for the formula.

    Parameters
    ----------
    passes : Passes
    diagonal : sequence of (D^{W,l}, D^{b,l} or None)
        Its views in the layout of θ.
    other : Passes, optional
        Of X' through the same layers.

    Returns
    -------
    ndarray, shape (N, N')
    """
    activations, deltas, w, v = passes
    if deltas[len(activations) - 1].shape[1] > 1:
        return weighted_outputs.weighted_gram(passes, diagonal, other)
    symmetric = other is None
    if not symmetric and len(other.activations[0]) > len(activations[0]):
        # Bands are of rows: the more of these, the fewer accumulators.
        return np.ascontiguousarray(weighted_gram(other, diagonal, passes).T)
    other_activations, other_deltas = passes[:2] if symmetric else other[:2]
    order = sparsest_first(activations[0])
    other_order = order if symmetric else sparsest_first(other_activations[0])
    dtype = activations[0].dtype
    shape = (len(order), len(other_order))
    height, n_shares = _cut(len(order))
    K = np.zeros((n_shares, *shape), dtype)
    dense = np.zeros(shape, dtype)
    for l, (D, D_bias) in enumerate(diagonal):
        a, delta = activations[l][order], deltas[l][order]
        other_a, other_delta = a, delta
        if not symmetric:
            other_a, other_delta = other_activations[l][other_order], other_deltas[l][other_order]
        if len(D) < NARROW:
            for i in range(len(D)):
                left = (a * (w[l] ** 2 * D[i]).astype(dtype)) * delta[:, i, None]
                dense += product(left, other_a * other_delta[:, i, None])
                if D_bias is not None:
                    scale = dtype.type(v[l] ** 2 * D_bias[i])
                    dense += scale * np.outer(delta[:, i], other_delta[:, i])
            continue
        bias = np.zeros(len(D), dtype)
        if D_bias is not None:
            bias += (v[l] / w[l]) ** 2 * D_bias
        # w_l² goes into the backward signals: w_l δ^l of both inputs.
        scaled = np.ascontiguousarray(delta.T * dtype.type(w[l]))
        other_scaled = scaled
        if not symmetric:
            other_scaled = np.ascontiguousarray(other_delta.T * dtype.type(w[l]))
        columns, stops = staircase(a) if symmetric else staircase(a, other_a)
        for panel, ends in panels(columns, stops, dtype.itemsize):
            own = Side(padded(a, columns=panel), ends[0], scaled)
            others = own
            if not symmetric:
                others = Side(padded(other_a, columns=panel), ends[1], other_scaled)
            left = aligned_empty((get_num_threads(), 5, own.a.shape[1]), dtype)
            part = Diagonal(D, panel, bias)
            _panel[len(left)](K, own, others, part, symmetric, height, left, task_counter())
            bias = np.zeros_like(bias)
    total = K[0] if n_shares == 1 else K.sum(axis=0)
    total += dense
    if symmetric:
        # Tiles fill pairs (n, k) with n ≥ k, and a few above the diagonal that are mirrored over.
        mirror_lower[len(total)](total)
    result = np.empty_like(total)
    result[np.ix_(order, other_order)] = total
    return result
