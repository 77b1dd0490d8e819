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
from ntklin.edge.ranges import exponent, in_range, is_far, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.discrete_time import Steps, decay, gradient_filter

if TYPE_CHECKING:
    from ntklin.theory.factorized import FactorizedKernel, Rescaled


@dataclass(frozen=True, eq=False, kw_only=True)
class DescentModes(Sendable):
    """What t steps do to each eigendirection v_i: residuals, growth, losses.

    All in double precision and in units of their own, f = 2^e f', K = 4^e K', in which no kernel
    leaves the range; the residual Y − f_0(X) has k columns (see ``Columns``), which share all else.

    Attributes
    ----------
    linearization : FactorizedKernel
    targets : ndarray, shape (N,) or (N, C)
    learning_rate, ridge : float
    rcond : float or None
    """

    linearization: FactorizedKernel
    targets: Array
    learning_rate: float
    ridge: float
    rcond: float | None

    @cached_property
    def units(self) -> Rescaled:
        """Where everything is computed: in double precision, f = 2^e f', K = 4^e K'."""
        return self.linearization.in_units(np.float64)

    @property
    def spectrum(self) -> Spectrum:
        """Of K'."""
        return self.units.linearization.spectrum

    @cached_property
    def scaled_rate(self) -> float:
        """η' = 4^e η."""
        rate = shift(float(self.learning_rate), 2 * self.units.exponent)
        remedy = "take learning_rate and ridge nearer to N/λ_max and λ_max"
        return in_range(rate, np.float64, "learning_rate times the kernel", remedy)

    @property
    def rate(self) -> float:
        """η'/N."""
        return self.scaled_rate / len(self.targets)

    @cached_property
    def scaled_ridge(self) -> float:
        """λ' = 4^(−e) λ."""
        return ridge_in_units(self.ridge, 2 * self.units.exponent)

    @cached_property
    def initial_residual(self) -> Array:
        """V^T (Y − f_0(X)), (M, k)."""
        units = self.units
        residual = units.linearization.source.residual(self.targets, units.exponent)
        return self.spectrum.vectors.T @ residual

    @cached_property
    def loss_exponent(self) -> int:
        """2y, where the losses are held as multiples of 4^y, to keep squares in range."""
        size = norm(self.initial_residual)
        return 2 * exponent(size) if size > 0 and is_far(size, np.float64) else 0

    @cached_property
    def initial_losses(self) -> Array:
        """4^(−y) |v_i^T (Y − f_0(X))|²/(2N), of which 4^(−y) L(f_0) is the sum, (M,)."""
        residual = shift(self.initial_residual, -self.loss_exponent // 2)
        losses = (residual**2).sum(axis=1) / (2 * len(self.targets))
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
        return spectrum.nonnegative if self.ridge else spectrum.significant

    @cached_property
    def floors(self) -> Array:
        """λ/(λ_i + λ), what is left of a residual for t → ∞."""
        total = self.values + self.scaled_ridge
        return np.divide(self.scaled_ridge, total, where=total > 0, out=np.ones_like(total))

    def residuals(self, steps: Steps) -> Array:
        """(λ + λ_i (1 − η(λ_i + λ)/N)^t)/(λ_i + λ), what is left of a residual, (T, M)."""
        total = self.values + self.scaled_ridge
        share = np.divide(self.values, total, where=total > 0, out=np.zeros_like(total))
        with np.errstate(under="ignore"):
            return self.floors + share * decay(total, self.rate, steps)

    def growth(self, steps: Steps) -> Array:
        """g_i(t), (T, M)."""
        g = gradient_filter(self.values + self.scaled_ridge, self.rate, steps)
        g[:, self.null] = self.null_growth(steps)[:, None]
        g[:, : self.spectrum.n_excess] = 0.0
        return g

    @cached_property
    def null(self) -> NDArray[np.bool_]:
        """Which λ_i count as 0; with a ridge that decides nothing."""
        return self.insignificant & (not self.ridge)

    def null_growth(self, steps: Steps) -> Array:
        """g_i(t) there: ηt/N, up to the reciprocal of the smallest λ that is told from 0, (T,)."""
        noise = self.spectrum.noise
        return np.minimum(self.rate * steps.count, 1 / noise if noise else 0.0)

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
        return self.spectrum.inverse(self.rcond, self.scaled_ridge)

    def faded(self, growth: Array) -> Array:
        """The growth (…, M) in the directions whose λ_i cannot be told from 0, faded."""
        return fade(growth[..., self.insignificant], self.spectrum)

    @property
    def converges(self) -> bool:
        """Whether the learning rate is below 2N/(λ_max + ridge)."""
        curvature = self.spectrum.largest + self.scaled_ridge
        below = curvature == 0 or self.scaled_rate < 2 * len(self.targets) / curvature
        return below and self.rate * curvature < 2

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
