"""Example 1: AdaGrad on one training input, and any interpolating w as a limit.

With N = 1 all gradients point along φ(x_1), D_t is a scalar times D = diag(|φ_j(x_1)|)^{-1}, and
the limit is

    f(x) = f_0(x) + Σ_j φ_j(x) sgn φ_j(x_1) / ‖φ(x_1)‖_1 · (y − f_0(x_1)).

It is compared with Eq. (9) at this D, and the steps with random scalars times D with
f_0(x) + Σ_j … (f_t(x_1) − f_0(x_1)), in rational arithmetic: AdaGrad's own scalars are square
roots, but the claim holds with any. Coordinates with φ_j(x_1) = 0 do not move. Any w with
φ(X) w = Y is the limit for D = W W^T, W = φ^+ + (w − φ^+ Y) Y^T/|Y|². No tolerance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import (
    Regression,
    column,
    diagonal,
    equality,
    fraction,
    norm_squared,
    random_matrix,
    zeros,
)

STEPS = 4


def single(rng: Generator) -> Regression:
    """One training input; one of its features is 0."""
    problem = Regression.random(rng, n=1, p=6)
    features = problem.phi.entries()
    features[int(rng.integers(6))] = fmpq(0)
    if all(x == 0 for x in features):
        return single(rng)
    return Regression(
        fmpq_mat(1, 6, features),
        problem.phi_new,
        problem.f0,
        problem.f0_new,
        problem.Y,
        problem.theta0,
        problem.rate,
    )


def signs(problem: Regression) -> fmpq_mat:
    """sgn φ_j(x_1)/‖φ(x_1)‖_1."""
    features = problem.phi.entries()
    total = sum((abs(x) for x in features), fmpq(0))
    return column([(int(x > 0) - int(x < 0)) / total for x in features])


def adagrad_matrix(problem: Regression) -> fmpq_mat:
    """diag(|φ_j(x_1)|)^{-1}, 0 where there is no gradient."""
    return diagonal([1 / abs(x) if x != 0 else fmpq(0) for x in problem.phi.entries()])


def preconditioned_limit(problem: Regression) -> fmpq_mat:
    """Eq. (9) with f_0, for AdaGrad's D."""
    return problem.limit(adagrad_matrix(problem))


def closed_form(problem: Regression) -> fmpq_mat:
    """Example 1's limit."""
    return problem.f0_new + problem.phi_new * signs(problem) * problem.residual


@dataclass(frozen=True, eq=False)
class Run:
    """Steps with a_t D, for random scalars a_t.

    Attributes
    ----------
    problem : Regression
    D : fmpq_mat
    scalars : list of fmpq
    """

    problem: Regression
    D: fmpq_mat
    scalars: list[fmpq]

    @classmethod
    def random(cls, rng: Generator, problem: Regression, D: fmpq_mat) -> Self:
        """Random scalars."""
        return cls(problem, D, [fraction(rng, positive=True) for _ in range(STEPS)])

    @property
    def path(self) -> list[fmpq_mat]:
        """θ_t − θ_0 after each step."""
        path = self.problem.descend(STEPS, [a * self.D for a in self.scalars])
        return [theta - self.problem.theta0 for theta in path[1:]]


def draw_run(rng: Generator) -> Run:
    """On one training input, with AdaGrad's D."""
    problem = single(rng)
    return Run.random(rng, problem, adagrad_matrix(problem))


def steps(run: Run) -> list[fmpq_mat]:
    """θ_t − θ_0."""
    return run.path


def along_the_signs(run: Run) -> list[fmpq_mat]:
    """sgn φ_j(x_1)/‖φ(x_1)‖_1 (f_t(x_1) − f_0(x_1))."""
    return [signs(run.problem) * (run.problem.phi * step) for step in run.path]


def along_the_features(run: Run) -> list[fmpq_mat]:
    """The same along φ(x_1), as with D = 1."""
    pull = run.problem.phi.transpose() * run.problem.kernel.inv()
    return [pull * (run.problem.phi * step) for step in run.path]


@dataclass(frozen=True, eq=False)
class Wanted:
    """A regression and an interpolating w.

    Attributes
    ----------
    problem : Regression
    w : fmpq_mat, shape (P, 1)
    """

    problem: Regression
    w: fmpq_mat

    @property
    def inverse(self) -> fmpq_mat:
        """φ^+ = φ(X)^T K^{-1}."""
        return self.problem.phi.transpose() * self.problem.kernel.inv()


def draw_wanted(rng: Generator) -> Wanted:
    """φ^+ Y and a random vector that φ(X) does not see."""
    while True:
        problem = Regression.random(rng)
        wanted = Wanted(problem, zeros(problem.n_parameters, 1))
        v = random_matrix(rng, problem.n_parameters, 1)
        hidden = v - wanted.inverse * (problem.phi * v)
        if norm_squared(problem.Y) != 0 and norm_squared(hidden) != 0:
            return Wanted(problem, wanted.inverse * problem.Y + hidden)


def the_wanted(wanted: Wanted) -> fmpq_mat:
    """w itself."""
    return wanted.w


def limit_of_factor(
    wanted: Wanted, factor: Callable[[Wanted, fmpq_mat], fmpq_mat] = lambda wanted, W: W
) -> fmpq_mat:
    """D φ^T K_D^{-1} Y for D = W W^T."""
    problem = wanted.problem
    aside = wanted.w - wanted.inverse * problem.Y
    W = wanted.inverse + aside * problem.Y.transpose() * (1 / norm_squared(problem.Y))
    D = factor(wanted, W) * W.transpose()
    pull = D * problem.phi.transpose()
    return pull * (problem.phi * pull).inv() * problem.Y


def without_the_addition(wanted: Wanted) -> fmpq_mat:
    """φ^+ φ^{+T}, whose limit is that of gradient descent."""
    problem, inverse = wanted.problem, wanted.inverse
    pull = inverse * inverse.transpose() * problem.phi.transpose()
    return pull * (problem.phi * pull).inv() * problem.Y


STATEMENT = Statement(
    key="example1",
    title="Example 1",
    claim="AdaGrad on one input ends elsewhere than gradient descent; some D at any interpolant",
    text=__doc__,
    checks=(
        equality(
            "limit",
            "Eq. (9) with AdaGrad's D is the sum over signs",
            single,
            preconditioned_limit,
            closed_form,
            Regression.limit,
            "the limit of gradient descent",
        ),
        equality(
            "steps",
            "with any scalars times D, θ_t − θ_0 stays along the signs",
            draw_run,
            steps,
            along_the_signs,
            along_the_features,
            "along φ(x_1), as gradient descent does",
        ),
        equality(
            "any-interpolant",
            "w with φ(X) w = Y is the limit for D = W W^T, W = φ^+ + (w − φ^+ Y) Y^T/|Y|²",
            draw_wanted,
            the_wanted,
            limit_of_factor,
            without_the_addition,
            "W = φ^+ alone",
        ),
    ),
)
