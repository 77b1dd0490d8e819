"""A layer's inputs and parameters cut into tiles of columns, the layout of the fused steps.

The parameters (W, b) of a layer act on ã = (w a, v), one matrix (m, K + 1). Its columns are taken
SUBSET_LINES cache lines at a time and stored tile after tile, (tiles, m, width), so that a step
streams through memory however it blocks neurons. A column in which all inputs are zero has no
gradient and no part in the outputs: it is left out. Inputs come neighbors first and columns in the
order of their use (see ``ordering``), so that tiles pass over inputs that are zero on them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import Aligned, aligned_empty, aligned_zeros
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import add_listed_entries, add_panel, wide_vectors
from ntklin.kernels.cpu.ordering import neighbors_first, staircase
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sample_subsets import fill_subsets
from ntklin.kernels.cpu.sizes import LINE, PANEL_ROWS, SAMPLES, WORD, subset_width


class Grid(NamedTuple):
    """The inputs ã of a layer, tile after tile.

    Attributes
    ----------
    X : ndarray, shape (tiles, N, width)
        ã, zero beyond the last column.
    groups : ndarray of int32, shape (tiles, ⌈N/SAMPLES⌉)
        The groups of SAMPLES samples of which one is not zero on the tile, from the left.
    n_groups : ndarray of int, shape (tiles,)
    samples : ndarray of int32, shape (tiles, N)
        The samples that are not zero on the tile, from the left.
    n_samples : ndarray of int, shape (tiles,)
    """

    X: np.ndarray
    groups: np.ndarray
    n_groups: np.ndarray
    samples: np.ndarray
    n_samples: np.ndarray


@dataclass(frozen=True, eq=False)
class Tiles(Aligned):
    """How the inputs and the parameters of a layer are cut into tiles.

    Attributes
    ----------
    order : ndarray of int, shape (N,)
        Which sample stands where.
    columns : ndarray of int
        The live columns, in the tiles' order.
    has_bias : bool
        Whether one more column, of v's, follows them.
    grid : Grid
        The inputs.
    """

    order: np.ndarray
    columns: np.ndarray
    has_bias: bool
    grid: Grid

    @property
    def shape(self):
        """The number of tiles and their width."""
        return self.grid.X.shape[0], self.grid.X.shape[2]

    def split(self, W, b):
        """(W, b) as tiles, rows padded to a multiple of WORD, shape (tiles, padded m, width)."""
        n_tiles, width = self.shape
        tiles = aligned_zeros((n_tiles, -(-len(W) // WORD) * WORD, width), W.dtype)
        for t in range(n_tiles):
            columns = self.columns[t * width : (t + 1) * width]
            tiles[t, : len(W), : len(columns)] = W[:, columns]
        if self.has_bias:
            t, q = divmod(len(self.columns), width)
            tiles[t, : len(W), q] = b
        return tiles

    def join(self, tiles, W, b):
        """Write tiles back to (W, b); the columns that are left out keep what they hold."""
        _join_row[len(W)](tiles, self.columns, W)
        if self.has_bias:
            t, q = divmod(len(self.columns), self.shape[1])
            b[...] = tiles[t, : len(W), q]


@parallel_kernel
def _join_row(i, tiles, columns, W):
    width = tiles.shape[2]
    for k in range(columns.shape[0]):
        W[i, columns[k]] = tiles[k // width, i, k % width]


def tile_inputs(a, w, v, has_bias):
    """Cut a layer's inputs into tiles.

    Parameters
    ----------
    a : ndarray, shape (N, K)
    w, v : float
    has_bias : bool

    Returns
    -------
    Tiles
    """
    order = neighbors_first(a)
    columns = staircase(a[order])[0]
    n, width = len(a), subset_width(a.dtype)
    n_tiles = max(1, -(-(len(columns) + has_bias) // width))
    flat = np.zeros((n, n_tiles * width), a.dtype)
    flat[:, : len(columns)] = a.dtype.type(w) * a[np.ix_(order, columns)]
    if has_bias:
        flat[:, len(columns)] = v
    X = aligned_empty((n_tiles, n, width), a.dtype)
    X[...] = flat.reshape(n, n_tiles, width).transpose(1, 0, 2)
    used = (X != 0).any(axis=2)
    padded = np.zeros((n_tiles, -(-n // SAMPLES) * SAMPLES), bool)
    padded[:, :n] = used
    grouped = padded.reshape(n_tiles, -1, SAMPLES).any(axis=2)
    grid = Grid(X, *_listed(grouped), *_listed(used))
    return Tiles(order, columns, has_bias, grid)


def _listed(used):
    """The places of the true entries of each row, from the left, and how many there are."""
    places = np.argsort(~used, axis=1, kind="stable").astype(np.int32)
    return places, used.sum(axis=1)


class Panels(NamedTuple):
    """ã^T for products W ã^T: a cache line of samples for each column that is not zero on it.

    Attributes
    ----------
    values : ndarray, shape (total, lanes)
    offsets : ndarray of int32, shape (total,)
        The column within its tile, in bytes.
    starts : ndarray of int, shape (tiles, lines + 1)
        Where the entries of a tile's line of samples start, and where the last ones end.
    """

    values: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray


def panels(tiles):
    """The panels of a layer's inputs.

    Parameters
    ----------
    tiles : Tiles

    Returns
    -------
    Panels
    """
    X = tiles.grid.X
    n_tiles, n, width = X.shape
    lanes = LINE // X.itemsize
    n_lines = -(-n // lanes)
    lines = np.zeros((n_tiles, n_lines * lanes, width), X.dtype)
    lines[:, :n] = X
    lines = lines.reshape(n_tiles, n_lines, lanes, width).swapaxes(2, 3)
    live = (lines != 0).any(axis=3)
    found = lines[live]
    values = aligned_empty(found.shape, X.dtype)
    values[...] = found
    offsets = (np.nonzero(live)[2] * X.itemsize).astype(np.int32)
    ends = np.cumsum(live.sum(axis=2)).reshape(n_tiles, n_lines)
    starts = np.zeros((n_tiles, n_lines + 1), np.int64)
    starts[:, 1:] = ends
    starts[1:, 0] = ends[:-1, -1]
    return Panels(values, offsets, starts)


@kernel
def live_groups(groups, count, s, found):
    """Those of the first ``count`` groups of which a sample has s ≠ 0, into ``found``; how many."""
    total = 0
    for k in range(count):
        g = groups[k]
        live = False
        for n in range(g * SAMPLES, min((g + 1) * SAMPLES, s.shape[0])):
            live |= s[n] != 0
        found[total] = g
        total += live
    return total


@kernel
def tabulate_groups(table, s, X, t, groups, first, stop):
    """table[k − first, subset] ← Σ_n s_n X[t, n] over the subset of group groups[k]'s samples."""
    wide_vectors()
    n_samples, width = np.uint64(X.shape[1]), np.uint64(X.shape[2])
    for k in range(first, stop):
        entry = np.uint64(k - first)
        for p in range(SAMPLES):
            n, bit = np.uint64(groups[k] * SAMPLES + p), np.uint64(1 << p)
            if n < n_samples:
                for q in range(width):
                    table[entry, bit, q] = s[n] * X[t, n, q]
            else:
                for q in range(width):
                    table[entry, bit, q] = 0
        fill_subsets(table, k - first)


