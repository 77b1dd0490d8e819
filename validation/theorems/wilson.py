"""Wilson et al. (2017): a data set on which adaptive methods generalize worse than SGD.

The model is linear, f(x) = ⟨w, x⟩ from w = 0, the labels are y = ±1, and n_+ > n_- ≥ 1 of them. An
input has y for its first entry, 1 for its second and third, and 1 in places of its own, where all
other inputs have 0: in one place if y = 1, in five if y = −1. The first entry tells the class; the
others are always there, or never again.

All gradients lie along X^T y, so that AdaGrad, RMSprop and Adam are D = diag(|X^T y|_j)^{-1} with
a scalar for each step, as in Example 1; and because X s = 4y for s = sgn(X^T y), every w_t is a
multiple of s, and the limit is s/4. A new input, whose own places have not been seen, gets
(y + 2)/4: both classes look like the larger one. Gradient descent ends at the smallest norm, where

    ⟨w, x⟩ = (8 n_+ n_- + 15 n_+ − n_-)/d for y = 1,   −(8 n_+ n_- − 5 n_+ + 3 n_-)/d for y = −1,
    d = 8 n_+ n_- + 15 n_+ + 3 n_- + 5,

which has the sign of y. Both are Eq. (9), with D and with D = 1. In rational arithmetic, with
random n_+, n_- and scalars: no tolerance.
"""

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.example1 import Run
from ntklin.validation.theorems.rationals import (
    Regression,
    column,
    diagonal,
    equality,
    fraction,
    rows,
    zeros,
)

# Places of its own that an input of the class has.
OWN = {1: 1, -1: 5}
# c in X sgn(X^T y) = c y.
SHARE = 4


def counts(problem: Regression) -> tuple[int, int]:
    """n_+ and n_-."""
    n_positive = sum(1 for y in problem.Y.entries() if y > 0)
    return n_positive, problem.n - n_positive


def draw_data(rng: Generator) -> Regression:
    """Labels in random order, and one new input of each class."""
    n_positive = int(rng.integers(2, 6))
    labels = [1] * n_positive + [-1] * int(rng.integers(1, n_positive))
    labels = [labels[i] for i in rng.permutation(len(labels))]
    n_parameters = 3 + sum(OWN[y] for y in labels)
    inputs, start = [], 3
    for y in labels:
        x = [y, 1, 1] + [0] * (n_parameters - 3)
        x[start : start + OWN[y]] = [1] * OWN[y]
        start += OWN[y]
        inputs.append(x)
    new = [[y, 1, 1] + [0] * (n_parameters - 3) for y in (1, -1)]
    n = len(labels)
    start_at = zeros(n, 1), zeros(2, 1), column(labels), zeros(n_parameters, 1)
    return Regression(rows(*inputs), rows(*new), *start_at, fraction(rng, positive=True))


def pull(problem: Regression) -> list[fmpq]:
    """X^T y, of which no entry is 0."""
    return (problem.phi.transpose() * problem.Y).entries()


def signs(problem: Regression) -> fmpq_mat:
    """sgn(X^T y)."""
    return column([1 if x > 0 else -1 for x in pull(problem)])


def adaptive_matrix(problem: Regression) -> fmpq_mat:
    """diag(|X^T y|)^{-1}."""
    return diagonal([1 / abs(x) for x in pull(problem)])


def adaptive_limit(problem: Regression) -> fmpq_mat:
    """Where the adaptive methods end, by Eq. (9)."""
    return problem.limit(adaptive_matrix(problem))


def seen_from_signs(problem: Regression) -> fmpq_mat:
    """(y + 2)/4."""
    return problem.phi_new * signs(problem) * fmpq(1, SHARE)


def smallest_norm(problem: Regression) -> fmpq_mat:
    """The two quotients of n_+ and n_-."""
    return quotients(*counts(problem))


def quotients(p: int, m: int) -> fmpq_mat:
    """Of n_+ = p and n_- = m."""
    d = 8 * p * m + 15 * p + 3 * m + 5
    return column([fmpq(8 * p * m + 15 * p - m, d), -fmpq(8 * p * m - 5 * p + 3 * m, d)])


def classes(values: fmpq_mat) -> fmpq_mat:
    """The signs of outputs."""
    return column([(x > 0) - (x < 0) for x in values.entries()])


def draw_run(rng: Generator) -> Run:
    """The data, with the adaptive methods' D."""
    problem = draw_data(rng)
    return Run.random(rng, problem, adaptive_matrix(problem))


def along(run: Run, direction: fmpq_mat) -> list[fmpq_mat]:
    """Multiples of a w with X w = y, with the outputs of w_t on the first input."""
    problem = run.problem
    return [direction * ((problem.phi * w)[0, 0] / problem.Y[0, 0]) for w in run.path]


def along_the_signs(run: Run) -> list[fmpq_mat]:
    """Multiples of s/4."""
    return along(run, signs(run.problem) * fmpq(1, SHARE))


def along_the_smallest(run: Run) -> list[fmpq_mat]:
    """Multiples of the w of smallest norm."""
    problem = run.problem
    return along(run, problem.phi.transpose() * problem.kernel.inv() * problem.Y)


STATEMENT = Statement(
    key="wilson",
    title="Wilson et al. (2017)",
    claim="on one data set adaptive methods take every new input for the larger class",
    text=__doc__,
    checks=(
        equality(
            "steps",
            "with any scalars times D, w_t is a multiple of sgn(X^T y)",
            draw_run,
            lambda run: run.path,
            along_the_signs,
            along_the_smallest,
            "a multiple of the w of smallest norm",
        ),
        equality(
            "adaptive-limit",
            "Eq. (9) with D = diag(|X^T y|)^{-1} gives new inputs (y + 2)/4",
            draw_data,
            adaptive_limit,
            seen_from_signs,
            Regression.limit,
            "the limit of gradient descent",
        ),
        equality(
            "smallest-norm",
            "Eq. (9) with D = 1 gives new inputs the two quotients of n_+ and n_-",
            draw_data,
            Regression.limit,
            smallest_norm,
            lambda problem: quotients(*counts(problem)[::-1]),
            "n_+ and n_- exchanged",
        ),
        equality(
            "classes",
            "the signs of gradient descent's outputs are the labels of both classes",
            draw_data,
            lambda problem: column([1, -1]),
            lambda problem: classes(problem.limit()),
            lambda problem: classes(adaptive_limit(problem)),
            "those of the adaptive methods' outputs",
        ),
    ),
)
