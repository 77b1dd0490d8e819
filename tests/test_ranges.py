"""Extreme scales: a homogeneous network's results are known at every scale from those at one.

Without biases f scales as σ^L |x|, K as its square, and f_int is linear in Y and free of σ and |x|.
So every public result at 2^a X, 2^b σ, 2^c Y is an exact multiple of that at X, σ, Y; either it is
that, or it is a FloatRangeError and the multiple cannot be represented.
"""

import math
import warnings

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import tolerance

import ntklin
from ntklin.edge.ranges import exponent, in_range, norm, shift

DTYPES = [np.float32, np.float64]
WIDTHS = {1: (3, 1), 2: (3, 12, 1), 4: (3, 12, 12, 12, 1)}
# Exponents of |x| and of σ that their dtypes can hold, with room for the numbers behind.
REACH = {np.float32: 110, np.float64: 950}


def problem(depth, dtype, k_x=0, k_sigma=0, bias="none"):
    rng = np.random.default_rng(depth)
    X, X_new = (rng.uniform(-0.5, 0.5, (n, 3)) for n in (3, 4))
    net = ntklin.MLP(WIDTHS[depth], sigma=1.5 * 2.0**k_sigma, bias=bias)
    theta = net.init(3, dtype)
    X, X_new = (np.ldexp(Z.astype(dtype), np.int32(k_x)) for Z in (X, X_new))
    return net, theta, X, X_new


def linearized(*arguments, **options):
    net, theta, X, X_new = problem(*arguments, **options)
    with warnings.catch_warnings(), np.errstate(over="ignore", under="ignore"):
        warnings.simplefilter("ignore")
        return ntklin.linearize(net, theta, X), X_new


