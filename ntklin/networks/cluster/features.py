"""φ(X) with its rows on the workers of a Dask cluster, as one operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.operators import columns_at_a_time
from ntklin.algebra.tiled import TiledCholesky
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import namespace
from ntklin.edge.checks import (
    as_count,
    as_float_dtype,
    as_generator,
    as_inputs,
    as_nonnegative,
    as_vector,
    as_weights,
    require_memory,
)
from ntklin.edge.cluster import require_workers
from ntklin.edge.errors import ClusterError, DeviceError
from ntklin.networks.cluster import tasks
from ntklin.networks.cluster.chunks import Chunks
from ntklin.networks.cluster.memory import require_cluster_memory
from ntklin.networks.cluster.nystrom import ClusterNystrom
from ntklin.networks.cluster.tiles import gram_array
from ntklin.networks.network import FeatureOperator, as_feature_operator

if TYPE_CHECKING:
    from ntklin.networks.cluster.network import ClusterNetwork

# Inputs whose features are made at once where there is no cluster.
_ROWS = 1024


class ClusterFeatures(FeatureOperator):
    """φ(X) with its rows on the workers of a cluster; made by ``ClusterNetwork.features``.

    ``network`` is the network that was spread, by which its features are known everywhere else. A
    copy in another process has no cluster: it makes features of a few inputs at a time, uses them
    once and drops them.
    """

    def __init__(self, cluster: ClusterNetwork, theta: ArrayLike, X: ArrayLike) -> None:
        X = as_inputs(X, cluster.n_inputs)
        if namespace(X) is not np:
            raise DeviceError("a Dask cluster takes NumPy arrays, got X on a GPU")
        theta = as_vector(theta, cluster.n_parameters, name="theta", dtype=X.dtype)
        self.network, self.parameters, self.inputs = cluster.network, theta, X
        super().__init__(X.dtype, (len(X) * cluster.n_outputs, cluster.n_parameters))
        client = cluster.client
        size = cluster.chunk_rows or -(-len(X) // len(require_workers(client)))
        rows = _runs(len(X), size)
        require_cluster_memory(client, self.network, rows, X.itemsize)
        self._cluster = cluster
        self._chunks: Chunks | None = Chunks(client, self.network, theta, X, rows, cluster.threads)
        chunks = self._chunks
        found = chunks.attempt(lambda: chunks.gather(chunks.all(tasks.outputs)))
        self.outputs, self._rounding = (np.concatenate(parts) for parts in zip(*found, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        theirs: Any = super().__getstate__()
        return theirs | {"_chunks": None}

    @property
    def chunks(self) -> Chunks:
        """What the workers hold.

        Raises
        ------
        ClusterError
            In a copy, which has no cluster.
        """
        if self._chunks is None:
            raise ClusterError("this copy of the features has left their cluster behind")
        return self._chunks

    @property
    def losses(self) -> int:
        """How often a worker has died with work of these features."""
        return self.chunks.losses

    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below."""
        return self._rounding

    def at(self, X_new: ArrayLike) -> FeatureOperator:
        """The features of other inputs, made here."""
        return NearFeatures(self.network.features(self.parameters, as_array(X_new, "X_new")))

    def balanced(self, dtype: DTypeLike | None = None) -> tuple[FeatureOperator, int]:
        """These; in another precision, made anew on the cluster."""
        dtype = self.dtype if dtype is None else as_float_dtype(dtype)
        if dtype == self.dtype:
            return self, 0
        arrays = (a.astype(dtype) for a in (self.parameters, self.inputs))
        return ClusterFeatures(self._cluster, *arrays), 0

    def _matvec(self, x: Array) -> Array:
        return self._matmat(x.reshape(-1, 1))[:, 0]

    def _rmatvec(self, x: Array) -> Array:
        return self._rmatmat(x.reshape(-1, 1))[:, 0]

    def _matmat(self, X: Array) -> Array:
        return self._in_groups(X, self._down, self.shape[0])

    def _rmatmat(self, X: Array) -> Array:
        return self._in_groups(X, self._up, self.shape[1])

    def gram_product(self, R: ArrayLike) -> Array:
        """K R = φ (φ^T R); what has P numbers a column stays on the workers.

        Parameters
        ----------
        R : array_like, shape (N C,) or (N C, k)

        Returns
        -------
        ndarray, of the shape of R
        """
        R = as_array(R, "R")
        columns = R.reshape(len(R), -1)
        return self._in_groups(columns, self._around, self.shape[0]).reshape(R.shape)

    def _in_groups(self, X: Array, product: Callable[[Array], Array], n: int) -> Array:
        """A product with some columns at a time."""
        out = np.empty((n, X.shape[1]), self.dtype)
        some = columns_at_a_time(self.shape[1], self.dtype)
        for start in range(0, X.shape[1], some):
            part = slice(start, start + some)
            out[:, part] = product(np.ascontiguousarray(X[:, part], self.dtype))
        return out

    def _down(self, V: Array) -> Array:
        """φ V."""
        if self._chunks is None:
            return np.concatenate([phi @ V for phi, _ in self._streamed()])
        chunks = self._chunks
        return np.concatenate(
            chunks.attempt(lambda: chunks.gather(chunks.all(tasks.push, chunks.broadcast(V))))
        )

    def _up(self, R: Array) -> Array:
        """φ^T R."""
        if self._chunks is None:
            return sum((phi.T @ R[rows] for phi, rows in self._streamed()), np.zeros(()))
        chunks = self._chunks
        return chunks.attempt(lambda: chunks.gather([self._pulled(R)])[0])

    def _around(self, R: Array) -> Array:
        """φ φ^T R."""
        if self._chunks is None:
            return self._down(self._up(R))
        chunks = self._chunks

        def work() -> list[Array]:
            return chunks.gather(chunks.each(tasks.push, chunks.relayed(self._pulled(R))))

        return np.concatenate(chunks.attempt(work))

    def _pulled(self, R: Array) -> Any:
        """The future of φ^T R."""
        chunks = self.chunks
        return chunks.total(chunks.each(tasks.pull, chunks.by_rows(R, self.n_outputs)))

    def _streamed(self) -> Iterator[tuple[FeatureOperator, slice]]:
        """Features of a run of inputs and its rows, one after the other, without a cluster."""
        for rows in _runs(len(self.inputs), _ROWS):
            phi = self.network.features(self.parameters, self.inputs[rows])
            yield as_feature_operator(phi), self._rows_of(rows)

    def _rows_of(self, inputs: slice) -> slice:
        """The rows of φ(X) that belong to a run of inputs."""
        return slice(inputs.start * self.n_outputs, inputs.stop * self.n_outputs)

    def gram(self, other: Any = None, weights: ArrayLike | None = None) -> Array:
        """K_D(X, X') = φ(X) D φ(X')^T, computed on the workers and brought here.

        Parameters
        ----------
        other : ClusterFeatures or FeatureOperator, optional
            φ(X'), spread as these are or made by ``at``; these when not given.
        weights : array_like, shape (P,), optional
            The diagonal of D ≥ 0; 1 when not given.

        Returns
        -------
        ndarray, shape (N C, N' C)

        Raises
        ------
        MemoryLimitError
            If the kernel does not fit here.
        ClusterError
            In a copy, which has no cluster.
        """
        chunks = self.chunks
        shape = (self.shape[0], self.shape[0] if other is None else other.shape[0])
        require_memory(
            shape[0] * shape[1] * self.dtype.itemsize,
            f"a kernel of shape {shape}",
            "take solver='pcg', which has none, or gram_array(), which stays on the workers",
        )
        if weights is not None:
            weights = as_weights(weights, self.shape[1])
        K = np.empty(shape, self.dtype)
        if other is None or other is self:
            chunks.attempt(lambda: self._fill(K, weights))
        else:
            # Inputs of a chunk at a time, wherever their own features are.
            for rows in _runs(len(other.inputs), max(r.stop - r.start for r in chunks.rows)):
                K[:, self._rows_of(rows)] = self._columns(other.inputs[rows], weights)
        return K

    def _columns(self, X_new: Array, weights: Array | None) -> Array:
        """φ(X) D φ(X_new)^T."""
        chunks = self.chunks

        def work() -> list[Array]:
            D = None if weights is None else chunks.broadcast(weights)
            return chunks.gather(chunks.all(tasks.gram, chunks.broadcast(X_new), D))

        return np.concatenate(chunks.attempt(work))

    def _fill(self, K: Array, weights: Array | None) -> None:
        """K(X, X), one column of tiles after the other, from the diagonal down."""
        chunks = self.chunks
        D = None if weights is None else chunks.broadcast(weights)
        for j, inputs in enumerate(chunks.rows):
            columns = self._rows_of(inputs)
            tiles = chunks.gather(chunks.column(j, D))
            for below, tile in zip(chunks.rows[j:], tiles, strict=True):
                rows = self._rows_of(below)
                K[rows, columns] = tile
                K[columns, rows] = tile.T

    def gram_array(self) -> Any:
        """K(X, X) as a ``dask.array`` of one tile for each pair of chunks, which stay on workers.

        Tiles above the diagonal are transposes of those below, made where they are asked for.
        ``ClusterNetwork(..., chunk_rows=)`` says how large they are.

        Returns
        -------
        dask.array.Array, shape (N C, N C)
        """
        return gram_array(self.chunks, self.shape[0], self.n_outputs, self.dtype)

    def cholesky(self, ridge: float = 0.0) -> TiledCholesky:
        """K + ridge·1 = L L^T on the workers, tile by tile, N²/2 numbers over all of them.

        As ``preconditioner=`` of ``solver="pcg"`` it is exact: one or two iterations, and the true
        residual.

        Parameters
        ----------
        ridge : float

        Returns
        -------
        TiledCholesky
            A function R ↦ (K + ridge·1)^{-1} R.

        Raises
        ------
        DegenerateKernelError
            If K + ridge·1 is not positive definite to working precision.
        """
        ridge = as_nonnegative(ridge, name="ridge")
        chunks = self.chunks
        return chunks.attempt(lambda: TiledCholesky(self.gram_array(), chunks.client, shift=ridge))

    def nystrom(self, rank: int, *, ridge: float = 0.0, rng: Any = 0) -> ClusterNystrom:
        """(F F^T + δ1)^{-1} with F F^T ≈ K from ``rank`` columns of K, its rows on the workers.

        A preconditioner for ``solver="pcg"``, by randomly pivoted Cholesky (Chen et al., arXiv
        2207.06503): K F^T never stands anywhere, and of F each worker has the rows of its inputs.

        Parameters
        ----------
        rank : int
            r; N C r numbers over all workers, r² here.
        ridge : float
            That of the minimizer, added to δ, the mean of what F leaves of the diagonal.
        rng : int or Generator

        Returns
        -------
        ClusterNystrom
            A function R ↦ (F F^T + δ1)^{-1} R.
        """
        rank, ridge = as_count(rank, name="rank"), as_nonnegative(ridge, name="ridge")
        return ClusterNystrom(self, rank, ridge=ridge, rng=as_generator(rng))


