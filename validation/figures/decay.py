"""Weight decay: how f_init fades, flips or stays, in linearized networks and in real ones.

Above: the share of f_init in f_t, ⟨f_t − f_int, f_init⟩/‖f_init‖², against 1 − c_t, where
c_t = (1 − ηw)^t. In a linearized network it falls to −(L − 1), in a real one like c_t^L. Below:
test losses on the way, beside those of the two minimizers, f_int + f_init and f_int.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import ntklin
from ntklin.validation.arrays import Array, namespace, on_host
from ntklin.validation.figures.configuration import Measurement
from ntklin.validation.figures.estimate import seconds_of_a_step
from ntklin.validation.figures.figure import Figure, Make, Scale
from ntklin.validation.figures.outcomes import Results
from ntklin.validation.figures.panel import Panel, Rows, Series
from ntklin.validation.figures.style import SIZES

if TYPE_CHECKING:
    from ntklin.theory.gradient_descent import LinearizedGradientDescent

LEVELS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
# Where the lines of the laws are drawn.
PLACES = np.linspace(0.0, 1.0, 51)
FADED = "decayed part $1 - c_t$"


@dataclass(frozen=True, kw_only=True)
class Faded:
    """What a run with weight decay leaves, at each level of c_t.

    Attributes
    ----------
    steps : tuple of int
        The first t at which c_t is not above the level,
    remaining : tuple of float
        and c_t there.
    shares, linearized_shares : tuple of float
        ⟨f_t − f_int, f_init⟩/‖f_init‖² on the test points, of both networks.
    losses, linearized_losses : tuple of float
        On the test points.
    train_losses : tuple of float
        Of the real network.
    interpolator_loss, minimizer_loss : float
        Test losses of f_int and of f_int + f_init.
    seconds : float
    """

    steps: tuple[int, ...]
    remaining: tuple[float, ...]
    shares: tuple[float, ...]
    linearized_shares: tuple[float, ...]
    losses: tuple[float, ...]
    linearized_losses: tuple[float, ...]
    train_losses: tuple[float, ...]
    interpolator_loss: float
    minimizer_loss: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Fading(Measurement):
    """Gradient descent with weight decay, of a network and its linearization.

    Attributes
    ----------
    decay : float
        w, in units of λ_min/N.
    levels : tuple of float
        Of c_t, falling: where the networks are looked at.
    """

    leaves: ClassVar[type] = Faded

    decay: float
    levels: tuple[float, ...]

    def measured(self, device: str) -> Faded:
        """Both networks at every level."""
        began = time.perf_counter()
        xp = namespace(device)
        X_test, Y_test = xp.asarray(self.arrays[2]), self.arrays[3]
        gd = self._linearized(xp)
        m = gd.linearization.minimizer(gd.targets)
        f_int, f_init = (on_host(f(X_test)) for f in (m.interpolator, m.initialization))
        steps = [_first_below(level, float(gd.shrinkage(1))) for level in self.levels]
        run = self._trained(gd, steps[-1], record=steps, X_record=X_test, snapshots=False)
        outputs = on_host(run.records.outputs)
        linearized = np.array([on_host(gd.predict(X_test, t)) for t in steps])

        def shares(f: Array) -> tuple[float, ...]:
            return tuple(((f - f_int) @ f_init / (f_init @ f_init)).tolist())

        def losses(f: Array) -> tuple[float, ...]:
            return tuple((((f - Y_test) ** 2).mean(axis=-1) / 2).tolist())

        interpolator_loss, minimizer_loss = losses(np.array([f_int, f_int + f_init]))
        return Faded(
            steps=tuple(steps),
            remaining=tuple(float(gd.shrinkage(t)) for t in steps),
            shares=shares(outputs),
            linearized_shares=shares(linearized),
            losses=losses(outputs),
            linearized_losses=losses(linearized),
            train_losses=tuple(on_host(run.records.losses).tolist()),
            interpolator_loss=interpolator_loss,
            minimizer_loss=minimizer_loss,
            seconds=time.perf_counter() - began,
        )

    def estimated_seconds(self, device: str) -> float:
        """Steps by the closed form, times the time of a step."""
        gd = self._linearized(namespace(device))
        step = seconds_of_a_step(lambda count: self._trained(gd, count))
        return _first_below(self.levels[-1], float(gd.shrinkage(1))) * step

    def _linearized(self, xp: ModuleType) -> LinearizedGradientDescent:
        """The linearization under this decay, at the default learning rate."""
        X, Y, *_ = (xp.asarray(a) for a in self.arrays)
        net, theta = self.network
        lin = ntklin.linearize(net, xp.asarray(theta), X)
        w = self.decay * float(lin.eigenvalues[0]) / self.n_train
        return lin.gradient_descent(Y, weight_decay=w)

    @staticmethod
    def _trained(gd: LinearizedGradientDescent, steps: int, **options: Any) -> ntklin.TrainingRun:
        """The real network by the same steps; its fit may get worse while it decays."""
        phi = gd.linearization.features
        rule = ntklin.GradientDescent(gd.learning_rate, weight_decay=gd.weight_decay)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
            return ntklin.train(
                phi.network, phi.parameters, phi.inputs, gd.targets, rule, steps, **options
            )


def _first_below(level: float, remaining: float) -> int:
    """The first t with remaining^t ≤ level."""
    return math.ceil(math.log(level) / math.log(remaining))


def grid(scale: Scale, make: Make) -> Iterator[Fading]:
    """Every width and seed; the widest networks first, which take longest."""
    for depth, widths in scale["layers"].items():
        for width in sorted(widths, reverse=True):
            for seed in range(scale["n_seeds"]):
                yield make(
                    depth=depth,
                    width=width,
                    sigma=1.0,
                    seed=seed,
                    decay=scale["decay"],
                    levels=scale["levels"],
                )


def panels(results: Results, scale: Scale) -> Rows:
    """Shares of f_init above, test losses below."""
    above, below = [], []
    for depth in results.values("depth"):
        part = results.where(depth=depth)
        shared: dict[str, Any] = {"title": f"$L = {depth}$", "x_label": FADED, "x_scale": "linear"}
        laws = (
            _line("$1 - L(1 - c_t)$", PLACES, 1 - depth * PLACES, "guide"),
            _line("$c_t^L$", PLACES, (1 - PLACES) ** depth, "sgd"),
        )
        above.append(
            Panel(
                **shared,
                y_label="share of $f_{init}$ in $f_t$",
                series=(*_curves(part, "shares", results), *laws),
                y_scale="linear",
            )
        )
        ends = (
            _line(label, PLACES, np.full(len(PLACES), _mean(part, name)), look)
            for label, name, look in (
                ("$f_{int} + f_{init}$", "minimizer_loss", "limit"),
                ("$f_{int}$", "interpolator_loss", "adam"),
            )
        )
        below.append(
            Panel(
                **shared,
                y_label="test loss",
                series=(*_curves(part, "losses", results), *ends),
            )
        )
    return above, below


def _line(label: str, x: Array, y: Array, look: str) -> Series:
    """A curve without draws."""
    draws = tuple((value,) for value in y.tolist())
    return Series(name=label, kind="closed", x=tuple(x.tolist()), draws=draws, look=look)


def _mean(part: Results, name: str) -> float:
    return float(np.mean([getattr(record, name) for _, record in part.items]))


def _curves(part: Results, name: str, results: Results) -> tuple[Series, ...]:
    """The networks' curves by width, and that of the widest's linearization."""
    looks = dict(zip(results.values("width"), SIZES, strict=False))
    widths = part.values("width")
    curves = [
        _curve(part.where(width=width), f"$m = {width}$", name, looks[width], "network")
        for width in widths
    ]
    widest = part.where(width=widths[-1])
    linearized = _curve(widest, "widest", f"linearized_{name}", "prediction", "linearized")
    return *curves, linearized


def _curve(part: Results, label: str, name: str, look: str, kind: str) -> Series:
    """Of one width: a draw for each seed, at the levels' own places."""
    found = [record for _, record in part.items]
    places = np.mean([record.remaining for record in found], axis=0)
    draws = zip(*(getattr(record, name) for record in found), strict=True)
    return Series(
        name=label, kind=kind, x=tuple((1 - places).tolist()), draws=tuple(draws), look=look
    )


