"""`load_data(classes=...)`: labels of any kind, chosen by value."""

import dataclasses

import numpy as np
import pytest

import ntklin
from ntklin.data.labels import as_classes

INTEGERS = np.arange(12) % 3
# By kind: labels, and how its users write the first two of them.
KINDS = {
    "int": (INTEGERS, (0, 1)),
    "negative": (INTEGERS - 1, (-1, 0)),
    "huge": (INTEGERS.astype(np.uint64) + np.uint64(2**63 + 1), (2**63 + 1, 2**63 + 2)),
    "float": (INTEGERS / 2, (0.0, 0.5)),
    "float32": ((INTEGERS / 10).astype(np.float32), (0.0, 0.1)),
    "bool": (INTEGERS == 1, (False, True)),
    "str": (INTEGERS.astype(str), ("0", "1")),
    "bytes": (INTEGERS.astype("S1"), (b"0", b"1")),
    "words": (np.array(["7 - sneaker", "Größe, M", ""])[INTEGERS], ("7 - sneaker", "Größe, M")),
    "bytes of words": (
        np.char.encode(np.array(["a\tb", "Größe, M", ""])[INTEGERS], "utf-8"),
        ("a\tb", "Größe, M"),
    ),
}


@pytest.fixture
def load(tmp_path):
    """Save one part with these labels and load classes of it: which samples are in, and Y."""

    def load(labels, classes, *, targets="01", **options):
        samples = np.eye(len(labels))
        np.savez(tmp_path / "labeled.npz", images=samples, labels=labels)
        path = tmp_path / "labeled.npz"
        options = {"n_train": 8, "n_test": 0} | options
        data = ntklin.load_data(path, classes=classes, targets=targets, **options)
        places = data.X_train.argmax(axis=1)
        order = np.argsort(places)
        return places[order].tolist(), data.Y_train[order].tolist()

    return load


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_chosen_by_value_and_their_order_fixes_the_targets(load, kind):
    labels, (first, second) = KINDS[kind]
    places = [i for i in range(12) if kind == "bool" or INTEGERS[i] < 2]
    ones = [float(INTEGERS[i] == 1) for i in places]
    size = {"n_train": len(places)}
    assert load(labels, (first, second), **size) == (places, ones)
    assert load(labels, (second, first), **size) == (places, [1 - one for one in ones])
    assert load(labels, [second, first], targets="pm1", **size)[1] == [1 - 2 * one for one in ones]
    assert load(labels[:, None], np.array([first, second]), **size) == (places, ones)


def as_text(label):
    return label.decode() if isinstance(label, bytes) else str(label)


@pytest.mark.parametrize("kind", KINDS)
def test_text_finds_the_label_that_is_written_so(load, kind):
    labels, classes = KINDS[kind]
    size = {"n_train": 12 if kind == "bool" else 8}
    for written in (tuple(map(as_text, classes)), tuple(as_text(c).encode() for c in classes)):
        assert load(labels, written, **size) == load(labels, classes, **size)


def test_numbers_find_the_strings_that_write_them(load):
    assert load(INTEGERS.astype(str), (0, 1)) == load(INTEGERS, (0, 1))
    assert load((INTEGERS / 2).astype(str), (0.5, 0.0)) == load(INTEGERS, (1, 0))


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (INTEGERS, (0, 7), "no samples of class 7; it has 0, 1, 2$"),
        (INTEGERS, (0, "7"), "no samples of class 7; it has 0, 1, 2$"),
        (INTEGERS, ("0", "True"), "no samples of class 'True'; it has 0, 1, 2$"),
        (INTEGERS, ("0", "cat"), "no samples of class 'cat'; it has 0, 1, 2$"),
        (INTEGERS, (0, 10**400), "no samples of class 10+; it has"),
        (INTEGERS / 2, (0, 10**400), "no samples of class 10+; it has"),
        (INTEGERS.astype(np.uint8), (0, -1), "no samples of class -1; it has"),
        (INTEGERS.astype(str), ("0", 7), "no samples of class '7'; it has '0', '1', '2'$"),
        (INTEGERS.astype(str), (0.0, 1), "no samples of class '0.0'; it has '0'"),
        (INTEGERS.astype(str), ("00", "1"), "no samples of class '00'; it has '0'"),
        (INTEGERS.astype("S1"), ("0", "7"), "no samples of class b'7'; it has b'0', b'1'"),
        (np.arange(40), (0, 77), r"it has 0, 1, .*, 18, 19, …$"),
        (INTEGERS, (0, "0"), "classes must be different labels, but 0 and '0' are the same"),
        (INTEGERS, ("1.0", "1"), "classes must be different labels, but '1.0' and '1' are the"),
        (INTEGERS, (0, 1, 2, "1"), "classes must be different labels, but 1 and '1' are the"),
        (INTEGERS.astype(str), (0, b"0"), "different labels, but 0 and b'0' are the same"),
        (INTEGERS, (0, 1, 2, 3), "no samples of class 3; it has 0, 1, 2$"),
    ],
)
def test_what_is_not_there_is_shown_with_its_type(load, labels, classes, message):
    with pytest.raises(ValueError, match=message):
        load(labels, classes)


def test_too_few_samples_are_told_with_the_labels(load):
    with pytest.raises(ValueError, match="has 8 samples of the classes '0' and '1'"):
        load(INTEGERS.astype(str), (0, 1), n_train=9)


def test_too_few_samples_of_several_classes(load):
    with pytest.raises(ValueError, match="has 12 samples of the classes 2, 0 and 1"):
        load(INTEGERS, (2, 0, 1), n_train=13)


