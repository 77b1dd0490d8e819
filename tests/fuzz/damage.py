"""Every kind of file that ntklin reads, cut and with a flipped bit at every twentieth byte.

What may come of it: what was written, bit for bit; an error that is named; or a warning, after
which the result is computed anew. Where a format has no checksum, as IDX and ``.npy`` have none, a
flipped bit of the entries cannot be known: there the shapes must be right, and no other entry
different.
"""

import gzip
import hashlib
import io
import itertools
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import ntklin
from fuzz.outcomes import DEPTHS, NAMED, RESULT, WRONG, Verdict, is_named, told
from ntklin.apps.scale.checkpoint import Checkpoint
from ntklin.data.download import is_there
from ntklin.edge.files import unfinished
from ntklin.edge.files.archives import read_array
from ntklin.edge.files.seal import read_sealed, sealed
from ntklin.validation import theorems
from ntklin.validation.figures.configuration import Run
from ntklin.validation.figures.outcomes import End, Rate, Result
from ntklin.validation.figures.store import Store

EVERY = 20
TURNS = 8 * EVERY
CUT, FLIPPED = "cut", "flipped"
X = np.array([[0.5, 0.25], [-0.75, 0.5], [0.125, -0.5], [0.25, 0.625]])
Y = np.array([0.0, 1.0, 0.5, 1.0])
NET = ntklin.MLP((2, 3, 1))
THETA = NET.init(1)
ANEW = "computed anew"
DOWNLOADED = bytes(range(200))


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    write : callable
        ``write(folder)`` writes it, and what belongs to it, and returns its path.
    read : callable
        ``read(folder)`` returns what is in it, as something that can be compared; ANEW where a
        warning told that it does not count.
    alike : callable or None
        ``alike(found, truth)``, where no checksum can tell a changed bit.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    alike: Callable[[Any, Any], bool] | None = None


def fingerprint(run: Any) -> str:
    """All that a run's file holds."""
    buffer = io.BytesIO()
    run.write(buffer)
    with zipfile.ZipFile(buffer) as archive:
        parts = [(name, archive.read(name)) for name in sorted(archive.namelist())]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def lin() -> Any:
    return ntklin.linearize(NET, THETA, X)


def train(**options: Any) -> Any:
    return ntklin.train(NET, THETA, X, Y, ntklin.Adam(0.01), 4, record=2, **options)


def write_run(folder: Path) -> Path:
    train().save(folder / "run.npz")
    return folder / "run.npz"


def write_linearized(folder: Path) -> Path:
    lin().train(Y, ntklin.AdaGrad(0.01), 4, record=2).save(folder / "run.npz")
    return folder / "run.npz"


def read_linearized(folder: Path) -> str:
    optimizer = ntklin.AdaGrad(0.01)
    return fingerprint(lin().train(Y, optimizer, 4, record=2, resume=folder / "run.npz"))


def idx(a: Any) -> bytes:
    """An array of bytes in IDX."""
    sizes = b"".join(n.to_bytes(4, "big") for n in a.shape)
    return bytes([0, 0, 8, a.ndim]) + sizes + a.tobytes()


def images() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (40, 6, 5), np.uint8), (np.arange(40) % 2).astype(np.uint8)


def write_idx(folder: Path, part: int, zipped: bool) -> Path:
    """A folder of IDX files, of which part 0 is the images, part 1 the labels."""
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    for name, a in zip(names, images(), strict=True):
        content = gzip.compress(idx(a), mtime=0) if zipped else idx(a)
        (folder / (name + ".gz" * zipped)).write_bytes(content)
    return folder / (names[part] + ".gz" * zipped)


def write_npz(folder: Path, save: Callable[..., Any]) -> Path:
    samples, labels = images()
    save(folder / "data.npz", images=samples, labels=labels)
    return folder / "data.npz"


def read_data(folder: Path, name: str = ".") -> tuple[Any, ...]:
    data = ntklin.load_data(folder / name, 30, 10)
    return data.X_train, data.Y_train, data.X_test, data.Y_test


def write_npy(folder: Path) -> Path:
    np.save(folder / "a.npy", np.arange(60.0).reshape(4, 15))
    return folder / "a.npy"


def task() -> Run:
    values = {"dataset": "mnist01", "digest": "0", "n_pool": 8, "n_train": 8, "n_test": 5}
    values |= {"depth": 2, "width": 16, "sigma": 0.5, "seed": 0, "loss": "squared"}
    return Run(**values, optimizer="gd", until=0.05, max_steps=60)


