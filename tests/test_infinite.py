"""Θ and the NNGP: mpmath at 50 digits, the networks themselves, and the paper's Lemmas."""

import math

import mpmath
import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import EPS, assert_close, tolerance

import ntklin
from ntklin.kernels.cpu import infinite_angles
from ntklin.kernels.cpu import infinite_tasks as kernel
from ntklin.kernels.infinite_scales import products

# (scaling, σ_b); eq1 has a limit without biases only.
CONVENTIONS = [("fan_out", None), ("fan_in", None), ("fan_in", 0.3)]
BIASES = ("none", "zero", "normal")
BOTH = (ntklin.infinite_ntk, ntklin.infinite_nngp)


def network(n_inputs, depth, sigma=1.3, scaling="fan_out", bias="zero", sigma_b=None):
    """The same network for the library and for the reference; hidden widths do not matter."""
    widths = (n_inputs, *[3] * (depth - 1), 1)
    options = {"sigma": sigma, "scaling": scaling, "bias": bias, "sigma_b": sigma_b}
    return ntklin.MLP(widths, **options), naive.Network(widths, **options)


def exact(reference, X, X2=None):
    """Θ and the NNGP to 50 digits, rounded."""
    with mpmath.workdps(50):
        return naive.infinite(reference, X, X2, mpmath.mp)


def degenerate_inputs(n_inputs, seed, dtype=np.float64):
    """Rows that are random, equal, parallel, opposite, nearly so, zero, and tiny."""
    rng = np.random.default_rng(seed)
    x, y, direction = rng.standard_normal((3, n_inputs))
    rows = [x, y, x, 3 * x, -0.5 * x, x + 1e-5 * direction, -x + 1e-7 * direction, 0 * x, 1e-9 * y]
    return np.array(rows, dtype)


networks = st.tuples(
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([0.1, 1.0, 1.4, 5.0]),
    st.sampled_from(CONVENTIONS),
    st.sampled_from(BIASES),
)


@given(networks, st.integers(0, 99), st.sampled_from([np.float32, np.float64]))
def test_against_fifty_digits(parameters, seed, dtype):
    n_inputs, depth, sigma, (scaling, sigma_b), bias = parameters
    net, reference = network(n_inputs, depth, sigma, scaling, bias, sigma_b)
    X = degenerate_inputs(n_inputs, seed, dtype)
    split = len(X) // 2
    for f, expected in zip(BOTH, exact(reference, X), strict=True):
        # Every entry against its own size √(K(x, x) K(x', x')), so that small rows count as well.
        root = np.sqrt(np.diag(expected))
        root[root == 0] = 1
        scale = np.outer(root, root)
        for actual, rows in ((f(net, X), slice(None)), (f(net, X[:split], X), slice(split))):
            relative = actual / scale[rows]
            assert actual.dtype == dtype
            expected_rows = (expected / scale)[rows]
            assert_close(relative, expected_rows, kind="infinite", n=depth, scale=1.0, dtype=dtype)


def test_nearly_equal_inputs_keep_their_digits():
    # 1 − cos θ is 4e-17 here, less than eps; the angle from a rounded cosine would err by 1e-8.
    net, reference = network(3, 3, bias="none")
    x = np.array([0.3, -0.8, 0.2])
    X = np.array([x, x + 1e-8 * np.array([0.5, 0.1, -0.9])])
    for f, expected in zip(BOTH, exact(reference, X), strict=True):
        assert_close(f(net, X), expected, kind="infinite", n=3)
        assert f(net, X)[0, 1] != f(net, X)[0, 0]


