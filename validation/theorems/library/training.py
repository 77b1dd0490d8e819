"""Training of the real network: every optimizer, engine, loss and kind of batches; its records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from flint import arb

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.linearized_runs import (
    BATCHES,
    OPTIMIZERS,
    rule_of,
)
from ntklin.validation.theorems.library.models import Model, Problem, drawn, passes
from ntklin.validation.theorems.library.numbers import exact
from ntklin.validation.theorems.library.product_forms import in_order
from ntklin.validation.theorems.library.rules import (
    Path,
    Rule,
    linear_gradient,
    loss_of,
    real_gradient,
    walk,
)

STEPS = 3
KINDS = (drawn((3, 6, 1)), drawn((2, 4, 3, 2), n=3, bias="normal", sigma=1.5))


def trained(problem: Problem, *arguments: Any, **options: Any) -> Any:
    """The library's run."""
    return ntklin.train(problem.net, problem.theta, problem.X, problem.Y, *arguments, **options)


def asked(
    problem: Problem, names: Sequence[str] = tuple(OPTIMIZERS), method: Any = "auto"
) -> Named:
    """Where each optimizer comes to."""
    found: dict[str, Any] = {}
    for name in names:
        optimizer = OPTIMIZERS[name](problem["rate"], problem["decay"])
        run = trained(problem, optimizer, STEPS, method=method)
        found |= {
            f"{name}: train.parameters": run.parameters,
            f"{name}: train.losses": run.losses,
            f"{name}: train.predict": run.predict(problem.X_new),
        }
    return found


def losses(model: Model, path: Path) -> list[arb]:
    """L(θ_0), …, L(θ_t), the squared one."""
    targets = model.Y.reshape(model.n, -1)
    return [loss_of("squared", passes(model.net, at, model.X)[0], targets) for at in path.thetas]


def true(model: Model, names: Sequence[str] = tuple(OPTIMIZERS), twice: str = "") -> Named:
    """The same by the rules, with gradients by the chain rule at each θ_t."""
    found: dict[str, Any] = {}
    for name in names:
        rule = rule_of(name, model)
        if name == twice:
            rule = Rule(2 * rule.rate, rule.direction, rule.decay, rule.decoupled)
        path = walk(rule, model.theta, real_gradient(model), STEPS)
        found |= {
            f"{name}: train.parameters": path.end,
            f"{name}: train.losses": losses(model, path),
            f"{name}: train.predict": passes(model.net, path.end, model.X_new)[0],
        }
    return found


PLAIN = ("GradientDescent", "Momentum", "Nesterov", "GradientDescent(schedule)")

LEMMA_1 = (
    agreement(
        "gradient-descent",
        "train by gradient descent, with momentum or a schedule: θ_t, losses, outputs",
        KINDS,
        partial(asked, names=PLAIN),
        partial(true, names=PLAIN),
        partial(true, names=PLAIN, twice="GradientDescent"),
        "twice the rate",
    ),
)
ADAPTIVE = tuple(name for name in OPTIMIZERS if name not in PLAIN)
THEOREM_3 = (
    agreement(
        "optimizers-trained",
        "train by every other optimizer, with decay of both kinds",
        KINDS,
        partial(asked, names=ADAPTIVE),
        partial(true, names=ADAPTIVE),
        partial(true, names=ADAPTIVE, twice="RMSprop"),
        "RMSprop at twice its rate",
    ),
)


# Engines, ensembles, defaults

ENGINES = (
    ("reduced", ("GradientDescent",)),
    ("fused", ("GradientDescent", "AdaGrad", "Adam")),
    ("direct", ("GradientDescent", "AdaGrad", "Adam")),
)


def asked_engines(problem: Problem) -> Named:
    """Each of them, and two networks at once."""
    found: dict[str, Any] = {}
    for method, names in ENGINES:
        for key, value in asked(problem, names, method).items():
            found[f"{method} {key}"] = value
    thetas = [problem.theta, problem.theta]
    rule = ntklin.GradientDescent(problem["rate"])
    second: Any
    _, second = ntklin.train_ensemble(problem.net, thetas, problem.X, problem.Y, rule, steps=STEPS)
    return found | {"train_ensemble.parameters": second.parameters}


def true_engines(model: Model, twice: str = "") -> Named:
    """The same whatever the engine."""
    whole = true(model, ("GradientDescent", "AdaGrad", "Adam"), twice)
    parts = ("train.parameters", "train.losses", "train.predict")
    found = {
        f"{method} {name}: {part}": whole[f"{name}: {part}"]
        for method, names in ENGINES
        for name in names
        for part in parts
    }
    return found | {"train_ensemble.parameters": whole["GradientDescent: train.parameters"]}


