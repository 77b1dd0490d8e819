"""What workers of a Dask cluster hold, chunk by chunk, and what happens when one of them dies.

The client keeps X and θ, and from what is lost with a worker it starts again: the chunks that
nobody has any more are made on others, and the work in which that happened is done once more. Sums
go over the chunks in one order whoever holds them, so that no digit depends on who died.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.cluster import cores_of
from ntklin.edge.errors import ClusterError
from ntklin.networks.cluster import tasks
from ntklin.networks.network import Network

T = TypeVar("T")

# Seconds in which a dead worker may be replaced before others take its chunks, and within which
# there has to be a worker at all.
_REPLACED = 10.0
_ABSENT = 60.0
# Losses without a result between them, after which the cluster is given up.
_LOSSES = 5
# Arrays up to this size travel with the task that takes them.
_SMALL = 1 << 20
# Partial sums that are added at once.
_ADDED = 4


class Kept:
    """A future for each chunk, made again where it is lost.

    Parameters
    ----------
    count : int
    make : callable
        Returns the future of chunk i.
    """

    def __init__(self, count: int, make: Callable[[int], Any]) -> None:
        self.futures: list[Any] = [None] * count
        self._make = make

    def complete(self, client: Any) -> None:
        """Make what is missing, and wait for it."""
        from distributed import wait

        missing = [i for i, future in enumerate(self.futures) if future is None]
        for i in missing:
            self.futures[i] = self._make(i)
        if missing:
            with client.as_current():
                wait(self.futures)
        for i in missing:
            if self.futures[i].status == "error":
                self.futures[i].result()

    def forget(self, client: Any) -> None:
        """Drop what no worker has any more."""
        held: dict[str, Any] = {}
        there = [f for f in self.futures if f is not None and f.status == "finished"]
        # One that is lost while this is asked counts as lost.
        with suppress(CancelledError):
            held = dict(client.who_has(there))
        self.futures = [f if f in there and held.get(f.key) else None for f in self.futures]


class Chunks:
    """φ(X_1), …, φ(X_c) on workers, and what is made of them.

    Parameters
    ----------
    client : distributed.Client
    network : Network
    theta : ndarray, shape (P,)
    X : ndarray, shape (N, d)
    rows : sequence of slice
        The inputs of each chunk.
    threads : int or None
        Of Numba and BLAS on each worker; its share of its machine's cores when None.

    Attributes
    ----------
    client : distributed.Client
    rows : list of slice
    losses : int
        How often a worker died with work of these chunks.
    """

    def __init__(
        self,
        client: Any,
        network: Network,
        theta: Array,
        X: Array,
        rows: Sequence[slice],
        threads: int | None,
    ) -> None:
        self.client, self._network, self._X = client, network, X
        self.rows, self._threads, self.losses = list(rows), threads, 0
        self._features = Kept(len(self.rows), self._made)
        self._more: WeakSet[Kept] = WeakSet()
        self._theta_there = Kept(1, lambda _: client.scatter(theta, broadcast=True, hash=False))
        self._homes: list[str] = [""] * len(self.rows)
        self._cores: dict[str, int] = {}
        self._size = len(client.nthreads())

    def keep(self, make: Callable[[int], Any]) -> Kept:
        """Something more for each chunk, kept as long as the caller has it.

        Parameters
        ----------
        make : callable
            Returns the future of chunk i.

        Returns
        -------
        Kept
            Complete in every ``attempt``.
        """
        kept = Kept(len(self.rows), make)
        self._more.add(kept)
        return kept

    def attempt(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, once nobody has died in it.

        Parameters
        ----------
        work : callable
            Can be done again.

        Returns
        -------
        object

        Raises
        ------
        ClusterError
            If workers die again and again, or none is left, or no scheduler.
        """
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        reason: BaseException | None = None
        for _ in range(_LOSSES):
            try:
                self._complete()
                return work()
            except (CancelledError, CommClosedError, KilledWorker, TimeoutError) as e:
                reason = e
                self.losses += 1
                self._forget()
        raise ClusterError(
            f"{_LOSSES} times in a row a worker was lost before there was a result ({reason}); if "
            "it was for memory, take more workers, or smaller chunks (chunk_rows)"
        ) from reason

    def _complete(self) -> None:
        if any(future is None for future in self._features.futures):
            self._settle()
        for kept in (self._theta_there, self._features, *self._more):
            kept.complete(self.client)

    def _forget(self) -> None:
        if self.client.status != "running":
            raise ClusterError(f"the cluster's scheduler is gone (client {self.client.status})")
        for kept in (self._theta_there, self._features, *self._more):
            kept.forget(self.client)

    def _settle(self) -> None:
        """Give every chunk that is missing a worker, where the fewest are."""
        workers = self._workers()
        load = Counter(dict.fromkeys(workers, 0))
        self._cores = {} if self._threads else cores_of(self.client)
        missing = [i for i, future in enumerate(self._features.futures) if future is None]
        load.update(self._homes[i] for i in set(range(len(self.rows))) - set(missing))
        for i in missing:
            self._homes[i] = min(workers, key=lambda worker: load[worker])
            load[self._homes[i]] += 1

    def _workers(self) -> list[str]:
        """Those that are there, after a while in which dead ones may be replaced."""
        self._wait_for(self._size, _REPLACED)
        workers = sorted(self.client.nthreads())
        if not workers:
            self._wait_for(1, _ABSENT)
            workers = sorted(self.client.nthreads())
        if not workers:
            address = self.client.scheduler.address
            raise ClusterError(f"the Dask cluster at {address} has no workers left")
        self._size = len(workers)
        return workers

    def _wait_for(self, count: int, seconds: float) -> None:
        try:
            self.client.wait_for_workers(count, timeout=seconds)
        except TimeoutError:
            return

    def _made(self, i: int) -> Any:
        """The future of φ(X_i)."""
        home, (theta,) = self._homes[i], self._theta_there.futures
        X = self.client.scatter(self._X[self.rows[i]], workers=[home], hash=False)
        threads = self._threads or self._cores.get(home, 1)
        return self._submit(tasks.make, self._network, theta, X, threads, home=home)

    def _submit(self, task: Callable[..., Any], /, *args: Any, home: str | None = None) -> Any:
        place = {"workers": [home], "allow_other_workers": True} if home else {}
        return self.client.submit(task, *args, pure=False, **place)

    def at(self, i: int, task: Callable[..., Any], *args: Any) -> Any:
        """The future of ``task(φ_i, *args)``, where φ_i is."""
        return self._submit(task, self._features.futures[i], *args, home=self._homes[i])

    def beside(self, i: int, task: Callable[..., Any], *args: Any) -> Any:
        """The future of ``task(*args)``, where φ_i is."""
        return self._submit(task, *args, home=self._homes[i])

    def each(self, task: Callable[..., Any], *parts: Sequence[Any]) -> list[Any]:
        """Futures of ``task(φ_i, parts of i)``."""
        return [self.at(i, task, *mine) for i, mine in enumerate(zip(*parts, strict=True))]

    def all(self, task: Callable[..., Any], *args: Any) -> list[Any]:
        """Futures of ``task(φ_i, *args)``."""
        return [self.at(i, task, *args) for i in range(len(self.rows))]

    def column(self, j: int, weights: Any = None) -> list[Any]:
        """Futures of φ_i D φ_j^T for i ≥ j; φ_j goes to where φ_i is."""
        other = self._features.futures[j]
        below = [self.at(i, tasks.gram, other, weights) for i in range(j + 1, len(self.rows))]
        return [self.at(j, tasks.gram, None, weights), *below]

    def by_rows(self, R: Array, per_input: int) -> list[Any]:
        """R_i of each chunk, as an argument of a task of its own."""
        parts = (R[per_input * rows.start : per_input * rows.stop] for rows in self.rows)
        return [self._sent(part, home) for part, home in zip(parts, self._homes, strict=True)]

    def _sent(self, array: Array, home: str) -> Any:
        array = np.ascontiguousarray(array)
        if array.nbytes <= _SMALL:
            return array
        where = [home] if home in self.client.nthreads() else None
        return self.client.scatter(array, workers=where, hash=False)

    def broadcast(self, array: Array) -> Any:
        """An array as an argument of tasks on all workers."""
        if array.nbytes <= _SMALL:
            return array
        return self.client.scatter(array, broadcast=True, hash=False)

    def total(self, parts: Sequence[Any]) -> Any:
        """The future of the sum of futures, in their order, by a tree."""
        parts = list(parts)
        while len(parts) > 1:
            groups = [parts[i : i + _ADDED] for i in range(0, len(parts), _ADDED)]
            parts = [self._submit(tasks.add, *g) if len(g) > 1 else g[0] for g in groups]
        return parts[0]

    def relayed(self, future: Any) -> list[Any]:
        """What each chunk can take a result from, so that no worker hands it to more than a few."""

        def among(source: Any, some: range) -> list[Any]:
            if len(some) <= _ADDED:
                return [source] * len(some)
            size, found = -(-len(some) // _ADDED), []
            for start in range(0, len(some), size):
                part = some[start : start + size]
                near = self.beside(part[0], tasks.relay, source) if start else source
                found += among(near, part)
            return found

        return among(future, range(len(self.rows)))

    def gather(self, futures: Sequence[Any]) -> list[Any]:
        """The results of futures."""
        return list(self.client.gather(list(futures)))
