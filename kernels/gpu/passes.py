"""Forward and backward pass: cuBLAS, and one kernel for all that stands between two products.

Of one network, or of S networks at once: all arrays then have a leading axis S.
"""

from collections.abc import Sequence

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.arrays import namespace, transposed
from ntklin.kernels.gpu.launch import matrix


def _pointwise(function, arrays, scalars):
    """A kernel of ``pointwise.cu``; the first of the arrays is changed."""
    changed = arrays[0]
    n, m = changed.shape[-2:]
    arguments = (*arrays, *scalars, np.int32(n), np.int32(m))
    shape = matrix(n, m, changed.size // (n * m))
    loader.launch("pointwise.cu", function, changed.dtype, shape, arguments)


def forward(layers, X):
    """Activations and outputs, Eq. (1).

    h^l = w_l W^l a^{l-1} + v_l b^l, a^l = max(h^l, 0), f = h^L.

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
    xp, scalar = namespace(X), X.dtype.type
    *hidden, (last, w_last, v_last) = zip(*layers, strict=True)
    activations = [X]
    for (W, b), w, v in hidden:
        a = xp.empty((*X.shape[:-1], W.shape[-2]), X.dtype)
        xp.matmul(activations[-1], transposed(W), out=a)
        b = xp.zeros(W.shape[:-1], X.dtype) if b is None else xp.ascontiguousarray(b)
        _pointwise("activate", (a, b), (scalar(w), scalar(v)))
        activations.append(a)
    W, b = last
    outputs = scalar(w_last) * (activations[-1] @ transposed(W))[..., 0]
    if b is not None:
        outputs += scalar(v_last) * b
    return activations, outputs


class BackwardSignals(Sequence):
    """Backward signals δ^l = ∂f/∂h^l, l = 1 … L, each computed when it is first asked for.

    δ^L = 1, δ^l = w_{l+1} (W^{l+1})^T δ^{l+1} ∘ 1[h^l > 0].
    """

    def __init__(self, layers, activations):
        self._layers, self._w, self._activations = layers.parameters, layers.w, activations
        self._known = {}

    def __len__(self):
        return len(self._layers)

    def __getitem__(self, index):
        l = range(len(self))[index]  # δ^{l+1}
        if l not in self._known:
            self._known[l] = self._compute(l)
        return self._known[l]

    def _compute(self, l):
        X = self._activations[0]
        xp = namespace(X)
        if l == len(self) - 1:
            return xp.ones((*X.shape[:-1], 1), X.dtype)
        W, a = self._layers[l + 1][0], self._activations[l + 1]
        w = a.dtype.type(self._w[l + 1])
        delta = xp.empty_like(a)
        if l == len(self) - 2:
            _pointwise("spread", (delta, a, w * W[..., 0, :]), ())
        else:
            xp.matmul(self[l + 1], W, out=delta)
            _pointwise("gate", (delta, a), (w,))
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
