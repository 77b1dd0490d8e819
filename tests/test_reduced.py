"""Training of the linearized network in the span of its features, beside the other engines."""

import tracemalloc

import numpy as np
import pytest
import tasks
from linear_model import linear_model
from tolerances import assert_close

import ntklin
from ntklin.edge import checks as _validate
from ntklin.theory.span_engine import SpanEngine
from ntklin.theory.task import LinearizedTask

STEPS = 200
OPTIMIZERS = (
    ntklin.GradientDescent(0.3),
    ntklin.Momentum(0.1, 0.8),
    ntklin.Momentum(0.1, 0.8, nesterov=True),
)


def linearization(widths=(5, 40, 1), n=6, dtype=float, wrap=None):
    net = ntklin.MLP(widths)
    net = net if wrap is None else wrap(net)
    X = np.random.default_rng(0).uniform(-0.4, 0.4, (n, widths[0])).astype(dtype)
    return ntklin.linearize(net, net.init(0, dtype=dtype), X), np.linspace(0, 1, n, dtype=dtype)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=2), [[0, 0, 5]] * STEPS])
@pytest.mark.parametrize("wrap", [None, ntklin.AntisymmetricPair])
def test_it_takes_the_steps_that_the_other_engines_take(optimizer, loss, batches, wrap):
    lin, Y = linearization(wrap=wrap)
    options = {"steps": STEPS, "batches": batches, "loss": loss, "record": [7]}
    one, other = (
        lin.train(Y, optimizer, method=method, **options) for method in ("reduced", "direct")
    )
    assert (one.method, other.method) == ("reduced", "direct")
    assert lin.train(Y, optimizer, **options).method == "reduced"
    kappa = lin.eigenvalues[-1] / lin.eigenvalues[0]
    tolerance = {"kind": "trajectory", "n": STEPS, "kappa": kappa}
    assert_close(one.losses, other.losses, **tolerance)
    assert_close(one.displacement, other.displacement, **tolerance)
    assert_close(one.outputs, other.outputs, **tolerance)
    assert_close(one.at(7).displacement, other.at(7).displacement, **tolerance)
    assert one.weights == other.weights == 1.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_takes_what_it_says_of_memory(dtype):
    J, optimizer = np.ones((200, 5), dtype) / 9, ntklin.GradientDescent(1e-3)

    def call():
        return linear_model(J).train(J[:, 0], optimizer, 1, method="reduced")

    call()  # what is made once
    tracemalloc.start()
    run = call()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    task = LinearizedTask(run.linearization, J[:, 0], optimizer)
    # Half a kilobyte of Python's own objects is there as well.
    assert taken <= SpanEngine.needs(task) + 512 <= 3 * taken


def test_what_the_optimizer_remembers_is_that_of_theta():
    lin, Y = linearization()
    states = []
    for method in ("reduced", "fused"):
        engine = tasks.linearized(method, lin, Y, OPTIMIZERS[1])
        engine.advance(np.full((9, 6), 1 / 6), 0.0, np.inf)
        states.append(engine.optimizer_state())
    one, other = states
    assert one.count == other.count == 9
    assert one.slots.keys() == other.slots.keys() == {"velocity"}
    kappa = lin.eigenvalues[-1] / lin.eigenvalues[0]
    assert_close(one.slots["velocity"], other.slots["velocity"], kind="trajectory", kappa=kappa)


def test_float32_stays_float32():
    lin, Y = linearization(dtype=np.float32)
    run = lin.train(Y, OPTIMIZERS[1], STEPS)
    exact, _ = linearization()
    double = exact.train(Y, OPTIMIZERS[1], STEPS)
    assert run.method == "reduced"
    assert {a.dtype for a in (run.displacement, run.outputs)} == {np.dtype(np.float32)}
    kappa = exact.eigenvalues[-1] / exact.eigenvalues[0]
    tolerance = {"kind": "trajectory", "n": STEPS, "kappa": kappa, "dtype": np.float32}
    assert_close(run.outputs, double.outputs, **tolerance)


def test_fewer_parameters_than_samples():
    lin, Y = linearization((2, 1), n=6)
    one, other = (lin.train(Y, OPTIMIZERS[0], 50, method=m) for m in ("reduced", "fused"))
    assert_close(one.outputs, other.outputs, kind="trajectory", n=50)
    assert_close(one.displacement, other.displacement, kind="trajectory", n=50)


def test_rules_that_leave_the_span_are_refused():
    lin, Y = linearization()
    needs = "method='reduced' needs gradient descent or momentum, got FeatureMap and AdaGrad"
    with pytest.raises(ValueError, match=needs):
        lin.train(Y, ntklin.AdaGrad(0.1), 3, method="reduced")
    assert lin.train(Y, ntklin.AdaGrad(0.1), 3).method == "fused"


def test_a_kernel_that_would_crowd_the_memory_is_not_made(monkeypatch):
    lin, Y = linearization()
    for free, method in ((None, "reduced"), (10 * 8 * 36, "reduced"), (10 * 8 * 36 - 1, "fused")):
        monkeypatch.setattr(_validate, "available_memory", lambda free=free: free)
        assert lin.train(Y, OPTIMIZERS[0], 3).method == method
