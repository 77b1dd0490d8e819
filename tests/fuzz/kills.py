"""Commands that are killed at random moments, and meet full disks, closed folders and odd clocks.

Each is a small run of a command in a process of its own, which is forked from one that has loaded
everything and computed nothing. What must hold after every moment: every file is whole, what was
finished is there as it was, and the same command goes on to the very results of a run that nothing
disturbs, with nothing left over.
"""

import contextlib
import ctypes
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ntklin.edge.files.archives import read_arrays
from ntklin.edge.files.seal import read_sealed
from ntklin.edge.files.writing import LEFTOVER

# What tells of a run, and not of what it found.
TIME = re.compile(r"second|time|restored|milli|elapsed|speed|rate_of|phases")
ABOUT = {"digest", "provenance"}
LONGEST = 300.0
# What the commands load.
NEEDED = (
    "matplotlib.figure",
    "ntklin.apps.cli.app",
    *(f"ntklin.apps.report.{name}" for name in ("mitigation", "scale", "study", "verification")),
    *("ntklin.recipes.mitigation", "ntklin.theory.linearization", "ntklin.training.train"),
    *(f"ntklin.validation.{name}" for name in ("benchmarks", "figures", "theorems")),
)
# By which an administrator writes into closed folders (capability.h), and what asks for it.
DAC_OVERRIDE, VERSION_3 = 1, 0x20080522
# Bytes behind which a disk is full.
ROOM = (0, 1, 300, 2000, 9000, 40_000, 150_000)


@dataclass(frozen=True)
class Command:
    """A small run of a command.

    Attributes
    ----------
    words : tuple of str
        Without the output folder.
    finished : tuple of str
        Patterns of files that stay, bit for bit, once they are there and until the run's end.
    run : callable or None
        ``run(folder)`` in the place of a command line.
    """

    words: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    run: Callable[[Path], int] | None = None


def checkpoints(folder: Path) -> int:
    """Training that is saved every few steps and goes on from there: what users write."""
    import numpy as np

    import ntklin

    rng = np.random.default_rng(0)
    X, Y = rng.uniform(-0.5, 0.5, (6, 3)), rng.random(6)
    net, path = ntklin.MLP((3, 200, 1)), folder / "run.npz"
    folder.mkdir(exist_ok=True)
    while True:
        # Read anew each time: another process, or this one before its death, may be at the end.
        past = ntklin.load_run(path) if path.exists() else None
        steps = past.steps if past else 0
        if steps >= 400:
            return 0
        run = ntklin.train(net, net.init(0), X, Y, ntklin.Adam(0.01), steps + 20, resume=past)
        run.save(path)


SMALL = ("--n-train", "6", "--n-test", "5", "--width", "40", "--threads", "1")
COMMANDS = {
    "checkpoint": Command(run=checkpoints),
    "minimizer": Command(
        ("minimizer", *SMALL, "--sigma", "1,2", "--until", "0.01", "--optimizer", "gd,adam")
    ),
    "mitigate": Command(
        ("mitigate", *SMALL, "--n-val", "5", "--sigma", "2", "--min-sigma", "1", "--until", "0.01")
    ),
    "scale": Command(
        (
            *("scale", "--n", "300", "--n-test", "20", "--width", "40", "--sizes", "60,150,300"),
            *("--solver", "packed", "--threads", "1"),
        ),
        ("checkpoint/*/result.npz", "checkpoint/run.json"),
    ),
    "figure": Command(
        ("figure", "9", "--scale", "quick", "--processes", "1", "--threads", "1"), ("runs/*.json",)
    ),
    "verify": Command(
        (
            *("verify", "lemma1", "lemma2", "lemma3", "lemma4", "theorem1", "theorem3"),
            *("--quick", "--exact", "--threads", "1"),
        ),
        ("verdicts/*.json",),
    ),
    "bench": Command(
        (
            *("bench", "--quick", "--works", "infinite", "--cases", "A", "--dtypes", "float64"),
            *("--inputs", "gaussian", "--rounds", "1", "--threads", "1"),
        )
    ),
}


