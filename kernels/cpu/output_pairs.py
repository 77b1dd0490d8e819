"""Products of the last hidden layer's backward signals of several outputs, from subset sums.

δ^{L-1,c}_n is c's row of w_L W^L where a neuron is active and 0 elsewhere, so that

    ⟨δ^c_n, δ^c'_n'⟩ = Σ_i u_ci u_c'i over the neurons i that are active on both n and n'

is for each pair of inputs a sum of rows of products of outputs: C (C + 1)/2 numbers, where the
dense product takes C² multiply-adds for each neuron. For one input n at a time the rows of its own
active neurons, half of all, are tabulated by their subset sums; each n' adds one entry for four.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import plain
from ntklin.kernels.cpu.aligned import aligned_empty, aligned_zeros
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import (
    next_task,
    tabulate_listed,
    task_counter,
    transpose_bits,
)
from ntklin.kernels.cpu.neuron_subsets import ROWS, active_bits, add_neurons
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.sizes import SUBSET, WORD, subset_width
from ntklin.kernels.cpu.sums import clear_rows

# With fewer outputs a dense product is the faster one.
PAYS = 4


class Neurons(NamedTuple):
    """The neurons of the last hidden layer, and one more that no input activates.

    Attributes
    ----------
    a : ndarray, shape (N, m)
    samples : ndarray of uint32, shape (⌈N'/WORD⌉, m + 1)
        Which of the inputs n' activate each.
    products : ndarray, shape (m + 1, tiles of columns)
        u_c u_c' of each, for pairs of outputs; 0 of the last one, which fills up lists.
    """

    a: np.ndarray
    samples: np.ndarray
    products: np.ndarray


class Work(NamedTuple):
    """Of each thread: sums of a run of inputs, one input's neurons, bits of those, their sums.

    Attributes
    ----------
    sums : ndarray, shape (threads, rows, width)
    listed : ndarray of int32, shape (threads, m + WORD)
    words : ndarray of uint32, shape (threads, 1, rows)
    table : ndarray, shape (threads, WORD/SUBSET, 2^SUBSET, width)
    """

    sums: np.ndarray
    listed: np.ndarray
    words: np.ndarray
    table: np.ndarray


@kernel
def _list_active(a, n, listed):
    """listed ← the neurons that input n activates, then m, which is none, to fill the last word.

    Returns
    -------
    int
        How many there are.
    """
    count = 0
    for i in range(a.shape[1]):
        listed[count] = i
        count += a[n, i] > 0
    listed[count : count + WORD] = a.shape[1]
    return count


@twin(plain.tabulate_listed)
@kernel
def _tabulate_listed(table, products, j, listed, first):
    """table[g, s] ← sums of products[:, j:] over subsets of WORD neurons, from ``first`` on."""
    step = products.shape[1] * products.itemsize
    rows, neurons = (products, j * products.itemsize), (listed, first * listed.itemsize)
    tabulate_listed((table, 0), rows, neurons, step)


@twin(plain.common_words)
@kernel
def _common_words(words, samples, listed, first, start, stop):
    """Bit i of words[0, n' − start] ← whether input n' activates neuron listed[first + i]."""
    for block in range(start // WORD, (stop + WORD - 1) // WORD):
        word = (words, (block * WORD - start) * words.itemsize)
        row = (samples, block * samples.shape[1] * samples.itemsize)
        transpose_bits(word, row, (listed, first * listed.itemsize))


@kernel
def _add_blocks(K, G, w2, v2, n, start, stop, j, sums, outputs):
    """K[(n, c), (n', c')] += (w² G_nn' + v²) sums_n' for start ≤ n' < stop and pairs of outputs."""
    n_outputs = K.shape[0] // G.shape[0]
    columns = min(sums.shape[1], outputs.shape[1] - j)
    for k in range(start, stop):
        factor = w2 * G[n, k] + v2
        for e in range(columns):
            c, d = outputs[0, j + e], outputs[1, j + e]
            value = factor * sums[k - start, e]
            K[n * n_outputs + c, k * n_outputs + d] += value
            if d < c:
                K[n * n_outputs + d, k * n_outputs + c] += value


@parallel_kernel
def _add_layer(worker, K, G, w2, v2, neurons: Neurons, outputs, symmetric, work: Work, counter):
    """:func:`add_layer`; ``outputs`` are the pairs (c, c') that products have a column for."""
    a, samples, products = neurons
    sums, listed, words, table = work
    width = sums.shape[2]
    n_columns = products.shape[1] // width
    my_sums, my_listed = sums[worker], listed[worker]
    my_words, my_table = words[worker], table[worker]
    task = next_task(counter)
    while task < n_columns * G.shape[0]:
        # Those with most to do come first.
        n, j = G.shape[0] - 1 - task // n_columns, task % n_columns * width
        count = _list_active(a, n, my_listed)
        end = n + 1 if symmetric else G.shape[1]
        for start in range(0, end, ROWS):
            stop = min(end, start + ROWS)
            clear_rows(my_sums, 0, stop - start)
            for first in range(0, count, WORD):
                _tabulate_listed(my_table, products, j, my_listed, first)
                _common_words(my_words, samples, my_listed, first, start, stop)
                add_neurons(my_sums, my_words, 0, 0, stop - start, my_table)
            _add_blocks(K, G, w2, v2, n, start, stop, j, my_sums, outputs)
        task = next_task(counter)


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
    m, n_threads, width = a.shape[1], get_num_threads(), subset_width(K.dtype)
    outputs = np.array(np.tril_indices(len(scales)), np.int32)
    n_pairs = outputs.shape[1]
    products = aligned_zeros((m + 1, -(-n_pairs // width) * width), K.dtype)
    products[:m, :n_pairs] = (scales[outputs[0]] * scales[outputs[1]]).T
    samples = np.zeros((-(-G.shape[1] // WORD), m + 1), np.uint32)
    samples[:, :m] = active_bits(a.T if symmetric else other_a.T)
    n_rows = min(ROWS, len(samples) * WORD)
    work = Work(
        aligned_empty((n_threads, n_rows, width), K.dtype),
        np.empty((n_threads, m + WORD), np.int32),
        np.empty((n_threads, 1, n_rows), np.uint32),
        aligned_empty((n_threads, WORD // SUBSET, 1 << SUBSET, width), K.dtype),
    )
    neurons = Neurons(a, samples, products)
    _add_layer[len(work.sums)](K, G, w2, v2, neurons, outputs, symmetric, work, task_counter())
