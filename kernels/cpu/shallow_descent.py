"""Steps of ``descent`` on a network with one hidden layer.

δ^1_in is w_2 W^2_i or 0, so that row i of (δ^1 ∘ r) G is a sum of rows r_n G_n over the samples
that activate neuron i, from tables of such sums (``sample_subsets``).
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu.aligned import aligned_empty
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, launching_kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.losses import LOSSES, goes_on, loss_and_derivatives
from ntklin.kernels.cpu.outputs import CHUNK, sum_parts
from ntklin.kernels.cpu.parallel_for import parallel_for
from ntklin.kernels.cpu.sample_subsets import (
    active_subsets,
    add_samples,
    listed_subsets,
    sample_tables,
    tabulate_samples,
)
from ntklin.kernels.cpu.sizes import CHUNK_GROUPS, SAMPLES
from ntklin.kernels.cpu.sums import clear_rows, sum_of
from ntklin.kernels.ends import End
from ntklin.kernels.structures import DescentState, Layer

# Samples are taken by so many, which fill whole vectors in either precision.
LANES = 16
# The most chunks of neurons that a task takes, which share the tables that it makes. What a chunk
# sums is its own, so that no bit depends on how many a task takes.
SLAB_CHUNKS = 8


class Problem(NamedTuple):
    """What is fitted: G and Y as in ``descent``, and a value of ``LOSSES``."""

    G: np.ndarray
    Y: np.ndarray
    loss: int


class Work(NamedTuple):
    """Work space.

    Attributes
    ----------
    parts : ndarray, shape (chunks, padded N)
        The outputs' parts.
    samples : ndarray of int, shape (N,)
    subsets : ndarray of uint8, shape (m ⌈N/SAMPLES⌉,)
        Which of the step's samples activate each neuron.
    columns : ndarray, shape (N²,)
        The columns of G that count in a step.
    scale : ndarray, shape (m,)
    table, spare, heads : ndarray
        For each thread: subset sums, a tile's row, and the preactivations of a neuron.
    counter : ndarray of int, shape (1,)
    """

    parts: np.ndarray
    samples: np.ndarray
    subsets: np.ndarray
    columns: np.ndarray
    scale: np.ndarray
    table: np.ndarray
    spare: np.ndarray
    heads: np.ndarray
    counter: np.ndarray


class Seen(NamedTuple):
    """What a step sees of the samples.

    Attributes
    ----------
    live : ndarray of int, shape (n,)
        Those with r_n ≠ 0.
    factors : ndarray, shape (n,)
        Their r.
    gathered : ndarray, shape (N, n)
        Their columns of G.
    index : ndarray of uint8, shape (m, ⌈n/SAMPLES⌉)
        Which of them activate each neuron.
    whole : ndarray
        r of all samples, and zeros up to whole vectors.
    """

    live: np.ndarray
    factors: np.ndarray
    gathered: np.ndarray
    index: np.ndarray
    whole: np.ndarray


def _work_space(H, n_samples):
    """For ``H`` (m, padded N)."""
    table = sample_tables(get_num_threads(), H.dtype)
    return Work(
        parts=aligned_empty((-(-len(H) // CHUNK), H.shape[1]), H.dtype),
        samples=np.empty(n_samples, np.int64),
        subsets=np.empty(len(H) * -(-n_samples // SAMPLES), np.uint8),
        columns=np.empty(n_samples * n_samples, H.dtype),
        scale=np.empty(len(H), H.dtype),
        table=table,
        spare=np.empty((len(table), table.shape[3]), H.dtype),
        heads=aligned_empty((len(table), H.shape[1]), H.dtype),
        counter=task_counter(),
    )


@kernel
def _whole_width(n_samples):
    """The columns that loops over samples take, zeros behind the last: no vector is cut."""
    return (n_samples + LANES - 1) // LANES * LANES


@dot_kernel
def _add_active(S, h, k, H, moved, i, r, c):
    """S_in += c r_n where h_n = H_in + moved_in > 0 and h_k ← h; returns Σ_n r_n max(h_n, 0)."""
    wide_vectors()
    i, k, zero = np.uint64(i), np.uint64(k), H.dtype.type(0)
    total = zero
    for n in range(np.uint64(r.shape[0])):
        here = H[i, n] + moved[i, n]
        h[k, n] = here
        S[i, n] += c * r[n] if here > zero else zero
        total += r[n] * max(here, zero)
    return total


@kernel
def _add_moved_relu(F, k, width, H, moved, i, c):
    """F_k += c max(H_i + moved_i, 0) over the first ``width`` columns."""
    wide_vectors()
    k, i, zero = np.uint64(k), np.uint64(i), H.dtype.type(0)
    for n in range(np.uint64(width)):
        F[k, n] += c * max(H[i, n] + moved[i, n], zero)


@kernel
def _add_four_moved_relus(F, k, width, H, moved, i, w, W):
    """The same for four neurons, c = w W_i: F passes through the registers once."""
    wide_vectors()
    k, i, zero = np.uint64(k), np.uint64(i), H.dtype.type(0)
    i1, i2, i3 = i + np.uint64(1), i + np.uint64(2), i + np.uint64(3)
    c0, c1, c2, c3 = w * W[i], w * W[i1], w * W[i2], w * W[i3]
    for n in range(np.uint64(width)):
        total = F[k, n] + c0 * max(H[i, n] + moved[i, n], zero)
        total += c1 * max(H[i1, n] + moved[i1, n], zero)
        total += c2 * max(H[i2, n] + moved[i2, n], zero)
        F[k, n] = total + c3 * max(H[i3, n] + moved[i3, n], zero)


@kernel
def _sum_moved_outputs(H, moved, row, stop, W, w, parts, width):
    """As ``sum_outputs``, of H + moved; only the first ``width`` columns are set."""
    for start in range(row, stop, CHUNK):
        chunk = start // CHUNK
        clear_rows(parts, chunk, chunk + 1)
        end = min(start + CHUNK, stop)
        fours = start + (end - start) // 4 * 4
        for i in range(start, fours, 4):
            _add_four_moved_relus(parts, chunk, width, H, moved, i, w, W)
        for i in range(fours, end):
            _add_moved_relu(parts, chunk, width, H, moved, i, w * W[i])


@parallel_kernel
def _moved_output_parts(task, H, moved, W, w, parts, width):
    """As ``output_parts``, of H + moved."""
    stop = min((task + 1) * CHUNK, H.shape[0])
    _sum_moved_outputs(H, moved, task * CHUNK, stop, W, w, parts, width)


@kernel
def _select(samples, r):
    """List the samples with r_n ≠ 0 from the left; how many there are."""
    n_live = 0
    for n in range(r.shape[0]):
        samples[n_live] = n
        n_live += r[n] != 0
    return n_live


@kernel
def _gather_columns(G, samples, gathered):
    """Copy the columns of G, as listed."""
    for n in range(gathered.shape[0]):
        for k in range(gathered.shape[1]):
            gathered[n, k] = G[n, samples[k]]


@kernel
def _take_slabs(worker, state: DescentState, output: Layer, rate, seen: Seen, work: Work, slab):
    """A step of all neurons, ``slab`` of them a task: W, S and moved, and the outputs' parts."""
    H, moved, _, S = state
    W, _, w, _ = output
    live, factors, gathered, index, whole = seen
    parts, scale, heads, counter = work.parts, work.scale, work.heads, work.counter
    table, spare = work.table[worker], work.spare[worker]
    n_neurons, n_samples, n_groups = H.shape[0], gathered.shape[0], index.shape[1]
    start = next_task(counter) * slab
    while start < n_neurons:
        stop = min(start + slab, n_neurons)
        for i in range(start, stop):
            scale[i] = w * W[i]
            change = _add_active(S, heads, worker, H, moved, i, whole, scale[i])
            W[i] -= rate * w * change
            if live.shape[0] == n_samples:
                active_subsets(heads, worker, n_samples, index, i)
            else:
                listed_subsets(heads, worker, live, index, i)
        rows = moved[:stop]  # none of the next task's is to be fetched
        for j in range(0, n_samples, table.shape[2]):
            for chunk in range((n_groups + CHUNK_GROUPS - 1) // CHUNK_GROUPS):
                tabulate_samples(table, factors, gathered, chunk, j, False)
                add_samples(rows, start, stop, j, index, chunk, table, -rate, scale, spare)
        _sum_moved_outputs(H, moved, start, stop, W, w, parts, whole.shape[0])
        start = next_task(counter) * slab


@launching_kernel
def _steps(
    state: DescentState,
    output: Layer,
    problem: Problem,
    rate,
    sample_weights,
    end: End,
    losses,
    work: Work,
):
    """The steps taken; ``losses`` is filled up to them, and the output's W is a vector."""
    H, b, v = state.H, output.b, output.v
    G, Y, loss = problem
    parts, samples, subsets, columns, _, table, _, _, counter = work
    n_neurons, n_samples, n_steps = H.shape[0], G.shape[0], sample_weights.shape[0]
    slab = CHUNK * min(SLAB_CHUNKS, max(1, parts.shape[0] // table.shape[0]))
    f = np.empty(n_samples, H.dtype)
    whole = np.zeros(_whole_width(n_samples), H.dtype)
    r = whole[:n_samples]
    live_r = np.empty(n_samples, H.dtype)
    for t in range(n_steps + 1):
        sum_parts(f, parts, v * b[0])
        # After the last step only the loss is asked for, whatever the weights.
        row = sample_weights[t] if t < n_steps else r
        losses[t] = loss_and_derivatives(loss, f, Y, row, r)
        if t == n_steps or not goes_on(losses[t], end):
            return t
        n_live = _select(samples, r)
        n_groups = (n_live + SAMPLES - 1) // SAMPLES
        live, factors = samples[:n_live], live_r[:n_live]
        index = subsets[: n_neurons * n_groups].reshape((n_neurons, n_groups))
        gathered = G
        if n_live < n_samples:
            gathered = columns[: n_samples * n_live].reshape((n_samples, n_live))
            _gather_columns(G, live, gathered)
        for k in range(n_live):
            factors[k] = r[live[k]]
        counter[0] = 0
        seen = Seen(live, factors, gathered, index, whole)
        parallel_for(_take_slabs, table.shape[0], (state, output, rate, seen, work, slab))
        b[0] -= rate * v * sum_of(r)
    return n_steps


def shallow_descent(state, above, G, Y, loss, rate, sample_weights, end):
    """``descend`` for one layer above the first."""
    scalar, ((W, b),) = state.H.dtype.type, above.parameters
    output = Layer(W[0], b, scalar(above.w[0]), scalar(above.v[0]))
    problem, work = Problem(G, Y, LOSSES[loss]), _work_space(state.H, len(G))
    losses = np.empty(len(sample_weights) + 1)
    width = _whole_width(len(G))
    _moved_output_parts[len(work.parts)](
        state.H, state.moved, output.W, output.w, work.parts, width
    )
    taken = _steps(state, output, problem, scalar(rate), sample_weights, end, losses, work)
    return losses[: taken + 1]
