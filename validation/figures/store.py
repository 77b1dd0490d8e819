"""Results on disk, one file each: what is there is never computed again."""

import json
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from ntklin.validation.figures.configuration import VERSION
from ntklin.validation.figures.records import from_json, to_json
from ntklin.validation.files import write_whole


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
        """The result of a task; None where there is none, or its file is damaged.

        Raises
        ------
        OSError
            If there is a file that cannot be read: what it holds may have taken hours.
        """
        try:
            return from_json(json.loads(self.path(task).read_bytes())["record"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, task, record):
        """Keep a result, with its configuration beside it."""
        values = {
            "kind": type(task).__name__,
            "version": VERSION,
            "configuration": asdict(task),
            "record": to_json(record),
        }
        write_whole(self.path(task), json.dumps(values, indent=1))

    def claim(self, task):
        """The lock of a task, to release in the end; None where another process holds it."""
        locks = self.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{task.key}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return lock
