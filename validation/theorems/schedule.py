"""Schedules: learning rates η_0, η_1, … on the linearized network.

    f_t(x) = f_0(x) + K(x, X) K^{-1} [1 − Π_{s<t} (1 − (η_s/N) K)] (Y − f_0(X))

with momentum, products of the 2×2 blocks in the place of the factors; with decay w, factors of
K + N w, while θ_0 outside of the data's feature space shrinks by Π_s (1 − η_s w). Rational
arithmetic; no tolerance: nothing is rounded.
"""

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.descents import STEPS, Descent, share, some_rates
from ntklin.validation.theorems.rationals import equality, identity, product


def draw(rng: Generator) -> Descent:
    """A random problem with a schedule."""
    return Descent.random(rng).replaced(rates=some_rates(rng))


def draw_with_all(rng: Generator) -> Descent:
    """With momentum, of either kind, and decay, too."""
    return draw(rng).replaced(
        momentum=share(rng), is_nesterov=bool(rng.integers(2)), decay=share(rng)
    )


def by_product(descent: Descent) -> list[fmpq_mat]:
    """θ_1, θ_2, … by the product of factors."""
    problem = descent.regression
    inverse, one, found = problem.kernel.inv(), identity(problem.n), []
    factors = [one - (rate / problem.n) * problem.kernel for rate in descent.rates]
    for t in range(1, STEPS + 1):
        gained = inverse * (one - product(factors[:t], problem.n)) * problem.residual
        found.append(problem.theta0 + problem.phi.transpose() * gained)
    return found


def at_the_mean(descent: Descent) -> Descent:
    """The same at the mean of its rates."""
    mean = sum(descent.rates, fmpq(0)) / STEPS
    return descent.replaced(rates=(mean,) * STEPS)


def mean_rate(descent: Descent) -> list[fmpq_mat]:
    """The power of one factor, at the mean rate."""
    return by_product(at_the_mean(descent))


def closed_at_the_mean(descent: Descent) -> list[fmpq_mat]:
    """The closed form at the mean rate."""
    return at_the_mean(descent).closed()


STATEMENT = Statement(
    key="schedule",
    title="Schedules",
    claim="with rates η_t the power (1 − ηK/N)^t becomes the product over the steps",
    text=__doc__,
    checks=(
        equality(
            "product",
            "θ_t by Π_s (1 − (η_s/N) K)",
            draw,
            Descent.path,
            by_product,
            mean_rate,
            "the power at the mean rate",
        ),
        equality(
            "with-momentum-and-decay",
            "the same with momentum and decay, by products of 2×2 blocks",
            draw_with_all,
            Descent.path,
            Descent.closed,
            closed_at_the_mean,
            "the mean rate throughout",
        ),
    ),
)
