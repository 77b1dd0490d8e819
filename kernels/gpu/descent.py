"""Gradient steps with the first layer in its Gram reduction (docs/theory.md, training).

As on the CPU: h^1 ← h^1 − η (δ^1 ∘ r) G with G = w_1² X X^T + v_1², and S = Σ_t δ^1 ∘ r gives the
parameters back at the end; steps go to sums of their own, which ``fold`` takes over into the
totals. With several outputs δ^1 ∘ r is the sum over them, which takes one pass from the top.
Everything is neuron-major, (m, N), outputs (C, N).
"""

import numpy as np

from ntklin.kernels.gpu.arrays import namespace, to_host, transposed
from ntklin.kernels.gpu.losses import loss_and_derivatives, losses_and_derivatives
from ntklin.kernels.gpu.passes import activate
from ntklin.kernels.gpu.replay import up_to_the_end
from ntklin.kernels.structures import DescentState


def own_copy(theta, first):
    """A copy of θ for a descent.

    Parameters
    ----------
    theta : ndarray, shape (P,), or (S, P) of several networks
    first : int
        Where the layers begin that are to lie well: here they do anywhere.

    Returns
    -------
    ndarray
        Of the same shape.
    """
    del first
    return theta.copy()


def descent_state(H, dtype):
    """The state of a descent that begins.

    Parameters
    ----------
    H : ndarray, shape (m, N)
        The first layer's preactivations.
    dtype : dtype

    Returns
    -------
    DescentState
        C-contiguous.
    """
    xp = namespace(H)
    own = xp.array(H, dtype=dtype, order="C")
    return DescentState(own, *(xp.zeros(H.shape, dtype) for _ in range(3)))


def fold(state):
    """Take the sums of steps over into the totals, and leave there what rounding withholds.

    Knuth's sum of two numbers, whichever is larger: each total and its sum of steps add up to what
    they did, exactly.

    Parameters
    ----------
    state : DescentState
    """
    for total, change in ((state.H, state.moved), (state.S, state.S_moved)):
        new = total + change
        taken = new - total
        change[...] = (total - (new - taken)) + (change - taken)
        total[...] = new


def descend(state, above, kept, G, Y, loss, rate, sample_weights, end):
    """Gradient descent, up to a step for each row of sample weights.

    Several networks take their steps at once where the state and the layers have a leading axis of
    them and ``sample_weights`` is (k, S, N); ``rate`` and the ceiling may then be (S,) arrays of
    NumPy. The losses have a column each, and the steps end with the first network that ends.

    Parameters
    ----------
    state : DescentState
        ``moved`` and ``S_moved`` are updated in place.
    above : Layers
        Layers 2 … L, updated in place; with v = 0 a bias stays.
    kept : dict
        What a call leaves to the next one: nothing here.
    G : ndarray, shape (N, N)
    Y : ndarray, shape (N,), or (N, C) of more than one output
    loss : str
    rate : float
        η.
    sample_weights : ndarray of NumPy, shape (k, N)
        The weights of the samples in each step's gradient.
    end : End

    Returns
    -------
    ndarray of NumPy, shape (steps taken + 1,)
        The losses on all samples, before each step and after the last.
    """
    del kept
    H, moved, _, S = state
    xp, scalar, layers, body = namespace(H), H.dtype.type, above.parameters, above.activation
    w, v = [scalar(x) for x in above.w], [scalar(x) for x in above.v]
    if H.ndim == 2:
        rate = scalar(rate)
    else:  # for each network's matrices; products with one that all share would cost more launches
        rate = xp.asarray(np.full(len(H), rate, H.dtype)[:, None, None])
    targets = xp.ascontiguousarray(Y.T)  # (N,) or (C, N)
    minus_rate_G, r = -rate * G, xp.empty((*H.shape[:-2], *targets.shape), Y.dtype)
    A, gates = [], []  # of the latest step, α(h) and α'(h) of each hidden layer
    paces = [(rate * w_l, rate * v_l) for w_l, v_l in zip(w, v, strict=True)]
    losses = xp.empty((len(sample_weights) + 1, *sample_weights.shape[1:-1]))
    # After the last step only the loss is asked for.
    nothing = np.zeros((1, *sample_weights.shape[1:]), sample_weights.dtype)
    rows = xp.asarray(np.concatenate([sample_weights, nothing]))

    def keep(h):
        """Turn h into α(h), and keep it with α'(h)."""
        if body.name == "relu":
            A.append(xp.maximum(h, 0, out=h))
            gates.append(h > 0)
        else:
            slopes = xp.empty_like(h)
            activate(body, h, slopes)
            A.append(h)
            gates.append(slopes)

    def preactivations(l):
        """w W A + v b of the layer l above the first."""
        W, b = layers[l]
        h = W @ A[-1]
        h *= w[l]
        h += xp.multiply(b, v[l])[..., None]
        return h

    def observe(row, total):
        """f and the activations below it, and from them r."""
        A.clear()
        gates.clear()
        keep(H + moved)
        for l in range(len(layers) - 1):
            keep(preactivations(l))
        f = preactivations(len(layers) - 1)
        if Y.ndim == 1:
            loss_and_derivatives(loss, f, targets, row, r, total)
        else:
            losses_and_derivatives(loss, f, targets, row, r, total, by_output=True)

    def step():
        # δ ∘ r, from the output down; r is a factor of each column, and of each output.
        scaled = r[..., None, :] if Y.ndim == 1 else r
        for l in reversed(range(len(layers))):
            (W, b), (pace, bias_pace) = layers[l], paces[l]
            below = transposed(W) @ scaled
            below *= w[l]
            below *= gates[l]
            change, bias_change = scaled @ transposed(A[l]), scaled.sum(axis=-1, keepdims=True)
            change *= pace
            W -= change
            bias_change *= bias_pace
            bias = b[..., None]
            bias -= bias_change
            scaled = below
        S[...] += scaled
        moved[...] += scaled @ minus_rate_G

    def take(count):
        for t in range(count):
            observe(rows[t], losses[t : t + 1])
            step()
        observe(rows[-1], losses[count : count + 1])
        return to_host(losses[: count + 1])

    changing = [moved, S, *(part for layer in layers for part in layer)]
    return up_to_the_end(changing, take, len(sample_weights), end)
