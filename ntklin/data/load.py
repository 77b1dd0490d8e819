"""`load_data`: from a name or a path to rows and targets."""

import os
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.data.dataset import Dataset
from ntklin.data.download import REMOTES, read_remote
from ntklin.data.embedded import PROVENANCE, read_embedded
from ntklin.data.idx import read_folder
from ntklin.data.labels import Label, as_classes
from ntklin.data.likeness import LIKENESSES, deform, read_likeness
from ntklin.data.npz import read_npz
from ntklin.data.selection import as_targets, choose, unit_rows
from ntklin.data.source import Source
from ntklin.edge.checks import as_float_dtype, as_generator, as_path, as_progress, as_step
from ntklin.edge.errors import DataUnavailableError
from ntklin.edge.faces.bars import CountMeter, followed
from ntklin.edge.files.names import at_home, shown
from ntklin.edge.values import said

NAMES = (*PROVENANCE, *REMOTES, *LIKENESSES)
TARGETS = {"01": (0, 1), "pm1": (-1, 1)}
Progress = Callable[[int, int], object]


def load_data(
    name_or_path: str | os.PathLike[str] = "mnist01",
    n_train: int = 100,
    n_test: int = 100,
    classes: Sequence[Label] | ArrayLike = (0, 1),
    rng: int | np.random.Generator | None = 0,
    *,
    targets: Literal["01", "pm1"] = "01",
    dtype: DTypeLike = float,
    progress: Progress | bool | None = None,
) -> Dataset:
    """Classes of a data set as rows x / ‖x‖ and targets: numbers for two classes, else one-hot.

    Parameters
    ----------
    name_or_path : str or path
        ``"mnist01"`` or ``"fashion01"``: embedded, classes 0 and 1 only. ``"mnist"`` or
        ``"fashion_mnist"``: all 70,000 images, from the folder that the environment variable
        ``NTKLIN_DATA_DIR`` names, else from the user's cache, else downloaded into it. Or the
        path of a folder of IDX files, gzipped or not, or of an ``.npz`` archive with ``images``
        and ``labels`` or with Keras's ``x_train``, ``y_train``, ``x_test``, ``y_test``; its
        samples may be plain feature vectors, shape (n, d). Or ``"mnist_like"`` or
        ``"fashion_mnist_like"``: any number of random deformations of such images, of the embedded
        ones for the classes 0 and 1, of the full set's for others.
    n_train, n_test : int
        Samples to draw, without repetition and without balancing the classes: from the training
        and the test part where the data has both, else disjoint ones from its only part.
        Deformations are made, not drawn: sample i of each set depends on the seed, the classes and
        i alone, and the two sets are made of different images.
    classes : sequence of labels
        Numbers or strings, each once, in the order in which they count. Of two classes the first
        gets the lower target, the second the higher, and targets are (n,). Of C > 2 classes each
        has a column of its own, (n, C), which is higher on its samples. A label and a class are the
        same where one is how the other is written: 0 finds the labels 0 and "0".
    rng : int, numpy.random.Generator or None
        The same seed gives the same samples; None draws fresh ones.
    targets : {"01", "pm1"}
        0 and 1, or −1 and +1: for more than two classes one-hot rows, or each class against all
        others.
    dtype : {float64, float32}
        The type of rows and targets.
    progress : callable or bool, optional
        Called as ``progress(done, n_train + n_test)`` after each block of samples. True shows
        a bar.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        For an unknown name or option, a class that is absent or comes twice, more samples than
        there are, or a sample that is zero everywhere.
    DataUnavailableError
        If a file is absent or damaged, or no mirror gave it.
    MemoryLimitError
        If so many samples do not fit.

    Examples
    --------
    >>> data = load_data("mnist01", n_train=100, n_test=50)
    >>> data.X_train.shape, data.Y_test.shape
    ((100, 784), (50,))
    >>> data.labels_test[:5]  # places in data.classes, for any number of classes
    array([1, 0, 0, 0, 1])
    """
    n_train = as_step(n_train, name="n_train", minimum=1)
    n_test = as_step(n_test, name="n_test")
    classes = as_classes(classes)
    if not isinstance(targets, str) or targets not in TARGETS:
        raise ValueError(f'targets must be "01" or "pm1", got {said(targets)}')
    dtype = as_float_dtype(dtype, error=ValueError)
    rng, progress = as_generator(rng), as_progress(progress)

    drawn: Any
    if isinstance(name_or_path, str) and name_or_path in LIKENESSES:
        source = read_likeness(name_or_path, classes)
        drawn = deform(source, n_train, n_test, classes, rng)
    else:
        source = find_source(name_or_path)
        drawn = choose(source, n_train, n_test, classes, rng)
    shape, arrays = source.train.samples.shape[1:], {}
    with followed(progress, lambda: CountMeter("samples")) as told:
        for key, one, before in zip(("train", "test"), drawn, (0, n_train), strict=True):
            tell = partial(_tell, told, before, n_train + n_test)
            arrays[f"X_{key}"] = unit_rows(one, shape, dtype, tell)
            arrays[f"Y_{key}"] = as_targets(one.labels, classes, TARGETS[targets], dtype)
    return Dataset(
        name=source.name,
        provenance=source.provenance,
        image_shape=source.image_shape,
        classes=classes,
        **arrays,
    )


def _tell(progress: Progress | None, before: int, total: int, done: int) -> None:
    """That ``done`` samples of a set are there, beside ``before`` ones of another."""
    if progress is not None:
        progress(before + done, total)


def find_source(name_or_path: str | os.PathLike[str]) -> Source:
    """The `Source` behind a name or a path; names go first."""
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(
            f"name_or_path must be a name or a path, got {said(name_or_path)}; "
            "arrays in memory need no loader: pass them to ntklin.linearize or ntklin.train"
        )
    text = as_path(name_or_path, name="name_or_path", what="a name or a path")
    if not text:
        raise ValueError("the data set's name is empty; for the current folder write .")
    if isinstance(name_or_path, str) and name_or_path in PROVENANCE:
        return read_embedded(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in REMOTES:
        return read_remote(name_or_path)
    path = Path(at_home(text))
    if exists(path):
        return read_path(path)
    if isinstance(name_or_path, str) and path.name == name_or_path and not path.suffix:
        close = get_close_matches(name_or_path.lower(), NAMES)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"no data set or path is called {name_or_path!r}; the names are {', '.join(NAMES)}, "
            f"and anything else is the path of a folder of IDX files or of an .npz archive.{hint}"
        )
    raise DataUnavailableError(f"{shown(path)}: no such file or folder")


def exists(path: Path) -> bool:
    """Whether there is something to read; DataUnavailableError where one cannot even look."""
    try:
        return path.exists()
    except OSError as e:  # a name that is too long, a folder that is closed
        raise DataUnavailableError(f"{shown(path)} cannot be read: {e.strerror}") from e


def read_path(path: Path) -> Source:
    """The `Source` in a folder of IDX files or in an ``.npz`` archive."""
    read = read_folder if path.is_dir() else read_npz
    name = shown(path)
    return read(path, name, f"local files: {name}")
