"""Adam's margins depend on its batches, for the logistic loss on separable data.

The direction of θ_t has the margins min_n y_n ⟨θ, x_n⟩/‖θ‖_2 and the same over ‖θ‖_∞. Gradient
descent maximizes the first one with any batches. Adam on the full batch takes steps near the signs
of the gradient and heads for the second; on data whose entries have one size |x_nj| = c_n within
a sample, steps of one sample each have the same D_j for all weights, so that Adam is SGD with a
scalar, and heads for the first. Four samples with ten weights, signs at random, drawn so that the
direction of the largest ℓ_2 margin has at most 0.9 of the largest ℓ_∞ margin; 600 steps with
β = (0.9, 0.95), ε = 0, η_t = 0.1/√(1 + t/100). Directions converge slowly, full-batch ones most of
all. What is measured, on ten data sets a draw: one sample a step reaches 0.9 of the largest ℓ_2
margin on every one of them; in the mean it has more of that than the full batch, which has more of
the largest ℓ_∞ margin (not on every one: on 56 of 60, as tried).
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.optimize import linprog, nnls

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Setting, Statement
from ntklin.validation.theorems.experiments import descend
from ntklin.validation.theorems.statistics import everywhere

N_SAMPLES, N_WEIGHTS, STEPS = 4, 10, 600
N_SETS = 10


def margins(theta: Array, Z: Array) -> Array:
    """Over ‖θ‖_2 and over ‖θ‖_∞, with the rows y_n x_n of Z."""
    return (Z @ theta).min() / np.array([np.linalg.norm(theta), np.abs(theta).max()])


def of_largest_margin(Z: Array) -> Array:
    """θ of the largest ℓ_2 margin, by non-negative least squares (Lawson & Hanson)."""
    E = np.concatenate([Z.T, np.ones((1, len(Z)))])
    f = np.eye(len(E))[-1]
    residual = E @ nnls(E, f)[0] - f
    return -residual[:-1] / residual[-1]


def largest_max_margin(Z: Array) -> float:
    """The largest ℓ_∞ margin, a linear program in (θ, margin)."""
    n, p = Z.shape
    A = np.concatenate([-Z, np.ones((n, 1))], axis=1)
    cube = [(-1.0, 1.0)] * p + [(0.0, None)]
    return -float(linprog(-np.eye(p + 1)[-1], A_ub=A, b_ub=np.zeros(n), bounds=cube).fun)


@dataclass(frozen=True)
class Found:
    """Margins (ℓ_2, ℓ_∞) over the largest ones.

    Attributes
    ----------
    full, single : ndarray, shape (2,)
        On the full batch, and with one sample a step.
    """

    full: Array
    single: Array


def draw_nothing(rng: Generator, setting: Setting) -> None:
    """Every draw has data of its own."""


def train_both(problem: None, rng: Generator) -> Found:
    """Adam on both kinds of batches."""
    while True:
        sizes = rng.uniform(0.5, 1.5, (N_SAMPLES, 1))
        Z = sizes * rng.choice([-1.0, 1.0], (N_SAMPLES, N_WEIGHTS))
        best = of_largest_margin(Z)
        largest = np.array([margins(best, Z)[0], largest_max_margin(Z)])
        if margins(best, Z)[1] < 0.9 * largest[1]:
            break

    def gradient(rows: Array, theta: Array) -> Array:
        # Of the logistic loss log(1 + exp(−z)), z = y ⟨θ, x⟩.
        return -rows.T @ (1 / (1 + np.exp(rows @ theta))) / len(rows)

    optimizer = ntklin.Adam(lambda t: 0.1 / np.sqrt(1 + t / 100), betas=(0.9, 0.95), eps=0.0)
    full, single = (
        descend(optimizer, steps, N_WEIGHTS, STEPS)
        for steps in (
            lambda t, theta: gradient(Z, theta),
            lambda t, theta: gradient(Z[[t % N_SAMPLES]], theta),
        )
    )
    return Found(margins(full, Z) / largest, margins(single, Z) / largest)


def train_all(problem: None, rng: Generator) -> list[Found]:
    """On ten data sets."""
    return [train_both(problem, r) for r in rng.spawn(N_SETS)]


def slack(sets: list[Found], norm: int = 0) -> float:
    """By how much the three inequalities hold; ``norm`` is that of single samples, 0 for ℓ_2."""
    full, single = (np.array([getattr(f, name) for f in sets]) for name in ("full", "single"))
    apart = (single[:, 0] - full[:, 0]).mean(), (full[:, 1] - single[:, 1]).mean()
    return float(min(single[:, norm].min() - 0.9, *apart))


def slack_of_largest_entry(sets: list[Found]) -> float:
    """With 0.9 of the largest ℓ_∞ margin for single samples, too."""
    return slack(sets, norm=1)


STATEMENT = Statement(
    key="adam-batches",
    title="Adam's batches",
    claim="one sample a step heads for the largest ℓ_2 margin, the full batch for that of ℓ_∞",
    text=__doc__,
    checks=(
        everywhere(
            "margins",
            "one sample a step reaches the ℓ_2 margin; the full batch has more of ℓ_∞ on average",
            draw_nothing,
            train_all,
            slack,
            slack_of_largest_entry,
            "one sample a step heads for ℓ_∞ as well, as if batches did not matter",
            n_draws=5,
            quick=1,
        ),
    ),
)
