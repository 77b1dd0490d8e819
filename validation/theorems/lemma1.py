"""Lemma 1: a wide network stays close to its linearization during gradient descent.

    sup_t |f_{θ_t}(x) − f^lin_{θ̃_t}(x)|² ≤ O(1/m)        from the same θ_0, with the same η

Networks of growing width are trained to a loss of 10⁻⁸, and the rms distance of their outputs on
test points from the closed form of the linearization, Eq. (18), is taken at 40 steps on a
logarithmic scale up to the end. O(1/√m) is an upper bound, so that the exponent of its supremum
against m has to be below −0.3 with its whole interval, and below −0.2 for three layers: what is
above −1/2 allows for ReLU, whose derivative jumps, and for widths that are small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, moments, network, recorded, rms
from ntklin.validation.theorems.statistics import Below, Grid, power_law

if TYPE_CHECKING:
    from ntklin.theory.gradient_descent import LinearizedGradientDescent

LAST = 10_000
# How many steps the control's linearization takes for each one.
TOO_FAR = 10


def largest_distance(data: Data, m: int, rng: Generator, depth: int = 2) -> list[float]:
    """sup_t of the rms distance from the linearization, and from it ten times as far."""
    net = network(m, depth)
    theta = net.init(rng)
    seen = {"record": moments(LAST), "X_record": data.X_test, "snapshots": False}
    run = ntklin.train(net, theta, data.X, data.Y, until=1e-8, **seen)
    lin = ntklin.linearize(net, theta, data.X)
    gd = lin.gradient_descent(data.Y, run.optimizer.learning_rate)
    return [distance_at(gd, run, data, pace) for pace in (1, TOO_FAR)]


def distance_at(
    gd: LinearizedGradientDescent, run: ntklin.TrainingRun, data: Data, pace: int
) -> float:
    """sup_t of the rms distance of f_t, recorded, from what is linearized at ``pace`` times t."""
    linearized = gd.predict(data.X_test, t=pace * run.records.steps)
    end = rms(gd.predict(data.X_test, t=pace * run.steps) - run.predict(data.X_test))
    return max([end, *map(rms, recorded(run.records.outputs) - linearized)])


def largest_distance_deep(data: Data, m: int, rng: Generator) -> list[float]:
    """With three layers."""
    return largest_distance(data, m, rng, depth=3)


STATEMENT = Statement(
    key="lemma1",
    title="Lemma 1",
    claim="sup_t |f_{θ_t} − f^{lin}_t| = O(1/√m) under gradient descent",
    text=__doc__,
    checks=(
        power_law(
            "two-layers",
            "L = 2: sup_t of the rms distance on test points falls with m, as O(1/√m) says",
            draw_data,
            largest_distance,
            Below(-0.3, paper=-0.5),
            Below(-0.3, column=1),
            "f_{10t} of the linearization in the place of f_t",
            Grid((64, 256, 1024, 4096), 30, ((32, 256, 2048), 12)),
            y_label="sup_t rms distance",
        ),
        power_law(
            "three-layers",
            "L = 3: sup_t of the rms distance on test points falls with m, as O(1/√m) says",
            draw_data,
            largest_distance_deep,
            Below(-0.2, paper=-0.5),
            Below(-0.2, column=1),
            "f_{10t} of the linearization in the place of f_t",
            Grid((32, 64, 128, 256, 512), 16, ((24, 160), 14)),
            y_label="sup_t rms distance",
        ),
    ),
)
