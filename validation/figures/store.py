"""Results on disk, one file each: what is there, and whole, is never computed again."""

import json
import warnings
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from ntklin.files.names import shown
from ntklin.files.reading import DamagedFileError
from ntklin.files.seal import read_kept, sealed
from ntklin.files.writing import write_whole
from ntklin.validation.figures.configuration import VERSION
from ntklin.validation.figures.records import from_json, to_json

SCHEMA = "ntklin-figure-run/1"
LOCKS = "locks"


class Store:
    """A folder of results, which several processes can share.

    A result appears whole or not at all. Who computes one holds its lock, which the system releases
    should the process die.

    Parameters
    ----------
    folder : path
        Created when it is first needed.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, task):
        """The file of a task's result."""
        return self.folder / f"{task.key}.json"

    def read(self, task):
        """The result of a task; None where there is none.

        Raises
        ------
        OSError
            If there is a file that cannot be read: what it holds may have taken hours.

        Warns
        -----
        UserWarning
            Where the file is damaged, another task's, or of an earlier version: it is None, too.
        """
        path = self.path(task)
        try:
            values = read_kept(path)
            return None if values is None else _record(values, task)
        except DamagedFileError as e:
            warnings.warn(
                f"{shown(path)} {e}; it does not count as computed", UserWarning, stacklevel=2
            )
            return None

    def write(self, task, record):
        """Keep a result, with its configuration and a digest of both."""
        values = sealed(_head(task) | {"record": to_json(record)})
        write_whole(self.path(task), json.dumps(values, indent=1), follow=False)

    def claim(self, task):
        """The lock of a task, to release in the end; None where another process holds it."""
        locks = self.folder / LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{task.key}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return lock


def _head(task):
    """What a result is of, and by which code."""
    return {
        "schema": SCHEMA,
        "kind": type(task).__name__,
        "version": VERSION,
        "configuration": asdict(task),
    }


def _record(values, task):
    head = json.loads(json.dumps(_head(task)))
    for name, expected in head.items():
        found = values.get(name)
        if name == "configuration" and isinstance(found, dict):
            # Where the data lie says nothing of the result; their digest does.
            found = found | {"dataset": task.dataset}
        if found != expected:
            raise DamagedFileError(f"is of another run: its {name} is not that of this one")
    try:
        return from_json(values["record"])
    except (KeyError, TypeError) as e:
        raise DamagedFileError(f"holds no record: {e}") from e
