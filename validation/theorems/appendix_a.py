"""App. A: with fewer parameters than inputs there is one minimizer, whatever θ_0 and D_t.

    f_∞(x) = f_0(x) + φ(x) (φ(X)^T φ(X))^{-1} φ(X)^T (Y − f_0(X))

(the paper prints f_0(X) for f_0(x)). For φ(x) θ_0 = f_0(x), as for networks without biases up to
Lemma 4's factor, it does not depend on θ_0. The proof's product form for adaptive steps,

    θ_t − θ_0 = [1 − Π_{i=t−1..0} (1 − (η/N) D_i M)] M^{-1} φ(X)^T (Y − f_0(X)),  M = φ(X)^T φ(X),

is compared with the steps themselves; whatever the D_i, where the product vanishes the limit is the
one above. With a ridge λ the minimizer of ‖f(X) − Y‖² + λ‖θ − θ_0‖² has φ(X)^T φ(X) + λ in place of
φ(X)^T φ(X). All in rational arithmetic; no tolerance.
"""

from dataclasses import dataclass

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import (
    Regression,
    diagonal,
    equality,
    fraction,
    identity,
    product,
    random_matrix,
    selected,
    stacked,
    zeros,
)

STEPS = 4
PENALTY = fmpq(9, 4)


def draw(rng: Generator) -> Regression:
    """More inputs than parameters."""
    return Regression.random(rng, n=5, p=3)


def moments(problem: Regression) -> fmpq_mat:
    """φ(X)^T φ(X)."""
    return problem.phi.transpose() * problem.phi


def least_squares(problem: Regression) -> fmpq_mat:
    """f at the new inputs from the optimality conditions, with the residual as an unknown."""
    n, P = problem.n, problem.n_parameters
    conditions = stacked((identity(n), problem.phi), (problem.phi.transpose(), zeros(P, P)))
    solution = conditions.solve(stacked((problem.residual,), (zeros(P, 1),)))
    return problem.f0_new + problem.phi_new * selected(solution, range(n, n + P))


def minimizer(problem: Regression) -> fmpq_mat:
    """App. A's minimizer."""
    step = moments(problem).inv() * problem.phi.transpose() * problem.residual
    return problem.f0_new + problem.phi_new * step


def printed(problem: Regression) -> fmpq_mat:
    """With f_0(X), here of the first inputs, in place of f_0(x)."""
    step = moments(problem).inv() * problem.phi.transpose() * problem.residual
    first = selected(problem.f0, range(problem.f0_new.nrows()))
    return first + problem.phi_new * step


@dataclass(frozen=True, eq=False)
class Run:
    """Adaptive steps.

    Attributes
    ----------
    problem : Regression
    D : list of fmpq_mat
    """

    problem: Regression
    D: list[fmpq_mat]


def draw_run(rng: Generator) -> Run:
    """Random D_t, diagonal or full."""
    problem = draw(rng)
    P = problem.n_parameters
    if rng.integers(2):
        D = [diagonal([fraction(rng, positive=True) for _ in range(P)]) for _ in range(STEPS)]
    else:
        D = [random_matrix(rng, P, P) for _ in range(STEPS)]
    return Run(problem, D)


def steps(run: Run) -> list[fmpq_mat]:
    """θ_t − θ_0."""
    path = run.problem.descend(STEPS, run.D)
    return [theta - run.problem.theta0 for theta in path[1:]]


def product_form(run: Run, transposed: bool = False) -> list[fmpq_mat]:
    """θ_t − θ_0 by the product; ``transposed`` has φ(X)^T φ(X) D_i in its factors."""
    problem, M = run.problem, moments(run.problem)
    one, rate = identity(problem.n_parameters), problem.rate / problem.n
    factors = [one - rate * (M * D if transposed else D * M) for D in run.D]
    end = M.inv() * problem.phi.transpose() * problem.residual
    P = problem.n_parameters
    return [(one - product(factors[:t], P)) * end for t in range(1, STEPS + 1)]


def on_the_other_side(run: Run) -> list[fmpq_mat]:
    """φ(X)^T φ(X) D_i in place of D_i φ(X)^T φ(X)."""
    return product_form(run, transposed=True)


def ridge_conditions(problem: Regression) -> fmpq_mat:
    """The least-squares problem with √λ θ = 0 as further equations, √λ = 3/2."""
    P = problem.n_parameters
    tall = Regression(
        stacked((problem.phi,), (fmpq(3, 2) * identity(P),)),
        problem.phi_new,
        stacked((problem.f0,), (zeros(P, 1),)),
        problem.f0_new,
        stacked((problem.Y,), (zeros(P, 1),)),
        problem.theta0,
        problem.rate,
    )
    return least_squares(tall)


def ridge(problem: Regression, penalty: fmpq = PENALTY) -> fmpq_mat:
    """With φ(X)^T φ(X) + λ."""
    M = moments(problem) + penalty * identity(problem.n_parameters)
    step = M.inv() * problem.phi.transpose() * problem.residual
    return problem.f0_new + problem.phi_new * step


def ridge_of_mean(problem: Regression) -> fmpq_mat:
    """N λ, as if λ were beside the mean loss."""
    return ridge(problem, penalty=problem.n * PENALTY)


def two_starts(rng: Generator) -> list[Regression]:
    """The same problem from θ_0 and from another start, f_0 = φ θ_0 in both."""
    problem = draw(rng)
    starts = [random_matrix(rng, problem.n_parameters, 1) for _ in range(2)]
    return [
        Regression(
            problem.phi,
            problem.phi_new,
            problem.phi * start,
            problem.phi_new * start,
            problem.Y,
            start,
            problem.rate,
        )
        for start in starts
    ]


def from_the_first(problems: list[Regression]) -> fmpq_mat:
    """The minimizer from θ_0."""
    return minimizer(problems[0])


def from_the_second(problems: list[Regression]) -> fmpq_mat:
    """The minimizer from the other start."""
    return minimizer(problems[1])


def printed_from_the_second(problems: list[Regression]) -> fmpq_mat:
    """The paper's print, which keeps f_0(X)."""
    return printed(problems[1])


STATEMENT = Statement(
    key="appendix-a",
    title="App. A",
    claim="with fewer parameters than inputs there is one minimizer, whatever θ_0 and D_t",
    text=__doc__,
    checks=(
        equality(
            "minimizer",
            "the least-squares solution is App. A's with f_0(x) in place of its f_0(X)",
            draw,
            least_squares,
            minimizer,
            printed,
            "f_0(X) as it is printed",
        ),
        equality(
            "start",
            "where f_0 = φ θ_0 the minimizer does not depend on θ_0",
            two_starts,
            from_the_first,
            from_the_second,
            printed_from_the_second,
            "f_0(X) as it is printed",
        ),
        equality(
            "adaptive",
            "adaptive steps with any D_t are given by the product form, whose limit knows no D",
            draw_run,
            steps,
            product_form,
            on_the_other_side,
            "φ(X)^T φ(X) D_i in place of D_i φ(X)^T φ(X)",
        ),
        equality(
            "ridge",
            "with a ridge λ, φ(X)^T φ(X) + λ takes the place of φ(X)^T φ(X)",
            draw,
            ridge_conditions,
            ridge,
            ridge_of_mean,
            "N λ, as if it were beside the mean loss",
        ),
    ),
)
