"""Gradient steps with the first layer in its Gram reduction (docs/theory.md, training).

All gradient-descent updates of (W^1, b^1) lie in the span of the training inputs, so the first
layer's preactivations evolve on their own, h^1 ← h^1 − η (δ^1 ∘ r) G with G = w_1² X X^T + v_1²,
and S = Σ_t δ^1 ∘ r gives the parameters back at the end. A step may be smaller than the rounding of
what it is added to, and H and S would then part from each other and, in float32, soon stand still.
So the steps go to sums of their own, ``moved`` for H, and every so many steps ``fold`` takes these
over into the totals without loss; h^1 is H + moved throughout.

Here r_n is the loss's derivative ℓ'_n times the weight of sample n in that step: 1/N, or 1/|B| on a
mini-batch and 0 beyond it. With one hidden layer δ^1_in is w_2 W^2_i or 0, so that row i of the
product is a sum of rows r_n G_n over the samples that activate neuron i, from tables of such sums
(``pulls``). With more layers about half of δ^1 ∘ r is zero, or more, and is skipped. Everything
here is neuron-major: H, S and the activations are (m, padded N), so that one neuron's inputs are
contiguous; the padding of H stays zero.
"""

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.blas import gemm, sequential_blas
from ntklin.kernels.cpu.compiler import (
    CHUNK_GROUPS,
    GROUP,
    SAMPLES,
    aligned_empty,
    dot_kernel,
    kernel,
    parallel_kernel,
)
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.losses import LOSSES, loss_and_signal
from ntklin.kernels.cpu.passes import block_size
from ntklin.kernels.cpu.pulls import (
    active_subsets,
    add_pulls,
    listed_subsets,
    tables,
    tabulate_pulls,
)
from ntklin.kernels.cpu.skipping import add_tiled, tile_width, tiled
from ntklin.kernels.cpu.subsets import backward_step
from ntklin.kernels.cpu.sums import add_relu, clear_rows, relu_dot

# Neurons per part of the outputs: fixed, so that sums do not depend on the number of threads.
CHUNK = 64
# Samples are taken by so many, which fill whole vectors in either precision.
LANES = 16
# The most of them that a task of a shallow step takes, which share the tables that it makes.
SLAB_CHUNKS = 8


@dot_kernel
def _active_sum(r, H, i):
    """Σ_n r_n over the samples with H_in > 0."""
    wide_vectors()
    i, total = np.uint64(i), r[0] * 0
    for n in range(np.uint64(r.shape[0])):
        total += r[n] if H[i, n] > 0 else 0
    return total


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
def _outputs(f, parts, shift):
    """f = Σ parts + shift, by tasks in their order."""
    for n in range(f.shape[0]):
        f[n] = shift
    for task in range(parts.shape[0]):
        for n in range(f.shape[0]):
            f[n] += parts[task, n]


@kernel
def _sum(r):
    total = r[0] * 0
    for n in range(r.shape[0]):
        total += r[n]
    return total


@kernel
def sum_outputs(H, row, stop, W, w, parts):
    """parts[chunk] ← Σ_i w W_i max(H_i, 0) over the neurons of each chunk from ``row`` to stop."""
    for start in range(row, stop, CHUNK):
        chunk = start // CHUNK
        clear_rows(parts, chunk, chunk + 1)
        for i in range(start, min(start + CHUNK, stop)):
            add_relu(parts, chunk, H, i, w * W[i])


@parallel_kernel
def output_parts(H, W, w, parts):
    """Each task's share of w Σ_i W_i max(H_i, 0), shape (tasks, padded N)."""
    for task in prange(parts.shape[0]):
        sum_outputs(H, task * CHUNK, min((task + 1) * CHUNK, H.shape[0]), W, w, parts)


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
def _moved_output_parts(H, moved, W, w, parts, width):
    """As ``output_parts``, of H + moved."""
    for task in prange(parts.shape[0]):
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
def _gather_columns(G, samples, pull):
    """Copy the columns of G, as listed, into ``pull``."""
    for n in range(pull.shape[0]):
        for k in range(pull.shape[1]):
            pull[n, k] = G[n, samples[k]]


