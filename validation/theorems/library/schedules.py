"""Schedules, and gradient descent with them in closed form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flint import arb

import ntklin
from ntklin.validation.theorems.library import rules
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.descents import (
    FEW,
    KINDS,
    MU,
)
from ntklin.validation.theorems.library.models import Model, Problem
from ntklin.validation.theorems.library.rules import linear_gradient, walk

# Schedules

LENGTH = 16


def schedules(rate: float) -> dict[str, Any]:
    """The library's."""
    return {
        "CosineSchedule": ntklin.CosineSchedule(rate, LENGTH, rate / 8),
        "StepSchedule": ntklin.StepSchedule(rate, 3, 0.5),
        "WarmupSchedule": ntklin.ConstantSchedule(rate) * ntklin.WarmupSchedule(4, 0.25, 0.75),
        "callable": Falling(rate),
    }


class Falling:
    """η/(1 + t), one of a user's own."""

    def __init__(self, rate: Any) -> None:
        self.rate = rate

    def __call__(self, t: int) -> Any:
        """η_t."""
        return self.rate / (1 + t)


def rates(rate: arb) -> dict[str, Callable[[int], arb]]:
    """The same by their definitions."""
    up = rules.warmup(4, arb(0.25), arb(0.75))
    return {
        "CosineSchedule": rules.cosine(rate, LENGTH, rate / 8),
        "StepSchedule": rules.stairs(rate, 3, arb(0.5)),
        "WarmupSchedule": lambda t: rate * up(t),
        "callable": lambda t: rate / (1 + t),
    }


def asked_schedules(problem: Problem) -> Named:
    """Rates, and closed forms with them."""
    found: dict[str, Any] = {}
    for name, schedule in schedules(problem["rate"]).items():
        gd = problem.linearized.gradient_descent(problem.Y, schedule)
        found[f"{name}(t)"] = [schedule(t) for t in range(FEW[-1])]
        found[f"{name}: gradient_descent.parameters(t)"] = gd.parameters(FEW)
        found[f"{name}: gradient_descent.loss(t)"] = gd.loss(FEW)
    gd = problem.linearized.gradient_descent(
        problem.Y, schedules(problem["rate"])["CosineSchedule"], momentum=MU
    )
    return found | {"momentum: gradient_descent.parameters(t)": gd.parameters(FEW)}


def true_schedules(model: Model, late: int = 0) -> Named:
    """The same; each rate a step late for a control."""
    found: dict[str, Any] = {}
    gradient = linear_gradient(model)
    for name, rate in rates(model["rate"]).items():
        rule = rules.Rule(lambda t, rate=rate: rate(t + late), rules.plain)
        path = walk(rule, model.theta, gradient, FEW[-1])
        thetas = [path.thetas[t] for t in FEW]
        found[f"{name}(t)"] = [rate(t + late) for t in range(FEW[-1])]
        found[f"{name}: gradient_descent.parameters(t)"] = thetas
        found[f"{name}: gradient_descent.loss(t)"] = [model.loss(theta) for theta in thetas]
    cosine = rates(model["rate"])["CosineSchedule"]
    rule = rules.Rule(cosine, rules.velocity(arb(MU)))
    path = walk(rule, model.theta, gradient, FEW[-1])
    thetas = [path.thetas[t] for t in FEW]
    return found | {"momentum: gradient_descent.parameters(t)": thetas}


SCHEDULES = (
    agreement(
        "schedules",
        "schedules and gradient descent with them in closed form",
        KINDS[:2],
        asked_schedules,
        true_schedules,
        partial(true_schedules, late=1),
        "each rate a step late",
    ),
)