def load() -> None:
    """Load what the children would; no kernel runs, so that no thread is there at a fork."""
    for name in NEEDED:
        import_module(name)


class Child:
    """A run in a process of its own.

    Parameters
    ----------
    command : Command
    folder : Path
        Where its files go.
    before : callable
        Called in the process before the command.
    """

    def __init__(
        self, command: Command, folder: Path, before: Callable[[], Any] = lambda: None
    ) -> None:
        reader, writer = os.pipe()
        self.began = time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_run(command, folder, before, writer))
        os.close(writer)
        self.output = b""
        self._thread = threading.Thread(target=self._drain, args=(reader,), daemon=True)
        self._thread.start()
        self.status: int | None = None

    def _drain(self, reader: int) -> None:
        with os.fdopen(reader, "rb") as f:
            self.output = f.read()

    def ended(self) -> bool:
        """Whether it has come to its end."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self, seconds: float = LONGEST) -> int:
        """Its exit status; a TimeoutError, and SIGKILL, where it does not end."""
        end = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"no end in {seconds:g} s")
            time.sleep(0.005)
        self._thread.join(10)
        assert self.status is not None
        return self.status

    def kill(self) -> None:
        """End it by force, where it has not ended."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        self._thread.join(10)


def _run(command: Command, folder: Path, before: Callable[[], Any], writer: int) -> int:
    """In the child: the command, its output into the pipe."""
    try:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, encoding="utf-8") for n in (1, 2))
        os.environ["TMPDIR"] = str(folder.parent / "tmp")
        tempfile.tempdir = None
        before()
        if command.run is not None:
            return command.run(folder)
        return _invoked(command, folder)
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        return 99
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()


def _invoked(command: Command, folder: Path) -> int:
    from ntklin.apps.cli.app import app
    from ntklin.apps.scale import course
    from ntklin.theory import solver_costs
    from ntklin.validation.figures import FIGURES

    solver_costs.BLOCK = 32
    course.SECONDS_BETWEEN = 0.0
    tiny = {"n_train": 6, "n_test": 4, "n_seeds": 2, "until": 0.1, "max_steps": 12}
    FIGURES[9].scales["quick"] = tiny | {"sigmas": {2: 0.5}, "layers": {2: (4, 8)}}
    try:
        app([*command.words, "--out", str(folder)], prog_name="ntklin")
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else 0
    return 0


# What must hold


def fault_in(folder: Path) -> str:
    """What is wrong with a folder's files; "" where all are whole."""
    for path in files_of(folder):
        if LEFTOVER.fullmatch(path.name):
            continue
        try:
            _require_whole(path)
        except Exception as e:
            return f"{path.relative_to(folder)} is not whole: {type(e).__name__}: {e}"
    return ""


