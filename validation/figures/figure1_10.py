"""Figures 1 and 10: test loss against the size of the training set, for GD, SGD and AdaGrad.

At several σ, under the squared loss (1) and under binary cross-entropy (10). Training sets are
nested and have the same test points. Below: steps taken and predicted.
"""

from collections.abc import Iterator

from ntklin.validation.figures.configuration import Run
from ntklin.validation.figures.figure import (
    Figure,
    Make,
    Scale,
    method_curves,
    of_linearizations,
    of_networks,
    scales,
    steps,
    taking,
    test_loss,
)
from ntklin.validation.figures.outcomes import Results
from ntklin.validation.figures.panel import Panel, Rows

METHODS = ("gd", "sgd", "adagrad")

SCALES = scales(
    quick={"n_train": 40, "width": 128, "sizes": (10, 20, 40), "sigmas": (0.5, 2.0)},
    standard={"n_train": 200, "width": 500, "sizes": (25, 50, 100, 200), "sigmas": (0.5, 1.0, 2.0)},
    paper={
        "n_train": 800,
        "n_seeds": 5,
        "max_steps": 2_000_000,
        "width": 4000,
        "sizes": (25, 50, 100, 200, 400, 800),
        "sigmas": (0.3, 1.0, 2.0),
    },
)
# The logistic loss falls like 1/t: to 1e-5 it takes a hundred times as many steps as to 1e-3.
LOGISTIC = {
    **SCALES,
    "quick": SCALES["quick"] | {"until": 1e-2},
    "standard": SCALES["standard"] | {"until": 1e-3},
}


def grid(scale: Scale, make: Make) -> Iterator[Run]:
    """Every method at every size and σ."""
    for n_train in sorted(scale["sizes"], reverse=True):
        for sigma in scale["sigmas"]:
            for seed in range(scale["n_seeds"]):
                for method in METHODS:
                    shape = {"depth": 2, "width": scale["width"], "sigma": sigma}
                    yield make(n_train=n_train, seed=seed, **shape, **taking(method))


def panels(results: Results, scale: Scale) -> Rows:
    """A column for each σ: test losses above, steps below."""
    by_sigma = [(sigma, results.where(sigma=sigma)) for sigma in results.values("sigma")]
    return tuple(
        [
            Panel(
                title=rf"$\sigma = {sigma:g}$, $m = {scale['width']}$",
                x_label="training points $N$",
                y_label=label,
                series=(
                    *method_curves(part, "n_train", of_networks(value)),
                    *method_curves(part, "n_train", of_linearizations(value), kind="linearized"),
                ),
            )
            for sigma, part in by_sigma
        ]
        for label, value in (("test loss", test_loss), ("steps", steps))
    )


def figure(number: int, title: str, loss: str, scales: dict[str, Scale]) -> Figure:
    """Under one loss."""
    return Figure(
        name=number,
        title=title,
        dataset="mnist01",
        claim="the test performance depends considerably on the method and on σ, although all "
        "networks were trained to the same low training error",
        scales={name: scale | {"loss": loss} for name, scale in scales.items()},
        grid=grid,
        panels=panels,
    )


FIGURES = (
    figure(1, "Test loss against the size of the training set, squared loss", "squared", SCALES),
    figure(
        10, "Test loss against the size of the training set, cross-entropy", "logistic", LOGISTIC
    ),
)
