"""Fused steps of the linearized network on its last two layers, for any activation or outputs.

The signals that reach the last hidden layer are δ^c_ni = u_ci α'_ni, so that with ã of ``tiles``

    g_i = Σ_n D_in ã_n,  D_in = α'_ni Σ_c u_ci s_nc,    (φ Δ)_nc = Σ_i u_ci α'_ni ã_n · Δ_i.

C outputs cost one pass over Δ, like one. A task is a slab of neurons (see ``tile_steps``): their
signals D, the gradient, the rule and the change of the outputs while they are in cache.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu.aligned import Aligned, aligned_empty, aligned_zeros
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter
from ntklin.kernels.cpu.rules import SLOTS, Step, WithSlots, apply_step, with_slots
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
from ntklin.kernels.cpu.tiles import tile_inputs

# Weights of an output's task: fixed, so that the sums over tasks do not depend on the threads.
CHUNK = 256


class Sloped(NamedTuple):
    """Backward signals u ∘ α'.

    Attributes
    ----------
    u : ndarray, shape (C, m)
    slopes : ndarray, shape (m, N)
        α'.
    """

    u: np.ndarray
    slopes: np.ndarray


@parallel_kernel
def _sloped_step(
    worker,
    H,
    matrix: WithSlots,
    step: Step,
    sloped: Sloped,
    signal: Signal,
    inputs: TileInputs,
    parts,
    work: Work,
    counter,
):
    """The rule's step, and parts[slab] ← u (α' ∘ Δ ã^T) of its neurons; H is work space."""
    u, slopes = sloped
    s, seen = signal
    m, n_samples = slopes.shape
    one = H.dtype.type(1)
    D, gradient, found = work.D[worker], work.gradient[worker], work.found[worker]
    task = next_task(counter)
    while task < parts.shape[0]:
        start = task * SLAB
        end = min(start + SLAB, H.shape[0])
        stop = min(end, m)
        count = stop - start
        gemm(TRANSPOSED, PLAIN, one, u[:, start:stop], s, one * 0, D[:count, :n_samples])
        multiply_rows(D, 0, slopes, start, stop)
        clear_rows(D, count, end - start)
        step_neurons(H, start, end, step, matrix, inputs, seen, (D, gradient, found))
        multiply_rows(H, start, slopes, start, stop)
        products = H[start:stop, :n_samples]
        gemm(PLAIN, PLAIN, one, u[:, start:stop], products, one * 0, parts[task])
        task = next_task(counter)


class LinearizedSlopes(Aligned):
    """The weights into the last hidden layer of a linearized network, and their optimizer's slots.

    Parameters
    ----------
    a : ndarray, shape (N, K)
        The layer's inputs.
    slopes : ndarray, shape (N, m)
        α' of what it gives.
    u : ndarray, shape (C, m)
        The output layer's weights times their scale.
    w, v : float
        The layer's scales.
    has_bias : bool
    rule : str
    """

    def __init__(self, a, slopes, u, w, v, has_bias, rule):
        (n, m), dtype = slopes.shape, a.dtype
        self._tiles = tile_inputs(a, w, v, has_bias)
        self._inputs = step_inputs(self._tiles)
        n_tiles, width = self._tiles.shape
        shape = n_tiles, -(-m // WORD) * WORD, width
        theta, *slots = (aligned_zeros(shape, dtype) for _ in range(1 + SLOTS[rule]))
        self._matrix = with_slots(theta, slots)
        own = slopes[self._tiles.order].T.astype(dtype, order="C")
        self._sloped = Sloped(np.ascontiguousarray(u), own)
        lanes = LINE // dtype.itemsize
        self._H = aligned_empty((shape[1], -(-n // lanes) * lanes), dtype)
        self._parts = np.empty((-(-shape[1] // SLAB), len(u), n), dtype)
        self._work = None

    def take(self, step, s, changes):
        """One step with the weighted loss derivatives s, (N C,); adds φ Δ to ``changes``."""
        order = self._tiles.order
        s = np.ascontiguousarray(s.reshape(len(order), -1)[order].T)
        if self._work is None or len(self._work.D) != get_num_threads():
            self._work = step_work_space(self._inputs, len(s), len(self._H))
        signal, inputs, work = Signal(s, (s != 0).any(axis=0)), self._inputs, self._work
        layer = self._H, self._matrix, step, self._sloped
        with sequential_blas:
            _sloped_step[len(work.D)](*layer, signal, inputs, self._parts, work, task_counter())
        changes.reshape(len(order), -1)[order] += self._parts.sum(axis=0).T

    def read(self, layer, slots):
        """Take Δ and the slots from pairs (W, b), as ``write`` wrote them."""
        for source, tiles in zip((layer, *slots), self._matrix, strict=False):
            tiles[...] = self._tiles.split(*source)

    def write(self, layer, slots):
        """Write Δ and the slots to pairs (W, b); columns without inputs keep what they hold."""
        for target, tiles in zip((layer, *slots), self._matrix, strict=False):
            self._tiles.join(tiles, *target)


@parallel_kernel
def _outputs_step(task, A, s, step: Step, vectors: WithSlots, parts):
    """Gradient s A^T, the rule, and parts[task] = W A of each task's weights; W is (C, K)."""
    W, first, second = vectors
    flat = WithSlots(W.reshape(-1), first.reshape(-1), second.reshape(-1))
    one = A.dtype.type(1)
    start = task * CHUNK
    stop = min(start + CHUNK, A.shape[0])
    gradient = np.empty((s.shape[0], stop - start), A.dtype)
    gemm(PLAIN, TRANSPOSED, one, s, A[start:stop, :], one * 0, gradient)
    for c in range(s.shape[0]):
        own = gradient.reshape(-1)
        apply_step(step, flat, c * A.shape[0] + start, own, c * (stop - start), stop - start)
    gemm(PLAIN, PLAIN, one, W[:, start:stop], A[start:stop, :], one * 0, parts[task])


