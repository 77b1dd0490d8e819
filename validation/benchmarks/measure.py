"""Gates, then rounds: what is known of each implementation of each work on one problem."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from ntklin.validation.benchmarks import memory
from ntklin.validation.benchmarks.gates import Agreement
from ntklin.validation.benchmarks.limits import Limits
from ntklin.validation.benchmarks.timing import Timing, take_turn
from ntklin.validation.benchmarks.way import Way


class Row:
    """One implementation of a variant of a work on one problem, and what was measured of it.

    Parameters
    ----------
    way : Way
    gate : callable
        From ``way.result()`` to an ``Agreement``.
    facts : dict
        Work, variant, case, dtype, inputs, N, the frozen N that it stands for, implementation.

    Attributes
    ----------
    agreement : Agreement or None
        None before the gate, or where it raised.
    failed : str
        Why the gate did not pass; empty when it did.
    skipped : str
        Why it could not be run here at all.
    memory : dict
    timing : Timing
    """

    def __init__(self, way: Way, gate: Callable[[Any], Agreement], facts: dict[str, Any]) -> None:
        self.way, self.gate, self.facts = way, gate, facts
        self.cost, self.count = way.cost, way.count
        self.agreement: Agreement | None = None
        self.failed = self.skipped = ""
        self.memory: dict[str, Any] = {}
        self.timing = Timing()

    @property
    def label(self) -> str:
        """The work with its variant."""
        return label(self.facts)

    def release(self) -> None:
        """Drop the way and the gate, and with them the arrays that they hold."""
        del self.way, self.gate

    def pass_gate(self) -> None:
        """Run once and compare; an exception fails it, except for want of memory."""
        try:
            self.agreement = self.gate(self.way.result())
            self.failed = self.agreement.failure
        except MemoryError as e:
            self.skipped = str(e)
        except Exception as e:
            self.failed = f"{type(e).__name__}: {e}"

    def record(self, limits: Limits | None) -> dict[str, Any]:
        """As written to the JSON, with the fractions of the limits, where they are known."""
        found: dict[str, Any] = dict.fromkeys(("error", "tolerance", "left_out"))
        if self.agreement is not None:
            found = asdict(self.agreement)
            # JSON has neither NaN nor infinity; ``failed`` then says which.
            found["error"] = found["error"] if isfinite(found["error"]) else None
        found = self.facts | found
        found |= {"failed": self.failed or None, "skipped": self.skipped or None, **self.memory}
        if self.timing.turns:
            found |= self.timing.summary() | self.rates(limits)
            if found["setup_ms"] is not None:
                found["amortized_ms"] = found["median_ms"] + found["setup_ms"] / self.count
            found["turns_ms"] = [[1e3 * s for s in turn] for turn in self.timing.turns]
        return found

    def rates(self, limits: Limits | None) -> dict[str, Any]:
        """GFLOP/s and GB/s at the median, and their fractions of the limits."""
        cost, giga_seconds = self.cost, 1e9 * self.timing.median

        def rate(amount: float | None) -> float | None:
            return amount / giga_seconds if amount else None

        found: dict[str, Any] = {
            "flops": cost.flops,
            "dense_flops": cost.dense_flops,
            "unskipped_flops": cost.unskipped_flops,
            "bytes": cost.n_bytes,
            "gflops": rate(cost.flops),
            "dense_gflops": rate(cost.dense_flops),
            "gbytes": rate(cost.n_bytes),
        }
        if limits is not None:
            most = limits.flops(self.facts["dtype"])
            if cost.flops:
                found["of_gemm"] = found["gflops"] / most
            if cost.unskipped_flops:
                found["of_gemm_unskipped"] = cost.unskipped_flops / giga_seconds / most
            if cost.n_bytes:
                found["bandwidth"] = cost.bound
                found["of_bandwidth"] = found["gbytes"] / limits.bandwidth(cost.bound)
        return found


def label(facts: Mapping[str, Any]) -> str:
    """A work with its variant."""
    return f"{facts['work']} ({facts['variant']})" if facts["variant"] else facts["work"]


def pass_gates(rows: Sequence[Row], *, on_host: bool = True) -> list[Row]:
    """Gate all rows; return those of works whose implementations all passed.

    The memory that a work takes can be measured where it is the host's.

    Returns
    -------
    list of Row
    """
    for row in rows:
        row.pass_gate()
        if on_host and not row.failed and not row.skipped:
            # The gate's call compiled what it needed; this one shows what the work itself takes.
            row.memory = memory.measure(lambda way=row.way: way.run(*way.prepare()))
    stopped = {row.label for row in rows if row.failed}
    return [row for row in rows if row.label not in stopped and not row.skipped]


def take_rounds(
    rows: Sequence[Row], rounds: int, seconds: float, tick: Callable[[Row], object]
) -> None:
    """Let the rows take turns, each round in the opposite order of the one before.

    A turn lasts for so many ``seconds`` at least; ``tick(row)`` comes after it.
    """
    for r in range(rounds):
        for row in rows if r % 2 == 0 else reversed(rows):
            take_turn(row.way, seconds, row.timing)
            tick(row)
