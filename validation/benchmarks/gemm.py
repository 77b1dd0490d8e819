"""The rate of a large matrix product, in this process and under other settings of OpenBLAS."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.linalg.blas

from ntklin.validation.benchmarks.machine import has_avx512

REPETITIONS = 4
MODULE = "ntklin.validation.benchmarks.gemm"


def best_time(call: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """The shortest of a few calls after one that does not count: what can be reached."""
    call()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def rates(n: int) -> dict[str, float]:
    """{dtype: GFLOP/s} of C = A B at order n, the better of NumPy's and SciPy's BLAS."""
    found = {}
    rng = np.random.default_rng(0)
    for dtype, product in (("float64", "dgemm"), ("float32", "sgemm")):
        A, B = rng.random((2, n, n)).astype(dtype)
        C = np.empty_like(A)
        multiply = getattr(scipy.linalg.blas, product)
        # SciPy's wrappers take column-major matrices: C^T = A^T B^T has them, without a copy.
        calls = (
            partial(np.matmul, A, B, out=C),
            partial(multiply, 1, A.T, B.T, c=C.T, overwrite_c=1),
        )
        seconds = min(best_time(call) for call in calls)
        found[dtype] = 2 * n**3 / seconds / 1e9
    return found


def core_types() -> tuple[str, ...]:
    """The settings of OPENBLAS_CORETYPE to try: OpenBLAS's own choice, and AVX-512 where it runs.

    OpenBLAS takes its AVX2 kernels on some CPUs that have AVX-512.

    Returns
    -------
    tuple of str
    """
    return ("", "SkylakeX") if has_avx512() else ("",)


def limits(n: int, threads: int) -> dict[str, dict[str, float]]:
    """GFLOP/s by setting and dtype: this process's rates, and those of other core types.

    Settings other than this process's take effect in processes of their own.

    Returns
    -------
    dict of str to dict
        ``{"this process": {"float64": …, "float32": …}, "OPENBLAS_CORETYPE=…": …}``.
    """
    found = {"this process": rates(n)}
    for core_type in core_types():
        environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
        environment.pop("OPENBLAS_CORETYPE", None)
        if core_type:
            environment["OPENBLAS_CORETYPE"] = core_type
        done = subprocess.run(
            [sys.executable, "-c", f"import {MODULE} as g, json; print(json.dumps(g.rates({n})))"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            name = f"OPENBLAS_CORETYPE={core_type}" if core_type else "OpenBLAS's choice"
            found[name] = json.loads(done.stdout)
    return found
