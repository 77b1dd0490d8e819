"""The NTK Gram matrix from activations and backward signals, without J."""

from numba import get_num_threads, prange

from ntklin.kernels.cpu import neuron_subsets, skipping
from ntklin.kernels.cpu.blas import product, sequential_blas, slice_count
from ntklin.kernels.cpu.compiler import parallel_kernel

# From this many inputs on, products of activations or signals gain from skipping their zeros.
SKIPPING_PAYS = 192


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
    """x y^T; the lower triangle of x x^T when ``y`` is None."""
    if sparse and y is None and len(x) >= SKIPPING_PAYS:
        return skipping.lower_gram(x, get_num_threads())
    return product(x, y)


def gram_copies(shape, itemsize):
    """How many (N, N') arrays :func:`gram` holds at its peak: K, a product for each factor, slices.

    Parameters
    ----------
    shape : (N, N')
    itemsize : int
        Does not matter here.

    Returns
    -------
    int
    """
    # A square one may be symmetric, and then has fewer tiles and more slices.
    slices = slice_count(*shape, symmetric=shape[0] == shape[1])
    return 3 if slices == 1 else 3 + slices


def gram(passes, other=None):
    """K(X, X') = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩.

    Without ``other``, only the products on and below the diagonal are computed.

    Parameters
    ----------
    passes : Passes
    other : Passes, optional
        Of X' through the same layers.

    Returns
    -------
    ndarray, shape (N, N')
    """
    activations, deltas, w, v = passes
    symmetric = other is None
    last = len(activations) - 1
    other_activations, other_deltas = ([None] * (last + 1),) * 2 if symmetric else other[:2]
    scalar = activations[0].dtype.type
    with sequential_blas:
        # The last layer comes first: its δ is 1, so that K starts as its activations' Gram matrix.
        K = _product(activations[last], other_activations[last], last > 0)
        _scale_shift(K, scalar(w[last] ** 2), scalar(v[last] ** 2), symmetric)
        for l in range(last):
            G = _product(activations[l], other_activations[l], l > 0)
            w2, v2 = scalar(w[l] ** 2), scalar(v[l] ** 2)
            if symmetric and l == last - 1 and len(K) >= SKIPPING_PAYS:
                neuron_subsets.add_layer(K, G, w2, v2, activations[last], deltas.scale)
            else:
                D = _product(deltas[l], other_deltas[l], True)
                _add_layer(K, G, D, w2, v2, symmetric)
                del D
            del G  # or it would still be there beside the next one
    if symmetric:
        _mirror_lower(K)
    return K
