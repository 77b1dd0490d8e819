"""What training records at chosen steps."""

from dataclasses import dataclass, field

import numpy as np

from ntklin.edge.backends import beside, namespace
from ntklin.edge.checks import require_memory
from ntklin.edge.sendable import Sendable
from ntklin.runs.checkpoint import digest
from ntklin.runs.stepping import Record


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRecords(Sendable):
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
    outputs : ndarray, shape (K, N'), or None
        f_{θ_t}(X_record), where that was given.
    snapshots : tuple of ndarray, shape (P,), or None
        θ_t at each recorded step; None where they were switched off.
    inputs : str or None
        The fingerprint of X_record, by which a continued run knows it.
    """

    steps: np.ndarray
    losses: np.ndarray
    distances: np.ndarray
    initial_norm: float
    outputs: np.ndarray | None
    snapshots: tuple | None = field(repr=False)
    inputs: str | None = field(repr=False)

    @property
    def relative_distances(self):
        """‖θ_t − θ_0‖ / ‖θ_0‖, shape (K,)."""
        return self.distances / self.initial_norm


class Recorder:
    """Collects records while a run goes on.

    Parameters
    ----------
    record : Record or None
        None where nothing more is recorded.
    net : object
    theta : ndarray, shape (P,)
        θ_0.
    X_record : ndarray, shape (N', d), or None
    snapshots : bool
    past : TrainingRecords, optional
        Of the run that is continued.

    Raises
    ------
    ValueError
        If the records would not go on as they began.
    """

    def __init__(self, record, net, theta, X_record, snapshots, past=None):
        self._net, self._start, self._X = net, theta, X_record
        self._inputs = None if X_record is None else digest(X_record)
        self._snapshots = [] if snapshots else None
        self._outputs = None if X_record is None else []
        self._steps, self._distances = [], []
        self._initial_norm = float(np.linalg.norm(theta.astype(np.float64, copy=False)))
        if past is not None and len(past.steps):
            self._go_on(past, checked=record is not None)
        self._record = Record(None) if record is None else record

    def _go_on(self, past, checked):
        if checked and past.inputs != self._inputs:
            was = "another X_record" if past.inputs is not None else "no X_record"
            raise ValueError(f"resume continues records of {was}; pass the same, or no record")
        if checked and (past.snapshots is None) != (self._snapshots is None):
            raise ValueError(
                f"resume continues records with snapshots={past.snapshots is not None}, not "
                f"{self._snapshots is not None}; pass the same, or no record"
            )
        self._inputs = past.inputs
        self._steps, self._distances = past.steps.tolist(), past.distances.tolist()
        self._outputs = None
        if past.outputs is not None:
            self._outputs = list(beside(past.outputs, self._start))
        self._snapshots = None
        if past.snapshots is not None:
            self._snapshots = [beside(theta, self._start) for theta in past.snapshots]

    def begin(self, step, stop, engine):
        """Refuse what will not fit, and record the first step if it is one to record.

        Parameters
        ----------
        step, stop : int
            The first and last step; ``stop`` is None where it is not known.
        engine : object
            With ``parameters()``, at the first step.
        """
        due = step in self._record and step not in self._steps
        to_come = 0 if stop is None else self._record.count(stop) - self._record.count(step)
        self._require_memory(max(0, to_come) + due)
        if due:
            self.take(step, engine.parameters())

    def take(self, step, theta):
        """Record a step; refuses a snapshot that does not fit, and then records nothing of it.

        Parameters
        ----------
        step : int
        theta : ndarray, shape (P,)
            θ_t, for the recorder to keep.
        """
        self._require_memory(1)
        moved = theta.astype(np.float64, copy=False) - self._start
        outputs = None if self._outputs is None else self._net.apply(theta, self._X)
        self._steps.append(step)
        self._distances.append(float(np.linalg.norm(moved)))
        if self._outputs is not None:
            self._outputs.append(outputs)
        if self._snapshots is not None:
            self._snapshots.append(theta)

    def _require_memory(self, n):
        if n == 0:
            return
        size = 0 if self._snapshots is None else self._start.nbytes
        size += 0 if self._X is None else len(self._X) * self._X.itemsize
        require_memory(
            n * size,
            f"recording {n} more step{'s' * (n > 1)}",
            self._advice(),
            beside=self._start,
        )

    def _advice(self):
        """What takes less, of what is recorded."""
        less = [] if self._snapshots is None else ["snapshots=False"]
        less += [] if self._X is None else ["fewer rows of X_record"]
        return f"record fewer of them{', or pass ' if less else ''}{' or '.join(less)}"

    def records(self, losses):
        """What was recorded so far.

        Parameters
        ----------
        losses : ndarray
            L(θ_0) … L(θ_t).
        """
        steps = np.array(self._steps, np.int64)
        outputs = None
        if self._outputs is not None:
            width = len(self._outputs[0]) if self._X is None else len(self._X)
            outputs = namespace(self._start).empty((len(steps), width), self._start.dtype)
            for row, f in zip(outputs, self._outputs, strict=True):
                row[:] = f
        return TrainingRecords(
            steps=steps,
            losses=losses[steps],
            distances=np.array(self._distances),
            initial_norm=self._initial_norm,
            outputs=outputs,
            snapshots=None if self._snapshots is None else tuple(self._snapshots),
            inputs=self._inputs,
        )
