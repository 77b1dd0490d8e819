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
from collections.abc import Callable, Iterable, Iterator, Mapping
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

    What cannot be written keeps no other from its place: on a full disk the first ones may fit.

    Parameters
    ----------
    contents : dict of path to bytes, str or callable
        The most precious first. A callable is given the file to write into. The folders must
        exist.

    Raises
    ------
    OSError
        Naming those that were not written, and then those that were.
    """
    written, failed = {}, {}
    with ExitStack() as unmoved:  # any other error leaves all as it was
        for path, content in contents.items():
            try:
                with ExitStack() as one:
                    f = one.enter_context(whole(path))
                    if callable(content):
                        content(f)
                    else:
                        f.write(encoded(content))
                    sync(f)
                    written[path] = unmoved.enter_context(one.pop_all())
            except OSError as e:
                failed[path] = e
        for path, one in list(written.items()):
            try:
                one.close()
            except OSError as e:
                failed[path] = e
                del written[path]
    if failed:
        error = _of_several(failed, written)
        raise error


def _of_several(failed: Mapping[Any, OSError], written: Iterable[Any]) -> OSError:
    """One error for the files that could not be written."""
    first = next(iter(failed.values()))
    if len(failed) == 1 and not written:
        return first
    # The cause is what the system said, without the file's name.
    reasons = {path: _reason(e.__cause__ or e) for path, e in failed.items()}
    text = "; ".join(f"{shown(path)}: {reason}" for path, reason in reasons.items())
    kept = ", ".join(shown(path) for path in written) or "none"
    text = f"cannot write {text}; what was there is unchanged. Written: {kept}"
    return type(first)(text) if first.errno is None else OSError(first.errno, text)


def encoded(content: str | bytes) -> bytes:
    """Bytes as they are; text in UTF-8, with an escape for what that cannot encode."""
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")


def require_writable(
    folder: str | os.PathLike[str], names: Iterable[str] = (), folders: Iterable[str] = ()
) -> None:
    """Refuse a folder that files cannot be written into, before long work; creates nothing.

    Parameters
    ----------
    folder : path
        Need not exist: then its nearest existing parent is tried.
    names : iterable of str
        Of the files to write: there may be files to replace, but nothing else.
    folders : iterable of str
        Folders in it, for which the same holds.

    Raises
    ------
    ValueError
        For an empty name.
    OSError
        Naming the folder, or what is in the place of a file.
    """
    if not str(folder):
        raise ValueError("the output folder's name is empty; for the current folder write .")
    names = tuple(names)
    for place in (Path(folder), *(Path(folder) / part for part in folders)):
        try:
            _require_folder(place)
        except OSError as e:
            error = _refused(e, f"cannot write into the output folder {shown(place)}")
            raise error from e
        for name in names:
            try:
                target, _ = _target(place / name, follow=True)
                if os.path.islink(place / name):
                    _require_folder(target.parent)
            except (FileNotFoundError, NotADirectoryError) as e:
                if os.path.islink(place / name):  # else the folder is to come
                    error = _refused(e, f"cannot write {shown(place / name)}")
                    raise error from e
            except OSError as e:
                text = f"cannot write {shown(place / name)}"
                error = _refused(e, text, "move it away, or choose another output folder")
                raise error from e


def _require_folder(folder: Path) -> None:
    place = folder.absolute()
    while not _is_there(place) and place != place.parent:
        place = place.parent
    if place.is_symlink():
        try:
            place.stat()
        except FileNotFoundError:
            raise FileNotFoundError(
                errno.ENOENT,
                f"{shown(place)} is a link to {shown(os.readlink(place))}, which does not exist; "
                "create that folder, or remove the link",
            ) from None
        except OSError as e:
            text = f"{shown(place)} is a link that leads nowhere ({e.strerror}); remove it"
            raise OSError(e.errno, text) from None
    remove_leftovers(place)
    temporary, f = _locked(place)
    with f:
        if fcntl is None:
            f.close()  # nor does it remove one
        temporary.unlink()


def _is_there(place: Path) -> bool:
    """Whether there is anything, be it a link that leads nowhere."""
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _refused(e: OSError, text: str, advice: str | None = None) -> OSError:
    parts = [f"{text}: {_reason(e)}", *([] if advice is None else [advice])]
    return type(e)("; ".join(parts))


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
    text = f"cannot write {shown(path)}: {_reason(e)}; what was there is unchanged"
    return OSError(e.errno, text)


def _reason(e: Any) -> str:
    return e.strerror or str(e)
