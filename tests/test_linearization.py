"""The linearization: factorized once, kept, and never disturbed by its callers."""

import gc
import warnings
import weakref

import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import assert_close

import ntklin
from ntklin.edge import checks as _validate

WIDTHS = (3, 6, 4, 1)


def problem(bias="zero", dtype=np.float64, n=5, n_new=4, seed=0):
    """A small network, its θ_0, unit rows X, X_new inside the ball, and Y."""
    rng = np.random.default_rng(seed)
    net = ntklin.MLP(WIDTHS, sigma=1.3, bias=bias)
    X = rng.standard_normal((n, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    X_new = rng.uniform(-0.5, 0.5, (n_new, 3))
    X, X_new = X.astype(dtype), X_new.astype(dtype)
    return net, net.init(rng=seed, dtype=dtype), X, X_new, rng.standard_normal(n)


@pytest.mark.parametrize("bias", ["none", "zero", "normal"])
def test_kernel_outputs_and_spectrum_are_those_of_the_network(bias):
    net, theta, X, _, _ = problem(bias)
    lin = ntklin.linearize(net, theta, X)
    witness = naive.Network(WIDTHS, 1.3, "fan_out", bias)
    K = naive.gram(naive.jacobian(witness, theta, X))
    assert lin.n_samples == 5
    assert_close(lin.kernel, K, kind="gram", n=18)
    assert_close(lin.initial_outputs, naive.apply(witness, theta, X), kind="output", n=18, scale=1)
    assert_close(lin.eigenvalues, np.linalg.eigvalsh(K), kind="solve", n=18)
    assert lin.max_learning_rate == pytest.approx(10 / np.linalg.eigvalsh(K)[-1], rel=1e-12)


def test_nothing_is_factorized_before_it_is_needed_and_then_once(monkeypatch):
    calls = []
    original = ntklin.FeatureMap.gram
    monkeypatch.setattr(
        ntklin.FeatureMap,
        "gram",
        lambda self, *a, **k: calls.append(self) or original(self, *a, **k),
    )
    net, theta, X, X_new, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    assert calls == []
    for _ in range(2):
        lin.gradient_descent(Y).loss(3)
        lin.minimizer(Y)
    assert len(calls) == 1
    assert lin.spectrum is lin.spectrum
    assert lin.kernel is lin.kernel
    for t in (None, 1, [2, 3]):
        lin.gradient_descent(Y).predict(X_new, t)
    lin.minimizer(Y).predict(X_new)
    assert len(calls) == 2


def test_new_inputs_are_recognized_by_content():
    net, theta, X, X_new, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    gd = lin.gradient_descent(Y)
    first = gd.predict(X_new, 5)
    assert lin.at(X_new) is lin.at(X_new.copy())
    assert lin.modes_at(X_new) is lin.modes_at(X_new.copy())
    kept = lin.at(X_new)
    X_new *= 0.5
    assert lin.at(X_new) is not kept
    fresh = ntklin.linearize(net, theta, X).gradient_descent(Y).predict(X_new, 5)
    np.testing.assert_array_equal(gd.predict(X_new, 5), fresh)
    assert not np.array_equal(first, fresh)
    assert len(gd.predict(X_new[:2], 5)) == 2


def test_callers_may_overwrite_what_they_passed():
    net, theta, X, X_new, Y = problem()
    weights = np.linspace(0.5, 2, net.n_parameters)
    lin = ntklin.linearize(net, theta, X)
    gd, m = lin.gradient_descent(Y), lin.minimizer(Y, weights=weights)
    fresh = ntklin.linearize(net, theta.copy(), X.copy())
    expected_gd = fresh.gradient_descent(Y.copy())
    expected_m = fresh.minimizer(Y.copy(), weights=weights.copy())
    for array in (theta, X, Y, weights):
        array *= -3
    np.testing.assert_array_equal(gd.predict(X_new, 9), expected_gd.predict(X_new, 9))
    np.testing.assert_array_equal(gd.parameters(9), expected_gd.parameters(9))
    np.testing.assert_array_equal(m.predict(X_new), expected_m.predict(X_new))
    np.testing.assert_array_equal(m.parameters, expected_m.parameters)


def test_inputs_are_left_alone_and_may_be_read_only():
    net, theta, X, X_new, Y = problem()
    weights = np.linspace(0.5, 2, net.n_parameters)
    arrays = (theta, X, X_new, Y, weights)
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    lin = ntklin.linearize(net, theta, X)
    gd = lin.gradient_descent(Y, ridge=0.1)
    for t in (None, 3, [0, 10**9]):
        gd.predict(X_new, t)
        gd.parameters(t)
        gd.loss(t)
    gd.steps_to(gd.loss(2))
    for m in (lin.minimizer(Y), lin.minimizer(Y, weights=weights, rcond=1e-8)):
        m.predict(X_new)
        m.initialization_size(X_new)
        assert m.parameters.shape == theta.shape
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_kept_cannot_be_changed():
    net, theta, X, _, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    with pytest.raises(ValueError, match="read-only"):
        lin.kernel[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        lin.minimizer(Y).parameters[0] = 0
    lin.eigenvalues[0] = -1
    assert lin.eigenvalues[0] > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_of_the_features(dtype):
    net, theta, X, X_new, Y = problem(dtype=dtype)
    lin = ntklin.linearize(net, theta, X)
    gd, m = lin.gradient_descent(Y), lin.minimizer(Y)
    assert lin.at(X_new.astype(np.float64)) is lin.at(X_new)
    results = [lin.kernel, lin.eigenvalues, lin.initial_outputs, m.parameters]
    results += [getattr(m, part)(X_new) for part in ("predict", "interpolator", "initialization")]
    for t in (None, 7, [1, 2]):
        results += [gd.predict(X_new, t), gd.parameters(t)]
        results += [gd.predict(X_new.astype(np.float64), t)]
    assert {r.dtype for r in results} == {np.dtype(dtype)}


def test_float32_agrees_with_float64_to_its_precision():
    net, theta, X, X_new, Y = problem(dtype=np.float32)
    doubled = [a.astype(np.float64) for a in (theta, X)]
    witness = naive.Network(WIDTHS, 1.3, "fan_out", "zero")
    assert naive.kink_distance(witness, theta, np.vstack([X, X_new])) > 1e-4
    single, double = ntklin.linearize(net, theta, X), ntklin.linearize(net, *doubled)
    kappa = double.eigenvalues[-1] / double.eigenvalues[0]
    for t in (0, 3, 100, None):
        one, two = (lin.gradient_descent(Y).predict(X_new, t) for lin in (single, double))
        assert_close(one, two, kind="trajectory", n=18, kappa=kappa)


def test_lists_and_columns_pass():
    net, theta, X, X_new, Y = problem()
    expected = ntklin.linearize(net, theta, X).gradient_descent(Y).predict(X_new, 4)
    lin = ntklin.linearize(net, theta.tolist(), X.tolist())
    for targets in (Y.tolist(), Y[:, None]):
        actual = lin.gradient_descent(targets).predict(X_new.tolist(), 4)
        np.testing.assert_array_equal(actual, expected)


def test_rows_outside_the_unit_ball_are_allowed_with_a_warning():
    net, theta, X, _, Y = problem()
    with pytest.warns(ntklin.UnitBallWarning, match="5 of 5 rows of X"):
        lin = ntklin.linearize(net, theta, 3 * X)
    assert lin.gradient_descent(Y).loss() == pytest.approx(0, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ntklin.linearize(net, theta, X)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"X": np.ones((4, 2))}, ValueError, r"X has 2 columns"),
        ({"X": np.ones(3)}, ValueError, r"X must have shape \(N, d\)"),
        ({"X": np.zeros((0, 3))}, ValueError, r"X is empty"),
        ({"X": np.full((2, 3), np.nan)}, ValueError, r"X contains NaN"),
        ({"theta": np.ones(7)}, ValueError, r"theta must have shape \(57,\), got shape \(7,\)"),
        ({"theta": np.full(57, np.inf)}, ValueError, r"theta contains NaN or infinite"),
    ],
)
def test_bad_arguments_of_linearize(change, error, match):
    net, theta, X, _, _ = problem()
    arguments = {"theta": theta, "X": X} | change
    with pytest.raises(error, match=match):
        ntklin.linearize(net, **arguments)


