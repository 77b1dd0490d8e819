"""A loss and its derivatives at the outputs, and the end of a run, for loops of many steps."""

import numpy as np

from ntklin.kernels import ends
from ntklin.kernels.cpu.compiler import kernel

SQUARED, LOGISTIC = range(2)
LOSSES = {"squared": SQUARED, "logistic": LOGISTIC}

goes_on = kernel(ends.goes_on)


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
    one = f.dtype.type(1)
    for n in range(Y.shape[0]):
        h, y = np.float64(f[n]), np.float64(Y[n])  # float() would leave float32
        if loss == SQUARED:
            slope = f[n] - Y[n]
            total += 0.5 * (h - y) * (h - y)
        else:
            small = np.exp(-abs(f[n]))
            unlikely = small / (one + small)
            slope = (one - Y[n]) - unlikely if f[n] >= 0 else unlikely - Y[n]
            total += np.log1p(np.exp(-abs(h))) + h * ((1.0 if h >= 0 else 0.0) - y)
        s[n] = sample_weights[n] * slope
    return total / Y.shape[0]
