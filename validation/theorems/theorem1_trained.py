"""Theorem 1 on trained networks: their distance from Eq. (4) against their width.

Networks are trained by gradient descent to a loss of 10⁻¹⁰, and their outputs on test points
compared with the minimizer of Eq. (4). The rms distance is O(1/√m), an upper bound: its exponent
has to be below −0.3 with its whole interval; below −0.2 for L = 3, whose networks are narrower and
scatter more.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Check, Setting
from ntklin.validation.theorems.experiments import Data, draw_data, draw_images, network, rms
from ntklin.validation.theorems.statistics import Below, Grid, power_law


def distance(data: Data, m: int, rng: Generator, **options: Any) -> list[float]:
    """The rms distances of a trained network from Eq. (4) and from f_int."""
    net = network(m, d=data.X.shape[1], **options)
    theta = net.init(rng)
    run = ntklin.train(net, theta, data.X, data.Y, until=1e-10)
    minimizer = ntklin.linearize(net, theta, data.X).minimizer(data.Y)
    outputs = run.predict(data.X_test)
    return [rms(outputs - f(data.X_test)) for f in (minimizer.predict, minimizer.interpolator)]


def distance_without_biases(data: Data, m: int, rng: Generator) -> list[float]:
    """As the statement is printed."""
    return distance(data, m, rng, bias="none")


def distance_three_layers(data: Data, m: int, rng: Generator) -> list[float]:
    """With a second hidden layer."""
    return distance(data, m, rng, depth=3)


GRID = Grid((64, 256, 1024, 4096), 40, ((32, 256, 2048), 12))


def check(
    name: str,
    hypothesis: str,
    draw: Callable[[Generator, Setting], Data] = draw_data,
    sample: Callable[[Data, int, Generator], list[float]] = distance,
    bound: float = -0.3,
    grid: Grid = GRID,
) -> Check:
    """That the distance falls."""
    claims = Below(bound, paper=-0.5), Below(bound, column=1)
    return power_law(
        name, hypothesis, draw, sample, *claims, "f_int alone: f_init is missing", grid
    )


CHECKS = (
    check(
        "trained",
        "trained networks with trained biases, L = 2, approach Eq. (4) like O(1/√m)",
    ),
    check(
        "trained-no-biases",
        "trained networks without biases, L = 2, approach Eq. (4) like O(1/√m)",
        sample=distance_without_biases,
    ),
    check(
        "trained-three-layers",
        "trained networks with trained biases, L = 3, approach Eq. (4) like O(1/√m)",
        sample=distance_three_layers,
        bound=-0.2,
        grid=Grid((64, 128, 256, 512, 1024), 20, ((24, 48, 96, 192), 10)),
    ),
    check(
        "trained-images",
        "on images of MNIST, networks with trained biases, L = 2, approach Eq. (4) like O(1/√m)",
        draw_images,
        grid=replace(GRID, n_draws=12),
    ),
)
