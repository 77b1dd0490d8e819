"""A grid of tasks through an executor: whatever is finished is kept."""

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait

from ntklin.validation.figures.execution import execute

# Seconds between looks at the folder while another process computes what is missing.
PATIENCE = 0.5
# How often a task may lose its worker.
ATTEMPTS = 3


class WorkerDiedError(RuntimeError):
    """A worker process ended in the middle of a run, again and again."""


def sweep(tasks, store, executor, slots, function=execute):
    """Yield every task with its record, in the order in which they become known.

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
        If a task has lost three workers; what is finished is kept, as with any other error.
    """
    waiting, running, losses = deque(dict.fromkeys(tasks)), {}, {}
    try:
        while waiting or running:
            for _ in range(len(waiting)):
                task = waiting.popleft()
                record = store.read(task)
                if record is not None:
                    yield task, record
                elif len(running) < slots and (lock := store.claim(task)) is not None:
                    # Between the look and the claim another process may have finished it.
                    if (record := store.read(task)) is not None:
                        lock.release()
                        yield task, record
                    else:
                        running[executor.submit(function, task)] = task, lock
                else:
                    waiting.append(task)
            if not running:
                time.sleep(PATIENCE if waiting else 0)
                continue
            done, _ = wait(running, timeout=PATIENCE, return_when=FIRST_COMPLETED)
            for future in done:
                task, lock = running.pop(future)
                try:
                    record = future.result()
                    store.write(task, record)
                except BrokenExecutor as e:
                    losses[task] = losses.get(task, 0) + 1
                    if losses[task] == ATTEMPTS:
                        raise WorkerDiedError(
                            f"a worker process died {ATTEMPTS} times at {task}; if memory ran out, "
                            "use fewer processes. What is finished is kept"
                        ) from e
                    waiting.append(task)
                    continue
                finally:
                    lock.release()
                yield task, record
    finally:
        for future, (_, lock) in running.items():
            future.cancel()
            lock.release()
