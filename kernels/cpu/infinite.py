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
from ntklin.kernels.cpu.compiler import dot_kernel, kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors
from ntklin.kernels.infinite_scales import products, rows, shift_of

# Rows whose largest entries all lie within 2^±EVEN, by the bytes of a number, need no scaling.
EVEN = {4: 16, 8: 128}
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
def _half_distance(unit, x, q, other_unit, other_x, other_q):
    """(‖u − u'‖² + (q − q')²)/2 for u = unit x."""
    total = (q - other_q) * (q - other_q)
    for k in range(x.shape[0]):
        difference = unit * x[k] - other_unit * other_x[k]
        total += difference * difference
    return total * x.dtype.type(0.5)


@row_kernel
def _first_angles(
    z, C, S, limit, x, unit, e, q, other_X, other_unit, other_e, other_q, biased, own
):
    """z = t for an acute angle, t − 2 for an obtuse one: t counted from the nearer end of [0, 2].

    S is u·u'. A zero row gets a right angle. ``limit`` is work space.
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
            # By C, not by z: opposite rows whose C rounds to −1 have t = 2, or more.
            if C[j] >= 0:
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
            t = _half_distance(unit, x, q, sign * other_unit[j], other_X[j], sign * other_q[j])
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
def _relu(z, kernel, kept, r, other_r, q, other_q, even, odd):
    """Θ, or C where ``kept`` is 0, through one ReLU and the layer after it; leaves t̃ in ``z``."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        t, share = _through(z[j], even, odd)
        both = r * other_r[j]
        kernel[j] = both * (kept * share * kernel[j] + (one - t)) + q * other_q[j]
        z[j] = t


@row_kernel
def _shifted_relu(z, theta, tau, r, other_r, ratio, term, even, odd):
    """The same for Θ without biases in C, and what the trained ones add to it."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        t, share = _through(z[j], even, odd)
        both = r * other_r[j]
        theta[j] = both * (share * theta[j] + (one - t))
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
def _stretch(
    S, i, X, own, start, other_X, other, meets, shift, even, odd, biased, shifted, ntk, work
):
    """Row i of S from column ``start`` on becomes Θ, or C where not ``ntk``.

    ``meets`` is where along the stretch x meets itself, if it does.
    """
    # The vectorizer gives up on a loop with too many arrays that might overlap: no loop here or in
    # what it calls writes or reads more than it has to.
    wide_vectors()
    units, es, r, q, norms = own
    other_units, other_es, other_r, other_q, other_norms = other
    ratio, terms, added = shift
    n = S.shape[0]
    stop = start + n
    one = S.dtype.type(1)
    z = work[0, :n]
    kernel = work[1, :n]
    tau = work[2, :n]
    unit = units[i]
    other_unit = other_units[start:stop]
    first = q[0, i]
    other_first = other_q[0, start:stop]
    for j in range(n):
        S[j] *= unit * other_unit[j]
        kernel[j] = S[j] + first * other_first[j]
    if r.shape[0] > 0:
        _first_angles(
            *(z, kernel, S, work[3, :n], X[i], unit, es[i], first, other_X[start:stop]),
            *(other_unit, other_es[start:stop], other_first, biased, meets),
        )
    if shifted:
        tau[:] = one
    kept = one if ntk else one - one
    for l in range(r.shape[0]):
        rs = other_r[l, start:stop]
        qs = other_q[l + 1, start:stop]
        if shifted:
            _shifted_relu(z, kernel, tau, r[l, i], rs, ratio, terms[l], even, odd)
        else:
            _relu(z, kernel, kept, r[l, i], rs, q[l + 1, i], qs, even, odd)
        if biased:
            _next_angles(z, r[l, i], rs, q[l + 1, i], qs)
    norm = norms[i]
    other_norm = other_norms[start:stop]
    if shifted:
        for j in range(n):
            S[j] = kernel[j] * norm * other_norm[j] + tau[j] * added
    else:
        for j in range(n):
            S[j] = kernel[j] * norm * other_norm[j]


@kernel
def _mirror(S, top, bottom, right):
    for j in range(right):
        for i in range(max(top, j + 1), bottom):
            S[j, i] = S[i, j]


@parallel_kernel
def _blocks(S, blocks, X, own, other_X, other, shift, even, odd, symmetric, biased, shifted, ntk):
    """``blocks`` is (tasks, blocks of a task, 4): the bounds top, bottom, left, right of each."""
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
                        i,
                        X,
                        own,
                        start,
                        other_X,
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


@kernel
def _exponents(bits, exponents):
    """k for each row x, with entries of x/2^k up to 1 to 2; 0 where x = 0. ``bits`` are x's own."""
    wide_vectors()
    # As whole numbers, sizes are ordered as they are, and their largest is found in vectors.
    narrow = bits.itemsize == 4
    all_but_sign = bits.dtype.type(0x7FFFFFFF if narrow else 0x7FFFFFFFFFFFFFFF)
    for i in range(bits.shape[0]):
        largest = bits.dtype.type(0)
        for j in range(bits.shape[1]):
            largest = max(largest, bits[i, j] & all_but_sign)
        field = np.int64(largest) >> (23 if narrow else 52)
        exponents[i] = max(field, 1) - (127 if narrow else 1023) if largest > 0 else 0


