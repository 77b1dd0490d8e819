"""The angles of the infinite-width recursion, of one row with a stretch of others.

t = 1 − cos θ is carried and not cos θ, because arccos loses half the digits near cos θ = 1, whereas
t̃ and t⁺, which equals 1 − C⁺, keep θ to a few eps. The first t would lose them in 1 − C. With
e = |u|², its numerator is 1 − C = (e e' + q'² e + q² e')/(1 + q q') − u·u', which does not suffer
from biases that outweigh the inputs; where two rows are nearly parallel or opposite, t comes from
the rows themselves, as (‖u ∓ u'‖² + (q ∓ q')²)/2. The symbols are those of ``infinite``.
"""

from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.intrinsics import fma, wide_vectors
from ntklin.kernels.cpu.sums import horner

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


class Angle(NamedTuple):
    """The polynomial of φ/sin φ in y², its even and its odd terms: short tuples."""

    even: tuple
    odd: tuple


def angle_of(dtype):
    """``Angle`` for a dtype."""
    even, odd = (tuple(dtype.type(c) for c in ANGLE[dtype][k::2]) for k in (0, 1))
    return Angle(even, odd)


class FirstLayer(NamedTuple):
    """Of a row, or of several: x/2^k, and what makes it u = unit x, with e = |u|² and q in layer 1.

    For several rows all have one more axis.
    """

    x: np.ndarray
    unit: np.ndarray
    e: np.ndarray
    q: np.ndarray


# Nothing here divides by zero, and without the check for it the loops vectorize.
row_kernel = kernel(error_model="numpy")


@row_kernel
def _half_distance(unit, x, q, other_unit, other_x, other_q):
    """(‖u − u'‖² + (q − q')²)/2 for u = unit x."""
    total = (q - other_q) * (q - other_q)
    for k in range(x.shape[0]):
        difference = fma(-other_unit, other_x[k], unit * x[k])
        total += difference * difference
    return total * x.dtype.type(0.5)


@row_kernel
def first_angles(z, C, S, limit, row: FirstLayer, others: FirstLayer, biased, meets):
    """z = t for an acute angle, t − 2 for an obtuse one: t counted from the nearer end of [0, 2].

    S is u·u', and ``meets`` where the row meets itself, if it does. A zero row gets a right angle.
    ``limit`` is work space.
    """
    wide_vectors()
    x, unit, e, q = row
    other_x, other_unit, other_e, other_q = others
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
            minuend = fma(e, other_e[j], fma(other * other, e, q * q * other_e[j])) / (
                one + q * other
            )
            # By C, not by z: opposite rows whose C rounds to −1 have t = 2, or more.
            if C[j] >= 0:
                z[j] = minuend - S[j]
                limit[j] = near * minuend
    for j in range(z.shape[0]):
        count += 1 if abs(z[j]) < limit[j] else 0
    if 0 <= meets < z.shape[0]:
        z[meets] = 0
        limit[meets] = 0
    if count == 0:
        return
    # Opposite rows must not get 0: only its sign tells their angle from that of equal rows.
    tiny = z.dtype.type(1e-37)
    for j in range(z.shape[0]):
        if abs(z[j]) < limit[j]:
            sign = one if C[j] >= 0 else -one
            t = _half_distance(unit, x, q, sign * other_unit[j], other_x[j], sign * other_q[j])
            z[j] = t if C[j] >= 0 else -max(t, tiny)


@row_kernel
def through(z, angle: Angle):
    """t̃ and 1 − θ/π after one ReLU, from the angle's z."""
    even, odd = angle
    zero = type(z)(0)
    half = type(z)(0.5)
    one = type(z)(1)
    two = type(z)(2)
    per_pi = type(z)(1 / np.pi)
    # φ is the acute one of θ and π − θ, s = 1 − cos φ.
    s = abs(z)
    y = half * s
    sine = np.sqrt(s * (two - s))
    ratio = one + y * (horner(even, y * y) + y * horner(odd, y * y))
    share = sine * ratio
    acute = z >= zero
    # Never negative: the second term is exactly 0 as long as 1 − s rounds to 1.
    t = (s if acute else one) + sine * (ratio * (one - s) - one) * per_pi
    return t, fma(-share, per_pi, one) if acute else share * per_pi


@row_kernel
def relu(z, kernel, kept, r, other_r, q, other_q, angle: Angle):
    """Θ, or C where ``kept`` is 0, through one ReLU and the layer after it; leaves t̃ in ``z``."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        t, share = through(z[j], angle)
        both = r * other_r[j]
        kernel[j] = fma(both, kept * share * kernel[j] + (one - t), q * other_q[j])
        z[j] = t


@row_kernel
def shifted_relu(z, theta, tau, r, other_r, ratio, term, angle: Angle):
    """The same for Θ without biases in C, and what the trained ones add to it."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        t, share = through(z[j], angle)
        both = r * other_r[j]
        theta[j] = both * (share * theta[j] + (one - t))
        # ReLU'(0) = 0: a zero row has no active neurons.
        tau[j] = both * ratio * share * tau[j] + term
        z[j] = t


@row_kernel
def next_angles(z, r, other_r, q, other_q):
    """From t̃ to the t of the next layer; where b = 0 they are the same."""
    wide_vectors()
    one = z.dtype.type(1)
    for j in range(z.shape[0]):
        both = r * other_r[j]
        cross = fma(-q, other_r[j], r * other_q[j])
        z[j] = both * z[j] + cross * cross / fma(q, other_q[j], fma(r, other_r[j], one))
