"""Orders of inputs and columns in which zeros cluster, so that whole blocks can be passed over."""

import numpy as np


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

    The first is the sparsest, and then always the one that is left and differs in the fewest places
    from the latest. In a block of some rows more columns are zero than in the order of their
    sparsity: on MNIST's digits a tenth more for eight rows.
    """
    used = (X != 0).astype(np.float32)  # counts below 2^24 are exact
    common, counts = used @ used.T, used.sum(axis=1)
    order = [int(counts.argmin())]
    left = np.ones(len(X), bool)
    for _ in range(len(X) - 1):
        latest = order[-1]
        left[latest] = False
        differences = np.where(left, counts - 2 * common[latest], np.inf)
        order.append(int(differences.argmin()))
    return np.array(order)


def sparsest_first(X):
    """The order of the rows by their number of non-zeros."""
    return np.argsort((X != 0).sum(axis=1), kind="stable")
