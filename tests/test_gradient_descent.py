"""The closed form of gradient descent against explicit steps, rationals and 50-digit arithmetic."""

from fractions import Fraction

import mpmath
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import assert_close, tolerance

import ntklin
from ntklin.theory import gradient_descent

RATES = [0.1, 0.5, 0.99]  # fractions of the stability bound; above 0.5 some residuals oscillate
LARGE_T = [10**3, 10**6 + 1, 10**9, 10**9 + 1, 10**15, 10**400]


def network_problem(widths=(3, 8, 6, 1), bias="zero", scaling="fan_out", n=4, seed=0):
    """A network, its naive witness's J, J_new, f_0, f_0_new, and the rest."""
    rng = np.random.default_rng(seed)
    net = ntklin.MLP(widths, sigma=1.2, bias=bias, scaling=scaling)
    witness = naive.Network(widths, 1.2, scaling, bias)
    theta = net.init(rng=seed)
    X, X_new = (rng.uniform(-0.57, 0.57, (k, 3)) for k in (n, 3))
    exact = [f(witness, theta, Z) for f in (naive.jacobian, naive.apply) for Z in (X, X_new)]
    return net, theta, X, X_new, rng.standard_normal(n), *exact


def residual_scale(lin, Y):
    """The size of f_0 and of what is added to it."""
    return np.abs(lin.initial_outputs).max() + np.linalg.norm(Y - lin.initial_outputs)


def condition(lin):
    kept = lin.eigenvalues[lin.spectrum.kept()]
    return kept[-1] / kept[0]


def explicit_ridge(J, f0, theta0, Y, learning_rate, ridge, steps):
    """θ_t of gradient descent on ‖f(X) − Y‖²/(2N) + ridge ‖θ − θ_0‖²/(2N), step by step."""
    theta = theta0.copy()
    for _ in range(steps):
        gradient = J.T @ (f0 + J @ (theta - theta0) - Y) + ridge * (theta - theta0)
        theta = theta - learning_rate / len(Y) * gradient
    return theta


# Against explicit steps


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("bias", ["none", "zero", "normal"])
def test_closed_form_is_explicit_gradient_descent(bias, rate):
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem(bias=bias)
    lin = ntklin.linearize(net, theta, X)
    gd = lin.gradient_descent(Y, learning_rate=rate * lin.max_learning_rate)
    scale = residual_scale(lin, Y)
    for t in (0, 1, 2, 3, 17, 100):
        expected = naive.closed_form(J @ J.T, J_new @ J.T, f0, f0_new, Y, gd.learning_rate, t)
        theta_t = naive.linearized_gradient_descent(J, f0, theta, Y, gd.learning_rate, t)
        options = {"kind": "trajectory", "n": 30, "kappa": min(max(t, 1), condition(lin))}
        assert_close(gd.predict(X_new, t), expected, scale=scale, **options)
        assert_close(gd.parameters(t), theta_t, **options)
        loss = ((f0 + J @ (theta_t - theta) - Y) ** 2).sum() / (2 * len(Y))
        assert_close(gd.loss(t), loss, scale=gd.loss(0), **options)


