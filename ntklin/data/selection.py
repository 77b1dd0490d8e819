"""From stored samples to training and test rows of unit length."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from ntklin.data.labels import Label, all_in_kind_of, listing, of_class
from ntklin.data.source import Part, Source
from ntklin.edge.arrays import Array


def choose(
    source: Source, n_train: int, n_test: int, classes: Sequence[Label], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Disjoint random rows of some classes: indices into the training part and the test part.

    Without a test part of its own, the test rows come from the end of the permutation of the
    training part: a larger ``n_train`` keeps the test rows, and its training rows contain those
    of a smaller one.

    Returns
    -------
    train, test : ndarray of int, shape (n_train,) and (n_test,)

    Raises
    ------
    ValueError
        If a class is absent or there are too few samples.
    """
    classes = all_in_kind_of(source.train.labels, classes)
    pool = permuted_rows(source.train, classes, rng, f"the training part of {source.name}")
    if source.test is None:
        require(n_train + n_test, "n_train + n_test", pool, source.name, classes)
        return pool[:n_train], pool[::-1][:n_test]
    require(n_train, "n_train", pool, f"the training part of {source.name}", classes)
    where = f"the test part of {source.name}"
    test_pool = permuted_rows(source.test, classes, rng, where)
    require(n_test, "n_test", test_pool, where, classes)
    return pool[:n_train], test_pool[:n_test]


def permuted_rows(
    part: Part, classes: Sequence[Label], rng: np.random.Generator, where: str
) -> Array:
    """All rows of ``part`` with a label in ``classes``, in random order."""
    labels = part.labels
    chosen = np.zeros(labels.shape, bool)
    for label in all_in_kind_of(labels, classes):
        rows = of_class(labels, label)
        if not rows.any():
            raise ValueError(f"{where} has no samples of class {label!r}; it has {listing(labels)}")
        chosen |= rows
    return rng.permutation(np.flatnonzero(chosen))


def require(n: int, what: str, pool: Array, where: str, classes: Sequence[Label]) -> None:
    """Refuse to draw more samples than there are."""
    if n > len(pool):
        *others, last = map(repr, classes)
        raise ValueError(
            f"{what} = {n}, but {where} has {len(pool)} samples of the classes "
            f"{', '.join(others)} and {last}"
        )


def unit_rows(samples: Array, rows: Array, where: str, dtype: DTypeLike) -> Array:
    """x / ‖x‖ for the chosen samples, flattened, shape (len(rows), d).

    The usual greys/255 cancels here. Each row is divided by its largest entry first, so that the
    squares in ‖x‖ neither overflow nor underflow.

    Returns
    -------
    ndarray, shape (len(rows), d)

    Raises
    ------
    ValueError
        If a sample is zero everywhere.
    """
    X = samples[rows].reshape(len(rows), math.prod(samples.shape[1:])).astype(np.float64)
    largest = np.abs(X).max(axis=1, keepdims=True)
    if not largest.all():
        row = rows[np.flatnonzero(largest == 0)[0]]
        raise ValueError(f"sample {row} of {where} is zero everywhere: it has no unit-length form")
    X /= largest
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X.astype(dtype, copy=False)


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