class NearFeatures(FeatureOperator):
    """Features made here, whose kernel with those of a cluster is made there.

    Parameters
    ----------
    features : FeatureOperator
    """

    def __init__(self, features: Any) -> None:
        self.features = as_feature_operator(features)
        self.network, self.parameters = self.features.network, self.features.parameters
        self.inputs, self.outputs = self.features.inputs, self.features.outputs
        super().__init__(self.features.dtype, self.features.shape)

    def _matvec(self, x: Array) -> Array:
        return self.features @ x.reshape(-1)

    def _rmatvec(self, x: Array) -> Array:
        return self.features.T @ x.reshape(-1)

    def _matmat(self, X: Array) -> Array:
        return self.features @ X

    def _rmatmat(self, X: Array) -> Array:
        return self.features.T @ X

    def output_rounding(self) -> Array:
        """That of the features."""
        return self.features.output_rounding()

    def gram(self, other: Any = None, weights: ArrayLike | None = None) -> Array:
        """K_D(X, X') = φ(X) D φ(X')^T."""
        if isinstance(other, ClusterFeatures):
            return other.gram(self, weights).T
        other = other.features if isinstance(other, NearFeatures) else other
        options = {} if weights is None else {"weights": weights}
        return self.features.gram(other, **options)


def _runs(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]