@given(
    depth=st.integers(1, 3),
    width=st.integers(1, 6),
    n=st.integers(1, 4),
    bias=st.sampled_from(["none", "zero", "normal"]),
    scaling=st.sampled_from(["fan_out", "fan_in", "eq1"]),
    rate=st.sampled_from(RATES),
    t=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_closed_form_holds_for_every_network(depth, width, n, bias, scaling, rate, t, seed):
    """Also underparametrized, with dead neurons, with singular kernels: finite t needs nothing."""
    widths = (3, *[width] * (depth - 1), 1)
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem(widths, bias, scaling, n, seed)
    lin = ntklin.linearize(net, theta, X)
    largest = lin.eigenvalues[-1]
    learning_rate = rate * lin.max_learning_rate if largest > 0 else 1.0
    gd = lin.gradient_descent(Y, learning_rate)
    expected = naive.closed_form(J @ J.T, J_new @ J.T, f0, f0_new, Y, learning_rate, t)
    move = t * learning_rate / n * np.abs(J_new @ J.T).max() * np.abs(Y - f0).sum()
    scale = np.abs(f0_new).max() + np.abs(f0).max() + move
    assert_close(
        gd.predict(X_new, t), expected, kind="trajectory", n=width * 6, kappa=t + 1, scale=scale
    )


# Exact arithmetic


def exact_trajectory(J, theta, Y, rate, steps):
    """θ_t and f_t = Jθ_t in rationals; rate = η/N."""
    J = [[Fraction(float(x)) for x in row] for row in J]
    theta = [Fraction(float(x)) for x in theta]
    Y = [Fraction(float(y)) for y in Y]
    rate = Fraction(rate)

    def outputs():
        return [sum(a * b for a, b in zip(row, theta, strict=True)) for row in J]

    for _ in range(steps):
        residual = [f - y for f, y in zip(outputs(), Y, strict=True)]
        for p in range(len(theta)):
            theta[p] -= rate * sum(row[p] * r for row, r in zip(J, residual, strict=True))
    return [np.array([float(v) for v in values]) for values in (theta, outputs())]


@given(
    n=st.integers(1, 4),
    p=st.integers(1, 6),
    t=st.integers(0, 9),
    seed=st.integers(0, 999),
)
def test_closed_form_in_rational_arithmetic(n, p, t, seed):
    rng = np.random.default_rng(seed)
    J = rng.integers(-3, 4, (n, p)) / 8
    theta, Y = rng.integers(-4, 5, p) / 4, rng.integers(-4, 5, n) / 4
    lin = linear_model(J, theta)
    rate = 2.0**-3 if lin.spectrum.largest < 8 else 2.0**-5
    gd = lin.gradient_descent(Y, learning_rate=n * rate)
    theta_t, f_t = exact_trajectory(J, theta, Y, rate, t)
    scale = np.abs(theta).max() + np.abs(Y - J @ theta).sum() + 1
    options = {"kind": "trajectory", "n": n * p, "scale": scale, "kappa": t + 1}
    assert_close(gd.parameters(t), theta_t, **options)
    assert_close(gd.predict(J, t), f_t, **options)
    assert_close(gd.loss(t), ((f_t - Y) ** 2).sum() / (2 * n), **(options | {"scale": scale**2}))


def fifty_digit_outputs(J, J_new, theta, Y, learning_rate, t):
    """f_t(X_new) by matrix powers: f_0 + K_new K^{-1} (1 − (1 − ηK/N)^t)(Y − f_0(X))."""
    with mpmath.workdps(80):
        A, A_new, w = mpmath.matrix(J), mpmath.matrix(J_new), mpmath.matrix(theta)
        K = A * A.T
        residual = mpmath.matrix(Y) - A * w
        step = mpmath.eye(len(Y)) - K * (mpmath.mpf(learning_rate) / len(Y))
        moved = residual - step**t * residual
        out = A_new * w + A_new * (A.T * mpmath.lu_solve(K, moved))
        return np.array([float(v) for v in out])


@pytest.mark.parametrize("decades", [2, 6, 12])
@pytest.mark.parametrize("rate", [1e-3, 0.25, 0.5, 0.7, 0.999])
def test_closed_form_at_fifty_digits(decades, rate):
    """Eigenvalues over up to 12 decades, up to 10^12 steps."""
    rng = np.random.default_rng(decades)
    U, W = np.linalg.qr(rng.standard_normal((4, 4)))[0], rng.standard_normal((4, 7))
    J = (U * np.logspace(0, -decades / 2, 4)) @ np.linalg.qr(W.T)[0].T
    J_new, theta, Y = rng.standard_normal((3, 7)), rng.standard_normal(7), rng.standard_normal(4)
    lin = linear_model(J, theta)
    gd = lin.gradient_descent(Y, learning_rate=rate * lin.max_learning_rate)
    times = [0, 1, 2, 5, 100, 10**4 + 1, 10**6, 10**9, 10**9 + 1, 10**12]
    for t, actual in zip(times, gd.predict(J_new, times), strict=True):
        # t steps amplify the rounding of K like an inverse does, up to g_i(t) λ_max ≤ 2 t · rate.
        kappa = min(condition(lin), max(2 * t * rate, 1))
        expected = fifty_digit_outputs(J, J_new, theta, Y, gd.learning_rate, t)
        assert_close(actual, expected, kind="trajectory", n=7, kappa=kappa)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.7, 0.999])
def test_every_digit_survives_where_directions_do_not_mix(rate):
    """K = diag(d²) over 12 decades: no cancellation anywhere, so each entry is right on its own."""
    d = np.sqrt(2.0) ** -np.arange(0, 41, 5)
    theta, Y = np.full(len(d), 0.5), np.arange(1.0, len(d) + 1)
    lin = linear_model(np.diag(d), theta)
    gd = lin.gradient_descent(Y, learning_rate=rate * lin.max_learning_rate)
    for t in (1, 2, 10**3, 10**9, 10**9 + 1, 10**13):
        with mpmath.workdps(60):
            x = [mpmath.mpf(gd.learning_rate) / len(d) * mpmath.mpf(v) ** 2 for v in d]
            expected = [
                (y - v * mpmath.mpf(w)) * (1 - (1 - xi) ** t) / v + w
                for xi, v, w, y in zip(x, d, theta, Y, strict=True)
            ]
            expected = np.array([float(e) for e in expected])
        error = np.abs(gd.parameters(t) / expected - 1)
        # Only the base near −1 amplifies its rounding: t |p|^{t−1} |dp| ≤ |dp|/(e (1 − |p|)).
        assert error.max() <= tolerance("trajectory", kappa=1 / (1 - rate))


