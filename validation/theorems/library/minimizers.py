"""The minimizer and its parts, under every constant D, ridge and solver; what is proved of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.library.numbers import (
    eigenvalues,
    exact,
    identity,
    inverse,
    norm,
    root,
    solve,
)

KINDS = (
    drawn((3, 8, 1)),
    drawn((3, 6, 5, 1), bias="normal", sigma=1.5),
    drawn((3, 8, 2), n=3, bias="normal"),
    drawn((3, 8, 1), bias="none", sigma=0.75),
)

# Features that are the inputs themselves.
LINEAR: dict[str, Any] = {"bias": "none", "scaling": "standard"}


def of_source(model: Model, right: Array, ridge: Any = 0) -> Array:
    """(K_D + λ)^{-1} D φ(X)^T …: the map S(x) = φ(x) R (K_D + λ)^{-1}, R = D φ(X)^T."""
    K = model.shaken(model.phi @ right)
    return solve((K + ridge * identity(len(K))).T, (model.phi_new @ right).T).T


# Theorem 1


def asked(problem: Problem) -> Named:
    """What a linearization and its minimizer say."""
    lin, X_new = problem.linearized, problem.X_new
    m = lin.minimizer(problem.Y)
    streamed = ntklin.linearize(problem.net, problem.theta, problem.X, rows=2)
    return {
        "linearize.kernel": lin.kernel,
        "linearize.initial_outputs": lin.initial_outputs,
        "linearize.at": lin.at(X_new).kernel,
        "linearize.eigenvalues": lin.eigenvalues,
        "linearize.largest_eigenvalue": lin.largest_eigenvalue,
        "linearize.max_learning_rate": lin.max_learning_rate,
        "linearize.default_learning_rate": lin.default_learning_rate(),
        "minimizer.predict": m.predict(X_new),
        "minimizer.interpolator": m.interpolator(X_new),
        "minimizer.initialization": m.initialization(X_new),
        "minimizer.coefficients": m.coefficients,
        "minimizer.parameters": m.parameters,
        "minimizer.noise_amplification": m.noise_amplification(X_new),
        "minimizer.initialization_size": m.initialization_size(X_new),
        "features.project": lin.features.project(problem.D),
        "linearize(rows).predict": streamed.minimizer(problem.Y).predict(X_new),
    }


def true(model: Model, initialization: int = 1) -> Named:
    """The same by Thm 1; without f_init for 0."""
    K, y, f0, n = model.K, model.y, model.f0, model.n
    S = of_source(model, model.phi.T)
    f_int, f_init = S @ y, initialization * (model.f0_new - S @ f0)
    alpha = solve(K, np.stack([y, f0], axis=1))
    values = eigenvalues(K)
    return {
        "linearize.kernel": K,
        "linearize.initial_outputs": f0,
        "linearize.at": model.K_new,
        "linearize.eigenvalues": values,
        "linearize.largest_eigenvalue": values[-1],
        "linearize.max_learning_rate": 2 * n / values[-1],
        "linearize.default_learning_rate": n / values[-1] / 2,
        "minimizer.predict": f_int + f_init,
        "minimizer.interpolator": f_int,
        "minimizer.initialization": f_init,
        "minimizer.coefficients": alpha,
        "minimizer.parameters": model.theta + model.phi.T @ (alpha[:, 0] - alpha[:, 1]),
        "minimizer.noise_amplification": (S * S).sum(axis=1),
        "minimizer.initialization_size": norm(f_init) / root(exact(2 * len(model.X_new))),
        "linearize(rows).predict": f_int + f_init,
        "features.project": model.phi.T @ solve(K, model.phi @ model.D),
    }


THEOREM_1 = (
    agreement(
        "minimizer",
        "linearize and minimizer: K, λ, f_int, f_init, f_∞, θ_∞, P_F",
        KINDS,
        asked,
        true,
        partial(true, initialization=0),
        "f_init is left out",
    ),
)


# Solvers

ITERATED = 1e-10
SOLVERS = ("auto", "eigh", "cholesky", "packed", "mixed", "pcg")
PRECONDITIONERS = ("ntk", "mean_output", "nystrom", "none")


def asked_solvers(problem: Problem) -> Named:
    """f_∞ and f_init by each of them."""
    lin, found = problem.linearized, {}
    for name in SOLVERS:
        options = [{}]
        if name == "pcg":
            options = [{"preconditioner": kind} for kind in PRECONDITIONERS]
        for option in options:
            m = lin.minimizer(problem.Y, ridge=problem["ridge"], solver=name, **option)
            label = " ".join([name, *option.values()])
            found[f"{label}.predict"] = m.predict(problem.X_new)
            found[f"{label}.initialization"] = m.initialization(problem.X_new)
    return found


def true_solvers(model: Model, of_mean: bool = False) -> Named:
    """The same for all of them; with N λ for a control."""
    S = of_source(model, model.phi.T, (model.n if of_mean else 1) * model["ridge"])
    predicted = model.f0_new + S @ model.residual
    left = model.f0_new - S @ model.f0
    named = [name for name in SOLVERS if name != "pcg"]
    named += [f"pcg {kind}" for kind in PRECONDITIONERS]
    return {
        f"{name}.{part}": value
        for name in named
        for part, value in (("predict", predicted), ("initialization", left))
    }


BY_SOLVERS = (
    agreement(
        "solvers",
        "every solver of the minimizer, with a ridge",
        (drawn((3, 8, 1), n=6), drawn((3, 8, 2), n=3, bias="normal")),
        asked_solvers,
        true_solvers,
        partial(true_solvers, of_mean=True),
        "N λ, as if the ridge were beside the mean loss",
        tolerances={
            f"{name}.{part}": ITERATED
            for name in ("mixed", *(f"pcg {kind}" for kind in PRECONDITIONERS))
            for part in ("predict", "initialization")
        },
    ),
)


# Lemmas 2 and 3


def asked_norms(problem: Problem) -> Named:
    """Norms and the parameters that have them."""
    m = problem.linearized.minimizer(problem.Y)
    return {
        "minimizer.step_norm": m.step_norm,
        "minimizer.interpolator_norm": m.interpolator_norm,
        "minimizer.parameters": m.parameters,
    }


def true_norms(model: Model, part: str = "") -> Named:
    """The norms of the shortest vectors themselves."""
    pull = model.phi.T @ inverse(model.K)
    step, w = pull @ model.residual, pull @ model.y
    return {
        "minimizer.step_norm": norm(w if part == "step" else step),
        "minimizer.interpolator_norm": norm(step if part == "interpolator" else w),
        "minimizer.parameters": model.theta + step,
    }


NORMS = {
    key: (
        agreement(
            "norms",
            "step_norm and interpolator_norm are those of the shortest vectors that interpolate",
            KINDS,
            asked_norms,
            true_norms,
            partial(true_norms, part=part),
            control,
        ),
    )
    for key, part, control in (
        ("lemma2", "step", "the norm that interpolates Y in the place of Y − f_0"),
        ("lemma3", "interpolator", "the norm that interpolates Y − f_0 in the place of Y"),
    )
}


# Theorem 2


def at_sigma(sigma: float, *widths: int) -> Callable[[Generator], Problem]:
    """A network without biases at this σ, and the σ among its numbers."""
    draw = drawn(widths, bias="none", sigma=sigma)

    def with_sigma(rng: Generator) -> Problem:
        problem = draw(rng)
        return replace(problem, numbers={**problem.numbers, "sigma": sigma})

    return with_sigma


def asked_scaled(problem: Problem) -> Named:
    """f_int and f_init at σ."""
    m = problem.linearized.minimizer(problem.Y)
    return {
        "minimizer.interpolator": m.interpolator(problem.X_new),
        "minimizer.initialization": m.initialization(problem.X_new),
        "minimizer.initialization_size": m.initialization_size(problem.X_new),
    }


def true_scaled(model: Model, less: int = 0) -> Named:
    """f_int and σ^L f_init of the network at σ = 1."""
    one = Model(replace(model.problem, net=replace(model.net, sigma=1.0)), model.signs)
    factor = model["sigma"] ** (len(model.net.widths) - 1 - less)
    S = of_source(one, one.phi.T)
    f_init = factor * (one.f0_new - S @ one.f0)
    return {
        "minimizer.interpolator": S @ one.y,
        "minimizer.initialization": f_init,
        "minimizer.initialization_size": norm(f_init) / root(exact(2 * len(one.X_new))),
    }


THEOREM_2 = (
    agreement(
        "scaling",
        "f_int and f_init at σ are f_int and σ^L f_init at σ = 1, biases absent from θ",
        (at_sigma(1.5, 3, 8, 1), at_sigma(0.75, 3, 6, 5, 1)),
        asked_scaled,
        true_scaled,
        partial(true_scaled, less=1),
        "σ^{L−1}",
    ),
)


# Label noise


def asked_noise(problem: Problem) -> Named:
    """The amplification of label noise."""
    m = problem.linearized.minimizer(problem.Y, weights=problem.D)
    return {"minimizer.noise_amplification": m.noise_amplification(problem.X_new)}


def true_noise(model: Model, weighted: bool = True) -> Named:
    """The sum over unit labels."""
    right = model.D[:, None] * model.phi.T if weighted else model.phi.T
    pull = model.phi_new @ right @ inverse(model.shaken(model.phi @ right))
    return {
        "minimizer.noise_amplification": sum(
            ((pull @ e) ** 2 for e in identity(model.rows)), 0 * model.f0_new
        )
    }


NOISE = (
    agreement(
        "amplification",
        "noise_amplification is the sum of f_int² over unit labels",
        KINDS,
        asked_noise,
        true_noise,
        partial(true_noise, weighted=False),
        "that of D = 1",
    ),
)
