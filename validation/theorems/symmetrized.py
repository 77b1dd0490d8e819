"""Antisymmetrical and doubled networks (Sect. 3, Zhang et al. 2020b, Chizat et al. 2019).

Both start with f_0 = 0, so that the minimizer holds nothing of the initialization, and with the
kernel of the network that they are made of (the doubled network for two layers; its lower layers
get no gradient where there are more). Rounding is some eps of the outputs and of the kernel,
whose sums are added in pairs; 64 eps are allowed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, network
from ntklin.validation.theorems.statistics import everywhere

Sampled = tuple[Data, ntklin.MLP, Array, ntklin.AntisymmetricPair | ntklin.DoubledNetwork]


def draw(kind: Callable[[ntklin.MLP], Any]) -> Callable[[Data, Generator], Sampled]:
    """``sample(data, rng)``: a symmetrized network, its θ_0, and what it is made of."""

    def sample(data: Data, rng: Generator) -> Sampled:
        net = network(256, sigma=float(rng.uniform(0.5, 2)))
        theta = net.init(rng)
        return data, net, theta, kind(net)

    return sample


def deviation(sampled: Sampled, copies: int = 1) -> float:
    """64 eps less the relative size of f_0 and of the change of the kernel."""
    data, net, theta, made = sampled
    at = made.symmetrize(theta)
    K, expected = ntklin.ntk(made, at, data.X), copies * ntklin.ntk(net, theta, data.X)
    outputs = made.apply(at, data.X_test), net.apply(theta, data.X_test)
    largest = max(
        np.linalg.norm(outputs[0]) / np.linalg.norm(outputs[1]),
        np.linalg.norm(K - expected) / np.linalg.norm(expected),
    )
    return 64 * float(np.finfo(float).eps) - float(largest)


def deviation_of_sum(sampled: Sampled) -> float:
    """From twice the kernel."""
    return deviation(sampled, copies=2)


CHECKS = tuple(
    everywhere(
        name,
        f"{title}: f_0 = 0, and the kernel is the network's",
        draw_data,
        draw(kind),
        deviation,
        deviation_of_sum,
        "twice the kernel, the sum over both halves without their factor 1/2",
        n_draws=100,
        quick=5,
    )
    for name, title, kind in (
        ("antisymmetrical", "antisymmetrical pair", ntklin.AntisymmetricPair),
        ("doubled", "doubled network", ntklin.DoubledNetwork),
    )
)

STATEMENT = Statement(
    key="symmetrized",
    title="Sect. 3",
    claim="antisymmetrical and doubled networks have f_0 = 0 and the same kernel",
    text=__doc__,
    checks=CHECKS,
)
