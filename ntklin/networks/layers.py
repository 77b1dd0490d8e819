"""A network of fully connected layers, as the passes through it see one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import refuse_mixed
from ntklin.edge.checks import as_inputs, as_list, as_vector
from ntklin.networks.activations import Activation
from ntklin.networks.network import Network

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
) -> tuple[LayerList, Array]:
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
    """
    inputs = as_inputs(X, network.n_inputs)
    if getattr(theta, "shape", None) != (network.n_parameters,):
        network.unpack(theta)  # names the two shapes
    vector = as_vector(theta, network.n_parameters, name="theta")
    refuse_mixed(vector, inputs)
    dtype = np.result_type(vector.dtype, inputs.dtype)
    return network.unpack(vector.astype(dtype, copy=False)), inputs.astype(dtype, copy=False)


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
