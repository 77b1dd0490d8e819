"""The covariance over initializations: linear algebra, rationals, draws of f_0, networks."""

import numpy as np
import pytest
import rational
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

import ntklin

N, N_NEW = 3, 2
ETA = 0.25


def bilinear(A):
    """The kernel x A x'^T."""
    return lambda X1, X2: X1 @ A @ X2.T


def psd(rng, n):
    A = rng.standard_normal((n, n))
    return A @ A.T / n + 0.1 * np.eye(n)


class Case:
    """Two bilinear kernels, Θ and Σ, on random inputs."""

    def __init__(self, seed=0, d=5):
        rng = np.random.default_rng(seed)
        self.theta, self.sigma = psd(rng, d), psd(rng, d)
        self.X, self.X_new = rng.standard_normal((N, d)) / 2, rng.standard_normal((N_NEW, d)) / 2
        self.Y = rng.standard_normal(N)
        self.lin = ntklin.linearize_kernel(
            bilinear(self.theta), self.X, covariance=bilinear(self.sigma)
        )
        self.gd = self.lin.gradient_descent(self.Y)

    def map(self, X, t, ridge=0.0):
        """S with f_t(X) = f_0(X) + S (Y − f_0(X)), the sum over steps explicit."""
        K, k = bilinear(self.theta)(self.X, self.X), bilinear(self.theta)(X, self.X)
        if t is None:
            return k @ np.linalg.inv(K + ridge * np.eye(N))
        rate = self.gd.learning_rate / N
        S, step = np.zeros((N, N)), np.eye(N) - rate * (K + ridge * np.eye(N))
        for s in range(t):
            S = S + rate * np.linalg.matrix_power(step, s)
        return k @ S

    def covariance(self, X, t, X2=None, ridge=0.0):
        """[1, −S] Σ([x, X], [x', X]) [1, −S']^T."""
        X2 = X if X2 is None else X2
        joint = self.sigma_of(np.vstack([X, self.X]), np.vstack([X2, self.X]))
        left = np.hstack([np.eye(len(X)), -self.map(X, t, ridge)])
        right = np.hstack([np.eye(len(X2)), -self.map(X2, t, ridge)])
        return left @ joint @ right.T

    def sigma_of(self, X1, X2):
        return bilinear(self.sigma)(X1, X2)

    @property
    def options(self):
        kappa = self.lin.eigenvalues[-1] / self.lin.eigenvalues[0]
        joint = self.sigma_of(np.vstack([self.X, self.X_new]), np.vstack([self.X, self.X_new]))
        S = np.abs(self.map(self.X_new, None)).sum() + 1
        return {"kind": "trajectory", "n": 10, "kappa": kappa, "scale": S**2 * np.abs(joint).max()}


@given(st.integers(0, 10**6), st.sampled_from([0, 1, 7, 60, None]))
def test_the_covariance_is_that_of_a_linear_map(seed, t):
    case = Case(seed)
    covariance = case.gd.covariance(case.X_new, t)
    assert_close(covariance, case.covariance(case.X_new, t), **case.options)
    np.testing.assert_array_equal(covariance, covariance.T)
    across = case.gd.covariance(case.X_new, t, case.X)
    assert_close(across, case.covariance(case.X_new, t, case.X), **case.options)
    assert_close(case.gd.covariance(t=t), case.covariance(case.X, t), **case.options)


def test_several_t_at_once():
    case = Case()
    t = np.array([[0, 2], [5, 10**9]])
    together = case.gd.covariance(case.X_new, t, case.X)
    assert together.shape == (2, 2, N_NEW, N)
    for index in np.ndindex(2, 2):
        one = case.gd.covariance(case.X_new, int(t[index]), case.X)
        np.testing.assert_allclose(together[index], one, rtol=1e-12, atol=1e-14)
    at_the_end = case.gd.covariance(case.X_new)
    assert_close(case.gd.covariance(case.X_new, 10**9), at_the_end, **case.options)
    assert case.gd.covariance(case.X_new, []).shape == (0, N_NEW, N_NEW)


