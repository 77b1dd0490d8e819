"""From rows and comparisons to the target table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ntklin.validation.benchmarks.compare import Comparison
from ntklin.validation.benchmarks.targets import Target

# What a work is held to that is measured beside it. Other variants or implementations of it: the
# variant (None for its own), by whom, its name.
BESIDE = {
    "factorize": ("factorize", "ntklin", "its factorization"),
    "parts": (
        "Gram and Cholesky",
        "ntklin",
        "one weighted Gram matrix and one Cholesky factorization",
    ),
    "hand": (None, "numpy", "NumPy by hand"),
}
# Limits: the row's fraction of it, its name.
LIMITS = {
    "gemm": ("of_gemm", "matrix-product limit"),
    "gemm unskipped": ("of_gemm_unskipped", "matrix-product limit, zeros counted as work"),
    "fill": ("of_bandwidth", "write bandwidth"),
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """What became of a target.

    Attributes
    ----------
    target : Target
    own_ms : float or None
    other : str
        The best peer, or the limit.
    other_ms : float or None
    ratio : float or None
        None where it was not measured; ``note`` then says why.
    foreign_cores : float or None
        Cores kept busy by others, the larger of both sides of the ratio.
    note : str
    """

    target: Target
    own_ms: float | None = None
    other: str = ""
    other_ms: float | None = None
    ratio: float | None = None
    foreign_cores: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """True, False, or None for what has no target or was not measured."""
        if self.ratio is None or self.target.least is None:
            return None
        return self.ratio >= self.target.least

    def record(self) -> dict[str, Any]:
        """As written to the JSON."""
        t = self.target
        names = ("work", "variant", "case", "dtype", "inputs", "n", "against")
        return {
            **{name: getattr(t, name) for name in names},
            "peers": [str(peer) for peer in t.peers],
            "ntklin_ms": self.own_ms,
            "other": self.other,
            "other_ms": self.other_ms,
            "ratio": self.ratio,
            "target": t.least,
            "met": self.met,
            "foreign_cores": self.foreign_cores,
            "note": self.note,
        }


def score(
    target: Target, records: Sequence[dict[str, Any]], comparisons: Sequence[Comparison]
) -> Score:
    """What became of a target, by the rows' records and the comparisons."""
    if target.against == "peers":
        return _against_peers(target, comparisons)
    missing = Score(target=target, note="not measured")
    own = _timed(target, records, target.variant)
    if own is None:
        return missing
    if target.against in LIMITS:
        fraction, name = LIMITS[target.against]
        found = {"ratio": own.get(fraction), "foreign_cores": own["foreign_cores"]}
    else:
        variant, by, name = BESIDE[target.against]
        other = _timed(target, records, target.variant if variant is None else variant, by)
        if other is None:
            return missing
        found = {
            "other_ms": other["median_ms"],
            "ratio": other["median_ms"] / own["median_ms"],
            "foreign_cores": _larger(own["foreign_cores"], other["foreign_cores"]),
        }
    return Score(target=target, own_ms=own["median_ms"], other=name, **found)


def _larger(*values: float | None) -> float | None:
    """The largest that is known, or None."""
    return max((value for value in values if value is not None), default=None)


def _timed(
    target: Target, records: Sequence[dict[str, Any]], variant: str, by: str = "ntklin"
) -> dict[str, Any] | None:
    """An implementation's row of a target's work in the given variant, or None."""
    wanted = {name: getattr(target, name) for name in ("work", "case", "dtype", "inputs")}
    wanted |= {"variant": variant, "frozen_n": target.n, "implementation": by}
    return next((r for r in records if wanted.items() <= r.items() and "median_ms" in r), None)


def _against_peers(target: Target, comparisons: Sequence[Comparison]) -> Score:
    """The peer with the smallest ratio is the best one."""
    comparison = next((c for c in comparisons if c.group == target.group), None)
    if comparison is None:
        return Score(target=target, note="peers not run")
    key = target.variant, target.inputs
    found, reasons = [], []
    for peer in target.peers:
        runs = [run for run in comparison.runs if run["peer"] == peer]
        judged = [(run, comparison.ratio(run, key)) for run in runs]
        counted = [(run, ratio) for run, ratio in judged if ratio is not None]
        if counted:
            middle = statistics.median(ratio for _, ratio in counted)
            found.append((middle, peer, [run for run, _ in counted]))
        else:
            reasons += [f"{peer}: {run['failed']}" for run in runs[-1:] if run.get("failed")]
    note, timing = "; ".join(reasons), comparison.timings.get(key)
    if timing is None or not timing.turns:
        return Score(target=target, note=note or "not measured")
    own_ms = 1e3 * timing.median
    if not found:
        return Score(target=target, own_ms=own_ms, note=note or "no peer ran")
    ratio, peer, runs = min(found, key=lambda one: one[0])
    foreign = [run.get("foreign_cores") for run in runs]
    return Score(
        target=target,
        own_ms=own_ms,
        other=str(peer),
        other_ms=1e3 * statistics.median(run["median_s"] for run in runs),
        ratio=ratio,
        foreign_cores=_larger(timing.noise.foreign_cores, *foreign),
        note=note,
    )
