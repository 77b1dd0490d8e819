"""Steps of a network with one hidden layer under any optimizer's rule, one pass over its weights.

A task is a slab of neurons. From their preactivations it takes the active sets, then, tile of
columns by tile, the gradient from tables of subset sums (``tiles``), the rule's step, and the new
preactivations, while parameters and slots are in cache. Neurons do not depend on each other, so
that the results do not depend on how they are shared out; the outputs are summed in chunks of a
fixed size.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu.aligned import Aligned, aligned_empty, aligned_zeros
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter
from ntklin.kernels.cpu.losses import LOSSES, loss_and_derivatives
from ntklin.kernels.cpu.outputs import CHUNK, sum_outputs
from ntklin.kernels.cpu.rules import Step, WithSlots, apply_step, step_of, with_slots
from ntklin.kernels.cpu.sample_subsets import active_subsets
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, LINE, SAMPLES, WORD
from ntklin.kernels.cpu.sums import clear_rows, relu_dot
from ntklin.kernels.cpu.tiles import (
    Grid,
    Panels,
    add_gradients,
    add_product,
    live_groups,
    panels,
    tabulate_groups,
    tile_inputs,
)

# Neurons of a task: enough of them to share the tables, few enough for a second-level cache; a
# whole number of chunks.
SLAB = 4 * CHUNK


class Hidden(NamedTuple):
    """The preactivations, and the parts of the outputs w Σ_i W_i max(H_i, 0) (see ``outputs``)."""

    H: np.ndarray
    parts: np.ndarray
    w: float


class Work(NamedTuple):
    """Work space of each thread.

    Attributes
    ----------
    table : ndarray, shape (threads, CHUNK_GROUPS, 2^SAMPLES, width)
    gradient : ndarray, shape (threads, SLAB, width)
    subsets : ndarray of uint8, shape (threads, SLAB, ⌈N/SAMPLES⌉)
    scale : ndarray, shape (threads, SLAB)
    found : ndarray of int32, shape (threads, ⌈N/SAMPLES⌉)
    """

    table: np.ndarray
    gradient: np.ndarray
    subsets: np.ndarray
    scale: np.ndarray
    found: np.ndarray


@parallel_kernel
def _forward(_, hidden: Hidden, tiles, panels: Panels, W, counter):
    """H ← the preactivations, and the parts of the outputs."""
    H, parts, w = hidden
    m = H.shape[0]
    row = next_task(counter) * SLAB
    while row < m:
        stop = min(row + SLAB, m)
        clear_rows(H, row, stop)
        for t in range(tiles.shape[0]):
            for block in range(row, stop, WORD):
                add_product(H, block, tiles, t, panels)
        sum_outputs(H, row, stop, W, w, parts)
        row = next_task(counter) * SLAB


@parallel_kernel
def _step(
    worker,
    hidden: Hidden,
    matrix: WithSlots,
    output: WithSlots,
    step: Step,
    s,
    grid: Grid,
    panels: Panels,
    work: Work,
    counter,
):
    """``matrix`` is in tiles, ``output`` a vector."""
    H, parts, w = hidden
    (tiles, first, second), W = matrix, output.theta
    flat = WithSlots(tiles.reshape(-1), first.reshape(-1), second.reshape(-1))
    X, groups, n_groups, _, _ = grid
    table, gradient, subsets, scale, found = work
    n_tiles, m, width = tiles.shape
    nothing = np.int64(0)  # a literal has a type of its own, for which all is compiled again
    my_table, my_gradient, my_subsets = table[worker], gradient[worker], subsets[worker]
    my_scale, my_found = scale[worker], found[worker]
    flat_gradient = my_gradient.reshape(-1)
    row = next_task(counter) * SLAB
    while row < m:
        stop = min(row + SLAB, m)
        n_rows = stop - row
        for i in range(row, stop):
            active_subsets(H, i, s.shape[0], my_subsets, i - row)
            my_scale[i - row] = w * W[i]
            flat_gradient[i - row] = w * relu_dot(s, H, i)
        apply_step(step, output, row, flat_gradient, nothing, n_rows)
        clear_rows(H, row, stop)
        for t in range(n_tiles):
            count = live_groups(groups[t], n_groups[t], s, my_found)
            clear_rows(my_gradient, 0, n_rows)
            for start in range(0, count, CHUNK_GROUPS):
                last = min(start + CHUNK_GROUPS, count)
                tabulate_groups(my_table, s, X, t, my_found, start, last)
                add_gradients(
                    my_gradient,
                    nothing,
                    n_rows,
                    my_subsets,
                    my_found,
                    start,
                    last,
                    my_table,
                    my_scale,
                )
            for block in range(row, stop, WORD):
                place, source = (t * m + block) * width, (block - row) * width
                apply_step(step, flat, place, flat_gradient, source, WORD * width)
                add_product(H, block, tiles, t, panels)
        sum_outputs(H, row, stop, W, w, parts)
        row = next_task(counter) * SLAB


class ShallowNetwork(Aligned):
    """A network with one hidden layer in training, in the layout of its fused steps.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,)
    layers : Layers
        Two of them.
    slots : sequence of [(W^1, b^1 or None), (W^2, b^2 or None)]
        The optimizer's slots in the layout of θ.
    rule, loss : str
    """

    def __init__(self, X, Y, layers, slots, rule, loss):
        dtype = X.dtype
        (W, b), output = layers.parameters
        w, v = layers.w, layers.v
        self._has_bias = b is not None
        self._rule, self._loss = rule, loss
        self._inputs = tile_inputs(X, w[0], v[0], self._has_bias)
        self._panels = panels(self._inputs)
        self._Y = Y[self._inputs.order]
        self._v = dtype.type(v[1])
        self._m = len(W)
        split = self._inputs.split
        self._matrix = with_slots(split(W, b), [split(*first) for first, _ in slots])
        padded = self._matrix.theta.shape[1]
        # The output layer's weights, and its bias behind them where no neuron touches it.
        vector, *own = (self._output_vector(o, padded) for o in (output, *(o for _, o in slots)))
        self._output = with_slots(vector, own)
        lanes = LINE // dtype.itemsize
        columns = -(-len(X) // lanes) * lanes
        self._hidden = Hidden(
            aligned_empty((padded, columns), dtype),
            aligned_empty((-(-padded // CHUNK), columns), dtype),
            dtype.type(w[1]),
        )
        self._s = np.empty(len(X), dtype)
        self._work = None
        tiles, W, n_workers = self._matrix.theta, self._output.theta, get_num_threads()
        _forward[n_workers](self._hidden, tiles, self._panels, W, task_counter())

    def _output_vector(self, layer, padded):
        W, b = layer
        out = aligned_zeros(padded + 1, W.dtype)
        out[: self._m] = W[0]
        if b is not None:
            out[padded] = b[0]
        return out

    def evaluate(self, sample_weights):
        """The loss; s_n = sample_weights_n ℓ'(f_n, y_n) goes where ``step`` takes it from."""
        n = len(self._Y)
        f = self._hidden.parts[:, :n].sum(axis=0)
        f += self._v * self._output.theta[-1]
        row = sample_weights[self._inputs.order]
        return loss_and_derivatives(LOSSES[self._loss], f, self._Y, row, self._s)

    def step(self, coefficients):
        """One step of the rule, with the loss's derivatives of the last ``evaluate``."""
        s, dtype = self._s, self._s.dtype
        step, matrix, output = step_of(self._rule, coefficients, dtype), self._matrix, self._output
        grid, work = self._inputs.grid, self._work_space()
        hidden, panels, counter = self._hidden, self._panels, task_counter()
        _step[len(work.table)](hidden, matrix, output, step, s, grid, panels, work, counter)
        if self._has_bias:
            gradient = np.array([self._v * s.sum()], dtype)
            apply_step(step, output, len(output.theta) - 1, gradient, 0, 1)

    def _work_space(self):
        n_threads, dtype = get_num_threads(), self._s.dtype
        if self._work is None or len(self._work.table) != n_threads:
            width, n_groups = self._inputs.shape[1], self._inputs.grid.groups.shape[1]
            self._work = Work(
                aligned_empty((n_threads, CHUNK_GROUPS, 1 << SAMPLES, width), dtype),
                aligned_empty((n_threads, SLAB, width), dtype),
                np.empty((n_threads, SLAB, n_groups), np.uint8),
                np.empty((n_threads, SLAB), dtype),
                np.empty((n_threads, n_groups), np.int32),
            )
        return self._work

    def write(self, layers, slots):
        """Write parameters and slots back, in the layout of θ.

        What the inputs cannot reach, the columns that are always zero, is left as it is.

        Parameters
        ----------
        layers : [(W^1, b^1 or None), (W^2, b^2 or None)]
        slots : sequence of such lists
        """
        targets = (layers, *slots)
        for target, tiles, vector in zip(targets, self._matrix, self._output, strict=False):
            (W, b), (W_out, b_out) = target
            self._inputs.join(tiles, W, b)
            W_out[0] = vector[: self._m]
            if b_out is not None:
                b_out[0] = vector[-1]