def assert_scaled_or_refused(compute, expected, k, dtype, *, kappa=1.0, each=None):
    """``compute()`` is 2^k ``expected``, or a FloatRangeError where that leaves the range."""
    expected = np.asarray(expected, float)
    size, info = float(np.abs(expected).max()), np.finfo(dtype)
    top, bottom = math.log2(size) + k, math.log2(float(np.abs(expected).min() or size)) + k
    fits = top < info.maxexp - 1e-3 and top > info.minexp
    try:
        with warnings.catch_warnings(), np.errstate(over="ignore", under="ignore"):
            warnings.simplefilter("ignore", ntklin.UnitBallWarning)
            actual = np.asarray(compute())
    except ntklin.FloatRangeError:
        # Rows and entries differ in size, and an answer may be refused for the smallest.
        assert not fits or bottom < info.minexp + 2
        return
    assert fits
    back = (
        shift(actual.astype(float), -k)
        if abs(k) < 900
        else shift(shift(actual.astype(float), -(k // 2)), -(k - k // 2))
    )
    floor = 2.0 ** (info.minexp - info.nmant - k) if info.minexp - info.nmant - k > -1000 else 0
    allowed = tolerance("gram", dtype, n=60, kappa=kappa) * size + 8 * floor
    assert np.abs(back - expected).max() <= allowed


scales = {
    "depth": st.sampled_from([1, 2, 4]),
    "dtype": st.sampled_from(DTYPES),
    "x": st.floats(-1, 1),
    "sigma": st.floats(-1, 1),
}


def exponents(dtype, x, sigma):
    return round(x * REACH[dtype]), round(sigma * REACH[dtype] / 2)


@given(**scales)
@example(depth=4, dtype=np.float32, x=0.0, sigma=-0.33)
@example(depth=2, dtype=np.float64, x=-0.57, sigma=0.0)
def test_network_and_its_kernels(depth, dtype, x, sigma):
    k_x, k_sigma = exponents(dtype, x, sigma)
    net, theta, X, X_new = problem(depth, dtype)
    far, _, X_far, new_far = problem(depth, dtype, k_x, k_sigma)
    k_f = k_x + depth * k_sigma
    phi = net.features(theta, X)
    for compute, expected, k in (
        (lambda: far.apply(theta, X_far), net.apply(theta, X), k_f),
        (lambda: ntklin.ntk(far, theta, X_far), phi.gram(), 2 * k_f),
        (
            lambda: ntklin.ntk(far, theta, X_far, new_far),
            phi.gram(net.features(theta, X_new)),
            2 * k_f,
        ),
        (lambda: ntklin.infinite_ntk(far, X_far), ntklin.infinite_ntk(net, X), 2 * k_f),
        (
            lambda: ntklin.infinite_nngp(far, X_far, new_far),
            ntklin.infinite_nngp(net, X, X_new),
            2 * k_f,
        ),
    ):
        assert_scaled_or_refused(compute, expected, k, dtype)


# Not depth 1, where three independent rows leave nothing of f_init.
@given(**(scales | {"depth": st.sampled_from([2, 4])}), y=st.floats(-1, 1), d=st.floats(-1, 1))
@example(depth=4, dtype=np.float32, x=0.0, sigma=-0.33, y=0.0, d=0.0)
@example(depth=2, dtype=np.float64, x=0.0, sigma=0.0, y=0.7, d=-0.99)
@example(depth=2, dtype=np.float64, x=-0.57, sigma=0.0, y=0.0, d=0.0)
def test_minimizer_and_closed_form(depth, dtype, x, sigma, y, d):
    k_x, k_sigma = exponents(dtype, x, sigma)
    k_y, k_d = round(y * REACH[dtype]), round(d * 900)
    Y, k_f = np.array([1.0, -0.5, 0.75]), k_x + depth * k_sigma
    near, X_new = linearized(depth, dtype)
    try:
        far, new_far = linearized(depth, dtype, k_x, k_sigma)
    except ntklin.FloatRangeError:
        assert k_f > np.finfo(dtype).maxexp - 8
        return
    D = np.random.default_rng(0).uniform(0.5, 1.5, near.features.shape[1])
    for weights, weights_far in ((None, None), (D, np.ldexp(D, k_d))):
        m = near.minimizer(Y, weights=weights)
        m_far = far.minimizer(np.ldexp(Y, k_y), weights=weights_far)
        assert m_far.error_bound == pytest.approx(m.error_bound, rel=0.3)
        kappa = m.condition
        for name, k in (("interpolator", k_y), ("initialization", k_f)):
            assert_scaled_or_refused(
                lambda name=name, m_far=m_far: getattr(m_far, name)(new_far),
                *(getattr(m, name)(X_new), k, dtype),
                kappa=kappa,
            )
    if k_y == k_f:
        return
    # f_t − f_0 for f_0 that is nothing beside Y, or the other way round: the larger one is left.
    gd, gd_far = near.gradient_descent(Y), None
    try:
        gd_far = far.gradient_descent(np.ldexp(Y, k_y))
    except ntklin.FloatRangeError:
        assert abs(2 * k_f) > 1000
        return
    if abs(k_y - k_f) > 60:
        zero = near.gradient_descent(np.zeros(3))
        only_Y = gd.predict(X_new, 50) - zero.predict(X_new, 50)
        expected, k = (only_Y, k_y) if k_y > k_f else (zero.predict(X_new, 50), k_f)
        assert_scaled_or_refused(
            lambda: gd_far.predict(new_far, 50), expected, k, dtype, kappa=m.condition
        )
        residual = (Y, k_y) if k_y > k_f else (np.asarray(near.initial_outputs, float), k_f)
        loss = float(residual[0] @ residual[0]) / 6
        assert_scaled_or_refused(
            lambda: gd_far.loss(0), loss, 2 * residual[1], np.float64, kappa=1e9
        )


@given(
    bias=st.sampled_from(["none", "zero", "normal"]),
    depth=st.integers(1, 4),
    dtype=st.sampled_from(DTYPES),
    first=st.floats(-1, 1),
    second=st.floats(-1, 1),
    sigma=st.floats(-0.2, 0.2),
)
@example(bias="normal", depth=2, dtype=np.float64, first=0.35, second=0.35, sigma=0.0)
@example(bias="normal", depth=3, dtype=np.float32, first=0.9, second=-0.9, sigma=0.0)
def test_infinite_width_of_rows_of_any_length(bias, depth, dtype, first, second, sigma):
    """Two rows of lengths of their own; the reference has integers of any size as exponents."""
    import mpmath

    X = np.array([[0.6, -0.3, 0.2], [0.1, 0.7, -0.4]]).astype(dtype)
    k = [round(v * REACH[dtype]) for v in (first, second)]
    X1, X2 = (np.ldexp(x[None], np.int32(e)) for x, e in zip(X, k, strict=True))
    scale = 2.0 ** round(sigma * REACH[dtype])
    net = ntklin.MLP((3, *[8] * (depth - 1), 1), sigma=1.25 * scale, bias=bias)
    expected = dict(zip(("infinite_ntk", "infinite_nngp"), exact(net, X1[0], X2[0]), strict=True))
    info = np.finfo(dtype)
    for name, value in expected.items():
        size = float(mpmath.log(abs(value[1]), 2))
        try:
            actual = getattr(ntklin, name)(net, X1, X2)[0, 0]
        except ntklin.FloatRangeError:
            assert not info.minexp + 60 < size < info.maxexp - 60
            continue
        assert np.isfinite(actual)
        error = abs(mpmath.mpf(float(actual)) - value[0]) / value[1]
        assert error <= tolerance("infinite", dtype, n=4 * depth)


def exact(net, x, other):
    """Θ and C of two inputs with the size √(Θ(x, x) Θ(x', x')) that they are judged by."""
    import mpmath

    with mpmath.workdps(60):
        x, other = ([mpmath.mpf(float(v)) for v in a] for a in (x, other))
        w = mpmath.mpf(net.sigma) ** 2
        b, s = (w if net.bias == kind else mpmath.mpf(0) for kind in ("normal", "zero"))
        pairs = ((x, other), (x, x), (other, other))
        C = [w * sum(p * q for p, q in zip(*pair, strict=True)) + b for pair in pairs]
        T = [c + s for c in C]
        for _ in range(net.depth - 1):
            roots = [mpmath.sqrt(C[1] * C[2]), C[1], C[2]]
            angles = [mpmath.acos(min(1, C[0] / roots[0])), mpmath.mpf(0), mpmath.mpf(0)]
            kappa = [w * (mpmath.pi - a) / (2 * mpmath.pi) for a in angles]
            C = [
                w / (2 * mpmath.pi) * r * (mpmath.sin(a) + (mpmath.pi - a) * mpmath.cos(a)) + b
                for r, a in zip(roots, angles, strict=True)
            ]
            T = [k * t + c + s for k, t, c in zip(kappa, T, C, strict=True)]
        return [(v[0], mpmath.sqrt(v[1] * v[2])) for v in (T, C)]


def test_losses_whose_squares_leave_the_range_are_refused():
    lin = linear_model(np.eye(2))
    for Y in ([1e200, 0.0], [1e-200, 0.0]):
        gd = lin.gradient_descent(Y)
        np.testing.assert_allclose(gd.predict(np.eye(2)), Y, rtol=1e-15)
        with pytest.raises(ntklin.FloatRangeError, match=r"the loss (over|under)flows float64"):
            gd.loss(0)


def test_outputs_beyond_single_precision_are_refused():
    lin = linear_model(np.eye(2, dtype=np.float32))
    for Y, what in ((1e60, "overflows"), (1e-60, "underflows")):
        m, gd = lin.minimizer([Y, 0.0]), lin.gradient_descent([Y, 0.0])
        for compute in (m.interpolator, m.predict, gd.predict, lambda x, gd=gd: gd.predict(x, 9)):
            with pytest.raises(ntklin.FloatRangeError, match=f"{what} float32"):
                compute(np.eye(2))


@pytest.mark.parametrize("depth", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_passes_are_balanced_where_sizes_are_extreme_alone(dtype, depth):
    """Signals count by what they are, however large the activations beside them."""
    net, theta, X, _ = problem(depth, dtype)
    reach = {np.float32: 16, np.float64: 128}[dtype]
    for k, is_extreme in ((reach - 6, False), (6 - reach, False), (reach + 2, True)):
        phi = net.features(theta, np.ldexp(X, np.int32(k)))
        assert phi.is_extreme == is_extreme


@pytest.mark.parametrize("t", [1, 7, None])
def test_parameters_of_targets_at_the_edge_of_the_range_keep_their_digits(t):
    """One of them is moved by features that are small beside the others."""
    J = np.array([[1.0, 3e-11, 0.0], [5e-11, 1e-11, 0.75]])

    def parameters(e, k):
        gd = linear_model(np.ldexp(J, e)).gradient_descent(
            np.ldexp([1.0, -0.75], k), learning_rate=2.0 ** (-1 - 2 * e)
        )
        return np.ldexp(gd.parameters(t), e - k)

    expected = parameters(0, 0)
    assert expected.all()
    for e, k in ((-500, -1020), (-500, 0), (500, 1000)):
        np.testing.assert_allclose(parameters(e, k), expected, rtol=1e-13)


def test_what_has_no_number_is_refused_by_name():
    net = ntklin.MLP((2, 8, 8, 1), sigma=1e-120, bias="none")
    theta, X = net.init(0), np.eye(2)
    for compute in (net.apply, net.jacobian, lambda t, x: net.features(t, x).gram()):
        with pytest.raises(ntklin.FloatRangeError, match=r"underflows float64; .*change sigma"):
            compute(theta, X)
    with pytest.raises(ntklin.FloatRangeError, match="the NTK underflows float64"):
        ntklin.infinite_ntk(net, X)
    dead = ntklin.MLP((2, 3, 1), bias="none")
    assert not dead.apply(np.zeros(9), X).any()
    assert not dead.features(np.zeros(9), X).gram().any()


@pytest.mark.parametrize("e", [1000, 500, -500, -1000])
@pytest.mark.parametrize("of", ["inputs", "parameters"])
def test_rounding_errors_at_any_scale(e, of):
    net = ntklin.MLP((3, 8, 5, 2), bias="none")
    theta, X = net.init(0), np.random.default_rng(0).standard_normal((4, 3))
    plain = net.features(theta, X).output_rounding()
    assert (plain > 0).all()
    if of == "inputs":
        X = np.ldexp(X, e)
    else:
        layers = net.unpack(theta.copy())
        layers[1][0][:] *= 2.0**e
        theta = net.pack(layers)
    np.testing.assert_array_equal(net.features(theta, X).output_rounding(), np.ldexp(plain, e))


# Kernels warn where they are plain Python.
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning:ntklin.kernels")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:ntklin.kernels")
@pytest.mark.parametrize(
    ("inputs", "layers"),
    [(-1000, (-60, 530, 530)), (0, (600, 600, -900))],
    ids=["fade", "overflow"],
)
def test_outputs_keep_their_digits_where_activations_leave_the_range(inputs, layers):
    net = ntklin.MLP((3, 8, 5, 2), bias="none")
    theta, X = net.init(0), np.random.default_rng(0).standard_normal((4, 3))
    plain = net.apply(theta, X)
    for (W, _), e in zip(net.unpack(theta), layers, strict=True):
        W *= 2.0**e
    expected = np.ldexp(plain, inputs + sum(layers))
    np.testing.assert_array_equal(net.features(theta, np.ldexp(X, inputs)).outputs, expected)
    np.testing.assert_array_equal(net.apply(theta, np.ldexp(X, inputs)), expected)


# Kernels warn where they are plain Python.
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning:ntklin.kernels")
def test_products_and_kernels_beyond_the_range_are_refused():
    net = ntklin.MLP((2, 3, 1))
    X = np.array([[0.5, 0.25], [-0.75, 0.5]])
    lin = ntklin.linearize(net, net.init(1), X)
    with pytest.raises(ntklin.FloatRangeError, match="the weighted kernel overflows float64"):
        ntklin.linearize(net, net.init(1), 8 * X).weighted_kernel(1e308)
    with pytest.raises(ntklin.DivergenceError, match="products of 3 steps leave the range"):
        lin.theorem6(np.ones(2), [np.ones(net.n_parameters)] * 3, learning_rate=1e200)
    with pytest.raises(ntklin.FloatRangeError, match="f_∞ overflows float64"):
        lin.minimizer(np.full(2, 1e3)).predict(np.array([[1.7e308, -1.7e308]]))
    for e in (160, 307):
        with pytest.raises(ntklin.FloatRangeError, match="the amplification of noise overflows"):
            lin.minimizer(np.ones(2)).noise_amplification(10.0**e * X)
    with pytest.raises(ntklin.FloatRangeError, match="the covariance overflows float64"):
        lin.moments(np.ones(2), 0.1, 1).epochs().covariance(1e200 * X, 2)
    with pytest.raises(ntklin.FloatRangeError, match=r"sums over Y .* overflow float64"):
        lin.gradient_descent(np.array([1.7e308, -1.7e308]), 0.1).loss(1)
    with pytest.raises(ntklin.FloatRangeError, match="a step by this gradient leaves the range"):
        ntklin.Momentum(1e9).update(ntklin.Momentum(1e9).init(X[0]), X[0], np.full(2, 1e300))
    with pytest.raises(ntklin.FloatRangeError, match="θ at this sigma overflows"):
        ntklin.from_state_dict({"0.weight": np.ones((1, 2))}, scaling="fan_out", sigma=5e-324)
    scaled = ntklin.ScaledNetwork(net, 1e10, net.init(0))
    with pytest.raises(ntklin.FloatRangeError, match=r"f\(X\) overflows"):
        scaled.apply(net.init(1), 1e300 * X)
    start = np.full((2, 2), 1e160)
    with pytest.raises(ntklin.ConvergenceError, match="the residuals leave the range"):
        lin.minimizer(np.ones(2), solver="pcg", start=start)
    with pytest.raises(ntklin.MemoryLimitError, match="covariances of 100000 outputs"):
        lin.moments(np.ones(2), 0.1, 1).epochs().covariance(np.ones((100_000, 2)), 2)


def test_helpers():
    assert [exponent(v) for v in (0.0, 1.0, -0.75, np.inf)] == [0, 1, 0, 0]
    assert norm([3e200, 4e200]) == pytest.approx(5e200, rel=1e-15)
    assert norm([3e-200, 4e-200]) == pytest.approx(5e-200, rel=1e-15)
    assert shift(1.0, 2000) == np.inf
    assert in_range(1.5, np.float64, "a", "b", scale=-3) == 0.1875
    np.testing.assert_array_equal(in_range(np.array([1.0, 1e-60]), np.float32, "a", "b"), [1, 0])
    with pytest.raises(ntklin.FloatRangeError, match="a underflows float32; b"):
        in_range(np.array([1e-60]), np.float32, "a", "b")
    with pytest.raises(ntklin.FloatRangeError, match="a overflows float64; b"):
        in_range(1.0, np.float64, "a", "b", scale=3000)


PAIR = ntklin.AntisymmetricPair(ntklin.MLP((3, 20, 1)))
# All that takes steps on Y.
TRAINERS = {
    "train": lambda net, theta, X, Y: ntklin.train(net, theta, X, Y, steps=2),
    "train, adam": lambda net, theta, X, Y: ntklin.train(
        net, theta, X, Y, ntklin.Adam(1e-3), steps=2
    ),
    "train_ensemble": lambda net, theta, X, Y: ntklin.train_ensemble(net, [theta], X, Y, steps=2),
    "largest_learning_rate": lambda net, theta, X, Y: ntklin.largest_learning_rate(
        net, theta, X, Y, steps=2, until=1e-307
    ),
    "lin.train": lambda net, theta, X, Y: ntklin.linearize(net, theta, X).train(Y),
    "lin.train, adam": lambda net, theta, X, Y: ntklin.linearize(net, theta, X).train(
        Y, ntklin.Adam(1e-3), steps=2
    ),
    "search_learning_rate": lambda net, theta, X, Y: ntklin.search_learning_rate(
        lambda optimizer: ntklin.linearize(net, theta, X).train(Y, optimizer, steps=2),
        ntklin.AdaGrad(1e-3),
    ),
    "mitigate_initialization": lambda net, theta, X, Y: ntklin.mitigate_initialization(
        ntklin.MLP((3, 20, 1)), X, Y, X, np.ones(3), max_steps=2
    ),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_targets_whose_squares_leave_the_range_are_refused_at_the_start(name):
    """Without a warning from below, and before a step is taken."""
    X = np.eye(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if numba.config.DISABLE_JIT:  # kernels that are not compiled warn as NumPy does
            warnings.filterwarnings("ignore", "overflow encountered")
        for size, what in ((1e200, "over"), (1e-300, "under")):
            if size < 1 and name == "mitigate_initialization":
                continue  # f_0 is no 0 there
            Y = size * np.array([1.0, 0.0, 0.5])
            with pytest.raises(ntklin.FloatRangeError, match=f"the loss {what}flows float64; sc"):
                TRAINERS[name](PAIR, PAIR.init(0), X, Y)
        for size, what in ((1e39, "overflows float32 at entry 0"), (1e-50, "underflows float32")):
            Y = size * np.array([1.0, 0.0, 0.5])
            with pytest.raises(ntklin.FloatRangeError, match=f"Y {what}; scale Y, or use float64"):
                TRAINERS[name](PAIR, PAIR.init(0, np.float32), np.float32(X), Y)


def test_targets_at_the_edge_of_the_range_are_trained_on():
    X, theta = np.eye(3), PAIR.init(0)
    for size in (1e150, 1e-150, 0.0):
        Y = size * np.array([1.0, 0.0, 0.5])
        run = ntklin.linearize(PAIR, theta, X).train(Y, steps=2)
        expected = np.float64(size) ** 2 * 1.25 / 6
        assert run.losses[0] == pytest.approx(expected, rel=1e-14)
        assert run.losses[2] < run.losses[0] or size == 0
        run = ntklin.train(PAIR, theta, X, Y, ntklin.GradientDescent(1e-160), steps=1)
        assert run.losses[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # uncompiled kernels
def test_losses_of_targets_up_to_the_end_of_single_precision():
    """Their squares are beyond it, in whatever loop they are summed."""
    net, X = ntklin.MLP((3, 20, 1)), np.eye(3, dtype=np.float32)
    for method in ("reduced", "fused", "direct"):
        run = ntklin.train(
            *(net, net.init(0, np.float32), X, np.float32([1e25, 0, 0])),
            *(ntklin.GradientDescent(1e-30), 2),
            method=method,
        )
        np.testing.assert_allclose(run.losses, 1e50 / 6, rtol=1e-6)


@pytest.mark.parametrize("which", ["val", "test"])
def test_losses_of_other_samples_are_refused_before_training(which):
    net, X, good, trials = ntklin.MLP((3, 20, 1)), np.eye(3), np.ones(3), []
    data = {"Y_val": good, "X_test": X, "Y_test": good} | {f"Y_{which}": [1e200, 0.0, 0.0]}
    message = f"the loss on Y_{which} overflows float64; scale Y_{which}"
    with pytest.raises(ntklin.FloatRangeError, match=message):
        ntklin.mitigate_initialization(net, X, good, X, **data, on_trial=trials.append)
    assert not trials


def test_a_search_refuses_losses_that_start_at_no_number():
    with pytest.raises(ntklin.FloatRangeError, match=r"starts at is inf, .*scale the targets"):
        ntklin.search_learning_rate(lambda _: np.array([np.inf, np.inf]), ntklin.Adam(1e-3))


def narrow_problem(size):
    """A linearization in float32 and the same in float64, with new inputs beyond float32."""
    rng = np.random.default_rng(2)
    X = (0.3 * rng.standard_normal((5, 3))).astype(np.float32)
    # Zero biases that have moved: outputs at the size of X_new are not those at 0.
    net = ntklin.MLP((3, 9, 1))
    theta = net.init(0, np.float32)
    single, double = (ntklin.linearize(net, theta.astype(d), X.astype(d)) for d in DTYPES)
    return single, double, rng.random(5), size * rng.standard_normal((4, 3))


PREDICTIONS = {
    "minimizer": lambda lin, Y, X: lin.minimizer(Y).predict(X),
    "adaptive minimizer": lambda lin, Y, X: lin.minimizer(
        Y, weights=np.linspace(1, 2, lin.features.shape[1])
    ).predict(X),
    "interpolator": lambda lin, Y, X: lin.minimizer(Y).interpolator(X),
    "gradient descent": lambda lin, Y, X: lin.gradient_descent(Y, 0.5).predict(X, 20),
    "train": lambda lin, Y, X: lin.train(Y, ntklin.GradientDescent(0.5), steps=20).predict(X),
    "train, adam": lambda lin, Y, X: lin.train(Y, ntklin.Adam(0.01), steps=9).predict(X),
    "interpolating": lambda lin, Y, X: lin.train(
        Y, ntklin.GradientDescent(0.5), steps=20
    ).interpolating(X),
    "theorem 3": lambda lin, Y, X: lin.theorem3(Y, [1.0, 1.0], 0.5).predict(X),
}


@pytest.mark.parametrize("size", [1e-47, 2e38, 1e40])
@pytest.mark.parametrize("name", PREDICTIONS)
def test_new_inputs_beyond_single_precision(name, size):
    """They keep their digits, and with them the neurons that they reach."""
    single, double, Y, X_new = narrow_problem(size)
    with np.errstate(over="ignore", under="ignore"):
        cast = np.float32(X_new)
    assert not cast.any() or np.isinf(cast).any()
    expected = PREDICTIONS[name](double, Y, X_new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The theorem's formula is in double precision whatever the features are in.
        if np.abs(expected).max() > np.finfo(np.float32).max and name != "theorem 3":
            with pytest.raises(ntklin.FloatRangeError, match="overflows float32"):
                PREDICTIONS[name](single, Y, X_new)
            return
        actual = PREDICTIONS[name](single, Y, X_new)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-3)
    assert np.ptp(expected) > 0.1 * scale


@pytest.mark.parametrize(
    ("size", "what"), [(1e39, "over.* row 0, column"), (1e-47, "under.* row 0")]
)
def test_inputs_to_record_beyond_single_precision_are_refused(size, what):
    single, _, Y, X_new = narrow_problem(size)
    phi = single.features
    with pytest.raises(ntklin.FloatRangeError, match=f"X_record {what}.*scale X_record, or use fl"):
        ntklin.train(
            *(phi.network, phi.parameters, phi.inputs, Y),
            steps=1,
            record=1,
            X_record=X_new,
        )


LONG = pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 2000, reason="longdouble is double here")


@LONG
def test_a_single_sample_is_told_of_its_shape_whatever_is_in_it():
    net = ntklin.MLP((3, 9, 1))
    X = np.array([1, 0.5, np.longdouble("1e-4000")])
    with pytest.raises(ValueError, match=r"X must have shape \(N, d\).*one sample pass X\[None"):
        net.apply(net.init(0), X)


@LONG
@pytest.mark.parametrize(("size", "what"), [("1e4000", "overflows"), ("1e-4000", "underflows")])
def test_long_doubles_beyond_double_precision_are_refused(size, what):
    net = ntklin.MLP((3, 9, 1))
    theta, X, Y = net.init(0), np.eye(3), np.ones(3)
    far = np.longdouble(size)
    lin = ntklin.linearize(net, theta, X)
    for name, compute in {
        "X": lambda: net.apply(theta, X * far),
        "theta": lambda: ntklin.linearize(net, theta * far, X),
        "X_new": lambda: lin.minimizer(Y).predict(X * far),
        "Y": lambda: lin.gradient_descent(Y * far),
        "weights": lambda: lin.features.gram(weights=np.ones(theta.shape) * far),
    }.items():
        with pytest.raises(ntklin.FloatRangeError, match=f"{name} {what} float64.*; scale {name}$"):
            compute()
    with pytest.raises(ValueError, match="X contains NaN or infinite"):
        net.apply(theta, (X + 1) * np.longdouble("inf"))


@LONG
def test_a_sample_without_an_axis_is_told_of_its_shape_whatever_its_entries():
    """Rows have digits each; a vector has none."""
    x = np.array([1, np.longdouble("1e-4000")])
    with pytest.raises(ValueError, match=r"X must have shape \(N, d\), got shape \(2,\); for one"):
        ntklin.linearize(ntklin.MLP((2, 3, 1)), np.zeros(13), x)


def far_apart(size=1.0):
    """Whose second eigenvalue is far below the first, with targets of both sizes."""
    return linear_model(np.diag([1.0, 1e-3]).astype(float)), np.array([1.0, 0.5])


HUSHED = {
    "loss": lambda: far_apart()[0].gradient_descent(far_apart()[1]).loss([1, 10**6, 10**20]),
    "predict": lambda: far_apart()[0].gradient_descent([1.0, 0.5]).predict(np.eye(2), 10**6),
    "parameters": lambda: far_apart()[0].gradient_descent([1.0, 0.5]).parameters(10**6),
    "steps_to": lambda: far_apart()[0].gradient_descent([1.0, 0.5]).steps_to(1e-12),
    "ridge": lambda: far_apart()[0].gradient_descent([1.0, 0.5], ridge=1e-9).loss(10**9),
    "rows far apart": lambda: (
        linear_model(np.diag([1.0, 1e-200])).gradient_descent([1.0, 0.5]).loss(10**6)
    ),
    "logistic": lambda: (
        ntklin.linearize(
            ntklin.AntisymmetricPair(ntklin.MLP((2, 5, 1))),
            ntklin.AntisymmetricPair(ntklin.MLP((2, 5, 1))).init(0),
            np.eye(2),
        )
        .train([1.0, 0.0], ntklin.GradientDescent(1e4), steps=3, loss="logistic", method="direct")
        .losses
    ),
    "infinite_ntk": lambda: ntklin.infinite_ntk(
        ntklin.MLP((1, 5, 1), bias="normal"), np.float32([[1.0], [1e30]]), np.float32([[1e-30]])
    ),
}


@pytest.mark.parametrize("name", HUSHED)
def test_what_fades_is_no_error_whatever_numpy_is_told(name):
    if numba.config.DISABLE_JIT and name in ("rows far apart", "infinite_ntk"):
        pytest.skip("kernels that are not compiled do as NumPy is told")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.UnitBallWarning)
        expected = HUSHED[name]()
        with np.errstate(all="raise"):
            np.testing.assert_array_equal(HUSHED[name](), expected)


@pytest.mark.parametrize("options", [{"learning_rate": 5e-324}, {"ridge": 1.7e308}])
def test_rates_and_ridges_without_a_number_are_told_apart_from_kernels(options):
    lin = linear_model(1e-3 * np.eye(2))
    with pytest.raises(ntklin.FloatRangeError, match="take learning_rate and ridge nearer"):
        lin.gradient_descent([1.0, 0.0], **options).loss(3)
