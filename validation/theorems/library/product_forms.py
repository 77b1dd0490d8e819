"""Theorems 3, 5 and 6: given D_t and mini-batches, by the product formulas and step by step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

import ntklin
from ntklin.validation.theorems.library import rules
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.linearized_runs import (
    ADAPTIVE,
    BATCHES,
    OPTIMIZERS,
    STEPS,
    interpolating,
    require_inverse,
    rule_of,
)
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.library.numbers import exact, identity, solve
from ntklin.validation.theorems.library.rules import Path, Rule, linear_gradient, walk

# Given D_t: Theorem 3 to the letter


def sequence(problem: Problem) -> list[Any]:
    """D_0, …: a number, diagonals, and a full matrix that is not symmetric."""
    D = problem.D
    spread = np.diag(D) + np.outer(D, D[::-1] ** 2) / 256
    return [0.5, D, 2.25 - D, spread]


def asked_given(problem: Problem) -> Named:
    """By theorem3, and by steps."""
    lin, X_new = problem.linearized, problem.X_new
    D = sequence(problem)
    form = lin.theorem3(problem.Y, D, problem["rate"])
    optimizer = ntklin.Preconditioned(problem["rate"], lambda t, gradient: D[t])
    run = lin.train(problem.Y, optimizer, len(D))
    return {
        "theorem3.parameters": form.parameters,
        "theorem3.predict": form.predict(X_new),
        "theorem3.A": form.A,
        "theorem3.B": form.path_dependent_displacement,
        "theorem3.interpolating_displacement": form.interpolating_displacement,
        "theorem3.interpolating": form.interpolating(X_new),
        "theorem3.path_dependent": form.path_dependent(X_new),
        "theorem3.fitted": form.fitted,
        "Preconditioned: train.parameters": run.parameters,
        "Preconditioned: train.losses": run.losses,
    }


def given(
    model: Model, batches: Sequence[Sequence[int]] | None = None, of_all: bool = False
) -> Path:
    """The steps with these D_t."""
    D = [model.moved(exact(A)) if np.ndim(A) else exact(A) for A in sequence(model.problem)]
    rule = Rule(model["rate"], rules.preconditioned(D))
    return walk(rule, model.theta, linear_gradient(model, batches, of_all=of_all), len(D))


def true_given(model: Model, split: bool = True) -> Named:
    """By the steps; all of it interpolating for a control."""
    path = given(model)
    moved, D = path.end - model.theta, path.weights[-1]
    right = D @ model.phi.T
    A = right @ solve(model.shaken(model.phi @ right), identity(model.rows))
    inside = A @ (model.phi @ moved) if split else moved
    return {
        "theorem3.parameters": path.end,
        "theorem3.predict": model.predict(path.end),
        "theorem3.A": A,
        "theorem3.B": moved - inside,
        "theorem3.interpolating_displacement": inside,
        "theorem3.interpolating": model.f0_new + model.phi_new @ inside,
        "theorem3.path_dependent": model.phi_new @ (moved - inside),
        "theorem3.fitted": model.phi @ moved,
        "Preconditioned: train.parameters": path.end,
        "Preconditioned: train.losses": [model.loss(theta) for theta in path.thetas],
    }


GIVEN = (
    agreement(
        "given-matrices",
        "theorem3 and Preconditioned, for numbers, diagonals and a matrix that is not symmetric",
        (drawn((3, 4, 1)), drawn((2, 3, 2), n=2, bias="normal")),
        asked_given,
        true_given,
        partial(true_given, split=False),
        "B_t = 0",
    ),
)


# Batches: Theorems 5 and 6


def asked_batches(problem: Problem, names: Sequence[str]) -> Named:
    """The same with mini-batches."""
    lin, X_new, found = problem.linearized, problem.X_new, {}
    for name in names:
        optimizer = OPTIMIZERS[name](problem["rate"], problem["decay"])
        run = lin.train(problem.Y, optimizer, STEPS, batches=list(map(list, BATCHES)))
        found |= {
            f"{name}: train(batches).parameters": run.parameters,
            f"{name}: train(batches).losses": run.losses,
            f"{name}: train(batches).interpolating": run.interpolating(X_new),
        }
        if name in ADAPTIVE:
            found[f"{name}: train(batches).path_dependent"] = run.path_dependent(X_new)
    batches = ntklin.Batches(size=2, shuffle=False)
    run = lin.train(problem.Y, ntklin.GradientDescent(problem["rate"]), STEPS, batches=batches)
    return found | {"Batches: train.parameters": run.parameters}


def in_order(n: int, steps: int = STEPS) -> list[list[int]]:
    """Batches of two in the order of X, epoch after epoch."""
    epoch = [list(range(n))[i : i + 2] for i in range(0, n, 2)]
    return (epoch * steps)[:steps]


def true_batches(model: Model, names: Sequence[str], of_all: bool = False) -> Named:
    """By the steps; with 1/N of each sample for a control."""
    found: dict[str, Any] = {}
    gradient = linear_gradient(model, BATCHES, of_all=of_all)
    for name in names:
        path = walk(rule_of(name, model), model.theta, gradient, STEPS)
        moved = path.end - model.theta
        inside = interpolating(model, path.weights[-1], moved)
        found |= {
            f"{name}: train(batches).parameters": path.end,
            f"{name}: train(batches).losses": [model.loss(theta) for theta in path.thetas],
            f"{name}: train(batches).interpolating": model.f0_new + model.phi_new @ inside,
        }
        if name in ADAPTIVE:
            outside = model.phi_new @ (moved - inside) + model.cancelled(model.f0_new)
            found[f"{name}: train(batches).path_dependent"] = outside
    ordered = linear_gradient(model, in_order(model.n), of_all=of_all)
    path = walk(rule_of("GradientDescent", model), model.theta, ordered, STEPS)
    return found | {"Batches: train.parameters": path.end}


def asked_product(problem: Problem) -> Named:
    """theorem6."""
    batches = list(map(list, BATCHES))
    form = problem.linearized.theorem6(
        problem.Y, sequence(problem), problem["rate"], batches=batches
    )
    adaptive = OPTIMIZERS["AdaGrad"](problem["rate"], 0.0)
    own = problem.linearized.theorem6(problem.Y, adaptive, steps=STEPS, batches=batches)
    return {
        "theorem6.parameters": form.parameters,
        "theorem6.B": form.B,
        "theorem6.predict": form.predict(problem.X_new),
        "theorem6(AdaGrad).parameters": own.parameters,
        "theorem6(AdaGrad).path_dependent": own.path_dependent(problem.X_new),
    }


def true_product(model: Model, of_all: bool = False) -> Named:
    """By the steps; with 1/N of each sample for a control."""
    path = given(model, BATCHES, of_all)
    moved = path.end - model.theta
    gradient = linear_gradient(model, BATCHES, of_all=of_all)
    own = walk(rule_of("AdaGrad", model), model.theta, gradient, STEPS)
    own_moved = own.end - model.theta
    for D in own.weights:
        require_inverse(model.phi * D @ model.phi.T)
    outside = own_moved - interpolating(model, own.weights[-1], own_moved)
    return {
        "theorem6.parameters": path.end,
        "theorem6.B": moved - interpolating(model, path.weights[-1], moved),
        "theorem6.predict": model.predict(path.end),
        "theorem6(AdaGrad).parameters": own.end,
        "theorem6(AdaGrad).path_dependent": model.phi_new @ outside,
    }


THREE = (drawn((3, 4, 1), n=3), drawn((2, 4, 2), n=3, bias="normal"))

THEOREM_5 = (
    agreement(
        "batches",
        "train of the linearization by gradient descent and momentum on mini-batches",
        THREE,
        partial(asked_batches, names=("GradientDescent", "Momentum")),
        partial(true_batches, names=("GradientDescent", "Momentum")),
        partial(true_batches, names=("GradientDescent", "Momentum"), of_all=True),
        "1/N of each sample in the place of 1/|B|",
    ),
)
THEOREM_6 = (
    agreement(
        "batches",
        "train of the linearization by AdaGrad and RMSprop on mini-batches, and its split",
        THREE,
        partial(asked_batches, names=ADAPTIVE),
        partial(true_batches, names=ADAPTIVE),
        partial(true_batches, names=ADAPTIVE, of_all=True),
        "1/N of each sample in the place of 1/|B|",
    ),
    agreement(
        "product",
        "theorem6 is the steps, for given D_t and for AdaGrad",
        THREE,
        asked_product,
        true_product,
        partial(true_product, of_all=True),
        "1/N of each sample in the place of 1/|B|",
    ),
)
