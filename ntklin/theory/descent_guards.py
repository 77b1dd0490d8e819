"""What a closed form in t refuses, and what it then says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ntklin.algebra.spectrum import refuse_degenerate
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.errors import DivergenceError, FloatRangeError
from ntklin.edge.ranges import shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.decayed_modes import DecayedModes
from ntklin.theory.descent_modes import DescentModes
from ntklin.theory.discrete_time import Steps
from ntklin.theory.first_passage import Course
from ntklin.theory.scheduled import MOST_STEPS


@dataclass(frozen=True, eq=False, kw_only=True)
class Guards(Sendable):
    """Errors of one descent.

    Attributes
    ----------
    modes : DescentModes
    """

    modes: DescentModes

    def require_convergence(self, consequence: str, *, by_products: bool = False) -> None:
        """Refuse a learning rate, a number, that is not below the bound.

        Parameters
        ----------
        consequence : str
            What then is not there.
        by_products : bool
            Whether the spectrum is not to be asked for λ_max.

        Raises
        ------
        DivergenceError
            If it is not.
        """
        modes, rate = self.modes, self.modes.learning_rate
        if callable(rate):
            return
        if by_products:
            bound = modes.bound_and_formula[0] * modes.n_samples / (modes.top or np.inf)
            if modes.top == 0 or modes.scaled_rate < bound:
                return
            bound = shift(bound, -2 * modes.units.exponent)
        elif modes.converges:
            return
        else:
            bound = modes.max_learning_rate
        raise DivergenceError(
            f"gradient descent diverges: learning_rate={rate:.6g} is not below "
            f"{self._formula} = {bound:.6g}, so {consequence}; "
            "lower it, or ask for a finite t",
            learning_rate=rate,
            bound=bound,
        )

    def require_limit(self, *, by_products: bool = False) -> None:
        """Refuse t → ∞ where there is no limit, or the kernel is singular.

        Parameters
        ----------
        by_products : bool
            Whether the spectrum is not to be asked: whoever solves then meets a singular kernel.

        Raises
        ------
        ValueError
            For a schedule.
        DivergenceError
            If the learning rate is too large.
        DegenerateKernelError
            If the spectrum says so.
        """
        modes = self.modes
        if callable(modes.learning_rate):
            raise ValueError(
                "t = None asks for a limit, which a schedule's rates alone decide: ask for a "
                "finite t; where they stay below max_learning_rate and add up to infinity, the "
                "limit is that of any constant rate"
            )
        self.require_convergence("there is no limit t = None", by_products=by_products)
        if by_products:
            return
        kernel = modes.units.linearization.kernel
        refuse_degenerate(kernel, modes.spectrum, rcond=modes.rcond, ridge=modes.penalty)

    def refuse_underflow(self, exact: Array, outputs: Array) -> None:
        """Outputs in a narrower dtype than they were computed in, all of which it takes for 0."""
        if exact.size and exact.any() and not outputs.any():
            remedy = self.modes.linearization.source.remedy
            raise FloatRangeError(f"f_t(X_new) underflows {outputs.dtype}; {remedy}")

    def refuse_overflow(self, values: Array, steps: Steps) -> None:
        """A diverging run outgrows floating point; then no digit of it is left."""
        finite = host(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if finite.all():
            return
        rate = self.modes.learning_rate
        if not callable(rate) and self.modes.converges:
            remedy = self.modes.linearization.source.remedy
            raise FloatRangeError(f"f_t, θ_t or its loss overflows {values.dtype}; {remedy}")
        first, bound = int(steps.count[~finite].min()), self.modes.max_learning_rate
        if callable(rate):
            at, rate = f"with learning_rate={rate!r}, which", float(rate(max(first - 1, 0)))
            at += f" was {rate:.6g} before it, the bound being"
        else:
            at = f"at learning_rate={rate:.6g}, not below"
        raise DivergenceError(
            f"gradient descent {at} {self._formula} = {bound:.6g}, has outgrown "
            f"{values.dtype} at t = {first:.6g}",
            learning_rate=rate,
            bound=bound,
            step=first,
        )

    @property
    def _formula(self) -> str:
        decay = " + N weight_decay" if isinstance(self.modes, DecayedModes) else ""
        return self.modes.bound_and_formula[1].format(curvature=f"(λ_max + ridge{decay})")

    def unreachable(self, target: float, course: Course | None = None) -> str:
        """Why the loss never gets there, for its course by the spectrum or another one."""
        modes = self.modes
        if callable(modes.learning_rate):
            return (
                f"the training loss does not drop below {target:.6g} within the first "
                f"{MOST_STEPS:.0e} steps of this schedule"
            )
        null = modes.values == 0 if course is None else course.shares == 0
        size = f"{int(null.sum())}-dimensional " if course is None else ""
        course = modes.course if course is None else course
        floor = shift(float(course.floors**2 @ course.weights), modes.loss_exponent)
        reasons = [f"ridge={modes.ridge:g} holds θ near θ_0"] if modes.ridge else []
        if isinstance(modes, DecayedModes):
            reasons.append(f"weight_decay={modes.decay:g} holds θ near 0")
        if null.any():
            reasons.append(f"no step moves the {size}null space of K(X, X)")
        because = f", since {' and '.join(reasons)}" if reasons else ""
        return (
            f"the training loss never drops below {target:.6g}: it approaches {floor:.6g}{because}"
        )
