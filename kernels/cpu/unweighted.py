"""The NTK Gram matrix from activations and backward signals, without J."""

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.blas import gemm, sequential_blas
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.skipping import lower_gram

# Rows of a tile of K. Smaller tiles waste less on the diagonal, larger ones suit BLAS better.
TILE = 128
# From this many inputs on, products of activations or signals gain from skipping their zeros.
MANY = 192


@parallel_kernel
def _tiled_product(K, a, other_a, rows, columns):
    """K[s] ← a a'^T of slice s of the neurons, on the tiles that start at ``rows``, ``columns``."""
    slices = K.shape[0]
    size = (a.shape[1] + slices - 1) // slices
    one = K.dtype.type(1)
    for task in prange(rows.shape[0] * slices):
        i = rows[task // slices]
        j = columns[task // slices]
        s = task % slices
        i_stop = min(i + TILE, K.shape[1])
        j_stop = min(j + TILE, K.shape[2])
        start = min(s * size, a.shape[1])
        stop = min(start + size, a.shape[1])
        x = a[i:i_stop, start:stop]
        y = other_a[j:j_stop, start:stop]
        gemm(False, True, one, x, y, one * 0, K[s, i:i_stop, j:j_stop])


@parallel_kernel
def _scale_shift(K, w2, v2, symmetric):
    """K ← w² K + v², on and below the diagonal when symmetric: the rest is not set."""
    for n in prange(K.shape[0]):
        for k in range(n + 1 if symmetric else K.shape[1]):
            K[n, k] = w2 * K[n, k] + v2


@parallel_kernel
def _add_layer(K, G, D, w2, v2, symmetric):
    """K += (w² G + v²) ∘ D, on and below the diagonal when symmetric."""
    for n in prange(K.shape[0]):
        for k in range(n + 1 if symmetric else K.shape[1]):
            K[n, k] += (w2 * G[n, k] + v2) * D[n, k]


@parallel_kernel
def _mirror_lower(K):
    for n in prange(K.shape[0]):
        for k in range(n):
            K[k, n] = K[n, k]


def _product(x, y, sparse):
    """x y^T; its lower triangle only when ``y`` is None, for x x^T."""
    n_threads = get_num_threads()
    if sparse and y is None and len(x) >= MANY:
        return lower_gram(x, n_threads)
    other = x if y is None else y
    corners = [
        (i, j)
        for i in range(0, len(x), TILE)
        for j in range(0, len(other) if y is not None else i + 1, TILE)
    ]
    rows, columns = np.array(corners).T
    # With fewer tiles than keep the threads busy, each product is cut into slices of neurons.
    slices = -(-4 * n_threads // len(corners)) if len(corners) < 4 * n_threads else 1
    parts = np.zeros((slices, len(x), len(other)), x.dtype)
    _tiled_product(parts, x, other, rows, columns)
    return parts[0] if slices == 1 else parts.sum(axis=0)


def gram(activations, deltas, w, v, other_activations=None, other_deltas=None):
    """K(X, X') = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩ (THEORY section 2).

    Without ``other``, only the products on and below the diagonal are computed.

    Parameters
    ----------
    activations, deltas : lists of ndarray
    w, v : sequences of floats
        v_l = 0 for layers without bias.
    other_activations, other_deltas : lists of ndarray, optional

    Returns
    -------
    ndarray, shape (N, N')
    """
    symmetric = other_activations is None
    last = len(activations) - 1
    if symmetric:
        other_activations = other_deltas = [None] * (last + 1)
    scalar = activations[0].dtype.type
    with sequential_blas:
        # The last layer comes first: its δ is 1, so that K starts as its activations' Gram matrix.
        K = _product(activations[last], other_activations[last], last > 0)
        _scale_shift(K, scalar(w[last] ** 2), scalar(v[last] ** 2), symmetric)
        for l in range(last):
            G = _product(activations[l], other_activations[l], l > 0)
            D = _product(deltas[l], other_deltas[l], True)
            _add_layer(K, G, D, scalar(w[l] ** 2), scalar(v[l] ** 2), symmetric)
    if symmetric:
        _mirror_lower(K)
    return K
