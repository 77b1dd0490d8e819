"""Blocks of steps that are taken without asking the card how they went.

To stop at the step at which the loss is low enough, one would have to wait for every loss. Instead
a whole block of steps is taken blindly and its losses are looked at together; where the end was
amid the block, the state goes back to the block's start and takes only as many. The steps repeat
themselves bit by bit, and it happens once a run.
"""

from ntklin.kernels.ends import steps_before_end


def up_to_the_end(state, take, count, end):
    """The losses of ``count`` steps, or of the fewer that the end of the run leaves.

    Parameters
    ----------
    state : sequence of ndarray
        All that steps change.
    take : callable
        ``take(count)`` takes so many steps and returns, as a NumPy array, the losses before each of
        them and after the last one.
    count : int
    end : End

    Returns
    -------
    ndarray of NumPy, shape (steps taken + 1, …)
    """
    kept = [a.copy() for a in state]
    losses = take(count)
    taken = steps_before_end(losses, end)
    if taken == count:
        return losses
    for a, old in zip(state, kept, strict=True):
        a[...] = old
    return take(taken)