class LinearizedOutputs:
    """The output layer of a linearized network of C outputs: its features are its inputs (w a, v).

    Parameters
    ----------
    a : ndarray, shape (N, K)
    n_outputs : int
    w, v : float
    has_bias : bool
    rule : str
    """

    def __init__(self, a, n_outputs, w, v, has_bias, rule):
        (n, k), dtype = a.shape, a.dtype
        self._A = np.empty((k + has_bias, n), dtype)
        self._A[:k] = dtype.type(w) * a.T
        if has_bias:
            self._A[k] = v
        shape = n_outputs, len(self._A)
        theta, *slots = (np.zeros(shape, dtype) for _ in range(1 + SLOTS[rule]))
        self._vectors = with_slots(theta, slots)
        self._parts = np.empty((-(-len(self._A) // CHUNK), n_outputs, n), dtype)

    def take(self, step, s, changes):
        """One step with the weighted loss derivatives s, (N C,); adds φ Δ to ``changes``."""
        n = self._A.shape[1]
        s = np.ascontiguousarray(s.reshape(n, -1).T)
        with sequential_blas:
            _outputs_step[len(self._parts)](self._A, s, step, self._vectors, self._parts)
        changes += self._parts.sum(axis=0).T.reshape(-1)

    def read(self, layer, slots):
        """Take Δ and the slots from pairs (W, b), as ``write`` wrote them."""
        for (W, b), target in zip((layer, *slots), self._vectors, strict=False):
            target[:, : W.shape[1]] = W
            if b is not None:
                target[:, -1] = b

    def write(self, layer, slots):
        """Write Δ and the slots to pairs (W, b)."""
        for (W, b), source in zip((layer, *slots), self._vectors, strict=False):
            W[...] = source[:, : W.shape[1]]
            if b is not None:
                b[...] = source[:, -1]