def test_training_forgets_f0_on_x_and_starts_from_it():
    case = Case()
    assert_close(case.gd.covariance(), np.zeros((N, N)), **case.options)
    start = case.gd.covariance(case.X_new, 0)
    np.testing.assert_array_equal(start, case.sigma_of(case.X_new, case.X_new))


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_minimizers_have_the_same(ridge):
    case = Case(1)
    m = case.lin.minimizer(case.Y, ridge=ridge)
    gd = case.lin.gradient_descent(case.Y, ridge=ridge)
    expected = case.covariance(case.X_new, None, ridge=ridge)
    for covariance in (m.covariance(case.X_new), gd.covariance(case.X_new)):
        assert_close(covariance, expected, **case.options)
    across = case.covariance(case.X_new, None, case.X, ridge=ridge)
    assert_close(m.covariance(case.X_new, case.X), across, **case.options)
    loss = expected.trace() / (2 * N_NEW)
    assert m.expected_initialization_loss(case.X_new) == pytest.approx(loss, rel=1e-8)
    scaled = case.lin.minimizer(case.Y, weights=4.0, ridge=4 * ridge)
    assert_close(scaled.covariance(case.X_new), expected, **case.options)


def test_the_expected_loss_is_a_mean_over_draws_of_f0():
    """Exactly: with f_0 = A z for z of covariance 1, E ‖f_init‖² is a sum over the columns of A."""
    case = Case(2)
    both = np.vstack([case.X_new, case.X])
    A = np.linalg.cholesky(case.sigma_of(both, both))
    total = 0.0
    for column in A.T:
        lin = ntklin.linearize_kernel(case.lin.kernel, f0=column[N_NEW:])
        rows = bilinear(case.theta)(case.X_new, case.X)
        f_init = column[:N_NEW] + lin.minimizer(0 * case.Y).interpolator(rows)
        f_init -= rows @ np.linalg.solve(case.lin.kernel, column[N_NEW:])
        total += f_init @ f_init / (2 * N_NEW)
    m = case.lin.minimizer(case.Y)
    assert m.expected_initialization_loss(case.X_new) == pytest.approx(total, rel=1e-7)


def test_outputs_add_up():
    case = Case()
    columns = np.stack([case.Y, 2 * case.Y, 0 * case.Y], axis=1)
    one, three = case.lin.minimizer(case.Y), case.lin.minimizer(columns)
    np.testing.assert_array_equal(three.covariance(case.X_new), one.covariance(case.X_new))
    loss = one.expected_initialization_loss(case.X_new)
    assert three.expected_initialization_loss(case.X_new) == pytest.approx(3 * loss, rel=1e-12)


@pytest.mark.parametrize("t", [0, 1, 2, 5, None])
def test_it_agrees_with_rational_arithmetic(t):
    rng = np.random.default_rng(4)
    theta, sigma = (B @ B.T for B in (rational.small(rng, (5, 5)) for _ in range(2)))
    K, k, k_sigma = theta[:N, :N], theta[N:, :N], sigma[N:, :N]
    one, eta = rational.identity(N), rational.exact(ETA / 64)[()]
    if t is None:
        S = rational.solve(K, k.T).T
    else:
        total, power = 0 * one, one
        for _ in range(t):
            total, power = total + power, power @ (one - eta / N * K)
        S = k @ (eta / N * total)
    exact = sigma[N:, N:] - S @ k_sigma.T - k_sigma @ S.T + S @ sigma[:N, :N] @ S.T
    theta, sigma = rational.floats(theta), rational.floats(sigma)
    units = np.eye(5)
    lin = ntklin.linearize_kernel(bilinear(theta), units[:N], covariance=bilinear(sigma))
    gd = lin.gradient_descent(np.zeros(N), min(ETA / 64, 1.0))
    assert gd.converges
    expected = rational.floats(exact)
    scale = np.abs(sigma).max() * (1 + np.abs(rational.floats(S)).sum()) ** 2
    options = {"kind": "trajectory", "n": 10, "kappa": np.linalg.cond(theta[:N, :N])}
    assert_close(gd.covariance(units[N:], t), expected, **options, scale=scale)


