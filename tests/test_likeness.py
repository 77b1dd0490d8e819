"""`load_data("mnist_like")`: as many samples as wanted, each a deformation of a stored image."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import pdist
from test_data import write_idx

import ntklin
from ntklin.data import deformed
from ntklin.data.likeness import LIKENESSES, deform, read_likeness

EMBEDDED = Path(ntklin.__file__).parent / "data"
EPS = np.finfo(float).eps
names = pytest.mark.parametrize("name", LIKENESSES)
load = partial(ntklin.load_data, "mnist_like")


def drawn(name="mnist_like", n_train=20, n_test=10, seed=0):
    rng = np.random.default_rng(seed)
    return deform(read_likeness(name, (0, 1)), n_train, n_test, (0, 1), rng)


def naive(train, i):
    """Sample i pixel by pixel: smooth noise from SciPy's filter, then bilinear interpolation."""
    height, width = train.images.shape[1:]
    n = 3 + 2 * height * width
    bits = np.random.Philox(key=train.seed, counter=[0, 0, i, train.stream]).random_raw(n)
    numbers = [int(b) // 2**11 / 2**53 for b in bits]
    image = train.images[int(numbers[0] * len(train.images))].astype(float)
    moves = 2 * np.array(numbers[1:]) - 1
    noise = moves[2:].reshape(2, height, width)
    field = [34 * gaussian_filter(noise[k], 4, mode="constant") + 2 * moves[k] for k in (0, 1)]

    def grey(y, x):
        return image[y, x] if 0 <= y < height and 0 <= x < width else 0.0

    made = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v, u = y + field[0][y, x], x + field[1][y, x]
            top, left = int(np.floor(v)), int(np.floor(u))
            b, r = v - top, u - left
            made[y, x] = (1 - b) * ((1 - r) * grey(top, left) + r * grey(top, left + 1)) + b * (
                (1 - r) * grey(top + 1, left) + r * grey(top + 1, left + 1)
            )
    return made


@names
def test_samples_are_what_a_pixel_at_a_time_gives(name):
    train, _ = drawn(name)
    for i, sample in enumerate(train.samples(0, 3)):
        np.testing.assert_allclose(sample, naive(train, i), rtol=0, atol=1e5 * EPS)


def test_without_deformation_samples_are_stored_images(monkeypatch):
    monkeypatch.setattr(deformed, "STRENGTH", 0)
    monkeypatch.setattr(deformed, "SHIFT", 0)
    for part in drawn():
        for sample, label in zip(part.samples(0, 10), part.labels, strict=False):
            (origins,) = np.nonzero((part.images == sample).all(axis=(1, 2)))
            assert label in part.image_labels[origins]


def test_any_block_can_be_made_alone():
    for part, n in zip(drawn(), (20, 10), strict=True):
        np.testing.assert_array_equal(part.samples(4, 9), part.samples(0, n)[4:9])


@names
def test_fewer_samples_are_the_first_of_more(name):
    small, large = (ntklin.load_data(name, n, n // 2, rng=3) for n in (10, 1500))
    np.testing.assert_array_equal(small.X_train, large.X_train[:10])
    np.testing.assert_array_equal(small.Y_train, large.Y_train[:10])
    np.testing.assert_array_equal(small.X_test, large.X_test[:5])


def test_samples_depend_on_the_seed_and_the_set():
    X = load(5, 5).X_train
    assert not np.isclose(X, load(5, 5, rng=1).X_train).all(axis=1).any()
    assert not np.isclose(X, load(5, 5).X_test).all(axis=1).any()
    np.testing.assert_array_equal(X, load(5, 5, rng=np.random.default_rng(0)).X_train)


def test_stored_values():
    """The same everywhere, up to the rounding of sums."""
    data = load(200, 100, rng=7)
    assert (data.Y_train.sum(), data.Y_test.sum()) == (100, 38)
    weights = np.arange(784) / 784
    assert data.X_train.sum(axis=0) @ weights == pytest.approx(1142.1649488647513, rel=1e-12)
    assert data.X_test.sum(axis=0) @ weights == pytest.approx(586.942441252554, rel=1e-12)


@names
def test_training_and_test_samples_are_of_different_images(name):
    train, test = drawn(name)
    with np.load(EMBEDDED / f"{LIKENESSES[name].embedded}.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    both = np.concatenate([train.images, test.images])
    assert {image.tobytes() for image in both} == {image.tobytes() for image in images}
    assert {i.tobytes() for i in train.images}.isdisjoint(i.tobytes() for i in test.images)
    assert len(test.images) == pytest.approx(len(images) / 5, abs=1)
    for part in (train, test):  # both classes, as often as they are
        assert part.image_labels.mean() == pytest.approx(labels.mean(), abs=0.05)


@names
def test_no_two_samples_are_nearly_equal(name):
    data = ntklin.load_data(name, 1500, 500)
    X = np.concatenate([data.X_train, data.X_test])
    assert np.linalg.norm(X, axis=1) == pytest.approx(1, abs=8 * EPS)
    assert pdist(X).min() > 0.03
    theta = ntklin.infinite_ntk(ntklin.MLP((784, 100, 1)), X[:300])
    assert np.linalg.eigvalsh(theta)[0] > 0.01


def test_other_classes_are_made_of_the_full_set(tmp_path, monkeypatch):
    write_idx(tmp_path / "mnist")
    monkeypatch.setenv("NTKLIN_DATA_DIR", str(tmp_path))
    data = load(50, 9, classes=range(3))
    assert data.Y_train.shape == (50, 3)
    assert data.image_shape == (3, 2)
    assert "70,000" in data.provenance
    monkeypatch.setenv("NTKLIN_DATA_DIR", "")
    assert "2,128" in load(5, 5, classes=("1", "0")).provenance


@pytest.mark.parametrize(("absent", "part"), [(7, "training"), (2, "test")])
def test_a_class_without_images_is_told_with_the_part_that_lacks_it(
    absent, part, tmp_path, monkeypatch
):
    write_idx(tmp_path / "mnist", test=2)
    monkeypatch.setenv("NTKLIN_DATA_DIR", str(tmp_path))
    message = f"the {part} part of mnist_like has no samples of class {absent}"
    with pytest.raises(ValueError, match=message):
        load(5, 5, classes=(0, absent))


def test_the_order_of_classes_changes_targets_alone():
    a, b = load(9, 5), load(9, 5, classes=(1, 0))
    np.testing.assert_array_equal(a.X_train, b.X_train)
    np.testing.assert_array_equal(a.Y_train, 1 - b.Y_train)


@pytest.mark.parametrize("name", ["mnist_like", "mnist01"])
def test_progress_counts_both_sets(name):
    told = []
    ntklin.load_data(name, 1100, 300, progress=lambda *counts: told.append(counts))
    assert told == [(1024, 1400), (1100, 1400), (1400, 1400)]


def test_what_does_not_fit_is_refused_beforehand(monkeypatch):
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 10**9)
    with pytest.raises(ntklin.MemoryLimitError, match="1000000 samples of dimension 784 needs"):
        load(10**6, 10)


def test_outputs_say_what_the_data_is(tmp_path):
    options = ("--n-train", "8", "--n-test", "4", "--width", "20", "--sigma", "1", "--no-train")
    data = ("--data", "mnist_like", "--optimizer", "none", "--out", str(tmp_path))
    done = invoke("minimizer", *options, *data)
    assert done.exit_code == 0, done.output
    config = json.loads((tmp_path / "results.json").read_text())["config"]
    assert config["data"] == "mnist_like"
    assert "not mnist itself" in config["provenance"]
    page = (tmp_path / "report.html").read_text()
    assert "mnist_like" in page
    assert "not mnist itself" in page
