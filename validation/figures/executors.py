"""Where runs are computed: in this process, in others of this machine, or on a Dask cluster."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from ntklin import ClusterError
from ntklin.edge.cluster import connect, require_workers
from ntklin.edge.threads import limited
from ntklin.validation.figures.scheduler import WorkerDiedError


@contextmanager
def local(processes: int, threads: int) -> Iterator[tuple[Executor, int]]:
    """An executor on this machine, and how many tasks it takes at once.

    Parameters
    ----------
    processes : int
        With 1, everything runs in this process.
    threads : int
        Of Numba and of BLAS, in each.

    Yields
    ------
    Executor, int
    """
    if processes == 1:
        with limited(threads):
            yield Here(), 1
        return
    executor = Processes(processes, threads)
    try:
        yield executor, processes
    except BaseException:
        executor.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def dask(address: str) -> Iterator[tuple[Executor, int]]:
    """An executor on a Dask cluster, whose workers have one thread each and this ntklin installed.

    A run whose worker dies is started again on another.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Yields
    ------
    Executor, int
        And how many tasks it takes at once.

    Raises
    ------
    ValueError
        If Dask is not installed, there is no scheduler at the address, or the cluster's workers
        cannot be used.
    WorkerDiedError
        If a run has lost several workers.
    """
    try:
        client: Any = connect(address)
    except ClusterError as e:
        raise ValueError(f"--dask {address}: {e}") from e
    from distributed.scheduler import KilledWorker

    with client:
        try:
            workers = require_workers(client)
        except ClusterError as e:
            raise ValueError(f"--dask {address}: {e}") from e
        try:
            with client.get_executor() as executor:
                yield OneThread(executor), len(workers)
        except KilledWorker as e:
            raise WorkerDiedError(
                f"a run lost its Dask worker several times: {e}. What is finished is kept"
            ) from e


class Here(Executor):
    """Computes in this process, when the task is submitted."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Compute now."""
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as e:
            future.set_exception(e)
        return future


class OneThread(Executor):
    """Another executor, each of whose tasks has one thread, wherever it runs.

    Numba's number of threads is the calling thread's own, so that it has to be set in the task.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Pass the task on, with its one thread."""
        return self.executor.submit(on_threads, 1, partial(function, *args, **kwargs))


class Processes(Executor):
    """Processes of this machine, which are replaced when one of them dies.

    They end with this process, however it ends.

    Parameters
    ----------
    count : int
    threads : int
        Of Numba and of BLAS, in each.
    """

    def __init__(self, count: int, threads: int) -> None:
        self.count, self.threads, self._pool = count, threads, None

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Compute in one of the processes, all of which are new if one has died."""
        task = partial(on_threads, self.threads, partial(function, *args, **kwargs))
        if self._pool is not None:
            try:
                return self._pool.submit(task)
            except BrokenExecutor:
                self.kill()
                self._pool.shutdown(wait=False)
        context = multiprocessing.get_context("spawn")
        keep_track()
        # Nobody ever writes: its end is the message, and comes when this process ends.
        self._theirs, self._mine = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            self.count, mp_context=context, initializer=begin, initargs=(self._theirs,)
        )
        return self._pool.submit(task)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have done what they do."""
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End the processes in whatever they do."""
        if self._pool is not None:
            self._mine.close()


def keep_track() -> None:
    """Start the process that cleans up behind all of them so that SIGHUP does not end it.

    Else a closed terminal, which tells every process, ends it before those that report to it, and
    what they then report to another one are tracebacks. It inherits what is blocked; SIGINT and
    SIGTERM it ignores by itself.
    """
    if not hasattr(signal, "SIGHUP"):  # Windows has no such process
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(lifeline: Any) -> None:
    """What a worker process does first: leave Ctrl-C to its parent, and watch for its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Any) -> None:
    try:
        lifeline.recv()
    except EOFError:
        os._exit(1)


def on_threads(threads: int, task: Callable[[], Any]) -> Any:
    """``task()`` on so many threads."""
    with limited(threads):
        return task()
