"""Smooth activations, for which the paper proves Lemma 7 and Theorems 7 and 8, beside ReLU.

Sect. 2 allows every activation with a bounded second derivative, and ReLU. The proofs of Lemma 7
and of Theorems 7 and 8 use that α' is Lipschitz, as tanh' is and ReLU' is not. Both networks here
have the same widths, data and scaling, and both exponents are told; the claims are those about
tanh. The scaling is ``fan_in``, h^l = σ/√m_{l−1} W^l a^{l−1}: Eq. (1) puts 1/√m_l into the
argument of α, which for ReLU is the same, but makes a wide tanh network a linear one.

(29): at ‖θ − θ_0‖ = 1 the preactivations of a layer move by a vector of length O(1), an entry of J
follows at 1/√m times that, and ‖ΔJ‖_F falls like m^{−1/2} (0.05 is allowed). ReLU's control is its
own exponent, −1/4, for the share of order 1/√m of neurons that change sign. (30): an exponent of 0
with 0.05 allowed. For the distance of Lemma 1 and of Theorem 7 and the drift (33), O(1/√m) is an
upper bound. Of the drift tanh makes less: where changes of α' are proportional to those of h, they
average out over neurons, and it falls like 1/m. Exponents have to be below −0.4 with their whole
intervals, and below −0.3 in Theorem 7, where D_t departs from D by just 1/√m, as for ReLU. (31) and
(32) hold in every draw, as for ReLU.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.random import Generator

import ntklin
from ntklin import MLP
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Check, Measurement, Setting, Statement
from ntklin.validation.theorems.experiments import (
    Data,
    draw_data,
    moments,
    network,
    recorded,
    rms,
    train_quietly,
)
from ntklin.validation.theorems.lemma1 import TOO_FAR, distance_at
from ntklin.validation.theorems.statistics import Below, Claim, Grid, Near, everywhere, power_law
from ntklin.validation.theorems.theorem7 import concentrating
from ntklin.validation.theorems.theorem8 import (
    decay,
    decay_of_sums,
    room,
    room_of_mean,
)

# The loss to which networks are trained.
TRAINED = 1e-5
# The columns of what is sampled.
ACTIVATIONS = ("tanh", "relu")


def network_of(activation: str, m: int) -> MLP:
    """A network of two layers of width m."""
    return network(m, scaling="fan_in", activation=activation)


def size(data: Data, net: MLP, rng: Generator) -> list[float]:
    """‖J(θ_0)‖_F."""
    return [float(np.linalg.norm(net.jacobian(net.init(rng), data.X)))]


def change(data: Data, net: MLP, rng: Generator) -> list[float]:
    """‖J(θ) − J(θ_0)‖_F for a random θ with ‖θ − θ_0‖ = 1."""
    theta = net.init(rng)
    step = rng.standard_normal(len(theta))
    moved = theta + step / np.linalg.norm(step)
    return [float(np.linalg.norm(net.jacobian(moved, data.X) - net.jacobian(theta, data.X)))]


def distance(data: Data, net: MLP, rng: Generator) -> list[float]:
    """Lemma 1: sup_t of the rms distance from the linearization, and from it at 10t."""
    theta = net.init(rng)
    seen = {"record": moments(10_000), "X_record": data.X_test, "snapshots": False}
    run = train_quietly(net, theta, data, until=TRAINED, **seen)
    gd = ntklin.linearize(net, theta, data.X).gradient_descent(data.Y, run.optimizer.learning_rate)
    return [distance_at(gd, run, data, pace) for pace in (1, TOO_FAR)]


def distance_adaptive(data: Data, net: MLP, rng: Generator) -> list[float]:
    """Theorem 7: the same for D_t = D (1 ± S/√m), and from gradient descent's f_{10t}."""
    theta = net.init(rng)
    lin = ntklin.linearize(net, theta, data.X)
    optimizer = concentrating(lin, net.widths[1], rng)
    seen = {"record": moments(10_000, count=12), "X_record": data.X_test, "snapshots": False}
    run = train_quietly(net, theta, data, optimizer, until=TRAINED, **seen)
    steps = run.records.steps.tolist()
    linearized = lin.train(data.Y, optimizer, steps=run.steps, record=steps)
    pairs = zip(steps, recorded(run.records.outputs), strict=True)
    distances = [rms(outputs - linearized.predict(data.X_test, t)) for t, outputs in pairs]
    end = rms(run.predict(data.X_test) - linearized.predict(data.X_test))
    return [max([*distances, end]), distance_at(lin.gradient_descent(data.Y), run, data, TOO_FAR)]


def drift(data: Data, net: MLP, rng: Generator) -> list[float]:
    """(33): sup_t ‖K_t − K_0‖_F, and sup_t ‖θ_t − θ_0‖."""
    theta = net.init(rng)
    run = train_quietly(net, theta, data, until=TRAINED, record=moments(10_000, count=12))
    K = ntklin.ntk(net, theta, data.X)
    seen = (*recorded(run.records.snapshots), run.parameters)
    moved = max(np.linalg.norm(ntklin.ntk(net, at, data.X) - K) for at in seen)
    return [float(moved), float(max(np.linalg.norm(at - theta) for at in seen))]


def residuals(data: Data, rng: Generator, m: int = 1024) -> tuple[Array, float, Array]:
    """(31): ‖g(θ_t)‖ at all steps of a tanh network, η_0 and the eigenvalues of Θ."""
    net = network_of("tanh", m)
    run = ntklin.train(net, net.init(rng), data.X, data.Y, until=1e-10)
    n = len(data.X)
    values = np.linalg.eigvalsh(ntklin.infinite_ntk(net, data.X))
    return np.sqrt(2 * n * run.losses), run.optimizer.learning_rate / n, values


