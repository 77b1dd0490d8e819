"""What features on a cluster need of the workers' memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ntklin.edge.amounts import format_bytes
from ntklin.edge.errors import MemoryLimitError
from ntklin.networks.memory import passes
from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network


def require_cluster_memory(
    client: Any, network: Network, rows: Sequence[slice], itemsize: int
) -> None:
    """Refuse features whose chunks do not fit into the workers' memory limits.

    Parameters
    ----------
    client : distributed.Client
    network : Network
        Of one that is no MLP nobody can tell.
    rows : sequence of slice
        The inputs of each chunk.
    itemsize : int

    Raises
    ------
    MemoryLimitError
        With the two figures.
    """
    if not isinstance(network, MLP):
        return
    # workers= -1: newer Dasks tell of a few unless asked for all.
    limits = sorted(w["memory_limit"] for w in _workers(client).values())
    if not limits or not all(limits):
        return
    # θ, a column of φ^T R and a sum of such beside the passes.
    columns = 4 * network.n_parameters
    largest = max(passes(network, s.stop - s.start) for s in rows)
    here = -(-len(rows) // len(limits))
    need = (here * largest + columns) * itemsize
    if need > limits[0]:
        raise MemoryLimitError(
            f"features of {rows[-1].stop} inputs on {len(limits)} workers need "
            f"{format_bytes(need)} on each, but one has a limit of {format_bytes(limits[0])}; "
            "take more workers, or fewer inputs"
        )


def _workers(client: Any) -> dict[str, Any]:
    try:
        return client.scheduler_info(n_workers=-1)["workers"]
    except TypeError:  # before it could be asked for a number of them
        return client.scheduler_info()["workers"]
