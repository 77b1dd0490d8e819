"""Θ and the NNGP of any activation, pair by pair, from integrals. Imports nothing of the library.

A `moments(q, s, p)` gives S = E α(u) α(v) and M = E α'(u) α'(v) for normal u and v with E u² = q,
E u v = s and E v² = p.
"""

import math

import numpy as np


def kernels(net, x, y, moments, number=float):
    """Θ(x, y) and E f(x) f(y) of one output, C^{l+1} = σ² S + β σ_b², Θ^{l+1} = σ² M Θ^l + ….

    As Jacot et al. and Lee et al. write them for `fan_in`; for others, 1/√m_l in α's argument needs
    the moments of α(h) where h is small. `number` is a type with more digits, as mpmath's.
    """
    x, y = [number(float(c)) for c in x], [number(float(c)) for c in y]
    s2, fan_in = number(net.sigma) ** 2, net.scaling == "fan_in"
    b2 = s2 if net.sigma_b is None else number(net.sigma_b) ** 2
    first = s2 / len(x) if fan_in else s2
    trained, random = net.bias != "none", net.bias == "normal"
    inner = [
        first * sum(a * b for a, b in zip(*pair, strict=True)) for pair in ((x, x), (x, y), (y, y))
    ]
    theta = inner[1] + trained * b2
    q, s, p = (c + random * b2 for c in inner)
    for _ in range(len(net.widths) - 2):
        S, M = moments(q, s, p)
        q, p = moments(q, q, q)[0], moments(p, p, p)[0]
        theta = s2 * M * theta + s2 * S + trained * b2
        q, s, p = (s2 * c + random * b2 for c in (q, S, p))
    outputs = 1 if fan_in else net.widths[-1]
    return theta / outputs, s / outputs


def matrices(net, X, X2, moments, number=float):
    """The matrices Θ(X, X2) and E f(X) f(X2)^T."""
    X2 = X if X2 is None else X2
    entries = [[kernels(net, x, y, moments, number) for y in X2] for x in X]
    return (np.array([[float(e[k]) for e in row] for row in entries]) for k in (0, 1))


def integrals(f, df, h=0.1, end=11.0):
    """Moments by the trapezoidal rule in the plane of (a, b): u = √q a, v = √p (ρ a + √(1−ρ²) b).

    For α without kinks, whose nearest pole from the real axis, over √q, is some 7h away. `f` and
    `df` take arrays.
    """
    a = np.arange(-round(end / h), round(end / h) + 1) * h
    weights = np.exp(-a * a / 2) * h / math.sqrt(2 * math.pi)

    def moments(q, s, p):
        rho = s / math.sqrt(q * p) if q * p > 0 else 0.0
        rest = math.sqrt(max(1 - rho * rho, 0.0))
        u = math.sqrt(q) * a
        v = math.sqrt(p) * (rho * a[:, None] + rest * a)
        S, M = (float((weights * g(u)) @ (g(v) @ weights)) for g in (f, df))
        return S, M

    return moments


def integrals_in_digits(f, df, m, h, end):
    """The same with mpmath's numbers, `m`, slowly."""
    count = int(end / h)
    a = [k * h for k in range(-count, count + 1)]
    weights = [m.exp(-z * z / 2) * h / m.sqrt(2 * m.pi) for z in a]

    def moments(q, s, p):
        if q == s == p:
            values = [g(m.sqrt(q) * z) for g in (f, df) for z in a]
            squares = [v * v for v in values]
            n = len(a)
            return m.fdot(weights, squares[:n]), m.fdot(weights, squares[n:])
        rho = s / m.sqrt(q * p)
        rest = m.sqrt(1 - rho * rho)
        found = []
        for g in (f, df):
            inner = [m.fdot(weights, [g(m.sqrt(p) * (rho * x + rest * y)) for y in a]) for x in a]
            outer = [w * g(m.sqrt(q) * x) for w, x in zip(weights, a, strict=True)]
            found.append(m.fdot(outer, inner))
        return tuple(found)

    return moments


# Closed forms, as they stand in textbooks, for a module `m` with sqrt, asin, exp, sinh, cosh, pi


def two_slopes(right, left, at_zero, m=math):
    """α of two straight lines: d h + c |h|; E|u||v| = 2/π √(qp) (√(1−ρ²) + ρ asin ρ)."""
    c, d = (right - left) / 2, (right + left) / 2

    def moments(q, s, p):
        if q == 0 or p == 0:
            # E sgn v = 0, so that the slope at 0 meets the mean slope, d, or itself.
            both = at_zero * (at_zero if q == p else d)
            return 0, both
        root = m.sqrt(q * p)
        rho = min(max(s / root, -1), 1)
        both = 2 / m.pi * root * (m.sqrt(1 - rho * rho) + rho * m.asin(rho))
        return d * d * s + c * c * both, d * d + c * c * 2 / m.pi * m.asin(rho)

    return moments


def erf(m=math):
    """Williams (1997)."""

    def moments(q, s, p):
        root = m.sqrt((1 + 2 * q) * (1 + 2 * p))
        rest = (1 + 2 * q) * (1 + 2 * p) - 4 * s * s
        return 2 / m.pi * m.asin(2 * s / root), 4 / m.pi / m.sqrt(rest)

    return moments


def sine(m=math):
    """From E cos(u ± v) = e^{−E(u ± v)²/2}."""

    def moments(q, s, p):
        decay = m.exp(-(q + p) / 2)
        return decay * m.sinh(s), decay * m.cosh(s)

    return moments


def gelu(m=math):
    """By Stein's lemma from E Φ(u) Φ(v) and E φ(u) φ(v); M is ∂S/∂s (Price)."""

    def moments(q, s, p):
        a, b = 1 + q, 1 + p
        rest = a * b - s * s
        P = 1 / (2 * m.pi * m.sqrt(rest))
        phi = (m.pi / 2 + m.asin(s / m.sqrt(a * b))) / (2 * m.pi)
        inner = q * p - s * s + s * s / a + s * s / b
        S = s * phi + P * inner
        M = phi + s * P + P * s / rest * inner + P * s * (-2 + 2 / a + 2 / b)
        return S, M

    return moments
