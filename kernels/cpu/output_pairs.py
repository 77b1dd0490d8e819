"""Products of the last hidden layer's backward signals of several outputs, from subset sums.

δ^{L-1,c}_n is c's row of w_L W^L where a neuron is active and 0 elsewhere, so that

    ⟨δ^c_n, δ^c'_n'⟩ = Σ_i u_ci u_c'i over the neurons i that are active on both n and n'

is for each pair of inputs a sum of rows of products of outputs: C (C + 1)/2 numbers, from tables of
the sums over all subsets of a few neighbouring neurons, where the dense product takes C² multiply-
adds for each neuron.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter
from ntklin.kernels.cpu.sample_subsets import (
    active_samples,
    add_samples,
    sample_tables,
    tabulate_samples,
)
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, subset_width

# With fewer outputs a dense product is the faster one.
PAYS = 4
# Pairs of inputs of a task: their sums fit a second-level cache, and they share the tables.
PAIRS = 1024


class Pairs(NamedTuple):
    """Pairs of inputs (n, n'), and which neurons are active on either.

    Attributes
    ----------
    own, other : ndarray of int32, shape (pairs,)
        n and n'.
    bits, other_bits : ndarray of uint8, shape (N, groups)
        From ``active_samples``, with inputs in the place of neurons.
    """

    own: np.ndarray
    other: np.ndarray
    bits: np.ndarray
    other_bits: np.ndarray


class Work(NamedTuple):
    """Of each thread: sums and subsets of a task's pairs, a chunk's tables, and a row to spare."""

    sums: np.ndarray
    index: np.ndarray
    table: np.ndarray
    spare: np.ndarray


@parallel_kernel
def _add_pairs(K, G, w2, v2, pairs: Pairs, products, n_outputs, work: Work, counter):
    """K[(n, c), (n', c')] += (w² G_nn' + v²) Σ_i products_i over neurons active on both.

    ``products`` (C (C + 1)/2, m) has a row for each c' ≤ c.
    """
    own, other, bits, other_bits = pairs
    sums, index, table, spare = work
    ones = np.ones(products.shape[1], K.dtype)
    scale = np.ones(PAIRS, K.dtype)
    one = scale[0]
    n_groups, width = bits.shape[1], table.shape[3]
    for worker in prange(sums.shape[0]):
        my_sums, my_index, my_table = sums[worker], index[worker], table[worker]
        start = next_task(counter) * PAIRS
        while start < own.shape[0]:
            count = min(PAIRS, own.shape[0] - start)
            for p in range(count):
                n, k = own[start + p], other[start + p]
                for g in range(n_groups):
                    my_index[p, g] = bits[n, g] & other_bits[k, g]
            my_sums[:] = 0
            for j in range(0, products.shape[0], width):
                for chunk in range((n_groups + CHUNK_GROUPS - 1) // CHUNK_GROUPS):
                    tabulate_samples(my_table, ones, products, chunk, j)
                    add_samples(
                        my_sums, 0, count, j, my_index, chunk, my_table, one, scale, spare[worker]
                    )
            for p in range(count):
                n, k = own[start + p], other[start + p]
                factor = w2 * G[n, k] + v2
                e = 0
                for c in range(n_outputs):
                    for d in range(c + 1):
                        value = factor * my_sums[p, e]
                        K[n * n_outputs + c, k * n_outputs + d] += value
                        if d < c:
                            K[n * n_outputs + d, k * n_outputs + c] += value
                        e += 1
            start = next_task(counter) * PAIRS


def add_layer(K, G, w2, v2, a, other_a, scales):
    """K += (w² G + v²) ∘ δ δ'^T with δ^c = u_c ∘ 1[a > 0].

    Parameters
    ----------
    K : ndarray, shape (N C, N' C)
    G : ndarray, shape (N, N')
    w2, v2 : float
    a : ndarray, shape (N, m)
    other_a : ndarray, shape (N', m), or None
        ``a`` when not given; then only blocks on and below the diagonal are added to.
    scales : ndarray, shape (C, m)
        u.
    """
    symmetric = other_a is None
    bits = active_samples(a)
    other_bits = bits if symmetric else active_samples(other_a)
    shape = len(bits), len(other_bits)
    places = np.tril_indices(len(a)) if symmetric else np.indices(shape).reshape(2, -1)
    own, other = (np.ascontiguousarray(p, np.int32) for p in places)
    rows, columns = np.tril_indices(len(scales))
    products = scales[rows] * scales[columns]
    n_threads, width = get_num_threads(), subset_width(K.dtype)
    padded = -(-len(products) // width) * width
    work = Work(
        aligned_empty((n_threads, PAIRS, padded), K.dtype),
        np.empty((n_threads, PAIRS, bits.shape[1]), np.uint8),
        sample_tables(n_threads, K.dtype),
        np.empty((n_threads, width), K.dtype),
    )
    pairs = Pairs(own, other, bits, other_bits)
    _add_pairs(K, G, w2, v2, pairs, products, len(scales), work, task_counter())
