"""A second process that works ahead of a command: what it leaves in files, nobody has to do again.

In a fresh installation a command's kernels are compiled at their first use, one after the other,
since Numba compiles on one thread of a process. Where there is a second core, a helper meanwhile
does what the command will do later, and the command then finds compiled code in Numba's cache. The
helper says nothing and decides nothing: without it, or where it fails, the command takes longer.

It ends with the command, however that ends: it reads from a pipe that nobody writes to any more,
whose end is the message. Only inside :func:`ended` is there one, so that a command that is called
by a program starts no processes.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

# Bytes that have to be free: a process that compiles takes half of it.
ROOM = 1 << 30
LENGTH = 8


class Helper:
    """The second process, or none: a command starts at most one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._allowed = False
        self._forget: Callable[[], object] | None = None

    def start(self, work: Callable[[Any], object], subject: Any) -> None:
        """Call ``work(subject)`` in a process of its own, if there may be one and is none.

        Parameters
        ----------
        work : callable
            A function of a module.
        subject : object
            What pickle can send.
        """
        if self._process is not None or not self._allowed or not has_room():
            return
        with suppress(Exception):  # whatever it is, the command can do without
            message = pickle.dumps((work, subject))
            self._process = subprocess.Popen(
                # Without the folder of the caller, which may hold any numpy.py.
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            pipe = self._process.stdin
            if pipe is not None:
                pipe.write(len(message).to_bytes(LENGTH, "little") + message)

    def start_if_missing(self, work: Callable[[Any], object], subject: Any) -> None:
        """Start when first something has to be compiled that Numba's cache does not have."""
        if not self._allowed:
            return
        from ntklin.kernels.cpu import caching

        caching.when_missing(lambda: self.start(work, subject))
        self._forget = lambda: caching.when_missing(None)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Inside there may be one; behind it there is none."""
        self._allowed = True
        try:
            yield
        finally:
            self._allowed = False
            if self._forget is not None:
                self._forget()
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        process.wait()


helper = Helper()


def has_room() -> bool:
    """Whether a second process has a core and memory, and what it compiles is of use."""
    from numba import config

    from ntklin.edge.memory import available_memory

    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    free = available_memory()
    compiles = not config.DISABLE_JIT  # pyright: ignore[reportAttributeAccessIssue]
    return compiles and cores > 1 and bool(sys.executable) and (free is None or free >= ROOM)


def main() -> None:
    """Be the helper: do what comes by the standard input, on one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's
    pipe = sys.stdin.buffer
    size = int.from_bytes(pipe.read(LENGTH), "little")
    message = pipe.read(size)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    work, subject = pickle.loads(message)

    from ntklin.edge.threads import limited
    from ntklin.kernels import UncachedWarning

    with warnings.catch_warnings(), limited(1):
        warnings.simplefilter("ignore")
        # Compiled for nobody else, it would only take the command's time.
        warnings.simplefilter("error", UncachedWarning)
        work(subject)


def _end_with(pipe: BinaryIO) -> None:
    pipe.read(1)
    os._exit(0)


if __name__ == "__main__":
    main()
