"""A network of fully connected layers, as the passes through it see one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import kernels, refuse_mixed
from ntklin.edge.checks import as_inputs, as_list, as_vector, require_finite
from ntklin.kernels.structures import Activations, Layers
from ntklin.networks.activations import Activation
from ntklin.networks.network import Network

# Inputs up to which the forward pass itself sees whether θ is finite: to read θ once more would
# take half as long as the pass of one input. With more it takes little, and the pass longer.
FEW = 256
# W^l and b^l, l = 1, …, L; None in the place of b^l where a network has no biases.
LayerList = list[tuple[Array, Array | None]]


class LayeredNetwork(Network, Protocol):
    """h^l = w_l W^l a^{l−1} + v_l b^l, a^l = α(h^l), with all W^l and b^l in one flat θ.

    To be had rather than inherited: ``MLP`` has its widths as a field.
    """

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths m_0, …, m_L."""
        ...

    @property
    def n_outputs(self) -> int:
        """C = m_L."""
        ...

    @property
    def activation(self) -> Activation:
        """α."""
        ...

    @property
    def has_bias(self) -> bool:
        """Whether the biases are in θ."""
        ...

    @property
    def weight_scales(self) -> tuple[float, ...]:
        """w_1, …, w_L."""
        ...

    @property
    def bias_scales(self) -> tuple[float, ...]:
        """v_1, …, v_L; zeros for a network without biases."""
        ...

    def unpack(self, theta: ArrayLike) -> LayerList:
        """Views of a flat vector, layer by layer.

        Parameters
        ----------
        theta : ndarray, shape (P,)

        Returns
        -------
        list of (W^l, b^l or None)
        """
        ...


def layers_and_inputs(
    network: LayeredNetwork, theta: ArrayLike, X: ArrayLike
) -> tuple[LayerList, Array, Array | None]:
    """θ's layers and X in their common dtype, checked.

    Parameters
    ----------
    network : LayeredNetwork
    theta : array_like, shape (P,)
    X : array_like, shape (N, d)

    Returns
    -------
    layers : list of (W^l, b^l or None)
    X : ndarray, shape (N, d)
    unseen : ndarray, shape (P,), or None
        θ, if :func:`forward` is to see whether it is finite.
    """
    inputs, theta = as_inputs(X, network.n_inputs), as_array(theta, "theta")
    if theta.shape != (network.n_parameters,):
        network.unpack(theta)  # names the two shapes
    is_seen = len(inputs) > FEW
    vector = as_vector(theta, network.n_parameters, name="theta", finite=is_seen)
    refuse_mixed(vector, inputs)
    dtype = np.result_type(vector.dtype, inputs.dtype)
    vector, inputs = (a.astype(dtype, copy=False) for a in (vector, inputs))
    return network.unpack(vector), inputs, None if is_seen else vector


def forward(layers: Layers, X: Array, unseen: Array | None) -> tuple[Activations, Array]:
    """The forward pass of what :func:`layers_and_inputs` gives.

    Returns
    -------
    activations : Activations
    outputs : ndarray, shape (N,) or (N, C)

    Raises
    ------
    ValueError
        If θ is not finite.
    """
    activations, outputs = kernels(X).forward(layers, X)
    if unseen is not None and activations.are_doubtful:
        require_finite(unseen, "theta")
    return activations, outputs


def as_layers(layers: Any, count: int) -> list[Any]:
    """The layers of a network that users put together, this many."""
    try:
        found = (
            None if isinstance(layers, str | bytes | Mapping) else as_list(layers, name="layers")
        )
    except TypeError:
        found = None
    if found is None:
        raise TypeError(f"layers must be a sequence of (W^l, b^l), got {type(layers).__name__}")
    if len(found) != count:
        raise ValueError(f"layers: expected {count} layers, got {len(found)}")
    return found
