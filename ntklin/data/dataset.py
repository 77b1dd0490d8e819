"""What `load_data` returns."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntklin.data.labels import Label, as_classes
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.checks import as_count
from ntklin.edge.values import said


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and test rows of unit length with the targets of their classes.

    Attributes
    ----------
    name : str
        The name or file that was asked for.
    X_train, X_test : ndarray, shape (n_train, d) and (n_test, d)
        One sample a row, ‖x‖ = 1.
    Y_train, Y_test : ndarray, shape (n_train,) and (n_test,), or (n_train, C) and (n_test, C)
        0 and 1, or −1 and +1. Of two classes the second has the higher one; of C > 2 classes each
        has a column, which is higher on its samples.
    provenance : str
        Where the samples come from and under which license, in one line.
    image_shape : tuple of int or None
        The shape that ``X_train[i].reshape(image_shape)`` is an image in; None for plain features.
    classes : tuple of labels
        In the order of the targets; empty where they are not known.
    """

    name: str
    X_train: Array
    Y_train: Array
    X_test: Array
    Y_test: Array
    provenance: str
    image_shape: tuple[int, ...] | None = None
    classes: tuple[Label, ...] = ()

    def __post_init__(self) -> None:
        for name in ("name", "provenance"):
            if not isinstance(getattr(self, name), str):
                kind = type(getattr(self, name)).__name__
                raise TypeError(f"{name} must be text, got {kind}")
        for part in ("train", "test"):
            names = f"X_{part}", f"Y_{part}"
            X, Y = (as_array(getattr(self, name), name) for name in names)
            if X.ndim != 2:
                raise ValueError(f"{names[0]} must have shape (n, d), got shape {X.shape}")
            if Y.ndim not in (1, 2) or len(Y) != len(X) or 0 in Y.shape[1:]:
                raise ValueError(
                    f"{names[1]} must have shape ({len(X)},) or ({len(X)}, C), got shape {Y.shape}"
                )
            for name, a in zip(names, (X, Y), strict=True):
                object.__setattr__(self, name, a)
        if not (isinstance(self.classes, tuple) and self.classes == ()):
            object.__setattr__(self, "classes", as_classes(self.classes))
        if self.image_shape is not None:
            shape = as_image_shape(self.image_shape, self.X_train.shape[1])
            object.__setattr__(self, "image_shape", shape)
        for one, other in (("X_train", "X_test"), ("Y_train", "Y_test")):
            here, there = getattr(self, one).shape[1:], getattr(self, other).shape[1:]
            if here != there:
                raise ValueError(
                    f"{one} and {other} must have rows of one kind, got {here} and {there}"
                )

    @property
    def n_outputs(self) -> int:
        """How many outputs a network for these targets has: C, and 1 for two classes."""
        return 1 if self.Y_train.ndim == 1 else self.Y_train.shape[1]

    @property
    def threshold(self) -> float | None:
        """Midway between the two targets of two classes, above which an output is for the second.

        None for more classes, where the largest output decides, and for targets of other values
        than two.
        """
        if self.n_outputs > 1:
            return None
        values = np.unique(np.concatenate([self.Y_train.ravel(), self.Y_test.ravel()]))
        return float(values.mean()) if len(values) == 2 else None

    @property
    def labels_train(self) -> NDArray[np.intp]:
        """Of each training sample the place of its class in ``classes``, shape (n_train,).

        These are the labels of ``loss="softmax"``.

        Raises
        ------
        ValueError
            If the targets are of no classes.
        """
        return self.labels_of(self.Y_train)

    @property
    def labels_test(self) -> NDArray[np.intp]:
        """The same for the test samples, shape (n_test,)."""
        return self.labels_of(self.Y_test)

    def labels_of(self, outputs: ArrayLike) -> NDArray[np.intp]:
        """The place in ``classes`` of the class that each output, or target, is for.

        The largest of C outputs, the first of equal ones; of two classes the second above
        ``threshold``.

        Parameters
        ----------
        outputs : ndarray, shape (n,) or (n, C)

        Returns
        -------
        ndarray of int, shape (n,)

        Raises
        ------
        ValueError
            If the targets of the data set are of no classes, or for outputs of another shape and
            NaN.
        """
        outputs, C = as_array(outputs, "outputs"), self.n_outputs
        n = len(outputs) if outputs.ndim else 0
        if outputs.shape not in ([(n, C)] if C > 1 else [(n,), (n, 1)]):
            shape = f"(n, {C})" if C > 1 else "(n,)"
            raise ValueError(f"outputs must have shape {shape}, got shape {outputs.shape}")
        if bool((outputs != outputs).any()):
            raise ValueError("outputs contains NaN, which is of no class")
        if C > 1:
            return outputs.argmax(axis=1)
        threshold = self.threshold
        if threshold is None:
            raise ValueError(
                f"the targets of {self.name} are of no classes: they have not two values"
            )
        return (outputs.reshape(-1) > threshold).astype(np.intp)

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {len(self.X_train)} training and {len(self.X_test)} test "
            f"samples of dimension {self.X_train.shape[1]})"
        )


def as_image_shape(shape: Any, pixels: int) -> tuple[int, ...]:
    """The shape of an image of so many pixels."""
    if not isinstance(shape, tuple | list):
        raise TypeError(f"image_shape must be a tuple of integers or None, got {said(shape)}")
    found = tuple(as_count(n, name=f"image_shape[{i}]") for i, n in enumerate(shape))
    if math.prod(found) != pixels:
        raise ValueError(
            f"image_shape = {said(found)} must be that of an image of {pixels} pixels, the columns "
            "of X_train"
        )
    return found
