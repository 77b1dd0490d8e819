"""What the solvers take: bytes, sizes of blocks, ranks."""

from __future__ import annotations

import math

from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import BLOCK

# Columns of a randomly pivoted Cholesky factorization, in units of √M.
_RANK = 10
# Solvers and preconditioners whose factor is made on a GPU where it fits there, and the share of
# what is free there that is left to passes of tiles and products.
ON_DEVICE = ("cholesky", "packed", "mixed", "ntk", "mean_output")
# Preconditioners with one N × N factor for all outputs.
ONE_FOR_ALL = ("ntk", "mean_output")
_FOR_PASSES = 1 / 8


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
    name : {"auto", "eigh", "cholesky", "packed", "mixed", "ntk", "mean_output", "nystrom", "none"}
        ``"auto"`` for the way of small problems; the features of ``"mean_output"`` come to it.
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
    if name in ONE_FOR_ALL:
        # Θ has no factors beside it.
        tile = 8 * (2 if name == "ntk" else 3) * min(4 * BLOCK, n_samples) * min(BLOCK, n_samples)
        return 4 * PackedMatrix.size(n_samples, min(BLOCK, n_samples)) + tile + vectors
    if name == "nystrom":
        return 3 * 8 * rows * nystrom_rank(rows) + scratch
    return vectors


def device_memory_of(name: str, n_samples: int, per_input: int) -> int:
    """Bytes that a factor on a GPU takes there at its peak, beside φ(X) and passes of tiles.

    Its panels, half of the matrix for ``"cholesky"`` as well, and the larger one of what comes
    after the other: a tile with its products, of Θ with all that its recursion holds, and what is
    taken from a panel, of the same size.

    Parameters
    ----------
    name : {"cholesky", "packed", "mixed", "ntk", "mean_output"}
        One of ``ON_DEVICE``.
    n_samples : int
        N.
    per_input : int
        M/N.

    Returns
    -------
    int
    """
    itemsize = 4 if name in ("mixed", *ONE_FOR_ALL) else 8
    per_input = 1 if name in ONE_FOR_ALL else per_input
    rows = n_samples * per_input
    panel = min(tile_inputs(per_input) * per_input, rows)
    tile = 8 * (12 if name == "ntk" else 3) * min(4 * panel, rows) * panel
    return itemsize * PackedMatrix.size(rows, panel) + max(tile, itemsize * rows * panel)


def has_room_on_device(name: str, n_samples: int, per_input: int, free: float | None) -> bool:
    """Whether a factor is made on a GPU: where there is one, and the factor fits.

    Parameters
    ----------
    name : str
        Of a solver or a preconditioner.
    n_samples, per_input : int
        N and M/N.
    free : float or None
        Bytes that are free there; None for arrays of NumPy.

    Returns
    -------
    bool
    """
    if free is None or name not in ON_DEVICE:
        return False
    return device_memory_of(name, n_samples, per_input) <= (1 - _FOR_PASSES) * free
