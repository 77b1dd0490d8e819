"""Weights from and to other libraries: what PyTorch's state dicts and Flax's trees have in common.

Others have h = W a + b. Here it is h = w_l W a + v_l b, so that W = W_theirs / w_l and
b = b_theirs / v_l. In floating point a number that is divided and multiplied again comes back with
the same bits for all numbers only if the scale is a power of two: hence ``scaling="standard"``,
all scales 1, unless the user wants another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from ntklin.edge.arrays import Array, as_array, to_numpy
from ntklin.edge.backends import namespace
from ntklin.edge.checks import as_list, as_vector, as_word
from ntklin.edge.values import said
from ntklin.networks.features import bounded
from ntklin.networks.mlp import MLP, SCALINGS

Scaling = Literal["fan_out", "fan_in", "eq1", "standard"]


class ForeignLayer(NamedTuple):
    """A fully connected layer of another library.

    Attributes
    ----------
    name : str
        As users know the layer.
    weight : ndarray, shape (m_l, m_{l-1})
    bias : ndarray, shape (m_l,), or None
    """

    name: str
    weight: Array
    bias: Array | None


class Settings(NamedTuple):
    """What weights do not tell of a network; see ``ntklin.MLP``."""

    activation: Any
    scaling: Scaling
    sigma: float | None
    sigma_b: float | None


def in_order(names: Iterable[str], where: str) -> list[str]:
    """The layers' names from the input to the output, each once.

    Names that differ by numbers alone ("0", "2", "10"; "dense", "dense_1") go by these, since
    sorted keys, as files and ``jax.tree`` have them, put "10" before "2". Others go by appearance.

    Parameters
    ----------
    names : iterable of str
    where : str
        What they are the keys of, for messages.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If neither order is certain.
    """
    unique = list(dict.fromkeys(names))
    families: dict[str, list[tuple[int, ...]]] = {}
    for name in unique:
        families.setdefault(re.sub(r"[_./]?\d+", "", name), []).append(_numbers(name))
    if len(families) == 1:
        return sorted(unique, key=_numbers)
    if any(numbers != sorted(numbers) for numbers in families.values()):
        raise ValueError(
            f"the order of the layers {', '.join(map(repr, unique))} is not certain: by their "
            f"place in {where} it is another than by their numbers; pass a dict with the keys in "
            "the order in which the network applies its layers"
        )
    return unique


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def as_parameter(a: Any, name: str, ndim: int, hint: str) -> Array:
    """A weight or bias, checked: finite, with so many axes.

    Parameters
    ----------
    a : array_like
    name : str
        Its name in messages.
    ndim : int
    hint : str
        What a layer has, for one with another number of axes.

    Returns
    -------
    ndarray
        float32 for what was float32, float16 or bfloat16, else float64.

    Raises
    ------
    ValueError
        For another number of axes, and for an axis of length 0.
    """
    given = to_numpy(a, name) if namespace(a) is np else a
    is_short = given.dtype.kind in "fV" and given.dtype.itemsize <= 4
    array = as_array(given, name)
    if array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}, but a fully connected layer {hint}")
    if not array.size:
        raise ValueError(f"{name} is empty: shape {array.shape}")
    dtype = np.float32 if is_short else np.float64
    return as_vector(array.ravel(), array.size, name=name, dtype=dtype).reshape(array.shape)


def assembled(parts: Mapping[str, Mapping[str, Array]], where: str) -> list[ForeignLayer]:
    """Layers in order, of the parts "weight", (m_l, m_{l-1}), and "bias", (m_l,), of each.

    Parameters
    ----------
    parts : mapping
        From a layer's name to its parts.
    where : str
        What the names are the keys of, for messages.

    Returns
    -------
    list of ForeignLayer

    Raises
    ------
    ValueError
        If a layer has a bias alone, or one of another length.
    """
    layers = []
    for name in in_order(parts, where):
        W, b = parts[name].get("weight"), parts[name].get("bias")
        if W is None:
            raise ValueError(f"layer {name!r} of {where} has a bias, but no weight")
        if b is not None and len(b) != len(W):
            raise ValueError(f"layer {name!r} has {len(W)} outputs, but a bias of length {len(b)}")
        layers.append(ForeignLayer(name, W, b))
    return layers


def as_network(layers: list[ForeignLayer], settings: Settings) -> tuple[MLP, Array]:
    """The network of these layers, and its θ.

    Parameters
    ----------
    layers : list of ForeignLayer
        In order, at least one.
    settings : Settings

    Returns
    -------
    net : MLP
    theta : ndarray, shape (P,)

    Raises
    ------
    ValueError
        If the layers do not fit together.
    """
    for below, above in pairwise(layers):
        if above.weight.shape[1] != below.weight.shape[0]:
            raise ValueError(
                f"layer {above.name!r} takes {above.weight.shape[1]} inputs, but {below.name!r} "
                f"before it has {below.weight.shape[0]} outputs: layers are to follow each other "
                "in the dict as in the network, without other layers between them that change the "
                "width"
            )
    net = MLP(
        (layers[0].weight.shape[1], *(layer.weight.shape[0] for layer in layers)),
        **_options(layers, settings),
    )
    given = (a for layer in layers for a in layer[1:] if a is not None)
    dtype = np.result_type(*given)  # of all, before anything is rounded
    scales = zip(net.weight_scales, net.bias_scales, layers, strict=True)
    return net, net.pack([(_over(W, w, dtype), _over(b, v, dtype)) for w, v, (_, W, b) in scales])


def _options(layers: list[ForeignLayer], settings: Settings) -> dict[str, Any]:
    """The arguments of the MLP beside its widths."""
    as_word(settings.scaling, SCALINGS, name="scaling")
    options: dict[str, Any] = {
        "scaling": settings.scaling,
        "bias": "zero" if _have_biases(layers) else "none",
        "sigma_b": settings.sigma_b,
        "sigma": settings.sigma,
        "activation": settings.activation,
    }
    if settings.sigma is None:
        options["sigma"] = 1.0 if settings.scaling == "standard" else _sigma_of(layers, settings)
    return options


def _have_biases(layers: list[ForeignLayer]) -> bool:
    without = [layer for layer in layers if layer.bias is None]
    if without and len(without) < len(layers):
        l, layer = next((l, x) for l, x in enumerate(layers, 1) if x.bias is None)
        raise ValueError(
            f"layer {layer.name!r} has no bias, but others have, and an ntklin.MLP has biases in "
            f"all layers or in none; give it numpy.zeros({len(layer.weight)}), and to keep them 0, "
            f"pass weights=net.layer_weights({{({l}, 'bias'): 0.0}})"
        )
    return not without


def _sigma_of(layers: list[ForeignLayer], settings: Settings) -> float:
    """The σ at which the weights of θ have mean square 1, as those that ``init`` draws."""
    axis = 1 if settings.scaling == "fan_in" else 0
    squares = sum(W.shape[axis] * float((W.astype(np.float64) ** 2).sum()) for _, W, _ in layers)
    if squares == 0:
        raise ValueError("all weights are 0, which tells no sigma; pass one")
    return math.sqrt(squares / sum(W.size for _, W, _ in layers))


def _over(a: Array | None, scale: float, dtype: np.dtype[Any]) -> Array | None:
    if a is None:
        return None
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        own = a.astype(dtype) / dtype.type(scale)
    return bounded(own, "θ at this sigma")


def own_layers(net: MLP, theta: Any) -> Iterator[tuple[Array, Array | None]]:
    """w_l W^l and v_l b^l of a network, layer by layer, in arrays of their own.

    Parameters
    ----------
    net : MLP
    theta : array_like, shape (P,)

    Yields
    ------
    weight : ndarray, shape (m_l, m_{l-1})
    bias : ndarray, shape (m_l,), or None

    Raises
    ------
    TypeError
        For a network that is no MLP.
    """
    if not isinstance(net, MLP):
        raise TypeError(
            f"net must be an ntklin.MLP, got {type(net).__name__}; of an AntisymmetricPair pass "
            "pair.network and one of pair.halves(theta)"
        )
    theta = as_vector(theta, net.n_parameters, name="theta")
    scales = zip(net.weight_scales, net.bias_scales, net.unpack(theta), strict=True)
    for l, (w, v, (W, b)) in enumerate(scales, 1):
        yield _times(W, w, f"w_{l} W^{l}"), None if b is None else _times(b, v, f"v_{l} b^{l}")


def _times(a: Array, scale: float, what: str) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return bounded(a * a.dtype.type(scale), what)


def names_for(net: MLP, given: Iterable[str] | None, default: list[str]) -> list[str]:
    """A name for each layer.

    Parameters
    ----------
    net : MLP
    given : iterable of str, optional
    default : list of str
        Those where none are given.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        For what are no strings.
    ValueError
        For another number of names than layers, or a name that comes twice.
    """
    if given is not None and (isinstance(given, str) or not isinstance(given, Iterable)):
        raise TypeError(f"names must be strings, one for each layer, got {said(given)}")
    names = default if given is None else as_list(given, name="names")
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be strings, one for each layer, got {said(given)}")
    if len(names) != net.depth or len(set(names)) < len(names):
        raise ValueError(f"names must be {net.depth} different strings, got {said(names)}")
    return names
