"""NumPy archives: ``images`` and ``labels``, or Keras's ``x_train``, ``y_train``, and so on."""

import zipfile
import zlib

import numpy as np

from ntklin.data.source import checked_part, checked_source
from ntklin.errors import DataUnavailableError

ONE_PART = ("images", "labels")
TWO_PARTS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path, name, provenance):
    """The `Source` in an ``.npz`` archive.

    Parameters
    ----------
    path : pathlib.Path
    name, provenance : str

    Raises
    ------
    DataUnavailableError
        If the archive is damaged or lacks the arrays it needs.
    """
    if not zipfile.is_zipfile(path):
        raise DataUnavailableError(f"{name} is not an .npz archive")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files if key in ONE_PART + TWO_PARTS}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as e:
        raise DataUnavailableError(f"{name} cannot be read: {e}") from e
    keys = ONE_PART if arrays.keys() >= set(ONE_PART) else TWO_PARTS
    if missing := [key for key in keys if key not in arrays]:
        raise DataUnavailableError(
            f"{name} must hold the arrays {', '.join(ONE_PART)} or {', '.join(TWO_PARTS)}; "
            f"missing: {', '.join(missing)}"
        )
    parts = [
        checked_part(arrays[samples], arrays[labels], f"{samples} of {name}")
        for samples, labels in zip(keys[::2], keys[1::2], strict=True)
    ]
    return checked_source(name, provenance, parts)
