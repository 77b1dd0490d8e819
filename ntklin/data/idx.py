"""IDX files, the format of MNIST: a big-endian header, then the array in C order."""

import gzip
import io
import math
import os
import struct
from pathlib import Path

import numpy as np

from ntklin.data.source import Part, Source, checked_part, checked_source
from ntklin.edge.arrays import Array
from ntklin.edge.checks import require_memory
from ntklin.edge.errors import DataUnavailableError, MemoryLimitError
from ntklin.edge.files.archives import LARGEST_RATIO
from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError, open_regular

GZIP_MAGIC = b"\x1f\x8b"
DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PARTS = ("train", "t10k")


def parse_idx(data: bytes, where: str) -> Array:
    """The array in the bytes of an IDX file, gzipped or not.

    The file is ``0, 0, type, ndim``, then ``ndim`` sizes as 4-byte integers, then the entries.

    Returns
    -------
    ndarray

    Raises
    ------
    DataUnavailableError
        If the bytes are not one whole IDX file; it names ``where``.
    MemoryLimitError
        If they stand for more than there is memory for.
    """
    try:
        with _unzipped(data) as f:
            return _parse(f, len(data), where)
    except (DataUnavailableError, MemoryLimitError):
        raise
    # A changed byte leads gzip and NumPy to almost any exception.
    except Exception as e:
        raise DataUnavailableError(f"{where} is not a whole IDX file: {e}") from e


def _unzipped(data: bytes) -> io.BytesIO | gzip.GzipFile:
    f = io.BytesIO(data)
    return gzip.GzipFile(fileobj=f) if data.startswith(GZIP_MAGIC) else f


def _parse(f: io.BytesIO | gzip.GzipFile, n_stored: int, where: str) -> Array:
    head = f.read(4)
    zeros, code, ndim = struct.unpack(">HBB", head)
    if zeros or code not in DTYPES:
        raise DataUnavailableError(f"{where} is not an IDX file: it begins {head.hex(' ')}")
    shape = struct.unpack(f">{ndim}I", f.read(4 * ndim))
    dtype = np.dtype(DTYPES[code])
    start, size = f.tell(), dtype.itemsize * math.prod(shape)
    should = f"{where} should have {start + size} bytes for shape {shape}"
    if size > LARGEST_RATIO * (n_stored + 1):
        raise DataUnavailableError(f"{should}, more than its {n_stored} can hold")
    require_memory(size, f"reading {where}", "use fewer samples")
    entries = f.read(size)
    if excess := len(f.read(1)):
        raise DataUnavailableError(f"{should}, but has {start + size + excess} or more")
    if len(entries) != size:
        raise DataUnavailableError(f"{should}, but has {start + len(entries)}")
    entries = np.frombuffer(entries, dtype).reshape(shape)
    return entries.astype(dtype.newbyteorder("="))


def find_idx(folder: Path, part: str, kind: str) -> Path | None:
    """What ``folder`` has as the file of ``kind`` "images-idx3" or "labels-idx1", or None."""
    stems = (f"{part}-{kind}-ubyte", f"{part}-{kind.replace('-', '.')}-ubyte")
    candidates = [folder / f"{stem}{suffix}" for stem in stems for suffix in ("", ".gz")]
    return next((path for path in candidates if os.path.lexists(path)), None)


def read_part(folder: Path, part: str) -> Part | None:
    """One `Part`, or None where ``folder`` has neither of its two files."""
    images, labels = (find_idx(folder, part, kind) for kind in ("images-idx3", "labels-idx1"))
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        present, absent = ("images", "labels") if labels is None else ("labels", "images")
        raise DataUnavailableError(
            f"{shown(folder)} has the {part} {present}, but not the {absent}"
        )
    samples, classes = (parse_idx(read_bytes(path), shown(path)) for path in (images, labels))
    return checked_part(samples, classes, f"{part} images in {shown(folder)}")


def read_bytes(path: Path) -> bytes:
    """All of a file; DataUnavailableError names it."""
    try:
        with open_regular(path) as f:
            require_memory(path.stat().st_size, f"reading {shown(path)}", "use fewer samples")
            return f.read()
    except DamagedFileError as e:
        raise DataUnavailableError(f"{shown(path)} {e}") from e
    except OSError as e:
        raise DataUnavailableError(f"{shown(path)} cannot be read: {e.strerror}") from e


def read_folder(folder: Path, name: str, provenance: str) -> Source:
    """The `Source` in a folder of IDX files under their usual names.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, also as ``.gz``, and
        the like for ``t10k``. With one of the two parts missing, the other one serves for both.
    name, provenance : str

    Returns
    -------
    Source

    Raises
    ------
    DataUnavailableError
        If there are none, or a file is damaged.
    """
    parts = [read_part(folder, part) for part in PARTS]
    parts = [part for part in parts if part is not None]
    if not parts:
        raise DataUnavailableError(
            f"{shown(folder)} holds no IDX files: expected train-images-idx3-ubyte and "
            "train-labels-idx1-ubyte, gzipped or not"
        )
    return checked_source(name, provenance, parts)
