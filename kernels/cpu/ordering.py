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


def sparsest_first(X):
    """The order of the rows by their number of non-zeros."""
    return np.argsort((X != 0).sum(axis=1), kind="stable")
