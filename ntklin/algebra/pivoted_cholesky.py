"""Randomly pivoted Cholesky: A ≈ F F^T from few columns of A, and a preconditioner made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, svd

from ntklin.edge.arrays import Array

# Pivots that are drawn and eliminated at once.
PIVOTS = 64
# Relative to ‖F‖², the least δ: what rounding leaves of a vector outside the range of F is
# divided by it.
_SAFE = 1024 * float(np.finfo(np.float64).eps)


def pivoted_cholesky(
    diagonal: Array,
    columns: Callable[[NDArray[np.int64]], Array],
    rank: int,
    *,
    group: int = 1,
    rng: np.random.Generator,
) -> Array:
    """F ∈ R^{n×r} with A ≈ F F^T, A − F F^T ≥ 0 up to rounding (Chen et al., arXiv 2207.06503).

    Pivots are drawn in blocks, with the probabilities of what the diagonal of A − F F^T has left.

    Parameters
    ----------
    diagonal : ndarray, shape (n,)
        Of A.
    columns : callable
        Returns A[:, those of these groups], (n, len(groups) · group).
    rank : int
        r; less where A has less.
    group : int
        So many consecutive rows are drawn together, as the outputs of an input.
    rng : Generator

    Returns
    -------
    ndarray, shape (n, r)
    """
    n = len(diagonal)
    rank = min(rank, n)
    left = np.array(diagonal, np.float64)
    floor = n * np.finfo(np.float64).eps * float(left.max(initial=0.0))
    F, r = np.empty((n, rank), order="F"), 0
    while r < rank:
        weights = left.reshape(-1, group).sum(axis=1)
        possible = np.flatnonzero(weights > floor)
        if not len(possible):
            break
        size = min(len(possible), PIVOTS, -(-(rank - r) // group))
        p = weights[possible] / weights[possible].sum()
        drawn = np.sort(rng.choice(possible, size, replace=False, p=p))
        rows = (drawn[:, None] * group + np.arange(group)).reshape(-1)
        G = np.array(columns(drawn), np.float64)
        G -= F[:, :r] @ F[rows, :r].T
        values, V = np.linalg.eigh((G[rows] + G[rows].T) / 2)
        kept = values > max(floor, len(rows) * np.finfo(np.float64).eps * float(values[-1]))
        # The largest ones, if there is not room for all.
        kept[: max(0, len(rows) - (rank - r))] = False
        if not kept.any():
            break
        new = G @ (V[:, kept] / np.sqrt(values[kept]))
        F[:, r : r + new.shape[1]] = new
        r += new.shape[1]
        left = np.maximum(left - np.einsum("ij,ij->i", new, new), 0.0)
        left[rows] = 0.0
    return F[:, :r]


class LowRankInverse:
    """(F F^T + δ1)^{-1}, from the singular values of F.

    δ is at least what keeps the inverse positive definite in floating point, some eps ‖F‖².

    Parameters
    ----------
    F : ndarray, shape (n, r)
        Overwritten.
    shift : float
        δ > 0.

    Attributes
    ----------
    rank : int
        r.
    """

    def __init__(self, F: Array, shift: float) -> None:
        self.rank = F.shape[1]
        factors: Any = qr(F, mode="economic", overwrite_a=True, check_finite=False)
        Q, R = factors
        U, values, _ = svd(R)
        self._U = Q @ U
        squares = values * values
        self._shift = max(shift, _SAFE * float(squares.max(initial=0.0)))
        self._inverses = 1 / (squares + self._shift)

    def solve(self, right: Array) -> Array:
        """The product with it.

        Parameters
        ----------
        right : ndarray, shape (n, k)

        Returns
        -------
        ndarray, shape (n, k)
        """
        inside = self._U.T @ right
        outside = right - self._U @ inside
        return self._U @ (self._inverses[:, None] * inside) + outside / self._shift
