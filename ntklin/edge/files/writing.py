"""Files that appear whole or not at all, and what killed writers leave.

A file is written beside its place, under a name that says so, and moved there. Its writer holds a
lock on it, which the system releases should the process die: so the next writer knows what is left
over from what is still being written, in whatever process or thread.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import kind

try:
    import fcntl
except ImportError:  # Windows: leftovers stay
    fcntl: Any = None

# Short, since the name of the target may be as long as names can be.
LEFTOVER = re.compile(r"\.ntklin-[0-9a-f]{16}\.part")


@contextmanager
def whole(path: str | os.PathLike[str], *, follow: bool = True) -> Iterator[Any]:
    """A file to write, which takes the place of ``path`` when the block ends without an error.

    Leftovers of killed writers in its folder are removed first.

    Parameters
    ----------
    path : path
        Its folder must exist.
    follow : bool
        Whether a link at ``path`` stays, and what it leads to is replaced; else the link is.

    Yields
    ------
    io.BufferedRandom

    Raises
    ------
    OSError
        Naming the file. What was there is unchanged, and nothing is left beside it.
    """  # noqa: DOC501
    temporary = None
    try:
        target, mode = _target(Path(path), follow)
        remove_leftovers(target.parent)
        temporary, f = _locked(target.parent)
        with f:
            yield f
            sync(f)
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(f.fileno(), mode)
            if fcntl is None:
                f.close()  # Windows moves no open file
            os.replace(temporary, target)
    except BaseException as e:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        # Those without a number are of other origin: a download in the block, for one.
        if isinstance(e, OSError) and e.errno is not None:
            raise _named(e, path) from e
        raise
    _sync_folder(target.parent)


def write_whole(path: str | os.PathLike[str], content: str | bytes, *, follow: bool = True) -> None:
    """Write bytes or text as :func:`whole` does; the folder is created if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path, follow=follow) as f:
        f.write(encoded(content))


def write_together(contents: Mapping[Any, str | bytes | Callable[[Any], Any]]) -> None:
    """Write several files, of which none is moved to its place before all are written.

    Parameters
    ----------
    contents : dict of path to bytes, str or callable
        A callable is given the file to write into. The folders must exist.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            f = stack.enter_context(whole(path))
            if callable(content):
                content(f)
            else:
                f.write(encoded(content))
            sync(f)


def encoded(content: str | bytes) -> bytes:
    """Bytes as they are; text in UTF-8, with an escape for what that cannot encode."""
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")


def require_writable(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder that files cannot be written into, before long work; creates nothing.

    Parameters
    ----------
    folder : path
        Need not exist: then its nearest existing parent is tried.

    Raises
    ------
    ValueError
        For an empty name.
    OSError
        Naming the folder.
    """
    if not str(folder):
        raise ValueError("the output folder's name is empty; for the current folder write .")
    try:
        place = Path(folder).absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        remove_leftovers(place)
        temporary, f = _locked(place)
        with f:
            temporary.unlink()
    except OSError as e:
        text = f"cannot write into the output folder {shown(folder)}: {e.strerror}"
        raise type(e)(text) from e


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a folder; what is being written is locked, and stays."""
    if fcntl is None:
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if LEFTOVER.fullmatch(entry.name)]:
            with suppress(OSError):  # locked, another user's, or gone
                _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its writer may just have moved it to its place, and let go of the lock.
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.fstat(fd)):
            os.unlink(path)
    finally:
        os.close(fd)


def _locked(folder: Path) -> tuple[Path, Any]:
    """A new file in a folder, locked: its path and the open file.

    No name is tried twice: who took the last one for a leftover may still be about to remove it.

    Returns
    -------
    path : Path
    f : io.BufferedRandom
    """
    while True:
        path = folder / f".ntklin-{secrets.token_hex(8)}.part"
        f = open(path, "x+b")  # noqa: SIM115
        try:
            if fcntl is None:
                return path, f
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # taken for a leftover before the lock: it is being removed
            f.close()
            continue
        except OSError:  # no locks here, and so nobody who removes leftovers
            return path, f
        if os.fstat(f.fileno()).st_nlink:
            return path, f
        f.close()


def _target(path: Path, follow: bool) -> tuple[Path, int | None]:
    """What is to be replaced, and its permissions; None for those where there is nothing."""
    target = Path(os.path.realpath(path)) if follow else path
    try:
        mode = os.stat(path, follow_symlinks=follow).st_mode
    except FileNotFoundError:
        return target, None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory")
    if stat.S_ISLNK(mode):
        return target, None
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, f"it is {kind(mode)}")
    return target, stat.S_IMODE(mode)


def sync(f: Any) -> None:
    """Wait until what was written is on the disk."""
    f.flush()
    os.fsync(f.fileno())


def _sync_folder(folder: Path) -> None:
    """The same for the new name."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _named(e: OSError, path: str | os.PathLike[str]) -> OSError:
    # From the number OSError chooses the class: PermissionError, FileNotFoundError, ….
    reason = e.strerror or str(e)
    return OSError(e.errno, f"cannot write {shown(path)}: {reason}; what was there is unchanged")
