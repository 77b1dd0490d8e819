"""K_D = J D J^T for a diagonal D, from active sets, live columns and 4×4 register tiles.

K_D(x, x') = Σ_l Σ_i δ^l_i δ'^l_i ( w_l² Σ_j D^{W,l}_ij a_j a'_j + v_l² D^{b,l}_i )

Neuron i of layer l contributes only to pairs of inputs that are both active (δ^l_i ≠ 0), about a
quarter of all pairs, and only the columns j in which some input has a_j ≠ 0 count. J is never
built: beside the layers' activations, each thread holds an (N, N') accumulator and four rows.
"""

import numpy as np
from ntklin.kernels.cpu.compiler import (
    aligned_empty,
    dot_kernel,
    kernel,
    padded_rows,
    parallel_kernel,
    wide_vectors,
)
from numba import get_num_threads, prange

# Layers narrower than this have too few neurons to share out; BLAS does them (the last one always).
NARROW = 8
# Columns a tile runs over: four scaled rows of this length stay in a 32 kB first-level cache.
PANEL_BYTES = 6272


@dot_kernel
def _tile(left, right, n0, n1, n2, n3, start, stop, out):
    """out = left[:, start:stop] · right[[n0, n1, n2, n3], start:stop]^T, sixteen dot products."""
    wide_vectors()
    x0 = left[0, : stop - start]
    x1 = left[1, : stop - start]
    x2 = left[2, : stop - start]
    x3 = left[3, : stop - start]
    y0 = right[n0, start:stop]
    y1 = right[n1, start:stop]
    y2 = right[n2, start:stop]
    y3 = right[n3, start:stop]
    c00 = c01 = c02 = c03 = left.dtype.type(0)
    c10 = c11 = c12 = c13 = left.dtype.type(0)
    c20 = c21 = c22 = c23 = left.dtype.type(0)
    c30 = c31 = c32 = c33 = left.dtype.type(0)
    for k in range(stop - start):
        a0 = x0[k]
        a1 = x1[k]
        a2 = x2[k]
        a3 = x3[k]
        b0 = y0[k]
        b1 = y1[k]
        b2 = y2[k]
        b3 = y3[k]
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
    out[0] = c00
    out[1] = c01
    out[2] = c02
    out[3] = c03
    out[4] = c10
    out[5] = c11
    out[6] = c12
    out[7] = c13
    out[8] = c20
    out[9] = c21
    out[10] = c22
    out[11] = c23
    out[12] = c30
    out[13] = c31
    out[14] = c32
    out[15] = c33


