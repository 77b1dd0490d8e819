"""One network trained and judged: by its loss on samples that training does not see."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.errors import DegenerateKernelError, DivergenceError
from ntklin.edge.ranges import norm
from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network
from ntklin.networks.symmetrized import AntisymmetricPair
from ntklin.recipes.mitigation.half_life import DecayCourse
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.stops import TimeLimit
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.linearization import Linearization
from ntklin.theory.minimizer import Minimizer
from ntklin.training.train import train
from ntklin.training.training_run import TrainingRun

CONVERGED = "converged"
STEP_LIMIT = "step limit"
TIME_LIMIT = TimeLimit.name
DIVERGED = "diverged"
HALF_LIFE = "half-life"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What training one network gave.

    Attributes
    ----------
    network : MLP, AntisymmetricPair or DoubledNetwork
        ``network.sigma`` is its σ, ``network.n_parameters`` the price in memory.
    outcome : str
        "converged": the training loss fell below the target. "half-life": weight decay has come
        to the step at which the linearized network is f_int. Else "step limit", "time limit" or
        "diverged".
    steps : int
        The number of steps taken.
    seconds : float
        How long they took.
    training_loss : float or None
        After them; None when training diverged, as all that follows.
    validation_loss : float or None
        Of the trained network on the validation set.
    test_loss : float or None
        On the test set; None without one. Nothing is chosen by it.
    initialization_size : float or None
        ‖f_init(X_val)‖/√(2N_val) of the linearization at θ_0: what Thm 1 predicts that the
        initialization leaves, in units of the root of a validation loss. None where K(X, X) is
        singular to working precision.
    interpolator_distance : float or None
        ‖f(X_val) − f_int(X_val)‖/√(2N_val), in the same units, of the trained network from the
        interpolator of its linearization at θ_0. None there, too, and of other losses than the
        squared one, which have other targets.
    weight_decay : float
        What it was trained with.
    """

    network: MLP | AntisymmetricPair
    outcome: str
    steps: int
    seconds: float
    training_loss: float | None = None
    validation_loss: float | None = None
    test_loss: float | None = None
    initialization_size: float | None = None
    interpolator_distance: float | None = None
    weight_decay: float = 0.0

    @property
    def sigma(self) -> float:
        """The network's σ."""
        return self.network.sigma

    @property
    def converged(self) -> bool:
        """Whether the training loss fell below the target."""
        return self.outcome == CONVERGED


