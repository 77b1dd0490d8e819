"""A run as a pure function of its configuration."""

import time
import warnings

import numpy as np

import ntklin
from ntklin.validation.figures.configuration import OPTIMIZERS, Search
from ntklin.validation.figures.records import CONVERGED, DIVERGED, STEP_LIMIT, End, Rate, Record

# A second digit would cost more runs than it would save steps.
PRECISION = 0.2
# Rates to start a search from, times √m: outputs move by that much where a step is one of ±η in
# each coordinate. Somewhat too large, for a run that rises ends there and a slow one goes on.
TOO_LARGE = {"gd": 1.0, "adagrad": 2.0, "rmsprop": 0.1, "adam": 0.1}


def execute(task):
    """The record of a Run, or the Rate of a Search."""
    return search(task) if isinstance(task, Search) else train(task)


def search(task):
    """The largest learning rate with which the real network's loss only falls, as in App. D.

    Parameters
    ----------
    task : Search

    Returns
    -------
    Rate
    """
    began = time.perf_counter()
    X, Y, _, _ = task.arrays
    net, theta = task.network
    found = ntklin.largest_learning_rate(
        *(net, theta, X, Y),
        OPTIMIZERS[task.optimizer](TOO_LARGE[task.optimizer] / task.width**0.5),
        steps=task.max_steps,
        until=task.until,
        loss=task.loss,
        precision=PRECISION,
    )
    (best,) = [trial for trial in found.trials if trial.learning_rate == found.learning_rate]
    return Rate(
        learning_rate=found.learning_rate,
        steps=best.steps,
        n_trials=len(found.trials),
        seconds=time.perf_counter() - began,
    )


def train(run):
    """Train the real network and its linearization from the same θ_0.

    Parameters
    ----------
    run : Run
        With its learning rate, unless it is gradient descent.

    Returns
    -------
    Record
    """
    began = time.perf_counter()
    X, Y, X_test, Y_test = run.arrays
    net, theta = run.network
    lin = ntklin.linearize(net, theta, X)
    rule = optimizer(run, lin)
    options = {
        "steps": run.max_steps,
        "until": run.until,
        "batches": run.batches,
        "loss": run.loss,
    }

    def end(result, outputs=None):
        outputs = result.predict(X_test) if outputs is None else outputs
        outcome = CONVERGED if result.converged else STEP_LIMIT
        return described(run, outcome, result.steps, float(result.losses[-1]), outputs, Y_test)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ntklin.NonMonotoneLossWarning)
        try:
            real = end(ntklin.train(net, theta, X, Y, rule, **options))
        except ntklin.DivergenceError as e:
            real = End(outcome=DIVERGED, steps=e.step or 0)
    rose = any(issubclass(w.category, ntklin.NonMonotoneLossWarning) for w in caught)

    squared, path = run.loss == "squared", None
    if squared and not run.adaptive and run.batches is None:
        linearized = closed_form(run, lin, rule, Y, X_test, Y_test)
        path = 0.0  # D is constant
    else:
        try:
            result = lin.train(Y, rule, **options)
            linearized = end(result)
            path = float(np.sqrt(np.mean(result.path_dependent(X_test) ** 2)))
        except ntklin.DivergenceError as e:
            linearized = End(outcome=DIVERGED, steps=e.step or 0)
    minimizer = lin.minimizer(Y) if squared else None
    return Record(
        learning_rate=rule.learning_rate,
        network=real,
        linearized=linearized,
        monotone=None if run.batches is not None else not rose and real.outcome != DIVERGED,
        interpolator_loss=minimizer and loss(run, minimizer.interpolator(X_test), Y_test),
        minimizer_loss=minimizer and loss(run, minimizer.predict(X_test), Y_test),
        path_dependent=path,
        seconds=time.perf_counter() - began,
    )


def optimizer(run, lin):
    """The optimizer with its learning rate.

    Gradient descent has η = 0.5 N/λ_max (App. D), a quarter of what is stable under the squared
    loss. The logistic loss has at most a quarter of its curvature, and η = 2 N/λ_max.
    """
    rate = run.learning_rate
    if rate is None:
        if run.adaptive:
            raise ValueError(f"{run.optimizer} has no learning rate yet: search for it first")
        rate = lin.max_learning_rate * (0.25 if run.loss == "squared" else 1.0)
    return OPTIMIZERS[run.optimizer](rate)


def closed_form(run, lin, rule, Y, X_test, Y_test):
    """Where gradient descent takes the linearization, at whatever step the loss is low enough."""
    gd = lin.gradient_descent(Y, learning_rate=rule.learning_rate)
    steps = gd.steps_to(run.until)
    return described(run, CONVERGED, steps, gd.loss(steps), gd.predict(X_test, steps), Y_test)


def described(run, outcome, steps, train_loss, outputs, Y_test):
    """An end by its outputs on the test points."""
    threshold = 0.5 if run.loss == "squared" else 0.0
    return End(
        outcome=outcome,
        steps=int(steps),
        train_loss=float(train_loss),
        test_loss=loss(run, outputs, Y_test),
        test_error=float(np.mean((outputs > threshold) != (Y_test > 0.5))),
        outputs=tuple(map(float, outputs)),
    )


def loss(run, f, Y):
    """L(f), as in training."""
    if run.loss == "squared":
        return float(np.mean((f - Y) ** 2)) / 2
    return float(np.mean(np.logaddexp(0, f) - Y * f))
