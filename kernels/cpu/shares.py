"""How work is cut into tasks: by the problem alone, and never by the number of threads.

What a task sums, or the shape of what it hands to BLAS, decides the last bits of a result. Threads
take tasks as they become free, whichever these are: with tasks that do not depend on the threads,
and their sums added in the order of the tasks, no bit does.
"""

# Tasks that are made where a matrix has fewer tiles of its own. More would keep more threads busy
# in small problems, at the cost of smaller products for BLAS.
TASKS = 8
# Neurons of a block that BLAS takes.
SMALLEST_BLOCK, LARGEST_BLOCK = 32, 512


def share(n, least, most, n_others=1):
    """The size of shares of n, of each of which there are ``n_others``.

    Parameters
    ----------
    n, least, most : int
        All of it, and the bounds of a share.
    n_others : int

    Returns
    -------
    int
    """
    wanted = -(-TASKS // n_others)
    return min(n, max(least, min(most, -(-n // wanted))))


def block_size(n):
    """Neurons of a block, of n: BLAS likes large ones, the threads several."""
    return share(n, SMALLEST_BLOCK, LARGEST_BLOCK)
