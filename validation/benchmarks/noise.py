"""How much of the machine others used while something was timed."""

import os
import time
from typing import Self


def cpu_seconds() -> tuple[float, float] | None:
    """CPU time of the whole machine, stolen time included, and of this process, or None."""
    try:
        with open("/proc/stat") as f:
            fields = [int(x) for x in f.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _iowait, *interrupts_and_steal = fields
    busy = user + nice + system + sum(interrupts_and_steal)
    return busy / os.sysconf("SC_CLK_TCK"), time.process_time()


# Below this, one tick of the system's clock reads as many cores.
SHORTEST = 0.1


class Noise:
    """A context that sums up, over all its uses, the CPU time that others took.

    Attributes
    ----------
    foreign_cores : float or None
        Cores kept busy by others on average; None where the system does not tell, or for less than
        a tenth of a second.
    """

    def __init__(self) -> None:
        self._wall = self._foreign = 0.0
        self._known = True

    @property
    def foreign_cores(self) -> float | None:
        """Of all uses so far."""
        if not self._known or self._wall < SHORTEST:
            return None
        return max(0.0, self._foreign) / self._wall

    def __enter__(self) -> Self:
        self._start = time.perf_counter(), cpu_seconds()
        return self

    def __exit__(self, *exception: object) -> None:
        wall, before = self._start
        after = cpu_seconds()
        self._wall += time.perf_counter() - wall
        if before is None or after is None:
            self._known = False
        else:
            self._foreign += (after[0] - before[0]) - (after[1] - before[1])
