"""What is built on training: mitigation of the initialization, half-lives, the largest rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb
from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import (
    Model,
    Problem,
    UndecidedError,
    drawn,
    passes,
)
from ntklin.validation.theorems.library.numbers import eigenvalues
from ntklin.validation.theorems.library.rules import Rule, plain, real_gradient, walk

FACTOR, SMALLEST, MOST = 0.5, 0.25, 12


def with_targets(draw: Callable[[Generator], Problem]) -> Callable[[Generator], Problem]:
    """With a training loss to reach, three quarters of that of f = 0."""

    def drawn_with_targets(rng: Generator) -> Problem:
        problem = draw(rng)
        until = float(0.75 * (problem.Y**2).mean() / 2)
        return replace(problem, numbers={**problem.numbers, "until": until})

    return drawn_with_targets


def asked(problem: Problem) -> Named:
    """Trials at σ, σ/2 and σ/4, and a run with decay to its half-life."""
    net, theta, X, Y = problem.net, problem.theta, problem.X, problem.Y
    # Rates that keep their ratio to N/λ_max: the kernel falls like σ^{2L}.
    found = ntklin.mitigate_initialization(
        net,
        X,
        Y,
        problem.X_new,
        problem.D[: len(problem.X_new)] - 1,
        theta=theta,
        factor=FACTOR,
        margin=0.0,
        min_sigma=SMALLEST,
        optimizer=lambda made: ntklin.GradientDescent(problem["rate"] / made.sigma**4),
        until=problem["until"],
        max_steps=10 * MOST,
    )
    decay = 1 / (4 * problem["rate"])
    run = ntklin.decay_initialization(
        net, theta, X, Y, weight_decay=decay, learning_rate=problem["rate"]
    )
    free = ntklin.decay_initialization(net, theta, X, Y, weight_decay=decay)
    return {
        "mitigate_initialization.sigmas": [trial.sigma for trial in found.trials],
        "mitigate_initialization.steps": [trial.steps for trial in found.trials],
        "mitigate_initialization.losses": [trial.validation_loss for trial in found.trials],
        "mitigate_initialization.best": found.sigma,
        "mitigate_initialization.parameters": found.parameters,
        "mitigate_initialization.predict": found.predict(problem.X_new),
        "decay_initialization.parameters": run.parameters,
        "decay_initialization.steps": run.steps,
        "decay_initialization.learning_rate": free.optimizer.learning_rate,
    }


def true(model: Model, last: int = 2) -> Named:
    """The same by hand. ``last`` is the step at half-life: (3/4)² is nearer to 1/2 than (3/4)³."""
    trials: list[dict[str, Any]] = []
    sigma = 1.0
    while sigma >= SMALLEST:
        trials.append(_trial(model, sigma))
        falls = len(trials) < 2 or float(trials[-1]["loss"]) < float(trials[-2]["loss"])
        if not falls:
            break
        sigma *= FACTOR
    best = min(trials, key=lambda trial: float(trial["loss"]))
    rate, decay = model["rate"], 1 / (4 * model["rate"])
    path = walk(Rule(rate, plain, decay), model.theta, real_gradient(model), last)
    largest = eigenvalues(model.K)[-1]
    return {
        "mitigate_initialization.sigmas": [trial["sigma"] for trial in trials],
        "mitigate_initialization.steps": [trial["steps"] for trial in trials],
        "mitigate_initialization.losses": [trial["loss"] for trial in trials],
        "mitigate_initialization.best": best["sigma"],
        "mitigate_initialization.parameters": best["theta"],
        "mitigate_initialization.predict": best["outputs"],
        "decay_initialization.parameters": path.end,
        "decay_initialization.steps": last,
        "decay_initialization.learning_rate": model.n / (largest + model.n * decay) / 2,
    }


def _trial(model: Model, sigma: float) -> dict[str, Any]:
    """The network at this σ, trained from the same θ_0 until the loss is small enough."""
    net, rate = replace(model.net, sigma=sigma), model["rate"] / arb(sigma) ** 4
    theta, until = model.theta, arb(model.problem["until"])
    for steps in range(MOST + 1):
        f, phi = passes(net, theta, model.X)
        error: Any = f.ravel() - model.y
        loss = (error @ error) / (2 * model.n)
        if abs(float(loss / until) - 1) < 1e-3:
            raise UndecidedError("the loss is too near to what it is to reach")
        if loss < until:
            outputs = passes(net, theta, model.X_new)[0].ravel()
            apart = outputs - (model.D[: len(outputs)] - 1)
            validation = (apart @ apart) / (2 * len(outputs))
            parts = {"theta": theta, "outputs": outputs, "loss": validation}
            return {"sigma": arb(sigma), "steps": steps, **parts}
        theta = theta - rate / model.n * (phi.T @ error)
    raise UndecidedError("training takes too long")


MITIGATION = (
    agreement(
        "mitigation",
        "mitigate_initialization and decay_initialization train as they say",
        (with_targets(drawn((2, 5, 1), n=3, bias="none")),),
        asked,
        true,
        partial(true, last=3),
        "the first step below half in the place of the nearest",
        repeats=3,
    ),
)


# The largest learning rate, of a network that is its own linearization


def asked_rate(problem: Problem) -> Named:
    """Whether the search ends around 2N/λ_max, beyond which the loss rises."""
    net, theta, X, Y = problem.net, problem.theta, problem.X, problem.Y
    rule = ntklin.GradientDescent(problem["rate"])
    found = ntklin.largest_learning_rate(net, theta, X, Y, rule, steps=400, until=1e-12)
    bound = 2 * len(X) / np.linalg.eigvalsh(X.astype(float) @ X.T)[-1]
    return {
        "largest_learning_rate brackets": bracketed(found, bound),
        "largest_learning_rate brackets half": bracketed(found, bound / 2),
    }


def bracketed(found: Any, bound: float) -> float:
    """1 if the rate is below the bound, the rising one above it, and both are within 5 %."""
    low, high = found.learning_rate, found.rising
    if high is None:
        return 0.0
    return float(high <= 1.06 * low and low <= 1.001 * bound and high >= 0.999 * bound)


def true_rate(model: Model, half: bool = False) -> Named:
    """The first one does."""
    return {
        "largest_learning_rate brackets": float(not half),
        "largest_learning_rate brackets half": float(half),
    }


LARGEST_RATE = (
    agreement(
        "largest-rate",
        "largest_learning_rate ends within 5 % of 2N/λ_max for a linear network",
        (drawn((3, 1), n=5, bias="none", scaling="standard"),),
        asked_rate,
        true_rate,
        partial(true_rate, half=True),
        "N/λ_max",
        repeats=3,
    ),
)
