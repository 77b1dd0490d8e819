"""Tables for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from ntklin.validation.benchmarks.compare import Comparison
from ntklin.validation.benchmarks.limits import Limits
from ntklin.validation.benchmarks.measure import label
from ntklin.validation.benchmarks.scores import Score

# Above this, others slowed the row noticeably.
NOISY_CORES = 0.25


def machine_text(machine: Mapping[str, Any]) -> str:
    """The machine in a few lines."""
    blas = "; ".join(
        f"{b['library']} {b['version']} ({b['kernels']} kernels, {b['threads']} threads)"
        for b in machine["blas"]
    )
    settings = ", ".join(f"{k}={v}" for k, v in machine["settings"].items()) or "none"
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    load = machine["load_average"]
    return "\n".join(
        (
            f"CPU: {machine['cpu']}, {machine['cores']} usable cores, "
            f"{'with' if machine['avx512'] else 'without'} AVX-512"
            + ("" if load is None else f", load {load:.2f}"),
            f"Threads: {machine['threads']} (Numba {machine['numba_threads']})",
            f"BLAS: {blas}",
            f"Transparent huge pages: {machine['huge_pages'] or 'unknown'}",
            f"Settings: {settings}",
            f"Versions: {versions}",
            *([] if machine.get("gpu") is None else [f"GPU: {gpu_text(machine['gpu'])}"]),
        )
    )


def gpu_text(gpu: Mapping[str, Any]) -> str:
    """The GPU in a line."""
    return (
        f"{gpu['name']}, compute capability {gpu['compute_capability']}, "
        f"{gpu['memory_bytes'] / 1e9:.0f} GB, CUDA {gpu['runtime']} (driver {gpu['driver']}), "
        f"TF32 {'on' if gpu['tf32'] else 'off'}"
    )


def limits_table(limits: Limits) -> Table:
    """Every measured limit; the best of each is the one that fractions refer to."""
    table = Table(title="Limits measured in this run")
    table.add_column("limit")
    table.add_column("how")
    table.add_column("rate", justify="right")
    for dtype in ("float64", "float32"):
        for how, rates in limits.gemm.items():
            table.add_row(f"matrix product, {dtype}", how, f"{rates[dtype]:.0f} GFLOP/s")
    for bound in ("fill", "copy"):
        for how, rate in getattr(limits, bound).items():
            table.add_row(bound, how, f"{rate:.1f} GB/s")
    return table


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, an empty text for None."""
    if value is None:
        return ""
    size = abs(value)
    if 1 <= size < 1e6:
        return f"{value:,.{max(0, digits - len(str(int(size))))}f}"
    if 1e-3 <= size < 1 or value == 0:
        return f"{value:.{digits}g}"
    return f"{value:.{digits - 1}e}"


def percent(value: float | None) -> str:
    """A fraction in percent, an empty text for None."""
    return "" if value is None else f"{100 * value:.0f} %"


def empty_table(title: str, names: str, numbers: str, **options: Any) -> Table:
    """A table with columns of names and columns of numbers."""
    table = Table(title=title, **options)
    for name in names.split(", "):
        table.add_column(name, no_wrap=True)
    for name in numbers.split(", "):
        table.add_column(name, justify="right")
    return table


def rows_table(records: Sequence[dict[str, Any]]) -> Table:
    """One line per row, with the ratio of hand-made NumPy to ntklin."""
    table = empty_table(
        "Works",
        "work, case, dtype, inputs, N, by",
        "error, median ms, min ms, spread, × by hand, GFLOP/s, of product, dense GFLOP/s, GB/s, "
        "of memory, peak MB, foreign",
        caption=_CAPTION,
    )
    for r in records:
        head = [label(r), *(str(r[name]) for name in ("case", "dtype", "inputs", "n"))]
        head += [r["implementation"], number(r["error"], 2)]
        if "median_ms" not in r:
            state = "failed" if r["failed"] else "skipped" if r["skipped"] else "not timed"
            table.add_row(*head, state, style="red" if r["failed"] else "yellow")
            continue
        peak = r.get("peak_bytes")
        table.add_row(
            *head,
            number(r["median_ms"]),
            number(r["min_ms"]),
            percent(r["spread"]),
            number(ratio_to_handmade(r, records), 2),
            number(r["gflops"]),
            percent(r.get("of_gemm")),
            number(r["dense_gflops"]),
            number(r["gbytes"]),
            percent(r.get("of_bandwidth")),
            number(None if peak is None else peak / 1e6),
            number(r["foreign_cores"], 2),
            style="yellow" if (r["foreign_cores"] or 0) > NOISY_CORES else None,
        )
    return table


