"""A measured scaling law: points with error bars, their fitted power, the predicted one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from ntklin.apps.plots.axes import tidy
from ntklin.edge.faces.pictures import (
    GUIDE_COLOR,
    LINEARIZED,
    NETWORK,
    STYLE,
    label_few_decades,
)

if TYPE_CHECKING:
    from ntklin.validation.theorems.check import Curve


def scaling_figure(curve: Curve) -> Figure:
    """Draw a curve on logarithmic scales.

    Parameters
    ----------
    curve : Curve
        ``x``, ``y``, ``y_error`` (or None), ``fit`` and ``predicted`` (exponents, or None),
        ``x_label``, ``y_label``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(4.4, 3.1), layout="constrained")
    axes = figure.add_subplot()
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
    axes.errorbar(x, y, yerr=curve.y_error, linestyle="none", label="measured", **NETWORK, **STYLE)
    anchor = np.exp(np.log(y).mean()), np.exp(np.log(x).mean())
    looks: tuple[dict[str, Any], ...] = (
        {"color": LINEARIZED["color"]},
        {"color": GUIDE_COLOR, "linestyle": "--"},
    )
    exponents = ((curve.fit, "fitted power"), (curve.predicted, "the paper's"))
    for (exponent, name), look in zip(exponents, looks, strict=True):
        if exponent is not None:
            line = anchor[0] * (x / anchor[1]) ** exponent
            axes.plot(x, line, label=f"{name}: {exponent:.2f}", **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(curve.x_label)
    axes.set_ylabel(curve.y_label)
    label_few_decades(axes.xaxis)
    label_few_decades(axes.yaxis)
    tidy(axes)
    return figure
