"""Time and memory by phase, and what is told of them while they last."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Protocol

try:
    import resource
except ImportError:  # Windows
    resource = None

DATA, FEATURES, KERNEL, FACTOR, ITERATIONS = "data", "features", "kernel", "factor", "iterations"
SOLVE, TEST, FILES = "solve", "test", "files"
# What phases are called, in the order in which they come.
PHASES = {
    DATA: "samples",
    FEATURES: "features",
    KERNEL: "kernel",
    FACTOR: "Cholesky factor",
    ITERATIONS: "conjugate gradients",
    SOLVE: "solution",
    TEST: "test points",
    FILES: "checkpoints",
}


@dataclass(frozen=True)
class Phase:
    """What a phase took.

    Attributes
    ----------
    name : str
        A key of ``PHASES``.
    seconds : float
        Of this run, and of earlier ones whose work it went on with.
    restored : float
        Those of earlier runs among them.
    peak_memory : int or None
        The most bytes that the process has had so far; None where the system does not tell.
    """

    name: str
    seconds: float
    restored: float = 0.0
    peak_memory: int | None = None


class Teller(Protocol):
    """Who is told how far a phase is."""

    def advanced(self, phase: str, done: float, total: float | None) -> None:
        """So much of a phase's work is done; of None nobody knows how much there is."""


class Clock:
    """Gives the time since it was last asked to a phase, and tells how far phases are.

    Parameters
    ----------
    teller : Teller
    """

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._last = time.perf_counter()
        self._spent: dict[str, float] = {}
        self._restored: dict[str, float] = {}
        self._peaks: dict[str, int | None] = {}

    def lap(self, phase: str) -> float:
        """The seconds since the last lap, which have been this phase's.

        Parameters
        ----------
        phase : str

        Returns
        -------
        float
        """
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self._spent[phase] = self._spent.get(phase, 0.0) + seconds
        self._peaks[phase] = peak_memory()
        return seconds

    def tell(self, phase: str, done: float, total: float | None) -> None:
        """So much of a phase's work is done; of None nobody knows how much there is."""
        self._teller.advanced(phase, done, total)

    def credit(self, phase: str, seconds: float) -> None:
        """An earlier run has spent so long on what this one goes on with."""
        self._restored[phase] = self._restored.get(phase, 0.0) + seconds

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What each phase took so far."""
        found = []
        for name in PHASES:
            if name in self._spent:
                restored = self._restored.get(name, 0.0)
                seconds = self._spent[name] + restored
                found.append(Phase(name, seconds, restored, self._peaks[name]))
        return tuple(found)


def peak_memory() -> int | None:
    """The most bytes of memory that this process has had."""
    if resource is None:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
