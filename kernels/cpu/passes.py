"""Forward and backward pass: BLAS on blocks of neurons, then bias and ReLU while in cache."""

from collections.abc import Sequence

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.blas import gemm, sequential_blas
from ntklin.kernels.cpu.compiler import dot_kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.neuron_subsets import signal_below

# From this many inputs on, tables of subset sums pay.
TABLES_PAY = 192


def block_size(n):
    """Neurons per block: BLAS likes large ones, the threads equal shares."""
    return max(32, min(1024, -(-n // get_num_threads())))


@parallel_kernel
def _hidden_layer(below, W, b, w, v, a, block, n_workers, counter):
    """a = max(w a' W^T + v b, 0)."""
    for _ in prange(n_workers):
        start = next_task(counter) * block
        while start < W.shape[0]:
            stop = min(start + block, W.shape[0])
            gemm(False, True, w, below, W[start:stop], w * 0, a[:, start:stop])
            for n in range(a.shape[0]):
                for i in range(start, stop):
                    a[n, i] = max(a[n, i] + v * b[i], 0)
            start = next_task(counter) * block


@dot_kernel
def _dot(a, n, W):
    wide_vectors()
    total = W[0] * 0
    for i in range(W.shape[0]):
        total += a[n, i] * W[i]
    return total


@parallel_kernel
def _output_layer(a, W, w, shift, outputs):
    """f = w a W^T + shift. No BLAS: its own threads would still be spinning in the next kernel."""
    for n in prange(a.shape[0]):
        outputs[n] = w * _dot(a, n, W) + shift


@parallel_kernel
def _hidden_signal(above, W, w, a, delta, block, n_workers, counter):
    """δ = w δ' W ∘ 1[a > 0]."""
    for _ in prange(n_workers):
        start = next_task(counter) * block
        while start < W.shape[1]:
            stop = min(start + block, W.shape[1])
            gemm(False, False, w, above, W[:, start:stop], w * 0, delta[:, start:stop])
            for n in range(a.shape[0]):
                for i in range(start, stop):
                    delta[n, i] = delta[n, i] if a[n, i] > 0 else 0
            start = next_task(counter) * block


@parallel_kernel
def _output_signal(scale, a, delta):
    """δ^{L-1} = w_L W^L ∘ 1[a > 0]: the product with δ^L = 1 is a copy."""
    for n in prange(a.shape[0]):
        for i in range(a.shape[1]):
            delta[n, i] = scale[i] if a[n, i] > 0 else 0


def forward(layers, X):
    """Activations and outputs, Eq. (1).

    h^l = w_l W^l a^{l-1} + v_l b^l, a^l = max(h^l, 0), f = h^L; since a^l > 0 exactly where
    h^l > 0, the activations are all that the backward pass needs.

    Parameters
    ----------
    layers : Layers
    X : ndarray, shape (N, d)

    Returns
    -------
    activations : list of ndarray
        a^0 = X, …, a^{L-1}, shapes (N, m_l).
    outputs : ndarray, shape (N,)
    """
    scalar = X.dtype.type
    *hidden, (last, w_last, v_last) = zip(*layers, strict=True)
    activations = [X]
    with sequential_blas:
        for (W, b), w, v in hidden:
            a = np.empty((len(X), len(W)), X.dtype)
            if b is None:
                b = np.zeros(len(W), X.dtype)
            block, n_workers = block_size(len(W)), get_num_threads()
            below, w, v = activations[-1], scalar(w), scalar(v)
            _hidden_layer(below, W, b, w, v, a, block, n_workers, task_counter())
            activations.append(a)
    W, b = last
    outputs = np.empty(len(X), X.dtype)
    shift = scalar(0 if b is None else v_last * b[0])
    _output_layer(activations[-1], W[0], scalar(w_last), shift, outputs)
    return activations, outputs


class BackwardSignals(Sequence):
    """Backward signals δ^l = ∂f/∂h^l, l = 1 … L, each computed when it is first asked for.

    δ^L = 1, δ^l = w_{l+1} (W^{l+1})^T δ^{l+1} ∘ 1[h^l > 0]; that of the last hidden layer is
    ``scale`` where a neuron is active, and many uses need no more than this.
    """

    def __init__(self, layers, activations):
        self._layers, self._w, self._activations = layers.parameters, layers.w, activations
        self._known = {}

    def __len__(self):
        return len(self._layers)

    def __getitem__(self, index):
        l = range(len(self))[index]  # δ^{l+1}
        if l not in self._known:
            with sequential_blas:
                self._known[l] = self._compute(l)
        return self._known[l]

    @property
    def scale(self):
        """c = w_L W^L with δ^{L-1} = c ∘ 1[a^{L-1} > 0], shape (m_{L-1},)."""
        W = self._layers[-1][0][0]
        return W.dtype.type(self._w[-1]) * W

    def _compute(self, l):
        if l == len(self) - 1:
            return np.ones((len(self._activations[0]), 1), self._activations[0].dtype)
        W, a = self._layers[l + 1][0], self._activations[l + 1]
        w = a.dtype.type(self._w[l + 1])
        if l == len(self) - 3 and len(a) >= TABLES_PAY:
            return signal_below(self._activations[l + 2], w * self.scale, W, a)
        delta = np.empty_like(a)
        if l == len(self) - 2:
            _output_signal(self.scale, a, delta)
        else:
            block, n_workers = block_size(W.shape[1]), get_num_threads()
            _hidden_signal(self[l + 1], W, w, a, delta, block, n_workers, task_counter())
        return delta


def backward(layers, activations):
    """The backward signals of a network.

    Parameters
    ----------
    layers : Layers
    activations : list of ndarray
        From :func:`forward`.

    Returns
    -------
    BackwardSignals
        The sequence δ^1, …, δ^L, shapes (N, m_l).
    """
    return BackwardSignals(layers, activations)
