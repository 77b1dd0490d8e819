"""Steps of ``descent`` on a network of any activation, several outputs or both.

Going down, each layer's backward signal D = (w W^T D') ∘ α' and the step of the weights above it
take one pass over those weights; the first layer's signal goes on into its preactivations while the
block of neurons is in cache. Everything is neuron-major, and D is w W^T D' for the sum over the
outputs: one pass, however many there are. Columns of samples that a step does not see are left out.
"""

from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.activations import ActivationLoop, row
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.losses import LOSSES, goes_on, losses_and_derivatives
from ntklin.kernels.cpu.shares import block_size
from ntklin.kernels.cpu.sums import add_row, multiply_row, set_sum
from ntklin.kernels.structures import Layer

# Neurons of a task in the first layer, whose arrays then stay in a second-level cache.
BLOCK = 64
# Neurons per part of the outputs, which are summed alike by any number of threads.
PART = 256


class Weights(NamedTuple):
    """The layer above, its backward signal, and −η w, by which its weights move."""

    layer: Layer
    above: np.ndarray
    step: float


@ActivationLoop
def _activate(i, kind, p, state, A, slopes):
    """A = α(H + moved) and the slopes α' there."""
    H, moved, _, _ = state
    set_sum(A, i, H, moved)
    row(kind, p, A, slopes, i, 0, A.shape[1])


@ActivationLoop
def _hidden_forward(task, kind, p, layer, below, A, slopes, block):
    """A = α(w W A' + v b) and the slopes α' there."""
    W, b, w, v = layer
    start = task * block
    stop = min(start + block, W.shape[0])
    gemm(PLAIN, PLAIN, w, W[start:stop, :], below, w * 0, A[start:stop, :])
    for i in range(start, stop):
        shift = v * b[i]
        for n in range(A.shape[1]):
            A[i, n] += shift
        row(kind, p, A, slopes, i, 0, A.shape[1])


@kernel
def _columns(A, start, stop, samples):
    """Rows start … stop of A, of its columns those that are listed."""
    if samples.shape[0] == A.shape[1]:
        return A[start:stop]
    taken = np.empty((stop - start, samples.shape[0]), A.dtype)
    for i in range(taken.shape[0]):
        for k in range(taken.shape[1]):
            taken[i, k] = A[start + i, samples[k]]
    return taken


@kernel
def _add_columns(S, start, D, samples, n_samples):
    """S[start + i] += D_i, in the columns that are listed."""
    for i in range(D.shape[0]):
        if samples.shape[0] == n_samples:
            add_row(S, start + i, D, i)
        else:
            for k in range(samples.shape[0]):
                S[start + i, samples[k]] += D[i, k]


@kernel
def _signal_and_step(layer, above, step, A, slopes, samples, start, stop, D):
    """D = (w W^T D') ∘ α' of neurons start … stop, and then their weights' step."""
    W, _, w, _ = layer
    columns, one = W[:, start:stop], w / w
    gemm(TRANSPOSED, PLAIN, w, columns, above, w * 0, D)
    seen = _columns(slopes, start, stop, samples)
    for i in range(D.shape[0]):
        multiply_row(D, i, seen, i)
    gemm(PLAIN, TRANSPOSED, step, above, _columns(A, start, stop, samples), one, columns)


@parallel_kernel
def _hidden_backward(task, layer, above, step, A, slopes, samples, D, block):
    """D = (w W^T D') ∘ α', and W ← W + step D' A^T: ``layer`` is the one above."""
    start = task * block
    stop = min(start + block, A.shape[0])
    _signal_and_step(layer, above, step, A, slopes, samples, start, stop, D[start:stop])


