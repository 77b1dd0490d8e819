"""J v and J^T r from activations and backward signals, without J."""

from ntklin.kernels.gpu.arrays import namespace, symmetric, transposed


def jacobian_vector(passes, vector):
    """J v: (J v)_r = Σ_l δ^l_r · (w_l V^l a^{l-1}_n + v_l c^l) for v = (V^1, c^1, …), r = n C + c.

    Parameters
    ----------
    passes : Passes
    vector : sequence of (V^l, c^l or None)
        The vector's views in the layout of θ.

    Returns
    -------
    ndarray, shape (N C,)
    """
    X, n_rows = passes.activations[0], len(passes.deltas[0])
    scalar, out = X.dtype.type, namespace(X).zeros(n_rows, X.dtype)
    for a, delta, w, v, (V, c) in zip(*passes, vector, strict=True):
        u = a @ V.T
        u *= scalar(w)
        if c is not None:
            u += scalar(v) * c
        products = delta.reshape(len(X), -1, delta.shape[1]) * u[:, None]
        out += products.sum(axis=2).reshape(-1)
    return out


def jacobian_vectors(passes, vectors):
    """J v of k vectors, one by one: each of them keeps the card busy.

    Parameters
    ----------
    passes : Passes
    vectors : sequence of (V^l, c^l or None)
        The vectors' views in the layout of θ, shapes (k, m_l, m_{l-1}) and (k, m_l).

    Returns
    -------
    ndarray, shape (k, N C)
    """
    k = len(vectors[0][0])
    return namespace(vectors[0][0]).stack(
        [jacobian_vector(passes, _one_of(vectors, j)) for j in range(k)]
    )


def _one_of(layers, j):
    """The views of vector j."""
    return [(V[j], None if c is None else c[j]) for V, c in layers]


def vector_jacobian(passes, r, result):
    """J^T r into ``result``: per layer w_l (δ^l ∘ r)^T a^{l-1} and v_l Σ_r δ^l_r r_r.

    Parameters
    ----------
    passes : Passes
    r : ndarray, shape (N C,)
        Or, like all the others, with a leading axis for several networks.
    result : sequence of (R^l, s^l or None)
        Views in the layout of θ, overwritten.
    """
    xp, scalar = namespace(r), r.dtype.type
    for a, delta, w, v, (R, s) in zip(*passes, result, strict=True):
        scaled = delta * r[..., None]
        if delta.shape[-2] > a.shape[-2]:
            scaled = scaled.reshape(*a.shape[:-1], -1, delta.shape[-1]).sum(axis=-2)
        if s is not None:
            xp.multiply(scaled.sum(axis=-2), scalar(v), out=s)
        scaled *= scalar(w)  # smaller than R
        xp.matmul(transposed(scaled), a, out=R)


def vectors_jacobian(passes, r, result):
    """J^T r of k vectors into ``result``; see ``vector_jacobian``.

    Parameters
    ----------
    passes : Passes
    r : ndarray, shape (k, N C)
    result : sequence of (R^l, s^l or None)
        Views in the layout of θ, shapes (k, m_l, m_{l-1}) and (k, m_l), overwritten.
    """
    for j, one in enumerate(r):
        vector_jacobian(passes, one, _one_of(result, j))


def dense_product(x, y):
    """x y^T, or that of each of several x; exactly symmetric for y that is x.

    Parameters
    ----------
    x, y : ndarray, shapes (N, K) and (N', K)

    Returns
    -------
    ndarray, shape (N, N')
    """
    found = x @ transposed(y)
    return symmetric(found) if y is x else found
