"""Minimizers under every constant D, with a ridge, and with fewer parameters than inputs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.minimizers import LINEAR, of_source
from ntklin.validation.theorems.library.models import Model, Problem, drawn, eighths
from ntklin.validation.theorems.library.numbers import (
    exact,
    identity,
    inverse,
    root,
    solve,
)

# Any constant D, Eq. (9), and the ridge of App. A

FACTORS = {1: 0.5, "bias": 0.25, (2, "weight"): 2.0}


def matrices(problem: Problem) -> dict[str, Any]:
    """D in every form that the library takes, but the layers'."""
    dtype = problem.D.dtype
    W = eighths(np.random.default_rng(1), len(problem.D), problem.Y.size + 2).astype(dtype)
    spread = np.diag(problem.D) + np.outer(problem.D, problem.D) / 64
    return {"number": 2.0, "diagonal": problem.D, "matrix": spread, "LowRank": ntklin.LowRank(W)}


def layers(net: Any) -> Array:
    """``FACTORS`` by their definition, parameter by parameter."""
    found: list[float] = []
    for l, (k, m) in enumerate(zip(net.widths[:-1], net.widths[1:], strict=True), 1):
        own = FACTORS.get(l, 1.0)
        found += [FACTORS.get((l, "weight"), own)] * (k * m)
        if net.bias != "none":
            found += [FACTORS.get((l, "bias"), own * FACTORS["bias"])] * m
    return np.array(found)


def asked_weighted(problem: Problem) -> Named:
    """Minimizers of each D."""
    lin, X_new, found = problem.linearized, problem.X_new, {}
    D = problem.net.layer_weights(FACTORS)
    for name, weights in (*matrices(problem).items(), ("layer_weights", D)):
        m = lin.minimizer(problem.Y, weights=weights)
        found |= {
            f"{name}.interpolator": m.interpolator(X_new),
            f"{name}.predict": m.predict(X_new),
            f"{name}.parameters": m.parameters,
            f"{name}.noise_amplification": m.noise_amplification(X_new),
            f"{name}.step_norm": m.step_norm,
            f"{name}.weighted_kernel": lin.weighted_kernel(weights),
        }
    m = lin.minimizer(problem.Y, weights=problem.D, ridge=problem["ridge"])
    return found | {
        "layer_weights": D,
        "ridge.predict": m.predict(X_new),
        "ridge.initialization": m.initialization(X_new),
        "ridge.parameters": m.parameters,
        "ridge.noise_amplification": m.noise_amplification(X_new),
        "ridge.interpolator_norm": m.interpolator_norm,
    }


def times(weights: Any, right: Array) -> Array:
    """D times columns, for D as exact numbers."""
    if np.ndim(weights) == 2:
        return weights @ right
    return (weights if np.ndim(weights) == 0 else weights[:, None]) * right


def true_weighted(model: Model, weighted: bool = True) -> Named:
    """The same by Eq. (9); with D = 1 for a control."""
    found: dict[str, Any] = {}
    given = matrices(model.problem)
    W = exact(given.pop("LowRank").W)
    forms: dict[str, Any] = {name: model.moved(exact(D)) for name, D in given.items() if np.ndim(D)}
    forms = {"number": exact(2.0)} | forms | {"LowRank": W @ W.T}
    D = exact(layers(model.net))
    for name, weights in (*forms.items(), ("layer_weights", D)):
        right = times(weights, model.phi.T) if weighted else model.phi.T
        S, K = of_source(model, right), model.shaken(model.phi @ right)
        moves = solve(K, model.residual)
        found |= {
            f"{name}.interpolator": S @ model.y,
            f"{name}.predict": model.f0_new + S @ model.residual,
            f"{name}.parameters": model.theta + right @ moves,
            f"{name}.noise_amplification": (S * S).sum(axis=1),
            f"{name}.step_norm": root(model.residual @ moves),
            f"{name}.weighted_kernel": K,
        }
    right = times(model.D, model.phi.T) if weighted else model.phi.T
    S, K = of_source(model, right, model["ridge"]), model.shaken(model.phi @ right)
    regular = inverse(K + model["ridge"] * identity(len(K)))
    alpha = regular @ model.y
    return found | {
        "layer_weights": D,
        "ridge.predict": model.f0_new + S @ model.residual,
        "ridge.initialization": model.f0_new - S @ model.f0,
        "ridge.parameters": model.theta + right @ (regular @ model.residual),
        "ridge.noise_amplification": (S * S).sum(axis=1),
        "ridge.interpolator_norm": root(alpha @ K @ alpha),
    }


WEIGHTED = (
    agreement(
        "weights",
        "minimizers under every form of D and with a ridge",
        (drawn((3, 8, 1)), drawn((2, 5, 2), n=3, bias="normal")),
        asked_weighted,
        true_weighted,
        partial(true_weighted, weighted=False),
        "D = 1",
    ),
)


# Fewer parameters than inputs, App. A


