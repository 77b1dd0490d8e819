"""Lazy and rich (Chizat et al. 2019): α (f_θ − f_{θ_0}), with the loss over α².

The outputs have to move by as much at any α, so that θ moves by 1/α, and what the linearization
leaves out is of second order: α/α² = 1/α. That is measured on networks of two layers of 16 tanh
neurons, all α from one θ_0, after 30 steps of gradient descent at its default rate, which has the
1/α² in it: the rms distance from the linearized network at new inputs, from α = 8 on, where terms
of higher order move the exponent by less than 0.05.
"""

from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, network, rms
from ntklin.validation.theorems.statistics import Grid, Near, power_law

WIDTH, STEPS = 16, 30


def distances(data: Data, scales: tuple[float, ...], rng: Generator) -> list[float]:
    """Between the network and its linearization at each α."""
    net = network(WIDTH, activation="tanh")
    theta = net.init(rng)
    found = []
    for alpha in scales:
        scaled = ntklin.ScaledNetwork(net, alpha, theta)
        run = ntklin.train(scaled, theta, data.X, data.Y, steps=STEPS)
        linearized = ntklin.linearize(scaled, theta, data.X).gradient_descent(data.Y)
        found.append(rms(run.predict(data.X_test) - linearized.predict(data.X_test, STEPS)))
    return found


STATEMENT = Statement(
    key="lazy-training",
    title="Lazy training",
    claim="α (f_θ − f_{θ_0}) trains as its linearization does, up to 1/α",
    text=__doc__,
    checks=(
        power_law(
            "scale",
            "the distance from the linearization falls like 1/α",
            draw_data,
            distances,
            Near(-1, bias=0.05),
            Near(-2, bias=0.05),
            "1/α², the size of what is left out before it is multiplied by α",
            Grid((8, 16, 32, 64), 20, ((8, 64), 5), label="α", paired=True),
        ),
    ),
)
