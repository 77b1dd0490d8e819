"""Results that are computed once: a file each, whole, sealed, and of this very computation."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError
from ntklin.edge.files.seal import read_kept, sealed
from ntklin.edge.files.writing import write_whole

Found = TypeVar("Found")


def write(path: Path, head: dict[str, Any], values: dict[str, Any]) -> None:
    """Keep a result, with what it is of and a digest of both.

    Parameters
    ----------
    path : Path
    head, values : dict
    """
    write_whole(path, json.dumps(sealed(head | values), indent=1), follow=False)


def read(
    path: Path,
    head: dict[str, Any],
    build: Callable[[dict[str, Any]], Found],
    what: str,
    otherwise: str,
) -> Found | None:
    """A kept result; None where there is none.

    Parameters
    ----------
    path : Path
    head : dict
        What it is of; any other value of these names is another's.
    build : callable
        From all values to the result.
    what : str
        "run", say.
    otherwise : str
        What comes of a file that does not count.

    Returns
    -------
    object or None
        What ``build`` returns.

    Raises
    ------
    OSError
        If there is a file that cannot be read: what it holds may have taken hours.

    Warns
    -----
    UserWarning
        Where the file is damaged, another's, or of an earlier version: it is None, too.
    """
    try:
        values = read_kept(path)
        return None if values is None else _built(values, head, build, what)
    except DamagedFileError as e:
        warnings.warn(f"{shown(path)} {e}; {otherwise}", UserWarning, stacklevel=3)
        return None


def _built(
    values: dict[str, Any],
    head: dict[str, Any],
    build: Callable[[dict[str, Any]], Found],
    what: str,
) -> Found:
    for name, expected in json.loads(json.dumps(head)).items():
        if values.get(name) != expected:
            raise DamagedFileError(f"is of another {what}: its {name} is not that of this one")
    try:
        return build(values)
    except (KeyError, TypeError, AttributeError) as e:
        raise DamagedFileError(f"holds no result: {type(e).__name__} {e}") from e
