"""The namespace of the arrays at hand.

What is matrix products and elementwise work is written once on it: CuPy on a card, and NumPy where
there is none, in the tests.
"""

import sys

import numpy as np


def namespace(a):
    """The module that the array ``a`` is of, ``cupy`` or ``numpy``."""
    return sys.modules[type(a).__module__.partition(".")[0]]


def to_host(a):
    """``a`` as a NumPy array; waits for the card."""
    return a if isinstance(a, np.ndarray) else a.get()


def transposed(a):
    """The matrix ``a``, or each of several, transposed; a view."""
    return a.swapaxes(-1, -2)


def symmetric(K):
    """K with its lower triangle mirrored, exactly symmetric."""
    xp = namespace(K)
    return xp.where(xp.tri(len(K), dtype=bool), K, K.T)
