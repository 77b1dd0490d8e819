"""Gradient descent with the first layer in its Gram reduction; exact, see the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, kernels, namespace
from ntklin.kernels.ends import End, goes_on
from ntklin.kernels.structures import Layers
from ntklin.networks.mlp import MLP
from ntklin.runs.engine import Engine, whole_tiles, workspace
from ntklin.runs.optimizer import OptimizerState
from ntklin.runs.optimizers import GradientDescent

if TYPE_CHECKING:
    from ntklin.training.task import TrainingTask

# After so many steps, counted from θ_0, the sums of the steps are taken over into the totals: few
# enough that their own rounding stays at a few eps, a random walk of √128/4, and so many that the
# pass over the arrays costs nothing beside the steps.
FOLD = 128


class ReducedDescent(Engine):
    """Gradient descent, stochastic or not, on preactivations in place of the first layer.

    A learning rate η_t that depends on the step is a factor η_t/η of the step's sample weights.

    (W^1, b^1) moves in the span of the inputs, so that H^1 ← H^1 − η (δ^1 ∘ s) G with
    G = w_1² X X^T + v_1² and s = weights ∘ ℓ'(f): N² m_1 operations a step where the weights take
    N d m_1.

    H^1 and S are each kept as a total and a sum of steps that is taken over into it from time to
    time, so that steps far below the rounding of either are not lost: what ``loss`` tells is the
    loss of ``parameters``, after however many steps, as far as their own rounding allows.
    """

    method = "reduced"

    def __init__(self, task: TrainingTask) -> None:
        net, X = cast(MLP, task.net), task.X
        self.dtype = X.dtype
        self._net, self._X, self._Y = net, X, task.targets
        self._optimizer, self._loss_name = task.optimizer, task.loss.name
        self._rate = _unit(task.optimizer.rate(0))
        self._count = 0
        self._kernels, xp = kernels(X), namespace(X)
        # Of which W^1, b^1 stay at their start.
        self._theta = self._kernels.own_copy(task.theta, self._layers_start())
        w, v = net.weight_scales, net.bias_scales
        first, *above = [
            (W, xp.zeros(W.shape[:-1], X.dtype) if b is None else b)
            for W, b in net.unpack(self._theta)
        ]
        self._above = Layers(above, w[1:], v[1:], net.activation.body)
        w, v = w[0], v[0]
        H = w * self._kernels.dense_product(first[0], X) + v * first[1][..., None]
        self._state = self._kernels.descent_state(H, X.dtype)
        self._kept: dict[str, Any] = {}
        self._G = self._kernels.dense_product(X, X)
        self._G *= w * w
        self._G += v * v
        self._evaluate()

    @staticmethod
    def requires(task: TrainingTask) -> str | None:
        """An MLP with a hidden layer, and gradient descent without momentum or decay."""
        net, optimizer = task.net, task.optimizer
        if not isinstance(net, MLP) or net.depth < 2:
            return "an MLP with a hidden layer"
        if type(optimizer) is not GradientDescent:
            return f"GradientDescent, not {type(optimizer).__name__}"
        if not optimizer.is_preconditioner:
            return "GradientDescent without momentum and weight decay"
        return None

    @staticmethod
    def pays(task: TrainingTask) -> bool:
        """N² m against 2 N d m, and half of the former is skipped."""
        return task.n_samples < 2 * task.net.n_inputs

    @staticmethod
    def needs(task: TrainingTask) -> int:
        """G with its copies, the preactivations and their sums, what lies above, and θ."""
        net, X, n = cast(MLP, task.net), task.X, task.n_samples
        first, above = net.widths[1], sum(net.widths[2:-1])
        padded = whole_tiles(n, X.itemsize)
        size = 3 * n * n + padded * (6 * first + 4 * above) + 4 * net.n_parameters
        if net.n_outputs > 1 or not net.activation.is_relu:  # slopes, signals and outputs' parts
            size += n * (2 * first + above + net.n_outputs * (4 + net.widths[-2] // 256))
        return X.itemsize * (size + X.size + workspace(n))

    def _descend(self, weights: Array, end: End) -> Array:
        layers = self._state, self._above, self._kept
        problem = self._G, self._Y, self._loss_name
        return self._kernels.descend(*layers, *problem, self._rate, weights, end)

    def _evaluate(self) -> None:
        no_steps = np.empty((0, *self._theta.shape[:-1], len(self._X)), self.dtype)
        loss = self._descend(no_steps, End(0.0, np.inf))[-1]
        self._loss = loss if self._theta.ndim > 1 else float(loss)

    def loss(self) -> float | Array:
        """L(θ_t) on all samples; (S,) of several networks."""
        return self._loss

    def advance(self, weights: Array, until: float | Array, ceiling: float | Array) -> Array:
        """Take a step for each row of sample weights; see ``Engine``."""
        if self._optimizer.has_schedule:  # η_t r = η (η_t/η) r
            rates = self._optimizer.rates(self._count, self._count + len(weights))
            weights = weights * (rates / self._rate).astype(self.dtype)[..., None]
        losses, taken, end = [], 0, End(until, ceiling)
        while taken < len(weights):
            due = FOLD - self._count % FOLD  # at the same steps wherever a block is cut
            new = self._descend(weights[taken : taken + due], end)[1:]
            losses.append(new)
            taken += len(new)
            self._count += len(new)
            if self._count % FOLD == 0:
                self._kernels.fold(self._state)
            if not np.all(goes_on(new[-1], end)):
                break
        losses = np.concatenate(losses)
        self._loss = losses[-1] if self._theta.ndim > 1 else float(losses[-1])
        return losses

    def parameters(self) -> Array:
        """θ_t, a copy: W^1_t = W^1_0 − η w_1 S X and b^1_t = b^1_0 − η v_1 S 1."""
        theta = self._theta.copy()
        W, b = self._net.unpack(theta)[0]
        S = (self._state.S + self._state.S_moved)[:, : len(self._X)]
        moved = self._kernels.dense_product(S, self._X.T)
        W -= self._rate * self._net.weight_scales[0] * moved
        if b is not None:
            b -= self._rate * self._net.bias_scales[0] * S.sum(axis=1)
        return theta

    def optimizer_state(self) -> OptimizerState:
        """That of gradient descent: the number of steps."""
        return OptimizerState(self._count)

    def arrays(self) -> dict[str, Any]:
        """H^1 and S with their sums, the layers above, and t; no copies."""
        above = self._theta[..., self._layers_start() :]
        return {**self._sums(), "above": above, "count": np.array(self._count)}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from such arrays, in copies."""
        for name, own in self._sums().items():
            own[:] = beside(arrays[name], own)
        self._theta[..., self._layers_start() :] = beside(arrays["above"], self._theta)
        self._count = int(arrays["count"])
        self._kept.clear()
        self._evaluate()

    def _sums(self) -> dict[str, Array]:
        return dict(zip(("H", "H.moved", "S", "S.moved"), self._state, strict=True))

    def _layers_start(self) -> int:
        """Where θ goes on after W^1 and b^1."""
        d, m = self._net.widths[:2]
        return m * (d + self._net.has_bias)


def _unit(first: Any) -> Any:
    """The rate η that all sums are in units of: the first one, or 1 where that is 0.

    Returns
    -------
    float, or ndarray, shape (S,), of several networks
    """
    return np.where(first == 0, 1.0, first) if np.ndim(first) else first or 1.0
