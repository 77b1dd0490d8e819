"""So many threads, and no more; and one of BLAS where no bit may depend on them."""

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


@contextmanager
def reproducible() -> Iterator[None]:
    """Inside, the same call gives the same bits however many threads there are.

    What ntklin's own kernels compute never depends on the number of threads: networks, features and
    kernels, training, infinite width. Eigenvalues, factorizations and products of N × N matrices
    are LAPACK's, whose sums depend on how many threads BLAS has. Here it has one, NumPy's and
    SciPy's alike, while kernels keep Numba's threads. That costs up to the factor by which these
    threads are faster. It nests, serves several Python threads at a time, and is a decorator, too.

    The bits are those of one machine with one BLAS. Another model of CPU, another BLAS or another
    version of it has other kernels, and rounds differently.

    Yields
    ------
    None

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> net = ntklin.MLP((3, 50, 1))
    >>> X = np.eye(3)
    >>> with ntklin.reproducible():
    ...     lin = ntklin.linearize(net, net.init(0), X)
    ...     f = lin.minimizer([1.0, 0.0, 2.0]).predict(X)
    """
    from ntklin.kernels.sequential import sequential_blas

    with sequential_blas:
        yield
