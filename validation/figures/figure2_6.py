"""Figures 2 and 6: test loss against the scale σ of the initialization.

The real networks beside their linearizations at θ_0 and the kernel interpolators, for L = 2 and 3.
Where f_init dominates, the loss grows like σ^{2L} (Thm 2). Below: steps taken and predicted.
"""

from collections.abc import Callable, Iterator

import numpy as np

from ntklin.validation.figures.configuration import Run
from ntklin.validation.figures.figure import (
    Height,
    Make,
    Scale,
    for_both,
    of_linearizations,
    of_networks,
    scales,
    steps,
    test_loss,
)
from ntklin.validation.figures.outcomes import End, Result, Results
from ntklin.validation.figures.panel import Guide, Panel, Rows, Series

# How many of the largest σ the exponent is fitted to.
N_FITTED = 3
# By what factor the line of the theory stands off the points.
ABOVE = 1.6

SCALES = scales(
    quick={"layers": {2: (256, (0.5, 1.0, 2.0)), 3: (64, (0.5, 1.0, 2.0))}},
    standard={
        "layers": {
            2: (4000, (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)),
            3: (300, (0.5, 0.7, 1.0, 1.5, 2.0, 3.0)),
        }
    },
    paper={
        "layers": {
            2: (4000, (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)),
            3: (2000, (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)),
        }
    },
)


def grid(scale: Scale, make: Make) -> Iterator[Run]:
    """Gradient descent at every σ."""
    for depth, (width, sigmas) in scale["layers"].items():
        for sigma in sigmas:
            for seed in range(scale["n_seeds"]):
                yield make(depth=depth, width=width, sigma=sigma, optimizer="gd", seed=seed)


def panels(results: Results, scale: Scale) -> Rows:
    """Test losses above, steps below."""
    losses, counts = [], []
    for depth in results.values("depth"):
        part = results.where(depth=depth)
        (width,) = part.values("width")

        def curve(name: str, y: Height, look: str, kind: str, part: Results = part) -> Series:
            return part.series(name, "sigma", y, look, kind=kind)

        def pair(
            value: Callable[[End], float | None], curve: Callable[..., Series] = curve
        ) -> tuple[Series, Series]:
            return (
                curve("network", of_networks(value), "gd", "network"),
                curve("network", of_linearizations(value), "prediction", "linearized"),
            )

        networks, linearized = pair(test_loss)
        interpolator = curve("kernel interpolator", interpolator_loss, "interpolator", "closed")
        title, x_label = f"$L = {depth}$, $m = {width}$", r"initialization scale $\sigma$"
        losses.append(
            Panel(
                title=title,
                x_label=x_label,
                y_label="test loss",
                series=(networks, linearized, interpolator),
                guides=power_guides(networks, depth),
            )
        )
        counts.append(Panel(title=title, x_label=x_label, y_label="steps", series=pair(steps)))
    return losses, counts


def interpolator_loss(run: Run, result: Result) -> float | None:
    """The interpolator's curve."""
    return result.interpolator_loss


def power_guides(series: Series, depth: int) -> tuple[Guide, ...]:
    """σ^{2L} above the last points, and the exponent that fits them."""
    if len(series.x) < 2:
        return ()
    x, y = np.array(series.x[-N_FITTED:]), series.mean[-N_FITTED:]
    exponent = np.polyfit(np.log(x), np.log(y), 1)[0]
    label = rf"$\propto\sigma^{{{2 * depth}}}$, fitted: {exponent:.2f}"
    return (Guide(label=label, x=tuple(x), y=tuple(ABOVE * y[-1] * (x / x[-1]) ** (2 * depth))),)


FIGURES = for_both(
    (2, 6),
    "Impact of the initialization",
    claim="at small σ the trained network is close to the interpolator, which hardly depends "
    "on σ; at larger σ the test error grows like σ^{2L}; all are close to their linearizations",
    scales=SCALES,
    # Without the smallest σ, which take most of the steps, 100,000 and more.
    fashion={
        "layers": {2: (2000, (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)), 3: (300, (1.0, 1.5, 2.0, 3.0))}
    },
    grid=grid,
    panels=panels,
)