def write_figure(folder: Path, rate: bool) -> Path:
    end = End(outcome="converged", steps=7, train_loss=1e-6, test_loss=0.1, outputs=(0.25, 1.0))
    losses = dict.fromkeys(("interpolator_loss", "minimizer_loss", "interpolating_loss"), 0.1)
    result = Result(
        learning_rate=0.1,
        network=end,
        linearized=replace(end, steps=8),
        monotone=True,
        path_dependent=0.0,
        seconds=0.5,
        **losses,
    )
    of = task().search if rate else task()
    found = Rate(learning_rate=0.1, steps=3, n_trials=2, seconds=0.1) if rate else result
    store = Store(folder)
    store.write(of, found)
    return store.path(of)


def read_figure(folder: Path, rate: bool) -> Any:
    found = Store(folder).read(task().search if rate else task())
    return ANEW if found is None else repr(found)


@cache
def statement() -> Any:
    return next(s for s in theorems.STATEMENTS if s.key == "lemma3")


def judge(folder: Path) -> Any:
    """The first exact check of a lemma, measured or as it was kept."""
    checks = [check for check in statement().checks if check.strength == "exact"][:1]
    anew: list[int] = []

    def measure(*arguments: Any) -> Any:
        anew.append(1)
        return checks[0].measure(*arguments)

    one = replace(statement(), checks=(replace(checks[0], measure=measure),))
    [verdict] = theorems.run([one], theorems.Setting(quick=True), folder=folder)
    return ANEW if anew else repr(replace(verdict, seconds=0.0))


def write_verdict(folder: Path) -> Path:
    judge(folder)
    return next(folder.glob("*.json"))


def checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint(folder, {"theta": "a", "n": 90})


def write_panel(folder: Path) -> Path:
    arrays = {"panel": np.arange(40.0).reshape(8, 5)}
    checkpoint(folder).of(90).write("panel-0001.npz", {"first": 8}, arrays)
    return next(folder.rglob("panel-0001.npz"))


def read_panel(folder: Path) -> Any:
    found = checkpoint(folder).of(90).read("panel-0001.npz")
    if found is None:
        return ANEW
    values, arrays = found
    named = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()}
    return repr((sorted(values.items()), named))


def write_manifest(folder: Path) -> Path:
    checkpoint(folder).begin({30: "packed", 90: "pcg"})
    return next(folder.rglob("run.json"))


def read_manifest(folder: Path) -> Any:
    return repr(checkpoint(folder).earlier()) if checkpoint(folder).earlier() else ANEW


def write_download(folder: Path) -> Path:
    (folder / "x.gz").write_bytes(DOWNLOADED)
    return folder / "x.gz"


def read_download(folder: Path) -> str:
    digest = hashlib.sha256(DOWNLOADED).hexdigest()
    return "there" if is_there(folder / "x.gz", digest) else ANEW


def write_json(folder: Path) -> Path:
    values = {"complete": True, "rows": [1.5, -0.0, None, "σ"], "config": {"sigma": 0.1}}
    (folder / "results.json").write_text(json.dumps(sealed(values), indent=1))
    return folder / "results.json"


def read_finished(folder: Path) -> bool:
    """Whether an unfinished result would spare it: what may be finished is never replaced."""
    return unfinished.may_be_finished(folder / "results.json")


def one_row(found: Any, truth: Any) -> bool:
    """Whether arrays have the same shapes, and at most one row is another."""
    pairs = list(zip(found, truth, strict=True))
    rows = sum(
        int((a != b).reshape(len(a), -1).any(axis=1).sum()) for a, b in pairs if same_shape(a, b)
    )
    return rows <= 1 and all(same_shape(a, b) for a, b in pairs)


def same_shapes(found: Any, truth: Any) -> bool:
    """Whether arrays have the same shapes: of another label other samples are drawn."""
    return all(same_shape(a, b) for a, b in zip(found, truth, strict=True))


def same_shape(a: Any, b: Any) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


