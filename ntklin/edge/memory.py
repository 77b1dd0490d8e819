"""How much memory this process may still take: the machine's, its container's, its own limits."""

import os
import re
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

try:
    import resource
except ImportError:  # Windows
    resource = None

# Limits from here on mean none: cgroup v1 writes 2^63 − 1 rounded down to a page.
UNLIMITED = 1 << 62
# Seconds for which a reading holds: it takes a tenth of a millisecond, as small kernels do.
FRESH = 0.02
_latest: tuple[float, int | None] = -FRESH, None


def available_memory(root: str | os.PathLike[str] = "/") -> int | None:
    """Bytes that this process can take without swapping, or None where the system does not tell.

    The least of what the machine has free, what the control groups of a container leave (v1 and
    v2, those above it included), and what RLIMIT_AS and RLIMIT_DATA leave.

    Parameters
    ----------
    root : path
        Where /proc and the files below /sys/fs/cgroup are found.

    Returns
    -------
    int or None
    """
    global _latest
    root, now = os.fspath(root).rstrip("/"), time.monotonic()
    if root:
        return _reading(root)
    if now >= _latest[0] + FRESH:
        _latest = now, _reading(root)
    return _latest[1]


def _reading(root: str) -> int | None:
    found = [_machine(root), *_groups(root), *_own_limits(root)]
    known = [n for n in found if n is not None]
    return max(0, min(known)) if known else None


def _read(path: str) -> str:
    """The text of a small file; empty where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as f:
            return os.fsdecode(f.read())
    except OSError:
        return ""


def _number(text: str) -> int | None:
    """An integer, or None for "max", for anything else, and for what stands for no limit."""
    text = text.strip()
    if not text.isdecimal():
        return None
    number = int(text)
    return number if number < UNLIMITED else None


def _machine(root: str) -> int | None:
    """What the machine can give without swapping, and without overcommitting where it must not."""
    text = _read(f"{root}/proc/meminfo")
    available = _entry(text, "MemAvailable:")
    if available is None:
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    if _read(f"{root}/proc/sys/vm/overcommit_memory").strip() == "2":
        limit, taken = _entry(text, "CommitLimit:"), _entry(text, "Committed_AS:")
        if limit is not None and taken is not None:
            available = min(available, limit - taken)
    return 1024 * available


def _entry(text: str, name: str) -> int | None:
    """The number after a name at the start of a line; None where there is none."""
    _, found, rest = f"\n{text}".partition(f"\n{name}")
    return _number(rest.split(maxsplit=1)[0]) if found and rest.strip() else None


# Control groups


def _groups(root: str) -> list[int | None]:
    """What each control group of this process, and each above it, leaves."""
    membership = _read(f"{root}/proc/self/cgroup")
    return [_left(folder, unified) for folder, unified in _folders(membership, root)]


@lru_cache(maxsize=8)
def _folders(membership: str, root: str) -> tuple[tuple[str, bool], ...]:
    """The folders of the groups that limit memory, the innermost first, and whether they are v2.

    Parameters
    ----------
    membership : str
        The text of /proc/self/cgroup, "number:controllers:path" in each line.
    root : str

    Returns
    -------
    tuple of (str, bool)
    """
    paths = {}
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            paths[False] = path
        elif number == "0" and not controllers:
            paths[True] = path
    found = []
    for unified, top, mounted in _mounts(root):
        if unified in paths:
            inside = _below(paths[unified], top)
            found += [(f"{root}{mounted / group}", unified) for group in (inside, *inside.parents)]
    return tuple(found)


def _mounts(root: str) -> Iterator[tuple[bool, str, PurePosixPath]]:
    """Where hierarchies with a memory controller are mounted: (v2, the group at the top, folder).

    A line of /proc/self/mountinfo has its root and mount point fourth and fifth, and after a dash
    the type and, last, the options, which name the controllers of v1.

    Yields
    ------
    tuple of (bool, str, PurePosixPath)
    """
    for line in _read(f"{root}/proc/self/mountinfo").splitlines():
        mount, _, kind = line.partition(" - ")
        mount, kind = mount.split(), kind.split()
        if len(mount) < 5 or not kind:
            continue
        unified = kind[0] == "cgroup2"
        if unified or (kind[0] == "cgroup" and "memory" in kind[-1].split(",")):
            yield unified, _unescaped(mount[3]), PurePosixPath(_unescaped(mount[4]))


def _unescaped(text: str) -> str:
    r"""Blanks and the like are \040 in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _below(path: str, top: str) -> PurePosixPath:
    """A group's path relative to the one that is mounted; that one itself where it is not below.

    In a container without a namespace of its own the host's path is told, and only a part mounted.

    Returns
    -------
    PurePosixPath
    """
    try:
        inside = PurePosixPath(path).relative_to(top)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in inside.parts else inside


def _left(folder: str, unified: bool) -> int | None:
    """What a group's limit leaves beside its use, page cache that can go at once not counted."""
    if unified:
        limits, usage, cache = ("memory.max", "memory.high"), "memory.current", "inactive_file "
    else:
        limits, usage = ("memory.limit_in_bytes",), "memory.usage_in_bytes"
        cache = "total_inactive_file "
    known = [n for n in (_number(_read(f"{folder}/{name}")) for name in limits) if n is not None]
    used = _number(_read(f"{folder}/{usage}")) if known else None
    if used is None:
        return None
    reclaimable = _entry(_read(f"{folder}/memory.stat"), cache) or 0
    return min(known) - max(0, used - reclaimable)


# Limits of the process


def _own_limits(root: str) -> list[int]:
    """What RLIMIT_AS and RLIMIT_DATA leave; they are enforced where /proc tells the use."""
    fields = _read(f"{root}/proc/self/statm").split()
    if resource is None or len(fields) < 6:
        return []
    page = resource.getpagesize()
    limits = (resource.RLIMIT_AS, int(fields[0])), (resource.RLIMIT_DATA, int(fields[5]))
    softs = ((resource.getrlimit(kind)[0], pages) for kind, pages in limits)
    return [soft - page * pages for soft, pages in softs if soft != resource.RLIM_INFINITY]
