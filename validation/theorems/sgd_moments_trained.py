"""SGD's moments on real networks.

Their mean loss after 20 steps on random batches of two images, and the scatter of their outputs on
test points around the mean of the linearization, have to be those of the recursion within their
confidence intervals. 200 runs of width 4000 are taken from one θ_0, or 60 of width 512 in a quick
run: the linearization is off by far less than the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Setting
from ntklin.validation.theorems.experiments import Data, draw_images, network
from ntklin.validation.theorems.statistics import expectation

STEPS = 20


@dataclass(frozen=True, eq=False)
class Trained:
    """A wide network, and SGD's moments on its linearization, for two batch sizes.

    Attributes
    ----------
    data : Data
    net : MLP
    theta : ndarray
    moments, larger : SGDMoments
        Of batches of two samples and of six.
    """

    data: Data
    net: ntklin.MLP
    theta: Array
    moments: ntklin.SGDMoments
    larger: ntklin.SGDMoments


def draw_trained(rng: Generator, setting: Setting) -> Trained:
    """Images, at a third of the largest stable learning rate: above, a few runs dominate."""
    data = draw_images(rng, setting)
    net = network(512 if setting.quick else 4000, d=data.X.shape[1])
    theta = net.init(rng)
    lin = ntklin.linearize(net, theta, data.X)
    rate = lin.moments(data.Y, None, 2).max_learning_rate / 3
    two, six = (lin.moments(data.Y, rate, b) for b in (2, 6))
    return Trained(data, net, theta, two, six)


def real_run(drawn: Trained, rng: Generator) -> ntklin.TrainingRun:
    """A run of the real network on random batches of two."""
    n = len(drawn.data.Y)
    return ntklin.train(
        drawn.net,
        drawn.theta,
        drawn.data.X,
        drawn.data.Y,
        ntklin.GradientDescent(drawn.moments.learning_rate),
        steps=STEPS,
        batches=[rng.choice(n, 2, replace=False) for _ in range(STEPS)],
    )


def real_loss(drawn: Trained, rng: Generator) -> float:
    """L_20 of a run."""
    return float(real_run(drawn, rng).losses[-1])


def recursions_loss(drawn: Trained) -> float:
    """E L_20."""
    return drawn.moments.loss(STEPS)


def descents_loss(drawn: Trained) -> float:
    """That of gradient descent."""
    return drawn.moments.mean.loss(STEPS)


def real_scatter(drawn: Trained, rng: Generator) -> float:
    """The mean square over x of f_20(x) − E f_20(x), E that of the linearization."""
    mean = drawn.moments.predict(drawn.data.X_test, STEPS)
    outputs = real_run(drawn, rng).predict(drawn.data.X_test)
    return float(((outputs - mean) ** 2).mean())


def variance(drawn: Trained) -> float:
    """The mean over x of Var f_20(x)."""
    return float(drawn.moments.covariance(drawn.data.X_test, STEPS).diagonal().mean())


def variance_of_larger_batches(drawn: Trained) -> float:
    """That of batches of six."""
    return float(drawn.larger.covariance(drawn.data.X_test, STEPS).diagonal().mean())


CHECKS = (
    expectation(
        "networks",
        "networks of width 4000 on random batches of MNIST have the mean loss E L_t",
        draw_trained,
        real_loss,
        recursions_loss,
        descents_loss,
        "the loss of gradient descent",
        n_draws=200,
        quick=60,
        quantity="mean L_20",
    ),
    expectation(
        "scatter",
        "their outputs on test points scatter by Var f_t(x)",
        draw_trained,
        real_scatter,
        variance,
        variance_of_larger_batches,
        "batches of three times the size",
        n_draws=200,
        quick=60,
        quantity="mean square",
    ),
)
