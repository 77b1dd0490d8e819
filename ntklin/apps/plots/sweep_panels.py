"""The sweep's panels: test loss and the initialization term's size against σ."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ntklin.apps.plots.axes import finish
from ntklin.apps.study import StudyResult
from ntklin.edge.faces.pictures import GUIDE_COLOR, INTERPOLATOR, LINEARIZED, NETWORK, STYLE

SERIES = (
    ("test_loss_network", r"trained network $f^{\mathrm{NN}}$", NETWORK),
    (
        "test_loss_linearized",
        r"linearized network $f^{\mathrm{lin}}$",
        LINEARIZED | {"linestyle": "--"},
    ),
    (
        "test_loss_interpolator",
        r"kernel interpolator $f^{\mathrm{int}}$",
        INTERPOLATOR | {"linestyle": "-."},
    ),
)
SIZE_COLOR = "#7A3E9D"
INFINITE = {"color": GUIDE_COLOR, "marker": "_", "linestyle": "--", "zorder": 2}


def draw_test_losses(axes: Axes, result: StudyResult) -> None:
    """Test losses against σ, log-log, with a guide line ∝ σ^{2L} (Thm 2)."""
    for name, label, style in SERIES:
        _draw_series(axes, result, name, label, style)
    _draw_guide(axes, result)
    axes.set_ylabel("test loss")
    finish(axes, [row.sigma for row in result.rows])


def draw_initialization_sizes(axes: Axes, result: StudyResult) -> None:
    """‖f_init(X_T)‖/√(2N_T) against σ, log-log, with its fitted power and infinite width's."""
    style = {"color": SIZE_COLOR, "marker": "D", "linestyle": "none"}
    _draw_series(axes, result, "initialization_size", "measured", style)
    depth = result.config.power
    term = "" if depth is None else r", $\sigma^L\,(\mathbb{E}\,J^2)^{1/2}$"
    _draw_series(axes, result, "initialization_size_infinite", f"infinite width{term}", INFINITE)
    law = result.mean_power_law
    if law is not None:
        power = "" if depth is None else rf"  ($L$ = {depth})"
        ends = np.array([result.rows[0].sigma, result.rows[-1].sigma])
        axes.plot(
            ends,
            law.coefficient * ends**law.exponent,
            color=SIZE_COLOR,
            linewidth=1.4,
            label=rf"fit $\propto\sigma^{{{law.exponent:.2f}}}${power}",
        )
    axes.set_ylabel(r"$\|f^{\mathrm{init}}(X_{\mathcal{T}})\|\,/\,\sqrt{2N_{\mathcal{T}}}$")
    finish(axes, [row.sigma for row in result.rows])


def _draw_guide(axes: Axes, result: StudyResult) -> None:
    """A line ∝ σ^{2L} a little above the largest σ's loss, down to the interpolator's."""
    if len(result.rows) < 2 or result.config.power is None:
        return
    power = 2 * result.config.power
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


def _draw_series(
    axes: Axes, result: StudyResult, name: str, label: str, style: Mapping[str, Any]
) -> None:
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
