"""So many threads, and no more."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let Numba and BLAS use so many threads inside, as far as there are so many."""
    import numba
    import scipy.linalg.cython_blas  # noqa: F401  (loads the BLAS that has to be limited)
    from numba.np.ufunc.parallel import get_thread_count
    from threadpoolctl import threadpool_limits

    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, get_thread_count()))
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        numba.set_num_threads(before)
