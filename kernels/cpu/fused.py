"""Steps of a network with one hidden layer under any optimizer's rule, one pass over its weights.

A task is a slab of neurons. From their preactivations it takes the active sets, then, tile of
columns by tile, the gradient from tables of subset sums (``tiles``), the rule's step, and the new
preactivations, while parameters and slots are in cache. Neurons do not depend on each other, so
that the results do not depend on how they are shared out; the outputs are summed in chunks of a
fixed size.
"""

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.compiler import (
    CHUNK_GROUPS,
    LINE,
    SAMPLES,
    WORD,
    Aligned,
    aligned_empty,
    parallel_kernel,
)
from ntklin.kernels.cpu.descent import CHUNK, sum_outputs
from ntklin.kernels.cpu.intrinsics import next_task, task_counter
from ntklin.kernels.cpu.losses import LOSSES, loss_and_signal
from ntklin.kernels.cpu.pulls import active_subsets
from ntklin.kernels.cpu.rules import RULES, SLOTS, apply_rule
from ntklin.kernels.cpu.sums import clear_rows, relu_dot
from ntklin.kernels.cpu.tiles import (
    add_gradients,
    add_product,
    live_groups,
    panels,
    tabulate_groups,
    tile_inputs,
    zeros,
)

# Neurons of a task: enough of them to share the tables, few enough for a second-level cache; a
# whole number of chunks.
SLAB = 4 * CHUNK


@parallel_kernel
def _forward(H, tiles, values, offsets, starts, W, w, parts, n_workers, counter):
    """H ← the preactivations, and the parts of the outputs."""
    m = H.shape[0]
    for _ in prange(n_workers):
        row = next_task(counter) * SLAB
        while row < m:
            stop = min(row + SLAB, m)
            clear_rows(H, row, stop)
            for t in range(tiles.shape[0]):
                for block in range(row, stop, WORD):
                    add_product(H, block, tiles, t, values, offsets, starts)
            sum_outputs(H, row, stop, W, w, parts)
            row = next_task(counter) * SLAB


@parallel_kernel
def _step(
    H,
    tiles,
    first,
    second,
    W,
    first_out,
    second_out,
    w,
    rule,
    c,
    s,
    X,
    groups,
    n_groups,
    values,
    offsets,
    starts,
    parts,
    table,
    gradient,
    subsets,
    scale,
    found,
    counter,
):
    n_tiles, m, width = tiles.shape
    flat, flat_first, flat_second = tiles.reshape(-1), first.reshape(-1), second.reshape(-1)
    for worker in prange(table.shape[0]):
        my_table, my_gradient, my_subsets = table[worker], gradient[worker], subsets[worker]
        my_scale, my_found = scale[worker], found[worker]
        flat_gradient = my_gradient.reshape(-1)
        row = next_task(counter) * SLAB
        while row < m:
            stop = min(row + SLAB, m)
            for i in range(row, stop):
                active_subsets(H, i, s.shape[0], my_subsets, i - row)
                my_scale[i - row] = w * W[i]
                flat_gradient[i - row] = w * relu_dot(s, H, i)
            apply_rule(
                *(rule, c, W, first_out, second_out, row, flat_gradient, 0, stop - row),
            )
            clear_rows(H, row, stop)
            for t in range(n_tiles):
                count = live_groups(groups[t], n_groups[t], s, my_found)
                clear_rows(my_gradient, 0, stop - row)
                for start in range(0, count, CHUNK_GROUPS):
                    last = min(start + CHUNK_GROUPS, count)
                    tabulate_groups(my_table, s, X, t, my_found, start, last)
                    add_gradients(
                        *(my_gradient, 0, stop - row, my_subsets, my_found),
                        *(start, last, my_table, my_scale),
                    )
                for block in range(row, stop, WORD):
                    apply_rule(
                        *(rule, c, flat, flat_first, flat_second, (t * m + block) * width),
                        *(flat_gradient, (block - row) * width, WORD * width),
                    )
                    add_product(H, block, tiles, t, values, offsets, starts)
            sum_outputs(H, row, stop, W, w, parts)
            row = next_task(counter) * SLAB


