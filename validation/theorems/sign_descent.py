"""SignGD, which is Adam with β_1 = β_2 = ε = 0, moves outputs by a kernel that is not symmetric.

On one sample the gradient is r φ(x_1)^T with r = f(x_1) − y_1, so that θ ← θ − η sgn(gradient) has

    f_{t+1}(x) = f_t(x) − η sgn(r_t) K(x, x_1),   K(x, x') = φ(x) sgn(φ(x'))^T,

and so has any sequence of samples, one a step, with the sample of each step for x_1. K(x, x_1) is
K_D(x, x_1) for Example 1's D = diag(|φ_j(x_1)|)^{-1}, and K(x, x) = ‖φ(x)‖_1. In rational
arithmetic, and with the library's Adam on a linearized network: its rounding over five steps is
some eps of the outputs, and 64 eps are allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from flint import fmpq, fmpq_mat
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, network
from ntklin.validation.theorems.rationals import (
    Regression,
    column,
    diagonal,
    equality,
    rows,
    selected,
)
from ntklin.validation.theorems.statistics import everywhere

STEPS = 5


def signs(A: fmpq_mat) -> fmpq_mat:
    """sgn of every entry."""
    return rows(*([(x > 0) - (x < 0) for x in row] for row in A.tolist()))


def sign_kernel(phi: fmpq_mat, other: fmpq_mat) -> fmpq_mat:
    """φ(x) sgn(φ(x'))^T."""
    return phi * signs(other).transpose()


def transposed(phi: fmpq_mat, other: fmpq_mat) -> fmpq_mat:
    """sgn(φ(x)) φ(x')^T."""
    return signs(phi) * other.transpose()


@dataclass(frozen=True, eq=False)
class Run:
    """One sample a step.

    Attributes
    ----------
    problem : Regression
    samples : list of int
    """

    problem: Regression
    samples: list[int]

    def outputs(self) -> list[fmpq_mat]:
        """f_t at the new inputs, from θ_t by the signs of the gradients themselves."""
        problem, theta, found = self.problem, self.problem.theta0, []
        for n in self.samples:
            theta -= problem.rate * signs(problem.gradient(theta, [n]))
            found.append(problem.predict(theta))
        return found

    def by_kernel(
        self, kernel: Callable[[fmpq_mat, fmpq_mat], fmpq_mat] = sign_kernel
    ) -> list[fmpq_mat]:
        """The same from f alone."""
        problem, found = self.problem, []
        f, f_new = problem.f0, problem.f0_new
        for n in self.samples:
            phi = selected(problem.phi, [n])
            move = problem.rate * signs(selected(f - problem.Y, [n]))
            f -= kernel(problem.phi, phi) * move
            f_new -= kernel(problem.phi_new, phi) * move
            found.append(f_new)
        return found


def draw_run(rng: Generator) -> Run:
    """Random samples of three."""
    return Run(Regression.random(rng), [int(n) for n in rng.integers(3, size=STEPS)])


def weighted(problem: Regression, D: Callable[[fmpq], fmpq] = lambda x: 1 / abs(x)) -> fmpq_mat:
    """K_D(x, x_1) with Example 1's D, and D_j = 0 where φ_j(x_1) = 0."""
    first = selected(problem.phi, [0])
    weights = diagonal([D(x) if x != 0 else fmpq(0) for x in first.entries()])
    return column((problem.phi_new * weights * first.transpose()).entries())


Sampled = tuple[Array, Array, Array, list[int], Array, Array]


def adam(data: Data, rng: Generator) -> Sampled:
    """The library's Adam, linearized, a sample a step, and what the kernel is made of."""
    net = network(16)
    theta = net.init(rng)
    samples = [int(n) for n in rng.integers(len(data.Y), size=STEPS)]
    optimizer = ntklin.Adam(0.01, betas=(0.0, 0.0), eps=0.0)
    run = ntklin.linearize(net, theta, data.X).train(
        data.Y, optimizer, STEPS, batches=[[n] for n in samples]
    )
    J, J_new = net.jacobian(theta, data.X), net.jacobian(theta, data.X_test)
    outputs = net.apply(theta, data.X) - data.Y, net.apply(theta, data.X_test)
    return run.predict(data.X_test), J, J_new, samples, *outputs


def rounding(
    sampled: Sampled,
    kernel: Callable[[Array, Array], Array] = lambda phi, other: phi @ np.sign(other),
) -> float:
    """64 eps less the largest distance of the outputs."""
    found, J, J_new, samples, residual, f_new = sampled
    for n in samples:
        move = 0.01 * np.sign(residual[n])
        residual = residual - move * kernel(J, J[n])
        f_new = f_new - move * kernel(J_new, J[n])
    return 64 * float(np.finfo(float).eps) - float(np.abs(found - f_new).max())


def rounding_transposed(sampled: Sampled) -> float:
    """With sgn(φ(x)) φ(x')^T."""
    return rounding(sampled, lambda phi, other: np.sign(phi) @ other)


STATEMENT = Statement(
    key="sign-descent",
    title="SignGD",
    claim="on one sample a step it moves f(x) by −η sgn(r) K(x, x_1), K(x, x') = φ(x) sgn φ(x')^T",
    text=__doc__,
    checks=(
        equality(
            "steps",
            "one sample a step, f_t follows from f_0 and K alone",
            draw_run,
            Run.outputs,
            Run.by_kernel,
            lambda run: run.by_kernel(transposed),
            "K transposed: it is not symmetric",
        ),
        equality(
            "example1",
            "K(x, x_1) is K_D(x, x_1) of Example 1's D",
            Regression.random,
            lambda problem: sign_kernel(problem.phi_new, selected(problem.phi, [0])),
            weighted,
            lambda problem: weighted(problem, lambda x: fmpq(1)),
            "D = 1",
        ),
        everywhere(
            "adam",
            "Adam with β_1 = β_2 = ε = 0 of the linearized network takes these steps",
            draw_data,
            adam,
            rounding,
            rounding_transposed,
            "K transposed",
            n_draws=50,
            quick=3,
        ),
    ),
)
