"""What a task leaves, as a pure function of its configuration."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import ntklin
from ntklin.validation.arrays import Array, namespace, on_host
from ntklin.validation.figures.configuration import (
    OPTIMIZERS,
    Measurement,
    Record,
    Run,
    Search,
    Task,
)
from ntklin.validation.figures.outcomes import CONVERGED, DIVERGED, STEP_LIMIT, End, Rate, Result

if TYPE_CHECKING:
    from ntklin.runs.optimizer import Optimizer
    from ntklin.theory.linearization import Linearization

# A second digit would cost more runs than it would save steps.
PRECISION = 0.2
# Rates to start a search from, times √m: outputs move by that much where a step is one of ±η in
# each coordinate. Somewhat too large, for a run that rises ends there and a slow one goes on.
TOO_LARGE = {"adagrad": 2.0, "rmsprop": 0.1, "adam": 0.1}


def execute(tasks: Sequence[Task], device: str = "cpu") -> Sequence[Record]:
    """The results of tasks that are alike: a GPU trains their networks in one batch.

    Parameters
    ----------
    tasks : sequence of Run, or of one Search or Measurement
        Runs that differ in nothing but their seeds and learning rates.
    device : {"cpu", "gpu"}
        Where networks are trained; results are the same up to rounding.

    Returns
    -------
    list of Record
    """
    if measured := [task.measured(device) for task in tasks if isinstance(task, Measurement)]:
        return measured
    xp = namespace(device)
    searches = [search(task, xp) for task in tasks if isinstance(task, Search)]
    return searches or train([task for task in tasks if isinstance(task, Run)], xp)


def search(task: Search, xp: ModuleType) -> Rate:
    """The largest learning rate with which the real network's loss only falls, as in App. D.

    Parameters
    ----------
    task : Search
    xp : module
        The arrays' namespace, NumPy or CuPy.

    Returns
    -------
    Rate
    """
    began = time.perf_counter()
    net, theta, X, Y, _ = placed(task, xp)
    found = ntklin.largest_learning_rate(
        net,
        theta,
        X,
        Y,
        OPTIMIZERS[task.optimizer](TOO_LARGE[task.optimizer] / task.width**0.5),
        steps=task.max_steps,
        until=task.until,
        loss=task.loss,
        precision=PRECISION,
    )
    (steps,) = (
        trial.steps
        for trial in found.trials
        if trial.learning_rate == found.learning_rate and trial.steps is not None
    )
    return Rate(
        learning_rate=found.learning_rate,
        steps=steps,
        n_trials=len(found.trials),
        seconds=time.perf_counter() - began,
    )


def train(runs: Sequence[Run], xp: ModuleType) -> list[Result]:
    """Train real networks, and the linearization of each from the same θ_0.

    Parameters
    ----------
    runs : sequence of Run
        That are alike, with their learning rates, unless they are gradient descent.
    xp : module
        The arrays' namespace, NumPy or CuPy.

    Returns
    -------
    list of Result
    """
    began = time.perf_counter()
    net, theta, X, Y, X_test = placed(runs[0], xp)
    thetas = [theta, *(xp.asarray(run.network[1]) for run in runs[1:])]
    lins = [ntklin.linearize(net, theta, X) for theta in thetas]
    rules = [optimizer(run, lin) for run, lin in zip(runs, lins, strict=True)]
    networks = train_networks(runs, net, thetas, X, Y, X_test, rules)
    share = (time.perf_counter() - began) / len(runs)
    return [
        result(run, lin, Y, X_test, rule, *network, share)
        for run, lin, rule, network in zip(runs, lins, rules, networks, strict=True)
    ]


def result(
    run: Run,
    lin: Linearization,
    Y: Array,
    X_test: Array,
    rule: Optimizer,
    network: End,
    rose: bool,
    seconds: float,
) -> Result:
    """The result of a run whose real network is trained, which took so many seconds."""
    began = time.perf_counter()
    linearized, interpolating, path = train_linearized(run, lin, Y, X_test, rule)
    f_int = f_limit = None
    if run.loss == "squared":
        with suppress(ntklin.DegenerateKernelError):
            minimizer = lin.minimizer(Y)
            f_int = test_loss(run, minimizer.interpolator(X_test))
            f_limit = test_loss(run, minimizer.predict(X_test))
    return Result(
        learning_rate=rule.learning_rate,
        network=network,
        linearized=linearized,
        monotone=None if run.batches is not None else not rose,
        interpolator_loss=f_int,
        minimizer_loss=f_limit,
        interpolating_loss=interpolating,
        path_dependent=path,
        seconds=seconds + time.perf_counter() - began,
    )


def placed(task: Task, xp: ModuleType) -> tuple[ntklin.MLP, Array, Array, Array, Array]:
    """The MLP, and θ_0, X, Y and X_T in a namespace."""
    X, Y, X_test, _ = task.arrays
    net, theta = task.network
    return net, *(xp.asarray(a) for a in (theta, X, Y, X_test))


def train_networks(
    runs: Sequence[Run],
    net: ntklin.MLP,
    thetas: Sequence[Array],
    X: Array,
    Y: Array,
    X_test: Array,
    rules: Sequence[Optimizer],
) -> list[tuple[End, bool]]:
    """Each real network's end, and whether its loss rose on the way."""
    options: dict[str, Any] = horizon(runs[0]) | {"batches": [run.batches for run in runs]}
    with warnings.catch_warnings():
        # Who asks for a figure reads of rises in its caption.
        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
        results = ntklin.train_ensemble(net, thetas, X, Y, rules, **options)
    return [
        (End(outcome=DIVERGED, steps=result.step or 0), True)
        if isinstance(result, ntklin.DivergenceError)
        else (ended(run, result, result.predict(X_test)), result.first_rise() is not None)
        for run, result in zip(runs, results, strict=True)
    ]


