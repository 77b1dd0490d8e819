"""Results on disk, one file each: what is there, and whole, is never computed again."""

import json
from dataclasses import asdict
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, cast, overload

from filelock import BaseFileLock, FileLock, Timeout

from ntklin.edge.files.reading import DamagedFileError
from ntklin.validation import kept
from ntklin.validation.figures.configuration import VERSION, Record, Run, Search, Task
from ntklin.validation.figures.outcomes import Rate, Result, from_json

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

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)

    def path(self, task: Task) -> Path:
        """The file of a task's result."""
        return self.folder / f"{task.key}.json"

    @overload
    def read(self, task: Search) -> Rate | None: ...
    @overload
    def read(self, task: Run) -> Result | None: ...
    @overload
    def read(self, task: Task) -> Record | None: ...
    def read(self, task: Task) -> Record | None:
        """The result of a task; None where there is none: see ``kept.read``."""
        build = partial(_result, task=task)
        return kept.read(
            self.path(task), _head(task), build, "run", "it does not count as computed"
        )

    def write(self, task: Task, result: Record) -> None:
        """Keep a result, with its configuration and a digest of both."""
        values = {"configuration": asdict(task), "record": asdict(cast(Any, result))}
        kept.write(self.path(task), _head(task), values)

    def claim(self, task: Task) -> BaseFileLock | None:
        """The lock of a task, to release in the end; None where another process holds it."""
        locks = self.folder / LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{task.key}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return lock


def _head(task: Task) -> dict[str, Any]:
    """By which code a result came about, and of which kind it is."""
    return {"schema": SCHEMA, "kind": type(task).__name__, "version": VERSION}


def _result(values: dict[str, Any], task: Task) -> Record:
    # Where the data lie says nothing of the result; their digest does.
    found = values["configuration"] | {"dataset": task.dataset}
    if found != json.loads(json.dumps(asdict(task))):
        raise DamagedFileError("is of another run: its configuration is not that of this one")
    return from_json(task, values["record"])
