"""SGD's mean and covariance: all batch sequences in rationals, a naive average, identities."""

import copy
import itertools
import pickle

import naive
import numpy as np
import pytest
import rational
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

import ntklin

RATE = 0.125


def kernel_of(rng, n, new=0, p=None):
    """K(X, X) of norm about 1 per sample, and K(X_new, X)."""
    A = rng.standard_normal((n + new, n + 2 if p is None else p))
    K = A @ A.T
    scale = np.linalg.norm(K[:n, :n], 2) / n
    return K[:n, :n] / scale, K[n:, :n] / scale


class Case:
    """A kernel, targets, a stable learning rate, and every batch's map."""

    def __init__(self, seed, n=4, b=2, share=0.4):
        rng = np.random.default_rng(seed)
        self.K, self.rows = kernel_of(rng, n, 2)
        self.Y = rng.standard_normal(n)
        self.lin = ntklin.linearize_kernel(self.K)
        rate = share * self.lin.moments(self.Y, 1.0, b).max_learning_rate
        self.moments = self.lin.moments(self.Y, rate, b)
        self.maps = naive.batch_maps(self.K, rate, b)

    def expected(self, t):
        """E L_t and Cov f_t(X)."""
        mean, second = naive.residual_moments(self.maps, -self.Y, t)
        return second.trace() / (2 * len(self.Y)), second - np.outer(mean, mean)


# Against all batches


def test_one_sample_is_never_left_out():
    """Its batches are all of it: no noise, and gradient descent's losses."""
    lin = ntklin.linearize_kernel(np.array([[2.0]]))
    moments = lin.moments([1.5], 0.3, 1)
    np.testing.assert_array_equal(moments.covariance([[2.0]], [1, 5]), np.zeros((2, 1, 1)))
    expected = lin.gradient_descent([1.5], learning_rate=0.3).loss([0, 1, 5])
    np.testing.assert_allclose(moments.loss([0, 1, 5]), expected, rtol=1e-12)


@pytest.mark.parametrize("b", [1, 2, 3])
def test_all_batch_sequences_in_rational_arithmetic(b):
    """Every run of three steps, each with its probability: no recursion, no rounding."""
    rng = np.random.default_rng(b)
    n, steps = 3, 3
    A = rational.small(rng, (n + 2, 5))
    kernel, Y, rate = A @ A.T, rational.small(rng, (n,)), rational.exact(1 / 64)[()]
    K, rows = kernel[:n, :n], kernel[n:, :n]
    runs = []
    for batches in itertools.product(itertools.combinations(range(n), b), repeat=steps):
        c = 0 * Y
        for batch in batches:
            chosen = list(batch)
            step = 0 * Y
            step[chosen] = (K @ c - Y)[chosen]
            c = c - rate / b * step
        runs.append(c)
    runs = np.array(runs)
    residuals, outputs = runs @ K - Y, runs @ rows.T
    mean = outputs.sum(axis=0) / len(runs)
    covariance = outputs.T @ outputs / len(runs) - np.multiply.outer(mean, mean)
    loss = (residuals**2).sum() / (2 * n * len(runs))
    moments = ntklin.linearize_kernel(rational.floats(K)).moments(
        rational.floats(Y), float(rate), b
    )
    x = rational.floats(rows)
    options = {"kind": "trajectory", "n": 10, "kappa": 4.0}
    assert_close(moments.loss(steps), float(loss), **options)
    assert_close(moments.predict(x, steps), rational.floats(mean), **options)
    scale = np.abs(rational.floats(rows)).sum() ** 2 * np.abs(rational.floats(runs)).max() ** 2
    assert_close(moments.covariance(x, steps), rational.floats(covariance), scale=scale, **options)


@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([1, 2, 9]))
def test_a_mean_over_batches_step_by_step(seed, b, t):
    case = Case(seed, n=5, b=b)
    loss, covariance = case.expected(t)
    options = {"kind": "trajectory", "n": 10 * t, "kappa": 4.0, "scale": case.Y @ case.Y}
    assert_close(case.moments.loss(t), loss, **options)
    assert_close(case.moments.covariance(None, t), covariance, **options)


