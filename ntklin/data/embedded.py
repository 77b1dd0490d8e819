"""The two small data sets that come with ntklin; `LICENSES.md` tells their story."""

from importlib.resources import as_file, files

from ntklin.data.npz import read_npz
from ntklin.data.source import Source

PROVENANCE = {
    "mnist01": "2,128 MNIST images of the digits 0 and 1 (LeCun, Cortes, Burges), CC BY-SA 3.0",
    "fashion01": "2,128 Fashion-MNIST images of T-shirts and trousers (Zalando), MIT",
}


def read_embedded(name: str) -> Source:
    """The embedded `Source` called ``name``: classes 0 and 1, no test part of its own."""
    with as_file(files("ntklin.data").joinpath(f"{name}.npz")) as path:
        return read_npz(path, name, PROVENANCE[name])
