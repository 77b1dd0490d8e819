"""Networks from and to PyTorch's state dicts, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.values import said
from ntklin.networks.exchange import (
    ForeignLayer,
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

AXES = {"weight": 2, "bias": 1}
# Parts of keys, and what modules of PyTorch have them.
OTHERS = {
    "running_": "BatchNorm: fold its scale and shift into the Linear before it, as "
    "torch.nn.utils.fusion.fuse_linear_bn_eval does",
    "num_batches_tracked": "BatchNorm: fold its scale and shift into the Linear before it, as "
    "torch.nn.utils.fusion.fuse_linear_bn_eval does",
    "original": "a parametrization: torch.nn.utils.parametrize.remove_parametrizations first",
    "weight_g": "weight_norm: torch.nn.utils.remove_weight_norm first",
    "weight_v": "weight_norm: torch.nn.utils.remove_weight_norm first",
}
HINT = (
    "has a weight (outputs, inputs) and a bias (outputs,): one axis is a normalization's (fold it "
    "into the Linear before it), three or more are a convolution's, which ntklin has none of"
)


def from_state_dict(
    sd: Mapping[str, Any],
    *,
    activation: Any = "relu",
    scaling: Scaling = "standard",
    sigma: float | None = None,
    sigma_b: float | None = None,
) -> tuple[MLP, Array]:
    """A network and its θ from PyTorch's Sequential(Linear, ReLU, …, Linear).

    f_θ(X) is the PyTorch network's output. With ``scaling="standard"`` θ has the very numbers of
    the state dict, and its features and kernels are those that torch.func gives. In another scaling
    f_θ is the same, but W^l = W_torch / w_l and b^l = b_torch / v_l, so that steps of gradient
    descent, the kernel and the minimizer are those of that parametrization.

    Parameters
    ----------
    sd : mapping of str to array_like
        ``model.state_dict()``: weights (outputs, inputs) and biases (outputs,), under names such as
        "0.weight", "net.2.bias" or "fc1.weight". Layers are ordered by their numbers where their
        names differ by nothing else, and else by appearance. float16 and bfloat16 become float32,
        whose numbers contain theirs; all layers take the widest dtype.
    activation : str or Activation
        Between the layers, which a state dict does not tell.
    scaling : {"standard", "fan_in", "fan_out", "eq1"}
        See :class:`ntklin.MLP`.
    sigma : float, optional
        σ. When not given, 1 for ``standard``, and else the one at which the weights in θ have mean
        square 1, like those that ``init`` draws.
    sigma_b : float, optional
        σ_b of ``fan_in``; σ when not given.

    Returns
    -------
    net : MLP
        With ``bias="zero"`` where the layers have biases.
    theta : ndarray, shape (P,)
        A copy; float32 unless a layer is float64.

    Raises
    ------
    TypeError
        If ``sd`` is no mapping, or its tensors lie on a GPU or record gradients; the message names
        the key and what to call.
    ValueError
        For parameters of other modules, layers that do not follow each other, or a bias that some
        have and others have not.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> sd = {"0.weight": np.ones((4, 3)), "0.bias": np.zeros(4), "2.weight": np.ones((1, 4)),
    ...       "2.bias": np.ones(1)}
    >>> net, theta = ntklin.from_state_dict(sd)
    >>> net.widths, net.apply(theta, np.eye(3))
    ((3, 4, 1), array([5., 5., 5.]))
    """
    layers = _layers(sd)
    return as_network(layers, Settings(activation, scaling, sigma, sigma_b))


def to_state_dict(
    net: MLP, theta: ArrayLike, names: Iterable[str] | None = None
) -> dict[str, Array]:
    """The weights w_l W^l and biases v_l b^l under PyTorch's names, for ``load_state_dict``.

    The inverse of :func:`from_state_dict`: with ``scaling="standard"`` to the same bits, in another
    scaling to one unit in the last place, since W/w · w rounds twice. Of float32 weights that were
    read in float64, ``.astype("float32")`` of the result has the same bits in any scaling.

    Parameters
    ----------
    net : MLP
    theta : array_like, shape (P,)
    names : iterable of str, optional
        A module's name for each layer, such as ("fc1", "fc2"), or a state dict whose names to take.
        "0", "2", "4", … when not given, as in a Sequential with an activation after each Linear.

    Returns
    -------
    dict of str to ndarray
        New arrays of θ's dtype; ``{k: torch.from_numpy(a) for k, a in sd.items()}`` has them as
        tensors.

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
        names = in_order((module for module, _ in map(_split, names)), "names")
    layers = list(own_layers(net, theta))
    sd = {}
    for name, layer in zip(
        names_for(net, names, [str(2 * l) for l in range(len(layers))]), layers, strict=True
    ):
        for part, array in zip(AXES, layer, strict=True):
            if array is not None:
                sd[f"{name}.{part}" if name else part] = array
    return sd


def _layers(sd: Mapping[str, Any]) -> list[ForeignLayer]:
    if not isinstance(sd, Mapping):
        hint = "; pass model.state_dict()" if hasattr(sd, "state_dict") else ""
        raise TypeError(f"sd must map names to weights and biases, got {type(sd).__name__}{hint}")
    if not sd:
        raise ValueError("sd is empty: a network has at least one Linear layer")
    parts: dict[str, dict[str, Array]] = {}
    for key, value in sd.items():
        module, part = _split(key)
        parts.setdefault(module, {})[part] = as_parameter(value, f"sd[{key!r}]", AXES[part], HINT)
    return assembled(parts, "sd")


def _split(key: Any) -> tuple[str, str]:
    """The module's name and "weight" or "bias"."""
    if not isinstance(key, str):
        raise TypeError(f"sd or names must have strings for keys, got {said(key)}")
    module, _, part = key.rpartition(".")
    if part not in AXES:
        known = next((what for sign, what in OTHERS.items() if sign in part), None)
        raise ValueError(
            f"{key!r} is no weight or bias of a Linear layer, but of {known}"
            if known
            else f"{key!r} is no weight or bias of a Linear layer; leave it out if the output does "
            "not depend on it, as that of Dropout"
        )
    return module, part
