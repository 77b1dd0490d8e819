"""Theorem 2 on real images, certified: both bounds for the linearized network, in ball arithmetic.

    σ^L J − √L_T(f_int)  ≤  √L_T(f_∞)  ≤  √L_T(f_int) + σ^L J

is the triangle inequality for f_∞ − Y_T = (f_int − Y_T) + f_init, once f_init = σ^L f_init|_{σ=1}.
So J comes from a network at σ = 1 and everything else from the same θ_0 at ``SIGMA``, biases absent
from θ. An inequality holds if its slack is certainly positive, an equality if the difference of its
sides is a narrow ball around 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flint import arb, ctx
from numpy.random import Generator

from ntklin.validation.arrays import Array
from ntklin.validation.theorems.balls import PRECISION, Problem, at_least, at_most, known, mnist
from ntklin.validation.theorems.check import Check, Measurement, Setting, Strength

if TYPE_CHECKING:
    from ntklin.algebra.certificate import Certificate, Enclosure

SIGMA = 3
# The radius that a difference may have, relative to its sides.
NARROW = 1e-20


def certificates(setting: Setting, depth: int) -> tuple[Problem, Certificate, Certificate]:
    """The problem at σ = ``SIGMA``, and the certificates at σ = 1 and there."""
    problems = [mnist(setting.seed, setting.quick, sigma, "none", depth) for sigma in (1, SIGMA)]
    one, scaled = (problem.certificate() for problem in problems)
    return problems[1], one, scaled


def root_loss(outputs: Enclosure, Y: Array) -> arb:
    """√L = ‖f − Y‖/√(2N), a ball."""
    terms = [(f - arb(float(y))) ** 2 for f, y in zip(outputs.balls, Y, strict=True)]
    return (sum(terms, arb(0)) / (2 * len(terms))).sqrt()


def scaling(
    size: Callable[[arb, int, int], arb], rng: Generator, setting: Setting, *, depth: int
) -> Measurement:
    """‖f_init‖/√(2 N_T) at σ against the formula from J, and f_int at σ against f_int at 1."""
    _, one, scaled = certificates(setting, depth)
    interpolators = known(one.interpolator), known(scaled.interpolator)
    with ctx.workprec(PRECISION):
        true = known(scaled.initialization_size).balls[0]
        ratio = size(known(one.initialization_size).balls[0], SIGMA, depth) / true
        pairs = zip(*(interpolator.balls for interpolator in interpolators), strict=True)
        apart = [ratio - 1, *(a - b for a, b in pairs)]
    width = max(x.rad() for x in apart)
    return Measurement(
        measured=f"ratio {float(ratio):.10g}, f_int moves by at most "
        f"{at_most(max(abs(x).upper() for x in apart[1:]))}",
        predicted="1 and 0 in all enclosures",
        margin=f"radii ≤ {at_most(width)}",
        holds=all(x.contains(0) for x in apart) and width < NARROW,
    )


def bounds(
    size: Callable[[arb, int, int], arb], rng: Generator, setting: Setting, *, depth: int
) -> Measurement:
    """Both inequalities at σ, with the formula for σ^L J."""
    problem, one, scaled = certificates(setting, depth)
    minimizer, initialization = known(scaled.minimizer), known(one.initialization_size)
    with ctx.workprec(PRECISION):
        found = root_loss(minimizer, problem.Y_new)
        rest = root_loss(known(scaled.interpolator), problem.Y_new)
        term = size(initialization.balls[0], SIGMA, depth)
        slacks = found - (term - rest), term + rest - found
    least = min(x.lower() for x in slacks)
    digits = min(minimizer.digits, initialization.digits)
    return Measurement(
        measured=f"√L_T(f_∞) = {float(found):.10g}",
        predicted=f"in {float(term):.10g} ± {float(rest):.10g}",
        margin=f"slack ≥ {at_least(least)}; {digits} digits are certain",
        holds=all(x > 0 for x in slacks),
    )


def sigma_to_the_depth(J: arb, sigma: int, depth: int) -> arb:
    """σ^L J."""
    return J * sigma**depth


def one_power_less(J: arb, sigma: int, depth: int) -> arb:
    """σ^{L−1} J."""
    return J * sigma ** (depth - 1)


def checks(depth: int) -> tuple[Check, Check]:
    """Both for networks of L layers."""
    return (
        Check(
            name=f"mnist-scaling-depth-{depth}",
            strength=Strength.CERTIFIED,
            hypothesis="‖f_init(X_T)‖/√(2 N_T) = σ^L J, and f_int does not depend on σ, on MNIST "
            f"0/1 with b absent from θ, L = {depth}",
            measure=partial(scaling, depth=depth),
            formula=sigma_to_the_depth,
            wrong=one_power_less,
            control="σ^{L−1} J",
        ),
        Check(
            name=f"mnist-bounds-depth-{depth}",
            strength=Strength.CERTIFIED,
            hypothesis="σ^L J − √L_T(f_int) ≤ √L_T(f_∞) ≤ √L_T(f_int) + σ^L J for the linearized "
            f"network, on MNIST 0/1 with b absent from θ, L = {depth}",
            measure=partial(bounds, depth=depth),
            formula=sigma_to_the_depth,
            wrong=one_power_less,
            control="σ^{L−1} J",
        ),
    )


CHECKS = (*checks(2), *checks(3))
