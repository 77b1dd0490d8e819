"""The infinite-width recursion over all layers, block of rows by block.

The formulas and their reasons are those of the CPU's kernel, ``ntklin.kernels.cpu.infinite``: the
recursion carries t = 1 − cos θ, or t − 2 where θ is obtuse, and takes it from the rows themselves
where they are nearly parallel or opposite. The angle is φ = 2 arcsin √(s/2) for s = 1 − cos φ ≤ 1,
which has all digits of s.
"""

import math

import numpy as np

from ntklin.kernels.gpu.arrays import namespace, symmetric
from ntklin.kernels.infinite_scales import products, rows, shift_of

# Entries of a block, of which about a dozen arrays are held at a time.
BLOCK = 1 << 22
# Pairs of rows that are compared at once.
PAIRS = 1 << 22
# Below this fraction of what it is a difference of, t or 2 − t comes from the rows; above, its
# rounding moves θ by some 30 eps at most.
NEAR = 2.0**-10


def infinite_width(X, other_X, n_layers, weight, gain, bias, shift, ntk):
    """The infinite-width NTK Θ or the NNGP covariance C of the outputs; docs/theory.md.

    C^1 = weight² x·x' + bias², C^{l+1} = gain² E[a^l a'^l] + bias²,
    Θ^1 = C^1 + shift², Θ^{l+1} = gain² E[1[h^l > 0] 1[h'^l > 0]] Θ^l + C^{l+1} + shift²
    for normal preactivations h^l of covariance C^l.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    other_X : ndarray, shape (N', d), or None
        None for X itself; the result is then exactly symmetric.
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
    xp, gain, shifted = namespace(X), gain / math.sqrt(2), bool(shift) and ntk
    *own, norm = _rows(X, n_layers, weight, gain, bias)
    *other, other_norm = (
        (*own, norm) if other_X is None else _rows(other_X, n_layers, weight, gain, bias)
    )
    ratio, terms, added = shift_of(n_layers, gain, shift)
    first, second, added, doubtful = products(norm, other_norm, X.dtype, added if shifted else None)
    first, second = xp.asarray(first), xp.asarray(second)
    shift = (X.dtype.type(ratio), terms.astype(X.dtype)) if shifted else None
    result = xp.empty((len(X), len(second)), X.dtype)
    height = max(1, BLOCK // result.shape[1])
    for top in range(0, len(X), height):
        part = slice(top, top + height)
        U, e, r, q = own
        block, tau = _block(
            (U[part], e[part], r[:, part], q[:, part]), other, bool(bias), shift, ntk
        )
        result[part] = block * first[part][:, None] * second
        if shifted:
            result[part] = result[part] + tau * added
    if doubtful and not bool(xp.isfinite(result).all()):
        raise OverflowError("overflows")
    return symmetric(result) if other_X is None else result


def infinite_width_of(activation, X, other_X, n_layers, scales, shift, ntk, longest):
    """The same for another activation, which the CPU's kernels alone have.

    Raises
    ------
    NotImplementedError
    """
    raise NotImplementedError("infinite width of an activation other than ReLU")


def _rows(X, n_layers, weight, gain, bias):
    """u = √w x/n_1, |u|², r, q in the dtype of X, and n_L as m · 2^k."""
    xp = namespace(X)
    exponents = np.frexp(abs(X).max(axis=1).get())[1].astype(np.int32)
    U = xp.ldexp(X, xp.asarray(-exponents)[:, None])
    lengths = np.sqrt((U * U).sum(axis=1).get().astype(np.float64))
    found = rows(exponents, lengths, n_layers, weight, gain, bias)
    with np.errstate(under="ignore"):  # a bias beside a long input, for one
        unit, *arrays = (
            xp.asarray(a.astype(X.dtype)) for a in (found.unit, found.share, found.r, found.q)
        )
    return U * unit[:, None], *arrays, found.norm


def _block(own, other, biased, shift, ntk):
    """Some rows of Θ or C relative to the norms, and of what trained biases add."""
    U, _, r, q = own
    other_U, _, other_r, other_q = other
    S = U @ other_U.T
    C = S + q[0][:, None] * other_q[0]
    theta, tau = C, None
    if shift is not None:
        ratio, terms = shift
        tau = namespace(U).ones_like(S)
    if len(r):
        z = _first_angles(S, C, own, other, biased)
    for l in range(len(r)):
        both = r[l][:, None] * other_r[l]
        z, share = _relu(z)
        C = both * (1 - z) + q[l + 1][:, None] * other_q[l + 1]
        theta = both * share * theta + C
        if shift is not None:
            # ReLU'(0) = 0: a zero row has no active neurons.
            tau = both * ratio * share * tau + terms[l]
        if biased:
            across = q[l + 1][:, None] * other_q[l + 1]
            cross = r[l][:, None] * other_q[l + 1] - q[l + 1][:, None] * other_r[l]
            z = both * z + cross * cross / (1 + both + across)
    return theta if ntk else C, tau


def _first_angles(S, C, own, other, biased):
    """t for an acute angle, t − 2 for an obtuse one: t counted from the nearer end of [0, 2]."""
    xp = namespace(S)
    (U, e, _, q), (other_U, other_e, _, other_q) = own, other
    q, other_q = q[0], other_q[0]
    near = S.dtype.type(NEAR)
    t = 1 - C
    z = xp.where(t <= 1, t, t - 2)
    limit = xp.full_like(z, near)
    if biased:
        minuend = e[:, None] * (other_e + other_q * other_q) + (q * q)[:, None] * other_e
        minuend = minuend / (1 + q[:, None] * other_q)
        acute = C >= 0  # not by z: opposite rows whose C rounds to −1 have t = 2, or more
        z = xp.where(acute, minuend - S, z)
        limit = xp.where(acute, near * minuend, limit)
    i, j = xp.nonzero(abs(z) < limit)
    # As many pairs of rows as fit at a time.
    size = max(1, PAIRS // U.shape[1])
    for start in range(0, len(i), size):
        m, k = i[start : start + size], j[start : start + size]
        z[m, k] = _from_rows(U[m], q[m], other_U[k], other_q[k], C[m, k] >= 0)
    return z


def _from_rows(u, q, other_u, other_q, acute):
    """(‖u ∓ u'‖² + (q ∓ q')²)/2, with the sign that ``_first_angles`` gives it."""
    xp = namespace(u)
    sign = xp.where(acute, u.dtype.type(1), u.dtype.type(-1))
    difference = u - sign[:, None] * other_u
    gap = q - sign * other_q
    t = ((difference * difference).sum(axis=1) + gap * gap) / 2
    # Opposite rows must not get 0: only its sign tells their angle from that of equal rows.
    return xp.where(acute, t, -xp.maximum(t, u.dtype.type(1e-37)))


def _relu(z):
    """t̃ and 1 − θ/π after one ReLU, from the angle's z."""
    xp, pi = namespace(z), z.dtype.type(math.pi)
    s = abs(z)
    sine = xp.sqrt(s * (2 - s))
    phi = 2 * xp.arcsin(xp.sqrt(s / 2))
    acute = z >= 0
    base = xp.where(acute, s, z.dtype.type(1))
    # sin θ + (π − θ) cos θ, and no t below 0, by the rounding of φ where it is tiny.
    t = xp.maximum(base + (phi * (1 - s) - sine) / pi, 0)
    return t, xp.where(acute, pi - phi, phi) / pi
