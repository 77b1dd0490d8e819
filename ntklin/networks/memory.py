"""What passes through a network and its Jacobian need of memory."""

from __future__ import annotations

from ntklin.edge.arrays import Array
from ntklin.edge.backends import is_mapped
from ntklin.edge.checks import NEGLIGIBLE, fits, free_memory, require_bulk, require_memory
from ntklin.networks.layers import LayeredNetwork

# Bytes of passes that are made at a time where all do not fit; products gain nothing from more.
ROWS_BYTES = 1 << 30


def passes(net: LayeredNetwork, n_samples: int) -> int:
    """How many numbers a forward and a backward pass, and a product with φ or φ^T, take.

    X, activations with the slopes where the activation is no ReLU, gates, and backward signals.
    Products of features do without those of the last hidden layer where there is no other; with
    several outputs gradients have them then, one row for each input.

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
    signals = n_outputs * sum(hidden) if len(hidden) > 1 else (n_outputs > 1) * last
    return n_samples * (size + signals + 4 * n_outputs)


def last_signals(net: LayeredNetwork, n_rows: int) -> int:
    """How many numbers the last hidden layer's signals of N C rows are, which kernels may make."""
    return n_rows * max(net.widths[1:-1][-1:], default=0)


def rows_that_fit(net: LayeredNetwork, n_samples: int, itemsize: int, beside: Array) -> int | None:
    """How many inputs can have passes at a time; None for all of them.

    Where all do not fit, as many as leave most of the memory to what is made of them.

    Parameters
    ----------
    net : LayeredNetwork
    n_samples : int
        N.
    itemsize : int
    beside : ndarray
        X, on the device that the memory is of; it takes none where it is mapped from a file.

    Returns
    -------
    int or None
    """
    each = (passes(net, 1) - is_mapped(beside) * net.n_inputs) * itemsize
    if n_samples * each <= NEGLIGIBLE or fits(n_samples * each, beside):
        return None
    free, _ = free_memory(beside)
    return max(1, min(ROWS_BYTES, (free or 0) // 4) // each)


def require_passes_memory(
    net: LayeredNetwork, n_samples: int, itemsize: int, beside: Array, *, networks: int = 1
) -> None:
    """Refuse the features of so many inputs, and networks, where they do not fit.

    ``beside`` is X, which takes no memory of its own where it is mapped from a file.
    """
    size = passes(net, n_samples) - is_mapped(beside) * n_samples * net.n_inputs
    require_bulk(
        networks * size * itemsize,
        f"the feature map of {n_samples} inputs, with activations and backward signals,",
        "make passes of fewer inputs at a time: features(theta, X, rows=...)",
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
