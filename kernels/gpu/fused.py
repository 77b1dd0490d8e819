"""A network in training under any optimizer's rule, as the fused engine takes it.

Here it takes the same passes as anywhere; what the CPU gains by fusing them, its cache, a card does
not have. Training that must not wait for the card goes by the other engines of
``ntklin.training.descents``.
"""

import numpy as np

from ntklin.kernels.gpu.arrays import namespace, to_host
from ntklin.kernels.gpu.layout import flat_copy, views, write_layers
from ntklin.kernels.gpu.losses import loss_and_derivatives, losses_and_derivatives
from ntklin.kernels.gpu.passes import backward, forward
from ntklin.kernels.gpu.products import vector_jacobian
from ntklin.kernels.gpu.rules import update
from ntklin.kernels.structures import Passes


class FusedNetwork:
    """A network in training.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,), or (N, C) of more than one output
    layers : Layers
    slots : sequence of [(W^1, b^1 or None), …, (W^L, b^L or None)]
        The optimizer's slots in the layout of θ.
    rule, loss : str
    """

    def __init__(self, X, Y, layers, slots, rule, loss):
        self._X, self._Y = X, Y
        self._rule, self._loss = rule, loss
        self._shapes = [W.shape for W, _ in layers.parameters]
        self._has_bias = layers.parameters[0][1] is not None
        self._theta = flat_copy(layers.parameters)
        self._layers = layers._replace(parameters=self._views(self._theta))
        self._slots = [flat_copy(slot) for slot in slots]
        self._gradient = namespace(X).empty_like(self._theta)
        self._s = namespace(X).empty_like(Y)
        self._total = namespace(X).empty(1)
        self._forward()

    def _views(self, flat):
        return views(flat, self._shapes, self._has_bias)

    def _forward(self):
        self._activations, self._outputs = forward(self._layers, self._X)

    def evaluate(self, sample_weights):
        """The loss; s_n = sample_weights_n ℓ'(f_n, y_n) goes where ``step`` takes it from.

        Parameters
        ----------
        sample_weights : ndarray of NumPy, shape (N,)

        Returns
        -------
        float
        """
        weights = namespace(self._X).asarray(np.ascontiguousarray(sample_weights))
        arrays = self._outputs, self._Y, weights, self._s, self._total
        if self._Y.ndim == 1:
            loss_and_derivatives(self._loss, *arrays)
        else:
            losses_and_derivatives(self._loss, *arrays, by_output=False)
        return float(to_host(self._total)[0])

    def step(self, coefficients):
        """One step of the rule, with the loss's derivatives of the last ``evaluate``."""
        signal, top = self._s, None
        if signal.ndim > 1:  # one pass for the sum over the outputs, from the top
            signal, top = namespace(signal).ones_like(signal[:, 0]), signal
        deltas = backward(self._layers, self._activations, top)
        passes = Passes(self._activations, deltas, self._layers.w, self._layers.v)
        vector_jacobian(passes, signal, self._views(self._gradient))
        update(self._rule, coefficients, self._theta, self._slots, self._gradient)
        self._forward()

    def write(self, layers, slots):
        """Write parameters and slots back, in the layout of θ.

        Parameters
        ----------
        layers : [(W^1, b^1 or None), …, (W^L, b^L or None)]
        slots : sequence of such lists
        """
        own = (self._theta, *self._slots)
        for flat, target in zip(own, (layers, *slots), strict=True):
            write_layers(self._views(flat), target)
