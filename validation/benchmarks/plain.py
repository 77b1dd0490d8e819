"""What is true: every quantity in plain NumPy, float64, formula by formula, for the gates.

It shares no code with ntklin, nor with the NumPy implementations that are timed beside it.
"""

from __future__ import annotations

from functools import cached_property, reduce

import numpy as np

from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks.cases import SIGMA, Layers, Problem

# α and α'.
ACTIVATIONS = {
    "relu": (lambda h: np.maximum(h, 0), lambda h: h > 0),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2),
}


class Passes:
    """Forward and backward pass of Eq. (1), with w_l = σ/√m_l and v_l = σ.

    Attributes
    ----------
    w : list of float
    h : list of ndarray
        h^1 … h^L, one row per input.
    a, delta : list of ndarray
        a^0 … a^{L-1} and δ^1 … δ^L, C rows per input, one for each output.
    """

    def __init__(self, layers: Layers, X: Array, activation: str = "relu") -> None:
        alpha, slope = ACTIVATIONS[activation]
        self.w = [SIGMA / np.sqrt(len(W)) for W, _ in layers]
        self.n_outputs = len(layers[-1][0])
        a, self.h = X, []
        self.a = []
        for l, (W, b) in enumerate(layers):
            self.a.append(self.of_rows(a))
            self.h.append(self.w[l] * (a @ W.T) + SIGMA * b)
            a = alpha(self.h[-1])
        self.delta = [np.tile(np.eye(self.n_outputs), (len(X), 1))]
        for l in range(len(layers) - 1, 0, -1):
            behind = self.w[l] * (self.delta[0] @ layers[l][0])
            self.delta.insert(0, behind * self.of_rows(slope(self.h[l - 1])))

    def of_rows(self, by_input: Array) -> Array:
        """What each input has, for each of its rows."""
        return by_input if self.n_outputs == 1 else np.repeat(by_input, self.n_outputs, axis=0)

    @property
    def outputs(self) -> Array:
        """f(X), shape (N,), or (N, C) of more than one output."""
        return self.h[-1][:, 0] if self.n_outputs == 1 else self.h[-1]

    def gram(self, other: Passes) -> Array:
        """K(X, X') = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩."""
        parts = (
            (w**2 * (a @ b.T) + SIGMA**2) * (d @ e.T)
            for w, a, d, b, e in zip(self.w, self.a, self.delta, other.a, other.delta, strict=True)
        )
        return reduce(np.add, parts)

    def pull(self, r: Array) -> Layers:
        """φ^T r, layer by layer."""
        r = r.ravel()
        return [
            (w * (d * r[:, None]).T @ a, SIGMA * (d * r[:, None]).sum(axis=0))
            for w, a, d in zip(self.w, self.a, self.delta, strict=True)
        ]

    def push(self, layers: Layers) -> Array:
        """φ v, shape (N,), for v layer by layer."""
        layer = zip(self.w, self.a, self.delta, layers, strict=True)
        parts = (((w * a @ V.T + SIGMA * c) * d).sum(axis=1) for w, a, d, (V, c) in layer)
        return reduce(np.add, parts)

    def jacobian_row(self, n: int) -> Array:
        """φ(x_n), shape (P,)."""
        parts = []
        for w, a, d in zip(self.w, self.a, self.delta, strict=True):
            parts += [w * np.outer(d[n], a[n]).ravel(), SIGMA * d[n]]
        return np.concatenate(parts)


