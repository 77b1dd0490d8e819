"""A diagonal D layer by layer: frozen layers, and learning rates of their own."""

from collections.abc import Mapping
from itertools import cycle, product
from math import inf
from typing import Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_nonnegative, is_flag, require_bulk
from ntklin.edge.values import said
from ntklin.networks.layers import LayeredNetwork

KINDS = ("weight", "bias")

# From l, "weight", "bias", (l, "weight") or (l, "bias") to a number ≥ 0.
LayerFactors = Mapping[Any, float]


def layer_weights(net: LayeredNetwork, factors: LayerFactors) -> Array:
    """The diagonal of D by which θ_{t+1} = θ_t − η D ∇L has a learning rate for each layer.

    All of W^l has c_l · c_weight and all of b^l has c_l · c_bias, with c = 1 for what ``factors``
    does not name; a pair (l, "weight") or (l, "bias") takes the place of that product. 0 freezes.

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
        Of a pair, both halves get the same.
    factors : mapping
        From l = 1 … L, "weight", "bias", (l, "weight") or (l, "bias") to a number ≥ 0.

    Returns
    -------
    ndarray, shape (P,), float64
        For ``minimizer(Y, weights=D)`` and ``gradient_descent(Y, weights=D)`` of a linearization
        and for ``phi.gram(weights=D)``.

    Raises
    ------
    TypeError
        If ``factors`` is no mapping.
    ValueError
        For a key that names nothing in this network, a negative number, and a product that
        exceeds float64.

    Examples
    --------
    >>> import ntklin
    >>> net = ntklin.MLP((2, 1, 1))
    >>> net.layer_weights({1: 0.0, "bias": 0.1})
    array([0. , 0. , 0. , 1. , 0.1])
    """
    if not isinstance(factors, Mapping):
        raise TypeError(f"factors must be a mapping such as {{1: 0.0}}, got {said(factors)}")
    layers = range(1, len(net.widths))
    known = {*layers, *KINDS, *product(layers, KINDS)}
    for key, value in factors.items():
        _require_part(key, net.has_bias, known)
        as_nonnegative(value, name=f"factors[{said(key)}]")
    require_bulk(8 * net.n_parameters, "a D with an entry for each parameter", "narrow the layers")
    D = np.empty(net.n_parameters)
    # A pair has the layers of its second half behind those of its first.
    for l, parts in zip(cycle(layers), net.unpack(D), strict=False):
        for kind, part in zip(KINDS, parts, strict=True):
            if part is not None:
                common = float(factors.get(l, 1.0)) * float(factors.get(kind, 1.0))
                if common == inf:
                    raise ValueError(f"factors[{l}] times factors[{kind!r}] exceeds float64")
                part[...] = factors.get((l, kind), common)
    return D


def _require_part(key: Any, has_bias: bool, known: set[Any]) -> None:
    """Refuse a key that names nothing in the network."""
    if is_flag(key) or key not in known:
        last = max(k for k in known if isinstance(k, int))
        raise ValueError(
            f"factors has the key {said(key)}; keys are the layers 1 … {last}, 'weight', 'bias', "
            "and pairs such as (1, 'bias')"
        )
    if not has_bias and "bias" in (key if isinstance(key, tuple) else (key,)):
        raise ValueError(f"factors has the key {said(key)}, but the network has bias='none'")
