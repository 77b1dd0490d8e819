"""Lemma 5: the size of the outputs at initialization, biases at 0.

    E ‖f_0(X)‖² ≤ (σ^{2L}/2^{L−1}) N        for inputs in the unit ball

Layer by layer E |a^l|² = (σ²/2) |a^{l−1}|² (half of the sign-symmetric preactivations survive), and
the last layer has no ReLU: E ‖f_0(X)‖² = (σ^{2L}/2^{L−1}) Σ_i |x_i|², at every finite width. The
mean over networks has to be within its confidence interval; nothing else is allowed for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Setting, Statement
from ntklin.validation.theorems.experiments import network, on_the_sphere
from ntklin.validation.theorems.statistics import expectation

WIDTH, DEPTH = 32, 3


@dataclass(frozen=True, eq=False)
class Problem:
    """A kind of network and inputs.

    Attributes
    ----------
    net : MLP
    X : ndarray, shape (N, d)
        In the unit ball.
    """

    net: ntklin.MLP
    X: np.ndarray


def draw(rng: Generator, setting: Setting, bias: str = "zero", shortest: float = 0.3) -> Problem:
    """Inputs of different lengths, σ off 1."""
    X = on_the_sphere(rng, 4) * rng.uniform(shortest, 1, (4, 1))
    return Problem(network(WIDTH, DEPTH, sigma=1.3, bias=bias), X)


def size(problem: Problem, rng: Generator) -> float:
    """‖f_0(X)‖² of one network."""
    f0 = problem.net.apply(problem.net.init(rng), problem.X)
    return float(f0 @ f0)


def expected(problem: Problem, halvings: Callable[[int], int] = lambda L: L - 1) -> float:
    """(σ^{2L}/2^{L−1}) Σ |x_i|²."""
    L = problem.net.depth
    return problem.net.sigma ** (2 * L) / 2 ** halvings(L) * float((problem.X**2).sum())


def one_halving_more(problem: Problem) -> float:
    """2^L, as if the last layer had a ReLU as well."""
    return expected(problem, lambda L: L)


STATEMENT = Statement(
    key="lemma5",
    title="Lemma 5",
    claim="E‖f_0(X)‖² = (σ^{2L}/2^{L−1}) Σ|x_i|² with biases at 0",
    text=__doc__,
    checks=(
        expectation(
            "size",
            "the mean of ‖f_0(X)‖² over networks of width 32 and depth 3 is the formula's",
            draw,
            size,
            expected,
            one_halving_more,
            "2^L in place of 2^{L−1}",
            n_draws=40_000,
            quick=2_000,
            quantity="E‖f_0(X)‖² =",
        ),
    ),
)