@dataclass(frozen=True, eq=False, kw_only=True)
class Contest:
    """What all trials have in common: data, optimizer, and when training counts as too slow.

    Attributes
    ----------
    training, validation : pair of ndarray
        X, Y.
    test : pair of ndarray, or None
    optimizer : Optimizer, callable or None
        A callable is asked for the optimizer of each network.
    until, max_steps, time_limit : float, int, float or None
    options : dict
        More for ``train``: ``batches`` and ``loss``.
    progress : callable or None
    """

    training: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array] | None
    optimizer: Optimizer | Callable[[MLP | AntisymmetricPair], Optimizer | None] | None
    until: float
    max_steps: int
    time_limit: float | None
    options: dict[str, Any] = field(default_factory=dict)
    progress: Callable[[MLP | AntisymmetricPair, int, float], object] | None = None

    def enter(
        self, network: MLP | AntisymmetricPair, theta: Array
    ) -> tuple[Trial, TrainingRun | None, DivergenceError | None]:
        """Train ``network`` from ``theta``.

        Returns
        -------
        trial : Trial
        run : TrainingRun or None
        error : DivergenceError or None
            In place of the run, when training diverged.

        Raises
        ------
        TrainingInterrupted
            On Ctrl-C.
        """
        optimizer = self.optimizer(network) if callable(self.optimizer) else self.optimizer
        return self._judged(
            network,
            theta,
            lambda: train(
                network,
                theta,
                *self.training,
                optimizer,
                steps=self.max_steps,
                until=self.until,
                stop=self._limit,
                progress=self._report(network),
                **self.options,
            ),
        )

    def enter_decay(self, network: MLP, theta: Array, course: DecayCourse) -> Trial:
        """Train ``network`` from ``theta`` with weight decay, to the half-life or the limits.

        Returns
        -------
        Trial

        Raises
        ------
        TrainingInterrupted
            On Ctrl-C.
        """
        report, most = self._report(network), self.max_steps
        trial, _, _ = self._judged(
            network,
            theta,
            lambda: course.run(
                network, theta, *self.training, max_steps=most, stop=self._limit, progress=report
            ),
        )
        if trial.outcome == STEP_LIMIT and trial.steps == course.steps:
            trial = replace(trial, outcome=HALF_LIFE)
        return replace(trial, weight_decay=course.weight_decay)

    @property
    def _limit(self) -> TimeLimit | None:
        return None if self.time_limit is None else TimeLimit(self.time_limit)

    def _report(self, network: MLP | AntisymmetricPair) -> Callable[[int, float], object] | None:
        return None if self.progress is None else partial(self.progress, network)

    def _judged(
        self, network: MLP | AntisymmetricPair, theta: Array, training: Callable[[], TrainingRun]
    ) -> tuple[Trial, TrainingRun | None, DivergenceError | None]:
        """What ``enter`` returns, of any training from ``theta``."""
        minimizer = self._minimizer(network, theta)
        X_val = self.validation[0]
        size = None if minimizer is None else minimizer.initialization_size(X_val)
        began = time.perf_counter()
        try:
            run = training()
        except DivergenceError as e:
            seconds = time.perf_counter() - began
            trial = Trial(
                network=network, outcome=DIVERGED, steps=cast(int, e.step), seconds=seconds
            )
            return trial, None, e
        seconds = time.perf_counter() - began
        late = run.ended_by == TimeLimit.name
        outcome = CONVERGED if run.converged else TIME_LIMIT if late else STEP_LIMIT
        trial = Trial(
            network=network,
            outcome=outcome,
            steps=run.steps,
            seconds=seconds,
            training_loss=float(run.losses[-1]),
            validation_loss=self._loss(run.predict, self.validation, "val"),
            test_loss=None if self.test is None else self._loss(run.predict, self.test, "test"),
            initialization_size=size,
            interpolator_distance=self._distance(run, minimizer),
        )
        return trial, run, None

    def require_losses(self, network: Network, theta: Array) -> None:
        """Refuse samples whose losses leave the range at the start, before anything is trained."""
        for samples, which in ((self.validation, "val"), (self.test, "test")):
            if samples is not None:
                self._loss(lambda X: network.apply(theta, X), samples, which)

    def _loss(
        self, predict: Callable[[Array], Array], samples: tuple[Array, Array], which: str
    ) -> float:
        X, Y = samples
        kind, outputs = Loss(self.options.get("loss", "squared")), predict(X)
        value = kind.value(outputs, Y)
        name = f"Y_{which}"
        kind.require_in_range(value, lambda: outputs, Y, f"the loss on {name}", f"scale {name}")
        return value

    def _minimizer(self, network: MLP | AntisymmetricPair, theta: Array) -> Minimizer | None:
        """Of the linearization at θ; None where its kernel is singular to working precision."""
        X, Y = self.training
        lin = Linearization(FeatureSource(network.features(theta, X)))
        try:
            return lin.minimizer(Y)
        except DegenerateKernelError:
            return None

    def _distance(self, run: TrainingRun, minimizer: Minimizer | None) -> float | None:
        """‖f(X_val) − f_int(X_val)‖/√(2N_val), where there is such an f_int."""
        if minimizer is None or self.options.get("loss", "squared") != "squared":
            return None
        X_val = self.validation[0]
        apart = host(run.predict(X_val)).astype(np.float64) - host(minimizer.interpolator(X_val))
        return norm(apart) / math.sqrt(2 * len(X_val))