def failures(records: Sequence[dict[str, Any]], comparisons: Sequence[Comparison]) -> str:
    """A line for every row that failed its gate or was skipped, and for every peer that failed."""
    lines = [
        f"{r['work']} {r['variant']} {r['case']} {r['dtype']} {r['inputs']} N = {r['n']}, "
        f"{r['implementation']}: {r['failed'] or 'skipped: ' + r['skipped']}"
        for r in records
        if r["failed"] or r["skipped"]
    ]
    for comparison in comparisons:
        work, case, dtype, n = comparison.group
        for run in comparison.runs:
            if run.get("failed"):
                lines.append(f"{work} {case} {dtype} N = {n}, {run['peer']}: {run['failed']}")
    return "\n".join(lines)


_CAPTION = (
    "GFLOP/s of the flops that are done and of the dense form of the same work; gd_step: per step, "
    f"set-up subtracted; yellow: others used more than {NOISY_CORES} cores meanwhile"
)


def ratio_to_handmade(record: dict[str, Any], records: Sequence[dict[str, Any]]) -> float | None:
    """The median of hand-made NumPy or CuPy over that of ntklin's row, or None."""
    if record["implementation"] != "ntklin":
        return None
    same = ("work", "variant", "case", "dtype", "inputs", "n")
    for other in records:
        by_hand = other["implementation"] in ("numpy", "cupy")
        if by_hand and all(other[k] == record[k] for k in same):
            return other["median_ms"] / record["median_ms"] if "median_ms" in other else None
    return None


def peers_table(comparisons: Sequence[Comparison]) -> Table:
    """Every peer row, with ntklin's turns on both sides of it."""
    table = empty_table(
        "Peers, each in a process of its own between two turns of ntklin",
        "work, case, dtype, N, peer",
        "round, median ms, min ms, max ms, error, foreign, ratios",
    )
    for comparison in comparisons:
        work, case, dtype, n = comparison.group
        for run in comparison.runs:
            head = (work, case, dtype, str(n), str(run["peer"]), str(run["round"]))
            if run.get("failed"):
                table.add_row(*head, "failed", style="yellow")
                continue
            ratios = [
                f"{' '.join(filter(None, key))} {number(ratio)}"
                for key in comparison.own[0]
                if (ratio := comparison.ratio(run, key)) is not None
            ]
            times = [run["median_s"], run.get("min_s"), run.get("max_s")]
            table.add_row(
                *head,
                *(number(None if t is None else 1e3 * t) for t in times),
                number((run.get("agreement") or {}).get("error"), 2),
                number(run.get("foreign_cores"), 2),
                "; ".join(ratios),
            )
    return table


def targets_table(scores: Iterable[Score]) -> Table:
    """Work, ntklin, the best peer or limit, the ratio, the target, and whether it is met."""
    table = empty_table(
        "Targets",
        "work, case, dtype, inputs, N",
        "ntklin ms, other ms, best other, ratio, target, met, foreign",
    )
    table.columns[7].justify = "left"
    for s in scores:
        r, met = s.record(), {True: "yes", False: "no", None: ""}[s.met]
        table.add_row(
            label(r),
            *(str(r[name]) for name in ("case", "dtype", "inputs", "n")),
            number(s.own_ms),
            number(s.other_ms),
            s.other or s.note,
            number(s.ratio),
            "context" if s.target.least is None else f"≥ {s.target.least:g}",
            met,
            number(s.foreign_cores, 2),
            style={"yes": "green", "no": "red"}.get(met),
        )
    return table
