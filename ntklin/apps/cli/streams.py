"""Standard streams that end no work: what they cannot show is spelled, what they lose is noted."""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ntklin.apps.cli import spelling

STREAMS = ("stdout", "stderr")


class Enduring(io.RawIOBase):
    """The bytes of another stream, which take no harm when nobody takes them.

    A reader that has gone, a full disk or a closed terminal must not end hours of work whose
    results go to files. After the first failure nothing more is written.

    Parameters
    ----------
    raw : io.FileIO

    Attributes
    ----------
    lost : OSError or None
        The first failure.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self.raw, self.lost = raw, None
        try:
            self._terminal = raw.isatty()
        except (OSError, ValueError):
            self._terminal = False

    @property
    def name(self) -> Any:
        """That of the other stream."""
        return self.raw.name

    @property
    def reader_left(self) -> bool:
        """Whether what was lost was lost because nobody wanted it any more."""
        gone = {errno.EPIPE}
        if self._terminal:  # one that was closed
            gone |= {errno.EIO, errno.ENXIO}
        if sys.platform == "win32":  # a pipe
            gone.add(errno.EINVAL)
        return self.lost is not None and self.lost.errno in gone

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether the other stream is a terminal."""
        return self._terminal

    def fileno(self) -> int:
        """That of the other stream."""
        return self.raw.fileno()

    def write(self, data: Any) -> int:
        """Write what can be written; the rest counts as written."""
        while self.lost is None:
            try:
                written = self.raw.write(data)
                if written is not None:
                    return written
                # Another process that shares the pipe has told it not to wait.
                select.select([], [self.raw], [])
            except OSError as e:
                self.lost = e
        return len(data)


@contextmanager
def enduring() -> Iterator[dict[str, Enduring | None]]:
    """Put enduring streams in the place of the standard ones, and those back in the end.

    Where a standard descriptor is closed, it is opened to nowhere: else the next file would get
    its number, and what some library tells the standard stream would land in that file.

    Yields
    ------
    dict
        "stdout" and "stderr": each an Enduring, or None where the stream is not the system's, as
        in a notebook.
    """
    _fill_descriptors()
    before = {name: getattr(sys, name) for name in STREAMS}
    raws: dict[str, Enduring | None] = dict.fromkeys(STREAMS)
    for name, stream in before.items():
        if stream is None:  # closed
            nowhere = io.FileIO(os.devnull, "w")
            setattr(sys, name, io.TextIOWrapper(nowhere, "utf-8", spelling.ERRORS))
        elif isinstance(stream, io.TextIOWrapper):
            raws[name], replacement = _enduring(stream)
            setattr(sys, name, replacement)
    after = {name: getattr(sys, name) for name in STREAMS}
    try:
        yield raws
    finally:
        for name in STREAMS:
            if after[name] is not before[name]:
                after[name].flush()
                if getattr(sys, name) is after[name]:
                    setattr(sys, name, before[name])
                if before[name] is None:
                    after[name].close()


def _enduring(stream: io.TextIOWrapper) -> tuple[Enduring, io.TextIOWrapper]:
    """An Enduring for a text stream, and a text stream on it."""
    below: Any = stream.buffer
    raw = Enduring(getattr(below, "raw", below))
    try:
        stream.flush()
    except OSError as e:
        raw.lost = e
    replacement = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=spelling.ERRORS,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    return raw, replacement


def _fill_descriptors() -> None:
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
