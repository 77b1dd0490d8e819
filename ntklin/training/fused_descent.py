"""Steps of a network under any rule, in one pass over its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, kernels
from ntklin.kernels.ends import End, goes_on
from ntklin.kernels.structures import Layers
from ntklin.networks.mlp import MLP
from ntklin.runs.engine import Engine, slabs, whole_tiles, workspace
from ntklin.runs.optimizer import OptimizerState

if TYPE_CHECKING:
    from ntklin.training.task import TrainingTask


class FusedDescent(Engine):
    """Steps on θ and the optimizer's slots together, in the layout of the compiled loop.

    Gradient, rule and next preactivations of a block of weights while it is in cache.
    """

    method = "fused"

    def __init__(self, task: TrainingTask) -> None:
        self.dtype = task.dtype
        self._net = cast(MLP, task.net)
        self._theta, self._optimizer = task.theta.copy(), task.optimizer
        self._problem = task.X, task.targets, task.loss
        self._start(0, task.optimizer.init(task.theta).slots)

    def _start(self, count: int, slots: Mapping[str, Any]) -> None:
        X, Y, loss = self._problem
        net, unpack = self._net, self._net.unpack
        scales = net.weight_scales, net.bias_scales
        layers = Layers(unpack(self._theta), *scales, net.activation.body)
        self._count = count
        self._network = kernels(X).fused_network(
            X, Y, layers, [unpack(a) for a in slots.values()], self._optimizer.rule, loss.name
        )
        self._loss = self._network.evaluate(np.zeros(len(X), self.dtype))

    @staticmethod
    def requires(task: TrainingTask) -> str | None:
        """An MLP with one hidden layer, or of ReLU with one output, and a rule without decay."""
        net, optimizer = task.net, task.optimizer
        if not isinstance(net, MLP) or net.depth < 2:
            return "an MLP with a hidden layer"
        if net.depth > 2 and not (net.activation.is_relu and net.n_outputs == 1):
            return "an MLP with one hidden layer, or several of ReLU and one output"
        if optimizer.rule is None:
            return f"an optimizer with a rule of its own, not {type(optimizer).__name__}"
        if optimizer.weight_decay:  # also of weights that no input reaches, which are not in tiles
            return "an optimizer without weight decay"
        return None

    @staticmethod
    def pays(task: TrainingTask) -> bool:
        """On the CPU, whose caches such loops are made for."""
        return task.on_cpu

    @staticmethod
    def needs(task: TrainingTask) -> int:
        """Activations and signals, the inputs in tiles and panels, θ with slots and copies."""
        net, size = cast(MLP, task.net), task.dtype.itemsize
        n, d, m = task.n_samples, *net.widths[:2]
        slots = len(task.optimizer.init(np.zeros(1)).slots)
        inputs = n * (4 * d + 4 * whole_tiles(d + 1, size))
        layers = int(1.1 * n * m) + (4 + 2 * slots) * net.n_parameters
        if net.depth > 2:
            # Activations, again by samples and padded, those of a batch, signals, weighted ones.
            hidden = net.widths[1:-1]
            layers += n * sum(4 * m + -(-m // 64) * 64 for m in hidden) + slabs(n, m)
        elif net.n_outputs > 1 or not net.activation.is_relu:
            # Slopes, which samples each line of columns has, outputs and a slab's parts of them.
            layers += n * (m + d // 8 + net.n_outputs * (4 + m // 256)) + slabs(n, m)
        return size * (inputs + layers + workspace(n))

    def loss(self) -> float | Array:
        """L(θ_t) on all samples."""
        return self._loss

    def advance(self, weights: Array, until: float | Array, ceiling: float | Array) -> Array:
        """Take a step for each row of sample weights; see ``Engine``."""
        losses, end = [], End(until, ceiling)
        self._network.evaluate(weights[0])
        for following in (*weights[1:], np.zeros_like(weights[0])):
            self._count += 1
            self._network.step(self._optimizer.coefficients(self._count))
            self._loss = self._network.evaluate(following)
            losses.append(self._loss)
            if not goes_on(self._loss, end):
                break
        return np.array(losses)

    def parameters(self) -> Array:
        """θ_t, a copy."""
        return self._read()[0]

    def optimizer_state(self) -> OptimizerState:
        """The optimizer's state, in the layout of θ."""
        return self._read()[1]

    def _read(self) -> tuple[Array, OptimizerState]:
        """θ_t and the optimizer's state, in the layout of θ."""
        theta, unpack = self._theta.copy(), self._net.unpack
        slots = self._optimizer.init(theta).slots
        self._network.write(unpack(theta), [unpack(a) for a in slots.values()])
        return theta, OptimizerState(self._count, slots)

    def arrays(self) -> dict[str, Any]:
        """θ_t and the optimizer's slots, in the layout of θ."""
        theta, state = self._read()
        return {"theta": theta} | state.arrays()

    keep = arrays  # which are copies

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from such arrays."""
        self._theta[:] = beside(arrays["theta"], self._theta)
        state = OptimizerState.from_arrays(arrays, self._theta)
        names = self._optimizer.init(self._theta).slots  # in the rule's order
        self._start(state.count, {name: state.slots[name] for name in names})
