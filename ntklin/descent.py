"""Engines of training: what one step does, directly on θ or with the first layer reduced.

An engine has ``loss()``, ``advance(steps, until, ceiling)``, which returns the losses after each
step it took, and ``parameters()``.
"""

import numpy as np

from ntklin.backends import kernels
from ntklin.network import MLP


def reduction_pays(net, X):
    """Whether the Gram reduction of the first layer is exact here and cheaper: N²m against 2Ndm."""
    return isinstance(net, MLP) and net.depth > 1 and len(X) < 2 * net.n_inputs


class DirectDescent:
    """Gradient steps on θ itself, for any network with a feature operator and any optimizer."""

    def __init__(self, net, theta, X, Y, optimizer):
        self.net, self.X, self.Y, self.optimizer = net, X, Y, optimizer
        self.theta = theta.copy()
        self.state = optimizer.init(self.theta)
        self._evaluate()

    def _evaluate(self):
        self.phi = self.net.features(self.theta, self.X)
        self.residual = self.phi.outputs - self.Y

    def loss(self):
        """L(θ_t) = ‖f(X) − Y‖²/(2N), summed in float64."""
        return float((self.residual.astype(np.float64) ** 2).mean() / 2)

    def advance(self, steps, until, ceiling):
        """Take up to ``steps`` steps; stop below ``until``, above ``ceiling`` or at NaN."""
        losses = []
        for _ in range(steps):
            gradient = self.phi.T @ (self.residual / len(self.Y))
            self.state = self.optimizer.step(self.state, self.theta, gradient)
            self._evaluate()
            losses.append(self.loss())
            if losses[-1] < until or not losses[-1] <= ceiling:
                break
        return np.array(losses)

    def parameters(self):
        """θ_t, a copy."""
        return self.theta.copy()


class ReducedDescent:
    """Gradient descent with the first layer in its Gram reduction; exact, see the kernels."""

    def __init__(self, net, theta, X, Y, optimizer):
        if not isinstance(net, MLP) or net.depth < 2:
            raise ValueError(
                "method='reduced' needs an MLP with a hidden layer; use method='direct'"
            )
        self.net, self.X, self.Y = net, X, Y
        self.rate = optimizer.learning_rate / len(X)
        self.theta = theta.copy()
        self.w, self.v = net.weight_scales, net.bias_scales
        self.kernels = kernels(X)
        first, *self.layers = [
            (W, np.zeros(len(W), X.dtype) if b is None else b) for W, b in net.unpack(self.theta)
        ]
        w, v = self.w[0], self.v[0]
        neuron_major = self.kernels.neuron_major
        self.H = neuron_major(w * (first[0] @ X.T) + v * first[1][:, None], X.dtype)
        self.S = np.zeros_like(self.H)
        self.G = (w * w * (X @ X.T) + v * v).astype(X.dtype)
        self.losses = self._descend(0, 0.0, np.inf)

    def _descend(self, steps, until, ceiling):
        if len(self.layers) == 1:
            W, b = self.layers[0]
            run = self.kernels.shallow_descent
            arguments = (W[0], b, self.G, self.Y, self.w[1], self.v[1])
        else:
            run, arguments = (
                self.kernels.deep_descent,
                (self.layers, self.G, self.Y, self.w, self.v),
            )
        return run(self.H, self.S, *arguments, self.rate, steps, until, ceiling)

    def loss(self):
        """L(θ_t)."""
        return float(self.losses[-1])

    def advance(self, steps, until, ceiling):
        """Take up to ``steps`` steps; stop below ``until``, above ``ceiling`` or at NaN."""
        self.losses = self._descend(steps, until, ceiling)
        return self.losses[1:]

    def parameters(self):
        """θ_t, a copy: W^1_t = W^1_0 − (η/N) w_1 S X, b^1_t = b^1_0 − (η/N) v_1 S 1."""
        theta = self.theta.copy()
        W, b = self.net.unpack(theta)[0]
        S = self.S[:, : len(self.X)]
        W -= self.rate * self.w[0] * (S @ self.X)
        if b is not None:
            b -= self.rate * self.v[0] * S.sum(axis=1)
        return theta


ENGINES = {"direct": DirectDescent, "reduced": ReducedDescent}
