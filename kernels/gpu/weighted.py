"""K_D = J D J^T for a diagonal D, by matrix products over each neuron's active inputs.

K_D(x, x') = Σ_l Σ_i δ^l_i δ'^l_i ( w_l² Σ_j D^{W,l}_ij a_j a'_j + v_l² D^{b,l}_i )

With several outputs the bracket is the same for all, and in the last hidden layer δ^c_ni is
u_ci α'_ni, so that its products are made once with α' and added to the pairs of outputs by
u_ci u_c'i.

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
from ntklin.kernels.gpu.passes import BackwardSignals

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
    (X, *_), last = activations, len(activations) - 1
    xp, C = namespace(X), deltas[last].shape[1]
    K = xp.zeros((len(X) * C, len(other_activations[0]) * C), X.dtype)
    sides = deltas, other_deltas
    shares = C > 1 and all(isinstance(side, BackwardSignals) and side.is_unit for side in sides)
    for l, (D, bias) in enumerate(diagonal):
        a, other_a, scales = activations[l], other_activations[l], None
        if shares and l == last - 1:
            signals = [side.gates.astype(X.dtype, copy=False) for side in sides]
            scales = xp.ascontiguousarray(deltas.scales)
        else:
            signals = [side[l] for side in sides]
            if C > 1:  # each output's row is taken as an input of its own
                a, other_a = xp.repeat(a, C, axis=0), xp.repeat(other_a, C, axis=0)
        a, other_a, D = _columns(a, other_a, D, bias, w[l], v[l])
        if D.shape[1]:
            _add_layer(K, (a, other_a, D), signals, scales, other is None)
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


def _add_layer(K, factors, signals, scales, mirrored):
    """Add K_D of one layer's factors a, a'^T and D; where ``mirrored``, only up to the diagonal.

    ``signals`` are δ and δ', or where there are ``scales`` (C, m) what these are multiplied with.
    """
    (a, other_a, D), (delta, other_delta) = factors, signals
    xp, (m, k) = namespace(K), D.shape
    n, other_n = len(delta), len(other_delta)
    own = _active(delta)
    delta, active, counts = own
    other_delta, other_active, other_counts = own if mirrored else _active(other_delta)
    for chosen, most, other_most in _groups(counts, other_counts, k, K.dtype.itemsize):
        size, chosen = len(chosen), xp.asarray(chosen)
        place = _places(active[chosen])
        other_place = place if mirrored else _places(other_active[chosen])
        rows = xp.empty((size, most, k), K.dtype)
        columns = xp.empty((size, k, other_most), K.dtype)
        arrays = a, delta, D, chosen, place, rows
        _launch("pack_rows", neurons(n, size, k), arrays, (size, n, m, k, most))
        arrays = other_a, other_delta, chosen, other_place, columns
        sizes = size, other_n, m, k, other_most
        _launch("pack_columns", neurons(k, size, other_n), arrays, sizes)
        products, sizes = xp.matmul(rows, columns), (size, n, other_n, most, other_most, mirrored)
        if scales is None:
            arrays = products, place, other_place, K
            _launch("add_products", matrix(*K.shape), arrays, sizes)
        else:
            arrays = products, place, other_place, chosen, scales, K
            _launch("add_outputs", matrix(*K.shape), arrays, (*sizes, len(scales), m))


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
