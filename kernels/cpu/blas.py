"""BLAS products called from inside compiled, threaded code.

One pool of threads does everything: Numba's threads share out blocks of neurons, and each calls a
sequential ``gemm`` on its block. Alternating two pools (Numba's and OpenBLAS's) on the same cores
costs more than the small products themselves, because idle workers of both spin.
"""

import numpy as np
from numba import get_num_threads, types
from numba.extending import intrinsic

from ntklin.kernels.cpu import instructions, plain
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import never_inlined, next_task, task_counter
from ntklin.kernels.cpu.places import Numbers, Start, floating, on_places
from ntklin.kernels.cpu.plain import twin
from ntklin.kernels.cpu.shares import TASKS
from ntklin.kernels.cpu.sums import dot
from ntklin.kernels.sequential import sequential_blas

# Rows and columns of a tile of a product: narrow ones waste less on a diagonal, large ones suit
# BLAS better.
TILE_ROWS = 512
TILE_COLUMNS = 128
# Columns that are worth a slice of their own.
SLICE = 64
# Numbers of a matrix that one thread has read before others have begun.
FEW = 1 << 14
# How a factor of ``gemm`` is taken.
PLAIN, TRANSPOSED = np.bool_(False), np.bool_(True)
# The largest size that BLAS's integers hold.
LARGEST_SIZE = 2**31 - 1


@intrinsic
def _gemm(typing_context, transposed, sizes, alpha, A, B, beta, C):
    """``transposed`` are two of BLAS's letters, ``sizes`` m, n, inner, lda, ldb, ldc."""
    dtype = floating(A, B, C)
    numbers = Numbers(types.char, 2), Numbers(types.intp, 6)
    operands = dtype, Start(A), Start(B), dtype, Start(C)
    return on_places(instructions.gemm, types.intc, *numbers, *operands)


@kernel
def leading_dimension(a):
    """How many elements it is from row to row of ``a`` for BLAS; 0 where BLAS cannot take it.

    The only one to decide it. The stride of an axis of length 1 or 0 means nothing: NumPy may give
    0 or anything. BLAS wants rows whose elements follow each other and that do not overlap, and
    sizes that fit its integers; of anything else it complains on the standard output, and returns
    as if it had worked.

    Returns
    -------
    int
    """
    rows, columns = a.shape
    step = a.strides[0] // a.itemsize if rows > 1 else columns
    if columns > 1 and a.strides[1] != a.itemsize:
        return 0
    if rows > 1 and (step < columns or step * a.itemsize != a.strides[0]):
        return 0
    return max(1, step) if max(rows, step) <= LARGEST_SIZE else 0


@kernel
def _plain_gemm(transpose_a, transpose_b, alpha, A, B, beta, C):
    """As ``gemm``, for arrays of any layout."""
    never_inlined()
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            total = C.dtype.type(0)
            for k in range(A.shape[0] if transpose_a else A.shape[1]):
                a = A[k, i] if transpose_a else A[i, k]
                total += a * (B[j, k] if transpose_b else B[k, j])
            C[i, j] = alpha * total + (beta * C[i, j] if beta != 0 else 0)


@kernel
def _any_gemm(transpose_a, transpose_b, alpha, A, B, beta, C):
    """As ``gemm``, for arrays of one kind."""
    never_inlined()
    lda, ldb, ldc = leading_dimension(A), leading_dimension(B), leading_dimension(C)
    failed = 1
    if min(lda, ldb, ldc) > 0:
        # BLAS is column-major, so that C = A B is asked for as C^T = B^T A^T.
        transposed = ord("t") if transpose_b else ord("n"), ord("t") if transpose_a else ord("n")
        inner = A.shape[0] if transpose_a else A.shape[1]
        sizes = C.shape[1], C.shape[0], inner, ldb, lda, ldc
        failed = _gemm(transposed, sizes, alpha, B, A, beta, C)
    if failed:
        _plain_gemm(transpose_a, transpose_b, alpha, A, B, beta, C)


