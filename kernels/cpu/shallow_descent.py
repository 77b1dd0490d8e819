"""Steps of ``descent`` on a network with one hidden layer.

δ^1_in is w_2 W^2_i or 0, so that row i of (δ^1 ∘ r) G is a sum of rows r_n G_n over the samples
that activate neuron i, from tables of such sums (``line_subsets``).
"""

from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.aligned import aligned_empty, aligned_zeros
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, launching_kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.line_subsets import (
    Span,
    add_sets,
    bytes_at_a_time,
    line_tables,
    lines_at_a_time,
    listed_positive_set,
    positive_set,
    tabulate_sets,
)
from ntklin.kernels.cpu.losses import LOSSES, goes_on, loss_and_derivatives
from ntklin.kernels.cpu.outputs import CHUNK, sum_parts
from ntklin.kernels.cpu.parallel_for import parallel_for
from ntklin.kernels.cpu.sizes import LINE
from ntklin.kernels.cpu.sums import clear_rows, sum_of
from ntklin.kernels.ends import End
from ntklin.kernels.structures import DescentState, Layer

# Samples are taken by so many, which fill whole vectors in either precision.
LANES = 16
# The most chunks of neurons that a task takes, which share the tables that it makes. What a chunk
# sums is its own, so that no bit depends on how many a task takes.
SLAB_CHUNKS = 8


class Problem(NamedTuple):
    """What is fitted: G and Y as in ``descent``, G's ``edge``, and a value of ``LOSSES``."""

    G: np.ndarray
    edge: np.ndarray
    Y: np.ndarray
    loss: int


class Work(NamedTuple):
    """Work space.

    Attributes
    ----------
    parts : ndarray, shape (chunks, padded N)
        The outputs' parts.
    samples : ndarray of int, shape (whole width,)
        Those with r_n ≠ 0, and up to a multiple of 8 some sample.
    sets : ndarray of uint8, shape (m, whole width/8)
        Which of the step's samples activate each neuron.
    scale : ndarray, shape (m,)
    table, heads : ndarray
        For each thread: subset sums, and the preactivations of a neuron.
    counter : ndarray of int, shape (1,)
    """

    parts: np.ndarray
    samples: np.ndarray
    sets: np.ndarray
    scale: np.ndarray
    table: np.ndarray
    heads: np.ndarray
    counter: np.ndarray


class Seen(NamedTuple):
    """What a step sees of the samples.

    Attributes
    ----------
    n_live : int
        How many have r_n ≠ 0.
    factors : ndarray, shape (whole width,)
        Their r, and zeros.
    whole : ndarray
        r of all samples, and zeros up to whole vectors.
    """

    n_live: int
    factors: np.ndarray
    whole: np.ndarray


def _work_space(H, n_samples):
    """For ``H`` (m, padded N)."""
    table, width = line_tables(H.dtype), _whole_width(n_samples)
    return Work(
        parts=aligned_empty((-(-len(H) // CHUNK), H.shape[1]), H.dtype),
        samples=np.zeros(width, np.int64),
        sets=np.empty((len(H), width // 8), np.uint8),
        scale=np.empty(len(H), H.dtype),
        table=table,
        heads=aligned_empty((len(table), width), H.dtype),
        counter=task_counter(),
    )


def _edge(G):
    """The columns of G behind the last whole cache line, in a line of their own."""
    lanes = LINE // G.itemsize
    first = len(G) // lanes * lanes
    edge = aligned_zeros((len(G), lanes), G.dtype)
    edge[:, : len(G) - first] = G[:, first:]
    return edge


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
def _take_slabs(
    worker,
    state: DescentState,
    output: Layer,
    problem: Problem,
    rate,
    seen: Seen,
    work: Work,
    slab,
):
    """A step of all neurons, ``slab`` of them a task: W, S and moved, and the outputs' parts."""
    H, moved, _, S = state
    W, _, w, _ = output
    G, edge, _, _ = problem
    n_live, factors, whole = seen
    parts, live, sets, scale, tables, heads, counter = work
    table, n_neurons, n_samples = tables[worker], H.shape[0], G.shape[0]
    n_bytes, lanes = (n_live + 7) // 8, table.shape[2]
    size = bytes_at_a_time(n_bytes)
    n_lines, together = (n_samples + lanes - 1) // lanes, lines_at_a_time(size)
    start = next_task(counter) * slab
    while start < n_neurons:
        stop = min(start + slab, n_neurons)
        for i in range(start, stop):
            scale[i] = w * W[i]
            change = _add_active(S, heads, worker, H, moved, i, whole, scale[i])
            W[i] -= rate * w * change
            if n_live == n_samples:
                positive_set(sets, i, heads, worker)
            else:
                listed_positive_set(sets, i, heads, worker, live, n_live)
        rows = Span(start, stop - start)
        for line in range(0, n_lines, together):
            lines = Span(line, min(together, n_lines - line))
            for first in range(0, n_bytes, size):
                members = Span(first, min(size, n_bytes - first))
                for k in range(lines.count):
                    j = (line + k) * lanes
                    columns, j = (G, j) if j + lanes <= n_samples else (edge, 0)
                    tabulate_sets(table, k, columns, j, live, factors, members)
                add_sets(moved, lines, rows, sets, members, table, scale, -rate)
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
    _, _, Y, loss = problem
    parts, samples, _, _, table, _, counter = work
    n_samples, n_steps = Y.shape[0], sample_weights.shape[0]
    slab = CHUNK * min(SLAB_CHUNKS, max(1, parts.shape[0] // table.shape[0]))
    f = np.empty(n_samples, H.dtype)
    whole = np.zeros(_whole_width(n_samples), H.dtype)
    r = whole[:n_samples]
    factors = np.empty_like(whole)
    for t in range(n_steps + 1):
        sum_parts(f, parts, v * b[0])
        # After the last step only the loss is asked for, whatever the weights.
        row = sample_weights[t] if t < n_steps else r
        losses[t] = loss_and_derivatives(loss, f, Y, row, r)
        if t == n_steps or not goes_on(losses[t], end):
            return t
        n_live = _select(samples, r)
        for k in range(whole.shape[0]):
            factors[k] = r[samples[k]] if k < n_live else H.dtype.type(0)
        counter[0] = 0
        step = state, output, problem, rate, Seen(n_live, factors, whole), work, slab
        parallel_for(_take_slabs, table.shape[0], step)
        b[0] -= rate * v * sum_of(r)
    return n_steps


def shallow_descent(state, above, G, Y, loss, rate, sample_weights, end):
    """``descend`` for one layer above the first."""
    scalar, ((W, b),) = state.H.dtype.type, above.parameters
    output = Layer(W[0], b, scalar(above.w[0]), scalar(above.v[0]))
    problem, work = Problem(G, _edge(G), Y, LOSSES[loss]), _work_space(state.H, len(G))
    losses = np.empty(len(sample_weights) + 1)
    width = _whole_width(len(G))
    _moved_output_parts[len(work.parts)](
        state.H, state.moved, output.W, output.w, work.parts, width
    )
    taken = _steps(state, output, problem, scalar(rate), sample_weights, end, losses, work)
    return losses[: taken + 1]
