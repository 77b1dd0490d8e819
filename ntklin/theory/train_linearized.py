"""Training of the linearized network with any optimizer and any batches, step by step: Eq. (6)."""

from ntklin.edge.backends import refuse_mixed
from ntklin.edge.checks import as_path, as_targets
from ntklin.edge.errors import DivergenceError
from ntklin.runs import checkpoint
from ntklin.runs.batches import Schedule
from ntklin.runs.loop import Track, carry_out
from ntklin.runs.losses import Loss
from ntklin.runs.recording import RecordedSteps
from ntklin.runs.stability import with_learning_rate
from ntklin.theory.linearized_run import LinearizedRun, read_linearized_run
from ntklin.theory.snapshots import SnapshotRecorder
from ntklin.theory.task import LinearizedTask


def train_linearized(
    lin, Y, optimizer, horizon, *, batches, record, loss, method, resume, progress
):
    """See ``Linearization.train``.

    Returns
    -------
    LinearizedRun
    """
    phi, loss = lin.features, Loss(loss)
    refuse_mixed(phi.inputs, Y)
    Y = as_targets(Y, lin.n_samples, dtype=phi.dtype).copy()
    loss.check_targets(Y)
    Schedule(batches, lin.n_samples)  # refuses what are no batches
    past = None
    if resume is not None:
        past = resume
        if not isinstance(resume, LinearizedRun):
            what = "a LinearizedRun or the path of a saved one"
            past = read_linearized_run(as_path(resume, name="resume", what=what), lin, Y)
        if past.arrays is None:
            raise ValueError("resume is the beginning of a run, as at(t) gives it: pass the run")
        optimizer = checkpoint.as_before(optimizer, past)
        method = past.method if method == "auto" else method
    optimizer = with_learning_rate(optimizer, lin.default_learning_rate)
    task = LinearizedTask(lin, Y, optimizer, loss, batches, method)
    recorder = SnapshotRecorder(RecordedSteps(record), task)
    if past is not None:
        task.require_continues(past)
        recorder.go_on(past)
    track = Track(task, horizon, recorder=recorder, past=past)
    (outcome,) = carry_out([track], progress=progress)
    if isinstance(outcome, DivergenceError):
        raise outcome
    return outcome
