"""How a solver's work is watched, kept, and gone on with."""

from __future__ import annotations

import time
from typing import Any

from ntklin.algebra.course import Course
from ntklin.apps.scale.checkpoint import SizeFiles
from ntklin.apps.scale.clock import FACTOR, FILES, ITERATIONS, KERNEL, Clock
from ntklin.edge.arrays import Array

ITERATE, SHIFT = "iterate.npz", "shift.npz"
# An iterate is written no more often than that: writing takes some of the time that it saves.
SECONDS_BETWEEN = 2.0


class KeptCourse(Course):
    """The solution of one problem, kept panel by panel and iterate by iterate.

    Parameters
    ----------
    files : SizeFiles
    clock : Clock
    rows : int
        Of the matrix that is factorized.
    per_entry : float
        Operations for one of its entries, as many as a multiplication and an addition.

    Attributes
    ----------
    residuals : list of float
        Of the iterates so far, as conjugate gradients carry them along.
    """

    def __init__(self, files: SizeFiles, clock: Clock, rows: int, per_entry: float) -> None:
        self._files, self._clock = files, clock
        # An entry of the factor takes two operations for each column to the left.
        self._rows, self._per_entry = rows, per_entry
        self._written = time.monotonic()
        self._seconds = self._filling = 0.0
        # Of every iterate, those of earlier runs first.
        self.residuals: list[float] = []

    def least_shift(self) -> float:
        """The shift that an earlier run had to come to; 0 where its first one served."""
        kept = self._files.read(SHIFT)
        return 0.0 if kept is None else float(kept[0]["shift"])

    def raised(self, shift: float) -> None:
        """Panels begin anew with this shift."""
        self._files.write(SHIFT, {"shift": shift}, {})

    def load(self, j: int, panel: Array, shift: float) -> bool:
        """Put panel j of an earlier run in its place; False where there is none."""
        kept = self._files.read(panel_file(j))
        if kept is None:
            return False
        values, arrays = kept
        found = arrays["panel"]
        if found.shape != panel.shape or found.dtype != panel.dtype or values["shift"] != shift:
            return False
        panel[...] = found
        self._clock.lap(FACTOR)
        for phase, seconds in values["seconds"].items():
            self._clock.credit(phase, seconds)
        self._tell(panel)
        return True

    def filled(self, j: int) -> None:
        """The tiles of the kernel are in panel j."""
        self._filling = self._clock.lap(KERNEL)

    def save(self, j: int, panel: Array, shift: float) -> None:
        """Panel j is final."""
        seconds = {KERNEL: self._filling, FACTOR: self._clock.lap(FACTOR)}
        self._tell(panel)
        values = {"shift": shift, "seconds": seconds}
        self._files.write(panel_file(j), values, {"panel": panel})
        self._clock.lap(FILES)

    def begin(self) -> Array | None:
        """The latest iterate of an earlier run; None where there is none."""
        kept = self._files.read(ITERATE)
        if kept is None:
            return None
        values, arrays = kept
        self._clock.credit(ITERATIONS, values["seconds"])
        self._seconds, self.residuals = values["seconds"], values["residuals"]
        return arrays["iterate"]

    def iterated(self, iteration: int, residual: float, iterate: Array) -> None:
        """Conjugate gradients are at this iterate."""
        self._seconds += self._clock.lap(ITERATIONS)
        self.residuals.append(residual)
        self._clock.tell(ITERATIONS, iteration, None)
        now = time.monotonic()
        if now >= self._written + SECONDS_BETWEEN:
            values: dict[str, Any] = {"seconds": self._seconds, "residuals": self.residuals}
            self._files.write(ITERATE, values, {"iterate": iterate})
            self._written = time.monotonic()
            self._clock.lap(FILES)

    def _tell(self, panel: Array) -> None:
        """How much of the work of all panels is done; a panel begins where the one before ends."""
        done = self._rows - len(panel) + panel.shape[1]
        self._clock.tell(FACTOR, self._work(done), self._work(self._rows))

    def _work(self, columns: int) -> float:
        """∫ (n − x)(k + 2x) dx: operations for so many columns of the kernel and of its factor."""
        n, k, x = float(self._rows), self._per_entry, float(columns)
        return k * n * x + (2 * n - k) * x * x / 2 - 2 * x**3 / 3


def panel_file(j: int) -> str:
    """The name of panel j."""
    return f"panel-{j:04d}.npz"
