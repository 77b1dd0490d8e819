"""What a training run is of, and the file that it is saved in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ntklin._version import __version__
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.errors import CheckpointError
from ntklin.edge.files.archives import read_arrays
from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError
from ntklin.edge.files.seal import sealed, unsealed
from ntklin.runs.descriptions import needs_function
from ntklin.runs.optimizer import Optimizer

if TYPE_CHECKING:
    from ntklin.runs.outcome import Run

# Before the names of the engine's arrays.
ENGINE = "engine."
VERSION = 2  # 1 had no digest
META = "run"


def digest(a: Array) -> str:
    """A fingerprint of an array's dtype, shape and bytes."""
    hashed = hashlib.sha256(f"{a.dtype.str} {a.shape} ".encode())
    hashed.update(np.ascontiguousarray(host(a)).data)
    return hashed.hexdigest()


def as_before(optimizer: Optimizer | None, past: Run) -> Optimizer:
    """The optimizer of the run to continue, where the caller leaves it open."""
    if optimizer is None and past.optimizer is None:
        kind = past.identity["optimizer"]["class"]
        raise ValueError(f"optimizer must be passed again: a file cannot hold all of a {kind}")
    if optimizer is None:
        return past.optimizer
    open_rate = getattr(optimizer, "learning_rate", 0) is None
    if open_rate and type(optimizer) is type(past.optimizer):
        return optimizer.with_learning_rate(past.optimizer.learning_rate)
    return optimizer


# The order in which differences are told; of fingerprints only that they differ.
PARTS = ("network", "optimizer", "method", "loss", "batches", "dtype", "theta", "X", "Y")
FINGERPRINTS = ("theta", "X", "Y")


def require_same(saved: Mapping[str, Any], present: Mapping[str, Any], what: str) -> None:
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
            else f"{part} was {_words(saved[part], part)}, not {_words(present[part], part)}"
            for part in differing
        ]
        raise ValueError(f"{what}: the saved run is another one; {'; '.join(texts)}")


def require_same_rates(past: Run, optimizer: Optimizer, what: str) -> None:
    """Refuse a function of the step as learning rate that was another one so far.

    Parameters
    ----------
    past : Run
    optimizer : Optimizer
        Of the same description.
    what : str
        How the message begins.

    Raises
    ------
    ValueError
        Naming the first step whose rate differs.
    """
    if past.rates is None or not needs_function(past.identity["optimizer"]):
        return
    present = optimizer.rates(0, past.steps)
    differing = np.flatnonzero(present != past.rates)
    if len(differing):
        t = differing[0]
        raise ValueError(
            f"{what}: the saved run is another one; learning_rate({t}) was {past.rates[t]:.6g}, "
            f"not {present[t]:.6g}"
        )


def _words(value: Any, part: str | None = None) -> str:
    if not isinstance(value, dict):
        return "the full batch" if part == "batches" and value is None else str(value)
    inside = ", ".join(f"{k}={_words(v)}" for k, v in value.items() if k != "class")
    return f"{value.get('class', 'Batches')}({inside})"


def write(f: IO[bytes], kind: str, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a run as one ``.npz`` archive, with a digest of all that it holds.

    Parameters
    ----------
    f : file
        Open for writing bytes.
    kind : str
        "training run" or "linearized run".
    meta : dict
        What JSON can hold.
    arrays : dict of str to ndarray
        On whatever device; a file does not know it.
    """
    head = {"format": f"ntklin {kind}", "version": VERSION, "ntklin": __version__, **meta}
    named: dict[str, Any] = {name: host(a) for name, a in arrays.items()}
    about: Any = np.array(json.dumps(sealed(head, named)))
    np.savez(f, **{META: about}, **named)


def read(path: str | PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What :func:`write` wrote of this kind.

    Returns
    -------
    meta : dict
    arrays : dict of str to ndarray

    Raises
    ------
    CheckpointError
        If the file is damaged, something else, or of another version.
    OSError
        If there is no such file, or it cannot be read.
    """  # noqa: DOC501
    name = shown(path)
    try:
        arrays = read_arrays(path)
    except DamagedFileError as e:
        raise CheckpointError(f"{name} is damaged, or no saved {kind}: it {e}") from e
    try:
        meta = json.loads(str(arrays.pop(META)))
        if meta["format"] != f"ntklin {kind}":
            raise ValueError(f"its format is {meta['format']!r}")
        version, release = meta["version"], meta["ntklin"]
    except (KeyError, TypeError, ValueError, RecursionError) as e:
        raise CheckpointError(f"{name} is not a {kind} that ntklin saved") from e
    if version != VERSION:
        raise CheckpointError(
            f"{name} was saved by ntklin {release} in version {version} of its format; this is "
            f"ntklin {__version__}, which reads version {VERSION}: load it with the other one, or "
            "train anew"
        )
    try:
        return unsealed(meta, arrays), arrays
    except (DamagedFileError, RecursionError) as e:
        raise CheckpointError(
            f"{name} is damaged: it {e}; take another copy of it, or train anew"
        ) from e


def engine_arrays(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a file's arrays that are the engine's, by their own names."""
    return {k.removeprefix(ENGINE): a for k, a in arrays.items() if k.startswith(ENGINE)}


def require_consistent(run: Run) -> None:
    """Refuse a run from a file whose identity or losses cannot be any run's.

    Raises
    ------
    KeyError
        For an identity that lacks a part.
    ValueError
        For losses that are no vector of finite numbers.
    """
    if missing := [part for part in PARTS if part not in run.identity]:
        raise KeyError(missing[0])
    losses = run.losses
    if losses.ndim != 1 or losses.dtype.kind != "f" or not np.isfinite(losses).all():
        raise ValueError("the losses are no vector of finite numbers")
    rates = run.rates
    if rates is None and needs_function(run.identity["optimizer"]):
        raise KeyError("rates")
    if rates is not None and (rates.shape != (run.steps,) or not np.isfinite(rates).all()):
        raise ValueError("there must be one learning rate for each step")


def require_fitting(fresh: Mapping[str, Any], arrays: Mapping[str, Any], steps: int) -> None:
    """Refuse arrays that are not of this engine, where they come from a file.

    Parameters
    ----------
    fresh : dict of str to ndarray
        Of the engine at its start. An optimizer's slots may appear later.
    arrays : dict of str to ndarray
        To go on from.
    steps : int
        That were taken.

    Raises
    ------
    CheckpointError
        Naming the array.
    """
    for name, a in fresh.items():
        if name not in arrays:
            raise CheckpointError(f"the saved run is incomplete: it lacks the engine's {name!r}")
        found = arrays[name]
        if (found.shape, found.dtype) != (a.shape, a.dtype):
            raise CheckpointError(
                f"the saved run does not fit its network: the engine's {name!r} should have shape "
                f"{a.shape} of {a.dtype}, got {found.shape} of {found.dtype}"
            )
    for name, a in arrays.items():
        if np.isnan(host(a)).any():
            raise CheckpointError(f"the saved run is damaged: its {name!r} contains NaN")
    if int(arrays["count"]) != steps:
        raise CheckpointError(
            f"the saved run is damaged: its engine is at step {int(arrays['count'])}, its losses "
            f"end at step {steps}"
        )
