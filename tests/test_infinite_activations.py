"""Θ and the NNGP of all activations but ReLU: integrals, 30 and 50 digits, networks, identities."""

import math

import mpmath
import naive
import naive_infinite
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from tolerances import assert_close, tolerance

import ntklin
from ntklin.kernels.cpu import infinite_sides
from ntklin.kernels.cpu.plain import JIT_DISABLED

BIASES = ("none", "zero", "normal")
ONE_INTERPRETED = [*(pytest.param(b, marks=pytest.mark.compiled) for b in BIASES[:-1]), BIASES[-1]]
BOTH = (ntklin.infinite_ntk, ntklin.infinite_nngp)
# What the series state of their moments, next to which rounding does not count.
STATED = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}


def logistic(h):
    return 1 / (1 + np.exp(-h))


def erf(h):
    return special.erf(h)


def normal_cdf(h):
    return (1 + erf(h / math.sqrt(2))) / 2


FUNCTIONS = {
    "erf": (erf, lambda h: 2 / math.sqrt(math.pi) * np.exp(-h * h)),
    "sin": (np.sin, np.cos),
    "gelu": (
        lambda h: h * normal_cdf(h),
        lambda h: normal_cdf(h) + h * np.exp(-h * h / 2) / math.sqrt(2 * math.pi),
    ),
    "tanh": (np.tanh, lambda h: 1 / np.cosh(h) ** 2),
    "sigmoid": (logistic, lambda h: logistic(h) * logistic(-h)),
    "softplus": (lambda h: np.logaddexp(0, h), logistic),
}
SLOPES = {
    "leaky_relu": (1.0, 0.01, 0.01),
    "leaky_relu(0.3)": (1.0, 0.3, 0.3),
    "leaky_relu(-2.0)": (1.0, -2.0, -2.0),
    "abs": (1.0, -1.0, 0.0),
}
CLOSED = {"erf": naive_infinite.erf, "sin": naive_infinite.sine, "gelu": naive_infinite.gelu}
SERIES = ("tanh", "sigmoid", "softplus")


def network(n_inputs, depth, activation, *, n_outputs=1, **options):
    """The same network for the library and for the reference."""
    options = {"sigma": 1.3, "scaling": "fan_in", "bias": "zero", "sigma_b": None} | options
    widths = (n_inputs, *[3] * (depth - 1), n_outputs)
    net = ntklin.MLP(widths, activation=activation, **options)
    return net, naive.Network(widths, **options)


def assert_limit(net, X, expected, *, allowed=0.0, split=2):
    """Both matrices, with X itself and with a part of it, each entry against √(K(x,x) K(x',x'))."""
    for f, K in zip(BOTH, expected, strict=True):
        root = np.sqrt(np.diag(K))
        root[root == 0] = 1
        scale = np.outer(root, root)
        for actual, rows in ((f(net, X), slice(None)), (f(net, X[:split], X), slice(split))):
            assert actual.dtype == X.dtype
            error = np.abs(actual / scale[rows] - K[rows] / scale[rows]).max()
            assert error <= allowed + tolerance("infinite", X.dtype, n=net.depth)


def degenerate_inputs(n_inputs, seed, dtype=np.float64):
    """Rows that are random, equal, parallel, opposite, nearly so, and zero."""
    rng = np.random.default_rng(seed)
    x, y, direction = rng.standard_normal((3, n_inputs))
    rows = [x, y, x, 3 * x, -0.5 * x, x + 1e-5 * direction, -x + 1e-7 * direction, 0 * x]
    return np.array(rows, dtype)


options = st.fixed_dictionaries(
    {
        "sigma": st.sampled_from([0.3, 1.0, 1.4]),
        "sigma_b": st.sampled_from([None, 0.3]),
        "bias": st.sampled_from(BIASES),
    }
)
dtypes = st.sampled_from([np.float32, np.float64])