@kernel
def _active(delta_row, rows):
    """Write the inputs with δ ≠ 0 to ``rows``, padded with its last to a multiple of four."""
    count = 0
    for n in range(delta_row.shape[0]):
        if delta_row[n] != 0:
            rows[count] = n
            count += 1
    for k in range(count, (count + 3) // 4 * 4):
        rows[k] = rows[count - 1]
    return count


@kernel
def _scaled_rows(left, a, rows, p, d, start, stop):
    """Four active rows times D_i, the left operand of the tiles."""
    for q in range(4):
        row = a[rows[p + q]]
        for k in range(start, stop):
            left[q, k - start] = row[k] * d[k - start]


@kernel
def _live_weights(d, D, columns, start, stop):
    """D_i on the live columns start … stop, zero on the padding."""
    for k in range(start, stop):
        d[k - start] = D[columns[k]] if k < columns.shape[0] else 0


@kernel
def _add_tile(K, tile, delta, other_delta, rows, p, count, other_rows, q, other_count, bias):
    for s in range(min(4, count - p)):
        n = rows[p + s]
        d = delta[n]
        for t in range(min(4, other_count - q)):
            k = other_rows[q + t]
            K[n, k] += d * other_delta[k] * (tile[4 * s + t] + bias)


@parallel_kernel
def _layer(K, a, delta, other_a, other_delta, D, columns, bias, symmetric, left):
    """Add one layer; ``delta`` and ``other_delta`` are (m_l, N) and (m_l, N'), D (m_l, m_{l-1}).

    ``a`` and ``other_a`` hold the live ``columns`` only. ``K`` (tasks, N, N') holds one accumulator
    a task and ``left`` (tasks, 5, panel) its scaled rows and weights; when symmetric, only tiles on
    and below the diagonal of the active sets are computed.
    """
    n_neurons = D.shape[0]
    n_columns = a.shape[1]
    n_tasks, _, panel = left.shape
    for task in prange(n_tasks):
        rows = np.empty(delta.shape[1] + 3, np.int64)
        other_rows = np.empty(other_delta.shape[1] + 3, np.int64)
        tile = np.empty(16, a.dtype)
        for start in range(0, n_columns, panel):
            stop = min(start + panel, n_columns)
            for i in range(task, n_neurons, n_tasks):
                count = _active(delta[i], rows)
                other_count = count
                if symmetric:
                    other_rows[:] = rows
                else:
                    other_count = _active(other_delta[i], other_rows)
                extra = bias[i] if start == 0 else bias[i] * 0
                d = left[task, 4]
                _live_weights(d, D[i], columns, start, stop)
                for p in range(0, count, 4):
                    _scaled_rows(left[task], a, rows, p, d, start, stop)
                    for q in range(0, p + 4 if symmetric else other_count, 4):
                        _tile(
                            left[task],
                            other_a,
                            other_rows[q],
                            other_rows[q + 1],
                            other_rows[q + 2],
                            other_rows[q + 3],
                            start,
                            stop,
                            tile,
                        )
                        _add_tile(
                            K[task],
                            tile,
                            delta[i],
                            other_delta[i],
                            rows,
                            p,
                            count,
                            other_rows,
                            q,
                            other_count,
                            extra,
                        )


@kernel
def _mirror_lower(K):
    for n in range(K.shape[0]):
        for k in range(n):
            K[k, n] = K[n, k]


def _live_columns(*activations):
    """The columns in which some input is not zero."""
    live = np.zeros(activations[0].shape[1], bool)
    for a in activations:
        live |= (a != 0).any(axis=0)
    return np.flatnonzero(live)


def weighted_gram(activations, deltas, w, v, weights, other_activations=None, other_deltas=None):
    """K_D(X, X') for a diagonal D ≥ 0; see the module for the formula.

    Parameters
    ----------
    weights : sequence of (D^{W,l}, D^{b,l} or None)
        The diagonal's views in the layout of θ.

    Returns
    -------
    ndarray, shape (N, N')
    """
    symmetric = other_activations is None
    if symmetric:
        other_activations, other_deltas = activations, deltas
    dtype = activations[0].dtype
    shape = (len(activations[0]), len(other_activations[0]))
    n_threads = get_num_threads()
    K = np.zeros((n_threads, *shape), dtype)
    dense = np.zeros(shape, dtype)
    for l, (D, D_bias) in enumerate(weights):
        a, delta = activations[l], deltas[l]
        other_a, other_delta = other_activations[l], other_deltas[l]
        if len(D) < NARROW:
            for i in range(len(D)):
                left = (a * (w[l] ** 2 * D[i]).astype(dtype)) * delta[:, i, None]
                dense += left @ (other_a * other_delta[:, i, None]).T
                if D_bias is not None:
                    scale = dtype.type(v[l] ** 2 * D_bias[i])
                    dense += scale * np.outer(delta[:, i], other_delta[:, i])
            continue
        columns = _live_columns(a, other_a)
        padded = padded_rows(a, columns)
        padded_other = padded if symmetric else padded_rows(other_a, columns)
        panel = min(padded.shape[1], PANEL_BYTES // dtype.itemsize // 16 * 16)
        bias = np.zeros(len(D), dtype)
        if D_bias is not None:
            bias += (v[l] / w[l]) ** 2 * D_bias
        left = aligned_empty((n_threads, 5, panel), dtype)
        # w_l² goes into the backward signals: w_l δ^l of both inputs.
        scaled = np.ascontiguousarray(delta.T * dtype.type(w[l]))
        other_scaled = scaled
        if not symmetric:
            other_scaled = np.ascontiguousarray(other_delta.T * dtype.type(w[l]))
        _layer(K, padded, scaled, padded_other, other_scaled, D, columns, bias, symmetric, left)
    total = K.sum(axis=0)
    if symmetric:
        # Tiles fill pairs (n, k) with n ≥ k, and a few above the diagonal that are mirrored over.
        _mirror_lower(total)
    total += dense
    return total
