"""The grid of Figures 3, 5, 7 and 9: optimizers against the width, for L = 2 and 3."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ntklin.validation.figures.configuration import Run
from ntklin.validation.figures.figure import Height, Make, Scale, method_curves, scales, taking
from ntklin.validation.figures.outcomes import Results
from ntklin.validation.figures.panel import Series

# For L layers. The smaller, the less f_init hides what optimizers do, and the more steps it takes:
# for L = 3 gradient descent took 40,000 at σ = 1/2.
SIGMAS = {2: 0.5, 3: 1.0}

SCALES = scales(
    quick={"sigmas": SIGMAS, "layers": {2: (64, 256), 3: (32, 64)}},
    standard={
        "sigmas": SIGMAS,
        "layers": {2: (250, 500, 1000, 2000, 4000), 3: (100, 200, 400)},
    },
    paper={
        "sigmas": SIGMAS,
        "layers": {2: (500, 1000, 2000, 4000, 8000), 3: (250, 500, 1000, 2000)},
    },
)


def grid(methods: Sequence[str]) -> Callable[[Scale, Make], Iterator[Run]]:
    """``grid(scale, make)`` for some methods; the widest networks first, which take longest."""

    def runs(scale: Scale, make: Make) -> Iterator[Run]:
        for depth, widths in scale["layers"].items():
            for width in sorted(widths, reverse=True):
                for seed in range(scale["n_seeds"]):
                    for method in methods:
                        yield make(
                            depth=depth,
                            width=width,
                            sigma=scale["sigmas"][depth],
                            seed=seed,
                            **taking(method),
                        )

    return runs


def curves(results: Results, y: Height, **options: Any) -> list[Series]:
    """One curve against the width for each method."""
    return method_curves(results, "width", y, **options)


def by_depth(results: Results) -> list[tuple[str, Results]]:
    """(title, results) for each depth."""
    parts = [(depth, results.where(depth=depth)) for depth in results.values("depth")]
    return [
        (rf"$L = {depth}$, $\sigma = {part.values('sigma')[0]:g}$", part) for depth, part in parts
    ]
