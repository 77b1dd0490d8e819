"""The linearized network's part in a comparison of optimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from ntklin.algebra.preconditioners import Weights
from ntklin.apps.study.config import StudyConfig
from ntklin.apps.study.outcomes import CONVERGED, DIVERGED, STEP_LIMIT
from ntklin.apps.study.start import Start
from ntklin.edge.arrays import Array
from ntklin.edge.errors import DivergenceError
from ntklin.runs.batches import Batches
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.optimizers import GradientDescent
from ntklin.theory.linearization import Linearization
from ntklin.theory.linearized_run import LinearizedRun


@dataclass(frozen=True, eq=False)
class LinearizedEnd:
    """Where a method's training of the linearized network ended.

    Attributes
    ----------
    optimizer : Optimizer
        With the learning rate that was used, without the study's schedule.
    batches : Batches or None
    outcome : str
    steps : int
    outputs_at : callable
        ``outputs_at(t)`` returns f_t(X_T), or None where it diverges before step t.
    loss : float or None
        The training loss at the end; None where it diverged, as is what follows.
    outputs : ndarray, shape (N_T,) or (N_T, C), or None
        f_t(X_T) at the end.
    interpolating : ndarray, shape (N_T,) or (N_T, C), or None
        Its interpolating part, f_0(X_T) + φ(X_T) A_t (f_t(X) − f_0(X)), Thms 3 and 6.
    """

    optimizer: Optimizer
    batches: Batches | None
    outcome: str
    steps: int
    outputs_at: Callable[[int], Array | None]
    loss: float | None = None
    outputs: Array | None = None
    interpolating: Array | None = None


def closed_form_end(config: StudyConfig, start: Start) -> LinearizedEnd:
    """The end of gradient descent on all samples, which needs no steps.

    Parameters
    ----------
    config : StudyConfig
    start : Start

    Returns
    -------
    LinearizedEnd
    """
    X, _, X_test, _ = config.arrays
    gd, steps = start.gradient_descent, start.predicted
    return LinearizedEnd(
        GradientDescent(gd.learning_rate),
        None,
        CONVERGED,
        steps,
        lambda t: gd.predict(X_test, t),
        loss=gd.loss(steps),
        outputs=gd.predict(X_test, steps),
        interpolating=_interpolating(config, start.linearization, gd.predict(X, steps), None),
    )


def stepwise_end(
    config: StudyConfig,
    start: Start,
    optimizer: Optimizer,
    batches: Batches | None,
    *,
    steps: int,
    run: LinearizedRun | None = None,
    progress: Callable[[int, float], object] | None = None,
) -> LinearizedEnd:
    """The end of a method that goes step by step.

    Parameters
    ----------
    config : StudyConfig
    start : Start
    optimizer : Optimizer
        With its learning rate.
    batches : Batches or None
    steps : int
        Give up after so many.
    run : LinearizedRun, optional
        Where it is known.
    progress : callable, optional
        Called as ``progress(step, loss)`` about ten times a second.

    Returns
    -------
    LinearizedEnd

    Raises
    ------
    DegenerateKernelError
        If K_D(X, X) is singular to working precision.
    TrainingInterrupted
        On Ctrl-C.
    """
    lin = start.linearization
    _, Y, X_test, _ = config.arrays

    def walk(**ends: Any) -> LinearizedRun:
        return lin.train(Y, config.scheduled(optimizer), batches=batches, progress=progress, **ends)

    def outputs_at(t: int) -> Array | None:
        try:
            return walk(steps=t).predict(X_test)
        except DivergenceError:
            return None

    if run is None:
        try:
            run = walk(steps=steps, until=config.until)
        except DivergenceError as e:
            return LinearizedEnd(optimizer, batches, DIVERGED, cast(int, e.step), outputs_at)
    return LinearizedEnd(
        optimizer,
        batches,
        CONVERGED if run.converged else STEP_LIMIT,
        run.steps,
        outputs_at,
        loss=float(run.losses[-1]),
        outputs=run.predict(X_test),
        interpolating=_interpolating(config, lin, run.outputs, run.weights),
    )


def _interpolating(
    config: StudyConfig, lin: Linearization, outputs: Array, weights: Weights
) -> Array:
    """f_0(X_T) + φ(X_T) A_t (f_t(X) − f_0(X)): the minimizer for the targets f_t(X), Eq. (9)."""
    X_test = config.arrays[2]
    return lin.minimizer(outputs, weights=weights, rcond=config.rcond).predict(X_test)