@pytest.mark.parametrize("activation", FUNCTIONS)
@given(st.integers(1, 4), options, st.integers(0, 99), dtypes)
def test_against_integrals(activation, depth, options, seed, dtype):
    """The trapezoidal rule in the plane, which knows neither closed forms nor series."""
    net, reference = network(3, depth, activation, **options)
    X = np.random.default_rng(seed).uniform(-1, 1, (2, 3)).astype(dtype)
    moments = naive_infinite.integrals(*FUNCTIONS[activation])
    expected = naive_infinite.matrices(reference, X, None, moments)
    # The reference has rounding of its own.
    allowed = STATED[X.dtype] if activation in SERIES else 4 * tolerance("infinite", n=depth)
    assert_limit(net, X, tuple(expected), allowed=allowed, split=1)


@pytest.mark.parametrize("activation", [*CLOSED, *SLOPES])
@given(st.integers(1, 5), options, st.integers(0, 99), dtypes)
def test_closed_forms_at_fifty_digits(activation, depth, options, seed, dtype):
    """Rows that are parallel, opposite, nearly so and zero, which need more digits than float64."""
    net, reference = network(3, depth, activation, **options)
    X = degenerate_inputs(3, seed, dtype)
    with mpmath.workdps(50):
        m = mpmath.mp
        if activation in CLOSED:
            moments = CLOSED[activation](m)
        else:
            moments = naive_infinite.two_slopes(*map(m.mpf, SLOPES[activation]), m)
        expected = tuple(naive_infinite.matrices(reference, X, None, moments, m.mpf))
    assert_limit(net, X, expected)


@pytest.mark.parametrize("activation", CLOSED)
@pytest.mark.parametrize("length", [1e-6, 30.0, 1e4])
def test_short_and_long_rows(activation, length):
    """The first layer keeps its digits at any length; later ones see what α lets through.

    u − v, to which α answers, moves by n eps if a row moves by eps: κ = n for pairs of rows.
    """
    net, reference = network(3, 2, activation, bias="none")
    X = length * degenerate_inputs(3, 0)
    with mpmath.workdps(60):
        moments = CLOSED[activation](mpmath.mp)
        expected = tuple(naive_infinite.matrices(reference, X, None, moments, mpmath.mpf))
    kappa = max(length, 1)
    assert_limit(net, X, expected, allowed=tolerance("infinite", n=2, kappa=kappa))
    for row in range(len(X)):
        assert_limit(net, X[row : row + 1], [K[row : row + 1, row : row + 1] for K in expected])


@settings(max_examples=3 if JIT_DISABLED else 40)
@given(st.sampled_from(SERIES), st.integers(2, 4), options, st.integers(0, 99))
def test_series_for_nearly_parallel_rows(activation, depth, options, seed):
    """Where the series converges least, and rows that are equal."""
    net, reference = network(2, depth, activation, **options)
    X = degenerate_inputs(2, seed)[[0, 4, 5, 6, 7]] / 2
    moments = naive_infinite.integrals(*FUNCTIONS[activation], h=0.07)
    expected = tuple(naive_infinite.matrices(reference, X, None, moments))
    assert_limit(net, X, expected, allowed=STATED[X.dtype])
    for f in BOTH:
        assert_close(f(net, X[:1], X[:1].copy()), f(net, X[:1]), kind="infinite", n=depth)


# Θ and E f f' for x = (1/2, 1, −1/4), x' = (1/4, −1/2, 2), σ = 3/2, σ_b = 1/4, normal biases, from
# ``naive_infinite.integrals_in_digits`` at 36 digits with h = 1/10 and end = 25/2.
STORED = {
    ("tanh", 2): (-0.579335047435341162288698057612, -0.255608039500712233575386029387),
    ("tanh", 3): (-0.564075459153667263718465211249, -0.128469142518650856021060902507),
    ("tanh", 4): (-0.506003830473321546000539420336, -0.0427912788523410118794450656895),
    ("sigmoid", 2): (0.536680147890769515221249096784, 0.5809722633003785127999267497),
    ("sigmoid", 3): (0.741637507458580056429003210147, 0.685262690411955956441927426051),
    ("sigmoid", 4): (0.778487368056914463316385072551, 0.697986737824894359473708437575),
    ("softplus", 2): (1.28191616722412599895216725189, 1.58975907355872574092712375953),
    ("softplus", 3): (4.1645576621644842889340087448, 3.3231450827812203586057293321),
    ("softplus", 4): (7.98861311357375519383203401785, 4.95660494736723383200611619039),
    ("erf", 2): (-0.654008631026408662407053538525, -0.292043157935924095761827917299),
    ("erf", 3): (-0.683575723004971604685529157645, -0.166449421692849181554532153945),
    ("erf", 4): (-0.645916198908323531184994139087, -0.0758725328375511392703187912604),
    ("sin", 2): (-0.278735952155103050443975565893, -0.098853026250466823833520632521),
    ("sin", 3): (-0.216538086627778810602365046191, -0.0103772200269140679590133047129),
    ("sin", 4): (-0.113340707945828136051593908271, 0.0544587830324636054509393727557),
    ("gelu", 2): (-0.0700137357907547638959156343957, 0.184628136174103418073801708565),
    ("gelu", 3): (0.575575915481206849964277688546, 0.617667215056306671234133720686),
    ("gelu", 4): (1.32478856213633522151719513124, 0.929986750796026312657910655763),
}


