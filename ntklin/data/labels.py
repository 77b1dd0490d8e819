"""Which samples are of a class: by value, however the label and the class are written."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntklin.edge.arrays import Array, to_numpy
from ntklin.edge.checks import LONGEST, as_list
from ntklin.edge.values import said

Label = bool | int | float | str | bytes
TEXT, NUMBERS = "UST", "biuf"
WORDS = {"True": True, "False": False}


def as_classes(classes: Any) -> tuple[Label, ...]:
    """Two or more different labels as Python's numbers and strings; their order counts."""
    if isinstance(classes, set | frozenset):
        raise TypeError(f"classes must be in order, as in a tuple, got the set {said(classes)}")
    if hasattr(classes, "__array__"):
        classes = to_numpy(classes, "classes")
    try:
        given = as_list(classes, name="classes")
    except TypeError:
        raise TypeError(f"classes must be a sequence of labels, got {said(classes)}") from None
    if len(given) < 2:
        raise ValueError(f"classes must be two or more labels, got {said(classes)}")
    labels = tuple(map(_as_label, given))
    _require_different(labels, labels)
    return labels


def _as_label(label: Any) -> Label:
    """A label as NumPy, pandas or PyTorch hands it out, as Python's own."""
    if not isinstance(label, bool | int | float | str | bytes) or isinstance(label, np.generic):
        label = label.item() if getattr(label, "shape", None) == () else label
    if not isinstance(label, bool | int | float | str | bytes):
        raise TypeError(f"classes must be labels, numbers or strings, got {said(label)}")
    if isinstance(label, int) and label.bit_length() > LONGEST:
        raise ValueError(f"classes must be labels of at most {LONGEST} bits, got {said(label)}")
    return label


def _require_different(labels: Sequence[Label], given: Sequence[Label]) -> None:
    """Refuse labels of which two are the same, by the names under which they were given."""
    first: dict[Label, Label] = {}
    for label, name in zip(labels, given, strict=True):
        if label in first:
            raise ValueError(
                f"classes must be different labels, but {first[label]!r} and {name!r} are the same"
            )
        first[label] = name


def in_kind_of(labels: Array, label: Label) -> Label:
    """``label`` as it would stand among ``labels``: "3" among strings, 3 among numbers.

    Parameters
    ----------
    labels : ndarray
        Numbers or strings.
    label : int, float, bool, str or bytes

    Returns
    -------
    int, float, bool, str or bytes
        Text that is no number stays what it is among numbers, where nothing equals it.
    """
    text = label.decode(errors="surrogateescape") if isinstance(label, bytes) else str(label)
    if labels.dtype.kind == "S":
        return text.encode(errors="surrogateescape")
    if labels.dtype.kind in TEXT:
        return text
    if not isinstance(label, str | bytes):
        return label
    if labels.dtype.kind == "b" and text in WORDS:
        return WORDS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return label


def all_in_kind_of(labels: Array, classes: Sequence[Label]) -> tuple[Label, ...]:
    """Classes as they would stand among ``labels``; there, too, they have to differ."""
    found = tuple(in_kind_of(labels, label) for label in classes)
    _require_different(found, classes)
    return found


def of_class(labels: Array, label: Label) -> NDArray[np.bool_]:
    """Which ``labels`` equal ``label``, shape (n,), bool."""
    label = in_kind_of(labels, label)
    if labels.dtype.kind in NUMBERS and isinstance(label, str | bytes):
        return np.zeros(labels.shape, bool)
    try:
        return labels == label
    except OverflowError:  # an integer beyond all floats
        return np.zeros(labels.shape, bool)


def listing(labels: Array, limit: int = 20) -> str:
    """The different labels in words; strings in quotes, so that '0' and 0 are told apart."""
    present = np.unique(labels)
    more = ", …" if len(present) > limit else ""
    return ", ".join(map(repr, present[:limit].tolist())) + more
