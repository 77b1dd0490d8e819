"""How an implementation does a work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ntklin.validation.arrays import on_host
from ntklin.validation.benchmarks.costs import UNCOUNTED, Cost


@dataclass(frozen=True, kw_only=True)
class Way:
    """How one implementation does a work.

    Attributes
    ----------
    run : callable
        What is timed.
    cost : Cost
        Of one unit.
    prepare : callable
        Makes the arguments of ``run``; not timed.
    probe : callable or None
        Made from the same arguments, it returns what the gate looks at; ``run`` when not given.
    overhead : callable or None
        The part of ``run`` that is timed on its own and subtracted.
    count : int
        Units of work in one run.
    finish : callable
        Returns when all that was asked for is done; timed.
    """

    run: Callable[..., Any]
    cost: Cost = UNCOUNTED
    prepare: Callable[[], tuple[Any, ...]] = tuple
    probe: Callable[..., Any] | None = None
    overhead: Callable[..., Any] | None = None
    count: int = 1
    finish: Callable[[], None] = lambda: None

    def result(self) -> Any:
        """What the gate looks at, on the host."""
        return on_host((self.probe or self.run)(*self.prepare()))