@pytest.mark.parametrize(("activation", "depth"), STORED)
def test_stored_values(activation, depth):
    net, _ = network(3, depth, activation, sigma=1.5, bias="normal", sigma_b=0.25)
    x, y = np.array([[0.5, 1.0, -0.25]]), np.array([[0.25, -0.5, 2.0]])
    for f, value in zip(BOTH, STORED[activation, depth], strict=True):
        scale = math.sqrt(f(net, x)[0, 0] * f(net, y)[0, 0])
        allowed = tolerance("infinite", n=depth) + (1e-12 if activation in SERIES else 0)
        assert abs(f(net, x, y)[0, 0] - value) <= allowed * scale


def test_a_stored_value_comes_out_again():
    activation, depth = "erf", 2
    with mpmath.workdps(36):
        m = mpmath.mp
        f, df = m.erf, lambda h: 2 / m.sqrt(m.pi) * m.exp(-h * h)
        moments = naive_infinite.integrals_in_digits(f, df, m, m.mpf(1) / 4, 9)
        _, reference = network(3, depth, activation, sigma=1.5, bias="normal", sigma_b=0.25)
        x, y = (0.5, 1.0, -0.25), (0.25, -0.5, 2.0)
        found = naive_infinite.kernels(reference, x, y, moments, m.mpf)
    np.testing.assert_allclose([float(v) for v in found], STORED[activation, depth], rtol=1e-8)


# Identities


@given(st.integers(1, 4), options, st.integers(0, 99))
def test_a_leaky_relu_of_slope_1_is_linear(depth, options, seed):
    net, _ = network(3, depth, "leaky_relu(1)", **options)
    X = degenerate_inputs(3, seed)
    s2 = options["sigma"] ** 2
    b2 = s2 if options["sigma_b"] is None else options["sigma_b"] ** 2
    random, trained = options["bias"] == "normal", options["bias"] != "none"
    first = s2 / 3 * X @ X.T
    C, theta = first + random * b2, first + trained * b2
    for _ in range(depth - 1):
        C, theta = s2 * C + random * b2, s2 * theta + s2 * C + trained * b2
    assert_limit(net, X, (theta, C))


@given(st.integers(1, 4), options, st.integers(0, 99))
def test_a_leaky_relu_of_slope_minus_1_is_abs(depth, options, seed):
    X = degenerate_inputs(3, seed)[:-1]  # at 0 they have slopes of their own
    expected = tuple(f(network(3, depth, "abs", **options)[0], X) for f in BOTH)
    assert_limit(network(3, depth, "leaky_relu(-1)", **options)[0], X, expected)


@given(options, st.integers(0, 99))
def test_abs_is_two_relus(options, seed):
    """|h| = relu(h) + relu(−h): in two layers its moments are those of x, x' and of x, −x'."""
    options["bias"] = "none"
    X = degenerate_inputs(3, seed)
    relu, absolute = (network(3, 2, a, **options)[0] for a in ("relu", "abs"))
    expected = 2 * (ntklin.infinite_nngp(relu, X, X) + ntklin.infinite_nngp(relu, X, -X))
    assert_close(ntklin.infinite_nngp(absolute, X), expected, kind="infinite", n=2)


