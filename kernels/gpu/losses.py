"""A loss and its derivative at the outputs; the kernel is losses.cu."""

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.launch import networks

LOSSES = {"squared": 0, "logistic": 1}
THREADS = 256  # as in losses.cu


def loss_and_derivatives(loss, f, Y, sample_weights, s, total):
    """Set s_n = sample_weights_n ℓ'(f_n, y_n) and total = (1/N) Σ_n ℓ(f_n, y_n).

    Returns before it is done.

    Parameters
    ----------
    loss : str
        A key of ``LOSSES``.
    f, sample_weights, s : ndarray, shape (N,)
        Or (S, N) for several networks at once.
    Y : ndarray, shape (N,)
    total : ndarray of float64, shape (1,)
        Or with S entries.
    """
    shape = networks(total.size, THREADS)
    arguments = (np.int32(LOSSES[loss]), f, Y, sample_weights, s, total, np.int32(len(Y)))
    loader.launch("losses.cu", "loss_and_derivatives", f.dtype, shape, arguments)
