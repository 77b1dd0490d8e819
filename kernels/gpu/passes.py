"""Forward and backward pass: cuBLAS, and one kernel for all that stands between two products.

Of one network, or of S networks at once: all arrays then have a leading axis S.
"""

from collections.abc import Sequence
from copy import copy

import numpy as np

from ntklin.kernels.activations import c_functions
from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.arrays import namespace, transposed
from ntklin.kernels.gpu.launch import elements, matrix
from ntklin.kernels.structures import Activations, of_inputs


def _pointwise(function, arrays, scalars):
    """A kernel of ``pointwise.cu``; the first of the arrays is changed."""
    changed = arrays[0]
    n, m = changed.shape[-2:]
    arguments = (*arrays, *scalars, np.int32(n), np.int32(m))
    shape = matrix(n, m, changed.size // (n * m))
    loader.launch("pointwise.cu", function, changed.dtype, shape, arguments)


def _sloped(body, arrays, scalars):
    """``activate_sloped`` of activation.cu, compiled for an activation."""
    n, m = arrays[0].shape[-2:]
    dtype, shape = arrays[0].dtype, matrix(n, m, arrays[0].size // (n * m))
    arguments = (*arrays, *scalars, dtype.type(body.p), np.int32(n), np.int32(m))
    definitions = c_functions(body)
    loader.launch("activation.cu", "activate_sloped", dtype, shape, arguments, definitions)


def activate(body, h, slopes):
    """h ← α(h) and slopes ← α'(h), of any shape, in place.

    Parameters
    ----------
    body : Body
        Not ReLU's, whose slopes nobody keeps.
    h, slopes : ndarray
    """
    arguments = (h, slopes, h.dtype.type(body.p), np.int64(h.size))
    definitions, shape = c_functions(body), elements(h.size)
    loader.launch("activation.cu", "activate_all", h.dtype, shape, arguments, definitions)


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
        a^0 = X, …, a^{L-1}, shapes (N, m_l), with α' unless it is the ReLU.
    outputs : ndarray, shape (N,), or (N, C) of more than one output
    """
    xp, scalar, body = namespace(X), X.dtype.type, layers.activation
    *hidden, (last, w_last, v_last) = zip(*layers[:3], strict=True)
    activations, slopes = [X], []
    for (W, b), w, v in hidden:
        a = xp.empty((*X.shape[:-1], W.shape[-2]), X.dtype)
        xp.matmul(activations[-1], transposed(W), out=a)
        b = xp.zeros(W.shape[:-1], X.dtype) if b is None else xp.ascontiguousarray(b)
        if body.name == "relu":
            _pointwise("activate", (a, b), (scalar(w), scalar(v)))
        else:
            slopes.append(xp.empty_like(a))
            _sloped(body, (a, slopes[-1], b), (scalar(w), scalar(v)))
        activations.append(a)
    activations = Activations(activations, None if body.name == "relu" else slopes)
    W, b = last
    outputs = scalar(w_last) * (activations[-1] @ transposed(W))
    if b is not None:
        outputs += scalar(v_last) * b[..., None, :]
    return activations, outputs if W.shape[-2] > 1 else outputs[..., 0]


class BackwardSignals(Sequence):
    """Backward signals δ^l = ∂f/∂h^l, l = 1 … L, each computed when it is first asked for.

    δ^L = 1, δ^l = w_{l+1} (W^{l+1})^T δ^{l+1} ∘ α'(h^l); of several outputs each has its own row.
    """

    def __init__(self, layers, activations, top=None):
        self._layers, self._w, self._activations = layers.parameters, layers.w, activations
        self._known = {} if top is None else {len(self) - 1: top}
        self._n_rows = self._layers[-1][0].shape[-2] if top is None else 1
        self._is_unit = top is None

    def __len__(self):
        return len(self._layers)

    def __getitem__(self, index):
        l = range(len(self))[index]  # δ^{l+1}
        if l not in self._known:
            self._known[l] = self._compute(l)
        return self._known[l]

    @property
    def is_unit(self):
        """Whether δ^L is 1, or e_c of output c, and not given."""
        return self._is_unit

    @property
    def scales(self):
        """w_L W^L, (C, m): what α' of the last hidden layer is multiplied with, if ``is_unit``."""
        a = self._activations[-1]
        return a.dtype.type(self._w[-1]) * self._layers[-1][0]

    @property
    def gates(self):
        """α' of the last hidden layer, (N, m), of ReLU as truth values."""
        slopes = self._activations.slopes
        return self._activations[-1] > 0 if slopes is None else slopes[-1]

    def rows(self, index):
        """Those of a run of the inputs; what would need a product there is taken from these."""
        known = {l: self[l] for l in range(len(self) - 2)} | self._known
        known = {l: of_inputs(delta, index, self._n_rows) for l, delta in known.items()}
        part = copy(self)
        vars(part).update(_activations=self._activations.rows(index), _known=known)
        return part

    def _compute(self, l):
        X, slopes, C = self._activations[0], self._activations.slopes, self._n_rows
        xp, several = namespace(X), X.shape[:-2]
        if l == len(self) - 1:
            return xp.tile(xp.eye(C, dtype=X.dtype), (*several, X.shape[-2], 1))
        W, a = self._layers[l + 1][0], self._activations[l + 1]
        gates, suffix = (a, "") if slopes is None else (slopes[l], "_sloped")
        w = a.dtype.type(self._w[l + 1])
        delta = xp.empty((*several, a.shape[-2] * C, a.shape[-1]), a.dtype)
        if l == len(self) - 2 and self._is_unit:
            scales = xp.ascontiguousarray(w * W)
            _pointwise(f"spread{suffix}", (delta, gates, scales), (np.int32(C),))
        else:
            xp.matmul(self[l + 1], W, out=delta)
            _pointwise(f"gate{suffix}", (delta, gates), (w, np.int32(C)))
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
