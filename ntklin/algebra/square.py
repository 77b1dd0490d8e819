"""A symmetric matrix in one n × n array, and LAPACK's Cholesky factorization in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike
from scipy.linalg import get_lapack_funcs

from ntklin.algebra.panels import (
    BLOCK,
    NotPositiveDefiniteError,
    PanelMatrix,
    Progress,
    as_columns,
)
from ntklin.edge.arrays import Array


class SquareMatrix(PanelMatrix):
    """n² numbers, of which the lower triangle counts: twice a ``PackedMatrix``, LAPACK's own form.

    Parameters
    ----------
    n : int
    dtype : dtype
    block : int
        Columns that are filled at once.
    """

    def __init__(self, n: int, dtype: DTypeLike = np.float64, block: int = BLOCK) -> None:
        super().__init__(n, dtype, block)
        self._array = np.empty((n, n), self.dtype, order="F")

    def panel(self, j: int) -> Array:
        """Rows j·block … n − 1 of the columns of panel j, a view."""
        columns = self.columns(j)
        return self._array[columns.start :, columns]

    def factorize(self, progress: Progress | None = None) -> None:
        """A = L L^T in one call of LAPACK's potrf.

        Parameters
        ----------
        progress : callable, optional
            Called once, as all is done.

        Raises
        ------
        NotPositiveDefiniteError
            The matrix is then lost.
        """
        (potrf,) = get_lapack_funcs(("potrf",), dtype=self.dtype)
        info = potrf(self._array, lower=True, clean=False, overwrite_a=True)[1]
        if info != 0:
            raise NotPositiveDefiniteError(max(info, 1) - 1)
        if progress is not None:
            progress(self.n_panels, self.n_panels)

    def solve(self, right: Array) -> Array:
        """A^{-1} B by the factor.

        Parameters
        ----------
        right : ndarray, shape (n, k)

        Returns
        -------
        ndarray, shape (n, k), of the dtype of the matrix
        """
        (potrs,) = get_lapack_funcs(("potrs",), dtype=self.dtype)
        right = as_columns(right, self.dtype)
        return potrs(self._array, right, lower=True, overwrite_b=True)[0]
