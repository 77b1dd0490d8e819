"""A symmetric matrix in half of n² numbers on a GPU, and its Cholesky factorization there.

The panels and their order are those of ``PackedMatrix``: one whole matrix for CuPy's own
``linalg.cholesky`` would be n² numbers, and a copy of them. cuBLAS takes the products, which are
all but a share of block/n of the work. The block on a panel's diagonal is the host's, whose LAPACK
says in which row a matrix is not positive definite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike
from scipy.linalg import get_lapack_funcs

from ntklin.algebra.panels import BLOCK, NotPositiveDefiniteError, PanelMatrix, Progress
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, namespace
from ntklin.kernels.gpu.triangular import solve_lower


class DeviceMatrix(PanelMatrix):
    """n(n + 1)/2 numbers and half a panel more for each column, on the device of an array.

    Parameters
    ----------
    n : int
    dtype : dtype
    block : int
    anchor : ndarray
        An array of CuPy.
    """

    def __init__(
        self, n: int, dtype: DTypeLike = np.float64, block: int = BLOCK, *, anchor: Array
    ) -> None:
        super().__init__(n, dtype, block)
        self._anchor, xp = anchor[:0], namespace(anchor)
        shapes = [(n - c.start, c.stop - c.start) for c in map(self.columns, range(self.n_panels))]
        self._panels = [xp.empty(shape, self.dtype) for shape in shapes]

    def panel(self, j: int) -> Array:
        """Rows j·block … n − 1 of the columns of panel j: the array itself."""
        return self._panels[j]

    def factorize(self, progress: Progress | None = None) -> None:
        """A = L L^T, panel by panel.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(panels done, all panels)`` after each.

        Raises
        ------
        NotPositiveDefiniteError
            The matrix is then lost.
        """
        for j in range(self.n_panels):
            self._factorize_panel(j)
            if progress is not None:
                progress(j + 1, self.n_panels)

    def _factorize_panel(self, j: int) -> None:
        """Panel j of L, those before it being final."""
        (potrf,) = get_lapack_funcs(("potrf",), dtype=self.dtype)
        panel = self._panels[j]
        width = panel.shape[1]
        for k in range(j):
            known = self._panels[k][(j - k) * self.block :]
            panel -= known @ known[:width].T
        corner, info = potrf(host(panel[:width]), lower=True)
        if info != 0:
            raise NotPositiveDefiniteError(self.columns(j).start + max(info, 1) - 1)
        panel[:width] = beside(np.ascontiguousarray(corner), panel)
        if len(panel) > width:
            below = panel[width:]
            below[...] = solve_lower(panel[:width], below.T, overwrite=True).T

    def solve(self, right: Array) -> Array:
        """A^{-1} B by the factor.

        Parameters
        ----------
        right : ndarray of NumPy, shape (n, k)

        Returns
        -------
        ndarray of NumPy, shape (n, k), of the dtype of the matrix
        """
        solution = beside(np.ascontiguousarray(right, self.dtype), self._anchor)
        for panel, columns in self._walk():
            width = panel.shape[1]
            done = solve_lower(panel[:width], solution[columns])
            solution[columns] = done
            if columns.stop < self.n:
                solution[columns.stop :] -= panel[width:] @ done
        for panel, columns in reversed(self._walk()):
            width = panel.shape[1]
            if columns.stop < self.n:
                solution[columns] -= panel[width:].T @ solution[columns.stop :]
            solution[columns] = solve_lower(panel[:width], solution[columns], transposed=True)
        return host(solution)

    def _walk(self) -> list[tuple[Array, slice]]:
        """Each panel with its columns."""
        return [(panel, self.columns(j)) for j, panel in enumerate(self._panels)]
