"""What passes through a network and its Jacobian need of memory."""

from __future__ import annotations

from ntklin.edge.arrays import Array
from ntklin.edge.checks import require_bulk, require_memory
from ntklin.networks.layers import LayeredNetwork


def passes(net: LayeredNetwork, n_samples: int) -> int:
    """How many numbers a forward and a backward pass, and a product with φ or φ^T, take.

    X, activations with the slopes where the activation is no ReLU, gates, and the backward signals
    below the last hidden layer, whose own the products of features do without. Gradients of several
    outputs have them, but one row for each input.

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
    last = max(hidden[-1:], default=0)
    size = net.n_inputs + (1 + (not net.activation.is_relu)) * sum(hidden) + last // 8
    size += n_outputs * sum(hidden[:-1]) + (n_outputs > 1) * last + 4 * n_outputs
    return n_samples * size


def last_signals(net: LayeredNetwork, n_rows: int) -> int:
    """How many numbers the last hidden layer's signals of N C rows are, which kernels may make."""
    return n_rows * max(net.widths[1:-1][-1:], default=0)


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
