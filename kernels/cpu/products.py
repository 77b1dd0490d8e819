"""J V and J^T R for one or several columns, from activations and backward signals, without J.

Rows of inputs and blocks of neurons are taken in tiles that stay in a second-level cache: a BLAS
product makes a tile u = w a V^T + v b, or its counterpart, and the signals meet it there. What the
output's own signals do in the last hidden layer and in the output is one small product more for
all outputs of a tile, so that these N C × m signals are never made; of one output and ReLU it goes
by subset sums.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from ntklin.kernels.cpu import gated
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import next_task, task_counter, wide_vectors
from ntklin.kernels.cpu.passes import BackwardSignals
from ntklin.kernels.cpu.shares import share
from ntklin.kernels.cpu.sums import dot_of_parts
from ntklin.kernels.structures import Layer

# Rows and neurons of a tile.
ROWS = 256
BLOCK = 256
# Neurons that are worth a task of their own where there are too few others.
FEWEST = 32

# What a signal is made of: its own numbers; nothing, in the output, whose δ is e_c; scales times
# a ReLU's gates, or times slopes.
_OWN, _FREE, _GATED, _SLOPED = range(4)


class Signal(NamedTuple):
    """The backward signals of a layer.

    Attributes
    ----------
    kind : int
    own : ndarray, shape (N C, m)
        δ^l, empty where it is made of the others: δ_(n,c) = scales_c ∘ α'_n.
    scales : ndarray, shape (C, m)
    factors : ndarray, shape (N, m)
        α', or what is positive where α' is 1 and else not.
    """

    kind: int
    own: np.ndarray
    scales: np.ndarray
    factors: np.ndarray


def _signal(passes, l):
    """δ^l of the layer l, from 0, in its shortest form."""
    activations, deltas = passes.activations, passes.deltas
    nothing = np.empty((0, 0), activations[0].dtype)
    last = len(activations) - 1
    if not (isinstance(deltas, BackwardSignals) and deltas.is_unit) or l < last - 1:
        return Signal(_OWN, deltas[l], nothing, nothing)
    if l == last:
        return Signal(_FREE, nothing, nothing, nothing)
    if deltas.slopes is None:
        return Signal(_GATED, nothing, deltas.scales, activations[last])
    return Signal(_SLOPED, nothing, deltas.scales, deltas.slopes)


def _sums_subsets(signal, a):
    """Whether subset sums serve and pay."""
    return signal.kind == _GATED and len(signal.scales) == 1 and gated.pays(*a.shape)


@kernel
def _add_bias(u, i, v, b, k, start, count):
    """u[i, q] += v b[k, start + q], q < count."""
    wide_vectors()
    i, k, start = np.uint64(i), np.uint64(k), np.uint64(start)
    for q in range(np.uint64(count)):
        u[i, q] += v * b[k, start + q]


@kernel
def _multiply(u, i, signal: Signal, n, start, count):
    """u[i, q] ← u[i, q] times the factor of neuron start + q for input n, q < count."""
    wide_vectors()
    kind, _, _, factors = signal
    i, n, start = np.uint64(i), np.uint64(n), np.uint64(start)
    zero = u.dtype.type(0)
    if kind == _GATED:
        for q in range(np.uint64(count)):
            u[i, q] = u[i, q] if factors[n, start + q] > 0 else zero
    elif kind == _SLOPED:
        for q in range(np.uint64(count)):
            u[i, q] *= factors[n, start + q]


@kernel
def _combine(u, i, delta, row, start, r, count, first):
    """u[i, q] += r δ[row, start + q], q < count; the ``first`` overwrites what was there."""
    wide_vectors()
    i, row, start = np.uint64(i), np.uint64(row), np.uint64(start)
    if first:
        for q in range(np.uint64(count)):
            u[i, q] = r * delta[row, start + q]
    else:
        for q in range(np.uint64(count)):
            u[i, q] += r * delta[row, start + q]


@kernel
def _meet(signal: Signal, u, first, stop, start, count, out):
    """out_nc += Σ_q δ_(n,c)[start + q] u_nq for the inputs n of a tile; u is overwritten."""
    kind, own, scales, _ = signal
    if kind == _OWN:
        for n in range(first, stop):
            for c in range(out.shape[1]):
                row = n * out.shape[1] + c
                out[n, c] += dot_of_parts(own, row, start, u, n - first, count)
    elif kind == _FREE:
        for n in range(first, stop):
            for q in range(count):
                out[n, start + q] = u[n - first, q]
    else:
        for n in range(first, stop):
            _multiply(u, n - first, signal, n, start, count)
        one, tile = u.dtype.type(1), u[: stop - first, :count]
        gemm(
            PLAIN, TRANSPOSED, one, tile, scales[:, start : start + count], one, out[first:stop, :]
        )


@kernel
def _pulled(signal: Signal, r, first, stop, start, count, u):
    """u_nq ← Σ_c r_nc δ_(n,c)[start + q] for the inputs n of a tile."""
    kind, own, scales, _ = signal
    if kind == _OWN:
        for n in range(first, stop):
            for c in range(r.shape[1]):
                row = n * r.shape[1] + c
                _combine(u, n - first, own, row, start, r[n, c], count, c == 0)
    elif kind == _FREE:
        for n in range(first, stop):
            for q in range(count):
                u[n - first, q] = r[n, start + q]
    else:
        one, tile = u.dtype.type(1), u[: stop - first, :count]
        gemm(PLAIN, PLAIN, one, r[first:stop, :], scales[:, start : start + count], one * 0, tile)
        for n in range(first, stop):
            _multiply(u, n - first, signal, n, start, count)


@parallel_kernel
def _push(_, signal: Signal, a, layer: Layer, size, parts, counter):
    """parts[s, k, n, c] ← Σ_i δ_(n,c)i (w V_i·a_n + v b_i), i in share s of the neurons."""
    V, b, w, v = layer
    n_rows, n_neurons = a.shape[0], V.shape[1]
    n_chunks = (n_rows + ROWS - 1) // ROWS
    u = np.empty((min(ROWS, n_rows), min(BLOCK, size)), a.dtype)
    task = next_task(counter)
    while task < parts.shape[0] * V.shape[0] * n_chunks:
        s, k = task // (V.shape[0] * n_chunks), task // n_chunks % V.shape[0]
        first = task % n_chunks * ROWS
        last = min(first + ROWS, n_rows)
        target, matrix = parts[s, k], V[k]
        target[first:last] = 0
        end = min((s + 1) * size, n_neurons)
        for start in range(s * size, end, BLOCK):
            stop = min(start + BLOCK, end)
            tile = u[: last - first, : stop - start]
            gemm(PLAIN, TRANSPOSED, w, a[first:last, :], matrix[start:stop, :], w * 0, tile)
            if b.shape[1] > 0:
                for i in range(last - first):
                    _add_bias(u, i, v, b, k, start, stop - start)
            _meet(signal, u, first, last, start, stop - start, target)
        task = next_task(counter)


@parallel_kernel
def _pull(_, signal: Signal, a, r, layer: Layer, block, width, counter):
    """R[k] ← w Σ_nc r_nc δ_(n,c) a_n^T and s[k] ← v Σ_nc r_nc δ_(n,c), by tiles of R."""
    R, s, w, v = layer
    n_rows, n_neurons, n_columns = a.shape[0], R.shape[1], a.shape[1]
    n_blocks = (n_neurons + block - 1) // block
    n_widths = (n_columns + width - 1) // width
    u = np.empty((min(ROWS, n_rows), block), a.dtype)
    task = next_task(counter)
    while task < R.shape[0] * n_blocks * n_widths:
        k, j = task // (n_blocks * n_widths), task % n_widths * width
        start = task // n_widths % n_blocks * block
        stop, j_stop = min(start + block, n_neurons), min(j + width, n_columns)
        target, beta = R[k, start:stop, j:j_stop], w * 0
        has_bias = s.shape[1] > 0 and j == 0
        if has_bias:
            s[k, start:stop] = 0
        for first in range(0, n_rows, ROWS):
            last = min(first + ROWS, n_rows)
            _pulled(signal, r[k], first, last, start, stop - start, u)
            tile = u[: last - first, : stop - start]
            gemm(TRANSPOSED, PLAIN, w, tile, a[first:last, j:j_stop], beta, target)
            beta = a.dtype.type(1)
            for i in range(last - first if has_bias else 0):
                for q in range(stop - start):
                    s[k, start + q] += v * u[i, q]
        task = next_task(counter)


def _contiguous(passes, l, part, copy=True):
    """Layer l of k vectors, V (k, m, m') and b (k, m), or (k, 0) without biases, with its scales.

    Themselves where they are contiguous, else copies, or without ``copy`` room for them.

    Returns
    -------
    Layer
    """
    V, b = part
    b = np.empty((len(V), 0), V.dtype) if b is None else b
    w, v = V.dtype.type(passes.w[l]), V.dtype.type(passes.v[l])
    if copy:
        arrays = [np.require(one, requirements=("C", "ALIGNED", "WRITEABLE")) for one in (V, b)]
    else:
        arrays = [
            one if one.flags.c_contiguous else np.empty(one.shape, one.dtype) for one in (V, b)
        ]
    return Layer(*arrays, w, v)


def _as_outputs(layer):
    """The output layer of all vectors as that of one with k C outputs, so that a is read once."""
    V, b, w, v = layer
    return Layer(V.reshape(1, -1, V.shape[2]), b.reshape(1, -1), w, v)


def _pushed(signal, a, layer, n_outputs):
    """Σ_i δ_(n,c)i (w V_i·a_n + v b_i), shape (k, N, C)."""
    (k, n_neurons, _), n = layer.W.shape, len(a)
    size = n_neurons
    if signal.kind != _FREE:  # in which neurons are outputs
        size = share(n_neurons, FEWEST, n_neurons, k * -(-n // ROWS))
    parts = np.empty((-(-n_neurons // size), k, n, n_outputs), a.dtype)
    _push[get_num_threads()](signal, a, layer, size, parts, task_counter())
    return parts[0] if len(parts) == 1 else parts.sum(axis=0)


def _pull_layer(signal, a, r, layer):
    """R[k] ← w Σ_nc r_knc δ_(n,c) a_n^T and s[k] ← v Σ_nc r_knc δ_(n,c)."""
    k, n_neurons, n_columns = layer.W.shape
    block = share(n_neurons, FEWEST, BLOCK, k)
    width = share(n_columns, BLOCK, n_columns, k * -(-n_neurons // block))
    _pull[get_num_threads()](signal, a, r, layer, block, width, task_counter())


def jacobian_vectors(passes, vectors):
    """J v of k vectors: (J v)_r = Σ_l δ^l_r · (w_l V^l a^{l-1}_n + v_l c^l), r = n C + c.

    Parameters
    ----------
    passes : Passes
    vectors : sequence of (V^l, c^l or None)
        The vectors' views in the layout of θ, shapes (k, m_l, m_{l-1}) and (k, m_l).

    Returns
    -------
    ndarray, shape (k, N C)
    """
    X, deltas = passes.activations[0], passes.deltas
    k, n, n_outputs = len(vectors[0][0]), len(X), _n_outputs(passes)
    out = np.zeros((k, n, n_outputs), X.dtype)
    with sequential_blas:
        for l, (a, part) in enumerate(zip(passes.activations, vectors, strict=True)):
            signal, layer = _signal(passes, l), _contiguous(passes, l, part)
            if _sums_subsets(signal, a):
                out[:, :, 0] += gated.push(deltas.gates, signal.scales[0], a, layer)
            elif signal.kind == _FREE:
                together = _pushed(signal, a, _as_outputs(layer), k * n_outputs)
                out += together.reshape(n, k, n_outputs).swapaxes(0, 1)
            else:
                out += _pushed(signal, a, layer, n_outputs)
    return out.reshape(k, n * n_outputs)


def vectors_jacobian(passes, r, result):
    """J^T r of k vectors into ``result``: per layer w_l (δ^l ∘ r)^T a^{l-1} and v_l Σ_r δ^l_r r_r.

    Parameters
    ----------
    passes : Passes
    r : ndarray, shape (k, N C)
    result : sequence of (R^l, s^l or None)
        Views in the layout of θ, shapes (k, m_l, m_{l-1}) and (k, m_l), overwritten.
    """
    X, deltas = passes.activations[0], passes.deltas
    k, n, n_outputs = len(r), len(X), _n_outputs(passes)
    r = np.ascontiguousarray(r).reshape(k, n, n_outputs)
    with sequential_blas:
        for l, (a, part) in enumerate(zip(passes.activations, result, strict=True)):
            signal, layer = _signal(passes, l), _contiguous(passes, l, part, copy=False)
            if _sums_subsets(signal, a):
                gated.pull(deltas.gates, signal.scales[0], a, r[:, :, 0], layer)
            elif signal.kind == _FREE:
                together = np.ascontiguousarray(r.swapaxes(0, 1)).reshape(1, n, k * n_outputs)
                _pull_layer(signal, a, together, _as_outputs(layer))
            else:
                _pull_layer(signal, a, r, layer)
            for own, target in zip(layer[:2], part, strict=True):
                if target is not None and own is not target:
                    target[...] = own


def _n_outputs(passes):
    """C, or 1 where signals came from the top."""
    deltas = passes.deltas
    if isinstance(deltas, BackwardSignals):
        return deltas.n_rows
    return len(deltas[-1]) // len(passes.activations[0])


def jacobian_vector(passes, vector):
    """J v of one vector; see ``jacobian_vectors``.

    Parameters
    ----------
    passes : Passes
    vector : sequence of (V^l, c^l or None)
        The vector's views in the layout of θ.

    Returns
    -------
    ndarray, shape (N C,)
    """
    return jacobian_vectors(passes, _as_several(vector))[0]


def vector_jacobian(passes, r, result):
    """J^T r of one vector into ``result``; see ``vectors_jacobian``.

    Parameters
    ----------
    passes : Passes
    r : ndarray, shape (N C,)
    result : sequence of (R^l, s^l or None)
        Views in the layout of θ, overwritten.
    """
    vectors_jacobian(passes, r[None], _as_several(result))


def _as_several(layers):
    """Views of one vector as those of several."""
    return [(V[None], None if b is None else b[None]) for V, b in layers]
