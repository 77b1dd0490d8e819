"""Runs that are saved and gone on with: they end where one does that nothing disturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Check
from ntklin.validation.theorems.library import rules, training
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.linearized_runs import OPTIMIZERS, rule_of
from ntklin.validation.theorems.library.models import Model, Problem, drawn, passes
from ntklin.validation.theorems.library.product_forms import in_order

# Steps until a run is saved, amid an epoch, and all of them.
SAVED, STEPS = 3, 5
NAMES = ("Momentum", "AdaGrad", "RMSprop", "AdamW", "GradientDescent(schedule)", "Adam(schedule)")
# Of those, the one that takes mini-batches.
BATCHED = "Momentum"


@dataclass(frozen=True)
class Trained:
    """What is trained, by the library and in exact numbers.

    Attributes
    ----------
    train : callable
        ``train(problem, optimizer, steps, **options)``, a run.
    load : callable or None
        ``load(path)``, where there is one that needs no problem.
    gradient : callable
        ``gradient(model, batches)``, of ``rules``.
    losses : callable
        ``losses(model, path)``.
    predict : callable
        ``predict(model, theta)``, outputs at new inputs.
    """

    train: Callable[..., Any]
    load: Callable[[Path], Any] | None
    gradient: Callable[..., rules.Gradient]
    losses: Callable[[Model, rules.Path], list[Any]]
    predict: Callable[[Model, Array], Array]


NETWORK = Trained(
    train=training.trained,
    load=lambda path: ntklin.load_run(path),  # looked up when it is called
    gradient=rules.real_gradient,
    losses=training.losses,
    predict=lambda model, theta: passes(model.net, theta, model.X_new)[0],
)
LINEARIZED = Trained(
    train=lambda problem, *given, **options: problem.linearized.train(problem.Y, *given, **options),
    load=None,
    gradient=rules.linear_gradient,
    losses=lambda model, path: [model.loss(theta) for theta in path.thetas],
    predict=Model.predict,
)


def asked(problem: Problem, kind: Trained) -> Named:
    """Saved after three of five steps, and gone on with from the file and from the run."""
    found: dict[str, Any] = {}
    for name in NAMES:
        optimizer = OPTIMIZERS[name](problem["rate"], problem["decay"])
        batches = ntklin.Batches(size=2, shuffle=False) if name == BATCHED else None
        train = partial(kind.train, problem, batches=batches)
        first, whole = train(optimizer, SAVED), train(optimizer, STEPS)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run.npz"
            first.save(path)
            run = train(None, STEPS, resume=path)
            loaded = None if kind.load is None else kind.load(path)
        again = train(None, STEPS, resume=first)
        found |= {
            f"{name}: train(resume).parameters": run.parameters,
            f"{name}: train(resume).losses": run.losses,
            f"{name}: train(resume).predict": run.predict(problem.X_new),
            f"{name}: undisturbed": [float(same(other, whole)) for other in (run, again)],
        }
        if loaded is not None:
            found |= {
                f"{name}: load_run.parameters": loaded.parameters,
                f"{name}: load_run.losses": loaded.losses,
            }
    return found


def same(run: Any, other: Any) -> bool:
    """Whether two runs have the same bits."""
    parts = ("parameters", "losses")
    return all(np.array_equal(getattr(run, name), getattr(other, name)) for name in parts)


def true(model: Model, kind: Trained, *, remembers: bool = True) -> Named:
    """By the steps; for a control, by three of them and two of a run that begins there."""
    found: dict[str, Any] = {}
    for name in NAMES:
        rule = rule_of(name, model)
        gradient = kind.gradient(model, in_order(model.n, STEPS) if name == BATCHED else None)
        path = rules.walk(rule, model.theta, gradient, STEPS if remembers else SAVED)
        if not remembers:
            begun = rules.walk(rule, path.end, gradient, STEPS - SAVED)
            path = rules.Path(path.thetas[:-1] + begun.thetas)
        losses = kind.losses(model, path)
        found |= {
            f"{name}: train(resume).parameters": path.end,
            f"{name}: train(resume).losses": losses,
            f"{name}: train(resume).predict": kind.predict(model, path.end),
            f"{name}: undisturbed": [1, 1],
        }
        if kind.load is not None:
            found |= {
                f"{name}: load_run.parameters": path.thetas[SAVED],
                f"{name}: load_run.losses": losses[: SAVED + 1],
            }
    return found


def check(name: str, hypothesis: str, kind: Trained) -> tuple[Check, ...]:
    """For one kind of runs."""
    return (
        agreement(
            name,
            hypothesis,
            (drawn((2, 4, 1), n=3, bias="normal"),),
            partial(asked, kind=kind),
            partial(true, kind=kind),
            partial(true, kind=kind, remembers=False),
            "a run that begins at θ_T, without what its optimizer remembers",
        ),
    )


CONTINUED = check(
    "resumed", "save, load_run and train(resume=…): the steps of an undisturbed run", NETWORK
)
LINEARIZED_CONTINUED = check(
    "resumed-linearized",
    "save and train(resume=…) of the linearization: the steps of an undisturbed run",
    LINEARIZED,
)
