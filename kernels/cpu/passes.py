"""Forward and backward pass: BLAS on blocks of neurons, then bias and ReLU while in cache."""

from collections.abc import Sequence
from copy import copy
from functools import cached_property

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import skipping_layers
from ntklin.kernels.cpu.activations import activated
from ntklin.kernels.cpu.blas import PLAIN, gemm, product, sequential_blas
from ntklin.kernels.cpu.compiler import dot_kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.layer_products import (
    Work,
    blas_beside,
    multiply,
    packed_inputs,
    product_work,
    task_rows,
)
from ntklin.kernels.cpu.neuron_subsets import gates, signal_below
from ntklin.kernels.cpu.shares import block_size
from ntklin.kernels.structures import Activations, Layer, of_inputs

# From this many inputs on, tables of subset sums pay: of float64, and of float32, where a table
# costs half as much and BLAS, for so few, hardly less.
TABLES_PAY, TABLES_PAY_SINGLE = 24, 12


@parallel_kernel
def _hidden_layer(worker, below, packed, layer: Layer, a, block, work: Work):
    """a = max(w a' W^T + v b, 0)."""
    W, b, w, v = layer
    sums, counter, doubtful = work
    start = next_task(counter) * block
    while start < W.shape[0]:
        stop = min(start + block, W.shape[0])
        doubtful[worker] += multiply(w, below, packed, W, start, stop, a, sums[worker])
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
def _output_layer(n, a, W, w, shift, outputs):
    """f = w a W^T + shift. No BLAS: its own threads would still be spinning in the next kernel."""
    outputs[n] = w * _dot(a, n, W) + shift


# Row r of the backward signals is that of input r // C, of C outputs.


@parallel_kernel
def _hidden_signal(_, above, W, w, a, delta, block, counter):
    """δ = w δ' W ∘ 1[a > 0]."""
    n_outputs = delta.shape[0] // a.shape[0]
    start = next_task(counter) * block
    while start < W.shape[1]:
        stop = min(start + block, W.shape[1])
        gemm(PLAIN, PLAIN, w, above, W[:, start:stop], w * 0, delta[:, start:stop])
        for n in range(a.shape[0]):
            for row in range(n * n_outputs, (n + 1) * n_outputs):
                for i in range(start, stop):
                    delta[row, i] = delta[row, i] if a[n, i] > 0 else 0
        start = next_task(counter) * block


@parallel_kernel
def _sloped_signal(_, above, W, w, slopes, delta, block, counter):
    """δ = w δ' W ∘ α'(h)."""
    n_outputs = delta.shape[0] // slopes.shape[0]
    start = next_task(counter) * block
    while start < W.shape[1]:
        stop = min(start + block, W.shape[1])
        gemm(PLAIN, PLAIN, w, above, W[:, start:stop], w * 0, delta[:, start:stop])
        for n in range(slopes.shape[0]):
            for row in range(n * n_outputs, (n + 1) * n_outputs):
                for i in range(start, stop):
                    delta[row, i] *= slopes[n, i]
        start = next_task(counter) * block


@parallel_kernel
def _output_signal(n, scale, a, delta):
    """δ^{L-1} = w_L W^L ∘ 1[a > 0]: the product with δ^L = 1 is a copy."""
    n_outputs = scale.shape[0]
    for c in range(n_outputs):
        for i in range(a.shape[1]):
            delta[n * n_outputs + c, i] = scale[c, i] if a[n, i] > 0 else 0


@parallel_kernel
def _sloped_output_signal(n, scale, slopes, delta):
    """δ^{L-1} = w_L W^L ∘ α'(h)."""
    n_outputs = scale.shape[0]
    for c in range(n_outputs):
        for i in range(slopes.shape[1]):
            delta[n * n_outputs + c, i] = scale[c, i] * slopes[n, i]


def relu_layer(layer, below, a):
    """a = max(w a' W^T + v b, 0) of ``below`` a', in the way that is faster.

    Parameters
    ----------
    layer : Layer
        W (m, d) is C-contiguous.
    below : ndarray, shape (N, at least d)
        Zero from column d on.
    a : ndarray, shape (N, at least m)
        Overwritten up to column m.

    Returns
    -------
    int
        How many rows of W may have an element that is not finite.
    """
    W = layer.W
    if skipping_layers.pays(below, W):
        return skipping_layers.skipping_layer(layer, below, a)
    below = np.ascontiguousarray(below[:, : W.shape[1]])
    packed = packed_inputs(below, W)
    work, block = product_work(packed), task_rows(packed, W)
    with blas_beside(packed):
        _hidden_layer[len(work.sums)](below, packed, layer, a, block, work)
    return int(work.doubtful.sum())


def tables_pay(n, dtype):
    """Whether the signal of the last hidden layer goes by tables, of n inputs."""
    return n >= (TABLES_PAY if dtype.itemsize > 4 else TABLES_PAY_SINGLE)


