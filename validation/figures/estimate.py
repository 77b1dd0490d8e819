"""How long a figure will take: steps by the closed form, times the time of a step taken now.

The steps of gradient descent are those of the linearization of a narrower network, whose spectrum
is about the same; those of adaptive methods are a share of them that was measured at standard
scale. A step is timed with the network's full size.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from typing import Any

import ntklin
from ntklin.validation.arrays import namespace
from ntklin.validation.figures.configuration import OPTIMIZERS, Measurement, Run, Training
from ntklin.validation.figures.planning import Plan, rated
from ntklin.validation.figures.store import Store

NARROW = 500
# Of the steps of gradient descent, at the largest learning rate with a monotone loss.
SHARES = {"gd": 1.0, "adagrad": 0.015, "rmsprop": 0.04, "adam": 0.04}
# Under the logistic loss the residual falls like 1/t.
LOGISTIC_STEPS = 5.0
# Trials of a search, in runs that go to the end.
SEARCH = 6.0
# The linearization's steps cost about as much as the network's, where it has to take them.
BOTH = 2.0
# Seconds that timed steps have to last.
LONG_ENOUGH = 0.2


def estimate(plans: Iterable[Plan], store: Store, slots: int = 1, device: str = "cpu") -> float:
    """Seconds until all that is missing is computed.

    Parameters
    ----------
    plans : iterable of Plan
    store : Store
    slots : int
        How many runs at a time.
    device : {"cpu", "gpu"}
        On a GPU as if no runs shared a batch, so that it may be much less.

    Returns
    -------
    float
    """
    searches, runs = {}, {}
    for plan in plans:
        searched = {task: store.read(task) for task in plan.searches}
        rates = {task: rate.learning_rate for task, rate in searched.items() if rate}
        for task in searched.keys() - rates.keys():
            searches[task.key] = SEARCH * seconds(task, device)
        for run in plan.runs:
            if isinstance(run, Measurement):
                if store.read(run) is None:
                    runs[run.key] = run.estimated_seconds(device)
                continue
            known = not run.adaptive or run.search in rates
            if known and store.read(rated(run, rates)) is not None:
                continue
            closed = run.method == "gd" and run.loss == "squared"
            runs[run.key] = seconds(run, device) * (1 if closed else BOTH)
    longest = max(searches.values(), default=0.0) + max(runs.values(), default=0.0)
    return max((sum(searches.values()) + sum(runs.values())) / slots, longest)


def seconds(task: Training, device: str) -> float:
    """About how long the real network trains."""
    return steps(task) * step_seconds(twin(task, sigma=1.0, until=0.0), device)


def steps(task: Training) -> float:
    """About how many steps training takes."""
    if task.loss == "logistic":
        return min(LOGISTIC_STEPS / task.until, task.max_steps)
    by_gd = gd_steps(twin(task, optimizer="gd", width=NARROW, split=1.0))
    return min(SHARES[task.optimizer] * by_gd, task.max_steps)


def twin(task: Training, **changes: Any) -> Run:
    """A run of the first initialization, changed, that is the same for tasks that take as long."""
    same = {"seed": 0, "max_steps": 0, "learning_rate": None, "shuffle": True}
    return Run(**asdict(task) | same | changes)


@cache
def gd_steps(run: Run) -> float:
    """Steps of gradient descent, by the closed form; ∞ without an end."""
    X, Y, *_ = run.arrays
    net, theta = run.network
    lin = ntklin.linearize(net, theta, X)
    try:
        return lin.gradient_descent(Y).steps_to(run.until)
    except (ValueError, ntklin.DegenerateKernelError):
        return float("inf")


@cache
def step_seconds(run: Run, device: str = "cpu") -> float:
    """Seconds of one step of a run."""
    X, Y, *_ = run.arrays
    net, theta = run.network
    theta, X, Y = map(namespace(device).asarray, (theta, X, Y))
    rule = OPTIMIZERS[run.optimizer](1e-6)
    options = {"batches": run.batches, "loss": run.loss}

    def train(count: int) -> None:
        ntklin.train(net, theta, X, Y, rule, steps=count, **options)

    return seconds_of_a_step(train)


def seconds_of_a_step(train: Callable[[int], object]) -> float:
    """The time of one of as many steps as last long enough, less that of a run of one step.

    Parameters
    ----------
    train : callable
        ``train(count)`` takes so many steps.

    Returns
    -------
    float
    """

    def took(count: int) -> float:
        began = time.perf_counter()
        train(count)
        return time.perf_counter() - began

    took(1)  # compiles and touches memory for the first time
    count, start = 4, took(1)
    while (more := took(1 + count) - start) < LONG_ENOUGH:
        count *= 2
    return more / count
