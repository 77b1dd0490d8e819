"""Training of the linearized network with any optimizer and any batches, step by step: Eq. (6)."""

import numpy as np

from ntklin import stepping
from ntklin._validate import as_targets
from ntklin.batches import Schedule
from ntklin.dynamics.engines import engine_for
from ntklin.dynamics.linearized_run import LinearizedRun
from ntklin.dynamics.snapshots import Recorder
from ntklin.errors import DivergenceError, MemoryLimitError, TrainingInterrupted
from ntklin.losses import Loss
from ntklin.optimizers import GradientDescent, Optimizer


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
    Y = as_targets(Y, lin.n_samples, dtype=phi.dtype).copy()
    loss.check_targets(Y)
    steps, until = stepping.as_horizon(steps, until)
    schedule = Schedule(batches, lin.n_samples)
    optimizer = _with_learning_rate(optimizer, lin)
    engine = engine_for(phi, Y, optimizer, loss, method)
    recorder = Recorder(engine, optimizer, phi.shape[1], record, steps)
    losses = [engine.loss()]
    ceiling = stepping.CEILING * max(losses[0], loss.value(np.zeros_like(Y), Y), 1e-30)

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
        if not losses[-1] <= ceiling:
            raise _divergence(lin, optimizer, losses, loss, schedule)

    try:
        if recorder.active and steps != 0:
            go(1)
            if len(losses) > 1:
                recorder.began()
        go(steps)
    except stepping.Interrupted:
        raise TrainingInterrupted(result()) from None
    except MemoryLimitError as e:
        e.run = result()
        raise
    return result()


def _with_learning_rate(optimizer, linearization):
    optimizer = GradientDescent() if optimizer is None else optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be an optimizer of ntklin, such as ntklin.AdaGrad(0.01), got "
            f"{optimizer!r}"
        )
    if optimizer.learning_rate is None:
        return optimizer.with_learning_rate(linearization.default_learning_rate())
    return optimizer


def _divergence(linearization, optimizer, losses, loss, schedule):
    step, rate = len(losses) - 1, optimizer.learning_rate
    bound, advice = None, "take a smaller one"
    if isinstance(optimizer, GradientDescent) and loss.name == "squared" and schedule.full:
        bound = linearization.max_learning_rate
        advice = f"gradient descent is stable for η < 2N/λ_max = {bound:.4g}, so {advice}"
    return DivergenceError(
        f"the loss of the linearized network rose from {losses[0]:.3g} to {losses[-1]:.3g} by step "
        f"{step} with learning rate η = {rate:.4g}; {advice}",
        learning_rate=rate,
        bound=bound,
        step=step,
    )
