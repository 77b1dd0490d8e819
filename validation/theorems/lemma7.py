"""Lemma 7: the Jacobian is bounded and locally Lipschitz. ReLU's is not, as far as it is printed.

    ‖J(θ) − J(θ̃)‖_F ≤ K ‖θ − θ̃‖/√m   (29)        ‖J(θ)‖_F ≤ K   (30)

(30): the exponent of ‖J(θ_0)‖_F against m is 0 (a bias of 0.05 is allowed for small widths). (29)
is measured along random directions at distance 1, which is how far training goes at any width. Of
the neurons a share of order 1/√m changes sign, each of which changes J by an entry of order 1/√m
that does not become small with the step: ‖ΔJ‖² is of order m · m^{−1/2} · m^{−1}, and ‖ΔJ‖_F falls
like m^{−1/4}, not like the m^{−1/2} of (29), which needs a ReLU' that is Lipschitz. 0.08 is allowed
for the part that does fall like m^{−1/2}. The kernel is better off than the Jacobian: entries that
changed add up in it without a root, and (33) of Theorem 8 has its 1/√m.
"""

import numpy as np
from numpy.random import Generator

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, network
from ntklin.validation.theorems.statistics import Grid, Near, power_law


def size(data: Data, m: int, rng: Generator) -> float:
    """‖J(θ_0)‖_F."""
    net = network(m)
    return float(np.linalg.norm(net.jacobian(net.init(rng), data.X)))


def change(data: Data, m: int, rng: Generator) -> float:
    """‖J(θ) − J(θ_0)‖_F for a random θ with ‖θ − θ_0‖ = 1."""
    net = network(m)
    theta = net.init(rng)
    step = rng.standard_normal(len(theta))
    moved = theta + step / np.linalg.norm(step)
    return float(np.linalg.norm(net.jacobian(moved, data.X) - net.jacobian(theta, data.X)))


STATEMENT = Statement(
    key="lemma7",
    title="Lemma 7",
    claim="‖J‖_F is bounded; for ReLU it changes like m^{−1/4}, not like m^{−1/2}",
    text=__doc__,
    checks=(
        power_law(
            "bounded",
            "(30): ‖J(θ_0)‖_F does not grow with m",
            draw_data,
            size,
            Near(0.0, 0.05),
            Near(0.5, 0.05),
            "√m",
            Grid((64, 256, 1024, 4096, 16384), 30, ((128, 4096), 12)),
            y_label="‖J‖_F",
        ),
        power_law(
            "lipschitz",
            "(29) for ReLU: ‖J(θ) − J(θ_0)‖_F at ‖θ − θ_0‖ = 1 falls like m^{−1/4}",
            draw_data,
            change,
            Near(-0.25, 0.08, paper=-0.5),
            Near(-0.5, 0.08),
            "(29) as it is printed",
            Grid((64, 256, 1024, 4096, 16384), 30, ((128, 4096), 30)),
            y_label="‖J(θ) − J(θ_0)‖_F",
        ),
    ),
)
