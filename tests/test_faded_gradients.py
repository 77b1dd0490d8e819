"""Coordinates that had gradients, but whose squares have come to nothing: D = 1/ε, not 0."""

import naive
import numpy as np
import pytest
from tolerances import assert_close

import ntklin

EPS = 1e-2
FADING = {
    "rmsprop": (ntklin.RMSprop(1e-3, alpha=0.0, eps=EPS), {"alpha": 0.0}),
    "adam": (ntklin.Adam(1e-3, betas=(0.5, 0.0), eps=EPS), {"betas": (0.5, 0.0)}),
}
# Coordinate 0 has gradients at times, 1 always, 2 never, and that of 3 is 0 squared.
GRADIENTS = np.array([[1.0, 2.0, 0.0, 1e-300], [0.0, 1.0, 0.0, 0.0], [0.0, -1.0, 0.0, -1e-300]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FADING)
def test_the_rule_and_its_preconditioner(name, dtype):
    optimizer, options = FADING[name]
    step, memory = naive.optimizer(name, 1e-3, eps=EPS, **options), {}
    gradients = GRADIENTS.astype(dtype)
    gradients[:, 3] = np.sign(GRADIENTS[:, 3]) * dtype(1e-30 if dtype == np.float32 else 1e-300)
    theta = np.ones(4, dtype)
    state, expected = optimizer.init(theta), np.ones(4)
    for t, g in enumerate(gradients):
        theta, state = optimizer.update(state, theta, g)
        change, D = step(t, g.astype(float), memory)
        expected += change
        assert_close(theta, expected, kind="rule", n=t + 1)
        assert_close(optimizer.preconditioner(state), D, kind="rule", n=t + 1)
    assert D[0] == D[3] == 1 / EPS
    assert D[2] == 0
    assert optimizer.preconditioner(state)[2] == 0


def test_squares_that_underflow_move_as_pytorch_has_it():
    """θ ← θ − η g/(0 + ε)."""
    theta, g = np.zeros(1, np.float32), np.array([1e-30], np.float32)
    for optimizer in (ntklin.AdaGrad(1.0, eps=1e-10), ntklin.RMSprop(1.0, eps=1e-10)):
        moved, state = optimizer.update(optimizer.init(theta), theta, g)
        assert moved[0] == pytest.approx(-1e-20, rel=1e-6)
        assert optimizer.preconditioner(state)[0] == pytest.approx(1e10, rel=1e-6)


@pytest.mark.parametrize("optimizer", [ntklin.RMSprop(0.1, 0.0, 0.0), ntklin.Adam(0.1, (0, 0), 0)])
def test_without_eps_a_faded_coordinate_stays(optimizer):
    """1/0 is no number: there D = 0 says that the step left it where it was."""
    theta = np.ones(2)
    theta, state = optimizer.update(optimizer.init(theta), theta, np.array([1.0, 1.0]))
    after, state = optimizer.update(state, theta, np.array([0.0, 1.0]))
    assert after[0] == theta[0]
    assert optimizer.preconditioner(state).tolist() == [0.0, 1.0]


def test_a_gradient_that_is_no_number_is_not_hidden():
    for optimizer in (ntklin.RMSprop(0.1), ntklin.Adam(0.1)):
        theta = np.ones(1)
        optimizer.step(optimizer.init(theta), theta, np.array([np.nan]))
        assert np.isnan(theta[0])


@pytest.mark.parametrize("method", ["fused", "direct"])
@pytest.mark.parametrize("name", FADING)
def test_the_split_of_a_run_on_mini_batches(name, method):
    """By a dense solve with the literal D_t; batches leave neurons of the latest one still."""
    rng = np.random.default_rng(0)
    net = ntklin.MLP((3, 10, 1), bias="none")
    X, X_new, Y = (0.5 * rng.standard_normal(s) for s in ((4, 3), (2, 3), 4))
    lin = ntklin.linearize(net, net.init(0), X)
    batches = [[0, 1], [2, 3], [0, 1], [2]]
    optimizer, options = FADING[name]
    run = lin.train(Y, optimizer, steps=4, batches=batches, method=method)
    J, J_new = (lin.features.network.jacobian(net.init(0), A) for A in (X, X_new))
    weights = np.zeros((4, 4))
    for t, batch in enumerate(batches):
        weights[t, batch] = 1 / len(batch)
    step = naive.optimizer(name, 1e-3, eps=EPS, **options)
    moved, f, _, D = naive.linearized_training(J, lin.initial_outputs, Y, step, weights)[-1]
    g = J[2] * (f[2] - Y[2])
    assert np.count_nonzero((D != 0) & (g == 0)) > 0  # or the test is about nothing
    assert_close(run.weights, D, kind="rule", n=4, kappa=1 / EPS)
    A = (J_new * D) @ J.T @ np.linalg.inv((J * D) @ J.T)
    expected = net.apply(net.init(0), X_new) + A @ (J @ moved)
    kappa = np.linalg.cond((J * D) @ J.T)
    assert_close(run.interpolating(X_new), expected, kind="projector", n=40, kappa=kappa)
    assert run.path_dependent(X) == pytest.approx(0, abs=1e-12)
