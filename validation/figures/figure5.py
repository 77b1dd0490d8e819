"""Figure 5: the training loss at which training ended, mean and standard error."""

from ntklin.validation.figures.figure import Figure, Scale, of_networks
from ntklin.validation.figures.outcomes import End, Results
from ntklin.validation.figures.panel import Guide, Panel, Rows
from ntklin.validation.figures.widths import SCALES, by_depth, curves, grid


def panels(results: Results, scale: Scale) -> Rows:
    """Final training losses in units of the target."""
    target = scale["until"]

    def share(end: End) -> float | None:
        return None if end.train_loss is None else end.train_loss / target

    rows = []
    for title, part in by_depth(results):
        widths = part.values("width")
        rows.append(
            Panel(
                title=title,
                x_label="width $m$",
                y_label="final training loss / target",
                series=tuple(curves(part, of_networks(share), error="sem")),
                guides=(Guide(label="", x=(widths[0], widths[-1]), y=(1.0, 1.0)),),
                y_scale="linear",
            )
        )
    return (rows,)


FIGURES = (
    Figure(
        name=5,
        title="Final training error, MNIST",
        dataset="mnist01",
        claim="there is only a very small difference in the final training errors",
        scales=SCALES,
        grid=grid(("gd", "sgd", "adagrad", "adam")),
        panels=panels,
    ),
)
