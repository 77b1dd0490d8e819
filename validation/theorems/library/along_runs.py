"""What is told of a linearized run: how D_t moves, signs, and what labels do to it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from flint import arb

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.linearized_runs import (
    KINDS,
    OPTIMIZERS,
    STEPS,
    rule_of,
    small,
)
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.library.numbers import identity, norm, solve
from ntklin.validation.theorems.library.rules import linear_gradient, walk

# Theorem 7: how D_t moves

RECORDED = (2, 3)


def asked_drift(problem: Problem) -> Named:
    """Concentration and drift of AdaGrad's D_t."""
    optimizer = OPTIMIZERS["AdaGrad"](problem["rate"], 0.0)
    run = problem.linearized.train(problem.Y, optimizer, STEPS, record=RECORDED)
    found, drift = run.concentration(), run.kernel_drift()
    return {
        "train.concentration.distances": found.distances,
        "train.concentration.norms": found.norms,
        "train.concentration.relative_distance": found.relative_distance,
        "train.concentration.constant": found.constant,
        "train.kernel_drift.distances": drift.distances,
        "train.kernel_drift.initial_norm": drift.initial_norm,
        "train.at(t).parameters": run.at(RECORDED[0]).parameters,
        "train.at(t).at(earlier).losses": run.at(RECORDED[1]).at(RECORDED[0]).losses,
        "train.predict(t)": run.predict(problem.X_new, RECORDED[1]),
    }


def true_drift(model: Model, first: int = 0) -> Named:
    """The same from all D_t; drift from K_{D_1} for a control."""
    path = walk(rule_of("AdaGrad", model), model.theta, linear_gradient(model), STEPS)
    D = [path.weights[t - 1] for t in (1, *RECORDED, STEPS)]
    K = [model.phi * A @ model.phi.T for A in D]
    distances = np.array([largest(np.where(A != 0, A - D[-1], 0 * A)) for A in D], object)
    norms = np.array([largest(A) for A in D], object)
    relative = largest(distances) / largest(norms)
    return {
        "train.concentration.distances": distances,
        "train.concentration.norms": norms,
        "train.concentration.relative_distance": relative,
        "train.concentration.constant": relative * arb(min(model.net.widths[1:-1])).sqrt(),
        "train.kernel_drift.distances": [norm(A - K[first]) for A in K],
        "train.kernel_drift.initial_norm": norm(K[first]),
        "train.at(t).parameters": path.thetas[RECORDED[0]],
        "train.at(t).at(earlier).losses": [model.loss(at) for at in path.thetas[: RECORDED[0] + 1]],
        "train.predict(t)": model.predict(path.thetas[RECORDED[1]]),
    }


def largest(values: Array) -> Any:
    """The largest |entry|."""
    return abs(max(values, key=lambda x: abs(float(x))))


THEOREM_7 = (
    agreement(
        "drift",
        "concentration, kernel_drift and what was recorded, of AdaGrad",
        KINDS[:1],
        asked_drift,
        true_drift,
        partial(true_drift, first=1),
        "drift from the second D_t",
    ),
)


# SignGD, and label noise along a path

SIGNS = (0, 2, 1, 0)


def asked_signs(problem: Problem) -> Named:
    """Adam without means, one sample a step."""
    optimizer = ntklin.Adam(small(problem["rate"]), betas=(0.0, 0.0), eps=0.0)
    run = problem.linearized.train(problem.Y, optimizer, len(SIGNS), batches=[[n] for n in SIGNS])
    return {
        "Adam: train.parameters": run.parameters,
        "Adam: train.predict": run.predict(problem.X_new),
    }


def true_signs(model: Model, transposed: bool = False) -> Named:
    """By signs; the outputs by K(x, x') = φ(x) sgn φ(x')^T or, for a control, its transpose."""
    slow = model["rate"] * arb(small(model.problem["rate"]) / model.problem["rate"])
    theta, f, f_new = model.theta, model.f0, model.f0_new
    for n in SIGNS:
        signs = np.array([sign(x) for x in model.phi[n]], object)
        move = slow * sign(f[n] - model.y[n])
        theta = theta - move * signs
        if transposed:
            f_new = f_new - move * (np.frompyfunc(sign, 1, 1)(model.phi_new) @ model.phi[n])
        else:
            f_new = f_new - move * (model.phi_new @ signs)
        f = f - move * (model.phi @ signs)
    return {"Adam: train.parameters": theta, "Adam: train.predict": f_new}


def sign(x: arb) -> int:
    """sgn of a ball that does not hold 0, or of 0."""
    return (x > 0) - (x < 0)


SIGN_DESCENT = (
    agreement(
        "signs",
        "Adam with β_1 = β_2 = ε = 0 moves outputs by φ(x) sgn φ(x_1)^T",
        (drawn((3, 4, 1), n=3),),
        asked_signs,
        true_signs,
        partial(true_signs, transposed=True),
        "K transposed",
    ),
)


def asked_sensitivity(problem: Problem) -> Named:
    """∂f_t/∂Y of gradient descent."""
    run = problem.linearized.train(problem.Y, ntklin.GradientDescent(problem["rate"]), STEPS)
    return {
        "train.label_sensitivity": run.label_sensitivity(problem.X_new),
        "train.noise_amplification": run.noise_amplification(problem.X_new),
    }


def true_sensitivity(model: Model, steps: int = STEPS) -> Named:
    """K(x, X) (1 − (1 − ηK/N)^t) K^{-1}, which is linear in Y."""
    step, left = identity(model.rows) - model["rate"] / model.n * model.K, identity(model.rows)
    for _ in range(steps):
        left = left @ step
    pull = solve(model.K, model.K_new.T).T
    return {
        "train.label_sensitivity": pull @ (identity(model.rows) - left),
        "train.noise_amplification": (pull * pull).sum(axis=1),
    }


SENSITIVITY = (
    agreement(
        "sensitivity",
        "label_sensitivity and noise_amplification of a run of gradient descent",
        KINDS[:1],
        asked_sensitivity,
        true_sensitivity,
        partial(true_sensitivity, steps=STEPS - 1),
        "a step less",
        # Differences of outputs that are off by eps, over a step of eps^{1/3}.
        tolerances={"train.label_sensitivity": lambda eps: eps ** (2 / 3)},
    ),
)
