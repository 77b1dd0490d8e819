"""The machine's limits, measured in the same run as everything that is compared to them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from ntklin.validation.benchmarks import gemm, streams
from ntklin.validation.benchmarks.cases import Scale


@dataclass(frozen=True)
class Limits:
    """The best rates that were reached.

    Attributes
    ----------
    gemm : dict
        GFLOP/s by BLAS setting and dtype.
    fill, copy : dict
        GB/s by method. A copy counts what it reads and what it writes.
    """

    gemm: dict[str, dict[str, float]]
    fill: dict[str, float]
    copy: dict[str, float]

    def flops(self, dtype: str) -> float:
        """GFLOP/s of the best matrix product in "float64" or "float32"."""
        return max(rates[dtype] for rates in self.gemm.values())

    def bandwidth(self, bound: str) -> float:
        """GB/s of the best fill or copy."""
        return max(getattr(self, bound).values())


def measure_gpu(scale: Scale, xp: ModuleType) -> Limits:
    """The limits of a GPU by CuPy: cuBLAS on large matrices, a fill and a copy of large arrays."""
    wait = xp.cuda.get_current_stream().synchronize

    def seconds(call: Callable[..., object], *arguments: Any, **options: Any) -> float:
        def timed() -> None:
            call(*arguments, **options)
            wait()

        return gemm.best_time(timed)

    n, products = scale.n_gpu_gemm, {}
    for dtype in ("float64", "float32"):
        A = xp.ones((n, n), dtype)
        products[dtype] = 2 * n**3 / seconds(xp.matmul, A, A, out=xp.empty_like(A)) / 1e9
    source, out = xp.ones(scale.stream_bytes // 8), xp.empty(scale.stream_bytes // 8)
    fill = out.nbytes / 1e9 / seconds(out.fill, 1.0)
    copy = 2 * out.nbytes / 1e9 / seconds(xp.copyto, out, source)
    return Limits(gemm={"cuBLAS": products}, fill={"fill": fill}, copy={"copyto": copy})


def measure(scale: Scale, threads: int) -> Limits:
    """The limits of so many threads."""
    products = gemm.limits(scale.n_gemm, threads)
    source, out = streams.aligned(scale.stream_bytes), streams.aligned(scale.stream_bytes)

    def rate(n_arrays: int, call: Callable[..., object], *arguments: Any) -> float:
        return n_arrays * out.nbytes / 1e9 / gemm.best_time(partial(call, *arguments))

    return Limits(
        gemm=products,
        fill={
            "non-temporal": rate(1, streams.fill, out),
            "ndarray.fill": rate(1, out.fill, 1.0),
        },
        copy={
            "non-temporal": rate(2, streams.copy, out, source),
            "np.copyto": rate(2, np.copyto, out, source),
        },
    )