# t


def test_arrays_of_t_lead_the_result_and_equal_single_ones(monkeypatch):
    net, theta, X, X_new, Y, *_ = network_problem()
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    t = np.array([[0, 1, 7], [3, 10**9, 2]])
    P, outputs = net.n_parameters, gd.predict(X_new, t)
    assert outputs.shape == (2, 3, 3)
    assert gd.parameters(t).shape == (2, 3, P)
    assert gd.loss(t).shape == (2, 3)
    assert isinstance(gd.loss(4), float)
    scale = 10 * np.abs(outputs).max()
    for index in np.ndindex(t.shape):
        single = int(t[index])
        options = {"kind": "trajectory", "n": 4, "scale": scale}
        assert_close(gd.predict(X_new, single), outputs[index], **options)
        assert_close(gd.parameters(single), gd.parameters(t)[index], **options)
        assert gd.loss(single) == pytest.approx(gd.loss(t)[index], rel=1e-14)
    monkeypatch.setattr(gradient_descent, "_BLOCK", 8)
    assert_close(gd.predict(X_new, t), outputs, kind="trajectory", n=4, scale=scale)
    assert gd.predict(X_new, []).shape == (0, 3)
    assert gd.parameters([]).shape == (0, P)
    assert gd.loss([]).shape == (0,)


def test_no_step_is_no_change():
    net, theta, X, X_new, Y, *_ = network_problem()
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    np.testing.assert_array_equal(gd.predict(X_new, 0), net.apply(theta, X_new))
    np.testing.assert_array_equal(gd.parameters(0), theta)


def test_many_steps_are_the_limit():
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem()
    lin = ntklin.linearize(net, theta, X)
    gd = lin.gradient_descent(Y)
    expected = naive.minimizer(J @ J.T, J_new @ J.T, f0, f0_new, Y)
    options = {"kind": "trajectory", "n": 30, "kappa": condition(lin)}
    assert_close(gd.predict(X_new), expected, **options)
    np.testing.assert_array_equal(gd.predict(X_new, 10**400), gd.predict(X_new, 10**15))
    assert_close(gd.predict(X_new, 10**15), expected, **options)
    assert_close(gd.parameters(10**15), gd.parameters(), **options)
    assert_close(gd.predict(X), Y, **options)
    assert gd.loss() == gd.loss(10**15) == 0


@pytest.mark.parametrize("method", ["loss", "parameters", "predict"])
@pytest.mark.parametrize(
    ("t", "match"),
    [(-1, "t must be at least 0 steps, got -1"), (0.5, r"whole numbers of steps, got 0\.5")],
)
def test_times_that_are_none(method, t, match):
    lin = linear_model(np.eye(2))
    gd = lin.gradient_descent([1, 2])
    arguments = ([[0.0, 1.0]],) if method == "predict" else ()
    with pytest.raises(ValueError, match=match):
        getattr(gd, method)(*arguments, t=t)


# Learning rate


