"""How long a figure will take: steps by the closed form, times by steps taken now.

The steps of gradient descent are predicted exactly by the linearization of a narrower network,
whose spectrum is about the same; those of adaptive methods are a share of them that was measured at
standard scale. The time of a step is that of this machine, on one thread, with the network's full
size.
"""

import time
from functools import cache

import ntklin
from ntklin.validation.figures.configuration import OPTIMIZERS
from ntklin.validation.figures.make import rated

NARROW = 500
TIMED_STEPS = 5
# Of the steps of gradient descent, at the largest learning rate with a monotone loss.
SHARES = {"gd": 1.0, "adagrad": 0.05, "rmsprop": 0.2, "adam": 0.2}
# Under the logistic loss the residual falls like 1/t.
LOGISTIC_STEPS = 5.0
# Trials of a search, in runs that go to the end.
SEARCH = 6.0
# Steps of the linearization cost about as much as those of the network, where it takes steps.
LINEARIZED = 2.0


def estimate(plans, store):
    """Seconds of computing that are missing, on one core.

    Parameters
    ----------
    plans : iterable of Plan
    store : Store

    Returns
    -------
    float
    """
    seconds = {}
    for plan in plans:
        searched = {task: store.read(task) for task in plan.searches}
        rates = {task: rate.learning_rate for task, rate in searched.items() if rate}
        for task, rate in searched.items():
            if rate is None:
                seconds[task.key] = SEARCH * steps(task) * step_seconds(shape(task))
        for run in plan.runs:
            if run.adaptive and run.search not in rates:
                missing = True
            else:
                missing = store.read(rated(run, rates)) is None
            if missing:
                factor = 1.0 if run.method == "gd" and run.loss == "squared" else LINEARIZED
                seconds[run.key] = factor * steps(run) * step_seconds(shape(run))
    return sum(seconds.values())


def steps(task):
    """About how many steps training takes."""
    if task.loss == "logistic":
        return min(LOGISTIC_STEPS / task.until, task.max_steps)
    by_gd = gd_steps(task.dataset, task.n_pool, task.n_train, task.n_test, task.depth, task.sigma,
                     task.until)  # fmt: skip
    return min(SHARES[task.optimizer] * by_gd, task.max_steps)


@cache
def gd_steps(dataset, n_pool, n_train, n_test, depth, sigma, until):
    """Steps of gradient descent, by the closed form of a narrow network."""
    data = ntklin.load_data(dataset, n_pool, n_test)
    X, Y = data.X_train[:n_train], data.Y_train[:n_train]
    net = ntklin.MLP((X.shape[1], *(NARROW,) * (depth - 1), 1), sigma=sigma)
    return ntklin.linearize(net, net.init(rng=0), X).gradient_descent(Y).steps_to(until)


def shape(task):
    """What the time of a step depends on: a representative with one seed, σ and target."""
    small = min(getattr(task, "split", 1.0), 1.0)
    return (task.dataset, task.n_pool, task.n_train, task.n_test, task.depth, task.width,
            task.optimizer, small, task.loss)  # fmt: skip


@cache
def step_seconds(shape):
    """Seconds of one step, on one thread."""
    from ntklin.validation.figures.executors import limit

    dataset, n_pool, n_train, n_test, depth, width, optimizer, split, loss = shape
    limit(1)
    data = ntklin.load_data(dataset, n_pool, n_test)
    X, Y = data.X_train[:n_train], data.Y_train[:n_train]
    net = ntklin.MLP((X.shape[1], *(width,) * (depth - 1), 1))
    theta = net.init(rng=0)
    batches = None if split == 1 else ntklin.Batches(split)
    rule = OPTIMIZERS[optimizer](1e-6)
    took = []
    for count in (1, 1 + TIMED_STEPS):
        began = time.perf_counter()
        ntklin.train(net, theta, X, Y, rule, steps=count, batches=batches, loss=loss)
        took.append(time.perf_counter() - began)
    return max(took[1] - took[0], 0.0) / TIMED_STEPS
