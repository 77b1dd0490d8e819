"""Where runs are computed: in this process, in others of this machine, or on a Dask cluster."""

import multiprocessing
import os
import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait


class Here(Executor):
    """Computes in this process, when the task is submitted."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as e:
            future.set_exception(e)
        return future


class Processes(Executor):
    """Processes of this machine, which are replaced when one of them dies.

    Parameters
    ----------
    count : int
    threads : int
        Of Numba and of BLAS, in each.
    """

    def __init__(self, count, threads):
        self.count, self.threads, self._pool = count, threads, None

    def submit(self, function, /, *args, **kwargs):
        if self._pool is not None:
            try:
                return self._pool.submit(function, *args, **kwargs)
            except BrokenExecutor:
                self._pool.shutdown(wait=False)
        self._pool = ProcessPoolExecutor(
            self.count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=begin,
            initargs=(self.threads,),
        )
        return self._pool.submit(function, *args, **kwargs)

    def shutdown(self, wait=True, *, cancel_futures=False):
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def kill(self):
        """End the processes in whatever they do."""
        for process in multiprocessing.active_children():
            process.terminate()


def begin(threads):
    """What a worker process does first."""
    limit(threads)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def limit(threads):
    """Let Numba and BLAS use so many threads in this process from now on."""
    import numba
    import scipy.linalg.cython_blas  # noqa: F401  (loads the BLAS that has to be limited)
    from threadpoolctl import threadpool_limits

    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    threadpool_limits(threads, user_api="blas")


def _die_with_parent():
    """Not to compute for nobody, nor to wait forever, when the parent was killed."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


@contextmanager
def local(processes, threads):
    """An executor on this machine, and how many tasks it takes at once.

    Parameters
    ----------
    processes : int
        With 1, everything runs in this process.
    threads : int
        In each.
    """
    if processes == 1:
        limit(threads)
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
def dask(address):
    """An executor on a Dask cluster, whose workers have one thread each and have ntklin installed.

    Dask starts a run again elsewhere when its worker dies.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://10.0.0.1:8786``.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("--dask needs Dask: pip install 'ntklin[dask]'") from None
    with Client(address, timeout="20s") as client:
        slots = sum(client.nthreads().values())
        if not slots:
            raise ValueError(f"the Dask cluster at {address} has no workers")
        client.run(limit, 1)
        with client.get_executor(retries=2) as executor:
            yield executor, slots