def test_default_learning_rate_is_a_quarter_of_the_bound():
    lin = linear_model(np.diag([1.0, 0.5, 0.25]))
    assert lin.max_learning_rate == 6
    gd = lin.gradient_descent([1, 2, 3])
    assert gd.learning_rate == 1.5
    assert gd.max_learning_rate == 6
    assert gd.converges
    gd = lin.gradient_descent([1, 2, 3], ridge=1.0)
    assert gd.learning_rate == 0.75
    assert gd.max_learning_rate == 3
    for nesterov, bound in ((False, 9), (True, 4.5)):  # 2(1 + β)N/λ, over 1 + 2β
        gd = lin.gradient_descent([1, 2, 3], momentum=0.5, nesterov=nesterov)
        assert gd.max_learning_rate == pytest.approx(bound, rel=1e-14)
        assert gd.learning_rate == pytest.approx(bound / 4, rel=1e-14)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_a_learning_rate_at_the_bound_has_no_limit(ridge):
    J = np.array([[0.6, 0.0, 0.3], [0.1, 0.7, 0.0]])
    lin = linear_model(J, theta=np.ones(3))
    bound = lin.gradient_descent([1, 2], ridge=ridge).max_learning_rate
    for learning_rate in (bound, 1.01 * bound):
        gd = lin.gradient_descent([1, 2], learning_rate, ridge)
        assert not gd.converges
        calls = [(gd.predict, J), (gd.parameters,), (gd.loss,), (gd.steps_to, 1e-3)]
        for call, *arguments in calls:
            match = rf"learning_rate={learning_rate:.6g} is not below .* = {bound:.6g}"
            with pytest.raises(ntklin.DivergenceError, match=match) as caught:
                call(*arguments)
            assert caught.value.learning_rate == learning_rate
            assert caught.value.bound == bound
            assert caught.value.step is None
        theta_9 = explicit_ridge(
            J, J @ np.ones(3), np.ones(3), np.array([1, 2]), learning_rate, ridge, 9
        )
        assert_close(gd.parameters(9), theta_9, kind="trajectory", n=6, kappa=9)
        assert_close(gd.predict(J, 9), J @ theta_9, kind="trajectory", n=6, kappa=9)
    assert lin.gradient_descent([1, 2], 0.999 * bound, ridge).converges


@pytest.mark.parametrize("n", [1, 3, 7])
def test_at_the_bound_itself_it_does_not_converge_however_that_is_rounded(n):
    for value in np.linspace(0.1, 3, 30):
        lin = ntklin.linearize_kernel(np.diag(np.full(n, value)))
        bound = lin.gradient_descent(np.ones(n), 0.1).max_learning_rate
        assert not lin.gradient_descent(np.ones(n), bound).converges
        assert lin.gradient_descent(np.ones(n), bound * (1 - 1e-14)).converges


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_beyond_floating_point_is_told_not_returned(dtype):
    J = np.array([[0.6, 0.0, 0.3], [0.1, 0.7, 0.0]], dtype)
    lin = linear_model(J)
    gd = lin.gradient_descent([1, 2], 5 * lin.max_learning_rate)
    for call in (lambda t: gd.predict(J, t), gd.parameters):
        assert np.isfinite(call(20)).all()
        with pytest.raises(ntklin.DivergenceError, match=rf"outgrown {np.dtype(dtype)} at t = 500"):
            call([20, 500, 600])
    with pytest.raises(ntklin.DivergenceError, match="outgrown float64 at t = 500") as caught:
        gd.loss([20, 500, 600])
    assert caught.value.step == 500


# Loss and the number of steps


def brute_force(gd, target, limit):
    """The first t ≤ limit with loss(t) < target."""
    below = np.flatnonzero(gd.loss(np.arange(limit + 1)) < target)
    return int(below[0]) if len(below) else None


@given(
    n=st.integers(1, 4),
    rate=st.sampled_from([0.05, 0.25, 0.5, 0.6, 0.95, 0.999]),
    ridge=st.sampled_from([0.0, 1e-3, 0.3, 5.0]),
    fraction=st.floats(0.01, 1.2),
    seed=st.integers(0, 999),
)
def test_steps_to_is_the_first_below(n, rate, ridge, fraction, seed):
    """Also with a ridge at large η, where the loss is not monotone and can dip below its limit."""
    rng = np.random.default_rng(seed)
    lin = linear_model(rng.standard_normal((n, n + 2)), rng.standard_normal(n + 2))
    Y = rng.standard_normal(n)
    bound = lin.gradient_descent(Y, ridge=ridge).max_learning_rate
    gd = lin.gradient_descent(Y, rate * bound, ridge)
    losses = gd.loss(np.arange(200))
    target = fraction * losses[rng.integers(0, 60)]
    expected = brute_force(gd, target, 3000)
    if expected is not None:
        assert gd.steps_to(target) == expected
    elif gd.loss() >= target:
        with pytest.raises(ValueError, match="the training loss never drops below"):
            gd.steps_to(target)
    else:
        assert gd.steps_to(target) > 3000


def test_the_loss_can_dip_below_its_limit():
    """One residual (λ + μ p^t)/(λ + μ) with p < 0 passes 0 at odd t: the case behind the search."""
    lin = linear_model([[1.0]])
    gd = lin.gradient_descent([1.0], learning_rate=1.2, ridge=0.5)
    losses = gd.loss(np.arange(30))
    assert losses[1] < gd.loss() < losses[0]
    target = 0.5 * gd.loss()
    assert gd.steps_to(target) == brute_force(gd, target, 30) == 1
    with pytest.raises(ValueError, match=r"approaches 0\.0555.*ridge=0\.5 holds θ near θ_0"):
        gd.steps_to(0.1 * losses.min())


