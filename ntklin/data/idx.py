"""IDX files, the format of MNIST: a big-endian header, then the array in C order."""

import gzip
import math
import struct
import zlib

import numpy as np

from ntklin.data.source import checked_part, checked_source
from ntklin.errors import DataUnavailableError

GZIP_MAGIC = b"\x1f\x8b"
DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PARTS = ("train", "t10k")


def parse_idx(data, where):
    """The array in the bytes of an IDX file, gzipped or not.

    The file is ``0, 0, type, ndim``, then ``ndim`` sizes as 4-byte integers, then the entries.

    Raises
    ------
    DataUnavailableError
        If the bytes are not one whole IDX file; it names ``where``.
    """
    try:
        if data.startswith(GZIP_MAGIC):
            data = gzip.decompress(data)
        zeros, code, ndim = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{ndim}I", data, 4)
    except (OSError, EOFError, zlib.error, struct.error) as e:
        raise DataUnavailableError(f"{where} is not a whole IDX file: {e}") from e
    if zeros or code not in DTYPES:
        raise DataUnavailableError(f"{where} is not an IDX file: it begins {data[:4].hex(' ')}")
    dtype = np.dtype(DTYPES[code])
    expected = 4 + 4 * ndim + dtype.itemsize * math.prod(shape)
    if len(data) != expected:
        raise DataUnavailableError(
            f"{where} should have {expected} bytes for shape {shape}, but has {len(data)}"
        )
    entries = np.frombuffer(data, dtype, offset=4 + 4 * ndim).reshape(shape)
    return entries.astype(dtype.newbyteorder("="))


def find_idx(folder, part, kind):
    """The file of ``kind`` "images-idx3" or "labels-idx1" in ``folder``, or None."""
    stems = (f"{part}-{kind}-ubyte", f"{part}-{kind.replace('-', '.')}-ubyte")
    candidates = [folder / f"{stem}{suffix}" for stem in stems for suffix in ("", ".gz")]
    return next((path for path in candidates if path.is_file()), None)


def read_part(folder, part):
    """One `Part`, or None where ``folder`` has neither of its two files."""
    paths = [find_idx(folder, part, kind) for kind in ("images-idx3", "labels-idx1")]
    if paths == [None, None]:
        return None
    if None in paths:
        present, absent = ("images", "labels") if paths[1] is None else ("labels", "images")
        raise DataUnavailableError(f"{folder} has the {part} {present}, but not the {absent}")
    try:
        arrays = [parse_idx(path.read_bytes(), path) for path in paths]
    except OSError as e:
        raise DataUnavailableError(f"{folder} cannot be read: {e}") from e
    return checked_part(*arrays, f"{part} images in {folder}")


def read_folder(folder, name, provenance):
    """The `Source` in a folder of IDX files under their usual names.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, also as ``.gz``, and
        the like for ``t10k``. With one of the two parts missing, the other one serves for both.
    name, provenance : str

    Raises
    ------
    DataUnavailableError
        If there are none, or a file is damaged.
    """
    parts = [read_part(folder, part) for part in PARTS]
    parts = [part for part in parts if part is not None]
    if not parts:
        raise DataUnavailableError(
            f"{folder} holds no IDX files: expected train-images-idx3-ubyte and "
            "train-labels-idx1-ubyte, gzipped or not"
        )
    return checked_source(name, provenance, parts)
