"""Steps of ``descent`` on a network with several hidden layers.

About half of the activations that a layer takes is zero, and of δ^1 ∘ r half or more: both are
skipped. The last hidden layer, whose backward signal is a constant where a neuron is active, goes
by tables of subset sums (``neuron_subsets``).
"""

import numpy as np

from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.deep_layers import forward_above, hidden_backward, room_for_activations
from ntklin.kernels.cpu.intrinsics import wide_vectors
from ntklin.kernels.cpu.losses import LOSSES, goes_on, loss_and_derivatives
from ntklin.kernels.cpu.neuron_subsets import backward_step
from ntklin.kernels.cpu.outputs import CHUNK, output_parts, sum_parts
from ntklin.kernels.cpu.shares import block_size
from ntklin.kernels.cpu.sizes import GROUP
from ntklin.kernels.cpu.skipping import add_tiled, tiled
from ntklin.kernels.cpu.sums import active_sum, relu_dot, relu_of_sum, sum_of
from ntklin.kernels.structures import DescentState, Layer


@parallel_kernel
def _relu_rows(i, H, moved, A):
    relu_of_sum(A, i, H, moved)


@kernel
def _add_signal(S, i, d, k, delta, r):
    """d_k ← δ_i ∘ r, and S_i ← S_i + d_k."""
    wide_vectors()
    i, k = np.uint64(i), np.uint64(k)
    for n in range(np.uint64(r.shape[0])):
        d[k, n] = delta[i, n] * r[n]
        S[i, n] += d[k, n]


@parallel_kernel
def _first_layer(task, state: DescentState, delta, r, tiles, A):
    """Move the first layer's preactivations by one step; A = max(H + moved, 0).

    ``tiles`` are those of −η G, from ``skipping.tiled``.
    """
    H, moved, _, S = state
    start = task * CHUNK
    stop = min(start + CHUNK, H.shape[0])
    d = np.zeros((CHUNK, tiles.shape[1] * GROUP), H.dtype)
    for i in range(start, stop):
        _add_signal(S, i, d, i - start, delta, r)
    add_tiled(moved, start, stop, d, tiles)
    for i in range(start, stop):
        relu_of_sum(A, i, H, moved)


@parallel_kernel
def _hidden_step(task, layer: Layer, delta, r, below, rate, block):
    """Update one hidden layer, by blocks of its neurons."""
    W, b, w, v = layer
    one = w / w
    start = task * block
    stop = min(start + block, W.shape[0])
    scaled = np.zeros((stop - start, r.shape[0]), W.dtype)
    for i in range(start, stop):
        total = w * 0
        for n in range(r.shape[0]):
            scaled[i - start, n] = delta[i, n] * r[n]
            total += scaled[i - start, n]
        b[i] -= rate * v * total
    gemm(PLAIN, TRANSPOSED, -rate * w, scaled, below, one, W[start:stop, :])


@parallel_kernel
def _last_layer(task, W, w, r, A, b, v, rate, scale):
    """Update the output weights, and the biases b of the last hidden layer.

    ``scale`` becomes w W, the last hidden layer's backward signal where a neuron is active.
    """
    for i in range(task * CHUNK, min((task + 1) * CHUNK, A.shape[0])):
        scale[i] = w * W[i]
        b[i] -= rate * v * scale[i] * active_sum(r, A, i)
        W[i] -= rate * w * relu_dot(r, A, i)


def deep_descent(kept, state, above, G, Y, loss, rate, sample_weights, end):
    """``descend`` for several layers above the first; ``kept`` has the activations at the end."""
    H, scalar = state.H, state.H.dtype.type
    rate, n_samples, n_steps = scalar(rate), len(Y), len(sample_weights)
    *hidden, output = (
        Layer(W, b, scalar(w), scalar(v)) for (W, b), w, v in zip(*above[:3], strict=True)
    )
    last, W_out = hidden[-1], output.W[0]
    tiles = tiled(-rate * G)
    # A step that is broken off leaves nothing behind.
    activations = kept.pop("activations", None)
    if activations is None:
        widths = [len(H), *(len(layer.W) for layer in hidden)]
        activations = room_for_activations(widths, n_samples, H.dtype)
        _relu_rows[len(activations.by_neurons[0])](H, state.moved, activations.by_neurons[0])
        forward_above(hidden, activations)
    A = activations.by_neurons
    delta = [np.empty_like(a) for a in A[:-1]]
    scale = np.empty_like(W_out)
    f = np.empty(n_samples, H.dtype)
    r = np.zeros(n_samples, H.dtype)
    parts = aligned_empty((-(-len(W_out) // CHUNK), n_samples), H.dtype)
    losses = []
    with sequential_blas:
        for t in range(n_steps + 1):
            output_parts[len(parts)](A[-1], W_out, output.w, parts)
            sum_parts(f, parts, output.v * output.b[0])
            row = sample_weights[t] if t < n_steps else r
            losses.append(loss_and_derivatives(LOSSES[loss], f, Y, row, r))
            if t == n_steps or not goes_on(losses[-1], end):
                break
            moved = last.b, last.v, rate, scale
            _last_layer[len(parts)](W_out, output.w, r, A[-1], *moved)
            output.b[0] -= rate * output.v * sum_of(r)
            backward_step(last.W, scale, A[-1], r, A[-2], delta[-1], last.w, rate)
            for l in range(len(hidden) - 2, -1, -1):
                W, w = hidden[l].W, hidden[l].w
                hidden_backward(W, delta[l + 1], w, A[l], delta[l])
            for l, layer in enumerate(hidden[:-1]):
                n_rows, block = len(layer.W), block_size(len(layer.W))
                _hidden_step[-(-n_rows // block)](layer, delta[l + 1], r, A[l], rate, block)
            _first_layer[-(-len(H) // CHUNK)](state, delta[0], r, tiles, A[0])
            forward_above(hidden, activations)
    kept["activations"] = activations
    return np.array(losses)
