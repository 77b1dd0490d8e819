"""Thm 1's split of the minimizer, Eq. (9), and what the solver says about its own digits."""

import logging
import re

import mpmath
import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import EPS, assert_close, tolerance

import ntklin
from ntklin.algebra import solving


def network_problem(widths=(3, 8, 6, 1), bias="zero", sigma=1.2, scaling="fan_out", n=4, seed=0):
    """A network, θ_0, X, X_new, Y, and its naive witness's J, J_new, f_0, f_0_new."""
    rng = np.random.default_rng(seed)
    net = ntklin.MLP(widths, sigma=sigma, bias=bias, scaling=scaling)
    witness = naive.Network(widths, sigma, scaling, bias)
    theta = net.init(rng=seed)
    X, X_new = (rng.uniform(-0.57, 0.57, (k, 3)) for k in (n, 5))
    exact = [f(witness, theta, Z) for f in (naive.jacobian, naive.apply) for Z in (X, X_new)]
    return net, theta, X, X_new, rng.standard_normal(n), *exact


def condition(K):
    values = np.linalg.eigvalsh(K)
    return values[-1] / values[0]


# Thm 1


@given(
    bias=st.sampled_from(["none", "zero", "normal"]),
    scaling=st.sampled_from(["fan_out", "fan_in", "eq1"]),
    depth=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_split_of_the_minimizer(bias, scaling, depth, seed):
    widths = (3, *[6] * (depth - 1), 1)
    problem = network_problem(widths, bias, scaling=scaling, n=3, seed=seed)
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = problem
    K, K_new = J @ J.T, J_new @ J.T
    assume(np.linalg.cond(K) < 1e6)
    m = ntklin.linearize(net, theta, X).minimizer(Y)
    scale = np.abs(K_new).max() * np.abs(np.linalg.solve(K, np.array([Y, f0]).T)).sum()
    options = {
        "kind": "solve",
        "n": 24,
        "kappa": condition(K),
        "scale": scale + np.abs(f0_new).max(),
    }
    assert_close(m.interpolator(X_new), K_new @ np.linalg.solve(K, Y), **options)
    assert_close(m.initialization(X_new), f0_new - K_new @ np.linalg.solve(K, f0), **options)
    assert_close(m.predict(X_new), naive.minimizer(K, K_new, f0, f0_new, Y), **options)
    assert_close(m.interpolator(X_new) + m.initialization(X_new), m.predict(X_new), **options)
    assert_close(m.parameters, theta + J.T @ np.linalg.solve(K, Y - f0), **options)
    assert_close(f0_new + J_new @ (m.parameters - theta), m.predict(X_new), **options)
    assert_close(m.predict(X), Y, **options)
    assert_close(m.interpolator(X), Y, **options)
    assert_close(m.initialization(X), np.zeros(3), **options)
    gd = m.linearization.gradient_descent(Y)
    assert_close(gd.predict(X_new), m.predict(X_new), **options)
    assert_close(gd.parameters(), m.parameters, **options)


def last_layer(net, theta):
    """E_L θ: the last layer's parameters, 0 elsewhere."""
    kept = np.zeros_like(theta)
    for part, source in zip(net.unpack(kept)[-1], net.unpack(theta)[-1], strict=True):
        if part is not None:
            part[...] = source
    return kept


@given(
    bias=st.sampled_from(["none", "zero", "normal"]),
    depth=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_initialization_term_is_what_theta_0_has_outside_the_feature_space(bias, depth, seed):
    """(1/L) φ(x)(1 − P_F)θ_0 for absent or zero biases, φ(x)(1 − P_F)E_L θ_0 for any."""
    widths = (3, *[6] * (depth - 1), 1)
    net, theta, X, X_new, Y, J, J_new, *_ = network_problem(widths, bias, n=3, seed=seed)
    kappa = np.linalg.cond(J @ J.T)
    assume(kappa < 1e6)
    m = ntklin.linearize(net, theta, X).minimizer(Y)
    outside = np.eye(len(theta)) - naive.projector(J)
    scale = np.abs(J_new).max() * np.abs(theta).sum()
    options = {"kind": "projector", "n": 24, "kappa": kappa, "scale": scale}
    expected = J_new @ (outside @ last_layer(net, theta))
    assert_close(m.initialization(X_new), expected, **options)
    homogeneous = J_new @ (outside @ theta) / net.depth
    if bias != "normal":
        assert_close(m.initialization(X_new), homogeneous, **options)


def test_the_homogeneous_form_fails_with_nonzero_biases():
    """docs/theory.md, correction 2: for normal biases f_init is not (1/L) φ(x)(1 − P_F)θ_0."""
    net, theta, X, X_new, Y, J, J_new, *_ = network_problem(bias="normal")
    m = ntklin.linearize(net, theta, X).minimizer(Y)
    homogeneous = J_new @ (theta - naive.projector(J) @ theta) / net.depth
    assert np.abs(m.initialization(X_new) - homogeneous).max() > 0.05 * np.abs(homogeneous).max()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_without_biases_the_interpolator_forgets_sigma_and_the_rest_scales(depth):
    widths = (3, *[8] * (depth - 1), 1)
    terms = {}
    for sigma in (0.1, 1.0, 3.0):
        net, theta, X, X_new, Y, *_ = network_problem(widths, "none", sigma, n=2, seed=1)
        m = ntklin.linearize(net, theta, X).minimizer(Y)
        terms[sigma] = m.interpolator(X_new), m.initialization(X_new), m.initialization_size(X_new)
    kappa = condition(ntklin.linearize(net, theta, X).kernel)
    options = {"kind": "solve", "n": 24, "kappa": kappa}
    for sigma in (0.1, 3.0):
        for k, power in ((0, 0), (1, depth), (2, depth)):
            assert_close(terms[sigma][k] / sigma**power, terms[1.0][k], **options)


def test_trained_biases_break_the_scaling():
    """docs/theory.md, correction 4: with b in θ, f_int depends on σ even when b starts at 0."""
    found = []
    for sigma in (0.1, 1.0):
        net, theta, X, X_new, Y, *_ = network_problem(bias="zero", sigma=sigma)
        found.append(ntklin.linearize(net, theta, X).minimizer(Y).interpolator(X_new))
    assert np.abs(found[0] - found[1]).max() > 1e-3 * np.abs(found[1]).max()


def test_initialization_size_is_a_root_test_loss():
    net, theta, X, X_new, Y, *_ = network_problem()
    m = ntklin.linearize(net, theta, X).minimizer(Y)
    expected = np.sqrt((m.initialization(X_new) ** 2).sum() / (2 * 5))
    assert isinstance(m.initialization_size(X_new), float)
    assert m.initialization_size(X_new) == pytest.approx(expected, rel=1e-14)


# Eq. (9)


@pytest.mark.parametrize("bias", ["none", "zero", "normal"])
def test_weighted_minimizer(bias):
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem(bias=bias)
    D = np.random.default_rng(1).uniform(0.01, 2, net.n_parameters)
    K, K_new = naive.weighted_gram(J, D), naive.weighted_gram(J_new, D, J)
    m = ntklin.linearize(net, theta, X).minimizer(Y, weights=D)
    options = {"kind": "solve", "n": 30, "kappa": condition(K)}
    assert_close(m.predict(X_new), naive.minimizer(K, K_new, f0, f0_new, Y), **options)
    assert_close(m.interpolator(X_new), K_new @ np.linalg.solve(K, Y), **options)
    expected = f0_new - K_new @ np.linalg.solve(K, f0)
    assert_close(m.initialization(X_new), expected, **options)
    assert_close(m.parameters, theta + D * (J.T @ np.linalg.solve(K, Y - f0)), **options)
    assert_close(m.predict(X), Y, **options)
    plain = ntklin.linearize(net, theta, X).minimizer(Y)
    assert np.abs(m.predict(X_new) - plain.predict(X_new)).max() > 1e-3


def test_weights_of_one_are_no_weights_and_their_scale_is_free():
    net, theta, X, X_new, Y, J, *_ = network_problem()
    lin = ntklin.linearize(net, theta, X)
    D = np.random.default_rng(1).uniform(0.01, 2, net.n_parameters)
    plain, ones = lin.minimizer(Y), lin.minimizer(Y, weights=np.ones(net.n_parameters))
    options = {"kind": "solve", "n": 30, "kappa": condition(J @ J.T)}
    weighted = lin.minimizer(Y, weights=D)
    for part in ("predict", "interpolator", "initialization"):
        assert_close(getattr(ones, part)(X_new), getattr(plain, part)(X_new), **options)
        expected = getattr(weighted, part)(X_new)
        for factor in (1e-9, 0.3, 1e12):
            scaled = lin.minimizer(Y, weights=factor * D)
            assert_close(getattr(scaled, part)(X_new), expected, **options)
    assert_close(ones.parameters, plain.parameters, **options)


def test_any_interpolating_function_is_the_minimizer_of_some_weights():
    """Example 1 at N = 1: D = |φ(x_1)|^{-1} gives the AdaGrad limit."""
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = network_problem(n=1)
    g = J[0]
    D = np.divide(1, np.abs(g), where=g != 0, out=np.zeros_like(g))
    m = ntklin.linearize(net, theta, X).minimizer(Y, weights=D)
    expected = f0_new + J_new @ np.sign(g) / np.abs(g).sum() * (Y[0] - f0[0])
    assert_close(m.predict(X_new), expected, kind="solve", n=30)


def test_weights_that_train_too_few_parameters_count_as_underparametrized():
    rng = np.random.default_rng(4)
    J, J_new, Y = rng.standard_normal((5, 9)), rng.standard_normal((3, 9)), rng.standard_normal(5)
    D = np.zeros(9)
    D[[2, 7]] = [1.0, 4.0]
    m = linear_model(J).minimizer(Y, weights=D)
    assert m.rank == 2
    w = np.zeros(9)
    w[[2, 7]] = np.linalg.lstsq(J[:, [2, 7]], Y, rcond=None)[0]
    options = {"kind": "solve", "n": 9, "kappa": m.condition}
    assert_close(m.predict(J_new), J_new @ w, **options)
    assert_close(m.parameters, w, **options)


# Where the kernel is singular


def test_degenerate_kernels_are_refused_and_can_be_cut_or_regularized():
    J = np.array([[0.5, 0.1, 0.2], [0.1, 0.6, 0.0], [1.0, 0.2, 0.4]])
    lin, Y = linear_model(J, np.ones(3)), np.array([1.0, 2.0, 3.0])
    with pytest.raises(ntklin.DegenerateKernelError, match=r"parallel features, .*\(0, 2\)\."):
        lin.minimizer(Y)
    with pytest.raises(ntklin.DegenerateKernelError, match=r"parallel features, .*\(0, 2\)\."):
        lin.minimizer(Y, weights=[1.0, 2.0, 3.0])
    cut = lin.minimizer(Y, rcond=1e-10)
    assert cut.rank == 2
    w = 1 + np.linalg.pinv(J, rcond=1e-8) @ (Y - J @ np.ones(3))
    assert_close(cut.parameters, w, kind="solve", n=3, kappa=cut.condition)
    assert_close(cut.predict(J), J @ w, kind="solve", n=3, kappa=cut.condition)
    for ridge in (1e-3, 2.0):
        m = lin.minimizer(Y, ridge=ridge)
        w = 1 + np.linalg.solve(J.T @ J + ridge * np.eye(3), J.T @ (Y - J @ np.ones(3)))
        assert m.rank == 3
        assert_close(m.parameters, w, kind="solve", n=3, kappa=m.condition)
        assert_close(m.predict(J), J @ w, kind="solve", n=3, kappa=m.condition)


@pytest.mark.parametrize("weighted", [False, True])
def test_underparametrized_minimizer_is_the_same_whatever_the_weights(weighted):
    """App. A: with P < N there is one minimizer, whatever θ_0 and D."""
    rng = np.random.default_rng(6)
    J, J_new = rng.standard_normal((7, 3)), rng.standard_normal((4, 3))
    Y = rng.standard_normal(7)
    weights = rng.uniform(0.1, 2, 3) if weighted else None
    m = linear_model(J, rng.standard_normal(3)).minimizer(Y, weights=weights)
    w = np.linalg.lstsq(J, Y, rcond=None)[0]
    assert m.rank == 3
    options = {"kind": "solve", "n": 7, "kappa": m.condition}
    assert_close(m.predict(J_new), J_new @ w, **options)
    assert_close(m.parameters, w, **options)


def test_one_sample_and_constant_labels():
    net, theta, X, X_new, _, J, J_new, f0, f0_new = network_problem(n=1)
    m = ntklin.linearize(net, theta, X).minimizer([1.0])
    expected = f0_new + J_new @ J[0] / (J[0] @ J[0]) * (1 - f0[0])
    assert_close(m.predict(X_new), expected, kind="solve", n=30)
    assert m.condition == pytest.approx(1, rel=1e-14)
    net, theta, X, X_new, *_ = network_problem()
    m = ntklin.linearize(net, theta, X).minimizer(np.zeros(4))
    np.testing.assert_array_equal(m.interpolator(X_new), np.zeros(5))
    np.testing.assert_array_equal(m.predict(X_new), m.initialization(X_new))


# Digits


def prescribed(kappa, n=6, seed=0, dtype=np.float64):
    """J with cond(JJ^T) ≈ κ, and labels."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, n)))[0]
    V = np.linalg.qr(rng.standard_normal((n + 2, n)))[0]
    J = (U * np.logspace(0, -0.5 * np.log10(kappa), n)) @ V.T
    return J.astype(dtype), rng.standard_normal(n)


def fifty_digit_coefficients(J, ridge, Y):
    """(JJ^T + ridge·1)^{-1} Y."""
    with mpmath.workdps(50):
        A = mpmath.matrix(J.astype(np.float64))
        K = A * A.T + mpmath.mpf(ridge) * mpmath.eye(len(Y))
        return np.array([float(v) for v in mpmath.lu_solve(K, mpmath.matrix(Y))])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rcond", [None, 0.0])
@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("relative", [1e-4, 1e-2, 0.2])
def test_the_error_bound_holds_and_says_something(relative, ridge, rcond, dtype):
    """By Cholesky (rcond=None) and by eigenvectors, for κ up to a fifth of 1/(N eps)."""
    kappa = relative / (6 * EPS[np.dtype(dtype)])
    errors, bounds = [], []
    for seed in range(5):
        J, Y = prescribed(kappa, seed=seed, dtype=dtype)
        m = linear_model(J).minimizer(Y, ridge=ridge, rcond=rcond)
        expected = fifty_digit_coefficients(J, ridge, Y)
        errors.append(np.linalg.norm(m.coefficients[:, 0] - expected) / np.linalg.norm(expected))
        bounds.append(m.error_bound)
        true_kappa = condition(J.astype(np.float64) @ J.T + ridge * np.eye(6))
        assert true_kappa / 2 <= m.condition <= 2 * 6 * true_kappa
    assert (np.array(errors) <= bounds).all()
    assert max(errors) >= 1e-4 * min(bounds)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("widths", [(3, 30, 1), (3, 20, 20, 1), (2, 8, 8, 8, 1)])
def test_the_error_bound_counts_the_rounding_of_initial_outputs(widths, dtype):
    """Of one sample, K^{-1} f_0 = f_0/|φ|²: its digits are those of f_0, whose terms may cancel."""
    worst, beyond_kernel = 0.0, 0
    for seed in range(150):
        net = ntklin.MLP(widths)
        theta = net.init(seed, dtype)
        x = np.random.default_rng(seed).uniform(-0.5, 0.5, (1, widths[0])).astype(dtype)
        m = ntklin.linearize(net, theta, x).minimizer([1.0])
        reference = naive.Network(widths, 1.0, "fan_out", "zero")
        exact = [v.astype(np.longdouble) for v in (theta, x)]
        (f,), (J,) = naive.apply(reference, *exact), naive.jacobian(reference, *exact)
        if f == 0:  # no neuron is reached
            continue
        error = float(abs(m.coefficients[0, 1] / (f / (J @ J)) - 1))
        worst = max(worst, error / m.error_bound)
        beyond_kernel += error > m.error_bounds[0]
    assert worst <= 1
    assert worst >= 1e-3
    assert m.error_bound == max(m.error_bounds)
    assert beyond_kernel or dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_bound_holds_for_least_squares(dtype):
    """P < N: rounding turns the kept eigenvectors against what the targets have outside of them."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        J, Y = (rng.standard_normal((8, 3)) * [1, 0.3, 0.1]).astype(dtype), rng.standard_normal(8)
        m = linear_model(J).minimizer(Y)
        A = J.astype(float)
        expected = np.linalg.pinv(A.T) @ np.linalg.lstsq(A, Y, rcond=None)[0]
        error = np.linalg.norm(m.coefficients[:, 0] - expected) / np.linalg.norm(expected)
        assert error <= m.error_bounds[0]
        assert not m.coefficients[:, 1].any()


def test_where_training_excites_no_neuron_the_weights_decide_with_few_parameters_too():
    """φ(X) of rank 2 < P = 3 < N: new inputs that leave its row space see D, and are told."""
    J = np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 1.0], [0.2, 0.3, 0.3], [1.0, -1.0, -1.0]])
    Y, D = np.array([1.0, 2.0, 0.0, -1.0]), np.array([1.0, 1.0, 3.0])
    lin = linear_model(J)
    plain, weighted = lin.minimizer(Y), lin.minimizer(Y, weights=D)
    assert plain.rank == 2
    inside = np.array([[2.0, 3.0, 3.0]])
    outside = np.array([[2.0, 3.0, 0.0]])
    options = {"kind": "solve", "n": 4, "kappa": max(plain.condition, weighted.condition)}
    assert_close(plain.predict(inside), weighted.predict(inside), **options)
    assert abs(plain.predict(outside) - weighted.predict(outside)) > 0.1