class Rule:
    """An optimizer's steps, array by array; AdaGrad with ε = 1e-10, Adam with its defaults."""

    def __init__(self, name: str, rate: float, layers: Layers) -> None:
        self.name, self.rate, self.count = name, rate, 0
        self.slots = [[np.zeros((2, *part.shape)) for part in layer] for layer in layers]

    def __call__(self, layers: Layers, gradients: Layers) -> None:
        """Move the arrays of ``layers`` in place."""
        self.count += 1
        for layer, slots, gradient in zip(layers, self.slots, gradients, strict=True):
            for part, slot, g in zip(layer, slots, gradient, strict=True):
                part -= self.rate * self._direction(slot, g)

    def _direction(self, slot: Array, g: Array) -> Array:
        if self.name == "descent":
            return g
        if self.name == "adagrad":
            slot[1] += g**2
            return g / (np.sqrt(slot[1]) + 1e-10)
        slot[0] = 0.9 * slot[0] + 0.1 * g
        slot[1] = 0.999 * slot[1] + 0.001 * g**2
        mean, square = slot[0] / (1 - 0.9**self.count), slot[1] / (1 - 0.999**self.count)
        return mean / (np.sqrt(square) + 1e-8)


class Reference:
    """The true values of one problem, each computed when it is first asked for.

    Parameters
    ----------
    problem : Problem
        Its numbers are taken as they are, rounded to its dtype, and continued in float64.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.layers = [(W.astype(float), b.astype(float)) for W, b in problem.layers]
        self.X, self.X_test, self.Y = (
            a.astype(float) for a in (problem.X, problem.X_test, problem.Y)
        )

    @cached_property
    def passes(self) -> Passes:
        """Of the training inputs."""
        return self._passes(self.layers, self.X)

    @cached_property
    def test_passes(self) -> Passes:
        """Of the test inputs."""
        return self._passes(self.layers, self.X_test)

    def _passes(self, layers: Layers, X: Array) -> Passes:
        return Passes(layers, X, self.problem.case.activation)

    @cached_property
    def clear(self) -> Array:
        """Of which training inputs no ReLU is within rounding of its kink, shape (N,)."""
        return self._clear(self.passes)

    @cached_property
    def test_clear(self) -> Array:
        """The same of the test inputs."""
        return self._clear(self.test_passes)

    def _clear(self, passes: Passes) -> Array:
        """Nearer to 0 than 2 eps w_l ‖W^l_i‖ ‖a^{l-1}‖, h may come out with either sign.

        Of a sum of k terms of random sign, the rounding errors amount to some 0.2 eps √k times the
        terms' norm if it is taken in sequence, and to less in blocks.

        Returns
        -------
        ndarray of bool, shape (N,)
        """
        eps = np.finfo(self.problem.dtype).eps
        clear = np.ones(len(passes.outputs), bool)
        if self.problem.case.activation != "relu":
            return clear
        for l, (W, _) in enumerate(self.layers[:-1]):
            size = np.outer(
                np.linalg.norm(passes.a[l][:: passes.n_outputs], axis=1),
                passes.w[l] * np.linalg.norm(W, axis=1),
            )
            clear &= (np.abs(passes.h[l]) > 2 * eps * size).all(axis=1)
        return clear

    @cached_property
    def gram(self) -> Array:
        """K(X, X)."""
        return self.passes.gram(self.passes)

    @cached_property
    def test_gram(self) -> Array:
        """K(X_test, X)."""
        return self.test_passes.gram(self.passes)

    @cached_property
    def weighted_gram(self) -> Array:
        """K_D(X, X) for the problem's D."""
        return self.gram_with(self.problem.weights)

    def gram_with(self, weights: Array) -> Array:
        """K_D(X, X), neuron by neuron."""
        n_outputs = self.passes.n_outputs
        K = np.zeros((self.problem.n * n_outputs,) * 2)
        start = 0
        weights = weights.astype(float)
        for l, (W, b) in enumerate(self.layers):
            D = weights[start : start + W.size].reshape(W.shape)
            D_bias = weights[start + W.size : start + W.size + b.size]
            start += W.size + b.size
            w, a, delta = self.passes.w[l], self.passes.a[l][::n_outputs], self.passes.delta[l]
            for i in range(len(W)):
                inner = w**2 * ((a * D[i]) @ a.T) + SIGMA**2 * D_bias[i]
                inner = self.passes.of_rows(self.passes.of_rows(inner).T)
                K += np.outer(delta[:, i], delta[:, i]) * inner
        return K

    @cached_property
    def jacobian_probe(self) -> Array:
        """J v for the problem's probe v, shape (N,)."""
        rows = range(self.problem.n)
        return np.array([self.passes.jacobian_row(n) @ self.problem.probe for n in rows])

    @cached_property
    def learning_rate(self) -> float:
        """0.5 N/λ_max, a quarter of the stability bound of the linearized network."""
        return 0.5 * self.problem.n / float(np.linalg.eigvalsh(self.gram)[-1])

    def trained_outputs(self, steps: int, rule: str = "descent") -> Array:
        """f_θ on the training and the test inputs, before and after steps, (2, N + N', …)."""
        layers = [(W.copy(), b.copy()) for W, b in self.layers]
        X = np.concatenate([self.X, self.X_test])
        before = self._passes(layers, X).outputs
        move = self._rule(rule)
        for _ in range(steps):
            at = self._passes(layers, self.X)
            move(layers, at.pull((at.outputs - self.Y) / len(self.X)))
        return np.stack([before, self._passes(layers, X).outputs])

    def linearized_outputs(self, steps: int, rule: str) -> Array:
        """The same of the linearized network, f_0 + φ(θ_t − θ_0)."""
        everywhere = self._passes(self.layers, np.concatenate([self.X, self.X_test]))
        moved = [(np.zeros_like(W), np.zeros_like(b)) for W, b in self.layers]
        move = self._rule(rule)
        for _ in range(steps):
            outputs = self.passes.outputs + self.passes.push(moved)
            move(moved, self.passes.pull((outputs - self.Y) / len(self.X)))
        return np.stack([everywhere.outputs, everywhere.outputs + everywhere.push(moved)])

    def _rule(self, name: str) -> Rule:
        rate = self.learning_rate if name == "descent" else self.problem.adaptive_rate
        return Rule(name, rate, self.layers)

    @cached_property
    def infinite_angle(self) -> float:
        """The smallest angle θ_1 between two of the inputs, as the first layer sees them."""
        angle = self._infinite[1]
        return float(angle[~np.eye(len(angle), dtype=bool)].min())

    @cached_property
    def infinite_ntk(self) -> Array:
        """Θ(X, X) of the ``fan_in`` network with normal biases, σ_b = σ."""
        return self._infinite[0]

    @cached_property
    def _infinite(self) -> tuple[Array, Array]:
        C = SIGMA**2 * (self.X @ self.X.T) / self.X.shape[1] + SIGMA**2
        theta, angles = C, []
        for _ in self.layers[1:]:
            norms = np.sqrt(np.diag(C))
            size = np.outer(norms, norms)
            angle = np.arccos(np.clip(C / size, -1, 1))
            np.fill_diagonal(angle, 0)
            angles.append(angle)
            mean = size * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
            C = SIGMA**2 * mean + SIGMA**2
            theta = C + SIGMA**2 * (np.pi - angle) / (2 * np.pi) * theta
        return theta, angles[0]


def linearized_outputs(
    K: Array, K_new: Array, residual: Array, rate: float, doublings: int
) -> Array:
    """What gradient descent on the linearized network adds to f_0(X_new) in t = 1, 2, 4, … steps.

    With M = 1 − ηK/N, the coefficients α_t of K(X_new, X) follow α_{2t} = α_t + M^t α_t: no
    eigenvectors, which is what makes it a check.

    Parameters
    ----------
    K, K_new : ndarray, shapes (N, N) and (N', N)
    residual : ndarray, shape (N,)
        Y − f_0(X).
    rate : float
        η/N.
    doublings : int

    Returns
    -------
    ndarray, shape (doublings + 1, N')
    """
    M = np.eye(len(K)) - rate * K
    alpha = rate * residual
    changes = [K_new @ alpha]
    for _ in range(doublings):
        alpha = alpha + M @ alpha
        M = M @ M
        changes.append(K_new @ alpha)
    return np.array(changes)