@given(st.integers(1, 4), options, st.integers(0, 99))
def test_a_leaky_relu_of_slope_0_is_relu(depth, options, seed):
    X = degenerate_inputs(3, seed)
    expected = tuple(f(network(3, depth, "relu", **options)[0], X) for f in BOTH)
    assert_limit(network(3, depth, "leaky_relu(0)", **options)[0], X, expected)


@given(options, st.integers(0, 99))
def test_gelu_and_its_mirror(options, seed):
    """gelu(h) − gelu(−h) = h, and so S(x, x') − S(x, −x') = E u v/2 for random biases of 0."""
    options["bias"] = "none"
    X = degenerate_inputs(3, seed)
    net, _ = network(3, 2, "gelu", **options)
    difference = ntklin.infinite_nngp(net, X, X) - ntklin.infinite_nngp(net, X, -X)
    expected = options["sigma"] ** 4 / 3 * X @ X.T / 2
    scale = np.abs(ntklin.infinite_nngp(net, X)).max()
    assert_close(difference, expected, kind="infinite", n=2, scale=scale)


@given(st.sampled_from(["erf", "sin", "tanh"]), st.integers(2, 4), options, st.integers(0, 99))
def test_odd_activations(activation, depth, options, seed):
    """Without random biases f(−x) = −f(x) in law."""
    options["bias"] = "none"
    net, _ = network(3, depth, activation, **options)
    X = np.random.default_rng(seed).standard_normal((4, 3)) / 2
    C = ntklin.infinite_nngp(net, X)
    assert np.abs(ntklin.infinite_nngp(net, X, -X) + C).max() <= 1e-12 * np.abs(C).max()


ANY = st.sampled_from([*FUNCTIONS, *SLOPES])


@given(ANY, st.integers(1, 4), options, st.integers(0, 99))
def test_symmetric_and_positive_semidefinite(activation, depth, options, seed):
    net, _ = network(3, depth, activation, **options)
    X = degenerate_inputs(3, seed) / 3
    for f in BOTH:
        K = f(net, X)
        np.testing.assert_array_equal(K, K.T)
        assert np.linalg.eigvalsh(K)[0] >= -1e-12 * np.trace(K)


@pytest.mark.compiled
def test_blocks_and_stretches_join():
    X = np.random.default_rng(0).standard_normal((515, 2)) / 2
    for activation in ("abs", "gelu", "tanh"):
        net, _ = network(2, 3, activation)
        K = ntklin.infinite_ntk(net, X)
        np.testing.assert_array_equal(K, K.T)
        expected = ntklin.infinite_ntk(net, X[510:], X[508:])
        assert np.abs(K[510:, 508:] - expected).max() <= 1e-12 * K.max()


# A user's own


def own_tanh(h):
    return math.tanh(h)


def own_slope(h):
    return 1 - math.tanh(h) ** 2


def elu(h):
    return h if h > 0 else math.expm1(h)


def elu_slope(h):
    return 1.0 if h > 0 else math.exp(h)


def clipped(h):
    return min(max(h, -1.0), 1.0)


def clipped_slope(h):
    return 1.0 if abs(h) < 1 else 0.0


@pytest.mark.parametrize("bias", ONE_INTERPRETED)
def test_a_pair_of_functions(bias):
    X = degenerate_inputs(3, 0) / 2
    expected = tuple(f(network(3, 3, "tanh", bias=bias)[0], X) for f in BOTH)
    own = ntklin.Activation(own_tanh, own_slope)
    assert_limit(network(3, 3, own, bias=bias)[0], X, expected, allowed=1e-12)


def test_a_homogeneous_pair_has_the_closed_form():
    own = ntklin.Activation(
        lambda h: 2 * h if h > 0 else -0.5 * h,
        lambda h: 2.0 if h > 0 else -0.5,
        is_homogeneous=True,
    )
    X = degenerate_inputs(3, 0)
    net, reference = network(3, 4, own, scaling="fan_out")
    moments = naive_infinite.two_slopes(2.0, -0.5, -0.5)
    with mpmath.workdps(50):
        moments = naive_infinite.two_slopes(*map(mpmath.mpf, (2.0, -0.5, -0.5)), mpmath.mp)
        expected = tuple(naive_infinite.matrices(reference, X, None, moments, mpmath.mpf))
    assert_limit(net, X, expected)


