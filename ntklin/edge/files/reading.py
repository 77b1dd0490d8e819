"""Opening what is to be read again."""

import os
import stat
from io import BufferedReader


class DamagedFileError(ValueError):
    """A file is not what it should be; the message goes on after its name: "is a directory, …"."""


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """A file opened for reading, which a directory, pipe, socket or device is not.

    Parameters
    ----------
    path : path

    Returns
    -------
    io.BufferedReader

    Raises
    ------
    DamagedFileError
        If there is something else in its place.
    OSError
        If there is nothing, or it cannot be opened.
    """
    # A pipe without a writer would wait for one.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    refuse_others(os.stat(path).st_mode)
    fd = os.open(path, flags)
    try:
        refuse_others(os.fstat(fd).st_mode)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def refuse_others(mode: int) -> None:
    """Raise DamagedFileError for the mode of anything but a file."""
    if not stat.S_ISREG(mode):
        raise DamagedFileError(f"is {kind(mode)}, not a file; move it away")


def kind(mode: int) -> str:
    """What a mode that is no file's is of."""
    kinds = {
        "a directory": stat.S_ISDIR,
        "a pipe": stat.S_ISFIFO,
        "a socket": stat.S_ISSOCK,
        "a link": stat.S_ISLNK,
    }
    return next((name for name, test in kinds.items() if test(mode)), "a device")
