"""When the training loss first drops below a target, without the spectrum: by Gauss quadrature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ntklin.algebra.krylov import recursions
from ntklin.edge.arrays import Array
from ntklin.edge.errors import ConvergenceError
from ntklin.edge.faces.shown import Shown
from ntklin.edge.ranges import exponent, is_far, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.descent_by_products import MOST
from ntklin.theory.descent_rules import PlainRule
from ntklin.theory.discrete_time import as_steps
from ntklin.theory.first_passage import Course

if TYPE_CHECKING:
    from ntklin.theory.descent_modes import DescentModes

# Two losses that agree to this are not told apart, unless a caller asks for less.
CLOSE = 1e-12
# Products between two looks, and by how much more where there have been many.
_EVERY = 5
_MORE = 1.1
# Of how many roundings of a whole spectrum a node may be: the recursion's and its eigenvalues'.
_ROUNDINGS = 4


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class StepsByProducts(Shown, Sendable):
    """After how many steps the training loss first drops below a target.

    Attributes
    ----------
    steps : int
        t, the first one at which the lower bound of L(f_t) is below the target.
    loss : tuple of two floats
        Bounds of L(f_t), at it.
    target : float
    is_proved : bool
        Whether these are bounds but for rounding: of plain gradient descent, with a ridge up to
        η = N/(λ_max + ridge), and wherever there are more than t products. Else they are two
        quadratures, whose distance estimates their error, and t was the same twice.
    iterations : int
        Products.
    """

    steps: int
    loss: tuple[float, float]
    target: float
    is_proved: bool
    iterations: int

    @property
    def is_exact(self) -> bool:
        """Whether both bounds are below the target, so that t is the first such step.

        Otherwise L(f_t) is the target or above it, by no more than the tolerance, and the first
        step below it may be a later one.
        """
        return self.loss[1] < self.target


@dataclass(frozen=True, eq=False, kw_only=True)
class LossByProducts:
    """L(f_t) = b^T q_t(K)² b/(2N), b = Y − f_0(X), from below and above by few products with K.

    q_t is what t steps leave of a residual, a polynomial, and Lanczos' recursion from b has the
    Gauss quadrature of L(f_t): exact for t < j after j products, and beyond off by at most
    2 L(f_0) times the error of the best polynomial of degree 2j − 1 for q_t², so that some
    √(t log(1/ε)) of them suffice. Where all even derivatives of q_t² are ≥ 0, as of
    (1 − ημ/N)^{2t}, it is a lower bound, and two more nodes, at both ends of an interval in which
    |q_t| ≤ 1, make an upper one.

    Attributes
    ----------
    modes : DescentModes
        Its rule and units; without weight decay.
    """

    modes: DescentModes

    @cached_property
    def residual(self) -> Array:
        """2^(−y) (Y − f_0(X)), (M, k)."""
        return shift(self._right, -self.loss_exponent // 2)

    @cached_property
    def _right(self) -> Array:
        units = self.modes.units
        return units.linearization.source.residual(self.modes.targets, units.exponent)

    @cached_property
    def loss_exponent(self) -> int:
        """2y, where the losses are held as multiples of 4^y."""
        size = norm(self._right.reshape(-1))
        return 2 * exponent(size) if size > 0 and is_far(size, np.float64) else 0

    @cached_property
    def far_end(self) -> float | None:
        """Where the upper bound has its last node; None where nothing is proved."""
        modes = self.modes
        if not isinstance(modes.rule, PlainRule):
            return None
        top, rate = modes.top, modes.rule.rate
        if not modes.penalty:
            return min(2 / rate, 2 * top)
        # Up to there 1 − ημ/N ≥ 0, and q_t² is a sum of its powers with coefficients ≥ 0.
        return min(1 / rate, 2 * top) - modes.penalty if rate * top < 1 else None

    def courses(self) -> Iterator[tuple[int, bool, Course, Course]]:
        """After ever more products, the lower and the upper quadrature, until they are the same.

        Yields
        ------
        j : int
            Products.
        is_whole : bool
            Whether they have come to an invariant space, in which both are exact.
        lower, upper : Course
        """
        product, latest = self.modes.units.linearization.source.product, 0
        for j, runs in recursions(product, self.residual, MOST):
            is_last = j == MOST or all(run.is_done for run in runs)
            if not is_last and j < max(latest + _EVERY, _MORE * latest):
                continue
            latest, below = j, [run.gauss() for run in runs]
            noise = self._noise(max((nodes[-1] for nodes, _ in below if len(nodes)), default=0.0))
            above = []
            for run, (nodes, weights) in zip(runs, below, strict=True):
                if run.is_invariant:
                    above.append((nodes, weights))
                    continue
                end = nodes[-1] * (1 + CLOSE) + noise
                end = max(2 * end if self.far_end is None else self.far_end, end)
                nodes, weights = run.lobatto(min(0.0, nodes[0]) - noise, end)
                nodes[-1] = 0.0  # where q_t is no larger
                above.append((nodes, weights))
            is_whole = all(run.is_invariant for run in runs)
            yield j, is_whole, self._course(below, noise), self._course(above, noise)

    def _noise(self, largest: float) -> float:
        """What cannot be told from an eigenvalue 0, as ``Spectrum.noise`` has it."""
        source = self.modes.units.linearization.source
        n, eps = source.n_rows, float(np.finfo(source.dtype).eps)
        return min(n, 4 * n**0.5) * eps * largest

    def _course(self, measures: list[tuple[Array, Array]], noise: float) -> Course:
        nodes, weights = (np.concatenate(parts) for parts in zip(*measures, strict=True))
        least = 0.0 if self.modes.penalty else _ROUNDINGS * noise
        values = np.where(nodes > least, nodes, 0.0)
        return self.modes.course_of(values, weights / (2 * self.modes.n_samples))

    def loss(self, course: Course, t: int) -> float:
        """That of a course at t, in the units of Y."""
        left = self.modes.rule.left(course.values, as_steps([t]))
        return shift(float(course.losses(left)[0]), self.loss_exponent)

    def first_below(
        self,
        target: float,
        tolerance: float,
        unreachable: Callable[[Course], str],
        progress: Callable[[int, float], object] | None = None,
    ) -> StepsByProducts:
        """The smallest t with L(f_t) < target.

        Parameters
        ----------
        target : float
        tolerance : float
            How far above the target the upper bound of L(f_t) may be, relative to it.
        unreachable : callable
            What to say of a loss that never gets there, from its course.
        progress : callable, optional
            Called as ``progress(iteration, excess)``, the excess being what the tolerance is for.

        Returns
        -------
        StepsByProducts

        Raises
        ------
        ValueError
            If the loss never gets there.
        ConvergenceError
            If the bounds still differ after as many products as are taken.
        """
        is_proved, before, scaled = self.far_end is not None, -1, shift(target, -self.loss_exponent)
        t, j, high = None, 0, np.inf
        for j, is_whole, lower, upper in self.courses():
            t = self.modes.rule.first_below(lower, scaled)
            is_known = is_whole or (t is not None and t < j)
            is_certain = is_proved or is_known or t == before
            before = t
            if t is None:
                if is_certain:
                    raise ValueError(unreachable(lower))
                continue
            low = self.loss(lower, t)
            high = low if is_known else self.loss(upper, t)
            excess = max(0.0, high / target - 1)
            if progress is not None:
                progress(j, excess)
            if is_certain and excess <= tolerance:
                return StepsByProducts(
                    steps=t,
                    loss=(low, high),
                    target=target,
                    is_proved=is_proved or is_known,
                    iterations=j,
                )
        raise ConvergenceError(
            f"after {j} products the training loss is known to be above {target:.6g} before "
            f"t = {t}, and there below {high:.6g}: it comes down to {target:.6g} then, later, or "
            "never; take a larger loss, or a ridge",
            solution=None,
            residual=high / target - 1,
            iterations=j,
        )
