"""Theorem 3 on trained networks: AdaGrad and RMSprop against the linearization's own run.

The network and its linearization take the optimizer's steps from the same θ_0, each with the D_t of
its own gradients, to a loss of 10⁻⁸. The rms distance on test points is O(1/√m), an upper bound:
its exponent has to be below −0.3 with its whole interval. Learning rate and ε go with 1/√m, as the
gradients do, so that training is the same at all widths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.experiments import Data, adagrad, draw_data, network, rms, rmsprop
from ntklin.validation.theorems.statistics import Below, Grid, power_law

if TYPE_CHECKING:
    from ntklin.runs.optimizer import Optimizer


def distance(
    optimizer: Callable[[int], Optimizer],
) -> Callable[[Data, int, Generator], list[float]]:
    """``sample(data, m, rng)``: the rms distances from this optimizer's run and from Eq. (4)."""

    def sample(data: Data, m: int, rng: Generator) -> list[float]:
        net = network(m)
        theta = net.init(rng)
        run = ntklin.train(net, theta, data.X, data.Y, optimizer(m), until=1e-8)
        lin = ntklin.linearize(net, theta, data.X)
        linearized = lin.train(data.Y, optimizer(m), until=1e-8)
        outputs = run.predict(data.X_test)
        ends = linearized, lin.minimizer(data.Y)
        return [rms(outputs - end.predict(data.X_test)) for end in ends]

    return sample


CHECKS = tuple(
    power_law(
        name,
        f"networks trained by {title}, L = 2, approach the linearization's run like O(1/√m)",
        draw_data,
        distance(optimizer),
        Below(-0.3, paper=-0.5),
        Below(-0.3, column=1),
        "the minimizer of gradient descent",
        Grid((64, 256, 1024, 4096), 30, ((32, 1024), 12)),
    )
    for name, title, optimizer in (
        ("trained-adagrad", "AdaGrad", adagrad),
        ("trained-rmsprop", "RMSprop", rmsprop),
    )
)