def test_a_dip_between_the_ends_of_the_search_is_found():
    """The residual passes 0 after some 60 steps, at odd t, and then rises to its limit."""
    gd = linear_model([[1.0]]).gradient_descent([1.0], learning_rate=1.85, ridge=0.05)
    losses = gd.loss(np.arange(400))
    dip = int(losses.argmin())
    assert 10 < dip < 100
    for target in (0.5 * gd.loss(), 1.001 * losses[dip]):
        assert gd.steps_to(target) == brute_force(gd, target, 400)


def test_steps_to_is_strict_and_exact_at_the_losses_themselves():
    net, theta, X, _, Y, *_ = network_problem()
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    for t in (0, 1, 10, 1000):
        assert gd.steps_to(gd.loss(t)) == t + 1
        assert gd.steps_to(np.nextafter(gd.loss(t), np.inf)) == t


def test_steps_to_reaches_far():
    """λ over 12 decades: the last residual needs about 10^12 steps."""
    lin = linear_model(np.diag([1.0, 1e-6]))
    gd = lin.gradient_descent([1.0, 1.0], learning_rate=1.0)
    t = gd.steps_to(1e-5)
    assert gd.loss(t) < 1e-5 <= gd.loss(t - 1)
    with mpmath.workdps(50):
        expected = mpmath.log(mpmath.mpf(4) * mpmath.mpf("1e-5")) / (
            2 * mpmath.log(1 - mpmath.mpf(1e-6) ** 2 / 2)
        )
    assert t == pytest.approx(float(expected), rel=1e-12)


def test_loss_is_monotone_without_ridge():
    net, theta, X, _, Y, *_ = network_problem()
    lin = ntklin.linearize(net, theta, X)
    for rate in RATES:
        losses = lin.gradient_descent(Y, rate * lin.max_learning_rate).loss(np.arange(300))
        assert (np.diff(losses) < 0).all()


def test_nothing_to_learn():
    """Y = f_0(X): the loss is 0 from the start."""
    net, theta, X, X_new, *_ = network_problem()
    gd = ntklin.linearize(net, theta, X).gradient_descent(net.apply(theta, X))
    assert gd.loss(0) == 0
    assert gd.steps_to(1e-5) == 0
    for t in (3, None):
        np.testing.assert_array_equal(gd.predict(X_new, t), net.apply(theta, X_new))


@pytest.mark.parametrize("target", [0.0, -1.0, np.nan, np.inf])
def test_targets_that_are_none(target):
    with pytest.raises(ValueError, match="loss must be positive and finite"):
        linear_model(np.eye(2)).gradient_descent([1, 2]).steps_to(target)


# Ridge


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ridge", [1e-3, 0.4, 30.0])
def test_ridge_is_explicit_gradient_descent_on_the_penalized_loss(ridge, rate):
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem()
    lin = ntklin.linearize(net, theta, X)
    bound = lin.gradient_descent(Y, ridge=ridge).max_learning_rate
    assert bound == pytest.approx(2 * len(Y) / (lin.eigenvalues[-1] + ridge), rel=1e-14)
    gd = lin.gradient_descent(Y, rate * bound, ridge)
    scale = residual_scale(lin, Y)
    for t in (0, 1, 2, 3, 20, 101):
        theta_t = explicit_ridge(J, f0, theta, Y, gd.learning_rate, ridge, t)
        options = {"kind": "trajectory", "n": 30, "kappa": t + 1, "scale": scale}
        assert_close(gd.parameters(t), theta_t, **options)
        assert_close(gd.predict(X_new, t), f0_new + J_new @ (theta_t - theta), **options)
        loss = ((f0 + J @ (theta_t - theta) - Y) ** 2).sum() / (2 * len(Y))
        assert_close(gd.loss(t), loss, **(options | {"scale": gd.loss(0)}))
    limit = np.linalg.solve(J.T @ J + ridge * np.eye(J.shape[1]), J.T @ (Y - f0))
    kappa = 1 + lin.eigenvalues[-1] / ridge
    options = {"kind": "solve", "n": 30, "kappa": kappa, "scale": scale}
    assert_close(gd.predict(X_new), f0_new + J_new @ limit, **options)
    assert_close(gd.parameters(), theta + limit, **options)
    assert_close(gd.predict(X_new, 10**15), f0_new + J_new @ limit, **options)
    loss = ((f0 + J @ limit - Y) ** 2).sum() / (2 * len(Y))
    assert_close(gd.loss(), loss, **(options | {"scale": gd.loss(0)}))


