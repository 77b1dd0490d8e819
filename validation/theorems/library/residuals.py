"""``residual_bound``: what a solver's coefficients leave of the right-hand side, with proof.

The coefficients α of a minimizer are floats, and so ‖R − Kα‖²/‖R‖² of them is a fraction, for R = Y
and R = f_0(X), which the square of the bound may not be below. Nor may it be far above: the sums of
n + 16 terms that it is made of are off by as many eps of ‖|R| + |K||α|‖/‖R‖ at most, twice that is
added, and as much again is allowed. The residual itself, computed in float64 without such an
addition, is no bound: where it is rounding alone, it is as often too small as too large.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import fmpq
from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Check, Measurement, Setting, Strength
from ntklin.validation.theorems.library.enclosures import Regression, rational
from ntklin.validation.theorems.rationals import norm_squared

SOLVERS = ("cholesky", "eigh", "packed", "mixed", "pcg")
TERMS, SIZES = 16, range(2, 7)

Formula = Callable[[Any], float]


def bound_and_room(problem: Regression, solver: str, formula: Formula) -> tuple[bool, float]:
    """Whether it is a bound; and how far above the residual, of what is allowed."""
    K, Y, f0 = (problem.arguments[name] for name in ("K", "Y", "f0"))
    m = ntklin.linearize_kernel(K, f0=f0).minimizer(Y, solver=solver)  # pyright: ignore
    bound, squares, sizes = formula(m), [fmpq(0)], [0.0]
    for right, alpha in zip((Y, f0), m.coefficients.T, strict=True):
        R = rational(right)
        left = R - rational(K) * rational(alpha)
        squares.append(norm_squared(left) / norm_squared(R))
        terms = abs(right) + abs(K).astype(float) @ abs(alpha)
        sizes.append(float(np.linalg.norm(terms) / np.linalg.norm(right)))
    true = max(squares)
    allowed = 4 * (len(K) + TERMS) * float(np.finfo(float).eps) * max(sizes)
    room = bound - float(int(true.p) / int(true.q)) ** 0.5
    return true <= fmpq(*bound.as_integer_ratio()) ** 2, room / allowed


def measure(formula: Formula, rng: Generator, setting: Setting) -> Measurement:
    """On 40 problems for each solver, in a quick run on 10."""
    found = [
        bound_and_room(Regression.random(rng, n, 0.0), solver, formula)
        for solver in SOLVERS
        for n in SIZES
        for _ in range(2 if setting.quick else 8)
    ]
    n_held, widest = sum(holds for holds, _ in found), max(room for _, room in found)
    return Measurement(
        measured=f"{n_held} of {len(found)} are bounds",
        predicted="all, and not far above",
        margin=f"up to {widest:.2g} of what is allowed above the residual",
        holds=n_held == len(found) and widest <= 1,
    )


def proved(m: Any) -> float:
    """The library's bound."""
    return m.residual_bound()


def computed(m: Any) -> float:
    """The residual as it is computed."""
    return m.residual


BOUNDS = (
    Check(
        name="residual-bounds",
        strength=Strength.LIBRARY,
        hypothesis="residual_bound is above the residual of each solver's coefficients, in "
        "fractions, and not far above it",
        measure=measure,
        formula=proved,
        wrong=computed,
        control="the residual as it is computed",
    ),
)
