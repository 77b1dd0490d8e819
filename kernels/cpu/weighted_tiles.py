"""Tiles of four inputs by four of a K_D, on the inputs that activate a neuron and their columns."""

from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.compiler import dot_kernel, kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors

# Bytes of a row that a tile runs over: four scaled rows and four others fit a first-level cache.
PANEL_BYTES = 3136


class Diagonal(NamedTuple):
    """D of one layer.

    Attributes
    ----------
    D : ndarray, shape (m, m')
    columns : ndarray, shape (columns,) or (panels, at most padded columns)
        The second axis of D as it is added up: indices of a panel's columns, or of those of every
        panel, −1 beyond the end.
    bias : ndarray, shape (m,)
        Added to each neuron's product.
    """

    D: np.ndarray
    columns: np.ndarray
    bias: np.ndarray


class ActiveRows(NamedTuple):
    """The inputs on which a neuron is active, padded to a multiple of four.

    Attributes
    ----------
    rows : ndarray of uint64
    factors : ndarray
        Their δ, zero on the padding.
    ends : ndarray of int
        How many columns each four of them need.
    """

    rows: np.ndarray
    factors: np.ndarray
    ends: np.ndarray


@dot_kernel(forceinline=True)
def add_tile(K, left, right, stop, own: ActiveRows, p, other: ActiveRows, q, bias):
    """K[n, n'] += δ_n δ'_n' (Σ_{k<stop} left_nk right_n'k + bias) for four rows n and four n'.

    They are the active ones from ``p`` and from ``q`` on.
    """
    wide_vectors()
    rows, factors, _ = own
    other_rows, other_factors, _ = other
    n0, n1, n2, n3 = other_rows[q], other_rows[q + 1], other_rows[q + 2], other_rows[q + 3]
    c00 = c01 = c02 = c03 = bias
    c10 = c11 = c12 = c13 = bias
    c20 = c21 = c22 = c23 = bias
    c30 = c31 = c32 = c33 = bias
    for k in range(stop):
        a0 = left[0, k]
        a1 = left[1, k]
        a2 = left[2, k]
        a3 = left[3, k]
        b0 = right[n0, k]
        b1 = right[n1, k]
        b2 = right[n2, k]
        b3 = right[n3, k]
        c00 += a0 * b0
        c01 += a0 * b1
        c02 += a0 * b2
        c03 += a0 * b3
        c10 += a1 * b0
        c11 += a1 * b1
        c12 += a1 * b2
        c13 += a1 * b3
        c20 += a2 * b0
        c21 += a2 * b1
        c22 += a2 * b2
        c23 += a2 * b3
        c30 += a3 * b0
        c31 += a3 * b1
        c32 += a3 * b2
        c33 += a3 * b3
    f0, f1, f2, f3 = (
        other_factors[q],
        other_factors[q + 1],
        other_factors[q + 2],
        other_factors[q + 3],
    )
    m, d = rows[p], factors[p]
    K[m, n0] += d * f0 * c00
    K[m, n1] += d * f1 * c01
    K[m, n2] += d * f2 * c02
    K[m, n3] += d * f3 * c03
    m, d = rows[p + 1], factors[p + 1]
    K[m, n0] += d * f0 * c10
    K[m, n1] += d * f1 * c11
    K[m, n2] += d * f2 * c12
    K[m, n3] += d * f3 * c13
    m, d = rows[p + 2], factors[p + 2]
    K[m, n0] += d * f0 * c20
    K[m, n1] += d * f1 * c21
    K[m, n2] += d * f2 * c22
    K[m, n3] += d * f3 * c23
    m, d = rows[p + 3], factors[p + 3]
    K[m, n0] += d * f0 * c30
    K[m, n1] += d * f1 * c31
    K[m, n2] += d * f2 * c32
    K[m, n3] += d * f3 * c33


@kernel
def room(n, like):
    """``ActiveRows`` for up to n inputs, not set."""
    rows, factors = np.empty(n + 4, np.uint64), np.empty(n + 4, like.dtype)
    return ActiveRows(rows, factors, np.empty(n // 4 + 1, np.int64))


@kernel
def scaled_rows(left, a, stop, rows, p):
    """Four active rows times D_i, the left operand of the tiles."""
    wide_vectors()
    n0, n1, n2, n3 = rows[p], rows[p + 1], rows[p + 2], rows[p + 3]
    for k in range(stop):
        d = left[4, k]
        left[0, k] = d * a[n0, k]
        left[1, k] = d * a[n1, k]
        left[2, k] = d * a[n2, k]
        left[3, k] = d * a[n3, k]


def panels(columns, stops, itemsize):
    """Cut the columns into panels: for each its columns and every row's stop in whole lines."""
    n_panels = max(1, round(len(columns) * itemsize / PANEL_BYTES))
    start = 0
    for panel in np.array_split(columns, n_panels):
        inside = [np.clip(s - start, 0, len(panel)) for s in stops]
        start += len(panel)
        yield panel, [-(-s // 16) * 16 for s in inside]
