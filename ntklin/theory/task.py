"""Training of the linearized network, as the loop of all runs sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import freeze
from ntklin.runs.batches import BatchSource
from ntklin.runs.loop import Track
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.recording import Moment
from ntklin.runs.task import Task
from ntklin.theory.engines import ENGINES
from ntklin.theory.linearized_run import LinearizedRun
from ntklin.theory.snapshots import SnapshotRecorder, Weights

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization


@dataclass(frozen=True, eq=False)
class LinearizedTask(Task):
    """Training of f_t = f_0 + φ(X)(θ_t − θ_0) from θ_0.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,) or (N, C)
        Of the dtype of its features.
    optimizer : Optimizer
        With its learning rate.
    loss : Loss
    batches : Batches, iterable of index arrays, or None
    method : str
        Of the engine, or "auto".
    """

    linearization: Linearization
    targets: Array
    optimizer: Optimizer
    loss: Loss = field(default_factory=Loss)
    batches: BatchSource | None = None
    method: str = "auto"

    engines = ENGINES
    search = "ntklin.search_learning_rate"

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the features."""
        return self.linearization.features.dtype

    @property
    def fingerprints(self) -> Mapping[str, Any]:
        """By which a saved run knows its network, θ_0 and X."""
        return self.linearization.fingerprints

    def outcome(self, engine: Any, track: Track) -> LinearizedRun:
        """The run, from its engine and its track."""
        recorder = track.recorder
        recorded = isinstance(recorder, SnapshotRecorder)
        moment = Moment(engine, track.taken)
        return LinearizedRun(
            linearization=self.linearization,
            targets=self.targets,
            optimizer=self.optimizer,
            loss=self.loss.name,
            rates=self.rates(track.taken),
            batches=self.batches,
            method=engine.method,
            losses=np.array(track.losses),
            converged=track.converged,
            ended_by=track.ended_by,
            displacement=freeze(moment.displacement),
            outputs=freeze(moment.outputs),
            weights=Weights(self.optimizer).take(moment),
            snapshots=recorder.snapshots() if recorded else (),
            first_weights=recorder.first_weights if recorded else None,
            identity=self.identity,
            arrays=engine.arrays(),
        )

    def initial_outputs(self) -> Any:
        """f_0(X), (N,) or (N, C)."""
        return self.linearization.features.outputs

    def stability_bound(self) -> float:
        """2N/λ_max(K(X, X)) at θ_0."""
        return self.linearization.max_learning_rate
