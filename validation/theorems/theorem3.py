"""Theorem 3: the linearized network under any sequence of adaptive matrices D_t.

    θ_t − θ_0 = A_t [1 − Π_{u=t−1..0} (1 − (η/N) K_{D_u})] (Y − f_0(X)) + B_t
    A_t = D_{t−1} φ(X)^T K_{D_{t−1}}^{-1},    K_D = φ(X) D φ(X)^T
    B_t = Σ_{v=2..t} (A_{v−1} − A_v) [1 − Π_{w=v−2..0} (1 − (η/N) K_{D_w})] (Y − f_0(X))

The steps θ ← θ − η D_t ∇L are taken in rational arithmetic with random D_t, scalar, diagonal (some
entries zero) and full and not symmetric, t = 1 … 5, and compared with the product formula. With
φ(X) A_t = 1 and φ(X) B_t = 0 the split is the one that interpolation decides. Eq. (26) in the proof
prints φ(X) φ(X)^T for φ(X)^T φ(X), which for P ≠ N has not even the right size; it is checked with
P = N. No tolerance: nothing is rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems import theorem3_trained
from ntklin.validation.theorems.check import Statement, joined
from ntklin.validation.theorems.rationals import (
    Regression,
    diagonal,
    equality,
    fraction,
    identity,
    product,
    random_matrix,
    zeros,
)

STEPS = 5


@dataclass(frozen=True, eq=False)
class Problem:
    """A regression and the matrices of its steps.

    Attributes
    ----------
    regression : Regression
    D : sequence of fmpq_mat
    batches : sequence of lists of int
        All samples in each, for Theorem 3.
    """

    regression: Regression
    D: list[fmpq_mat]
    batches: list[list[int]]


def draw(
    rng: Generator,
    batches: Callable[[Generator, int], list[list[int]]] | None = None,
    shape: tuple[int, int] = (3, 6),
) -> Problem:
    """Matrices of one kind at random whose kernels K_D are not singular."""
    regression = Regression.random(rng, *shape)
    n, P = regression.n, regression.n_parameters
    kinds = (_scalar, _diagonal, _full)
    kind = kinds[int(rng.integers(len(kinds)))]
    D = []
    while len(D) < STEPS:
        candidate = kind(rng, P)
        if (regression.phi * candidate * regression.phi.transpose()).rank() == n:
            D.append(candidate)
    return Problem(regression, D, batches(rng, n) if batches else [list(range(n))] * STEPS)


def _scalar(rng: Generator, P: int) -> fmpq_mat:
    return fraction(rng, positive=True) * identity(P)


def _diagonal(rng: Generator, P: int) -> fmpq_mat:
    values = [fraction(rng, positive=True) for _ in range(P)]
    if P > 3:
        values[int(rng.integers(P))] = fmpq(0)  # a coordinate that does not move
    return diagonal(values)


def _full(rng: Generator, P: int) -> fmpq_mat:
    return random_matrix(rng, P, P)


def steps(problem: Problem) -> list[fmpq_mat]:
    """θ_1 − θ_0, …, by the steps themselves."""
    regression = problem.regression
    path = regression.descend(STEPS, problem.D, problem.batches)
    return [theta - regression.theta0 for theta in path[1:]]


def pulls(problem: Problem) -> list[fmpq_mat]:
    """A_t at t = 1, 2, and so on."""
    phi = problem.regression.phi
    return [D * phi.transpose() * (phi * D * phi.transpose()).inv() for D in problem.D]


def factors(problem: Problem) -> list[fmpq_mat]:
    """1 − (η/N) φ(X) D_u D_{B_u} φ(X)^T, with D_B φ(X)^T = (N/|B|) (P_B φ(X))^T."""
    regression, phi = problem.regression, problem.regression.phi
    out = []
    for D, batch in zip(problem.D, problem.batches, strict=True):
        mask = diagonal([int(n in batch) for n in range(regression.n)])
        moved = phi * D * phi.transpose() * mask
        out.append(identity(regression.n) - (regression.rate / len(batch)) * moved)
    return out


def product_form(
    problem: Problem,
    order: Callable[[list[fmpq_mat]], list[fmpq_mat]] = lambda made: made,
    first: int = 2,
) -> list[fmpq_mat]:
    """θ_1 − θ_0, … by the formula."""
    regression, A, made = problem.regression, pulls(problem), factors(problem)
    n, r = regression.n, regression.residual
    one = identity(n)
    fitted = [(one - product(order(made[:t]), n)) * r for t in range(STEPS + 1)]
    out = []
    for t in range(1, STEPS + 1):
        total = A[t - 1] * fitted[t]
        for v in range(first, t + 1):
            total += (A[v - 2] - A[v - 1]) * fitted[v - 1]
        out.append(total)
    return out


def wrong_order(problem: Problem) -> list[fmpq_mat]:
    """The products from u = 0 on the left."""
    return product_form(problem, order=lambda made: made[::-1])


def path_dependent(problem: Problem) -> list[fmpq_mat]:
    """B_t at t = 1, 2, and so on."""
    A, made = pulls(problem), factors(problem)
    n, r = problem.regression.n, problem.regression.residual
    out = [zeros(problem.regression.n_parameters, 1)]
    for v in range(2, STEPS + 1):
        fitted = (identity(n) - product(made[: v - 1], n)) * r
        out.append(out[-1] + (A[v - 2] - A[v - 1]) * fitted)
    return out


def on_training_inputs(
    problem: Problem, make_A: Callable[[Problem], list[fmpq_mat]] = pulls
) -> list[fmpq_mat]:
    """φ(X) A_t and φ(X) B_t."""
    phi = problem.regression.phi
    return [phi * A for A in make_A(problem)] + [phi * B for B in path_dependent(problem)]


def one_and_nothing(problem: Problem) -> list[fmpq_mat]:
    """1 for each A_t, 0 for each B_t."""
    n = problem.regression.n
    return [identity(n)] * STEPS + [zeros(n, 1)] * STEPS


def unpreconditioned(problem: Problem) -> list[fmpq_mat]:
    """φ(X)^T K_D^{-1} in place of A_t: D is missing at the front."""
    phi = problem.regression.phi
    return [phi.transpose() * (phi * D * phi.transpose()).inv() for D in problem.D]


def without_preconditioner(problem: Problem) -> list[fmpq_mat]:
    """``on_training_inputs`` with D missing."""
    return on_training_inputs(problem, unpreconditioned)


def draw_square(rng: Generator) -> Problem:
    """As many parameters as inputs."""
    return draw(rng, shape=(3, 3))


def affine_steps(
    problem: Problem, moments: Callable[[fmpq_mat], fmpq_mat] = lambda phi: phi.transpose() * phi
) -> list[fmpq_mat]:
    """θ_t − θ_0 by Eq. (26), θ ← (1 − (η/N) D_t φ(X)^T φ(X)) θ + (η/N) D_t φ(X)^T Ŷ."""
    regression, phi = problem.regression, problem.regression.phi
    rate, target = regression.rate / regression.n, regression.residual + phi * regression.theta0
    one, theta, out = identity(regression.n_parameters), regression.theta0, []
    for D in problem.D:
        theta = (one - rate * D * moments(phi)) * theta + rate * D * phi.transpose() * target
        out.append(theta - regression.theta0)
    return out


def printed_affine_steps(problem: Problem) -> list[fmpq_mat]:
    """With φ(X) φ(X)^T."""
    return affine_steps(problem, moments=lambda phi: phi * phi.transpose())


STATEMENT = Statement(
    key="theorem3",
    title="Theorem 3",
    claim="adaptive training of the linearized network, in closed form for any D_t",
    text=joined(__doc__, theorem3_trained.__doc__),
    checks=(
        equality(
            "product-form",
            "steps with any D_t, scalar, diagonal with zeros, full, are given by A_t and B_t",
            draw,
            steps,
            product_form,
            wrong_order,
            "the factors of the products in the opposite order",
        ),
        equality(
            "training-inputs",
            "φ(X) A_t = 1 and φ(X) B_t = 0: the split is decided by the outputs on X",
            draw,
            one_and_nothing,
            on_training_inputs,
            without_preconditioner,
            "A_t without its first factor D_{t−1}",
        ),
        equality(
            "affine-step",
            "Eq. (26) with φ(X)^T φ(X) in place of the printed φ(X) φ(X)^T takes these steps",
            draw_square,
            steps,
            affine_steps,
            printed_affine_steps,
            "Eq. (26) as it is printed",
        ),
        *theorem3_trained.CHECKS,
    ),
)
