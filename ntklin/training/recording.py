"""What training records at chosen steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, namespace
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.ranges import length, norm
from ntklin.edge.sendable import Sendable
from ntklin.networks.network import Network, as_feature_operator, n_outputs_of
from ntklin.networks.weighted import as_weighted
from ntklin.runs.checkpoint import digest
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.optimizers import GradientDescent
from ntklin.runs.recording import Moment, Record, RecordedSteps, Recorder
from ntklin.runs.stability import largest_by_products

if TYPE_CHECKING:
    from ntklin.training.task import TrainingTask


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class TrainingRecords(Shown, Sendable):
    """What training recorded at chosen steps.

    Attributes
    ----------
    steps : ndarray of int, shape (K,)
        The recorded t, counted from θ_0.
    losses : ndarray, shape (K,)
        L(θ_t).
    distances : ndarray, shape (K,)
        ‖θ_t − θ_0‖.
    initial_norm : float
        ‖θ_0‖.
    outputs : ndarray, shape (K, N') or (K, N', C), or None
        f_{θ_t}(X_record), where that was given.
    sharpness : ndarray, shape (K,), or None
        λ_max(K_{D_{t−1}}(X, X))/N at θ_t, where that was asked for.
    snapshots : tuple of ndarray, shape (P,), or None
        θ_t at each recorded step; None where they were switched off.
    inputs : str or None
        The fingerprint of X_record, by which a continued run knows it.
    """

    steps: Array
    losses: Array
    distances: Array
    initial_norm: float
    outputs: Array | None
    sharpness: Array | None
    snapshots: tuple[Array, ...] | None = field(repr=False)
    inputs: str | None = field(repr=False)

    @property
    def relative_distances(self) -> Array:
        """‖θ_t − θ_0‖ / ‖θ_0‖, shape (K,)."""
        return self.distances / self.initial_norm

    def _facts(self) -> Facts:
        steps, snapshots = self.steps, None
        if self.snapshots is not None:
            snapshots = len(self.snapshots)
        span = f"{int(steps[0]):,} to {int(steps[-1]):,}" if len(steps) else None
        return facts(
            "TrainingRecords",
            recorded=len(steps),
            steps=span,
            initial_norm=float(self.initial_norm),
            outputs=self.outputs,
            sharpness=self.sharpness,
            snapshots=snapshots,
        )


class Distance(Record):
    """‖θ_t − θ_0‖, in float64."""

    name = "distances"

    def __init__(self, start: Array) -> None:
        self._start = start

    def take(self, moment: Moment) -> float:
        """‖θ_t − θ_0‖."""
        return length(moment.parameters.astype(np.float64, copy=False) - self._start)

    def nbytes(self) -> int:
        """Nothing to speak of."""
        return 0


class Outputs(Record):
    """f_{θ_t}(X_record)."""

    name = "outputs"

    def __init__(self, net: Network, X: Array) -> None:
        self._net, self._X = net, X

    def take(self, moment: Moment) -> Array:
        """f_{θ_t}(X_record)."""
        return self._net.apply(moment.parameters, self._X)

    def nbytes(self) -> int:
        """N' C numbers."""
        return len(self._X) * n_outputs_of(self._net) * self._X.itemsize


class Sharpness(Record):
    """λ_max(K_D(X, X))/N at θ_t with the D of the latest step, by products with φ alone.

    Of K_D = φ D φ^T, which has the eigenvalues of D^{1/2} φ^T φ D^{1/2} and N of them.
    """

    name = "sharpness"
    #: What Lanczos' recursion may leave, relative.
    tolerance = 1e-6

    def __init__(self, net: Network, X: Array, optimizer: Optimizer) -> None:
        self._net, self._X, self._optimizer = net, X, optimizer

    def take(self, moment: Moment) -> float:
        """λ_max/N; NaN before the first step where D is known only after it."""
        phi = as_feature_operator(self._net.features(moment.parameters, self._X))
        if not isinstance(self._optimizer, GradientDescent):
            if not moment.step:
                return np.nan
            D: Any = self._optimizer.preconditioner(moment.optimizer_state)
            phi = as_weighted(phi, D)
        return largest_by_products(phi, self.tolerance) / len(self._X)

    def nbytes(self) -> int:
        """Nothing to speak of."""
        return 0


