"""Fused steps of the linearized network on a layer below the last hidden one.

Backward signals are any numbers there. A task is a block of neurons: its gradient by a matrix
product, the rule, and its change of the outputs by another, while the block is in cache.
"""

from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.rules import SLOTS, Step, WithSlots, apply_step, with_slots

# Neurons of a task: 64 rows of 1,000 weights and as many of their gradient fill a megabyte. Fixed,
# so that the sums over tasks do not depend on the number of threads.
BLOCK = 64


class Features(NamedTuple):
    """A layer's features w δ ⊗ a and v δ, for a (N, K) and δ (N C, m), C rows an input."""

    a: np.ndarray
    delta: np.ndarray
    w: float
    v: float


@parallel_kernel
def _block_step(
    task,
    features: Features,
    s,
    step: Step,
    matrix: WithSlots,
    biases: WithSlots,
    parts,
):
    """The biases may be none."""
    a, delta, w, v = features
    (W, first, second), b = matrix, biases.theta
    flat = WithSlots(W.reshape(-1), first.reshape(-1), second.reshape(-1))
    n_samples, n_in = a.shape
    n_outputs = delta.shape[0] // n_samples
    has_bias = b.shape[0] > 0
    start = task * BLOCK
    count = min(BLOCK, W.shape[0] - start)
    scaled = np.empty((n_samples, count), a.dtype)
    for n in range(n_samples):
        first_row = n * n_outputs
        for i in range(count):
            scaled[n, i] = delta[first_row, start + i] * s[first_row]
        for row in range(first_row + 1, first_row + n_outputs):
            for i in range(count):
                scaled[n, i] += delta[row, start + i] * s[row]
    gradient = np.empty((count, n_in), a.dtype)
    gemm(TRANSPOSED, PLAIN, w, scaled, a, w * 0, gradient)
    apply_step(step, flat, start * n_in, gradient.reshape(-1), np.int64(0), count * n_in)
    if has_bias:
        sums = np.zeros(count, a.dtype)
        for n in range(n_samples):
            for i in range(count):
                sums[i] += v * scaled[n, i]
        apply_step(step, biases, start, sums, np.int64(0), count)
    products = np.empty((n_samples, count), a.dtype)
    gemm(PLAIN, TRANSPOSED, w, a, W[start : start + count, :], w * 0, products)
    for n in range(n_samples):
        for row in range(n * n_outputs, (n + 1) * n_outputs):
            total = w * 0
            for i in range(count):
                shift = v * b[start + i] if has_bias else w * 0
                total += delta[row, start + i] * (products[n, i] + shift)
            parts[task, row] = total


class LinearizedBlocks:
    """The weights into a lower hidden layer of a linearized network, and their optimizer's slots.

    Parameters
    ----------
    a : ndarray, shape (N, K)
        The layer's inputs.
    delta : ndarray, shape (N C, m)
        Its backward signals.
    w, v : float
        The layer's scales.
    has_bias : bool
    rule : str
    """

    def __init__(self, a, delta, w, v, has_bias, rule):
        dtype, m = a.dtype, delta.shape[1]
        self._features = Features(np.ascontiguousarray(a), delta, dtype.type(w), dtype.type(v))
        shapes = (m, a.shape[1]), (m * has_bias,)
        zeros = ([np.zeros(shape, dtype) for _ in range(1 + SLOTS[rule])] for shape in shapes)
        self._matrix, self._biases = (with_slots(theta, slots) for theta, *slots in zeros)
        self._parts = np.empty((-(-m // BLOCK), len(delta)), dtype)

    def take(self, step, s, changes):
        """One step with the weighted loss derivatives s, (N C,); adds φ Δ to ``changes``."""
        with sequential_blas:
            _block_step[len(self._parts)](
                self._features, s, step, self._matrix, self._biases, self._parts
            )
        changes += self._parts.sum(axis=0)

    def read(self, layer, slots):
        """Take Δ and the slots from pairs (W, b), as ``write`` wrote them."""
        sources = (layer, *slots)
        for (W, b), target, biases in zip(sources, self._matrix, self._biases, strict=False):
            target[...] = W
            if b is not None:
                biases[...] = b

    def write(self, layer, slots):
        """Write Δ and the slots to pairs (W, b)."""
        targets = (layer, *slots)
        for (W, b), source, biases in zip(targets, self._matrix, self._biases, strict=False):
            W[...] = source
            if b is not None:
                b[...] = biases
