"""Labeled samples as they are stored, before any are chosen or scaled."""

from collections.abc import Sequence
from dataclasses import dataclass

from ntklin.data.labels import NUMBERS, TEXT
from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_inputs
from ntklin.edge.errors import DataUnavailableError


@dataclass(frozen=True, eq=False)
class Part:
    """Samples of any shape, one along the first axis, and their labels.

    Attributes
    ----------
    samples : ndarray, shape (n, ...)
    labels : ndarray, shape (n,)
    """

    samples: Array
    labels: Array


@dataclass(frozen=True, eq=False)
class Source:
    """A stored data set; without a test part of its own, both sets are drawn from ``train``."""

    name: str
    provenance: str
    train: Part
    test: Part | None = None

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """The shape of one sample that is an image; None for plain features."""
        shape = self.train.samples.shape[1:]
        return shape if len(shape) > 1 else None


def checked_part(samples: Array, labels: Array, where: str) -> Part:
    """A `Part` whose arrays fit each other.

    Returns
    -------
    Part

    Raises
    ------
    DataUnavailableError
        If the shapes do not fit or the samples are not numbers; it names ``where``.
    ValueError
        If a sample contains NaN or infinity.
    """
    if samples.ndim < 2 or samples.dtype.kind not in "biuf":
        raise DataUnavailableError(
            f"{where}: samples must be numbers of shape (n, d) or (n, height, width), got dtype "
            f"{samples.dtype} and shape {samples.shape}"
        )
    if labels.shape == (len(samples), 1):
        labels = labels[:, 0]
    if labels.shape != (len(samples),):
        hint = "; store one-hot labels as labels.argmax(axis=1)" if labels.ndim == 2 else ""
        raise DataUnavailableError(
            f"{where}: {len(samples)} samples need labels of shape ({len(samples)},), got "
            f"{labels.shape}{hint}"
        )
    if labels.dtype.kind not in NUMBERS + TEXT:
        raise DataUnavailableError(
            f"{where}: labels must be numbers or strings, got dtype {labels.dtype}"
        )
    if 0 in samples.shape:
        raise DataUnavailableError(f"{where}: there are none, the shape is {samples.shape}")
    if samples.dtype.kind == "f":
        as_inputs(samples.reshape(len(samples), -1), name=where)
    return Part(samples, labels)


def checked_source(name: str, provenance: str, parts: Sequence[Part]) -> Source:
    """A `Source` from one `Part` or from a training and a test `Part` of the same sample shape."""
    shapes = [part.samples.shape[1:] for part in parts]
    if len(set(shapes)) > 1:
        raise DataUnavailableError(
            f"{name}: training samples have shape {shapes[0]}, test samples {shapes[1]}"
        )
    return Source(name, provenance, *parts)
