"""Batches of cases in processes of their own, where a crash and a hang are findings like others.

In the folder of a run, ``batches.jsonl`` has a line for each batch that is done and
``findings.jsonl`` one for each finding; ``now-K`` is what worker K is at. A run that was
interrupted goes on where it was: batch k has the same cases whenever it is run.
"""

import faulthandler
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fuzz.outcomes import ENDED, Verdict

# Of address space: what asks for more than there is shall fail alone.
LARGEST = 12 << 30
SECONDS = 60.0
BEGINNING = "its beginning"
TESTS = Path(__file__).parents[1]


class Tried(NamedTuple):
    """A case that is about to run: its name, and what runs it."""

    label: str
    run: Callable[[], Verdict]


# From a batch's number and size to its cases.
Cases = Callable[[int, int, Callable[[Tried], None]], None]


class Journal:
    """What a worker tells the one who watches it.

    Parameters
    ----------
    folder : Path
    share : int
        The worker's number.
    """

    def __init__(self, folder: Path, share: int) -> None:
        self.folder = folder
        self._now = os.open(folder / f"now-{share}", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.counts: Counter[str] = Counter()
        self._since = time.process_time()

    def tell(self, batch: int, label: str) -> None:
        """What comes next."""
        text = f"{time.time()}\n{batch}\n{label}\n".encode("utf-8", "backslashreplace")
        os.pwrite(self._now, text, 0)
        os.ftruncate(self._now, len(text))

    def ran(self, batch: int, tried: Tried) -> None:
        """Run a case and keep what came of it."""
        self.tell(batch, tried.label)
        began = time.perf_counter()
        verdict = tried.run()
        self.counts[verdict.kind] += 1
        seconds = time.perf_counter() - began
        if verdict.is_finding or seconds > SECONDS / 4:
            found = verdict._asdict() | {"batch": batch, "case": tried.label, "seconds": seconds}
            append(self.folder / "findings.jsonl", found)

    def done(self, batch: int) -> None:
        """A batch is at its end."""
        now = time.process_time()
        found = {"batch": batch, "counts": dict(self.counts), "cpu": round(now - self._since, 2)}
        append(self.folder / "batches.jsonl", found)
        self.counts.clear()
        self._since = now


def append(path: Path, values: dict) -> None:
    """Add a line; whole lines of several processes stay whole."""
    line = json.dumps(values).encode() + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)


def lines(path: Path) -> Iterator[dict]:
    """The whole lines of a file; none where there is none."""
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue  # cut by a kill


def work(cases: Cases, folder: Path, share: int, of: int, batches: range, size: int) -> None:
    """Run those of the batches number ``share``, ``share`` + ``of``, … that are not done."""
    faulthandler.enable(open(folder / f"crash-{share}", "w"))  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST, LARGEST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = {line["batch"] for line in lines(folder / "batches.jsonl")}
    journal = Journal(folder, share)
    for batch in batches[share::of]:
        if batch not in done:
            journal.tell(batch, BEGINNING)
            cases(batch, size, lambda tried, batch=batch: journal.ran(batch, tried))
            journal.done(batch)


def watch(
    kind: str,
    folder: Path,
    workers: int,
    batches: range,
    size: int,
    seconds: float,
    minutes: float = math.inf,
) -> None:
    """Run all batches in worker processes; end and replace those that hang, replace those that die.

    Parameters
    ----------
    kind : str
        What the workers are to run; see ``fuzz.__main__``.
    folder : Path
    workers, size : int
        ``size`` cases in each batch.
    batches : range
    seconds : float
        For one case.
    minutes : float
        For all; batches that are not at their end then are lost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = ["--first", batches.start, "--batches", len(batches)]
    arguments = ["--out", folder, *numbers, "--size", size, "--workers", workers]
    end = time.monotonic() + 60 * minutes

    def start(share: int) -> subprocess.Popen:
        command = [sys.executable, "-m", "fuzz", "work", kind, *map(str, arguments)]
        (folder / f"now-{share}").unlink(missing_ok=True)
        return subprocess.Popen([*command, "--share", str(share)], cwd=TESTS)

    running = {share: start(share) for share in range(workers)}
    try:
        while running and time.monotonic() < end:
            time.sleep(0.2)
            for share, process in list(running.items()):
                status, now = process.poll(), at(folder / f"now-{share}")
                if status == 0:
                    del running[share]
                    continue
                hangs = now is not None and time.time() - now[0] > seconds
                if status is None and not hangs:
                    continue
                if status is None:
                    process.kill()
                    process.wait()
                ended = f"no end in {seconds:g} s" if hangs else f"ended with status {status}"
                if now is None:
                    raise RuntimeError(f"a worker cannot begin: it {ended}")
                _, batch, label = now
                if label == BEGINNING:
                    raise RuntimeError(f"a worker cannot begin batch {batch}: it {ended}")
                found = {"kind": ENDED, "text": ended, "batch": batch, "case": label}
                append(folder / "findings.jsonl", found)
                append(folder / "batches.jsonl", {"batch": batch, "counts": {ENDED: 1}})
                running[share] = start(share)
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def at(path: Path) -> tuple[float, int, str] | None:
    """Since when a worker is at what, and in which batch."""
    try:
        since, batch, label = path.read_text("utf-8").split("\n", 2)
        return float(since), int(batch), label.strip()
    except (OSError, ValueError):
        return None


def summary(folder: Path) -> dict:
    """Cases by what came of them, and the findings, those at one place once."""
    counts: Counter[str] = Counter()
    batches, seconds = [], 0.0
    for line in lines(folder / "batches.jsonl"):
        counts.update(line["counts"])
        batches.append(line["batch"])
        seconds += line.get("cpu", 0.0)
    different: dict[str, dict] = {}
    for found in lines(folder / "findings.jsonl"):
        where = found["case"].partition("(")[0]
        place = found["text"].rpartition("[")[2]
        error = found["text"].partition(":")[0]
        key = f"{where} {found['kind']} {error} {place}"
        different.setdefault(key, found | {"times": 0})["times"] += 1
    return {
        "cases": sum(counts.values()),
        "counts": dict(counts),
        "batches": spans(batches),
        "cpu": round(seconds),
        "findings": [*different.values()],
    }


def spans(numbers: Iterable[int]) -> list[list[int]]:
    """Integers as [first, last] of each run without a gap."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
