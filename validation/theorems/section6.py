"""Section 6: the linearization at θ_T, for networks that leave the one at θ_0.

    f^lin,T_θ(x) = f_{θ_T}(x) + φ_T(x)(θ − θ_T)        (11)

A network of width 64 is trained by gradient descent to a loss of 10⁻¹⁰, and its outputs on test
points are compared with the minimizers of the linearizations at T = 1, 4, 16, 64 of the same run.
The rms distance falls with T: its exponent has to be below −0.1 with its whole interval. The paper
predicts no rate.
"""

from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, network, rms
from ntklin.validation.theorems.statistics import Below, Grid, power_law

WIDTH, STARTS = 64, (1, 4, 16, 64)


def gaps(data: Data, starts: tuple[int, ...], rng: Generator) -> list[list[float]]:
    """The distances of one run from its linearizations' minimizers, and from their f_int."""
    net = network(WIDTH)
    run = ntklin.train(net, net.init(rng), data.X, data.Y, until=1e-10, record=starts)
    outputs = run.predict(data.X_test)
    minimizers = (ntklin.linearize(net, run.snapshot(T), data.X).minimizer(data.Y) for T in starts)
    return [
        [rms(outputs - f(data.X_test)) for f in (m.predict, m.interpolator)] for m in minimizers
    ]


STATEMENT = Statement(
    key="section6",
    title="Sect. 6",
    claim="linearized at θ_T, a network's distance from its linearization falls with T",
    text=__doc__,
    checks=(
        power_law(
            "start",
            "m = 64: the distance of the trained network from the minimizer linearized at θ_T "
            "falls with T",
            draw_data,
            gaps,
            Below(-0.1),
            Below(-0.1, column=1),
            "f_int alone, without what f_{θ_T} leaves",
            Grid(STARTS, 100, (STARTS, 12), "T", paired=True),
        ),
    ),
)
