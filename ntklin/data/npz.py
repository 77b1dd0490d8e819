"""NumPy archives: ``images`` and ``labels``, or Keras's ``x_train``, ``y_train``, and so on."""

from pathlib import Path

from ntklin.data.source import Source, checked_part, checked_source
from ntklin.edge.errors import DataUnavailableError
from ntklin.edge.files.archives import read_arrays
from ntklin.edge.files.reading import DamagedFileError

ONE_PART = ("images", "labels")
TWO_PARTS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path, name: str, provenance: str) -> Source:
    """The `Source` in an ``.npz`` archive.

    Parameters
    ----------
    path : pathlib.Path
    name, provenance : str

    Returns
    -------
    Source

    Raises
    ------
    DataUnavailableError
        If the archive is damaged or lacks the arrays it needs.
    MemoryLimitError
        If they do not fit into memory.
    """
    try:
        arrays = read_arrays(path, ONE_PART + TWO_PARTS)
    except DamagedFileError as e:
        raise DataUnavailableError(f"{name} {e}") from e
    except OSError as e:
        raise DataUnavailableError(f"{name} cannot be read: {e.strerror}") from e
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
