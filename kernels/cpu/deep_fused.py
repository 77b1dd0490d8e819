"""Steps of a network with several hidden layers under any optimizer's rule.

The last hidden layer, which is the most of it, takes one pass over W, the slots and the rule: tile
of columns by tile, the signal that W passes down, the gradient from tables of subset sums, and the
rule's step, so that no gradient of its size is made. Hidden layers below it take the rule by blocks
of rows behind the product that is their gradient, and the first one steps as ``tile_steps`` does,
with its new preactivations while its weights are in cache.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import Aligned, aligned_empty
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.deep_layers import forward_above, hidden_backward, room_for_activations
from ntklin.kernels.cpu.intrinsics import next_task, prefetch, task_counter, wide_vectors
from ntklin.kernels.cpu.losses import LOSSES, loss_and_derivatives
from ntklin.kernels.cpu.neuron_subsets import (
    Active,
    Work,
    active_bits,
    add_neurons,
    far_apart,
    tabulate_weights,
    whole_words,
    work_space,
)
from ntklin.kernels.cpu.outputs import CHUNK, output_parts, sum_parts
from ntklin.kernels.cpu.passes import tables_pay
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.rules import Step, WithSlots, apply_step, step_of, with_slots
from ntklin.kernels.cpu.sample_subsets import (
    active_samples,
    add_groups,
    sample_tables,
    tabulate_samples,
)
from ntklin.kernels.cpu.shares import share
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, LINE, SUBSET_LINES, WORD
from ntklin.kernels.cpu.skipping import write_transposed
from ntklin.kernels.cpu.sums import active_sum, clear_rows, gate_row, relu_dot, relu_of
from ntklin.kernels.cpu.tile_steps import (
    SLAB,
    TileInputs,
    step_inputs,
    step_neurons,
    step_work_space,
)
from ntklin.kernels.cpu.tiles import Panels, add_product, tile_inputs
from ntklin.kernels.structures import Layer

# Rows of a hidden matrix whose gradient is made at a time: it stays in a second-level cache.
BLOCK = 32


@parallel_kernel
def _first_forward(task, H, A, tiles, panels: Panels, slab):
    """H ← the first layer's preactivations, and A ← its activations."""
    start = task * slab
    stop = min(start + slab, H.shape[0])
    clear_rows(H, start, stop)
    for t in range(tiles.shape[0]):
        for block in range(start, stop, WORD):
            add_product(H, block, tiles, t, panels)
    for i in range(start, min(stop, A.shape[0])):
        relu_of(A, i, H)


class Seen(NamedTuple):
    """What a step sees at the first layer.

    Attributes
    ----------
    delta : ndarray, shape (m, n)
        The layer's signals, of the samples that are seen.
    r : ndarray, shape (n,)
        The loss's derivatives there, times the samples' weights.
    samples : ndarray of int, shape (n,)
        Which these are.
    is_seen : ndarray of bool, shape (N,)
    """

    delta: np.ndarray
    r: np.ndarray
    samples: np.ndarray
    is_seen: np.ndarray


@kernel
def _weigh(D, k, seen: Seen, i):
    """D[k, n] ← δ_i r for the samples n that are seen."""
    for p in range(seen.samples.shape[0]):
        D[k, seen.samples[p]] = seen.delta[i, p] * seen.r[p]


@parallel_kernel
def _first_step(
    worker,
    H,
    A,
    seen: Seen,
    step: Step,
    matrix: WithSlots,
    inputs: TileInputs,
    work,
    slab,
    counter,
):
    """The step of the first layer, its preactivations and activations, ``slab`` neurons a task."""
    D, gradient, found = work.D[worker], work.gradient[worker], work.found[worker]
    start = next_task(counter) * slab
    while start < H.shape[0]:
        end = min(start + slab, H.shape[0])
        stop = min(end, A.shape[0])
        for i in range(start, stop):
            _weigh(D, i - start, seen, i)
        clear_rows(D, stop - start, end - start)
        step_neurons(H, start, end, step, matrix, inputs, seen.is_seen, (D, gradient, found))
        for i in range(start, stop):
            relu_of(A, i, H)
        start = next_task(counter) * slab


