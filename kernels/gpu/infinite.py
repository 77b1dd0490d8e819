"""The infinite-width recursion over all layers, block of rows by block.

The formulas and their reasons are those of the CPU's kernel, ``ntklin.kernels.cpu.infinite``: the
recursion carries t = 1 − cos θ, or t − 2 where θ is obtuse, and takes it from the rows themselves
where they are nearly parallel or opposite. The angle is φ = 2 arcsin √(s/2) for s = 1 − cos φ ≤ 1,
which has all digits of s.
"""

import math

from ntklin.kernels.gpu.arrays import namespace, symmetric

# Entries of a block, of which about a dozen arrays are held at a time.
BLOCK = 1 << 22
# Pairs of rows that are compared at once.
PAIRS = 1 << 22
# Below this fraction of what it is a difference of, t or 2 − t comes from the rows; above, its
# rounding moves θ by some 30 eps at most.
NEAR = 2.0**-10


def infinite_width(X, other_X, n_layers, weight, gain, bias, shift, ntk):
    """The infinite-width NTK Θ or the NNGP covariance C of the outputs (THEORY section 3).

    C^1 = weight · x·x' + bias, C^{l+1} = gain · E[a^l a'^l] + bias,
    Θ^1 = C^1 + shift, Θ^{l+1} = gain · E[1[h^l > 0] 1[h'^l > 0]] Θ^l + C^{l+1} + shift
    for normal preactivations h^l of covariance C^l.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    other_X : ndarray, shape (N', d), or None
        None for X itself; the result is then exactly symmetric.
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
    own = (X, *_norms(X, *scales[:3], n_layers))
    other = own if other_X is None else (other_X, *_norms(other_X, *scales[:3], n_layers))
    result = namespace(X).empty((len(X), len(other[0])), X.dtype)
    height = max(1, BLOCK // result.shape[1])
    for top in range(0, len(X), height):
        rows = slice(top, top + height)
        block = (X[rows], own[1][:, rows], own[2][rows], own[3][rows])
        result[rows] = _block(block, other, scales, ntk)
    return symmetric(result) if other_X is None else result


def _norms(X, weight, g, b, n_layers):
    """n_l = √C_l(x, x) for all layers, (L, N), 1/n_1 with 0 for a zero row, and w |x|²."""
    xp = namespace(X)
    n = xp.empty((n_layers, len(X)), X.dtype)
    e = weight * (X * X).sum(axis=1)
    n[0] = xp.sqrt(e + b)
    for l in range(1, n_layers):
        n[l] = xp.sqrt(g * (n[l - 1] * n[l - 1]) + b)
    inverse = xp.where(n[0] > 0, 1 / xp.where(n[0] > 0, n[0], X.dtype.type(1)), X.dtype.type(0))
    return n, inverse, e


def _block(own, other, scales, ntk):
    """Some rows of Θ or C."""
    weight, g, b, shift = scales
    n, other_n = own[1], other[1]
    S = own[0] @ other[0].T
    C = weight * S + b
    theta = C + shift
    if len(n) > 1:
        z = _first_angles(S, C, own, other, scales)
    for l in range(len(n) - 1):
        p = g * n[l][:, None] * other_n[l]
        z, C, kappa = _relu(z, p, g, b)
        theta = kappa * theta + C + shift
        if b > 0:
            full = n[l + 1][:, None] * other_n[l + 1]
            difference = n[l][:, None] - other_n[l]
            z = (p * z + b * g * difference * difference / (full + p + b)) / full
    return theta if ntk else C


def _first_angles(S, C, own, other, scales):
    """t for an acute angle, t − 2 for an obtuse one: t counted from the nearer end of [0, 2]."""
    xp, (weight, _, b, _) = namespace(S), scales
    (X, _, inverse, e), (other_X, _, other_inverse, other_e) = own, other
    near, scale = S.dtype.type(NEAR), inverse[:, None] * other_inverse
    t = 1 - C * scale
    z = xp.where(t <= 1, t, t - 2)
    limit = xp.full_like(z, near)
    if b > 0:
        minuend = b * (e[:, None] + other_e) + e[:, None] * other_e
        minuend *= scale / (1 + b * scale)
        acute = z >= 0
        z = xp.where(acute, (minuend - weight * S) * scale, z)
        limit = xp.where(acute, near * minuend * scale, limit)
    i, j = xp.nonzero(abs(z) < limit)
    # As many pairs of rows as fit at a time.
    size = max(1, PAIRS // X.shape[1])
    for start in range(0, len(i), size):
        p, q = i[start : start + size], j[start : start + size]
        z[p, q] = _from_rows(
            *(X[p], inverse[p], other_X[q], other_inverse[q], C[p, q] >= 0, weight, b)
        )
    return z


def _from_rows(x, inverse, other_x, other_inverse, acute, weight, b):
    """‖u ∓ u'‖²/2 for u = (√w x, √b)/n, with the sign that ``_first_angles`` gives it."""
    xp = namespace(x)
    r = xp.where(acute, other_inverse, -other_inverse)
    difference = inverse[:, None] * x - r[:, None] * other_x
    gap = inverse - r
    t = (weight * (difference * difference).sum(axis=1) + b * (gap * gap)) / 2
    # Opposite rows must not get 0: only its sign tells their angle from that of equal rows.
    return xp.where(acute, t, -xp.maximum(t, x.dtype.type(1e-37)))


def _relu(z, p, g, b):
    """t̃, C and κ after one ReLU and the layer after it, from the angle's z and p = g n n'."""
    xp = namespace(z)
    s = abs(z)
    sine = xp.sqrt(s * (2 - s))
    phi = 2 * xp.arcsin(xp.sqrt(s / 2))
    acute = z >= 0
    base = xp.where(acute, s, z.dtype.type(1))
    # sin θ + (π − θ) cos θ, and no t below 0, by the rounding of φ where it is tiny.
    t = xp.maximum(base + (phi * (1 - s) - sine) / z.dtype.type(math.pi), 0)
    share = xp.where(acute, z.dtype.type(math.pi) - phi, phi) / z.dtype.type(math.pi)
    # ReLU'(0) = 0: a zero row has no active neurons.
    kappa = xp.where(p > 0, g * share, z.dtype.type(0))
    return t, p * (1 - t) + b, kappa
