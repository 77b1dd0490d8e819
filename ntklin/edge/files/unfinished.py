"""A finished result is replaced only by a finished one."""

from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from ntklin.edge.files.reading import DamagedFileError
from ntklin.edge.files.seal import read_sealed

#: In a result's JSON, false where the run was not at its end.
COMPLETE = "complete"
FOLDER = "unfinished"


def place(folder: str | PathLike[str], name: str, complete: bool) -> Path:
    """The folder that a result goes to.

    Parameters
    ----------
    folder : path
        Where it was asked for.
    name : str
        Of its JSON file, which :func:`ntklin.edge.files.seal.sealed` has given a digest.
    complete : bool
        Whether the run came to its end.

    Returns
    -------
    pathlib.Path
        ``folder``; for an unfinished result ``folder/unfinished`` where ``folder`` holds a finished
        one, or a file of that name that may be one.
    """
    folder = Path(folder)
    return folder if complete or not may_be_finished(folder / name) else folder / FOLDER


def may_be_finished(path: Path) -> bool:
    """Whether there is a file that does not say of itself that it is unfinished."""
    return (values := _read(path)) is not None and values.get(COMPLETE) is not False


def _read(path: Path) -> dict[str, Any] | None:
    """The result in a file; None where there is none, and nothing of one that is damaged."""
    try:
        return read_sealed(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, DamagedFileError):
        return {}


def amount(path: Path, key: str) -> int:
    """How long the list ``key`` of a result is; 0 where there is none."""
    listed = (_read(path) or {}).get(key)
    return len(listed) if isinstance(listed, list) else 0


def forget(folder: str | PathLike[str], name: str) -> None:
    """Remove the unfinished result that a finished one takes the place of."""
    with suppress(OSError):
        (Path(folder) / FOLDER / name).unlink(missing_ok=True)
        (Path(folder) / FOLDER).rmdir()
