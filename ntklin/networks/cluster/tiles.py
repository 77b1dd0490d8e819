"""K(X, X) as tiles of a ``dask.array``, which stay on the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ntklin.networks.cluster.chunks import Chunks


def gram_array(chunks: Chunks, n: int, per_input: int, dtype: np.dtype[Any]) -> Any:
    """φφ^T, one tile for each pair of chunks.

    Parameters
    ----------
    chunks : Chunks
    n : int
        Rows of K.
    per_input : int
        C.
    dtype : dtype

    Returns
    -------
    dask.array.Array, shape (n, n)
    """
    import dask.array as da

    sizes = [per_input * (rows.stop - rows.start) for rows in chunks.rows]

    def tile(future: Any, i: int, j: int) -> Any:
        return da.from_delayed(_delayed(future), (sizes[i], sizes[j]), dtype)

    count = range(len(sizes))
    columns = chunks.attempt(lambda: [chunks.column(j) for j in count])
    below = {(j + k, j): tile(f, j + k, j) for j in count for k, f in enumerate(columns[j])}
    return da.block([[below[i, j] if j <= i else below[j, i].T for j in count] for i in count])


def _delayed(future: Any) -> Any:
    from dask.delayed import delayed

    return delayed(future)
