"""What training records, goes on from, and takes of one's own: D_t, and α (f − f_0)."""

from __future__ import annotations

from functools import partial
from typing import Any

from flint import arb

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.linearized_runs import OPTIMIZERS, rule_of
from ntklin.validation.theorems.library.models import Model, Problem, passes
from ntklin.validation.theorems.library.numbers import eigenvalues, norm, solve
from ntklin.validation.theorems.library.rules import Rule, preconditioned, real_gradient, walk
from ntklin.validation.theorems.library.training import KINDS, STEPS, losses, trained

# Sections 3 and 6, Theorems 7 and 8: what is recorded, and what goes on from there


def asked_records(problem: Problem) -> Named:
    """A recorded run of gradient descent and of RMSprop."""
    rule = ntklin.GradientDescent(problem["rate"])
    seen = {"record": [1, 2], "X_record": problem.X_new, "sharpness": True}
    run = trained(problem, rule, STEPS, **seen)
    adaptive = trained(problem, OPTIMIZERS["RMSprop"](problem["rate"], 0.0), STEPS, **seen)
    r = run.records
    later = ntklin.linearize(problem.net, run.snapshot(2), problem.X)
    return {
        "train.records.outputs": r.outputs,
        "train.records.distances": r.distances,
        "train.records.sharpness": r.sharpness,
        "train.snapshot": run.snapshot(2),
        "train.sharpness_bounds": run.sharpness_bounds,
        "RMSprop: train.records.sharpness": adaptive.records.sharpness,
        "linearize(snapshot).minimizer": later.minimizer(problem.Y).predict(problem.X_new),
        "ntk(snapshot)": ntklin.ntk(problem.net, run.snapshot(2), problem.X),
    }


def true_records(model: Model, earlier: int = 0) -> Named:
    """The same from all θ_t; an earlier one for a control."""
    rule = rule_of("GradientDescent", model)
    path = walk(rule, model.theta, real_gradient(model), STEPS)
    own = walk(rule_of("RMSprop", model), model.theta, real_gradient(model), STEPS)

    def sharpness(theta: Array, D: Any) -> Any:
        phi = model.shaken(passes(model.net, theta, model.X)[1])
        return eigenvalues(D * phi @ phi.T)[-1] / model.n

    at, seen = path.thetas[2 - earlier], (1 - earlier, 2 - earlier)
    f, phi = passes(model.net, at, model.X)
    f_new, phi_new = passes(model.net, at, model.X_new)
    f, phi, f_new, phi_new = map(model.shaken, (f.ravel(), phi, f_new.ravel(), phi_new))
    K = model.shaken(phi @ phi.T)
    moves = solve(K, model.y - f)
    return {
        "train.records.outputs": [passes(model.net, path.thetas[t], model.X_new)[0] for t in seen],
        "train.records.distances": [norm(path.thetas[t] - model.theta) for t in seen],
        "train.records.sharpness": [sharpness(path.thetas[t], 1) for t in seen],
        "train.snapshot": at,
        "train.sharpness_bounds": [2 / model["rate"]] * len(seen),
        "RMSprop: train.records.sharpness": [
            sharpness(own.thetas[t], own.weights[max(t - 1, 0)]) for t in seen
        ],
        "linearize(snapshot).minimizer": f_new + phi_new @ (phi.T @ moves),
        "ntk(snapshot)": K,
    }


def of_records(name: str, hypothesis: str, later: bool) -> tuple[Any, ...]:
    """The check of what goes on from a θ_T, or of what is recorded on the way."""

    def some(results: Named) -> Named:
        return {key: a for key, a in results.items() if ("snapshot" in key) == later}

    return (
        agreement(
            name,
            hypothesis,
            KINDS[:1],
            lambda problem: some(asked_records(problem)),
            lambda model: some(true_records(model)),
            lambda model: some(true_records(model, earlier=1)),
            "T − 1 in the place of T",
            # The largest eigenvalue, by products alone.
            tolerances={
                f"{method}train.records.sharpness": lambda eps: max(1e-8, eps)
                for method in ("", "RMSprop: ")
            },
        ),
    )


SECTION_6 = of_records("snapshot", "snapshots of train, and the linearization at one of them", True)
THEOREM_8 = of_records("records", "distances, outputs and sharpness that train records", False)


def asked_concentrating(problem: Problem) -> Named:
    """Matrices D_t of one's own, in training of the network."""
    D = problem.D
    optimizer = ntklin.Preconditioned(problem["rate"], lambda t, gradient: D if t % 2 else 2.25 - D)
    run = trained(problem, optimizer, STEPS)
    return {
        "Preconditioned: train.parameters": run.parameters,
        "Preconditioned: train.losses": run.losses,
    }


def true_concentrating(model: Model, first: int = 0) -> Named:
    """The same by the steps."""
    other = arb(2.25) - model.D
    matrices = [model.D if (t + first) % 2 else other for t in range(STEPS)]
    rule = Rule(model["rate"], preconditioned(matrices))
    path = walk(rule, model.theta, real_gradient(model), STEPS)
    return {
        "Preconditioned: train.parameters": path.end,
        "Preconditioned: train.losses": losses(model, path),
    }


CONCENTRATING = (
    agreement(
        "preconditioned-trained",
        "train by Preconditioned, two D_t in turn",
        KINDS,
        asked_concentrating,
        true_concentrating,
        partial(true_concentrating, first=1),
        "each D_t a step early",
    ),
)


def asked_lazy(problem: Problem) -> Named:
    """Training of α (f − f_0)."""
    net = ntklin.ScaledNetwork(problem.net, 4.0, problem.theta)
    rule = ntklin.GradientDescent(problem["rate"] / 16)
    run = ntklin.train(net, problem.theta, problem.X, problem.Y, rule, STEPS)
    gd = ntklin.linearize(net, problem.theta, problem.X).gradient_descent(
        problem.Y, problem["rate"] / 16
    )
    return {
        "train(ScaledNetwork).parameters": run.parameters,
        "train(ScaledNetwork).losses": run.losses,
        "linearize(ScaledNetwork).predict": gd.predict(problem.X_new, STEPS),
    }


def true_lazy(model: Model, slopes: int = 4) -> Named:
    """By the steps of a network times 4; of features times ``slopes``."""
    alpha = 4
    theta, rate, found = model.theta, model["rate"] / 16, []
    start = passes(model.net, model.theta, model.X)[0].ravel()
    for t in range(STEPS + 1):
        f, phi = passes(model.net, theta, model.X)
        error = alpha * (f.ravel() - start) - model.y
        found.append((error @ error) / (2 * model.n))
        if t < STEPS:
            theta = theta - rate / model.n * (slopes * phi.T @ error)
    moved, phi = model.theta, slopes * model.phi
    for _ in range(STEPS):
        error = phi @ (moved - model.theta) - model.y
        moved = moved - rate / model.n * (phi.T @ error)
    return {
        "train(ScaledNetwork).parameters": theta,
        "train(ScaledNetwork).losses": found,
        "linearize(ScaledNetwork).predict": slopes * model.phi_new @ (moved - model.theta),
    }


LAZY = (
    agreement(
        "scaled-trained",
        "train of a ScaledNetwork, and its linearization",
        KINDS[:1],
        asked_lazy,
        true_lazy,
        partial(true_lazy, slopes=1),
        "features without their α",
    ),
)
