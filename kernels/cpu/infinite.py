"""The infinite-width recursion over all layers, in one pass over the matrix.

Per pair of inputs the recursion carries the covariance C of the preactivations and the kernel Θ
from layer to layer, both relative to the norms n² = C(x, x), n'² = C(x', x'), and the angle as
t = 1 − cos θ = 1 − C/(n n'). With r = √g n/n⁺ and q = √b/n, which are the rows' own
(``ntklin.kernels.infinite_scales``), and C, Θ below for C/(n n'), Θ/(n n'),

    first layer    C = u·u' + q q',                             Θ = C
    ReLU           t̃ = 1 − (sin θ + (π − θ) cos θ)/π,           κ = r r' (1 − θ/π)
    next layer     C⁺ = r r' (1 − t̃) + q⁺ q'⁺,                  Θ⁺ = κ Θ + C⁺
                   t⁺ = r r' t̃ + (r q'⁺ − q⁺ r')²/(1 + r r' + q⁺ q'⁺)

for u = √w x/n. What a trained bias that starts at 0 adds, τ⁺ = g κ τ + 1, does not depend on the
norms. No square of an input is formed, so that whatever Θ can be represented comes out right.

t is carried and not cos θ, because arccos loses half the digits near cos θ = 1, whereas t̃ and t⁺,
which equals 1 − C⁺, keep θ to a few eps. The first t would lose them in 1 − C. With e = |u|², its
numerator is 1 − C = (e e' + q'² e + q² e')/(1 + q q') − u·u', which does not suffer from biases
that outweigh the inputs; where two rows are nearly parallel or opposite, t comes from the rows
themselves, as (‖u ∓ u'‖² + (q ∓ q')²)/2.
"""

import math

import numpy as np
from numba import get_num_threads, prange

from ntklin.kernels.cpu.blas import gemm, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors
from ntklin.kernels.infinite_scales import products, rows, shift_of

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
def _half_distance(u, q, sign, other_u, other_q):
    """(‖u − sign u'‖² + (q − sign q')²)/2."""
    total = (q - sign * other_q) * (q - sign * other_q)
    for k in range(u.shape[0]):
        difference = u[k] - sign * other_u[k]
        total += difference * difference
    return total * u.dtype.type(0.5)


@row_kernel
def _first_angles(z, C, S, limit, u, e, q, other_U, other_e, other_q, biased, own):
    """z = t for an acute angle, t − 2 for an obtuse one: t counted from the nearer end of [0, 2].

    A zero row gets a right angle. ``limit`` is work space.
    """
    wide_vectors()
    one = z.dtype.type(1)
    two = z.dtype.type(2)
    near = z.dtype.type(NEAR)
    count = 0
    for j in range(z.shape[0]):
        t = one - C[j]
        z[j] = t if t <= one else t - two
        limit[j] = near
    if biased:
        for j in range(z.shape[0]):
            other = other_q[j]
            minuend = (e * other_e[j] + other * other * e + q * q * other_e[j]) / (one + q * other)
            if z[j] >= 0:
                z[j] = minuend - S[j]
                limit[j] = near * minuend
    for j in range(z.shape[0]):
        count += 1 if abs(z[j]) < limit[j] else 0
    if 0 <= own < z.shape[0]:
        z[own] = 0
        limit[own] = 0
    if count == 0:
        return
    # Opposite rows must not get 0: only its sign tells their angle from that of equal rows.
    tiny = z.dtype.type(1e-37)
    for j in range(z.shape[0]):
        if abs(z[j]) < limit[j]:
            sign = one if C[j] >= 0 else -one
            t = _half_distance(u, q, sign, other_U[j], other_q[j])
            z[j] = t if C[j] >= 0 else -max(t, tiny)


@row_kernel
def _through(z, even, odd):
    """t̃ and 1 − θ/π after one ReLU, from the angle's z."""
    zero = type(z)(0)
    half = type(z)(0.5)
    one = type(z)(1)
    two = type(z)(2)
    per_pi = type(z)(1 / np.pi)
    # φ is the acute one of θ and π − θ, s = 1 − cos φ.
    s = abs(z)
    y = half * s
    sine = np.sqrt(s * (two - s))
    ratio = one + y * (_horner(even, y * y) + y * _horner(odd, y * y))
    phi = sine * ratio * per_pi
    acute = z >= zero
    # Never negative: the second term is exactly 0 as long as 1 − s rounds to 1.
    t = (s if acute else one) + sine * (ratio * (one - s) - one) * per_pi
    return t, one - phi if acute else phi


@row_kernel
def _relu(z, C, theta, r, other_r, q, other_q, even, odd):
    """C and Θ through one ReLU and the layer after it; leaves t̃ in ``z``."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        t, share = _through(z[j], even, odd)
        both = r * other_r[j]
        C[j] = both * (one - t) + q * other_q[j]
        theta[j] = both * share * theta[j] + C[j]
        z[j] = t


@row_kernel
def _shifted_relu(z, C, theta, tau, r, other_r, ratio, term, even, odd):
    """The same without biases in C, and what the trained ones add to Θ."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        t, share = _through(z[j], even, odd)
        both = r * other_r[j]
        C[j] = both * (one - t)
        theta[j] = both * share * theta[j] + C[j]
        # ReLU'(0) = 0: a zero row has no active neurons.
        tau[j] = both * ratio * share * tau[j] + term
        z[j] = t


