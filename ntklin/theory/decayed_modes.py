"""Gradient descent with L2 decay in the eigenbasis of the kernel, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.spectrum import ridge_in_units
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.ranges import exponent, is_far, norm, shift
from ntklin.theory.descent_modes import DescentModes, Motion
from ntklin.theory.discrete_time import Steps, as_steps
from ntklin.theory.first_passage import Course


@dataclass(frozen=True, eq=False, kw_only=True)
class DecayedModes(DescentModes):
    r"""The same where the loss has (w/2) ‖θ‖² beside it, w the decay.

    The loss is a quadratic with curvatures μ_i = λ_i + ρ, ρ = λ + N w, along φ(X)^T v_i, and ρ
    elsewhere. With g(μ) = (1 − p_t(μ))/μ and q = V^T φ(X) θ_0, t steps lead to

    .. math::

        \theta_t = (1 - N w\, g(\rho)) \theta_0 + \varphi(X)^T V \left[ g(\mu_i)
            V^T (Y - f_0(X)) - N w\, \frac{g(\mu_i) - g(\rho)}{\lambda_i} q \right]_i

    so that (1 − P_F) θ_0 shrinks to c_t = p_t(ρ) of itself where there is no ridge.

    Attributes
    ----------
    decay : float
        w > 0.
    """

    decay: float

    @cached_property
    def scaled_decay(self) -> float:
        """N w in the units of the kernel."""
        return ridge_in_units(self.n_samples * self.decay, 2 * self.units.exponent)

    @property
    def penalty(self) -> float:
        """ρ = λ + N w."""
        return self.scaled_ridge + self.scaled_decay

    @property
    def curvature(self) -> float:
        """What is added to every λ_i, in the kernel's own units."""
        return self.ridge + self.n_samples * self.decay

    @cached_property
    def start(self) -> Array:
        """q = V^T φ(X) θ_0, (M,)."""
        return self.spectrum.vectors.T @ self.along_parameters()

    def along_parameters(self, X_new: ArrayLike | None = None) -> Array:
        """φ(x) θ_0 on X, or on other inputs, (M_new,), in these units."""
        phi = self.units.linearization.features
        if X_new is not None:
            phi = phi.at(self.units.linearization.source.new_inputs(X_new))
        return host(phi.along_parameters()).astype(np.float64, copy=False)

    def motion(self, steps: Steps) -> Motion:
        """What t steps do, T of them."""
        values = np.append(self.values + self.penalty, self.penalty)
        both = self.rule.growth(values, steps)
        growth, own = both[:, :-1].copy(), both[:, -1]
        growth[:, : self.spectrum.n_excess] = 0.0
        return self._motion(growth, own)

    def limiting_motion(self) -> Motion:
        """What they do for t → ∞."""
        return self._motion(self.limiting_growth()[None], np.full(1, 1 / self.penalty))

    def _motion(self, growth: Array, own: Array) -> Motion:
        # Of what rounding alone tells from 0, (g(μ) − g(ρ))/λ_i would be made of rounding, too: it
        # counts as outside of F.
        values = self.spectrum.significant
        known = (values > 0) & (growth != 0).any(axis=0)
        with np.errstate(all="ignore"):
            slopes = np.where(known, (growth - own[:, None]) / values, 0.0)
            pull = -self.scaled_decay * slopes * self.start
        faded = self.faded(growth)
        return Motion(
            growth=growth,
            faded=faded,
            residual=self.initial_residual,
            insignificant=self.insignificant,
            pull=pull,
            shrunk=self.scaled_decay * own,
        )

    @cached_property
    def loss_exponent(self) -> int:
        """2y, where the losses are held as multiples of 4^y."""
        size = max(norm(self.initial_residual), norm(self.start))
        return 2 * exponent(size) if size > 0 and is_far(size, np.float64) else 0

    @cached_property
    def course(self) -> Course:
        """The loss by the residuals r_i(t) = r_i(∞) + (r_i(0) − r_i(∞)) p_t(μ_i) themselves."""
        total = self.values + self.penalty
        first = shift(self.initial_residual[:, 0], -self.loss_exponent // 2)
        start = shift(self.start, -self.loss_exponent // 2)
        weights = np.full(len(total), 1 / (2 * self.n_samples))
        return Course(
            values=total,
            floors=(self.penalty * first + self.scaled_decay * start) / total,
            shares=(self.values * first - self.scaled_decay * start) / total,
            weights=weights,
        )

    def limiting_loss(self) -> float:
        """4^(−y) L(f_∞)."""
        kept, course = self.spectrum.kept(self.rcond, self.penalty), self.course
        first = shift(self.initial_residual[:, 0], -self.loss_exponent // 2)
        start = shift(self.start, -self.loss_exponent // 2)
        alone = first + self.scaled_decay / self.penalty * start
        return float(np.where(kept, course.floors, alone) ** 2 @ course.weights)

    @property
    def _shrinking(self) -> Course:
        """The square of 1 − N w g(ρ), what is left of (1 − P_F) θ_0."""
        parts = np.array([[self.penalty], [self.scaled_ridge], [self.scaled_decay]])
        values, floors, shares = parts / [[1.0], [self.penalty], [self.penalty]]
        return Course(values=values, floors=floors, shares=shares, weights=np.ones(1))

    def left_of_start(self, steps: Steps) -> Array:
        """What is left of (1 − P_F) θ_0, (T,)."""
        course = self._shrinking
        return course.residuals(self.rule.left(course.values, steps))[:, 0]

    def step_nearest(self, share: float) -> int | None:
        """The t around the first passage of this share at which what is left is nearest to it."""
        t = self.rule.first_below(self._shrinking, share**2)
        if not t:
            return t
        before, after = self.left_of_start(as_steps([t - 1, t])).tolist()
        return t - 1 if before - share <= share - after else t
