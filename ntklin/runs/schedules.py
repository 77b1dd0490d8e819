"""Learning rates that change from step to step: η_t as a function of t.

A learning rate is a number or any callable t → η_t for the step t = 0, 1, … that goes from θ_t to
θ_{t+1}. The schedules here are PyTorch's, in closed form, so that a run can begin at any t.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntklin.edge.checks import (
    as_learning_rate,
    as_nonnegative,
    as_number,
    as_positive,
    as_step,
)
from ntklin.edge.values import said

#: What optimizers and closed forms take as a learning rate.
LearningRate = float | Callable[[int], float]


class Schedule(ABC):
    """A learning rate η_t that depends on the step t alone; called as ``schedule(t)``.

    Subclasses have ``__call__``, and compare by value. A saved run names those of ntklin; one of
    your own is passed again where a run goes on from a file, as any function is.

    Schedules multiply with each other and with numbers, step by step:
    ``WarmupSchedule(100) * CosineSchedule(0.1, 1000)``.
    """

    __array_ufunc__ = None  # so that NumPy's numbers leave products to ``__rmul__``

    @abstractmethod
    def __call__(self, t: int, /) -> float:
        """η_t of the step t = 0, 1, …, from θ_t to θ_{t+1}."""

    def __mul__(self, other: Schedule | float) -> Schedule:
        if not isinstance(other, Schedule):
            try:
                other = ConstantSchedule(as_nonnegative(other, name="the factor"))
            except TypeError:
                return NotImplemented
        return ProductSchedule((*factors_of(self), *factors_of(other)))

    __rmul__ = __mul__


@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """η_t = η.

    Parameters
    ----------
    learning_rate : float
        η ≥ 0.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        _check(self, learning_rate=as_nonnegative)

    def __call__(self, t: int, /) -> float:
        """η, whatever the step."""
        as_step(t)
        return self.learning_rate


@dataclass(frozen=True)
class StepSchedule(Schedule):
    """η_t = η γ^⌊t/s⌋, as ``torch.optim.lr_scheduler.StepLR``.

    Parameters
    ----------
    learning_rate : float
        η, of the first s steps.
    step_size : int
        s, after so many steps each η_t is multiplied by γ.
    gamma : float
        γ > 0.
    """

    learning_rate: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _check(self, learning_rate=as_learning_rate, step_size=_length, gamma=as_positive)

    def __call__(self, t: int, /) -> float:
        """η γ^⌊t/s⌋."""
        t = as_step(t)
        try:
            return self.learning_rate * self.gamma ** (t // self.step_size)
        except OverflowError:
            return math.inf


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """η_t = η_min + (η − η_min)(1 + cos(π t/T))/2, as ``lr_scheduler.CosineAnnealingLR``.

    From η at t = 0 down to η_min at t = T; beyond T it rises again, to η at 2T, as PyTorch's does.

    Parameters
    ----------
    learning_rate : float
        η.
    steps : int
        T.
    minimum : float
        η_min ≥ 0.

    Examples
    --------
    >>> import ntklin
    >>> schedule = ntklin.WarmupSchedule(5, start_factor=0.2) * ntklin.CosineSchedule(0.1, 100)
    >>> [round(schedule(t), 4) for t in (0, 5, 50, 100)]
    [0.02, 0.0994, 0.05, 0.0]
    """

    learning_rate: float
    steps: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _check(self, learning_rate=as_learning_rate, steps=_length, minimum=as_nonnegative)

    def __call__(self, t: int, /) -> float:
        """η_min + (η − η_min)(1 + cos(π t/T))/2."""
        # The angle of whole half turns is known beforehand, so that no rounding grows with t.
        t = as_step(t)
        share = (1 + math.cos(math.pi * (t % (2 * self.steps)) / self.steps)) / 2
        return self.minimum + (self.learning_rate - self.minimum) * share


@dataclass(frozen=True)
class WarmupSchedule(Schedule):
    """The factor a + (b − a) min(t, T)/T, as ``lr_scheduler.LinearLR``.

    It is to be multiplied with a learning rate: ``0.1 * WarmupSchedule(100)``, or with another
    schedule.

    Parameters
    ----------
    steps : int
        T, from which on the factor is b.
    start_factor : float
        a ≥ 0.
    end_factor : float
        b > 0.
    """

    steps: int = 5
    start_factor: float = 1 / 3
    end_factor: float = 1.0

    def __post_init__(self) -> None:
        _check(self, steps=_length, start_factor=as_nonnegative, end_factor=as_positive)

    def __call__(self, t: int, /) -> float:
        """a + (b − a) min(t, T)/T."""
        t = as_step(t)
        if t >= self.steps:
            return self.end_factor
        return self.start_factor + (self.end_factor - self.start_factor) * t / self.steps


@dataclass(frozen=True, repr=False)
class ProductSchedule(Schedule):
    """η_t = Π_k η^(k)_t; made by ``*``.

    Parameters
    ----------
    factors : tuple of Schedule
    """

    factors: tuple[Schedule, ...]

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.factors))

    def __call__(self, t: int, /) -> float:
        """Π_k η^(k)_t."""
        t = as_step(t)
        return math.prod(factor(t) for factor in self.factors)


