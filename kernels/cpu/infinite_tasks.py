"""How the infinite-width recursions cut a matrix into tasks."""

import numpy as np

from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.shares import share

# Rows and columns of a block: BLAS wants them large, the threads several, the second-level cache at
# most 1 MB.
FEWEST_ROWS, BLOCK_ROWS, BLOCK_COLUMNS = 16, 128, 1024
# Columns that go through all layers at once, in the first-level cache.
STRETCH = 512


@kernel
def mirror(S, top, bottom, right):
    """Above the diagonal what stands below it, for a block of rows."""
    for j in range(right):
        for i in range(max(top, j + 1), bottom):
            S[j, i] = S[i, j]


def shares(n_rows, n_columns, symmetric):
    """Equal shares of the matrix: (tasks, blocks, 4).

    When symmetric, a block runs from the first column to the diagonal, so that the first and the
    last block make one share, the second and the last but one the next; an odd one counts as the
    partner of an empty block.

    Returns
    -------
    ndarray of int, shape (tasks, blocks, 4)
        Of each block start and stop of its rows, then of its columns.
    """
    height = share(n_rows, FEWEST_ROWS, BLOCK_ROWS)
    rows = [(top, min(top + height, n_rows)) for top in range(0, n_rows, height)]
    if symmetric:
        blocks = [(0, 0, 0, 0)] * (len(rows) % 2)
        blocks += [(top, bottom, 0, bottom) for top, bottom in rows]
        return np.array(list(zip(blocks, blocks[::-1], strict=True))[: len(blocks) // 2])
    columns = [
        (left, min(left + BLOCK_COLUMNS, n_columns)) for left in range(0, n_columns, BLOCK_COLUMNS)
    ]
    return np.array([[(*r, *c)] for r in rows for c in columns])
