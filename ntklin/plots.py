"""Figures of a study, drawn on matplotlib's object interface: no pyplot, no global state."""

from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, NullLocator

# Okabe and Ito's palette; markers and dashes tell the series apart without color, too.
SERIES = (
    (
        "test_loss_network",
        r"trained network $f^{\mathrm{NN}}$",
        {"color": "#0072B2", "marker": "o", "zorder": 4},
    ),
    (
        "test_loss_linearized",
        r"linearized network $f^{\mathrm{lin}}$",
        {"color": "#D55E00", "marker": "x", "linestyle": "--", "zorder": 5},
    ),
    (
        "test_loss_interpolator",
        r"kernel interpolator $f^{\mathrm{int}}$",
        {"color": "#009E73", "marker": "s", "linestyle": "-.", "zorder": 3},
    ),
)
SIZE_COLOR = "#7A3E9D"
GUIDE_COLOR = "#6B6B6B"
STYLE = {"linewidth": 1.6, "markersize": 5.5}
MAX_SIGMA_TICKS = 8
FEW_DECADES = 100  # a vertical axis that spans less is labeled at 1, 2 and 5


def study_figure(result):
    """The study in two panels: test loss against σ (Fig. 2), and the initialization term's size.

    Lines are means over the seeds; with several seeds bands show one standard deviation.

    Parameters
    ----------
    result : StudyResult
        With at least one record.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    draw_test_losses(left, result)
    draw_initialization_sizes(right, result)
    config = result.config
    widths = "–".join(str(m) for m in config.widths)
    seeds = f"{len(config.seeds)} initializations" if len(config.seeds) > 1 else "1 initialization"
    figure.suptitle(
        f"{config.data.name}, N = {len(config.data.X_train)}, widths {widths}, "
        f"bias {config.bias}, {seeds}",
        fontsize=10,
    )
    return figure


def draw_test_losses(axes, result):
    """Test losses against σ, log-log, with a guide line ∝ σ^{2L} (Thm 2)."""
    for name, label, style in SERIES:
        _draw_series(axes, result, name, label, style)
    _draw_guide(axes, result)
    axes.set_ylabel("test loss")
    finish(axes, [row.sigma for row in result.rows])


def draw_initialization_sizes(axes, result):
    """‖f_init(X_T)‖/√(2N_T) against σ, log-log, with the fitted power of σ."""
    style = {"color": SIZE_COLOR, "marker": "D", "linestyle": "none"}
    _draw_series(axes, result, "initialization_size", "measured", style)
    law = result.mean_power_law
    if law is not None:
        ends = np.array([result.rows[0].sigma, result.rows[-1].sigma])
        axes.plot(
            ends,
            law.coefficient * ends**law.exponent,
            color=SIZE_COLOR,
            linewidth=1.4,
            label=rf"fit $\propto\sigma^{{{law.exponent:.2f}}}$  ($L$ = {result.config.depth})",
        )
    axes.set_ylabel(r"$\|f^{\mathrm{init}}(X_{\mathcal{T}})\|\,/\,\sqrt{2N_{\mathcal{T}}}$")
    finish(axes, [row.sigma for row in result.rows])


def png(figure, dpi=150):
    """The figure as the bytes of a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def _draw_guide(axes, result):
    """A line ∝ σ^{2L} a little above the largest σ's loss, down to the interpolator's."""
    if len(result.rows) < 2:
        return
    power = 2 * result.config.depth
    last = result.rows[-1]
    top, floor = (
        last.statistics[name].mean for name in ("test_loss_linearized", "test_loss_interpolator")
    )
    if not 0 < floor < top:
        return
    top *= 1.6
    start = max(result.rows[0].sigma, last.sigma * (floor / top) ** (1 / power))
    sigmas = np.array([start, last.sigma])
    axes.plot(
        sigmas,
        top * (sigmas / last.sigma) ** power,
        color=GUIDE_COLOR,
        linestyle=":",
        linewidth=1.4,
        label=rf"$\propto\sigma^{{{power}}}$",
    )


def _draw_series(axes, result, name, label, style):
    """Mean over seeds where it is positive, and a band of one standard deviation."""
    rows = [row for row in result.rows if (s := row.statistics[name]) is not None and s.mean > 0]
    if not rows:
        return
    sigmas = [row.sigma for row in rows]
    mean = np.array([row.statistics[name].mean for row in rows])
    axes.plot(sigmas, mean, label=label, **STYLE, **style)
    std = np.array([row.statistics[name].std or 0.0 for row in rows])
    if std.any():
        # On a logarithmic axis a band that would reach 0 ends a decade below the mean.
        low = np.maximum(mean - std, mean / 10)
        axes.fill_between(sigmas, low, mean + std, color=style["color"], alpha=0.18, linewidth=0)


def finish(axes, sigmas):
    """Two logarithmic scales, σ below, its values as ticks where they are few; grid and legend."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(r"initialization scale $\sigma$")
    if len(sigmas) <= MAX_SIGMA_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(sigmas))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%.3g"))
        axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    if high / low < FEW_DECADES:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(True, which="major", color="#D9D9D9", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
