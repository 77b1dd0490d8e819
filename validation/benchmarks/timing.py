"""Turns and what they measured.

Implementations take turns, round after round, so that a slow phase of the machine meets all of
them. A turn repeats a call until it has lasted long enough to be read.
"""

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from ntklin.validation.benchmarks.noise import Noise
from ntklin.validation.benchmarks.way import Way


@dataclass
class Timing:
    """The samples of one row, in seconds per call or per step.

    Attributes
    ----------
    turns : list of list of float
    overheads : list of float
        Set-up that was timed on its own and subtracted.
    """

    turns: list[list[float]] = field(default_factory=list)
    overheads: list[float] = field(default_factory=list)
    noise: Noise = field(default_factory=Noise)

    @property
    def samples(self) -> list[float]:
        """All of them."""
        return [seconds for turn in self.turns for seconds in turn]

    @property
    def median(self) -> float:
        """The median of the turns' medians, so that no turn counts more for being faster."""
        return statistics.median(statistics.median(turn) for turn in self.turns)

    def summary(self) -> dict[str, Any]:
        """As written to the JSON: milliseconds, and the spread of the turns' medians."""
        medians = [statistics.median(turn) for turn in self.turns]
        return {
            "median_ms": 1e3 * self.median,
            "min_ms": 1e3 * min(self.samples),
            "max_ms": 1e3 * max(self.samples),
            "spread": (max(medians) - min(medians)) / self.median,
            "n_turns": len(self.turns),
            "n_samples": len(self.samples),
            "setup_ms": 1e3 * statistics.median(self.overheads) if self.overheads else None,
            "foreign_cores": self.noise.foreign_cores,
        }


# As the peers' harness does: a call to warm up, then a handful; fewer of the very long ones.
CALLS, LONG = 6, 5.0


def take_turn(way: Way, seconds: float, timing: Timing) -> float:
    """Time one turn of an implementation, add it to ``timing`` and return its median.

    It lasts for so many ``seconds`` at least, and has at least CALLS calls, or two where those
    would take LONG seconds.

    Returns
    -------
    float
    """
    samples, total = [], 0.0
    with timing.noise:
        while len(samples) < (CALLS if total < LONG else 2) or total < seconds:
            sample, overhead, spent = _one_call(way)
            samples.append(sample)
            total += spent
            if overhead is not None:
                timing.overheads.append(overhead)
    # The first call meets the caches as the previous turn left them.
    samples = samples[1:] or samples
    timing.turns.append(samples)
    return statistics.median(samples)


def _one_call(way: Way) -> tuple[float, float | None, float]:
    """Seconds per unit, seconds of set-up, and seconds in all; the result is freed untimed."""
    began = time.perf_counter()
    arguments = way.prepare()
    way.finish()
    overhead = None
    if way.overhead is not None:
        start = time.perf_counter()
        way.overhead(*arguments)
        way.finish()
        overhead = time.perf_counter() - start
    start = time.perf_counter()
    result = way.run(*arguments)
    way.finish()
    end = time.perf_counter()
    del result
    return (end - start - (overhead or 0.0)) / way.count, overhead, end - began
