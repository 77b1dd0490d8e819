"""E α(u) α(v) and E α'(u) α'(v) of any smooth activation, as integrals over the plane.

With u = √q a and v = √p (ρ a + √(1 − ρ²) b) for independent normal a and b, an expectation is a
sum over the nodes of the trapezoidal rule. On the whole line that is off by exp(−2πd/h + d²/2) for
an α(√q a) that is analytic up to ± id, and by exp(−2π²/h²), at best, for any; and by exp(−e²/2)
where the sum ends at ± e. tanh has poles at ± iπ/2 and √q below 0.6 in the checks, sigmoid and
softplus have theirs at ± iπ and √q below 0.9, so that d is at least 2.6 and all three are below
10⁻¹⁷. As a sum over fixed nodes it is a function of q, p and s whose derivatives are those of the
integral just as nearly, which κ needs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from flint import arb, ctx

from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.models import ACTIVATIONS
from ntklin.validation.theorems.library.numbers import PRECISION, each, exact

# E α(u) α(v) and E α'(u) α'(v) for normal u, v with variances q and p and the covariance s; and
# whether u is v.
Law = Callable[[arb, arb, arb, bool], tuple[arb, arb]]

# h, and e/h.
STEP, COUNT = 5 / 16, 29


@cache
def nodes() -> tuple[Array, Array]:
    """Places and weights, which sum to 1 up to what the rule is off by."""
    with ctx.workprec(PRECISION):
        z = exact(STEP * np.arange(-COUNT, COUNT + 1))
        density = each(lambda x: (-x * x / 2).exp() / (2 * arb.pi()).sqrt(), z)
        return z, STEP * density


def by_integrals(name: str) -> Law:
    """The law of an activation by its definition."""
    functions = ACTIVATIONS[name]

    def law(q: arb, p: arb, s: arb, is_same: bool) -> tuple[arb, arb]:
        z, weights = nodes()
        u = q.sqrt() * z
        if is_same:
            value, factor = ((weights * each(f, u) ** 2).sum() for f in functions)
            return value, factor
        rho = s / (q * p).sqrt()
        v = p.sqrt() * (rho * z[:, None] + (1 - rho * rho).sqrt() * z)
        value, factor = ((weights * each(f, u)) @ (each(f, v) @ weights) for f in functions)
        return value, factor

    return law


def by_linear_part(name: str) -> Law:
    """As if α(√q z) were E α + z E α z, and noise that is independent for each input."""
    functions = ACTIVATIONS[name]

    def law(q: arb, p: arb, s: arb, is_same: bool) -> tuple[arb, arb]:
        if is_same:
            return by_integrals(name)(q, p, s, is_same)
        z, weights = nodes()
        rho, found = s / (q * p).sqrt(), []
        for f in functions:
            at_u, at_v = (weights * each(f, variance.sqrt() * z) for variance in (q, p))
            found.append(at_u.sum() * at_v.sum() + rho * (at_u @ z) * (at_v @ z))
        return found[0], found[1]

    return law