def test_a_ridge_below_the_resolution_of_the_kernel_still_counts():
    lin = linear_model(np.diag([1.0, 1e-8]))
    gd = lin.gradient_descent([1.0, 1.0], ridge=1e-16)
    np.testing.assert_allclose(gd.parameters(), [1, 0.5e8], rtol=1e-14)
    np.testing.assert_allclose(gd.parameters(10**20), [1, 0.5e8], rtol=1e-14)
    assert gd.loss() == gd.loss(10**20) == pytest.approx(1 / 16, rel=1e-14)


def test_ridge_and_rank_cut_together():
    lin = linear_model(np.diag([1.0, 0.5, 0.01]))
    gd = lin.gradient_descent([1.0, 1.0, 1.0], ridge=0.5, rcond=1e-2)
    np.testing.assert_allclose(gd.predict(np.diag([1, 0.5, 0.01])), [1 / 1.5, 0.25 / 0.75, 0])
    assert gd.loss() == pytest.approx(((0.5 / 1.5) ** 2 + (0.5 / 0.75) ** 2 + 1) / 6, rel=1e-14)


# P < N


@pytest.mark.parametrize("seed", range(3))
def test_underparametrized_is_least_squares(seed):
    rng = np.random.default_rng(seed)
    J, J_new = rng.standard_normal((8, 3)), rng.standard_normal((4, 3))
    theta, Y = rng.standard_normal(3), rng.standard_normal(8)
    lin = linear_model(J, theta)
    gd = lin.gradient_descent(Y)
    w, (rss,), _, _ = np.linalg.lstsq(J, Y, rcond=None)
    scale = np.abs(Y).sum()
    options = {"kind": "solve", "n": 8, "kappa": np.linalg.cond(J) ** 2, "scale": scale}
    assert_close(gd.predict(J_new), J_new @ w, **options)
    assert_close(gd.parameters(), w, **options)
    assert gd.loss() == pytest.approx(rss / 16, rel=1e-12)
    assert gd.loss(10**400) == pytest.approx(rss / 16, rel=1e-12)
    other = linear_model(J, 3 - theta).gradient_descent(Y)
    assert_close(other.predict(J_new), gd.predict(J_new), **options)
    for t in (1, 5, 60):
        theta_t = naive.linearized_gradient_descent(J, J @ theta, theta, Y, gd.learning_rate, t)
        assert_close(gd.parameters(t), theta_t, **options)
        assert_close(gd.predict(J_new, t), J_new @ theta_t, **options)
    for t in LARGE_T[2:]:
        assert_close(gd.predict(J_new, t), J_new @ w, **options)
        assert_close(gd.parameters(t), w, **options)


@pytest.mark.parametrize("ridge", [0.0, 1e-15])
def test_underparametrized_directions_stay_null_whatever_the_conditioning(ridge):
    """Five null directions, which rounding tilts by up to eps λ_max/λ_j, after 10^15 steps."""
    rng = np.random.default_rng(1)
    J = rng.standard_normal((8, 3)) @ np.diag([1, 1e-2, 1e-4]) @ np.linalg.qr(np.eye(3) + 1)[0]
    J_new, Y = rng.standard_normal((4, 3)), rng.standard_normal(8)
    gd = linear_model(J).gradient_descent(Y, ridge=ridge)
    w = np.linalg.lstsq(J, Y, rcond=None)[0]
    options = {"kind": "trajectory", "n": 8, "kappa": condition(gd.linearization)}
    assert_close(gd.predict(J_new, 10**15), J_new @ w, **options)
    assert_close(gd.parameters(10**15), w, **options)


def test_underparametrized_network():
    """f_∞ = f_0 + φ φ(X)^+ (Y − f_0(X)), which depends on φ and no more on θ_0 (Lemma 4)."""
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem((3, 2, 1), n=12, seed=2)
    assert np.linalg.matrix_rank(J) < len(X)
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    expected = f0_new + J_new @ np.linalg.pinv(J) @ (Y - f0)
    kappa = condition(gd.linearization)
    assert_close(gd.predict(X_new), expected, kind="solve", n=12, kappa=kappa)
    assert_close(J_new @ np.linalg.pinv(J) @ Y, expected, kind="solve", n=12, kappa=kappa)