KINDS = {
    "training run": Kind(
        write_run, lambda folder: fingerprint(ntklin.load_run(folder / "run.npz"))
    ),
    "training run to go on with": Kind(
        write_run, lambda folder: fingerprint(train(resume=folder / "run.npz"))
    ),
    "linearized run": Kind(write_linearized, read_linearized),
    "IDX images": Kind(partial(write_idx, part=0, zipped=False), read_data, one_row),
    "IDX labels": Kind(partial(write_idx, part=1, zipped=False), read_data, same_shapes),
    "gzipped IDX images": Kind(partial(write_idx, part=0, zipped=True), read_data),
    "gzipped IDX labels": Kind(partial(write_idx, part=1, zipped=True), read_data),
    "npz data": Kind(partial(write_npz, save=np.savez), partial(read_data, name="data.npz")),
    "compressed npz data": Kind(
        partial(write_npz, save=np.savez_compressed), partial(read_data, name="data.npz")
    ),
    "npy": Kind(write_npy, lambda folder: (read_array(folder / "a.npy"),), one_row),
    "figure's run": Kind(partial(write_figure, rate=False), partial(read_figure, rate=False)),
    "figure's search": Kind(partial(write_figure, rate=True), partial(read_figure, rate=True)),
    "verdict": Kind(write_verdict, judge),
    "panel of a factor": Kind(write_panel, read_panel),
    "manifest of a checkpoint": Kind(write_manifest, read_manifest),
    "download": Kind(write_download, read_download),
    "results": Kind(write_json, lambda folder: repr(read_sealed(folder / "results.json"))),
    "results that are finished": Kind(write_json, read_finished),
}


@dataclass(frozen=True)
class Damage:
    """A damaged file.

    Attributes
    ----------
    kind : str
        A key of KINDS.
    how : {"cut", "flipped"}
    place : int
        Of the first byte that is missing, or of that with another bit.
    bit : int
        Which is another.
    """

    kind: str
    how: str
    place: int
    bit: int = 0

    @property
    def label(self) -> str:
        """How it is called in reports."""
        which = f", bit {self.bit}" if self.how == FLIPPED else ""
        return f"{self.kind}({self.how} at byte {self.place}{which})"

    def __repr__(self) -> str:
        return self.label

    def judged(self, folder: Path) -> Verdict:
        """What comes of reading it in a folder where ``prepared`` put the whole one."""
        return judged(self, folder)


@cache
def whole(kind: str) -> tuple[dict[str, bytes], str, Any]:
    """The files of a kind, the name of the one to damage, and what reading them gives."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = KINDS[kind].write(folder)
        files = {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        truth = KINDS[kind].read(folder)
        if isinstance(truth, str) and truth == ANEW:
            raise AssertionError(f"{kind}: what was written is not read again")
        return files, str(path.relative_to(folder)), truth


def damages(kind: str, turn: int = 0) -> Iterator[Damage]:
    """All of a kind: a cut and a flipped bit at every so many bytes, and the last byte.

    Parameters
    ----------
    kind : str
        A key of KINDS.
    turn : int
        Each has other bytes and other bits: all of them come in ``TURNS``.

    Yields
    ------
    Damage
    """
    files, name, _ = whole(kind)
    n = len(files[name])
    for place in (*range(turn % EVERY, n, EVERY), n - 1):
        if turn < EVERY:  # then all bytes had their turn
            yield Damage(kind, CUT, place)
        yield Damage(kind, FLIPPED, place, (place // EVERY + turn // EVERY) % 8)


def all_damages() -> Iterator[Damage]:
    """Those of all kinds, every twentieth byte first, without end."""
    for turn in itertools.cycle(range(TURNS)):
        for kind in KINDS:
            yield from damages(kind, turn)


def judged(damage: Damage, folder: Path) -> Verdict:
    """What comes of reading a damaged file.

    Parameters
    ----------
    damage : Damage
    folder : Path
        Empty, or of another damage of the same kind.

    Returns
    -------
    Verdict
    """
    files, name, truth = whole(damage.kind)
    content = bytearray(files[name])
    if damage.how == CUT:
        del content[damage.place :]
    else:
        content[damage.place] ^= 1 << damage.bit
    for other, bytes_of in files.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(content if other == name else bytes_of)
    with warnings.catch_warnings(record=True) as told_of:
        warnings.simplefilter("always")
        try:
            found = KINDS[damage.kind].read(folder)
        except Exception as e:
            return Verdict(NAMED if is_named(e) else DEPTHS, told(e))
    if isinstance(found, str) and found == ANEW:
        silent = not any(issubclass(one.category, UserWarning) for one in told_of)
        return Verdict(DEPTHS, "computed anew without a word") if silent else Verdict(NAMED, ANEW)
    if same(found, truth):
        return Verdict(RESULT)
    alike = KINDS[damage.kind].alike
    if damage.how == FLIPPED and alike is not None and alike(found, truth):
        return Verdict(RESULT, "a bit that nothing tells of")
    return Verdict(WRONG, f"{damage.how} at {damage.place}: read as something else")


def same(found: Any, truth: Any) -> bool:
    """Whether all bits are the same."""
    if isinstance(truth, tuple):
        return len(found) == len(truth) and all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in zip(found, truth, strict=True)
        )
    return found == truth