def test_far_scales_and_single_precision():
    case = Case()
    near = case.gd.covariance(case.X_new, [3, 10])
    far = ntklin.linearize_kernel(
        bilinear(np.ldexp(case.theta, 800)), case.X, covariance=bilinear(np.ldexp(case.sigma, 900))
    )
    gd = far.gradient_descent(case.Y)
    np.testing.assert_allclose(gd.covariance(case.X_new, [3, 10]), np.ldexp(near, 900), rtol=1e-10)
    limit = np.ldexp(case.gd.covariance(case.X_new), 900)
    np.testing.assert_allclose(gd.covariance(case.X_new), limit, rtol=1e-9)
    m = far.minimizer(case.Y)
    np.testing.assert_allclose(m.covariance(case.X_new), limit, rtol=1e-9)
    single = ntklin.linearize_kernel(
        bilinear(case.theta.astype(np.float32)),
        case.X.astype(np.float32),
        covariance=bilinear(case.sigma.astype(np.float32)),
    )
    found = single.gradient_descent(case.Y).covariance(case.X_new.astype(np.float32), 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, near[0], rtol=1e-4, atol=1e-5)


def test_arrays_know_x_alone():
    case = Case()
    K, Sigma = case.lin.kernel, case.sigma_of(case.X, case.X)
    gd = ntklin.linearize_kernel(K, covariance=Sigma).gradient_descent(case.Y)
    assert_close(gd.covariance(t=3), case.covariance(case.X, 3), **case.options)
    with pytest.raises(ValueError, match=r"covariance was given as an array, Σ\(X, X\)"):
        gd.covariance(K, 3)


def test_a_covariance_that_nobody_knows():
    case = Case()
    without = ntklin.linearize_kernel(bilinear(case.theta), case.X)
    for call in (without.gradient_descent(case.Y).covariance, without.minimizer(case.Y).covariance):
        with pytest.raises(ValueError, match="not known: pass covariance= to linearize_kernel"):
            call(case.X_new)
    net = ntklin.MLP((5, 8, 1))
    with pytest.warns(ntklin.UnitBallWarning):
        lin = ntklin.linearize(net, net.init(0), case.X * 4)
    with pytest.raises(ValueError, match=r"at one θ_0.*InfiniteMLP\(net\)\.linearize\(X\)"):
        lin.minimizer(case.Y).expected_initialization_loss(case.X_new)


def test_a_covariance_of_another_shape_is_refused():
    case = Case()
    with pytest.raises(ValueError, match=r"covariance must have shape \(3, 3\), got shape"):
        ntklin.linearize_kernel(case.lin.kernel, covariance=np.eye(2))
    lin = ntklin.linearize_kernel(bilinear(case.theta), case.X, covariance=lambda A, B: np.eye(3))
    with pytest.raises(ValueError, match=r"covariance\(X1, X2\) must have shape \(2, 2\)"):
        lin.gradient_descent(case.Y).covariance(case.X_new)


# Infinite width


def test_infinite_width_is_its_kernels():
    net, rng = ntklin.MLP((3, 7, 9, 1), sigma=1.3, bias="normal"), np.random.default_rng(0)
    X, X_new = (rng.uniform(-0.5, 0.5, (n, 3)) for n in (4, 3))
    inf, Y = ntklin.InfiniteMLP(net), rng.standard_normal(4)
    np.testing.assert_array_equal(inf.ntk(X), ntklin.infinite_ntk(net, X))
    np.testing.assert_array_equal(inf.ntk(X_new, X), ntklin.infinite_ntk(net, X_new, X))
    np.testing.assert_array_equal(inf.nngp(X_new, X), ntklin.infinite_nngp(net, X_new, X))
    lin = inf.linearize(X)
    np.testing.assert_array_equal(lin.kernel, ntklin.infinite_ntk(net, X))
    np.testing.assert_array_equal(lin.initial_outputs, np.zeros(4))
    gd = lin.gradient_descent(Y)
    mean = ntklin.linearize_kernel(inf.ntk, X).gradient_descent(Y).predict(X_new, 9)
    np.testing.assert_array_equal(gd.predict(X_new, 9), mean)
    np.testing.assert_array_equal(gd.covariance(X_new, 0), ntklin.infinite_nngp(net, X_new))
    with pytest.raises(TypeError, match=r"net must be an ntklin\.MLP, got int"):
        ntklin.InfiniteMLP(3)


