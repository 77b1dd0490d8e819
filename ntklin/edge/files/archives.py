"""NumPy's ``.npz`` archives, which may be damaged in any way."""

import zipfile
from collections.abc import Collection
from os import PathLike

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.checks import require_memory
from ntklin.edge.errors import MemoryLimitError
from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError, open_regular

SUFFIX = ".npy"
# No deflated or gzipped byte stands for more, whatever a file says.
LARGEST_RATIO = 1032


def read_arrays(
    path: str | PathLike[str], names: Collection[str] | None = None
) -> dict[str, Array]:
    """The arrays in an ``.npz`` archive; nothing is unpickled.

    Parameters
    ----------
    path : path
    names : collection of str, optional
        Those to read, of which some may be absent; all when not given.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DamagedFileError
        If the archive is damaged, in whatever way, or none.
    MemoryLimitError
        If it holds more than there is memory for.
    OSError
        If there is nothing, or it cannot be opened.
    """
    with open_regular(path) as f:
        if not zipfile.is_zipfile(f):
            raise DamagedFileError("is not an .npz archive")
        try:
            with zipfile.ZipFile(f) as archive:
                members = _members(archive, names)
                require_memory(
                    sum(member.file_size for member in members.values()),
                    f"reading {shown(path)}",
                    "use fewer arrays or a machine with more memory; if they are small, the "
                    "archive is damaged",
                )
                return {name: _array(archive, member) for name, member in members.items()}
        except MemoryLimitError:
            raise
        # A changed byte leads zipfile, the decompressors and NumPy to almost any exception.
        except Exception as e:
            raise DamagedFileError(f"cannot be read: {str(e) or type(e).__name__}") from e


def read_array(path: str | PathLike[str]) -> Array:
    """The array in a ``.npy`` file.

    Returns
    -------
    ndarray

    Raises
    ------
    DamagedFileError
        If it is damaged, in whatever way, or none.
    OSError
        If there is nothing, or it cannot be opened.
    """
    with open_regular(path) as f:
        try:
            return np.lib.format.read_array(f, allow_pickle=False)
        except Exception as e:  # as above
            raise DamagedFileError(f"cannot be read: {str(e) or type(e).__name__}") from e


def _members(archive: zipfile.ZipFile, names: Collection[str] | None) -> dict[str, zipfile.ZipInfo]:
    found = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(SUFFIX)
        if names is not None and name not in names:
            continue
        if name in found:
            raise ValueError(f"it holds {name!r} twice")
        if member.compress_type == zipfile.ZIP_STORED:
            impossible = member.file_size != member.compress_size
        else:
            most = LARGEST_RATIO * (member.compress_size + 1)
            impossible = member.compress_type == zipfile.ZIP_DEFLATED and member.file_size > most
        if impossible:
            raise ValueError(f"the sizes of {name!r} contradict each other")
        found[name] = member
    return found


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as f:
        try:
            a = np.lib.format.read_array(f, allow_pickle=False)
        except ValueError as e:
            if "allow_pickle" not in str(e):
                raise
            name = member.filename.removesuffix(SUFFIX)
            raise ValueError(
                f"{name!r} holds Python objects, which nobody unpickles here; save numbers as "
                f"{name}.astype(float), text as {name}.astype(str)"
            ) from None
        if f.read(1):  # at the end the checksum is compared, too
            raise ValueError(f"{member.filename!r} goes on after its array")
    return a
