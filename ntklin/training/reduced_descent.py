"""Gradient descent with the first layer in its Gram reduction; exact, see the kernels."""

import numpy as np

from ntklin.edge.backends import beside, kernels, namespace
from ntklin.networks.mlp import MLP
from ntklin.runs.engine import Engine, over, whole_tiles, workspace
from ntklin.runs.optimizers import GradientDescent, OptimizerState

# After so many steps, counted from θ_0, the sums of the steps are taken over into the totals: few
# enough that their own rounding stays at a few eps, a random walk of √128/4, and so many that the
# pass over the arrays costs nothing beside the steps.
FOLD = 128


class ReducedDescent(Engine):
    """Gradient descent, stochastic or not, on preactivations in place of the first layer.

    (W^1, b^1) moves in the span of the inputs, so that H^1 ← H^1 − η (δ^1 ∘ s) G with
    G = w_1² X X^T + v_1² and s = weights ∘ ℓ'(f): N² m_1 operations a step where the weights take
    N d m_1.

    H^1 and S are each kept as a total and a sum of steps that is taken over into it from time to
    time, so that steps far below the rounding of either are not lost: what ``loss`` tells is the
    loss of ``parameters``, after however many steps, as far as their own rounding allows.
    """

    method = "reduced"

    def __init__(self, task):
        net, X = task.net, task.X
        self.dtype = X.dtype
        self._net, self._X, self._Y = net, X, task.targets
        self._rate, self._loss_name = task.optimizer.learning_rate, task.loss.name
        self._count = 0
        self._theta = task.theta.copy()  # of which W^1, b^1 stay at their start
        self._w, self._v = net.weight_scales, net.bias_scales
        self._kernels, xp = kernels(X), namespace(X)
        first, *self._layers = [
            (W, xp.zeros(W.shape[:-1], X.dtype) if b is None else b)
            for W, b in net.unpack(self._theta)
        ]
        w, v = self._w[0], self._v[0]
        H = w * (first[0] @ X.T) + v * first[1][..., None]
        self._H = self._kernels.neuron_major(H, X.dtype)
        zeros = xp.zeros(H.shape)
        self._moved, self._S, self._S_moved = (
            self._kernels.neuron_major(zeros, X.dtype)  # aligned
            for _ in range(3)
        )
        self._G = X @ X.T
        self._G *= w * w
        self._G += v * v
        self._evaluate()

    @staticmethod
    def requires(task):
        net, optimizer = task.net, task.optimizer
        if not isinstance(net, MLP) or net.depth < 2:
            return "an MLP with a hidden layer"
        if type(optimizer) is not GradientDescent:
            return f"GradientDescent, not {type(optimizer).__name__}"
        return None

    @staticmethod
    def pays(task):
        """N² m against 2 N d m, and half of the former is skipped."""
        return task.n_samples < 2 * task.net.n_inputs

    @staticmethod
    def needs(task):
        """G with its copies, the preactivations and their sums, what lies above, and θ."""
        net, X, n = task.net, task.X, task.n_samples
        first, above = net.widths[1], sum(net.widths[2:-1])
        padded = whole_tiles(n, X.itemsize)
        size = 3 * n * n + padded * (6 * first + 4 * above) + 4 * net.n_parameters
        return X.itemsize * (size + X.size + workspace(n))

    def _descend(self, weights, until, ceiling):
        if len(self._layers) == 1 and self._theta.ndim == 1:
            W, b = self._layers[0]
            run = self._kernels.shallow_descent
            arguments = (W[0], b, self._G, self._Y, self._w[1], self._v[1])
        else:
            run = self._kernels.deep_descent
            arguments = (self._layers, self._G, self._Y, self._w, self._v)
        end = (self._rate, self._loss_name, weights, until, ceiling)
        return run(self._H, self._moved, self._S_moved, *arguments, *end)

    def _evaluate(self):
        no_steps = np.empty((0, *self._theta.shape[:-1], len(self._X)), self.dtype)
        loss = self._descend(no_steps, 0.0, np.inf)[-1]
        self._loss = loss if self._theta.ndim > 1 else float(loss)

    def loss(self):
        return self._loss

    def advance(self, weights, until, ceiling):
        losses, taken = [], 0
        while taken < len(weights):
            due = FOLD - self._count % FOLD  # at the same steps wherever a block is cut
            new = self._descend(weights[taken : taken + due], until, ceiling)[1:]
            losses.append(new)
            taken += len(new)
            self._count += len(new)
            if self._count % FOLD == 0:
                self._kernels.fold(self._H, self._moved)
                self._kernels.fold(self._S, self._S_moved)
            if over(new[-1], until, ceiling).any():
                break
        losses = np.concatenate(losses)
        self._loss = losses[-1] if self._theta.ndim > 1 else float(losses[-1])
        return losses

    def parameters(self):
        """θ_t, a copy: W^1_t = W^1_0 − η w_1 S X and b^1_t = b^1_0 − η v_1 S 1."""
        theta = self._theta.copy()
        W, b = self._net.unpack(theta)[0]
        S = (self._S + self._S_moved)[:, : len(self._X)]
        W -= self._rate * self._w[0] * (S @ self._X)
        if b is not None:
            b -= self._rate * self._v[0] * S.sum(axis=1)
        return theta

    def optimizer_state(self):
        """That of gradient descent: the number of steps."""
        return OptimizerState(self._count)

    def arrays(self):
        above = self._theta[..., self._layers_start() :]
        return {**self._sums(), "above": above, "count": np.array(self._count)}

    def restore(self, arrays):
        for name, own in self._sums().items():
            own[:] = beside(arrays[name], own)
        self._theta[..., self._layers_start() :] = beside(arrays["above"], self._theta)
        self._count = int(arrays["count"])
        self._evaluate()

    def _sums(self):
        return {"H": self._H, "H.moved": self._moved, "S": self._S, "S.moved": self._S_moved}

    def _layers_start(self):
        """Where θ goes on after W^1 and b^1."""
        d, m = self._net.widths[:2]
        return m * (d + self._net.has_bias)
