"""Gradient steps with the first layer in its Gram reduction (docs/theory.md, training).

As on the CPU: h^1 ← h^1 − η (δ^1 ∘ r) G with G = w_1² X X^T + v_1², and S = Σ_t δ^1 ∘ r gives the
parameters back at the end; steps go to sums of their own, which ``fold`` takes over into the
totals. Everything is neuron-major, (m, N).
"""

import numpy as np

from ntklin.kernels.gpu.arrays import namespace, transposed
from ntklin.kernels.gpu.losses import loss_and_signal
from ntklin.kernels.gpu.replay import take_steps


def neuron_major(a, dtype):
    """A copy of ``a`` (m, N), C-contiguous."""
    return namespace(a).array(a, dtype=dtype, order="C")


def fold(total, change):
    """Take ``change`` over into ``total``, and leave there what rounding withholds from it.

    Knuth's sum of two numbers, whichever is larger: total + change is what it was, exactly.

    Parameters
    ----------
    total, change : ndarray
    """
    new = total + change
    taken = new - total
    change[...] = (total - (new - taken)) + (change - taken)
    total[...] = new


def shallow_descent(H, moved, S, W, b, G, Y, w, v, rate, loss, weights, until, ceiling):
    """Gradient descent on a network with one hidden layer, up to a step for each row of weights.

    Parameters
    ----------
    H, moved, S : ndarray, shape (m, N)
        From ``neuron_major``: the preactivations at the latest ``fold``, by how much they have
        moved since, and Σ_t δ^1 ∘ r since then. The latter two are updated in place.
    W, b : ndarray, shapes (m,) and (1,)
        The output layer, updated in place; with v = 0 the bias stays.
    G : ndarray, shape (N, N)
    Y : ndarray, shape (N,)
    w, v : float
        w_2 and v_2.
    rate : float
        η.
    loss : str
    weights : ndarray of NumPy, shape (k, N)
        The weights of the samples in each step's gradient.
    until, ceiling : float
        Stop where the loss is below ``until``, above ``ceiling`` or NaN.

    Returns
    -------
    ndarray of NumPy, shape (steps taken + 1,)
        The losses on all samples, before each step and after the last.
    """
    layers, w, v = [(W[None, :], b)], (None, w), (None, v)
    return deep_descent(H, moved, S, layers, G, Y, w, v, rate, loss, weights, until, ceiling)


def deep_descent(H, moved, S, layers, G, Y, w, v, rate, loss, weights, until, ceiling):
    """Gradient descent on a network with several hidden layers.

    As :func:`shallow_descent`, with ``layers`` the pairs (W^l, b^l) of l = 2 … L, updated in place,
    and ``w``, ``v`` the scales of all L layers, of which the first are not used.

    Several networks take their steps at once where ``H``, ``moved``, ``S`` and ``layers`` have a
    leading axis of them and ``weights`` is (k, S, N); ``rate`` and ``ceiling`` may then be (S,)
    arrays of NumPy. The losses have a column each, and the steps end with the first network that
    ends.
    """
    xp, scalar = namespace(H), H.dtype.type
    w, v = [scalar(x) for x in w[1:]], [scalar(x) for x in v[1:]]
    if H.ndim == 2:
        rate = scalar(rate)
    else:  # for each network's matrices; products with one that all share would cost more launches
        rate = xp.asarray(np.full(len(H), rate, H.dtype)[:, None, None])
    pull, r, A = -rate * G, xp.empty((*H.shape[:-2], len(Y)), Y.dtype), []
    paces = [(rate * w_l, rate * v_l) for w_l, v_l in zip(w, v, strict=True)]

    def observe(row, total):
        """f and the activations below it, and from them r."""
        A.clear()
        A.append(xp.maximum(H + moved, 0))
        for (W, b), w_l, v_l in zip(layers[:-1], w, v, strict=False):
            h = W @ A[-1]
            h *= w_l
            h += xp.multiply(b, v_l)[..., None]
            A.append(xp.maximum(h, 0, out=h))
        W, b = layers[-1]
        f = (W @ A[-1])[..., 0, :]
        f *= w[-1]
        f += xp.multiply(b, v[-1])
        loss_and_signal(loss, f, Y, row, r, total)

    def step():
        pulled = r[..., None, :]  # δ ∘ r, from the output down; r is a factor of each column
        for l in reversed(range(len(layers))):
            (W, b), (pace, bias_pace) = layers[l], paces[l]
            below = transposed(W) @ pulled
            below *= w[l]
            below *= A[l] > 0
            change, bias_change = pulled @ transposed(A[l]), pulled.sum(axis=-1, keepdims=True)
            change *= pace
            W -= change
            bias_change *= bias_pace
            bias = b[..., None]
            bias -= bias_change
            pulled = below
        S[...] += pulled
        moved[...] += pulled @ pull

    state = [moved, S, *(part for layer in layers for part in layer)]
    return take_steps(state, observe, step, weights, until, ceiling)
