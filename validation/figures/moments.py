"""SGD's exact moments beside real networks: mean loss, scatter of outputs, and stable rates.

Left and middle: E L_t and the root of the mean variance of f_t on the test points, over the random
batches of b samples, from ``lin.moments``; beside them 200 networks that were trained from one θ_0
on batches drawn independently. Right: the learning rate below which E L_t converges.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import ntklin
from ntklin.validation.arrays import namespace, on_host
from ntklin.validation.figures.configuration import Measurement
from ntklin.validation.figures.estimate import seconds_of_a_step
from ntklin.validation.figures.figure import Figure, Make, Scale
from ntklin.validation.figures.outcomes import Results
from ntklin.validation.figures.panel import Guide, Panel, Rows, Series
from ntklin.validation.figures.style import SIZES

# Whose scatter is one draw of it.
GROUP = 20


@dataclass(frozen=True, kw_only=True)
class Scattered:
    """What SGD's runs from one θ_0 leave.

    Attributes
    ----------
    learning_rate : float
    stable_rate : float
        Below which E L_t converges,
    descents_rate : float
        and that of gradient descent, 2N/λ_max.
    expected_losses, expected_deviations : tuple of float
        E L_t, and the root of the mean over the test points of Var f_t, by the recursion.
    losses : tuple of tuple of float
        L_t of each real run, by steps.
    deviations : tuple of tuple of float
        The same root, by steps and groups of runs.
    seconds : float
    """

    learning_rate: float
    stable_rate: float
    descents_rate: float
    expected_losses: tuple[float, ...]
    expected_deviations: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    deviations: tuple[tuple[float, ...], ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Scattering(Measurement):
    """SGD on batches drawn independently, of the linearization exactly and of real networks.

    Attributes
    ----------
    batch_size : int
    rate : float
        η in units of N/λ_max, the same for all batch sizes.
    steps : tuple of int
        t at which the networks are looked at.
    n_runs : int
        Real networks, all from one θ_0.
    """

    leaves: ClassVar[type] = Scattered

    batch_size: int
    rate: float
    steps: tuple[int, ...]
    n_runs: int

    def measured(self, device: str) -> Scattered:
        """The recursion's moments and those of the runs."""
        began = time.perf_counter()
        X, Y, X_test, _ = self.arrays
        net, theta = self.network
        lin = ntklin.linearize(net, theta, X)
        bound = lin.max_learning_rate
        moments = lin.moments(Y, self.rate * bound / 2, self.batch_size)
        variances = [moments.covariance(X_test, t).diagonal().mean() for t in self.steps]
        losses = np.empty((self.n_runs, len(self.steps)))
        outputs = np.empty((*losses.shape, self.n_test))
        for k in range(self.n_runs):  # of each run a few numbers stay, and not its parameters
            run = self._trained(k, moments.learning_rate, device)
            losses[k], outputs[k] = run.records.losses, on_host(run.records.outputs)
        groups = outputs.reshape(-1, min(GROUP, self.n_runs), *outputs.shape[1:])
        deviations = np.sqrt(groups.var(axis=1, ddof=1).mean(axis=-1))
        return Scattered(
            learning_rate=moments.learning_rate,
            stable_rate=moments.max_learning_rate,
            descents_rate=bound,
            expected_losses=tuple(moments.loss(np.array(self.steps)).tolist()),
            expected_deviations=tuple(np.sqrt(variances).tolist()),
            losses=tuple(map(tuple, losses.T.tolist())),
            deviations=tuple(map(tuple, deviations.T.tolist())),
            seconds=time.perf_counter() - began,
        )

    def estimated_seconds(self, device: str) -> float:
        """Of the real runs, by the time of a step."""
        X, *_ = self.arrays
        net, theta = self.network
        rate = self.rate * ntklin.linearize(net, theta, X).max_learning_rate / 2
        step = seconds_of_a_step(lambda count: self._trained(0, rate, device, count))
        return self.n_runs * self.steps[-1] * step

    def _trained(
        self, seed: int, rate: float, device: str, count: int | None = None
    ) -> ntklin.TrainingRun:
        """A real network after ``count`` steps on random batches, recorded where it was asked."""
        xp = namespace(device)
        X, Y, X_test, _ = self.arrays
        net, theta = self.network
        count = self.steps[-1] if count is None else count
        rng = np.random.default_rng([self.seed, seed])
        batches = (rng.choice(len(X), self.batch_size, replace=False) for _ in range(count))
        theta, X, Y, X_test = (xp.asarray(a) for a in (theta, X, Y, X_test))
        return ntklin.train(
            net,
            theta,
            X,
            Y,
            ntklin.GradientDescent(rate),
            steps=count,
            batches=batches,
            record=[t for t in self.steps if t <= count],
            X_record=X_test,
            snapshots=False,
        )