@dot_kernel
def _length(x):
    wide_vectors()
    total = 0.0
    for j in range(x.shape[0]):
        total += np.float64(x[j]) * np.float64(x[j])
    return math.sqrt(total)


@kernel
def _lengths(X, lengths):
    for i in range(X.shape[0]):
        lengths[i] = _length(X[i])


@kernel
def _scale_rows(X, exponents, scaled):
    """scaled ← x/2^k, row by row."""
    for i in range(X.shape[0]):
        scale = X.dtype.type(math.ldexp(1.0, -int(exponents[i])))
        for j in range(X.shape[1]):
            scaled[i, j] = scale * X[i, j]


def _rows(X, n_layers, weight, gain, bias):
    """x/2^k; √w 2^k/n_1, by which it becomes u, |u|², r, q in the dtype of X; n_L as m · 2^k."""
    exponents, lengths = np.empty(len(X), np.int64), np.empty(len(X))
    _exponents(X.view(f"i{X.itemsize}"), exponents)
    if np.abs(exponents).max() <= EVEN[X.itemsize]:
        exponents[:] = 0  # and a copy on fresh pages is spared
        scaled = X
    else:
        scaled = np.empty(X.shape, X.dtype)
        _scale_rows(X, exponents, scaled)
    _lengths(scaled, lengths)
    found = rows(exponents, lengths, n_layers, weight, gain, bias)
    arrays = (found.unit, found.share, found.r, found.q)
    with np.errstate(under="ignore"):  # a bias beside a long input, for one
        arrays = tuple(np.ascontiguousarray(a, X.dtype) for a in arrays)
    return scaled, arrays, found.norm


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
    mine = _rows(X, n_layers, weight, gain, bias)
    others = mine if symmetric else _rows(other_X, n_layers, weight, gain, bias)
    (X, own, norm), (other_X, other, other_norm) = mine, others
    ratio, terms, added = shift_of(n_layers, gain, shift)
    factors = products(norm, other_norm, X.dtype, added if shifted else None)
    shift = (scalar(ratio), terms.astype(X.dtype), factors[2])
    own, other = (*own, factors[0]), (*other, factors[1])
    even, odd = (tuple(scalar(c) for c in ANGLE[X.dtype][k::2]) for k in (0, 1))
    result = np.empty((len(X), len(other_X)), X.dtype)
    with sequential_blas:
        blocks = _shares(*result.shape, symmetric, get_num_threads())
        _blocks(
            *(result, blocks, X, own, other_X, other, shift, even, odd),
            *(symmetric, bool(bias), shifted, ntk),
        )
    if factors[3] and not np.isfinite(result).all():
        raise OverflowError("overflows")
    return result
