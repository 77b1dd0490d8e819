"""A Dask cluster that can be computed on: connected to, and looked at before any long work."""

from __future__ import annotations

import os
import platform
from collections import Counter
from typing import TYPE_CHECKING, Any

from ntklin._version import __version__
from ntklin.edge.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client


def connect(address: str) -> Client:
    """A client of the scheduler at an address, such as ``tcp://10.0.0.1:8786``.

    Parameters
    ----------
    address : str

    Returns
    -------
    distributed.Client
        Not the default one of this process. To be closed.

    Raises
    ------
    ClusterError
        If Dask is not installed, this is no address, or no scheduler is there.
    """
    try:
        from distributed import Client
        from distributed.comm.addressing import parse_address, parse_host_port
        from distributed.comm.registry import get_backend
    except ImportError:
        raise ClusterError("this needs Dask: pip install 'ntklin[dask]'") from None
    try:
        # A client that fails leaves its threads behind: what is no address makes none.
        scheme, location = parse_address(address)
        get_backend(scheme)
        if scheme != "inproc":
            parse_host_port(location)
        return Client(address, timeout="20s", set_as_default=False)
    except (ValueError, TypeError, OSError) as e:
        raise ClusterError(
            f"{e}; write the scheduler's address, such as tcp://10.0.0.1:8786"
        ) from e


def require_workers(client: Any) -> tuple[str, ...]:
    """The addresses of a cluster's workers, all of them fit for work.

    Parameters
    ----------
    client : distributed.Client

    Returns
    -------
    tuple of str

    Raises
    ------
    ClusterError
        If there are none, one has several threads, or another ntklin.
    """
    address, threads = client.scheduler.address, client.nthreads()
    if not threads:
        raise ClusterError(f"the Dask cluster at {address} has no workers")
    if max(threads.values()) > 1:
        raise ClusterError(
            f"the workers of {address} have up to {max(threads.values())} threads, and would "
            "run several networks in one process; start them with --nthreads 1"
        )

    # Not of a module: it is sent whole, since ntklin may be missing there.
    def installed() -> str | None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("ntklin")
        except PackageNotFoundError:
            return None

    versions = set(client.run(installed).values())
    if versions != {__version__}:
        found = ", ".join(sorted(map(str, versions)))
        raise ClusterError(
            f"the workers of {address} have ntklin {found}, and here it is {__version__}: "
            "install the same everywhere"
        )
    return tuple(threads)


def cores_of(client: Any) -> dict[str, int]:
    """How many cores each worker has for itself: its share of its machine's.

    Parameters
    ----------
    client : distributed.Client

    Returns
    -------
    dict of str to int
    """
    cores = client.run(_cores)
    hosts = {name: host for name, (host, _) in cores.items()}
    together = Counter(hosts.values())
    return {name: max(1, n // together[hosts[name]]) for name, (_, n) in cores.items()}


def _cores() -> tuple[str, int]:
    """The name of a machine, and how many of its cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return platform.node(), len(affinity(0)) if affinity else os.cpu_count() or 1
