"""What an unfinished run keeps: finished panels, iterates and results, each a file with a digest.

    checkpoint/run.json                     what the run is of; another run's is refused
    checkpoint/n-00060000/panel-0007.npz    a panel of the Cholesky factor, final
    checkpoint/n-00060000/shift.npz         what float32 needs on its diagonal, once raised
    checkpoint/n-00060000/iterate.npz       the latest iterate of conjugate gradients
    checkpoint/n-00060000/result.npz        the finished minimizer; its panels are gone then

The folder is removed when the run is at its end. Files of its own alone are touched.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ntklin._version import __version__
from ntklin.edge.arrays import Array
from ntklin.edge.errors import CheckpointError
from ntklin.edge.files.archives import read_arrays
from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError
from ntklin.edge.files.seal import digest, read_kept, sealed, unsealed
from ntklin.edge.files.writing import remove_leftovers, whole, write_whole

SCHEMA = "ntklin-scale-checkpoint/1"
# What a run is of by digests alone.
FINGERPRINTS = ("theta", "X", "Y")
FOLDER, MANIFEST, HEAD = "checkpoint", "run.json", "head"
OWN = re.compile(r"(panel-\d{4,}|shift|iterate|result)\.npz")
OWN_FOLDER = re.compile(r"n-\d{8,}")


class SizeFiles:
    """The files of one number of training points; without a folder nothing is kept.

    Parameters
    ----------
    folder : pathlib.Path or None
    run : str
        The digest of what the run is of.
    """

    def __init__(self, folder: Path | None, run: str) -> None:
        self.folder, self._run = folder, run

    def write(self, name: str, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Keep arrays, and values that JSON can hold.

        A disk that is full ends no run: a warning tells that it goes on, and nothing is kept from
        then on.

        Parameters
        ----------
        name : str
            Of the file.
        values : dict
        arrays : dict of str to ndarray
        """
        if self.folder is None:
            return
        path = self.folder / name
        head = {**values, "schema": SCHEMA, "run": self._run, "name": f"{path.parent.name}/{name}"}
        about = np.array(json.dumps(sealed(head, dict(arrays))))
        named: dict[str, Any] = {HEAD: about, **arrays}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path, follow=False) as f:
                np.savez(f, **named)
        except OSError as e:
            warnings.warn(
                f"{e}; the run goes on, and keeps no more checkpoints", UserWarning, stacklevel=2
            )
            self.folder = None

    def read(self, name: str) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """What :meth:`write` kept under this name; None where there is nothing that counts.

        Returns
        -------
        values : dict
        arrays : dict of str to ndarray

        Warns
        -----
        UserWarning
            Where there is a file that is damaged or another run's.
        """
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            return self._read(path)
        except FileNotFoundError:
            return None
        except (DamagedFileError, OSError) as e:
            why = str(e) if isinstance(e, DamagedFileError) else f"cannot be read: {e.strerror}"
            warnings.warn(
                f"{shown(path)} {why}; what it held is computed anew", UserWarning, stacklevel=2
            )
            return None

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
        arrays = read_arrays(path)
        try:
            values = json.loads(str(arrays.pop(HEAD)))
        except (KeyError, ValueError, RecursionError) as e:
            raise DamagedFileError("is no checkpoint of ntklin scale") from e
        values = unsealed(values, arrays)
        if values.get("schema") != SCHEMA or values.get("run") != self._run:
            raise DamagedFileError("is of another run")
        if values.get("name") != f"{path.parent.name}/{path.name}":
            raise DamagedFileError(f"is a copy of {shown(str(values.get('name')))}")
        return values, arrays

    def forget(self, *kept: str) -> None:
        """Remove all of these files but those ``kept``."""
        if self.folder is not None:
            _remove(self.folder, OWN, kept)


class Checkpoint:
    """The folder of a run, from where the same command goes on.

    Parameters
    ----------
    out : path
        The output folder.
    described : dict
        What the run is of, as JSON can hold it.
    wanted : bool
        False keeps nothing, and goes on with nothing.
    """

    def __init__(self, out: str | Path, described: dict[str, Any], wanted: bool = True) -> None:
        self.folder = Path(out) / FOLDER if wanted else None
        self._described = json.loads(json.dumps({"ntklin": __version__, **described}))
        self._run = digest(self._described)

    def earlier(self) -> dict[int, str]:
        """The solver of each size in an earlier run; none where there is no earlier run.

        Returns
        -------
        dict of int to str

        Raises
        ------
        CheckpointError
            If there is an unfinished run of other settings, which may have taken hours.
        """
        if self.folder is None:
            return {}
        path = self.folder / MANIFEST
        try:
            found = read_kept(path)
        except DamagedFileError as e:
            warnings.warn(f"{shown(path)} {e}; it is written anew", UserWarning, stacklevel=2)
            found = None
        if found is None:
            return {}
        self._require_same(found)
        return {int(n): name for n, name in found["solvers"].items()}

    def begin(self, solvers: Mapping[int, str]) -> None:
        """Write down what the run is of, and the solver of each size.

        Parameters
        ----------
        solvers : dict of int to str
        """
        if self.folder is not None:
            values = sealed({"schema": SCHEMA, "of": self._described, "solvers": dict(solvers)})
            text = json.dumps(values, indent=1) + "\n"
            write_whole(self.folder / MANIFEST, text, follow=False)

    def _require_same(self, found: dict[str, Any]) -> None:
        """Refuse another run's folder."""
        of = found.get("of") if found.get("schema") == SCHEMA else None
        if of == self._described:
            return
        differing = "it is of another version of ntklin"
        if isinstance(of, dict):
            names = [name for name in self._described if of.get(name) != self._described[name]]
            differing = "; ".join(
                f"its {name} {_difference(name, of.get(name), self._described[name])}"
                for name in names
            )
        raise CheckpointError(
            f"{shown(str(self.folder))} holds an unfinished run of other settings: {differing}. "
            "Finish it by its own command, choose another --out, or remove that folder"
        )

    def of(self, n: int) -> SizeFiles:
        """The files of the first ``n`` training points."""
        folder = None if self.folder is None else self.folder / f"n-{n:08d}"
        if folder is not None and folder.is_dir():
            remove_leftovers(folder)
        return SizeFiles(folder, self._run)

    def size(self) -> int:
        """Bytes of what is there."""
        if self.folder is None or not self.folder.is_dir():
            return 0
        paths = self.folder.glob("*/*")
        return sum(path.stat().st_size for path in paths if OWN.fullmatch(path.name))

    def remove(self) -> None:
        """The run is at its end: remove its files, and its folders where nothing else is there."""
        if self.folder is None:
            return
        with suppress(OSError):
            for folder in self.folder.iterdir():
                if OWN_FOLDER.fullmatch(folder.name):
                    remove_leftovers(folder)
                    _remove(folder, OWN, ())
                    with suppress(OSError):
                        folder.rmdir()
            (self.folder / MANIFEST).unlink(missing_ok=True)
            self.folder.rmdir()


def _remove(folder: Path, pattern: re.Pattern[str], kept: tuple[str, ...]) -> None:
    with suppress(OSError):
        for path in folder.iterdir():
            if pattern.fullmatch(path.name) and path.name not in kept:
                with suppress(OSError):
                    path.unlink()


def _difference(name: str, there: Any, here: Any) -> str:
    if name in FINGERPRINTS:
        return "holds other values"
    return f"is {_shortly(there)}, not {_shortly(here)}"


def _shortly(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return shown(text, 60)
