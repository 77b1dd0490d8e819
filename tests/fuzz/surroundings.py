"""Commands in processes of their own, in hostile surroundings.

What the environment says, where the standard streams lead, and what the current folder is.
"""

import contextlib
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from fuzz.kills import as_anybody, fault_in, leftovers
from fuzz.outcomes import DEPTHS, NAMED, RESULT, UNNAMED, WRONG, Verdict
from fuzz.places import prepare

SECONDS = 120.0
STUDY = (
    *("minimizer", "--n-train", "4", "--n-test", "3", "--width", "20", "--sigma", "1,2"),
    *("--no-train", "--optimizer", "none", "--threads", "1", "--out", "out"),
)
# Words, each in a third of a second to three seconds.
LINES = (
    *((), ("--version",), ("--help",), ("nonsense",), ("minimizer", "--help"), ("scale", "-h")),
    *(("minimizer", "--sigma", "x"), ("mitigate", "--margin", "nan"), ("figure", "77")),
    *(("info",), ("info", "--json"), ("bench", "--rounds", "0"), ("verify", "nothing")),
    ("scale", "--n", "60", "--n-test", "5", "--width", "20", "--plan", "--threads", "1"),
    ("minimizer", "--out", "a-pipe"),
    STUDY,
    (*STUDY, "--data", "mnist"),
    (*STUDY, "--quiet"),
    ("verify", "lemma1", "--quick", "--exact", "--threads", "1", "--out", "out"),
)
NUMBERS = ("", "0", "1", "2", "7", "20", "64", "-3", "x", "1.5", "9" * 20, " 5 ", "٣")
LOCALES = ("C", "POSIX", "C.UTF-8", "tr_TR.UTF-8", "de_DE", "xx.nonsense", "", "\udcff", "a/../b")
NOWHERE = (
    *("", "/nowhere", "/dev/null", "/dev/full", "relative", "a-text", "a-loop", "a-pipe"),
    *("\udcff", "x" * 300, "~nobody-there"),
)
# Mirrors are far away: without a proxy that refuses, each would be asked for a minute.
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
USUAL = dict.fromkeys(PROXIES, "http://127.0.0.1:9")
FOLDER_NAMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TMPDIR")
COLORS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE")
ENVIRONMENT = {
    **dict.fromkeys(("COLUMNS", "LINES", "TERMINAL_WIDTH"), NUMBERS),
    **dict.fromkeys(("LC_ALL", "LANG", "LC_CTYPE", "LC_NUMERIC", "LANGUAGE"), LOCALES),
    "NTKLIN_DATA_DIR": (*NOWHERE, ".", "~", "a-folder"),
    **dict.fromkeys(FOLDER_NAMES, NOWHERE),
    "NUMBA_NUM_THREADS": ("", "0", "1", "x", "-1", "9" * 20, "1.5"),
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), ("", "0", "x", "-1", "1,2")),
    **dict.fromkeys(COLORS, ("", "0", "1", "x")),
    "TERM": ("", "dumb", "unknown", "nonsense", "xterm-256color", "\udcff"),
    "COLORTERM": ("", "truecolor", "x"),
    "PYTHONIOENCODING": (
        "ascii",
        "ascii:strict",
        "latin-1",
        "utf-16",
        "cp037",
        "utf-8:surrogatepass",
    ),
    "PYTHONUTF8": ("0", "1"),
    "PYTHONWARNINGS": ("error", "ignore", "default", "x", "error::RuntimeWarning"),
    "PYTHONOPTIMIZE": ("1", "2"),
    "PYTHONUNBUFFERED": ("1",),
    "PYTHONDONTWRITEBYTECODE": ("1",),
    "PYTHONHASHSEED": ("0", "random"),
    "PYTHONINTMAXSTRDIGITS": ("0", "640"),
    "SOURCE_DATE_EPOCH": ("", "yesterday", "-1", "0", "9" * 30),
    "MPLBACKEND": ("", "nonsense", "module://nonsense", "TkAgg"),
    "OMP_WAIT_POLICY": ("", "active", "x"),
    "NUMBA_THREADING_LAYER": ("workqueue", "omp"),
    "OPENBLAS_CORETYPE": ("Haswell", "nonsense", ""),
}
STREAMS = ("usual", "closed", "full", "gone", "nowhere", "terminal")
FOLDERS = ("usual", "deleted", "closed", "no UTF-8", "lines", "long", "linked")
TROUBLE = re.compile(
    r"Traceback \(most recent|Exception ignored|Fatal Python|Segmentation|core dumped"
)


class Surroundings(NamedTuple):
    """Where a command runs."""

    words: tuple[str, ...]
    environment: dict[str, str]
    stdin: str
    stdout: str
    stderr: str
    folder: str
    columns: int

    @property
    def label(self) -> str:
        """How it is called in reports."""
        streams = f"{self.stdin}, {self.stdout}, {self.stderr}"
        where = f"{self.folder} folder, {streams}, {self.columns} columns"
        return f"{' '.join(self.words) or 'nothing'}({self.environment}, {where})"

    def __repr__(self) -> str:
        return self.label

    def judged(self) -> Verdict:
        """What comes of it."""
        return judged(self)