def test_a_ridge_that_single_precision_cannot_see_is_solved_in_double(caplog):
    caplog.set_level(logging.INFO, "ntklin")
    rng = np.random.default_rng(0)
    J = (rng.standard_normal((6, 8)) * np.logspace(0, -5, 6)[:, None]).astype(np.float32)
    J[3] = J[1]
    Y, ridge = rng.standard_normal(6), 1e-6
    m = linear_model(J).minimizer(Y, ridge=ridge)
    A = J.astype(float)
    w = np.linalg.solve(A.T @ A + ridge * np.eye(8), A.T @ Y)
    assert m.error_bound < 1e-3
    assert_close(m.parameters, w, kind="solve", n=8, dtype=np.float32)
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert re.search(r"condition \d\S*e\+0[6-9]: solving again in float64", said)


def test_cholesky_serves_only_where_it_is_safe(monkeypatch):
    well, Y = prescribed(1e6)
    hardly, _ = prescribed(2e14)
    used = []
    for name in ("_by_cholesky", "_by_eigenvectors"):
        solve = getattr(solving, name)

        def spy(*arguments, solve=solve, name=name, **options):
            used.append((name, solve(*arguments, **options)))
            return used[-1][1]

        monkeypatch.setattr(solving, name, spy)
    for J, options, expected in (
        (well, {}, ["_by_cholesky"]),
        (well, {"ridge": 0.1}, ["_by_cholesky"]),
        (well, {"rcond": 1e-12}, ["_by_eigenvectors"]),
        (hardly, {}, ["_by_cholesky", "_by_eigenvectors"]),
        (well[:, :4], {}, ["_by_eigenvectors"]),
    ):
        used.clear()
        linear_model(J).minimizer(Y, **options)
        assert [name for name, _ in used] == expected
        assert used[-1][1] is not None