def test_an_unreachable_loss_names_its_floor():
    lin = linear_model(np.array([[0.5], [0.5], [0.25]]))
    gd = lin.gradient_descent([1.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"approaches 0\.0925926, since no step moves the 2-dim"):
        gd.steps_to(1e-5)
    assert gd.steps_to(0.0926) == brute_force(gd, 0.0926, 1000)


# Singular kernels


def test_rank_cut_is_the_pseudo_inverse():
    rng = np.random.default_rng(5)
    U = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    J = (U * [1, 0.1, 1e-3, 1e-4]) @ np.linalg.qr(rng.standard_normal((6, 4)))[0].T
    J_new, Y = rng.standard_normal((3, 6)), rng.standard_normal(4)
    lin = linear_model(J)
    for rcond, rank in ((1e-7, 3), (1e-4, 2), (0.5, 1)):
        gd = lin.gradient_descent(Y, rcond=rcond)
        assert lin.spectrum.kept(rcond).sum() == rank
        expected = J_new @ np.linalg.pinv(J, rcond=np.sqrt(rcond)) @ Y
        kappa = (lin.eigenvalues[-1] / lin.eigenvalues[-rank]).item()
        assert_close(gd.predict(J_new), expected, kind="solve", n=6, kappa=kappa * 1e4)
    finite = lin.gradient_descent(Y, rcond=0.5).predict(J_new, 1000)
    np.testing.assert_array_equal(finite, lin.gradient_descent(Y).predict(J_new, 1000))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicate_rows_have_every_finite_t_but_no_limit(dtype):
    rng = np.random.default_rng(0)
    J, J_new = rng.standard_normal((4, 7)), rng.standard_normal((3, 7)).astype(dtype)
    J = J[[0, 1, 2, 0, 3]].astype(dtype) / 4
    Y = np.arange(5.0)
    lin = linear_model(J)
    gd = lin.gradient_descent(Y)
    match = r"parallel features, .*\(0, 3\)\. .*ridge= > 0, or rcond="
    for call in (lambda: gd.predict(J_new), gd.parameters, gd.loss):
        with pytest.raises(ntklin.DegenerateKernelError, match=match):
            call()
    w = np.linalg.pinv(J.astype(np.float64), rcond=1e-5) @ Y
    options = {"kind": "solve", "n": 7, "kappa": condition(lin), "scale": np.abs(Y).sum()}
    assert_close(
        lin.gradient_descent(Y, rcond=1e-5).predict(J_new), J_new @ w, **options, dtype=dtype
    )
    for t in LARGE_T[1:]:
        assert_close(gd.predict(J_new, t), J_new @ w, **options, dtype=dtype)
        assert_close(gd.parameters(t), w, **options, dtype=dtype)
    assert gd.loss(10**400) == pytest.approx(9 / 4 / 5, rel=1e-5)  # 0 and 3 meet at 1.5
    with pytest.raises(ValueError, match=r"approaches 0\.45.*no step moves the 1-dimensional null"):
        gd.steps_to(0.1)


def test_duplicate_rows_of_an_ill_conditioned_kernel():
    """Small eigenvalues nearby tilt the null directions; after 10^18 steps they still are null."""
    rng = np.random.default_rng(0)
    U, W = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((5, 5), (8, 5)))
    J = ((U * np.logspace(0, -4, 5)) @ W.T)[[0, 1, 2, 3, 4, 2, 0]]
    J_new, Y = rng.standard_normal((3, 8)), np.arange(7.0)
    gd = linear_model(J).gradient_descent(Y)
    w = np.linalg.pinv(J) @ Y
    options = {"kind": "trajectory", "n": 7, "kappa": condition(gd.linearization)}
    assert_close(gd.predict(J_new, 10**18), J_new @ w, **options)
    assert_close(gd.parameters(10**18), w, **options)


def test_duplicate_rows_that_agree_can_be_fitted():
    J = np.array([[0.5, 0.1], [0.2, -0.4], [0.5, 0.1]])
    gd = linear_model(J).gradient_descent([1.0, 2.0, 1.0])
    t = gd.steps_to(1e-12)
    assert gd.loss(t) < 1e-12 <= gd.loss(t - 1)


