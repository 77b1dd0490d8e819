"""Steps on θ itself, for any network with a feature operator and any optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, is_mapped, kernels, namespace
from ntklin.edge.errors import FloatRangeError
from ntklin.kernels.structures import Layers, Passes
from ntklin.networks.memory import passes
from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network, n_outputs_of
from ntklin.runs.engine import Stepwise, workspace
from ntklin.runs.optimizer import OptimizerState

if TYPE_CHECKING:
    from ntklin.training.task import TrainingTask


class DirectDescent(Stepwise):
    """Steps on θ itself, for any network with a feature operator and any optimizer."""

    method = "direct"

    def __init__(self, task: TrainingTask) -> None:
        net, X, optimizer = task.net, task.X, task.optimizer
        self.dtype = X.dtype
        self._targets, self._optimizer, self._loss = task.targets, optimizer, task.loss
        self._theta = kernels(X).own_copy(task.theta, 0)
        self._flat = self._theta.reshape(-1)  # a view, in which one network follows another
        self._state = optimizer.init(self._flat)
        self._model = (
            _Layers(net, self._theta, X) if isinstance(net, MLP) else _Operator(net, self._theta, X)
        )
        self._outputs = self._model.outputs()

    @staticmethod
    def requires(task: TrainingTask) -> str | None:
        """Nothing."""
        return None

    @staticmethod
    def pays(task: TrainingTask) -> bool:
        """Where no other engine does."""
        return True

    @staticmethod
    def needs(task: TrainingTask) -> int:
        """Passes over all inputs, and θ with its gradient, its slots, a step, decay and copies."""
        net, X = task.net, task.X
        slots = len(task.optimizer.init(np.zeros(1)).slots)
        decay = 2 * bool(task.optimizer.weight_decay)
        size = (4 + slots + decay) * net.n_parameters + workspace(len(X))
        size += 0 if is_mapped(X) else X.size
        if isinstance(net, MLP):
            size += passes(net, len(X)) - is_mapped(X) * X.size  # their first activations
        elif isinstance(half := getattr(net, "network", None), MLP):
            size += 2 * passes(half, len(X))
        return size * X.itemsize

    def _step(self, slopes: Array, weights: Array) -> None:
        gradient = self._model.gradient(slopes, _seen(weights))
        self._state = self._optimizer.step(self._state, self._flat, gradient.reshape(-1))
        self._outputs = self._model.outputs()

    def parameters(self) -> Array:
        """θ_t, a copy."""
        return self._theta.copy()

    def optimizer_state(self) -> OptimizerState:
        """The optimizer's state, a copy."""
        return self._state.copy()

    def arrays(self) -> dict[str, Any]:
        """θ_t and the optimizer's slots; no copies."""
        return {"theta": self._theta} | self._shaped(self._state, self._theta.shape).arrays()

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from such arrays, in copies."""
        self._theta[:] = beside(arrays["theta"], self._theta)
        self._state = self._shaped(OptimizerState.from_arrays(arrays, self._theta), -1)
        self._outputs = self._model.outputs()

    def _shaped(self, state: OptimizerState, shape: Any) -> OptimizerState:
        """Several networks' slots in another shape; one network's may be no vector of size P."""
        if self._theta.ndim == 1:
            return state
        slots = {name: a.reshape(shape) for name, a in state.slots.items()}
        return OptimizerState(state.count, slots)


def _seen(weights: Array) -> Array:
    """The samples that a step sees, (n,) or (S, n); all, where networks see differently many."""
    if weights.ndim == 1:
        return np.flatnonzero(weights)
    counts = np.count_nonzero(weights, axis=1)
    if np.any(counts != counts[0]):
        return np.broadcast_to(np.arange(weights.shape[1]), weights.shape)
    return np.nonzero(weights)[1].reshape(len(weights), -1)


class _Layers:
    """An MLP at a θ that changes in place: passes over the samples that are asked for, no more."""

    def __init__(self, net: MLP, theta: Array, X: Array) -> None:
        self._kernels, self._X = kernels(X), X
        self._activations: Any = None
        self._layers = Layers(
            net.unpack(theta), net.weight_scales, net.bias_scales, net.activation.body
        )
        self._has_several_outputs = net.n_outputs > 1
        if theta.ndim > 1:  # copies: products with one X for all would cost more launches
            self._X = namespace(X).tile(X, (len(theta), 1, 1))
        self._gradient = self._kernels.own_copy(theta, 0)
        self._parts = net.unpack(self._gradient)

    def outputs(self) -> Array:
        """f_θ(X); the activations are kept for ``gradient``."""
        self._activations = None  # the latest, or there would be two at a time
        self._activations, outputs = self._kernels.forward(self._layers, self._X)
        return outputs

    def gradient(self, signal: Array, rows: Array) -> Array:
        """φ(X)^T s for an s that is zero beyond ``rows``, overwritten by the next call."""
        activations = self._activations
        if rows.shape[-1] < signal.shape[-1]:
            seen: Any = beside(rows, signal)
            if seen.ndim > 1:
                seen = namespace(seen).arange(len(seen))[:, None], seen
            activations, signal = activations.rows(seen), signal[seen]
        backward, layers = self._kernels.backward, self._layers
        if self._has_several_outputs:  # one pass for their sum, from the top
            deltas, signal = backward(layers, activations, signal), np.ones_like(signal[..., 0])
        else:
            deltas = backward(layers, activations)
        passes = Passes(activations, deltas, layers.w, layers.v)
        self._kernels.vector_jacobian(passes, signal, self._parts)
        return self._gradient


class _Operator:
    """Any network, by its feature operator."""

    def __init__(self, net: Network, theta: Array, X: Array) -> None:
        self._net, self._theta, self._X = net, theta, X
        self._n_outputs = n_outputs_of(net)

    def outputs(self) -> Array:
        """f_θ(X); NaN where θ or they are beyond all numbers, which ``features`` refuses."""
        shape = (len(self._X), self._n_outputs)[: 1 + (self._n_outputs > 1)]
        nothing = namespace(self._X).full(shape, np.nan, self._X.dtype)
        if not bool(np.isfinite(self._theta.sum())):
            return nothing
        try:
            self._phi = self._net.features(self._theta, self._X)
        except FloatRangeError:
            return nothing
        return self._phi.outputs

    def gradient(self, signal: Array, rows: Array) -> Array:
        """φ(X)^T s."""
        return self._phi.T @ signal.reshape(-1)
