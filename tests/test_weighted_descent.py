"""Gradient descent with a constant D in closed form: against its recursion and the minimizer."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import cases
from tolerances import EPS, assert_close

import ntklin

TIMES = [0, 1, 2, 7, 40]


def matrix_of(D, P):
    """D as a matrix."""
    if isinstance(D, ntklin.LowRank):
        return D.W @ D.W.T
    D = np.asarray(D, float)
    return D * np.eye(P) if D.ndim < 2 else D


def recursion(case, D, Y, rate, ridge, X_new, times):
    """θ_t and f_t(X_new), step by step, with the dense J of the reference."""
    J, J_new = case.jacobian().astype(float), case.jacobian(X_new).astype(float)
    theta = case.theta.astype(float)
    start, f0, f0_new = theta, case.net.apply(theta, case.X.astype(float)), None
    f0_new = case.net.apply(theta, X_new.astype(float))
    D, N = matrix_of(D, len(theta)), len(case.X)
    found = []
    for t in range(max(times) + 1):
        if t in times:
            found.append((theta, f0_new + J_new @ (theta - start)))
        residual = f0 + J @ (theta - start) - Y
        theta = theta - rate / N * (D @ (J.T @ residual) + ridge * (theta - start))
    return [np.array(values) for values in zip(*found, strict=True)]


KINDS = ("number", "diagonal", "zeros", "matrix", "low rank")


def constant(kind, P, rng):
    """A D of each kind."""
    diagonal = rng.uniform(0.1, 2, P)
    if kind == "number":
        return 0.7
    if kind == "diagonal":
        return diagonal
    if kind == "zeros":
        return diagonal * (rng.random(P) < 0.6) + np.eye(P)[0]
    W = rng.standard_normal((P, 3))
    return ntklin.LowRank(W) if kind == "low rank" else W @ W.T + np.diag(diagonal)


@given(
    cases(dtypes=[np.float64], rows=["plain"], max_rows=4),
    st.sampled_from(KINDS),
    st.sampled_from([0.0, 0.3]),
)
def test_against_the_recursion(case, kind, ridge):
    rng = np.random.default_rng(5)
    D = constant(kind, len(case.theta), rng)
    Y, X_new = rng.standard_normal(len(case.X)), rng.standard_normal((2, case.X.shape[1]))
    J = case.jacobian()
    K = J @ matrix_of(D, len(case.theta)) @ J.T
    largest = float(np.linalg.eigvalsh(K)[-1])
    if largest < 1e-6:
        return
    rate = 0.8 * len(case.X) / (largest + ridge)
    lin = ntklin.linearize(case.net, case.theta, case.X)
    gd = lin.gradient_descent(Y, rate, ridge, weights=D)
    thetas, outputs = recursion(case, D, Y, rate, ridge, X_new, TIMES)
    # Rounding of a step's products, once for each of the steps.
    scale = (
        1
        + np.abs(case.theta).max()
        + rate
        * np.abs(matrix_of(D, len(case.theta))).max()
        * (np.abs(J).max() * (np.abs(Y).max() + np.abs(case.net.apply(case.theta, case.X)).max()))
    )
    steps = {"kind": "trajectory", "n": max(TIMES) * case.n, "scale": 10 * scale}
    assert_close(gd.parameters(TIMES), thetas, **steps)
    reach = np.abs(case.jacobian(X_new)).sum()
    outs = steps | {"scale": 10 * scale * (1 + reach)}
    assert_close(gd.predict(X_new, TIMES), outputs, **outs)


def wide(dtype=np.float64, **options):
    net = ntklin.MLP((3, 30, 20, 1), bias="normal", **options)
    rng = np.random.default_rng(2)
    X = rng.standard_normal((6, 3)).astype(dtype)
    return net, net.init(1, dtype), X / 4, rng.standard_normal(6), X[:2] / 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_the_limit_is_the_minimizer(kind, ridge):
    net, theta, X, Y, X_new = wide()
    D = constant(kind, net.n_parameters, np.random.default_rng(0))
    lin = ntklin.linearize(net, theta, X)
    gd, m = (
        lin.gradient_descent(Y, ridge=ridge, weights=D),
        lin.minimizer(Y, weights=D, ridge=ridge),
    )
    allowed = {"kind": "solve", "kappa": 8 * m.condition, "n": 200}
    assert_close(gd.predict(X_new), m.predict(X_new), scale=1 + np.abs(Y), **allowed)
    assert_close(gd.parameters(), m.parameters, scale=1 + np.abs(theta), **allowed)
    assert_close(gd.predict(X_new, 10**9), m.predict(X_new), scale=1 + np.abs(Y), **allowed)


def test_layers_that_are_frozen_stay_and_others_have_their_rates():
    net, theta, X, Y, X_new = wide()
    D = net.layer_weights({1: 0.0, 3: 0.25, "bias": 0.1})
    lin = ntklin.linearize(net, theta, X)
    gd = lin.gradient_descent(Y, weights=D)
    for t in (1, 100, None):
        moved = net.unpack(gd.parameters(t) - theta)
        assert not moved[0][0].any()
        assert not moved[0][1].any()
        assert moved[1][0].any()
    # One step is −(η/N) D φ^T r.
    r = lin.initial_outputs - Y
    step = -gd.learning_rate / len(X) * D * (lin.features.T @ r)
    assert_close(gd.parameters(1) - theta, step, kind="trajectory", n=100, scale=1 + np.abs(theta))
    K = lin.weighted_kernel(D)
    assert gd.max_learning_rate == pytest.approx(2 * 6 / np.linalg.eigvalsh(K)[-1], rel=1e-10)
    assert gd.loss(0) == pytest.approx(float(r @ r) / 12)
    assert gd.loss(gd.steps_to(1e-4)) < 1e-4 <= gd.loss(gd.steps_to(1e-4) - 1)
    again = pickle.loads(pickle.dumps(gd))
    np.testing.assert_array_equal(again.predict(X_new, 5), gd.predict(X_new, 5))
    assert gd.predict(X_new, 5).shape == (2,)


@pytest.mark.parametrize("kind", ["pair", "doubled"])
def test_symmetrized_networks(kind):
    _, _, X, Y, X_new = wide()
    kinds = {"pair": ntklin.AntisymmetricPair, "doubled": ntklin.DoubledNetwork}
    symmetric = kinds[kind](ntklin.MLP((3, 60, 1)))
    theta = symmetric.init(0)
    D = symmetric.layer_weights({1: 0.5, (2, "bias"): 0.0})
    lin = ntklin.linearize(symmetric, theta, X)
    gd = lin.gradient_descent(Y, weights=D)
    run = lin.train(Y, ntklin.Preconditioned(gd.learning_rate, lambda t, g: D), steps=20)
    assert_close(gd.parameters(20), run.parameters, kind="trajectory", n=2000, scale=10)
    assert_close(gd.predict(X_new, 20), run.predict(X_new), kind="trajectory", n=2000, scale=10)


def test_fewer_directions_than_inputs():
    net, theta, X, Y, X_new = wide()
    D = np.zeros(net.n_parameters)
    D[[0, 50, -1]] = 1, 2, 3
    lin = ntklin.linearize(net, theta, X)
    gd, m = lin.gradient_descent(Y, weights=D), lin.minimizer(Y, weights=D)
    assert_close(
        gd.predict(X_new), m.predict(X_new), kind="solve", kappa=m.condition, n=200, scale=10
    )
    assert np.flatnonzero(gd.parameters() - theta).tolist() == [
        p
        for p in (0, 50, net.n_parameters - 1)
        if (lin.features @ np.eye(1, len(D), p % len(D))[0]).any()
    ]


def test_one_is_no_weight():
    net, theta, X, Y, X_new = wide()
    lin = ntklin.linearize(net, theta, X)
    plain = lin.gradient_descent(Y)
    ones = lin.gradient_descent(Y, weights=np.ones(net.n_parameters))
    assert ones.learning_rate == pytest.approx(plain.learning_rate, rel=1e-12)
    allowed = {"kind": "trajectory", "n": 200, "kappa": 100, "scale": 10}
    assert_close(ones.predict(X_new, TIMES), plain.predict(X_new, TIMES), **allowed)
    # A multiple of D is one of the learning rate.
    half = lin.gradient_descent(Y, 2 * plain.learning_rate, weights=0.5)
    assert_close(half.parameters(TIMES), plain.parameters(TIMES), **allowed)


@pytest.mark.parametrize("power", [-400, 400])
def test_weights_of_any_size(power):
    net, theta, X, Y, X_new = wide()
    lin = ntklin.linearize(net, theta, X)
    D = net.layer_weights({1: 0.5})
    plain = lin.gradient_descent(Y, weights=D)
    far = lin.gradient_descent(Y, weights=np.ldexp(D, power))
    assert far.learning_rate == pytest.approx(np.ldexp(plain.learning_rate, -power), rel=1e-9)
    allowed = {"kind": "trajectory", "n": 200, "kappa": 1e3, "scale": 10}
    assert_close(far.predict(X_new, [0, 9]), plain.predict(X_new, [0, 9]), **allowed)
    assert_close(far.parameters([0, 9]), plain.parameters([0, 9]), **allowed)


def test_single_precision():
    net, theta, X, Y, X_new = wide(np.float32)
    D = net.layer_weights({1: 0.5})
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y, weights=D)
    double = ntklin.linearize(net, theta.astype(float), X.astype(float))
    expected = double.gradient_descent(Y, gd.learning_rate, weights=D).predict(X_new, TIMES)
    found = gd.predict(X_new, TIMES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=200 * EPS[np.dtype(np.float32)])
    assert gd.parameters(3).dtype == np.float32


def test_refusals():
    net, theta, X, Y, _ = wide()
    lin = ntklin.linearize(net, theta, X)
    with pytest.raises(ValueError, match="weights must be non-negative"):
        lin.gradient_descent(Y, weights=-np.ones(net.n_parameters))
    with pytest.raises(ValueError, match="weights are 0 everywhere: no parameter would be trained"):
        lin.gradient_descent(Y, weights=net.layer_weights({1: 0, 2: 0, 3: 0}))
    with pytest.raises(ValueError, match=r"weights must have shape \(\d+,\)"):
        lin.gradient_descent(Y, weights=np.ones(3))
