"""The learning rates of adaptive methods: the largest whose loss only falls (App. D)."""

from collections.abc import Callable
from functools import partial

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.recipes.learning_rate import search_learning_rate
from ntklin.runs.optimizer import Optimizer
from ntklin.theory.linearization import Linearization
from ntklin.theory.linearized_run import LinearizedRun

# A second digit would cost more runs than it would save steps.
PRECISION = 0.2


def search_monotone(
    linearization: Linearization,
    Y: Array,
    optimizer: Optimizer,
    *,
    until: float,
    steps: int,
    shaped: Callable[[Optimizer], Optimizer] = lambda optimizer: optimizer,
    progress: Callable[[float, int, float], object] | None = None,
) -> tuple[Optimizer, LinearizedRun]:
    """Train the linearized network at the largest learning rate whose loss only falls.

    Every trial trains from θ_0 on all samples until the loss is below ``until``, or has risen, or
    for ``steps`` steps. The largest rate is within 20 % of the smallest whose loss rises.

    Parameters
    ----------
    linearization : Linearization
    Y : ndarray, shape (N,) or (N, C)
    optimizer : Optimizer
        Its learning rate is not used.
    until : float
        Below the loss at θ_0.
    steps : int
    shaped : callable, optional
        Makes of an optimizer with a learning rate the one that trains, with a schedule of it.
    progress : callable, optional
        Called as ``progress(learning_rate, step, loss)`` about ten times a second.

    Returns
    -------
    optimizer : Optimizer
        With that rate.
    run : LinearizedRun

    Raises
    ------
    LearningRateError
        If the loss rises at every rate that is tried.
    TrainingInterrupted
        On Ctrl-C.
    """
    falling = {}

    def trial(optimizer: Optimizer) -> LinearizedRun:
        tell = None if progress is None else partial(progress, optimizer.learning_rate)
        run = linearization.train(Y, shaped(optimizer), steps=steps, until=until, progress=tell)
        if run.first_rise() is None:
            falling.clear()  # the search goes up between rates that fall: the latest is the largest
            falling[optimizer.learning_rate] = run
        return run

    start = optimizer.with_learning_rate(best_first_step(linearization, Y, optimizer))
    found = search_learning_rate(trial, start, precision=PRECISION)
    return found.optimizer, falling[found.learning_rate]


def best_first_step(linearization: Linearization, Y: Array, optimizer: Optimizer) -> float:
    """The learning rate whose first step goes as low as its direction leads; twice it leads back.

    With Δ the step at rate 1 and r = f_0(X) − Y it minimizes ‖r + η φ(X)Δ‖². For AdaGrad and Adam
    Δ = −sgn ∇L, so that this is the scale of their learning rates, which goes like 1/√m.

    Parameters
    ----------
    linearization : Linearization
    Y : ndarray, shape (N,) or (N, C)
    optimizer : Optimizer

    Returns
    -------
    float
    """
    phi = linearization.features
    residual = linearization.initial_outputs - Y
    residual, n_samples = residual.reshape(-1), residual.dtype.type(len(residual))
    gradient = phi.T @ (residual / n_samples)
    still = np.zeros_like(gradient)
    optimizer = optimizer.with_learning_rate(1.0)
    step, _ = optimizer.update(optimizer.init(still), still, gradient)
    change = (phi @ step).astype(np.float64)
    return -float(change @ residual) / float(change @ change)
