"""Data of two classes on which minimizers can be told apart by hand: for wilson and shah.

The model is linear, f(x) = ⟨w, x⟩ from w = 0, with labels y = ±1, n_+ > n_- ≥ 1 of them. An input
has y in the first ``n_signals`` entries, the same ``constants`` in the next, and numbers of its own
in places where all other inputs have 0. A new input's own places have not been seen.

With s = sgn(X^T y) the sum of an input's entries times s is ``share`` times y, for both classes.
So all gradients lie along X^T y, AdaGrad, RMSprop and Adam are D = diag(|X^T y|_j)^{-1} with a
scalar for each step, as in Example 1, and end at s/share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.check import Check
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


@dataclass(frozen=True)
class TwoClasses:
    """What inputs of both classes have.

    Attributes
    ----------
    n_signals : int
        Entries that are y.
    constants : tuple of int
        Entries that are the same for all inputs; positive.
    own : dict of {1, -1} to tuple of int
        The entries of an input of the class in places of its own; positive.
    most : int
        Of n_+.
    """

    n_signals: int
    constants: tuple[int, ...]
    own: dict[int, tuple[int, ...]]
    most: int

    @property
    def share(self) -> int:
        """c in X sgn(X^T y) = c y."""
        return self.n_signals + sum(self.constants) + sum(self.own[1])

    def shared(self, y: int) -> list[int]:
        """The entries of an input that others have, too."""
        return [y] * self.n_signals + list(self.constants)

    def draw(self, rng: Generator) -> Regression:
        """Labels in random order, and one new input of each class."""
        n_positive = int(rng.integers(2, self.most + 1))
        labels = [1] * n_positive + [-1] * int(rng.integers(1, n_positive))
        labels = [labels[i] for i in rng.permutation(len(labels))]
        start = len(self.shared(1))
        n_parameters = start + sum(len(self.own[y]) for y in labels)
        inputs = []
        for y in labels:
            x = self.shared(y) + [0] * (n_parameters - len(self.shared(y)))
            x[start : start + len(self.own[y])] = self.own[y]
            start += len(self.own[y])
            inputs.append(x)
        unseen = [0] * (n_parameters - len(self.shared(1)))
        new = [self.shared(y) + unseen for y in (1, -1)]
        start_at = zeros(len(labels), 1), zeros(2, 1), column(labels), zeros(n_parameters, 1)
        return Regression(rows(*inputs), rows(*new), *start_at, fraction(rng, positive=True))

    def smallest_norm(self, n_positive: int, n_negative: int) -> fmpq_mat:
        """What the w of smallest norm gives new inputs of both classes, by hand.

        The coefficients of X^T α = w are a and −b in the two classes, and solve

            a (B_+ + (s + q) n_+) + b (s − q) n_- = 1,   s = n_signals, q = Σ constants²
            a (s − q) n_+ + b (B_- + (s + q) n_-) = 1,   B = Σ own² of the class

        Returns
        -------
        fmpq_mat, shape (2, 1)
        """
        s, q = self.n_signals, sum(c * c for c in self.constants)
        positive, negative = (sum(c * c for c in self.own[y]) for y in (1, -1))
        p, m = n_positive, n_negative
        d = (positive + (s + q) * p) * (negative + (s + q) * m) - (s - q) ** 2 * p * m
        a, b = negative + 2 * q * m, positive + 2 * q * p
        return column(
            [
                fmpq((s + q) * p * a + (s - q) * m * b, d),
                fmpq(-(s - q) * p * a - (s + q) * m * b, d),
            ]
        )

    def from_signs(self, problem: Regression) -> fmpq_mat:
        """What s/share gives new inputs: (n_signals y + Σ constants)/share."""
        return problem.phi_new * signs(problem) * fmpq(1, self.share)

    def along_signs(self, run: Run) -> list[fmpq_mat]:
        """Multiples of s/share, with the outputs of w_t on the first input."""
        return _along(run, signs(run.problem) * fmpq(1, self.share))


def _counts(problem: Regression) -> tuple[int, int]:
    """n_+ and n_-."""
    n_positive = sum(1 for y in problem.Y.entries() if y > 0)
    return n_positive, problem.n - n_positive


def _pull(problem: Regression) -> list[fmpq]:
    """X^T y, of which no entry is 0."""
    return (problem.phi.transpose() * problem.Y).entries()


def signs(problem: Regression) -> fmpq_mat:
    """sgn(X^T y)."""
    return column([1 if x > 0 else -1 for x in _pull(problem)])


def adaptive_matrix(problem: Regression) -> fmpq_mat:
    """diag(|X^T y|)^{-1}."""
    return diagonal([1 / abs(x) for x in _pull(problem)])


def adaptive_limit(problem: Regression) -> fmpq_mat:
    """Where the adaptive methods end, by Eq. (9)."""
    return problem.limit(adaptive_matrix(problem))


def _draw_run(data: TwoClasses, rng: Generator) -> Run:
    """The data, with the adaptive methods' D."""
    problem = data.draw(rng)
    return Run.random(rng, problem, adaptive_matrix(problem))


def _along(run: Run, direction: fmpq_mat) -> list[fmpq_mat]:
    """Multiples of a w with X w = y, with the outputs of w_t on the first input."""
    problem = run.problem
    return [direction * ((problem.phi * w)[0, 0] / problem.Y[0, 0]) for w in run.path]


def _along_smallest(run: Run) -> list[fmpq_mat]:
    """Multiples of the w of smallest norm."""
    problem = run.problem
    return _along(run, problem.phi.transpose() * problem.kernel.inv() * problem.Y)


def _classes(values: fmpq_mat) -> fmpq_mat:
    """The signs of outputs."""
    return column([(x > 0) - (x < 0) for x in values.entries()])


def checks(
    data: TwoClasses,
    seen: str,
    right: tuple[str, Callable[[Regression], fmpq_mat]],
    wrong: tuple[str, Callable[[Regression], fmpq_mat]],
) -> tuple[Check, ...]:
    """The path, both limits, and who classifies new inputs rightly.

    Parameters
    ----------
    data : TwoClasses
    seen : str
        What the adaptive methods give new inputs, as a formula.
    right, wrong : (str, callable)
        Whose outputs have the signs of the labels, and whose do not, with ``limit(problem)``.

    Returns
    -------
    tuple of Check
    """
    return (
        equality(
            "steps",
            "with any scalars times D, w_t is a multiple of sgn(X^T y)",
            partial(_draw_run, data),
            lambda run: run.path,
            data.along_signs,
            _along_smallest,
            "a multiple of the w of smallest norm",
        ),
        equality(
            "adaptive-limit",
            f"Eq. (9) with D = diag(|X^T y|)^{{-1}} gives new inputs {seen}",
            data.draw,
            adaptive_limit,
            data.from_signs,
            Regression.limit,
            "the limit of gradient descent",
        ),
        equality(
            "smallest-norm",
            "Eq. (9) with D = 1 gives new inputs the two quotients of n_+ and n_-",
            data.draw,
            Regression.limit,
            lambda problem: data.smallest_norm(*_counts(problem)),
            lambda problem: data.smallest_norm(*_counts(problem)[::-1]),
            "n_+ and n_- exchanged",
        ),
        equality(
            "classes",
            f"the signs of {right[0]}'s outputs are the labels of both classes",
            data.draw,
            lambda problem: column([1, -1]),
            lambda problem: _classes(right[1](problem)),
            lambda problem: _classes(wrong[1](problem)),
            f"those of {wrong[0]}'s outputs",
        ),
    )
