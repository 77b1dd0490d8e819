"""The infinite-width recursion over all layers, in one pass over the matrix.

Per pair of inputs the recursion carries the covariance C of the preactivations and the kernel Θ
from layer to layer. With n² = C(x, x), n'² = C(x', x') and t = 1 − cos θ = 1 − C/(n n'):

    first layer    C = w x·x' + b,                              Θ = C + s
    ReLU           t̃ = 1 − (sin θ + (π − θ) cos θ)/π,           p = g n n'
    next layer     C⁺ = p (1 − t̃) + b,                          Θ⁺ = g (1 − θ/π) Θ + C⁺ + s
                   t⁺ = (p t̃ + b g (n − n')² / (n⁺n'⁺ + p + b)) / (n⁺n'⁺),      n⁺² = g n² + b

t is carried and not cos θ, because arccos loses half the digits near cos θ = 1, whereas t̃ and t⁺,
which equals 1 − C⁺/(n⁺n'⁺), keep θ to a few eps. The first t would lose them in 1 − C/(n n'). With
e = w |x|², its numerator is n n' − C = (b (e + e') + e e')/(n n' + b) − w x·x', which does not
suffer from biases that outweigh the inputs; where two rows are nearly parallel or opposite, t comes
from the rows themselves, as ‖u ∓ u'‖²/2 for u = (√w x, √b)/n.
"""

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.blas import gemm, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors

# Rows and columns of a block: BLAS wants them large, the threads' shares equal, the second-level
# cache at most 1 MB.
BLOCK_ROWS, BLOCK_COLUMNS = 128, 1024
# Columns that go through all layers at once, in the first-level cache.
STRETCH = 512
# Below this fraction of what it is a difference of, t or 2 − t comes from the rows; above, its
# rounding moves θ by some 30 eps at most.
NEAR = 2.0**-10

# φ/sin φ = 1 + y Σ_k c_k y^k for y = (1 − cos φ)/2 in [0, 1/2]: minimax polynomials with relative
# errors of 2^-57 and 2^-29, below the rounding of their dtype.
ANGLE = {
    np.dtype(np.float64): (
        0.6666666666666719607,
        0.5333333333311344837,
        0.4571428574534497827,
        0.4063491842462166875,
        0.3694093107635983427,
        0.3409659048147986178,
        0.318780079739931678,
        0.2920459522498196855,
        0.3649194140811416622,
        -0.4047316412525119838,
        4.63189758507484727,
        -22.01976100900184835,
        89.7220309971489757,
        -283.4947978784191281,
        706.3824790046992959,
        -1363.929223003358298,
        2005.721303817561239,
        -2171.141798983822225,
        1636.173868684320067,
        -768.8796485452257858,
        171.3978869417258303,
    ),
    np.dtype(np.float32): (
        0.6666660722811811073,
        0.5333897876123630104,
        0.4552995827422989963,
        0.4358802223989187277,
        0.1008090470849722243,
        1.826746981938537154,
        -4.803243017670473525,
        11.13775081924967468,
        -12.80813543626074112,
        7.477310536595521922,
    ),
}

# Nothing here divides by zero, and without the check for it the loops vectorize.
row_kernel = kernel(error_model="numpy")


@row_kernel
def _horner(c, y):
    """Σ_k c_k y^k; ``c`` is a short tuple, so that the compiler unrolls and then vectorizes."""
    total = c[len(c) - 1]
    for k in range(len(c) - 2, -1, -1):
        total = total * y + c[k]
    return total


@row_kernel
def _half_distance(scale, x, constant, other_scale, other_x, other_constant):
    """‖u − u'‖²/2 for u = (scale x, constant)."""
    total = (constant - other_constant) * (constant - other_constant)
    for k in range(x.shape[0]):
        difference = scale * x[k] - other_scale * other_x[k]
        total += difference * difference
    return total * x.dtype.type(0.5)


