"""Gradient descent in closed form, at any t and in the limit: momentum, schedules and decay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from flint import arb
from numpy.random import Generator

from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library import rules
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.library.numbers import (
    eigenvalues,
    exact,
    identity,
    power,
    solve,
)
from ntklin.validation.theorems.library.rules import linear_gradient, walk

TIMES, FEW = (0, 1, 2, 7, 1000), (0, 1, 2, 5, 20)
KINDS = (
    drawn((3, 8, 1)),
    drawn((3, 6, 5, 1), bias="normal"),
    drawn((2, 7, 2), n=3, bias="none", sigma=1.5),
)


def with_target(draw: Callable[[Generator], Problem], reached: int = 9) -> Any:
    """With a target that gradient descent's loss passes in the step before this one."""

    def drawn_with_target(rng: Generator) -> Problem:
        problem = draw(rng)
        lin = Model(problem)
        K, r = lin.K.astype(float), lin.residual.astype(float)
        losses = []
        for _ in range(reached + 1):
            losses.append(r @ r / (2 * len(problem.X)))
            r = r - problem["rate"] / len(problem.X) * K @ r
        target = float(np.float32(np.sqrt(losses[-1] * losses[-2])))
        return replace(problem, numbers={**problem.numbers, "target": target})

    return drawn_with_target


# Eqs. (18) and (19)


def asked(problem: Problem) -> Named:
    """At some t, the last of them large."""
    lin, X_new = problem.linearized, problem.X_new
    gd = lin.gradient_descent(problem.Y, problem["rate"])
    free = lin.gradient_descent(problem.Y)
    products = gd.by_products(FEW)
    return {
        "gradient_descent.predict(t)": gd.predict(X_new, TIMES),
        "gradient_descent.parameters(t)": gd.parameters(TIMES),
        "gradient_descent.loss(t)": gd.loss(TIMES),
        "gradient_descent.steps_to": gd.steps_to(problem["target"]),
        "gradient_descent.steps_to_by_products": gd.steps_to_by_products(problem["target"]).steps,
        "gradient_descent.max_learning_rate": gd.max_learning_rate,
        "gradient_descent.best_learning_rate": gd.best_learning_rate,
        "gradient_descent.learning_rate": free.learning_rate,
        "gradient_descent.by_products.predict": products.predict(X_new),
        "gradient_descent.by_products.parameters": products.parameters,
        "gradient_descent.by_products.loss": products.loss,
    }


def true(model: Model, extra: int = 0) -> Named:
    """The same by powers of 1 − (η/N) K; those of one step more for a control."""
    n, K = model.n, model.K
    step = identity(len(K)) - model["rate"] / n * K

    def at(times: Sequence[int]) -> Any:
        thetas, losses = [], []
        for t in times:
            left = power(step, t + extra)
            moves = solve(K, model.residual - left @ model.residual)
            thetas.append(model.theta + model.phi.T @ moves)
            error = left @ model.residual
            losses.append((error @ error) / (2 * n))
        outputs = [model.predict(theta) for theta in thetas]
        return tuple(np.array(a, object) for a in (thetas, outputs, losses))

    (thetas, outputs, losses), few, values = at(TIMES), at(FEW), eigenvalues(K)
    return {
        "gradient_descent.predict(t)": outputs,
        "gradient_descent.parameters(t)": thetas,
        "gradient_descent.loss(t)": losses,
        "gradient_descent.steps_to": (reached := first_below(model, step)),
        "gradient_descent.steps_to_by_products": reached,
        "gradient_descent.max_learning_rate": 2 * n / values[-1],
        "gradient_descent.best_learning_rate": 2 * n / (values[0] + values[-1]),
        "gradient_descent.learning_rate": n / values[-1] / 2,
        "gradient_descent.by_products.predict": few[1],
        "gradient_descent.by_products.parameters": few[0],
        "gradient_descent.by_products.loss": few[2],
    }


def first_below(model: Model, step: Array) -> int:
    """The first t with a loss below the target."""
    r: Any = model.residual
    target = arb(model.problem["target"])
    for t in count():
        if (r @ r) / (2 * model.n) < target:
            return t
        r = step @ r
    raise AssertionError