@given(st.integers(0, 99), st.sampled_from([1e-1, 1e-2, 1e-4]), st.sampled_from([1, 3]))
def test_biases_that_outweigh_the_inputs(seed, length, depth):
    """All preactivations are then nearly parallel, and what tells them apart is of size e/b."""
    net, reference = network(8, depth, 1.4, "fan_in", "normal")
    X = length * np.random.default_rng(seed).standard_normal((6, 8))
    for f, expected in zip(BOTH, exact(reference, X), strict=True):
        assert_close(f(net, X), expected, kind="infinite", n=depth)
    if depth > 1:  # 1 − κ ~ θ shows the digits that Θ, a sum with the biases, hides
        net, reference = network(8, depth, 1.4, "fan_in", "normal", 1e3)
        for f, expected in zip(BOTH, exact(reference, X), strict=True):
            assert_close(f(net, X), expected, kind="infinite", n=depth)


def test_the_angle_over_its_whole_range():
    angles = np.concatenate([np.linspace(0, np.pi, 81), np.pi - 10.0 ** -np.arange(1, 9)])
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.array([[1.0, 0.0]])
    with_bias, without = (
        ntklin.infinite_ntk(network(2, 2, 1.0, bias=b)[0], x, X)[0] for b in BIASES[1::-1]
    )
    # Θ differs by the biases' share, σ² (κ + 1), and κ = σ² (π − θ)/(2π).
    with mpmath.workdps(50):
        theta = np.array([float(mpmath.atan2(s, c)) for c, s in X])
    assert_close(with_bias - without - 1, (np.pi - theta) / (2 * np.pi), kind="infinite", scale=2.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_polynomials_of_the_angle(dtype):
    coefficients = infinite_angles.ANGLE[np.dtype(dtype)]
    with mpmath.workdps(50):
        for k in range(1, 201):
            y = mpmath.mpf(k) / 400
            angle = 2 * mpmath.asin(mpmath.sqrt(y))
            series = 1 + y * sum(mpmath.mpf(c) * y**i for i, c in enumerate(coefficients))
            assert abs(series * mpmath.sin(angle) / angle - 1) < EPS[np.dtype(dtype)] / 16


# Θ and E f f' for x = (1/2, 1, −1/4), x' = (1/4, −1/2, 2), σ = 3/2, σ_b = 1/4, `fan_in`. The
# Gaussian expectations were integrated numerically at 50 digits, without the arccos formulas;
# neural-tangents 0.6.5 gives the same for "none" and "normal" to 16 digits.
STORED = {
    (2, "none"): (0.032916510399413746873, 0.31354923791097757664),
    (2, "zero"): (0.12214343682908649257, 0.31354923791097757664),
    (2, "normal"): (0.1632484945714387384, 0.4280659817720691572),
    (3, "none"): (0.92436017745487256722, 0.90399589882666389435),
    (3, "zero"): (1.04206171519092901, 0.90399589882666389435),
    (3, "normal"): (1.1964628558832807757, 1.0929881049591987153),
    (5, "none"): (3.3934387041518971154, 1.8261030251356490559),
    (5, "zero"): (3.5682070134081520418, 1.8261030251356490559),
    (5, "normal"): (4.1842442814637305293, 2.2081208925209583059),
}


@pytest.mark.parametrize(("depth", "bias"), STORED)
def test_stored_values(depth, bias):
    net, _ = network(3, depth, 1.5, "fan_in", bias, 0.25)
    x, y = np.array([[0.5, 1.0, -0.25]]), np.array([[0.25, -0.5, 2.0]])
    for f, value in zip(BOTH, STORED[depth, bias], strict=True):
        scale = math.sqrt(f(net, x)[0, 0] * f(net, y)[0, 0])
        assert_close(f(net, x, y), [[value]], kind="infinite", n=depth, scale=scale)


def test_opposite_inputs():
    x = np.array([[0.6, 0.8]])
    for bias, ntk, nngp in (
        # No neuron is active on both sides: only the output bias is shared.
        ("none", 0, 0),
        ("zero", 1, 0),
        # (x, 1) and (−x, 1) stand at a right angle for |x| = 1, where κ = 1/4 and S^1 = 1/π.
        ("normal", 1 / math.pi + 1, 1 / math.pi + 1),
    ):
        net, _ = network(2, 2, 1.0, bias=bias)
        assert_close(ntklin.infinite_ntk(net, x, -x), [[ntk]], kind="infinite", scale=1.0)
        assert_close(ntklin.infinite_nngp(net, x, -x), [[nngp]], kind="infinite", scale=1.0)


def long_opposite_rows(n_inputs, dtype):
    """x and −x at lengths from 1e-3 to 1e12, which biases tell apart by less and less."""
    x = np.random.default_rng(n_inputs).standard_normal(n_inputs)
    lengths = (1e-3, 1.0, 4096.0, 8192.0, 1e8, 1e12)
    return np.array([sign * length * x for length in lengths for sign in (1, -1)], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("scaling", ["fan_out", "fan_in"])
def test_opposite_rows_of_any_length(scaling, bias, dtype):
    """Their C rounds to −1 however biases turn them; the angle is still obtuse."""
    for n_inputs, depth in ((1, 2), (3, 2), (1, 3), (2, 4), (1, 6)):
        net, reference = network(n_inputs, depth, 1.3, scaling, bias)
        X = long_opposite_rows(n_inputs, dtype)
        for f, expected in zip(BOTH, exact(reference, X), strict=True):
            root = np.sqrt(np.diag(expected))
            scale = np.outer(root, root)
            for actual in (f(net, X), f(net, X, X.copy())):
                relative = (actual / scale, expected / scale)
                assert_close(*relative, kind="infinite", n=depth, scale=1.0, dtype=dtype)


def test_zero_row_has_inactive_neurons():
    X = np.array([[0.0, 0.0], [0.6, 0.8]])
    net, _ = network(2, 3, 2.0)
    # The only gradient at x = 0 is that of the output bias, v_L² = σ².
    np.testing.assert_array_equal(ntklin.infinite_ntk(net, X)[0], [4.0, 4.0])
    np.testing.assert_array_equal(ntklin.infinite_nngp(net, X)[0], [0.0, 0.0])
    theta = net.init(0)
    np.testing.assert_array_equal(ntklin.ntk(net, theta, X)[0], [4.0, 4.0])


@given(networks, st.integers(0, 99))
def test_symmetric_and_positive_semidefinite(parameters, seed):
    n_inputs, depth, sigma, (scaling, sigma_b), bias = parameters
    net, _ = network(n_inputs, depth, sigma, scaling, bias, sigma_b)
    X = degenerate_inputs(n_inputs, seed)
    for f in BOTH:
        K = f(net, X)
        np.testing.assert_array_equal(K, K.T)
        smallest = np.linalg.eigvalsh(K)[0]
        assert smallest >= -tolerance("infinite", n=depth) * np.trace(K)
        assert_close(f(net, X, X.copy()), K, kind="infinite", n=depth)
    # Θ − E f f' = Σ_l … is positive semidefinite too: training only the last layer gives E f f'.
    if bias != "zero":
        difference = ntklin.infinite_ntk(net, X) - ntklin.infinite_nngp(net, X)
        allowed = tolerance("infinite", n=depth) * np.trace(ntklin.infinite_ntk(net, X))
        assert np.linalg.eigvalsh(difference)[0] >= -allowed


@pytest.mark.parametrize(
    "bias", [*(pytest.param(b, marks=pytest.mark.compiled) for b in BIASES[:-1]), BIASES[-1]]
)
def test_blocks_and_stretches_join(bias):
    net, _ = network(2, 3, bias=bias)
    n = kernel.STRETCH + 3
    X = np.random.default_rng(0).standard_normal((n, 2))
    K = ntklin.infinite_ntk(net, X)
    np.testing.assert_array_equal(K, K.T)
    for rows, columns in (
        (slice(n - 4, n), slice(n - 6, n)),
        (slice(0, 3), slice(n - 4, n)),
        (slice(200, 203), slice(198, 204)),
    ):
        expected = ntklin.infinite_ntk(net, X[rows], X[columns])
        assert_close(K[rows, columns], expected, kind="infinite", n=3)


def test_blocks_of_columns_join():
    net, _ = network(2, 2)
    X, X2 = (
        np.random.default_rng(seed).standard_normal((m, 2))
        for seed, m in enumerate((2, kernel.BLOCK_COLUMNS + 5))
    )
    K = ntklin.infinite_ntk(net, X, X2)
    for columns in (slice(0, 3), slice(-8, -2), slice(-2, None)):
        expected = ntklin.infinite_ntk(net, X, X2[columns])
        assert_close(K[:, columns], expected, kind="infinite", n=2)


def test_thread_counts_agree():
    net, _ = network(2, 2)
    X = np.random.default_rng(0).standard_normal((140, 2))
    n_threads = numba.get_num_threads()
    results = []
    for n in (1, n_threads):
        numba.set_num_threads(n)
        try:
            results.append(ntklin.infinite_ntk(net, X))
        finally:
            numba.set_num_threads(n_threads)
    assert_close(results[1], results[0], kind="infinite", n=2)


@given(st.integers(1, 5), st.sampled_from([0.3, 1.0, 1.3]), st.integers(0, 99))
def test_lemma_5_and_the_corrected_lemma_6(depth, sigma, seed):
    X = np.random.default_rng(seed).standard_normal((4, 3))
    squares = (X**2).sum(axis=1)
    half = sigma**2 / 2
    without = 2 * half**depth * squares
    biases = 2 * sum(half**i for i in range(1, depth + 1))
    for bias, expected in (("none", without), ("zero", without), ("normal", without + biases)):
        net, _ = network(3, depth, sigma, bias=bias)
        actual = np.diag(ntklin.infinite_nngp(net, X))
        assert_close(actual, expected, kind="infinite", n=depth)


def test_counterexample_to_lemma_6():
    net, _ = network(2, 2, 1.3, bias="normal")
    second_moment = ntklin.infinite_nngp(net, np.array([[0.6, 0.8]]))[0, 0]
    printed_bound = 2 * sum((1.3**2 / 2) ** i for i in (1, 2))
    assert second_moment == pytest.approx(4.546, abs=5e-4)
    assert printed_bound == pytest.approx(3.118, abs=5e-4)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("scaling", ["fan_out", "fan_in"])
def test_second_moment_of_outputs_at_finite_width(scaling, bias):
    # E f f' is exact at any width for L = 2: the mean over draws is unbiased.
    net, _ = network(2, 2, scaling=scaling, bias=bias)
    X = np.array([[0.6, -0.8], [0.2, 0.5]])
    rng = np.random.default_rng(1)
    outputs = np.array([net.apply(net.init(rng), X) for _ in range(2000)])
    products = outputs[:, :, None] * outputs[:, None, :]
    error = products.mean(axis=0) - ntklin.infinite_nngp(net, X)
    assert np.abs(error / (products.std(axis=0) / math.sqrt(len(products)))).max() < 4


def kernels_of_draws(net, X, n_draws):
    return np.array([ntklin.ntk(net, net.init(seed), X) for seed in range(n_draws)])


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("scaling", ["fan_out", "fan_in"])
@pytest.mark.parametrize("hidden", [(1000,), (400, 400)])
def test_empirical_kernel_converges_to_the_limit(hidden, scaling, bias):
    """The mean of 40 draws is within 5 of its standard errors and a finite-width bias of O(1/m).

    For L = 2 neurons are independent and E K = Θ exactly; below that, layer l sees a kernel of
    layer l − 1 with relative fluctuations of O(1/√m), whose square biases the mean.
    """
    net = ntklin.MLP((3, *hidden, 1), sigma=1.3, scaling=scaling, bias=bias)
    X = np.random.default_rng(5).standard_normal((6, 3))
    X[2] = -0.5 * X[0]
    limit = ntklin.infinite_ntk(net, X)
    draws = kernels_of_draws(net, X, 40)
    standard_error = draws.std(axis=0, ddof=1) / math.sqrt(len(draws))
    size = np.sqrt(np.outer(np.diag(limit), np.diag(limit)))
    # Opposite inputs share the output bias only, the same in every draw.
    rounding = tolerance("gram", n=hidden[0]) * size
    finite_width = (len(hidden) - 1) * 4 / hidden[0] * size
    allowed = 5 * standard_error + finite_width + rounding
    assert (np.abs(draws.mean(axis=0) - limit) <= allowed).all()
    # The bound is a real one: each draw spreads by O(1/√m) only.
    assert (draws.std(axis=0) <= 6 / math.sqrt(hidden[0]) * size).all()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_eq1_without_biases_is_fan_out(depth):
    X = np.random.default_rng(0).standard_normal((4, 3))
    for f in BOTH:
        actual = f(network(3, depth, scaling="eq1", bias="none")[0], X)
        np.testing.assert_array_equal(actual, f(network(3, depth, bias="none")[0], X))


@pytest.mark.parametrize("bias", ["zero", "normal"])
def test_eq1_with_biases_has_no_limit(bias):
    net, _ = network(2, 2, scaling="eq1", bias=bias)
    for f in BOTH:
        with pytest.raises(ValueError, match=r"eq1.*no infinite-width limit.*fan_out"):
            f(net, np.eye(2))


@pytest.mark.parametrize("wrap", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_symmetrized_networks_are_refused(wrap):
    net, _ = network(2, 2)
    with pytest.raises(TypeError, match=f"ntklin.MLP, got {wrap.__name__}"):
        ntklin.infinite_ntk(wrap(net), np.eye(2))


@pytest.mark.parametrize(
    ("X1", "X2", "message"),
    [
        (np.ones((2, 3)), None, "X1 has 3 columns.*dimension 2"),
        (np.ones((2, 2)), np.ones((2, 1)), "X2 has 1 columns.*dimension 2"),
        (np.ones(2), None, r"X1 must have shape \(N, d\)"),
        (np.ones((0, 2)), None, "X1 is empty"),
        ([[1.0, np.nan]], None, "X1 contains NaN"),
        (np.ones((2, 2)), [[1.0, np.inf]], "X2 contains NaN or infinite"),
    ],
)
def test_bad_inputs_are_named(X1, X2, message):
    net, _ = network(2, 2)
    with pytest.raises(ValueError, match=message):
        ntklin.infinite_nngp(net, X1, X2)


def test_a_kernel_that_does_not_fit_is_refused():
    net, _ = network(1, 2)
    X = np.ones((3_000_000, 1))
    with pytest.raises(ntklin.MemoryLimitError, match=r"needs 72\.0 TB.*fewer rows"):
        ntklin.infinite_ntk(net, X)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, bool])
def test_other_dtypes_become_float64(dtype):
    net, _ = network(2, 2)
    X = np.array([[1, 0], [0, 1], [1, 1]], dtype)
    K = ntklin.infinite_ntk(net, X)
    assert K.dtype == np.float64
    np.testing.assert_array_equal(K, ntklin.infinite_ntk(net, X.astype(float)))


def test_mixed_precision_is_float64():
    net, _ = network(2, 2)
    X = np.eye(2, dtype=np.float32)
    assert ntklin.infinite_ntk(net, X, np.eye(2)).dtype == np.float64


def test_inputs_may_be_read_only_and_strided_and_stay_as_they_are():
    net, _ = network(2, 3)
    whole = np.random.default_rng(0).standard_normal((6, 4))
    X = whole[::2, ::2]
    before = whole.copy()
    whole.flags.writeable = False
    K = ntklin.infinite_ntk(net, X, X)
    np.testing.assert_array_equal(whole, before)
    assert_close(K, ntklin.infinite_ntk(net, np.array(X)), kind="infinite", n=3)


@pytest.mark.parametrize("added", [None, (0.75, 3)])
def test_what_is_added_is_there_where_all_factors_are_zero(added):
    nothing = np.zeros(2), np.zeros(2, np.int64)
    *factors, constant, doubtful = products(nothing, nothing, np.dtype(np.float32), added)
    assert [f.tolist() for f in factors] == [[0, 0], [0, 0]]
    assert (constant, doubtful) == (0 if added is None else 6, False)
