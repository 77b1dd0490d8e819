"""The linearized network's part in a comparison of optimizers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ntklin.batches import Batches
from ntklin.errors import DivergenceError
from ntklin.optimizers import GradientDescent, Optimizer
from ntklin.study.rates import search_monotone
from ntklin.study.record import CONVERGED, DIVERGED, STEP_LIMIT


@dataclass(frozen=True, eq=False)
class LinearizedEnd:
    """Where a method's training of the linearized network ended.

    Attributes
    ----------
    optimizer : Optimizer
        With the learning rate that was used.
    batches : Batches or None
    outcome : str
    steps : int
    outputs_at : callable
        ``outputs_at(t)`` returns f_t(X_T), or None where it diverges before step t.
    loss : float or None
        The training loss at the end; None where it diverged, as is what follows.
    outputs : ndarray, shape (N_T,), or None
        f_t(X_T) at the end.
    interpolating : ndarray, shape (N_T,), or None
        Its interpolating part, f_0(X_T) + φ(X_T) A_t (f_t(X) − f_0(X)), Thms 3 and 6.
    """

    optimizer: Optimizer
    batches: Batches | None
    outcome: str
    steps: int
    outputs_at: Callable
    loss: float | None = None
    outputs: np.ndarray | None = None
    interpolating: np.ndarray | None = None


def linearized_end(config, start, method, seed, tuned, observer):
    """Train the linearized network to the study's target.

    Gradient descent on all samples has its closed form; everything else goes step by step.

    Parameters
    ----------
    config : StudyConfig
    start : Start
    method : Method
    seed : int
        Of the mini-batches.
    tuned : dict
        Kinds of optimizers to those whose learning rate was found from this start; gets new ones.
    observer : ComparisonObserver

    Returns
    -------
    LinearizedEnd

    Raises
    ------
    DegenerateKernelError
        If K_D(X, X) is singular to working precision.
    LearningRateError
        If the loss of an adaptive method rises at every learning rate that is tried.
    TrainingInterrupted
        On Ctrl-C.
    """
    if method.closed:
        return _closed_form(config, start)
    lin = start.linearization
    _, Y, X_test, _ = config.arrays
    batches = Batches(config.split, rng=seed) if method.stochastic else None
    optimizer, run = _tune(config, start, method.optimizer, tuned, observer)

    def walk(**ends):
        return lin.train(Y, optimizer, batches=batches, progress=observer.linearized, **ends)

    def outputs_at(t):
        try:
            return walk(steps=t).predict(X_test)
        except DivergenceError:
            return None

    if run is None or not run.converged or batches is not None:
        try:
            run = walk(steps=config.comparison_limit(start.predicted), until=config.until)
        except DivergenceError as e:
            return LinearizedEnd(optimizer, batches, DIVERGED, e.step, outputs_at)
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


def _closed_form(config, start):
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


def _tune(config, start, kind, tuned, observer):
    """The optimizer with its learning rate, and the search's run at it where one was made."""
    if kind is GradientDescent:
        return GradientDescent(start.gradient_descent.learning_rate), None
    if start.predicted == 0:  # θ_0 is at the target: no step will be taken
        return kind(learning_rate=1.0), None
    if kind in tuned:
        return tuned[kind], None
    run = search_monotone(
        start.linearization,
        config.arrays[1],
        kind(learning_rate=1.0),
        until=config.until,
        steps=config.horizon(start.predicted),
        progress=observer.searched,
    )
    tuned[kind] = run.optimizer
    return run.optimizer, run


def _interpolating(config, lin, outputs, weights):
    """f_0(X_T) + φ(X_T) A_t (f_t(X) − f_0(X)): the minimizer for the targets f_t(X), Eq. (9)."""
    X_test = config.arrays[2]
    return lin.minimizer(outputs, weights=weights, rcond=config.rcond).predict(X_test)
