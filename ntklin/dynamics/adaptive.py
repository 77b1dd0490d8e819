"""Training of the linearized network with any optimizer and any batches, step by step: Eq. (6)."""

import numpy as np

from ntklin import stepping
from ntklin._validate import as_targets
from ntklin.backends import refuse_mixed
from ntklin.batches import Schedule
from ntklin.dynamics.engines import engine_for
from ntklin.dynamics.linearized_run import LinearizedRun
from ntklin.dynamics.snapshots import Recorder
from ntklin.errors import MemoryLimitError, TrainingInterrupted
from ntklin.losses import Loss
from ntklin.monotone import Yardstick
from ntklin.stability import divergence_error, with_learning_rate


def train_linearized(
    linearization, Y, optimizer, *, steps, until, batches, record, loss, method, progress
):
    """See ``Linearization.train``.

    Returns
    -------
    LinearizedRun
    """
    lin, phi = linearization, linearization.features
    loss = Loss(loss)
    refuse_mixed(phi.inputs, Y)
    Y = as_targets(Y, lin.n_samples, dtype=phi.dtype).copy()
    loss.check_targets(Y)
    steps, until = stepping.as_horizon(steps, until)
    schedule = Schedule(batches, lin.n_samples)
    optimizer = with_learning_rate(optimizer, lin.default_learning_rate)
    engine = engine_for(lin, Y, optimizer, loss, method)
    recorder = Recorder(engine, optimizer, phi.shape[1], record, steps)
    losses = [engine.loss()]
    loss.require_in_range(losses[0], lambda: phi.outputs, Y)
    yardstick = Yardstick(losses[0], loss.value(np.zeros_like(Y), Y), phi.dtype)
    ceiling = yardstick.ceiling(optimizer)

    def result():
        end = recorder.snapshot(len(losses) - 1)
        return LinearizedRun(
            linearization=lin,
            targets=Y,
            optimizer=optimizer,
            loss=loss.name,
            batches=batches,
            method=engine.method,
            losses=np.array(losses),
            yardstick=yardstick,
            converged=until is not None and losses[-1] < until,
            displacement=end.displacement,
            outputs=end.outputs,
            weights=end.weights,
            snapshots=tuple(recorder.snapshots),
            first_weights=recorder.first_weights,
        )

    def go(stop):
        stepping.run(
            engine,
            schedule,
            losses,
            steps=stop,
            until=until,
            ceiling=ceiling,
            record=recorder.record,
            on_record=recorder,
            progress=progress,
        )

    try:
        if recorder.active and steps != 0:
            go(1)
            if len(losses) > 1 and losses[-1] <= ceiling:
                recorder.began()
        go(steps)
    except stepping.Interrupted:
        raise TrainingInterrupted(result()) from None
    except MemoryLimitError as e:
        e.run = result()
        raise
    if not losses[-1] <= ceiling:
        raise divergence_error(
            *(optimizer, loss, schedule.full, losses),
            bound=lambda: lin.max_learning_rate,
            search="ntklin.search_learning_rate",
        )
    return result()
