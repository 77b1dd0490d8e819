"""Figures 4 and 8: test loss against the size of the mini-batches, for SGD and AdaGrad.

The batch size is given as the split ratio |B|/N, 1 for all samples. Solid: real networks; dashed:
their linearizations by the same batches. Below: the path-dependent part of the linearization's end,
which SGD has only as rounding error (Thm 5) and AdaGrad has (Thm 6); and steps, taken and
predicted.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
from ntklin.validation.figures.outcomes import CONVERGED, End, Result, Results
from ntklin.validation.figures.panel import Panel, Rows, Series
from ntklin.validation.figures.style import LABELS

LOOKS = ("narrow", "wide", "middle")

SCALES = scales(
    quick={"sigma": 0.5, "widths": (64, 256), "splits": (0.2, 0.5, 1.0)},
    standard={"sigma": 0.5, "widths": (500, 2000), "splits": (0.1, 0.2, 0.5, 1.0)},
    paper={"sigma": 0.5, "widths": (500, 1000, 4000), "splits": (0.05, 0.1, 0.2, 0.5, 1.0)},
)


def grid(scale: Scale, make: Make) -> Iterator[Run]:
    """SGD and AdaGrad at every split, with new orders and with one; all samples once."""
    for width in sorted(scale["widths"], reverse=True):
        for seed in range(scale["n_seeds"]):
            for optimizer in ("gd", "adagrad"):
                for split in scale["splits"]:
                    for shuffle in (True, False) if split < 1 else (True,):
                        how = {"optimizer": optimizer, "split": split, "shuffle": shuffle}
                        network = {"depth": 2, "width": width, "sigma": scale["sigma"]}
                        yield make(seed=seed, **network, **how)


def path_dependent(run: Run, result: Result) -> float | None:
    """Its rms on the test points; that of gradient descent on all samples is 0 by the theory."""
    computed = result.linearized.outcome == CONVERGED and run.method != "gd"
    return result.path_dependent if computed else None


def panels(results: Results, scale: Scale) -> Rows:
    """A row of test losses for each optimizer; then path-dependent parts, and steps."""
    widths = results.values("width")

    def curves(part: Results, y: Height, **options: Any) -> list[Series]:
        return [
            part.where(width=width).series(f"$m = {width}$", "split", y, look, **options)
            for width, look in zip(widths, LOOKS, strict=False)
        ]

    def panel(title: str, y_label: str, series: Iterable[Series]) -> Panel:
        return Panel(title=title, x_label="split $|B|/N$", y_label=y_label, series=tuple(series))

    def both(part: Results, value: Callable[[End], float | None]) -> list[Series]:
        return [
            *curves(part, of_networks(value)),
            *curves(part, of_linearizations(value), kind="linearized"),
        ]

    losses, paths, counts = [], [], []
    for optimizer, name in (("gd", "SGD"), ("adagrad", LABELS["adagrad"])):
        part = results.where(optimizer=optimizer)
        shuffled = part.where(shuffle=True)
        in_one_order = part.chosen(lambda run: not run.shuffle or run.split == 1)
        losses.append(
            [
                panel(f"{name}, {title}", "test loss", both(order, test_loss))
                for title, order in (("shuffled", shuffled), ("in one order", in_one_order))
            ]
        )
        path = curves(shuffled, path_dependent, kind="linearized")
        paths.append(panel(f"{name}, shuffled", "path-dependent part, rms", path))
        counts.append(panel(f"{name}, shuffled", "steps", both(shuffled, steps)))
    return (*losses, paths, counts)


FIGURES = for_both(
    (4, 8),
    "Impact of stochastic training",
    claim="without adaptive optimization the test error is that of GD for a large range of "
    "batch sizes, with and without shuffling; with AdaGrad it depends on the batch size",
    scales=SCALES,
    fashion={"widths": (250, 1000)},
    grid=grid,
    panels=panels,
)
