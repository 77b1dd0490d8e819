"""MNIST and Fashion-MNIST in full: from a folder of the user's, the cache, or several mirrors."""

import hashlib
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from types import ModuleType

from ntklin.data.idx import read_folder
from ntklin.data.npz import read_npz
from ntklin.data.source import Source
from ntklin.edge.errors import DataUnavailableError, MissingPackageError
from ntklin.edge.files.names import at_home, printable, shown
from ntklin.edge.files.reading import open_regular
from ntklin.edge.files.writing import whole

_log = logging.getLogger("ntklin.data")

DATA_DIR_VARIABLE = "NTKLIN_DATA_DIR"
TIMEOUT = 20  # seconds without an answer before the next mirror is asked


@dataclass(frozen=True)
class Remote:
    """A data set on the web.

    Attributes
    ----------
    provenance : str
    mirrors : tuple of str
        Addresses that end in a slash; the files lie directly below each.
    sha256 : dict of str to str
        File name → SHA-256 of the file.
    """

    provenance: str
    mirrors: tuple[str, ...]
    sha256: dict[str, str]


# MNIST: the checksums that TensorFlow Datasets publishes. Fashion-MNIST: checked to belong to the
# files whose MD5 sums its README publishes.
REMOTES = {
    "mnist": Remote(
        provenance="MNIST, 70,000 handwritten digits (LeCun, Cortes, Burges), CC BY-SA 3.0",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://sagemaker-sample-files.s3.amazonaws.com/datasets/image/MNIST/",
            "https://raw.githubusercontent.com/fgnt/mnist/master/",
        ),
        sha256={
            "train-images-idx3-ubyte.gz": (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            "train-labels-idx1-ubyte.gz": (
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        },
    ),
    "fashion_mnist": Remote(
        provenance="Fashion-MNIST, 70,000 images of clothes (Zalando), MIT",
        mirrors=(
            # A bucket's website address speaks plain HTTP only; SHA-256 guards what it sends.
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://sagemaker-sample-files.s3.amazonaws.com/datasets/image/fashion-MNIST/",
        ),
        sha256={
            "train-images-idx3-ubyte.gz": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            "train-labels-idx1-ubyte.gz": (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        },
    ),
}


def _pooch() -> ModuleType:
    """pooch, which only full data sets need, and which imports requests."""
    try:
        import pooch
    except ModuleNotFoundError as e:
        raise MissingPackageError("loading data from the web", "pooch", "pooch") from e
    return pooch


def cache_folder() -> Path:
    """The folder that downloads go to, in the user's cache."""
    return Path(_pooch().os_cache("ntklin"))


def find_local(name: str) -> Path | None:
    """The folder or archive of ``name`` below ``$NTKLIN_DATA_DIR``, or None."""
    if not (root := os.environ.get(DATA_DIR_VARIABLE)):
        return None
    root = Path(at_home(root))
    candidates = (root / name, root / name.replace("_", "-"), root / f"{name}.npz")
    return next((path for path in candidates if path.exists()), None)


def fetch(name: str, remote: Remote, folder: Path) -> None:
    """Make sure that every file of ``remote`` lies in ``folder`` with its SHA-256.

    A file that is there already is checked, not downloaded. A mirror that fails is asked last
    for the files that follow.

    Raises
    ------
    DataUnavailableError
        If no mirror gave a file with the right SHA-256; it tells what each one said.
    """
    mirrors = list(remote.mirrors)
    for filename, digest in remote.sha256.items():
        failures = []
        for mirror in tuple(mirrors):
            try:
                if not is_there(folder / filename, digest):
                    download(mirror + filename, folder / filename, digest)
                break
            # OSError covers requests' errors and an unwritable folder, ValueError a wrong SHA-256
            # and what is no file.
            except (OSError, ValueError) as e:
                reason = shorten(printable(f"{type(e).__name__}: {e}"), 120, placeholder="…")
                failures.append(f"  {mirror}{filename}: {reason}")
                _log.info("%s failed: %s", mirror, reason)
                mirrors.remove(mirror)
                mirrors.append(mirror)
        else:
            raise DataUnavailableError(unavailable(name, remote, folder, failures))


def is_there(path: Path, digest: str) -> bool:
    """Whether the file at ``path`` has this SHA-256; a word where it is there and has not."""
    try:
        with open_regular(path) as f:
            found = hashlib.file_digest(f, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    if found != digest:
        warnings.warn(
            f"{shown(path)} is damaged: its SHA-256 is another one; it is downloaded anew",
            UserWarning,
            stacklevel=2,
        )
    return found == digest


def download(url: str, path: Path, digest: str) -> None:
    """Load a file into the cache; ValueError if it has not this SHA-256."""
    _log.info("downloading %s", url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as f:
        _pooch().HTTPDownloader(timeout=TIMEOUT)(url, f, None)
        f.seek(0)
        found = hashlib.file_digest(f, "sha256").hexdigest()
        if found != digest:
            raise ValueError(f"SHA256 is {found}, not the published {digest}")


def unavailable(name: str, remote: Remote, folder: Path, failures: list[str]) -> str:
    """The message for a data set that no mirror gave."""
    root = os.environ.get(DATA_DIR_VARIABLE)
    state = f"now {shown(root)}, without {name}" if root else "now unset"
    return "\n".join(
        [
            f"{name} is neither in {shown(folder)} nor could it be downloaded:",
            *failures,
            f"Offline, put {', '.join(remote.sha256)} into a folder called {name} and set "
            f"{DATA_DIR_VARIABLE} ({state}) to the folder that holds it, or pass its path "
            'instead of the name. "mnist01" and "fashion01" need no network.',
        ]
    )


def read_remote(name: str) -> Source:
    """The `Source` called ``name``: from ``$NTKLIN_DATA_DIR``, the cache or a mirror."""
    remote = REMOTES[name]
    local = find_local(name)
    if local is not None and local.is_file():
        return read_npz(local, name, remote.provenance)
    if local is None:
        local = cache_folder() / name
        fetch(name, remote, local)
    return read_folder(local, name, remote.provenance)