ENGINES_AGREE = (
    agreement(
        "engines-trained",
        "every engine of train and train_ensemble take the same steps",
        KINDS[:1],
        asked_engines,
        true_engines,
        partial(true_engines, twice="Adam"),
        "Adam at twice its rate",
    ),
)


# Theorem 4: mini-batches


def asked_batches(problem: Problem, names: Sequence[str]) -> Named:
    """With lists of batches, and with the library's own."""
    found: dict[str, Any] = {}
    for name in names:
        optimizer = OPTIMIZERS[name](problem["rate"], problem["decay"])
        run = trained(problem, optimizer, STEPS, batches=list(map(list, BATCHES)))
        found |= {
            f"{name}: train(batches).parameters": run.parameters,
            f"{name}: train(batches).losses": run.losses,
        }
    batches = ntklin.Batches(size=2, shuffle=False)
    run = trained(problem, ntklin.GradientDescent(problem["rate"]), STEPS, batches=batches)
    shuffled = ntklin.Batches(size=2, rng=5)
    own = [shuffled.at(t, len(problem.X)).tolist() for t in range(2)]
    return found | {
        "Batches: train.parameters": run.parameters,
        "Batches: an epoch": sorted(i for batch in own for i in batch),
        "Batches: sizes": [len(batch) for batch in own],
    }


def true_batches(model: Model, names: Sequence[str], of_all: bool = False) -> Named:
    """By the steps; with 1/N of each sample for a control."""
    found: dict[str, Any] = {}
    gradient = real_gradient(model, BATCHES, of_all=of_all)
    for name in names:
        path = walk(rule_of(name, model), model.theta, gradient, STEPS)
        found |= {
            f"{name}: train(batches).parameters": path.end,
            f"{name}: train(batches).losses": losses(model, path),
        }
    ordered = real_gradient(model, in_order(model.n), of_all=of_all)
    path = walk(rule_of("GradientDescent", model), model.theta, ordered, STEPS)
    return found | {
        "Batches: train.parameters": path.end,
        "Batches: an epoch": list(range(model.n)),
        "Batches: sizes": [2, model.n - 2],
    }


def batches(name: str, *names: str) -> tuple[Any, ...]:
    """The check for these optimizers."""
    return (
        agreement(
            name,
            f"train by {' and '.join(names)} on mini-batches",
            (drawn((3, 5, 1), n=3), drawn((2, 4, 2), n=3, bias="normal")),
            partial(asked_batches, names=names),
            partial(true_batches, names=names),
            partial(true_batches, names=names, of_all=True),
            "1/N of each sample in the place of 1/|B|",
        ),
    )


THEOREM_4 = batches("batches", "GradientDescent", "AdaGrad")
ADAM_BATCHES = batches("batches", "Adam", "RMSprop")


# Losses of classes


def asked_losses(problem: Problem) -> Named:
    """Logistic or softmax, by the number of outputs."""
    loss: Any = "logistic" if problem.net.n_outputs == 1 else "softmax"
    rule = ntklin.GradientDescent(problem["rate"])
    Y = probabilities(problem)
    run = ntklin.train(problem.net, problem.theta, problem.X, Y, rule, STEPS, loss=loss)
    linearized = problem.linearized.train(Y, rule, STEPS, loss=loss)
    return {
        "train(loss).parameters": run.parameters,
        "train(loss).losses": run.losses,
        "linearize.train(loss).parameters": linearized.parameters,
    }


def probabilities(problem: Problem) -> Array:
    """Targets for these losses, by the signs of Y."""
    Y = (problem.Y > 0).astype(problem.Y.dtype)
    if Y.ndim == 1:
        return Y / 2 + np.asarray(0.25, Y.dtype)
    first = Y[:, :1] / 2 + np.asarray(0.25, Y.dtype)
    return np.concatenate([first, 1 - first], axis=1)


def true_losses(model: Model, other: str = "") -> Named:
    """By the steps."""
    loss = other or ("logistic" if model.rows == model.n else "softmax")
    C = model.rows // model.n
    targets = exact(probabilities(model.problem)).reshape(-1, C)
    rule, of = rule_of("GradientDescent", model), {"loss": loss, "targets": targets}
    path = walk(rule, model.theta, real_gradient(model, **of), STEPS)
    found = [loss_of(loss, passes(model.net, at, model.X)[0], targets) for at in path.thetas]
    linear = walk(rule, model.theta, linear_gradient(model, **of), STEPS)
    return {
        "train(loss).parameters": path.end,
        "train(loss).losses": found,
        "linearize.train(loss).parameters": linear.end,
    }


LOSSES = (
    agreement(
        "losses",
        "train with the logistic and the softmax loss",
        (drawn((3, 6, 1)), drawn((3, 5, 2), n=3, bias="normal")),
        asked_losses,
        true_losses,
        partial(true_losses, other="squared"),
        "the squared loss",
    ),
)