@row_kernel
def _first_angles(z, C, S, limit, weight, b, x, inverse, e, other_X, other_inverse, other_e, own):
    """z = t for an acute angle, t − 2 for an obtuse one: t counted from the nearer end of [0, 2].

    ``inverse`` is 1/n; a zero row has 0 there and gets a right angle. ``e`` is w |x|²; ``limit`` is
    work space.
    """
    wide_vectors()
    one = z.dtype.type(1)
    two = z.dtype.type(2)
    near = z.dtype.type(NEAR)
    count = 0
    for j in range(z.shape[0]):
        t = one - C[j] * inverse * other_inverse[j]
        z[j] = t if t <= one else t - two
        limit[j] = near
    if b > 0:
        for j in range(z.shape[0]):
            scale = inverse * other_inverse[j]
            minuend = (b * (e + other_e[j]) + e * other_e[j]) * scale / (one + b * scale)
            if z[j] >= 0:
                z[j] = (minuend - weight * S[j]) * scale
                limit[j] = near * minuend * scale
    for j in range(z.shape[0]):
        count += 1 if abs(z[j]) < limit[j] else 0
    if 0 <= own < z.shape[0]:
        z[own] = 0
        limit[own] = 0
    if count == 0:
        return
    root = np.sqrt(weight)
    offset = np.sqrt(b)
    # Opposite rows must not get 0: only its sign tells their angle from that of equal rows.
    tiny = z.dtype.type(1e-37)
    for j in range(z.shape[0]):
        if abs(z[j]) < limit[j]:
            r = other_inverse[j] if C[j] >= 0 else -other_inverse[j]
            t = _half_distance(
                root * inverse, x, offset * inverse, root * r, other_X[j], offset * r
            )
            z[j] = t if C[j] >= 0 else -max(t, tiny)


@row_kernel
def _relu(z, C, theta, g, b, shift, norm, other_norm, even, odd):
    """C and Θ through one ReLU and the layer after it; leaves t̃ in ``z``."""
    wide_vectors()
    zero = z.dtype.type(0)
    half = z.dtype.type(0.5)
    one = z.dtype.type(1)
    two = z.dtype.type(2)
    pi = z.dtype.type(np.pi)
    per_pi = z.dtype.type(1 / np.pi)
    for j in range(z.shape[0]):
        # φ is the acute one of θ and π − θ, s = 1 − cos φ.
        s = abs(z[j])
        y = half * s
        sine = np.sqrt(s * (two - s))
        ratio = one + y * (_horner(even, y * y) + y * _horner(odd, y * y))
        phi = sine * ratio
        acute = z[j] >= zero
        # Never negative: the second term is exactly 0 as long as 1 − s rounds to 1.
        t = (s if acute else one) + sine * (ratio * (one - s) - one) * per_pi
        p = g * norm * other_norm[j]
        # ReLU'(0) = 0: a zero row has no active neurons.
        kappa = g * per_pi * (pi - phi if acute else phi) if p > zero else zero
        C[j] = p * (one - t) + b
        theta[j] = kappa * theta[j] + C[j] + shift
        z[j] = t


@row_kernel
def _next_angles(z, g, b, norm, other_norm, next_norm, next_other_norm):
    """From t̃ to the t of the next layer; where b = 0 they are the same."""
    wide_vectors()
    for j in range(z.shape[0]):
        p = g * norm * other_norm[j]
        full = next_norm * next_other_norm[j]
        difference = norm - other_norm[j]
        spread = b * g * difference * difference / (full + p + b)
        z[j] = (p * z[j] + spread) / full


@row_kernel
def _stretch(
    S,
    scales,
    i,
    x,
    n,
    inverse,
    e,
    start,
    other_X,
    other_n,
    other_inverse,
    other_e,
    own,
    even,
    odd,
    ntk,
    work,
):
    """Row i of S from column ``start`` on becomes Θ, or C where not ``ntk``.

    ``own`` is where along the stretch x meets itself, if it does.
    """
    wide_vectors()
    weight, g, b, shift = scales
    stop = start + S.shape[0]
    z = work[0, : S.shape[0]]
    C = work[1, : S.shape[0]]
    theta = work[2, : S.shape[0]]
    for j in range(S.shape[0]):
        C[j] = weight * S[j] + b
        theta[j] = C[j] + shift
    if n.shape[0] > 1:
        _first_angles(
            *(z, C, S, work[3, : S.shape[0]], weight, b),
            *(x, inverse, e, other_X, other_inverse, other_e, own),
        )
    for l in range(n.shape[0] - 1):
        norms = other_n[l, start:stop]
        _relu(z, C, theta, g, b, shift, n[l, i], norms, even, odd)
        if b > 0:
            _next_angles(z, g, b, n[l, i], norms, n[l + 1, i], other_n[l + 1, start:stop])
    for j in range(S.shape[0]):
        S[j] = theta[j] if ntk else C[j]


@kernel
def _mirror(S, top, bottom, right):
    for j in range(right):
        for i in range(max(top, j + 1), bottom):
            S[j, i] = S[i, j]