@twin(plain.add_gradients)
@kernel
def add_gradients(g, row, stop, index, groups, first, last, table, scale):
    """g[i − row] += scale_i Σ_n s_n X[t, n] over the active samples of groups[first:last].

    Parameters
    ----------
    g : ndarray, shape (at least stop − row, width)
    row, stop : int
        The neurons i.
    index : ndarray of uint8, shape (m, ⌈N/SAMPLES⌉)
        The active subset of each group.
    groups : ndarray of int32
    table : ndarray
        From :func:`tabulate_groups`, for ``first`` … ``last`` − 1.
    scale : ndarray, shape (m,)
    """
    target, bits, listed = 0, row * index.shape[1], first * groups.itemsize
    for i in range(row, stop):
        add_listed_entries(
            (g, target), (index, bits), (groups, listed), (table, 0), last - first, scale[i]
        )
        target += g.shape[1] * g.itemsize
        bits += index.shape[1]


@twin(plain.add_product)
@kernel
def add_product(H, row, tiles, t, panels: Panels):
    """H[row : row + WORD] += tiles[t, row : row + WORD] X[t]^T.

    Parameters
    ----------
    H : ndarray, shape (m, whole lines of samples)
        Aligned rows.
    tiles : ndarray, shape (tiles, m, width)
    panels : Panels
    """
    values, offsets, starts = panels
    steps = H.shape[1] * H.itemsize, tiles.shape[2] * tiles.itemsize
    for line in range(starts.shape[1] - 1):
        start = starts[t, line]
        count = starts[t, line + 1] - start
        target = row * steps[0] + line * LINE
        source = (t * tiles.shape[1] + row) * steps[1]
        value, offset = start * LINE, start * offsets.itemsize
        for _ in range(WORD // PANEL_ROWS):
            add_panel(
                (H, target), (tiles, source), steps, (values, value), (offsets, offset), count
            )
            target += PANEL_ROWS * steps[0]
            source += PANEL_ROWS * steps[1]
