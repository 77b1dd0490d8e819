"""What passes through a network and its Jacobian need of memory."""

from __future__ import annotations

from ntklin.edge.arrays import Array
from ntklin.edge.checks import require_bulk, require_memory
from ntklin.networks.layers import LayeredNetwork


def passes(net: LayeredNetwork, n_samples: int) -> int:
    """How many numbers a forward and a backward pass, and a product with φ or φ^T, take.

    X, activations and backward signals, with the slopes where the activation is no ReLU, and what
    the widest layer's product needs beside them.

    Parameters
    ----------
    net : LayeredNetwork
    n_samples : int
        N.

    Returns
    -------
    int
    """
    hidden, n_outputs = net.widths[1:-1], net.n_outputs
    signals = (1 + (not net.activation.is_relu) + n_outputs) * sum(hidden)
    return n_samples * (net.n_inputs + signals + max(hidden, default=0) + 2 * n_outputs**2)


def require_passes_memory(
    net: LayeredNetwork, n_samples: int, itemsize: int, beside: Array, *, networks: int = 1
) -> None:
    """Refuse the features of so many inputs, and networks, where they do not fit."""
    require_bulk(
        networks * passes(net, n_samples) * itemsize,
        f"the feature map of {n_samples} inputs, with activations and backward signals,",
        "take fewer inputs at a time: features(theta, X[i:j])",
        beside=beside,
    )


def require_jacobian_memory(
    n_samples: int, n_parameters: int, itemsize: int, beside: Array
) -> None:
    """Refuse a dense (N, P) Jacobian that does not fit beside the array ``beside``."""
    require_memory(
        n_samples * n_parameters * itemsize,
        f"a dense Jacobian of shape ({n_samples}, {n_parameters})",
        "use net.features(theta, X), which applies J, J^T and forms J D J^T without storing it",
        beside=beside,
    )
