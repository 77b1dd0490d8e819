"""The two parts of a minimizer as a picture: along inputs of one dimension, or against f_∞."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.faces.pictures import GUIDE_COLOR, INTERPOLATOR, LINEARIZED, NETWORK, STYLE

if TYPE_CHECKING:
    from ntklin.edge.faces.pictures import Axes

_WHOLE = r"minimizer $f_\infty$"
_PARTS = r"interpolator $f^{\mathrm{int}}$", r"initialization $f^{\mathrm{init}}$"


class Split(NamedTuple):
    """Outputs (N_new,) or (N_new, C) of f_∞ = f_int + f_init.

    Attributes
    ----------
    whole, interpolator, initialization : ndarray
    """

    whole: Array
    interpolator: Array
    initialization: Array


def split_along(axes: Axes, x: Array, split: Split, data: tuple[Array, Array]) -> None:
    """Lines of all three along x, (N_new,), and the training data, points (N,) and targets."""
    order = np.argsort(x)
    styles = NETWORK, INTERPOLATOR | {"linestyle": "--"}, LINEARIZED | {"linestyle": ":"}
    for outputs, label, style in zip(split, (_WHOLE, *_PARTS), styles, strict=True):
        for c, column in enumerate(outputs.reshape(len(x), -1).T):
            given: dict[str, Any] = {**STYLE, **style, "marker": None}
            axes.plot(x[order], column[order], label=label if c == 0 else "_", **given)
    points, targets = data
    for c, column in enumerate(targets.reshape(len(points), -1).T):
        label = "training data" if c == 0 else "_"
        axes.plot(points, column, "o", color=GUIDE_COLOR, zorder=6, label=label)
    axes.set_xlabel("input $x$")
    axes.set_ylabel("output $f(x)$")


def split_against(axes: Axes, split: Split) -> None:
    """Points of both parts above the outputs f_∞, and the diagonal on which their sum lies."""
    whole = split.whole.reshape(-1)
    for part, label, style in zip(split[1:], _PARTS, (INTERPOLATOR, LINEARIZED), strict=True):
        given: dict[str, Any] = {**STYLE, **style, "linestyle": "none"}
        axes.plot(whole, part.reshape(-1), label=label, **given)
    ends = [whole.min(), whole.max()]
    axes.plot(ends, ends, color=GUIDE_COLOR, linestyle=":", linewidth=1.4, label=_WHOLE)
    axes.set_xlabel(r"output $f_\infty(x)$")
    axes.set_ylabel(r"part of $f_\infty(x)$")