def notes(results: Results) -> list[str]:
    """How the networks were trained."""
    ((run, _), *_) = results.items
    longest = max(record.steps[-1] for _, record in results.items)
    return [
        f"Gradient descent with weight decay w = {run.decay:g} λ_min/N and η = 0.5 N/(λ_max + N w),"
        f" up to {longest} steps; c_t = (1 − ηw)^t. f_int + f_init is the limit without decay"
    ]


FIGURES = (
    Figure(
        name="decay",
        title="Weight decay and what it makes of the initialization, MNIST",
        dataset="mnist01",
        claim="in the linearized network decay takes f_init away at c_t = 1 − 1/L and then turns "
        "its sign, up to −(L − 1) of it; a real network's features shrink with θ, and leave c_t^L",
        scales={
            "quick": {
                **{"n_train": 10, "n_test": 50, "n_seeds": 2, "decay": 0.1},
                **{"levels": (0.9, 0.7, 0.5, 0.3), "layers": {2: (32, 64, 128), 3: (32,)}},
            },
            "standard": {
                **{"n_train": 20, "n_test": 200, "n_seeds": 5, "decay": 0.1, "levels": LEVELS},
                "layers": {2: (100, 300, 1000), 3: (100, 300)},
            },
            "paper": {
                **{"n_train": 100, "n_test": 200, "n_seeds": 10, "decay": 0.1, "levels": LEVELS},
                "layers": {2: (300, 1000, 4000), 3: (300, 1000)},
            },
        },
        grid=grid,
        panels=panels,
        task=Fading,
        notes=notes,
    ),
)
