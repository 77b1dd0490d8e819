"""Theorem 1: the minimizer is a kernel interpolator and what the initialization leaves behind.

    f_∞(x) = K(x, X) K^{-1} Y + (1/L) φ(x) (1 − P_F) θ_0,    P_F = φ(X)^T K^{-1} φ(X)

The decomposition is Eq. (19) with Lemma 4 put in. It is checked on ReLU networks with rational
parameters, as is the algebra of the projector P_F: it is symmetric, idempotent, of rank N, and
leaves φ(X) as it is. With biases in θ the second term is φ(x) (1 − P_F) E_L θ_0, where E_L keeps
the last layer's parameters (Lemma 4's second identity). No tolerance: nothing is rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems import theorem1_certified, theorem1_trained
from ntklin.validation.theorems.check import Statement, joined
from ntklin.validation.theorems.rationals import (
    RationalNetwork,
    Regression,
    column,
    equality,
    flat,
    identity,
    random_matrix,
    rows,
    trace,
    zeros,
)

WIDTHS = ((2, 9, 1), (2, 4, 4, 1))
N_TRAIN, N_NEW = 3, 2


@dataclass(frozen=True, eq=False)
class Problem:
    """A network with rational parameters, training inputs and new ones.

    Attributes
    ----------
    network : RationalNetwork
    X, X_new : sequences of fmpq_mat, shape (d, 1)
    Y : fmpq_mat, shape (N, 1)
    """

    network: RationalNetwork
    X: list[fmpq_mat]
    X_new: list[fmpq_mat]
    Y: fmpq_mat

    @cached_property
    def phi(self) -> fmpq_mat:
        """φ(X)."""
        return rows(*(flat(self.network.gradient(x)) for x in self.X))

    @cached_property
    def phi_new(self) -> fmpq_mat:
        """φ(X_new)."""
        return rows(*(flat(self.network.gradient(x)) for x in self.X_new))

    @cached_property
    def pull(self) -> fmpq_mat:
        """φ(X)^T K^{-1}."""
        return self.phi.transpose() * (self.phi * self.phi.transpose()).inv()

    @cached_property
    def theta(self) -> fmpq_mat:
        """θ_0."""
        return column(flat(self.network.layers))

    @property
    def last(self) -> fmpq_mat:
        """E_L θ_0."""
        W, b = self.network.layers[-1]
        kept = len(W.entries()) + len(b.entries())
        return column([0] * (self.theta.nrows() - kept) + self.theta.entries()[-kept:])

    def outputs(self, X: list[fmpq_mat]) -> fmpq_mat:
        """f_0."""
        return column([self.network.output(x) for x in X])


def draw(rng: Generator, biases: bool = False) -> Problem:
    """A network whose kernel on the training inputs is not singular."""
    while True:
        widths = WIDTHS[int(rng.integers(len(WIDTHS)))]
        network = RationalNetwork.random(rng, widths, biases=biases)
        X, X_new = ([random_matrix(rng, widths[0], 1) for _ in range(n)] for n in (N_TRAIN, N_NEW))
        problem = Problem(network, X, X_new, random_matrix(rng, N_TRAIN, 1))
        left_over = problem.phi_new - problem.phi_new * projector(problem) if full(problem) else 0
        if left_over and all(x != 0 for x in (left_over * problem.last).entries()):
            return problem


def full(problem: Problem) -> bool:
    """Whether φ(X) has full rank."""
    return problem.phi.rank() == N_TRAIN


def projector(problem: Problem) -> fmpq_mat:
    """P_F."""
    return problem.pull * problem.phi


def minimizer(problem: Problem) -> fmpq_mat:
    """Eq. (19), with f_0 by the forward pass."""
    residual = problem.Y - problem.outputs(problem.X)
    return problem.outputs(problem.X_new) + problem.phi_new * problem.pull * residual


def decomposed(
    problem: Problem,
    start: Callable[[Problem], fmpq_mat] = lambda problem: (
        fmpq(1, problem.network.depth) * problem.theta
    ),
) -> fmpq_mat:
    """The interpolator and φ(x) (1 − P_F) of a vector of parameters."""
    theta = start(problem)
    left = theta - problem.pull * (problem.phi * theta)
    return problem.phi_new * (problem.pull * problem.Y + left)


def undivided(problem: Problem) -> fmpq_mat:
    """Without the factor 1/L."""
    return decomposed(problem, lambda problem: problem.theta)


def last_layer(problem: Problem) -> fmpq_mat:
    """With E_L θ_0 in place of θ_0/L."""
    return decomposed(problem, lambda problem: problem.last)


def algebra_expected(problem: Regression) -> tuple[fmpq_mat, ...]:
    """What the projector's products are."""
    n, P = problem.n, problem.n_parameters
    p = problem.phi.transpose() * problem.kernel.inv() * problem.phi
    return p, p, problem.phi, zeros(P, n), column([n])


def algebra(
    problem: Regression, inverse: Callable[[fmpq_mat], fmpq_mat] = lambda K: K.inv()
) -> tuple[fmpq_mat, ...]:
    """P_F², P_F^T, φ(X) P_F, (1 − P_F) φ(X)^T and the trace of P_F."""
    p = problem.phi.transpose() * inverse(problem.kernel) * problem.phi
    rest = identity(problem.n_parameters) - p
    return p * p, p.transpose(), problem.phi * p, rest * problem.phi.transpose(), column([trace(p)])


def without_inverse(problem: Regression) -> tuple[fmpq_mat, ...]:
    """φ(X)^T φ(X) in place of P_F."""
    return algebra(problem, inverse=lambda K: identity(K.nrows()))


STATEMENT = Statement(
    key="theorem1",
    title="Theorem 1",
    claim="f_∞ = f_int + f_init, kernel interpolator and what θ_0 leaves behind",
    text=joined(__doc__, theorem1_certified.__doc__, theorem1_trained.__doc__),
    checks=(
        equality(
            "decomposition",
            "for ReLU networks without biases, Eq. (19) is f_int + (1/L) φ(x) (1 − P_F) θ_0",
            draw,
            minimizer,
            decomposed,
            undivided,
            "the factor 1/L is missing",
        ),
        equality(
            "decomposition-biases",
            "with any biases in θ, the second term is φ(x) (1 − P_F) E_L θ_0, E_L keeping the last "
            "layer",
            lambda rng: draw(rng, biases=True),
            minimizer,
            last_layer,
            decomposed,
            "the term of the paper, which is right without biases only",
        ),
        equality(
            "projector",
            "P_F is a symmetric projector of rank N with φ(X) P_F = φ(X)",
            Regression.random,
            algebra_expected,
            algebra,
            without_inverse,
            "φ(X)^T φ(X) without the inverse of K",
        ),
        *theorem1_certified.CHECKS,
        *theorem1_trained.CHECKS,
    ),
)
