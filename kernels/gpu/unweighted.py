"""The NTK Gram matrix from activations and backward signals, without J."""

from ntklin.kernels.gpu.arrays import namespace, symmetric


def gram_copies(shape, widest):
    """How many (N, N') arrays :func:`gram` holds at its peak: K and a product for each factor.

    Parameters
    ----------
    shape : (N, N')
    widest : int
        Neither matters here.

    Returns
    -------
    int
    """
    return 3


def gram(passes, other=None):
    """K(X, X') = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩.

    Parameters
    ----------
    passes : Passes
    other : Passes, optional
        Of X' through the same layers.

    Returns
    -------
    ndarray, shape (N C, N' C)
    """
    activations, deltas, w, v = passes
    other_activations, other_deltas = passes[:2] if other is None else other[:2]
    scalar = activations[0].dtype.type
    K, C = None, deltas[len(activations) - 1].shape[1]
    for l in reversed(range(len(activations))):
        part = activations[l] @ other_activations[l].T
        part *= scalar(w[l] ** 2)
        part += scalar(v[l] ** 2)
        if K is None:  # the last layer, whose δ is 1
            K = part if C == 1 else _blocks(part, C)
            continue
        signals = deltas[l] @ other_deltas[l].T
        signals.reshape(len(part), C, -1, C)[...] *= part[:, None, :, None]
        K += signals
    return symmetric(K) if other is None else K


def _blocks(part, C):
    """``part`` ⊗ 1_C."""
    xp = namespace(part)
    K = xp.zeros((len(part), C, part.shape[1], C), part.dtype)
    for c in range(C):
        K[:, c, :, c] = part
    return K.reshape(len(part) * C, -1)