@pytest.mark.parametrize("share", [0.05, 0.9, 1.002])
@pytest.mark.parametrize("powers", [0.0, 1.0, 3.0], ids=["flat", "falling", "steep"])
def test_many_steps_at_once_are_single_ones(share, powers):
    """Spectra that leave blocks of steps long, and such that end all noise within few."""
    n, b, t = 6, 2, np.array([0, 63, 64, 65, 200, 391, 392, 1500, 1499])
    rng = np.random.default_rng(7)
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    K = V * (np.arange(1, n + 1) ** -powers) @ V.T
    K = (K + K.T) / 2
    lin, Y = ntklin.linearize_kernel(K), rng.standard_normal(n)
    rate = share * lin.moments(Y, 1.0, b).max_learning_rate
    moments = lin.moments(Y, rate, b)
    assert moments.converges == (share < 1)
    maps = naive.batch_maps(K, rate, b)
    means, seconds = [-Y], [np.outer(Y, Y)]
    for _ in range(max(t)):
        means.append(sum(A @ means[-1] for A in maps) / len(maps))
        seconds.append(sum(A @ seconds[-1] @ A.T for A in maps) / len(maps))
    expected = np.array([seconds[s].trace() / (2 * n) for s in t])
    np.testing.assert_allclose(moments.loss(t), expected, rtol=1e-10)
    for s, covariance in zip(t, moments.covariance(None, t), strict=True):
        spread = seconds[s] - np.outer(means[s], means[s])
        size = np.abs(seconds[s]).max()
        np.testing.assert_allclose(covariance, spread, rtol=1e-10, atol=1e-9 * size)


@pytest.mark.parametrize("slow", [0.01, 0.1])
def test_directions_that_would_diverge_cost_no_digits_while_nothing_is_in_them(slow):
    """Of a diagonal kernel each sample has a factor of its own, a in every second step."""
    t, lin = np.array([64, 200, 500, 1000]), ntklin.linearize_kernel(np.diag([1.0, slow]))
    rate = 1.2 * lin.moments([0.0, 1.0], 1.0, 1).max_learning_rate
    moments, a = lin.moments([0.0, 1.0], rate, 1), 1 - rate * slow
    assert not moments.converges
    np.testing.assert_allclose(moments.loss(t), ((1 + a * a) / 2) ** t / 4, rtol=1e-11)
    spread = ((1 + a * a) / 2) ** t - ((1 + a) / 2) ** (2 * t)
    found = moments.covariance(None, t)
    np.testing.assert_allclose(found[:, 1, 1], spread, rtol=1e-11)
    assert not found[:, 0].any()


# Identities


@given(st.integers(0, 10**6), st.sampled_from([0, 1, 7, 200]))
def test_all_samples_in_each_batch_are_gradient_descent(seed, t):
    case = Case(seed, b=4)
    gd = case.lin.gradient_descent(case.Y, case.moments.learning_rate)
    assert case.moments.loss(t) == gd.loss(t)
    np.testing.assert_array_equal(case.moments.covariance(case.rows, t), np.zeros((2, 2)))
    np.testing.assert_array_equal(case.moments.predict(case.rows, t), gd.predict(case.rows, t))
    assert case.moments.max_learning_rate == pytest.approx(gd.max_learning_rate, rel=1e-8)


@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([1, 5, 150]))
def test_loss_is_the_means_and_the_trace(seed, b, t):
    case = Case(seed, b=b)
    covariance = case.moments.covariance(None, t)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() >= -1e-12 * case.Y @ case.Y
    parts = case.moments.mean.loss(t) + covariance.trace() / 8
    assert case.moments.loss(t) == pytest.approx(parts, rel=1e-10)


@given(st.permutations(range(4)), st.integers(1, 4))
def test_the_order_of_samples_does_not_matter(order, b):
    case = Case(3, b=b)
    lin = ntklin.linearize_kernel(case.K[np.ix_(order, order)])
    moments = lin.moments(case.Y[order], case.moments.learning_rate, b)
    options = {"kind": "trajectory", "n": 50, "kappa": 10.0, "scale": case.Y @ case.Y}
    assert_close(moments.loss([3, 150]), case.moments.loss([3, 150]), **options)
    shuffled = moments.covariance(case.rows[:, order], 9)
    assert_close(shuffled, case.moments.covariance(case.rows, 9), **options)
    bound = case.moments.max_learning_rate
    assert moments.max_learning_rate == pytest.approx(bound, rel=1e-8)


