"""A network whose features φ(X) live on the workers of a Dask cluster, some rows on each."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.checks import as_count, as_inputs
from ntklin.edge.cluster import connect, require_workers
from ntklin.edge.errors import ClusterError
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.sendable import Sendable
from ntklin.networks.cluster.features import ClusterFeatures
from ntklin.networks.network import Network, NetworkAround

if TYPE_CHECKING:
    from distributed import Client


class ClusterNetwork(Shown, Sendable, NetworkAround):
    """A network whose features φ(X) are made and kept on the workers of a Dask cluster.

    Each worker has some of the rows of X, makes forward and backward passes of them once and keeps
    those. Of K V = φ(φ^T V) it does φ_i^T V_i; the sum Σ_i φ_i^T V_i ∈ R^P goes from worker to
    worker, never here, and each applies its φ_i to it: P numbers up and P down for a column. So
    ``linearize(spread, theta, X).minimizer(Y, solver="pcg")`` is what it is on one machine, for as
    many rows as the workers have memory for. A worker that dies costs the iteration in which it
    did; its rows are made again on another one.

    Parameters
    ----------
    network : Network
    cluster : str or distributed.Client
        The scheduler's address, such as ``tcp://10.0.0.1:8786``, or a client of your own. Workers
        have one Dask thread each and this ntklin installed.
    chunk_rows : int, optional
        Inputs of a chunk; N over the number of workers when not given. With several chunks for each
        worker, those of a dead one are spread over all others.
    threads : int, optional
        Of Numba and BLAS on each worker; its share of its machine's cores when not given.

    Raises
    ------
    ClusterError
        If there is no Dask, no scheduler, no worker, or one with several threads or another ntklin.

    Examples
    --------
    >>> import ntklin
    >>> net = ntklin.MLP((784, 4000, 1))
    >>> with ntklin.ClusterNetwork(net, "tcp://10.0.0.1:8786") as spread:  # doctest: +SKIP
    ...     lin = ntklin.linearize(spread, net.init(rng=0), X)
    ...     m = lin.minimizer(Y, solver="pcg", preconditioner=lin.features.nystrom(500))
    """

    def __init__(
        self,
        network: Network,
        cluster: str | Client,
        *,
        chunk_rows: int | None = None,
        threads: int | None = None,
    ) -> None:
        if not isinstance(network, Network) or isinstance(network, ClusterNetwork):
            raise TypeError(f"network must be a Network, got {type(network).__name__}")
        self.network = network
        self.chunk_rows = None if chunk_rows is None else as_count(chunk_rows, name="chunk_rows")
        self.threads = None if threads is None else as_count(threads, name="threads")
        self._is_own = isinstance(cluster, str)
        client: Any = connect(cluster) if isinstance(cluster, str) else cluster
        if not callable(getattr(client, "scheduler_info", None)):
            raise TypeError(
                f"cluster must be an address or a distributed.Client, got {type(cluster).__name__}"
            )
        self._client: Any = client
        try:
            require_workers(client)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"ClusterNetwork({self.network!r}, {self._place!r})"

    @property
    def _place(self) -> str | None:
        return None if self._client is None else self._client.scheduler.address

    def _facts(self) -> Facts:
        network, parameters = repr(self.network), self.n_parameters
        place = repr(self._place)
        return facts("ClusterNetwork", network=network, cluster=place, parameters=parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster, if the client is this network's own."""
        if self._is_own and self._client is not None:
            self._client.close()

    def _sent(self) -> dict[str, Any]:
        return super()._sent() | {"_client": None}

    @property
    def client(self) -> Client:
        """The client of the cluster.

        Raises
        ------
        ClusterError
            If it is closed, or was left behind by a copy.
        """
        if self._client is None or self._client.status != "running":
            raise ClusterError("this network has left its cluster: make a ClusterNetwork anew")
        return self._client

    def apply(self, theta: ArrayLike, X: ArrayLike) -> Array:
        """The outputs f_θ(X), shape (N,), or (N, C) of more than one output; computed here."""
        return self.network.apply(as_array(theta, "theta"), as_inputs(X, self.n_inputs))

    def features(self, theta: ArrayLike, X: ArrayLike) -> ClusterFeatures:
        """φ(X) = ∇_θ f_θ(X) on the cluster, an operator of shape (N C, P).

        Parameters
        ----------
        theta : array_like, shape (P,)
        X : array_like, shape (N, d)
            Stays here, too: what a dead worker had is sent again.

        Returns
        -------
        ClusterFeatures

        Raises
        ------
        MemoryLimitError
            If the workers' memory does not suffice.
        ClusterError
            If there are no workers, or they die of it again and again.
        """
        return ClusterFeatures(self, theta, X)