def files_of(folder: Path) -> list[Path]:
    """All files below."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _require_whole(path: Path) -> None:
    kind = path.suffix
    if kind == ".json":
        if path.parent.name in ("runs", "verdicts", "checkpoint") or path.name == "results.json":
            read_sealed(path)
        else:
            json.loads(path.read_text("utf-8"))
        return
    if kind == ".npz":
        read_arrays(path)
        return
    content = path.read_bytes()
    ends = {".png": b"IEND\xaeB`\x82", ".pdf": b"%%EOF\n", ".html": b"</html>\n", ".csv": b"\n"}
    if kind in ends and not content.rstrip(b"\n").endswith(ends[kind].rstrip(b"\n")):
        raise ValueError("it has no end")


def kept(command: Command, folder: Path) -> dict[Path, bytes]:
    """The finished parts that are there."""
    paths = (path for pattern in command.finished for path in folder.glob(pattern))
    return {path: path.read_bytes() for path in paths}


def lost(before: dict[Path, bytes], folder: Path, command: Command) -> str:
    """What of the finished parts is gone or another; "" for nothing.

    Checkpoints go when the result is there.
    """
    if is_complete(folder):
        return ""
    for path, content in before.items():
        if not path.exists():
            return f"{path.name} is gone"
        if path.name != "run.json" and path.read_bytes() != content:
            return f"{path.name} was finished, and is another"
    return ""


def numbers(folder: Path) -> dict[str, Any]:
    """What a finished run left, by file and place in it: numbers, texts, and names of files."""
    found: dict[str, Any] = {}
    for path in files_of(folder):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            found |= _leaves(json.loads(path.read_text("utf-8")), name)
        elif path.suffix == ".npz":
            arrays = read_arrays(path)
            parts = {k: a for k, a in arrays.items() if a.dtype.kind in "fiub"}
            found |= {f"{name} {k}": (a.shape, a.tobytes()) for k, a in parts.items()}
        elif path.suffix != ".lock":
            found[name] = "a file"
    return found


def _leaves(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, list | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        parts = (_leaves(v, f"{place} {k}") for k, v in items if k not in ABOUT)
        return {name: leaf for part in parts for name, leaf in part.items()}
    return {place: value}


def is_complete(folder: Path) -> bool:
    """Whether a finished result is there."""
    try:
        return read_sealed(folder / "results.json").get("complete") is True
    except (OSError, ValueError):
        return False


def held_names() -> set[str]:
    """The names in shared memory that a living process has open or mapped."""
    held: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            held |= set(re.findall(r"/dev/shm/(\S+)", (process / "maps").read_text("utf-8")))
        with contextlib.suppress(OSError):
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
            held |= {Path(link).name for link in links if link.startswith("/dev/shm/")}
    return held


def leftovers(folder: Path) -> list[str]:
    """What killed writers left."""
    return [path.name for path in files_of(folder) if LEFTOVER.fullmatch(path.name)]


# Moments


class Trial:
    """One command, disturbed again and again.

    Parameters
    ----------
    name : str
        A key of COMMANDS.
    place : Path
        An empty folder.
    seed : int
    """

    def __init__(self, name: str, place: Path, seed: int = 0) -> None:
        self.name, self.command, self.place = name, COMMANDS[name], place
        self.random = random.Random(f"{name} {seed}")
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        (place / "tmp").mkdir(parents=True, exist_ok=True)
        self.shared = self._shared()
        self.seconds, first = self._undisturbed(place / "whole")
        self.seconds, second = self._undisturbed(place / "again")  # with warm caches
        # Times differ in every run, those of earlier runs where there is one, and nothing else.
        differing = {k for k in {*first, *second} if first.get(k) != second.get(k)}
        odd = sorted(k for k in differing if not TIME.search(k))
        self.left_out = set(odd)
        self.expected = self._compared(second)
        if self.comparable and odd:
            self.find(f"two undisturbed runs differ: {', '.join(odd)[:300]}")

    def _undisturbed(self, out: Path) -> tuple[float, dict[str, Any]]:
        """How long a run takes, and what it finds."""
        child = Child(self.command, out)
        status = child.wait()
        if status:
            text = child.output.decode(errors="replace")[-1000:]
            raise RuntimeError(f"{self.name}: the undisturbed run ended with {status}: {text}")
        seconds, found = time.monotonic() - child.began, numbers(out)
        shutil.rmtree(out)
        return seconds, found

    def _found(self, out: Path) -> dict[str, Any]:
        return self._compared(numbers(out))

    def _compared(self, found: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in found.items() if k not in self.left_out and not TIME.search(k)}

    @property
    def comparable(self) -> bool:
        """Whether the same command finds the same numbers: a benchmark measures time."""
        return self.name != "bench"

    def find(self, text: str) -> None:
        """Keep a finding."""
        self.findings.append(f"{self.name}: {text}")
        print(f"FOUND {self.findings[-1]}", flush=True)

    def _shared(self) -> set[str]:
        return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()

    def killed(self, moments: int) -> None:
        """Kill it at so many moments, at random and amid the writing of files."""
        out = self.place / "killed"
        while self.counts["killed"] < moments:
            before = kept(self.command, out)
            child = Child(self.command, out)
            self._await_moment(child, out)
            child.kill()
            if child.status == -signal.SIGKILL:
                self.counts["killed"] += 1
                self._checked(out, before)
                if self.random.random() < 0.3:
                    self._to_its_end(out)
            else:
                self.counts["came to its end"] += 1
                self._finished(child, out)
        if out.exists():
            self._to_its_end(out)
        self._nothing_left()

    def _await_moment(self, child: Child, out: Path) -> None:
        end = time.monotonic() + 1.05 * self.seconds * self.random.random()
        amid, seen = self.random.random() < 0.5, set()
        which = 1 + int(self.random.expovariate(0.4))
        while time.monotonic() < end and not child.ended():
            if amid:
                seen |= {path for path in out.rglob(".ntklin-*.part")} if out.exists() else set()
                if len(seen) >= which:
                    time.sleep(self.random.random() ** 3 * 0.02)
                    self.counts["amid a file"] += 1
                    return
            time.sleep(0.0003 if amid else 0.002)

    def _checked(self, out: Path, before: dict[Path, bytes]) -> None:
        if fault := fault_in(out):
            self.find(fault)
        if fault := lost(before, out, self.command):
            self.find(fault)

    def _to_its_end(self, out: Path, before: Callable[[], Any] = lambda: None) -> None:
        child = Child(self.command, out, before)
        try:
            child.wait()
        except TimeoutError as e:
            self.find(f"gone on with: {e}")
        self._finished(child, out)

    def _finished(self, child: Child, out: Path) -> None:
        if child.status != 0:
            text = child.output.decode(errors="replace").strip()[-300:]
            self.find(f"gone on with, it ended with {child.status}: {text}")
        elif fault := fault_in(out):
            self.find(f"at its end {fault}")
        elif self.comparable and (found := self._found(out)) != self.expected:
            names = [k for k in {*found, *self.expected} if found.get(k) != self.expected.get(k)]
            self.find(f"gone on with, it found something else: {', '.join(map(str, names))[:200]}")
        if left := leftovers(out):
            self.find(f"left over at its end: {', '.join(left)}")
        self.counts["finished and compared"] += 1
        shutil.rmtree(out, ignore_errors=True)

    def _nothing_left(self) -> None:
        # What other processes of this machine share meanwhile, they hold.
        if more := self._shared() - self.shared - held_names():
            more &= self._shared()
        if more:
            self.find(f"left in shared memory: {', '.join(sorted(more))}")
        self.counts["left in the folder of temporary files"] = len(os.listdir(self.place / "tmp"))

    def full(self, moments: int) -> None:
        """So many full disks, each with another amount of room."""
        out = self.place / "full"
        for k in range(moments):
            room = ROOM[k % len(ROOM)] if k < len(ROOM) else int(10 ** (6 * self.random.random()))
            limit = (room, room)

            def before(limit: tuple[int, int] = limit) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, limit)

            known = kept(self.command, out)
            child = Child(self.command, out, before)
            self.counts["full disks"] += 1
            if child.wait() == 0:
                self._finished(child, out)
                continue
            self._refused(child, f"with room for {room} bytes")
            self._checked(out, known)
            if left := leftovers(out):
                self.find(f"a full disk leaves {', '.join(left)}")
        if out.exists():
            self._to_its_end(out)

    def _refused(self, child: Child, when: str) -> None:
        text = child.output.decode(errors="replace")
        named = child.status == 2 and "error: " in text and "Traceback" not in text
        if self.command.run is not None:  # a script of a user's sees the exception itself
            named = "cannot write" in text
        if not named:
            self.find(f"{when} it ended with {child.status}: {text.strip()[-300:]}")

    def closed(self) -> None:
        """A folder that is not to be written into, before and amid a run."""
        out = self.place / "closed"
        out.mkdir()

        out.chmod(0o555)
        try:
            child = Child(self.command, out, as_anybody)
            status = child.wait()
            self.counts["closed folders"] += 1
            if status == 0:
                self.find("a closed folder was written into")
            self._refused(child, "in a closed folder")
            if os.listdir(out):
                self.find(f"a closed folder holds {os.listdir(out)}")
        finally:
            out.chmod(0o755)
            shutil.rmtree(out)

    def together(self, moments: int) -> None:
        """Two processes in one folder, begun shortly after one another."""
        out = self.place / "together"
        for _ in range(moments):
            one = Child(self.command, out)
            time.sleep(self.random.random() * self.seconds)
            other = Child(self.command, out)
            statuses = [one.wait(), other.wait()]
            self.counts["two processes in one folder"] += 1
            for child in (one, other):
                if child.status != 0:
                    self._refused(child, "beside another process")
            if any(status == 0 for status in statuses):
                child = one if one.status == 0 else other
                self._finished(child, out)
            else:
                self.find(f"of two processes neither came to its end: {statuses}")
                shutil.rmtree(out, ignore_errors=True)

    def clocks(self, moments: int) -> None:
        """Clocks that jump, while it runs and between runs."""
        out = self.place / "clocks"
        for k in range(moments):
            before = self._jumping(k)
            child = Child(self.command, out, before)
            time.sleep(self.random.random() * self.seconds)
            child.kill()
            self.counts["clocks that jump"] += 1
            for path in files_of(out) if out.exists() else ():
                moved = time.time() + self.random.choice([-1, 1]) * 10 ** self.random.uniform(1, 9)
                with contextlib.suppress(OSError, OverflowError):
                    os.utime(path, (moved, moved))
            if child.status == -signal.SIGKILL:
                self._to_its_end(out, before)
            else:
                self._finished(child, out)

    def _jumping(self, seed: int) -> Callable[[], None]:
        jumps, real = random.Random(seed), time.time

        def moved() -> float:
            return real() + jumps.choice([0, 0, -1, 1]) * 10 ** jumps.uniform(0, 8.5)

        def before() -> None:
            time.time, time.time_ns = moved, lambda: int(1e9 * moved())  # of this process alone

        return before


def as_anybody() -> None:
    """From now on closed folders are closed to this process, be it an administrator's."""
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, in two halves
    if libc.capget(head, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for k in range(3):
        sets[k] &= ~(1 << DAC_OVERRIDE)
    if libc.capset(head, sets):
        raise OSError(ctypes.get_errno(), "capset")


FAULTS = ("killed", "full", "closed", "together", "clocks")


def arguments(part: Any) -> None:
    """Those of ``python -m fuzz kills``."""
    part.add_argument("--commands", default=",".join(COMMANDS), help="of " + ", ".join(COMMANDS))
    part.add_argument("--faults", default=",".join(FAULTS), help="of " + ", ".join(FAULTS))
    part.add_argument("--moments", type=int, default=200, help="to kill each command at")
    part.add_argument("--seed", type=int, default=0)
    part.add_argument("--out", type=Path, required=True, help="a folder for what is found")


def disturbed(name: str, place: Path, faults: tuple[str, ...], moments: int, seed: int) -> Trial:
    """A command with all of these faults; a tenth as many of others as of kills."""
    trial = Trial(name, place, seed)
    few = max(1, moments // 10)
    for fault in faults:
        if fault == "closed":
            trial.closed()
        else:
            getattr(trial, fault)(moments if fault == "killed" else few)
    return trial


def main(given: Any) -> int:
    """Disturb commands, print what was found; 1 where there is anything."""
    load()
    given.out.mkdir(parents=True, exist_ok=True)
    findings = 0
    for name in given.commands.split(","):
        with tempfile.TemporaryDirectory(prefix="ntklin-faults-") as place:
            Path(place).chmod(0o755)
            faults = tuple(given.faults.split(","))
            trial = disturbed(name, Path(place), faults, given.moments, given.seed)
        values = {"command": name, "counts": dict(trial.counts), "findings": trial.findings}
        with open(given.out / "kills.jsonl", "a") as f:
            f.write(json.dumps(values | {"seconds": trial.seconds}) + "\n")
        print(f"{name}: {dict(trial.counts)}, {len(trial.findings)} findings", flush=True)
        findings += len(trial.findings)
    return int(findings > 0)
