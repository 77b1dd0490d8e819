"""J V and J^T R for one or several columns, from activations and backward signals, without J.

Several columns are one matrix product a layer, of all their matrices one below the other, and each
input's signals meet them in one more. In the output δ is e_c, and in the last hidden layer scales
of the outputs times α', so that neither of these signals is made.
"""

from ntklin.kernels.gpu.arrays import namespace, symmetric, transposed
from ntklin.kernels.gpu.passes import BackwardSignals

# What one column after another of N × m numbers may take together, in bytes: fewer columns are
# taken at a time where a layer is larger, and then each of them keeps the card busy.
GROUP_BYTES = 1 << 28


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
    alone = [(V[None], None if c is None else c[None]) for V, c in vector]
    return jacobian_vectors(passes, alone)[0]


def jacobian_vectors(passes, vectors):
    """J v of k vectors.

    Parameters
    ----------
    passes : Passes
    vectors : sequence of (V^l, c^l or None)
        The vectors' views in the layout of θ, shapes (k, m_l, m_{l-1}) and (k, m_l).

    Returns
    -------
    ndarray, shape (k, N C)
    """
    X, count = passes.activations[0], len(vectors[0][0])
    C = passes.deltas[len(vectors) - 1].shape[1]
    out = namespace(X).zeros((count, len(X), C), X.dtype)
    for some in _groups(passes, count):
        for l, (V, c) in enumerate(vectors):
            u = _preactivations(passes, l, V[some], c, some)
            out[some] += _meet(passes, l, u, C).swapaxes(0, 1)
    return out.reshape(count, -1)


def _preactivations(passes, l, V, c, some):
    """w V a + v c of some vectors, (N, k, m)."""
    a, scalar = passes.activations[l], passes.activations[0].dtype.type
    count, m, k = V.shape
    u = a @ V.reshape(count * m, k).T
    u *= scalar(passes.w[l])
    if c is not None:
        u += scalar(passes.v[l]) * c[some].reshape(-1)
    return u.reshape(len(a), count, m)


def _meet(passes, l, u, C):
    """Σ_i δ_(n,c)i u_nki, (N, k, C); u is overwritten."""
    deltas, (n, count, m) = passes.deltas, u.shape
    last = len(passes.activations) - 1
    if _is_unit(deltas) and l == last:
        return u
    if _is_unit(deltas) and l == last - 1:
        u *= deltas.gates[:, None]
        return (u.reshape(n * count, m) @ deltas.scales.T).reshape(n, count, C)
    delta = deltas[l].reshape(n, C, m)
    if C == 1:
        u *= delta
        return u.sum(axis=2, keepdims=True)
    if count <= C:  # CuPy copies what is transposed in a batch of products
        return transposed(delta @ transposed(u))
    return u @ transposed(delta)


def vector_jacobian(passes, r, result):
    """J^T r into ``result``: per layer w_l (δ^l ∘ r)^T a^{l-1} and v_l Σ_r δ^l_r r_r.

    Parameters
    ----------
    passes : Passes
    r : ndarray, shape (N C,)
        Or, like all the others, with a leading axis for several networks, of one row an input.
    result : sequence of (R^l, s^l or None)
        Views in the layout of θ, overwritten.
    """
    xp, scalar, (activations, deltas, *scales) = namespace(r), r.dtype.type, passes
    C = r.shape[-1] // activations[0].shape[-2]
    for l, (a, w, v, (R, s)) in enumerate(zip(activations, *scales, result, strict=True)):
        if C > 1:
            scaled = _spread(passes, l, r.reshape(len(a), 1, C))[:, 0]
        else:
            scaled = deltas[l] * r[..., None]
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
    X, scalar = passes.activations[0], r.dtype.type
    for some in _groups(passes, len(r)):
        if len(r[some]) == 1:
            j = some.start
            one = [(R[j], None if s is None else s[j]) for R, s in result]
            vector_jacobian(passes, r[j], one)
            continue
        rows = r[some].reshape(-1, len(X), r.shape[1] // len(X)).swapaxes(0, 1)
        for l, (R, s) in enumerate(result):
            scaled = _spread(passes, l, rows)
            if s is not None:
                s[some] = scalar(passes.v[l]) * scaled.sum(axis=0)
            product = scaled.reshape(len(X), -1).T @ passes.activations[l]
            product *= scalar(passes.w[l])
            R[some] = product.reshape(R[some].shape)


def _spread(passes, l, rows):
    """Σ_c δ_(n,c)i r_nkc, (N, k, m), for rows (N, k, C)."""
    deltas, (n, count, C) = passes.deltas, rows.shape
    last = len(passes.activations) - 1
    if _is_unit(deltas) and l == last:
        return namespace(rows).array(rows, order="C")  # for the caller to change
    if _is_unit(deltas) and l == last - 1:
        spread = (rows.reshape(n * count, C) @ deltas.scales).reshape(n, count, -1)
        spread *= deltas.gates[:, None]
        return spread
    delta = deltas[l].reshape(n, C, -1)
    return rows * delta if C == 1 else rows @ delta


def _is_unit(deltas):
    return isinstance(deltas, BackwardSignals) and deltas.is_unit


def _groups(passes, count):
    """Runs of as many vectors as fill ``GROUP_BYTES`` in the widest layer."""
    X, *hidden = passes.activations
    size = len(X) * max((a.shape[1] for a in hidden), default=1) * X.itemsize
    some = max(1, GROUP_BYTES // max(1, size))
    return [slice(j, min(j + some, count)) for j in range(0, count, some)]


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
