"""K_D = J D J^T for a diagonal D and several outputs, by tiles of pairs of inputs.

    K_D[(n, c), (n', c')] = Σ_l Σ_i δ^{l,c}_ni δ^{l,c'}_n'i T_i(n, n')
    T_i(n, n') = w_l² Σ_j D^{W,l}_ij a_nj a_n'j + v_l² D^{b,l}_i

T does not depend on the outputs, and is found for the pairs that both activate neuron i, as in
``weighted``; for a block of neurons it is kept, and BLAS takes the outputs from it.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.blas import gemm, mirror_lower, product, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter
from ntklin.kernels.cpu.ordering import sparsest_first, staircase
from ntklin.kernels.cpu.weighted_tiles import ActiveRows, add_tile, panels, room, scaled_rows

# Inputs along each side of a tile, and neurons of a block: their T fits a second-level cache.
TILE = 32
BLOCK = 64


class OutputsSide(NamedTuple):
    """One side of K_D in one layer.

    Attributes
    ----------
    a : ndarray, shape (panels, N, padded columns)
        The activations by panels of columns, padding zero.
    stops : ndarray, shape (panels, N)
        How many of a panel's columns each row needs.
    delta : ndarray, shape (m, N, C)
        w_l δ^{l,c}.
    """

    a: np.ndarray
    stops: np.ndarray
    delta: np.ndarray


@kernel
def _is_active(delta, i, n):
    """Whether input n moves any output through neuron i."""
    count = 0
    for c in range(delta.shape[2]):
        count += delta[i, n, c] != 0
    return count > 0


@kernel
def _find_active(delta, i, start, stop, stops, active: ActiveRows):
    """The inputs from ``start`` to ``stop`` that activate neuron i, counted from ``start``."""
    rows, factors, ends = active
    count = 0
    for n in range(start, stop):
        if _is_active(delta, i, n):
            rows[count] = n - start
            factors[count] = 1
            count += 1
    for k in range(count, (count + 3) // 4 * 4):
        rows[k] = 0
        factors[k] = 0
    for p in range(0, count, 4):
        end = 0
        for k in range(p, p + 4):
            end = max(end, stops[start + np.int64(rows[k])])
        ends[p // 4] = end
    return count


@kernel
def _add_outputs(K, T, own_delta, other_delta, first, corner, sizes, work, chosen):
    """K's rows and columns of a tile += Σ_i δ_i δ'_i T_i, for the neurons of a block."""
    n_block, n_outputs = T.shape[0], own_delta.shape[2]
    row, column = corner
    one = T.dtype.type(1)
    width = sizes[1] * n_outputs
    for n in range(sizes[0]):
        count = 0
        for b in range(n_block):
            i = first + b
            if i < own_delta.shape[0] and _is_active(own_delta, i, row + n):
                for c in range(n_outputs):
                    chosen[count, c] = own_delta[i, row + n, c]
                for k in range(sizes[1]):
                    t = T[b, n, k]
                    for c in range(n_outputs):
                        work[count, k * n_outputs + c] = t * other_delta[i, column + k, c]
                count += 1
        if count:
            place = (row + n) * n_outputs
            target = K[place : place + n_outputs, column * n_outputs : column * n_outputs + width]
            gemm(True, False, one, chosen[:count], work[:count, :width], one, target)


@parallel_kernel
def _layer(K, own: OutputsSide, other: OutputsSide, D, columns, bias, corners, counter, left):
    """Add a layer to K on the tiles that start at ``corners``.

    Parameters
    ----------
    K : ndarray, shape (N C, N' C)
    own, other : OutputsSide
    D : ndarray, shape (m, m')
    columns : ndarray, shape (panels, at most padded columns)
        Indices into the second axis of D, −1 beyond the end.
    bias : ndarray, shape (m,)
    corners : ndarray, shape (tiles, 2)
    left : ndarray, shape (threads, 5, padded columns)
        Work space: four scaled rows, and D_i.
    """
    n_neurons, n_outputs = own.delta.shape[0], own.delta.shape[2]
    for worker in prange(left.shape[0]):
        own_active, other_active = room(TILE, K), room(TILE, K)
        T = np.empty((BLOCK, TILE, TILE), K.dtype)
        work = np.empty((BLOCK, TILE * n_outputs), K.dtype)
        chosen = np.empty((BLOCK, n_outputs), K.dtype)
        my_left = left[worker]
        task = next_task(counter)
        while task < corners.shape[0]:
            row, column = corners[task, 0], corners[task, 1]
            stop = min(row + TILE, own.delta.shape[1])
            other_stop = min(column + TILE, other.delta.shape[1])
            for first in range(0, n_neurons, BLOCK):
                T[:] = 0
                for panel in range(own.a.shape[0]):
                    a, other_a = own.a[panel, row:stop], other.a[panel, column:other_stop]
                    for b in range(min(BLOCK, n_neurons - first)):
                        i = first + b
                        count = _find_active(own.delta, i, row, stop, own.stops[panel], own_active)
                        other_count = _find_active(
                            other.delta, i, column, other_stop, other.stops[panel], other_active
                        )
                        my_left[4] = 0
                        for k in range(columns.shape[1]):
                            if columns[panel, k] >= 0:
                                my_left[4, k] = D[i, columns[panel, k]]
                        shift = bias[i] if panel == 0 else bias[i] * 0
                        for p in range(0, count, 4):
                            end = own_active.ends[p // 4]
                            scaled_rows(my_left, a, end, own_active.rows, p)
                            for q in range(0, other_count, 4):
                                end_here = min(end, other_active.ends[q // 4])
                                add_tile(
                                    T[b],
                                    my_left,
                                    other_a,
                                    end_here,
                                    own_active,
                                    p,
                                    other_active,
                                    q,
                                    shift,
                                )
                corner, sizes = (row, column), (stop - row, other_stop - column)
                _add_outputs(K, T, own.delta, other.delta, first, corner, sizes, work, chosen)
            task = next_task(counter)


def _side(a, delta, w, groups, stops):
    """One side by panels of columns; ``delta`` is (N, C, m)."""
    width = -(-max(map(len, groups)) // 16) * 16
    by_panels = aligned_empty((len(groups), len(a), width), a.dtype)
    by_panels[:] = 0
    for panel, columns in zip(by_panels, groups, strict=True):
        panel[:, : len(columns)] = a[:, columns]
    signals = np.ascontiguousarray(delta.transpose(2, 0, 1))
    signals *= a.dtype.type(w)
    return OutputsSide(by_panels, np.stack(stops), signals)


def weighted_gram(passes, diagonal, other=None):
    """K_D(X, X') for a diagonal D ≥ 0 and C outputs; see the module for the formula.

    Parameters
    ----------
    passes : Passes
    diagonal : sequence of (D^{W,l}, D^{b,l} or None)
    other : Passes, optional

    Returns
    -------
    ndarray, shape (N C, N' C)
    """
    activations, deltas, w, v = passes
    symmetric = other is None
    other_activations, other_deltas = passes[:2] if symmetric else other[:2]
    n_outputs = deltas[len(activations) - 1].shape[1]
    order = sparsest_first(activations[0])
    other_order = order if symmetric else sparsest_first(other_activations[0])
    n, n_other = len(order), len(other_order)
    K = _of_last_layer(passes, diagonal[-1], other, order, other_order)
    corners = np.array(
        [(i, j) for i in range(0, n, TILE) for j in range(0, i + 1 if symmetric else n_other, TILE)]
    )
    with sequential_blas:
        for l, (D, D_bias) in enumerate(diagonal[:-1]):
            a = activations[l][order]
            other_a = a if symmetric else other_activations[l][other_order]
            columns, stops = staircase(a) if symmetric else staircase(a, other_a)
            groups, ends = zip(*panels(columns, stops, K.itemsize), strict=True)
            delta = deltas[l].reshape(n, n_outputs, -1)[order]
            own = others = _side(a, delta, w[l], groups, [e[0] for e in ends])
            if not symmetric:
                delta = other_deltas[l].reshape(n_other, n_outputs, -1)[other_order]
                others = _side(other_a, delta, w[l], groups, [e[1] for e in ends])
            bias = np.zeros(len(D), K.dtype)
            if D_bias is not None:
                bias += (v[l] / w[l]) ** 2 * D_bias
            chosen = np.full((len(groups), max(map(len, groups))), -1)
            for row, group in zip(chosen, groups, strict=True):
                row[: len(group)] = group
            left = aligned_empty((get_num_threads(), 5, own.a.shape[2]), K.dtype)
            _layer(K, own, others, D, chosen, bias, corners, task_counter(), left)
    if symmetric:
        mirror_lower(K)
    result = np.empty_like(K)
    rows, other_rows = (_rows_of(o, n_outputs) for o in (order, other_order))
    result[np.ix_(rows, other_rows)] = K
    return result


def _rows_of(order, n_outputs):
    """The rows n C + c of inputs n in this order."""
    return (order[:, None] * n_outputs + np.arange(n_outputs)).reshape(-1)


def _of_last_layer(passes, diagonal, other, order, other_order):
    """Σ_j w² D_cj a_nj a_n'j + v² D_c for c = c', else 0: δ^{L,c} = e_c."""
    activations, _, w, v = passes
    a = activations[-1][order]
    other_a = a if other is None else other.activations[-1][other_order]
    D, D_bias = diagonal
    K = np.zeros((len(a) * len(D), len(other_a) * len(D)), a.dtype)
    for c, weights in enumerate(D):
        part = product(a * (w[-1] ** 2 * weights).astype(a.dtype), other_a)
        if D_bias is not None:
            part += a.dtype.type(v[-1] ** 2 * D_bias[c])
        K[c :: len(D), c :: len(D)] = part
    return K
