"""The degree of a network's homogeneity in θ, f_{cθ} = c^L f_θ, where it has one."""

from __future__ import annotations

from ntklin.edge.arrays import Array
from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network


def degree_at(network: Network, theta: Array) -> int:
    """L with f = (1/L) φ(x) θ at θ, Lemma 4.

    Parameters
    ----------
    network : Network
    theta : ndarray, shape (P,)

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is none, or nobody knows.
    """
    instead = "; pass depth=, if f_θ = (1/depth) φ(x) θ holds all the same"
    if not isinstance(network, MLP):
        raise ValueError(f"only of an MLP it is known whether it is homogeneous{instead}")
    if not network.activation.is_homogeneous:
        raise ValueError(
            f"the activation {network.activation.name!r} is not homogeneous, so that f_θ is not "
            f"(1/L) φ(x) θ{instead}"
        )
    if any(b is not None and bool((b != 0).any()) for _, b in network.unpack(theta)):
        raise ValueError(
            "θ_0 has biases other than 0, so that f_θ is not (1/L) φ(x) θ (Lemma 4); take "
            f"bias='zero' or 'none'{instead}"
        )
    return network.depth
