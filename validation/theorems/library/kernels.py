"""Kernels without a network: their minimizers, and what is proved of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq, fmpq_mat

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.minimizers import LINEAR, of_source
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.library.numbers import (
    PRECISION,
    eigenvalues,
    exact,
    identity,
    norm,
    root,
    solve,
)

# The kernel of the inputs themselves, whose entries floats hold


def asked_kernel(problem: Problem) -> Named:
    """By an array, by a function, and certified."""
    X, X_new, Y, theta = problem.X, problem.X_new, problem.Y, problem.theta
    K, across = X @ X.T, X_new @ X.T
    f0, f0_new = X @ theta, X_new @ theta
    from_array = ntklin.linearize_kernel(K, f0=f0)
    function = ntklin.linearize_kernel(lambda A, B: A @ B.T, X, lambda A: A @ theta)
    m = function.minimizer(Y)
    gd = from_array.gradient_descent(Y, problem["rate"])
    proved: Any = ntklin.certify(K, Y, across, f0, f0_new)
    return {
        "linearize_kernel(K).interpolator": from_array.minimizer(Y).interpolator(across),
        "linearize_kernel(K).loss": gd.loss((0, 1, 6)),
        "linearize_kernel(function).predict": m.predict(X_new),
        "linearize_kernel(function).initialization": m.initialization(X_new),
        "certify.coefficients": proved.coefficients.midpoint,
        "certify.interpolator": proved.interpolator.midpoint,
        "certify.initialization": proved.initialization.midpoint,
        "certify.minimizer": proved.minimizer.midpoint,
        "certify.initialization_size": proved.initialization_size.midpoint,
        "certify.smallest_eigenvalue": proved.smallest_eigenvalue,
        "certify encloses": float(_encloses(proved, K, Y, across)),
    }


def _encloses(proved: Any, K: Array, Y: Array, across: Array) -> bool:
    """Whether the rational truth lies in the balls, and λ_min above its bound."""

    def rational(A: Array) -> fmpq_mat:
        A = A.reshape(len(A), -1)
        n, m = A.shape
        return fmpq_mat(n, m, [fmpq(*float(x).as_integer_ratio()) for x in A.ravel()])

    alpha = rational(K).solve(rational(Y))
    f_int = rational(across) * alpha
    pairs = [
        *zip(proved.coefficients.balls, alpha.entries(), strict=True),
        *zip(proved.interpolator.balls, f_int.entries(), strict=True),
    ]
    with ctx.workprec(2 * PRECISION):
        return all(ball.contains(arb(x)) for ball, x in pairs)


def true_kernel(model: Model, start: int = 1) -> Named:
    """The same."""
    K, y, f0 = model.phi @ model.phi.T, model.y, model.f0
    S = of_source(model, model.phi.T)
    f_init = model.f0_new - start * S @ f0
    step, error, losses = identity(model.n) - model["rate"] / model.n * K, f0 - y, []
    for t in range(7):
        if t in (0, 1, 6):
            losses.append((error @ error) / (2 * model.n))
        error = step @ error
    return {
        "linearize_kernel(K).interpolator": S @ y,
        "linearize_kernel(K).loss": np.array(losses, object),
        "linearize_kernel(function).predict": S @ y + f_init,
        "linearize_kernel(function).initialization": f_init,
        "certify.coefficients": solve(K, y),
        "certify.interpolator": S @ y,
        "certify.initialization": f_init,
        "certify.minimizer": S @ y + f_init,
        "certify.initialization_size": norm(f_init) / root(exact(2 * len(model.X_new))),
        "certify.smallest_eigenvalue": eigenvalues(K)[0],
        "certify encloses": exact(1.0),
    }


KERNELS = (
    agreement(
        "kernels",
        "linearize_kernel and certify, for a kernel without a network",
        (drawn((6, 1), **LINEAR),),
        asked_kernel,
        true_kernel,
        partial(true_kernel, start=0),
        "f_0 at new inputs in the place of f_init",
        # The bound of λ_min is below it by 2^−40 of itself, where that can be proved.
        tolerances={"certify.smallest_eigenvalue": 2.0**-40},
    ),
)
