"""MLP.init: the moments of θ_0, and what they make of f_0."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from flint import arb
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Setting
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import Model, Problem, drawn
from ntklin.validation.theorems.statistics import everywhere

WIDTHS = (20, 1000, 800, 1)
# Standard errors within which all of some forty moments have to be.
WITHIN = 5.5
# What no moment is near to, for what is wrong without any doubt.
WRONG = [np.full(100, 9.0)]


def draw_nothing(rng: Generator, setting: Setting) -> None:
    """Every draw has a network of its own."""


def standardized(_: None, rng: Generator) -> list[Array]:
    """Weights and biases that should be N(0, 1), and those that should be 0."""
    kinds: tuple[dict[str, Any], ...] = (
        {"bias": "zero"},
        {"bias": "normal", "scaling": "fan_in", "sigma_b": 0.5},
        {"bias": "normal", "scaling": "standard", "sigma": 1.5, "sigma_b": 0.5},
        {"bias": "none", "sigma": 2.0},
    )
    found = []
    for options in kinds:
        net = ntklin.MLP(WIDTHS, **options)
        seed = int(rng.integers(2**32))
        theta, single = net.init(seed), net.init(seed, dtype=np.float32)
        if not np.allclose(theta, single, rtol=1e-6, atol=1e-7):
            return WRONG
        start = 0
        for k, m in pairwise(WIDTHS):
            W, start = theta[start : start + k * m], start + k * m
            is_standard = net.scaling == "standard"
            found.append(W / (net.sigma / np.sqrt(k)) if is_standard else W)
            if net.bias == "none":
                continue
            b, start = theta[start : start + m], start + m
            if net.bias == "normal" and m > 1:
                found.append(b / 0.5 if is_standard else b)
            elif net.bias == "zero" and b.any():
                return WRONG
        if start != len(theta):
            return WRONG
    return found


def within(sampled: list[Array], variance: float = 1.0) -> float:
    """``WITHIN`` less the largest deviation of a moment, in standard errors."""
    largest = 0.0
    for values in sampled:
        z, n = values / np.sqrt(variance), len(values)
        moments = (
            (z.mean(), 0, 1),
            ((z**2).mean(), 1, 2),
            ((z**3).mean(), 0, 15),
            ((z**4).mean(), 3, 96),
            ((z[1:] * z[:-1]).mean() if n > 1 else 0.0, 0, 1),
        )
        errors = (abs(found - mean) / np.sqrt(v / n) for found, mean, v in moments)
        largest = max(largest, *errors)
    return WITHIN - largest


NORMAL = (
    everywhere(
        "normal",
        "MLP.init draws N(0, 1), biases that are 0 or N(0, 1), and its scales for ``standard``",
        draw_nothing,
        standardized,
        within,
        partial(within, variance=1.02),
        "a variance of 1.02",
        n_draws=5,
        quick=1,
        quantity="standard errors left",
    ),
)


def asked(problem: Problem) -> Named:
    """E f_0(x)²."""
    return {"infinite_nngp(x, x)": np.diag(ntklin.infinite_nngp(problem.net, problem.X))}


def true(model: Model, start: int = 1, more: int = 0) -> Named:
    """2 (σ²/2)^L |x|², and Σ 2 (σ²/2)^i with normal biases."""
    half, L = arb(model.net.sigma) ** 2 / 2, len(model.net.widths) - 1
    first = 2 * half**L * (model.X**2).sum(axis=1) / 2**more
    if model.net.bias == "normal":
        first = start * first + 2 * sum(half**i for i in range(1, L + 1))
    return {"infinite_nngp(x, x)": first}


LEMMA_5 = (
    *NORMAL,
    agreement(
        "variance",
        "the diagonal of infinite_nngp is (σ^{2L}/2^{L−1}) |x|², biases at 0",
        (drawn((3, 4, 1), sigma=1.25), drawn((3, 4, 4, 1), bias="none")),
        asked,
        true,
        partial(true, more=1),
        "2^L in the place of 2^{L−1}",
    ),
)
LEMMA_6 = (
    agreement(
        "variance",
        "the diagonal of infinite_nngp is 2(σ²/2)^L |x|² + 2Σ(σ²/2)^i with normal biases",
        (drawn((3, 4, 1), sigma=1.25, bias="normal"), drawn((3, 4, 4, 1), bias="normal")),
        asked,
        true,
        partial(true, start=0),
        "the printed bound, without |x|²",
    ),
)
