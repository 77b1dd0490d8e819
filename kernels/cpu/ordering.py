"""Orders of inputs and columns in which zeros cluster, so that whole blocks can be passed over."""

import numpy as np

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.plain import twin

# Up to so many rows the nearest one is sought among all that are left. Beyond, among as many as are
# next by their number of zeros, which on images finds neighbors as near, in a time that grows as N.
SEEK_AMONG_ALL = 4096
WINDOW = 256


def staircase(*activations):
    """An order of the live columns in which every row ends as early as its predecessors allow.

    Columns come in the order in which the rows first use them, so that the first row's columns are
    a prefix, those of the first two a longer one, and so on; with the sparsest rows first, many
    pairs of rows need a part of the columns only.

    Returns
    -------
    columns : ndarray of int
        The columns in which some row is not zero.
    stops : list of ndarray
        For each array of activations, how many of ``columns`` each row needs.
    """
    used = [a != 0 for a in activations]
    n_columns = used[0].shape[1]
    first = np.minimum.reduce([np.where(u.any(0), u.argmax(0), len(u)) for u in used])
    live = np.logical_or.reduce([u.any(0) for u in used])
    columns = np.argsort(first, kind="stable")
    columns = columns[live[columns]]
    place = np.zeros(n_columns, np.int64)
    place[columns] = np.arange(1, len(columns) + 1)
    return columns, [(u * place).max(axis=1) for u in used]


def neighbors_first(X):
    """An order of the rows in which each has its zeros about where the one before it has them.

    The first is the sparsest, and then always the one that differs in the fewest places from the
    latest, of those that are left: of all of them, or where there are many of the sparsest WINDOW.
    In a block of some rows more columns are zero than in the order of their sparsity: on MNIST's
    digits a tenth more for eight rows.

    Returns
    -------
    ndarray of int, shape (N,)
    """
    used = X != 0
    counts = used.sum(axis=1)
    used = used[:, used.any(axis=0) & ~used.all(axis=0)]  # where all agree, none is nearer
    order = np.arange(len(X))
    if used.shape[1] == 0:
        return order
    first, window = int(counts.argmin()), len(X)
    if len(X) > SEEK_AMONG_ALL:
        first, window = 0, WINDOW
        order = np.argsort(counts, kind="stable")
    return order[_walk(_words(used, order), first, window)]


def _words(used, order):
    """The rows in this order as bits, in whole words of 64."""
    bits = np.packbits(used, axis=1)
    words = np.zeros((len(bits), -(-bits.shape[1] // 8)), np.uint64)
    words.view(np.uint8)[:, : bits.shape[1]] = bits[order]
    return words


@kernel
def _ones(word):
    """How many bits of a word are set; LLVM knows the idiom."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    word = (word & pairs) + ((word >> np.uint64(2)) & pairs)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@twin(plain.nearest)
@kernel
def _nearest(words, left, latest):
    """Where in ``left`` the row is that differs least from ``latest``; of equals the first."""
    place = 0
    least = np.int64(64) * words.shape[1] + 1
    for p in range(left.shape[0]):
        row = left[p]
        total = np.int64(0)
        for k in range(words.shape[1]):
            total += _ones(words[row, k] ^ words[latest, k])
        if total < least or (total == least and row < left[place]):
            least = total
            place = p
    return place


@kernel
def _walk(words, first, window):
    """From ``first`` on always to the nearest of the next ``window`` rows that are left."""
    n = words.shape[0]
    order = np.empty(n, np.int64)
    left = np.arange(n)[:window]
    count, following, place = left.shape[0], left.shape[0], first
    for k in range(n):
        if k > 0:
            place = _nearest(words, left[:count], order[k - 1])
        order[k] = left[place]
        if following < n:
            left[place] = following
            following += 1
        else:
            count -= 1
            left[place] = left[count]
    return order


def sparsest_first(X):
    """The order of the rows by their number of non-zeros."""
    return np.argsort((X != 0).sum(axis=1), kind="stable")
