"""How the kernels are compiled.

No kernel uses full ``fastmath``. ``contract`` fuses a multiplication and an addition, which only
drops a rounding; ``reassoc`` lets a sum be taken in vector lanes and is kept to the one tile
function whose inner loop is a dot product. NaN and infinities keep their meaning everywhere.
"""

import functools

from numba import njit

from ntklin.kernels.cpu.caching import with_cache
from ntklin.kernels.cpu.launching import launcher, turns
from ntklin.kernels.cpu.plain import twin


def _compiled(function=None, **options):
    """``njit`` with options, for a function or, as a decorator, without one."""
    if function is None:
        return functools.partial(_compiled, **options)
    # A second entry, for C, would be compiled for every kernel, and no C code calls any.
    return with_cache(njit(nogil=True, no_cfunc_wrapper=True, **options)(function))


# Options that fuse a multiplication and an addition.
CONTRACTED = {"fastmath": {"contract"}}

kernel = functools.partial(_compiled, **CONTRACTED)
dot_kernel = functools.partial(_compiled, fastmath={"contract", "reassoc", "nsz"})


def parallel_kernel(turn):
    """A kernel of many turns, which are shared out to threads: ``f[n](*arguments)``, from Python.

    What is decorated takes one, ``f(k, *arguments)``, k < n, whichever thread that falls to.

    Returns
    -------
    Turns
    """
    return turns(turn, kernel)


def launching_kernel(function):
    """A kernel that calls ``parallel_for``; called from Python only.

    Returns
    -------
    callable
    """
    return twin(function)(launcher(kernel(function)))