@parallel_kernel
def _output_gradient(task, W, w, r, A, v, scale, of_W, of_b):
    """The gradients of the output weights and of the biases below them; scale ← w W."""
    for i in range(task * CHUNK, min((task + 1) * CHUNK, A.shape[0])):
        scale[i] = w * W[i]
        of_b[i] = v * scale[i] * active_sum(r, A, i)
        of_W[i] = w * relu_dot(r, A, i)


@twin(plain.prefetch_row)
@kernel
def _prefetch_row(matrix: WithSlots, i, j):
    """Ask for a tile's part of a row: rows lie too far apart for the hardware to foresee."""
    theta, first, second = matrix
    place = (i * theta.shape[1] + j) * theta.itemsize
    for line in range(SUBSET_LINES):
        prefetch((theta, place + line * LINE))
        if first.shape[0] > 0:
            prefetch((first, place + line * LINE))
        if second.shape[0] > 0:
            prefetch((second, place + line * LINE))


@kernel
def _scale_row(gradient, k, factor):
    wide_vectors()
    k = np.uint64(k)
    for q in range(np.uint64(gradient.shape[1])):
        gradient[k, q] *= factor


@kernel
def _last_tile(matrix: WithSlots, j, active: Active, r, below, delta, step: Step, work, room):
    """The columns j … of :func:`_last_step`; the work space is the thread's own."""
    W, first, second = matrix
    flat = WithSlots(W.reshape(-1), first.reshape(-1), second.reshape(-1))
    (scale, bits, index), (sums, tile, table), (tables, gradient) = active, work, room
    flat_gradient, width, zero = gradient.reshape(-1), gradient.shape[1], np.int64(0)
    columns = min(width, W.shape[1] - j)
    n_chunks = (index.shape[1] + CHUNK_GROUPS - 1) // CHUNK_GROUPS
    clear_rows(sums, 0, below.shape[1])
    for chunk in range(n_chunks):
        tabulate_samples(tables, r, below, chunk, j, False)
        for start in range(0, W.shape[0], WORD):
            stop = min(start + WORD, W.shape[0])
            # Of several chunks the sums of all rows are kept, of one those of a few.
            place = start if n_chunks > 1 else zero
            if chunk == 0:
                tabulate_weights(table, W, start, j, scale, tile)
                add_neurons(sums, bits, start // WORD, 0, bits.shape[1], table)
                clear_rows(gradient, place, place + stop - start)
            add_groups(gradient, place, start, stop, index, chunk, tables)
            if chunk < n_chunks - 1:
                continue
            for i in range(start, stop):
                if i + WORD < W.shape[0]:
                    _prefetch_row(matrix, i + WORD, j)
                row = place + i - start
                _scale_row(gradient, row, scale[i])
                apply_step(step, flat, i * W.shape[1] + j, flat_gradient, row * width, columns)
    write_transposed(delta, j, zero, sums, zero, zero, columns, below.shape[1])
    for i in range(j, j + columns):
        gate_row(delta, i, below, i)


@parallel_kernel
def _last_step(
    worker,
    matrix: WithSlots,
    active: Active,
    r,
    below,
    delta,
    step: Step,
    work: Work,
    rooms,
    counter,
):
    """The rule's step of the last hidden layer's W, and the signal that W passed down before.

    δ = (c ∘ 1[a' > 0])^T W ∘ 1[a > 0], and the gradient of W is c ∘ (1[a' > 0] (r ∘ a)).
    """
    sums, tile, table = work
    n_workers, _, width = sums.shape
    n_columns = matrix.theta.shape[1]
    n_tiles = (n_columns + n_workers * width - 1) // (n_workers * width)
    mine = Work(sums[worker], tile[worker], table[worker])
    tables, gradients = rooms
    room = tables[worker], gradients[worker]
    task = next_task(counter)
    while task < n_workers * n_tiles:
        j = far_apart(task, n_workers, n_tiles) * width
        if j < n_columns:
            _last_tile(matrix, j, active, r, below, delta, step, mine, room)
        task = next_task(counter)


@parallel_kernel
def _hidden_step(task, matrix: WithSlots, w, signal, below, step: Step):
    """The rule's step of a hidden layer's W, whose gradient is w D a^T, by blocks of its rows."""
    W, first, second = matrix
    flat = WithSlots(W.reshape(-1), first.reshape(-1), second.reshape(-1))
    start = task * BLOCK
    stop = min(start + BLOCK, W.shape[0])
    gradient, zero = np.empty((stop - start, W.shape[1]), W.dtype), np.int64(0)
    gemm(PLAIN, TRANSPOSED, w, signal[start:stop, :], below, w * 0, gradient)
    count = (stop - start) * W.shape[1]
    apply_step(step, flat, start * W.shape[1], gradient.reshape(-1), zero, count)


class _Parameters(NamedTuple):
    """Those of a layer above the first, with their slots and scales; the biases may be none."""

    matrix: WithSlots
    bias: WithSlots | None
    w: float
    v: float

    def layer(self):
        """As a forward pass takes it."""
        W = self.matrix.theta
        b = np.zeros(len(W), W.dtype) if self.bias is None else self.bias.theta
        return Layer(W, b, self.w, self.v)


class DeepNetwork(Aligned):
    """As ``fused.ShallowNetwork``, of ReLU and one output with several hidden layers."""

    def __init__(self, X, Y, layers, slots, rule, loss):
        dtype, n = X.dtype, len(X)
        scalar = dtype.type
        (W, b), *above = layers.parameters
        self._rule, self._loss = rule, loss
        self._tiles = tile_inputs(X, layers.w[0], layers.v[0], b is not None)
        self._inputs = step_inputs(self._tiles)
        self._Y, self._m = Y[self._tiles.order], len(W)
        split = self._tiles.split
        self._first = with_slots(split(W, b), [split(*slot[0]) for slot in slots])
        *self._hidden, self._output = (
            _Parameters(
                with_slots(_own(W), [_own(slot[l][0]) for slot in slots]),
                None if b is None else with_slots(b.copy(), [slot[l][1].copy() for slot in slots]),
                scalar(layers.w[l]),
                scalar(layers.v[l]),
            )
            for l, (W, b) in enumerate(above, 1)
        )
        widths = [self._m, *(len(p.matrix.theta) for p in self._hidden)]
        self._activations = room_for_activations(widths, n, dtype)
        lanes = LINE // dtype.itemsize
        H = aligned_empty((self._first.theta.shape[1], -(-n // lanes) * lanes), dtype)
        self._H = H
        self._s, self._f = np.empty(n, dtype), np.empty(n, dtype)
        self._parts = aligned_empty((-(-widths[-1] // CHUNK), n), dtype)
        A, panels = self._activations.by_neurons[0], Panels(*self._inputs[3:])
        self._work = None
        self._slab = -(-share(self._m, WORD, SLAB) // WORD) * WORD
        n_slabs = -(-len(H) // self._slab)
        _first_forward[n_slabs](H, A, self._first.theta, panels, self._slab)
        with sequential_blas:
            self._forward()

    def _forward(self):
        """The outputs, from the first layer's activations."""
        *hidden, output = (p.layer() for p in (*self._hidden, self._output))
        forward_above(hidden, self._activations)
        W, shift = output.W[0], output.v * output.b[0]
        A, parts = self._activations.by_neurons[-1], self._parts
        output_parts[len(parts)](A, W, output.w, parts)
        sum_parts(self._f, self._parts, shift)

    def evaluate(self, sample_weights):
        """The loss; s_n = sample_weights_n ℓ'(f_n, y_n) goes where ``step`` takes it from."""
        row = sample_weights[self._tiles.order]
        return loss_and_derivatives(LOSSES[self._loss], self._f, self._Y, row, self._s)

    def step(self, coefficients):
        """One step of the rule, with the loss's derivatives of the last ``evaluate``."""
        step = step_of(self._rule, coefficients, self._s.dtype)
        if self._work is None or len(self._work.D) != get_num_threads():
            self._work = step_work_space(self._inputs, 1, self._slab)
        is_seen = self._s != 0
        samples, A = np.flatnonzero(is_seen), self._activations.by_neurons
        r = self._s[samples]
        if len(samples) < len(is_seen):
            A = [np.take(a, samples, axis=1) for a in A]
        delta = [np.empty_like(a) for a in A[:-1]]
        with sequential_blas:
            self._step_above(step, r, A, delta)
            moved = self._H, self._activations.by_neurons[0]
            seen = Seen(delta[0], r, samples, is_seen)
            given = seen, step, self._first, self._inputs, self._work, self._slab
            _first_step[len(self._work.D)](*moved, *given, task_counter())
            self._forward()

    def _step_above(self, step, r, A, delta):
        """The step of all layers but the first; ``delta`` ← the signals of the hidden ones."""
        scale, of_W, of_b = (np.empty_like(self._output.matrix.theta[0]) for _ in range(3))
        last, output = self._hidden[-1], self._output
        W, w = output.matrix.theta[0], output.w
        _output_gradient[len(self._parts)](W, w, r, A[-1], last.v, scale, of_W, of_b)
        _move(step, output.matrix, of_W)
        _move(step, output.bias, np.array([output.v * r.sum()]))
        _move(step, last.bias, of_b)
        signals = [*delta, None]
        if tables_pay(len(r), r.dtype):
            self._step_last(step, r, A, scale, delta[-1])
            n_dense = len(self._hidden) - 1
        else:
            signals[-1] = np.where(A[-1] > 0, scale[:, None], scale.dtype.type(0))
            n_dense = len(self._hidden)
        for l in range(n_dense - 1, -1, -1):
            (W, _, _), w = self._hidden[l].matrix, self._hidden[l].w
            hidden_backward(W, signals[l + 1], w, A[l], delta[l])
        for l, layer in enumerate(self._hidden[:n_dense]):
            signal = signals[l + 1] * r
            n_blocks = -(-len(signal) // BLOCK)
            _hidden_step[n_blocks](layer.matrix, layer.w, signal, A[l], step)
            if l < len(self._hidden) - 1:
                _move(step, layer.bias, layer.v * signal.sum(axis=1))

    def _step_last(self, step, r, A, scale, delta):
        matrix, _, w, _ = self._hidden[-1]
        bits, index = active_bits(A[-1].T), active_samples(A[-1])
        active = Active(whole_words(w * scale), bits, index)
        dtype, work = r.dtype, work_space(r.dtype, len(r))
        tables = sample_tables(len(work.sums), dtype)
        rows = WORD if index.shape[1] <= CHUNK_GROUPS else len(A[-1])
        gradients = aligned_empty((len(tables), rows, tables.shape[3]), dtype)
        given = matrix, active, r, A[-2], delta, step, work, (tables, gradients)
        _last_step[len(tables)](*given, task_counter())

    def write(self, layers, slots):
        """Write parameters and slots back, in the layout of θ; see ``fused.ShallowNetwork``."""
        for k, target in enumerate((layers, *slots)):
            self._tiles.join(self._first[k], *target[0])
            for (W, b), own in zip(target[1:], (*self._hidden, self._output), strict=True):
                W[...] = own.matrix[k]
                if b is not None:
                    b[...] = own.bias[k]


def _own(W):
    """A copy that begins a cache line, and with it each row of whole lines."""
    copy = aligned_empty(W.shape, W.dtype)
    copy[...] = W
    return copy


def _move(step, parameters, gradient):
    """A step of few parameters, where there are any."""
    if parameters is not None:
        flat = WithSlots(*(a.reshape(-1) for a in parameters))
        apply_step(step, flat, 0, gradient, 0, len(gradient))
