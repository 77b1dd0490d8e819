"""Tasks through an executor: whatever is finished is kept."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait

from filelock import BaseFileLock

import ntklin
from ntklin.validation.figures.configuration import Record, Task
from ntklin.validation.figures.execution import execute
from ntklin.validation.figures.store import Store

# Seconds between looks at the folder while another process computes what is missing.
PATIENCE = 0.5
# How often a task may lose its worker while it is the only one that runs.
ATTEMPTS = 2


class WorkerDiedError(ntklin.NtklinError, RuntimeError):
    """A worker process ended in the middle of a run, again and again."""


def results_of(
    tasks: Iterable[Task],
    store: Store,
    executor: Executor,
    slots: int,
    function: Callable[[tuple[Task, ...]], Sequence[Record]] = execute,
    together: bool = False,
) -> Iterator[tuple[Task, Record]]:
    """Yield every task with its result, in the order in which they become known.

    After an error no more tasks are started; those that run are waited for and kept. When a process
    pool breaks, all that ran in it are lost together: they run again, one at a time, so that it
    shows which of them is the cause.

    Parameters
    ----------
    tasks : iterable of Task
        Repetitions are dropped. Those that come first start first.
    store : Store
    executor : concurrent.futures.Executor
    slots : int
        How many calls to submit at once.
    function : callable
        ``function(tasks)``, the list of their results; runs in the executor.
    together : bool
        Whether all that are missing and ``alike`` are computed by one call; else each by its own.

    Yields
    ------
    (Task, Result or Rate)

    Raises
    ------
    WorkerDiedError
        If a task has lost two workers while it ran alone, or the executor is broken for good.
    """
    waiting, suspects = dict.fromkeys(tasks), {}  # ordered sets
    running, losses, error = {}, {}, None
    try:
        while running or (error is None and (waiting or suspects)):
            queue = suspects or waiting
            for task in tuple(queue) if error is None else ():
                if task not in queue:  # it went along with another one
                    continue
                del queue[task]
                if (result := store.read(task)) is not None:
                    yield task, result
                elif len(running) < (1 if suspects or queue is suspects else slots):
                    others = ()
                    if together and queue is waiting:
                        others = tuple(other for other in waiting if other.alike == task.alike)
                    locks = _claimed((task, *others), store)
                    if task not in locks:  # another process computes it
                        waiting[task] = None
                    for other in locks.keys() - {task}:
                        del waiting[other]
                    if locks:
                        running[_submitted(locks, executor, function)] = locks
                else:
                    queue[task] = None
            if not running:
                time.sleep(PATIENCE if waiting else 0)
                continue
            alone = len(running) == 1 == len(next(iter(running.values())))
            done, _ = wait(running, timeout=PATIENCE, return_when=FIRST_COMPLETED)
            for future in done:
                locks = running.pop(future)
                try:
                    results = _kept(future, locks, store)
                except BrokenExecutor as e:
                    suspects.update(dict.fromkeys(locks))
                    for task in locks:
                        losses[task] = losses.get(task, 0) + alone
                        if losses[task] == ATTEMPTS:
                            error = error or _died(task, e)
                except Exception as e:
                    error = error or e
                else:
                    yield from results
                finally:
                    _release(locks)
        if error is not None:
            raise error
    finally:
        for future, locks in running.items():
            if not future.cancel() and future.done() and future.exception() is None:
                _kept(future, locks, store)
            _release(locks)


def _claimed(tasks: Iterable[Task], store: Store) -> dict[Task, BaseFileLock]:
    """{task: lock} of those that are still missing and that no other process holds."""
    locks = {}
    for task in tasks:
        lock = store.claim(task)
        if lock is not None and store.read(task) is not None:  # finished before the claim
            lock.release()
        elif lock is not None:
            locks[task] = lock
    return locks


def _submitted(
    locks: Mapping[Task, BaseFileLock],
    executor: Executor,
    function: Callable[[tuple[Task, ...]], Sequence[Record]],
) -> Future[Sequence[Record]]:
    """The future of the claimed tasks' results."""
    try:
        return executor.submit(function, tuple(locks))
    except BaseException as e:
        _release(locks)
        if isinstance(e, BrokenExecutor):
            raise _died(next(iter(locks)), e) from e
        raise


def _kept(
    future: Future[Sequence[Record]], locks: Mapping[Task, BaseFileLock], store: Store
) -> list[tuple[Task, Record]]:
    """[(task, result)] of what is finished, written to the store."""
    results = list(zip(locks, future.result(), strict=True))
    for task, result in results:
        store.write(task, result)
    return results


def _release(locks: Mapping[Task, BaseFileLock]) -> None:
    for lock in locks.values():
        lock.release()


def _died(task: Task, cause: BaseException) -> WorkerDiedError:
    error = WorkerDiedError(
        f"a worker process died at {task}, {cause}; if memory ran out, use fewer processes. What "
        "is finished is kept"
    )
    error.__cause__ = cause
    return error
