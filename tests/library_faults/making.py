"""How faults are made: what a function returns, or is passed, is changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    name : str
    seen_by : str
        A check, as "theorem1/minimizer".
    make : callable
        ``make(monkeypatch)``.
    """

    name: str
    seen_by: str
    make: Callable[[Any], None]


def after(owner: Any, attribute: str, change: Callable[..., Any]) -> Callable[[Any], None]:
    """What is returned is changed: ``change(result, *arguments, **options)``."""
    getattr(owner, attribute)  # a public name is loaded on first use
    old = (
        inspect.getattr_static(owner, attribute)
        if isinstance(owner, type)
        else getattr(owner, attribute)
    )

    def make(monkeypatch: Any) -> None:
        if isinstance(old, property | cached_property):
            get = old.fget if isinstance(old, property) else old.func
            new: Any = property(lambda self: change(get(self), self))
        else:
            function = getattr(old, "__func__", old)

            def new(*arguments: Any, **options: Any) -> Any:
                return change(function(*arguments, **options), *arguments, **options)

        monkeypatch.setattr(owner, attribute, new)

    return make


def before(owner: Any, attribute: str, change: Callable[..., Any]) -> Callable[[Any], None]:
    """What is passed is changed: ``change(*arguments, **options)`` returns both anew."""
    getattr(owner, attribute)
    old = (
        inspect.getattr_static(owner, attribute)
        if isinstance(owner, type)
        else getattr(owner, attribute)
    )

    def make(monkeypatch: Any) -> None:
        def new(*arguments: Any, **options: Any) -> Any:
            arguments, options = change(*arguments, **options)
            return old(*arguments, **options)

        monkeypatch.setattr(owner, attribute, new)

    return make


def instead(owner: Any, attribute: str, function: Any) -> Callable[[Any], None]:
    """Another function."""
    return lambda monkeypatch: monkeypatch.setattr(owner, attribute, function)


def times(factor: float) -> Callable[..., Any]:
    """The result times a number."""
    return lambda result, *arguments, **options: result * result_type(result)(factor)


def result_type(result: Any) -> Any:
    """What keeps a result's dtype."""
    if isinstance(result, np.ndarray) and result.dtype.kind == "f":
        return result.dtype.type
    return float


def without(*names: str) -> Callable[..., Any]:
    """Some options are forgotten."""

    def change(*arguments: Any, **options: Any) -> Any:
        return arguments, {k: v for k, v in options.items() if k not in names}

    return change


FAULTS: list[Fault] = []


def declare(seen_by: str, faults: dict[str, Callable[[Any], None]]) -> None:
    """More faults, all of which this check sees."""
    FAULTS.extend(Fault(name, seen_by, make) for name, make in faults.items())


def coefficient(owner: Any, place: int, factor: float) -> Callable[[Any], None]:
    """One of an optimizer's numbers times a factor."""

    def change(numbers: Any, *rest: Any) -> Any:
        numbers = list(numbers)
        numbers[place] *= factor
        return tuple(numbers)

    return after(owner, "coefficients", change)


def last_first(result: Any, *arguments: Any, **options: Any) -> Any:
    """Rows in the opposite order."""
    return result[::-1].copy()
