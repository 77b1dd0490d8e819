"""What the figures were measured on."""

import os
import platform
from types import ModuleType
from typing import Any

import numpy as np

import ntklin
from ntklin.validation.benchmarks.memory import huge_page_setting

SETTINGS = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
    "NUMBA_DISABLE_JIT",
    "GLIBC_TUNABLES",
    "NUMPY_MADVISE_HUGEPAGE",
)
AVX512 = {"avx512f", "avx512dq", "avx512bw", "avx512vl"}


def usable_cores() -> int:
    """The number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def usable_threads() -> int:
    """The number of threads that Numba may start on them."""
    from numba.np.ufunc.parallel import get_thread_count

    return min(usable_cores(), get_thread_count())


def _cpu_info(key: str) -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            for line in f:
                if line.startswith(key):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def has_avx512() -> bool:
    """Whether the CPU has all that OpenBLAS's AVX-512 kernels need."""
    return set(_cpu_info("flags").split()) >= AVX512


def blas_libraries() -> list[dict[str, Any]]:
    """Each BLAS that is loaded: library, version, kernels and threads."""
    import threadpoolctl

    return [
        {
            "library": info["internal_api"],
            "version": info["version"],
            "kernels": info.get("architecture"),
            "threads": info["num_threads"],
            "file": os.path.basename(info["filepath"]),
        }
        for info in threadpoolctl.threadpool_info()
        if info["user_api"] == "blas"
    ]


def describe(threads: int) -> dict[str, Any]:
    """CPU, the threads that the run uses, BLAS, huge pages, versions and settings, for the JSON."""
    import llvmlite
    import numba
    import scipy

    return {
        "cpu": _cpu_info("model name") or platform.processor() or platform.machine(),
        "avx512": has_avx512(),
        "cores": usable_cores(),
        "threads": threads,
        "numba_threads": numba.get_num_threads(),
        "blas": blas_libraries(),
        "huge_pages": huge_page_setting(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "versions": {
            "python": platform.python_version(),
            "ntklin": ntklin.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "numba": numba.__version__,
            "llvmlite": llvmlite.__version__,
        },
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def describe_gpu(xp: ModuleType) -> dict[str, Any]:
    """The current GPU by CuPy, for the JSON."""
    runtime, device = xp.cuda.runtime, xp.cuda.Device()
    properties = runtime.getDeviceProperties(device.id)
    return {
        "name": properties["name"].decode(),
        "compute_capability": device.compute_capability,
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": properties["totalGlobalMem"],
        "runtime": runtime.runtimeGetVersion(),
        "driver": runtime.driverGetVersion(),
        "cupy": xp.__version__,
        # CuPy's own switch; without it float32 products are of float32 throughout.
        "tf32": os.environ.get("CUPY_TF32", "0") not in ("", "0"),
    }
