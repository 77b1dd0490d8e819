"""Networks from and to Flax's trees of parameters, without Flax or JAX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.values import said
from ntklin.networks.exchange import (
    Scaling,
    Settings,
    as_network,
    as_parameter,
    assembled,
    in_order,
    names_for,
    own_layers,
)
from ntklin.networks.mlp import MLP

AXES = {"kernel": 2, "bias": 1}
# Modules within each other; a tree that contains itself has no end.
MOST_LEVELS = 100
HINT = (
    "has a kernel (inputs, outputs) and a bias (outputs,): one axis is a normalization's (fold it "
    "into the Dense before it), three or more are a convolution's, which ntklin has none of"
)


def from_flax(
    params: Mapping[str, Any],
    *,
    activation: Any = "relu",
    scaling: Scaling = "standard",
    sigma: float | None = None,
    sigma_b: float | None = None,
) -> tuple[MLP, Array]:
    """A network and its θ from the Dense layers of a Flax model.

    As :func:`from_state_dict`, but kernels are (inputs, outputs), W_flax = (w_l W^l)^T, as in Keras
    and JAX, and names are nested.

    Parameters
    ----------
    params : mapping
        ``{"params": {"Dense_0": {"kernel": …, "bias": …}, …}}`` as ``model.init`` returns it, what
        is under "params" of it, or any nested dicts of "kernel" and "bias".
    activation : str or Activation
    scaling : {"standard", "fan_in", "fan_out", "eq1"}
    sigma, sigma_b : float, optional
        As for :func:`from_state_dict`.

    Returns
    -------
    net : MLP
    theta : ndarray, shape (P,)

    Raises
    ------
    TypeError
        If ``params`` is no mapping, or NumPy cannot read an array of it.
    ValueError
        For parameters of other modules, layers that do not follow each other, a bias that some
        have and others have not, or a tree that contains itself.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> dense = {"kernel": np.ones((3, 1)), "bias": np.zeros(1)}
    >>> net, theta = ntklin.from_flax({"params": {"Dense_0": dense}})
    >>> net.widths, net.apply(theta, np.eye(3))
    ((3, 1), array([1., 1., 1.]))
    """
    parts: dict[str, dict[str, Array]] = {}
    for path, value in _leaves(_collection(params, "params"), "params"):
        *modules, part = path
        name = "".join(f"[{key!r}]" for key in path)
        if part not in AXES:
            raise ValueError(
                f"params{name} is no kernel or bias of a Dense layer; fold the scale of a "
                "normalization into the layer before it, and leave out what the output does not "
                "depend on"
            )
        array = as_parameter(value, f"params{name}", AXES[part], HINT)
        layer = parts.setdefault("/".join(modules), {})
        layer["bias" if part == "bias" else "weight"] = array.T
    if not parts:
        raise ValueError("params is empty: a network has at least one Dense layer")
    layers = assembled(parts, "params")
    return as_network(layers, Settings(activation, scaling, sigma, sigma_b))


def to_flax(
    net: MLP, theta: ArrayLike, names: Iterable[str] | None = None
) -> dict[str, dict[str, Any]]:
    """The kernels (w_l W^l)^T and biases v_l b^l as a Flax model has them.

    The inverse of :func:`from_flax`, to the same bits with ``scaling="standard"``; see
    :func:`to_state_dict`.

    Parameters
    ----------
    net : MLP
    theta : array_like, shape (P,)
    names : iterable of str, optional
        A module's name for each layer, "/" between nested ones, or a tree of parameters whose names
        to take; "Dense_0", "Dense_1", … when not given, as in an ``nn.compact`` module.

    Returns
    -------
    dict
        ``{"params": {"Dense_0": {"kernel": …, "bias": …}, …}}``, new arrays of θ's dtype.

    Raises
    ------
    TypeError
        For another network than an MLP.
    ValueError
        For names that do not fit.
    FloatRangeError
        If a weight overflows.
    """
    if isinstance(names, Mapping):
        leaves = _leaves(_collection(names, "names"), "names")
        names = in_order(("/".join(path[:-1]) for path, _ in leaves), "names")
    layers = list(own_layers(net, theta))
    tree: dict[str, Any] = {}
    default = [f"Dense_{l}" for l in range(len(layers))]
    for name, (W, b) in zip(names_for(net, names, default), layers, strict=True):
        module = tree
        for key in filter(None, name.split("/")):
            module = module.setdefault(key, {})
        module["kernel"] = W.T.copy()
        if b is not None:
            module["bias"] = b
    return {"params": tree}


def _collection(params: Any, where: str) -> Mapping[str, Any]:
    """What is under "params", which has to be all there is."""
    for _ in range(MOST_LEVELS):
        if not isinstance(params, Mapping):
            raise TypeError(f"{where} must map names to layers, got {type(params).__name__}")
        if "params" not in params:
            return params
        others = sorted((key for key in params if key != "params"), key=str)
        if others:
            raise ValueError(
                f"the variables have {', '.join(map(said, others))} beside 'params', and an "
                "ntklin.MLP has parameters alone; fold batch_stats into the Dense before it, and "
                "pass {'params': variables['params']} where the output does not depend on the "
                "others"
            )
        params = params["params"]
    raise ValueError(_too_deep(where))


def _leaves(
    tree: Mapping[str, Any], where: str, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths and arrays, in order of appearance."""
    if len(above) >= MOST_LEVELS:
        raise ValueError(_too_deep(where))
    for key, value in tree.items():
        path = (*above, key if isinstance(key, str) else said(key))
        if isinstance(value, Mapping) and key not in AXES:
            yield from _leaves(value, where, path)
        else:
            yield path, value


def _too_deep(where: str) -> str:
    return f"{where} has more than {MOST_LEVELS} modules within each other, or contains itself"
