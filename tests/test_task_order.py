"""Tasks in any order, dealt out to any number of workers, with any memory that suffices.

Without the JIT the kernels' own sources run, and what is left to chance with threads can be dealt
out there: who takes which task, in which order, and in which order a loop takes its turns.
"""

import sys

import numpy as np
import pytest
from test_bits import digest

import ntklin
from ntklin.edge import checks
from ntklin.kernels.cpu.plain import JIT_DISABLED

# The number of a task that is none, whatever a task is.
NONE = 1 << 40
WORKERS = (1, 2, 5)


class Dealer:
    """Stands in the place of the threads: workers come one after the other.

    Parameters
    ----------
    n_workers : int
        What kernels take for the number of threads.
    asked : list of int, optional
        How often each launch asked for a task when the first worker took all in their order: its
        tasks, and each worker once in vain. Now they are dealt out at random.
    """

    def __init__(self, n_workers, asked=None):
        self.n_workers, self.asked = n_workers, []
        self._known, self._rng, self._hand = asked, np.random.default_rng(n_workers), []

    def get_num_threads(self):
        return self.n_workers

    def next_task(self, counter):
        if counter[0] == 0:
            self._launched()
        counter[0] += 1
        self.asked[-1] += 1
        return counter[0] - 1 if self._known is None else self._hand.pop()

    def parallel_for(self, turn, n, arguments):
        for k in range(n) if self._known is None else self._rng.permutation(n).tolist():
            turn(k, *arguments)

    def _launched(self):
        self.asked.append(0)
        if self._known is not None:
            n_tasks = self._known[len(self.asked) - 1] - self.n_workers
            cuts = np.sort(self._rng.integers(0, n_tasks + 1, self.n_workers - 1))
            hands = np.split(self._rng.permutation(n_tasks), cuts)
            self._hand = [task for hand in hands for task in (*hand.tolist(), NONE)][::-1]

    def replace(self, patch):
        """Be what all kernels call."""
        for name, module in list(sys.modules.items()):
            if name.startswith("ntklin.kernels.cpu."):
                for word in ("get_num_threads", "next_task", "parallel_for"):
                    if hasattr(module, word):
                        patch.setattr(module, word, getattr(self, word))


def dealt(compute):
    """What is computed for each number of workers, first in order, and then at random."""
    for n_workers in WORKERS:
        asked = None
        for _ in range(2):
            dealer = Dealer(n_workers, asked)
            with pytest.MonkeyPatch.context() as patch:
                dealer.replace(patch)
                yield digest(compute())
            asked = dealer.asked if asked is None else asked
            assert dealer.asked == asked


# Shapes with several tiles, blocks, shares and bands, as small as they can be.

SHALLOW = ntklin.MLP((70, 300, 1), bias="normal")
DEEP = ntklin.MLP((9, 70, 33, 1), bias="normal")
SMOOTH = ntklin.MLP((9, 70, 33, 2), activation="tanh")
CLASSES = ntklin.MLP((5, 12, 4))


def inputs(net, n, dtype=np.float64, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, net.n_inputs))
    X[np.random.default_rng(1).random(X.shape) < 0.3] = 0
    return (X / (1.01 * np.linalg.norm(X, axis=1, keepdims=True))).astype(dtype)


def targets(net, n, dtype=np.float64):
    Y = np.random.default_rng(2).random((n, net.widths[-1])).astype(dtype)
    return Y if net.widths[-1] > 1 else Y[:, 0]


def features(net, n, seed=0, dtype=np.float64):
    return net.features(net.init(3, dtype), inputs(net, n, dtype, seed))


def products(net, n):
    phi, rng = features(net, n), np.random.default_rng(4)
    V, R = (rng.standard_normal((size, 2)) for size in reversed(phi.shape))
    return phi.outputs, phi @ V, phi.T @ R


