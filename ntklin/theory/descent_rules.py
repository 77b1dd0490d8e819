"""What t steps of a descent do to a direction of curvature μ: a polynomial in μ of degree ≤ t."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ntklin.edge.arrays import Array
from ntklin.edge.sendable import Sendable
from ntklin.theory.discrete_time import Steps, as_steps, decay, decay_time, gradient_filter
from ntklin.theory.first_passage import Course, first_below


def bound_of(momentum: float, is_nesterov: bool) -> tuple[float, str]:
    """Below which ημ/N a descent converges, and the bound on η as a formula of {curvature}."""
    if not momentum:
        return 2.0, "2N/{curvature}"
    if is_nesterov:
        bound = 2 * (1 + momentum) / (1 + 2 * momentum)
        return bound, "2(1 + β)/(1 + 2β) · N/{curvature}"
    return 2 * (1 + momentum), "2(1 + β)N/{curvature}"


class Rule(Sendable, ABC):
    """A descent on a quadratic loss: of a distance from its minimum, t steps leave p_t(μ).

    p_0 = 1 and p_t(0) = 1, since nothing moves where there is no curvature. All that a closed
    form needs is p_t(μ) and (1 − p_t(μ))/μ.
    """

    @abstractmethod
    def left(self, values: Array, steps: Steps) -> Array:
        """p_t(μ), (T, n), for μ ≥ 0, (n,)."""

    @abstractmethod
    def growth(self, values: Array, steps: Steps) -> Array:
        """(1 − p_t(μ))/μ, (T, n), and its limit where μ = 0."""

    @abstractmethod
    def progress(self, steps: Steps) -> Array:
        """That limit, (T,): how far t steps go along a constant gradient."""

    @abstractmethod
    def first_below(self, course: Course, target: float) -> int | None:
        """The first t at which the loss of a course is below a target; None where there is none."""


@dataclass(frozen=True, eq=False)
class PlainRule(Rule):
    """Gradient descent, p_t(μ) = (1 − ημ/N)^t.

    Attributes
    ----------
    rate : float
        η/N.
    """

    rate: float

    def left(self, values: Array, steps: Steps) -> Array:
        """(1 − ημ/N)^t."""
        return decay(values, self.rate, steps)

    def growth(self, values: Array, steps: Steps) -> Array:
        """(1 − (1 − ημ/N)^t)/μ."""
        return gradient_filter(values, self.rate, steps)

    def progress(self, steps: Steps) -> Array:
        """ηt/N."""
        return self.rate * steps.count

    def first_below(self, course: Course, target: float) -> int | None:
        """By bisection: (1 − ημ/N)^t is monotone over the even t and over the odd t."""
        return first_below(
            lambda t: course.residuals(self.left(course.values, as_steps(t)))[0],
            course.weights,
            target,
            decay_time(course.moving, self.rate),
        )
