"""What calls say that they need of memory, beside what they take."""

import tracemalloc

import numba
import numpy as np
import pytest
import tasks

import ntklin
from ntklin.kernels.cpu import products
from ntklin.networks import memory, mlp
from ntklin.theory.solver_costs import BLOCK, memory_of
from ntklin.training import descents as descent
from ntklin.training.task import TrainingTask

pytestmark = pytest.mark.compiled("minutes without compiled kernels, and the sizes are the same")

SEVERAL = (400, 1000, 10), 60
SHAPES = [((20, 300, 1), 1200), ((400, 1000, 1), 60), ((400, 500, 600, 1), 60)]
OPTIMIZERS = [ntklin.GradientDescent(0.01), ntklin.Adam(1e-3)]


def problem(widths, n, dtype):
    net, rng = ntklin.MLP(widths), np.random.default_rng(0)
    X = (rng.standard_normal((n, widths[0])) / 9).astype(dtype)
    Y = X[:, : widths[-1]].copy()
    return net, net.init(0, dtype), X, Y if net.n_outputs > 1 else Y[:, 0]


def random_kernel(n):
    """The linearization of a kernel of n samples, and targets."""
    rng = np.random.default_rng(0)
    A, Y = rng.standard_normal((n, n + 5)), rng.standard_normal(n)
    return ntklin.linearize_kernel(A @ A.T / n), Y


def peak(call):
    call()  # compiles, and loads what is loaded once
    tracemalloc.start()
    kept = call()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return size


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("widths", "n"), [*SHAPES, SEVERAL])
@pytest.mark.parametrize("method", descent.ENGINES)
def test_engines(method, widths, n, dtype):
    net, theta, X, Y = problem(widths, n, dtype)
    engine = descent.ENGINES[method]
    for optimizer in OPTIMIZERS:
        if not tasks.serves(engine, net, optimizer):
            continue
        taken = peak(lambda o=optimizer: ntklin.train(net, theta, X, Y, o, 2, method=method))
        task = TrainingTask(net, theta, X, Y, optimizer)
        assert 1 <= engine.needs(task) / taken <= 2.2


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("widths", [(3, 8, 8, 1), (3, 8, 2), (3, 300, 5, 1)])
def test_slabs_of_many_samples(widths, dtype):
    net, theta, X, Y = problem(widths, 5000, dtype)
    optimizer = OPTIMIZERS[1]
    taken = peak(lambda: ntklin.train(net, theta, X, Y, optimizer, 2, method="fused"))
    task = TrainingTask(net, theta, X, Y, optimizer)
    assert 1 <= descent.ENGINES["fused"].needs(task) / taken <= 2.2


@pytest.mark.parametrize(("dtype", "d"), [(np.float64, 31), (np.float32, 63)])
def test_inputs_that_fill_their_tiles(dtype, d):
    """With a column of ones, which is the last of its tile: there is none beyond."""
    net, theta, X, Y = problem((d, 8, 1), 20000, dtype)
    optimizer = OPTIMIZERS[0]
    taken = peak(lambda: ntklin.train(net, theta, X, Y, optimizer, 2, method="fused"))
    task = TrainingTask(net, theta, X, Y, optimizer)
    assert 1 <= descent.ENGINES["fused"].needs(task) / taken <= 1.9


@pytest.mark.parametrize(("widths", "n"), SHAPES)
def test_features(widths, n):
    net, theta, X, _ = problem(widths, n, float)

    def call():
        phi = net.features(theta, X)
        return phi, phi @ theta

    # Each thread has a tile in its cache beside, however many inputs there are.
    tiles = numba.get_num_threads() * min(n, products.ROWS) * products.BLOCK
    assert 0.95 <= 8 * (memory.passes(net, n) + tiles) / peak(call) <= 1.6


@pytest.mark.parametrize("solver", ["packed", "mixed"])
def test_minimizers_of_many_samples(solver):
    net, theta, X, Y = problem((20, 4000, 1), 2000, float)

    def call():
        return ntklin.linearize(net, theta, X).minimizer(Y, solver=solver, ridge=1.0)

    planned = 8 * memory.passes(net, 2000) + memory_of(solver, 2000, 1)
    tile = 8 * memory.last_signals(net, 5 * BLOCK)  # of its rows and columns, however large N is
    assert 0.95 <= (planned + tile) / peak(call) <= 1.6


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_initialization_takes_no_more_than_theta(dtype):
    net = ntklin.MLP((1000, 3000, 1))
    assert peak(lambda: net.init(0, dtype)) < net.n_parameters * np.dtype(dtype).itemsize + 2e7


def test_outputs_take_a_block_at_a_time(monkeypatch):
    net, theta, X, _ = problem((20, 300, 1), 1000, float)
    whole = net.apply(theta, X)
    monkeypatch.setattr(mlp, "BLOCK", 8 * 320 * 64)
    assert peak(lambda: net.apply(theta, X)) < 8 * 1000 * 300 / 4
    np.testing.assert_allclose(net.apply(theta, X), whole, rtol=0, atol=1e-14)
    monkeypatch.setattr(mlp, "BLOCK", 1)
    np.testing.assert_allclose(net.apply(theta, X[:5]), whole[:5], rtol=0, atol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("n", [150, 900])
@pytest.mark.parametrize("widths", [(10, 40, 30, 20, 1), (6, 50, 1)])
def test_kernels(monkeypatch, n, widths, crossed, weighted):
    net, theta, X, _ = problem(widths, n, float)
    phi, other = net.features(theta, X), net.features(theta, X) if crossed else None
    D = np.ones(net.n_parameters) if weighted else None
    asked = []
    monkeypatch.setattr(
        "ntklin.networks.features.require_memory", lambda size, *a, **k: asked.append(size)
    )
    taken = peak(lambda: phi.gram(other, weights=D))
    assert 0.95 <= (asked[-1] + 2**18) / taken <= 2.6


def test_the_largest_rate_for_random_batches(monkeypatch):
    """Most of it are vectors of the search, as long as half a matrix: their number is known."""
    (lin, Y), asked = random_kernel(300), []
    monkeypatch.setattr("ntklin.theory.moments.require_memory", lambda size, *a: asked.append(size))
    taken = peak(lambda: lin.moments(Y, 0.01, 7).max_learning_rate)
    assert 0.97 <= asked[-1] / taken <= 1.04


@pytest.mark.parametrize(
    ("t", "is_known", "most"), [(60, False, 2), (300, False, 1.2), (300, True, 2)]
)
def test_moments_of_many_steps_look_for_that_rate(monkeypatch, t, is_known, most):
    (lin, Y), asked = random_kernel(300), []

    def moments():
        found = lin.moments(Y, 0.01, 7)
        assert not is_known or found.max_learning_rate > 0
        return found

    moments().loss(t)
    monkeypatch.setattr("ntklin.theory.moments.require_memory", lambda size, *a: asked.append(size))
    found = moments()
    tracemalloc.start()
    found.loss(t)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.97 <= asked[-1] / taken <= most
