"""SGD's mean and covariance, and where it is stable in mean square: beyond the paper.

Batches of b of N samples are drawn uniformly without replacement, independently each step. With
r_t = f_t(X) − Y, ρ = (b − 1)/(N − 1) and R_t = E r_t r_t^T,

    E r_{t+1} = (1 − ηK/N) E r_t
    R_{t+1} = R_t − (η/N)(K R_t + R_t K) + (η²/(bN)) K [ρ R_t + (1 − ρ) diag R_t] K
    Cov f_t(x) = K(x, X) K^{-1} (R_t − E r_t E r_t^T) K^{-1} K(X, x)

Both are compared with the runs on all sequences of batches, each with its probability, in rational
arithmetic: no tolerance, nothing is rounded. The largest stable learning rate η(b) is where the
spectral radius of that map, the mean over all batches as an N²×N² matrix, is 1: it has to be below
1 at 0.999 η(b) and above 1 at 1.001 η(b). Runs of the linearized network on random batches have the
mean loss of the recursion within its confidence interval. So have runs of real networks, and their
outputs its variance: 200 of width 4000, whose linearization is off by far less than the interval,
or 60 of width 512. Batches of shuffled epochs are not
independent: the moments over them, sums over the sets of samples that an epoch has seen, have to be
those over all orders; rounding is of the size 100 eps, and 10⁻¹³ is allowed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from flint import fmpq, fmpq_mat
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems import sgd_moments_trained
from ntklin.validation.theorems.check import Setting, Statement, joined
from ntklin.validation.theorems.experiments import Data, draw_data, network
from ntklin.validation.theorems.rationals import (
    Regression,
    diagonal,
    equality,
    zeros,
)
from ntklin.validation.theorems.statistics import everywhere, expectation

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization

STEPS = 3


@dataclass(frozen=True, eq=False)
class Problem:
    """A linear model and a batch size.

    Attributes
    ----------
    regression : Regression
    size : int
        b.
    """

    regression: Regression
    size: int


def draw(rng: Generator) -> Problem:
    """Three samples, and batches of one or two of them."""
    return Problem(Regression.random(rng), int(rng.integers(1, 3)))


def all_runs(problem: Problem) -> list[list[fmpq_mat]]:
    """θ_0, …, θ_3 for every sequence of batches; all are equally likely."""
    regression = problem.regression
    batches = list(itertools.combinations(range(regression.n), problem.size))
    return [
        regression.descend(STEPS, batches=sequence)
        for sequence in itertools.product(batches, repeat=STEPS)
    ]


def mean_of(matrices: list[fmpq_mat]) -> fmpq_mat:
    """Their mean."""
    total = zeros(matrices[0].nrows(), matrices[0].ncols())
    for A in matrices:
        total = total + A
    return total * fmpq(1, len(matrices))


def enumerated(problem: Problem) -> list[fmpq_mat]:
    """E r_t and R_t for t = 1, 2, 3."""
    regression, found = problem.regression, []
    for parameters in list(zip(*all_runs(problem), strict=True))[1:]:
        residuals = [
            regression.phi * (theta - regression.theta0) - regression.residual
            for theta in parameters
        ]
        found += [mean_of(residuals), mean_of([r * r.transpose() for r in residuals])]
    return found


def recursion(problem: Problem, replaced: bool = False) -> list[fmpq_mat]:
    """The same by the recursion."""
    regression, b = problem.regression, problem.size
    K, n, eta = regression.kernel, regression.n, regression.rate
    # Two places of a batch hold two samples with probability ρ each.
    rho = fmpq(b - 1, n) if replaced else fmpq(b - 1, n - 1)
    rest = fmpq(1) if replaced else 1 - rho
    r = -regression.residual
    R, found = r * r.transpose(), []
    for _ in range(STEPS):
        r = r - eta / n * K * r
        own = diagonal([R[i, i] for i in range(n)])
        R = R - eta / n * (K * R + R * K) + eta * eta / (b * n) * K * (rho * R + rest * own) * K
        found += [r, R]
    return found


def with_replacement(problem: Problem) -> list[fmpq_mat]:
    """Batches that may hold a sample twice."""
    return recursion(problem, replaced=True)


def enumerated_outputs(problem: Problem) -> list[fmpq_mat]:
    """E f_t and Cov f_t at new inputs, t = 1, 2, 3."""
    found = []
    for parameters in list(zip(*all_runs(problem), strict=True))[1:]:
        outputs = [problem.regression.predict(theta) for theta in parameters]
        mean = mean_of(outputs)
        second = mean_of([f * f.transpose() for f in outputs])
        found += [mean, second - mean * mean.transpose()]
    return found


def outputs_by_recursion(problem: Problem, centered: bool = True) -> list[fmpq_mat]:
    """The same from E r_t and R_t."""
    regression = problem.regression
    S = regression.phi_new * regression.phi.transpose() * regression.kernel.inv()
    moments, found = recursion(problem), []
    for r, R in zip(moments[::2], moments[1::2], strict=True):
        mean = regression.f0_new + S * (r + regression.residual)
        spread = R - r * r.transpose() if centered else R
        found += [mean, S * spread * S.transpose()]
    return found


def not_centered(problem: Problem) -> list[fmpq_mat]:
    """R_t in the place of the covariance of r_t."""
    return outputs_by_recursion(problem, centered=False)


# The bound


@dataclass(frozen=True, eq=False)
class Stability:
    """A kernel, a batch size, and two bounds.

    Attributes
    ----------
    kernel : ndarray, shape (N, N)
    size : int
    stable, full : float
        η(b) and 2N/λ_max.
    """

    kernel: Array
    size: int
    stable: float
    full: float


def draw_stability(_: None, rng: Generator) -> Stability:
    """Five samples, and batches of one to four of them."""
    A = rng.standard_normal((5, 8))
    K, size = A @ A.T, int(rng.integers(1, 5))
    moments = ntklin.linearize_kernel(K).moments(np.zeros(5), 1.0, size)
    return Stability(K, size, moments.max_learning_rate, moments.mean.max_learning_rate)


def radius(drawn: Stability, rate: float) -> float:
    """The spectral radius of R ↦ E (1 − (η/b) K P_B) R (1 − (η/b) K P_B)^T."""
    n = len(drawn.kernel)
    maps = []
    for batch in itertools.combinations(range(n), drawn.size):
        P = np.zeros(n)
        P[list(batch)] = 1
        A = np.eye(n) - rate / drawn.size * drawn.kernel * P
        maps.append(np.kron(A, A))
    return float(np.abs(np.linalg.eigvals(np.mean(maps, axis=0))).max())


def crossing(drawn: Stability, bound: float | None = None) -> float:
    """By how much the radius is below 1 just below the bound, and above 1 just above it."""
    bound = drawn.stable if bound is None else bound
    return min(1 - radius(drawn, 0.999 * bound), radius(drawn, 1.001 * bound) - 1)


def crossing_of_gradient_descent(drawn: Stability) -> float:
    """The bound of all samples."""
    return crossing(drawn, drawn.full)


def nothing(rng: Generator, setting: Setting) -> None:
    """No problem that all draws share."""


# Runs on random batches


@dataclass(frozen=True, eq=False)
class Descent:
    """The linearization of a network, and SGD's moments on it.

    Attributes
    ----------
    lin : Linearization
    data : Data
    moments : SGDMoments
    """

    lin: Linearization
    data: Data
    moments: ntklin.SGDMoments


def draw_descent(rng: Generator, setting: Setting) -> Descent:
    """Single samples, at half the largest stable learning rate."""
    data, net = draw_data(rng, setting), network(256)
    lin = ntklin.linearize(net, net.init(rng), data.X)
    rate = lin.moments(data.Y, None, 1).max_learning_rate / 2
    return Descent(lin, data, lin.moments(data.Y, rate, 1))


def run_loss(drawn: Descent, rng: Generator) -> float:
    """L_20 of a run."""
    batches = rng.integers(len(drawn.data.Y), size=(20, 1))
    rule = ntklin.GradientDescent(drawn.moments.learning_rate)
    run = drawn.lin.train(drawn.data.Y, rule, steps=20, batches=list(batches))
    return float(run.losses[-1])


def expected_loss(drawn: Descent) -> float:
    """E L_20."""
    return drawn.moments.loss(20)


def loss_of_the_mean(drawn: Descent) -> float:
    """The loss of gradient descent on all samples."""
    return drawn.moments.mean.loss(20)


# Shuffled epochs


@dataclass(frozen=True, eq=False)
class Orders:
    """A problem of four samples in batches of two.

    Attributes
    ----------
    kernel : ndarray, shape (4, 4)
    targets : ndarray, shape (4,)
    moments : SGDMoments
    """

    kernel: Array
    targets: Array
    moments: ntklin.SGDMoments


def draw_orders(_: None, rng: Generator) -> Orders:
    """At 0.3 of the largest stable learning rate."""
    A, Y = rng.standard_normal((4, 6)), rng.standard_normal(4)
    lin = ntklin.linearize_kernel(A @ A.T)
    rate = 0.3 * lin.moments(Y, None, 2).max_learning_rate
    return Orders(A @ A.T, Y, lin.moments(Y, rate, 2))


def losses_over_orders(drawn: Orders) -> float:
    """E L_4 over the orders of two epochs."""
    orders = [(order[:2], order[2:]) for order in itertools.permutations(range(4))]
    losses = []
    for epochs in itertools.product(orders, repeat=2):
        r = -drawn.targets
        for batch in itertools.chain(*epochs):
            chosen = list(batch)
            r = r - drawn.moments.learning_rate / 2 * drawn.kernel[:, chosen] @ r[chosen]
        losses.append(r @ r / 8)
    return float(np.mean(losses))


def deviation(drawn: Orders, loss: float | None = None) -> float:
    """10⁻¹³ less the relative error of E L_4."""
    loss = float(drawn.moments.epochs().loss(4).value) if loss is None else loss
    expected = losses_over_orders(drawn)
    return 1e-13 - abs(loss - expected) / expected


def deviation_of_independent(drawn: Orders) -> float:
    """That of independent batches."""
    return deviation(drawn, drawn.moments.loss(4))


STATEMENT = Statement(
    key="sgd-moments",
    title="SGD's moments",
    claim="mean and covariance of SGD by N×N matrices, and its largest stable learning rate",
    text=joined(__doc__, sgd_moments_trained.__doc__),
    checks=(
        equality(
            "recursion",
            "E r_t and R_t are the means over all sequences of batches",
            draw,
            enumerated,
            recursion,
            with_replacement,
            "batches drawn with replacement",
        ),
        equality(
            "outputs",
            "E f_t(x) and Cov f_t(x) are those over all sequences of batches",
            draw,
            enumerated_outputs,
            outputs_by_recursion,
            not_centered,
            "R_t in the place of Cov r_t",
        ),
        everywhere(
            "bound",
            "the map of second moments contracts below η(b) and not above it",
            nothing,
            draw_stability,
            crossing,
            crossing_of_gradient_descent,
            "2N/λ_max, the bound of all samples",
            n_draws=100,
            quick=10,
        ),
        expectation(
            "runs",
            "runs on random batches have the mean loss E L_t",
            draw_descent,
            run_loss,
            expected_loss,
            loss_of_the_mean,
            "the loss of the mean",
            n_draws=2000,
            quick=200,
            quantity="mean L_20",
        ),
        *sgd_moments_trained.CHECKS,
        everywhere(
            "epochs",
            "moments over shuffled epochs are those over all orders",
            nothing,
            draw_orders,
            deviation,
            deviation_of_independent,
            "independent batches",
            n_draws=50,
            quick=5,
        ),
    ),
)
