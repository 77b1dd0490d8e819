"""Forward and backward pass: BLAS for the products, one fused sweep for scale, bias and ReLU."""

import numpy as np
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from numba import prange

# Below this many elements a second thread costs more than it brings.
SMALL = 1 << 14


def _bias_relu_rows(h, w, v, b, start, stop):
    for n in range(start, stop):
        for i in range(h.shape[1]):
            x = w * h[n, i] + v * b[i]
            h[n, i] = x if x > 0 else 0


def _mask_scale_rows(delta, w, a, start, stop):
    for n in range(start, stop):
        for i in range(delta.shape[1]):
            delta[n, i] = w * delta[n, i] if a[n, i] > 0 else 0


def _output_delta_rows(delta, w, weights, a, start, stop):
    for n in range(start, stop):
        for i in range(delta.shape[1]):
            delta[n, i] = w * weights[i] if a[n, i] > 0 else 0


_bias_relu_rows = kernel(_bias_relu_rows)
_mask_scale_rows = kernel(_mask_scale_rows)
_output_delta_rows = kernel(_output_delta_rows)


@parallel_kernel
def _bias_relu_parallel(h, w, v, b):
    for n in prange(h.shape[0]):
        _bias_relu_rows(h, w, v, b, n, n + 1)


@parallel_kernel
def _mask_scale_parallel(delta, w, a):
    for n in prange(delta.shape[0]):
        _mask_scale_rows(delta, w, a, n, n + 1)


@parallel_kernel
def _output_delta_parallel(delta, w, weights, a):
    for n in prange(delta.shape[0]):
        _output_delta_rows(delta, w, weights, a, n, n + 1)


def _bias_relu(h, w, v, b):
    """h ← max(w h + v b, 0), in place."""
    if h.size < SMALL:
        _bias_relu_rows(h, w, v, b, 0, len(h))
    else:
        _bias_relu_parallel(h, w, v, b)


def _mask_scale(delta, w, a):
    """δ ← w δ ∘ 1[a > 0], in place."""
    if delta.size < SMALL:
        _mask_scale_rows(delta, w, a, 0, len(delta))
    else:
        _mask_scale_parallel(delta, w, a)


def _output_delta(w, weights, a):
    """δ^{L-1} = w_L W^L ∘ 1[a^{L-1} > 0]."""
    delta = np.empty_like(a)
    if a.size < SMALL:
        _output_delta_rows(delta, w, weights, a, 0, len(a))
    else:
        _output_delta_parallel(delta, w, weights, a)
    return delta


def forward(layers, w, v, X):
    """Activations and outputs, Eq. (1).

    h^l = w_l W^l a^{l-1} + v_l b^l, a^l = max(h^l, 0), f = h^L; since a^l > 0 exactly where
    h^l > 0, the activations are all that the backward pass needs.

    Parameters
    ----------
    layers : sequence of (W^l, b^l or None)
    w, v : sequences of floats
        The scales w_l, v_l.
    X : ndarray, shape (N, d)

    Returns
    -------
    activations : list of ndarray
        a^0 = X, …, a^{L-1}, shapes (N, m_l).
    outputs : ndarray, shape (N,)
    """
    scalar = X.dtype.type
    activations = [X]
    for l, (W, b) in enumerate(layers[:-1]):
        h = activations[-1] @ W.T
        if b is None:
            b = np.zeros(len(W), X.dtype)
        _bias_relu(h, scalar(w[l]), scalar(v[l]), b)
        activations.append(h)
    W, b = layers[-1]
    outputs = activations[-1] @ W[0]
    outputs *= scalar(w[-1])
    if b is not None:
        outputs += scalar(v[-1]) * b[0]
    return activations, outputs


def backward(layers, w, activations):
    """Backward signals δ^l = ∂f/∂h^l: δ^L = 1, δ^l = w_{l+1} (W^{l+1})^T δ^{l+1} ∘ 1[h^l > 0].

    Returns
    -------
    list of ndarray
        δ^1, …, δ^L, shapes (N, m_l).
    """
    X = activations[0]
    scalar = X.dtype.type
    deltas = [np.ones((len(X), 1), X.dtype)]
    for l in range(len(layers) - 1, 0, -1):
        W, a = layers[l][0], activations[l]
        if l == len(layers) - 1:
            delta = _output_delta(scalar(w[l]), W[0], a)
        else:
            delta = deltas[0] @ W
            _mask_scale(delta, scalar(w[l]), a)
        deltas.insert(0, delta)
    return deltas
