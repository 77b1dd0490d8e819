"""Eq. (19): where gradient descent on the linearized network ends.

    f_∞(x) = f_0(x) + φ(x) φ(X)^T K^{-1} (Y − f_0(X))

Of all parameters that interpolate, gradient descent reaches the one nearest to θ_0, since all its
steps lie in the span of φ(X)^T. That point is computed from its optimality conditions, the linear
system

    [ 1      φ(X)^T ] [θ − θ_0]   [     0      ]
    [ φ(X)   0      ] [   μ   ] = [ Y − f_0(X) ],

by Gaussian elimination in rational arithmetic, without K. The residual after each step is that
before it times 1 − (η/N) K, so that it vanishes exactly where the powers of this matrix do. Nothing
is rounded: no tolerance.
"""

from flint import fmpq_mat

from ntklin.validation.theorems import lemma2
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import Regression, equality, identity


def nearest_interpolant(problem: Regression) -> fmpq_mat:
    """f_∞(X_new) from the optimality conditions of min ‖θ − θ_0‖ with f(X) = Y."""
    return problem.f0_new + problem.phi_new * lemma2.least_norm(problem, problem.residual)


def limit(problem: Regression) -> fmpq_mat:
    """Eq. (19)."""
    cross = problem.phi_new * problem.phi.transpose()
    return problem.f0_new + cross * problem.kernel.inv() * problem.residual


def without_start(problem: Regression) -> fmpq_mat:
    """K(x, X) K^{-1} Y, as if f_0 were 0."""
    return problem.phi_new * problem.phi.transpose() * problem.kernel.inv() * problem.Y


def residuals(problem: Regression) -> list[fmpq_mat]:
    """Y − f_t(X), t = 1 … 5."""
    path = problem.descend(5)
    return [problem.residual - problem.phi * (theta - problem.theta0) for theta in path[1:]]


def contracted(problem: Regression, scale: int = 1) -> list[fmpq_mat]:
    """(1 − (η/N) K)^t (Y − f_0(X))."""
    factor = identity(problem.n) - (problem.rate * scale / problem.n) * problem.kernel
    out, r = [], problem.residual
    for _ in range(5):
        r = factor * r
        out.append(r)
    return out


def without_the_mean(problem: Regression) -> list[fmpq_mat]:
    """The loss's 1/N forgotten, as in App. D's η = 0.5/λ_max."""
    return contracted(problem, scale=problem.n)


STATEMENT = Statement(
    key="equation19",
    title="Eq. (19)",
    claim="gradient descent on the linearized network ends at the interpolant nearest to θ_0",
    text=__doc__,
    checks=(
        equality(
            "limit",
            "the limit is the interpolant nearest to θ_0, which optimality conditions give",
            Regression.random,
            nearest_interpolant,
            limit,
            without_start,
            "f_0 is left out",
        ),
        equality(
            "residual",
            "each step multiplies the residual by 1 − (η/N) K; so App. D's η = 0.5/λ_max, which "
            "leaves out N, is 0.5 N/λ_max",
            Regression.random,
            residuals,
            contracted,
            without_the_mean,
            "η K in place of (η/N) K, the rate as App. D prints it",
        ),
    ),
)