class Parameters(Record):
    """θ_t."""

    name = "snapshots"

    def __init__(self, start: Array) -> None:
        self._start = start

    def take(self, moment: Moment) -> Array:
        """θ_t, a copy."""
        return moment.parameters

    def nbytes(self) -> int:
        """P numbers."""
        return self._start.nbytes


class TrainingRecorder(Recorder):
    """Keeps what ``train`` records.

    Parameters
    ----------
    when : RecordedSteps or None
        None where nothing more is recorded.
    net : Network
    theta : ndarray, shape (P,)
        θ_0.
    X_record : ndarray, shape (N', d), or None
    snapshots : bool
    sharpness : Sharpness, optional
    past : TrainingRecords, optional
        Of the run that is continued.

    Raises
    ------
    ValueError
        If the records would not go on as they began.
    """

    def __init__(
        self,
        when: RecordedSteps | None,
        net: Network,
        theta: Array,
        X_record: Array | None,
        snapshots: bool,
        sharpness: Sharpness | None = None,
        past: TrainingRecords | None = None,
    ) -> None:
        records: list[Record] = [Distance(theta)]
        records += [] if X_record is None else [Outputs(net, X_record)]
        records += [] if sharpness is None else [sharpness]
        records += [Parameters(theta)] if snapshots else []
        less = ["snapshots=False"] if snapshots else []
        less += [] if X_record is None else ["fewer rows of X_record"]
        super().__init__(
            RecordedSteps(None) if when is None else when,
            records,
            what="recording {count} more step{s}",
            advice=f"record fewer of them{', or pass ' if less else ''}{' or '.join(less)}",
            beside=theta,
        )
        self._start = theta
        self._shape: tuple[int, ...] = ()
        if X_record is not None:
            self._shape = (len(X_record), n_outputs_of(net))[: 1 + (n_outputs_of(net) > 1)]
        self._inputs = None if X_record is None else digest(X_record)
        self._initial_norm = norm(theta)
        if past is not None and len(past.steps):
            if when is not None:
                self._require_the_same(past, snapshots, sharpness is not None)
            self._inputs = past.inputs
            kept = {"distances": past.distances.tolist()}
            if past.outputs is not None:
                kept["outputs"] = beside(past.outputs, theta)
                self._shape = past.outputs.shape[1:]
            if past.sharpness is not None:
                kept["sharpness"] = past.sharpness.tolist()
            if past.snapshots is not None:
                kept["snapshots"] = [beside(one, theta) for one in past.snapshots]
            self.resume(past.steps.tolist(), kept)

    @classmethod
    def of_nothing(cls, task: TrainingTask) -> Self:
        """One that records nothing of a task."""
        return cls(None, task.net, task.theta, None, snapshots=True)

    def _require_the_same(self, past: TrainingRecords, snapshots: bool, sharpness: bool) -> None:
        if past.inputs != self._inputs:
            was = "another X_record" if past.inputs is not None else "no X_record"
            raise ValueError(f"resume continues records of {was}; pass the same, or no record")
        for name, wanted in (("snapshots", snapshots), ("sharpness", sharpness)):
            had = getattr(past, name) is not None
            if had != wanted:
                raise ValueError(
                    f"resume continues records with {name}={had}, not {wanted}; pass the same, or "
                    "no record"
                )

    def _stacked(self, outputs: list[Array]) -> Array:
        """f_{θ_t}(X_record) at all steps, (K, N') or (K, N', C)."""
        rows = namespace(self._start).empty((len(outputs), *self._shape), self._start.dtype)
        for row, f in zip(rows, outputs, strict=True):
            row[:] = f
        return rows

    def records(self, losses: Array) -> TrainingRecords:
        """What was recorded so far.

        Parameters
        ----------
        losses : ndarray
            L(θ_0) … L(θ_t).

        Returns
        -------
        TrainingRecords
        """
        steps, outputs = np.array(self.steps, np.int64), self.values.get("outputs")
        if outputs is not None:
            outputs = self._stacked(outputs)
        sharpness, snapshots = (self.values.get(name) for name in ("sharpness", "snapshots"))
        return TrainingRecords(
            steps=steps,
            losses=losses[steps],
            distances=np.array(self.values["distances"]),
            initial_norm=self._initial_norm,
            outputs=outputs,
            sharpness=None if sharpness is None else np.array(sharpness, np.float64),
            snapshots=None if snapshots is None else tuple(snapshots),
            inputs=self._inputs,
        )
