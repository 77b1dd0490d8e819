"""Steps of the linearized network under any optimizer's rule: the displacement Δ = θ − θ_0."""

from ntklin.kernels.gpu.arrays import namespace
from ntklin.kernels.gpu.layout import views, write_layers
from ntklin.kernels.gpu.products import jacobian_vector, vector_jacobian
from ntklin.kernels.gpu.rules import SLOTS, update


class LinearizedNetwork:
    """The linearized network at rest, θ = θ_0, with its optimizer's slots.

    Parameters
    ----------
    passes : Passes
        At θ_0.
    has_bias : bool
    rule : str
    """

    def __init__(self, passes, has_bias, rule):
        activations, deltas = passes[:2]
        self._passes = passes
        self._rule, self._has_bias = rule, has_bias
        self._shapes = [(d.shape[1], a.shape[1]) for a, d in zip(activations, deltas, strict=True)]
        size = sum(m * (k + has_bias) for m, k in self._shapes)
        zeros, dtype = namespace(activations[0]).zeros, activations[0].dtype
        self._displacement = zeros(size, dtype)
        self._slots = [zeros(size, dtype) for _ in range(SLOTS[rule])]
        self._gradient = zeros(size, dtype)

    def _views(self, flat):
        return views(flat, self._shapes, self._has_bias)

    def step(self, coefficients, s):
        """One step.

        Parameters
        ----------
        coefficients : sequence of float
            The rule's, for this step.
        s : ndarray, shape (N,)

        Returns
        -------
        ndarray, shape (N,)
            φ(X) Δ after the step.
        """
        vector_jacobian(self._passes, s, self._views(self._gradient))
        update(self._rule, coefficients, self._displacement, self._slots, self._gradient)
        return jacobian_vector(self._passes, self._views(self._displacement))

    def read(self, displacement, slots):
        """Take Δ and the slots in the layout of θ, as ``write`` wrote them."""
        own = (self._displacement, *self._slots)
        for flat, source in zip(own, (displacement, *slots), strict=True):
            write_layers(source, self._views(flat))

    def write(self, displacement, slots):
        """Write Δ and the slots.

        Parameters
        ----------
        displacement : list of (W^l, b^l or None)
            In the layout of θ.
        slots : sequence of such lists
        """
        own = (self._displacement, *self._slots)
        for flat, target in zip(own, (displacement, *slots), strict=True):
            write_layers(self._views(flat), target)
