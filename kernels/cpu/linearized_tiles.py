"""Fused steps of the linearized network on the weights into its last hidden layer.

Their backward signals are a constant or zero, δ_ni = c_i 1[n activates i], so that with ã of
``tiles``

    g_i = c_i Σ_n 1[n activates i] s_n ã_n,    (φ Δ)_n = ã_n · Σ_i 1[n activates i] c_i Δ_i.

Both are sums over active sets, which tables of subset sums give (``sample_subsets`` and
``line_subsets``) at a fifth of the cost of the dense products. A task is a slab of neurons on a
tile of columns: gradient, rule and change of the outputs while parameters and slots are in cache.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import Aligned, aligned_empty, aligned_zeros
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import (
    add_line,
    next_task,
    tabulate_line,
    task_counter,
    wide_vectors,
)
from ntklin.kernels.cpu.line_subsets import ABREAST, bytes_at_a_time, line_tables
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.rules import SLOTS, Step, WithSlots, apply_step, with_slots
from ntklin.kernels.cpu.sample_subsets import active_samples
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, LINE, SAMPLES, WORD
from ntklin.kernels.cpu.sums import clear_rows
from ntklin.kernels.cpu.tiles import Grid, add_gradients, live_groups, tabulate_groups, tile_inputs

# Neurons of a task: enough of them to share the tables, few enough for a second-level cache.
SLAB = 256


class Active(NamedTuple):
    """The layer's backward signals.

    Attributes
    ----------
    scale : ndarray, shape (padded m,)
        c.
    index : ndarray of uint8, shape (padded m, ⌈N/SAMPLES⌉)
        From ``active_samples``: which samples activate each neuron.
    sets : ndarray of uint8, shape (N, padded m/8)
        Which neurons each sample activates.
    neurons : ndarray of int64, shape (padded m,)
        0, 1, …
    """

    scale: np.ndarray
    index: np.ndarray
    sets: np.ndarray
    neurons: np.ndarray


class Work(NamedTuple):
    """Work space of each thread.

    Attributes
    ----------
    table : ndarray, shape (threads, CHUNK_GROUPS, 2^SAMPLES, width)
    gradient : ndarray, shape (threads, SLAB, width)
    lines : ndarray
        From ``line_tables``.
    sums : ndarray, shape (threads, lines of a tile, N, lanes)
    found : ndarray of int32, shape (threads, ⌈N/SAMPLES⌉)
    """

    table: np.ndarray
    gradient: np.ndarray
    lines: np.ndarray
    sums: np.ndarray
    found: np.ndarray


@twin(plain.add_changes)
@kernel
def _add_changes(sums, table, tiles, t, row, stop, active: Active, samples, count):
    """sums[:, n] += Σ_i 1[n activates i] c_i tiles[t, i] over neurons from ``row`` to ``stop``.

    Parameters
    ----------
    sums : ndarray, shape (lines, N, lanes)
    table : ndarray
        Work space from ``line_tables``.
    tiles : ndarray, shape (tiles, m, width)
    row, stop : int
        Multiples of 8.
    active : Active
    samples : ndarray of int32
        The first ``count`` of them are the samples n.
    """
    scale, _, sets, neurons = active
    item, step, n_bytes = tiles.itemsize, tiles.shape[2] * tiles.itemsize, sets.shape[1]
    size, one = bytes_at_a_time((stop - row) // 8), scale.dtype.type(1)
    whole = count // ABREAST * ABREAST
    for line in range(sums.shape[0]):
        target, source = line * sums.shape[1] * LINE, t * tiles.shape[1] * step + line * LINE
        for first in range(row // 8, stop // 8, size):
            some, i = min(size, stop // 8 - first), 8 * first
            listed, factors = (neurons, i * neurons.itemsize), (scale, i * item)
            tabulate_line((table, 0), (tiles, source), step, listed, factors, 2 * some)
            for k in range(0, whole, ABREAST):
                n = samples[k], samples[k + 1], samples[k + 2], samples[k + 3]
                add_line(
                    (sums, target),
                    (n[0] * LINE, n[1] * LINE, n[2] * LINE, n[3] * LINE),
                    (sets, first),
                    (n[0] * n_bytes, n[1] * n_bytes, n[2] * n_bytes, n[3] * n_bytes),
                    (table, 0),
                    some,
                    (one, one, one, one),
                )
            for k in range(whole, count):
                here, there = (samples[k] * LINE,), (samples[k] * n_bytes,)
                add_line((sums, target), here, (sets, first), there, (table, 0), some, (one,))


@dot_kernel
def _contract(sums, X, t, samples, count, part):
    """part[n] ← X[t, n] · sums[:, n] for the listed samples, else 0."""
    wide_vectors()
    for n in range(part.shape[0]):
        part[n] = 0
    lanes = np.uint64(sums.shape[2])
    for k in range(count):
        n, total = np.uint64(samples[k]), part.dtype.type(0)
        for line in range(np.uint64(sums.shape[0])):
            for q in range(lanes):
                total += sums[line, n, q] * X[t, n, line * lanes + q]
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
    scale, index, _, _ = active
    X, groups, n_groups, samples, n_samples = grid
    table, gradient, lines, sums, found = work
    n_tiles, m, width = tiles.shape
    slabs = (m + SLAB - 1) // SLAB
    my_table, my_gradient, my_lines = table[worker], gradient[worker], lines[worker]
    my_sums, my_found = sums[worker], found[worker]
    flat_gradient, flat_sums = my_gradient.reshape(-1), my_sums.reshape(-1, sums.shape[3])
    nothing = np.int64(0)  # a literal has a type of its own, for which all is compiled again
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
        place, size = (t * m + row) * width, (stop - row) * width
        apply_step(step, flat, place, flat_gradient, nothing, size)
        clear_rows(flat_sums, 0, flat_sums.shape[0])
        _add_changes(my_sums, my_lines, tiles, t, row, stop, active, samples[t], n_samples[t])
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
            np.zeros((padded, -(-n // SAMPLES)), np.uint8),
            np.zeros((n, padded // 8), np.uint8),
            np.arange(padded),
        )
        self._active.scale[:m] = scale
        self._active.index[:m] = active_samples(np.ascontiguousarray(above.T))
        self._active.sets[:, : -(-m // 8)] = np.packbits(above > 0, axis=1, bitorder="little")
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
            lanes = LINE // dtype.itemsize
            self._work = Work(
                aligned_empty((n_threads, CHUNK_GROUPS, 1 << SAMPLES, width), dtype),
                aligned_empty((n_threads, SLAB, width), dtype),
                line_tables(dtype),
                aligned_empty((n_threads, width // lanes, X.shape[1], lanes), dtype),
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