@parallel_kernel
def _shallow_steps(
    H, moved, S, W, b, G, Y, w, v, rate, code, weights, losses, ends, parts, table, work, counter
):
    n_neurons, n_samples, n_steps = H.shape[0], G.shape[0], weights.shape[0]
    until, ceiling = ends
    slab = CHUNK * min(SLAB_CHUNKS, max(1, parts.shape[0] // table.shape[0]))
    samples, subsets, columns, scale, spare, heads = work
    f = np.empty(n_samples, H.dtype)
    whole = np.zeros(_whole_width(n_samples), H.dtype)
    r = whole[:n_samples]
    signals = np.empty(n_samples, H.dtype)
    for t in range(n_steps + 1):
        _outputs(f, parts, v * b[0])
        # After the last step only the loss is asked for, whatever the weights.
        loss = loss_and_signal(code, f, Y, weights[t] if t < n_steps else r, r)
        losses[t] = loss
        if t == n_steps or loss < until or not loss <= ceiling:
            return t
        n_live = _select(samples, r)
        n_groups = (n_live + SAMPLES - 1) // SAMPLES
        live, signal = samples[:n_live], signals[:n_live]
        index = subsets[: n_neurons * n_groups].reshape((n_neurons, n_groups))
        pull = G
        if n_live < n_samples:
            pull = columns[: n_samples * n_live].reshape((n_samples, n_live))
            _gather_columns(G, live, pull)
        for k in range(n_live):
            signal[k] = r[live[k]]
        counter[0] = 0
        for worker in prange(table.shape[0]):
            my_table, my_spare = table[worker], spare[worker]
            start = next_task(counter) * slab
            while start < n_neurons:
                stop = min(start + slab, n_neurons)
                for i in range(start, stop):
                    scale[i] = w * W[i]
                    total = _add_active(S, heads, worker, H, moved, i, whole, scale[i])
                    W[i] -= rate * w * total
                    if n_live == n_samples:
                        active_subsets(heads, worker, n_samples, index, i)
                    else:
                        listed_subsets(heads, worker, live, index, i)
                rows = moved[:stop]  # none of the next task's is to be fetched
                for j in range(0, n_samples, table.shape[3]):
                    for chunk in range((n_groups + CHUNK_GROUPS - 1) // CHUNK_GROUPS):
                        tabulate_pulls(my_table, signal, pull, chunk, j)
                        add_pulls(
                            *(rows, start, stop, j, index, chunk, my_table, -rate, scale, my_spare)
                        )
                _sum_moved_outputs(H, moved, start, stop, W, w, parts, whole.shape[0])
                start = next_task(counter) * slab
        b[0] -= rate * v * _sum(r)
    return n_steps


def shallow_descent(H, moved, S, W, b, G, Y, w, v, rate, loss, weights, until, ceiling):
    """Gradient descent on a network with one hidden layer, up to a step for each row of weights.

    Parameters
    ----------
    H, moved, S : ndarray, shape (m, padded N)
        From ``neuron_major``: the preactivations at the latest ``fold``, by how much they have
        moved since, and Σ_t δ^1 ∘ r since then. The latter two are updated in place.
    W, b : ndarray, shapes (m,) and (1,)
        The output layer, updated in place; with v = 0 the bias stays.
    G : ndarray, shape (N, N)
    Y : ndarray, shape (N,)
    w, v : float
        w_2 and v_2.
    rate : float
        η.
    loss : str
        A key of ``LOSSES``.
    weights : ndarray, shape (k, N)
        The weights of the samples in each step's gradient.
    until, ceiling : float
        Stop where the loss is below ``until``, above ``ceiling`` or NaN.

    Returns
    -------
    ndarray, shape (steps taken + 1,)
        The losses on all samples, before each step and after the last.
    """
    scalar = H.dtype.type
    losses = np.empty(len(weights) + 1)
    parts = aligned_empty((-(-len(H) // CHUNK), H.shape[1]), H.dtype)
    _moved_output_parts(H, moved, W, scalar(w), parts, _whole_width(len(G)))
    table = tables(get_num_threads(), H.dtype)
    work = (
        np.empty(len(G), np.int64),
        np.empty(len(H) * -(-len(G) // SAMPLES), np.uint8),
        np.empty(G.size, H.dtype),
        np.empty(len(H), H.dtype),
        np.empty((len(table), table.shape[3]), H.dtype),
        aligned_empty((len(table), H.shape[1]), H.dtype),
    )
    taken = _shallow_steps(
        *(H, moved, S, W, b, G, Y, scalar(w), scalar(v), scalar(rate), LOSSES[loss]),
        *(weights, losses, (until, ceiling), parts, table, work, task_counter()),
    )
    return losses[: taken + 1]


def neuron_major(a, dtype):
    """A copy of ``a`` (m, N) with aligned rows, zero-padded to what the descent kernels take."""
    width = tile_width(dtype)
    out = aligned_empty((len(a), -(-a.shape[1] // width) * width), dtype)
    out[:, a.shape[1] :] = 0
    out[:, : a.shape[1]] = a
    return out


@parallel_kernel
def _fold(total, change):
    for i in prange(total.shape[0]):
        for n in range(total.shape[1]):
            old, new = total[i, n], total[i, n] + change[i, n]
            taken = new - old
            change[i, n] = (old - (new - taken)) + (change[i, n] - taken)
            total[i, n] = new


def fold(total, change):
    """Take ``change`` over into ``total``, and leave there what rounding withholds from it.

    Knuth's sum of two numbers, whichever is larger: total + change is what it was, exactly.

    Parameters
    ----------
    total, change : ndarray, shape (m, padded N)
    """
    _fold(total, change)


@parallel_kernel
def _relu_rows(H, moved, A):
    for i in prange(A.shape[0]):
        for n in range(A.shape[1]):
            A[i, n] = max(H[i, n] + moved[i, n], 0)


@parallel_kernel
def _first_layer(H, moved, S, delta, r, pull, A):
    """Move the first layer's preactivations by one step; A = max(H + moved, 0)."""
    n_samples = r.shape[0]
    for task in prange((H.shape[0] + CHUNK - 1) // CHUNK):
        start = task * CHUNK
        stop = min(start + CHUNK, H.shape[0])
        d = np.zeros((CHUNK, pull.shape[1] * GROUP), H.dtype)
        for i in range(start, stop):
            for n in range(n_samples):
                d[i - start, n] = delta[i, n] * r[n]
                S[i, n] += d[i - start, n]
        add_tiled(moved, start, stop, d, pull)
        for i in range(start, stop):
            for n in range(A.shape[1]):
                A[i, n] = max(H[i, n] + moved[i, n], 0)


@parallel_kernel
def _hidden_forward(W, b, below, w, v, A, block):
    for task in prange((W.shape[0] + block - 1) // block):
        start = task * block
        stop = min(start + block, W.shape[0])
        gemm(False, False, w, W[start:stop], below, w * 0, A[start:stop])
        for i in range(start, stop):
            shift = v * b[i]
            for n in range(A.shape[1]):
                A[i, n] = max(A[i, n] + shift, 0)


@parallel_kernel
def _hidden_backward(W, above, w, A, delta, block):
    """δ^l = w_{l+1} (W^{l+1})^T δ^{l+1} ∘ 1[a^l > 0], neuron-major, by blocks of columns of W."""
    for task in prange((W.shape[1] + block - 1) // block):
        start = task * block
        stop = min(start + block, W.shape[1])
        gemm(True, False, w, W[:, start:stop], above, w * 0, delta[start:stop])
        for i in range(start, stop):
            for n in range(A.shape[1]):
                delta[i, n] = delta[i, n] if A[i, n] > 0 else 0


@parallel_kernel
def _hidden_step(W, b, delta, r, old_below, below, w, v, rate, A, block):
    """Update one hidden layer and run it forward, block by block, while W is in cache."""
    one = w / w
    for task in prange((W.shape[0] + block - 1) // block):
        start = task * block
        stop = min(start + block, W.shape[0])
        pulled = np.zeros((stop - start, A.shape[1]), A.dtype)
        for i in range(start, stop):
            total = w * 0
            for n in range(r.shape[0]):
                pulled[i - start, n] = delta[i, n] * r[n]
                total += pulled[i - start, n]
            b[i] -= rate * v * total
        gemm(False, True, -rate * w, pulled, old_below, one, W[start:stop])
        gemm(False, False, w, W[start:stop], below, w * 0, A[start:stop])
        for i in range(start, stop):
            shift = v * b[i]
            for n in range(A.shape[1]):
                A[i, n] = max(A[i, n] + shift, 0)


@parallel_kernel
def _last_layer(W, w, r, A, b, v, rate, scale):
    """Update the output weights, and the biases b of the last hidden layer.

    ``scale`` becomes w W, the last hidden layer's backward signal where a neuron is active.
    """
    for task in prange((A.shape[0] + CHUNK - 1) // CHUNK):
        for i in range(task * CHUNK, min((task + 1) * CHUNK, A.shape[0])):
            scale[i] = w * W[i]
            b[i] -= rate * v * scale[i] * _active_sum(r, A, i)
            W[i] -= rate * w * relu_dot(r, A, i)


def deep_descent(H, moved, S, layers, G, Y, w, v, rate, loss, weights, until, ceiling):
    """Gradient descent on a network with several hidden layers.

    As :func:`shallow_descent`, with ``layers`` the pairs (W^l, b^l) of l = 2 … L, updated in place,
    and ``w``, ``v`` the scales of all L layers.
    """
    scalar = H.dtype.type
    w, v, rate = [scalar(x) for x in w], [scalar(x) for x in v], scalar(rate)
    n_samples, n_steps, code = len(Y), len(weights), LOSSES[loss]
    hidden, (W_out, b_out) = layers[:-1], layers[-1]
    W_out = W_out[0]
    pull = tiled(-rate * G)
    A = [np.empty((len(W), n_samples), H.dtype) for W in (H, *(W for W, _ in hidden))]
    fresh = [np.empty_like(a) for a in A]
    delta = [np.empty_like(a) for a in A[:-1]]
    scale = np.empty_like(W_out)
    f = np.empty(n_samples, H.dtype)
    r = np.zeros(n_samples, H.dtype)
    parts = aligned_empty((-(-len(W_out) // CHUNK), n_samples), H.dtype)
    losses = []
    with sequential_blas:
        _relu_rows(H, moved, A[0])
        for l, (W, b) in enumerate(hidden, 1):
            _hidden_forward(W, b, A[l - 1], w[l], v[l], A[l], block_size(len(W)))
        for t in range(n_steps + 1):
            output_parts(A[-1], W_out, w[-1], parts)
            _outputs(f, parts, v[-1] * b_out[0])
            losses.append(loss_and_signal(code, f, Y, weights[t] if t < n_steps else r, r))
            if t == n_steps or losses[-1] < until or not losses[-1] <= ceiling:
                break
            W, b = hidden[-1]
            _last_layer(W_out, w[-1], r, A[-1], b, v[-2], rate, scale)
            b_out[0] -= rate * v[-1] * _sum(r)
            backward_step(W, scale, A[-1], r, A[-2], delta[-1], w[-2], rate)
            for l in range(len(hidden) - 1, 0, -1):
                W = hidden[l - 1][0]
                block = block_size(W.shape[1])
                _hidden_backward(W, delta[l], w[l], A[l - 1], delta[l - 1], block)
            _first_layer(H, moved, S, delta[0], r, pull, fresh[0])
            for l, (W, b) in enumerate(hidden[:-1], 1):
                _hidden_step(
                    *(W, b, delta[l], r, A[l - 1], fresh[l - 1]),
                    *(w[l], v[l], rate, fresh[l], block_size(len(W))),
                )
            W, b = hidden[-1]
            _hidden_forward(W, b, fresh[-2], w[-2], v[-2], fresh[-1], block_size(len(W)))
            A, fresh = fresh, A
    return np.array(losses)
