"""Which of the fused steps a network with one hidden layer takes."""

from ntklin.kernels.cpu.fused import ShallowNetwork
from ntklin.kernels.cpu.general_fused import GeneralShallowNetwork


def shallow_network(X, Y, layers, slots, rule, loss):
    """A network with one hidden layer in training, in the layout of its fused steps.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,), or (N, C) of more than one output
    layers : Layers
        Two of them.
    slots : sequence of [(W^1, b^1 or None), (W^2, b^2 or None)]
        The optimizer's slots in the layout of θ.
    rule, loss : str

    Returns
    -------
    ShallowNetwork or GeneralShallowNetwork
    """
    has_subsets = layers.activation.name == "relu" and Y.ndim == 1
    kind = ShallowNetwork if has_subsets else GeneralShallowNetwork
    return kind(X, Y, layers, slots, rule, loss)
