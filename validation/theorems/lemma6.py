"""Lemma 6: the size of the outputs at initialization, normal biases. The print is too small.

    printed    E ‖f_0(X)‖² ≤ 2 Σ_{i=1..L} (σ²/2)^i N
    correct    E f_0(x)² = 2 (σ²/2)^L |x|² + 2 Σ_{i=1..L} (σ²/2)^i

With (W^l, b^l) as one matrix on (a^{l−1}, 1), E |a^l|² = (σ²/2)(|a^{l−1}|² + 1). Unrolled from
|a^0|² = |x|² this has a term in |x|², which the proof drops; the bound is violated for every x ≠ 0.
The mean over networks has to be within its confidence interval; nothing else is allowed for.
"""

from numpy.random import Generator

from ntklin.validation.theorems import lemma5
from ntklin.validation.theorems.check import Setting, Statement
from ntklin.validation.theorems.statistics import Interval, everywhere, expectation, mean


def draw(rng: Generator, setting: Setting) -> lemma5.Problem:
    """As for Lemma 5, with normal biases; inputs not so short that the bound is nearly right."""
    return lemma5.draw(rng, setting, bias="normal", shortest=0.8)


def printed(problem: lemma5.Problem) -> float:
    """2 Σ_i (σ²/2)^i N."""
    half = problem.net.sigma**2 / 2
    return 2 * sum(half**i for i in range(1, problem.net.depth + 1)) * len(problem.X)


def expected(problem: lemma5.Problem) -> float:
    """With the term in |x|²."""
    half = problem.net.sigma**2 / 2
    return printed(problem) + 2 * half**problem.net.depth * float((problem.X**2).sum())


Sampled = tuple[Interval, float, float]


def size_and_bound(problem: lemma5.Problem, rng: Generator) -> Sampled:
    """The interval of E ‖f_0(X)‖² over 4,000 networks, the printed bound and the corrected one."""
    found = mean([lemma5.size(problem, rng) for _ in range(4_000)])
    return found, printed(problem), expected(problem)


def violation(sampled: Sampled) -> float:
    """By how much the interval lies above the bound."""
    found, bound, _ = sampled
    return found.low / bound - 1


def violation_of_corrected(sampled: Sampled) -> float:
    """By how much it lies above the corrected value."""
    found, _, corrected = sampled
    return found.low / corrected - 1


STATEMENT = Statement(
    key="lemma6",
    title="Lemma 6",
    claim="E f_0(x)² = 2(σ²/2)^L|x|² + 2Σ(σ²/2)^i with normal biases, not the printed bound",
    text=__doc__,
    checks=(
        expectation(
            "size",
            "the mean of ‖f_0(X)‖² over networks (width 32, depth 3) is the corrected formula's",
            draw,
            lemma5.size,
            expected,
            printed,
            "the printed bound, which is below the mean",
            n_draws=40_000,
            quick=4_000,
            quantity="E‖f_0(X)‖² =",
        ),
        everywhere(
            "counterexample",
            "the printed bound is violated: the whole interval of the mean lies above it",
            draw,
            size_and_bound,
            violation,
            violation_of_corrected,
            "that the corrected value is violated as well",
            n_draws=5,
            quick=1,
            quantity="violated by",
        ),
    ),
)
