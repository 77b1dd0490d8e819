"""One hidden layer of the infinite-width recursion for each family of activations.

Of the pair (u, v) of normal preactivations of norms n, n' and angle θ a law makes the angle of
(α(u), α(v)), with 1 − cos θ̃ = 1 − E α(u) α(v)/√(E α(u)² E α(v)²), and M = E α'(u) α'(v). Angles
are z = 1 − cos θ where they are acute, and −1 − cos θ where obtuse: counted from the nearer end.

``TwoSlopes``, with c = (right − left)/2, d = (right + left)/2 and E|u||v| of the ReLU's formula:

    E α(u) α(v) = d² E u v + c² E |u| |v|,   M = d² + c² (1 − 2 θ/π)

erf, with e² = 1/(1 + 2n²), w² = 2n²/(1 + 2n²):   E α α = 2/π asin(w w' cos θ)
sin:  E α α = e^{−(n² + n'²)/2} sinh s,   M = e^{−(n² + n'²)/2} cosh s,   s = n n' cos θ
gelu, with e² = 1/(1 + n²), w² = n²/(1 + n²), I = E Φ(u) Φ(v) = 1/4 + asin(w w' cos θ)/(2π),
Δ = (1 + n²)(1 + n'²) − s², P = 1/(2π √Δ):

    E α α = s I + P (n² n'² − s² + s² (e² + e'²))
    M     = I + s P (2 (e² + e'²) + (s² (e² + e'²) − 1 − n² − n'²)/Δ)

1 − w w' cos θ, n² n'² − s² and the last numerator are formed of 1 ∓ cos θ, without differences of
what is nearly equal. All others: ``infinite_series``.
"""

import math

from ntklin.kernels.cpu.infinite_angles import Angle, row_kernel, through
from ntklin.kernels.cpu.infinite_sides import Side
from ntklin.kernels.cpu.intrinsics import fma

# Orders of a series after which is looked whether the powers have faded.
LOOK = 32
FADED = 1e-20
# Below that, 1 − cos θ of two equal rows may be, as rounding has it.
EQUAL = 1e-30


@row_kernel
def _nearer(t):
    """z of t = 1 − cos θ, which rounding may have moved out of [0, 2]; obtuse is below 0."""
    return max(t, 0.0) if t <= 1.0 else min(t - 2.0, -1e-300)


@row_kernel
def two_slopes(z, M, l, i, own: Side, start, other: Side, c, d, angle: Angle):
    """Through ``TwoSlopes``."""
    c2 = c * c
    d2 = d * d
    cd = c * d
    total = fma(c, c, d2)
    per = 1.0 / total if total > 0 else 0.0
    live = own.n[l, i]
    sign = own.sign[i]
    other_live = other.n[l, start:]
    other_sign = other.sign[start:]
    for j in range(z.shape[0]):
        s = abs(z[j])
        t, share = through(s, angle)
        # 1 − E|u||v|/(n n'), and 1 − 2φ/π of the acute angle φ
        t = 2.0 * t - s
        both = 2.0 * share - 1.0
        if z[j] >= 0:
            z[j] = per * fma(d2, s, c2 * t)
        else:
            both = -both
            rest = per * fma(d2, s, c2 * (2.0 - t))
            z[j] = -max(rest, 1e-300) if rest <= 1.0 else per * fma(d2, 2.0 - s, c2 * t)
        both = fma(live * other_live[j], both, sign * other_sign[j])
        M[j] = fma(c2, both, fma(cd, sign + other_sign[j], d2))


@row_kernel
def _arc(z, e, w, other_e, other_w):
    """1 ∓ w w' cos θ, from the nearer end, and asin(w w' cos θ)."""
    ww = w * other_w
    e2 = e * e
    other_e2 = other_e * other_e
    y = fma(-e2, other_e2, fma(e, e, other_e2)) / fma(w, other_w, 1.0) + ww * abs(z)
    if y > 0.5:
        arc = math.asin(ww * (1.0 - abs(z)))
    else:
        arc = math.pi / 2.0 - 2.0 * math.asin(math.sqrt(0.5 * y))
    return y, arc if z >= 0 else -arc


@row_kernel
def erf(z, M, l, i, own: Side, start, other: Side):
    """Through erf."""
    e = own.e[l, i]
    w = own.w[l, i]
    per_root = own.per_root[l, i]
    other_e = other.e[l, start:]
    other_w = other.w[l, start:]
    other_per_root = other.per_root[l, start:]
    for j in range(z.shape[0]):
        y, arc = _arc(z[j], e, w, other_e[j], other_w[j])
        M[j] = (4.0 / math.pi) * e * other_e[j] / math.sqrt(y * (2.0 - y))
        z[j] = _nearer(1.0 - (2.0 / math.pi) * arc * per_root * other_per_root[j])


