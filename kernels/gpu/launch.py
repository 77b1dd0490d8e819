"""Launch arithmetic: how many blocks of how many threads, from the problem's shape alone.

No card is asked for its name. Results are the same on all of them, and so is the order of every
sum.
"""

# Threads of a block of the kernels that take elements or columns one by one.
THREADS = 256
# The most blocks along the second and third axis of a grid, a limit of CUDA.
MAX_BLOCKS = 65535
# Blocks that keep any present card busy for several waves; loops with a stride do the rest.
MANY_BLOCKS = 4096


def ceil_div(a, b):
    """⌈a/b⌉."""
    return -(-a // b)


def elements(count):
    """Grid and block for ``count`` elements, each thread taking every so many of them."""
    return (max(1, min(ceil_div(count, THREADS), MANY_BLOCKS)),), (THREADS,)


def matrix(n, m, count=1):
    """Grid and block for an (n, m) matrix: threads share out columns, blocks rows and columns.

    ``count`` of them, at most ``MAX_BLOCKS``, have each a layer of blocks.

    Returns
    -------
    pair of tuple of int
    """
    return (ceil_div(m, THREADS), min(n, MAX_BLOCKS), count), (THREADS,)


def networks(count, threads):
    """Grid and block for ``count`` networks, one block of so many threads each."""
    return (count,), (threads,)


def neurons(n, m, k):
    """Grid and block for n rows of m neurons with k columns each.

    A block's threads take the columns of one neuron, as many as fill whole warps.

    Returns
    -------
    pair of tuple of int
    """
    threads = min(THREADS, ceil_div(k, 32) * 32)
    return (min(m, MANY_BLOCKS), min(n, MAX_BLOCKS)), (threads,)