@pytest.mark.parametrize("targets", ["01", "pm1"])
def test_more_than_two_classes_have_a_column_each(load, targets):
    """In the order of the classes, whatever that of the labels."""
    order, low = (2, 0, 1), {"01": 0.0, "pm1": -1.0}[targets]
    places, Y = load(INTEGERS, order, targets=targets, n_train=12)
    assert places == list(range(12))
    assert [[1.0 if label == c else low for c in order] for label in INTEGERS] == Y


def test_places_of_classes(tmp_path):
    """Of outputs as of targets: the largest of several, above the middle for two classes."""
    np.savez(tmp_path / "labeled.npz", images=np.eye(12) + 0.1, labels=np.array(list("cab") * 4))
    options = {"n_train": 8, "n_test": 4, "rng": 3}
    data = ntklin.load_data(tmp_path / "labeled.npz", classes=("a", "b", "c"), **options)
    assert data.classes == ("a", "b", "c")
    assert (data.n_outputs, data.threshold) == (3, None)
    for X, Y, labels in (
        (data.X_train, data.Y_train, data.labels_train),
        (data.X_test, data.Y_test, data.labels_test),
    ):
        assert [("cab" * 4)[i] for i in X.argmax(axis=1)] == ["abc"[k] for k in labels]
        np.testing.assert_array_equal(Y, np.eye(3)[labels])
    np.testing.assert_array_equal(data.labels_of(np.array([[0.1, 0.3, 0.2], [2, 2, 1]])), [1, 0])

    options |= {"n_train": 5, "n_test": 3}
    pair = ntklin.load_data(tmp_path / "labeled.npz", classes=("c", "b"), targets="pm1", **options)
    assert (pair.n_outputs, pair.threshold) == (1, 0.0)
    np.testing.assert_array_equal(pair.labels_train, (pair.Y_train + 1) / 2)
    np.testing.assert_array_equal(pair.labels_of(np.array([-0.1, 0.1, 0.0])), [0, 1, 0])
    with pytest.raises(ValueError, match=r"outputs must have shape \(n,\), got shape \(2, 3\)"):
        pair.labels_of(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"outputs must have shape \(n, 3\), got shape \(2, 2\)"):
        data.labels_of(np.zeros((2, 2)))
    real = dataclasses.replace(pair, Y_train=np.arange(5.0))
    assert real.threshold is None
    with pytest.raises(ValueError, match="are of no classes"):
        _ = real.labels_test


def test_large_integers_are_not_compared_as_floats(load):
    labels = np.array([2**53, 2**53 + 1] * 3)
    assert load(labels, (2**53 + 1, 2**53), n_train=6)[1] == [1, 0] * 3
    with pytest.raises(ValueError, match=f"no samples of class {2**53 - 1}"):
        load(labels, (2**53, 2**53 - 1))


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ({0, 1}, TypeError, "classes must be in order, as in a tuple, got the set"),
        ((0, None), TypeError, "numbers or strings, got None"),
        ((0, [1]), TypeError, r"numbers or strings, got \[1\]"),
        (np.ma.array([0, 1], mask=[0, 1]), TypeError, "classes is a masked array"),
        ((np.int8(1), 1.0), ValueError, "different labels, but 1 and 1.0 are the same"),
        ((np.int8(1),), ValueError, "two or more labels"),
        ((0, 1, True), ValueError, "different labels, but 1 and True are the same"),
    ],
)
def test_what_are_no_labels(classes, error, message):
    with pytest.raises(error, match=message):
        as_classes(classes)


def test_labels_of_libraries_become_plain_ones():
    assert as_classes(np.array(["a", "b"])) == ("a", "b")
    plain = as_classes((np.str_("a"), np.array(1)))
    assert [type(label) for label in plain] == [str, int]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.eye(12), np.eye(3)[INTEGERS], r"got \(12, 3\); store one-hot labels as .*argmax"),
        (np.eye(12), INTEGERS.astype("M8[D]"), "labels must be numbers or strings, got dtype date"),
        (np.eye(12), INTEGERS.astype(object), r"'labels' holds Python obj.*labels\.astype\(str\)"),
        (np.eye(12), INTEGERS + 0j, "labels must be numbers or strings, got dtype complex"),
        (np.ones((12, 0), int), INTEGERS, r"there are none, the shape is \(12, 0\)"),
        (np.ones((0, 3), int), INTEGERS[:0], r"there are none, the shape is \(0, 3\)"),
    ],
)
def test_files_whose_labels_or_samples_are_none(tmp_path, images, labels, message):
    np.savez(tmp_path / "odd.npz", images=images, labels=labels)
    with pytest.raises(ntklin.DataUnavailableError, match=message):
        ntklin.load_data(tmp_path / "odd.npz", 2, 2)


def test_arrays_in_memory_are_told_that_they_need_no_loader():
    for arrays in ({"images": np.eye(3)}, (np.eye(3), np.zeros(3)), np.eye(3)):
        with pytest.raises(TypeError, match=r"name or a path.*arrays in memory need no loader"):
            ntklin.load_data(arrays)


def test_images_of_any_shape(tmp_path):
    images = np.random.default_rng(0).random((12, 1, 2, 3)).astype(np.float16)
    np.savez(tmp_path / "images.npz", images=images, labels=INTEGERS.astype(str))
    data = ntklin.load_data(tmp_path / "images.npz", 5, 3, classes=("2", "0"))
    assert data.X_train.shape == (5, 6)
    assert data.image_shape == (1, 2, 3)
