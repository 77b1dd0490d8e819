"""Data and proofs with hostile arguments."""

import os
from pathlib import Path
from unittest import mock

import numpy as np

import ntklin
from fuzz.arguments import (
    DTYPE,
    INPUTS,
    NEW,
    PLACES,
    PROGRESS,
    RNG,
    TARGETS,
    X_NEW,
    Call,
    X,
    Y,
    array,
    count,
    data,
    is_much,
    none,
    text,
    thing,
)
from fuzz.oddities import ASKED
from ntklin.data.download import DATA_DIR_VARIABLE


def load_from(name_or_path, folder):
    """Data of a folder that the environment names; nothing is downloaded."""
    try:
        root = os.fsdecode(folder)
        os.fsencode(root)
    except (TypeError, UnicodeEncodeError):
        raise ZeroDivisionError(ASKED) from None
    if "\0" in root:  # no environment holds it
        raise ZeroDivisionError(ASKED)
    with (
        mock.patch.dict(os.environ, {DATA_DIR_VARIABLE: root}),
        mock.patch("ntklin.data.download.download", side_effect=OSError("no network")),
        mock.patch("ntklin.data.download.cache_folder", return_value=Path("cache")),
    ):
        return ntklin.load_data(name_or_path, 4, 2)


def load_archive(**arrays):
    """Data of an archive with these arrays."""
    try:
        np.savez("archive.npz", **arrays)
    except Exception:  # what no archive holds
        raise ZeroDivisionError(ASKED) from None
    return ntklin.load_data("archive.npz", 3, 2)


IMAGES = array(np.arange(1.0, 33.0).reshape(8, 2, 2), unless=lambda a: np.size(a) > 10**6)
LABELS = array(np.arange(8) % 2)


DATA = {
    "load_data of an archive": Call(lambda: load_archive, {"images": IMAGES, "labels": LABELS}),
    "load_data of an archive of two parts": Call(
        lambda: load_archive,
        {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS},
    ),
    "load_data from NTKLIN_DATA_DIR": Call(
        lambda: load_from,
        {
            "name_or_path": text("mnist", *("fashion_mnist", "mnist_like", "mnist01")),
            "folder": text(".", "a-folder", *PLACES),
        },
    ),
    "load_data": Call(
        lambda: ntklin.load_data,
        {
            "name_or_path": text("mnist01", *("fashion01", "mnist_like", "MNIST01", *PLACES)),
            "n_train": count(4, 10**4, 10**12),
            "n_test": count(2, 10**4, 10**12),
            "classes": thing(
                lambda: (0, 1),
                *((1, 0), (0,), (0, 0), (0, 7), ("0", "1"), (0.0, 1.0), (b"0", b"1"), (None, 1)),
                *((np.nan, 1), (True, False), [[0], [1]], "01", {0, 1}, np.array([0, 1]), 5),
                *((1j, 0), ((0,), (1,)), (10**400, 0), iter((0, 1))),
            ),
            "rng": RNG,
            "targets": text("01", "pm1", "PM1"),
            "dtype": DTYPE,
            "progress": PROGRESS,
        },
    ),
    "Dataset": Call(
        lambda: ntklin.Dataset,
        {
            "name": text("d"),
            "X_train": INPUTS,
            "Y_train": TARGETS,
            "X_test": NEW,
            "Y_test": array(Y[:2]),
            "provenance": text("here"),
            "image_shape": none((1, 2)),
            "classes": thing(tuple, (0, 1)),
        },
        is_linear=True,  # what it is given is what it has
    ),
    "Dataset.labels_of": Call(lambda: data().labels_of, {"outputs": TARGETS}),
    "certify": Call(
        lambda: ntklin.certify,
        {
            "K": array(2 * np.eye(4)),
            "Y": TARGETS,
            "K_new": array(X_NEW @ X.T, unless=is_much),
            "f0": array(0 * Y),
            "f0_new": array(X_NEW[0]),
            "radii": none(
                *({"K": 1e-12}, {"K": -1}, {"Y": "x"}, {"x": 1}, {"K": np.nan}, {"Y": np.ones(4)}),
                *({"K": None}, {None: 1}, {"Y": np.ones((2, 2))}, {"K": 1e300}, [("K", 1)], "K"),
            ),
            "precision": count(64, 2000, 2**25),
        },
    ),
    "Enclosure.distance": Call(
        lambda: ntklin.certify(2 * np.eye(4), Y).coefficients.distance, {"approximation": TARGETS}
    ),
    "device_namespace": Call(
        lambda: ntklin.device_namespace, {"device": text("cpu", "gpu", "CPU")}
    ),
}
