"""A preconditioner from few columns of K, with its rows on the workers of a cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ntklin.algebra.pivoted_cholesky import PIVOTS
from ntklin.edge.arrays import Array
from ntklin.edge.checks import require_memory
from ntklin.networks.cluster import tasks
from ntklin.networks.cluster.tasks import Pivots

if TYPE_CHECKING:
    from ntklin.networks.cluster.features import ClusterFeatures

# Relative to ‖F‖², the least δ: rounding of F^T F must not make the inverse indefinite.
_SAFE = 1024 * float(np.finfo(np.float64).eps)


class ClusterNystrom:
    """M^{-1} = (F F^T + δ1)^{-1} = (1 − F (F^T F + δ1)^{-1} F^T)/δ, a function of R.

    Made by ``ClusterFeatures.nystrom``. F_i, the rows of a chunk's inputs, stands beside the chunk;
    what eliminated its columns is kept here, so that F_i is made again where it is lost.

    Attributes
    ----------
    rank : int
        r; less than asked for where K has less.
    shift : float
        δ.
    """

    def __init__(
        self, features: ClusterFeatures, rank: int, *, ridge: float, rng: np.random.Generator
    ) -> None:
        n = features.shape[0]
        rank = min(rank, n)
        require_memory(3 * 8 * rank * rank, f"a factorization of rank {rank}", "take a lower rank")
        self._features, self._chunks = features, features.chunks
        self._steps: list[Pivots] = []
        self._factor = self._chunks.keep(self._again)
        left = self._build(rank, rng)
        self.rank = sum(step.scaled.shape[1] for step in self._steps)
        chunks = self._chunks
        gram = chunks.attempt(
            lambda: chunks.gather(
                [chunks.total(chunks.each(tasks.inner, self._factors, self._nothing))]
            )[0]
        )
        values, V = np.linalg.eigh(gram)
        least = _SAFE * float(values[-1])
        self.shift = max(float(left.mean()) + ridge, least)
        self._inverse = (V / (np.maximum(values, 0.0) + self.shift)) @ V.T

    def __repr__(self) -> str:
        return f"ClusterNystrom(rank={self.rank}, shift={self.shift:.3g})"

    @property
    def _factors(self) -> list[Any]:
        return self._factor.futures

    @property
    def _nothing(self) -> list[None]:
        return [None] * len(self._chunks.rows)

    def _again(self, i: int) -> Any:
        """F_i, from nothing."""
        return self._chunks.at(i, tasks.eliminate, None, *self._steps)

    def _build(self, rank: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw pivots and eliminate them up to the rank; what is left of the diagonal."""
        phi, chunks, C = self._features, self._chunks, self._features.n_outputs
        n = phi.shape[0]
        left = np.concatenate(chunks.attempt(lambda: chunks.gather(chunks.all(tasks.diagonal))))
        floor = n * np.finfo(np.float64).eps * float(left.max(initial=0.0))
        r = 0
        while r < rank:
            weights = left.reshape(-1, C).sum(axis=1)
            possible = np.flatnonzero(weights > floor)
            if not len(possible):
                break
            size = min(len(possible), PIVOTS, -(-(rank - r) // C))
            p = weights[possible] / weights[possible].sum()
            drawn = np.sort(rng.choice(possible, size, replace=False, p=p))
            step = self._step(drawn, r, rank, floor)
            if step is None:
                break
            new = step.scaled.shape[1]
            left = np.maximum(left - chunks.attempt(partial(self._extended, step)), 0.0)
            left[(drawn[:, None] * C + np.arange(C)).reshape(-1)] = 0.0
            r += new
        return left

    def _step(self, drawn: NDArray[np.int64], r: int, rank: int, floor: float) -> Pivots | None:
        """What eliminates the columns of these inputs; None if nothing is left of them."""
        phi = self._features
        X = np.ascontiguousarray(phi.inputs[drawn])
        rows = self._chunks.attempt(lambda: self._rows(drawn))
        G = phi.at(X).gram().astype(np.float64) - rows @ rows.T
        values, V = np.linalg.eigh((G + G.T) / 2)
        kept = values > max(floor, len(G) * np.finfo(np.float64).eps * float(values[-1]))
        # The largest ones, if there is not room for all.
        kept[: max(0, len(G) - (rank - r))] = False
        return Pivots(X, rows, V[:, kept] / np.sqrt(values[kept])) if kept.any() else None

    def _rows(self, drawn: NDArray[np.int64]) -> Array:
        """The rows of F so far that belong to some inputs, which are in order."""
        C = self._features.n_outputs
        futures = []
        for i, inputs in enumerate(self._chunks.rows):
            mine = drawn[(drawn >= inputs.start) & (drawn < inputs.stop)] - inputs.start
            rows = (mine[:, None] * C + np.arange(C)).reshape(-1)
            if len(rows):
                futures.append(self._chunks.beside(i, tasks.rows_of, self._factors[i], rows))
        return np.concatenate(self._chunks.gather(futures))

    def _extended(self, step: Pivots) -> Array:
        """By how much a step lowers the diagonal; then it is taken."""
        chunks, new = self._chunks, step.scaled.shape[1]
        count = range(len(chunks.rows))
        longer = [chunks.at(i, tasks.eliminate, self._factors[i], step) for i in count]
        lower = [chunks.beside(i, tasks.last_squares, longer[i], new) for i in count]
        found = np.concatenate(chunks.gather(lower))
        self._steps.append(step)
        self._factor.futures = longer
        return found

    def __call__(self, R: Array) -> Array:
        """M^{-1} R.

        Parameters
        ----------
        R : ndarray, shape (N C, k)

        Returns
        -------
        ndarray, shape (N C, k)
        """
        chunks, C = self._chunks, self._features.n_outputs

        def work() -> list[Array]:
            parts = chunks.by_rows(R, C)
            inside = chunks.total(chunks.each(tasks.inner, self._factors, parts))
            z = chunks.broadcast(self._inverse @ chunks.gather([inside])[0])
            count = len(parts)
            outside = chunks.each(
                tasks.outer, self._factors, parts, [z] * count, [self.shift] * count
            )
            return chunks.gather(outside)

        return np.concatenate(chunks.attempt(work))
