"""Theorem 5: with a constant D, mini-batches do not change where training ends.

Its proof writes a step on a batch as a step on all samples with
D_B = (N/|B|) (P_B φ(X))^T K^{-1} φ(X), which has no inverse on φ(X), and passes through
P_B^ε = P_B + ε (1 − P_B): for every ε > 0, A^ε = φ(X)^T K^{-1}, whatever the batch. Checked in
rational arithmetic: that identity, the independence of ε, that the steps with D^ε are linear in ε
and SGD's at 0, and the consequence that θ_t − θ_0 stays in the span of D φ(X)^T whatever the
batches, where there is one interpolant only. No tolerance: nothing is rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems import theorem3, theorem6
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import diagonal, equality, fraction


@dataclass(frozen=True, eq=False)
class Step:
    """A point, a batch, and an ε.

    Attributes
    ----------
    problem : theorem3.Problem
    theta : fmpq_mat
    batch : list of int
    eps : fmpq
    """

    problem: theorem3.Problem
    theta: fmpq_mat
    batch: list[int]
    eps: fmpq


def draw_step(rng: Generator) -> Step:
    """The third step of a run with batches, on one that misses samples."""
    while True:
        problem = theorem6.draw(rng)
        if len(problem.batches[2]) < problem.regression.n:
            break
    theta = problem.regression.theta0 + theorem3.steps(problem)[1]
    return Step(problem, theta, problem.batches[2], fraction(rng, positive=True))


def batch_matrix(step: Step, eps: fmpq | int = 0, scale: bool = True) -> fmpq_mat:
    """D_B^ε = (N/|B|) (P_B^ε φ(X))^T K^{-1} φ(X)."""
    regression = step.problem.regression
    n = regression.n
    mask = diagonal([1 if k in step.batch else eps for k in range(n)])
    D = (mask * regression.phi).transpose() * regression.kernel.inv() * regression.phi
    return (fmpq(n, len(step.batch)) if scale else 1) * D


def batch_gradient(step: Step) -> fmpq_mat:
    """∇L_B."""
    return step.problem.regression.gradient(step.theta, step.batch)


def full_gradient(step: Step) -> fmpq_mat:
    """D_B ∇L."""
    return batch_matrix(step) * step.problem.regression.gradient(step.theta)


def unscaled(step: Step) -> fmpq_mat:
    """D_B ∇L without N/|B|."""
    return batch_matrix(step, scale=False) * step.problem.regression.gradient(step.theta)


def plain_pull(step: Step) -> fmpq_mat:
    """φ(X)^T K^{-1}."""
    regression = step.problem.regression
    return regression.phi.transpose() * regression.kernel.inv()


def eps_pull(step: Step, inner: Callable[[Step], fmpq] = lambda step: step.eps) -> fmpq_mat:
    """A^ε = D^ε φ(X)^T (φ(X) D^ε φ(X)^T)^{-1}."""
    phi = step.problem.regression.phi
    D = batch_matrix(step, step.eps)
    return D * phi.transpose() * (phi * batch_matrix(step, inner(step)) * phi.transpose()).inv()


def another_eps(step: Step) -> fmpq_mat:
    """The inverse taken at 2ε."""
    return eps_pull(step, inner=lambda step: 2 * step.eps)


def limit_of_steps(step: Step) -> fmpq_mat:
    """The value at ε = 0 of the line through the steps with ε and 2ε."""
    g = step.problem.regression.gradient(step.theta)
    one, two = (batch_matrix(step, k * step.eps) * g for k in (1, 2))
    return 2 * one - two


def step_at_eps(step: Step) -> fmpq_mat:
    """The step at ε itself."""
    return batch_matrix(step, step.eps) * step.problem.regression.gradient(step.theta)


def draw_constant(rng: Generator) -> theorem3.Problem:
    """A run on batches with one D throughout."""
    problem = theorem6.draw(rng)
    return replace(problem, D=[problem.D[0]] * theorem3.STEPS)


def interpolating(problem: theorem3.Problem, shift: int = 0) -> list[fmpq_mat]:
    """A (f_t(X) − f_0(X)), A of D: the part of θ_t − θ_0 that outputs on X decide."""
    phi, P = problem.regression.phi, problem.regression.n_parameters
    shifted = [D + shift * diagonal(range(1, P + 1)) for D in problem.D]
    A_t = theorem3.pulls(replace(problem, D=shifted))
    return [A * (phi * step) for A, step in zip(A_t, theorem3.steps(problem), strict=True)]


def with_another_matrix(problem: theorem3.Problem) -> list[fmpq_mat]:
    """A of D + diag(1, 2, …)."""
    return interpolating(problem, shift=1)


STATEMENT = Statement(
    key="theorem5",
    title="Theorem 5",
    claim="with a constant D, training with mini-batches ends where full-batch training does",
    text=__doc__,
    checks=(
        equality(
            "batch-matrix",
            "∇L_B = D_B ∇L: a step on a batch is an adaptive step on all samples",
            draw_step,
            batch_gradient,
            full_gradient,
            unscaled,
            "D_B without the factor N/|B|",
        ),
        equality(
            "every-epsilon",
            "A^ε = φ(X)^T K^{-1} for every ε > 0 and every batch",
            draw_step,
            plain_pull,
            eps_pull,
            another_eps,
            "the inverse at another ε",
        ),
        equality(
            "epsilon-to-zero",
            "the steps with D^ε are linear in ε, and SGD's at ε = 0",
            draw_step,
            batch_gradient,
            limit_of_steps,
            step_at_eps,
            "the step at ε > 0",
        ),
        equality(
            "no-path",
            "with a constant D and any batches, θ_t − θ_0 = A (f_t(X) − f_0(X)): B_t = 0",
            draw_constant,
            theorem3.steps,
            interpolating,
            with_another_matrix,
            "A of another matrix than the steps'",
        ),
    ),
)
