"""Steps of a network with one hidden layer under any rule, in one pass over its weights."""

import numpy as np

from ntklin.edge.backends import beside, kernels, namespace
from ntklin.kernels.structures import Layers
from ntklin.networks.mlp import MLP
from ntklin.runs.optimizers import OptimizerState
from ntklin.training.direct import SLOT
from ntklin.training.sizes import whole_tiles, workspace


class FusedDescent:
    """Steps on θ and the optimizer's slots together, in the layout of the compiled loop.

    Gradient, rule and next preactivations of a block of weights while it is in cache.
    """

    method = "fused"

    def __init__(self, net, theta, X, Y, optimizer, loss):
        self.dtype = X.dtype
        self._net, self._theta, self._optimizer = net, theta.copy(), optimizer
        self._problem = X, Y, loss
        self._start(0, optimizer.init(theta).slots)

    def _start(self, count, slots):
        X, Y, loss = self._problem
        net, unpack = self._net, self._net.unpack
        layers = Layers(unpack(self._theta), net.weight_scales, net.bias_scales)
        self._count = count
        self._network = kernels(X).ShallowNetwork(
            X, Y, layers, [unpack(a) for a in slots.values()], self._optimizer.rule, loss.name
        )
        self._loss = self._network.evaluate(np.zeros(len(X), self.dtype))

    @staticmethod
    def requires(net, optimizer):
        """What is missing, or None."""
        if not isinstance(net, MLP) or net.depth != 2:
            return "an MLP with one hidden layer"
        if optimizer.rule is None:
            return f"an optimizer with a rule of its own, not {type(optimizer).__name__}"
        return None

    @staticmethod
    def pays(net, X, optimizer):
        """On the CPU, whose caches such loops are made for."""
        return namespace(X) is np

    @staticmethod
    def needs(net, X, optimizer):
        """The preactivations, the inputs in tiles and panels, θ with its slots and their copies."""
        n, d, m = len(X), *net.widths[:2]
        slots = len(optimizer.init(np.zeros(1)).slots)
        inputs = n * (4 * d + 4 * whole_tiles(d + 1, X.itemsize))
        layers = int(1.1 * n * m) + (4 + 2 * slots) * net.n_parameters
        return inputs + layers + workspace(n)

    def loss(self):
        """L(θ_t) on all samples."""
        return self._loss

    def advance(self, weights, until, ceiling):
        """Take a step for each row of sample weights; see ``ntklin.runs.stepping``."""
        losses = []
        self._network.evaluate(weights[0])
        for following in (*weights[1:], np.zeros_like(weights[0])):
            self._count += 1
            self._network.step(self._optimizer.coefficients(self._count))
            self._loss = self._network.evaluate(following)
            losses.append(self._loss)
            if self._loss < until or not self._loss <= ceiling:
                break
        return np.array(losses)

    def parameters(self):
        """θ_t, a copy."""
        return self._read()[0]

    def optimizer_state(self):
        """The optimizer's state after t steps."""
        return OptimizerState(self._count, self._read()[1])

    def _read(self):
        """θ_t and the slots, in the layout of θ."""
        theta, unpack = self._theta.copy(), self._net.unpack
        slots = self._optimizer.init(theta).slots
        self._network.write(unpack(theta), [unpack(a) for a in slots.values()])
        return theta, slots

    def arrays(self):
        """What ``restore`` takes."""
        theta, slots = self._read()
        named = {SLOT + name: a for name, a in slots.items()}
        return {"theta": theta, "count": np.array(self._count), **named}

    def restore(self, arrays):
        """Go on where another engine was when its ``arrays()`` were taken."""
        self._theta[:] = beside(arrays["theta"], self._theta)
        names = self._optimizer.init(self._theta).slots
        slots = {name: beside(arrays[SLOT + name], self._theta) for name in names}
        self._start(int(arrays["count"]), slots)
