"""The losses of a run are those of its parameters, however long it was and however small they are.

Steps that vanish in the rounding of what they are added to have to count: sums that take them in
different ways part from each other, and the loss that is told is then not that of what is returned.
"""

import numpy as np
import pytest

import ntklin
from ntklin.edge.backends import kernels
from ntklin.kernels.cpu.plain import JIT_DISABLED
from ntklin.runs import monotone
from ntklin.training import reduced_descent as reduced

DTYPES = (np.float32, np.float64)
compiled = pytest.mark.compiled
# Losses near which the residuals are some hundred times the rounding of an output.
TINY = {np.float32: 1e-11, np.float64: 1e-27}
NETS = {
    "shallow": ntklin.MLP((8, 40, 1), sigma=0.7),
    "without biases": ntklin.MLP((8, 40, 1), bias="none"),
    "deep": ntklin.MLP((8, 16, 12, 1)),
    "doubled": ntklin.DoubledNetwork(ntklin.MLP((8, 20, 1))),
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((8, 20, 1))),
}


def problem(dtype=np.float64, n=10):
    """Inputs that are alike, so that the slowest modes take long."""
    rng = np.random.default_rng(5)
    X = 0.5 * rng.standard_normal(8) + 0.6 * rng.standard_normal((n, 8))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X.astype(dtype), rng.choice([0.0, 1.0], n).astype(dtype)


def true_loss(net, theta, X, Y):
    """L(θ) in float64."""
    theta, X, Y = (a.astype(np.float64) for a in (theta, X, Y))
    return float(((net.apply(theta, X) - Y) ** 2).mean() / 2)


def allowed(loss, run):
    """By how much the rounding of the outputs moves a loss."""
    return float(monotone.rounding(np.array(loss), run.yardstick.reference, run.parameters.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETS)
def test_what_has_converged_has_the_loss_that_is_told(name, dtype):
    net, (X, Y) = NETS[name], problem(dtype)
    theta = net.init(2, dtype)
    until = TINY[dtype]
    steps, record = (300, [10, 130, 290]) if JIT_DISABLED else (4000, [10, 500, 1100])
    run = ntklin.train(net, theta, X, Y, steps=steps, until=until, record=record, X_record=X)
    assert run.method == ("direct" if name == "pair" else "reduced")
    told, true = run.losses[-1], true_loss(net, run.parameters, X, Y)
    assert abs(told - true) <= allowed(told, run)
    own = float(((run.predict(X).astype(float) - Y) ** 2).mean() / 2)
    assert abs(told - own) <= allowed(told, run)
    if run.converged:
        assert true < until + allowed(until, run)
    records = run.records
    for loss, snapshot, f in zip(records.losses, records.snapshots, records.outputs, strict=True):
        assert abs(loss - true_loss(net, snapshot, X, Y)) <= allowed(loss, run)
        assert abs(loss - ((f.astype(float) - Y) ** 2).mean() / 2) <= allowed(loss, run)
    for distance, snapshot in zip(records.distances, records.snapshots, strict=True):
        exact = np.linalg.norm(snapshot.astype(float) - theta)
        assert distance == pytest.approx(exact, rel=1e-12)


def first_layer_alone(net, theta, X, Y, rate, steps):
    """The loss after gradient descent with every layer above the first held."""
    size = net.widths[1] * (net.widths[0] + net.has_bias)
    for _ in range(steps):
        phi = net.features(theta, X.astype(float))
        theta[:size] -= rate / len(Y) * (phi.T @ (phi.outputs - Y))[:size]
    return true_loss(net, theta, X, Y)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["shallow", "deep"])
def test_steps_below_the_rounding_of_a_preactivation_count(name):
    """A loss that falls from 1e-9 by a tiny share a step goes on to where the first layer leads it.

    The layers above are numbers of their own precision, whose steps are lost there.
    """
    net, (X, Y) = NETS[name], problem(np.float32)
    theta = ntklin.train(net, net.init(2, np.float32), X, Y, until=1e-9, steps=4000).parameters
    rate = ntklin.linearize(net, theta, X).max_learning_rate / 400
    run = ntklin.train(net, theta, X, Y, ntklin.GradientDescent(rate), steps=1500)
    double = ntklin.train(
        net, *(a.astype(float) for a in (theta, X, Y)), ntklin.GradientDescent(rate), steps=1500
    )
    alone = first_layer_alone(net, theta.astype(float), X, Y, rate, steps=1500)
    start = double.losses[0]
    fell, due, least = run.losses[0] - run.losses[-1], start - double.losses[-1], start - alone
    slack = allowed(run.losses[0], run)
    assert least > 4 * slack  # or the test is about nothing
    assert least - slack <= fell <= due + slack
    assert abs(true_loss(net, run.parameters, X, Y) - run.losses[-1]) <= slack


@pytest.mark.parametrize("name", ["shallow", "deep"])
@pytest.mark.parametrize(
    "cut", [reduced.FOLD - 1, reduced.FOLD, reduced.FOLD + 1, pytest.param(300, marks=compiled)]
)
def test_a_run_that_is_continued_has_the_same_bits(tmp_path, name, cut):
    """Wherever it was cut between two foldings of its sums."""
    net, (X, Y) = NETS[name], problem(np.float32)
    theta, end = net.init(2, np.float32), 150 if JIT_DISABLED else 400
    whole = ntklin.train(net, theta, X, Y, steps=end)
    ntklin.train(net, theta, X, Y, steps=cut).save(tmp_path / "run.npz")
    again = ntklin.train(net, theta, X, Y, steps=end, resume=tmp_path / "run.npz")
    assert again.losses.tolist() == whole.losses.tolist()
    assert again.parameters.tobytes() == whole.parameters.tobytes()
    assert all(again.arrays[name].tobytes() == a.tobytes() for name, a in whole.arrays.items())


@pytest.mark.parametrize("dtype", DTYPES)
def test_folding_loses_nothing(dtype):
    rng = np.random.default_rng(0)
    k = kernels(np.zeros(1))
    state = k.descent_state(rng.standard_normal((5, 9)), dtype)
    for total in (state.H, state.S):
        total[:, :9] = rng.standard_normal((5, 9))
    for change in (state.moved, state.S_moved):
        change[:, :9] = rng.standard_normal((5, 9)) * 10.0 ** rng.integers(-9, 3, (5, 9))
    H, moved, S, S_moved = (a.astype(np.longdouble) for a in state)
    k.fold(state)
    for total, change, before in (
        (state.H, state.moved, H + moved),
        (state.S, state.S_moved, S + S_moved),
    ):
        assert (total.astype(np.longdouble) + change == before).all()
        assert (np.abs(change) <= np.spacing(np.abs(total)) / 2).all()
    again = [a.copy() for a in state]
    k.fold(type(state)(*again))
    for a, b in zip(again, state, strict=True):
        assert (a == b).all()
