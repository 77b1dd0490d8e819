"""Lemma 2: the interpolant of least norm.

    min ‖θ‖² with φ(X) θ = Y   is reached by   θ_∞ = φ(X)^T (φ(X) φ(X)^T)^{-1} Y

The minimum is computed from the problem's optimality conditions by elimination in rational
arithmetic; no tolerance. Eq. (13) prints φ(X) in place of φ(X)^T at the front. For P ≠ N that
product does not exist; for P = N, where there is only one interpolant, it is another vector.
"""

from flint import fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import (
    Regression,
    diagonal,
    equality,
    identity,
    selected,
    stacked,
    zeros,
)


def least_norm(problem: Regression, targets: fmpq_mat | None = None) -> fmpq_mat:
    """θ from the optimality conditions θ = φ(X)^T μ, φ(X) θ = Y, or other targets."""
    P, n = problem.n_parameters, problem.n
    conditions = stacked((identity(P), problem.phi.transpose()), (problem.phi, zeros(n, n)))
    right = stacked((zeros(P, 1),), (problem.Y if targets is None else targets,))
    return selected(conditions.solve(right), range(P))


def formula(problem: Regression) -> fmpq_mat:
    """φ(X)^T K^{-1} Y."""
    return problem.phi.transpose() * problem.kernel.inv() * problem.Y


def another_interpolant(problem: Regression) -> fmpq_mat:
    """D φ(X)^T (φ(X) D φ(X)^T)^{-1} Y for a D ≠ 1: it interpolates, at a larger norm."""
    pull = diagonal(range(1, problem.n_parameters + 1)) * problem.phi.transpose()
    return pull * (problem.phi * pull).inv() * problem.Y


def printed(problem: Regression) -> fmpq_mat:
    """φ(X) K^{-1} Y, defined for P = N only."""
    return problem.phi * problem.kernel.inv() * problem.Y


def square(rng: Generator) -> Regression:
    """A problem with as many parameters as inputs."""
    return Regression.random(rng, n=3, p=3)


STATEMENT = Statement(
    key="lemma2",
    title="Lemma 2",
    claim="the interpolant of least norm is φ(X)^T K^{-1} Y",
    text=__doc__,
    checks=(
        equality(
            "least-norm",
            "the formula solves the optimality conditions of the least norm",
            Regression.random,
            least_norm,
            formula,
            another_interpolant,
            "an interpolant, but that of another norm",
        ),
        equality(
            "transpose",
            "with P = N it is the one solution of φ(X) θ = Y; Eq. (13) lacks the transpose",
            square,
            lambda problem: problem.phi.inv() * problem.Y,
            formula,
            printed,
            "Eq. (13) as it is printed",
        ),
    ),
)
