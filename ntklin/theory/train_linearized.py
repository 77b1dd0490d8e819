"""Training of the linearized network with any optimizer and any batches, step by step: Eq. (6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import refuse_mixed
from ntklin.edge.checks import as_path, as_progress
from ntklin.edge.errors import DivergenceError
from ntklin.edge.faces.bars import LossMeter, followed
from ntklin.runs import checkpoint
from ntklin.runs.batches import BatchSource, SampleWeights
from ntklin.runs.engine import MethodName
from ntklin.runs.loop import Track, carry_out
from ntklin.runs.losses import Loss, LossName
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.recording import RecordedSteps
from ntklin.runs.stability import with_learning_rate
from ntklin.runs.stops import Horizon
from ntklin.theory.linearized_run import LinearizedRun, read_linearized_run
from ntklin.theory.snapshots import SnapshotRecorder
from ntklin.theory.task import LinearizedTask

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization


def train_linearized(
    lin: Linearization,
    Y: ArrayLike,
    optimizer: Optimizer | None,
    horizon: Horizon,
    *,
    batches: BatchSource | None,
    record: int | Iterable[int] | None,
    loss: LossName,
    method: MethodName,
    resume: str | PathLike[str] | LinearizedRun | None,
    progress: Callable[[int, float], object] | bool | None,
) -> LinearizedRun:
    """See ``Linearization.train``.

    Returns
    -------
    LinearizedRun

    Raises
    ------
    ValueError
        If the run to resume is the beginning of a run, or not one of these data and options.
    """
    phi, kind, progress = lin.features, Loss(loss), as_progress(progress)
    refuse_mixed(phi.inputs, Y)
    Y = kind.as_targets(Y, lin.n_samples, phi.n_outputs, phi.dtype).copy()
    SampleWeights(batches, lin.n_samples)  # refuses what are no batches
    past, engine = None, method
    if resume is not None:
        past = _as_past(resume, lin, Y)
        if past.arrays is None:
            raise ValueError("resume is the beginning of a run, as at(t) gives it: pass the run")
        optimizer = checkpoint.as_before(optimizer, past)
        engine = past.method if method == "auto" else method
    optimizer = with_learning_rate(optimizer, lin.default_learning_rate)
    task = LinearizedTask(lin, Y, optimizer, kind, batches, engine)
    recorder = SnapshotRecorder(RecordedSteps(record), task)
    if past is not None:
        task.require_continues(past)
        recorder.go_on(past)
    track = Track(task, horizon, recorder=recorder, past=past)
    meter = partial(LossMeter, "training, linearized", horizon.steps, horizon.until)
    with followed(progress, meter) as told:
        (outcome,) = carry_out([track], progress=told)
    if isinstance(outcome, DivergenceError):
        raise outcome
    return outcome


def _as_past(resume: Any, lin: Linearization, Y: Array) -> LinearizedRun:
    """The run to resume, from itself or its file."""
    if isinstance(resume, LinearizedRun):
        return resume
    what = "a LinearizedRun or the path of a saved one"
    return read_linearized_run(as_path(resume, name="resume", what=what), lin, Y)
