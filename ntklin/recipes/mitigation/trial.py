"""One network trained and judged: by its loss on samples that training does not see."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from ntklin.edge.arrays import Array
from ntklin.edge.errors import DegenerateKernelError, DivergenceError
from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network
from ntklin.networks.symmetrized import AntisymmetricPair
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.stops import TimeLimit
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.linearization import Linearization
from ntklin.training.train import train
from ntklin.training.training_run import TrainingRun

CONVERGED = "converged"
STEP_LIMIT = "step limit"
TIME_LIMIT = TimeLimit.name
DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What training one network gave.

    Attributes
    ----------
    network : MLP, AntisymmetricPair or DoubledNetwork
        ``network.sigma`` is its σ, ``network.n_parameters`` the price in memory.
    outcome : str
        "converged": the training loss fell below the target. Else "step limit", "time limit" or
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
    """

    network: MLP | AntisymmetricPair
    outcome: str
    steps: int
    seconds: float
    training_loss: float | None = None
    validation_loss: float | None = None
    test_loss: float | None = None
    initialization_size: float | None = None

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
        size = self._initialization_size(network, theta)
        began = time.perf_counter()
        report = None if self.progress is None else partial(self.progress, network)
        try:
            run = train(
                network,
                theta,
                *self.training,
                optimizer,
                steps=self.max_steps,
                until=self.until,
                stop=None if self.time_limit is None else TimeLimit(self.time_limit),
                progress=report,
                **self.options,
            )
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

    def _initialization_size(self, network: MLP | AntisymmetricPair, theta: Array) -> float | None:
        X, Y = self.training
        lin = Linearization(FeatureSource(network.features(theta, X)))
        try:
            return lin.minimizer(Y).initialization_size(self.validation[0])
        except DegenerateKernelError:
            return None