@row_kernel
def sine(z, M, l, i, own: Side, start, other: Side):
    """Through sin."""
    n = own.n[l, i]
    per_root = own.per_root[l, i]
    other_n = other.n[l, start:]
    other_per_root = other.per_root[l, start:]
    for j in range(z.shape[0]):
        difference = n - other_n[j]
        both = n * other_n[j]
        near = abs(z[j])
        # e^{−E (u ∓ v)²/2}/2, and −2|s|
        decay = 0.5 * math.exp(fma(-both, near, -0.5 * difference * difference))
        twice = -2.0 * both * (1.0 - near)
        cosine = -decay * math.expm1(twice) * per_root * other_per_root[j]
        M[j] = decay * (1.0 + math.exp(twice))
        z[j] = _nearer(1.0 - (cosine if z[j] >= 0 else -cosine))


@row_kernel
def gelu(z, M, l, i, own: Side, start, other: Side):
    """Through gelu."""
    n = own.n[l, i]
    e = own.e[l, i]
    w = own.w[l, i]
    per_root = own.per_root[l, i]
    other_n = other.n[l, start:]
    other_e = other.e[l, start:]
    other_w = other.w[l, start:]
    other_per_root = other.per_root[l, start:]
    n2 = n * n
    e2 = e * e
    w2 = w * w
    for j in range(z.shape[0]):
        m2 = other_n[j] * other_n[j]
        f2 = other_e[j] * other_e[j]
        ends = fma(e, e, f2)
        near = abs(z[j])
        sine2 = near * (2.0 - near)
        s = n * other_n[j] * (1.0 - near if z[j] >= 0 else near - 1.0)
        _, arc = _arc(z[j], e, w, other_e[j], other_w[j])
        quarter = 0.25 + arc / (2.0 * math.pi)
        delta = fma(n2 * m2, sine2, fma(other_n[j], other_n[j], fma(n, n, 1.0)))
        P = 1.0 / (2.0 * math.pi * math.sqrt(delta))
        moment = fma(P, fma(s * s, ends, n2 * m2 * sine2), s * quarter)
        rest = fma(n2, fma(other_w[j] * other_w[j], sine2, f2), 1.0)
        rest = fma(m2, fma(w2, sine2, e2), rest)
        M[j] = quarter + s * P * (2.0 * ends - rest / delta)
        z[j] = _nearer(1.0 - moment * per_root * other_per_root[j])


@row_kernel
def series(z, M, l, i, own: Side, start, other: Side, meets, work):
    """Through any other activation.

    ``work`` has three rows: powers of ρ, sums, and ρ.

    Returns
    -------
    float
        The largest bound of what was left out.
    """
    n = z.shape[0]
    power = work[0, :n]
    total = work[1, :n]
    rho = work[2, :n]
    for j in range(n):
        rho[j] = 1.0 - z[j] if z[j] >= 0 else -1.0 - z[j]
        power[j] = 1.0
        total[j] = 0.0
        M[j] = 0.0
    if 0 <= meets < n:
        rho[meets] = 0.0
    n_terms = own.values.shape[1]
    for first in range(0, n_terms, LOOK):
        for k in range(first, min(first + LOOK, n_terms)):
            a = own.values[l, k, i]
            b = own.slopes[l, k, i]
            other_a = other.values[l, k, start : start + n]
            other_b = other.slopes[l, k, start : start + n]
            for j in range(n):
                total[j] += power[j] * (a * other_a[j])
                M[j] += power[j] * (b * other_b[j])
                power[j] *= rho[j]
        largest = 0.0
        for j in range(n):
            largest = max(largest, abs(power[j]))
        if largest < FADED:
            break
    norm = own.n[l, i]
    slope = own.w[l, i]
    tail = own.tails[l, 0, i]
    slope_tail = own.tails[l, 1, i]
    worst = 0.0
    for j in range(n):
        if j == meets or (0 <= z[j] < EQUAL and norm == other.n[l, start + j]):
            # The same row, or one that is equal: these sums are known.
            z[j] = 0.0
            M[j] = slope * other.w[l, start + j]
        else:
            z[j] = _nearer(1.0 - total[j])
            left = tail * other.tails[l, 0, start + j]
            left = max(left, slope_tail * other.tails[l, 1, start + j])
            worst = max(worst, abs(power[j]) * left)
    return worst
