"""Edge of stability: λ_max(K_{D_t})/N along real training, beside each method's bound.

On an eigenvector of K_D/N with eigenvalue h the linearized steps are a recursion of order two,
which stops contracting where z = −1 becomes a root of its characteristic polynomial, at

    h = s/η,   s = 2 (gradient descent, any D), 2(1 + μ) (heavy ball),
               2(1 + μ)/(1 + 2μ) (Nesterov), 2(1 + β_1)/(1 − β_1) (Adam, its bias correction faded),

and at s (2 − ηλ)/(2η) with decoupled decay.

That is exact; the control takes the two conventions of momentum for each other, of which heavy ball
sums gradients and Adam takes their mean. What real networks do about it is measured, with two
layers of 60 neurons. Gradient descent that starts at half the bound stays below it, and its loss
only falls. From one and a half times the bound the loss rises, but does not diverge, and the end is
below the bound: the weights shrink until the steps are stable, which no linearization knows of.
RMSprop, whose D_t grows as gradients fade, is driven to the bound and stays there: the mean over
the last half of 600 steps is within a quarter of it (with α = 0.9; above rather than below, since
D_t follows late). Controls are the same of other bounds: 1/η, beyond which steps overshoot, and 2(1
+ α)/η, as if α were a momentum.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from flint import fmpq, fmpq_mat
from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, network, recorded, train_quietly
from ntklin.validation.theorems.rationals import column, equality, fraction, identity, rows, zeros
from ntklin.validation.theorems.statistics import everywhere

WIDTH = 60
STEPS, STEPS_ADAPTIVE = 300, 600
# Recorded moments of a run; the last half of them are looked at.
MOMENTS = 10
FAR = 1.5
ALPHA = 0.9


# The bounds, in rationals


@dataclass(frozen=True, eq=False)
class Rates:
    """η, μ = β_1 and a decoupled λ.

    Attributes
    ----------
    eta, mu, decay : fmpq
    """

    eta: fmpq
    mu: fmpq
    decay: fmpq

    @classmethod
    def random(cls, rng: Generator) -> "Rates":
        """With 0 < μ < 1 and ηλ < 2."""
        eta = fraction(rng, positive=True)
        return cls(eta, fmpq(int(rng.integers(1, 8)), 8), fmpq(int(rng.integers(0, 3)), 2) / eta)

    @property
    def plain(self) -> fmpq:
        """(2 − ηλ)/η, gradient descent's bound."""
        return (2 - self.eta * self.decay) / self.eta

    def steps(self, h: tuple[fmpq, fmpq, fmpq]) -> list[fmpq_mat]:
        """(θ, v) → (θ, v) of heavy ball, Nesterov's and Adam's steps, each at its own h."""
        eta, mu, kept = self.eta, self.mu, 1 - self.eta * self.decay
        heavy, nesterov, adam = h
        mean = (1 - mu) * adam
        return [
            rows([kept - eta * heavy, -eta * mu], [heavy, mu]),
            rows([kept - eta * (1 + mu) * nesterov, -eta * mu * mu], [nesterov, mu]),
            rows([kept - eta * mean, -eta * mu], [mean, mu]),
        ]


def at_minus_one(rates: Rates, h: tuple[fmpq, fmpq, fmpq]) -> fmpq_mat:
    """The characteristic polynomials at z = −1."""
    return column([(A + identity(2)).det() for A in rates.steps(h)])


def at_the_bounds(rates: Rates) -> fmpq_mat:
    """With each method's own h."""
    mu, plain = rates.mu, rates.plain
    heavy, nesterov = (1 + mu) * plain, (1 + mu) / (1 + 2 * mu) * plain
    return at_minus_one(rates, (heavy, nesterov, (1 + mu) / (1 - mu) * plain))


def at_exchanged_bounds(rates: Rates) -> fmpq_mat:
    """With heavy ball's h for Adam, and Adam's for heavy ball."""
    mu, plain = rates.mu, rates.plain
    sum_of, mean_of = (1 + mu) * plain, (1 + mu) / (1 - mu) * plain
    return at_minus_one(rates, (mean_of, (1 + mu) / (1 + 2 * mu) * plain, sum_of))


