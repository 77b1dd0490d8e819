"""A network on a few inputs: in floats that the library is given, and in exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
from flint import arb, ctx
from numpy.random import Generator
from numpy.typing import DTypeLike

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.numbers import PRECISION, each, exact

# By how much data are moved to see what they do to a result: exact numbers do not mind.
DELTA = arb(2) ** -80
# A preactivation nearer to its kink than this may be on the other side of it in float32, and a
# kernel of a larger condition has few digits there.
NEAREST, WORST = 1e-4, 300.0


class UndecidedError(ArithmeticError):
    """A problem on whose kinks float32 cannot be relied on: another one is drawn."""


# Problems


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """What the library is given; float32 holds all of it.

    Attributes
    ----------
    net : MLP
    theta : ndarray, shape (P,)
    X, X_new : ndarray, shapes (N, d) and (N_new, d)
        In the unit ball.
    Y : ndarray, shape (N,) or (N, C)
    D : ndarray, shape (P,)
        Weights > 0.
    numbers : mapping of str to float
        Such as the learning rate.
    """

    net: Any
    theta: Array
    X: Array
    X_new: Array
    Y: Array
    D: Array
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]

    def cast(self, dtype: DTypeLike) -> Self:
        """In this precision."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return replace(self, **{name: a.astype(dtype) for name, a in arrays.items()})

    @cached_property
    def linearized(self) -> Any:
        """The library's linearization."""
        return ntklin.linearize(self.net, self.theta, self.X)


ARRAYS = ("theta", "X", "X_new", "Y", "D")


def eighths(rng: Generator, *shape: int, largest: int = 16) -> Array:
    """Random multiples of 1/8, none of which is 0."""
    return rng.integers(2, largest + 1, shape) / 8 * rng.choice([-1.0, 1.0], shape)


def drawn(
    widths: Sequence[int], n: int = 4, n_new: int = 3, worst: float = WORST, **options: Any
) -> Callable[[Generator], Problem]:
    """``draw(rng)``: a random network of these widths and options, and data.

    Its kernel has at most the condition ``worst``, which matters where it is to be inverted.

    ``rate`` is a power of two below N/λ_max, ``ridge`` one of the size of λ_max/16 and ``decay``
    one of λ_max/(16 N).

    Returns
    -------
    callable
    """

    def draw(rng: Generator) -> Problem:
        net = ntklin.MLP(tuple(widths), **options)
        P, C = net.n_parameters, widths[-1]
        while True:
            theta = eighths(rng, P)
            if net.bias == "zero":
                for start, stop in _biases(net.widths):
                    theta[start:stop] = 0
            X, X_new = (
                rng.integers(2, 10, (k, widths[0])) / 16 * rng.choice([-1.0, 1.0], (k, widths[0]))
                for k in (n, n_new)
            )
            X, X_new = (A / 2 ** np.ceil(np.log2(max(1, _longest(A)))) for A in (X, X_new))
            Y = eighths(rng, n, *([C] if C > 1 else []))
            D = rng.integers(1, 17, P) / 8
            problem = Problem(net=net, theta=theta, X=X, X_new=X_new, Y=Y, D=D)
            with ctx.workprec(PRECISION):
                try:
                    K = Model(problem).K.astype(float)
                except UndecidedError:
                    continue
            values = np.linalg.eigvalsh(K)
            # With fewer parameters than rows the other eigenvalues are 0.
            if not values[-min(len(K), P)] * worst > values[-1]:
                continue
            size = float(2.0 ** np.floor(np.log2(values[-1])))
            rate = 2.0 ** np.floor(np.log2(n / values[-1])) / 2
            numbers = {"rate": rate, "ridge": size / 16, "decay": size / (16 * n)}
            return replace(problem, numbers=numbers)

    return draw


