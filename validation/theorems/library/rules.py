"""The optimizers in exact numbers, by their definitions in ``ntklin.runs.optimizers``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import arb

from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.models import Model, passes, sigmoid
from ntklin.validation.theorems.library.numbers import each

State = dict[str, Any]
# From the state before a step, which it changes, t and the gradient: the step over η_t, and D_t.
Direction = Callable[[State, int, Array], tuple[Array, Any]]
Gradient = Callable[[int, Array], Array]
Batches = Sequence[Sequence[int]] | None


@dataclass(frozen=True, eq=False)
class Rule:
    """θ ← θ − η_t · direction, with decay.

    Attributes
    ----------
    rate : ball or callable
        η, or t → η_t.
    direction : callable
    decay : ball
    decoupled : bool
    """

    rate: Any
    direction: Direction
    decay: Any = 0
    decoupled: bool = False

    def rate_at(self, t: int) -> Any:
        """η_t."""
        return self.rate(t) if callable(self.rate) else self.rate


@dataclass(frozen=True, eq=False)
class Path:
    """What the steps of a rule come to.

    Attributes
    ----------
    thetas : list of ndarray
        θ_0, …, θ_t.
    weights : list
        D_0, …, D_{t−1}: numbers, diagonals or matrices.
    gradients : list of ndarray
    """

    thetas: list[Array]
    weights: list[Any] = field(default_factory=list)
    gradients: list[Array] = field(default_factory=list)

    @property
    def end(self) -> Array:
        """θ_t."""
        return self.thetas[-1]


def walk(rule: Rule, theta: Array, gradient: Gradient, steps: int) -> Path:
    """The steps themselves, ``gradient(t, theta)`` being that of step t."""
    path, state = Path([theta]), {}
    for t in range(steps):
        rate, g = rule.rate_at(t), gradient(t, theta)
        path.gradients.append(g)
        if rule.decoupled:
            theta = (1 - rate * rule.decay) * theta
        else:
            g = g + rule.decay * theta
        step, D = rule.direction(state, t, g)
        theta = theta - rate * step
        path.thetas.append(theta)
        path.weights.append(D)
    return path


# Directions


def plain(state: State, t: int, g: Array) -> tuple[Array, Any]:
    """Gradient descent's."""
    return g, 1


def velocity(mu: arb, *, nesterov: bool = False) -> Direction:
    """Heavy ball's or Nesterov's."""

    def direction(state: State, t: int, g: Array) -> tuple[Array, Any]:
        v = state["v"] = mu * state.get("v", 0 * g) + g
        return (g + mu * v if nesterov else v), 1

    return direction


def over_root(squares: Array, eps: arb) -> Array:
    """1/(√s + ε), and 0 where s is."""
    return each(lambda s: arb(0) if s == 0 else 1 / (s.sqrt() + eps), squares)


def adagrad(eps: arb) -> Direction:
    """AdaGrad's."""

    def direction(state: State, t: int, g: Array) -> tuple[Array, Any]:
        state["s"] = state.get("s", 0 * g) + g * g
        D = over_root(state["s"], eps)
        return D * g, D

    return direction


def rmsprop(alpha: arb, eps: arb) -> Direction:
    """RMSprop's."""

    def direction(state: State, t: int, g: Array) -> tuple[Array, Any]:
        state["s"] = alpha * state.get("s", 0 * g) + (1 - alpha) * g * g
        D = over_root(state["s"], eps)
        return D * g, D

    return direction


def adam(betas: tuple[arb, arb], eps: arb) -> Direction:
    """Adam's, with its corrections."""
    first, second = betas

    def direction(state: State, t: int, g: Array) -> tuple[Array, Any]:
        m = state["m"] = first * state.get("m", 0 * g) + (1 - first) * g
        s = state["s"] = second * state.get("s", 0 * g) + (1 - second) * g * g
        D = over_root(s / (1 - second ** (t + 1)), eps)
        return D * m / (1 - first ** (t + 1)), D

    return direction


def preconditioned(matrices: Sequence[Any]) -> Direction:
    """Eq. (6) with given D_t."""

    def direction(state: State, t: int, g: Array) -> tuple[Array, Any]:
        D = matrices[t]
        return (D @ g if np.ndim(D) == 2 else D * g), D

    return direction


# Gradients


def shares(n: int, batch: Sequence[int] | None = None, of_all: bool = False) -> Array:
    """1/N of each sample, or 1/|B| on a batch and else 0; there 1/N, too, for a control."""
    weights = [arb(0)] * n
    batch = range(n) if batch is None else batch
    for i in batch:
        weights[i] += arb(1) / (n if of_all else len(batch))
    return np.array(weights, object)


def slopes(loss: str, f: Array, Y: Array) -> Array:
    """∂ℓ/∂f for outputs (N, C)."""
    if loss == "squared":
        return f - Y
    if loss == "logistic":
        return each(sigmoid, f) - Y
    powers = each(lambda x: x.exp(), f)
    return powers / powers.sum(axis=1)[:, None] - Y


def loss_of(loss: str, f: Array, Y: Array) -> arb:
    """L of outputs (N, C)."""
    if loss == "squared":
        terms = (f - Y) ** 2 / 2
    elif loss == "logistic":
        terms = each(lambda x: (1 + x.exp()).log(), f) - Y * f
    else:
        totals = each(lambda x: x.exp(), f).sum(axis=1)[:, None]
        terms = Y * (each(lambda x: x.log(), totals) - f)
    return terms.sum() / len(f)


def linear_gradient(model: Model, batches: Batches = None, **options: Any) -> Gradient:
    """∇L of the linearization, or ∇L_{B_t}; options as of ``pull``."""

    def gradient(t: int, theta: Array) -> Array:
        f = model.f0 + model.phi @ (theta - model.theta)
        return model.phi.T @ pull(model, f, None if batches is None else batches[t], **options)

    return gradient


def real_gradient(model: Model, batches: Batches = None, **options: Any) -> Gradient:
    """∇L of the network itself, or ∇L_{B_t}; options as of ``pull``."""

    def gradient(t: int, theta: Array) -> Array:
        f, phi = passes(model.net, theta, model.X)
        return phi.T @ pull(model, f, None if batches is None else batches[t], **options)

    return gradient


def pull(
    model: Model,
    f: Array,
    batch: Sequence[int] | None,
    loss: str = "squared",
    targets: Array | None = None,
    of_all: bool = False,
) -> Array:
    """∂L/∂f of all outputs, (N·C,); for other targets than the problem's where they are given."""
    targets = (model.Y if targets is None else targets).reshape(model.n, -1)
    slope = slopes(loss, f.reshape(model.n, -1), targets)
    return (shares(model.n, batch, of_all)[:, None] * slope).ravel()


# Schedules


def cosine(rate: arb, steps: int, minimum: arb) -> Callable[[int], arb]:
    """η_min + (η − η_min)(1 + cos(π t/T))/2."""
    return lambda t: minimum + (rate - minimum) * (1 + (arb.pi() * t / steps).cos()) / 2


def stairs(rate: arb, size: int, gamma: arb) -> Callable[[int], arb]:
    """η γ^⌊t/s⌋."""
    return lambda t: rate * gamma ** math.floor(t / size)


def warmup(steps: int, first: arb, last: arb) -> Callable[[int], arb]:
    """a + (b − a) min(t, T)/T."""
    return lambda t: first + (last - first) * min(t, steps) / steps
