"""`load_data`: embedded sets, local files, downloads from a server on this machine."""

import dataclasses
import gzip
import hashlib
import logging
import os
import re
import shutil
import socket
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import ntklin
from ntklin.data import download
from ntklin.data import idx as idx_module
from ntklin.data.idx import parse_idx

EMBEDDED = Path(ntklin.__file__).parent / "data"
EPS = np.finfo(float).eps


@pytest.fixture(autouse=True)
def no_data_dir(monkeypatch):
    monkeypatch.delenv("NTKLIN_DATA_DIR", raising=False)


def idx_bytes(array, code=0x08):
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def samples_and_labels(n, seed, shape=(3, 2)):
    """``n`` samples of three classes in turn; the first entry, 10 + i, tells the sample."""
    samples = np.random.default_rng(seed).integers(1, 255, (n, *shape)).astype(np.uint8)
    samples.reshape(n, -1)[:, 0] = 10 + np.arange(n)
    return samples, np.arange(n, dtype=np.uint8) % 3


def write_idx(folder, train=18, test=9, suffix=".gz", name="{}-{}-{}-ubyte"):
    """The four files of a tiny MNIST; returns file name → SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for part, n, seed in (("train", train, 1), ("t10k", test, 2)):
        samples, labels = samples_and_labels(n, seed)
        for kind, idx, array in (("images", "idx3", samples), ("labels", "idx1", labels)):
            data = idx_bytes(array)
            if suffix:
                data = gzip.compress(data, mtime=0)
            filename = name.format(part, kind, idx) + suffix
            (folder / filename).write_bytes(data)
            digests[filename] = hashlib.sha256(data).hexdigest()
    return digests


def origins(X, samples):
    """Which sample each row was made from: the row is parallel to it."""
    units = samples.reshape(len(samples), -1).astype(float)
    units /= np.linalg.norm(units, axis=1)[:, None]
    cosines = X @ units.T
    assert cosines.max(axis=1) == pytest.approx(1, abs=32 * EPS)
    return cosines.argmax(axis=1)


@pytest.mark.parametrize("name", ["mnist01", "fashion01"])
def test_embedded_rows_are_scaled_images_with_their_labels(name):
    data = ntklin.load_data(name, n_train=60, n_test=40)
    with np.load(EMBEDDED / f"{name}.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    assert data.X_train.shape == (60, 784)
    assert data.X_test.shape == (40, 784)
    assert data.image_shape == (28, 28)
    X = np.concatenate([data.X_train, data.X_test])
    assert np.linalg.norm(X, axis=1) == pytest.approx(1, abs=8 * EPS)
    rows = origins(X, images)
    assert len(set(rows)) == 100
    np.testing.assert_array_equal(np.concatenate([data.Y_train, data.Y_test]), labels[rows])
    greys = images[rows].reshape(100, 784) / 255
    np.testing.assert_allclose(X, greys / np.linalg.norm(greys, axis=1)[:, None], rtol=16 * EPS)


@pytest.mark.parametrize(
    ("name", "counts", "license"),
    [("mnist01", (1001, 1127), "CC BY-SA 3.0"), ("fashion01", (1018, 1110), "MIT")],
)
def test_embedded_archives_are_what_their_license_file_says(name, counts, license):
    with np.load(EMBEDDED / f"{name}.npz") as archive:
        assert tuple(np.bincount(archive["labels"])) == counts
    text = (EMBEDDED / "LICENSES.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}.npz`"))
    assert license in row
    assert all(f"{count:,}" in row for count in counts)
    assert license in ntklin.load_data(name, 1, 1).provenance


def test_the_same_seed_gives_the_same_samples():
    a, b = (ntklin.load_data("mnist01", 20, 10, rng=3) for _ in range(2))
    c = ntklin.load_data("mnist01", 20, 10, rng=np.random.default_rng(3))
    for other in (b, c):
        np.testing.assert_array_equal(a.X_train, other.X_train)
        np.testing.assert_array_equal(a.Y_test, other.Y_test)
    for rng in (4, None):
        different = ntklin.load_data("mnist01", 20, 10, rng=rng)
        assert not np.array_equal(a.X_train, different.X_train)


def test_more_training_samples_extend_the_set_and_keep_the_test_samples():
    small = ntklin.load_data("mnist01", 20, 10)
    large = ntklin.load_data("mnist01", 50, 10)
    np.testing.assert_array_equal(small.X_train, large.X_train[:20])
    np.testing.assert_array_equal(small.X_test, large.X_test)


def test_results_share_no_memory():
    first = ntklin.load_data("mnist01", 5, 5)
    kept = first.X_train.copy()
    first.X_train[:] = 7
    np.testing.assert_array_equal(ntklin.load_data("mnist01", 5, 5).X_train, kept)


def test_targets_follow_the_order_of_the_classes():
    plain = ntklin.load_data("mnist01", 30, 5)
    signed = ntklin.load_data("mnist01", 30, 5, targets="pm1")
    swapped = ntklin.load_data("mnist01", 30, 5, classes=(1, 0))
    assert set(plain.Y_train) == {0, 1}
    np.testing.assert_array_equal(signed.Y_train, 2 * plain.Y_train - 1)
    np.testing.assert_array_equal(swapped.Y_train, 1 - plain.Y_train)
    np.testing.assert_array_equal(swapped.X_train, plain.X_train)


def test_float32_is_the_rounded_float64():
    double = ntklin.load_data("mnist01", 6, 6)
    single = ntklin.load_data("mnist01", 6, 6, dtype=np.float32)
    for field in ("X_train", "Y_train", "X_test", "Y_test"):
        array = getattr(single, field)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, getattr(double, field).astype(np.float32))


def test_a_test_set_may_be_empty():
    assert ntklin.load_data("mnist01", 5, 0).X_test.shape == (0, 784)


def test_dataset_is_frozen_and_prints_short():
    data = ntklin.load_data("mnist01", 5, 4)
    text = "Dataset('mnist01', 5 training and 4 test samples of dimension 784)"
    assert repr(data) == text
    with pytest.raises(dataclasses.FrozenInstanceError, match="X_train"):
        data.X_train = None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"classes": (0, 1, 2)}, ValueError, r"no samples of class 2; it has 0, 1"),
        ({"classes": (0,)}, ValueError, r"classes must be two or more labels, got \(0,\)"),
        ({"classes": (1, 1)}, ValueError, r"different labels, but 1 and 1 are the same"),
        ({"classes": 1}, TypeError, r"classes must be a sequence of labels, got 1"),
        ({"classes": (0, 7)}, ValueError, r"no samples of class 7; it has 0, 1"),
        ({"classes": "ab"}, ValueError, r"no samples of class 'a'; it has 0, 1"),
        ({"n_train": 2000, "n_test": 500}, ValueError, r"n_train \+ n_test = 2500, but .* 2128"),
        ({"n_train": 0}, ValueError, r"n_train must be at least 1, got 0"),
        ({"n_test": -1}, ValueError, r"n_test must be at least 0, got -1"),
        ({"n_train": 2.5}, TypeError, r"n_train must be an integer, got 2\.5"),
        ({"targets": "12"}, ValueError, r'targets must be "01" or "pm1", got \'12\''),
        ({"dtype": np.float16}, ValueError, r"dtype must be float32 or float64, got float16"),
        ({"name_or_path": 3}, TypeError, r"must be a name or a path, got 3"),
        ({"name_or_path": "Mnist"}, ValueError, r"'Mnist'.*fashion01, mnist,.*mean 'mnist'"),
        ({"name_or_path": "fashion-mnist"}, ValueError, r"mean 'fashion_mnist'"),
        ({"name_or_path": "cifar"}, ValueError, r"'cifar'; the names are mnist01[^?]*$"),
        ({"name_or_path": "no/such"}, ntklin.DataUnavailableError, r"no/such: no such file"),
        ({"name_or_path": "none.npz"}, ntklin.DataUnavailableError, r"none\.npz: no such file"),
        ({"name_or_path": Path("none")}, ntklin.DataUnavailableError, r"none: no such file"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        ntklin.load_data(**arguments)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
def test_idx_round_trip(code, dtype, compress):
    array = np.arange(-3, 21).astype(dtype).reshape(2, 3, 4)
    parsed = parse_idx(compress(idx_bytes(array, code)), "here")
    assert parsed.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], r"here should have 20 bytes for shape \(2, 4\), but has 19"),
        (lambda data: data + b"\0", r"here should have 20 bytes .* but has 21"),
        (lambda data: data[:7], r"here is not a whole IDX file"),
        (lambda data: b"", r"here is not a whole IDX file"),
        (lambda data: b"PNG" + data, r"here is not an IDX file: it begins 50 4e 47 00"),
        (lambda data: data[:2] + b"\x07" + data[3:], r"here is not an IDX file"),
        (lambda data: data[:1] + b"\x01" + data[2:], r"here is not an IDX file: it begins 00 01"),
        (lambda data: gzip.compress(data)[:-9], r"here is not a whole IDX file"),
        (lambda data: b"\x1f\x8b" + data, r"here is not a whole IDX file"),
    ],
)
def test_damaged_idx_files_are_refused(damage, message):
    data = damage(idx_bytes(np.arange(8, dtype=np.uint8).reshape(2, 4)))
    with pytest.raises(ntklin.DataUnavailableError, match=message):
        parse_idx(data, "here")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["{}-{}-{}-ubyte", "{}-{}.{}-ubyte"])
def test_folder_of_idx_files(tmp_path, suffix, name):
    write_idx(tmp_path, suffix=suffix, name=name)
    data = ntklin.load_data(tmp_path, 8, 4, classes=(2, 1))
    for part, X, Y, n, seed in (
        ("train", data.X_train, data.Y_train, 18, 1),
        ("test", data.X_test, data.Y_test, 9, 2),
    ):
        samples, labels = samples_and_labels(n, seed)
        rows = origins(X, samples)
        assert len(set(rows)) == len(rows), part
        np.testing.assert_array_equal(Y, labels[rows] == 1)
        assert set(labels[rows]) <= {1, 2}
    assert data.image_shape == (3, 2)
    assert data.provenance == f"local files: {tmp_path}"


def test_a_path_may_start_at_home(tmp_path, monkeypatch):
    write_idx(tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ntklin.load_data("~/mine", 2, 2).name == str(tmp_path / "mine")


def test_parts_are_counted_apart(tmp_path):
    write_idx(tmp_path)
    with pytest.raises(ValueError, match=r"n_train = 13, but the training part of .* has 12"):
        ntklin.load_data(tmp_path, 13, 2)
    with pytest.raises(ValueError, match=r"n_test = 7, but the test part of .* has 6"):
        ntklin.load_data(tmp_path, 12, 7)


def test_one_part_of_idx_files_serves_for_both(tmp_path):
    write_idx(tmp_path)
    for path in tmp_path.glob("train-*"):
        path.unlink()
    data = ntklin.load_data(str(tmp_path), 3, 3)
    rows = origins(np.concatenate([data.X_train, data.X_test]), samples_and_labels(9, 2)[0])
    assert len(set(rows)) == 6


def test_incomplete_folders_are_refused(tmp_path):
    with pytest.raises(ntklin.DataUnavailableError, match="holds no IDX files: expected train-"):
        ntklin.load_data(tmp_path)
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ntklin.DataUnavailableError, match="has the t10k images, but not the lab"):
        ntklin.load_data(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ntklin.DataUnavailableError, match="has the train labels, but not the im"):
        ntklin.load_data(tmp_path)


def test_an_unreadable_file_is_named(tmp_path, monkeypatch):
    write_idx(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(idx_module, "open_regular", refuse)
    with pytest.raises(
        ntklin.DataUnavailableError, match=r"train-images.* cannot be read: Permission denied"
    ):
        ntklin.load_data(tmp_path)


def test_npz_with_one_part_of_plain_features(tmp_path):
    X = np.random.default_rng(5).normal(size=(12, 4))
    X[3] *= 1e300
    X[4] *= 1e-300
    np.savez(tmp_path / "mine.npz", images=X, labels=np.tile([[5], [9]], (6, 1)))
    data = ntklin.load_data(tmp_path / "mine.npz", 8, 4, classes=(5, 9))
    assert data.image_shape is None
    rows = np.concatenate([data.X_train, data.X_test])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=8 * EPS)
    assert sorted(np.concatenate([data.Y_train, data.Y_test])) == [0] * 6 + [1] * 6


def test_npz_as_keras_writes_it(tmp_path):
    (x_train, y_train), (x_test, y_test) = samples_and_labels(18, 1), samples_and_labels(9, 2)
    path = tmp_path / "keras.npz"
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    data = ntklin.load_data(path, 12, 6)
    assert sorted(origins(data.X_test, x_test)) == [0, 1, 3, 4, 6, 7]


FLAT = np.ones((4, 3))
LABELS = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"images": FLAT}, OSError, r"must hold the arrays images, labels or x_train.*missing: x_"),
        (
            {"images": FLAT, "labels": LABELS[:3]},
            OSError,
            r"4 samples need labels .*\(4,\).*\(3,\)",
        ),
        ({"images": FLAT[0], "labels": LABELS}, OSError, r"samples must be numbers.*shape \(3,\)"),
        ({"images": FLAT.astype(str), "labels": LABELS}, OSError, r"must be numbers.*dtype <U"),
        (
            {"images": FLAT.astype(object), "labels": LABELS},
            OSError,
            r"'images' holds Python obj",
        ),
        ({"images": FLAT * np.nan, "labels": LABELS}, ValueError, r"images of .*NaN.*row 0"),
        ({"images": 0 * FLAT, "labels": LABELS}, ValueError, r"sample \d of .* is zero everywhere"),
        (
            {"x_train": FLAT, "y_train": LABELS, "x_test": FLAT[:, :2], "y_test": LABELS},
            OSError,
            r"training samples have shape \(3,\), test samples \(2,\)",
        ),
    ],
)
def test_npz_archives_that_do_not_fit_are_refused(tmp_path, arrays, error, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(error, match=message) as caught:
        ntklin.load_data(tmp_path / "bad.npz", 2, 2)
    assert isinstance(caught.value, ntklin.DataUnavailableError) == (error is OSError)


def test_the_zero_sample_is_named_by_its_place_in_the_file(tmp_path):
    images = np.ones((4, 3))
    images[2] = 0
    np.savez(tmp_path / "zero.npz", images=images, labels=LABELS)
    with pytest.raises(ValueError, match=r"sample 2 of .*zero\.npz is zero everywhere"):
        ntklin.load_data(tmp_path / "zero.npz", 3, 1)


def test_files_that_are_no_archives_are_refused(tmp_path):
    path = tmp_path / "text.npz"
    path.write_text("not an archive")
    with pytest.raises(ntklin.DataUnavailableError, match=r"text.npz is not an .npz archive"):
        ntklin.load_data(path)
    np.savez(path, images=FLAT, labels=LABELS)
    data = bytearray(path.read_bytes())
    data[data.index(FLAT.tobytes())] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ntklin.DataUnavailableError, match=r"text.npz cannot be read: Bad CRC"):
        ntklin.load_data(path)
    np.savez_compressed(path, images=np.random.default_rng(0).normal(size=(4, 3)), labels=LABELS)
    data = bytearray(path.read_bytes())
    data[80:120] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(ntklin.DataUnavailableError, match=r"text.npz cannot be read: Error -3"):
        ntklin.load_data(path)


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        pass


class Web:
    """A web of one server on this machine and a registry entry "mnist" that points to it."""

    def __init__(self, server, root, cache, monkeypatch):
        self.asked = server.asked
        self.root, self.cache = root, cache
        self.address = f"http://127.0.0.1:{server.server_port}"
        self.register = partial(monkeypatch.setitem, download.REMOTES, "mnist")

    def publish(self, *mirrors):
        """Serve the four files from each mirror."""
        for name in mirrors:
            digests = write_idx(self.root / name)
        addresses = tuple(f"{self.address}/{name}/" for name in mirrors)
        self.register(download.Remote("tiny", addresses, digests))


@pytest.fixture
def web(tmp_path, monkeypatch):
    root, cache = tmp_path / "web", tmp_path / "cache"
    root.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "cache_folder", lambda: cache)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Web(server, root, cache, monkeypatch)
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_once_then_from_the_cache(web):
    web.publish("a")
    first = ntklin.load_data("mnist", 6, 3)
    assert first.provenance == "tiny"
    assert len(web.asked) == 4
    again = ntklin.load_data("mnist", 6, 3)
    assert len(web.asked) == 4
    np.testing.assert_array_equal(first.X_train, again.X_train)
    assert (web.cache / "mnist" / "t10k-labels-idx1-ubyte.gz").is_file()


def test_a_failing_mirror_is_asked_once(web):
    web.publish("a", "b")
    shutil.rmtree(web.root / "a")
    ntklin.load_data("mnist", 6, 3)
    assert [path.split("/")[1] for path in web.asked] == ["a", "b", "b", "b", "b"]


def test_downloads_and_mirrors_that_fail_are_logged(web, caplog):
    caplog.set_level(logging.INFO, "ntklin.data")
    web.publish("a", "b")
    shutil.rmtree(web.root / "a")
    ntklin.load_data("mnist", 6, 3)
    said = [record.getMessage() for record in caplog.records if record.name == "ntklin.data"]
    (failed,) = (k for k, text in enumerate(said) if " failed: " in text)
    assert said.pop(failed).startswith(f"{web.address}/a/ failed: HTTPError: 404")
    assert said == [f"downloading {web.address}{path}" for path in web.asked]
    caplog.clear()
    ntklin.load_data("mnist", 6, 3)
    assert caplog.records == []  # all of it is in the cache


def test_a_wrong_checksum_sends_to_the_next_mirror(web):
    web.publish("a", "b")
    forged = web.root / "a" / "train-images-idx3-ubyte.gz"
    forged.write_bytes(gzip.compress(idx_bytes(samples_and_labels(18, 99)[0])))
    data = ntklin.load_data("mnist", 6, 3)
    origins(data.X_train, samples_and_labels(18, 1)[0])
    assert web.asked[:2] == [f"/{mirror}/train-images-idx3-ubyte.gz" for mirror in "ab"]


def test_a_damaged_file_in_the_cache_is_replaced(web):
    web.publish("a")
    ntklin.load_data("mnist", 6, 3)
    (web.cache / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="it is downloaded anew"):
        ntklin.load_data("mnist", 6, 3)
    assert web.asked[4:] == ["/a/train-labels-idx1-ubyte.gz"]


def test_without_a_right_file_anywhere_every_reason_is_told(web):
    web.publish("a", "b")
    shutil.rmtree(web.root / "a")
    (web.root / "b" / "train-images-idx3-ubyte.gz").write_bytes(b"forged")
    message = r"(?s)/a/train-images-idx3-ubyte.gz: HTTPError: 404.*/b/.*: ValueError: SHA256"
    with pytest.raises(ntklin.DataUnavailableError, match=message):
        ntklin.load_data("mnist", 6, 3)
    assert not (web.cache / "mnist" / "train-images-idx3-ubyte.gz").exists()


def closed_address():
    """An address of this machine where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/"