@pytest.mark.parametrize("distance", [1e-6, 1e-8, 1e-10])
def test_nearly_duplicate_rows_move_apart_as_explicit_steps_do(distance):
    """Their λ is at or below the rounding of λ_max, yet finite t is known to many digits."""
    J = np.array([[0.5, 0.1, 0.0], [0.2, -0.4, 0.0], [0.5, 0.1, distance]])
    J_new, Y = np.array([[0.0, 0.0, 1.0]]), np.array([1.0, 2.0, 3.0])
    gd = linear_model(J).gradient_descent(Y)
    for t in (1, 10, 1000):
        theta_t = naive.linearized_gradient_descent(
            J, np.zeros(3), np.zeros(3), Y, gd.learning_rate, t
        )
        assert gd.predict(J_new, t)[0] == pytest.approx(theta_t[2], rel=1e-5)
        assert gd.parameters(t)[2] == pytest.approx(theta_t[2], rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fast_decaying_spectrum_costs_no_digit_that_steps_would_keep(dtype):
    """Inputs on a line: most λ_i are far below eps λ_max of single precision, and all count.

    The reference has singular values of J, of which the smallest are eps² λ_max as λ.
    """
    m, n, sigma = 40, 100, 1.5
    net = ntklin.MLP((1, m, 1), sigma=sigma, bias="normal")
    witness = naive.Network((1, m, 1), sigma, "fan_out", "normal")
    theta = net.init(0, dtype)
    X, X_new = (np.linspace(*ends, dtype=dtype)[:, None] for ends in ((-1, 1, n), (-0.97, 0.93, 9)))
    Y = np.sin(5 * X[:, 0].astype(float))
    exact = [a.astype(float) for a in (theta, X, X_new)]
    J, J_new = (naive.jacobian(witness, exact[0], Z) for Z in exact[1:])
    f0, f0_new = (naive.apply(witness, exact[0], Z) for Z in exact[1:])
    U, s, Vt = np.linalg.svd(J, full_matrices=False)
    residual = U.T @ (Y - f0)
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    for t in (100, 2000):
        g = -np.expm1(t * np.log1p(-gd.learning_rate / n * s**2)) / s**2
        w = Vt.T @ (s * g * residual)
        # 2000 steps have an error of 1e-14 themselves; in single precision 5e-6.
        kappa = 1 if dtype == np.float32 else t
        options = {"kind": "trajectory", "n": 4, "kappa": kappa, "scale": 1.0}
        assert_close(gd.predict(X_new, t), f0_new + J_new @ w, **options)
        assert_close(gd.parameters(t), exact[0] + w, **options)
    left = np.exp(10**6 * np.log1p(-gd.learning_rate / n * s**2)) * residual
    outside = (Y - f0) @ (Y - f0) - residual @ residual
    assert gd.loss(10**6) == pytest.approx((left @ left + outside) / (2 * n), rel=1e-6)
    for ridge in (1.0, 10.0):
        w = Vt.T @ (s / (s**2 + ridge) * residual)
        gd = ntklin.linearize(net, theta, X).gradient_descent(Y, ridge=ridge)
        kappa = 1 if dtype == np.float32 else s[0] ** 2 / ridge
        options = {"kind": "trajectory", "n": 4, "kappa": kappa, "scale": 1.0}
        assert_close(gd.predict(X_new), f0_new + J_new @ w, **options)


# Small and plain problems


@pytest.mark.parametrize("bias", ["none", "zero"])
def test_one_sample(bias):
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem(bias=bias, n=1)
    gd = ntklin.linearize(net, theta, X).gradient_descent(Y)
    k, k_new = float(J[0] @ J[0]), J_new @ J[0]
    for t in (1, 5):
        share = 1 - (1 - gd.learning_rate * k) ** t
        expected = f0_new + k_new / k * share * (Y[0] - f0[0])
        assert_close(gd.predict(X_new, t), expected, kind="trajectory", n=30)
    assert_close(gd.predict(X_new), f0_new + k_new / k * (Y - f0), kind="trajectory", n=30)
    assert gd.steps_to(1e-5) == brute_force(gd, 1e-5, 100)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_labels(value):
    net, theta, X, X_new, *_ = network_problem()
    lin, Y = ntklin.linearize(net, theta, X), np.full(4, value)
    gd = lin.gradient_descent(Y)
    assert_close(gd.predict(X), Y, kind="solve", n=30, kappa=condition(lin), scale=1)
    assert gd.steps_to(1e-5) > 0
    assert np.isfinite(gd.predict(X_new, [0, 10**9])).all()


def test_float32_trajectories():
    rng = np.random.default_rng(3)
    J, J_new, theta = (rng.standard_normal(s).astype(np.float32) for s in ((3, 6), (2, 6), 6))
    Y = rng.standard_normal(3)
    gd = linear_model(J, theta).gradient_descent(Y)
    double = [a.astype(np.float64) for a in (J, theta)]
    for t in (0, 1, 50):
        expected = naive.linearized_gradient_descent(
            double[0], double[0] @ double[1], double[1], Y, gd.learning_rate, t
        )
        options = {"kind": "trajectory", "n": 6, "kappa": condition(gd.linearization), "scale": 10}
        assert gd.parameters(t).dtype == gd.predict(J_new, t).dtype == np.float32
        assert_close(gd.parameters(t), expected, **options)
        assert_close(gd.predict(J_new, t), J_new @ expected, **options, dtype=np.float32)