class ShallowNetwork(Aligned):
    """A network with one hidden layer in training, in the layout of its fused steps.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,)
    layers : [(W^1, b^1 or None), (W^2, b^2 or None)]
    slots : sequence of such lists
        The optimizer's slots in the layout of θ.
    w, v : sequences of two floats
    rule, loss : str
    """

    def __init__(self, X, Y, layers, slots, w, v, rule, loss):
        dtype = X.dtype
        W, b = layers[0]
        self.has_bias = b is not None
        self.rule, self.loss = rule, loss
        self.inputs = tile_inputs(X, w[0], v[0], self.has_bias)
        self._panels = panels(self.inputs)
        self._Y = Y[self.inputs.order]
        self._w, self._v = dtype.type(w[1]), dtype.type(v[1])
        self.m = len(W)
        self._tiles = self.inputs.split(W, b)
        self._slots = [self.inputs.split(*first) for first, _ in slots]
        padded = self._tiles.shape[1]
        # The output layer's weights, and its bias behind them where no neuron touches it.
        self._out = self._output_vector(layers[1], padded)
        self._out_slots = [self._output_vector(layer, padded) for _, layer in slots]
        lanes = LINE // dtype.itemsize
        columns = -(-len(X) // lanes) * lanes
        self._H = aligned_empty((padded, columns), dtype)
        self._parts = aligned_empty((-(-padded // CHUNK), columns), dtype)
        self._s = np.empty(len(X), dtype)
        self._work = None
        p = self._panels
        _forward(
            *(self._H, self._tiles, p.values, p.offsets, p.starts, self._out, self._w),
            *(self._parts, get_num_threads(), task_counter()),
        )

    def _output_vector(self, layer, padded):
        W, b = layer
        out = zeros(padded + 1, W.dtype)
        out[: self.m] = W[0]
        if b is not None:
            out[padded] = b[0]
        return out

    def signals(self, weights):
        """The loss, and s_n = weights_n ℓ'(f_n, y_n) into the place that ``step`` takes it from."""
        n = len(self._Y)
        f = self._parts[:, :n].sum(axis=0)
        f += self._v * self._out[-1]
        order = self.inputs.order
        return loss_and_signal(LOSSES[self.loss], f, self._Y, weights[order], self._s)

    def step(self, coefficients):
        """One step of the rule, with the signals of the last call of ``signals``."""
        c = np.array(coefficients, self._H.dtype)
        empty = self._tiles[:0], self._out[:0]
        first, second = (*self._slots, *(empty[0],) * (2 - SLOTS[self.rule]))
        first_out, second_out = (*self._out_slots, *(empty[1],) * (2 - SLOTS[self.rule]))
        x, p, s = self.inputs, self._panels, self._s
        _step(
            *(self._H, self._tiles, first, second, self._out, first_out, second_out, self._w),
            *(RULES[self.rule], c, s, x.X, x.groups, x.n_groups),
            *(p.values, p.offsets, p.starts, self._parts, *self._work_space(), task_counter()),
        )
        if self.has_bias:
            gradient = np.array([self._v * s.sum()], s.dtype)
            place = len(self._out) - 1
            apply_rule(
                *(RULES[self.rule], c, self._out, first_out, second_out, place, gradient, 0, 1)
            )

    def _work_space(self):
        """For each thread: table, gradient, subsets, scale and found of ``_step``."""
        n_threads, dtype = get_num_threads(), self._H.dtype
        if self._work is None or len(self._work[0]) != n_threads:
            width, n_groups = self.inputs.X.shape[2], self.inputs.groups.shape[1]
            self._work = (
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
        """
        tiles = (self._tiles, *self._slots)
        out = (self._out, *self._out_slots)
        for target, tile, vector in zip((layers, *slots), tiles, out, strict=True):
            (W, b), (W_out, b_out) = target
            self.inputs.join(tile, W, b)
            W_out[0] = vector[: self.m]
            if b_out is not None:
                b_out[0] = vector[-1]
