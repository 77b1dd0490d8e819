"""Training of the linearization step by step: every optimizer, batches, the split of its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from flint import arb

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library import rules
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import Model, Problem, UndecidedError, drawn
from ntklin.validation.theorems.library.numbers import solve
from ntklin.validation.theorems.library.rules import Rule, linear_gradient, walk

STEPS = 4
# The condition that K_D may have.
MOST = 1e4
KINDS = (drawn((3, 8, 1)), drawn((2, 6, 2), n=3, bias="normal"))
BATCHES = ((0, 1), (2,), (1, 2), (0, 2))

# The numbers of the rules: float32 holds them.
MU, ALPHA, EPS, BETAS = 0.625, 0.75, 2.0**-6, (0.875, 0.75)

# By name: the library's optimizer for a rate and a decay, and the rule in exact numbers.
Maker = Callable[[Any, float], Any]


def small(rate: float) -> float:
    """A rate for adaptive rules, whose steps are of about that size."""
    return 2.0 ** np.floor(np.log2(rate)) / 2**5


OPTIMIZERS: dict[str, Maker] = {
    "GradientDescent": lambda rate, decay: ntklin.GradientDescent(rate),
    "Momentum": lambda rate, decay: ntklin.Momentum(rate, MU),
    "Nesterov": lambda rate, decay: ntklin.GradientDescent(rate, MU, nesterov=True),
    "AdaGrad": lambda rate, decay: ntklin.AdaGrad(small(rate), EPS),
    "RMSprop": lambda rate, decay: ntklin.RMSprop(small(rate), ALPHA, EPS),
    "Adam": lambda rate, decay: ntklin.Adam(small(rate), BETAS, EPS),
    "AdamW": lambda rate, decay: ntklin.AdamW(small(rate), BETAS, EPS, decay),
    "GradientDescent(weight_decay)": lambda rate, decay: ntklin.GradientDescent(
        rate, weight_decay=decay
    ),
    "GradientDescent(decoupled)": lambda rate, decay: ntklin.GradientDescent(
        rate, MU, weight_decay=decay, decoupled=True
    ),
    "AdaGrad(weight_decay)": lambda rate, decay: ntklin.AdaGrad(
        small(rate), EPS, weight_decay=decay
    ),
    "RMSprop(decoupled)": lambda rate, decay: ntklin.RMSprop(
        small(rate), ALPHA, EPS, weight_decay=decay, decoupled=True
    ),
    "GradientDescent(schedule)": lambda rate, decay: ntklin.GradientDescent(
        ntklin.CosineSchedule(rate, 8)
    ),
    "Adam(schedule)": lambda rate, decay: ntklin.Adam(
        ntklin.StepSchedule(small(rate), 2, 0.5), BETAS, EPS
    ),
}


def rule_of(name: str, model: Model) -> Rule:
    """The rule of this optimizer."""
    rate, decay, eps = model["rate"], model["decay"], arb(EPS)
    slow = rate * arb(small(model.problem["rate"]) / model.problem["rate"])
    mu, betas = arb(MU), (arb(BETAS[0]), arb(BETAS[1]))
    heavy, adagrad = rules.velocity(mu), rules.adagrad(eps)
    rmsprop, adam = rules.rmsprop(arb(ALPHA), eps), rules.adam(betas, eps)
    return {
        "GradientDescent": Rule(rate, rules.plain),
        "Momentum": Rule(rate, heavy),
        "Nesterov": Rule(rate, rules.velocity(mu, nesterov=True)),
        "AdaGrad": Rule(slow, adagrad),
        "RMSprop": Rule(slow, rmsprop),
        "Adam": Rule(slow, adam),
        "AdamW": Rule(slow, adam, decay, decoupled=True),
        "GradientDescent(weight_decay)": Rule(rate, rules.plain, decay),
        "GradientDescent(decoupled)": Rule(rate, heavy, decay, decoupled=True),
        "AdaGrad(weight_decay)": Rule(slow, adagrad, decay),
        "RMSprop(decoupled)": Rule(slow, rmsprop, decay, decoupled=True),
        "GradientDescent(schedule)": Rule(rules.cosine(rate, 8, arb(0)), rules.plain),
        "Adam(schedule)": Rule(rules.stairs(slow, 2, arb(0.5)), adam),
    }[name]


# Those whose steps are −η D_t ∇L, and the engines that take them.
ADAPTIVE = ("AdaGrad", "RMSprop")


def asked(
    problem: Problem, names: Sequence[str] = tuple(OPTIMIZERS), method: Any = "auto"
) -> Named:
    """Where each optimizer comes to, and the split of that."""
    lin, X_new, found = problem.linearized, problem.X_new, {}
    for name in names:
        optimizer = OPTIMIZERS[name](problem["rate"], problem["decay"])
        run = lin.train(problem.Y, optimizer, STEPS, method=method)
        found |= {
            f"{name}: train.parameters": run.parameters,
            f"{name}: train.predict": run.predict(X_new),
            f"{name}: train.losses": run.losses,
            f"{name}: train.outputs": run.outputs,
        }
        if name in ADAPTIVE:
            found |= {
                f"{name}: train.weights": run.weights,
                f"{name}: train.interpolating": run.interpolating(X_new),
                f"{name}: train.path_dependent": run.path_dependent(X_new),
                f"{name}: train.interpolating_displacement": run.interpolating_displacement,
                f"{name}: train.path_dependent_displacement": run.path_dependent_displacement,
            }
    return found


def true(
    model: Model, names: Sequence[str] = tuple(OPTIMIZERS), steps: int = STEPS, twice: str = ""
) -> Named:
    """The same by the rules; with twice the rate of one of them for a control."""
    found: dict[str, Any] = {}
    for name in names:
        rule = rule_of(name, model)
        if name == twice:
            rule = Rule(2 * rule.rate, rule.direction, rule.decay, rule.decoupled)
        path = walk(rule, model.theta, linear_gradient(model), steps)
        moved = path.end - model.theta
        found |= {
            f"{name}: train.parameters": path.end,
            f"{name}: train.predict": model.predict(path.end),
            f"{name}: train.losses": [model.loss(theta) for theta in path.thetas],
            f"{name}: train.outputs": model.f0 + model.phi @ moved,
        }
        if name in ADAPTIVE:
            inside = interpolating(model, path.weights[-1], moved)
            found |= {
                f"{name}: train.weights": path.weights[-1],
                f"{name}: train.interpolating_displacement": inside,
                f"{name}: train.path_dependent_displacement": moved
                - inside
                + model.cancelled(moved),
                f"{name}: train.interpolating": model.f0_new + model.phi_new @ inside,
                f"{name}: train.path_dependent": model.phi_new @ (moved - inside)
                + model.cancelled(model.f0_new),
            }
    return found


def interpolating(model: Model, D: Any, moved: Array) -> Array:
    """A_t (f_t(X) − f_0(X))."""
    right = D @ model.phi.T if np.ndim(D) == 2 else (D * model.phi).T
    require_inverse(model.phi @ right)
    return right @ solve(model.shaken(model.phi @ right), model.phi @ moved)


def require_inverse(K: Array) -> None:
    """Another problem where D trains too few directions for K_D to have an inverse in float32.

    Raises
    ------
    UndecidedError
        If it has none.
    """
    if not np.linalg.cond(K.astype(float)) < MOST:
        raise UndecidedError("K_D is nearly singular")


def asked_engines(problem: Problem) -> Named:
    """Gradient descent and RMSprop by every engine."""
    found: dict[str, Any] = {}
    for method, names in (
        ("reduced", ("GradientDescent", "Momentum")),
        ("fused", ("RMSprop", "Adam")),
        ("direct", ("GradientDescent", "RMSprop", "Adam")),
    ):
        for key, value in asked(problem, names, method).items():
            if key.endswith(("train.parameters", "train.losses")):
                found[f"{method} {key}"] = value
    return found


def true_engines(model: Model, twice: str = "") -> Named:
    """The same whatever the engine."""
    whole = true(model, ("GradientDescent", "Momentum", "RMSprop", "Adam"), twice=twice)
    return {
        f"{method} {name}: {part}": whole[f"{name}: {part}"]
        for method, names in (
            ("reduced", ("GradientDescent", "Momentum")),
            ("fused", ("RMSprop", "Adam")),
            ("direct", ("GradientDescent", "RMSprop", "Adam")),
        )
        for name in names
        for part in ("train.parameters", "train.losses")
    }


OPTIMIZED = (
    agreement(
        "optimizers",
        "train of the linearization by every optimizer: θ_t, f_t, losses, D_t and the split",
        KINDS,
        asked,
        true,
        partial(true, twice="Adam"),
        "Adam at twice its rate",
    ),
    agreement(
        "engines",
        "every engine of the linearization takes the same steps",
        KINDS[:1],
        asked_engines,
        true_engines,
        partial(true_engines, twice="RMSprop"),
        "RMSprop at twice its rate",
    ),
)