@row_kernel
def _next_angles(z, r, other_r, q, other_q):
    """From t̃ to the t of the next layer; where b = 0 they are the same."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        both = r * other_r[j]
        cross = r * other_q[j] - q * other_r[j]
        z[j] = both * z[j] + cross * cross / (one + both + q * other_q[j])


@row_kernel
def _stretch(S, u, i, own, start, other, meets, shift, even, odd, biased, shifted, ntk, work):
    """Row i of S from column ``start`` on becomes Θ, or C where not ``ntk``.

    ``meets`` is where along the stretch x meets itself, if it does.
    """
    wide_vectors()
    _, e, r, q, norm = own
    other_U, other_e, other_r, other_q, other_norm = other
    ratio, terms, added = shift
    n = S.shape[0]
    stop = start + n
    one = S.dtype.type(1)
    z = work[0, :n]
    C = work[1, :n]
    theta = work[2, :n]
    tau = work[4, :n]
    first = other_q[0, start:stop]
    for j in range(n):
        C[j] = S[j] + q[0, i] * first[j]
        theta[j] = C[j]
        tau[j] = one
    if r.shape[0] > 0:
        _first_angles(
            z,
            C,
            S,
            work[3, :n],
            u,
            e[i],
            q[0, i],
            other_U[start:stop],
            other_e[start:stop],
            first,
            biased,
            meets,
        )
    for l in range(r.shape[0]):
        rs = other_r[l, start:stop]
        qs = other_q[l + 1, start:stop]
        if shifted:
            _shifted_relu(z, C, theta, tau, r[l, i], rs, ratio, terms[l], even, odd)
        else:
            _relu(z, C, theta, r[l, i], rs, q[l + 1, i], qs, even, odd)
        if biased:
            _next_angles(z, r[l, i], rs, q[l + 1, i], qs)
    norms = other_norm[start:stop]
    for j in range(n):
        S[j] = (theta[j] if ntk else C[j]) * norm[i] * norms[j]
    if shifted:
        for j in range(n):
            S[j] += tau[j] * added


@kernel
def _mirror(S, top, bottom, right):
    for j in range(right):
        for i in range(max(top, j + 1), bottom):
            S[j, i] = S[i, j]


@parallel_kernel
def _blocks(S, blocks, own, other, shift, even, odd, symmetric, biased, shifted, ntk):
    """``blocks`` is (tasks, blocks of a task, 4): the bounds top, bottom, left, right of each."""
    U = own[0]
    other_U = other[0]
    for task in prange(blocks.shape[0]):
        work = np.empty((5, STRETCH), S.dtype)
        for k in range(blocks.shape[1]):
            top = blocks[task, k, 0]
            bottom = blocks[task, k, 1]
            left = blocks[task, k, 2]
            right = blocks[task, k, 3]
            gemm(False, True, 1, U[top:bottom], other_U[left:right], 0, S[top:bottom, left:right])
            for i in range(top, bottom):
                end = min(right, i + 1) if symmetric else right
                for start in range(left, end, STRETCH):
                    stop = min(start + STRETCH, end)
                    _stretch(
                        S[i, start:stop],
                        U[i],
                        i,
                        own,
                        start,
                        other,
                        i - start if symmetric else -1,
                        shift,
                        even,
                        odd,
                        biased,
                        shifted,
                        ntk,
                        work,
                    )
            if symmetric:
                _mirror(S, top, bottom, right)


def _rows(X, n_layers, weight, gain, bias):
    """u = √w x/n_1, |u|², r, q in the dtype of X, and n_L as m · 2^k."""
    exponents = np.frexp(np.abs(X).max(axis=1))[1].astype(np.int32)
    U = np.ldexp(X, -exponents[:, None])
    lengths = np.sqrt(np.einsum("ij,ij->i", U, U, dtype=np.float64))
    found = rows(exponents, lengths, n_layers, weight, gain, bias)
    U *= found.unit.astype(X.dtype)[:, None]
    arrays = (found.share, found.r, found.q)
    return U, *(np.ascontiguousarray(a, X.dtype) for a in arrays), found.norm


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

    C^1 = weight² x·x' + bias², C^{l+1} = gain² E[a^l a'^l] + bias²,
    Θ^1 = C^1 + shift², Θ^{l+1} = gain² E[1[h^l > 0] 1[h'^l > 0]] Θ^l + C^{l+1} + shift²
    for normal preactivations h^l of covariance C^l.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    other_X : ndarray, shape (N', d), or None
        None for X itself; half the work is then done, and the result is exactly symmetric.
    n_layers : int
        L.
    weight, gain, bias, shift : float
        The standard deviation of the first layer per unit of x, that of the other layers, that of
        the random biases, and the root of what trained biases add to Θ beside it; one of the last
        two is 0.
    ntk : bool
        Θ if true, C if not.

    Returns
    -------
    ndarray, shape (N, N')

    Raises
    ------
    OverflowError
        ``overflows`` or ``underflows``.
    """
    scalar, gain = X.dtype.type, gain / math.sqrt(2)
    symmetric, shifted = other_X is None, bool(shift) and ntk
    *own, norm = _rows(X, n_layers, weight, gain, bias)
    *other, other_norm = (*own, norm) if symmetric else _rows(other_X, n_layers, weight, gain, bias)
    ratio, terms, added = shift_of(n_layers, gain, shift)
    factors = products(norm, other_norm, X.dtype, added if shifted else None)
    shift = (scalar(ratio), terms.astype(X.dtype), factors[2])
    own, other = (*own, factors[0]), (*other, factors[1])
    even, odd = (tuple(scalar(c) for c in ANGLE[X.dtype][k::2]) for k in (0, 1))
    result = np.empty((len(X), len(other[0])), X.dtype)
    with sequential_blas:
        blocks = _shares(*result.shape, symmetric, get_num_threads())
        _blocks(
            *(result, blocks, own, other, shift, even, odd),
            *(symmetric, bool(bias), shifted, ntk),
        )
    if factors[3] and not np.isfinite(result).all():
        raise OverflowError("overflows")
    return result