def grid(scale: Scale, make: Make) -> Iterator[Scattering]:
    """Every batch size, the smallest first: it scatters most."""
    names = ("depth", "width", "sigma", "rate", "steps", "n_runs")
    for batch_size in scale["batch_sizes"]:
        yield make(batch_size=batch_size, seed=0, **{name: scale[name] for name in names})


def panels(results: Results, scale: Scale) -> Rows:
    """Losses, deviations, stable rates."""
    losses, deviations = [], []
    for (run, found), look in zip(results.items, SIZES, strict=False):
        label = f"$b = {run.batch_size}$"
        for curves, real, exact in (
            (losses, found.losses, found.expected_losses),
            (deviations, found.deviations, found.expected_deviations),
        ):
            draws = tuple((value,) for value in exact)
            shared = {"name": label, "x": tuple(map(float, run.steps)), "look": look}
            curves.append(Series(**shared, draws=real, error="sem"))
            curves.append(Series(**shared, draws=draws, kind="linearized"))
    ((run, found), *_) = results.items
    stable = Series(
        name=r"$\eta(b)$",
        kind="linearized",
        x=tuple(float(run.batch_size) for run, _ in results.items),
        draws=tuple((found.stable_rate / found.descents_rate,) for _, found in results.items),
        look="prediction",
    )
    sizes = results.values("batch_size")
    title = f"$L = {run.depth}$, $m = {run.width}$"
    return (
        [
            Panel(title=title, x_label="step $t$", y_label="training loss", series=tuple(losses)),
            Panel(
                title=title,
                x_label="step $t$",
                y_label="deviation of $f_t$ on test points",
                series=tuple(deviations),
            ),
            Panel(
                title=title,
                x_label="batch size $b$",
                y_scale="linear",
                y_label=r"$\eta(b)$ / $(2N/\lambda_{max})$",
                series=(stable,),
                guides=(
                    Guide(
                        label=r"$\eta$ here",
                        x=(sizes[0], sizes[-1]),
                        y=(run.rate / 2, run.rate / 2),
                    ),
                ),
            ),
        ],
    )


def notes(results: Results) -> list[str]:
    """How the networks were trained."""
    ((run, _), *_) = results.items
    return [
        f"SGD with η = {run.rate:g} N/λ_max on batches of b samples drawn independently in each "
        f"step: means and standard errors of {run.n_runs} networks from one θ_0, and dashed the "
        "exact moments of the linearization over all batches"
    ]


FIGURES = (
    Figure(
        name="moments",
        title="SGD's mean and covariance, MNIST",
        dataset="mnist01",
        claim="mean loss and scatter of wide networks under SGD are those of the recursion, and "
        "small batches have a smaller stable learning rate",
        scales={
            "quick": {
                **{"n_train": 10, "n_test": 50, "n_seeds": 1, "depth": 2, "width": 256},
                **{"sigma": 1.0, "rate": 0.8, "n_runs": 20, "steps": (1, 3, 10, 30)},
                "batch_sizes": (1, 2, 5),
            },
            "standard": {
                **{"n_train": 100, "n_test": 100, "n_seeds": 1, "depth": 2, "width": 4000},
                **{"sigma": 1.0, "rate": 0.8, "n_runs": 200},
                "steps": (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
                "batch_sizes": (1, 4, 20),
            },
            "paper": {
                **{"n_train": 100, "n_test": 100, "n_seeds": 1, "depth": 2, "width": 8000},
                **{"sigma": 1.0, "rate": 0.8, "n_runs": 1000},
                "steps": (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
                "batch_sizes": (1, 4, 20),
            },
        },
        grid=grid,
        panels=panels,
        task=Scattering,
        notes=notes,
    ),
)