# The bound


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 2))
def test_the_bound_is_where_the_spectral_radius_is_one(seed, b, outputs):
    """Of the whole map, an M²×M² matrix that is the mean over all batches."""
    rng = np.random.default_rng(seed)
    K, _ = kernel_of(rng, 3 * outputs)
    X = np.eye(3 * outputs)[:3]
    if outputs == 1:
        lin = ntklin.linearize_kernel(K)
    else:
        lin, K, _ = two_outputs(rng)
    bound = lin.moments(np.zeros((len(X), outputs)), 1.0, b).max_learning_rate
    for share, sign in ((0.999, -1), (1.001, 1)):
        maps = naive.batch_maps(K, share * bound, b, outputs)
        radius = np.abs(np.linalg.eigvals(sum(np.kron(A, A) for A in maps) / len(maps))).max()
        assert sign * (radius - 1) > 0


def two_outputs(rng):
    net, X = ntklin.MLP((3, 9, 2)), rng.uniform(-0.5, 0.5, (3, 3))
    lin = ntklin.linearize(net, net.init(rng), X)
    return lin, lin.kernel, X


def test_noise_lowers_the_bound():
    case = Case(0)
    bounds = [case.lin.moments(case.Y, 1.0, b).max_learning_rate for b in (1, 2, 3, 4)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(case.lin.max_learning_rate, rel=1e-8)
    nothing = ntklin.linearize_kernel(np.zeros((2, 2))).moments([1.0, 2.0], 1.0, 1)
    assert nothing.max_learning_rate == np.inf
    assert nothing.converges
    assert nothing.loss(10**6) == 1.25


# Several outputs, weights


def test_outputs_of_a_network_share_their_batches():
    rng = np.random.default_rng(0)
    lin, K, _ = two_outputs(rng)
    Y, x = rng.standard_normal((3, 2)), rng.uniform(-0.5, 0.5, (2, 3))
    moments = lin.moments(Y, None, 2)
    assert moments.learning_rate == lin.default_learning_rate()
    assert_like_training(moments, lin, ntklin.GradientDescent(moments.learning_rate), Y, x)
    mean, second = naive.residual_moments(
        naive.batch_maps(K, moments.learning_rate, 2, 2), (lin.initial_outputs - Y).ravel(), 5
    )
    spread = (second - np.outer(mean, mean)).reshape(3, 2, 3, 2)
    own = np.stack([spread[:, c, :, c] for c in range(2)], axis=-1)
    assert_close(moments.covariance(None, 5), own, kind="trajectory", n=50, scale=(Y**2).sum())


def test_a_constant_preconditioner():
    rng = np.random.default_rng(0)
    lin, _, x = two_outputs(rng)
    Y, D = rng.standard_normal((3, 2)), rng.uniform(0.5, 2, lin.features.shape[1])
    moments = lin.moments(Y, None, 1, weights=D)
    rule = ntklin.Preconditioned(moments.learning_rate, lambda t, gradient: D)
    assert_like_training(moments, lin, rule, Y, x)


def assert_like_training(moments, lin, optimizer, Y, x, steps=3):
    """Mean, loss and covariance over all runs of the library's own recursion."""
    batches = itertools.combinations(range(3), moments.batch_size)
    runs = [
        lin.train(Y, optimizer, until=1e-300, batches=[list(batch) for batch in sequence])
        for sequence in itertools.product(batches, repeat=steps)
    ]
    outputs = np.array([run.predict(x) for run in runs])
    options = {"kind": "trajectory", "n": 50, "kappa": 4.0, "scale": np.abs(outputs).max() ** 2}
    assert_close(moments.predict(x, steps), outputs.mean(axis=0), **options)
    assert_close(moments.loss(steps), np.mean([run.losses[-1] for run in runs]), **options)
    for c, covariance in enumerate(np.moveaxis(moments.covariance(x, steps), -1, 0)):
        assert_close(covariance, np.cov(outputs[:, :, c].T, bias=True), **options)


def test_one_kernel_for_several_outputs():
    case = Case(1)
    Y = np.stack([case.Y, 2 * case.Y, case.Y[::-1]], axis=1)
    rate = case.moments.learning_rate
    together = case.lin.moments(Y, rate, 2)
    apart = [case.lin.moments(column, rate, 2) for column in Y.T]
    t = [0, 3, 200]
    losses = sum(one.loss(t) for one in apart)
    np.testing.assert_allclose(together.loss(t), losses, rtol=1e-11)
    covariance = together.covariance(case.rows, t)
    assert covariance.shape == (3, 2, 2, 3)
    for c, one in enumerate(apart):
        expected = one.covariance(case.rows, t)
        np.testing.assert_allclose(covariance[..., c], expected, rtol=1e-9, atol=1e-15)


# Ranges and forms


def test_far_scales_and_single_precision():
    case = Case(2)
    t, rate = [3, 200], case.moments.learning_rate
    losses, covariance = case.moments.loss(t), case.moments.covariance(case.rows, t)
    far = ntklin.linearize_kernel(np.ldexp(case.K, 900)).moments(case.Y, np.ldexp(rate, -900), 2)
    np.testing.assert_allclose(far.loss(t), losses, rtol=1e-10)
    found = far.covariance(np.ldexp(case.rows, 900), t)
    np.testing.assert_allclose(found, covariance, rtol=1e-9)
    assert far.max_learning_rate == pytest.approx(np.ldexp(case.moments.max_learning_rate, -900))
    small = case.lin.moments(np.ldexp(case.Y, -300), rate, 2)
    np.testing.assert_allclose(small.loss(t), np.ldexp(losses, -600), rtol=1e-10)
    slow = case.lin.moments(case.Y, 1e-200, 2)
    assert slow.max_learning_rate == pytest.approx(case.moments.max_learning_rate, rel=1e-8)
    single = ntklin.linearize_kernel(case.K.astype(np.float32)).moments(case.Y, rate, 2)
    found = single.covariance(case.rows.astype(np.float32), t)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, covariance, rtol=1e-3, atol=1e-5)


