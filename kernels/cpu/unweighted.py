"""The NTK Gram matrix from activations and backward signals, without J."""

import numpy as np
from ntklin.kernels.cpu.blas import gemm, sequential_blas
from ntklin.kernels.cpu.compiler import parallel_kernel
from numba import get_num_threads, prange

# Rows of a tile of K. Smaller tiles waste less on the diagonal, larger ones suit BLAS better.
TILE = 256


@parallel_kernel
def _add_layer(K, a, other_a, delta, other_delta, w2, v2, rows, columns, has_signal, slices):
    """K += (w² a a'^T + v²) ∘ (δ δ'^T) on the tiles that start at ``rows`` and ``columns``.

    Few tiles are cut into ``slices`` of neurons as well, so that every thread has work: K is
    (slices, N, N'), and the product of the two sums is left to the caller (``has_signal`` false).
    """
    n_tiles = rows.shape[0]
    for task in prange(n_tiles * slices):
        tile = task // slices
        part = task % slices
        i = rows[tile]
        j = columns[tile]
        i_stop = min(i + TILE, K.shape[1])
        j_stop = min(j + TILE, K.shape[2])
        size = (a.shape[1] + slices - 1) // slices
        start = min(part * size, a.shape[1])
        stop = min(start + size, a.shape[1])
        x = a[i:i_stop, start:stop]
        y = other_a[j:j_stop, start:stop]
        if not has_signal:
            gemm(False, True, w2, x, y, w2 * 0, K[part, i:i_stop, j:j_stop])
            continue
        G = np.empty((i_stop - i, j_stop - j), K.dtype)
        D = np.empty((i_stop - i, j_stop - j), K.dtype)
        gemm(False, True, w2, x, y, w2 * 0, G)
        gemm(False, True, w2 / w2, delta[i:i_stop], other_delta[j:j_stop], w2 * 0, D)
        for n in range(G.shape[0]):
            for k in range(G.shape[1]):
                K[0, i + n, j + k] += (G[n, k] + v2) * D[n, k]


@parallel_kernel
def _mirror_lower(K):
    for n in prange(K.shape[0]):
        for k in range(n):
            K[k, n] = K[n, k]


def _tiles(n_rows, n_columns, symmetric):
    corners = [
        (i, j)
        for i in range(0, n_rows, TILE)
        for j in range(0, i + 1 if symmetric else n_columns, TILE)
    ]
    return np.array(corners).T


def gram(activations, deltas, w, v, other_activations=None, other_deltas=None):
    """K(X, X') = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩ (THEORY section 2).

    Without ``other``, only tiles on and below the diagonal are computed.

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
    if symmetric:
        other_activations, other_deltas = activations, deltas
    dtype = activations[0].dtype
    shape = (len(activations[0]), len(other_activations[0]))
    rows, columns = _tiles(*shape, symmetric)
    # With few tiles, each product is cut into slices of neurons that are summed afterwards.
    slices = max(1, 4 * get_num_threads() // len(rows)) if len(rows) < 8 else 1

    def product(x, y, scale):
        parts = np.empty((slices, *shape), dtype)
        one = dtype.type(scale)
        _add_layer(parts, x, y, x, y, one, one, rows, columns, False, slices)
        return parts[0] if slices == 1 else parts.sum(axis=0)

    last = len(activations) - 1
    with sequential_blas:
        # The last layer comes first: its δ is 1, so that K starts as its activations' Gram matrix.
        K = product(activations[last], other_activations[last], w[last] ** 2)
        K += dtype.type(v[last] ** 2)
        for l in range(last):
            a, other_a = activations[l], other_activations[l]
            d, other_d = deltas[l], other_deltas[l]
            if slices == 1:
                w2, v2 = dtype.type(w[l] ** 2), dtype.type(v[l] ** 2)
                _add_layer(K[None], a, other_a, d, other_d, w2, v2, rows, columns, True, 1)
            else:
                G = product(a, other_a, w[l] ** 2)
                G += dtype.type(v[l] ** 2)
                G *= product(d, other_d, 1)
                K += G
    if symmetric:
        _mirror_lower(K)
    return K