def test_a_kink_at_0_serves_for_angles_that_are_not_small():
    """ELU: E α α by panels on either side of 0, for two rows at a right angle."""
    net, _ = network(2, 2, ntklin.Activation(elu, elu_slope), sigma=1.0, bias="none")
    n = 1 / math.sqrt(2)
    mean = float(mpmath.quad(lambda a: elu(n * a) * mpmath.npdf(a), [-20, 0, 20]))
    square = float(mpmath.quad(lambda a: elu(n * a) ** 2 * mpmath.npdf(a), [-20, 0, 20]))
    C = ntklin.infinite_nngp(net, np.eye(2))
    np.testing.assert_allclose(C, [[square, mean**2], [mean**2, square]], rtol=1e-12)


@pytest.mark.compiled
def test_what_is_not_accurate_enough_is_refused():
    x = np.array([[1.0, 0.0], [1.0, 1e-3]])
    for f, df in ((elu, elu_slope), (clipped, clipped_slope)):
        net, _ = network(2, 2, ntklin.Activation(f, df), bias="none")
        with pytest.raises(ntklin.AccuracyError, match=r"known to a fraction of .* only"):
            ntklin.infinite_ntk(net, x)
    # Rows that are equal need no series.
    net, _ = network(2, 2, ntklin.Activation(elu, elu_slope), bias="none")
    assert_close(
        ntklin.infinite_ntk(net, x[:1], x[:1]), ntklin.infinite_ntk(net, x[:1]), kind="infinite"
    )


def test_what_grows_too_fast_is_refused():
    def fast(h):
        return math.exp(min(h * h, 700.0))

    net, _ = network(2, 2, ntklin.Activation(fast, fast, name="fast"), bias="none")
    with pytest.raises(ntklin.FloatRangeError, match=r"NTK overflows float64.*sigma") as caught:
        ntklin.infinite_ntk(net, np.eye(2))
    assert "σ^(2L)" not in str(caught.value)  # which is of homogeneous ones