def forward(layers, X):
    """Activations and outputs, Eq. (1).

    h^l = w_l W^l a^{l-1} + v_l b^l, a^l = α(h^l), f = h^L.

    Parameters
    ----------
    layers : Layers
    X : ndarray, shape (N, d)

    Returns
    -------
    activations : Activations
        a^0 = X, …, a^{L-1}, shapes (N, m_l), with α' where the backward pass needs it: for ReLU it
        does not, since a^l > 0 exactly where h^l > 0.
    outputs : ndarray, shape (N,), or (N, C) of more than one output
    """
    scalar, body = X.dtype.type, layers.activation
    *hidden, (last, w_last, v_last) = zip(*layers[:3], strict=True)
    activations, slopes, doubtful = [X], [], 0
    for (W, b), w, v in hidden:
        doubtful += b is not None and not np.isfinite(b).all()
        if b is None:
            b = np.zeros(len(W), X.dtype)
        W, below, w, v = np.ascontiguousarray(W), activations[-1], scalar(w), scalar(v)
        if body.name == "relu":
            a = np.empty((len(X), len(W)), X.dtype)
            doubt = relu_layer(Layer(W, b, w, v), below, a)
        else:
            a, slope, doubt = activated(body, Layer(W, b, w, v), below)
            slopes.append(slope)
        activations.append(a)
        doubtful += doubt
    W, b = last
    doubtful += not (np.isfinite(W).all() and (b is None or np.isfinite(b).all()))
    slopes = None if body.name == "relu" else slopes
    activations = Activations(activations, slopes, doubtful > 0)
    if len(W) > 1:
        outputs = scalar(w_last) * product(activations[-1], W)
        return activations, outputs if b is None else outputs + scalar(v_last) * b
    outputs = np.empty(len(X), X.dtype)
    shift = scalar(0 if b is None else v_last * b[0])
    _output_layer[len(outputs)](activations[-1], W[0], scalar(w_last), shift, outputs)
    return activations, outputs


class BackwardSignals(Sequence):
    """Backward signals δ^l = ∂f/∂h^l, l = 1 … L, each computed when it is first asked for.

    δ^L = 1, δ^l = w_{l+1} (W^{l+1})^T δ^{l+1} ∘ α'(h^l); of several outputs each has its own row,
    from δ^{L,c} = e_c. Of one output and ReLU, that of the last hidden layer is ``scale`` where a
    neuron is active, and many uses need no more than this.

    Attributes
    ----------
    is_unit : bool
        Whether they are the outputs' own, δ^{L,c} = e_c, and not of signals from the top.
    """

    def __init__(self, layers, activations, top=None):
        self._layers, self._w, self._activations = layers.parameters, layers.w, activations
        self._known = {} if top is None else {len(self) - 1: top}
        self.is_unit = top is None

    def __len__(self):
        return len(self._layers)

    def __getitem__(self, index):
        l = range(len(self))[index]  # δ^{l+1}
        if l not in self._known:
            self._known[l] = self._compute(l)
        return self._known[l]

    def rows(self, index):
        """Those of a run of the inputs; what would need a product there is taken from these."""
        known = {l: self[l] for l in range(len(self) - 2)} | self._known
        known = {l: of_inputs(delta, index, self.n_rows) for l, delta in known.items()}
        part = copy(self)
        vars(part).update(_activations=self._activations.rows(index), _known=known)
        vars(part).pop("gates", None)  # of all inputs
        return part

    @property
    def n_rows(self):
        """How many rows each has of an input: C, or 1 where a signal came from the top."""
        return len(self._layers[-1][0]) if self.is_unit else 1

    @property
    def scale(self):
        """c = w_L W^L with δ^{L-1} = c ∘ 1[a^{L-1} > 0], shape (m_{L-1},)."""
        return self.scales[0]

    @cached_property
    def scales(self):
        """w_L W^L, shape (C, m_{L-1}): δ^{L-1,c} = scales_c ∘ α'."""
        W = self._layers[-1][0]
        return W.dtype.type(self._w[-1]) * W

    @property
    def slopes(self):
        """α'(h^{L-1}), which δ^{L-1,c} = scales_c ∘ α' has; None for ReLU, where it is a gate."""
        known = self._activations.slopes
        return None if known is None else known[-1]

    @cached_property
    def gates(self):
        """Where the last hidden layer is active, in bits."""
        return gates(self._activations[-1])

    def _compute(self, l):
        X, slopes = self._activations[0], self._activations.slopes
        n_rows = len(X) * self.n_rows
        if l == len(self) - 1:
            return np.tile(np.eye(self.n_rows, dtype=X.dtype), (len(X), 1))
        W, a = self._layers[l + 1][0], self._activations[l + 1]
        w = a.dtype.type(self._w[l + 1])
        is_above_last = l == len(self) - 3 and self.is_unit and self.n_rows == 1
        if is_above_last and slopes is None and tables_pay(len(a), a.dtype):
            return signal_below(self._activations[l + 2], w * self.scale, W, a)
        delta = np.empty((n_rows, a.shape[1]), a.dtype)
        if l == len(self) - 2 and self.is_unit:
            if slopes is None:
                _output_signal[len(a)](self.scales, a, delta)
            else:
                _sloped_output_signal[len(slopes[l])](self.scales, slopes[l], delta)
            return delta
        signal, gates = (_hidden_signal, a) if slopes is None else (_sloped_signal, slopes[l])
        block, above = block_size(W.shape[1]), self[l + 1]
        with sequential_blas:
            signal[get_num_threads()](above, W, w, gates, delta, block, task_counter())
        return delta


def backward(layers, activations, top=None):
    """The backward signals of a network.

    Parameters
    ----------
    layers : Layers
    activations : Activations
        From :func:`forward`.
    top : ndarray, shape (N, C), optional
        δ^L, the derivatives of a function of all outputs; the signals then are those of its sum
        over the outputs, with one row for each input.

    Returns
    -------
    BackwardSignals
        The sequence δ^1, …, δ^L, shapes (N C, m_l), or (N, m_l) with ``top``.
    """
    return BackwardSignals(layers, activations, top)
