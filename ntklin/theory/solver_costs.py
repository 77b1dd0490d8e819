"""What the solvers take: bytes, sizes of blocks, ranks."""

from __future__ import annotations

import math

from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import BLOCK

# Columns of a randomly pivoted Cholesky factorization, in units of √M.
_RANK = 10


def tile_inputs(per_input: int) -> int:
    """Inputs whose columns make one panel."""
    return max(1, BLOCK // per_input)


def nystrom_rank(rows: int) -> int:
    """r, how many columns of the kernel a randomly pivoted factorization takes."""
    return min(rows, max(64, int(_RANK * math.sqrt(rows))))


def memory_of(name: str, n_samples: int, per_input: int) -> int:
    """Bytes that a solver, or a preconditioner, holds at its peak beside φ(X).

    Parameters
    ----------
    name : {"auto", "eigh", "cholesky", "packed", "mixed", "ntk", "nystrom", "none"}
        ``"auto"`` for the way of small problems.
    n_samples : int
        N.
    per_input : int
        M/N.

    Returns
    -------
    int
    """
    rows = n_samples * per_input
    # A block of the kernel with its factors, and what conjugate gradients hold: R, X and the best
    # X so far, P, Z, Q and copies of some of them, for Y and f_0(X).
    panel = tile_inputs(per_input) * per_input
    vectors = 8 * 10 * 2 * rows
    scratch = 8 * 3 * min(4 * panel, rows) * min(panel, rows) + vectors
    if name == "auto":
        return 3 * 8 * rows * rows
    if name == "eigh":
        return 5 * 8 * rows * rows
    if name == "cholesky":
        return 8 * rows * rows + scratch
    if name == "packed":
        return 8 * PackedMatrix.size(rows, min(panel, rows)) + scratch
    if name == "mixed":
        return 4 * PackedMatrix.size(rows, min(panel, rows)) + scratch
    if name == "ntk":
        # Θ has no factors beside it.
        tile = 8 * 2 * min(4 * BLOCK, n_samples) * min(BLOCK, n_samples)
        return 4 * PackedMatrix.size(n_samples, min(BLOCK, n_samples)) + tile + vectors
    if name == "nystrom":
        return 3 * 8 * rows * nystrom_rank(rows) + scratch
    return vectors
