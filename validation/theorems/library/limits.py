"""The limits of infinite width: Θ, the covariance of f_0, and training over both."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from flint import arb

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import ROUNDINGS, Named, agreement
from ntklin.validation.theorems.library.integrals import Law, by_integrals, by_linear_part
from ntklin.validation.theorems.library.models import Model, Problem, UndecidedError, drawn
from ntklin.validation.theorems.library.numbers import identity, power, solve

# Laws in closed form


def straight(below: float, turn: int = 1) -> Law:
    """Of two straight lines, 1 above 0 and ``below``; without their angle for turn = 0."""
    c, d = arb((1 - below) / 2), arb((1 + below) / 2)

    def law(q: arb, p: arb, s: arb, is_same: bool) -> tuple[arb, arb]:
        size, pi = (q * p).sqrt(), arb.pi()
        cos = arb(1) if is_same else s / size
        angle = arb(0) if is_same else turn * cos.acos()
        values = d * d * s + c * c * 2 / pi * size * (angle.sin() + (pi / 2 - angle) * cos)
        return values, d * d + c * c * (1 - 2 * angle / pi)

    return law


def of_erf(q: arb, p: arb, s: arb, is_same: bool) -> tuple[arb, arb]:
    """erf's."""
    size = (1 + 2 * q) * (1 + 2 * p)
    return (
        2 / arb.pi() * (2 * s / size.sqrt()).asin(),
        4 / arb.pi() / (size - 4 * s * s).sqrt(),
    )


def of_sin(q: arb, p: arb, s: arb, is_same: bool) -> tuple[arb, arb]:
    """The sine's."""
    faded = (-(q + p) / 2).exp()
    return faded * s.sinh(), faded * s.cosh()


def of_gelu(q: arb, p: arb, s: arb, is_same: bool) -> tuple[arb, arb]:
    """gelu's; the slopes' by Price's theorem, the derivative of the values' by s."""

    def values(s: arb) -> arb:
        a, b = 1 + q, 1 + p
        rest = a * b - s * s
        inner = arb(1) / 4 + (s / (a * b).sqrt()).asin() / (2 * arb.pi())
        return s * inner + (q * p - s * s + s * s / a + s * s / b) / (2 * arb.pi() * rest.sqrt())

    h = arb(2) ** -64
    return values(s), (values(s + h) - values(s - h)) / (2 * h)


SERIES = ("tanh", "sigmoid", "softplus")
LAWS: dict[str, Law] = {
    "relu": straight(0.0),
    "leaky_relu(0.25)": straight(0.25),
    "abs": straight(-1.0),
    "erf": of_erf,
    "sin": of_sin,
    "gelu": of_gelu,
    **{name: by_integrals(name) for name in SERIES},
}


def limits(model: Model, X1: Array, X2: Array | None, law: Law | None = None) -> tuple[Any, Any]:
    """Θ and Σ by the recursion of ``ntklin.infinite_ntk``."""
    net = model.net
    law = LAWS[net.activation.name] if law is None else law
    sigma = arb(net.sigma)
    weight = sigma**2 / (net.widths[0] if net.scaling == "fan_in" else 1)
    bias = (sigma if net.sigma_b is None else arb(net.sigma_b)) ** 2
    beta, tau = int(net.bias == "normal"), int(net.bias != "none")
    C = net.widths[-1] if net.scaling == "fan_out" else 1

    def pair(x: Array, z: Array, is_same: bool) -> tuple[arb, arb]:
        q, p, s = (weight * (a * b).sum() + beta * bias for a, b in ((x, x), (z, z), (x, z)))
        covariances, factors = [s], []
        if not is_same and not s * s < q * p:
            raise UndecidedError("two inputs are parallel")
        for _ in range(len(net.widths) - 2):
            value, factor = law(q, p, s, is_same)
            factors.append(sigma**2 * factor)
            q, p = (sigma**2 * law(v, v, v, True)[0] + beta * bias for v in (q, p))
            s = sigma**2 * value + beta * bias
            covariances.append(s)
        theta = arb(0)
        for c, factor in zip(covariances, [arb(1), *factors], strict=True):
            theta = theta * factor + c + (tau - beta) * bias
        return theta / C, s / C

    if X2 is None:
        half = {(i, j): pair(X1[i], X1[j], i == j) for i in range(len(X1)) for j in range(i + 1)}
        found = [[half[max(i, j), min(i, j)] for j in range(len(X1))] for i in range(len(X1))]
    else:
        found = [[pair(x, z, False) for z in X2] for x in X1]
    theta, covariance = np.moveaxis(np.array(found, object), -1, 0)
    return theta, covariance


RELU = (
    drawn((3, 5, 1)),
    drawn((3, 5, 5, 1), sigma=1.5, bias="normal"),
    drawn((2, 5, 5, 5, 1), bias="none"),
    drawn((3, 5, 2), bias="normal"),
    drawn((3, 5, 5, 1), scaling="fan_in", bias="normal", sigma_b=0.5, sigma=1.25),
)
OTHERS = (
    drawn((3, 5, 5, 1), activation="leaky_relu(0.25)", bias="normal"),
    drawn((3, 5, 5, 1), activation="abs"),
    *(
        drawn((3, 5, 5, 1), activation=name, scaling="fan_in", bias=bias, sigma_b=0.5)
        for name, bias in (("erf", "normal"), ("sin", "zero"), ("gelu", "normal"))
    ),
)


