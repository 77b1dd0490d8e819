"""Symmetric matrices that are filled, factorized and solved with panel by panel, in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import host, namespace

# Columns of a panel: wide enough for BLAS to run at full speed on products over them.
BLOCK = 512
# Rows whose magnitudes are summed at once.
_ROWS = 4096

Tile = Callable[[slice, slice], Array]
Progress = Callable[[int, int], object]


class NotPositiveDefiniteError(ArithmeticError):
    """Cholesky broke down.

    Parameters
    ----------
    row : int
        The first row, counted from 0, whose leading block is not positive definite.
    """

    def __init__(self, row: int) -> None:
        super().__init__(f"the leading {row + 1} rows and columns are not positive definite")
        self.row = row


class PanelMatrix(ABC):
    """A symmetric matrix A ∈ R^{n×n} of which the lower triangle is kept, in panels of columns.

    Panel j has columns ``columns(j)`` from the diagonal down, and the whole block on the diagonal.
    ``factorize`` puts L of A = L L^T in its place.

    Parameters
    ----------
    n : int
    dtype : dtype
        float32 or float64.
    block : int
        Columns of a panel.
    """

    def __init__(self, n: int, dtype: DTypeLike = np.float64, block: int = BLOCK) -> None:
        self.n, self.dtype, self.block = n, np.dtype(dtype), min(block, max(n, 1))

    @property
    def n_panels(self) -> int:
        """How many there are."""
        return -(-self.n // self.block)

    def columns(self, j: int) -> slice:
        """Which columns panel j has."""
        return slice(j * self.block, min((j + 1) * self.block, self.n))

    @abstractmethod
    def panel(self, j: int) -> Array:
        """Rows j·block … n − 1 of the columns of panel j, a view that can be written to."""

    @abstractmethod
    def factorize(self, progress: Progress | None = None) -> None:
        """A = L L^T, in place.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(panels done, all panels)`` where the factorization has panels.

        Raises
        ------
        NotPositiveDefiniteError
            The matrix is then lost.
        """

    @abstractmethod
    def solve(self, right: Array) -> Array:
        """A^{-1} B by the factor.

        Parameters
        ----------
        right : ndarray, shape (n, k)

        Returns
        -------
        ndarray, shape (n, k), of the dtype of the matrix
        """

    def fill(self, tile: Tile, rows: int = 4 * BLOCK, progress: Progress | None = None) -> None:
        """Let a function write the lower triangle, tile by tile, whole blocks on the diagonal.

        Parameters
        ----------
        tile : callable
            ``tile(rows, columns)`` returns these of A, for two slices.
        rows : int
            Rows of a tile below the diagonal.
        progress : callable, optional
            Called as ``progress(panels done, all panels)``.
        """
        for j in range(self.n_panels):
            self.fill_panel(j, tile, rows)
            if progress is not None:
                progress(j + 1, self.n_panels)

    def fill_panel(self, j: int, tile: Tile, rows: int = 4 * BLOCK) -> None:
        """The same for one panel.

        Parameters
        ----------
        j : int
        tile : callable
        rows : int
        """
        columns, panel = self.columns(j), self.panel(j)
        panel[: columns.stop - columns.start] = tile(columns, columns)
        for start in range(columns.stop, self.n, rows):
            below = slice(start, min(start + rows, self.n))
            panel[start - columns.start : below.stop - columns.start] = tile(below, columns)

    def shift_diagonal(self, value: float) -> None:
        """A + value·1, before it is factorized.

        Parameters
        ----------
        value : float
        """
        for j in range(self.n_panels):
            self.shift_panel(j, value)

    def shift_panel(self, j: int, value: float) -> None:
        """The same for the columns of one panel.

        Parameters
        ----------
        j : int
        value : float
        """
        panel = self.panel(j)
        i = namespace(panel).arange(panel.shape[1])
        panel[i, i] += value

    def diagonal(self) -> Array:
        """That of A, or of L, (n,)."""
        return np.concatenate([host(self.panel(j).diagonal()) for j in range(self.n_panels)])

    def norm(self) -> float:
        """‖A‖_1, the largest sum of magnitudes of a column, before A is factorized; ≥ ‖A‖_2."""
        sums = np.zeros(self.n)
        for j in range(self.n_panels):
            columns, panel = self.columns(j), self.panel(j)
            width = columns.stop - columns.start
            for start in range(0, len(panel), _ROWS):
                part = np.abs(panel[start : start + _ROWS])
                sums[columns] += host(part.sum(axis=0, dtype=np.float64))
                below = part[max(0, width - start) :]
                first = columns.start + max(start, width)
                sums[first : first + len(below)] += host(below.sum(axis=1, dtype=np.float64))
        return float(sums.max(initial=0.0))


def as_columns(right: Array, dtype: np.dtype[Any]) -> Array:
    """A copy of (n, k) that BLAS solves in place: column-major, of this dtype."""
    return np.array(right, dtype, order="F")
