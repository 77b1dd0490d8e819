"""Outputs as users have them, (N,) or (N, C), and as the columns that a kernel acts on."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike, DTypeLike

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.checks import as_targets


@dataclass(frozen=True)
class Columns:
    """How the outputs of N samples become k columns of M numbers, for an M×M kernel to act on.

    Features of C outputs have a row for each sample and output, n major: their kernel has
    M = N·C rows and acts on one column. A kernel of inputs alone, K(x, x'), stands for K ⊗ 1_C:
    M = N, and every output is a column of its own, so that one factorization serves all of them.

    Attributes
    ----------
    rows : int
        M/N.
    n_outputs : int or None
        C; None where the targets decide.
    """

    rows: int
    n_outputs: int | None

    def of(self, a: Array) -> Array:
        """(N,) or (N, C) as columns, (M, k); (N,) is one column for any number of outputs."""
        return a.reshape(len(a) * self.rows, -1)

    def shown(self, columns: Array, like: Array) -> Array:
        """Columns (…, M', k) as outputs (…, N') where ``like`` is (N,), else (…, N', C)."""
        *lead, m, k = columns.shape
        shape = (*lead, m // self.rows)
        return columns.reshape(shape if like.ndim == 1 else (*shape, self.rows * k))

    def targets(self, Y: ArrayLike, n_samples: int, dtype: DTypeLike) -> Array:
        """Targets, (N,) for one output, for which (N, 1) passes too, and else (N, C).

        Parameters
        ----------
        Y : array_like
        n_samples : int
            N.
        dtype : dtype

        Returns
        -------
        ndarray, shape (N,) or (N, C)
            Perhaps ``Y`` itself.

        Raises
        ------
        ValueError
            For another shape, NaN or infinity.
        """
        C = self.n_outputs
        if C is None:
            Y = as_array(Y, "Y")
            C = Y.shape[1] if Y.ndim == 2 and Y.size else 1
        return as_targets(Y, n_samples, n_outputs=C, dtype=dtype)
