"""Sums over the samples that activate a neuron, from tables that all neurons share.

A gradient with respect to the weights into the last hidden layer is c_i Σ_n 1[a_in > 0] r_n x_n,
row by row. The sums of r_n x_n over all subsets of SAMPLES neighboring samples are tabulated once;
each neuron then adds one entry for SAMPLES samples, where a dense product has as many
multiply-adds.
"""

import numpy as np

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import add_entries, positive_samples, prefetch, wide_vectors
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, LINE, SAMPLES, SUBSET_LINES, subset_width


@kernel
def active_subsets(A, i, n_samples, index, k):
    """index[k] ← which of the first samples activate neuron i, SAMPLES bits to a byte."""
    whole = n_samples // SAMPLES
    for g in range(whole):
        index[k, g] = positive_samples(A, i, g * SAMPLES)
    if whole * SAMPLES < n_samples:
        subset = 0
        for p in range(n_samples - whole * SAMPLES):
            subset |= (A[i, whole * SAMPLES + p] > 0) << p
        index[k, whole] = subset


@parallel_kernel
def _active_samples(i, A, index):
    active_subsets(A, i, A.shape[1], index, i)


def active_samples(A):
    """Where A (m, N) is positive, SAMPLES bits to a byte.

    Returns
    -------
    ndarray of uint8, shape (m, ⌈N/SAMPLES⌉)
    """
    index = np.empty((len(A), -(-A.shape[1] // SAMPLES)), np.uint8)
    _active_samples[len(A)](A, index)
    return index


def sample_tables(n_threads, dtype):
    """Room for :func:`tabulate_samples`, one chunk of samples for each thread."""
    shape = (n_threads, CHUNK_GROUPS, 1 << SAMPLES, subset_width(dtype))
    return aligned_empty(shape, dtype)


@kernel
def fill_subsets(table, k):
    """table[k, s] ← Σ table[k, 2^p] over the bits p of s, for all s of several bits and for 0.

    ``table`` is of shape (·, 2^SAMPLES, width).
    """
    wide_vectors()
    entry, width = np.uint64(k), np.uint64(table.shape[2])
    size = np.uint64(table.shape[1])
    for q in range(width):
        table[entry, 0, q] = 0
    # Up to the table's own size: with a bound that it knows, the compiler would unroll all this
    # into code no faster, and spend half a minute on it in the steps that use it.
    bit = np.uint64(2)
    while bit < size:
        for s in range(np.uint64(1), bit):
            for q in range(width):
                table[entry, bit + s, q] = table[entry, s, q] + table[entry, bit, q]
        bit *= np.uint64(2)


@kernel
def tabulate_samples(table, r, below, chunk, j, has_bias):
    """table[g, s] ← Σ_n r_n below[j:, n] over the bits of s, for a chunk's samples n.

    Parameters
    ----------
    table : ndarray, shape (CHUNK_GROUPS, 2^SAMPLES, width)
    r : ndarray, shape (N,)
    below : ndarray, shape (m, N)
    chunk, j : int
        Which samples, and the first column of the tile. Beyond the ends are zeros.
    has_bias : bool
        Whether there is a row of ones behind those of ``below``.
    """
    wide_vectors()
    first, columns = np.uint64(j), np.uint64(min(table.shape[2], below.shape[0] - j))
    for k in range(table.shape[0]):
        start = (chunk * CHUNK_GROUPS + k) * SAMPLES
        if start >= below.shape[1]:
            break
        for p in range(SAMPLES):
            g, n, bit = np.uint64(k), np.uint64(start + p), np.uint64(1 << p)
            for q in range(np.uint64(table.shape[2])):
                table[g, bit, q] = 0
            if n < below.shape[1]:
                for q in range(columns):
                    table[g, bit, q] = r[n] * below[first + q, n]
                if has_bias and columns < table.shape[2]:
                    table[g, bit, columns] = r[n]
        fill_subsets(table, k)


@twin(plain.add_samples)
@kernel
def add_samples(W, start, stop, j, index, chunk, table, rate, scale, spare):
    """W[i, j:] += rate scale_i Σ_n r_n below[j:, n] over a chunk's active samples, by rows i.

    Parameters
    ----------
    W : ndarray, shape (m', m)
    start, stop, j : int
        Rows, and the first column of the tile.
    index : ndarray
        From :func:`active_samples`.
    chunk : int
    table : ndarray
        From :func:`tabulate_samples`.
    rate : float
    scale : ndarray, shape (m',)
    spare : ndarray, shape (width,)
        Work space for a tile that W's last column cuts.
    """
    groups = min(CHUNK_GROUPS, index.shape[1] - chunk * CHUNK_GROUPS)
    bits = start * index.shape[1] + chunk * CHUNK_GROUPS
    target = (start * W.shape[1] + j) * W.itemsize
    columns = min(table.shape[2], W.shape[1] - j)
    for i in range(start, stop):
        if columns == table.shape[2]:
            add_entries((W, target), (index, bits), (table, 0), groups, rate * scale[i])
            if i + stop - start < W.shape[0]:
                # The rows that come next lie too far apart for the hardware to foresee.
                ahead = target + (stop - start) * W.shape[1] * W.itemsize
                for line in range(SUBSET_LINES):
                    prefetch((W, ahead + line * LINE))
        else:
            for q in range(columns):
                spare[q] = W[i, j + q]
            add_entries((spare, 0), (index, bits), (table, 0), groups, rate * scale[i])
            for q in range(columns):
                W[i, j + q] = spare[q]
        bits += index.shape[1]
        target += W.shape[1] * W.itemsize


@twin(plain.add_groups)
@kernel
def add_groups(sums, place, start, stop, index, chunk, table):
    """sums[place + i − start] += Σ_n r_n below[j:, n] over a chunk's active samples, by rows i.

    Parameters
    ----------
    sums : ndarray, shape (at least place + stop − start, width)
        Aligned rows.
    place, start, stop : int
    index, table : ndarray
        See :func:`add_samples`.
    chunk : int
    """
    groups = min(CHUNK_GROUPS, index.shape[1] - chunk * CHUNK_GROUPS)
    bits = start * index.shape[1] + chunk * CHUNK_GROUPS
    target, one = place * sums.shape[1] * sums.itemsize, sums.dtype.type(1)
    for _ in range(start, stop):
        add_entries((sums, target), (index, bits), (table, 0), groups, one)
        target += sums.shape[1] * sums.itemsize
        bits += index.shape[1]
