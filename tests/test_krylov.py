"""Gradient descent without the spectrum against the closed form, and functions of operators."""

import copy

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.algebra.krylov import function_of_operator
from ntklin.edge.errors import ConvergenceError

NET = ntklin.MLP((3, 30, 1))
THETA = NET.init(rng=0)
RNG = np.random.default_rng(1)
X, X_NEW, Y = RNG.uniform(-0.5, 0.5, (14, 3)), RNG.uniform(-0.5, 0.5, (4, 3)), RNG.normal(size=14)
LIN = ntklin.linearize(NET, THETA, X)
STEPS = [0, 1, 7, 1000, 10**6]


@given(
    n=st.integers(1, 25),
    k=st.integers(1, 3),
    decades=st.floats(0, 6),
    t=st.sampled_from([1.0, 10.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_functions_of_an_operator(n, k, decades, t, seed):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    values = np.logspace(-decades, 0, n)
    A, B = (Q * values) @ Q.T, rng.standard_normal((n, k))
    B[:, 0] = 0.0

    def both(x):
        return np.stack([np.exp(-t * x), (1 - np.exp(-t * x)) / np.maximum(x, 1e-300)])

    found = function_of_operator(lambda V: A @ V, B, both, tolerance=1e-9, most=200)
    for value, f in zip(found.values, both(values), strict=True):
        expected = (Q * f) @ Q.T @ B
        size = np.linalg.norm(expected, axis=0) + 1e-12 * np.abs(f).max()
        assert (np.linalg.norm(value - expected, axis=0) <= 1e-7 * size).all()
    assert found.error <= 1e-9
    assert found.iterations <= n + 1


def test_a_function_that_is_0_has_no_error():
    A, B = np.linspace(0.1, 1, 9)[:, None], np.ones((9, 2))

    def zero(x):
        return np.zeros((1, len(x)))

    found = function_of_operator(lambda V: A * V, B, zero, tolerance=1e-9, most=50)
    assert not found.values.any()
    assert found.error == 0


def test_too_few_products_are_told():
    values = np.logspace(-4, 0, 60)
    with pytest.raises(ConvergenceError, match="after 10 products, not below tol=1e-10") as caught:
        function_of_operator(
            lambda V: values[:, None] * V,
            np.ones((60, 1)),
            lambda x: 1 / np.maximum(x, 1e-9)[None],
            tolerance=1e-10,
            most=10,
        )
    assert caught.value.residual > 1e-10
    assert caught.value.solution.shape == (1, 60, 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ridge": 0.1},
        {"momentum": 0.8},
        {"momentum": 0.8, "nesterov": True},
        {"learning_rate": ntklin.StepSchedule(0.5, 5)},
        {"weights": np.linspace(0.5, 2, NET.n_parameters)},
        {"weights": ntklin.LowRank(np.eye(NET.n_parameters)[:, 3:100])},
    ],
    ids=["plain", "ridge", "momentum", "nesterov", "schedule", "diagonal", "low rank"],
)
def test_descent_by_products_is_that_of_the_spectrum(options):
    gd = LIN.gradient_descent(Y, **options)
    steps = STEPS[:4] if "learning_rate" in options else STEPS
    at = gd.by_products(steps, tol=1e-11)
    assert at.error <= 1e-11
    np.testing.assert_allclose(at.predict(X_NEW), gd.predict(X_NEW, steps), rtol=0, atol=1e-8)
    np.testing.assert_allclose(at.parameters, gd.parameters(steps), rtol=0, atol=1e-7)
    np.testing.assert_allclose(at.loss, gd.loss(steps), rtol=1e-6, atol=1e-15)
    one = gd.by_products(7)
    assert one.predict(X_NEW).shape == (4,)
    assert isinstance(one.loss, float)
    again = copy.deepcopy(at)
    np.testing.assert_array_equal(again.predict(X_NEW), at.predict(X_NEW))


def test_against_steps_taken_one_by_one():
    """The recursion of the definition, with the naive Jacobian."""
    witness = naive.Network((3, 30, 1), 1.0, "fan_out", "zero")
    J, f0 = naive.jacobian(witness, THETA, X), naive.apply(witness, THETA, X)
    gd = LIN.gradient_descent(Y, 0.4)
    moved = np.zeros(J.shape[1])
    for _ in range(9):
        moved -= 0.4 / 14 * J.T @ (f0 + J @ moved - Y)
    np.testing.assert_allclose(gd.by_products(9).parameters, THETA + moved, rtol=0, atol=1e-9)


@pytest.mark.parametrize("C", [1, 2])
def test_kernels_and_outputs(C):
    targets = RNG.normal(size=(14, C)).squeeze()
    inf = ntklin.InfiniteMLP(ntklin.MLP((3, 10, C)))
    net = ntklin.MLP((3, 20, C))
    for lin in (inf.linearize(X), ntklin.linearize(net, net.init(rng=0), X)):
        gd = lin.gradient_descent(targets)
        found = gd.by_products([3, 500]).predict(X_NEW)
        np.testing.assert_allclose(found, gd.predict(X_NEW, [3, 500]), rtol=0, atol=1e-8)


def test_beyond_the_spectrum_products_serve(monkeypatch):
    """predict, parameters and loss take them where the kernel is large and does not fit."""
    expected = LIN.gradient_descent(Y)
    results = [
        (expected.predict(X_NEW, t), expected.parameters(t), expected.loss(t)) for t in (5, 300)
    ]
    limit = expected.predict(X_NEW)
    for room in ("descent_without_spectrum", "descend", "solver_choice"):
        monkeypatch.setattr(f"ntklin.theory.{room}.SMALL", 4)
    monkeypatch.setattr("ntklin.runs.stability.LARGE", 4)
    monkeypatch.setattr("ntklin.theory.descent_without_spectrum.fits", lambda need: False)
    lin = ntklin.linearize(NET, THETA, X)
    gd = lin.gradient_descent(Y)
    for t, (outputs, theta, loss) in zip((5, 300), results, strict=True):
        np.testing.assert_allclose(gd.predict(X_NEW, t), outputs, rtol=0, atol=1e-6)
        np.testing.assert_allclose(gd.parameters(t), theta, rtol=0, atol=1e-6)
        np.testing.assert_allclose(gd.loss(t), loss, rtol=1e-5)
    np.testing.assert_allclose(gd.predict(X_NEW), limit, rtol=0, atol=1e-6)
    assert not lin.has_spectrum


def test_what_needs_the_spectrum_is_told():
    with pytest.raises(ValueError, match="weight_decay needs the spectrum"):
        LIN.gradient_descent(Y, weight_decay=0.1).by_products(3)
    with pytest.raises(ntklin.FloatRangeError, match="below max_learning_rate"):
        LIN.gradient_descent(Y, 10 * LIN.max_learning_rate).by_products(10**4)
    with pytest.raises(ValueError, match="tol is relative and must be below 1"):
        LIN.gradient_descent(Y).by_products(3, tol=1e-20)
