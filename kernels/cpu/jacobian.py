"""Dense Jacobian assembly: every element of the (N, P) result is written exactly once."""

from ntklin.kernels.cpu.compiler import parallel_kernel
from numba import prange


@parallel_kernel
def _layer(activation, delta, w, v, has_bias, out, offset):
    n_samples, n_out = delta.shape
    n_in = activation.shape[1]
    for task in prange(n_samples * n_out):
        n = task // n_out
        i = task % n_out
        d = w * delta[n, i]
        start = offset + i * n_in
        if d == 0:
            for j in range(n_in):
                out[n, start + j] = 0
        else:
            for j in range(n_in):
                out[n, start + j] = d * activation[n, j]
        if has_bias:
            out[n, offset + n_out * n_in + i] = v * delta[n, i]


def jacobian(activations, deltas, w, v, has_bias, out):
    """J = φ(X) into ``out``: ∂f/∂W^l = w_l δ^l ⊗ a^{l-1}, ∂f/∂b^l = v_l δ^l.

    Parameters
    ----------
    has_bias : bool
        Whether the biases are in θ.
    out : ndarray, shape (N, P)
        Overwritten; rows follow the layout of θ.
    """
    scalar = out.dtype.type
    offset = 0
    for l, (a, d) in enumerate(zip(activations, deltas, strict=True)):
        _layer(a, d, scalar(w[l]), scalar(v[l]), has_bias, out, offset)
        offset += d.shape[1] * (a.shape[1] + has_bias)
