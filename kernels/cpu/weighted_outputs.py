"""K_D = J D J^T for a diagonal D and several outputs, by tiles of pairs of inputs.

    K_D[(n, c), (n', c')] = Σ_l Σ_i δ^{l,c}_ni δ^{l,c'}_n'i T_i(n, n')
    T_i(n, n') = w_l² Σ_j D^{W,l}_ij a_nj a_n'j + v_l² D^{b,l}_i

T does not depend on the outputs, and is found for the pairs that both activate neuron i, as in
``weighted``; for a block of neurons it is kept, and BLAS takes the outputs from it. In the last
hidden layer δ^c_ni is u_ci α'_ni, α' goes into T, and what is left is one product of T with the
u_ci u_c'i, of which there are C (C + 1)/2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, mirror_lower, product, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.ordering import sparsest_first, staircase
from ntklin.kernels.cpu.weighted_tiles import (
    ActiveRows,
    Diagonal,
    add_tile,
    panels,
    room,
    scaled_rows,
)
from ntklin.kernels.structures import Activations

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
    gates : ndarray, shape (m, N)
        What T is multiplied with; zero where an input moves no output through a neuron.
    """

    a: np.ndarray
    stops: np.ndarray
    gates: np.ndarray


class Tile(NamedTuple):
    """Inputs ``start`` to ``stop`` and, on the other side, ``other_start`` to ``other_stop``.

    Of a tile on the diagonal only the pairs that lie on or below it are found, by fours.
    """

    start: int
    stop: int
    other_start: int
    other_stop: int
    is_diagonal: bool


@kernel
def _tile(corners, task, sizes, symmetric):
    row, column = corners[task, 0], corners[task, 1]
    ends = min(row + TILE, sizes[0]), min(column + TILE, sizes[1])
    return Tile(row, ends[0], column, ends[1], symmetric and row == column)


