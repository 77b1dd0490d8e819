"""A symmetric matrix in half of n² numbers, and its Cholesky factorization in place.

LAPACK has a packed form, too (RFP: sfrk, pftrf, pftrs), which is one call without progress and ends
at n = 65,535 where BLAS counts in 32 bits. Here a panel is an array of its own, which is final as
soon as it is factorized, and nothing but matrix products, of any n, is left to BLAS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from ntklin.algebra.panels import (
    BLOCK,
    NotPositiveDefiniteError,
    PanelMatrix,
    Progress,
    as_columns,
)
from ntklin.edge.arrays import Array


class PackedMatrix(PanelMatrix):
    """n(n + 1)/2 numbers and half a panel more for each column; a panel is an array of its own.

    Parameters
    ----------
    n : int
    dtype : dtype
    block : int
        b.
    """

    def __init__(self, n: int, dtype: DTypeLike = np.float64, block: int = BLOCK) -> None:
        super().__init__(n, dtype, block)
        shapes = [(n - c.start, c.stop - c.start) for c in map(self.columns, range(self.n_panels))]
        self._panels = [np.empty(shape, self.dtype) for shape in shapes]

    @staticmethod
    def size(n: int, block: int = BLOCK) -> int:
        """How many numbers are kept of an n × n matrix."""
        whole, rest = divmod(n, block)
        return block * (whole * n - block * whole * (whole - 1) // 2) + rest * rest

    def panel(self, j: int) -> Array:
        """Rows j·block … n − 1 of the columns of panel j: the array itself."""
        return self._panels[j]

    def factorize(self, progress: Progress | None = None, start: int = 0) -> None:
        """A = L L^T, panel by panel: each is final when its turn is over, and later ones are A.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(panels done, all panels)`` after each; what it raises ends the
            work, which can then go on from ``start`` = panels done.
        start : int
            So many panels are final already.

        Raises
        ------
        NotPositiveDefiniteError
            Panels from that one on are then lost.
        """
        gemm, syrk, trsm = get_blas_funcs(("gemm", "syrk", "trsm"), dtype=self.dtype)
        (potrf,) = get_lapack_funcs(("potrf",), dtype=self.dtype)
        for j in range(start, self.n_panels):
            # BLAS is column-major and sees panels transposed: (b, n − start), the block on the
            # diagonal first, of which it then keeps the upper triangle L^T.
            rows = self._panels[j].T
            width = len(rows)
            corner, below = rows[:, :width], rows[:, width:]
            for k in range(j):
                known = self._panels[k].T[:, (j - k) * self.block :]
                own, rest = known[:, :width], known[:, width:]
                syrk(-1, own, beta=1, c=corner, trans=True, overwrite_c=True)
                if rest.size:
                    gemm(-1, own, rest, beta=1, c=below, trans_a=True, overwrite_c=True)
            info = potrf(corner, lower=False, clean=False, overwrite_a=True)[1]
            if info != 0:
                raise NotPositiveDefiniteError(self.columns(j).start + max(info, 1) - 1)
            if below.size:
                trsm(1, corner, below, trans_a=True, overwrite_b=True)
            if progress is not None:
                progress(j + 1, self.n_panels)

    def solve(self, right: Array) -> Array:
        """A^{-1} B by the factor.

        Parameters
        ----------
        right : ndarray, shape (n, k)

        Returns
        -------
        ndarray, shape (n, k), of the dtype of the matrix
        """
        (trsm,) = get_blas_funcs(("trsm",), dtype=self.dtype)
        solution = as_columns(right, self.dtype)
        for j in range(self.n_panels):
            panel, columns = self._panels[j], self.columns(j)
            width = panel.shape[1]
            done = trsm(1, panel[:width].T, solution[columns], trans_a=True)
            solution[columns] = done
            solution[columns.stop :] -= panel[width:] @ done
        for j in reversed(range(self.n_panels)):
            panel, columns = self._panels[j], self.columns(j)
            width = panel.shape[1]
            solution[columns] -= panel[width:].T @ solution[columns.stop :]
            solution[columns] = trsm(1, panel[:width].T, solution[columns])
        return solution
