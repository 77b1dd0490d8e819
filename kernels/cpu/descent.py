"""Gradient steps with the first layer in its Gram reduction (docs/theory.md, training).

All gradient-descent updates of (W^1, b^1) lie in the span of the training inputs, so the first
layer's preactivations evolve on their own, h^1 ← h^1 − η (δ^1 ∘ r) G with G = w_1² X X^T + v_1²,
and S = Σ_t δ^1 ∘ r gives the parameters back at the end. A step may be smaller than the rounding of
what it is added to, and H and S would then part from each other and, in float32, soon stand still.
So the steps go to sums of their own, ``moved`` for H and ``S_moved`` for S, and every so many steps
``fold`` takes these over into the totals without loss; h^1 is H + moved throughout.

Here r_n is the loss's derivative ℓ'_n times the weight of sample n in that step: 1/N, or 1/|B| on a
mini-batch and 0 beyond it. Everything is neuron-major: H, S and the activations are (m, padded N),
so that one neuron's inputs are contiguous; the padding of H stays zero.
"""

from functools import partial

from ntklin.kernels.cpu.aligned import aligned_empty, aligned_zeros
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.deep_descent import deep_descent
from ntklin.kernels.cpu.general_descent import general_descent
from ntklin.kernels.cpu.shallow_descent import shallow_descent
from ntklin.kernels.cpu.sizes import LINE, skipping_width
from ntklin.kernels.structures import DescentState


def own_copy(theta, first):
    """A copy of θ for a descent, in which the layers that begin at ``first`` lie well.

    Parameters
    ----------
    theta : ndarray, shape (P,)
    first : int
        What starts a cache line, and with it each of the rows behind it, if these are whole lines.

    Returns
    -------
    ndarray, shape (P,)
    """
    spare = -first % (LINE // theta.itemsize)
    copy = aligned_empty(spare + len(theta), theta.dtype)[spare:]
    copy[:] = theta
    return copy


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
        Aligned rows, zero-padded to whole tiles.
    """
    width = skipping_width(dtype)
    shape = len(H), -(-H.shape[1] // width) * width
    padded = aligned_empty(shape, dtype)
    padded[:, H.shape[1] :] = 0
    padded[:, : H.shape[1]] = H
    return DescentState(padded, *(aligned_zeros(shape, dtype) for _ in range(3)))


@parallel_kernel
def _fold(i, total, change):
    for n in range(total.shape[1]):
        old, new = total[i, n], total[i, n] + change[i, n]
        taken = new - old
        change[i, n] = (old - (new - taken)) + (change[i, n] - taken)
        total[i, n] = new


def fold(state):
    """Take the sums of steps over into the totals, and leave there what rounding withholds.

    Knuth's sum of two numbers, whichever is larger: each total and its sum of steps add up to what
    they did, exactly.

    Parameters
    ----------
    state : DescentState
    """
    _fold[len(state.H)](state.H, state.moved)
    _fold[len(state.S)](state.S, state.S_moved)


def descend(state, above, kept, G, Y, loss, rate, sample_weights, end):
    """Gradient descent, up to a step for each row of sample weights.

    Parameters
    ----------
    state : DescentState
        ``moved`` and ``S_moved`` are updated in place.
    above : Layers
        Layers 2 … L, updated in place; with v = 0 a bias stays.
    kept : dict
        What a call leaves to the next one on the same state and layers, which is empty at first,
        and again whenever somebody else has changed them.
    G : ndarray, shape (N, N)
    Y : ndarray, shape (N,), or (N, C) of more than one output
    loss : str
        A key of ``LOSSES``.
    rate : float
        η.
    sample_weights : ndarray, shape (k, N)
        The weights of the samples in each step's gradient.
    end : End

    Returns
    -------
    ndarray, shape (steps taken + 1,)
        The losses on all samples, before each step and after the last.
    """
    if above.activation.name != "relu" or Y.ndim > 1:
        take = general_descent
    elif len(above.parameters) == 1:
        take = shallow_descent
    else:
        take = partial(deep_descent, kept)
    return take(state, above, G, Y, loss, rate, sample_weights, end)
