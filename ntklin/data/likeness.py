"""Data like MNIST and Fashion-MNIST, of any size: deformations of their images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntklin.data.deformed import TEST, TRAIN, Deformed
from ntklin.data.download import read_remote
from ntklin.data.embedded import read_embedded
from ntklin.data.labels import Label, all_in_kind_of, of_class
from ntklin.data.selection import rows_of
from ntklin.data.source import Part, Source

# Of an embedded set, which has one part only, every fifth image is for test samples.
FIFTH = 5
SEEDS = 2**63


@dataclass(frozen=True)
class Likeness:
    """Of which stored sets the images are.

    Attributes
    ----------
    embedded : str
        For classes that it has: so that these need no network, and are the same everywhere.
    full : str
        For all other classes.
    """

    embedded: str
    full: str


LIKENESSES = {
    "mnist_like": Likeness("mnist01", "mnist"),
    "fashion_mnist_like": Likeness("fashion01", "fashion_mnist"),
}


def read_likeness(name: str, classes: Sequence[Label]) -> Source:
    """The images that samples are made of, those for training and those for test apart.

    Parameters
    ----------
    name : str
        A name in ``LIKENESSES``.
    classes : sequence of labels
        Of which the images are.

    Returns
    -------
    Source
    """
    likeness = LIKENESSES[name]
    stored = read_embedded(likeness.embedded)
    in_it = all_in_kind_of(stored.train.labels, classes)
    if not all(of_class(stored.train.labels, label).any() for label in in_it):
        stored = read_remote(likeness.full)
    train, test = stored.train, stored.test
    if test is None:
        for_test = np.arange(len(train.labels)) % FIFTH == FIFTH - 1
        test = Part(train.samples[for_test], train.labels[for_test])
        train = Part(train.samples[~for_test], train.labels[~for_test])
    provenance = (
        f"{name}, not {likeness.full} itself: random elastic deformations and shifts of images "
        f"from {stored.provenance}"
    )
    return Source(name, provenance, train, test)


def deform(
    source: Source, n_train: int, n_test: int, classes: Sequence[Label], rng: np.random.Generator
) -> tuple[Deformed, Deformed]:
    """Training and test samples, of other images each; all that is random comes from one seed.

    Returns
    -------
    train, test : Deformed
    """
    seed = int(rng.integers(SEEDS))
    made = []
    parts = (
        (source.train, n_train, TRAIN, "training"),
        (source.test or source.train, n_test, TEST, "test"),
    )
    for part, n, stream, kind in parts:
        where = f"the {kind} part of {source.name}"
        rows = rows_of(part, classes, where)
        made.append(Deformed(part.samples[rows], part.labels[rows], n, seed, stream, where))
    return made[0], made[1]
