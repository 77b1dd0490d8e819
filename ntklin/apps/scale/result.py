"""What is measured of one minimizer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from ntklin.apps.scale.clock import Phase


@dataclass(frozen=True, kw_only=True)
class SizeResult:
    """The minimizer of the first N training points.

    Attributes
    ----------
    n : int
        N.
    solver : str
    residual : float
        The larger one of ‖K α − R‖/‖R‖ for R = Y and f_0(X), in float64.
    iterations : int
        Of conjugate gradients.
    residuals : tuple of float
        After each of them, the larger one of both right-hand sides, as the recursion carries it
        along; with those of earlier runs.
    error_bound : float
        What the relative errors of K^{-1} Y and K^{-1} f_0(X) are expected to stay below.
    test_loss : float
        L(f_∞) on the test points.
    test_accuracy : float or None
        The share of test points whose class f_∞ gives; None of targets of no classes.
    interpolator_test_loss : float
        L(f_int).
    interpolator_accuracy : float or None
    initialization_size : float
        ‖f_init(X_test)‖/√(2 N_test), in units of the root of a test loss.
    phases : tuple of Phase
    """

    n: int
    solver: str
    residual: float
    iterations: int
    residuals: tuple[float, ...]
    error_bound: float
    test_loss: float
    test_accuracy: float | None
    interpolator_test_loss: float
    interpolator_accuracy: float | None
    initialization_size: float
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """Of all phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def peak_memory(self) -> int | None:
        """The most bytes that the process had."""
        return max((p.peak_memory for p in self.phases if p.peak_memory is not None), default=None)

    def numbers(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_numbers(cls, numbers: dict[str, Any]) -> Self:
        """What ``numbers`` gave."""
        phases: Any = tuple(Phase(**phase) for phase in numbers["phases"])
        return cls(**{**numbers, "phases": phases, "residuals": tuple(numbers["residuals"])})
