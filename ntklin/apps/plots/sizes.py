"""Minimizers of more and more samples as a figure: how good they are, and what they took."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ntklin.apps.plots.axes import MAX_SIGMA_TICKS, tidy
from ntklin.apps.scale.clock import PHASES
from ntklin.apps.scale.result import SizeResult
from ntklin.edge.faces.pictures import (
    GUIDE_COLOR,
    INTERPOLATOR,
    LINEARIZED,
    NETWORK,
    STYLE,
    label_few_decades,
)
from ntklin.edge.files.names import LONGEST_NAME, shown, without_math

DASHES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
COLORS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")


def sizes_figure(results: Sequence[SizeResult], config: dict[str, Any]) -> Figure:
    """Test losses, the share of errors, and the time of each phase against N.

    Parameters
    ----------
    results : sequence of SizeResult
        At least one.
    config : dict
        See ``ntklin.apps.scale.problem.Problem.describe``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    classified = any(one.test_accuracy is not None for one in results)
    iterated = any(one.residuals for one in results)
    n_panels = 2 + classified + iterated
    figure = Figure(figsize=(0.5 + 4.2 * n_panels, 4.0), layout="constrained")
    losses, *middle, times = figure.subplots(1, n_panels)
    if iterated:
        _draw_residuals(middle.pop(), results)
    _draw(losses, results, "test_loss", r"$f_\infty$", NETWORK)
    _draw(losses, results, "interpolator_test_loss", r"$f_{\mathrm{int}}$", INTERPOLATOR)
    _finish(losses, results, "test loss")
    for axes in middle:
        errors = [
            (one.n, 1 - one.test_accuracy) for one in results if one.test_accuracy is not None
        ]
        shown_errors = [(n, error) for n, error in errors if error > 0]
        if shown_errors:
            axes.plot(*zip(*shown_errors, strict=True), label=r"$f_\infty$", **STYLE, **LINEARIZED)
        _finish(axes, results, "share of test points in error")
    _draw_times(times, results)
    widths = "–".join(map(str, config["widths"]))
    name = without_math(shown(config["data"], LONGEST_NAME))
    figure.suptitle(f"{name}, widths {widths}, σ = {config['sigma']:g}", fontsize=10)
    return figure


def _draw(
    axes: Axes, results: Sequence[SizeResult], name: str, label: str, look: dict[str, Any]
) -> None:
    points = [(one.n, getattr(one, name)) for one in results if getattr(one, name) > 0]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, **STYLE, **look)


def _draw_residuals(axes: Axes, results: Sequence[SizeResult]) -> None:
    """Residuals against iterations, a line for each N."""
    iterated = [one for one in results if one.residuals]
    for one, color, dash in zip(iterated, cycle(COLORS), cycle(DASHES), strict=False):
        look = {"color": color, "linestyle": dash, "linewidth": 1.2}
        axes.plot(range(1, len(one.residuals) + 1), one.residuals, label=f"N = {one.n:,}", **look)
    axes.set_yscale("log")
    axes.set_xlabel("iterations of conjugate gradients")
    axes.set_ylabel("residual")
    tidy(axes)


def _draw_times(axes: Axes, results: Sequence[SizeResult]) -> None:
    """The seconds of each phase, and of all."""
    axes.plot(
        [one.n for one in results],
        [max(one.seconds, 1e-3) for one in results],
        label="all",
        color=GUIDE_COLOR,
        marker="o",
        **STYLE,
    )
    looks = zip(PHASES.items(), cycle(COLORS), cycle(DASHES), strict=False)
    for (name, label), color, dash in looks:
        points = [
            (one.n, phase.seconds)
            for one in results
            for phase in one.phases
            if phase.name == name and phase.seconds > 0
        ]
        if points:
            look = {"color": color, "linestyle": dash, "marker": ".", "linewidth": 1.2}
            axes.plot(*zip(*points, strict=True), label=label, **look)
    _finish(axes, results, "seconds")


def _finish(axes: Axes, results: Sequence[SizeResult], label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("training points N")
    axes.set_ylabel(label)
    if len(results) <= MAX_SIGMA_TICKS:
        axes.xaxis.set_major_locator(FixedLocator([one.n for one in results]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
    label_few_decades(axes.yaxis)
    if axes.get_legend_handles_labels()[0]:
        tidy(axes)
