"""When a run ends: conditions that compose by ``|``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ntklin.edge.checks import as_count, as_positive
from ntklin.edge.values import said
from ntklin.runs.monotone import Yardstick


@dataclass(frozen=True, eq=False, kw_only=True)
class Block:
    """Some steps of a run, as a stop condition sees them.

    Attributes
    ----------
    taken : int
        How many steps were taken before them.
    before : float or None
        The loss before them; None where a run begins, whose only "step" then is its start.
    losses : ndarray, shape (k,)
        L after each of them.
    seconds : float
        Since the run began.
    yardstick : Yardstick
        What is a rise of the loss.
    """

    taken: int
    before: float | None
    losses: NDArray[np.float64]
    seconds: float
    yardstick: Yardstick


class Stop(ABC):
    """A condition that ends a run; ``first | second`` ends it as soon as one of them holds.

    A subclass has ``first``. Where that ends a run amid a block of steps, the run goes back to the
    block's start and takes only as many, so that where it ends does not depend on the clock.
    """

    #: What a run's ``ended_by`` says.
    name: ClassVar[str] = "stop"
    #: Whether it only ends a run at the end of a block, or where an engine does so by itself.
    is_plain: ClassVar[bool] = False

    @abstractmethod
    def first(self, block: Block) -> int | None:
        """The first of a block's steps, counted from 0, after which the run ends; None if none."""

    def room(self, taken: int) -> int | None:
        """How many steps it allows at most after ``taken``; None where it does not count."""
        return None

    def __or__(self, other: Stop) -> Stop:
        if not isinstance(other, Stop):
            return NotImplemented
        return AnyOf((*parts(self), *parts(other)))


@dataclass(frozen=True, repr=False)
class AnyOf(Stop):
    """The first of several conditions.

    Parameters
    ----------
    stops : tuple of Stop
    """

    stops: tuple[Stop, ...]

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.stops))

    def first(self, block: Block) -> int | None:
        """The first step after which one of them ends the run."""
        found = [k for k in (stop.first(block) for stop in self.stops) if k is not None]
        return min(found, default=None)


@dataclass(frozen=True)
class Steps(Stop):
    """After so many steps, counted from θ_0.

    Parameters
    ----------
    steps : int
    """

    steps: int
    name = "steps"
    is_plain = True

    def first(self, block: Block) -> int | None:
        """The step with this number, if it is among them."""
        left = self.steps - block.taken - 1
        return max(0, left) if left < len(block.losses) else None

    def room(self, taken: int) -> int | None:
        """How many steps are left."""
        return self.steps - taken


@dataclass(frozen=True)
class LossBelow(Stop):
    """When the loss is below a value.

    Parameters
    ----------
    until : float
    """

    until: float
    name = "until"
    is_plain = True

    def first(self, block: Block) -> int | None:
        """The first step below ``until``."""
        return _first(block.losses < self.until)


@dataclass(frozen=True)
class Divergence(Stop):
    """When the loss is above a value, or NaN.

    Parameters
    ----------
    ceiling : float
    """

    ceiling: float
    name = "divergence"
    is_plain = True

    def first(self, block: Block) -> int | None:
        """The first step above ``ceiling``, or NaN."""
        return _first(~(block.losses <= self.ceiling))


@dataclass(frozen=True)
class TimeLimit(Stop):
    """When so many seconds have gone by, as soon as that is noticed, about ten times a second.

    Parameters
    ----------
    seconds : float
    """

    seconds: float
    name = "time limit"
    is_plain = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", as_positive(self.seconds, name="seconds"))

    def first(self, block: Block) -> int | None:
        """The last of the steps, once the time is over."""
        return len(block.losses) - 1 if block.seconds > self.seconds else None


@dataclass(frozen=True)
class FirstRise(Stop):
    """When the loss has risen in a step, by more than its own rounding (App. D).

    A rise before a run was continued does not count.
    """

    name = "first rise"

    def first(self, block: Block) -> int | None:
        """The first step in which the loss has risen."""
        if block.before is None:
            return None
        rise = block.yardstick.first_rise(np.concatenate([[block.before], block.losses]))
        return None if rise is None else rise - 1


def _first(holds: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(holds)) if holds.any() else None


def parts(stop: Stop | None) -> tuple[Stop, ...]:
    """The conditions that one is made of; none for None."""
    if stop is None:
        return ()
    return stop.stops if isinstance(stop, AnyOf) else (stop,)


@dataclass(frozen=True, eq=False)
class Horizon:
    """How long a run is to be.

    Attributes
    ----------
    steps : int or None
        The number of the last step, counted from θ_0.
    until : float or None
        It ends when its loss is below.
    stop : Stop or None
        What else ends it.
    """

    steps: int | None
    until: float | None
    stop: Stop | None = None

    @classmethod
    def of(
        cls,
        steps: int | None,
        until: float | None,
        stop: Stop | None = None,
        *,
        default: float = 1e-5,
    ) -> Horizon:
        """A caller's arguments, checked; ``until`` has a default where there are no ``steps``."""
        if steps is not None:
            steps = as_count(steps, name="steps", minimum=0)
        if until is not None:
            until = as_positive(until, name="until")
        elif steps is None:
            until = default
        if stop is not None and not isinstance(stop, Stop):
            raise TypeError(
                "stop must be a stop condition, such as TimeLimit(60) | FirstRise(), got "
                f"{said(stop)}"
            )
        return cls(steps, until, stop)

    def conditions(self) -> tuple[Stop, ...]:
        """All that ends a run of this length, those of :func:`every_run_ends` among them."""
        found: list[Stop] = [] if self.until is None else [LossBelow(self.until)]
        found += [] if self.steps is None else [Steps(self.steps)]
        return (*found, *parts(self.stop), *_surrounding.get())

    @property
    def ends_at_rise(self) -> bool:
        """Whether the first rise of the loss ends it."""
        return any(isinstance(one, FirstRise) for one in self.conditions())


_surrounding: ContextVar[tuple[Stop, ...]] = ContextVar("stops", default=())


@contextmanager
def every_run_ends(stop: Stop) -> Iterator[None]:
    """Within the block, the runs of this thread end by ``stop`` too, whoever starts them."""
    token = _surrounding.set((*_surrounding.get(), *parts(stop)))
    try:
        yield
    finally:
        _surrounding.reset(token)