def test_singular_kernels_pass():
    rng = np.random.default_rng(5)
    K, rows = kernel_of(rng, 3, 1)
    twice = [0, 0, 1, 2]
    K, rows = K[np.ix_(twice, twice)], rows[:, twice]
    Y, lin = rng.standard_normal(4), ntklin.linearize_kernel(K)
    rate = 0.5 * lin.moments(Y, 1.0, 2).max_learning_rate
    moments = lin.moments(Y, rate, 2)
    mean, second = naive.residual_moments(naive.batch_maps(K, rate, 2), -Y, 300)
    assert moments.loss(300) == pytest.approx(second.trace() / 8, rel=1e-10)
    np.testing.assert_allclose(
        moments.covariance(None, 300), second - np.outer(mean, mean), rtol=1e-8, atol=1e-12
    )
    # Two targets for one input: batches disagree for ever, and so do the outputs there.
    later = moments.covariance(rows, [10**4, 10**5])
    np.testing.assert_allclose(later[0], later[1], rtol=1e-8)
    assert later.min() > 0


def test_what_has_faded_is_over():
    """However many steps, and beside a null space that keeps what noise it got."""
    case = Case(6)
    np.testing.assert_array_equal(case.moments.loss([10**9, 10**12]), [0, 0])
    assert not case.moments.covariance(case.rows, 10**12).any()
    K = np.pad(case.K, (0, 1))  # an output that no parameter moves
    Y = np.append(case.Y, 0.5)
    moments = ntklin.linearize_kernel(K).moments(Y, case.moments.learning_rate, 1)
    np.testing.assert_allclose(moments.loss([10**6, 10**9]), [0.025, 0.025], rtol=1e-12)
    still = ntklin.linearize_kernel(case.K).moments(0 * case.Y, 0.1, 1)
    np.testing.assert_array_equal(still.loss([0, 10**12]), [0, 0])


def test_f0_at_x_alone():
    case = Case(6)
    lin = ntklin.linearize_kernel(case.K, f0=case.Y / 2)
    moments = lin.moments(case.Y * 1.5, case.moments.learning_rate, 2)
    assert moments.loss(5) == pytest.approx(case.moments.loss(5), rel=1e-12)
    covariance = case.moments.covariance(case.rows, 5)
    np.testing.assert_allclose(moments.covariance(case.rows, 5), covariance, rtol=1e-10)
    own, other = (m.epochs().covariance(case.rows, 5).value for m in (moments, case.moments))
    np.testing.assert_allclose(own, other, rtol=1e-10)
    for law in (moments, moments.epochs()):
        with pytest.raises(ValueError, match="f0 was given as an array"):
            law.predict(case.rows, 5)


