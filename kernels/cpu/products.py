"""J v and J^T r from activations and backward signals, without J."""

import numpy as np

from ntklin.kernels.cpu.compiler import kernel


@kernel
def _add_row_dots(delta, u, w, v, b, out):
    """out_n += Σ_i δ_ni (w u_ni + v b_i)."""
    for n in range(delta.shape[0]):
        total = out[n] * 0
        for i in range(delta.shape[1]):
            total += delta[n, i] * (w * u[n, i] + v * b[i])
        out[n] += total


def jacobian_vector(activations, deltas, w, v, vector):
    """J v: (J v)_n = Σ_l δ^l_n · (w_l V^l a^{l-1}_n + v_l c^l) for v = (V^1, c^1, …).

    Parameters
    ----------
    vector : sequence of (V^l, c^l or None)
        The vector's views in the layout of θ.

    Returns
    -------
    ndarray, shape (N,)
    """
    X = activations[0]
    scalar = X.dtype.type
    out = np.zeros(len(X), X.dtype)
    for l, (V, c) in enumerate(vector):
        if c is None:
            c = np.zeros(len(V), X.dtype)
        u = activations[l] @ V.T
        _add_row_dots(deltas[l], u, scalar(w[l]), scalar(v[l]), c, out)
    return out


def vector_jacobian(activations, deltas, w, v, r, result):
    """J^T r into ``result``: per layer w_l (δ^l ∘ r)^T a^{l-1} and v_l Σ_n δ^l_n r_n.

    Parameters
    ----------
    r : ndarray, shape (N,)
    result : sequence of (R^l, s^l or None)
        Views in the layout of θ, overwritten.
    """
    for l, (R, s) in enumerate(result):
        scaled = deltas[l] * r[:, None]
        if s is not None:
            np.sum(scaled, axis=0, out=s)
            s *= v[l]
        scaled *= w[l]
        np.matmul(scaled.T, activations[l], out=R)