def kernels(net, n, weighted=False):
    phi, other = features(net, n), features(net, n // 3, 5)
    weights = np.random.default_rng(6).random(phi.shape[1]) if weighted else None
    return phi.gram(weights=weights), phi.gram(other, weights), other.gram(phi, weights)


def limits():
    X, other = inputs(DEEP, 40), inputs(DEEP, 20, seed=5)
    for activation in ("relu", "erf"):
        net = ntklin.MLP(DEEP.widths, bias="normal", activation=activation)
        yield from (ntklin.infinite_ntk(net, X), ntklin.infinite_nngp(net, X, other))


def trained(net, optimizer, n=12, dtype=np.float64, **options):
    problem = net, net.init(3, dtype), inputs(net, n, dtype), targets(net, n, dtype)
    run = ntklin.train(*problem, optimizer, 3, **options)
    return run.losses, run.parameters


def linearized(net, optimizer, n=12, **options):
    lin = ntklin.linearize(net, net.init(3), inputs(net, n))
    run = lin.train(targets(net, n), optimizer, 3, **{"method": "fused"} | options)
    return run.losses, run.displacement, run.outputs


def stepped():
    """A rule on so many numbers that threads share them."""
    theta = np.random.default_rng(7).standard_normal(50_000)
    rule = ntklin.Adam(0.01)
    return rule.update(rule.init(theta), theta, np.sin(theta))[0]


DESCENT, ADAM = ntklin.GradientDescent(0.1), ntklin.Adam(0.01)
BATCHES = ntklin.Batches(0.5, rng=8)
WORKS = {
    "products": lambda: products(DEEP, 260),
    "products of several outputs": lambda: products(SMOOTH, 40),
    "a kernel": lambda: kernels(DEEP, 200),
    "a kernel of few inputs": lambda: kernels(SHALLOW, 30),
    "a kernel of several outputs": lambda: kernels(SMOOTH, 20),
    "a kernel of classes": lambda: kernels(CLASSES, 50),
    "a weighted kernel": lambda: kernels(ntklin.MLP((5, 16, 9, 1)), 130, weighted=True),
    "a weighted kernel of outputs": lambda: kernels(ntklin.MLP((5, 9, 8, 2)), 36, weighted=True),
    "a Jacobian": lambda: features(SMOOTH, 7).toarray(),
    "infinite width": limits,
    "reduced descent": lambda: trained(SHALLOW, DESCENT, dtype=np.float32, batches=BATCHES),
    "reduced descent of a deep network": lambda: trained(DEEP, DESCENT),
    "reduced descent of outputs": lambda: trained(SMOOTH, DESCENT, batches=BATCHES),
    "fused steps": lambda: trained(SHALLOW, ADAM, dtype=np.float32, batches=BATCHES),
    "fused steps of outputs": lambda: trained(ntklin.MLP((9, 300, 3), activation="tanh"), ADAM),
    "direct steps": lambda: trained(DEEP, ADAM, batches=BATCHES),
    "linearized steps": lambda: linearized(SHALLOW, ADAM),
    "linearized steps of a deep network": lambda: linearized(DEEP, ADAM, batches=BATCHES),
    "linearized steps of outputs": lambda: linearized(SMOOTH, ADAM),
    "linearized steps in the span": lambda: linearized(DEEP, DESCENT, method="reduced"),
    "a rule": stepped,
}
interpreted = pytest.mark.skipif(not JIT_DISABLED, reason="compiled tasks are not dealt out here")


@interpreted
@pytest.mark.parametrize("work", WORKS)
def test_the_order_of_tasks_decides_no_bit(work):
    assert len(set(dealt(WORKS[work]))) == 1


@interpreted
def test_a_sum_by_workers_would_be_seen():
    """What kernels must not do: a sum for each worker, and sums in the order of tasks."""
    from ntklin.kernels.cpu import blas, launching

    numbers = np.random.default_rng(9).standard_normal(30)

    def by_workers():
        parts, counter = np.zeros(blas.get_num_threads()), blas.task_counter()

        def turn(worker):
            task = blas.next_task(counter)
            while task < len(numbers):
                parts[worker] += numbers[task]
                task = blas.next_task(counter)

        launching.parallel_for(turn, len(parts), ())
        return parts.sum()

    def by_turns():
        total = np.zeros(1)

        def turn(task):
            total[0] += numbers[task]

        launching.parallel_for(turn, len(numbers), ())
        return total[0]

    for sums in (by_workers, by_turns):
        assert len(set(dealt(sums))) > 2


# Free memory

PLENTY = (1 << 28, 1 << 33, 1 << 45, None)


def all_that_asks_for_memory():
    net = ntklin.MLP((9, 30, 11, 1))
    theta, X, Y = net.init(3), inputs(net, 40), targets(net, 40)
    X_new = inputs(net, 15, seed=5)
    lin = ntklin.linearize(net, theta, X)
    for solver in ("auto", "eigh", "cholesky", "packed", "mixed", "pcg"):
        m = lin.minimizer(Y, solver=solver)
        yield from (m.coefficients, m.predict(X_new), m.parameters)
    gd, moments = lin.gradient_descent(Y), lin.moments(Y, 0.05, 10)
    yield from (gd.predict(X_new, [3, 100]), gd.learning_rate, moments.loss([0, 5]))
    for optimizer in (None, ntklin.Momentum(0.1), ADAM):
        yield lin.train(Y, optimizer, 3).displacement
        yield ntklin.train(net, theta, X, Y, optimizer, 3, record=1).parameters
    smooth = ntklin.MLP(net.widths, activation="softplus", scaling="fan_in")
    yield from (ntklin.infinite_ntk(smooth, X[:9]), lin.features.gram(weights=np.ones(len(theta))))
    yield lin.features @ (lin.features.T @ np.eye(40))


def test_memory_that_suffices_decides_no_bit(monkeypatch):
    found = set()
    for free in PLENTY:
        monkeypatch.setattr(checks, "available_memory", lambda free=free: free)
        with ntklin.reproducible():
            found.add(digest(all_that_asks_for_memory()))
    assert len(found) == 1
