"""Figures 3 and 7: test loss against the width for GD, AdaGrad and Adam.

All from the same initializations, to the same training loss; beside each the linearized network
under the same optimizer's own steps. Below: steps taken by both.
"""

from ntklin.validation.figures.figure import Figure, finished, predicted, steps, test_loss
from ntklin.validation.figures.panel import Panel
from ntklin.validation.figures.widths import SCALES, by_depth, curves, grid


def panels(results, scale):
    """Test losses above, steps below."""
    return tuple(
        [
            Panel(
                title=title,
                x_label="width $m$",
                y_label=label,
                series=(
                    *curves(part, finished(value)),
                    *curves(part, predicted(value), kind="linearized"),
                ),
            )
            for title, part in by_depth(results)
        ]
        for label, value in (("test loss", test_loss), ("steps", steps))
    )


def figure(number, title, dataset):
    """Of one data set."""
    return Figure(
        number=number,
        title=title,
        dataset=dataset,
        claim="the test performance depends strongly on the adaptive method: there is a gap "
        "between GD and AdaGrad, Adam at every width, although all reach the same training error",
        scales=SCALES,
        grid=grid(("gd", "adagrad", "adam")),
        panels=panels,
    )


FIGURES = (
    figure(3, "Impact of adaptive optimization, MNIST", "mnist01"),
    figure(7, "Impact of adaptive optimization, Fashion-MNIST", "fashion01"),
)
