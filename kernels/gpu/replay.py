"""Blocks of steps that are taken without asking the card how they went.

To stop at the step at which the loss is low enough, one would have to wait for every loss. Instead
a whole block of steps is taken blindly and its losses are looked at together; where the end was
amid the block, the state goes back to the block's start and takes only as many. The steps repeat
themselves bit by bit, and it happens once a run.

Of S networks, whose losses are the columns, a block ends with the first that ends.
"""

import numpy as np

from ntklin.kernels.gpu.arrays import namespace, to_host


def first_end(losses, until, ceiling):
    """How many steps are taken: up to the first that ends a run, or all.

    ``losses`` are those before each step and after the last one; a run ends where the loss is below
    ``until``, above ``ceiling`` or NaN.
    """
    ended = (losses < until) | ~(losses <= ceiling)
    ends = np.flatnonzero(ended.reshape(len(losses), -1).any(axis=1))
    return int(ends[0]) if len(ends) else len(losses) - 1


def take_steps(state, observe, step, weights, until, ceiling):
    """Take a step for each row of ``weights``, up to the first end.

    Parameters
    ----------
    state : sequence of ndarray
        All that steps change.
    observe : callable
        ``observe(weights, total)`` prepares the signals of a step and writes the loss before it to
        the array ``total`` of shape (1,), or (1, S).
    step : callable
        ``step()`` takes it.
    weights : ndarray of NumPy, shape (k, N) or (k, S, N)
    until, ceiling : float
        Or (S,) arrays.

    Returns
    -------
    ndarray of NumPy, shape (steps taken + 1,) or (steps taken + 1, S)
        The losses before each step and after the last one.
    """
    xp = namespace(state[0])
    kept = [a.copy() for a in state]
    losses = xp.empty((len(weights) + 1, *weights.shape[1:-1]))
    # After the last step only the loss is asked for.
    rows = xp.asarray(np.concatenate([weights, np.zeros((1, *weights.shape[1:]), weights.dtype)]))

    def go(count):
        for t in range(count):
            observe(rows[t], losses[t : t + 1])
            step()
        observe(rows[-1], losses[count : count + 1])

    go(len(weights))
    taken = first_end(to_host(losses), until, ceiling)
    if taken < len(weights):
        for a, old in zip(state, kept, strict=True):
            a[...] = old
        go(taken)
    return to_host(losses)[: taken + 1]