def path(data: Data, rng: Generator, m: int = 256) -> tuple[float, float, float, Array]:
    """(32): Σ_t ‖θ_t − θ_{t−1}‖ of a tanh network, K, R_0 and the eigenvalues of Θ."""
    net = network_of("tanh", m)
    run = ntklin.train(net, net.init(rng), data.X, data.Y, until=TRAINED, record=1)
    steps = [run.snapshot(t) for t in range(run.steps + 1)]
    length = sum(float(np.linalg.norm(b - a)) for a, b in pairwise(steps))
    seen = [steps[t] for t in moments(run.steps, count=12)]
    K = max(math.sqrt(np.trace(ntklin.ntk(net, at, data.X))) for at in seen)
    R = math.sqrt(2 * len(data.X) * run.losses[0])
    return length, K, R, np.linalg.eigvalsh(ntklin.infinite_ntk(net, data.X))


def beside_relu(
    name: str,
    hypothesis: str,
    sample: Callable[[Data, MLP, Generator], list[float]],
    formula: Claim,
    wrong: Claim,
    control: str,
    grid: Grid,
    y_label: str,
) -> Check:
    """A law of tanh networks, with the exponent of ReLU's told beside it.

    Parameters
    ----------
    name, hypothesis, formula, wrong, control, grid, y_label
        As for :func:`power_law`; of ``formula`` and ``wrong`` column 0 is tanh's, 1 is ReLU's, and
        2 is tanh's second number, where there is one.
    sample : callable
        ``sample(data, net, rng)``, a positive number or two.

    Returns
    -------
    Check
    """

    def both(data: Data, m: int, rng: Generator) -> list[float]:
        (tanh, *more), (relu, *_) = (
            sample(data, network_of(activation, m), r)
            for activation, r in zip(ACTIVATIONS, rng.spawn(2), strict=True)
        )
        return [tanh, relu, *more]

    check = power_law(
        name, hypothesis, draw_data, both, formula, wrong, control, grid, y_label=y_label
    )

    def measure(formula: Claim, rng: Generator, setting: Setting) -> Measurement:
        again = copy.deepcopy(rng)  # which the check knows, and draws nothing
        found = check.measure(formula, rng, setting)
        if formula.column == 2:
            return found
        other = 1 - formula.column
        beside = check.measure(replace(formula, column=other), again, setting)
        told = {formula.column: found.measured, other: beside.measured}
        texts = [f"{ACTIVATIONS[column]}: {told[column]}" for column in (0, 1)]
        return replace(found, measured="; ".join(texts))

    return replace(check, measure=measure)


STATEMENT = Statement(
    key="smooth",
    title="Smooth activations",
    claim="with tanh, (29) of Lemma 7 has its m^{−1/2}, where ReLU has m^{−1/4}",
    text=__doc__,
    checks=(
        beside_relu(
            "lemma7-bounded",
            "(30): ‖J(θ_0)‖_F does not grow with m",
            size,
            Near(0.0, 0.05),
            Near(0.5, 0.05),
            "√m",
            Grid((64, 256, 1024, 4096, 16384), 30, ((128, 4096), 12)),
            "‖J‖_F",
        ),
        beside_relu(
            "lemma7-lipschitz",
            "(29) for tanh: ‖J(θ) − J(θ_0)‖_F at ‖θ − θ_0‖ = 1 falls like m^{−1/2}",
            change,
            Near(-0.5, 0.05),
            Near(-0.5, 0.05, column=1),
            "ReLU in the place of tanh",
            Grid((64, 256, 1024, 4096, 16384), 30, ((128, 4096), 30)),
            "‖J(θ) − J(θ_0)‖_F",
        ),
        beside_relu(
            "lemma1",
            "Lemma 1 for tanh: sup_t of the rms distance falls with m, as O(1/√m) says",
            distance,
            Below(-0.4, paper=-0.5),
            Below(-0.4, column=2),
            "f_{10t} of the linearization in the place of f_t",
            Grid((64, 256, 1024), 16, ((32, 1024), 8)),
            "sup_t rms distance",
        ),
        beside_relu(
            "theorem7",
            "Theorem 7 for tanh, D_t within 1/√m of D: sup_t of the rms distance falls with m",
            distance_adaptive,
            Below(-0.3, paper=-0.5),
            Below(-0.3, column=2),
            "gradient descent's f_{10t} in the place of f_t",
            Grid((64, 256, 1024), 16, ((128, 2048), 8)),
            "sup_t rms distance",
        ),
        everywhere(
            "theorem8-decay",
            "(31) for tanh: the residual is below (1 − η_0 λ_0/3)^t R_0 at every step",
            draw_data,
            residuals,
            decay,
            decay_of_sums,
            "η in the place of η_0 = η/N, as if the loss were a sum",
            n_draws=12,
            quick=3,
            quantity="log(bound/residual) ≥",
        ),
        everywhere(
            "theorem8-path",
            "(32) for tanh: the path is not longer than 3 K R_0/λ_0",
            draw_data,
            path,
            room,
            room_of_mean,
            "R_0/√λ with the mean eigenvalue, as if all were the same",
            n_draws=12,
            quick=3,
            quantity="1 − path/bound =",
        ),
        beside_relu(
            "theorem8-drift",
            "(33) for tanh: sup_t ‖K_t − K_0‖_F falls with m, as O(1/√m) says",
            drift,
            Below(-0.4, paper=-0.5),
            Below(-0.4, column=2),
            "‖θ_t − θ_0‖ in the place of ‖K_t − K_0‖",
            Grid((64, 256, 1024), 16, ((32, 256), 6)),
            "sup_t ‖K_t − K_0‖_F",
        ),
    ),
)
