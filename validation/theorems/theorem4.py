"""Theorem 4: whether mini-batches lead to another minimizer.

(a) If D_t is constant, |f_GD(x) − f_SGD(x)| ≤ O(1/√m). Networks are trained by gradient descent
with and without mini-batches to a loss of 10⁻¹⁰; the exponent of the rms distance of their outputs
on test points has to be below −0.2 with its whole interval, which is wide. (b) If D_t changes, the
two differ by a contribution that depends on the path and the batch size. Under AdaGrad, to
a loss of 10⁻⁸, the distances of three ends from each other, of the full batch and of two batch
sizes, have to be at least twice those of gradient descent, in sum and in every draw. Theorems 5 and
6, the formal versions, are exact statements of the linearization and have files of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import (
    Data,
    adagrad,
    draw_data,
    network,
    rms,
    train_quietly,
)
from ntklin.validation.theorems.statistics import Below, Grid, everywhere, power_law

if TYPE_CHECKING:
    from ntklin.runs.optimizer import Optimizer

SPLITS = (0.2, 0.4)


def ends(
    data: Data,
    net: ntklin.MLP,
    theta: Array,
    optimizer: Optimizer | None,
    until: float,
    splits: Sequence[float] = SPLITS,
) -> list[Array]:
    """The outputs on test points after training on the full batch and on mini-batches."""
    return [
        train_quietly(net, theta, data, optimizer, until=until, batches=batches).predict(
            data.X_test
        )
        for batches in (None, *(ntklin.Batches(split) for split in splits))
    ]


def distance(data: Data, m: int, rng: Generator) -> list[float]:
    """Of gradient descent with and without mini-batches, and with batches that leave one out."""
    net = network(m)
    theta = net.init(rng)
    full, small = ends(data, net, theta, None, 1e-10, SPLITS[:1])
    rest = ntklin.train(net, theta, data.X[1:], data.Y[1:], until=1e-10)
    return [rms(full - small), rms(full - rest.predict(data.X_test))]


def distances(data: Data, rng: Generator, m: int = 1024) -> list[list[float]]:
    """Of the three ends from each other: gradient descent, AdaGrad, descent at half its rate."""
    net = network(m)
    theta = net.init(rng)
    rate = ntklin.linearize(net, theta, data.X).default_learning_rate()
    halved, found = ntklin.GradientDescent(rate / 2), []
    for optimizer, until in ((None, 1e-10), (adagrad(m), 1e-8), (halved, 1e-10)):
        full, small, large = ends(data, net, theta, optimizer, until)
        found.append([rms(full - small), rms(full - large), rms(small - large)])
    return found


def ratio(sampled: list[list[float]]) -> float:
    """By how much AdaGrad's distances are more than twice those of gradient descent, in sum."""
    descent, adaptive, _ = sampled
    return sum(adaptive) / sum(descent) - 2


def ratio_of_halved(sampled: list[list[float]]) -> float:
    """The same of gradient descent at half its rate, D = 1/2."""
    descent, _, halved = sampled
    return sum(halved) / sum(descent) - 2


STATEMENT = Statement(
    key="theorem4",
    title="Theorem 4",
    claim="mini-batches change the minimizer if D_t changes, and only then",
    text=__doc__,
    checks=(
        power_law(
            "constant",
            "(a) D = 1: networks trained with and without mini-batches agree like O(1/√m)",
            draw_data,
            distance,
            Below(-0.2, paper=-0.5),
            Below(-0.2, column=1),
            "batches that never have the first sample",
            Grid((64, 256, 1024, 4096), 30, ((32, 2048), 24)),
        ),
        everywhere(
            "changing",
            "(b) AdaGrad, m = 1024: ends of different batch sizes are at least twice as far apart",
            draw_data,
            distances,
            ratio,
            ratio_of_halved,
            "gradient descent at half its rate in the place of AdaGrad",
            n_draws=30,
            quick=5,
            quantity="ratio − 2 =",
        ),
    ),
)
