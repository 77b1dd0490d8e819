"""Gradient descent on the linearized network in the eigenbasis of its kernel, i = 1 … M."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ntklin.algebra.spectrum import Spectrum, fade, ridge_in_units
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside
from ntklin.edge.errors import FloatRangeError
from ntklin.edge.ranges import exponent, in_range, is_far, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.runs.schedules import LearningRate
from ntklin.theory.descent_rules import PlainRule, Rule, bound_of
from ntklin.theory.discrete_time import Steps
from ntklin.theory.first_passage import Course
from ntklin.theory.momentum import MomentumRule, best_rate
from ntklin.theory.scheduled import ScheduledRule

if TYPE_CHECKING:
    from ntklin.theory.factorized import FactorizedKernel, Rescaled


@dataclass(frozen=True, eq=False, kw_only=True)
class Motion:
    """What some steps do: f_t(x) = f_0(x) + K(x, X) V c_t − s_t φ(x) θ_0, θ_t alike.

    Attributes
    ----------
    growth : ndarray, shape (T, M)
        g_i(t).
    faded : ndarray, shape (T, n)
        The same in the directions whose λ_i cannot be told from 0, faded.
    residual : ndarray, shape (M, k)
        V^T (Y − f_0(X)).
    insignificant : ndarray, shape (M,), bool
        Which these directions are.
    pull : ndarray, shape (T, M), or None
        What decay adds to c_t.
    shrunk : ndarray, shape (T,), or None
        s_t, the share of θ_0 that decay has taken.
    """

    growth: Array
    faded: Array
    residual: Array
    insignificant: NDArray[np.bool_]
    pull: Array | None = None
    shrunk: Array | None = None

    def coefficients(self, column: int = 0) -> Array:
        """c_t of a column of outputs, (T, M)."""
        driven = self.growth * self.residual[:, column]
        return driven if self.pull is None else driven + self.pull

    def doubtful_coefficients(self, column: int = 0) -> Array:
        """c_t in directions that cannot be told from 0, (T, n)."""
        return self.faded * self.residual[self.insignificant, column]


@dataclass(frozen=True, eq=False, kw_only=True)
class DescentModes(Sendable):
    """What t steps do to each eigendirection v_i: residuals, growth, losses.

    All in double precision and in units of their own, f = 2^e f', K = 4^e K', in which no kernel
    leaves the range; the residual Y − f_0(X) has k columns (see ``Columns``), which share all else.

    Attributes
    ----------
    linearization : FactorizedKernel
    targets : ndarray, shape (N,) or (N, C)
    learning_rate : float, or callable t ↦ η_t
    ridge : float
    rcond : float or None
    momentum : float
    nesterov : bool
    """

    linearization: FactorizedKernel
    targets: Array
    learning_rate: LearningRate
    ridge: float
    rcond: float | None
    momentum: float = 0.0
    nesterov: bool = False

    @cached_property
    def units(self) -> Rescaled:
        """Where everything is computed: in double precision, f = 2^e f', K = 4^e K'."""
        return self.linearization.in_units(np.float64)

    @property
    def spectrum(self) -> Spectrum:
        """Of K'."""
        return self.units.linearization.spectrum

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.targets)

    @cached_property
    def rule(self) -> Rule:
        """What t steps do to a direction of curvature μ, in these units."""
        if callable(self.learning_rate):
            return ScheduledRule(
                schedule=self.learning_rate,
                exponent=2 * self.units.exponent,
                n_samples=self.n_samples,
                momentum=self.momentum,
                is_nesterov=self.nesterov,
            )
        if self.momentum:
            return MomentumRule(self.rate, self.momentum, self.nesterov)
        return PlainRule(self.rate)

    @cached_property
    def scaled_rate(self) -> float:
        """η' = 4^e η of a learning rate that is a number."""
        assert not callable(self.learning_rate)
        rate = shift(float(self.learning_rate), 2 * self.units.exponent)
        remedy = "take learning_rate and ridge nearer to N/λ_max and λ_max"
        return in_range(rate, np.float64, "learning_rate times the kernel", remedy)

    @property
    def rate(self) -> float:
        """η'/N."""
        return self.scaled_rate / self.n_samples

    @cached_property
    def scaled_ridge(self) -> float:
        """λ' = 4^(−e) λ."""
        return ridge_in_units(self.ridge, 2 * self.units.exponent)

    @property
    def penalty(self) -> float:
        """What is added to every eigenvalue: λ'."""
        return self.scaled_ridge

    @cached_property
    def top(self) -> float:
        """λ'_max + λ', from above and without the spectrum where there are many rows."""
        units = self.units
        # The given kernel's is known already where the learning rate was made from it.
        lin = units.linearization if units.exponent else self.linearization
        return lin.largest_eigenvalue + self.penalty

    @cached_property
    def initial_residual(self) -> Array:
        """V^T (Y − f_0(X)), (M, k)."""
        units = self.units
        residual = units.linearization.source.residual(self.targets, units.exponent)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.spectrum.vectors.T @ residual
        if not np.isfinite(found).all():
            raise FloatRangeError("sums over Y − f_0(X) overflow float64; scale Y")
        return found

    @cached_property
    def loss_exponent(self) -> int:
        """2y, where the losses are held as multiples of 4^y, to keep squares in range."""
        size = norm(self.initial_residual)
        return 2 * exponent(size) if size > 0 and is_far(size, np.float64) else 0

    @cached_property
    def initial_losses(self) -> Array:
        """4^(−y) |v_i^T (Y − f_0(X))|²/(2N), of which 4^(−y) L(f_0) is the sum, (M,)."""
        residual = shift(self.initial_residual, -self.loss_exponent // 2)
        losses = (residual**2).sum(axis=1) / (2 * self.n_samples)
        in_range(float(losses.sum()), np.float64, "the loss", "scale Y", scale=self.loss_exponent)
        return losses

    @cached_property
    def insignificant(self) -> NDArray[np.bool_]:
        """Which λ_i cannot be told from 0, (M,)."""
        return self.spectrum.significant == 0

    @cached_property
    def values(self) -> Array:
        """λ_i, 0 where it is rounding; with a ridge that only matters below 0."""
        spectrum = self.spectrum
        return spectrum.nonnegative if self.penalty else spectrum.significant

    @cached_property
    def course(self) -> Course:
        """The loss in multiples of 4^y, by what is left of each v_i^T (Y − f_0(X))."""
        return self.course_of(self.values, self.initial_losses)

    def course_of(self, values: Array, weights: Array) -> Course:
        """The course of a loss that is Σ_i w_i at t = 0, w_i of it in directions of these λ_i.

        Of a residual is left (λ + λ_i p_t(λ_i + λ))/(λ_i + λ), with p_t(μ) = (1 − ημ/N)^t of plain
        descent.

        Parameters
        ----------
        values, weights : ndarray, shape (M,)
            λ_i ≥ 0 and w_i ≥ 0.

        Returns
        -------
        Course
        """
        total = values + self.penalty
        floors = np.divide(self.penalty, total, where=total > 0, out=np.ones_like(total))
        shares = np.divide(values, total, where=total > 0, out=np.zeros_like(total))
        return Course(values=total, floors=floors, shares=shares, weights=weights)

    def losses(self, steps: Steps) -> Array:
        """4^(−y) L(f_t), (T,)."""
        return self.course.losses(self.rule.left(self.course.values, steps))

    def limiting_loss(self) -> float:
        """4^(−y) L(f_∞): where the rank cut leaves a direction alone, all of it is left."""
        kept = self.spectrum.kept(self.rcond, self.penalty)
        shares = np.where(kept, self.course.floors, 1.0)
        return float(shares**2 @ self.course.weights)

    def growth(self, steps: Steps) -> Array:
        """g_i(t), (T, M)."""
        g = self.rule.growth(self.values + self.penalty, steps)
        g[:, self.null] = self.null_growth(steps)[:, None]
        g[:, : self.spectrum.n_excess] = 0.0
        return g

    def motion(self, steps: Steps) -> Motion:
        """What t steps do, T of them."""
        return self._moving(self.growth(steps))

    def limiting_motion(self) -> Motion:
        """What they do for t → ∞."""
        return self._moving(self.limiting_growth()[None])

    def _moving(self, growth: Array) -> Motion:
        return Motion(
            growth=growth,
            faded=self.faded(growth),
            residual=self.initial_residual,
            insignificant=self.insignificant,
        )

    @cached_property
    def null(self) -> NDArray[np.bool_]:
        """Which λ_i count as 0; with a ridge that decides nothing."""
        return self.insignificant & (not self.penalty)

    def null_growth(self, steps: Steps) -> Array:
        """g_i(t) there: ηt/N in plain descent, at most the reciprocal of the least λ told from 0.

        Returns
        -------
        ndarray, shape (T,)
        """
        noise = self.spectrum.noise
        return np.minimum(self.rule.progress(steps), 1 / noise if noise else 0.0)

    @cached_property
    def null_direction(self) -> tuple[Array, bool]:
        """φ^T times the residual's part in null directions, (P,), and whether it is no rounding.

        As in ``spectral.modes``: an exact null space has no gradient, and many steps must not
        amplify what rounding leaves of it; that of two nearly equal rows has one, and they do.
        """
        spectrum, null = self.spectrum, self.null.copy()
        null[: spectrum.n_excess] = False
        residual = spectrum.vectors[:, null] @ self.initial_residual[null, 0]
        size = norm(residual)
        unit = exponent(size)
        phi = self.units.linearization.features
        direction = phi.T @ beside(shift(residual, -unit), phi.inputs)
        lengths = np.sqrt(self.values)  # ‖φ(X)^T v_j‖
        rounding = np.linalg.norm(lengths * spectrum.tilts) * shift(size, -unit)
        certain = bool(float(np.linalg.norm(direction)) > rounding)
        return shift(phi.step(direction), unit - self.units.exponent), certain

    def move(self, coefficients: Array) -> Array:
        """φ^T α for α = 4^(−e) times these coefficients, (P,), float64."""
        phi, e = self.units.linearization.features, self.units.exponent
        size = norm(coefficients)
        unit = exponent(size) if is_far(size, np.float64) else 0
        direction = phi.T @ beside(shift(coefficients, -unit), phi.inputs)
        return shift(phi.step(direction), unit - e)

    def limiting_growth(self) -> Array:
        """1/(λ_i + λ) on the kept spectrum, (M,)."""
        return self.spectrum.inverse(self.rcond, self.penalty)

    def faded(self, growth: Array) -> Array:
        """The growth (…, M) in the directions whose λ_i cannot be told from 0, faded."""
        return fade(growth[..., self.insignificant], self.spectrum)

    @property
    def bound_and_formula(self) -> tuple[float, str]:
        """Below which ημ/N it converges, and the bound on η as a formula of {curvature}."""
        return bound_of(self.momentum, self.nesterov)

    @property
    def curvature(self) -> float:
        """What is added to every λ_i, in the kernel's own units."""
        return self.ridge

    @property
    def max_learning_rate(self) -> float:
        """The bound on η."""
        return self.linearization.rate_bound(self.bound_and_formula[0], self.curvature)

    @property
    def best_learning_rate(self) -> float:
        """The η at which the slowest direction contracts fastest."""
        moving = self.spectrum.significant
        moving = moving[moving > 0] + self.penalty
        ratio = float(moving[0] / moving[-1]) if len(moving) else 1.0
        number = best_rate(ratio, self.momentum, self.nesterov)
        return self.linearization.rate_bound(number, self.curvature)

    @property
    def converges(self) -> bool:
        """Whether the learning rate, a number, is below the bound."""
        curvature, bound = self.spectrum.largest + self.penalty, self.bound_and_formula[0]
        below = curvature == 0 or self.scaled_rate < bound * self.n_samples / curvature
        return below and self.rate * curvature < bound

    def response(self, certain: Array, doubtful: Array, growth: Array, faded: Array) -> Array:
        """K(x, X) V diag(g) V^T, the map from Y − f_0(X) to f_t(x) − f_0(x), (M_new, M).

        Parameters
        ----------
        certain, doubtful : ndarray
            See ``FactorizedKernel.modes_at``.
        growth : ndarray, shape (M,)
            g of what is certain.
        faded : ndarray
            g of what is doubtful.

        Returns
        -------
        ndarray, shape (M_new, M)
        """
        V = self.spectrum.vectors
        response = (certain * growth) @ V.T
        return response + (doubtful * faded) @ V[:, self.insignificant].T
