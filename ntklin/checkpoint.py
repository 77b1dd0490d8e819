"""What a training run is of, and the file that it is saved in."""

import dataclasses
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ntklin import optimizers
from ntklin._version import __version__
from ntklin.backends import host
from ntklin.batches import Batches
from ntklin.errors import CheckpointError
from ntklin.network import MLP
from ntklin.symmetrized import AntisymmetricPair, DoubledNetwork

FORMAT = "ntklin training run"
VERSION = 1
META = "run"
NETWORKS = {kind.__name__: kind for kind in (MLP, AntisymmetricPair, DoubledNetwork)}
OPTIMIZERS = {
    kind.__name__: kind
    for kind in vars(optimizers).values()
    if isinstance(kind, type) and issubclass(kind, optimizers.Optimizer)
}
ITERABLE = "an iterable"


def digest(a):
    """A fingerprint of an array's dtype, shape and bytes."""
    hashed = hashlib.sha256(f"{a.dtype.str} {a.shape} ".encode())
    hashed.update(np.ascontiguousarray(host(a)).data)
    return hashed.hexdigest()


def describe_network(net):
    """A network in words and numbers."""
    kind = NETWORKS.get(type(net).__name__)
    if kind is not type(net):
        kind = type(net)
        return {"class": f"{kind.__module__}.{kind.__qualname__}", "P": net.n_parameters}
    if kind is not MLP:
        return {"class": kind.__name__, "network": describe_network(net.network)}
    return {"class": kind.__name__} | _fields(net)


def describe_optimizer(optimizer):
    """An optimizer in words and numbers; functions are left out."""
    kind = type(optimizer)
    known = OPTIMIZERS.get(kind.__name__) is kind
    name = kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"
    return {"class": name} | _fields(optimizer)


def describe_batches(batches):
    """Mini-batches in words and numbers; an iterable has none of its own."""
    if batches is None:
        return None
    return _fields(batches) if isinstance(batches, Batches) else ITERABLE


def _fields(instance):
    if not dataclasses.is_dataclass(instance):
        return {}
    values = {f.name: getattr(instance, f.name) for f in dataclasses.fields(instance)}
    # As JSON has it, so that what comes from a file compares equal.
    return json.loads(json.dumps({name: v for name, v in values.items() if not callable(v)}))


def network_from(description):
    """The network of a description; None for a class that is not of this library."""
    kind = NETWORKS.get(description["class"])
    if kind is None or kind is MLP:
        return kind and MLP(**{k: v for k, v in description.items() if k != "class"})
    return kind(network_from(description["network"]))


def optimizer_from(description):
    """The optimizer of a description; None where that leaves a function out."""
    kind = OPTIMIZERS.get(description["class"])
    if kind is None or kind is optimizers.Preconditioned:
        return None
    return kind(**{k: v for k, v in description.items() if k != "class"})


# The order in which differences are told; of fingerprints only that they differ.
PARTS = ("network", "optimizer", "method", "loss", "batches", "dtype", "theta", "X", "Y")
FINGERPRINTS = ("theta", "X", "Y")


def require_same(saved, present, what):
    """Refuse to take one run for another.

    Parameters
    ----------
    saved, present : dict
        What the runs are of, with the keys ``PARTS``.
    what : str
        How the message begins.

    Raises
    ------
    ValueError
        Naming all that differs.
    """
    differing = [part for part in PARTS if saved[part] != present[part]]
    if "dtype" in differing:  # then all fingerprints do
        differing = [part for part in differing if part not in FINGERPRINTS]
    if differing:
        texts = [
            f"{part} holds other values"
            if part in FINGERPRINTS
            else f"{part} was {_words(saved[part])}, not {_words(present[part])}"
            for part in differing
        ]
        raise ValueError(f"{what}: the saved run is another one; {'; '.join(texts)}")


def _words(value):
    if not isinstance(value, dict):
        return "the full batch" if value is None else str(value)
    inside = ", ".join(f"{k}={_words(v)}" for k, v in value.items() if k != "class")
    return f"{value.get('class', 'Batches')}({inside})"


def write(path, meta, arrays):
    """Write a run to one ``.npz`` file, to a neighbor first, so that a reader meets old or new.

    Parameters
    ----------
    path : path
        Taken as it is, whatever its ending.
    meta : dict
        What JSON can hold.
    arrays : dict of str to ndarray
        On whatever device; a file does not know it.
    """
    path = Path(path)
    head = {"format": FORMAT, "version": VERSION, "ntklin": __version__} | meta
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as f:
            named = {name: host(a) for name, a in arrays.items()}
            np.savez(f, **{META: np.array(json.dumps(head))}, **named)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path):
    """What :func:`write` wrote.

    Returns
    -------
    meta : dict
    arrays : dict of str to ndarray

    Raises
    ------
    CheckpointError
        If the file is damaged, something else, or of a later version.
    OSError
        If there is no such file, or it cannot be read.
    """
    with open(path, "rb") as f:
        try:
            with np.load(f, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            meta = json.loads(str(arrays.pop(META)))
            if meta["format"] != FORMAT:
                raise ValueError(f"its format is {meta['format']!r}")
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as e:
            raise CheckpointError(f"{path} is damaged, or no saved training run: {e}") from e
        except (KeyError, TypeError, ValueError) as e:
            raise CheckpointError(f"{path} is not a training run that ntklin saved") from e
    if meta["version"] != VERSION:
        raise CheckpointError(
            f"{path} was saved by ntklin {meta['ntklin']} in version {meta['version']} of its "
            f"format; this is ntklin {__version__}, which reads version {VERSION}"
        )
    return meta, arrays