def test_offline_the_message_tells_what_to_do(web):
    web.register(download.Remote("tiny", (closed_address(),), {"train-images.gz": "0" * 64}))
    with pytest.raises(ntklin.DataUnavailableError, match="ConnectionError") as caught:
        ntklin.load_data("mnist")
    for part in (str(web.cache / "mnist"), "train-images.gz", "NTKLIN_DATA_DIR (now unset)"):
        assert part in str(caught.value)
    assert '"mnist01" and "fashion01" need no network' in str(caught.value)


def test_an_unwritable_cache_is_told(web):
    web.publish("a")
    web.cache.write_text("a file where the folder should be")
    with pytest.raises(ntklin.DataUnavailableError, match=r"(FileExists|NotADirectory)Error"):
        ntklin.load_data("mnist")


@pytest.mark.parametrize("folder", ["fashion_mnist", "fashion-mnist"])
def test_data_dir_goes_before_any_download(web, tmp_path, monkeypatch, folder):
    write_idx(tmp_path / "mine" / folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NTKLIN_DATA_DIR", "~/mine")
    data = ntklin.load_data("fashion_mnist", 6, 3)
    assert data.name == "fashion_mnist"
    assert "Zalando" in data.provenance
    origins(data.X_train, samples_and_labels(18, 1)[0])


def test_data_dir_may_hold_an_archive(web, tmp_path, monkeypatch):
    images, labels = samples_and_labels(18, 3)
    np.savez(tmp_path / "mnist.npz", images=images, labels=labels)
    monkeypatch.setenv("NTKLIN_DATA_DIR", str(tmp_path))
    origins(ntklin.load_data("mnist", 6, 3).X_train, images)
    assert web.asked == []


def test_data_dir_without_the_set_is_told_when_offline_and_else_passed_over(
    web, tmp_path, monkeypatch
):
    monkeypatch.setenv("NTKLIN_DATA_DIR", str(tmp_path / "empty"))
    web.publish("a")
    ntklin.load_data("mnist", 6, 3)
    web.register(download.Remote("tiny", (closed_address(),), {"other.gz": "0" * 64}))
    with pytest.raises(ntklin.DataUnavailableError, match=r"now .*empty, without mnist\)"):
        ntklin.load_data("mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_registry(name, tmp_path):
    remote = download.REMOTES[name]
    assert remote.sha256.keys() == write_idx(tmp_path).keys()
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in remote.sha256.values())
    assert len(set(remote.sha256.values())) == 4
    assert len(remote.mirrors) >= 2
    assert all(re.fullmatch(r"https?://[^ ]+/", mirror) for mirror in remote.mirrors)


def test_cache_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.cache_folder().parts[-1] == "ntklin"


# Damage


def test_no_gzipped_bit_leads_to_another_error(tmp_path):
    array = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    content = gzip.compress(idx_bytes(array))
    noticed = 0
    for k in range(8 * len(content)):
        changed = bytearray(content)
        changed[k // 8] ^= 1 << k % 8
        try:
            np.testing.assert_array_equal(parse_idx(bytes(changed), "here"), array)
        except (ntklin.DataUnavailableError, ntklin.MemoryLimitError):
            noticed += 1
    assert noticed > 4 * len(content)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\x08\x03" + b"\xff" * 12, r"should have \d{28,} bytes .* more than its 16 can hold"),
        (gzip.compress(b"\0\0\x0e\x01" + b"\x7f" * 4, mtime=0), r"more than its \d+ can hold"),
        (b"\0\0\x08\x65" + b"\0\0\0\x01" * 0x65 + b"x", "here is not a whole IDX file"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x01x" + bytes(10**6), mtime=0), "but has 10 or more"),
    ],
)
def test_absurd_sizes_are_refused(data, message):
    with pytest.raises(ntklin.DataUnavailableError, match=message):
        parse_idx(data, "here")


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    data = gzip.compress(idx_bytes(np.zeros((1000, 1000), np.uint8)))
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 10**5)
    with pytest.raises(ntklin.MemoryLimitError, match="reading here needs 1 MB"):
        parse_idx(data, "here")


def test_what_is_no_file_is_named(tmp_path):
    write_idx(tmp_path, suffix="")
    path = tmp_path / "train-labels-idx1-ubyte"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ntklin.DataUnavailableError, match=r"train-labels.* is a pipe, not a file"):
        ntklin.load_data(tmp_path)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ntklin.DataUnavailableError, match="cannot be read: Too many levels"):
        ntklin.load_data(tmp_path)
    with pytest.raises(ntklin.DataUnavailableError, match="cannot be read: File name too long"):
        ntklin.load_data(tmp_path / ("x" * 300))


def test_a_pipe_in_the_cache_is_told_and_damage_replaced_with_a_word(web):
    web.publish("a")
    ntklin.load_data("mnist", 6, 3)
    path = web.cache / "mnist" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"labels.*gz is damaged: .* it is downloaded anew"):
        ntklin.load_data("mnist", 6, 3)
    assert sorted(os.listdir(path.parent)) == sorted(write_idx(web.root / "again"))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ntklin.DataUnavailableError, match=r"DamagedFileError: is a pipe, not a"):
        ntklin.load_data("mnist", 6, 3)
