"""The steps of ``fused`` for any activation, several outputs or both.

The backward signal of neuron i is D_in = w Σ_c W_ci r_cn α'_in, where r are the derivatives of the
loss times the samples' weights: any numbers, of which the slab makes its gradient by products that
leave out zero inputs (see ``tile_steps``). What belongs to a slab is all taken while it is in
cache, its weights in the output layer and its parts of the outputs as well.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu.activations import ActivationLoop, row
from ntklin.kernels.cpu.aligned import Aligned, aligned_empty
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.intrinsics import next_task, task_counter
from ntklin.kernels.cpu.losses import LOSSES, losses_and_derivatives
from ntklin.kernels.cpu.rules import Step, WithSlots, apply_step, step_of, with_slots
from ntklin.kernels.cpu.sizes import LINE, WORD
from ntklin.kernels.cpu.sums import clear_rows
from ntklin.kernels.cpu.tile_steps import (
    SLAB,
    Signal,
    TileInputs,
    Work,
    multiply_rows,
    step_inputs,
    step_neurons,
    step_work_space,
)
from ntklin.kernels.cpu.tiles import Panels, add_product, tile_inputs


class Hidden(NamedTuple):
    """The hidden layer, its rows padded to whole words where they are not of the output layer.

    Attributes
    ----------
    A : ndarray, shape (padded m, whole lines of samples)
        α(h).
    slopes : ndarray, shape (m, N)
        α'(h).
    parts : ndarray, shape (slabs, C, N)
        Each slab's share of w W A.
    w : float
        The output layer's scale.
    """

    A: np.ndarray
    slopes: np.ndarray
    parts: np.ndarray
    w: float


@ActivationLoop
def _forward(_, kind, p, hidden, tiles, panels, W, counter):
    """A ← the activations, with slopes and the parts of the outputs."""
    A, slopes, parts, w = hidden
    m, n_samples = slopes.shape
    task = next_task(counter)
    while task < parts.shape[0]:
        start = task * SLAB
        end = min(start + SLAB, A.shape[0])
        stop = min(end, m)
        clear_rows(A, start, end)
        for t in range(tiles.shape[0]):
            for block in range(start, end, WORD):
                add_product(A, block, tiles, t, panels)
        for i in range(start, stop):
            row(kind, p, A, slopes, i, 0, n_samples)
        gemm(PLAIN, PLAIN, w, W[:, start:stop], A[start:stop, :n_samples], w * 0, parts[task])
        task = next_task(counter)


@ActivationLoop
def _step(
    worker,
    kind,
    p,
    hidden: Hidden,
    layers,
    step: Step,
    signal: Signal,
    inputs: TileInputs,
    work: Work,
    counter,
):
    """``layers`` are the hidden one's W, in tiles, and the output's, (C, m), with their slots."""
    A, slopes, parts, w = hidden
    matrix, (W, first, second) = layers
    r, seen = signal
    flat = WithSlots(W.reshape(-1), first.reshape(-1), second.reshape(-1))
    m, n_samples = slopes.shape
    D, gradient, found = work.D[worker], work.gradient[worker], work.found[worker]
    above = work.above[worker]
    flat_above = above.reshape(-1)
    task = next_task(counter)
    while task < parts.shape[0]:
        start = task * SLAB
        end = min(start + SLAB, A.shape[0])
        stop = min(end, m)
        count = stop - start
        gemm(TRANSPOSED, PLAIN, w, W[:, start:stop], r, w * 0, D[:count, :n_samples])
        multiply_rows(D, 0, slopes, start, stop)
        clear_rows(D, count, end - start)
        gemm(PLAIN, TRANSPOSED, w, r, A[start:stop, :n_samples], w * 0, above[:, :count])
        for c in range(W.shape[0]):
            apply_step(step, flat, c * m + start, flat_above, c * SLAB, count)
        step_neurons(A, start, end, step, matrix, inputs, seen, (D, gradient, found))
        for i in range(start, stop):
            row(kind, p, A, slopes, i, 0, n_samples)
        gemm(PLAIN, PLAIN, w, W[:, start:stop], A[start:stop, :n_samples], w * 0, parts[task])
        task = next_task(counter)


class GeneralShallowNetwork(Aligned):
    """As ``fused.ShallowNetwork``, for any activation, and for Y of shape (N, C) too."""

    def __init__(self, X, Y, layers, slots, rule, loss):
        dtype, n = X.dtype, len(X)
        (W, b), (W_out, b_out) = layers.parameters
        w, v = layers.w, layers.v
        self._rule, self._loss, self._body = rule, loss, layers.activation
        self._tiles = tile_inputs(X, w[0], v[0], b is not None)
        self._inputs = step_inputs(self._tiles)
        self._Y = np.ascontiguousarray(Y.reshape(n, -1)[self._tiles.order].T)
        self._v = dtype.type(v[1])
        split = self._tiles.split
        self._matrix = with_slots(split(W, b), [split(*first) for first, _ in slots])
        output = [(W_out, b_out), *(layer for _, layer in slots)]
        (weights, *above), (biases, *others) = zip(*output, strict=True)
        self._output = with_slots(weights.copy(), [a.copy() for a in above])
        self._bias = None
        if biases is not None:
            self._bias = with_slots(biases.copy(), [a.copy() for a in others])
        lanes, padded = LINE // dtype.itemsize, self._matrix.theta.shape[1]
        self._hidden = Hidden(
            aligned_empty((padded, -(-n // lanes) * lanes), dtype),
            np.empty((len(W), n), dtype),
            np.empty((-(-padded // SLAB), *self._Y.shape), dtype),
            dtype.type(w[1]),
        )
        self._r = np.empty_like(self._Y)
        self._work = None
        panels = Panels(*self._inputs[3:])
        layer = self._hidden, self._matrix.theta, panels, self._output.theta
        with sequential_blas:
            _forward[get_num_threads()](self._body, *layer, task_counter())

    def evaluate(self, sample_weights):
        """The loss; its weighted derivatives go where ``step`` takes them from."""
        f = self._hidden.parts.sum(axis=0)
        if self._bias is not None:
            f += self._v * self._bias.theta[:, None]
        weights = sample_weights[self._tiles.order]
        return losses_and_derivatives(LOSSES[self._loss], f, self._Y, weights, self._r)

    def step(self, coefficients):
        """One step of the rule, with the loss's derivatives of the last ``evaluate``."""
        r = self._r
        step, signal = step_of(self._rule, coefficients, r.dtype), Signal(r, (r != 0).any(axis=0))
        if self._work is None or len(self._work.D) != get_num_threads():
            self._work = step_work_space(self._inputs, len(r), len(self._hidden.A))
        moved = self._hidden, (self._matrix, self._output)
        with sequential_blas:
            inputs, work = self._inputs, self._work
            _step[len(work.D)](self._body, *moved, step, signal, inputs, work, task_counter())
        if self._bias is not None:
            apply_step(step, self._bias, 0, self._v * r.sum(axis=1), 0, len(r))

    def write(self, layers, slots):
        """Write parameters and slots back, in the layout of θ; see ``fused.ShallowNetwork``."""
        for target, tiles, output in zip(
            (layers, *slots), self._matrix, self._output, strict=False
        ):
            (W, b), (W_out, _) = target
            self._tiles.join(tiles, W, b)
            W_out[...] = output
        if self._bias is not None:
            for (_, (_, b)), own in zip((layers, *slots), self._bias, strict=False):
                b[...] = own
