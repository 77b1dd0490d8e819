"""Theorem 2 on real images, certified: both bounds for the linearized network, in ball arithmetic.

    σ^L J − √L_T(f_int)  ≤  √L_T(f_∞)  ≤  √L_T(f_int) + σ^L J

is the triangle inequality for f_∞ − Y_T = (f_int − Y_T) + f_init, once f_init = σ^L f_init|_{σ=1}.
So J comes from a network at σ = 1 and everything else from the same θ_0 at ``SIGMA``, biases absent
from θ. An inequality holds if its slack is certainly positive, an equality if the difference of its
sides is a narrow ball around 0.
"""

from functools import partial

from flint import arb, ctx

from ntklin.validation.theorems.balls import PRECISION, at_least, at_most, mnist
from ntklin.validation.theorems.check import Check, Measurement, Strength

SIGMA = 3
# The radius that a difference may have, relative to its sides.
NARROW = 1e-20


def certificates(setting, depth):
    """The problem at σ = ``SIGMA``, and the certificates at σ = 1 and there."""
    problems = [mnist(setting.seed, setting.quick, sigma, "none", depth) for sigma in (1, SIGMA)]
    return problems[1], *(problem.certificate() for problem in problems)


def root_loss(outputs, Y):
    """√L = ‖f − Y‖/√(2N), a ball."""
    terms = [(f - arb(float(y))) ** 2 for f, y in zip(outputs.balls, Y, strict=True)]
    return (sum(terms, arb(0)) / (2 * len(terms))).sqrt()


def scaling(size, rng, setting, *, depth):
    """‖f_init‖/√(2 N_T) at σ against the formula from J, and f_int at σ against f_int at 1."""
    _, one, scaled = certificates(setting, depth)
    with ctx.workprec(PRECISION):
        true = scaled.initialization_size.balls[0]
        ratio = size(one.initialization_size.balls[0], SIGMA, depth) / true
        pairs = zip(one.interpolator.balls, scaled.interpolator.balls, strict=True)
        apart = [ratio - 1, *(a - b for a, b in pairs)]
    width = max(x.rad() for x in apart)
    return Measurement(
        measured=f"ratio {float(ratio):.10g}, f_int moves by at most "
        f"{at_most(max(abs(x).upper() for x in apart[1:]))}",
        predicted="1 and 0 in all enclosures",
        margin=f"radii ≤ {at_most(width)}",
        holds=all(x.contains(0) for x in apart) and width < NARROW,
    )


def bounds(size, rng, setting, *, depth):
    """Both inequalities at σ, with the formula for σ^L J."""
    problem, one, scaled = certificates(setting, depth)
    with ctx.workprec(PRECISION):
        found = root_loss(scaled.minimizer, problem.Y_new)
        rest = root_loss(scaled.interpolator, problem.Y_new)
        term = size(one.initialization_size.balls[0], SIGMA, depth)
        slacks = found - (term - rest), term + rest - found
    least = min(x.lower() for x in slacks)
    digits = min(scaled.minimizer.digits, one.initialization_size.digits)
    return Measurement(
        measured=f"√L_T(f_∞) = {float(found):.10g}",
        predicted=f"in {float(term):.10g} ± {float(rest):.10g}",
        margin=f"slack ≥ {at_least(least)}; {digits} digits are certain",
        holds=all(x > 0 for x in slacks),
    )


def sigma_to_the_depth(J, sigma, depth):
    """σ^L J."""
    return J * sigma**depth


def one_power_less(J, sigma, depth):
    """σ^{L−1} J."""
    return J * sigma ** (depth - 1)


def one_power_more(J, sigma, depth):
    """σ^{L+1} J."""
    return J * sigma ** (depth + 1)


def checks(depth):
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
            wrong=one_power_more,
            control="σ^{L+1} J",
        ),
    )


CHECKS = (*checks(2), *checks(3))
