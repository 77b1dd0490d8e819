"""From stored or made samples to training and test rows of unit length."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from ntklin.data.labels import Label, all_in_kind_of, listing, of_class
from ntklin.data.source import Part, Source
from ntklin.edge.arrays import Array
from ntklin.edge.checks import require_bulk

# Rows that are read or made at a time, so that little is needed beside them.
BLOCK = 1024


class Drawn(Protocol):
    """The samples of a set, a block at a time."""

    def __len__(self) -> int:
        """How many there are."""
        raise NotImplementedError

    @property
    def labels(self) -> Array:
        """Their labels, shape (n,)."""
        raise NotImplementedError

    def samples(self, start: int, stop: int) -> Array:
        """Samples ``start`` … ``stop`` − 1, of any shape."""
        raise NotImplementedError

    def place(self, i: int) -> str:
        """What sample i is called in messages."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Chosen:
    """Stored samples, in the order of ``rows``."""

    part: Part
    rows: Array
    where: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Array:
        """Their labels, shape (n,)."""
        return self.part.labels[self.rows]

    def samples(self, start: int, stop: int) -> Array:
        """Samples ``start`` … ``stop`` − 1."""
        return self.part.samples[self.rows[start:stop]]

    def place(self, i: int) -> str:
        """What sample i is called: by its place in the file."""
        return f"sample {self.rows[i]} of {self.where}"


def choose(
    source: Source, n_train: int, n_test: int, classes: Sequence[Label], rng: np.random.Generator
) -> tuple[Chosen, Chosen]:
    """Disjoint random rows of some classes: indices into the training part and the test part.

    Without a test part of its own, the test rows come from the end of the permutation of the
    training part: a larger ``n_train`` keeps the test rows, and its training rows contain those
    of a smaller one.

    Returns
    -------
    train, test : Chosen

    Raises
    ------
    ValueError
        If a class is absent or there are too few samples.
    """
    classes = all_in_kind_of(source.train.labels, classes)
    pool = permuted_rows(source.train, classes, rng, f"the training part of {source.name}")
    if source.test is None:
        require(n_train + n_test, "n_train + n_test", pool, source.name, classes)
        train, test = pool[:n_train], pool[::-1][:n_test]
        return Chosen(source.train, train, source.name), Chosen(source.train, test, source.name)
    require(n_train, "n_train", pool, f"the training part of {source.name}", classes)
    where = f"the test part of {source.name}"
    test_pool = permuted_rows(source.test, classes, rng, where)
    require(n_test, "n_test", test_pool, where, classes)
    return (
        Chosen(source.train, pool[:n_train], source.name),
        Chosen(source.test, test_pool[:n_test], source.name),
    )


def permuted_rows(
    part: Part, classes: Sequence[Label], rng: np.random.Generator, where: str
) -> Array:
    """The same as ``rows_of``, in random order."""
    return rng.permutation(rows_of(part, classes, where))


def rows_of(part: Part, classes: Sequence[Label], where: str) -> Array:
    """All rows of ``part`` with a label in ``classes``; ValueError where a class has none."""
    labels = part.labels
    chosen = np.zeros(labels.shape, bool)
    for label in all_in_kind_of(labels, classes):
        rows = of_class(labels, label)
        if not rows.any():
            raise ValueError(f"{where} has no samples of class {label!r}; it has {listing(labels)}")
        chosen |= rows
    return np.flatnonzero(chosen)


def require(n: int, what: str, pool: Array, where: str, classes: Sequence[Label]) -> None:
    """Refuse to draw more samples than there are."""
    if n > len(pool):
        *others, last = map(repr, classes)
        raise ValueError(
            f"{what} = {n}, but {where} has {len(pool)} samples of the classes "
            f"{', '.join(others)} and {last}"
        )


def unit_rows(
    drawn: Drawn,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    tell: Callable[[int], object],
) -> Array:
    """x / ‖x‖ for each sample, flattened.

    The usual greys/255 cancels here. Each row is divided by its largest entry first, so that the
    squares in ‖x‖ neither overflow nor underflow.

    Parameters
    ----------
    drawn : Drawn
        n samples.
    shape : tuple of int
        Of one.
    dtype : dtype
    tell : callable
        ``tell(done)`` after each block.

    Returns
    -------
    ndarray, shape (n, d)

    Raises
    ------
    ValueError
        If a sample is zero everywhere.
    MemoryLimitError
        If the rows do not fit.
    """
    n, d = len(drawn), math.prod(shape)
    require_bulk(
        n * d * np.dtype(dtype).itemsize,
        f"{n} samples of dimension {d}",
        "load fewer of them, or those of dtype float32",
    )
    X = np.empty((n, d), dtype)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        rows = drawn.samples(start, stop).reshape(stop - start, d).astype(np.float64)
        largest = np.abs(rows).max(axis=1, keepdims=True)
        if not largest.all():
            place = drawn.place(start + int(np.flatnonzero(largest == 0)[0]))
            raise ValueError(f"{place} is zero everywhere: it has no unit-length form")
        rows /= largest
        X[start:stop] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        tell(stop)
    return X


def as_targets(
    labels: Array, classes: Sequence[Label], values: tuple[float, float], dtype: DTypeLike
) -> Array:
    """``values[1]`` where the label is the class, else ``values[0]``.

    Parameters
    ----------
    labels : ndarray, shape (n,)
    classes : sequence of C labels
    values : pair of floats
    dtype : dtype

    Returns
    -------
    ndarray, shape (n,) or (n, C)
        Of two classes for the second alone, since the first is the rest; else a column for each.
    """
    if len(classes) == 2:
        chosen = of_class(labels, classes[1])
    else:
        chosen = np.stack([of_class(labels, label) for label in classes], axis=1)
    return np.where(chosen, values[1], values[0]).astype(dtype)