@ActivationLoop
def _first_layer(task, kind, p, state, weights: Weights, G, A, slopes, samples):
    """The same for the first layer, which then takes its own step: G is −η G, of the samples."""
    H, moved, _, S = state
    layer, above, step = weights
    start = task * BLOCK
    stop = min(start + BLOCK, A.shape[0])
    D = np.empty((stop - start, samples.shape[0]), A.dtype)
    _signal_and_step(layer, above, step, A, slopes, samples, start, stop, D)
    _add_columns(S, start, D, samples, A.shape[1])
    gemm(PLAIN, PLAIN, step / step, D, G, step / step, moved[start:stop, : A.shape[1]])
    for i in range(start, stop):
        set_sum(A, i, H, moved)
        row(kind, p, A, slopes, i, 0, A.shape[1])


@parallel_kernel
def _output_parts(task, W, w, A, parts):
    """Each block's share of w W A, (blocks, C, N)."""
    start = task * PART
    stop = min(start + PART, A.shape[0])
    gemm(PLAIN, PLAIN, w, W[:, start:stop], A[start:stop, :], w * 0, parts[task])


@kernel
def _sum_parts(f, parts, b, v):
    """f = Σ parts + v b."""
    for c in range(f.shape[0]):
        for n in range(f.shape[1]):
            f[c, n] = v * b[c]
            for task in range(parts.shape[0]):
                f[c, n] += parts[task, c, n]


@kernel
def _add_sums(b, D, step):
    """b ← b + step Σ_n D_n."""
    for i in range(b.shape[0]):
        total = step * 0
        for n in range(D.shape[1]):
            total += D[i, n]
        b[i] += step * total


def general_descent(state, above, G, Y, loss, rate, sample_weights, end):
    """``descend`` for any activation, and for Y of shape (N, C)."""
    H, scalar, body = state.H, state.H.dtype.type, above.activation
    n_samples, n_steps, dtype = len(Y), len(sample_weights), H.dtype
    layers = [Layer(W, b, scalar(w), scalar(v)) for (W, b), w, v in zip(*above[:3], strict=True)]
    *hidden, output = layers
    targets = np.ascontiguousarray(Y.reshape(n_samples, -1).T)
    A = [np.empty((m, n_samples), dtype) for m in (len(H), *(len(layer.W) for layer in hidden))]
    slopes = [np.empty_like(a) for a in A]
    f, r = np.empty_like(targets), np.zeros_like(targets)
    parts = np.empty((-(-len(A[-1]) // PART), *f.shape), dtype)
    falling, losses = -scalar(rate) * G, []
    with sequential_blas:
        _activate[len(A[0])](body, state, A[0], slopes[0])
        for t in range(n_steps + 1):
            for l, layer in enumerate(hidden):
                block = block_size(len(layer.W))
                n_blocks = -(-len(layer.W) // block)
                _hidden_forward[n_blocks](body, layer, A[l], A[l + 1], slopes[l + 1], block)
            _output_parts[len(parts)](output.W, output.w, A[-1], parts)
            _sum_parts(f, parts, output.b, output.v)
            row = sample_weights[t] if t < n_steps else np.zeros(n_samples, dtype)
            losses.append(losses_and_derivatives(LOSSES[loss], f, targets, row, r))
            if t == n_steps or not goes_on(losses[-1], end):
                break
            samples = np.flatnonzero(row)
            is_full = len(samples) == n_samples
            signal, G_seen = r, falling
            if not is_full:
                signal, G_seen = np.ascontiguousarray(r[:, samples]), falling[samples]
            for l in range(len(layers) - 1, 0, -1):
                layer, D = layers[l], np.empty((len(A[l]), len(samples)), dtype)
                step = -scalar(rate) * layer.w
                block = block_size(len(A[l]))
                n_blocks = -(-len(D) // block)
                _hidden_backward[n_blocks](layer, signal, step, A[l], slopes[l], samples, D, block)
                _add_sums(layer.b, signal, -scalar(rate) * layer.v)
                signal = D
            layer = layers[0]
            step = -scalar(rate) * layer.w
            weights, n_blocks = Weights(layer, signal, step), -(-len(H) // BLOCK)
            _first_layer[n_blocks](body, state, weights, G_seen, A[0], slopes[0], samples)
            _add_sums(layer.b, signal, -scalar(rate) * layer.v)
    return np.array(losses)
