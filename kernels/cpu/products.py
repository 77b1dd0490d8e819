"""J v and J^T r from activations and backward signals, without J."""

import numpy as np
from numba import prange

from ntklin.kernels.cpu.blas import gemm, sequential_blas
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.passes import block_size


@parallel_kernel
def _add_layer(a, delta, V, c, w, v, block, parts):
    """parts[task, r] ← Σ_i δ_ri (w (V a_n)_i + v c_i) over the task's block of neurons.

    Row r is one of the C = R / N rows of input n.
    """
    n_outputs = delta.shape[0] // a.shape[0]
    for task in prange(parts.shape[0]):
        start = task * block
        stop = min(start + block, V.shape[0])
        u = np.empty((a.shape[0], stop - start), a.dtype)
        gemm(False, True, w, a, V[start:stop], w * 0, u)
        for n in range(a.shape[0]):
            for row in range(n * n_outputs, (n + 1) * n_outputs):
                total = w * 0
                for i in range(stop - start):
                    total += delta[row, start + i] * (u[n, i] + v * c[start + i])
                parts[task, row] = total


@parallel_kernel
def _layer_gradient(a, delta, r, w, v, block, R, s):
    """R ← w (δ ∘ r)^T a and, where it is not empty, s ← v Σ_r δ_r r_r, inputs taking turns of C."""
    n_outputs = delta.shape[0] // a.shape[0]
    for task in prange((R.shape[0] + block - 1) // block):
        start = task * block
        stop = min(start + block, R.shape[0])
        scaled = np.empty((a.shape[0], stop - start), a.dtype)
        for n in range(a.shape[0]):
            first = n * n_outputs
            for i in range(stop - start):
                scaled[n, i] = delta[first, start + i] * r[first]
            for row in range(first + 1, first + n_outputs):
                for i in range(stop - start):
                    scaled[n, i] += delta[row, start + i] * r[row]
        if s.shape[0] > 0:
            for i in range(start, stop):
                s[i] = 0
            for n in range(a.shape[0]):
                for i in range(start, stop):
                    s[i] += v * scaled[n, i - start]
        gemm(True, False, w, scaled, a, w * 0, R[start:stop])


def jacobian_vector(passes, vector):
    """J v: (J v)_r = Σ_l δ^l_r · (w_l V^l a^{l-1}_n + v_l c^l) for v = (V^1, c^1, …), r = n C + c.

    Parameters
    ----------
    passes : Passes
    vector : sequence of (V^l, c^l or None)
        The vector's views in the layout of θ.

    Returns
    -------
    ndarray, shape (N C,)
    """
    dtype = passes.activations[0].dtype
    out = np.zeros(len(passes.deltas[0]), dtype)
    with sequential_blas:
        for a, delta, w, v, (V, c) in zip(*passes, vector, strict=True):
            if c is None:
                c = np.zeros(len(V), dtype)
            block = block_size(len(V))
            parts = np.empty((-(-len(V) // block), len(out)), dtype)
            _add_layer(a, delta, V, c, dtype.type(w), dtype.type(v), block, parts)
            out += parts.sum(axis=0)
    return out


def vector_jacobian(passes, r, result):
    """J^T r into ``result``: per layer w_l (δ^l ∘ r)^T a^{l-1} and v_l Σ_r δ^l_r r_r.

    Parameters
    ----------
    passes : Passes
    r : ndarray, shape (N C,)
    result : sequence of (R^l, s^l or None)
        Views in the layout of θ, overwritten.
    """
    scalar = passes.activations[0].dtype.type
    with sequential_blas:
        for a, delta, w, v, (R, s) in zip(*passes, result, strict=True):
            if s is None:
                s = np.empty(0, R.dtype)
            _layer_gradient(a, delta, r, scalar(w), scalar(v), block_size(len(R)), R, s)
