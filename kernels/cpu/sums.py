"""Rows of numbers in vector lanes, for the loops over neurons."""

import numpy as np

from ntklin.kernels.cpu.compiler import dot_kernel, kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors


@dot_kernel
def dot(x, y):
    """Σ_n x_n y_n over the length of x."""
    wide_vectors()
    total = x[0] * 0
    for n in range(x.shape[0]):
        total += x[n] * y[n]
    return total


@dot_kernel
def relu_dot(r, h):
    """Σ_n r_n max(h_n, 0) over the length of r."""
    wide_vectors()
    total = r[0] * 0
    for n in range(r.shape[0]):
        total += r[n] * max(h[n], 0)
    return total


@kernel
def add_relu(f, h, c):
    """f_n += c max(h_n, 0)."""
    wide_vectors()
    for n in range(f.shape[0]):
        f[n] += c * max(h[n], 0)


@kernel
def add_scaled(f, a, c):
    """f_n += c a_n."""
    wide_vectors()
    for n in range(f.shape[0]):
        f[n] += c * a[n]


@kernel
def clear_rows(a, start, stop):
    """a[start:stop] ← 0."""
    wide_vectors()
    for i in range(np.uint64(start), np.uint64(stop)):
        for q in range(np.uint64(a.shape[1])):
            a[i, q] = 0
