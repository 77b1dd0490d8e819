"""A slab of neurons in one pass over its weights, whatever their backward signals are.

Of the signals D, which are any numbers here, the gradient of neuron i is Σ_n D_in ã_n. Tile of
columns by tile (see ``tiles``) it is found, the rule takes its step, and the new preactivations
grow, while parameters and slots are in cache. Both products are taken by ``PANEL_ROWS`` neurons and
a cache line, the gradient's over the samples and the other over the columns that are not zero
there.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.intrinsics import add_listed_panel, wide_vectors
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.rules import Step, WithSlots, apply_step
from ntklin.kernels.cpu.sizes import LINE, PANEL_ROWS, WORD
from ntklin.kernels.cpu.sums import clear_rows
from ntklin.kernels.cpu.tiles import Panels, add_product, panels

# Neurons of a task: enough of them to share a tile of the inputs, few enough for a second-level
# cache. Fixed, so that the sums over tasks do not depend on the number of threads.
SLAB = 256


class TileInputs(NamedTuple):
    """The inputs ã of a layer as both products take them.

    Attributes
    ----------
    X : ndarray, shape (tiles, N, width)
        ã, zero beyond the last column.
    samples : ndarray of int32, shape (tiles, lines, N)
        The samples that are not zero on a line of columns, from the left.
    counts : ndarray of int, shape (tiles, lines)
        How many these are.
    values, offsets, starts : ndarray
        See ``Panels``.
    """

    X: np.ndarray
    samples: np.ndarray
    counts: np.ndarray
    values: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray


class Signal(NamedTuple):
    """The weighted derivatives of the loss, (C, N), and which samples have any, (N,)."""

    r: np.ndarray
    seen: np.ndarray


class Work(NamedTuple):
    """Work space of each thread.

    Attributes
    ----------
    D, gradient : ndarray, shapes (threads, rows, more than N) and (threads, rows, width)
        The signals of a slab of neurons, and the gradient of their weights on a tile.
    found : ndarray of int32, shape (threads, N)
    above : ndarray, shape (threads, C, SLAB)
        The gradient of the weights that leave them.
    """

    D: np.ndarray
    gradient: np.ndarray
    found: np.ndarray
    above: np.ndarray


def step_inputs(tiles):
    """``TileInputs`` of ``Tiles``."""
    X = tiles.grid.X
    n_tiles, n = X.shape[:2]
    lanes = LINE // X.itemsize
    used = (X.reshape(n_tiles, n, -1, lanes) != 0).any(axis=3).swapaxes(1, 2)
    samples = np.argsort(~used, axis=2, kind="stable").astype(np.int32)
    return TileInputs(X, samples, used.sum(axis=2), *panels(tiles))


def step_work_space(inputs, n_outputs, n_neurons):
    """For all threads, of slabs of a layer of so many neurons, padded."""
    X, n_threads, rows = inputs.X, get_num_threads(), min(SLAB, n_neurons)
    lines = -(-X.shape[1] * X.itemsize // LINE)
    # An odd number of lines: rows a power of two apart would crowd a few sets of the cache.
    stride = (lines | 1) * LINE // X.itemsize
    return Work(
        aligned_empty((n_threads, rows, stride), X.dtype),
        aligned_empty((n_threads, rows, X.shape[2]), X.dtype),
        np.empty((n_threads, X.shape[1]), np.int32),
        np.empty((n_threads, n_outputs, SLAB), X.dtype),
    )


@kernel
def multiply_rows(A, place, slopes, start, stop):
    """A_i ← A_i ∘ slopes_j from row ``place`` of A and row ``start`` of the slopes on."""
    wide_vectors()
    for j in range(start, stop):
        i, k = np.uint64(place + j - start), np.uint64(j)
        for n in range(np.uint64(slopes.shape[1])):
            A[i, n] *= slopes[k, n]


@twin(plain.add_signals)
@kernel
def _add_signals(g, n_rows, D, inputs: TileInputs, t, seen, found):
    """g_i += Σ_n D_in X[t, n] for the first rows i, a multiple of PANEL_ROWS.

    Parameters
    ----------
    g : ndarray, shape (at least n_rows, width)
        Aligned rows.
    n_rows : int
    D : ndarray, shape (at least n_rows, at least N)
        What it is for samples that are not ``seen`` does not matter.
    inputs : TileInputs
    t : int
    seen : ndarray of bool, shape (N,)
    found : ndarray of int32, shape (N,)
        Work space.
    """
    X, samples = inputs.X, inputs.samples
    width = X.shape[2] * X.itemsize
    steps = width, D.shape[1] * D.itemsize, width
    for line in range(samples.shape[1]):
        count = 0
        for k in range(inputs.counts[t, line]):
            n = samples[t, line, k]
            found[count] = n
            count += seen[n]
        target, source = line * LINE, 0
        value = t * X.shape[1] * width + line * LINE
        for _ in range(n_rows // PANEL_ROWS):
            add_listed_panel((g, target), (D, source), steps, (X, value), (found, 0), count)
            target += PANEL_ROWS * steps[0]
            source += PANEL_ROWS * steps[1]


@kernel
def step_neurons(H, row, stop, step: Step, matrix: WithSlots, inputs: TileInputs, seen, mine):
    """The rule's step of neurons row … stop, of whole words, and their new preactivations in H.

    Parameters
    ----------
    H : ndarray, shape (m, whole lines of samples)
        Aligned rows.
    row, stop : int
    step : Step
    matrix : WithSlots
        In tiles, (tiles, m, width).
    inputs : TileInputs
    seen : ndarray of bool, shape (N,)
        The samples that the step sees.
    mine : (D, gradient, found)
        The thread's own of ``Work``, D with the signals of the neurons.
    """
    D, gradient, found = mine
    tiles, first, second = matrix
    flat = WithSlots(tiles.reshape(-1), first.reshape(-1), second.reshape(-1))
    flat_gradient = gradient.reshape(-1)
    products = Panels(inputs.values, inputs.offsets, inputs.starts)
    n_tiles, m, width = tiles.shape
    clear_rows(H, row, stop)
    for t in range(n_tiles):
        clear_rows(gradient, 0, stop - row)
        _add_signals(gradient, stop - row, D, inputs, t, seen, found)
        for block in range(row, stop, WORD):
            place, source = (t * m + block) * width, (block - row) * width
            apply_step(step, flat, place, flat_gradient, source, WORD * width)
            add_product(H, block, tiles, t, products)