def test_both_solvers_agree_in_the_zone_where_they_meet():
    J, Y = prescribed(1e8)
    lin = linear_model(J)
    cholesky, eigenvectors = lin.minimizer(Y), lin.minimizer(Y, rcond=0.0)
    options = {"kind": "solve", "n": 6, "kappa": 1e8}
    assert_close(cholesky.coefficients, eigenvectors.coefficients, **options)
    assert_close(cholesky.parameters, eigenvectors.parameters, **options)


@pytest.mark.parametrize("kappa", [1e2, 1e6])
def test_refinement_gives_eigenvectors_the_backward_error_of_cholesky(kappa):
    """‖Y − Kα‖ ≤ 0.4 eps ‖K‖‖α‖; without the step of refinement it is 0.7 to 1.3 eps."""
    for rcond in (None, 0.0):
        worst = 0
        for seed in range(8):
            J, Y = prescribed(kappa, n=12, seed=seed)
            m = linear_model(J).minimizer(Y, rcond=rcond)
            K, alpha = m.linearization.kernel, m.coefficients[:, 0]
            backward = np.linalg.norm(Y - K @ alpha) / np.linalg.norm(alpha)
            worst = max(worst, backward / np.linalg.norm(K, 2))
        assert worst <= 0.4 * EPS[np.dtype(np.float64)]


def test_float32_minimizer():
    rng = np.random.default_rng(3)
    J, J_new, theta = (rng.standard_normal(s).astype(np.float32) for s in ((3, 6), (2, 6), 6))
    Y = rng.standard_normal(3)
    D = rng.uniform(0.1, 1, 6)
    for weights in (None, D):
        m = linear_model(J, theta).minimizer(Y, weights=weights)
        A, W = J.astype(np.float64), np.ones(6) if weights is None else D
        alpha = np.linalg.solve((A * W) @ A.T, Y - A @ theta)
        expected = theta + W * (A.T @ alpha)
        assert m.parameters.dtype == m.predict(J_new).dtype == np.float32
        options = {"kind": "solve", "n": 6, "kappa": m.condition, "dtype": np.float32}
        assert_close(m.parameters, expected, **options)
        assert_close(m.predict(J_new), J_new @ expected, **options)
        assert m.error_bound >= tolerance("solve", np.float32)
