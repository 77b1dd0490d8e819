"""The data sets of Wilson et al. and of Shah et al., which the library trains a linear model on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import Model, Problem
from ntklin.validation.theorems.library.numbers import exact, root, solve
from ntklin.validation.theorems.library.rules import Rule, adam, linear_gradient, walk

STEPS, LABELS = 4, (1, 1, -1)


def data(signals: int, constants: Sequence[int], own: dict[int, Sequence[int]]) -> Any:
    """``draw(rng)``: inputs (y, …, constants, places of their own), over 32 to be in the ball."""

    def draw(rng: Generator) -> Problem:
        labels = [LABELS[i] for i in rng.permutation(len(LABELS))]
        shared = {y: [y] * signals + list(constants) for y in (1, -1)}
        P = len(shared[1]) + sum(len(own[y]) for y in labels)
        X, X_new = np.zeros((len(labels), P)), np.zeros((2, P))
        start = len(shared[1])
        for x, y in zip(X, labels, strict=True):
            x[: len(shared[y])] = shared[y]
            x[start : start + len(own[y])] = own[y]
            start += len(own[y])
        for x, y in zip(X_new, (1, -1), strict=True):
            x[: len(shared[y])] = shared[y]
        net = ntklin.MLP((P, 1), bias="none", scaling="standard")
        Y = np.array(labels, float)
        numbers = {"rate": 0.125}
        ones = np.ones(P)
        return Problem(
            net=net, theta=0 * ones, X=X / 32, X_new=X_new / 32, Y=Y, D=ones, numbers=numbers
        )

    return draw


def asked(problem: Problem) -> Named:
    """Gradient descent's limit, Adam's, and the first steps of Adam."""
    lin, X_new = problem.linearized, problem.X_new
    pull = np.abs(problem.X.T @ problem.Y)
    adaptive = lin.minimizer(problem.Y, weights=1 / pull)
    run = lin.train(problem.Y, ntklin.Adam(problem["rate"], eps=0.0), STEPS)
    return {
        "minimizer.predict": lin.minimizer(problem.Y).predict(X_new),
        "minimizer(weights).predict": adaptive.predict(X_new),
        "Adam: train.predict": run.predict(X_new),
        "Adam: train.losses": run.losses,
    }


def true(model: Model, rooted: bool = False) -> Named:
    """By linear systems, by signs, and by the steps; D = |X^T y|^{−1/2} for a control."""
    X, y = model.phi, model.y
    least = model.phi_new @ (X.T @ solve(X @ X.T, y))
    pull = X.T @ y
    size = np.array([abs(x) for x in pull], object)
    weighted = X / (root(size) if rooted else size)
    signs = model.phi_new @ (weighted.T @ solve(weighted @ X.T, y))
    one = exact([0.9, 0.999])
    rule = Rule(model["rate"], adam((one[0], one[1]), exact(0.0)))
    path = walk(rule, model.theta, linear_gradient(model), STEPS)
    return {
        "minimizer.predict": least,
        "minimizer(weights).predict": signs,
        "Adam: train.predict": model.predict(path.end),
        "Adam: train.losses": [model.loss(theta) for theta in path.thetas],
    }


def check(draw: Callable[[Generator], Problem]) -> tuple[Any, ...]:
    """For one data set."""
    return (
        agreement(
            "trained",
            "minimizers of gradient descent and of the adaptive methods, and Adam's first steps",
            (draw,),
            asked,
            true,
            partial(true, rooted=True),
            "D = |X^T y|^{−1/2}",
        ),
    )


WILSON = check(data(1, (1, 1), {1: (1,), -1: (1,) * 5}))
SHAH = check(data(3, (2,), {1: (1,) * 13, -1: (17,)}))
