"""Outputs as users have them, (N,) or (N, C), and as the columns that a kernel acts on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.checks import as_inputs, as_targets, narrowed


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
        Y, C = as_array(Y, "Y"), self.n_outputs
        is_one_output = C == 1 or (C is None and (Y.ndim != 2 or Y.shape[1] <= 1))
        if is_one_output or (Y.ndim and len(Y) != n_samples):
            return as_targets(Y, n_samples, dtype=dtype)
        if C is not None and Y.shape != (n_samples, C):
            raise ValueError(
                f"Y must have shape ({n_samples}, {C}), a column for each of the {C} outputs, got "
                f"shape {Y.shape}{_hint(Y, C)}"
            )
        return narrowed(as_inputs(Y, name="Y"), dtype, "Y")


def _hint(Y: Array, n_outputs: int) -> str:
    """How labels become rows, where ``Y`` may be labels."""
    if Y.ndim != 1 or not np.array_equal(Y, np.clip(np.floor(Y), 0, n_outputs - 1)):
        return ""
    return f"; class labels become such rows, one-hot, by numpy.eye({n_outputs})[Y]"
