"""The optimizers by themselves: their steps on given gradients, and the edge of stability."""

from __future__ import annotations

from functools import partial
from typing import Any

from flint import arb

import ntklin
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.linearized_runs import OPTIMIZERS, rule_of, small
from ntklin.validation.theorems.library.models import Model, Problem
from ntklin.validation.theorems.library.numbers import PRECISION, eigenvalues
from ntklin.validation.theorems.library.rules import Rule, walk
from ntklin.validation.theorems.library.training import KINDS, STEPS

# AdamW's and other rules' own steps, on gradients that are given


def asked_rules(problem: Problem) -> Named:
    """init, update and preconditioner, on the gradients X_new Y of no loss at all."""
    found: dict[str, Any] = {}
    for name, make in OPTIMIZERS.items():
        optimizer = make(problem["rate"], problem["decay"])
        theta, state = problem.theta, optimizer.init(problem.theta)
        for t in range(STEPS):
            theta, state = optimizer.update(state, theta, pushed(problem.D, t))
        found[f"{name}.update"] = theta
        if name.startswith(("AdaGrad", "RMSprop", "Adam")):
            found[f"{name}.preconditioner"] = optimizer.preconditioner(state)
    return found


def pushed(D: Any, t: int) -> Any:
    """Gradients of both signs that change."""
    return (D - 1 - t / 4) / 2 + t / 16


def true_rules(model: Model, twice: str = "") -> Named:
    """The same by the rules."""
    found: dict[str, Any] = {}
    for name in OPTIMIZERS:
        rule = rule_of(name, model)
        if name == twice:
            rule = Rule(rule.rate, rule.direction, 2 * rule.decay, rule.decoupled)
        path = walk(rule, model.theta, lambda t, theta: pushed(model.D, t), STEPS)
        found[f"{name}.update"] = path.end
        if name.startswith(("AdaGrad", "RMSprop", "Adam")):
            found[f"{name}.preconditioner"] = path.weights[-1]
    return found


RULES = (
    agreement(
        "rules",
        "init, update and preconditioner of every optimizer, on given gradients",
        KINDS[:1],
        asked_rules,
        true_rules,
        partial(true_rules, twice="AdamW"),
        "twice the decay of AdamW",
    ),
)


# Edge of stability: bounds, and the largest rate by a search


def asked_bounds(problem: Problem) -> Named:
    """sharpness_bound of every method, and the largest rate of a loss that only falls."""
    rate, decay = problem["rate"], problem["decay"]
    found = {
        name: ntklin.sharpness_bound(make(rate, decay), 1)
        for name, make in OPTIMIZERS.items()
        if name != "AdaGrad(weight_decay)"
    }
    lin, Y = problem.linearized, problem.Y
    gd = lin.gradient_descent(Y, rate, momentum=0.5)
    nesterov = lin.gradient_descent(Y, rate, momentum=0.5, nesterov=True)
    return {f"sharpness_bound: {name}": value for name, value in found.items()} | {
        "gradient_descent(momentum).max_learning_rate": gd.max_learning_rate,
        "gradient_descent(nesterov).max_learning_rate": nesterov.max_learning_rate,
        "gradient_descent(momentum).best_learning_rate": gd.best_learning_rate,
        "gradient_descent(nesterov).best_learning_rate": nesterov.best_learning_rate,
        "gradient_descent.converges": float(gd.converges),
        "gradient_descent(divergent).converges": float(
            lin.gradient_descent(Y, 2.5 * lin.max_learning_rate).converges
        ),
    }


def true_bounds(model: Model, exchanged: bool = False) -> Named:
    """s/η_t, with decay as ``ntklin.sharpness_bound`` says; both momenta's exchanged."""
    rate, decay = model["rate"], model["decay"]
    slow = rate * arb(small(model.problem["rate"]) / model.problem["rate"])
    mu, beta = arb("0.625"), arb("0.875")
    heavy, nesterov, adam = 1 + mu, (1 + mu) / (1 + 2 * mu), (1 + beta) / (1 - beta)
    if exchanged:
        heavy, nesterov = nesterov, heavy
    halfway = rate * (1 + (arb.pi() / 8).cos()) / 2
    smallest, *_, largest = eigenvalues(model.K)
    bounds = {
        "GradientDescent": 2 / rate,
        "Momentum": 2 * heavy / rate,
        "Nesterov": 2 * nesterov / rate,
        "AdaGrad": 2 / slow,
        "RMSprop": 2 / slow,
        "Adam": 2 * adam / slow,
        "AdamW": 2 * adam / slow * (1 - slow * decay / 2),
        "GradientDescent(weight_decay)": 2 / rate - decay,
        "GradientDescent(decoupled)": 2 * heavy / rate * (1 - rate * decay / 2),
        "RMSprop(decoupled)": 2 / slow * (1 - slow * decay / 2),
        "GradientDescent(schedule)": 2 / halfway,
        "Adam(schedule)": 2 * adam / slow,
    }
    bound = 2 * model.n / largest
    return {f"sharpness_bound: {name}": value for name, value in bounds.items()} | {
        "gradient_descent(momentum).max_learning_rate": bound * arb(1.5),
        "gradient_descent(nesterov).max_learning_rate": bound * arb(1.5) / 2,
        "gradient_descent(momentum).best_learning_rate": bound
        * arb(1.5)
        / (1 + smallest / largest),
        "gradient_descent(nesterov).best_learning_rate": bound
        / 2
        * best_of_nesterov(smallest / largest, arb(0.5)),
        "gradient_descent.converges": 1,
        "gradient_descent(divergent).converges": 0,
    }


def best_of_nesterov(ratio: arb, beta: arb) -> arb:
    """x = ηλ_max/N at which the slowest of both ends of the spectrum contracts fastest."""

    def radius(x: arb) -> arb:
        trace, determinant = (1 - x) * (1 + beta), (1 - x) * beta
        rest = trace * trace - 4 * determinant
        return determinant.sqrt() if rest < 0 else (abs(trace) + rest.sqrt()) / 2

    # At x = 1 the fast end has arrived; at the bound it does not contract.
    below, above = arb(1), 2 * (1 + beta) / (1 + 2 * beta)
    for _ in range(PRECISION - 16):
        middle = ((below + above) / 2).mid()
        faster = radius(middle) < radius(ratio * middle)
        below, above = (middle, above) if faster else (below, middle)
    return below


EDGE = (
    agreement(
        "bounds-of-methods",
        "sharpness_bound and max_learning_rate of every method",
        KINDS[:1],
        asked_bounds,
        true_bounds,
        partial(true_bounds, exchanged=True),
        "heavy ball's bound for Nesterov's method, and the other way round",
    ),
)
