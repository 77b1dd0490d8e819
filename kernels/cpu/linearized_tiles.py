"""Fused steps of the linearized network on the weights into its last hidden layer.

Their backward signals are a constant or zero, δ_ni = c_i 1[n activates i], so that with ã of
``tiles``

    g_i = c_i Σ_n 1[n activates i] s_n ã_n,    (φ Δ)_n = ã_n · Σ_i 1[n activates i] c_i Δ_i.

Both are sums over active sets, which tables of subset sums give (``sample_subsets`` and
``neuron_subsets``) at a fifth of the cost of the dense products. A task is a slab of neurons on a
tile of columns: gradient, rule and change of the outputs while parameters and slots are in cache.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import Aligned, aligned_empty, aligned_zeros
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import (
    add_subsets,
    next_task,
    tabulate_subsets,
    task_counter,
    wide_vectors,
)
from ntklin.kernels.cpu.neuron_subsets import Active, active_bits
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.rules import SLOTS, Step, WithSlots, apply_step, with_slots
from ntklin.kernels.cpu.sample_subsets import active_samples
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, SAMPLES, SUBSET, WORD
from ntklin.kernels.cpu.sums import clear_rows
from ntklin.kernels.cpu.tiles import Grid, add_gradients, live_groups, tabulate_groups, tile_inputs

# Neurons of a task: enough of them to share the tables, few enough for a second-level cache.
SLAB = 256


class Work(NamedTuple):
    """Work space of each thread.

    Attributes
    ----------
    table : ndarray, shape (threads, CHUNK_GROUPS, 2^SAMPLES, width)
    gradient : ndarray, shape (threads, SLAB, width)
    subsets : ndarray, shape (threads, WORD/SUBSET, 2^SUBSET, width)
    sums : ndarray, shape (threads, N, width)
    found : ndarray of int32, shape (threads, ⌈N/SAMPLES⌉)
    """

    table: np.ndarray
    gradient: np.ndarray
    subsets: np.ndarray
    sums: np.ndarray
    found: np.ndarray


@twin(plain.add_changes)
@kernel
def _add_changes(sums, subsets, tiles, t, row, active: Active, samples, count):
    """sums[n] += Σ_i 1[n activates i] c_i tiles[t, i] over WORD neurons from ``row`` on.

    Parameters
    ----------
    sums : ndarray, shape (N, width)
    subsets : ndarray
        Work space for ``tabulate_subsets``.
    tiles : ndarray, shape (tiles, m, width)
    active : Active
        The neurons, and their c.
    samples : ndarray of int32
        The first ``count`` of them are the samples n.
    """
    scale, bits = active.scale, active.bits
    step = tiles.shape[2] * tiles.itemsize
    source = (t * tiles.shape[1] + row) * step
    tabulate_subsets((subsets, 0), (tiles, source), step, (scale, row * scale.itemsize))
    word = row // WORD
    for k in range(count):
        n = samples[k]
        add_subsets((sums, n * step), bits[word, n], (subsets, 0))


@dot_kernel
def _contract(sums, X, t, samples, count, part):
    """part[n] ← X[t, n] · sums[n] for the listed samples, else 0."""
    wide_vectors()
    for n in range(part.shape[0]):
        part[n] = 0
    for k in range(count):
        n = np.uint64(samples[k])
        total = sums[n, 0] * X[t, n, 0]
        for q in range(np.uint64(1), np.uint64(X.shape[2])):
            total += sums[n, q] * X[t, n, q]
        part[n] = total


@parallel_kernel
def _tiled_step(
    worker,
    matrix: WithSlots,
    step: Step,
    active: Active,
    s,
    grid: Grid,
    parts,
    work: Work,
    counter,
):
    tiles, first, second = matrix
    flat = WithSlots(tiles.reshape(-1), first.reshape(-1), second.reshape(-1))
    scale, index = active.scale, active.index
    X, groups, n_groups, samples, n_samples = grid
    table, gradient, subsets, sums, found = work
    n_tiles, m, width = tiles.shape
    slabs = (m + SLAB - 1) // SLAB
    my_table, my_gradient, my_subsets = table[worker], gradient[worker], subsets[worker]
    my_sums, my_found = sums[worker], found[worker]
    flat_gradient = my_gradient.reshape(-1)
    tabulated = -1
    task = next_task(counter)
    while task < n_tiles * slabs:
        t, row = task // slabs, task % slabs * SLAB
        stop = min(row + SLAB, m)
        count = live_groups(groups[t], n_groups[t], s, my_found)
        clear_rows(my_gradient, 0, stop - row)
        for start in range(0, count, CHUNK_GROUPS):
            last = min(start + CHUNK_GROUPS, count)
            if tabulated != t or count > CHUNK_GROUPS:
                tabulate_groups(my_table, s, X, t, my_found, start, last)
                tabulated = t
            add_gradients(my_gradient, row, stop, index, my_found, start, last, my_table, scale)
        clear_rows(my_sums, 0, my_sums.shape[0])
        for block in range(row, stop, WORD):
            place, source = (t * m + block) * width, (block - row) * width
            apply_step(step, flat, place, flat_gradient, source, WORD * width)
            _add_changes(my_sums, my_subsets, tiles, t, block, active, samples[t], n_samples[t])
        _contract(my_sums, X, t, samples[t], n_samples[t], parts[task])
        task = next_task(counter)


class LinearizedTiles(Aligned):
    """The weights into the last hidden layer of a linearized network, and their optimizer's slots.

    Parameters
    ----------
    a : ndarray, shape (N, K)
        The layer's inputs.
    above : ndarray, shape (N, m)
        Its activations.
    scale : ndarray, shape (m,)
        c.
    w, v : float
        The layer's scales.
    has_bias : bool
    rule : str
    """

    def __init__(self, a, above, scale, w, v, has_bias, rule):
        n, m = above.shape
        dtype = a.dtype
        self._inputs = tile_inputs(a, w, v, has_bias)
        above = above[self._inputs.order]
        padded = -(-m // WORD) * WORD
        n_tiles, width = self._inputs.shape
        shape = n_tiles, padded, width
        theta, *slots = (aligned_zeros(shape, dtype) for _ in range(1 + SLOTS[rule]))
        self._matrix = with_slots(theta, slots)
        self._active = Active(
            np.zeros(padded, dtype),
            active_bits(above),
            np.zeros((padded, -(-n // SAMPLES)), np.uint8),
        )
        self._active.scale[:m] = scale
        self._active.index[:m] = active_samples(np.ascontiguousarray(above.T))
        self._parts = aligned_empty((n_tiles * -(-padded // SLAB), n), dtype)
        self._work = None

    def take(self, step, s, changes):
        """One step with the weighted loss derivatives s; adds φ Δ after it to ``changes``, (N,)."""
        grid, order = self._inputs.grid, self._inputs.order
        matrix, work = self._matrix, self._work_space()
        given = matrix, step, self._active, s[order], grid, self._parts, work
        _tiled_step[len(work.table)](*given, task_counter())
        changes[order] += self._parts.sum(axis=0)

    def _work_space(self):
        n_threads, dtype, width = get_num_threads(), self._parts.dtype, self._inputs.shape[1]
        if self._work is None or len(self._work.table) != n_threads:
            X, groups = self._inputs.grid[:2]
            self._work = Work(
                aligned_empty((n_threads, CHUNK_GROUPS, 1 << SAMPLES, width), dtype),
                aligned_empty((n_threads, SLAB, width), dtype),
                aligned_empty((n_threads, WORD // SUBSET, 1 << SUBSET, width), dtype),
                aligned_empty((n_threads, X.shape[1], width), dtype),
                np.empty((n_threads, groups.shape[1]), np.int32),
            )
        return self._work

    def read(self, layer, slots):
        """Take Δ and the slots from pairs (W, b), as ``write`` wrote them."""
        for source, tiles in zip((layer, *slots), self._matrix, strict=False):
            tiles[...] = self._inputs.split(*source)

    def write(self, layer, slots):
        """Write Δ and the slots to pairs (W, b); columns without inputs keep what they hold."""
        for target, tiles in zip((layer, *slots), self._matrix, strict=False):
            self._inputs.join(tiles, *target)
