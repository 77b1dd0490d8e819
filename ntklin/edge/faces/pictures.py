"""What all pictures share: axes that are given or made, colors, a grid; matplotlib loads late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.errors import MissingPackageError
from ntklin.edge.values import said

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis

# Okabe and Ito's palette; markers and dashes tell the series apart without color, too.
NETWORK: dict[str, Any] = {"color": "#0072B2", "marker": "o", "zorder": 4}
LINEARIZED: dict[str, Any] = {"color": "#D55E00", "marker": "x", "zorder": 5}
INTERPOLATOR: dict[str, Any] = {"color": "#009E73", "marker": "s", "zorder": 3}
DISTANCE: dict[str, Any] = {"color": "#CC79A7", "marker": "D", "linestyle": "--", "zorder": 3}
GUIDE_COLOR = "#6B6B6B"
STYLE: dict[str, Any] = {"linewidth": 1.6, "markersize": 5.5}
# As faint on black as on white.
GRID: dict[str, Any] = {"color": "#808080", "alpha": 0.3, "linewidth": 0.7}
FEW_DECADES = 100
# More points get no marks, and more lines no legend.
MOST_MARKS, MOST_LABELS = 30, 10
# A last step from which on steps have a logarithmic axis, linear up to 1.
MANY_STEPS = 100


def require_axes(ax: Any) -> None:
    """Refuse what is neither axes nor None, before what is to be drawn is computed.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    TypeError
    """
    try:
        from matplotlib.axes import Axes
    except ModuleNotFoundError as e:
        raise MissingPackageError("plot", "matplotlib", "matplotlib") from e
    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib's Axes or None, got {said(ax)}")


def axes_or_new(ax: Any) -> Axes:
    """The axes that ``require_axes`` passed, or those of a new figure of pyplot's."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def line(axes: Axes, x: Array, y: Array, label: str, style: dict[str, Any]) -> Any:
    """A line, with marks where there are few points."""
    marker = style.get("marker") if len(x) <= MOST_MARKS else None
    given: dict[str, Any] = {**STYLE, **style, "marker": marker}
    return axes.plot(x, y, label=label, **given)[0]


def band(axes: Axes, x: Array, mean: Array, spread: Array, label: str) -> None:
    """A line of the axes' next color, and a band around it."""
    (drawn,) = axes.plot(x, mean, label=label, linewidth=STYLE["linewidth"])
    low, high = mean - spread, mean + spread
    axes.fill_between(x, low, high, color=drawn.get_color(), alpha=0.25, linewidth=0)


def losses(axes: Axes, steps: Array, values: Array, label: str, style: dict[str, Any]) -> Any:
    """Training losses against steps, logarithmic as far as they are above 0."""
    from matplotlib.ticker import MaxNLocator

    drawn = line(axes, steps, values, label, style)
    if (np.asarray(values) > 0).any():
        axes.set_yscale("log")
        label_few_decades(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step $t$")
    axes.set_ylabel("training loss $L$")
    return drawn


def distances(axes: Axes, steps: Array, values: Array) -> Any:
    """‖θ_t − θ_0‖ at recorded steps, by an axis of its own on the right."""
    right = axes.twinx()
    drawn = line(right, steps, values, r"distance $\|\theta_t-\theta_0\|$", DISTANCE)
    right.set_ylabel(r"distance from the start $\|\theta_t-\theta_0\|$")
    right.set_ylim(bottom=0)
    right.spines["top"].set_visible(False)
    return drawn


def steps_axis(axes: Axes, last: float) -> None:
    """Steps on a logarithmic axis that has 0, where there are many."""
    if last >= MANY_STEPS:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)


def tidy(axes: Axes, handles: list[Any] | None = None, grid: Mapping[str, Any] = GRID) -> None:
    """Grid, open frame and a legend; of lines of several axes above them, where none is met."""
    axes.grid(True, which="major", **grid)
    axes.spines[["top", "right"]].set_visible(False)
    if handles is not None:
        above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0}
        axes.legend(handles=handles, ncols=len(handles), frameon=False, fontsize=9, **above)
    elif axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def label_few_decades(axis: Axis) -> None:
    """Label a logarithmic axis that spans less than two decades at 1, 2 and 5."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    if high / low < FEW_DECADES:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())