def test_one_sample():
    moments = ntklin.linearize_kernel([[2.0]]).moments([1.0], 0.25, 1)
    np.testing.assert_array_equal(moments.loss([0, 1, 2]), [0.5, 0.125, 0.03125])
    assert moments.covariance([[1.0]], 5) == 0


def test_shapes_and_going_on():
    case = Case(4)
    whole = case.moments.loss(np.arange(120).reshape(4, 30))
    assert whole.shape == (4, 30)
    assert isinstance(case.moments.loss(3), float)
    assert case.moments.loss(3) == pytest.approx(whole[0, 3], rel=1e-13)
    later = case.moments.loss(119)
    assert later == pytest.approx(whole[3, 29], rel=1e-12)
    covariance = case.moments.covariance(case.rows, 119)
    assert case.moments.loss([]).shape == (0,)
    assert case.moments.covariance(case.rows, []).shape == (0, 2, 2)
    for twin in (pickle.loads(pickle.dumps(case.moments)), copy.deepcopy(case.moments)):
        assert twin.loss(119) == pytest.approx(later, rel=1e-12)
        np.testing.assert_allclose(twin.covariance(case.rows, 119), covariance, rtol=1e-10)


def test_progress_and_an_interruption(monkeypatch):
    monkeypatch.setattr("ntklin.theory.noise_course._PULSE", 0)
    case = Case(4)
    rate, told = case.moments.learning_rate, []
    expected = case.moments.loss([50, 3000], progress=told.append)
    assert told[:64] == list(range(1, 65))
    assert told == sorted(set(told))
    assert told[-1] <= 3000

    def stop(step):
        if step > 1000:
            raise KeyboardInterrupt

    patient = case.lin.moments(case.Y, rate, 2)
    patient.loss(50)
    with pytest.raises(KeyboardInterrupt):
        patient.loss(10**9, progress=stop)
    np.testing.assert_allclose(patient.loss([50, 3000]), expected, rtol=1e-10)


# What is refused


def test_bad_input_is_named():
    case = Case(0)
    with pytest.raises(ValueError, match="batch_size = 5 exceeds the number of samples, 4"):
        case.lin.moments(case.Y, RATE, 5)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        case.lin.moments(case.Y, RATE, 0)
    with pytest.raises(TypeError, match="batch_size must be an integer"):
        case.lin.moments(case.Y, RATE, 1.5)
    with pytest.raises(ValueError, match="learning_rate must be positive and finite"):
        case.lin.moments(case.Y, -1.0, 2)
    with pytest.raises(ValueError, match="t must be at least 0 steps"):
        case.moments.loss(-1)
    with pytest.raises(TypeError, match="t must hold integers, got None"):
        case.moments.predict(case.rows, None)
    with pytest.raises(ValueError, match="t goes up to 1e\\+13"):
        case.moments.loss(10**13)


def test_divergence_is_told():
    case = Case(0, share=3.0)
    assert not case.moments.converges
    assert np.isfinite(case.moments.loss([1, 5])).all()
    with pytest.raises(ntklin.DivergenceError, match=r"SGD with batches of 2.*in mean square at t"):
        case.moments.loss([5, 10**6])
    with pytest.raises(ntklin.DivergenceError, match="at t = 1"):
        case.lin.moments(case.Y, 1e300, 2).loss(1)
    with pytest.raises(ntklin.DivergenceError, match="which is stable below") as caught:
        case.moments.covariance(case.rows, 10**6)
    assert caught.value.bound == case.moments.max_learning_rate


def test_memory_is_asked_for_beforehand(monkeypatch):
    case = Case(0)
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 1000)
    with pytest.raises(ntklin.MemoryLimitError, match="kernel of 4 training inputs needs"):
        case.lin.moments(case.Y, RATE, 2).loss(3)


def test_a_schedule_is_refused_by_name():
    X = np.eye(3)
    net = ntklin.MLP((3, 8, 1))
    lin = ntklin.linearize(net, net.init(0), X)
    with pytest.raises(ValueError, match="not of a schedule; pass a number"):
        lin.moments(np.ones(3), ntklin.StepSchedule(0.1, 5), 2)