# Real networks


Chosen = Callable[[float], ntklin.GradientDescent | ntklin.RMSprop]
Pair = tuple[ntklin.TrainingRun, ntklin.TrainingRun]


def trained(data: Data, rng: Generator, optimizer: Chosen, steps: int) -> ntklin.TrainingRun:
    """A run that records its sharpness ten times.

    Returns
    -------
    TrainingRun
    """
    net = network(WIDTH, sigma=2.0)
    theta = net.init(rng)
    sharpness = np.linalg.eigvalsh(ntklin.ntk(net, theta, data.X))[-1] / len(data.Y)
    return train_quietly(
        net,
        theta,
        data,
        optimizer(float(sharpness)),
        steps,
        record=steps // MOMENTS,
        sharpness=True,
        snapshots=False,
    )


def relative(run: ntklin.TrainingRun) -> np.ndarray:
    """The recorded sharpness in units of the bounds."""
    return recorded(run.records.sharpness) / run.sharpness_bounds


def below_and_above(data: Data, rng: Generator) -> Pair:
    """Gradient descent from one θ_0 at half the bound, and beyond it."""
    seed = int(rng.integers(2**32))
    below, above = (
        trained(
            data,
            np.random.default_rng(seed),
            lambda sharpness, factor=factor: ntklin.GradientDescent(2 * factor / sharpness),
            STEPS,
        )
        for factor in (0.5, FAR)
    )
    return below, above


def settles(pair: Pair, bound: float = 1.0) -> float:
    """How far below the bound both runs end; negative where the calm one's loss ever rises."""
    below, above = pair
    if np.diff(below.losses).max() > 1e-12:
        return -1.0
    return bound - float(max(relative(below).max(), relative(above)[-1]))


def settles_at_half(pair: Pair) -> float:
    """The same of 1/η."""
    return settles(pair, bound=0.5)


def at_the_edge(data: Data, rng: Generator) -> ntklin.TrainingRun:
    """RMSprop."""
    return trained(
        data, rng, lambda sharpness: ntklin.RMSprop(0.01, alpha=ALPHA, eps=1e-4), STEPS_ADAPTIVE
    )


def near_the_bound(run: ntklin.TrainingRun, bound: float = 1.0) -> float:
    """A quarter less the distance of λ_max(K_D)/N from the bound."""
    return 0.25 - abs(float(relative(run)[-MOMENTS // 2 :].mean()) / bound - 1)


def near_that_of_momentum(run: ntklin.TrainingRun) -> float:
    """The same of 2(1 + α)/η."""
    return near_the_bound(run, bound=1 + ALPHA)


STATEMENT = Statement(
    key="edge-of-stability",
    title="Edge of stability",
    claim="each method has its bound on λ_max(K_D)/N, and real networks obey it as they train",
    text=__doc__,
    checks=(
        equality(
            "bounds",
            "z = −1 is a root at the bounds of heavy ball, Nesterov and Adam, with decoupled decay",
            Rates.random,
            lambda rates: zeros(3, 1),
            at_the_bounds,
            at_exchanged_bounds,
            "heavy ball's bound for Adam, and Adam's for heavy ball",
        ),
        everywhere(
            "gradient-descent",
            "from half the bound the loss only falls; from 1.5 times it the end is below it",
            draw_data,
            below_and_above,
            settles,
            settles_at_half,
            "1/η in the place of 2/η",
            n_draws=20,
            quick=2,
            quantity="distance below the bound",
        ),
        everywhere(
            "rmsprop",
            "λ_max(K_{D_t})/N goes to within a quarter of 2/η and stays",
            draw_data,
            at_the_edge,
            near_the_bound,
            near_that_of_momentum,
            "2(1 + α)/η, as if α were a momentum",
            n_draws=20,
            quick=2,
        ),
    ),
)