def asked_few(problem: Problem) -> Named:
    """Least squares, and a cut of the spectrum that cuts nothing else."""
    lin, X_new = problem.linearized, problem.X_new
    m, cut = lin.minimizer(problem.Y), lin.minimizer(problem.Y, rcond=1e-4)
    damped = lin.minimizer(problem.Y, ridge=problem["ridge"])
    gd = lin.gradient_descent(problem.Y, problem["rate"], ridge=problem["ridge"])
    return {
        "minimizer.predict": m.predict(X_new),
        "minimizer.parameters": m.parameters,
        "minimizer(rcond).predict": cut.predict(X_new),
        "minimizer(ridge).predict": damped.predict(X_new),
        "minimizer(ridge).parameters": damped.parameters,
        "gradient_descent(ridge).predict": gd.predict(X_new),
        "gradient_descent(ridge).parameters": gd.parameters(),
        "gradient_descent.loss": lin.gradient_descent(problem.Y, problem["rate"]).loss(),
    }


def true_few(model: Model, start: int = 1) -> Named:
    """The same by P×P systems; a ridge towards 0 and not θ_0 for start = 0."""
    phi, P = model.phi, len(model.theta)
    H = phi.T @ phi
    least = model.theta + solve(H, phi.T @ model.residual)
    target = phi.T @ model.residual
    shift = model["ridge"] * identity(P)
    right = target if start else target - model["ridge"] * model.theta
    damped = model.theta + solve(H + shift, right)
    return {
        "minimizer.predict": model.predict(least),
        "minimizer.parameters": least,
        "minimizer(rcond).predict": model.predict(least),
        "minimizer(ridge).predict": model.predict(damped),
        "minimizer(ridge).parameters": damped,
        "gradient_descent(ridge).predict": model.predict(damped),
        "gradient_descent(ridge).parameters": damped,
        "gradient_descent.loss": model.loss(least),
    }


FEW_PARAMETERS = (
    agreement(
        "least-squares",
        "P < N: the minimizer is that of least squares, with a ridge or without",
        (drawn((3, 1), n=6, **LINEAR), drawn((3, 1), n=7, bias="normal")),
        asked_few,
        true_few,
        partial(true_few, start=0),
        "a ridge towards 0, and not towards θ_0",
    ),
)


# Example 1


def asked_example(problem: Problem) -> Named:
    """AdaGrad's limit on one input."""
    lin = problem.linearized
    D = lin.adagrad_weights()
    m = lin.minimizer(problem.Y, weights=D)
    return {
        "adagrad_weights": D,
        "minimizer.interpolator": m.interpolator(problem.X_new),
        "minimizer.predict": m.predict(problem.X_new),
    }


def true_example(model: Model, adaptive: bool = True) -> Named:
    """By the signs of φ(x_1) over its ℓ_1 norm."""
    phi = model.phi[0]
    size = np.array([abs(x) for x in phi], object)
    D = np.array([1 / x if x != 0 else exact(0.0) for x in size], object)
    right = D * phi if adaptive else phi
    slope = model.phi_new @ right / (phi @ right)
    return {
        "adagrad_weights": D,
        "minimizer.interpolator": slope * model.y[0],
        "minimizer.predict": model.f0_new + slope * model.residual[0],
    }


def asked_chosen(problem: Problem) -> Named:
    """The D of a w that interpolates."""
    w = problem.D
    Y = problem.X @ w
    D = problem.linearized.preconditioner_for(w, Y)
    m = problem.linearized.minimizer(Y, weights=D)
    return {
        "preconditioner_for.interpolator": m.interpolator(problem.X_new),
        "preconditioner_for.predict": m.predict(problem.X_new),
        "K_D": problem.linearized.weighted_kernel(D),
    }


def true_chosen(model: Model, shortest: bool = False) -> Named:
    """φ w, and with K_D = 1 what f_0 leaves."""
    X, w = model.phi, model.D
    y, f0 = X @ w, model.f0
    pseudo = X.T @ inverse(X @ X.T)
    W = pseudo + np.outer(w - pseudo @ y, y) / (y @ y)
    if shortest:
        W = pseudo
    return {
        "preconditioner_for.interpolator": model.phi_new @ (W @ y),
        "preconditioner_for.predict": model.f0_new + model.phi_new @ (W @ (y - f0)),
        # 1, by roundings of its own.
        "K_D": (model.shaken(X) @ W) @ (model.shaken(X) @ W).T,
    }


EXAMPLE_1 = (
    agreement(
        "one-input",
        "adagrad_weights and the minimizer that they lead to",
        (drawn((3, 8, 1), n=1), drawn((3, 6, 5, 1), n=1, bias="normal")),
        asked_example,
        true_example,
        partial(true_example, adaptive=False),
        "gradient descent's minimizer",
    ),
    agreement(
        "preconditioner-for",
        "preconditioner_for(w, Y): a D under which the interpolator is φ w",
        (drawn((6, 1), **LINEAR),),
        asked_chosen,
        true_chosen,
        partial(true_chosen, shortest=True),
        "the interpolant of least norm",
    ),
)
