"""Passes through several hidden layers of ReLU, as steps of training take them.

About half of the activations that a layer takes is zero, and skipped where that pays. What goes
down is neuron-major, what goes up sample-major, and both are at hand.
"""

from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.aligned import aligned_zeros
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.passes import relu_layer
from ntklin.kernels.cpu.shares import block_size
from ntklin.kernels.cpu.sizes import GROUP
from ntklin.kernels.cpu.skipping import write_transposed
from ntklin.kernels.cpu.sums import gate_row


class DeepActivations(NamedTuple):
    """Those of the hidden layers, neuron-major and sample-major.

    Attributes
    ----------
    by_neurons : list of ndarray, shape (m_l, N)
    by_samples : list of ndarray, shape (N, m_l rounded up to whole groups)
        With zeros behind.
    """

    by_neurons: list[np.ndarray]
    by_samples: list[np.ndarray]


def room_for_activations(widths, n_samples, dtype):
    """``DeepActivations`` that nothing is in yet."""
    by_samples = [aligned_zeros((n_samples, -(-m // GROUP) * GROUP), dtype) for m in widths]
    return DeepActivations([np.empty((m, n_samples), dtype) for m in widths], by_samples)


@parallel_kernel
def _transpose_block(task, A, width, turned):
    blocks = (A.shape[0] + GROUP - 1) // GROUP
    i, k = task % blocks * GROUP, task // blocks * GROUP
    height, columns = min(GROUP, width - k), min(GROUP, A.shape[0] - i)
    write_transposed(turned, k, i, A, k, i, height, columns)


def _transpose(A, width, turned):
    """The rows of ``turned`` ← the columns of A, of which there are ``width``."""
    blocks = -(-len(A) // GROUP) * -(-width // GROUP)
    _transpose_block[blocks](A, width, turned)


def forward_above(hidden, activations):
    """Activations of the hidden layers above the first, from those of the first, neuron-major.

    Parameters
    ----------
    hidden : sequence of Layer
    activations : DeepActivations
    """
    neurons, samples = activations
    _transpose(neurons[0], neurons[0].shape[1], samples[0])
    for l, layer in enumerate(hidden):
        relu_layer(layer, samples[l], samples[l + 1])
        _transpose(samples[l + 1], len(layer.W), neurons[l + 1])


@parallel_kernel
def _hidden_backward(task, W, above, w, A, delta, block):
    start = task * block
    stop = min(start + block, W.shape[1])
    gemm(TRANSPOSED, PLAIN, w, W[:, start:stop], above, w * 0, delta[start:stop, :])
    for i in range(start, stop):
        gate_row(delta, i, A, i)


def hidden_backward(W, above, w, A, delta):
    """δ^l = w_{l+1} (W^{l+1})^T δ^{l+1} ∘ 1[a^l > 0], neuron-major, by blocks of columns of W."""
    block = block_size(W.shape[1])
    _hidden_backward[-(-W.shape[1] // block)](W, above, w, A, delta, block)
