"""Draws: confidence intervals for means and exponents, and the checks that are made of them.

Intervals are Student's. Where a value is predicted, their level is 1 − 10⁻⁴, so that a true
statement fails one check in ten thousand. Where a bound is predicted it is 99 %, and the bound has
to leave room for what holds. An exponent is the slope of log y against log x by least squares over
all draws, whose scatter around the line gives its interval.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Check, Curve, Measurement, Setting, Strength

Problem = TypeVar("Problem")
Sampled = TypeVar("Sampled")
Drawn = TypeVar("Drawn")
Formula = TypeVar("Formula")

LEVEL, LEVEL_OF_BOUNDS = 1 - 1e-4, 0.99


@dataclass(frozen=True)
class Interval:
    """center ± half.

    Attributes
    ----------
    center, half : float
    """

    center: float
    half: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.center - self.half

    @property
    def high(self) -> float:
        """The upper end."""
        return self.center + self.half

    def __str__(self) -> str:
        return f"{self.center:.4g} ± {self.half:.2g}"


def student(degrees: int, level: float) -> float:
    """Student's two-sided quantile."""
    return float(stdtrit(degrees, (1 + level) / 2))


def mean(values: ArrayLike, level: float = LEVEL) -> Interval:
    """The mean of independent draws and its confidence interval.

    Parameters
    ----------
    values : array_like, shape (n,), n ≥ 2
    level : float

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        For fewer than 2 draws.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval takes at least 2 draws, got {n}")
    error = float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(float(values.mean()), student(n - 1, level) * error)


def exponent(x: ArrayLike, y: ArrayLike, paired: bool = False, level: float = LEVEL) -> Interval:
    """The slope of log y against log x and its confidence interval.

    Parameters
    ----------
    x : array_like, shape (k,)
    y : array_like, shape (k, n)
        n draws at each x.
    paired : bool
        Whether a draw is a column, the same at all x, and not a single number: the interval is then
        that of the columns' slopes.
    level : float

    Returns
    -------
    Interval
    """
    log_x, log_y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    k, n = log_y.shape
    log_x -= log_x.mean()
    spread = float(log_x @ log_x)
    slopes = log_x @ log_y / spread  # one a column
    if paired:
        return mean(slopes, level)
    slope = float(slopes.mean())
    scatter = log_y - log_y.mean() - slope * log_x[:, None]
    degrees = k * n - 2
    error = math.sqrt(float((scatter**2).sum()) / degrees / (n * spread))
    return Interval(slope, student(degrees, level) * error)


# What is claimed of an exponent


def in_the_paper(exponent: float | None) -> str:
    """A remark where the paper has an exponent of its own."""
    return "" if exponent is None else f" ({exponent:g} in the paper)"


@dataclass(frozen=True)
class Near:
    """The exponent is ``value``, up to the interval and a bias at finite x of ``bias``.

    Attributes
    ----------
    value, bias : float
    paper : float or None
        The paper's exponent, where it is another.
    column : int
        Of which quantity, where the draws have several.
    """

    value: float
    bias: float = 0.0
    paper: float | None = None
    column: int = 0
    level = LEVEL

    @property
    def printed(self) -> float:
        """The paper's exponent."""
        return self.value if self.paper is None else self.paper

    def margin(self, found: Interval) -> float:
        """How far the interval reaches beyond the value."""
        return found.half + self.bias - abs(found.center - self.value)

    def __str__(self) -> str:
        allowed = f" ± {self.bias:g}" if self.bias else ""
        return f"exponent {self.value:g}{allowed}{in_the_paper(self.paper)}"


@dataclass(frozen=True)
class Bound:
    """The exponent is on one side of ``bound``, with the whole interval.

    Attributes
    ----------
    bound : float
    paper : float or None
        The paper's exponent.
    column : int
        Of which quantity, where the draws have several.
    """

    bound: float
    paper: float | None = None
    column: int = 0
    level = LEVEL_OF_BOUNDS
    sign: ClassVar[str]

    @property
    def printed(self) -> float | None:
        """The paper's exponent."""
        return self.paper

    def __str__(self) -> str:
        return f"exponent {self.sign} {self.bound:g}{in_the_paper(self.paper)}"


class Below(Bound):
    """The exponent is below ``bound``."""

    sign = "<"

    def margin(self, found: Interval) -> float:
        """How far the interval's upper end is below the bound."""
        return self.bound - found.high


class Above(Bound):
    """The exponent is above ``bound``."""

    sign = ">"

    def margin(self, found: Interval) -> float:
        """How far the interval's lower end is above the bound."""
        return found.low - self.bound


Claim = Near | Below | Above


# Checks: of each, ``name``, ``hypothesis`` and ``control`` are those of ``Check``;
# ``draw(rng, setting)`` gives the problem, one for all draws, and ``n_draws`` is for a full run,
# ``quick`` for a quick one.


@dataclass(frozen=True)
class Grid:
    """Where a power law is measured.

    Attributes
    ----------
    x : tuple
    n_draws : int
        At each x.
    quick : tuple
        (x, n_draws) of a quick run.
    label : str
        What x is.
    paired : bool
        See :func:`exponent`.
    """

    x: tuple[float, ...]
    n_draws: int
    quick: tuple[tuple[float, ...], int]
    label: str = "width m"
    paired: bool = False

    def draws(
        self,
        problem: Problem,
        sample: Callable[[Problem, Any, Generator], Any],
        rng: Generator,
        quick: bool,
    ) -> tuple[tuple[float, ...], Array]:
        """The places, and what is sampled at each in as many draws."""
        places, count = self.quick if quick else (self.x, self.n_draws)
        if self.paired:
            columns = np.array([sample(problem, places, r) for r in rng.spawn(count)])
            return places, np.moveaxis(columns, 0, 1)
        return places, np.array(
            [[sample(problem, place, r) for r in rng.spawn(count)] for place in places]
        )


