"""Weight decay in closed form, and what vanishing decay turns the initialization term into."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model
from rational import exact, floats
from test_momentum import explicit
from tolerances import assert_close

import ntklin


@given(
    n=st.integers(1, 4),
    p=st.integers(1, 6),
    decay=st.sampled_from([1e-6, 0.05, 2.0]),
    ridge=st.sampled_from([0.0, 0.2]),
    momentum=st.sampled_from([(0.0, False), (0.8, False), (0.8, True)]),
    rate=st.sampled_from([0.1, 0.5, 0.99]),
    seed=st.integers(0, 999),
)
def test_closed_form_is_explicit_steps(n, p, decay, ridge, momentum, rate, seed):
    """Also underparametrized, and with a ridge about θ_0 beside the decay towards 0."""
    rng = np.random.default_rng(seed)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((n, p), p, n))
    options = {"momentum": momentum[0], "nesterov": momentum[1], "weight_decay": decay}
    lin = linear_model(J, theta)
    eta = rate * lin.gradient_descent(Y, 1.0, ridge, **options).max_learning_rate
    gd = lin.gradient_descent(Y, eta, ridge, **options)
    options["decay"] = options.pop("weight_decay")
    path = np.array(explicit(J, J @ theta, theta, Y, [eta] * 40, ridge=ridge, **options))
    t, scale = np.arange(41), max(np.abs(path).max(), 1)
    close = {"kind": "trajectory", "n": 40, "kappa": 400, "scale": scale}
    assert_close(gd.parameters(t), path, **close)
    X_new = rng.standard_normal((3, p))
    assert_close(gd.predict(X_new, t), path @ X_new.T, **{**close, "scale": 9 * scale})
    losses = ((path @ J.T - Y) ** 2).sum(axis=1) / (2 * n)
    assert_close(gd.loss(t), losses, **{**close, "scale": max(losses.max(), 1)})


def test_the_limit_is_the_regularized_minimizer():
    """θ_∞ = φ^T (K + N w)^{-1} (Y − f_0(X) + φ(X) θ_0), from everywhere."""
    rng = np.random.default_rng(1)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((4, 7), 7, 4))
    gd = linear_model(J, theta).gradient_descent(Y, weight_decay=0.3)
    expected = J.T @ np.linalg.solve(J @ J.T + 4 * 0.3 * np.eye(4), Y)
    for t in (None, 10**9):
        assert_close(gd.parameters(t), expected, kind="trajectory", kappa=1e2)
        assert_close(gd.predict(np.eye(7), t), expected, kind="trajectory", kappa=1e2)
        loss = ((J @ expected - Y) ** 2).sum() / 8
        assert_close(np.array(gd.loss(t)), loss, kind="trajectory", kappa=1e2)


def test_a_constant_d_decays_all_of_theta():
    """Decoupled: θ ← (1 − η w) θ − η D g; frozen parameters shrink, too."""
    rng = np.random.default_rng(2)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((3, 6), 6, 3))
    D, decay = np.array([1.0, 0.5, 2.0, 0.0, 1.0, 0.3]), 0.1
    lin = linear_model(J, theta)
    gd = lin.gradient_descent(Y, weight_decay=decay, decoupled=True, weights=D)
    now, path = theta, [theta]
    for _ in range(30):
        g = J.T @ (J @ now - Y) / 3
        now = (1 - gd.learning_rate * decay) * now - gd.learning_rate * D * g
        path.append(now)
    close = {"kind": "trajectory", "n": 30, "kappa": 100}
    assert_close(gd.parameters(np.arange(31)), np.array(path), **close)
    assert_close(gd.predict(np.eye(6), np.arange(31)), np.array(path), **close)
    assert_close(gd.predict(np.eye(6)), gd.predict(np.eye(6), 10**7), **close)


def problem(depth, bias="zero", n_outputs=1, n=5, seed=0):
    rng = np.random.default_rng(seed)
    net = ntklin.MLP((4, *[40] * (depth - 1), n_outputs), bias=bias, sigma=1.3)
    X, X_new = rng.uniform(-0.5, 0.5, (n, 4)), rng.uniform(-0.5, 0.5, (6, 4))
    lin = ntklin.linearize(net, net.init(rng=seed), X)
    Y = rng.standard_normal((n, n_outputs) if n_outputs > 1 else n)
    return lin, X_new, Y


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("bias", ["none", "zero"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_vanishing_decay_flips_the_initialization_term(depth, bias, n_outputs):
    """f_∞ → f_int − (L − 1) f_init, the error proportional to the decay."""
    lin, X_new, Y = problem(depth, bias, n_outputs)
    m = lin.minimizer(Y)
    flipped = m.interpolator(X_new) - (depth - 1) * m.initialization(X_new)
    gaps = []
    for decay in (1e-7, 1e-8):
        gd = lin.gradient_descent(Y, weight_decay=decay * lin.eigenvalues[0])
        gaps.append(np.abs(gd.predict(X_new) - flipped).max())
    assert gaps[0] < 1e-5
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=1e-2)


@pytest.mark.parametrize("momentum", [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_on_the_way_there_the_network_is_the_interpolator(depth, momentum):
    lin, X_new, Y = problem(depth)
    m, options = lin.minimizer(Y), dict(zip(("momentum", "nesterov"), momentum, strict=True))
    gaps = []
    for decay in (1e-5, 1e-6):
        gd = lin.gradient_descent(Y, weight_decay=decay * lin.eigenvalues[0], **options)
        t = gd.interpolation_step()
        assert gd.shrinkage(t) == pytest.approx(1 - 1 / depth, abs=1e-5)
        apart = np.abs(gd.shrinkage([t - 1, t, t + 1]) - (1 - 1 / depth))
        assert apart.argmin() == 1
        gaps.append(np.abs(gd.predict(X_new, t) - m.interpolator(X_new)).max())
        way = m.interpolator(X_new) + (1 - depth * (1 - gd.shrinkage(3 * t))) * m.initialization(
            X_new
        )
        assert np.abs(gd.predict(X_new, 3 * t) - way).max() < 100 * decay
    assert gaps[0] < 1e-3
    assert gaps[1] < gaps[0] / 5


def test_one_half_life_for_two_layers():
    lin, _, Y = problem(2)
    gd = lin.gradient_descent(Y, 0.25, weight_decay=2.0**-20)
    t = gd.interpolation_step()
    assert t == round(np.log(0.5) / np.log1p(-(2.0**-22)))
    assert lin.gradient_descent(Y).shrinkage([0, 5]).tolist() == [1, 1]


def test_biases_that_are_not_0_follow_the_general_law():
    """f_int + f_init − φ(x)(1 − P_F) θ_0, and not f_int − (L − 1) f_init."""
    lin, X_new, Y = problem(2, bias="normal")
    m, phi = lin.minimizer(Y), lin.features
    theta = phi.parameters
    beyond = theta - phi.project(theta)
    general = m.predict(X_new) - phi.at(X_new) @ beyond
    simple = m.interpolator(X_new) - m.initialization(X_new)
    gd = lin.gradient_descent(Y, weight_decay=1e-9)
    assert np.abs(gd.predict(X_new) - general).max() < 1e-5
    assert np.abs(gd.predict(X_new) - simple).max() > 1e-2
    with pytest.raises(ValueError, match="θ_0 has biases other than 0"):
        gd.interpolation_step()
    assert gd.interpolation_step(depth=2) > 0


def test_a_schedule_that_ends_may_leave_more_of_the_start(monkeypatch):
    for module in ("scheduled", "gradient_descent"):
        monkeypatch.setattr(f"ntklin.theory.{module}.MOST_STEPS", 100)
    lin, _, Y = problem(2)
    gd = lin.gradient_descent(Y, ntklin.CosineSchedule(0.1, 3), weight_decay=1e-9)
    message = r"c_t does not come down to 1 − 1/L = 0\.5 within 1e\+02 steps"
    with pytest.raises(ValueError, match=message):
        gd.interpolation_step()


def test_rationals():
    """θ_t and f_t of five exact steps."""
    J, theta = exact([[1, 2, 0], [0, 1, 3]]), exact([2, 1, 4])
    Y = exact([1, 5])
    path = explicit(J, J @ theta, theta, Y, [exact([1])[0] / 16] * 5, decay=exact([1])[0] / 4)
    gd = linear_model(floats(J), floats(theta)).gradient_descent(
        floats(Y), 1 / 16, weight_decay=0.25
    )
    assert_close(gd.parameters(range(6)), floats(np.array(path)), kind="trajectory", kappa=10)


def test_single_precision_and_far_scales():
    """Everything is computed in double precision and in units of its own."""
    rng = np.random.default_rng(0)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((3, 5), 5, 3))
    gd = linear_model(J, theta).gradient_descent(Y, weight_decay=0.01)
    single = linear_model(J.astype(np.float32), theta.astype(np.float32))
    gd32 = single.gradient_descent(Y, gd.learning_rate, weight_decay=0.01)
    for t in (7, None):
        expected = gd.predict(np.eye(5), t)
        found = gd32.predict(np.eye(5, dtype=np.float32), t)
        assert found.dtype == np.float32
        assert_close(found, expected, kind="trajectory", kappa=100)
    net = ntklin.MLP((4, 30, 1), sigma=1e60)
    X = rng.uniform(-0.5, 0.5, (3, 4))
    far = ntklin.linearize(net, net.init(rng=1), X)
    near = ntklin.linearize(ntklin.MLP((4, 30, 1)), net.init(rng=1), X)
    decay = 0.01 * near.eigenvalues[0]
    # f = σ² f' and φ = σ² φ' but for biases; the decay is in units of the kernel
    far, near = (
        lin.gradient_descent(s * Y, weight_decay=s * s * decay)
        for lin, s in ((far, 1e120), (near, 1.0))
    )
    assert np.isfinite(far.predict(X, [5, 100])).all()
    assert near.steps_to(0.9 * near.loss(0)) > 0


@pytest.mark.parametrize("e", [-500, 0, 512])
@pytest.mark.parametrize("rcond", [None, 1e-3])
def test_losses_whose_squares_leave_the_range(e, rcond):
    """L_∞ = Σ (y ρ/(λ + ρ))²/(2N) with ρ = N w, and all of y where the cut leaves it alone."""
    J, Y, rho = np.diag([1.0, 1.0, 1.0, 2.0**-10]), np.array([0.25, 0.0, 0.0, 1.5]), 3.0
    gd = linear_model(J).gradient_descent(np.ldexp(Y, e), 0.5, weight_decay=rho / 4, rcond=rcond)
    left = Y * rho / (np.diag(J) ** 2 + rho)
    if rcond is not None:
        left[3] = Y[3]
    assert gd.loss() == pytest.approx(np.ldexp(left @ left / 8, 2 * e), rel=1e-14)
    assert gd.loss(0) == np.ldexp(Y @ Y / 8, 2 * e)


# What has no closed form


def test_what_is_refused():
    lin = linear_model(np.eye(2))
    D = np.ones(2)
    with pytest.raises(ValueError, match=r"with momentum and decoupled=True has no closed form"):
        lin.gradient_descent([1, 2], weight_decay=0.1, momentum=0.9, decoupled=True)
    with pytest.raises(ValueError, match=r"with momentum and weights has no closed form"):
        lin.gradient_descent([1, 2], weight_decay=0.1, momentum=0.9, weights=D)
    with pytest.raises(ValueError, match="closed form for decoupled=True only"):
        lin.gradient_descent([1, 2], weight_decay=0.1, weights=D)
    with pytest.raises(ValueError, match="weight_decay must be finite and at least 0"):
        lin.gradient_descent([1, 2], weight_decay=-0.1)
    with pytest.raises(TypeError, match="decoupled must be True or False"):
        lin.gradient_descent([1, 2], weight_decay=0.1, decoupled=1)
    with pytest.raises(ntklin.NoParametersError):
        ntklin.linearize_kernel(np.eye(2)).gradient_descent([1, 2], weight_decay=0.1)
    gd = lin.gradient_descent([1, 2], weight_decay=0.1)
    with pytest.raises(ValueError, match=r"approaches .* weight_decay=0\.1 holds θ near 0"):
        gd.steps_to(1e-9)
    with pytest.raises(ValueError, match="weight_decay is 0"):
        lin.gradient_descent([1, 2]).interpolation_step()
    with pytest.raises(ntklin.DivergenceError, match=r"2N/\(λ_max \+ ridge \+ N weight_decay\)"):
        lin.gradient_descent([1, 2], 9.0, weight_decay=0.1).predict(np.eye(2))


@pytest.mark.parametrize("bias", ["zero", "normal"])
def test_the_minimizer_knows_where_vanishing_decay_ends(bias):
    lin, X_new, Y = problem(3, bias)
    m = lin.minimizer(Y)
    gd = lin.gradient_descent(Y, weight_decay=1e-10)
    assert_close(m.decayed(X_new), gd.predict(X_new), kind="trajectory", kappa=1e9)
    flipped = m.interpolator(X_new) - 2 * m.initialization(X_new)
    assert (np.abs(m.decayed(X_new) - flipped).max() < 1e-10) == (bias == "zero")
    D = np.random.default_rng(0).uniform(0.5, 2, lin.features.shape[1])
    weighted = lin.gradient_descent(Y, weight_decay=1e-10, decoupled=True, weights=D)
    expected = lin.minimizer(Y, weights=D).decayed(X_new)
    assert_close(weighted.predict(X_new), expected, kind="trajectory", kappa=1e9)
    with pytest.raises(ValueError, match="a ridge holds θ near θ_0"):
        lin.minimizer(Y, ridge=0.1).decayed(X_new)
    with pytest.raises(ntklin.NoParametersError):
        ntklin.linearize_kernel(np.eye(2)).minimizer([1, 2]).decayed(np.eye(2))