@st.composite
def surroundings(draw: Any) -> Surroundings:
    """A command, in two or three respects not as usual."""
    names = draw(st.lists(st.sampled_from(sorted(ENVIRONMENT)), max_size=4, unique=True))
    environment = {name: draw(st.sampled_from(ENVIRONMENT[name])) for name in names}
    usual = st.just("usual")
    return Surroundings(
        draw(st.sampled_from(LINES)),
        environment,
        draw(st.one_of(usual, st.sampled_from(("usual", "closed", "nowhere", "terminal")))),
        draw(st.one_of(usual, st.sampled_from(STREAMS))),
        draw(st.one_of(usual, st.sampled_from(STREAMS))),
        draw(st.one_of(usual, st.sampled_from(FOLDERS))),
        draw(st.sampled_from((1, 2, 5, 10, 20, 40, 80, 500))),
    )


class Stream:
    """One of a process's standard streams.

    Parameters
    ----------
    kind : str
        Of STREAMS.
    number : int
    columns : int
        Of a terminal.

    Attributes
    ----------
    inside : int or None
        The descriptor that the process gets; None for none.
    """

    def __init__(self, kind: str, number: int, columns: int) -> None:
        self.kind, self.number, self.content = kind, number, b""
        self.inside, self._outside = self._opened(columns)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        if self._outside is not None and number:
            self._thread.start()

    def _opened(self, columns: int) -> tuple[int | None, int | None]:
        if self.kind == "closed":
            return None, None
        if self.kind == "terminal":
            outside, inside = pty.openpty()
            fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            return inside, outside
        files = {"full": "/dev/full", "nowhere": os.devnull}
        if self.kind in files or not self.number:
            return os.open(files.get(self.kind, os.devnull), os.O_RDWR), None
        outside, inside = os.pipe()
        if self.kind == "gone":
            os.close(outside)
            return inside, None
        return inside, outside

    def _drain(self) -> None:
        with contextlib.suppress(OSError):  # a terminal that is closed
            while part := os.read(self._outside or 0, 65536):
                self.content += part

    def begun(self) -> None:
        """The process has its own copy."""
        if self.inside is not None:
            os.close(self.inside)

    def text(self, encoding: str) -> str | None:
        """What was written, once the process is at its end; None where nobody knows."""
        if self._outside is None:
            return None
        if self.number:
            self._thread.join(10)
        os.close(self._outside)
        return self.content.decode(encoding, "replace") if self.number else None


@contextlib.contextmanager
def place(kind: str) -> Iterator[Path]:
    """A folder of this kind to run in, with all that can be in a file's place."""
    with tempfile.TemporaryDirectory(prefix="ntklin-fuzz-", ignore_cleanup_errors=True) as name:
        top = Path(name)
        folder = top / {"no UTF-8": "a\udcff", "lines": "a\nb\x1b[2J", "long": "x" * 200}.get(
            kind, "a"
        )
        folder.mkdir()
        prepare(folder)
        if kind == "linked":
            (top / "b").symlink_to("a")
            folder = top / "b"
        if kind == "closed":
            top.chmod(0o755)
            folder.chmod(0o555)
        yield folder
        with contextlib.suppress(OSError):
            folder.chmod(0o755)


def judged(where: Surroundings) -> Verdict:
    """What comes of a command in such surroundings."""
    kinds = where.stdin, where.stdout, where.stderr
    with place(where.folder) as folder:
        streams = [Stream(kind, number, where.columns) for number, kind in enumerate(kinds)]
        process = _begun(where, folder, streams)
        for stream in streams:
            stream.begun()
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return Verdict(WRONG, f"no end in {SECONDS:g} s")
        encoding = where.environment.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
        texts = [stream.text(encoding) for stream in streams]
        return _verdict(where, folder, status, *texts[1:])


def _begun(where: Surroundings, folder: Path, streams: list[Stream]) -> subprocess.Popen[bytes]:
    closed = [f"{n}{'<' if n == 0 else '>'}&-" for n, one in enumerate(streams) if not one.inside]
    gone = f"rm -r {shlex.quote(str(folder))};" if where.folder == "deleted" else ""
    script = f'{gone} exec "$0" "$@" {" ".join(closed)}'
    return subprocess.Popen(
        ["sh", "-c", script, sys.executable, "-m", "ntklin", *where.words],
        cwd=folder,
        env=os.environ | USUAL | where.environment,
        stdin=streams[0].inside,
        stdout=streams[1].inside,
        stderr=streams[2].inside,
        preexec_fn=as_anybody if where.folder == "closed" else None,
    )


def _verdict(
    where: Surroundings, folder: Path, status: int, out: str | None, err: str | None
) -> Verdict:
    said = f"{out or ''}{err or ''}"
    if found := TROUBLE.search(said):
        return Verdict(DEPTHS, f"status {status}: {said[found.start() :][-600:]!r}")
    if status not in (0, 2):
        return Verdict(DEPTHS, f"status {status}: {said[-600:]!r}")
    if folder.exists():
        made = folder / "out"
        if made.is_dir() and (fault := fault_in(made)):
            return Verdict(WRONG, fault)
        if left := leftovers(folder):
            return Verdict(WRONG, f"left over: {', '.join(left)}")
        writes = "out" in where.words and status == 0
        if writes and not (made / "results.json").exists():
            return Verdict(WRONG, "it ended well, and has no results")
    if status == 0:
        return Verdict(RESULT)
    # Nothing is refused without a word, where there is somebody to hear it; without any words the
    # help is shown, as it is asked for.
    heard = err if where.words else out
    told = heard is None or re.search(r"error|usage", heard, re.IGNORECASE)
    return Verdict(NAMED, said[-200:]) if told else Verdict(UNNAMED, f"status 2, and {said!r}")
