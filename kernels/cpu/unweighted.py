"""The NTK Gram matrix from activations and backward signals, without J."""

import math

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import layer_products, neuron_subsets, output_pairs, skipping
from ntklin.kernels.cpu.blas import mirror_lower, product, slice_count
from ntklin.kernels.cpu.compiler import parallel_kernel

# From this many inputs on, products of activations or signals gain from skipping their zeros.
SKIPPING_PAYS = 192


@parallel_kernel
def _scale_shift(n, K, w2, v2, symmetric):
    """K ← w² K + v², on and below the diagonal when symmetric: the rest is not set."""
    for k in range(n + 1 if symmetric else K.shape[1]):
        K[n, k] = w2 * K[n, k] + v2


@parallel_kernel
def _add_layer(n, K, G, D, w2, v2, symmetric):
    """K += (w² G + v²) ∘ D, on and below the diagonal when symmetric."""
    for k in range(n + 1 if symmetric else K.shape[1]):
        K[n, k] += (w2 * G[n, k] + v2) * D[n, k]


@parallel_kernel
def _add_blocks(n, K, G, D, w2, v2, symmetric):
    """K_rq += (w² G_nn' + v²) D_rq, for several outputs: rows r = n C + c, q = n' C + c'."""
    n_outputs = K.shape[0] // G.shape[0]
    for row in range(n * n_outputs, (n + 1) * n_outputs):
        for k in range(n + 1 if symmetric else G.shape[1]):
            factor = w2 * G[n, k] + v2
            for q in range(k * n_outputs, (k + 1) * n_outputs):
                K[row, q] += factor * D[row, q]


@parallel_kernel
def _set_blocks(n, K, G, w2, v2, symmetric):
    """K_rq ← (w² G_nn' + v²) δ_cc': what the last layer gives several outputs."""
    n_outputs = K.shape[0] // G.shape[0]
    for c in range(n_outputs):
        row = n * n_outputs + c
        K[row] = 0
        for k in range(n + 1 if symmetric else G.shape[1]):
            K[row, k * n_outputs + c] = w2 * G[n, k] + v2


def _product(x, y, sparse):
    """x y^T; the lower triangle of x x^T when ``y`` is None."""
    if y is not None:
        return product(x, y)
    if sparse and len(x) >= SKIPPING_PAYS:
        return skipping.lower_gram(x, get_num_threads())
    K = layer_products.lower_gram(x)
    return product(x) if K is None else K


def gram_copies(shape, widest):
    """How many arrays of K's shape :func:`gram` holds at its peak: K, its factors, slices.

    Parameters
    ----------
    shape : (N C, N' C)
    widest : int
        The largest one of the widths.

    Returns
    -------
    int
    """
    # A square one may be symmetric, and then has fewer tiles and more slices.
    is_square = shape[0] == shape[1]
    slices = slice_count(*shape, is_square, widest)
    work = layer_products.work_size(shape[0], widest, 8) if is_square else 0
    return 3 + max(0 if slices == 1 else slices, -(-work // math.prod(shape)))


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
    ndarray, shape (N C, N' C)
        Row n C + c is that of output c of input n.
    """
    activations, deltas, w, v = passes
    symmetric = other is None
    last = len(activations) - 1
    other_activations, other_deltas = ([None] * (last + 1),) * 2 if symmetric else other[:2]
    is_relu = getattr(activations, "slopes", None) is None
    scalar = activations[0].dtype.type
    squares = [(scalar(w**2), scalar(v**2)) for w, v in zip(w, v, strict=True)]
    n_outputs = deltas[last].shape[1]
    several = n_outputs > 1
    # Backward signals in another dtype than they were made in are arrays and nothing else.
    scales = getattr(deltas, "scales", None) if is_relu and n_outputs >= output_pairs.PAYS else None
    # The last layer comes first: its δ is 1, so that K starts as its activations' Gram matrix.
    K = _product(activations[last], other_activations[last], is_relu and last > 0)
    if several:
        K = _of_outputs(K, n_outputs, squares[last], symmetric)
    else:
        _scale_shift[len(K)](K, *squares[last], symmetric)
    for l in range(last):
        G = _product(activations[l], other_activations[l], is_relu and l > 0)
        if scales is not None and l == last - 1:
            signals = activations[last], other_activations[last], scales
            output_pairs.add_layer(K, G, *squares[l], *signals)
        elif several:
            D = _product(deltas[l], other_deltas[l], is_relu)
            _add_blocks[len(G)](K, G, D, *squares[l], symmetric)
            del D
        elif is_relu and symmetric and l == last - 1 and len(K) >= SKIPPING_PAYS:
            neuron_subsets.add_layer(K, G, *squares[l], activations[last], deltas.scale)
        else:
            D = _product(deltas[l], other_deltas[l], is_relu)
            _add_layer[len(K)](K, G, D, *squares[l], symmetric)
            del D
        del G  # or it would still be there beside the next one
    if symmetric:
        mirror_lower[len(K)](K)
    return K


def _of_outputs(G, n_outputs, squares, symmetric):
    """What the last layer gives: (w² G + v²) ⊗ 1_C."""
    K = np.empty((len(G) * n_outputs, G.shape[1] * n_outputs), G.dtype)
    _set_blocks[len(G)](K, G, *squares, symmetric)
    return K
