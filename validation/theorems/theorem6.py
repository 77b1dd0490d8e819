"""Theorem 6: Theorem 3 with mini-batches.

A step on a batch B is one with D_t D_B, D_B = (N/|B|) (P_B φ(X))^T K^{-1} φ(X), so that the factors
of Theorem 3's products become 1 − (η/N) φ(X) D_u D_{B_u} φ(X)^T, while A_t stays as it is. Steps on
random batches, of which some miss samples, are compared with that formula in rational arithmetic,
t = 1 … 5, for the D_t of Theorem 3. No tolerance: nothing is rounded.
"""

from dataclasses import replace

from flint import fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems import theorem3
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import equality


def random_batches(rng: Generator, n: int) -> list[list[int]]:
    """Batches of one to N samples, without replacement within each."""
    return [
        sorted(int(k) for k in rng.permutation(n)[: int(rng.integers(1, n + 1))])
        for _ in range(theorem3.STEPS - 1)
    ] + [[0]]


def draw(rng: Generator) -> theorem3.Problem:
    """A problem of Theorem 3 with batches."""
    return theorem3.draw(rng, random_batches)


def full_batches(problem: theorem3.Problem) -> list[fmpq_mat]:
    """The formula of Theorem 3, which knows no batches."""
    everything = [list(range(problem.regression.n))] * theorem3.STEPS
    return theorem3.product_form(replace(problem, batches=everything))


def still_one_and_nothing(problem: theorem3.Problem) -> list[fmpq_mat]:
    """φ(X) A_t and φ(X) B_t with batches."""
    return theorem3.on_training_inputs(problem)


STATEMENT = Statement(
    key="theorem6",
    title="Theorem 6",
    claim="adaptive training with mini-batches, in closed form for any D_t and batches",
    text=__doc__,
    checks=(
        equality(
            "product-form",
            "steps with any D_t on any batches are given by A_t and B_t",
            draw,
            theorem3.steps,
            theorem3.product_form,
            full_batches,
            "the batches are left out of the products",
        ),
        equality(
            "training-inputs",
            "φ(X) A_t = 1 and φ(X) B_t = 0 with batches, too",
            draw,
            theorem3.one_and_nothing,
            still_one_and_nothing,
            theorem3.without_preconditioner,
            "A_t without its first factor D_{t−1}",
        ),
    ),
)
