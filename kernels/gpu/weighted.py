"""K_D = J D J^T for a diagonal D from tiles of pairs of inputs; the kernel is weighted_gram.cu.

K_D(x, x') = Σ_l Σ_i δ^l_i δ'^l_i ( w_l² Σ_j D^{W,l}_ij a_j a'_j + v_l² D^{b,l}_i )

J is never built. Columns that are zero in all inputs are passed over; the zeros of the signals are
not, since a tile of inputs without a single active one is rare.
"""

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.arrays import namespace, symmetric
from ntklin.kernels.gpu.launch import ceil_div, gram_slices, gram_tiles

# Layers narrower than this have too few neurons to share out; cuBLAS does them.
NARROW = 8


def weighted_gram_copies(shape, itemsize):
    """How many (N, N') arrays :func:`weighted_gram` holds at its peak: the slices', and three.

    Parameters
    ----------
    shape : (N, N')
    itemsize : int
    """
    return gram_slices(*shape, np.iinfo(np.int32).max, itemsize) + 3


def weighted_gram(activations, deltas, w, v, weights, other_activations=None, other_deltas=None):
    """K_D(X, X') for a diagonal D ≥ 0; see the module for the formula.

    Parameters
    ----------
    weights : sequence of (D^{W,l}, D^{b,l} or None)
        The diagonal's views in the layout of θ.

    Returns
    -------
    ndarray, shape (N, N')
    """
    mirrored = other_activations is None
    if mirrored:
        other_activations, other_deltas = activations, deltas
    X, other_X = activations[0], other_activations[0]
    K = namespace(X).zeros((len(X), len(other_X)), X.dtype)
    for l, (D, bias) in enumerate(weights):
        sides = (activations[l], deltas[l], other_activations[l], other_deltas[l])
        if len(D) < NARROW:
            _add_narrow(K, *sides, D, bias, w[l], v[l])
        else:
            K += _layer(*sides, D, bias, w[l], v[l], mirrored)
    return symmetric(K) if mirrored else K


def _add_narrow(K, a, delta, other_a, other_delta, D, bias, w, v):
    scalar = K.dtype.type
    for i in range(len(D)):
        d, other_d = delta[:, i, None], other_delta[:, i, None]
        K += (d * (a * (scalar(w * w) * D[i]))) @ (other_d * other_a).T
        if bias is not None:
            K += (d * (scalar(v * v) * bias[i])) @ other_d.T


def _layer(a, delta, other_a, other_delta, D, bias, w, v, mirrored):
    """One layer's K_D; where ``mirrored``, tiles above the diagonal are left at 0."""
    xp, dtype = namespace(a), a.dtype
    (n, width), (other_n, m) = a.shape, other_delta.shape
    live = xp.flatnonzero((a != 0).any(axis=0) & (other_a != 0).any(axis=0)).astype(np.int32)
    left = a[:, live]
    right = left if mirrored else other_a[:, live]
    shift = xp.zeros(m, dtype) if bias is None else dtype.type((v / w) ** 2) * bias
    slices = gram_slices(n, other_n, m, dtype.itemsize)
    parts = (xp.zeros if mirrored else xp.empty)((slices, n, other_n), dtype)
    sizes = (n, other_n, m, len(live), width, ceil_div(m, slices), mirrored)
    loader.launch(
        "weighted_gram.cu",
        "weighted_gram",
        dtype,
        gram_tiles(n, other_n, slices),
        (
            *(xp.ascontiguousarray(x) for x in (left, delta, right, other_delta, D, shift)),
            *(live, dtype.type(w * w), parts, *map(np.int32, sizes)),
        ),
    )
    return parts.sum(axis=0)
