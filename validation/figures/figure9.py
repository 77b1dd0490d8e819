"""Figure 9: how far from GD's outputs on the test points SGD, AdaGrad and Adam end.

‖f_opt(X_T) − f_GD(X_T)‖₂, both from the same θ_0; for the linearizations as well.
"""

import math
from collections.abc import Callable

from ntklin.validation.figures.configuration import Run
from ntklin.validation.figures.figure import Figure, Height, Scale
from ntklin.validation.figures.outcomes import CONVERGED, End, Result, Results
from ntklin.validation.figures.panel import Panel, Rows
from ntklin.validation.figures.widths import SCALES, by_depth, curves, grid


def deviation(results: Results, end_of: Callable[[Result], End]) -> Height:
    """``y(run, result)``: the distance from GD's end of the same θ_0."""
    by_gd = {
        (run.depth, run.width, run.seed): end_of(result)
        for run, result in results.where(method="gd").items
    }

    def y(run: Run, result: Result) -> float | None:
        mine, other = end_of(result), by_gd[run.depth, run.width, run.seed]
        if not mine.outcome == other.outcome == CONVERGED:
            return None
        return math.dist(mine.outputs, other.outputs)

    return y


def panels(results: Results, scale: Scale) -> Rows:
    """Distances against the width."""
    others = results.chosen(lambda run: run.method != "gd")
    return (
        [
            Panel(
                title=title,
                x_label="width $m$",
                y_label=r"$\|f_{\mathrm{opt}}(X_T) - f_{\mathrm{GD}}(X_T)\|_2$",
                series=(
                    *curves(part, deviation(results, lambda result: result.network)),
                    *curves(
                        part,
                        deviation(results, lambda result: result.linearized),
                        kind="linearized",
                    ),
                ),
            )
            for title, part in by_depth(others)
        ],
    )


FIGURES = (
    Figure(
        name=9,
        title="Deviation from gradient descent on the test points, MNIST",
        dataset="mnist01",
        claim="the deviation by SGD is very small compared to the changes by adaptive training",
        scales=SCALES,
        grid=grid(("gd", "sgd", "adagrad", "adam")),
        panels=panels,
    ),
)
