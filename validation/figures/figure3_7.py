"""Figures 3 and 7: test loss against the width for GD, AdaGrad and Adam.

All from the same initializations, to the same training loss; beside each the linearized network
under the same optimizer's own steps, and the interpolating part of where that ends (Thm 3). Below:
steps taken by both.
"""

from ntklin.validation.figures.figure import (
    Scale,
    for_both,
    of_interpolating,
    of_linearizations,
    of_networks,
    steps,
    test_loss,
)
from ntklin.validation.figures.outcomes import Results
from ntklin.validation.figures.panel import Panel, Rows, Series
from ntklin.validation.figures.widths import SCALES, by_depth, curves, grid


def panels(results: Results, scale: Scale) -> Rows:
    """Test losses above, steps below."""

    def loss_curves(part: Results) -> list[Series]:
        adaptive = part.chosen(lambda run: run.adaptive)
        return [
            *curves(part, of_networks(test_loss)),
            *curves(part, of_linearizations(test_loss), kind="linearized"),
            *curves(adaptive, of_interpolating, kind="interpolating"),
        ]

    def step_curves(part: Results) -> list[Series]:
        return [
            *curves(part, of_networks(steps)),
            *curves(part, of_linearizations(steps), kind="linearized"),
        ]

    return tuple(
        [
            Panel(title=title, x_label="width $m$", y_label=y_label, series=tuple(series(part)))
            for title, part in by_depth(results)
        ]
        for y_label, series in (("test loss", loss_curves), ("steps", step_curves))
    )


FIGURES = for_both(
    (3, 7),
    "Impact of adaptive optimization",
    claim="the test performance depends strongly on the adaptive method: there is a gap "
    "between GD and AdaGrad, Adam at every width, although all reach the same training error",
    scales=SCALES,
    fashion={"layers": {2: (250, 1000, 4000), 3: (100, 200, 400)}},
    grid=grid(("gd", "adagrad", "adam")),
    panels=panels,
)