@parallel_kernel
def _blocks(S, blocks, scales, own, other, even, odd, symmetric, ntk):
    """``blocks`` is (tasks, blocks of a task, 4): the bounds top, bottom, left, right of each."""
    X, n, inverse, e = own
    other_X, other_n, other_inverse, other_e = other
    for task in prange(blocks.shape[0]):
        work = np.empty((4, STRETCH), S.dtype)
        for k in range(blocks.shape[1]):
            top = blocks[task, k, 0]
            bottom = blocks[task, k, 1]
            left = blocks[task, k, 2]
            right = blocks[task, k, 3]
            gemm(False, True, 1, X[top:bottom], other_X[left:right], 0, S[top:bottom, left:right])
            for i in range(top, bottom):
                end = min(right, i + 1) if symmetric else right
                for start in range(left, end, STRETCH):
                    stop = min(start + STRETCH, end)
                    _stretch(
                        S[i, start:stop],
                        scales,
                        i,
                        X[i],
                        n,
                        inverse[i],
                        e[i],
                        start,
                        other_X[start:stop],
                        other_n,
                        other_inverse[start:stop],
                        other_e[start:stop],
                        i - start if symmetric else -1,
                        even,
                        odd,
                        ntk,
                        work,
                    )
            if symmetric:
                _mirror(S, top, bottom, right)


def _norms(X, weight, g, b, n_layers):
    """n_l = √C_l(x, x) for all layers, (L, N), 1/n_1 with 0 for a zero row, and w |x|²."""
    n = np.empty((n_layers, len(X)), X.dtype)
    e = weight * np.einsum("ij,ij->i", X, X)
    np.sqrt(e + b, out=n[0])
    for l in range(1, n_layers):
        np.sqrt(g * n[l - 1] ** 2 + b, out=n[l])
    inverse = np.zeros(len(X), X.dtype)
    np.divide(1, n[0], out=inverse, where=n[0] > 0)
    return n, inverse, e


def _shares(n_rows, n_columns, symmetric, n_threads):
    """Equal shares of the matrix, two or more a thread where it is large: (tasks, blocks, 4).

    When symmetric, a block runs from the first column to the diagonal, so that the first and the
    last block make one share, the second and the last but one the next; an odd one counts as the
    partner of an empty block.
    """
    height = min(max(-(-n_rows // (4 * n_threads)), 16), BLOCK_ROWS)
    rows = [(top, min(top + height, n_rows)) for top in range(0, n_rows, height)]
    if symmetric:
        blocks = [(0, 0, 0, 0)] * (len(rows) % 2)
        blocks += [(top, bottom, 0, bottom) for top, bottom in rows]
        return np.array(list(zip(blocks, blocks[::-1], strict=True))[: len(blocks) // 2])
    columns = [
        (left, min(left + BLOCK_COLUMNS, n_columns)) for left in range(0, n_columns, BLOCK_COLUMNS)
    ]
    return np.array([[(*r, *c)] for r in rows for c in columns])


def infinite_width(X, other_X, n_layers, weight, gain, bias, shift, ntk):
    """The infinite-width NTK Θ or the NNGP covariance C of the outputs (THEORY section 3).

    C^1 = weight · x·x' + bias, C^{l+1} = gain · E[a^l a'^l] + bias,
    Θ^1 = C^1 + shift, Θ^{l+1} = gain · E[1[h^l > 0] 1[h'^l > 0]] Θ^l + C^{l+1} + shift
    for normal preactivations h^l of covariance C^l.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    other_X : ndarray, shape (N', d), or None
        None for X itself; half the work is then done, and the result is exactly symmetric.
    n_layers : int
        L.
    weight, gain, bias, shift : float
        The variance of the first layer per unit of x·x', that of the other layers, that of the
        random biases, and what trained biases add to Θ beside it.
    ntk : bool
        Θ if true, C if not.

    Returns
    -------
    ndarray, shape (N, N')
    """
    scalar = X.dtype.type
    scales = (scalar(weight), scalar(gain / 2), scalar(bias), scalar(shift))
    symmetric = other_X is None
    own = (X, *_norms(X, *scales[:3], n_layers))
    other = own if symmetric else (other_X, *_norms(other_X, *scales[:3], n_layers))
    even, odd = (tuple(scalar(c) for c in ANGLE[X.dtype][k::2]) for k in (0, 1))
    result = np.empty((len(X), len(other[0])), X.dtype)
    with sequential_blas:
        blocks = _shares(*result.shape, symmetric, get_num_threads())
        _blocks(result, blocks, scales, own, other, even, odd, symmetric, ntk)
    return result
