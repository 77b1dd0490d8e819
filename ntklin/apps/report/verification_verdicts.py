"""What a verification is made of, for its table, page and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntklin.validation.theorems import Check, Statement, Verdict

STRENGTHS = {
    "exact": "rational arithmetic: equal to the last digit",
    "certified": "ball arithmetic: a rigorous enclosure",
    "statistical": "random draws: within confidence intervals",
    "library": "public functions in float64 and float32: true up to rounding",
}


@dataclass(frozen=True, eq=False)
class Judged:
    """A check with its statement and its verdict, as ``ntklin.validation.theorems`` has them.

    Attributes
    ----------
    statement : Statement
    check : Check
    verdict : Verdict
    """

    statement: Statement
    check: Check
    verdict: Verdict

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        if self.verdict.passed:
            return "holds"
        return "FAILS" if not self.verdict.measurement.holds else "BLIND"

    @property
    def reason(self) -> str:
        """The margin by which it holds or fails, or how the control escaped."""
        if self.word == "BLIND":
            return f"its control holds as well: {self.verdict.control.measured}"
        return self.verdict.measurement.margin


def counts(judged: Iterable[Judged]) -> dict[str, tuple[int, int]]:
    """How many checks passed, by strength: {strength: (passed, all)}."""
    found = {}
    for item in judged:
        passed, total = found.get(item.verdict.strength, (0, 0))
        found[item.verdict.strength] = (passed + item.verdict.passed, total + 1)
    return {strength: found[strength] for strength in STRENGTHS if strength in found}


def summary(judged: Iterable[Judged]) -> str:
    """What came out, in a sentence without its full stop."""
    parts = [
        f"{passed} of {total} {strength}" for strength, (passed, total) in counts(judged).items()
    ]
    return f"Checks that hold, and whose control fails: {', '.join(parts)}"
