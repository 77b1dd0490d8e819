"""When a run of steps ends, for kernels that end by themselves and for those that cannot."""

from typing import Any, NamedTuple

import numpy as np


class End(NamedTuple):
    """A run ends where its loss is below ``until``, above ``ceiling`` or NaN.

    Attributes
    ----------
    until, ceiling : float
        Or, of several networks, an (S,) array each.
    """

    until: Any
    ceiling: Any


def goes_on(loss, end):
    """Whether a loss, or each of an array of losses, lets the run go on; compiled code calls it."""
    return (loss >= end.until) & (loss <= end.ceiling)


def steps_before_end(losses, end):
    """How many steps are taken: up to the first loss that ends the run, or all.

    Parameters
    ----------
    losses : ndarray, shape (k + 1,) or (k + 1, S)
        Before each of k steps and after the last one; of several networks the first that ends is
        the end for all.
    end : End

    Returns
    -------
    int
    """
    ended = ~goes_on(losses, end).reshape(len(losses), -1).all(axis=1)
    return int(np.argmax(ended)) if ended.any() else len(losses) - 1
