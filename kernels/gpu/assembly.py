"""Dense Jacobian assembly; the kernel is jacobian.cu."""

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.launch import neurons


def jacobian(passes, has_bias, out):
    """J = φ(X) into ``out``: ∂f/∂W^l = w_l δ^l ⊗ a^{l-1}, ∂f/∂b^l = v_l δ^l.

    Parameters
    ----------
    passes : Passes
    has_bias : bool
        Whether the biases are in θ.
    out : ndarray, shape (N C, P)
        C-contiguous, overwritten; rows follow the layout of θ.
    """
    scalar, long = out.dtype.type, np.int64
    offset = 0
    for a, d, w, v in zip(*passes, strict=True):
        (n, m), k = d.shape, a.shape[1]
        scales = scalar(w), scalar(v)
        sizes = long(out.shape[1]), long(offset), *map(np.int32, (n, m, k, n // len(a)))
        arguments = (a, d, *scales, np.int32(has_bias), out, *sizes)
        loader.launch("jacobian.cu", "jacobian_layer", out.dtype, neurons(n, m, k), arguments)
        offset += m * (k + has_bias)