RESULTS = (
    *("infinite_ntk", "infinite_ntk(X1, X2)", "infinite_nngp", "infinite_nngp(X1, X2)"),
    *("InfiniteMLP.ntk", "InfiniteMLP.nngp"),
)


def asked(problem: Problem) -> Named:
    """Both limits, of one set of inputs and of two."""
    net, X, X_new = problem.net, problem.X, problem.X_new
    whole = ntklin.InfiniteMLP(net)
    found = (
        ntklin.infinite_ntk(net, X),
        ntklin.infinite_ntk(net, X_new, X),
        ntklin.infinite_nngp(net, X),
        ntklin.infinite_nngp(net, X_new, X),
        whole.ntk(X_new, X),
        whole.nngp(X_new, X),
    )
    return dict(zip(RESULTS, found, strict=True))


def true(model: Model, law: Law | None = None) -> Named:
    """The same by the recursion, with the activation's law or with another."""
    (K, S), (across, apart) = (
        limits(model, model.X, None, law),
        limits(model, model.X_new, model.X, law),
    )
    return dict(zip(RESULTS, (K, across, S, apart, across, apart), strict=True))


# With few pairs of inputs: each is an integral over the plane.
OF_SERIES = tuple(
    drawn(widths, n=2, n_new=1, worst=np.inf, activation=name, scaling="fan_in", **options)
    for name, widths, options in (
        ("tanh", (3, 5, 5, 1), {"sigma_b": 0.5}),
        ("sigmoid", (2, 5, 1), {"sigma": 1.25}),
        ("softplus", (2, 5, 1), {"bias": "normal", "sigma_b": 0.5}),
    )
)


def true_of_linear_parts(model: Model) -> Named:
    """As if α were straight but for noise, which is right on the diagonal."""
    return true(model, by_linear_part(model.net.activation.name))


def stated(eps: float) -> float:
    """Of the whole of what is allowed, that which ``ntklin.infinite_ntk`` states for its series."""
    return (1e-12 if eps < 1e-10 else 1e-6) / ROUNDINGS


KERNELS = (
    agreement(
        "limits",
        "Θ and the NNGP of ReLU networks, for one set of inputs and for two",
        RELU,
        asked,
        true,
        partial(true, law=straight(0.0, turn=0)),
        "all inputs parallel",
    ),
    agreement(
        "limits-activations",
        "Θ and the NNGP of other activations in closed form",
        OTHERS,
        asked,
        true,
        partial(true, law=straight(0.0)),
        "ReLU's",
    ),
    agreement(
        "limits-series",
        "Θ and the NNGP of tanh, sigmoid and softplus, which are made by Hermite series",
        OF_SERIES,
        asked,
        true,
        true_of_linear_parts,
        "α's linear part and independent noise, as random features are often taken for",
        tolerances=dict.fromkeys(RESULTS, stated),
    ),
)


# Training over them

TIMES = (0, 1, 5)


def asked_training(problem: Problem) -> Named:
    """Mean and covariance of minimizer and of gradient descent."""
    X_new = problem.X_new
    lin = ntklin.InfiniteMLP(problem.net).linearize(problem.X)
    m, gd = lin.minimizer(problem.Y), lin.gradient_descent(problem.Y, problem["rate"])
    return {
        "minimizer.predict": m.predict(X_new),
        "minimizer.covariance": m.covariance(X_new),
        "minimizer.covariance(x, x')": m.covariance(X_new, problem.X_new[:1]),
        "expected_initialization_loss": m.expected_initialization_loss(X_new),
        "gradient_descent.predict": gd.predict(X_new, TIMES),
        "gradient_descent.covariance": gd.covariance(X_new, TIMES),
        "gradient_descent.loss": gd.loss(TIMES),
    }


def true_training(model: Model, independent: bool = False) -> Named:
    """The same; as if f_∞ and what training takes from f_0 were independent, for a control."""
    inputs = np.concatenate([model.X, model.X_new])
    K, S = map(model.shaken, limits(model, inputs, None))
    n, y = model.n, model.y
    K_X, across, S_X, apart, S_new = K[:n, :n], K[n:, :n], S[:n, :n], S[n:, :n], S[n:, n:]

    def covariance(pull: Array) -> Array:
        if independent:
            return S_new - pull @ S_X @ pull.T
        return S_new - pull @ apart.T - apart @ pull.T + pull @ S_X @ pull.T

    one, predicted, covariances, losses = identity(n), [], [], []
    step = one - model["rate"] / n * K_X
    pull = solve(K_X, across.T).T
    for t in TIMES:
        left = power(step, t)
        moved = solve(K_X, (one - left) @ across.T).T if t else 0 * pull
        predicted.append(moved @ y)
        covariances.append(covariance(moved))
        error = left @ y
        losses.append((error @ error) / (2 * n))
    limit = covariance(pull)
    return {
        "minimizer.predict": pull @ y,
        "minimizer.covariance": limit,
        "minimizer.covariance(x, x')": limit[:, :1],
        "expected_initialization_loss": np.trace(limit) / (2 * len(model.X_new)),
        "gradient_descent.predict": np.array(predicted, object),
        "gradient_descent.covariance": np.array(covariances, object),
        "gradient_descent.loss": np.array(losses, object),
    }


TRAINING = (
    agreement(
        "infinite-training",
        "mean and covariance over initializations of what infinitely wide networks are trained to",
        (drawn((3, 5, 1)), drawn((3, 5, 5, 1), bias="normal")),
        asked_training,
        true_training,
        partial(true_training, independent=True),
        "the covariance of f_0 less that of what training takes from it",
    ),
)