def power_law(
    name: str,
    hypothesis: str,
    draw: Callable[[Generator, Setting], Problem],
    sample: Callable[[Problem, Any, Generator], Any],
    formula: Claim,
    wrong: Claim,
    control: str,
    grid: Grid,
    y_label: str = "rms distance",
) -> Check:
    """A check of an exponent.

    Parameters
    ----------
    sample : callable
        ``sample(problem, x, rng)``, a positive number or several, of which the formulas choose
        one; on a paired grid the numbers at all x, for ``x`` as a tuple.
    formula, wrong : Near, Below or Above
    grid : Grid

    Returns
    -------
    Check
    """

    def measured(rng: Generator, setting: Setting) -> tuple[tuple[float, ...], Array]:
        return grid.draws(draw(rng, setting), sample, rng, setting.quick)

    def judged(formula: Claim, drawn: tuple[tuple[float, ...], Array]) -> Measurement:
        places, y = drawn
        y = y if y.ndim == 2 else y[..., formula.column]
        found = exponent(places, y, grid.paired, formula.level)
        means = [mean(row) for row in y]
        margin = formula.margin(found)
        return Measurement(
            measured=f"exponent {found} ({y_label} {means[0].center:.3g} … {means[-1].center:.3g} "
            f"for {grid.label} {places[0]:g} … {places[-1]:g})",
            predicted=str(formula),
            margin=f"{margin:+.2g}",
            holds=bool(margin >= 0),
            curve=Curve(
                x=tuple(map(float, places)),
                y=tuple(m.center for m in means),
                y_error=tuple(m.half for m in means),
                x_label=grid.label,
                y_label=y_label,
                fit=found.center,
                predicted=formula.printed,
            ),
        )

    return _check(name, hypothesis, measured, judged, formula, wrong, control)


def expectation(
    name: str,
    hypothesis: str,
    draw: Callable[[Generator, Setting], Problem],
    sample: Callable[[Problem, Generator], float],
    formula: Callable[[Problem], float],
    wrong: Callable[[Problem], float],
    control: str,
    *,
    n_draws: int,
    quick: int,
    quantity: str = "mean",
) -> Check:
    """A check of an expected value.

    Parameters
    ----------
    sample : callable
        ``sample(problem, rng)``, a number, which ``quantity`` names.
    formula, wrong : callable
        ``formula(problem)``, its expected value.

    Returns
    -------
    Check
    """

    def measured(rng: Generator, setting: Setting) -> tuple[Problem, Interval]:
        problem = draw(rng, setting)
        count = quick if setting.quick else n_draws
        return problem, mean([sample(problem, rng) for _ in range(count)])

    def judged(formula: Callable[[Problem], float], drawn: tuple[Problem, Interval]) -> Measurement:
        problem, found = drawn
        expected = float(formula(problem))
        off = abs(found.center - expected)
        return Measurement(
            measured=f"{quantity} {found}",
            predicted=f"{expected:.4g}",
            margin=f"{off / found.half:.2g} of the interval's half-width",
            holds=bool(off <= found.half),
        )

    return _check(name, hypothesis, measured, judged, formula, wrong, control)


def everywhere(
    name: str,
    hypothesis: str,
    draw: Callable[[Generator, Setting], Problem],
    sample: Callable[[Problem, Generator], Sampled],
    formula: Callable[[Sampled], float],
    wrong: Callable[[Sampled], float],
    control: str,
    *,
    n_draws: int,
    quick: int,
    quantity: str = "slack",
) -> Check:
    """A check that an inequality holds in every draw.

    Parameters
    ----------
    sample : callable
        ``sample(problem, rng)``, what the inequality is about.
    formula, wrong : callable
        ``formula(sampled)``, by how much it holds, which ``quantity`` names; negative where it
        does not.

    Returns
    -------
    Check
    """

    def measured(rng: Generator, setting: Setting) -> list[Sampled]:
        problem = draw(rng, setting)
        return [sample(problem, r) for r in rng.spawn(quick if setting.quick else n_draws)]

    def judged(formula: Callable[[Sampled], float], drawn: list[Sampled]) -> Measurement:
        slacks = np.array([formula(sampled) for sampled in drawn])
        n_held = int((slacks >= 0).sum())
        return Measurement(
            measured=f"holds in {n_held} of {len(slacks)} draws",
            predicted="holds in all",
            margin=f"{quantity} {slacks.min():.3g} … {slacks.max():.3g}",
            holds=n_held == len(slacks),
        )

    return _check(name, hypothesis, measured, judged, formula, wrong, control)


def _check(
    name: str,
    hypothesis: str,
    measured: Callable[[Generator, Setting], Drawn],
    judged: Callable[[Formula, Drawn], Measurement],
    formula: Formula,
    wrong: Formula,
    control: str,
) -> Check:
    """What is measured is kept for the control, which has the same random numbers."""
    latest: list[Any] = [None, None]

    def measure(formula: Formula, rng: Generator, setting: Setting) -> Measurement:
        key = repr(rng.bit_generator.state), setting
        if latest[0] != key:
            latest[:] = key, measured(rng, setting)
        return judged(formula, latest[1])

    return Check(
        name=name,
        strength=Strength.STATISTICAL,
        hypothesis=hypothesis,
        measure=measure,
        formula=formula,
        wrong=wrong,
        control=control,
    )
