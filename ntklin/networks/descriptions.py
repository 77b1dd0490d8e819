"""Networks in words and numbers, as a saved run keeps them."""

import dataclasses
from typing import Any

from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network
from ntklin.networks.scaled import ScaledNetwork
from ntklin.networks.symmetrized import AntisymmetricPair, DoubledNetwork

NETWORKS = {kind.__name__: kind for kind in (MLP, AntisymmetricPair, DoubledNetwork)}


def describe_network(net: Network) -> dict[str, Any]:
    """A network in words and numbers."""
    kind = type(net)
    if isinstance(net, AntisymmetricPair | DoubledNetwork) and kind in NETWORKS.values():
        return {"class": kind.__name__, "network": describe_network(net.network)}
    if isinstance(net, MLP) and kind is MLP:
        described = {f.name: getattr(net, f.name) for f in dataclasses.fields(net)}
        plain = {"widths": list(net.widths), "activation": net.activation.described()}
        return {"class": kind.__name__} | described | plain
    named = {"class": f"{kind.__module__}.{kind.__qualname__}", "P": net.n_parameters}
    if isinstance(net, ScaledNetwork):  # θ_0 is not kept: who loads the run passes the network
        named |= {"network": describe_network(net.network), "scale": net.scale}
    return named


def network_from(description: dict[str, Any]) -> Network | None:
    """The network of a description; None for what is not of this library."""
    kind = NETWORKS.get(description["class"])
    if kind is None:
        return None
    if kind is MLP:
        if not isinstance(description.get("activation", "relu"), str):
            return None
        return MLP(**{k: v for k, v in description.items() if k != "class"})
    inner: Any = network_from(description["network"])
    return None if inner is None else kind(inner)