def factors_of(schedule: Schedule) -> tuple[Schedule, ...]:
    """The schedules that one is a product of."""
    return schedule.factors if isinstance(schedule, ProductSchedule) else (schedule,)


def as_rate(value: Any, *, name: str = "learning_rate") -> Any:
    """A learning rate as users pass it: a finite number > 0, or a callable t → η_t ≥ 0.

    Parameters
    ----------
    value : float or callable
        A callable is asked for η_0, so that what cannot be meant is refused at once.
    name : str
        The argument's name in messages.

    Returns
    -------
    float or callable

    Raises
    ------
    TypeError
        For what is neither.
    ValueError
        For a number that is not positive and finite, or such an η_0 below 0.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be a number or a callable t → η_t, got {said(value)}, a class"
        )
    if not callable(value):
        return as_learning_rate(value, name=name)
    function: Any = value
    rate_at(function, 0, name=name)
    return function


def rate_at(learning_rate: LearningRate, t: int, *, name: str = "learning_rate") -> float:
    """η_t of a learning rate that ``as_rate`` passed.

    Parameters
    ----------
    learning_rate : float or callable
    t : int
    name : str
        The argument's name in messages.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If a callable returns no number.
    ValueError
        If it returns a negative one, NaN or infinity.
    """
    if not callable(learning_rate):
        return learning_rate
    what = f"what {name}({t}) returns"
    rate = as_number(learning_rate(t), what)
    if not (math.isfinite(rate) and rate >= 0):
        raise ValueError(f"{what} must be finite and at least 0, got {said(rate)}")
    return rate


def rates(
    learning_rate: LearningRate, start: int, stop: int, *, name: str = "learning_rate"
) -> NDArray[np.float64]:
    """η_t of the steps ``start`` … ``stop`` − 1, each the same number whatever the others.

    Parameters
    ----------
    learning_rate : float or callable
    start, stop : int
    name : str
        The argument's name in messages.

    Returns
    -------
    ndarray, shape (stop − start,)

    Raises
    ------
    TypeError, ValueError
        As ``rate_at``.

    Examples
    --------
    >>> import ntklin
    >>> rates(ntklin.StepSchedule(0.5, 2), 1, 5)
    array([0.5  , 0.05 , 0.05 , 0.005])
    """
    if not callable(learning_rate):
        return np.full(stop - start, learning_rate, np.float64)
    found = (rate_at(learning_rate, t, name=name) for t in range(start, stop))
    return np.fromiter(found, np.float64, stop - start)


def _length(value: Any, *, name: str) -> int:
    """A number of steps from 1 on."""
    return as_step(value, name=name, minimum=1)


def _check(instance: Any, **checks: Callable[..., Any]) -> None:
    for name, check in checks.items():
        object.__setattr__(instance, name, check(getattr(instance, name), name=name))
