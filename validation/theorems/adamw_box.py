"""AdamW's decay is a box: the full batch ends in argmin L over ‖θ‖_∞ ≤ 1/λ (Xie & Li 2024).

A convex problem: least squares with twelve samples and six weights from θ = 0, λ = 1, whose
minimizer lies outside the box. With g = ∇L(θ), the conditions of Karush, Kuhn and Tucker are
‖θ‖_∞ ≤ 1/λ and λ⟨g, θ⟩ = −‖g‖_1: where g_j is not 0, θ_j is at the box's other side. The residual

    max(‖λθ‖_∞ − 1, 1 + λ⟨g, θ⟩/‖g‖_1)

is scale-free, and below 10⁻² after 400 steps at a cosine schedule with β_1 = β_2 = 0.9 (below 10⁻⁴
as a rule). Adam with coupled decay, which ends at ridge regression, is not near.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Setting, Statement
from ntklin.validation.theorems.experiments import descend
from ntklin.validation.theorems.statistics import everywhere

N_SAMPLES, N_WEIGHTS, STEPS = 12, 6, 400
DECAY, ALLOWED = 1.0, 1e-2
SCHEDULE = ntklin.CosineSchedule(0.2, STEPS)
BETAS = (0.9, 0.9)

Problem = tuple[Array, Array]


def draw_nothing(rng: Generator, setting: Setting) -> None:
    """Every draw has a problem of its own."""


def draw_problem(problem: None, rng: Generator) -> Problem:
    """X and Y whose least squares leave the box."""
    while True:
        X = rng.standard_normal((N_SAMPLES, N_WEIGHTS))
        Y = 2 * X @ rng.standard_normal(N_WEIGHTS) + rng.standard_normal(N_SAMPLES)
        if np.abs(np.linalg.lstsq(X, Y, rcond=None)[0]).max() > 1.5 / DECAY:
            return X, Y


def slack(problem: Problem, method: Callable[..., ntklin.Adam] = ntklin.AdamW) -> float:
    """10⁻² less the residual at the end."""
    X, Y = problem

    def gradient(t: int, theta: Array) -> Array:
        return X.T @ (X @ theta - Y) / N_SAMPLES

    optimizer = method(SCHEDULE, betas=BETAS, weight_decay=DECAY)
    theta = descend(optimizer, gradient, N_WEIGHTS, STEPS)
    g = gradient(STEPS, theta)
    outside = np.abs(DECAY * theta).max() - 1
    return ALLOWED - float(max(outside, 1 + DECAY * (g @ theta) / np.abs(g).sum()))


def slack_coupled(problem: Problem) -> float:
    """With Adam's coupled decay."""
    return slack(problem, ntklin.Adam)


STATEMENT = Statement(
    key="adamw-box",
    title="AdamW",
    claim="on the full batch it ends in argmin L over ‖θ‖_∞ ≤ 1/λ",
    text=__doc__,
    checks=(
        everywhere(
            "kkt",
            "the residual of the conditions of Karush, Kuhn and Tucker is below 10⁻²",
            draw_nothing,
            draw_problem,
            slack,
            slack_coupled,
            "coupled decay",
            n_draws=20,
            quick=2,
        ),
    ),
)
