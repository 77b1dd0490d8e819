"""Training of the linearized network with C outputs, step by step."""

import naive
import numpy as np
import pytest
from several_outputs import Problem
from tolerances import assert_close

import ntklin

C, STEPS = 3, 12
LABELS = np.array([2, 0, 1, 2])
ONE_HOT = np.eye(C)[LABELS]
BATCHES = [np.array([0, 2]), np.array([1]), np.array([3, 1, 0])] * 4
OPTIMIZERS = {
    "descent": (ntklin.GradientDescent(0.05), naive.optimizer("descent", 0.05)),
    "momentum": (
        ntklin.Momentum(0.02),
        naive.optimizer("momentum", 0.02, momentum=0.9, nesterov=False),
    ),
    "adagrad": (ntklin.AdaGrad(0.05), naive.optimizer("adagrad", 0.05, eps=1e-10)),
    "adam": (ntklin.Adam(0.02), naive.optimizer("adam", 0.02, betas=(0.9, 0.999), eps=1e-8)),
}


def slopes_and_loss(f, Y, loss):
    """∂ℓ/∂f, (N, C), and L, the plain formulas."""
    if loss == "squared":
        return f - Y, ((f - Y) ** 2).sum() / (2 * len(Y))
    if loss == "logistic":
        return 1 / (1 + np.exp(-f)) - Y, (np.log(1 + np.exp(f)) - Y * f).sum() / len(Y)
    p = np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
    return p - Y, -(Y * np.log(p)).sum() / len(Y)


def explicit(problem, Y, step, loss, batches):
    """θ_t − θ_0 and the losses, by dense products."""
    J, f0 = problem.J, problem.f0
    moved, memory, losses = np.zeros(J.shape[1]), {}, []
    for t in range(STEPS + 1):
        slopes, value = slopes_and_loss((f0 + J @ moved).reshape(-1, C), Y, loss)
        losses.append(value)
        if t < STEPS:
            weights = np.full(len(Y), 1 / len(Y))
            if batches is not None:
                weights = np.zeros(len(Y))
                weights[batches[t]] = 1 / len(batches[t])
            change = step(t, J.T @ (weights[:, None] * slopes).reshape(-1), memory)[0]
            moved = moved + change
    return moved, np.array(losses)


@pytest.mark.parametrize("batches", [None, BATCHES], ids=["all", "batches"])
@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_the_explicit_ones(name, loss, batches):
    p, (optimizer, step) = Problem(), OPTIMIZERS[name]
    run = p.lin.train(ONE_HOT, optimizer, steps=STEPS, loss=loss, batches=batches, until=1e-300)
    moved, losses = explicit(p, ONE_HOT, step, loss, batches)
    np.testing.assert_allclose(run.displacement, moved, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(run.losses, losses, rtol=1e-9)
    assert run.outputs.shape == (4, C)
    expected = (p.f0_new + p.J_new @ moved).reshape(5, C)
    np.testing.assert_allclose(run.predict(p.X_new), expected, rtol=1e-9, atol=1e-10)
    parts = run.interpolating(p.X_new) + run.path_dependent(p.X_new)
    np.testing.assert_allclose(parts, expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(run.interpolating(p.X), run.outputs, rtol=1e-8, atol=1e-8)


def test_class_labels_are_one_hot_rows():
    p = Problem()
    runs = [p.lin.train(Y, ntklin.Adam(0.01), steps=5, loss="softmax") for Y in (LABELS, ONE_HOT)]
    np.testing.assert_array_equal(runs[0].losses, runs[1].losses)
    np.testing.assert_array_equal(runs[0].targets, ONE_HOT)


@pytest.mark.parametrize("method", ["direct", "reduced"])
def test_engines_are_the_closed_form(method):
    p = Problem()
    run = p.lin.train(p.Y, steps=20, until=1e-300, method=method)
    gd = p.lin.gradient_descent(p.Y)
    assert run.optimizer.learning_rate == gd.learning_rate
    options = {"kind": "trajectory", "n": 40, "kappa": 100}
    assert_close(run.predict(p.X_new), gd.predict(p.X_new, 20), **options)
    assert_close(run.losses, gd.loss(np.arange(21)), **options)
    assert run.at(0).outputs.shape == (4, C)


def test_the_split_is_that_of_theorem_6():
    p = Problem()
    rule = ntklin.AdaGrad(0.05)
    run = p.lin.train(p.Y, rule, steps=3, until=1e-300, batches=BATCHES, record=1)
    form = p.lin.theorem6(p.Y, rule, steps=3, batches=BATCHES)
    np.testing.assert_allclose(run.parameters, form.parameters, rtol=1e-8, atol=1e-9)
    for part in ("interpolating", "path_dependent"):
        found, expected = (getattr(a, part)(p.X_new) for a in (run, form))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert run.concentration().distances.shape == (3,)
    assert run.kernel_drift().relative[0] == 0
    snapshot = run.snapshots[2]
    assert (snapshot.step, snapshot.outputs.shape) == (2, (4, C))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_that_is_saved_goes_on_with_the_same_bits(name, tmp_path):
    p, optimizer = Problem(), OPTIMIZERS[name][0]
    options = {"loss": "softmax", "record": 4, "batches": ntklin.Batches(0.5, rng=1)}
    whole = p.lin.train(LABELS, optimizer, steps=9, **options)
    p.lin.train(LABELS, optimizer, steps=5, **options).save(tmp_path / "run.npz")
    again = p.lin.train(LABELS, None, steps=9, resume=tmp_path / "run.npz", **options)
    np.testing.assert_array_equal(again.losses, whole.losses)
    np.testing.assert_array_equal(again.displacement, whole.displacement)
    np.testing.assert_array_equal(again.outputs, whole.outputs)
    assert [s.step for s in again.snapshots] == [0, 4, 8]


def test_an_mlp_of_several_outputs():
    """The library's own network, its engines against the products of its dense J."""
    net, rng = ntklin.MLP((3, 12, 8, C), bias="normal"), np.random.default_rng(0)
    X, X_new = (rng.uniform(-0.5, 0.5, (n, 3)) for n in (4, 2))
    theta = net.init(1)
    lin = ntklin.linearize(net, theta, X)
    J, J_new = net.jacobian(theta, X), net.jacobian(theta, X_new)
    np.testing.assert_allclose(lin.kernel, J @ J.T, rtol=1e-10, atol=1e-12)
    gd = lin.gradient_descent(ONE_HOT)
    f0, f0_new = (net.apply(theta, A).reshape(-1) for A in (X, X_new))
    rate = C * gd.learning_rate
    expected = naive.closed_form(
        J @ J.T, J_new @ J.T, f0, f0_new, ONE_HOT.reshape(-1), rate, 30
    ).reshape(2, C)
    np.testing.assert_allclose(gd.predict(X_new, 30), expected, rtol=1e-8, atol=1e-9)
    for method in ("auto", "direct", "reduced"):
        run = lin.train(ONE_HOT, steps=30, until=1e-300, method=method)
        np.testing.assert_allclose(run.predict(X_new), expected, rtol=1e-8, atol=1e-9)
    run = lin.train(LABELS, ntklin.Adam(1e-3), steps=5, loss="softmax")
    assert run.predict(X_new).shape == (2, C)
    m = lin.minimizer(ONE_HOT, weights=run.weights)
    np.testing.assert_allclose(m.predict(X), ONE_HOT, atol=1e-8)
