"""What a check is: a claim of the paper, measured, and a control that must fail."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from numpy.random import Generator


class Strength(StrEnum):
    """How much a verdict says."""

    EXACT = "exact"  # rational arithmetic: equal to the last digit
    CERTIFIED = "certified"  # ball arithmetic: a rigorous enclosure
    STATISTICAL = "statistical"  # draws: holds within confidence intervals
    LIBRARY = "library"  # public functions: true up to the rounding that error analysis allows


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a run of the checks may choose.

    Attributes
    ----------
    quick : bool
        Fewer and smaller problems.
    seed : int
        All random numbers of a check follow from it and from the check's name.
    """

    quick: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A scaling law, for the report's plot; both axes are logarithmic.

    Attributes
    ----------
    x, y : tuple of float
    y_error : tuple of float or None
        Half the length of a bar.
    fit, predicted : float or None
        Exponents: of the power law through the points, and the paper's.
    x_label, y_label : str
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str
    y_label: str
    y_error: tuple[float, ...] | None = None
    fit: float | None = None
    predicted: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a check saw.

    Attributes
    ----------
    measured, predicted : str
        The two sides of the verdict.
    margin : str
        By how much it holds, or fails.
    holds : bool
    curve : Curve or None
        Where a scaling law was measured.
    """

    measured: str
    predicted: str
    margin: str
    holds: bool
    curve: Curve | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One claim that can be measured.

    Attributes
    ----------
    name : str
        Unique within its statement; lower case, words joined by hyphens.
    strength : Strength
    hypothesis : str
        What is claimed, and under which conditions.
    measure : callable
        ``measure(formula, rng, setting)``, a Measurement.
    formula : object
        The statement's, which ``measure`` compares with what it is about.
    wrong : object
        In its place: ``measure`` must find that it does not hold.
    control : str
        What is wrong about it.
    """

    name: str
    strength: Strength
    hypothesis: str
    measure: Callable[[Any, Generator, Setting], Measurement]
    formula: object
    wrong: object
    control: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A numbered statement of the paper, or a correction of one.

    Attributes
    ----------
    key : str
        As it is called in the command line: ``theorem3``.
    title : str
        "Theorem 3".
    claim : str
        In one line.
    text : str
        The statement's text and the derivation of its tolerances: the module's docstring, and
        None where ``python -OO`` has left that out.
    checks : tuple of Check
    """

    key: str
    title: str
    claim: str
    text: str | None
    checks: tuple[Check, ...]


def joined(*docstrings: str | None) -> str | None:
    """Docstrings as one text, or None where ``python -OO`` has left them out."""
    return "".join(filter(None, docstrings)) or None
