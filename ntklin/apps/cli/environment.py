"""Versions, threads, BLAS, CPU, memory and GPU of this process and machine."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ntklin._version import __version__
from ntklin.apps.cli import blas

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "python-flint", "matplotlib")
AVX512_KERNELS = ("skylakex", "cooperlake", "sapphirerapids")
CUPY = ("cupy-cuda12x", "cupy-cuda13x", "cupy")


def versions() -> dict[str, str]:
    """Versions of ntklin, Python and what the numbers come from."""
    found = {"ntklin": __version__, "python": platform.python_version()}
    return found | {name: installed(name) or "not installed" for name in PACKAGES}


def installed(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_model(cpuinfo: str) -> str:
    """The CPU's name."""
    return blas.first_processor(cpuinfo).get("model name") or platform.processor() or "unknown"


def threads() -> dict[str, Any]:
    """Threads of Numba and the layer that runs them."""
    import numba
    from numba.np.ufunc.parallel import get_thread_count

    current = numba.get_num_threads()  # starts the threads, so that the layer is known
    try:
        layer = numba.threading_layer()  # pyright: ignore[reportPrivateImportUsage]
    except ValueError:  # the JIT is disabled
        layer = "none"
    return {"numba": current, "numba_most": get_thread_count(), "layer": layer}


def blas_libraries() -> list[dict[str, Any]]:
    """Every BLAS that NumPy and SciPy have loaded.

    Returns
    -------
    list of dict
        ``used_by``, ``name``, ``version``, ``architecture``, ``threads``.
    """
    import numpy  # noqa: F401
    import scipy.linalg.cython_blas  # noqa: F401
    from threadpoolctl import threadpool_info

    return [
        {
            "used_by": owner(library["filepath"]),
            "name": library["internal_api"],
            "version": library["version"],
            "architecture": library.get("architecture"),
            "threads": library["num_threads"],
        }
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


def owner(path: str) -> str:
    """Whose wheel a BLAS lies in; "shared" for one from elsewhere, which both use."""
    folders = {part.removesuffix(".libs") for part in path.replace("\\", "/").split("/")}
    return next((name for name in ("numpy", "scipy") if name in folders), "shared")


def avx512_advice(
    cpuinfo: str, libraries: Iterable[Mapping[str, Any]], environ: Mapping[str, str]
) -> str:
    """One line on AVX-512: whether the CPU has it, whether OpenBLAS uses it, what to do."""
    if not has_linux_flags(cpuinfo):
        return "unknown: this system does not list CPU features"
    if not blas.has_avx512(cpuinfo):
        return "this CPU has none"
    unused = [
        library["used_by"]
        for library in libraries
        if library["name"] == "openblas"
        and (library["architecture"] or "").lower() not in AVX512_KERNELS
    ]
    setting = environ.get(blas.VARIABLE)
    if not unused:
        by = f" ({blas.VARIABLE}={setting})" if setting else ""
        return f"used by BLAS{by}"
    which = " and ".join(unused)
    if setting:
        return f"not used by the BLAS of {which}, because {blas.VARIABLE}={setting}"
    return (
        f"not used by the BLAS of {which}; set {blas.VARIABLE}={blas.CORETYPE} before Python starts"
    )


def has_linux_flags(cpuinfo: str) -> bool:
    """Whether the text lists CPU features at all."""
    return "flags" in blas.first_processor(cpuinfo)


def memory() -> dict[str, int | None]:
    """Total and available bytes; None where the system does not tell."""
    from ntklin.edge.checks import available_memory

    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        total = None
    return {"total": total, "available": available_memory()}


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs that the driver lists."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        done = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines()] if done.returncode == 0 else []


def cupy_version() -> str | None:
    """The version of CuPy, under whichever name it is installed, or None."""
    return next((version for name in CUPY if (version := installed(name))), None)


def machine() -> dict[str, Any]:
    """CPU and threads in a few words, for reports."""
    libraries = blas_libraries()
    names = ", ".join(
        f"{b['used_by']}: {b['name']} {b['version']} ({b['architecture']})" for b in libraries
    )
    return {
        "system": platform.platform(),
        "cpu": cpu_model(blas.read_cpuinfo()),
        "threads": threads()["numba"],
        "BLAS": names or "unknown",
    }


def provenance(words: Iterable[str], elapsed: float) -> dict[str, Any]:
    """How a report came about: the command that repeats it, its seconds, versions and machine.

    Parameters
    ----------
    words : iterable of str
        The command's, behind ``ntklin``.
    elapsed : float
        Seconds.

    Returns
    -------
    dict
    """
    from ntklin.edge.files.names import command_line

    return {
        "command": command_line(["ntklin", *words]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "elapsed_seconds": round(elapsed, 1),
        "versions": versions(),
        "machine": machine(),
    }


def everything() -> dict[str, Any]:
    """All of it, as plain values."""
    cpuinfo = blas.read_cpuinfo()
    libraries = blas_libraries()
    return {
        "versions": versions(),
        "system": platform.platform(),
        "cpu": {"model": cpu_model(cpuinfo), "cores": os.cpu_count()},
        "avx512": avx512_advice(cpuinfo, libraries, os.environ),
        "threads": threads(),
        "blas": libraries,
        "memory": memory(),
        "gpu": {"devices": gpus(), "cupy": cupy_version()},
    }