@pytest.mark.parametrize("method", ["gradient_descent", "minimizer"])
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"Y": np.ones(4)}, ValueError, r"Y has 4 entries for 5 training inputs"),
        ({"Y": np.ones((5, 2))}, ValueError, r"Y must have shape \(5,\)"),
        ({"Y": [0, 1, np.nan, 1, 0]}, ValueError, r"Y contains NaN.*entry 2"),
        ({"ridge": -1.0}, ValueError, r"ridge must be finite and at least 0"),
        ({"rcond": 2.0}, ValueError, r"rcond must be below 1"),
    ],
)
def test_bad_arguments_of_both_solutions(method, change, error, match):
    net, theta, X, _, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    with pytest.raises(error, match=match):
        getattr(lin, method)(**({"Y": Y} | change))


def test_bad_new_inputs_are_named():
    net, theta, X, _, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    with pytest.raises(ValueError, match=r"X_new has 2 columns"):
        lin.gradient_descent(Y).predict(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"X_new must have shape .*X_new\[None, :\]"):
        lin.minimizer(Y).predict(np.ones(3))


def test_bad_weights_and_learning_rates_are_named():
    net, theta, X, _, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    with pytest.raises(ValueError, match=r"weights must have shape \(57,\)"):
        lin.minimizer(Y, weights=np.ones(3))
    with pytest.raises(ValueError, match=r"weights must be non-negative"):
        lin.minimizer(Y, weights=-np.ones(57))
    with pytest.raises(ValueError, match=r"learning_rate must be positive and finite"):
        lin.gradient_descent(Y, learning_rate=0)


