"""How long a figure will take: steps by the closed form, times the time of a step taken now.

The steps of gradient descent are those of the linearization of a narrower network, whose spectrum
is about the same; those of adaptive methods are a share of them that was measured at standard
scale. A step is timed with the network's full size.
"""

import time
from functools import cache

import ntklin
from ntklin.validation.figures.configuration import OPTIMIZERS
from ntklin.validation.figures.make import rated

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


def estimate(plans, store, slots=1, device="cpu"):
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
            searches[task.key] = SEARCH * steps(task) * step_seconds(*shape(task), device)
        for run in plan.runs:
            known = not run.adaptive or run.search in rates
            if known and store.read(rated(run, rates)) is not None:
                continue
            closed = run.method == "gd" and run.loss == "squared"
            one = steps(run) * step_seconds(*shape(run), device)
            runs[run.key] = one if closed else BOTH * one
    longest = max(searches.values(), default=0.0) + max(runs.values(), default=0.0)
    return max((sum(searches.values()) + sum(runs.values())) / slots, longest)


def steps(task):
    """About how many steps training takes."""
    if task.loss == "logistic":
        return min(LOGISTIC_STEPS / task.until, task.max_steps)
    by_gd = gd_steps(task.dataset, task.n_pool, task.n_train, task.n_test, task.depth, task.sigma,
                     task.until)  # fmt: skip
    return min(SHARES[task.optimizer] * by_gd, task.max_steps)


@cache
def gd_steps(dataset, n_pool, n_train, n_test, depth, sigma, until):
    """Steps of gradient descent, by the closed form of a narrow network; ∞ without an end."""
    data = ntklin.load_data(dataset, n_pool, n_test)
    X, Y = data.X_train[:n_train], data.Y_train[:n_train]
    net = ntklin.MLP((X.shape[1], *(NARROW,) * (depth - 1), 1), sigma=sigma)
    lin = ntklin.linearize(net, net.init(rng=0), X)
    try:
        return lin.gradient_descent(Y).steps_to(until)
    except (ValueError, ntklin.DegenerateKernelError):
        return float("inf")


def shape(task):
    """What the time of a step depends on."""
    split = getattr(task, "split", 1.0)
    return (task.dataset, task.n_pool, task.n_train, task.n_test, task.depth, task.width,
            task.optimizer, split, task.loss)  # fmt: skip


@cache
def step_seconds(
    dataset, n_pool, n_train, n_test, depth, width, optimizer, split, loss, device="cpu"
):
    """Seconds of one step: of as many as last long enough, less what a run of one step takes."""
    data = ntklin.load_data(dataset, n_pool, n_test)
    net = ntklin.MLP((data.X_train.shape[1], *(width,) * (depth - 1), 1))
    theta, X, Y = map(
        ntklin.device_namespace(device).asarray,
        (net.init(rng=0), data.X_train[:n_train], data.Y_train[:n_train]),
    )
    batches = None if split == 1 else ntklin.Batches(split)
    rule = OPTIMIZERS[optimizer](1e-6)

    def seconds(count):
        began = time.perf_counter()
        ntklin.train(net, theta, X, Y, rule, steps=count, batches=batches, loss=loss)
        return time.perf_counter() - began

    seconds(1)  # compiles and touches memory for the first time
    count, start = 4, seconds(1)
    while (took := seconds(1 + count) - start) < LONG_ENOUGH:
        count *= 2
    return took / count