def train_linearized(
    run: Run, lin: Linearization, Y: Array, X_test: Array, rule: Optimizer
) -> tuple[End, float | None, float | None]:
    """The linearized network's end, its interpolating part's test loss, its path's rms."""
    if run.loss == "squared" and not run.adaptive and run.batches is None:
        end = closed_form(run, lin, Y, X_test, rule)
        return end, end.test_loss, 0.0  # D is constant: B_t = 0
    try:
        result = lin.train(Y, rule, **horizon(run))
    except ntklin.DivergenceError as e:
        return End(outcome=DIVERGED, steps=e.step or 0), None, None
    outputs = result.predict(X_test)
    end = ended(run, result, outputs)
    try:
        interpolating = result.interpolating(X_test)
    except ntklin.DegenerateKernelError:
        return end, None, None
    path = math.sqrt(((outputs - interpolating) ** 2).mean())
    return end, test_loss(run, interpolating), path


def horizon(run: Run) -> dict[str, Any]:
    """When training ends, and what it trains on."""
    return {
        "steps": run.max_steps,
        "until": run.until,
        "batches": run.batches,
        "loss": run.loss,
    }


def optimizer(run: Run, lin: Linearization) -> Optimizer:
    """The optimizer with its learning rate.

    Gradient descent has η = 0.5 N/λ_max (App. D), a quarter of what is stable under the squared
    loss. The logistic loss has at most a quarter of its curvature, and η = 2 N/λ_max.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        For an adaptive method whose learning rate is still to be searched for.
    """
    rate = run.learning_rate
    if rate is None:
        if run.adaptive:
            raise ValueError(f"{run.optimizer} has no learning rate yet: search for it first")
        rate = lin.max_learning_rate * (0.25 if run.loss == "squared" else 1.0)
    return OPTIMIZERS[run.optimizer](rate)


def closed_form(run: Run, lin: Linearization, Y: Array, X_test: Array, rule: Optimizer) -> End:
    """Where gradient descent takes the linearization, at whatever step the loss is low enough."""
    gd = lin.gradient_descent(Y, learning_rate=rule.learning_rate)
    try:
        outcome, steps = CONVERGED, gd.steps_to(run.until)
    except ValueError:  # the target is below what a singular kernel can reach
        outcome, steps = STEP_LIMIT, run.max_steps
    return described(run, outcome, steps, gd.loss(steps), gd.predict(X_test, steps))


def ended(run: Run, result: ntklin.TrainingRun | ntklin.LinearizedRun, outputs: Array) -> End:
    """The end of a run that did not diverge."""
    outcome = CONVERGED if result.converged else STEP_LIMIT
    return described(run, outcome, result.steps, result.losses[-1], outputs)


def described(run: Run, outcome: str, steps: int, train_loss: float, outputs: Array) -> End:
    """An end by its outputs on the test points."""
    outputs = on_host(outputs)
    threshold = 0.5 if run.loss == "squared" else 0.0
    return End(
        outcome=outcome,
        steps=int(steps),
        train_loss=float(train_loss),
        test_loss=test_loss(run, outputs),
        test_error=float(np.mean((outputs > threshold) != (run.arrays[3] > 0.5))),
        outputs=tuple(map(float, outputs)),
    )


def test_loss(run: Run, f: Array) -> float:
    """L(f) on the test points, as in training."""
    f, Y = on_host(f), run.arrays[3]
    if run.loss == "squared":
        return float(np.mean((f - Y) ** 2)) / 2
    return float(np.mean(np.logaddexp(0, f) - Y * f))