@twin(plain.gemm)
@kernel
def gemm(transpose_a, transpose_b, alpha, A, B, beta, C):
    """C ← α op(A) op(B) + β C; β = 0 overwrites C, whatever it held.

    Row-major A, B and C whose last axis is contiguous are BLAS's work. What it cannot take is
    summed here: nothing that uses ``gemm`` may be wrong.

    α and β are of the arrays' type; the others are ``PLAIN`` and ``TRANSPOSED``, which are no
    literals.
    """
    # Slices are of one kind, for which all that follows is compiled once.
    _any_gemm(transpose_a, transpose_b, alpha, A[:, :], B[:, :], beta, C[:, :])


@parallel_kernel
def _tiled_product(_, K, a, other_a, rows, columns, counter):
    """K[s] ← a a'^T of slice s of the columns, on the tiles that start at ``rows``, ``columns``."""
    slices = K.shape[0]
    size = (a.shape[1] + slices - 1) // slices
    one = K.dtype.type(1)
    task = next_task(counter)
    while task < rows.shape[0] * slices:
        i = rows[task // slices]
        j = columns[task // slices]
        s = task % slices
        i_stop = min(i + TILE_ROWS, K.shape[1])
        j_stop = min(j + TILE_COLUMNS, K.shape[2])
        start = min(s * size, a.shape[1])
        stop = min(start + size, a.shape[1])
        x = a[i:i_stop, start:stop]
        y = other_a[j:j_stop, start:stop]
        gemm(PLAIN, TRANSPOSED, one, x, y, one * 0, K[s, i:i_stop, j:j_stop])
        task = next_task(counter)


def _corners(n, n_other, symmetric):
    """Where the tiles of a product start."""
    return [
        (i, j)
        for j in range(0, n_other, TILE_COLUMNS)
        for i in range(j if symmetric else 0, n, TILE_ROWS)
    ]


def slice_count(n, n_other, symmetric, n_columns):
    """Into how many slices of columns a product is cut, each with an (N, N') array of its own.

    More than one where there are fewer tiles than tasks to make, and columns enough.

    Returns
    -------
    int
    """
    return max(1, min(-(-TASKS // len(_corners(n, n_other, symmetric))), n_columns // SLICE))


@parallel_kernel
def mirror_lower(n, K):
    """Set what is above the diagonal to what is below it, as after :func:`product` with itself."""
    for k in range(n):
        K[k, n] = K[n, k]


def product(x, y=None):
    """x y^T, or the lower triangle of x x^T when ``y`` is None; the rest is then not meant.

    Parameters
    ----------
    x, y : ndarray, shapes (N, K) and (N', K)

    Returns
    -------
    ndarray, shape (N, N')
    """
    other = x if y is None else y
    corners = _corners(len(x), len(other), y is None)
    rows, columns = np.ascontiguousarray(np.array(corners).T)
    n_threads = get_num_threads()
    slices = slice_count(len(x), len(other), y is None, x.shape[1])
    allocate = np.empty if slices == 1 else np.zeros  # the sum also runs over what is not set
    parts = allocate((slices, len(x), len(other)), x.dtype)
    with sequential_blas:
        _tiled_product[n_threads](parts, x, other, rows, columns, task_counter())
    return parts[0] if slices == 1 else parts.sum(axis=0)


@twin(plain.dots)
@kernel
def _few_dots(x, y, out):
    for n in range(x.shape[0]):
        out[n] = dot(y, x, n)


@parallel_kernel
def _dots(n, x, y, out):
    """out_n = x_n · y, row by row."""
    out[n] = dot(y, x, n)


def dense_product(x, y):
    """x y^T, exactly symmetric for y that is x.

    Parameters
    ----------
    x, y : ndarray, shapes (N, K) and (N', K)

    Returns
    -------
    ndarray, shape (N, N')
    """
    x, other = np.ascontiguousarray(x), None if y is x else np.ascontiguousarray(y)
    if len(y) == 1:
        found = np.empty(len(x), x.dtype)
        (_few_dots if x.size <= FEW else _dots[len(x)])(x, np.ascontiguousarray(y)[0], found)
        return found[:, None]
    found = product(x, other)
    if other is None:
        mirror_lower[len(found)](found)
    return found
