"""From rows and comparisons to the target table."""

import statistics
from dataclasses import dataclass

# What a work is held to that ntklin itself does in another variant of it: the variant, its name.
MEASURED_BESIDE = {
    "factorize": ("factorize", "its factorization"),
    "parts": ("Gram and Cholesky", "one weighted Gram matrix and one Cholesky factorization"),
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
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

    target: object
    own_ms: float | None = None
    other: str = ""
    other_ms: float | None = None
    ratio: float | None = None
    foreign_cores: float | None = None
    note: str = ""

    @property
    def met(self):
        """True, False, or None for what has no target or was not measured."""
        if self.ratio is None or self.target.least is None:
            return None
        return self.ratio >= self.target.least

    def record(self):
        """As written to the JSON."""
        t = self.target
        return {
            **{name: getattr(t, name) for name in ("work", "variant", "case", "dtype", "inputs")},
            "n": t.n,
            "against": t.against,
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


def judge(target, records, comparisons):
    """The verdict on a target.

    Parameters
    ----------
    target : Target
    records : list of dict
        Of the rows.
    comparisons : list of Comparison

    Returns
    -------
    Verdict
    """
    if target.against == "peers":
        return _against_peers(target, comparisons)
    own = _find(target, records, target.variant)
    if own is None or "median_ms" not in own:
        return Verdict(target=target, note="not measured")
    if target.against in MEASURED_BESIDE:
        variant, name = MEASURED_BESIDE[target.against]
        other = _find(target, records, variant)
        if other is None or "median_ms" not in other:
            return Verdict(target=target, note="not measured")
        return Verdict(
            target=target,
            own_ms=own["median_ms"],
            other=name,
            other_ms=other["median_ms"],
            ratio=other["median_ms"] / own["median_ms"],
            foreign_cores=_larger(own["foreign_cores"], other["foreign_cores"]),
        )
    fraction, name = {
        "gemm": ("of_gemm", "matrix-product limit"),
        "gemm unskipped": ("of_gemm_unskipped", "matrix-product limit, zeros counted as work"),
        "fill": ("of_bandwidth", "write bandwidth"),
    }[target.against]
    return Verdict(
        target=target,
        own_ms=own["median_ms"],
        other=name,
        ratio=own.get(fraction),
        foreign_cores=own["foreign_cores"],
    )


def _larger(*values):
    """The largest that is known, or None."""
    return max((value for value in values if value is not None), default=None)


def _find(target, records, variant):
    """ntklin's row of a target's work in the given variant."""
    wanted = {
        "work": target.work,
        "variant": variant,
        "case": target.case,
        "dtype": target.dtype,
        "inputs": target.inputs,
        "frozen_n": target.n,
        "implementation": "ntklin",
    }
    for record in records:
        if all(record[key] == value for key, value in wanted.items()):
            return record
    return None


def _against_peers(target, comparisons):
    """The peer with the smallest ratio is the best one."""
    comparison = next((c for c in comparisons if c.group == target.group), None)
    if comparison is None:
        return Verdict(target=target, note="peers not run")
    key = target.variant, target.inputs
    best, reasons = None, []
    for peer in target.peers:
        runs = [run for run in comparison.runs if run["peer"] == peer]
        counted = [
            (ratio, run) for run in runs if (ratio := comparison.ratio(run, key)) is not None
        ]
        if counted:
            ratio = statistics.median(ratio for ratio, _ in counted)
            if best is None or ratio < best[0]:
                best = ratio, peer, [run for _, run in counted]
        else:
            reasons += [f"{peer}: {run['failed']}" for run in runs[-1:] if run.get("failed")]
    note = "; ".join(reasons)
    timing = comparison.timings.get(key)
    if timing is None or not timing.turns:
        return Verdict(target=target, note=note or "not measured")
    own_ms = 1e3 * timing.median
    if best is None:
        return Verdict(target=target, own_ms=own_ms, note=note or "no peer ran")
    ratio, peer, runs = best
    return Verdict(
        target=target,
        own_ms=own_ms,
        other=str(peer),
        other_ms=1e3 * statistics.median(run["median_s"] for run in runs),
        ratio=ratio,
        foreign_cores=_larger(
            timing.noise.foreign_cores, *(run.get("foreign_cores") for run in runs)
        ),
        note=note,
    )
