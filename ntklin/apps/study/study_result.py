"""A finished or interrupted study: statistics over seeds, and the fitted power of σ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ntklin.apps.study.config import StudyConfig
from ntklin.apps.study.infinite_width import InfiniteWidth
from ntklin.apps.study.optimizer_result import OptimizerResult
from ntklin.apps.study.scale_result import ScaleResult

_NO_QUANTITIES = {
    *("sigma", "seed", "outcome", "test_outputs"),
    *("optimizer", "split", "outcome_linearized"),
}
# The same for all seeds.
_SEEDLESS = {"initialization_size_infinite"}
QUANTITIES, OPTIMIZER_QUANTITIES = (
    tuple(field.name for field in fields(kind) if field.name not in _NO_QUANTITIES)
    for kind in (ScaleResult, OptimizerResult)
)


@dataclass(frozen=True)
class Statistic:
    """Mean and standard deviation (over n − 1) of n values; ``std`` is None for n = 1."""

    mean: float
    std: float | None
    n: int


def statistic(values: Iterable[float | None]) -> Statistic | None:
    """The statistic of the values that are not None; None when there are none."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Statistic(float(np.mean(values)), std, len(values))


def _statistics(group: Iterable[Any], names: Iterable[str]) -> dict[str, Statistic | None]:
    """By name; of what no seed changes the one value that it has."""
    return {
        name: statistic((set if name in _SEEDLESS else list)(getattr(one, name) for one in group))
        for name in names
    }


def _counted(group: Iterable[Any], name: str) -> dict[str, int]:
    return dict(Counter(getattr(one, name) for one in group))


@dataclass(frozen=True)
class ScaleRow:
    """All seeds at one σ.

    Attributes
    ----------
    sigma : float
    statistics : dict of str to Statistic or None
        By the names of ``ScaleResult``'s numbers.
    outcomes : dict of str to int
        How many networks converged, hit the step limit, diverged or were not trained.
    """

    sigma: float
    statistics: dict
    outcomes: dict


@dataclass(frozen=True)
class OptimizerRow:
    """All seeds with one optimizer.

    Attributes
    ----------
    optimizer : str
    statistics : dict of str to Statistic or None
        By the names of ``OptimizerResult``'s numbers.
    outcomes, outcomes_linearized : dict of str to int
        How many real and how many linearized networks ended in which way.
    """

    optimizer: str
    statistics: dict
    outcomes: dict
    outcomes_linearized: dict


@dataclass(frozen=True)
class PowerLaw:
    """size ≈ coefficient · σ^exponent, by least squares in the logarithms."""

    exponent: float
    coefficient: float


def fit_power_law(sigmas: Iterable[float], sizes: Iterable[float]) -> PowerLaw | None:
    """The power law through positive sizes; None with fewer than two of them."""
    points = [
        (math.log(sigma), math.log(size))
        for sigma, size in zip(sigmas, sizes, strict=True)
        if size > 0
    ]
    if len(points) < 2:
        return None
    exponent, logarithm = np.polyfit([x for x, _ in points], [y for _, y in points], 1)
    return PowerLaw(float(exponent), math.exp(logarithm))


@dataclass(frozen=True, eq=False)
class StudyResult:
    """The results of a study, all of them or those before an interruption.

    Attributes
    ----------
    config : StudyConfig
    scale_results : tuple of ScaleResult
        Of the sweep.
    optimizer_results : tuple of OptimizerResult
        Of the comparison.
    """

    config: StudyConfig
    scale_results: tuple[ScaleResult, ...]
    optimizer_results: tuple[OptimizerResult, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every seed ran at every σ and with every optimizer."""
        return len(self.scale_results) + len(self.optimizer_results) == self.expected

    @property
    def expected(self) -> int:
        """How many results a complete study has."""
        config = self.config
        return len(config.seeds) * (len(config.sigmas) + len(config.optimizers))

    @cached_property
    def rows(self) -> tuple[ScaleRow, ...]:
        """One ScaleRow per σ that has a result, σ ascending."""
        rows = []
        for sigma in sorted({one.sigma for one in self.scale_results}):
            group = [one for one in self.scale_results if one.sigma == sigma]
            rows.append(ScaleRow(sigma, _statistics(group, QUANTITIES), _counted(group, "outcome")))
        return tuple(rows)

    @cached_property
    def optimizer_rows(self) -> tuple[OptimizerRow, ...]:
        """One OptimizerRow per optimizer that has a result, in the configuration's order."""
        rows = []
        for name in self.config.optimizers:
            group = [one for one in self.optimizer_results if one.optimizer == name]
            if group:
                statistics = _statistics(group, OPTIMIZER_QUANTITIES)
                outcomes = (_counted(group, n) for n in ("outcome", "outcome_linearized"))
                rows.append(OptimizerRow(name, statistics, *outcomes))
        return tuple(rows)

    @cached_property
    def power_laws(self) -> dict[int, PowerLaw]:
        """The initialization term's size against σ, fitted seed by seed: {seed: PowerLaw}."""
        laws = {}
        for seed in self.config.seeds:
            mine = [one for one in self.scale_results if one.seed == seed]
            law = fit_power_law(
                [one.sigma for one in mine], [one.initialization_size for one in mine]
            )
            if law is not None:
                laws[seed] = law
        return laws

    @property
    def slope(self) -> Statistic | None:
        """The fitted exponents' Statistic, to be compared with L (Thm 2); None without a fit."""
        return statistic([law.exponent for law in self.power_laws.values()])

    @cached_property
    def infinite_width_missing(self) -> str:
        """Why nothing is known of infinite width, without a full stop; empty where it is."""
        if any(one.initialization_size_infinite is not None for one in self.scale_results):
            return ""
        return InfiniteWidth.of(self.config).missing

    @property
    def mean_power_law(self) -> PowerLaw | None:
        """The seeds' mean fit: mean exponent, geometric mean coefficient; None without a fit."""
        if not self.power_laws:
            return None
        laws = self.power_laws.values()
        return PowerLaw(
            float(np.mean([law.exponent for law in laws])),
            math.exp(np.mean([math.log(law.coefficient) for law in laws])),
        )
