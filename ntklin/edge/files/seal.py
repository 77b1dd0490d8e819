"""Digests, by which what is read is known to be what was written.

A digest is of the contents and not of the file's bytes: of JSON as it is after parsing, in one
spelling, and of each array's name, type, shape and entries. A changed bit is either noticed or
changes nothing that is read.
"""

import hashlib
import json
import os
from typing import Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError, open_regular, refuse_others

DIGEST = "digest"
# Beyond it a file is none of ours: verdicts and records have kilobytes.
LARGEST = 1 << 28


def digest(values: Any, arrays: dict[str, Array] | None = None) -> str:
    """The SHA-256 of values that JSON can hold, and of arrays.

    Parameters
    ----------
    values : object
    arrays : dict of str to ndarray, optional
        On the host.

    Returns
    -------
    str
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    hashed = hashlib.sha256(text.encode())
    for name, a in sorted((arrays or {}).items()):
        hashed.update(f"\n{json.dumps(name)} {a.dtype.str} {a.shape}\n".encode())
        hashed.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()


def sealed(values: dict[str, Any], arrays: dict[str, Array] | None = None) -> dict[str, Any]:
    """``values``, as JSON has them, with the digest of them and of the arrays.

    Parameters
    ----------
    values : dict
    arrays : dict of str to ndarray, optional

    Returns
    -------
    dict
    """
    values = json.loads(json.dumps(values))
    return values | {DIGEST: digest(values, arrays)}


def unsealed(values: Any, arrays: dict[str, Array] | None = None) -> dict[str, Any]:
    """What :func:`sealed` was given, without the digest.

    Returns
    -------
    dict

    Raises
    ------
    DamagedFileError
        If there is no digest, or it is that of something else.
    """
    if not isinstance(values, dict) or not isinstance(values.get(DIGEST), str):
        raise DamagedFileError("carries no digest of its contents")
    rest = {name: value for name, value in values.items() if name != DIGEST}
    if values[DIGEST] != digest(rest, arrays):
        raise DamagedFileError("is not as it was written: its contents have another digest")
    return rest


def read_sealed(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The values in a JSON file that :func:`sealed` gave a digest.

    Returns
    -------
    dict

    Raises
    ------
    DamagedFileError
        If it is anything else.
    OSError
        If there is nothing, or it cannot be read.
    """
    with open_regular(path) as f:
        text = f.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise DamagedFileError("is far too large")
    try:
        return unsealed(json.loads(text.decode()))
    except DamagedFileError:
        raise
    except (ValueError, RecursionError, MemoryError) as e:
        raise DamagedFileError(f"holds no JSON that could be read: {type(e).__name__}") from e


def read_kept(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What :func:`read_sealed` reads, for results that are computed anew where they are not whole.

    Returns
    -------
    dict or None
        None where there is nothing.

    Raises
    ------
    DamagedFileError
        If the file is anything else; it can be replaced.
    OSError
        If it cannot be read, or is no file, which nothing could take the place of.
    """
    try:
        refuse_others(os.stat(path).st_mode)
    except FileNotFoundError:
        return None
    except DamagedFileError as e:
        raise OSError(f"{shown(path)} {e}") from None
    return read_sealed(path)
