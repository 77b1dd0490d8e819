"""Networks in words and numbers, as a saved run keeps them."""

import dataclasses

from ntklin.networks.mlp import MLP
from ntklin.networks.symmetrized import AntisymmetricPair, DoubledNetwork

NETWORKS = {kind.__name__: kind for kind in (MLP, AntisymmetricPair, DoubledNetwork)}


def describe_network(net):
    """A network in words and numbers."""
    kind = NETWORKS.get(type(net).__name__)
    if kind is not type(net):
        kind = type(net)
        return {"class": f"{kind.__module__}.{kind.__qualname__}", "P": net.n_parameters}
    if kind is not MLP:
        return {"class": kind.__name__, "network": describe_network(net.network)}
    described = dataclasses.asdict(net)
    return {"class": kind.__name__} | described | {"widths": list(net.widths)}


def network_from(description):
    """The network of a description; None for a class that is not of this library."""
    kind = NETWORKS.get(description["class"])
    if kind is None or kind is MLP:
        return kind and MLP(**{k: v for k, v in description.items() if k != "class"})
    return kind(network_from(description["network"]))
