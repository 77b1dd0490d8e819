"""K_D = J D J^T for a diagonal D, from active sets, live columns and 4×4 register tiles.

K_D(x, x') = Σ_l Σ_i δ^l_i δ'^l_i ( w_l² Σ_j D^{W,l}_ij a_j a'_j + v_l² D^{b,l}_i )

Neuron i of layer l contributes only to pairs of inputs that are both active (δ^l_i ≠ 0), about a
quarter of all pairs, and only the columns j in which some input has a_j ≠ 0 count. Sparse inputs
come first, and columns in the order of their use, so that pairs with a sparse input stop early.
J is never built: beside the layers' activations, each thread holds an (N, N') accumulator and four
rows.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.aligned import aligned_empty, padded
from ntklin.kernels.cpu.blas import product, slice_count
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors
from ntklin.kernels.cpu.ordering import sparsest_first, staircase

# Layers narrower than this have too few neurons to share out; BLAS does them (the last one always).
NARROW = 8
# Bytes of a row that a tile runs over: four scaled rows and four others fit a first-level cache.
PANEL_BYTES = 3136


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


class ActiveRows(NamedTuple):
    """The inputs on which a neuron is active, padded to a multiple of four.

    Attributes
    ----------
    rows : ndarray of uint64
    factors : ndarray
        Their δ, zero on the padding.
    ends : ndarray of int
        How many columns each four of them need.
    """

    rows: np.ndarray
    factors: np.ndarray
    ends: np.ndarray


@dot_kernel(forceinline=True)
def _add_tile(K, left, right, stop, own: ActiveRows, p, other: ActiveRows, q, bias):
    """K[n, n'] += δ_n δ'_n' (Σ_{k<stop} left_nk right_n'k + bias) for four rows n and four n'.

    They are the active ones from ``p`` and from ``q`` on.
    """
    wide_vectors()
    rows, factors, _ = own
    other_rows, other_factors, _ = other
    n0, n1, n2, n3 = other_rows[q], other_rows[q + 1], other_rows[q + 2], other_rows[q + 3]
    c00 = c01 = c02 = c03 = bias
    c10 = c11 = c12 = c13 = bias
    c20 = c21 = c22 = c23 = bias
    c30 = c31 = c32 = c33 = bias
    for k in range(stop):
        a0 = left[0, k]
        a1 = left[1, k]
        a2 = left[2, k]
        a3 = left[3, k]
        b0 = right[n0, k]
        b1 = right[n1, k]
        b2 = right[n2, k]
        b3 = right[n3, k]
        c00 += a0 * b0
        c01 += a0 * b1
        c02 += a0 * b2
        c03 += a0 * b3
        c10 += a1 * b0
        c11 += a1 * b1
        c12 += a1 * b2
        c13 += a1 * b3
        c20 += a2 * b0
        c21 += a2 * b1
        c22 += a2 * b2
        c23 += a2 * b3
        c30 += a3 * b0
        c31 += a3 * b1
        c32 += a3 * b2
        c33 += a3 * b3
    f0, f1, f2, f3 = (
        other_factors[q],
        other_factors[q + 1],
        other_factors[q + 2],
        other_factors[q + 3],
    )
    m, d = rows[p], factors[p]
    K[m, n0] += d * f0 * c00
    K[m, n1] += d * f1 * c01
    K[m, n2] += d * f2 * c02
    K[m, n3] += d * f3 * c03
    m, d = rows[p + 1], factors[p + 1]
    K[m, n0] += d * f0 * c10
    K[m, n1] += d * f1 * c11
    K[m, n2] += d * f2 * c12
    K[m, n3] += d * f3 * c13
    m, d = rows[p + 2], factors[p + 2]
    K[m, n0] += d * f0 * c20
    K[m, n1] += d * f1 * c21
    K[m, n2] += d * f2 * c22
    K[m, n3] += d * f3 * c23
    m, d = rows[p + 3], factors[p + 3]
    K[m, n0] += d * f0 * c30
    K[m, n1] += d * f1 * c31
    K[m, n2] += d * f2 * c32
    K[m, n3] += d * f3 * c33


@kernel
def _room(n, like):
    """``ActiveRows`` for up to n inputs, not set."""
    rows, factors = np.empty(n + 4, np.uint64), np.empty(n + 4, like.dtype)
    return ActiveRows(rows, factors, np.empty(n // 4 + 1, np.int64))


@kernel
def _find_active(side: Side, i, active: ActiveRows):
    """Set ``active`` for neuron i; how many inputs there are."""
    rows, factors, ends = active
    stops, delta = side.stops, side.delta
    count = np.uint64(0)
    for n in range(delta.shape[1]):
        rows[count] = n
        factors[count] = delta[i, n]
        count += np.uint64(delta[i, n] != 0)
    for k in range(count, (count + np.uint64(3)) // np.uint64(4) * np.uint64(4)):
        rows[k] = 0
        factors[k] = 0
    for p in range(0, np.int64(count), 4):
        ends[p // 4] = max(
            max(stops[rows[p]], stops[rows[p + 1]]), max(stops[rows[p + 2]], stops[rows[p + 3]])
        )
    return np.int64(count)


@kernel
def _scaled_rows(left, a, stop, rows, p):
    """Four active rows times D_i, the left operand of the tiles."""
    wide_vectors()
    n0, n1, n2, n3 = rows[p], rows[p + 1], rows[p + 2], rows[p + 3]
    for k in range(stop):
        d = left[4, k]
        left[0, k] = d * a[n0, k]
        left[1, k] = d * a[n1, k]
        left[2, k] = d * a[n2, k]
        left[3, k] = d * a[n3, k]


@parallel_kernel
def _panel(K, own: Side, other: Side, D, columns, bias, symmetric, left):
    """Add a panel of columns of one layer to the accumulators.

    Parameters
    ----------
    K : ndarray, shape (tasks, N, N')
        One accumulator a task; when symmetric, only tiles on and below the diagonal of the active
        sets are added.
    own, other : Side
    D : ndarray, shape (m, m')
    columns : ndarray
        Indices of the panel's columns into the second axis of D.
    bias : ndarray, shape (m,)
        Added to each neuron's product.
    symmetric : bool
    left : ndarray, shape (tasks, 5, padded columns)
        Work space: four scaled rows, and D_i.
    """
    n_tasks, a, other_a = K.shape[0], own.a, other.a
    n_neurons, n, n_other = own.delta.shape[0], own.delta.shape[1], other.delta.shape[1]
    for task in prange(n_tasks):
        wide_vectors()
        active, other_active = _room(n, a), _room(n_other, a)
        rows, ends, other_ends = active.rows, active.ends, other_active.ends
        accumulator = K[task]
        work = left[task]
        work[4] = 0
        for i in range(task, n_neurons, n_tasks):
            count = _find_active(own, i, active)
            for k in range(columns.shape[0]):
                work[4, k] = D[i, columns[k]]
            if symmetric:
                for p in range(0, count, 4):
                    stop = ends[p // 4]
                    _scaled_rows(work, a, stop, rows, p)
                    for q in range(0, p + 4, 4):
                        end = min(stop, ends[q // 4])
                        _add_tile(accumulator, work, a, end, active, p, active, q, bias[i])
                continue
            other_count = _find_active(other, i, other_active)
            for p in range(0, count, 4):
                stop = ends[p // 4]
                _scaled_rows(work, a, stop, rows, p)
                for q in range(0, other_count, 4):
                    end = min(stop, other_ends[q // 4])
                    _add_tile(accumulator, work, other_a, end, active, p, other_active, q, bias[i])


@kernel
def _mirror_lower(K):
    for n in range(K.shape[0]):
        for k in range(n):
            K[k, n] = K[n, k]


def _panels(columns, stops, itemsize):
    """Cut the columns into panels: for each its columns and every row's stop in whole lines."""
    n_panels = max(1, round(len(columns) * itemsize / PANEL_BYTES))
    start = 0
    for panel in np.array_split(columns, n_panels):
        inside = [np.clip(s - start, 0, len(panel)) for s in stops]
        start += len(panel)
        yield panel, [-(-s // 16) * 16 for s in inside]


def weighted_gram_copies(shape, itemsize):
    """How many (N, N') arrays :func:`weighted_gram` holds at its peak: one a thread, and others.

    Parameters
    ----------
    shape : (N, N')
    itemsize : int
        Does not matter here.

    Returns
    -------
    int
    """
    return get_num_threads() + 2 + slice_count(*shape, symmetric=False)


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
    symmetric = other is None
    other_activations, other_deltas = passes[:2] if symmetric else other[:2]
    order = sparsest_first(activations[0])
    other_order = order if symmetric else sparsest_first(other_activations[0])
    dtype = activations[0].dtype
    shape = (len(order), len(other_order))
    n_threads = get_num_threads()
    K = np.zeros((n_threads, *shape), dtype)
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
        for panel, ends in _panels(columns, stops, dtype.itemsize):
            own = Side(padded(a, columns=panel), ends[0], scaled)
            others = own
            if not symmetric:
                others = Side(padded(other_a, columns=panel), ends[1], other_scaled)
            left = aligned_empty((n_threads, 5, own.a.shape[1]), dtype)
            _panel(K, own, others, D, panel, bias, symmetric, left)
            bias = np.zeros_like(bias)
    total = K.sum(axis=0)
    total += dense
    if symmetric:
        # Tiles fill pairs (n, k) with n ≥ k, and a few above the diagonal that are mirrored over.
        _mirror_lower(total)
    result = np.empty_like(total)
    result[np.ix_(order, other_order)] = total
    return result
