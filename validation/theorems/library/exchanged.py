"""State dicts of PyTorch and trees of Flax: what a network is in them, and back again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.library.agreement import Named, agreement
from ntklin.validation.theorems.library.models import (
    Model,
    Problem,
    drawn,
    passes,
    scales,
    unpacked,
)

KINDS = (
    drawn((3, 6, 1), sigma=1.5, bias="normal"),
    drawn((2, 5, 4, 2), n=3, sigma=0.75, scaling="fan_in", bias="normal", sigma_b=0.5),
    drawn((3, 6, 1), scaling="eq1", bias="normal"),
    drawn((3, 5, 1), scaling="standard", bias="none"),
)


def asked(problem: Problem) -> Named:
    """Weights of others, the network that they make, and the one that they came from."""
    net, theta, X_new = problem.net, problem.theta, problem.X_new
    sd, tree = ntklin.to_state_dict(net, theta), ntklin.to_flax(net, theta)
    own = {"scaling": net.scaling, "sigma": net.sigma, "sigma_b": net.sigma_b}
    standard, plain = ntklin.from_state_dict(sd)
    wide, found_theta = ntklin.from_state_dict(sd, scaling="fan_in")
    dense = tree["params"]
    found: dict[str, Any] = {
        "from_state_dict.parameters": plain,
        "from_state_dict.apply": standard.apply(plain, X_new),
        "from_state_dict.ntk": ntklin.ntk(standard, plain, problem.X),
        "from_state_dict(scaling).parameters": ntklin.from_state_dict(sd, **own)[1],
        "from_state_dict(fan_in).sigma": wide.sigma,
        "from_state_dict(fan_in).parameters": found_theta,
        "from_state_dict(fan_in).apply": wide.apply(found_theta, X_new),
        "from_flax.parameters": ntklin.from_flax(tree)[1],
        "from_flax(scaling).parameters": ntklin.from_flax(tree, **own)[1],
        "round trips": [
            float(np.array_equal(there_and_back(standard, plain), plain))
            for there_and_back in (by_state_dict, by_flax)
        ],
    }
    for l in range(net.depth):
        found[f"to_state_dict.{l}.weight"] = sd[f"{2 * l}.weight"]
        found[f"to_flax.{l}.kernel"] = dense[f"Dense_{l}"]["kernel"]
        if net.has_bias:
            found[f"to_state_dict.{l}.bias"] = sd[f"{2 * l}.bias"]
            found[f"to_flax.{l}.bias"] = dense[f"Dense_{l}"]["bias"]
    return found


def by_state_dict(net: ntklin.MLP, theta: Array) -> Array:
    """θ by way of a state dict."""
    return ntklin.from_state_dict(ntklin.to_state_dict(net, theta))[1]


def by_flax(net: ntklin.MLP, theta: Array) -> Array:
    """θ by way of a tree."""
    return ntklin.from_flax(ntklin.to_flax(net, theta))[1]


def true(model: Model, *, scaled: bool = True) -> Named:
    """w_l W^l and v_l b^l, and the same over the scales of another network; or W^l and b^l."""
    net = model.net
    theirs = [
        (W * w, None if b is None else b * v)
        for w, v, (W, b) in zip(*scales(net), unpacked(net, model.theta), strict=True)
    ]
    if not scaled:
        theirs = unpacked(net, model.theta)
    standard = replace(net, scaling="standard", sigma=1.0, sigma_b=None)
    own = joined(theirs)
    f_new, _ = passes(standard, own, model.X_new)
    phi = model.shaken(passes(standard, own, model.X)[1])
    # The mean square of √m_{l−1} W/σ is 1.
    squares: Any = sum(W.shape[1] * (W * W).sum() for W, _ in theirs)
    sigma = (squares / sum(W.size for W, _ in theirs)).sqrt()
    roots = [arb(m).sqrt() for m in net.widths[:-1]]
    wide = [
        (W * root / sigma, None if b is None else b / sigma)
        for root, (W, b) in zip(roots, theirs, strict=True)
    ]
    back = [
        (W / w, None if b is None else b / v)
        for w, v, (W, b) in zip(*scales(net), theirs, strict=True)
    ]
    found: dict[str, Any] = {
        "from_state_dict.parameters": own,
        "from_state_dict.apply": f_new,
        "from_state_dict.ntk": phi @ phi.T,
        "from_state_dict(scaling).parameters": joined(back),
        "from_state_dict(fan_in).sigma": sigma,
        "from_state_dict(fan_in).parameters": joined(wide),
        "from_state_dict(fan_in).apply": f_new,
        "from_flax.parameters": own,
        "from_flax(scaling).parameters": joined(back),
        "round trips": [1, 1],
    }
    for l, (W, b) in enumerate(theirs):
        found[f"to_state_dict.{l}.weight"], found[f"to_flax.{l}.kernel"] = W, W.T
        if b is not None:
            found[f"to_state_dict.{l}.bias"] = found[f"to_flax.{l}.bias"] = b
    return found


def joined(layers: list[tuple[Array, Array | None]]) -> Array:
    """θ of these weights and biases."""
    parts = [a.ravel() for layer in layers for a in layer if a is not None]
    return np.concatenate(parts)


EXCHANGED = (
    agreement(
        "exchanged",
        "to_state_dict, to_flax and back: weights, outputs, kernels, and the same bits again",
        KINDS,
        asked,
        true,
        partial(true, scaled=False),
        "W^l in the place of w_l W^l",
    ),
)