@pytest.mark.parametrize("activation", [*CLOSED, *SERIES])
def test_what_has_a_closed_form_takes_no_series(activation, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("a series")

    monkeypatch.setattr(infinite_sides, "series", refuse)
    net, X = network(2, 3, activation)[0], np.eye(2)
    if activation in CLOSED:
        assert np.isfinite(ntklin.infinite_ntk(net, X)).all()
    else:
        with pytest.raises(RuntimeError, match="a series"):
            ntklin.infinite_ntk(net, X)


# fan_out


@pytest.mark.parametrize("activation", ["tanh", "erf", "sin", "gelu"])
def test_fan_out_sees_two_straight_lines(activation):
    """Preactivations shrink like 1/√m: what is left of α are its slopes on either side of 0."""
    slope = float(ntklin.MLP((1, 1), activation=activation).activation.df(0.0))
    X = degenerate_inputs(3, 0)
    for bias in BIASES:
        net, reference = network(3, 3, activation, scaling="fan_out", bias=bias)
        moments = naive_infinite.two_slopes(slope, slope, slope)
        expected = tuple(naive_infinite.matrices(reference, X, None, moments))
        assert_limit(net, X, expected)


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
@pytest.mark.parametrize("scaling", ["fan_out", "eq1"])
def test_fan_out_of_what_is_not_0_at_0_has_no_limit(activation, scaling):
    net, _ = network(2, 2, activation, scaling=scaling, bias="none")
    with pytest.raises(ValueError, match=r"no infinite-width limit.*α\(0\) ≠ 0.*fan_in"):
        ntklin.infinite_ntk(net, np.eye(2))
    linear, _ = network(2, 1, activation, scaling=scaling, bias="none")
    assert ntklin.infinite_ntk(linear, np.eye(2)).shape == (2, 2)


# The networks themselves


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(
    ("activation", "scaling"),
    [
        *[("relu", s) for s in ("fan_out", "fan_in")],
        *[("leaky_relu(0.3)", "fan_out"), ("tanh", "fan_in"), ("gelu", "fan_in")],
    ],
)
@pytest.mark.parametrize("bias", ONE_INTERPRETED)
def test_networks_of_two_layers_have_it_as_their_mean(n_outputs, activation, scaling, bias):
    """E K = Θ ⊗ 1_C and E f f' = C ⊗ 1_C at any width: neurons are independent."""
    widths = (3, 40, n_outputs)
    net = ntklin.MLP(widths, sigma=1.2, scaling=scaling, bias=bias, activation=activation)
    X = np.random.default_rng(1).standard_normal((3, 3))
    draws = []
    for seed in range(150 if JIT_DISABLED else 600):
        theta = net.init(seed)
        f = net.apply(theta, X).ravel()
        draws.append((ntklin.ntk(net, theta, X), np.outer(f, f)))
    for seen, limit in zip(zip(*draws, strict=True), BOTH, strict=True):
        seen = np.array(seen)
        expected = np.kron(limit(net, X), np.eye(n_outputs))
        error = seen.std(axis=0) / math.sqrt(len(seen))
        assert (np.abs(seen.mean(axis=0) - expected) <= 4.5 * error + 1e-12).all()


@pytest.mark.slow
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(
    ("activation", "scaling"), [("tanh", "fan_out"), ("gelu", "fan_out"), ("sigmoid", "fan_in")]
)
def test_wide_networks_converge_to_it(n_outputs, activation, scaling):
    """Within 5 standard errors of 30 draws and a bias of the order of 1/m, L = 3."""
    m = 800
    net = ntklin.MLP((3, m, m, n_outputs), scaling=scaling, bias="normal", activation=activation)
    X = np.random.default_rng(1).standard_normal((3, 3))
    expected = np.kron(ntklin.infinite_ntk(net, X), np.eye(n_outputs))
    draws = np.array([ntklin.ntk(net, net.init(seed), X) for seed in range(30)])
    error = draws.std(axis=0, ddof=1) / math.sqrt(len(draws))
    allowed = 5 * error + 20 / m * np.diag(expected).max()
    assert (np.abs(draws.mean(axis=0) - expected) <= allowed).all()


# Ranges


@pytest.mark.parametrize("activation", ["leaky_relu(0.3)", "abs"])
def test_homogeneous_ones_have_the_whole_range(activation):
    net, _ = network(3, 3, activation, bias="none")
    X = np.random.default_rng(0).standard_normal((3, 3))
    K = ntklin.infinite_ntk(net, X)
    k = 2.0**-500
    np.testing.assert_array_equal(ntklin.infinite_ntk(net, k * X), k * K * k)
    np.testing.assert_array_equal(
        ntklin.infinite_ntk(net, k * X, X / k), ntklin.infinite_ntk(net, X, X)
    )
    with pytest.raises(ntklin.FloatRangeError, match=r"overflows float64.*σ\^\(2L\)"):
        ntklin.infinite_ntk(net, X / k / k)


@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_rows_out_of_range_are_refused(activation):
    net, _ = network(3, 3, activation, bias="none")
    for size, what in ((1e200, "overflows"), (1e-200, "underflows")):
        with pytest.raises(ntklin.FloatRangeError, match=f"NTK {what} float64.*sigma"):
            ntklin.infinite_ntk(net, size * np.eye(3))
    with pytest.raises(ntklin.FloatRangeError, match="float32"):
        ntklin.infinite_ntk(network(3, 3, "gelu")[0], 1e25 * np.eye(3, dtype=np.float32))


@pytest.mark.parametrize(("free", "terms"), [(1000, 5), (200, 1), (100, 1)])
def test_a_series_has_as_many_terms_as_fit_and_at_least_one(free, terms, monkeypatch):
    """Each takes 48 bytes for a row, and half of what is free is for them."""
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: free)
    net = ntklin.MLP((2, 4, 1), scaling="fan_in", activation="tanh", bias="normal")
    with pytest.raises(ntklin.AccuracyError, match=f"after {terms} terms that fit into memory"):
        ntklin.infinite_ntk(net, np.eye(2))


@pytest.mark.compiled
def test_long_rows_of_a_series_are_refused():
    net, _ = network(2, 2, "tanh", bias="none")
    x = 100 * np.array([[1.0, 0.0], [1.0, 1e-3]])
    with pytest.raises(ntklin.AccuracyError, match=r"8192 terms.*too long"):
        ntklin.infinite_ntk(net, x)
