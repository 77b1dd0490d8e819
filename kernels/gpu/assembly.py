"""Dense Jacobian assembly; the kernel is jacobian.cu."""

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.launch import neurons


def jacobian(activations, deltas, w, v, has_bias, out):
    """J = φ(X) into ``out``: ∂f/∂W^l = w_l δ^l ⊗ a^{l-1}, ∂f/∂b^l = v_l δ^l.

    Parameters
    ----------
    has_bias : bool
        Whether the biases are in θ.
    out : ndarray, shape (N, P)
        C-contiguous, overwritten; rows follow the layout of θ.
    """
    scalar = out.dtype.type
    offset = 0
    for l, (a, d) in enumerate(zip(activations, deltas, strict=True)):
        (n, k), m = a.shape, d.shape[1]
        places = (np.int64(out.shape[1]), np.int64(offset))
        loader.launch(
            "jacobian.cu",
            "jacobian_layer",
            out.dtype,
            neurons(n, m, k),
            (
                *(a, d, scalar(w[l]), scalar(v[l]), np.int32(has_bias), out),
                *(*places, np.int32(n), np.int32(m), np.int32(k)),
            ),
        )
        offset += m * (k + has_bias)