@pytest.mark.parametrize("scaling", ["fan_out", "fan_in"])
def test_outputs_of_a_wide_network_are_independent(scaling):
    """Its kernel is near Θ ⊗ 1_C, by a distance of the size 1/√m."""
    net, rng = ntklin.MLP((3, 4000, 3), scaling=scaling, sigma=1.2), np.random.default_rng(0)
    X, Y = rng.uniform(-0.5, 0.5, (4, 3)), rng.standard_normal((4, 3))
    lin = ntklin.InfiniteMLP(net).linearize(X)
    K, limit = ntklin.linearize(net, net.init(0), X).kernel, np.kron(lin.kernel, np.eye(3))
    assert np.linalg.norm(K - limit) < 4 * np.linalg.norm(limit) / np.sqrt(4000)
    m = lin.minimizer(Y)
    assert m.predict(X).shape == (4, 3)
    single = lin.minimizer(Y).covariance(X[:2]).trace() * 3 / 4
    assert m.expected_initialization_loss(X[:2]) == pytest.approx(single, rel=1e-12)
    with pytest.raises(ValueError, match=r"Y must have shape \(4, 3\)"):
        lin.minimizer(Y[:, 0])


def test_theorem_2_at_infinite_width_on_mnist():
    """σ^{2L} E J² in closed form, 0.02403 at σ = 1."""
    data = ntklin.load_data("mnist01", n_train=100, n_test=100)
    sizes = []
    for sigma in (1.0, 1.5):
        lin = ntklin.InfiniteMLP(ntklin.MLP((784, 10, 1), sigma=sigma)).linearize(data.X_train)
        m = lin.minimizer(data.Y_train)
        sizes.append(m.expected_initialization_loss(data.X_test))
        diagonal = lin.gradient_descent(data.Y_train).covariance(data.X_test).diagonal()
        assert diagonal.mean() / 2 == pytest.approx(sizes[-1], rel=1e-8)
    assert sizes[0] == pytest.approx(0.02403, abs=5e-6)


@pytest.mark.compiled
def test_wide_networks_have_the_covariance_of_the_limit():
    """Draws of f_t of wide networks, against 4 standard errors of a variance of that many."""
    rng = np.random.default_rng(0)
    X, X_new, Y = rng.uniform(-0.5, 0.5, (3, 3)), rng.uniform(-0.5, 0.5, (2, 3)), np.ones(3)
    net, draws = ntklin.MLP((3, 1500, 1), sigma=1.2), 200
    gd = ntklin.InfiniteMLP(net).linearize(X).gradient_descent(Y)
    outputs = np.array([
        ntklin.linearize(net, net.init(seed), X).gradient_descent(Y, gd.learning_rate)
        .predict(X_new, 20) for seed in range(draws)
    ])  # fmt: skip
    expected = gd.covariance(X_new, 20)
    sample = np.cov(outputs.T)
    error = 4 * np.sqrt(2 / draws) * np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert (np.abs(sample - expected) < error).all()
    assert (np.abs(outputs.mean(axis=0) - gd.predict(X_new, 20)) < error.diagonal() ** 0.5).all()


def test_the_limit_with_a_rank_cut_leaves_the_null_space_alone():
    """K = 1 1^T moves the mean of all outputs alone: what is left of f_0(X) is the rest of it."""
    sigma = np.diag([1.0, 2.0, 3.0])
    lin = ntklin.linearize_kernel(np.ones((3, 3)), covariance=sigma)
    left = np.eye(3) - np.ones((3, 3)) / 3
    found = lin.gradient_descent(np.zeros(3), rcond=1e-9).covariance()
    assert_close(found, left @ sigma @ left, kind="trajectory", n=9)
