"""A loss and its derivative at the outputs; the kernel is losses.cu."""

import numpy as np

from ntklin.kernels.gpu import loader
from ntklin.kernels.gpu.launch import networks

LOSSES = {"squared": 0, "logistic": 1, "softmax": 2}
THREADS = 256  # as in losses.cu


def loss_and_derivatives(loss, f, Y, sample_weights, s, total):
    """Set s_n = sample_weights_n ℓ'(f_n, y_n) and total = (1/N) Σ_n ℓ(f_n, y_n).

    Returns before it is done.

    Parameters
    ----------
    loss : str
        A key of ``LOSSES``, but softmax, which takes several outputs.
    f, sample_weights, s : ndarray, shape (N,)
        Or (S, N) for several networks at once.
    Y : ndarray, shape (N,)
    total : ndarray of float64, shape (1,)
        Or with S entries.
    """
    shape = networks(total.size, THREADS)
    arguments = (np.int32(LOSSES[loss]), f, Y, sample_weights, s, total, np.int32(len(Y)))
    loader.launch("losses.cu", "loss_and_derivatives", f.dtype, shape, arguments)


def losses_and_derivatives(loss, f, Y, sample_weights, s, total, *, by_output):
    """The same of C > 1 outputs: s_nc and the mean of Σ_c ℓ(f_nc, y_nc), or of softmax's loss.

    Parameters
    ----------
    loss : str
    f, s : ndarray, shape (N, C), or (C, N) ``by_output``
        Or with a leading axis for several networks.
    Y : ndarray, of the shape of one network's
    sample_weights : ndarray, shape (N,)
        Or (S, N).
    total : ndarray of float64, shape (1,)
        Or with S entries.
    by_output : bool
    """
    n, C = Y.shape[::-1] if by_output else Y.shape
    sizes = (n, C, 1, n) if by_output else (n, C, C, 1)
    shape = networks(total.size, THREADS)
    arrays = f, Y, sample_weights, s, total
    arguments = (np.int32(LOSSES[loss]), *arrays, *map(np.int32, sizes))
    loader.launch("losses.cu", "losses_and_derivatives", f.dtype, shape, arguments)
