"""A loss and its derivative at the outputs, for loops that take many steps."""

import numpy as np

from ntklin.kernels.cpu.compiler import kernel

LOSSES = {"squared": 0, "logistic": 1}


@kernel(error_model="numpy")
def loss_and_signal(loss, f, Y, weights, s):
    """Set s_n = weights_n ℓ'(f_n, y_n); return L = (1/N) Σ_n ℓ(f_n, y_n), summed in float64.

    ``loss`` is a value of ``LOSSES``; the formulas are those of ``ntklin.losses``. Not in the
    parallel functions that call it, where each array expression would start the threads.
    """
    total = 0.0
    one = f.dtype.type(1)
    for n in range(Y.shape[0]):
        if loss == 0:
            r = f[n] - Y[n]
            total += 0.5 * float(r) * float(r)
        else:
            small = np.exp(-abs(f[n]))
            r = (small if f[n] < 0 else one) / (one + small) - Y[n]
            y, h = float(Y[n]), float(f[n])
            total += max(h, 0.0) + np.log1p(np.exp(-abs(h))) - y * h
        s[n] = weights[n] * r
    return total / Y.shape[0]