@kernel
def _find_active(side: OutputsSide, panel, i, start, stop, active: ActiveRows):
    """The inputs from ``start`` to ``stop`` that activate neuron i, counted from ``start``."""
    rows, factors, ends = active
    count = 0
    for n in range(start, stop):
        rows[count] = n - start
        factors[count] = side.gates[i, n]
        count += side.gates[i, n] != 0
    for k in range(count, (count + 3) // 4 * 4):
        rows[k] = 0
        factors[k] = 0
    for p in range(0, count, 4):
        end = 0
        for k in range(p, p + 4):
            end = max(end, side.stops[panel, start + np.int64(rows[k])])
        ends[p // 4] = end
    return count


@kernel
def _fill(T, own: OutputsSide, other: OutputsSide, diagonal: Diagonal, first, tile: Tile, left):
    """T[b] ← gates gates' T_i on a tile, for the neurons i = first + b of a block; else zero.

    ``left``, of shape (5, padded columns), is work space: four scaled rows, and D_i.
    """
    wide_vectors()
    D, columns, bias = diagonal
    active, other_active = room(TILE, T), room(TILE, T)
    zero = T.dtype.type(0)
    T[:] = zero
    for panel in range(own.a.shape[0]):
        a = own.a[panel, tile.start : tile.stop]
        other_a = other.a[panel, tile.other_start : tile.other_stop]
        left[4] = 0
        for b in range(min(T.shape[0], D.shape[0] - first)):
            i = first + b
            count = _find_active(own, panel, i, tile.start, tile.stop, active)
            other_count = _find_active(
                other, panel, i, tile.other_start, tile.other_stop, other_active
            )
            if count == 0 or other_count == 0:
                continue
            for k in range(columns.shape[1]):
                if columns[panel, k] >= 0:
                    left[4, k] = D[i, columns[panel, k]]
            shift = bias[i] if panel == 0 else zero
            for p in range(0, count, 4):
                stop = active.ends[p // 4]
                scaled_rows(left, a, stop, active.rows, p)
                for q in range(0, p + 4 if tile.is_diagonal else other_count, 4):
                    end = min(stop, other_active.ends[q // 4])
                    add_tile(T[b], left, other_a, end, active, p, other_active, q, shift)


@kernel
def _add_outputs(K, T, gates, deltas, first, tile: Tile, row, chosen):
    """K's rows and columns of a tile += Σ_i δ_i δ'_i T_i, for the neurons of a block."""
    own_delta, other_delta = deltas
    n_outputs = own_delta.shape[2]
    one = T.dtype.type(1)
    n_columns = tile.other_stop - tile.other_start
    width, column = n_columns * n_outputs, tile.other_start * n_outputs
    for n in range(tile.start, tile.stop):
        count = 0
        for b in range(min(T.shape[0], gates.shape[0] - first)):
            i = first + b
            if gates[i, n] != 0:
                for c in range(n_outputs):
                    chosen[count, c] = own_delta[i, n, c]
                for k in range(n_columns):
                    t = T[b, n - tile.start, k]
                    for c in range(n_outputs):
                        row[count, k * n_outputs + c] = t * other_delta[i, tile.other_start + k, c]
                count += 1
        if count:
            target = K[n * n_outputs : (n + 1) * n_outputs, column : column + width]
            gemm(TRANSPOSED, PLAIN, one, chosen[:count, :], row[:count, :width], one, target)


@parallel_kernel
def _layer(
    worker,
    K,
    own: OutputsSide,
    other: OutputsSide,
    deltas,
    diagonal: Diagonal,
    corners,
    symmetric,
    counter,
    left,
):
    """Add a layer to K on the tiles that start at ``corners``.

    Parameters
    ----------
    K : ndarray, shape (N C, N' C)
    own, other : OutputsSide
        Their gates are 1 or 0.
    deltas : pair of ndarray, shape (m, N, C)
        w_l δ^{l,c}.
    diagonal : Diagonal
    corners : ndarray, shape (tiles, 2)
    symmetric : bool
    left : ndarray, shape (threads, 5, padded columns)
        Work space.
    """
    n_outputs = deltas[0].shape[2]
    sizes = own.gates.shape[1], other.gates.shape[1]
    T = np.empty((BLOCK, TILE, TILE), K.dtype)
    row = np.empty((BLOCK, TILE * n_outputs), K.dtype)
    chosen = np.empty((BLOCK, n_outputs), K.dtype)
    task = next_task(counter)
    while task < corners.shape[0]:
        tile = _tile(corners, task, sizes, symmetric)
        for first in range(0, own.gates.shape[0], BLOCK):
            _fill(T, own, other, diagonal, first, tile, left[worker])
            _add_outputs(K, T, own.gates, deltas, first, tile, row, chosen)
        task = next_task(counter)


@parallel_kernel
def _last_hidden(
    worker,
    K,
    own: OutputsSide,
    other: OutputsSide,
    products,
    diagonal: Diagonal,
    corners,
    symmetric,
    counter,
    left,
):
    """Add the last hidden layer to K on the tiles that start at ``corners``.

    Parameters
    ----------
    K : ndarray, shape (N C, N' C)
    own, other : OutputsSide
        Their gates are w_l α'.
    products : ndarray, shape (m, C (C + 1)/2)
        u_ci u_c'i for c' ≤ c.
    diagonal : Diagonal
    corners : ndarray, shape (tiles, 2)
    symmetric : bool
    left : ndarray, shape (threads, 5, padded columns)
        Work space.
    """
    one = K.dtype.type(1)
    n_outputs = K.shape[0] // own.gates.shape[1]
    sizes = own.gates.shape[1], other.gates.shape[1]
    T = np.empty((BLOCK, TILE, TILE), K.dtype)
    rows = T.reshape(BLOCK, TILE * TILE)
    sums = np.empty((TILE * TILE, products.shape[1]), K.dtype)
    task = next_task(counter)
    while task < corners.shape[0]:
        tile = _tile(corners, task, sizes, symmetric)
        sums[:] = 0
        for first in range(0, products.shape[0], BLOCK):
            _fill(T, own, other, diagonal, first, tile, left[worker])
            factors = products[first : first + BLOCK]
            gemm(TRANSPOSED, PLAIN, one, rows[: factors.shape[0]], factors, one, sums)
        for n in range(tile.start, tile.stop):
            for k in range(tile.other_start, tile.other_stop):
                place, e = (n - tile.start) * TILE + k - tile.other_start, 0
                for c in range(n_outputs):
                    for d in range(c + 1):
                        K[n * n_outputs + c, k * n_outputs + d] += sums[place, e]
                        if d < c:
                            K[n * n_outputs + d, k * n_outputs + c] += sums[place, e]
                        e += 1
        task = next_task(counter)


class _Inputs(NamedTuple):
    """One side's activations and backward signals, and the order in which inputs are taken."""

    activations: Activations
    deltas: Sequence
    order: np.ndarray

    def below(self, l):
        """What the layer l takes, (N, m')."""
        return self.activations[l][self.order]

    def slopes(self, l):
        """α' of what it gives, (N, m)."""
        if self.activations.slopes is None:
            return (self.activations[l + 1] > 0)[self.order]
        return self.activations.slopes[l][self.order]

    def delta(self, l):
        """Its backward signals, (m, N, C)."""
        delta = self.deltas[l].reshape(len(self.order), -1, self.activations[l + 1].shape[1])
        return np.ascontiguousarray(delta[self.order].transpose(2, 0, 1))


def _by_panels(a, groups):
    """The columns of each group, zero-padded to one width in whole lines."""
    width = -(-max(map(len, groups)) // 16) * 16
    out = aligned_empty((len(groups), len(a), width), a.dtype)
    out[:] = 0
    for panel, columns in zip(out, groups, strict=True):
        panel[:, : len(columns)] = a[:, columns]
    return out


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
    symmetric = other is None
    own, others = (
        _Inputs(p.activations, p.deltas, sparsest_first(p.activations[0]))
        for p in (passes, passes if symmetric else other)
    )

    def both(part):
        mine = part(own)
        return mine, mine if symmetric else part(others)

    n, n_other = len(own.order), len(others.order)
    K = _of_last_layer(passes, diagonal[-1], other, own.order, others.order)
    n_outputs = K.shape[0] // n
    corners = np.array(
        [(i, j) for i in range(0, n, TILE) for j in range(0, i + 1 if symmetric else n_other, TILE)]
    )
    # Backward signals in another dtype than they were made in are arrays and nothing else.
    u = getattr(passes.deltas, "scales", None)
    with sequential_blas:
        for l, (D, D_bias) in enumerate(diagonal[:-1]):
            is_last_hidden = u is not None and l == len(diagonal) - 2
            w, v = K.dtype.type(passes.w[l]), K.dtype.type(passes.v[l])
            below = both(lambda side, l=l: side.below(l))
            columns, stops = staircase(*below[: 1 if symmetric else 2])
            groups, ends = zip(*panels(columns, stops, K.itemsize), strict=True)
            chosen = np.full((len(groups), max(map(len, groups))), -1)
            for row, group in zip(chosen, groups, strict=True):
                row[: len(group)] = group
            bias = np.zeros(len(D), K.dtype)
            if D_bias is not None:
                bias += (v / w) ** 2 * D_bias
            if is_last_hidden:
                gates = both(lambda side, l=l, w=w: np.ascontiguousarray(w * side.slopes(l).T))
            else:
                signals = both(lambda side, l=l, w=w: w * side.delta(l))
                gates = tuple((d != 0).any(axis=2).astype(K.dtype) for d in signals)
            sides = tuple(
                OutputsSide(_by_panels(a, groups), np.stack([e[k] for e in ends]), gate)
                for k, a, gate in zip((0, -1), below, gates, strict=True)
            )
            left = aligned_empty((get_num_threads(), 5, sides[0].a.shape[2]), K.dtype)
            where = Diagonal(D, chosen, bias), corners, symmetric, task_counter(), left
            if is_last_hidden:
                rows, columns = np.tril_indices(n_outputs)
                products = np.ascontiguousarray((u[rows] * u[columns]).T)
                _last_hidden[len(left)](K, *sides, products, *where)
            else:
                _layer[len(left)](K, *sides, signals, *where)
    if symmetric:
        mirror_lower[len(K)](K)
    result = np.empty_like(K)
    rows, other_rows = (_rows_of(side.order, n_outputs) for side in (own, others))
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
