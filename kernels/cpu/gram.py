"""The NTK Gram matrix from activations and backward signals, without J."""

from ntklin.kernels.cpu.compiler import parallel_kernel
from numba import prange


@parallel_kernel
def _scale_shift(G, w2, v2):
    for n in prange(G.shape[0]):
        for k in range(G.shape[1]):
            G[n, k] = w2 * G[n, k] + v2


@parallel_kernel
def _add_product(K, G, w2, v2, D):
    """K += (w² G + v²) ∘ D."""
    for n in prange(K.shape[0]):
        for k in range(K.shape[1]):
            K[n, k] += (w2 * G[n, k] + v2) * D[n, k]


def gram(activations, deltas, w, v, other_activations=None, other_deltas=None):
    """K(X, X') = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩ (THEORY section 2).

    Without ``other``, both factors are symmetric products, for which BLAS does half the work.

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
    if other_activations is None:
        other_activations, other_deltas = activations, deltas
    scalar = activations[0].dtype.type
    last = len(activations) - 1
    # The last layer comes first: its δ is 1, so that K starts as its activations' Gram matrix.
    K = activations[last] @ other_activations[last].T
    _scale_shift(K, scalar(w[last] ** 2), scalar(v[last] ** 2))
    for l in range(last):
        G = activations[l] @ other_activations[l].T
        D = deltas[l] @ other_deltas[l].T
        _add_product(K, G, scalar(w[l] ** 2), scalar(v[l] ** 2), D)
    return K
