"""The namespace of the arrays at hand.

What is matrix products and elementwise work is written once on it: CuPy on a card, and NumPy where
there is none, in the tests.
"""

import sys

import numpy as np

# Rows that are mirrored at a time: what it takes beside K is small.
MIRRORED = 1 << 11


def namespace(a):
    """The module that the array ``a`` is of, ``cupy`` or ``numpy``."""
    return sys.modules[type(a).__module__.partition(".")[0]]


def to_host(a):
    """``a`` as a NumPy array; waits for the card."""
    return a if isinstance(a, np.ndarray) else a.get()


def total(a):
    """Σ a."""
    return a.sum()


def transposed(a):
    """The matrix ``a``, or each of several, transposed; a view."""
    return a.swapaxes(-1, -2)


def symmetric(K):
    """K with its lower triangle mirrored in place, exactly symmetric."""
    xp, n = namespace(K), len(K)
    for start in range(0, n, MIRRORED):
        own, later = slice(start, start + MIRRORED), slice(start + MIRRORED, n)
        K[own, later] = K[later, own].T
        corner = K[own, own]
        K[own, own] = xp.where(xp.tri(len(corner), dtype=bool), corner, corner.T)
    return K