# By products, f_t is as near as their tolerance, in the norm of what it moves by.
BY_PRODUCTS = {
    f"gradient_descent.by_products.{name}": 1e-10 for name in ("predict", "parameters", "loss")
}

EQUATION_18 = (
    agreement(
        "descent",
        "gradient_descent: f_t, θ_t, L_t, steps_to and learning rates",
        [with_target(kind) for kind in KINDS],
        asked,
        true,
        partial(true, extra=1),
        "one step more",
        tolerances=BY_PRODUCTS,
    ),
)


def asked_limit(problem: Problem) -> Named:
    """t → ∞."""
    gd = problem.linearized.gradient_descent(problem.Y, problem["rate"])
    return {
        "gradient_descent.predict()": gd.predict(problem.X_new),
        "gradient_descent.parameters()": gd.parameters(),
        "gradient_descent.predict(10**15)": gd.predict(problem.X_new, 10**15),
    }


def true_limit(model: Model, start: int = 1) -> Named:
    """Eq. (19); without f_0 for a control."""
    moves = solve(model.K, model.y - start * model.f0)
    theta = model.theta + model.phi.T @ moves
    outputs = start * model.f0_new + model.K_new @ moves
    return {
        "gradient_descent.predict()": outputs,
        "gradient_descent.parameters()": theta,
        "gradient_descent.predict(10**15)": outputs,
    }


EQUATION_19 = (
    agreement(
        "limits-of-descent",
        "gradient_descent at t = None and at 10¹⁵ is Eq. (19)",
        KINDS,
        asked_limit,
        true_limit,
        partial(true_limit, start=0),
        "f_int alone",
    ),
)


# Momentum, decay, schedules, weights: their steps

MU = 0.625


def closed(options: Callable[[Problem], dict[str, Any]]) -> Callable[[Problem], Named]:
    """``call(problem)``: f_t, θ_t and L_t with these options."""

    def call(problem: Problem) -> Named:
        rate, given = problem["rate"], options(problem)
        rate = given.pop("learning_rate", rate)
        gd = problem.linearized.gradient_descent(problem.Y, rate, **given)
        return {
            "gradient_descent.predict(t)": gd.predict(problem.X_new, FEW),
            "gradient_descent.parameters(t)": gd.parameters(FEW),
            "gradient_descent.loss(t)": gd.loss(FEW),
        }

    return call


def along(model: Model, path: rules.Path) -> Named:
    """What the parameters of these steps come to."""
    thetas = [path.thetas[t] for t in FEW]
    return {
        "gradient_descent.predict(t)": [model.predict(theta) for theta in thetas],
        "gradient_descent.parameters(t)": thetas,
        "gradient_descent.loss(t)": [model.loss(theta) for theta in thetas],
    }


def stepped(rule: Callable[[Model], rules.Rule]) -> Callable[[Model], Named]:
    """``truth(model)``: the same by the rule's steps."""

    def truth(model: Model) -> Named:
        path = walk(rule(model), model.theta, linear_gradient(model), FEW[-1])
        return along(model, path)

    return truth


def heavy(
    model: Model, *, nesterov: bool = False, decay: bool = False, decoupled: bool = False
) -> rules.Rule:
    """Heavy ball, or Nesterov's; with decay."""
    direction = rules.velocity(model.moved(exact([MU]))[0], nesterov=nesterov)
    return rules.Rule(model["rate"], direction, model["decay"] if decay else 0, decoupled)


MOMENTUM = tuple(
    agreement(
        f"{name}-closed-form",
        f"gradient_descent(momentum=…) is the steps of {title}",
        KINDS,
        closed(lambda problem, nesterov=nesterov: {"momentum": MU, "nesterov": nesterov}),
        stepped(partial(heavy, nesterov=nesterov)),
        stepped(partial(heavy, nesterov=not nesterov)),
        "the other of both rules",
    )
    for name, title, nesterov in (
        ("heavy-ball", "heavy ball", False),
        ("nesterov", "Nesterov's method", True),
    )
)
