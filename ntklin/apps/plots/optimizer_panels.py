"""The comparison's panels: where each optimizer ends."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ntklin.apps.study import METHODS, Statistic, StudyResult
from ntklin.edge.faces.pictures import GUIDE_COLOR, LINEARIZED, NETWORK, label_few_decades

PART = {"color": "#CC79A7", "marker": "D", "zorder": 3}
BETWEEN = {"color": "#1D2126", "marker": "^", "markerfacecolor": "none", "zorder": 6}
LOSSES = (
    ("test_loss_network", "trained network", NETWORK),
    ("test_loss_linearized", "linearized network", LINEARIZED),
    ("test_loss_interpolating", "its interpolating part", PART),
)
TO_TRAINED = ("gd_distance", "trained network to GD's", NETWORK)
TO_MINIMIZER = ("minimizer_distance", r"trained network to $f_\infty$", NETWORK)
DISTANCES = (
    ("minimizer_distance_linearized", r"linearized network to $f_\infty$", LINEARIZED),
    ("distance", "trained to linearized network", BETWEEN),
    ("path_dependent_size", "path-dependent part", PART),
)
MARKER_SIZE, BESIDE = 6.5, 0.14
# Sizes below this are 0 up to rounding, and would take the axis with them.
SMALLEST = 1e-8
FRAME_HEIGHT, LINE_HEIGHT = 1.7, 0.36


def row_height(result: StudyResult) -> float:
    """What the comparison's panels need, in inches."""
    return FRAME_HEIGHT + LINE_HEIGHT * len(result.optimizer_rows)


def draw_optimizer_losses(axes: Axes, result: StudyResult) -> None:
    """Test losses by optimizer, beside that of gradient descent's minimizer."""
    reference = result.optimizer_rows[0].statistics["test_loss_minimizer"].mean
    label = r"GD's minimizer $f_\infty$"
    axes.axvline(reference, color=GUIDE_COLOR, linestyle=":", linewidth=1.4, label=label)
    _draw(axes, result, LOSSES)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 2.5, 5, 10)))
    axes.set_xlabel(rf"test loss, $\sigma$ = {result.config.optimizer_sigma:g}")


def draw_optimizer_distances(axes: Axes, result: StudyResult) -> None:
    """Root mean squares over the test points by optimizer, on a logarithmic scale.

    A trained network's distance is from the one that gradient descent trained (Fig. 9), or from
    gradient descent's minimizer where there is no such network.
    """
    rows = result.optimizer_rows
    has_trained = any(row.statistics["gd_distance"] is not None for row in rows)
    axes.set_xscale("log")
    _draw(axes, result, (TO_TRAINED if has_trained else TO_MINIMIZER, *DISTANCES))
    label_few_decades(axes.xaxis)
    axes.set_xlabel("root mean square over the test points")


def _draw(
    axes: Axes, result: StudyResult, series: Sequence[tuple[str, str, dict[str, Any]]]
) -> None:
    """One line per optimizer, the first on top, and a mark for each number."""
    rows = result.optimizer_rows
    several = len(result.config.seeds) > 1
    for k, (name, label, style) in enumerate(series):
        aside = BESIDE * (k - (len(series) - 1) / 2) if several else 0.0  # bars would overlap
        places = [
            (statistic, height + aside)
            for height, row in enumerate(rows)
            if (statistic := row.statistics[name]) is not None and statistic.mean > SMALLEST
        ]
        if places:
            statistics, heights = zip(*places, strict=True)
            _draw_marks(axes, statistics, heights, label, style)
    axes.set_yticks(range(len(rows)), [METHODS[row.optimizer].label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(True, color="#D9D9D9", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _draw_marks(
    axes: Axes,
    statistics: Sequence[Statistic],
    heights: Sequence[float],
    label: str,
    style: dict[str, Any],
) -> None:
    means = [s.mean for s in statistics]
    axes.plot(means, heights, label=label, linestyle="none", markersize=MARKER_SIZE, **style)
    if any(s.std for s in statistics):
        # A bar that would reach 0 on a logarithmic axis ends a decade below the mean.
        low = [max(s.mean - (s.std or 0), s.mean / 10) for s in statistics]
        high = [s.mean + (s.std or 0) for s in statistics]
        axes.hlines(heights, low, high, color=style["color"], linewidth=1.2, zorder=style["zorder"])
