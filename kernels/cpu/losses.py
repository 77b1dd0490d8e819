"""A loss and its derivatives at the outputs, and the end of a run, for loops of many steps."""

import numpy as np

from ntklin.kernels import ends
from ntklin.kernels.cpu.compiler import kernel

SQUARED, LOGISTIC, SOFTMAX = range(3)
LOSSES = {"squared": SQUARED, "logistic": LOGISTIC, "softmax": SOFTMAX}

goes_on = kernel(ends.goes_on)


@kernel(error_model="numpy")
def _loss(loss, f, y, one):
    """ℓ(f, y) of one output, in float64, and its derivative in the type of f and one."""
    h, t = np.float64(f), np.float64(y)  # float() would leave float32
    if loss == SQUARED:
        return 0.5 * (h - t) * (h - t), f - y
    small = np.exp(-abs(f))
    unlikely = small / (one + small)
    slope = (one - y) - unlikely if f >= 0 else unlikely - y
    return np.log1p(np.exp(-abs(h))) + h * ((1.0 if h >= 0 else 0.0) - t), slope


@kernel(error_model="numpy")
def loss_and_derivatives(loss, f, Y, sample_weights, s):
    """Set s_n = sample_weights_n ℓ'(f_n, y_n), return L = (1/N) Σ_n ℓ(f_n, y_n).

    L is summed in float64. ``loss`` is a value of ``LOSSES``; the formulas are those of
    ``ntklin.runs.losses``. Not in the parallel functions that call it, where each array expression
    would start the threads.

    Returns
    -------
    float
    """
    total = 0.0
    for n in range(Y.shape[0]):
        value, slope = _loss(loss, f[n], Y[n], f.dtype.type(1))
        total += value
        s[n] = sample_weights[n] * slope
    return total / Y.shape[0]


@kernel(error_model="numpy")
def _softmax(f, Y, weight, s, n):
    """The softmax loss of sample n; its column of s is set."""
    top = 0
    for c in range(1, f.shape[0]):
        # Not a number is taken for the largest, so that it is not hidden.
        top = c if f[c, n] > f[top, n] or f[c, n] != f[c, n] else top
    largest, rest, gaps = np.float64(f[top, n]), 0.0, 0.0
    for c in range(f.shape[0]):
        gap = largest - np.float64(f[c, n])
        rest += 0.0 if c == top else np.exp(-gap)
        gaps += np.float64(Y[c, n]) * gap
    for c in range(f.shape[0]):
        y = np.float64(Y[c, n])
        slope = (1.0 - y) - rest / (1.0 + rest)
        if c != top:
            slope = np.exp(np.float64(f[c, n]) - largest) / (1.0 + rest) - y
        s[c, n] = weight * slope
    return np.log1p(rest) + gaps


@kernel(error_model="numpy")
def losses_and_derivatives(loss, f, Y, sample_weights, s):
    """As ``loss_and_derivatives``, of C outputs: f, Y and s are (C, N)."""
    total = 0.0
    for n in range(Y.shape[1]):
        if loss == SOFTMAX:
            total += _softmax(f, Y, sample_weights[n], s, n)
        else:
            for c in range(Y.shape[0]):
                value, slope = _loss(loss, f[c, n], Y[c, n], f.dtype.type(1))
                total += value
                s[c, n] = sample_weights[n] * slope
    return total / Y.shape[1]