def _biases(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Where θ has its biases."""
    found, start = [], 0
    for k, m in pairwise(widths):
        start += k * m
        found.append((start, start + m))
        start += m
    return found


def _longest(A: Array) -> float:
    return float(np.linalg.norm(A, axis=1).max())


# In exact numbers


def scales(net: Any) -> tuple[list[arb], list[arb]]:
    """w_l and v_l of Eq. (1), by the table of ``ntklin.MLP``."""
    sigma, depth = arb(net.sigma), len(net.widths) - 1
    if net.scaling == "standard":
        return [arb(1)] * depth, [arb(1)] * depth
    fans = net.widths[:-1] if net.scaling == "fan_in" else net.widths[1:]
    w = [sigma / arb(m).sqrt() for m in fans]
    sigma_b = sigma if net.sigma_b is None else arb(net.sigma_b)
    return w, w if net.scaling == "fan_out" else [sigma_b] * depth


def unpacked(net: Any, theta: Array) -> list[tuple[Array, Array | None]]:
    """[(W^l, b^l)], layer by layer, row by row."""
    layers, start = [], 0
    for k, m in pairwise(net.widths):
        W = theta[start : start + k * m].reshape(m, k)
        start += k * m
        b = None
        if net.bias != "none":
            b = theta[start : start + m]
            start += m
        layers.append((W, b))
    return layers


def slope(p: float) -> tuple[Callable[[arb], arb], Callable[[arb], arb]]:
    """Two straight lines, that below 0 of slope p."""
    return lambda h: h if h > 0 else p * h, lambda h: arb(1) if h > 0 else arb(p)


def _gelu_slope(h: arb) -> arb:
    return normal(h) + h * (-h * h / 2).exp() / (2 * arb.pi()).sqrt()


def normal(h: arb) -> arb:
    """Φ(h)."""
    return (1 + (h / arb(2).sqrt()).erf()) / 2


def sigmoid(h: arb) -> arb:
    """1/(1 + e^{−h})."""
    return 1 / (1 + (-h).exp())


ACTIVATIONS: dict[str, tuple[Callable[[arb], Any], Callable[[arb], Any]]] = {
    "relu": slope(0.0),
    "leaky_relu(0.25)": slope(0.25),
    "abs": slope(-1.0),
    "tanh": (lambda h: h.tanh(), lambda h: 1 - h.tanh() ** 2),
    "erf": (lambda h: h.erf(), lambda h: 2 * (-h * h).exp() / arb.pi().sqrt()),
    "sin": (lambda h: h.sin(), lambda h: h.cos()),
    "sigmoid": (sigmoid, lambda h: sigmoid(h) * (1 - sigmoid(h))),
    "softplus": (lambda h: (1 + h.exp()).log(), sigmoid),
    "gelu": (lambda h: h * normal(h), _gelu_slope),
}
STRAIGHT = ("relu", "leaky_relu(0.25)", "abs")


def passes(net: Any, theta: Array, X: Array, biases: int = 1) -> tuple[Array, Array]:
    """f(X), (N, C), and φ(X), (N·C, P), by Eq. (1) and the chain rule.

    Parameters
    ----------
    net : MLP
    theta, X : ndarray of balls
    biases : int
        0 takes what biases do to f away from φ, and leaves f as it is: a control.

    Returns
    -------
    f, phi : ndarray of balls

    Raises
    ------
    UndecidedError
        If a preactivation is so near to 0 that rounding may decide.
    """
    (w, v), layers = scales(net), unpacked(net, theta)
    f, df = ACTIVATIONS[net.activation.name]
    a, h = [X], []
    for l, (W, b) in enumerate(layers):
        h.append(w[l] * (a[-1] @ W.T))
        if b is not None:
            h[-1] = h[-1] + v[l] * b
        a.append(each(f, h[-1]))
    if net.activation.name in STRAIGHT:
        for z in h[:-1]:
            if any(abs(float(x)) < NEAREST for x in z.ravel()):
                raise UndecidedError("a preactivation is too close to 0")
    n, C = h[-1].shape
    delta, parts = np.tile(exact(np.eye(C)), (n, 1, 1)), []
    for l in reversed(range(len(layers))):
        W, b = layers[l]
        slopes = w[l] * (delta[..., :, None] * a[l][:, None, None, :])
        found = [slopes.reshape(n * C, -1)]
        if b is not None:
            found.append((biases * v[l] * delta).reshape(n * C, -1))
        parts = found + parts
        if l:
            delta = (w[l] * (delta @ W)) * each(df, h[l - 1])[:, None, :]
    return h[-1], np.concatenate(parts, axis=1)


class Model:
    """The linearization of a problem's network in exact numbers.

    Parameters
    ----------
    problem : Problem
    signs : numpy.random.Generator, optional
        Moves the data, each number by a relative ± ``DELTA``, and features and outputs by that of
        their largest entry, in random directions.

    Attributes
    ----------
    theta, X, X_new, Y, D : ndarray of balls
    numbers : dict of str to ball
    """

    def __init__(self, problem: Problem, signs: Generator | None = None) -> None:
        self.problem, self.net, self.signs = problem, problem.net, signs
        self.theta, self.X, self.X_new, self.Y, self.D = (
            self.moved(exact(getattr(problem, name))) for name in ARRAYS
        )
        self.numbers = {name: self.moved(exact([x]))[0] for name, x in problem.numbers.items()}

    def __getitem__(self, name: str) -> arb:
        return self.numbers[name]

    def moved(self, A: Array) -> Array:
        """Each number by a fraction of itself."""
        return A if self.signs is None else A * (1 + DELTA * self._directions(A.shape))

    def shaken(self, A: Array) -> Array:
        """Each number other than 0 by that fraction of the largest."""
        if self.signs is None:
            return A
        largest = max(A.ravel(), key=lambda x: abs(float(x)))
        return A + DELTA * abs(largest) * self._directions(A.shape) * (A != 0)

    def cancelled(self, A: Array) -> Array:
        """What rounding leaves of a term that is added and taken away again: 0, or shaken."""
        return self.shaken(A) - A

    def _directions(self, shape: tuple[int, ...]) -> Array:
        assert self.signs is not None
        return self.signs.choice([-1, 1], shape).astype(object)

    @property
    def n(self) -> int:
        """N."""
        return len(self.X)

    @cached_property
    def _passes(self) -> tuple[Array, Array]:
        f, phi = passes(self.net, self.theta, np.concatenate([self.X, self.X_new]))
        return self.shaken(f.ravel()), self.shaken(phi)

    @property
    def rows(self) -> int:
        """N·C."""
        return self.Y.size

    @property
    def f0(self) -> Array:
        """f_0(X), (N·C,)."""
        return self._passes[0][: self.rows]

    @property
    def f0_new(self) -> Array:
        """f_0(X_new), (N_new·C,)."""
        return self._passes[0][self.rows :]

    @property
    def phi(self) -> Array:
        """φ(X)."""
        return self._passes[1][: self.rows]

    @property
    def phi_new(self) -> Array:
        """φ(X_new)."""
        return self._passes[1][self.rows :]

    @cached_property
    def K(self) -> Array:
        """φ(X) φ(X)^T."""
        return self.shaken(self.phi @ self.phi.T)

    @cached_property
    def K_new(self) -> Array:
        """φ(X_new) φ(X)^T."""
        return self.phi_new @ self.phi.T

    @property
    def y(self) -> Array:
        """Y, (N·C,)."""
        return self.Y.ravel()

    @property
    def residual(self) -> Array:
        """Y − f_0(X), (N·C,)."""
        return self.y - self.f0

    def predict(self, theta: Array) -> Array:
        """f_0 + φ (θ − θ_0) at the new inputs."""
        return self.f0_new + self.phi_new @ (theta - self.theta)

    def loss(self, theta: Array) -> arb:
        """‖f_0 + φ (θ − θ_0) − Y‖²/(2N)."""
        error = self.phi @ (theta - self.theta) - self.residual
        return (error**2).sum() / (2 * self.n)
