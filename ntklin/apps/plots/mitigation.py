"""A mitigation as a figure: what smaller σ gain, and what they cost."""

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntklin.apps.plots.axes import finish
from ntklin.apps.report.mitigation_columns import beside, kind
from ntklin.edge.faces.pictures import STYLE
from ntklin.edge.files.names import LONGEST_NAME, shown, without_math
from ntklin.recipes.mitigation import Mitigation, Trial

# Okabe and Ito's palette, as in the study's figure.
VALIDATION = {"color": "#0072B2", "marker": "o", "zorder": 4}
TEST = {"color": "#D55E00", "marker": "x", "linestyle": "--", "zorder": 5}
INITIALIZATION = {"color": "#7A3E9D", "marker": "D", "linestyle": ":", "zorder": 3}
STEPS = {"color": "#0072B2", "marker": "o"}
BESIDE = (
    {"color": "#009E73", "marker": "s", "markersize": 8, "fillstyle": "none", "zorder": 6},
    {"color": "#E69F00", "marker": "^", "markersize": 6, "zorder": 7},
    {"color": "#CC79A7", "marker": "v", "markersize": 7, "zorder": 8},
)
RING = {"marker": "o", "markersize": 13, "fillstyle": "none", "color": "#1d2126"}


def mitigation_figure(found: Mitigation, config: dict[str, Any]) -> Figure:
    """Losses against σ with the baselines, and the number of steps, both log-log.

    Parameters
    ----------
    found : Mitigation
    config : dict
        See ``ntklin.apps.report.mitigation.mitigation_json``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    draw_losses(left, found)
    draw_steps(right, found)
    widths = "–".join(str(m) for m in config["widths"])
    name = without_math(shown(config["data"], LONGEST_NAME))
    figure.suptitle(
        f"{name}, N = {config['n_train']}, widths {widths}, bias {config['bias']}",
        fontsize=10,
    )
    return figure


def draw_losses(axes: Axes, found: Mitigation) -> None:
    """Validation and test loss, the initialization term's share in them, and the baselines."""
    _draw(axes, found, lambda t: t.validation_loss, "validation loss", VALIDATION)
    _draw(axes, found, lambda t: t.test_loss, "test loss", TEST)
    _draw(
        axes,
        found,
        lambda t: t.initialization_size and t.initialization_size**2,
        r"$\|f^{\mathrm{init}}\|^2/(2N)$, linearized",
        INITIALIZATION,
    )
    for trial, style in zip(beside(found), BESIDE, strict=False):
        if trial.validation_loss:
            label = f"{kind(trial)}, validation"
            axes.plot(
                [trial.sigma], [trial.validation_loss], label=label, linestyle="none", **style
            )
    best = found.best
    if best.validation_loss:
        axes.plot([best.sigma], [best.validation_loss], linestyle="none", **RING)
    axes.set_ylabel("loss")
    _keep_losses_apart(axes, found)
    finish(axes, [trial.sigma for trial in found.trials])


def _keep_losses_apart(axes: Axes, found: Mitigation) -> None:
    """End the axis two decades below the smallest loss, where the initialization's share is nil."""
    losses = [loss for t in found.trials for loss in (t.validation_loss, t.test_loss) if loss]
    axes.set_yscale("log")
    if losses and axes.get_ylim()[0] < min(losses) / 100:
        axes.set_ylim(bottom=min(losses) / 100)


def draw_steps(axes: Axes, found: Mitigation) -> None:
    """Steps until the target, or until training was given up."""
    _draw(axes, found, lambda t: t.steps, "steps", STEPS)
    given_up = [trial for trial in found.trials if not trial.converged and trial.steps]
    if given_up:
        axes.plot(
            [trial.sigma for trial in given_up],
            [trial.steps for trial in given_up],
            linestyle="none",
            marker="x",
            markersize=11,
            color="#1d2126",
            label="given up",
        )
    for trial, style in zip(beside(found), BESIDE, strict=False):
        axes.plot([trial.sigma], [trial.steps], label=kind(trial), linestyle="none", **style)
    axes.set_ylabel("steps of gradient descent")
    finish(axes, [trial.sigma for trial in found.trials])


def _draw(
    axes: Axes,
    found: Mitigation,
    value: Callable[[Trial], float | None],
    label: str,
    style: Mapping[str, Any],
) -> None:
    points = [(trial.sigma, value(trial)) for trial in found.trials]
    points = [(sigma, y) for sigma, y in points if y is not None and y > 0]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, **STYLE, **style)
