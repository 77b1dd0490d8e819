"""Which of the fused steps a network takes."""

from ntklin.kernels.cpu.deep_fused import DeepNetwork
from ntklin.kernels.cpu.fused import ShallowNetwork
from ntklin.kernels.cpu.general_fused import GeneralShallowNetwork


def fused_network(X, Y, layers, slots, rule, loss):
    """A network in training, in the layout of its fused steps.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,), or (N, C) of more than one output
    layers : Layers
        Two of them; more, of ReLU, with one output.
    slots : sequence of [(W^1, b^1 or None), …, (W^L, b^L or None)]
        The optimizer's slots in the layout of θ.
    rule, loss : str

    Returns
    -------
    ShallowNetwork, GeneralShallowNetwork or DeepNetwork
    """
    if len(layers.parameters) > 2:
        kind = DeepNetwork
    elif layers.activation.name == "relu" and Y.ndim == 1:
        kind = ShallowNetwork
    else:
        kind = GeneralShallowNetwork
    return kind(X, Y, layers, slots, rule, loss)
