"""One output in the place of several: what stands for the mean of their kernels."""

from __future__ import annotations

from dataclasses import replace

from ntklin.edge.arrays import Array
from ntklin.edge.backends import namespace
from ntklin.edge.ranges import largest_exponent, shift
from ntklin.networks.mlp import MLP


def with_one_output(net: MLP) -> MLP:
    """The same network but for its outputs, of which it has one.

    Parameters
    ----------
    net : MLP

    Returns
    -------
    MLP

    Raises
    ------
    TypeError
        For a network that is no MLP.
    """
    if type(net) is not MLP:
        raise TypeError(f"net must be an ntklin.MLP, got {type(net).__name__}")
    return replace(net, widths=(*net.widths[:-1], 1))


def mean_output(net: MLP, theta: Array) -> tuple[MLP, Array, float]:
    """A network of one output whose kernel is the mean of those of all outputs.

    Its last weights are root mean squares over the outputs, with the signs of the first one's. With
    two layers it is the mean (1/C) Σ_c K_cc but for the last bias' constant, as K_cc depends on
    the squares of output c's weights alone; with more of them their products, whose mean over an
    initialization is 0, count as those of the first output do.

    Parameters
    ----------
    net : MLP
    theta : ndarray, shape (P,)

    Returns
    -------
    network : MLP
        Of the same layers with one output.
    theta : ndarray
        For it.
    factor : float
        What its kernel has to be multiplied by.

    Raises
    ------
    TypeError
        For a network that is no MLP.
    """
    one, xp = with_one_output(net), namespace(theta)
    *hidden, (W, b) = net.unpack(theta)
    e = largest_exponent(W)
    squares = shift(W, -e) ** 2
    last = xp.copysign(shift(xp.sqrt(squares.mean(axis=0, keepdims=True)), e), W[:1])
    found = one.pack([*hidden, (last, None if b is None else b[:1])])
    # f and K = φφ^T of one output are in units of its own last scale.
    return one, found, (net.weight_scales[-1] / one.weight_scales[-1]) ** 2
