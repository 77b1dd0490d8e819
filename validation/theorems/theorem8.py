"""Theorem 8: how the residual decays, how far training goes, and how much the kernel changes.

    ‖g(θ_t)‖ ≤ (1 − η_0 λ_0/3)^t R_0                                              (31)
    Σ_t ‖θ_t − θ_{t−1}‖ ≤ 3 K R_0 D_max/λ_0                                        (32)
    sup_t ‖Θ̂_0 − Θ̂_t‖_F = O(1/√m)                                                 (33)

for g(θ) = f_θ(X) − Y. Trained networks under gradient descent (D = 1, D_max = 1, m = 1024) have to
satisfy (31) at every step and (32) in every draw, with λ_0 = λ_min(Θ), η_0 = η/N (the theorem's
loss has no 1/N), R_0 = ‖g(θ_0)‖ and K the largest ‖J(θ_t)‖_F that was seen. Both are inequalities
with room; nothing is allowed for. Their controls are near enough to be wrong: the rate of a loss
that is a sum and no mean, and R_0/√λ, the path of a Θ all of whose eigenvalues are their mean. The
exponent of (33) has to be below −0.3, all its interval.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, moments, network, recorded
from ntklin.validation.theorems.statistics import Below, Grid, everywhere, power_law


def residuals(data: Data, rng: Generator, m: int = 1024) -> tuple[Array, float, Array]:
    """‖g(θ_t)‖ at all steps, η_0 and the eigenvalues of Θ."""
    net = network(m)
    run = ntklin.train(net, net.init(rng), data.X, data.Y, until=1e-10)
    n = len(data.X)
    values = np.linalg.eigvalsh(ntklin.infinite_ntk(net, data.X))
    return np.sqrt(2 * n * run.losses), run.optimizer.learning_rate / n, values


def decay(
    sampled: tuple[Array, float, Array],
    rate: Callable[[Array], float] = lambda values: values[0] / 3,
) -> float:
    """The least log of (1 − η_0 λ_0/3)^t R_0/‖g(θ_t)‖, t ≥ 1."""
    norms, eta, values = sampled
    log_bound = np.arange(1, len(norms)) * math.log1p(-eta * rate(values))
    return float((log_bound - np.log(norms[1:] / norms[0])).min())


def decay_of_sums(sampled: tuple[Array, float, Array]) -> float:
    """With η in place of η_0 = η/N."""
    return decay(sampled, lambda values: len(values) * values[0] / 3)


def path(data: Data, rng: Generator, m: int = 256) -> tuple[float, float, float, Array]:
    """Σ_t ‖θ_t − θ_{t−1}‖, K, R_0 and the eigenvalues of Θ."""
    net = network(m)
    theta = net.init(rng)
    run = ntklin.train(net, theta, data.X, data.Y, until=1e-6, record=1)
    steps = [theta, *recorded(run.records.snapshots)]
    length = sum(float(np.linalg.norm(b - a)) for a, b in pairwise(steps))
    seen = [run.snapshot(t) for t in moments(run.steps, count=12)]
    K = max(math.sqrt(np.trace(ntklin.ntk(net, at, data.X))) for at in seen)
    R = math.sqrt(2 * len(data.X) * run.losses[0])
    return length, K, R, np.linalg.eigvalsh(ntklin.infinite_ntk(net, data.X))


def room(sampled: tuple[float, float, float, Array]) -> float:
    """1 − path/(3 K R_0/λ_0)."""
    length, K, R, values = sampled
    return 1 - length / (3 * K * R / values[0])


def room_of_mean(sampled: tuple[float, float, float, Array]) -> float:
    """1 − path/(R_0/√λ), λ the mean eigenvalue: the path if all of them were the same."""
    length, _, R, values = sampled
    return 1 - length / (R / math.sqrt(values.mean()))


def drift(data: Data, m: int, rng: Generator) -> list[float]:
    """sup_t ‖K_t − K_0‖_F and sup_t ‖θ_t − θ_0‖, over steps on a logarithmic scale."""
    net = network(m)
    theta = net.init(rng)
    run = ntklin.train(net, theta, data.X, data.Y, until=1e-8, record=moments(10_000, count=12))
    K = ntklin.ntk(net, theta, data.X)
    seen = (*recorded(run.records.snapshots), run.parameters)
    moved = max(np.linalg.norm(ntklin.ntk(net, at, data.X) - K) for at in seen)
    return [float(moved), float(max(np.linalg.norm(at - theta) for at in seen))]


STATEMENT = Statement(
    key="theorem8",
    title="Theorem 8",
    claim="geometric decay (31), path length (32), kernel drift like 1/√m (33)",
    text=__doc__,
    checks=(
        everywhere(
            "decay",
            "(31): the residual of trained networks is below (1 − η_0 λ_0/3)^t R_0 at every step",
            draw_data,
            residuals,
            decay,
            decay_of_sums,
            "η in the place of η_0 = η/N, as if the loss were a sum",
            n_draws=100,
            quick=5,
            quantity="log(bound/residual) ≥",
        ),
        everywhere(
            "path",
            "(32): the path of trained networks is not longer than 3 K R_0/λ_0",
            draw_data,
            path,
            room,
            room_of_mean,
            "R_0/√λ with the mean eigenvalue, as if all were the same",
            n_draws=50,
            quick=5,
            quantity="1 − path/bound =",
        ),
        power_law(
            "drift",
            "(33): sup_t ‖K_t − K_0‖_F falls with m, as O(1/√m) says",
            draw_data,
            drift,
            Below(-0.3, paper=-0.5),
            Below(-0.3, column=1),
            "‖θ_t − θ_0‖ in the place of ‖K_t − K_0‖",
            Grid((64, 256, 1024, 4096), 30, ((32, 1024), 10)),
            y_label="sup_t ‖K_t − K_0‖_F",
        ),
    ),
)
