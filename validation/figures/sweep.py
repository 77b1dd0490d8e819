"""A grid of tasks through an executor: whatever is finished is kept."""

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait

import ntklin
from ntklin.validation.figures.execution import execute

# Seconds between looks at the folder while another process computes what is missing.
PATIENCE = 0.5
# How often a task may lose its worker while it is the only one that runs.
ATTEMPTS = 2


class WorkerDiedError(ntklin.NtklinError, RuntimeError):
    """A worker process ended in the middle of a run, again and again."""


def sweep(tasks, store, executor, slots, function=execute):
    """Yield every task with its record, in the order in which they become known.

    After an error no more tasks are started; those that run are waited for and kept. When a process
    pool breaks, all that ran in it are lost together: they run again, one at a time, so that it
    shows which of them is the cause.

    Parameters
    ----------
    tasks : iterable of Problem
        Repetitions are dropped. Those that come first start first.
    store : Store
    executor : concurrent.futures.Executor
    slots : int
        How many tasks to submit at once.
    function : callable
        ``function(task)``, its record; runs in the executor.

    Yields
    ------
    (Problem, Record or Rate)

    Raises
    ------
    WorkerDiedError
        If a task has lost two workers while it ran alone, or the executor is broken for good.
    """
    waiting, suspects = deque(dict.fromkeys(tasks)), deque()
    running, losses, error = {}, {}, None
    try:
        while running or (error is None and (waiting or suspects)):
            queue = suspects or waiting
            for _ in range(len(queue) if error is None else 0):
                task = queue.popleft()
                if (record := store.read(task)) is not None:
                    yield task, record
                elif len(running) < (1 if suspects or queue is suspects else slots):
                    submitted = _submit(task, store, executor, function)
                    if submitted is None:  # another process computes it
                        waiting.append(task)
                    else:
                        running.update(submitted)
                else:
                    queue.append(task)
            if not running:
                time.sleep(PATIENCE if waiting else 0)
                continue
            alone = len(running) == 1
            done, _ = wait(running, timeout=PATIENCE, return_when=FIRST_COMPLETED)
            for future in done:
                task, lock = running.pop(future)
                try:
                    record = future.result()
                    store.write(task, record)
                except BrokenExecutor as e:
                    suspects.append(task)
                    losses[task] = losses.get(task, 0) + alone
                    if losses[task] == ATTEMPTS:
                        error = error or _died(task, e)
                except Exception as e:
                    error = error or e
                else:
                    yield task, record
                finally:
                    lock.release()
        if error is not None:
            raise error
    finally:
        for future, (task, lock) in running.items():
            if not future.cancel() and future.done() and future.exception() is None:
                store.write(task, future.result())
            lock.release()


def _submit(task, store, executor, function):
    """{future: (task, lock)}; None where another process holds the task."""
    lock = store.claim(task)
    if lock is None:
        return None
    if store.read(task) is not None:  # finished between the look and the claim
        lock.release()
        return None
    try:
        return {executor.submit(function, task): (task, lock)}
    except BrokenExecutor as e:
        lock.release()
        raise _died(task, e) from e
    except BaseException:
        lock.release()
        raise


def _died(task, cause):
    error = WorkerDiedError(
        f"a worker process died at {task}, {cause}; if memory ran out, use fewer processes. What "
        "is finished is kept"
    )
    error.__cause__ = cause
    return error