def test_memory_is_refused_beforehand(monkeypatch):
    net, theta, X, _, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    assert lin.kernel.shape == (5, 5)
    monkeypatch.setattr(_validate, "available_memory", lambda: 599)
    match = r"5 training inputs needs .*600 bytes, but 599 bytes are free; .*ntklin\.train"
    with pytest.raises(ntklin.MemoryLimitError, match=match):
        lin.minimizer(Y)
    match = r"factorizing the kernel of 5 .*1 kB, but 599 bytes are free; .*ntklin\.train"
    with pytest.raises(ntklin.MemoryLimitError, match=match):
        lin.gradient_descent(Y)


def test_many_parameter_vectors_are_refused_beforehand(monkeypatch):
    net, theta, X, _, Y = problem()
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    assert gd.parameters(range(3)).shape == (3, 57)
    monkeypatch.setattr(_validate, "available_memory", lambda: 3 * 57 * 8 - 1)
    match = r"3 parameter vectors of length 57 .*predict\(X_new, t\)"
    with pytest.raises(ntklin.MemoryLimitError, match=match):
        gd.parameters(range(3))


def test_many_outputs_are_refused_beforehand(monkeypatch):
    net, theta, X, X_new, Y = problem()
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    assert gd.predict(X_new, range(9)).shape == (9, 4)
    monkeypatch.setattr(_validate, "available_memory", lambda: 9 * 4 * 8 - 1)
    with pytest.raises(ntklin.MemoryLimitError, match=r"outputs at 9 steps for 4 inputs needs 288"):
        gd.predict(X_new, range(9))


def test_a_linearization_is_freed_with_its_last_user():
    """Its caches form no reference cycle, which would keep N×N arrays until the next collection."""
    net, theta, X, X_new, Y = problem()
    lin = ntklin.linearize(net, theta, X)
    gd, m = lin.gradient_descent(Y), lin.minimizer(Y)
    assert len(gd.predict(X_new, 3)) == len(m.predict(X_new)) == 4
    gone = weakref.ref(lin)
    gc.disable()
    try:
        del lin, gd, m
        assert gone() is None
    finally:
        gc.enable()


def test_a_zero_kernel_has_no_default_learning_rate():
    lin = linear_model(np.zeros((2, 3)), theta=np.ones(3))
    assert lin.max_learning_rate == np.inf
    with pytest.raises(
        ntklin.DegenerateKernelError, match=r"K\(X, X\) = 0: no output depends on θ"
    ):
        lin.gradient_descent([1, 2])
    gd = lin.gradient_descent([1, 2], learning_rate=0.5)
    np.testing.assert_array_equal(gd.predict(np.eye(3), [0, 10**9, 10**400]), np.ones((3, 3)))
    np.testing.assert_array_equal(gd.loss([0, 10**9]), [1.25, 1.25])


@given(
    depth=st.integers(1, 3),
    bias=st.sampled_from(["none", "zero", "normal"]),
    scaling=st.sampled_from(["fan_out", "fan_in", "eq1"]),
    seed=st.integers(0, 99),
)
def test_predictions_are_the_linearized_network_at_the_parameters(depth, bias, scaling, seed):
    """f_t(x) = f_0(x) + φ(x)(θ_t − θ_0): predict and parameters tell one story."""
    rng = np.random.default_rng(seed)
    net = ntklin.MLP((3, *[5] * (depth - 1), 1), sigma=1.1, bias=bias, scaling=scaling)
    theta = net.init(rng=seed)
    X, X_new = rng.uniform(-0.5, 0.5, (3, 3)), rng.uniform(-0.5, 0.5, (4, 3))
    lin = ntklin.linearize(net, theta, X)
    assume(lin.eigenvalues[-1] > 0)  # some neuron is alive
    gd = lin.gradient_descent(rng.standard_normal(3))
    t = [0, 1, 2, 50, 10**6]
    J_new = net.jacobian(theta, X_new)
    moved = gd.parameters(t) - theta
    scale = np.abs(net.apply(theta, X_new)).max() + (np.abs(moved) @ np.abs(J_new).T).max()
    assert_close(
        gd.predict(X_new, t),
        net.apply(theta, X_new) + moved @ J_new.T,
        kind="trajectory",
        n=net.n_parameters,
        scale=scale,
        kappa=10,
    )


def test_a_symmetrized_network_starts_from_nothing():
    net, _, X, X_new, Y = problem()
    pair = ntklin.AntisymmetricPair(net)
    theta = pair.init(rng=0)
    lin = ntklin.linearize(pair, theta, X)
    np.testing.assert_array_equal(lin.initial_outputs, np.zeros(5))
    m, gd = lin.minimizer(Y), lin.gradient_descent(Y)
    np.testing.assert_array_equal(m.initialization(X_new), np.zeros(4))
    np.testing.assert_array_equal(m.predict(X_new), m.interpolator(X_new))
    single = ntklin.linearize(net, theta[: net.n_parameters], X)
    kappa = single.eigenvalues[-1] / single.eigenvalues[0]
    expected = single.minimizer(Y).interpolator(X_new)
    assert_close(m.predict(X_new), expected, kind="solve", n=5, kappa=kappa)
    assert_close(gd.predict(X_new), expected, kind="solve", n=5, kappa=kappa)
    assert gd.parameters().shape == (pair.n_parameters,)
