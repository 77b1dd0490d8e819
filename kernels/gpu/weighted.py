"""K_D = J D J^T for a diagonal D, by matrix products over each neuron's active inputs.

K_D(x, x') = Σ_l Σ_i δ^l_i δ'^l_i ( w_l² Σ_j D^{W,l}_ij a_j a'_j + v_l² D^{b,l}_i )

J is never whole. Of a neuron only the inputs count on which δ_i ≠ 0, about half of them, and so a
quarter of the pairs. Their rows of J, weighted on one side, are packed together for as many neurons
as a block holds, multiplied by cuBLAS in one batch, which may use the tensor cores of the dtype,
and added to K. Neurons are taken by their number of active inputs, so that a batch pads little.
Columns that are zero in all inputs are passed over.
"""

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.arrays import namespace, symmetric, to_host
from ntklin.kernels.gpu.launch import ceil_div, matrix, neurons

# What the packed rows, columns and their products of one batch may take.
BLOCK_BYTES = 1 << 29


def weighted_gram_copies(shape, itemsize):
    """How many (N, N') arrays :func:`weighted_gram` holds at its peak.

    K, the products of a neuron, and a block of several.

    Parameters
    ----------
    shape : (N, N')
    itemsize : int

    Returns
    -------
    int
    """
    return 2 + ceil_div(BLOCK_BYTES, shape[0] * shape[1] * itemsize)


def weighted_gram(passes, diagonal, other=None):
    """K_D(X, X') for a diagonal D ≥ 0; see the module for the formula.

    Parameters
    ----------
    passes : Passes
    diagonal : sequence of (D^{W,l}, D^{b,l} or None)
        Its views in the layout of θ.
    other : Passes, optional
        Of X' through the same layers.

    Returns
    -------
    ndarray, shape (N C, N' C)
    """
    activations, deltas, w, v = passes
    other_activations, other_deltas = passes[:2] if other is None else other[:2]
    X, xp = activations[0], namespace(activations[0])
    shape = len(deltas[0]), len(other_deltas[0])
    C = shape[0] // len(X)
    K = xp.zeros(shape, X.dtype)
    for l, (D, bias) in enumerate(diagonal):
        a, other_a = activations[l], other_activations[l]
        if C > 1:  # each output's row is taken as an input of its own
            a, other_a = xp.repeat(a, C, axis=0), xp.repeat(other_a, C, axis=0)
        a, other_a, D = _columns(a, other_a, D, bias, w[l], v[l])
        if D.shape[1]:
            _add_layer(K, a, deltas[l], other_a, other_deltas[l], D, other is None)
    return symmetric(K) if other is None else K


def _columns(a, other_a, D, bias, w, v):
    """The inputs' columns that count, and D with the scales: a (N, k), a'^T (k, N'), D (m, k).

    A bias is one more column, of ones.

    Returns
    -------
    tuple of ndarray
        a, a'^T and D, C-contiguous.
    """
    xp, scalar = namespace(a), a.dtype.type
    live = xp.flatnonzero((a != 0).any(axis=0) & (other_a != 0).any(axis=0))
    a, other_a, D = a[:, live], other_a[:, live], scalar(w * w) * D[:, live]
    if bias is not None:
        a, other_a = (xp.concatenate([x, xp.ones((len(x), 1), x.dtype)], 1) for x in (a, other_a))
        D = xp.concatenate([D, scalar(v * v) * bias[:, None]], 1)
    return tuple(xp.ascontiguousarray(x) for x in (a, other_a.T, D))


def _add_layer(K, a, delta, other_a, other_delta, D, mirrored):
    """Add K_D of one layer's columns; where ``mirrored``, only up to the diagonal."""
    xp, (m, k) = namespace(K), D.shape
    own = _active(delta)
    delta, active, counts = own
    other_delta, other_active, other_counts = own if mirrored else _active(other_delta)
    for chosen, most, other_most in _groups(counts, other_counts, k, K.dtype.itemsize):
        size, chosen = len(chosen), xp.asarray(chosen)
        place = _places(active[chosen])
        other_place = place if mirrored else _places(other_active[chosen])
        rows = xp.empty((size, most, k), K.dtype)
        columns = xp.empty((size, k, other_most), K.dtype)
        n, other_n = K.shape
        arrays = a, delta, D, chosen, place, rows
        _launch("pack_rows", neurons(n, size, k), arrays, (size, n, m, k, most))
        arrays = other_a, other_delta, chosen, other_place, columns
        sizes = size, other_n, m, k, other_most
        _launch("pack_columns", neurons(k, size, other_n), arrays, sizes)
        arrays = xp.matmul(rows, columns), place, other_place, K
        sizes = size, n, other_n, most, other_most, mirrored
        _launch("add_products", matrix(n, other_n), arrays, sizes)


def _active(delta):
    """δ, the inputs on which each neuron is active, (m, N), and on the host how many they are."""
    xp = namespace(delta)
    active = xp.ascontiguousarray((delta != 0).T)
    return xp.ascontiguousarray(delta), active, to_host(active.sum(axis=1))


def _groups(counts, other_counts, k, itemsize):
    """Neurons of about the same number of active inputs, as many as a block holds, and the most."""
    order = np.argsort(-counts, kind="stable")
    order = order[(counts * other_counts)[order] > 0]
    while len(order):
        most, other_most = counts[order[0]], other_counts[order].max()
        each = (most * k + k * other_most + most * other_most) * itemsize
        group, order = np.split(order, [max(1, BLOCK_BYTES // int(each))])
        yield group.astype(np.int32), int(most), int(other_counts[group].max())


def _places(active):
    """Each input's place among the active ones of a neuron, −1 where it is none of them."""
    xp = namespace(active)
    return xp.where(active, xp.cumsum(active, axis=1, dtype=np.int32) - 1, -1).astype(np.int32)


def _launch(function, shape, arrays, sizes):
    """Launch a kernel of weighted_gram.cu."""
    arguments = (*arrays, *map(np.int32, sizes))
    loader.launch("weighted_gram.cu", function, arrays[0].dtype, shape, arguments)
