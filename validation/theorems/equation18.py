"""Eq. (18): gradient descent on the linearized network after t steps.

    θ_t = θ_0 + φ(X)^T K^{-1} [1 − (1 − (η/N) K)^t] (Y − f_0(X)),   K = φ(X) φ(X)^T

The steps θ_{t+1} = θ_t − η ∇L(θ_t) of L = ‖f(X) − Y‖²/(2N) are taken in rational arithmetic, for
random rational features of full rank, t = 0 … 6 and any rate η, convergent or not. Nothing is
rounded, so that there is no tolerance: both sides are the same fractions.
"""

from collections.abc import Callable
from math import comb

from flint import fmpq, fmpq_mat

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import Regression, equality, identity, power, zeros

STEPS = range(7)


def iterated(problem: Regression) -> list[fmpq_mat]:
    """θ_0, …, θ_6 by the steps themselves."""
    return problem.descend(max(STEPS))


def closed_form(
    problem: Regression, exponent: Callable[[int], int] = lambda t: t
) -> list[fmpq_mat]:
    """θ_t by Eq. (18)."""
    K, one = problem.kernel, identity(problem.n)
    shrunk = one - (problem.rate / problem.n) * K
    pull = problem.phi.transpose() * K.inv()
    return [
        problem.theta0 + pull * (one - power(shrunk, exponent(t))) * problem.residual for t in STEPS
    ]


def one_step_more(problem: Regression) -> list[fmpq_mat]:
    """The exponent t + 1 in place of t."""
    return closed_form(problem, lambda t: t + 1)


def binomial_sum(problem: Regression, sign: int = -1) -> list[fmpq_mat]:
    """θ_t by the sum in the proof: Σ_i (−1)^{i−1} C(t, i) (η/N)^i K^{i−1}."""
    rate = problem.rate / problem.n
    out = []
    for t in STEPS:
        total = zeros(problem.n, problem.n)
        for i in range(1, t + 1):
            factor = fmpq(sign ** (i - 1) * comb(t, i)) * rate**i
            total += factor * power(problem.kernel, i - 1)
        out.append(problem.theta0 + problem.phi.transpose() * total * problem.residual)
    return out


def without_signs(problem: Regression) -> list[fmpq_mat]:
    """The sum with all signs positive."""
    return binomial_sum(problem, sign=1)


STATEMENT = Statement(
    key="equation18",
    title="Eq. (18)",
    claim="gradient descent on the linearized network, in closed form at every step",
    text=__doc__,
    checks=(
        equality(
            "closed-form",
            "t steps of gradient descent and the closed form give the same θ_t, t = 0 … 6",
            Regression.random,
            iterated,
            closed_form,
            one_step_more,
            "t + 1 steps in place of t",
        ),
        equality(
            "binomial-sum",
            "the sum of powers of K in the proof gives the same θ_t, t = 0 … 6",
            Regression.random,
            iterated,
            binomial_sum,
            without_signs,
            "the signs (−1)^{i−1} are missing",
        ),
    ),
)
