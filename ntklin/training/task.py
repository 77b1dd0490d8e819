"""Training of one real network, or of several at once, as the loop of all runs sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.networks.descriptions import describe_network
from ntklin.networks.network import Network
from ntklin.runs import checkpoint
from ntklin.runs.batches import BatchSource
from ntklin.runs.loop import Track
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.stability import stability_bound
from ntklin.runs.task import Task
from ntklin.training.descents import ENGINES
from ntklin.training.recording import TrainingRecorder
from ntklin.training.training_run import TrainingRun


@dataclass(frozen=True, eq=False)
class TrainingTask(Task):
    """Training of a network from θ_0, with arrays that are checked and of one dtype.

    Attributes
    ----------
    net : Network
    theta : ndarray, shape (P,)
        θ_0; (S, P) of S networks that are trained at once.
    X : ndarray, shape (N, d)
    targets : ndarray, shape (N,), or (N, C) of more than one output
    optimizer : Optimizer
        With its learning rate.
    loss : Loss
    batches : Batches, iterable of index arrays, or None
    method : str
        Of the engine, or "auto".
    """

    net: Network
    theta: Array
    X: Array
    targets: Array
    optimizer: Optimizer
    loss: Loss = field(default_factory=Loss)
    batches: BatchSource | None = None
    method: str = "auto"

    engines = ENGINES
    search = "ntklin.largest_learning_rate"

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of X, Y and θ."""
        return self.X.dtype

    @property
    def fingerprints(self) -> Mapping[str, Any]:
        """By which a saved run knows its network, θ_0 and X."""
        return {
            "network": describe_network(self.net),
            "theta": checkpoint.digest(self.theta),
            "X": checkpoint.digest(self.X),
        }

    def outcome(self, engine: Any, track: Track) -> TrainingRun:
        """The run, from its engine and its track."""
        losses, recorder = np.array(track.losses), track.recorder
        if not isinstance(recorder, TrainingRecorder):
            recorder = TrainingRecorder.of_nothing(self)
        return TrainingRun(
            network=self.net,
            parameters=engine.parameters(),
            losses=losses,
            converged=track.converged,
            ended_by=track.ended_by,
            optimizer=self.optimizer,
            method=engine.method,
            loss=self.loss.name,
            rates=self.rates(track.taken),
            records=recorder.records(losses),
            identity=self.identity,
            arrays=engine.arrays(),
        )

    def initial_outputs(self) -> Any:
        """f_0(X), (N,) or (N, C)."""
        return self.net.apply(self.theta, self.X)

    def stability_bound(self) -> float:
        """2N/λ_max(K(X, X)) at θ_0."""
        return stability_bound(self.net.features(self.theta, self.X))

    def of_several(self, theta: Array, optimizer: Any) -> TrainingTask:
        """The same task for several networks, (S, P)."""
        return replace(self, theta=theta, optimizer=optimizer)
