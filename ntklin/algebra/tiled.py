"""Cholesky of a matrix in tiles of a ``dask.array``, over the workers that hold them.

Right-looking: as soon as column k of tiles is L, each tile right of it has L_ik L_jk^T taken from
it, once and for all. So there are never more than N²/2 numbers and the tiles of one column, and all
updates of a step are independent of each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from ntklin.edge.arrays import Array
from ntklin.edge.errors import DegenerateKernelError


class TiledCholesky:
    """A + shift·1 = L L^T for a symmetric ``dask.array`` A with the same tiles in both directions.

    Parameters
    ----------
    A : dask.array.Array, shape (n, n)
        The tiles on and below the diagonal are used.
    client : distributed.Client, optional
        Whose workers compute and keep L; Dask's own choice when not given.
    shift : float

    Attributes
    ----------
    factor : dask.array.Array, shape (n, n)
        L, on the workers.

    Raises
    ------
    DegenerateKernelError
        If A + shift·1 is not positive definite to working precision.
    ValueError
        If the tiles on the diagonal are not square.
    """

    def __init__(self, A: Any, client: Any = None, *, shift: float = 0.0) -> None:
        if A.ndim != 2 or A.chunks[0] != A.chunks[1]:
            raise ValueError(
                f"A must be square with the same tiles in rows and columns, got {A.chunks}"
            )
        self._client = client
        self.factor = self._kept(_factor(A, shift))

    def __call__(self, R: Array) -> Array:
        """(A + shift·1)^{-1} R, by the tiles of L.

        Parameters
        ----------
        R : ndarray, shape (n,) or (n, k)

        Returns
        -------
        ndarray, of the shape of R
        """
        import dask.array as da

        columns = R.reshape(len(R), -1).astype(self.factor.dtype)
        tiles: Any = (self.factor.chunks[0], columns.shape[1])
        columns = da.from_array(columns, chunks=tiles)
        solution = _substituted(self.factor, _substituted(self.factor, columns), transposed=True)
        if self._client is None:
            return solution.compute().reshape(R.shape)
        return self._client.compute(solution).result().reshape(R.shape)

    def _kept(self, L: Any) -> Any:
        """L, computed; or what kept it from that."""
        if self._client is None:
            return L.persist()
        from distributed import wait

        kept = self._client.persist(L)
        with self._client.as_current():
            wait(kept)
        for future in self._client.futures_of(kept):
            if future.status == "error":
                future.result()
        return kept


def _factor(A: Any, shift: float) -> Any:
    """L, as a graph."""
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    sizes = A.chunks[0]
    count, starts = len(sizes), np.concatenate([[0], np.cumsum(sizes)])
    name, work = (f"{kind}-{tokenize(A, shift)}" for kind in ("tiled-cholesky", "tiled-update"))
    graph: dict[Any, Any] = {}
    # Where the tile (i, j) stands, after the updates by columns before k.
    latest: dict[tuple[int, int], tuple[Any, ...]]
    latest = {(i, j): (A.name, i, j) for i in range(count) for j in range(i + 1)}
    for k in range(count):
        diagonal = (name, k, k)
        graph[diagonal] = (_root, latest[k, k], shift, int(starts[k]))
        for i in range(k + 1, count):
            graph[name, i, k] = (_below, diagonal, latest[i, k])
            graph[name, k, i] = (np.zeros, (sizes[k], sizes[i]), A.dtype.str)
        for j in range(k + 1, count):
            for i in range(j, count):
                key = (work, k, i, j)
                graph[key] = (_less, latest[i, j], (name, i, k), (name, j, k))
                latest[i, j] = key
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[A])
    return _array(layers, name, A.chunks, A.dtype)


def _substituted(L: Any, R: Any, *, transposed: bool = False) -> Any:
    """L^{-1} R, or L^{-T} R, as a graph."""
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    count = len(L.chunks[0])
    order = list(reversed(range(count))) if transposed else list(range(count))
    name = f"tiled-solve-{tokenize(L, R, transposed)}"
    work = f"tiled-less-{tokenize(L, R, transposed)}"
    graph: dict[Any, Any] = {}
    latest = {i: (R.name, i, 0) for i in range(count)}
    for place, k in enumerate(order):
        graph[name, k, 0] = (_solved, (L.name, k, k), latest[k], transposed)
        for i in order[place + 1 :]:
            # Of L^T the tile (i, k) is that of (k, i), transposed.
            tile = (L.name, k, i) if transposed else (L.name, i, k)
            graph[work, k, i] = (_minus, latest[i], tile, (name, k, 0), transposed)
            latest[i] = (work, k, i)
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[L, R])
    return _array(layers, name, R.chunks, R.dtype)


def _array(graph: Any, name: str, chunks: Any, dtype: Any) -> Any:
    import dask.array

    kind: Any = dask.array.Array
    return kind(graph, name, chunks=chunks, dtype=dtype)


def _root(A: Array, shift: float, start: int) -> Array:
    """L_kk with A_kk + shift·1 = L_kk L_kk^T; ``start`` is its first row of the whole."""
    A = np.array(A, order="F")
    A.flat[:: len(A) + 1] += shift
    (potrf,) = get_lapack_funcs(("potrf",), (A,))
    L, info = potrf(A, lower=True, clean=True, overwrite_a=True)
    if info != 0:
        raise DegenerateKernelError(
            "the kernel K(X, X) is singular to working precision: Cholesky breaks down at row "
            f"{start + max(info, 1) - 1}, counting from 0. Remove the cause, such as equal or "
            "parallel inputs up to that one, or pass ridge= > 0"
        )
    return L


def _below(L: Array, A: Array) -> Array:
    """L_ik = A_ik L_kk^{-T}."""
    (trsm,) = get_blas_funcs(("trsm",), (A,))
    return trsm(1, L, A, side=True, lower=True, trans_a=True)


def _less(A: Array, first: Array, second: Array) -> Array:
    """A_ij − L_ik L_jk^T."""
    (gemm,) = get_blas_funcs(("gemm",), (A,))
    return gemm(-1, first, second, beta=1, c=A, trans_b=True)


def _solved(L: Array, R: Array, transposed: bool) -> Array:
    """L_kk^{-1} R_k, or L_kk^{-T} R_k."""
    (trsm,) = get_blas_funcs(("trsm",), (L,))
    return trsm(1, L, R, lower=True, trans_a=transposed)


def _minus(R: Array, L: Array, solved: Array, transposed: bool) -> Array:
    """R_i − L_ik x_k, or R_i − L_ki^T x_k."""
    return R - (L.T if transposed else L) @ solved
