"""The report's files, written whole or not at all."""

import json
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ntklin.edge.files.seal import sealed
from ntklin.edge.files.unfinished import COMPLETE, place
from ntklin.edge.files.writing import write_together


def write_files(
    folder: str | PathLike[str], names: Sequence[str], contents: Sequence[Any]
) -> list[Path]:
    """Write files under these names; creates the folder if need be.

    None is replaced before all are written; but where some cannot be, the others are kept.

    Where one of them says of itself that it is unfinished, and the folder has a finished one, they
    go to a folder within it.

    Parameters
    ----------
    folder : path
    names : sequence of str
    contents : sequence of bytes, str, dict or callable
        Values are written as JSON with a digest; a callable is given the file to write into.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    OSError
        Naming the files that could not be written, and those that were.
    """
    for name, content in zip(names, contents, strict=True):
        if isinstance(content, dict):
            folder = place(folder, name, content.get(COMPLETE, True))
    folder = Path(folder)
    files = dict(zip((folder / name for name in names), contents, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    # On a full disk the numbers, which are small, are kept.
    first = sorted(files, key=lambda path: not isinstance(files[path], dict))
    write_together({path: _as_text(files[path]) for path in first})
    return list(files)


def _as_text(content: Any) -> Any:
    if isinstance(content, dict):
        return json.dumps(sealed(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return content


def plain(value: Any) -> Any:
    """``value`` with None for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
