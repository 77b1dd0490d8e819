"""Lemma 4: a ReLU network without biases is homogeneous, f = (1/L) ⟨θ, ∇f⟩.

Networks with rational parameters and rational scales (widths that are squares) are evaluated
exactly, forward and backward, with two and three layers. The printed lemma says "almost identical"
for networks with biases. There it is false; what holds with any biases is

    f = (1/L) Σ_l ( ⟨W^l, ∂f/∂W^l⟩ + l ⟨b^l, ∂f/∂b^l⟩ )   and   f = ⟨W^L, ∂f/∂W^L⟩ + ⟨b^L, ∂f/∂b^L⟩,

the first because multiplying W^l and b^l by c and c^l multiplies f by c^L, the second because the
last layer is linear. No tolerance: nothing is rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import (
    RationalNetwork,
    column,
    equality,
    inner,
    random_matrix,
)

WIDTHS = ((2, 4, 1), (3, 9, 1), (2, 4, 9, 1), (3, 4, 4, 4, 1))


@dataclass(frozen=True, eq=False)
class Problem:
    """A network at an input.

    Attributes
    ----------
    network : RationalNetwork
    x : fmpq_mat, shape (d, 1)
    """

    network: RationalNetwork
    x: fmpq_mat


def without_biases(rng: Generator) -> Problem:
    """A random network with b = 0."""
    return with_biases(rng, biases=False)


def with_biases(rng: Generator, biases: bool = True) -> Problem:
    """A random network none of whose outputs is 0."""
    while True:
        widths = WIDTHS[int(rng.integers(len(WIDTHS)))]
        network = RationalNetwork.random(rng, widths, biases=biases)
        problem = Problem(network, random_matrix(rng, widths[0], 1))
        # A network none of whose neurons is active tells nothing.
        if all(any(z != 0 for z in dW.entries()) for dW, _ in network.gradient(problem.x)):
            return problem


def output(problem: Problem) -> fmpq_mat:
    """f(x)."""
    return column([problem.network.output(problem.x)])


def weighted(problem: Problem, weight: Callable[[int, int, bool], fmpq]) -> fmpq_mat:
    """Σ_l ⟨W^l, ∂f/∂W^l⟩ weight(l, L, False) + ⟨b^l, ∂f/∂b^l⟩ weight(l, L, True)."""
    L, total = problem.network.depth, fmpq(0)
    parts = zip(problem.network.layers, problem.network.gradient(problem.x), strict=True)
    for l, ((W, b), (dW, db)) in enumerate(parts, 1):
        total += weight(l, L, False) * inner(W, dW) + weight(l, L, True) * inner(b, db)
    return column([total])


def printed(problem: Problem) -> fmpq_mat:
    """(1/L) ⟨θ, ∇f⟩."""
    return weighted(problem, lambda l, L, is_bias: fmpq(1, L))


def undivided(problem: Problem) -> fmpq_mat:
    """⟨θ, ∇f⟩."""
    return weighted(problem, lambda l, L, is_bias: fmpq(1))


def graded(problem: Problem) -> fmpq_mat:
    """(1/L) Σ_l (⟨W^l, ∂f/∂W^l⟩ + l ⟨b^l, ∂f/∂b^l⟩)."""
    return weighted(problem, lambda l, L, is_bias: fmpq(l if is_bias else 1, L))


def last_layer(problem: Problem) -> fmpq_mat:
    """⟨W^L, ∂f/∂W^L⟩ + ⟨b^L, ∂f/∂b^L⟩."""
    return weighted(problem, lambda l, L, is_bias: fmpq(l == L))


STATEMENT = Statement(
    key="lemma4",
    title="Lemma 4",
    claim="f = (1/L)⟨θ, ∇f⟩ without biases; what holds with them",
    text=__doc__,
    checks=(
        equality(
            "homogeneity",
            "without biases, f = (1/L)⟨θ, ∇f⟩",
            without_biases,
            output,
            printed,
            undivided,
            "the factor 1/L is missing",
        ),
        equality(
            "biases-graded",
            "with any biases, those of layer l count l times; the printed form is false",
            with_biases,
            output,
            graded,
            printed,
            "Lemma 4 as it is printed, with biases in θ",
        ),
        equality(
            "biases-last-layer",
            "with any biases, f is the last layer's part alone",
            with_biases,
            output,
            last_layer,
            printed,
            "Lemma 4 as it is printed, with biases in θ",
        ),
    ),
)
