"""One number of threads for Numba and BLAS alike, and threads that sleep while they wait."""

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

WAIT_POLICY = "OMP_WAIT_POLICY"
NUMBER = "NUMBA_NUM_THREADS"
# More than any machine has; Numba would start them.
MOST_THREADS = 65_536


def sleep_while_waiting(environ: MutableMapping[str, str]) -> None:
    """Let OpenMP's threads sleep at the end of a parallel loop, where Numba is still to be loaded.

    A training step has several short parallel loops. Where other processes want the same cores, a
    thread that spins at a loop's end takes the core from the one it waits for: with two busy cores
    a step then took three times as long as on one thread. A setting of the user's stands.

    Parameters
    ----------
    environ : mutable mapping
    """
    if "numba" not in sys.modules:
        environ.setdefault(WAIT_POLICY, "passive")


def require_number(environ: Mapping[str, str]) -> None:
    """Refuse a number of threads in the environment that Numba could not take.

    Parameters
    ----------
    environ : mapping

    Raises
    ------
    ValueError
        Naming the variable, which Numba's own message does not.
    """
    text = environ.get(NUMBER)
    if text is None:
        return
    try:
        fine = 1 <= int(text) <= MOST_THREADS
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(
            f"the environment's {NUMBER} must be an integer from 1 to {MOST_THREADS}, got "
            f"{text!r}; correct it, or unset {NUMBER}"
        )


@contextmanager
def limited(n_threads: int | None) -> Iterator[None]:
    """Let Numba and every BLAS use at most ``n_threads`` inside; None leaves both alone.

    Raises
    ------
    ValueError
        For fewer than one, or more than Numba has.
    """
    if n_threads is None:
        yield
        return
    from numba.np.ufunc.parallel import get_thread_count

    from ntklin.edge import threads

    most = get_thread_count()
    if not 1 <= n_threads <= most:
        raise ValueError(f"--threads must be between 1 and {most}, got {n_threads}")
    with threads.limited(n_threads):
        yield
