"""Rows of numbers in vector lanes, for the loops over neurons.

The functions take whole arrays and which row: a slice of an array counts its references atomically,
and threads that share the array would wait for each other there.
"""

import numpy as np

from ntklin.kernels.cpu.compiler import dot_kernel, kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors


@dot_kernel
def dot(x, A, i):
    """Σ_n x_n A_in over the length of x."""
    wide_vectors()
    i, total = np.uint64(i), x.dtype.type(0)
    for n in range(np.uint64(x.shape[0])):
        total += x[n] * A[i, n]
    return total


@dot_kernel
def dot_of_parts(A, i, start, B, j, count):
    """Σ_q A[i, start + q] B[j, q], q < count."""
    wide_vectors()
    i, start, j = np.uint64(i), np.uint64(start), np.uint64(j)
    total = B.dtype.type(0)
    for q in range(np.uint64(count)):
        total += A[i, start + q] * B[j, q]
    return total


@dot_kernel
def relu_dot(r, H, i):
    """Σ_n r_n max(H_in, 0) over the length of r."""
    wide_vectors()
    i, total = np.uint64(i), r.dtype.type(0)
    for n in range(np.uint64(r.shape[0])):
        total += r[n] * max(H[i, n], 0)
    return total


@dot_kernel
def active_sum(r, H, i):
    """Σ_n r_n over the samples with H_in > 0."""
    wide_vectors()
    i, total = np.uint64(i), r.dtype.type(0)
    for n in range(np.uint64(r.shape[0])):
        total += r[n] if H[i, n] > 0 else 0
    return total


@kernel
def add_relu(F, k, H, i, c):
    """F_k += c max(H_i, 0)."""
    wide_vectors()
    k, i = np.uint64(k), np.uint64(i)
    for n in range(np.uint64(F.shape[1])):
        F[k, n] += c * max(H[i, n], 0)


@kernel
def add_scaled(F, k, A, i, c):
    """F_k += c A_i."""
    wide_vectors()
    k, i = np.uint64(k), np.uint64(i)
    for n in range(np.uint64(F.shape[1])):
        F[k, n] += c * A[i, n]


@kernel
def add_row(A, i, B, j):
    """A_i += B_j, over the columns of B."""
    wide_vectors()
    i, j = np.uint64(i), np.uint64(j)
    for n in range(np.uint64(B.shape[1])):
        A[i, n] += B[j, n]


@kernel
def multiply_row(A, i, B, j):
    """A_i ← A_i ∘ B_j, over the columns of A."""
    wide_vectors()
    i, j = np.uint64(i), np.uint64(j)
    for n in range(np.uint64(A.shape[1])):
        A[i, n] *= B[j, n]


@kernel
def set_sum(A, i, B, C):
    """A_i ← B_i + C_i, over the columns of A."""
    wide_vectors()
    i = np.uint64(i)
    for n in range(np.uint64(A.shape[1])):
        A[i, n] = B[i, n] + C[i, n]


@kernel
def gate_row(A, i, B, j):
    """A_i ← A_i where B_j > 0, else 0, over the columns of A."""
    wide_vectors()
    i, j, zero = np.uint64(i), np.uint64(j), A.dtype.type(0)
    for n in range(np.uint64(A.shape[1])):
        A[i, n] = A[i, n] if B[j, n] > zero else zero


@kernel
def relu_of(A, i, B):
    """A_i ← max(B_i, 0), over the columns of A."""
    wide_vectors()
    i, zero = np.uint64(i), A.dtype.type(0)
    for n in range(np.uint64(A.shape[1])):
        A[i, n] = max(B[i, n], zero)


@kernel
def relu_of_sum(A, i, B, C):
    """A_i ← max(B_i + C_i, 0), over the columns of A."""
    wide_vectors()
    i, zero = np.uint64(i), A.dtype.type(0)
    for n in range(np.uint64(A.shape[1])):
        A[i, n] = max(B[i, n] + C[i, n], zero)


@kernel
def clear_rows(a, start, stop):
    """a[start:stop] ← 0."""
    wide_vectors()
    for i in range(np.uint64(start), np.uint64(stop)):
        for q in range(np.uint64(a.shape[1])):
            a[i, q] = 0


@kernel
def sum_of(x):
    """Σ_n x_n, from the left."""
    total = x.dtype.type(0)
    for n in range(x.shape[0]):
        total += x[n]
    return total


@kernel
def horner(c, y):
    """Σ_k c_k y^k; ``c`` is a short tuple, so that the compiler unrolls and then vectorizes."""
    total = c[len(c) - 1]
    for k in range(len(c) - 2, -1, -1):
        total = total * y + c[k]
    return total
