"""The limit of infinite width (Sect. 2): K → Θ, with λ_0 = λ_min(Θ) > 0.

K is a mean over neurons, so that ‖K − Θ‖_F/‖Θ‖_F falls like m^{−1/2} for two layers, and so it does
to leading order in 1/m for three: 0.05 is allowed for the next order. With Eq. (1) to the letter,
σ b^l without 1/√m_l, the derivative by a trained bias of a hidden layer is a sum over its m neurons
that nothing scales down, K grows like m and has no limit (0.1 is allowed for what does not grow).

λ_0 > 0 asks that no two inputs are parallel, and that the network is not linear: of infinitely many
linear neurons Θ has rank d + 1 and is singular for more inputs than that, up to rounding of the
order N eps ‖Θ‖; 10⁻⁶ ‖Θ‖ tells both apart.
"""

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.experiments import Data, draw_data, network, on_the_sphere
from ntklin.validation.theorems.statistics import Grid, Near, everywhere, power_law


def distance(data: Data, m: int, rng: Generator, depth: int = 2) -> float:
    """‖K − Θ‖_F/‖Θ‖_F."""
    net = network(m, depth)
    limit = ntklin.infinite_ntk(net, data.X)
    K = ntklin.ntk(net, net.init(rng), data.X)
    return float(np.linalg.norm(K - limit) / np.linalg.norm(limit))


def distance_deep(data: Data, m: int, rng: Generator) -> float:
    """With three layers."""
    return distance(data, m, rng, depth=3)


def size_to_the_letter(data: Data, m: int, rng: Generator) -> float:
    """‖K‖_F of Eq. (1) to the letter."""
    net = network(m, scaling="eq1")
    return float(np.linalg.norm(ntklin.ntk(net, net.init(rng), data.X)))


def draw_inputs(n: int, rng: Generator) -> Array:
    """Inputs, two of them close to each other."""
    X = on_the_sphere(rng, n)
    X[1] = X[0] + 0.05 * rng.standard_normal(X.shape[1])
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def definite(X: Array, activation: str = "relu") -> float:
    """λ_0/‖Θ‖ − 10⁻⁶."""
    values = np.linalg.eigvalsh(ntklin.infinite_ntk(network(1, activation=activation), X))
    return values[0] / values[-1] - 1e-6


def definite_of_linear(X: Array) -> float:
    """The same of linear neurons."""
    return definite(X, "leaky_relu(1)")


STATEMENT = Statement(
    key="kernel-limit",
    title="Sect. 2",
    claim="K → Θ like m^{−1/2}, λ_0 > 0; with Eq. (1) to the letter K grows like m",
    text=__doc__,
    checks=(
        power_law(
            "two-layers",
            "L = 2: ‖K − Θ‖_F/‖Θ‖_F falls like m^{−1/2}",
            draw_data,
            distance,
            Near(-0.5),
            Near(-1.0),
            "m^{−1}",
            Grid((64, 256, 1024, 4096, 16384), 100, ((64, 512, 4096), 12)),
            y_label="‖K − Θ‖/‖Θ‖",
        ),
        power_law(
            "three-layers",
            "L = 3: ‖K − Θ‖_F/‖Θ‖_F falls like m^{−1/2}",
            draw_data,
            distance_deep,
            Near(-0.5, 0.05),
            Near(-1.0, 0.05),
            "m^{−1}",
            Grid((64, 128, 256, 512, 1024), 40, ((32, 96, 320), 12)),
            y_label="‖K − Θ‖/‖Θ‖",
        ),
        power_law(
            "to-the-letter",
            "Eq. (1) to the letter with trained biases: ‖K‖_F grows like m",
            draw_data,
            size_to_the_letter,
            Near(1.0, 0.1, paper=0.0),
            Near(0.0, 0.1),
            "that ‖K‖ has a limit, as Sect. 2 says",
            Grid((256, 1024, 4096, 16384), 20, ((256, 1024, 4096), 4)),
            y_label="‖K‖",
        ),
        everywhere(
            "definite",
            "λ_0 = λ_min(Θ) > 0 for inputs of which no two are parallel",
            lambda rng, setting: 8,
            draw_inputs,
            definite,
            definite_of_linear,
            "linear neurons, infinitely many of them",
            n_draws=500,
            quick=20,
            quantity="λ_0/‖Θ‖ − 10⁻⁶ =",
        ),
    ),
)
