"""What a call takes of memory: its peak, and how much of its result lies on huge pages."""

from collections.abc import Callable
from typing import Any

HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
LARGE = 1 << 26


def huge_page_setting() -> str | None:
    """The kernel's choice for transparent huge pages: "always", "madvise", "never" or None."""
    try:
        with open(HUGE_PAGES) as f:
            return f.read().partition("[")[2].partition("]")[0] or None
    except OSError:
        return None


def available_bytes() -> int | None:
    """Memory that can be had without swapping, or None where the system does not tell."""
    try:
        return 1024 * _kilobytes("/proc/meminfo", "MemAvailable:")
    except OSError:
        return None


def require(n_bytes: float, what: str) -> None:
    """Raise MemoryError where so much is not free: the system would end the process instead."""
    free = available_bytes()
    if free is not None and n_bytes > free:
        raise MemoryError(f"{what} needs {n_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


def _kilobytes(path: str, key: str) -> int:
    with open(path) as f:
        for line in f:
            if line.startswith(key):
                return int(line.split()[1])
    raise OSError(f"{path} has no {key}")


def measure(call: Callable[[], Any]) -> dict[str, Any]:
    """Make a call and see what memory it takes: a dict, None where the system does not tell.

    ``peak_bytes``: the highest resident memory during the call above that before it.
    ``huge_page_share``: of a new result above 64 MB, the share on huge pages.

    Returns
    -------
    dict
    """
    found: dict[str, Any] = {"peak_bytes": None, "huge_page_share": None}
    try:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # sets the high-water mark to what is resident now
        before = _kilobytes("/proc/self/status", "VmRSS:")
        huge = _kilobytes("/proc/self/smaps_rollup", "AnonHugePages:")
    except OSError:
        call()
        return found
    result = call()
    peak = _kilobytes("/proc/self/status", "VmHWM:")
    found["peak_bytes"] = 1024 * max(0, peak - before)
    n_bytes = getattr(result, "nbytes", 0)
    if LARGE < n_bytes < 2 * found["peak_bytes"]:
        gained = 1024 * (_kilobytes("/proc/self/smaps_rollup", "AnonHugePages:") - huge)
        found["huge_page_share"] = min(1.0, max(0.0, gained / n_bytes))
    return found
