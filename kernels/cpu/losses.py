"""A loss and its derivative at the outputs, for loops that take many steps."""

import numpy as np

from ntklin.kernels.cpu.compiler import kernel

SQUARED, LOGISTIC = range(2)
LOSSES = {"squared": SQUARED, "logistic": LOGISTIC}


@kernel(error_model="numpy")
def loss_and_signal(loss, f, Y, weights, s):
    """Set s_n = weights_n ℓ'(f_n, y_n); return L = (1/N) Σ_n ℓ(f_n, y_n), summed in float64.

    ``loss`` is a value of ``LOSSES``; the formulas are those of ``ntklin.runs.losses``. Not in the
    parallel functions that call it, where each array expression would start the threads.
    """
    total = 0.0
    one = f.dtype.type(1)
    for n in range(Y.shape[0]):
        h, y = np.float64(f[n]), np.float64(Y[n])  # float() would leave float32
        if loss == SQUARED:
            signal = f[n] - Y[n]
            total += 0.5 * (h - y) * (h - y)
        else:
            small = np.exp(-abs(f[n]))
            unlikely = small / (one + small)
            signal = (one - Y[n]) - unlikely if f[n] >= 0 else unlikely - Y[n]
            total += np.log1p(np.exp(-abs(h))) + h * ((1.0 if h >= 0 else 0.0) - y)
        s[n] = weights[n] * signal
    return total / Y.shape[0]
