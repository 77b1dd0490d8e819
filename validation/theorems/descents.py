"""Gradient descent with schedule, momentum and decay in rational arithmetic: steps and powers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from flint import fmpq, fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems.rationals import (
    Regression,
    fraction,
    identity,
    selected,
    stacked,
    zeros,
)

STEPS = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class Descent:
    """PyTorch's rule on a linear model.

        g_t = ∇L(θ_t) + w θ_t,   v_{t+1} = β v_t + g_t,   v_0 = 0
        θ_{t+1} = θ_t − η_t v_{t+1},   or θ_t − η_t (g_t + β v_{t+1}) for Nesterov's

    Attributes
    ----------
    regression : Regression
    rates : tuple of fmpq
        η_0, η_1, ….
    momentum : fmpq
        β.
    is_nesterov : bool
    decay : fmpq
        w.
    """

    regression: Regression
    rates: tuple[fmpq, ...]
    momentum: fmpq | int = 0
    is_nesterov: bool = False
    decay: fmpq | int = 0

    @classmethod
    def random(cls, rng: Generator, **options: Any) -> Self:
        """Random fractions, with one rate throughout."""
        regression = Regression.random(rng)
        return cls(regression=regression, rates=(regression.rate,) * STEPS, **options)

    def replaced(self, **options: Any) -> Self:
        """The same with other options."""
        return replace(self, **options)

    def path(self) -> list[fmpq_mat]:
        """θ_1, θ_2, … by the steps themselves."""
        theta, v, found = self.regression.theta0, zeros(self.regression.n_parameters, 1), []
        for rate in self.rates:
            g = self.regression.gradient(theta) + self.decay * theta
            v = self.momentum * v + g
            theta = theta - rate * (g + self.momentum * v if self.is_nesterov else v)
            found.append(theta)
        return found

    def left(self, curvature: fmpq_mat) -> list[fmpq_mat]:
        """p_1(M), p_2(M), … of a matrix M, by products of 2×2 blocks.

        The first block of Π_s A_s, A = [[1 − a x, −b x], [1, β]] with x = η_s M/N, on (p, N v/M).

        Returns
        -------
        list of fmpq_mat
        """
        n = curvature.nrows()
        beta, product, found = self.momentum, identity(2 * n), []
        own, carried = (1 + beta, beta * beta) if self.is_nesterov else (fmpq(1), beta)
        for rate in self.rates:
            x = (rate / self.regression.n) * curvature
            step = stacked((identity(n) - own * x, -carried * x), (identity(n), beta * identity(n)))
            product = step * product
            block = selected(product, range(n)).transpose()
            found.append(selected(block, range(n)).transpose())
        return found

    def growth(self, curvature: fmpq_mat) -> list[fmpq_mat]:
        """(1 − p_t(M)) M^{-1}."""
        inverse = curvature.inv()
        return [(identity(curvature.nrows()) - p) * inverse for p in self.left(curvature)]

    def closed(self) -> list[fmpq_mat]:
        """θ_1, θ_2, … in closed form.

        With g(μ) = (1 − p_t(μ))/μ, of the matrix K + ρ and of the number ρ = N w,

            θ_t = (1 − ρ g(ρ)) θ_0 + φ^T [g(K + ρ) (Y − f_0) − ρ (g(K + ρ) − g(ρ)) K^{-1} φ θ_0]

        Returns
        -------
        list of fmpq_mat
        """
        problem, shift = self.regression, self.regression.n * self.decay
        pulled, inverse = problem.phi * problem.theta0, problem.kernel.inv()
        one = identity(1)
        of_number = self.growth(shift * one) if shift else [0 * one] * len(self.rates)
        found = []
        for G, number in zip(
            self.growth(problem.kernel + shift * identity(problem.n)), of_number, strict=True
        ):
            g = number[0, 0]
            slope = (G - g * identity(problem.n)) * inverse
            coefficients = G * problem.residual - shift * (slope * pulled)
            found.append((1 - shift * g) * problem.theta0 + problem.phi.transpose() * coefficients)
        return found


def share(rng: Generator) -> fmpq:
    """A random fraction in (0, 1)."""
    return fmpq(int(rng.integers(1, 8)), 8)


def some_rates(rng: Generator) -> tuple[fmpq, ...]:
    """Rates of a schedule, one of which is 0."""
    rates = [fraction(rng, positive=True) for _ in range(STEPS)]
    rates[int(rng.integers(STEPS))] = fmpq(0)
    return tuple(rates)
