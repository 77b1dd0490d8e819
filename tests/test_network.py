"""MLP: outputs and Jacobian against the reference, θ's layout, initialization, homogeneity."""

import dataclasses
import math

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import BIASES, SCALINGS, cases, make_case, network, options
from tolerances import EPS, assert_close

import ntklin

SMALL = (2, 3, 1)


# Twins


@given(cases(general=True))
def test_outputs(case):
    actual = case.net.apply(case.theta, case.X)
    assert actual.dtype == case.dtype
    expected = naive.apply(case.reference, case.theta, case.X)
    scale = naive.apply(case.bounding, *case.bound)
    assert_close(actual, expected, kind="output", n=case.n, scale=scale)


@given(cases(general=True))
def test_jacobian(case):
    actual = case.net.jacobian(case.theta, case.X)
    assert actual.dtype == case.dtype
    assert_close(actual, case.jacobian(), kind="jacobian", n=case.n, scale=case.jacobian_bound())


@given(cases(general=True))
def test_scales_and_counts(case):
    w, v = naive.scales(case.reference)
    assert case.net.weight_scales == pytest.approx(w, rel=4 * EPS[np.dtype(float)], abs=0)
    if case.net.has_bias:
        assert case.net.bias_scales == pytest.approx(v, rel=4 * EPS[np.dtype(float)], abs=0)
    assert case.net.n_parameters == naive.n_parameters(case.reference)
    assert case.net.depth == len(case.net.widths) - 1
    assert case.net.n_inputs == case.net.widths[0]


def active_neurons(case, theta):
    """Which hidden neurons are active, for all inputs."""
    passes = [naive.forward(case.reference, theta, x)[1][:-1] for x in case.X]
    return [[value > 0 for value in h] for hs in passes for h in hs]


@given(cases(dtypes=[np.float64], max_rows=2), st.data())
def test_jacobian_by_finite_differences(case, data):
    # As long as no neuron changes sides, f is linear in each parameter alone, so that a difference
    # quotient has no error but rounding.
    before = active_neurons(case, case.theta)
    J = case.net.jacobian(case.theta, case.X)
    for _ in range(8):
        p = data.draw(st.integers(0, case.net.n_parameters - 1), label="parameter")
        for step in 10.0 ** -np.arange(1, 8):
            moved = case.theta.copy()
            moved[p] += step
            if active_neurons(case, moved) == before:
                break
        else:
            continue
        difference = case.net.apply(moved, case.X) - case.net.apply(case.theta, case.X)
        slope = difference / (moved[p] - case.theta[p])
        scale = naive.apply(case.reference, np.abs(case.theta) + step, np.abs(case.X)) / step
        assert_close(slope, J[:, p], kind="output", n=case.n, scale=scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("widths", [(5, 300, 1), (3, 40, 270, 1), (3, 70, 1)])
def test_wide_layers_against_matrix_products(widths, dtype):
    # Wide enough for several blocks of neurons, whole cache lines and their ends.
    case = make_case(widths, n=7, dtype=dtype)
    w, v = naive.scales(case.reference)
    layers = case.net.unpack(case.theta.astype(np.float64))
    activations, masks = [case.X.astype(np.float64)], []
    for l, (W, b) in enumerate(layers):
        h = w[l] * activations[-1] @ W.T + v[l] * b
        activations.append(np.maximum(h, 0))
        masks.append(h > 0)
    assert_close(
        case.net.apply(case.theta, case.X), h[:, 0], kind="output", n=case.n, scale=np.abs(h) + 1
    )
    delta, columns = np.ones((7, 1)), []
    for l in range(len(layers) - 1, -1, -1):
        columns.insert(0, v[l] * delta)
        columns.insert(0, w[l] * (delta[:, :, None] * activations[l][:, None, :]).reshape(7, -1))
        delta = w[l] * (delta @ layers[l][0]) * (masks[l - 1] if l else 1)
    assert_close(
        case.net.jacobian(case.theta, case.X), np.hstack(columns), kind="jacobian", n=case.n
    )


@pytest.mark.parametrize("size", [1, 8 * 11 * 2])
def test_outputs_of_some_rows_at_a_time(size, monkeypatch):
    case = make_case((3, 6, 2), n=5)
    expected = naive.apply(case.reference, case.theta, case.X)
    monkeypatch.setattr("ntklin.networks.mlp.BLOCK", size)
    assert_close(case.net.apply(case.theta, case.X), expected, kind="output", n=case.n)


def test_zero_preactivation_has_zero_derivative():
    # h = 0 for both: x = 0 by the input, θ = 0 by the weight.
    net = ntklin.MLP((1, 1, 1))
    np.testing.assert_array_equal(net.jacobian(np.array([1.0, 0, 1, 0]), [[0.0]]), [[0, 0, 0, 1]])
    np.testing.assert_array_equal(net.jacobian(np.array([0.0, 0, 1, 0]), [[1.0]]), [[0, 0, 0, 1]])


def test_thread_counts_agree():
    case = make_case((20, 150, 130, 1), n=140)
    n_threads = numba.get_num_threads()
    results = []
    for n in {1, n_threads}:
        numba.set_num_threads(n)
        try:
            results.append(case.net.jacobian(case.theta, case.X))
        finally:
            numba.set_num_threads(n_threads)
    for result in results:
        assert_close(result, results[0], kind="jacobian", n=case.n)


# Identities


@given(cases(biases=["none"], dtypes=[np.float64]))
def test_homogeneity_in_sigma_without_biases(case):
    # φ_σ = σ^L φ_1 and f_σ = σ^L f_1.
    unit = dataclasses.replace(case.net, sigma=1.0)
    power = case.net.sigma**case.net.depth
    for method in ("jacobian", "apply"):
        actual = getattr(case.net, method)(case.theta, case.X)
        expected = power * getattr(unit, method)(case.theta, case.X)
        scale = power * getattr(unit, method)(*case.bound)
        assert_close(actual, expected, kind="jacobian", n=case.n, scale=scale)


@given(cases())
def test_lemma_4_in_its_two_true_forms(case):
    """f = (1/L) Σ_l (⟨W^l, ∂f/∂W^l⟩ + l ⟨b^l, ∂f/∂b^l⟩) = ⟨W^L, ∂f/∂W^L⟩ + ⟨b^L, ∂f/∂b^L⟩."""
    weighted = np.zeros_like(case.theta)
    last = np.zeros_like(case.theta)
    for l, (W, b) in enumerate(case.net.unpack(weighted), 1):
        W[...] = 1 / case.net.depth
        if b is not None:
            b[...] = l / case.net.depth
    for part in case.net.unpack(last)[-1]:
        if part is not None:
            part[...] = 1
    J = case.net.jacobian(case.theta, case.X)
    f = case.net.apply(case.theta, case.X)
    for factors in (weighted, last):
        actual = J @ (factors * case.theta)
        scale = case.jacobian_bound() @ (factors * np.abs(case.theta))
        assert_close(actual, f, kind="jacobian", n=case.n + len(case.theta), scale=scale)


@given(cases(biases=["none", "zero"]))
def test_lemma_4_at_the_initialization_without_or_with_zero_biases(case):
    theta = case.net.init(1, case.dtype)
    J = case.net.jacobian(theta, case.X)
    scale = naive.jacobian(case.reference, np.abs(theta), np.abs(case.X)) @ np.abs(theta)
    assert_close(
        J @ theta / case.net.depth,
        case.net.apply(theta, case.X),
        kind="jacobian",
        n=case.n + len(theta),
        scale=scale,
    )


def test_lemma_4_as_printed_fails_with_biases():
    case = make_case((4, 50, 50, 1), bias="normal")
    f = case.net.apply(case.theta, case.X)
    printed = case.net.jacobian(case.theta, case.X) @ case.theta / 3
    assert np.linalg.norm(printed - f) > 0.1 * np.linalg.norm(f)


# Layout of θ


@given(cases(general=True))
def test_unpack_gives_views_in_the_reference_layout(case):
    layers = case.net.unpack(case.theta)
    expected = naive.unpack(case.reference, case.theta)
    for (W, b), (W_expected, b_expected) in zip(layers, expected, strict=True):
        np.testing.assert_array_equal(W, np.array(W_expected))
        assert (b is None) == (b_expected is None)
        assert np.shares_memory(W, case.theta)
        if b is not None:
            np.testing.assert_array_equal(b, b_expected)
            assert np.shares_memory(b, case.theta)


@given(cases(general=True))
def test_pack_inverts_unpack(case):
    packed = case.net.pack(case.net.unpack(case.theta))
    assert packed.dtype == case.dtype
    assert not np.shares_memory(packed, case.theta)
    np.testing.assert_array_equal(packed, case.theta)


@given(st.sampled_from(SCALINGS), st.sampled_from(BIASES), st.integers(0, 99))
def test_weights_from_a_pytorch_state_dict(scaling, bias, seed):
    net, _ = network((3, 5, 4, 1), sigma=1.3, scaling=scaling, bias=bias)
    rng = np.random.default_rng(seed)
    state = {}
    for l, (k, m) in enumerate([(3, 5), (5, 4), (4, 1)]):
        state[f"{2 * l}.weight"] = rng.standard_normal((m, k)).astype(np.float32)
        if bias != "none":
            state[f"{2 * l}.bias"] = rng.standard_normal(m).astype(np.float32)
    a = X = rng.standard_normal((4, 3))
    layers = []
    for l, (w, v) in enumerate(zip(net.weight_scales, net.bias_scales, strict=True)):
        W = state[f"{2 * l}.weight"].astype(np.float64)
        b = 0.0
        if bias == "none":
            layers.append(W / w)
        else:
            b = state[f"{2 * l}.bias"].astype(np.float64)
            layers.append((W / w, b / v))
        h = a @ W.T + b
        a = np.maximum(h, 0)
    theta = net.pack(layers)
    assert theta.dtype == np.float64
    assert_close(net.apply(theta, X), h[:, 0], kind="output", n=40, scale=np.abs(h).max() + 1)


def test_pack_takes_any_real_arrays():
    net = ntklin.MLP(SMALL)
    layers = [([[1, 2], [3, 4], [5, 6]], [7, 8, 9]), (np.array([[1, 0, 1]], np.float16), [2.0])]
    theta = net.pack(layers)
    assert theta.dtype == np.float64
    np.testing.assert_array_equal(theta, [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 0, 1, 2])


# Initialization


@given(options(), st.integers(0, 99))
def test_init_is_deterministic_and_biases_start_as_told(choice, seed):
    net, _ = network((3, 4, 1), **choice)
    theta = net.init(seed)
    assert theta.shape == (net.n_parameters,)
    assert theta.dtype == np.float64
    np.testing.assert_array_equal(theta, net.init(rng=np.random.default_rng(seed)))
    np.testing.assert_array_equal(theta.astype(np.float32), net.init(seed, dtype=np.float32))
    assert net.init(seed, dtype="float32").dtype == np.float32
    assert (theta != net.init(seed + 1)).any()
    for _, b in net.unpack(theta):
        if net.bias == "zero":
            np.testing.assert_array_equal(b, 0)
        elif net.bias == "normal":
            assert (b != 0).all()


def test_init_continues_a_generator_and_none_is_random():
    net = ntklin.MLP(SMALL)
    rng = np.random.default_rng(0)
    assert (net.init(rng) != net.init(rng)).any()
    assert (net.init(None) != net.init(None)).any()
    np.testing.assert_array_equal(net.init(), net.init(0))


@pytest.mark.parametrize(
    ("rng", "error"),
    [(-1, ValueError), (True, TypeError), (np.bool_(False), TypeError), ("a", TypeError)],
)
def test_what_is_no_seed_is_refused_by_its_name(rng, error):
    message = r"rng must be an integer of at least 0, a numpy\.random\.Generator or None, got "
    with pytest.raises(error, match=message):
        ntklin.MLP((2, 3, 1)).init(rng)
    with pytest.raises(error, match=message):
        ntklin.load_data("mnist01", 4, 3, rng=rng)


def test_init_draws_weights_and_biases_in_order(monkeypatch):
    """Some at a time, as if all were asked for at once."""
    monkeypatch.setattr("ntklin.networks.mlp.DRAWN", 7)
    layers = []
    rng = np.random.default_rng(5)
    for k, m in ((3, 6), (6, 2)):
        layers += [rng.standard_normal(m * k), rng.standard_normal(m)]
    theta = ntklin.MLP((3, 6, 2), bias="normal").init(5)
    np.testing.assert_array_equal(theta, np.concatenate(layers))


def test_init_is_standard_normal():
    net = ntklin.MLP((50, 200, 1), bias="normal")
    for part in net.unpack(net.init(3))[0]:
        assert abs(part.mean()) < 4 / math.sqrt(part.size)
        assert abs((part**2).mean() - 1) < 4 * math.sqrt(2 / part.size)


# What goes in


@pytest.mark.parametrize("dtype", [np.int64, np.float16, bool])
def test_other_dtypes_become_float64(dtype):
    case = make_case(SMALL)
    X = np.array([[1, 0], [1, 1]], dtype)
    for method in (case.net.apply, case.net.jacobian):
        result = method(case.theta, X)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, method(case.theta, X.astype(float)))


def test_mixed_precision_is_float64():
    case = make_case(SMALL, dtype=np.float32)
    wide = case.theta.astype(np.float64), case.X.astype(np.float64)
    expected = case.net.apply(*wide)
    assert expected.dtype == np.float64
    for theta, X in ((case.theta, wide[1]), (wide[0], case.X)):
        np.testing.assert_array_equal(case.net.apply(theta, X), expected)


def test_lists_are_taken():
    case = make_case(SMALL)
    actual = case.net.apply(case.theta.tolist(), case.X.tolist())
    np.testing.assert_array_equal(actual, case.net.apply(case.theta, case.X))


@given(cases(general=True))
def test_inputs_may_be_read_only_and_strided_and_stay_as_they_are(case):
    theta = np.repeat(case.theta, 2)[::2]
    X = np.asfortranarray(np.repeat(case.X, 3, axis=0))[::3]
    theta.flags.writeable = X.flags.writeable = False
    before = theta.copy(), X.copy()
    for method in (case.net.apply, case.net.jacobian):
        np.testing.assert_array_equal(method(theta, X), method(case.theta, case.X))
    np.testing.assert_array_equal(theta, before[0])
    np.testing.assert_array_equal(X, before[1])


def test_jacobian_into_a_given_array():
    case = make_case((3, 9, 1))
    out = np.full((4, case.net.n_parameters), np.nan)
    assert case.net.jacobian(case.theta, case.X, out=out) is out
    np.testing.assert_array_equal(out, case.net.jacobian(case.theta, case.X))


def test_networks_are_values():
    net = ntklin.MLP([2, 3, 1], sigma=2)
    assert net.widths == SMALL
    assert net == ntklin.MLP(np.array(SMALL), sigma=2.0)
    assert hash(net) == hash(ntklin.MLP(SMALL, sigma=2.0))
    assert net != ntklin.MLP(SMALL)
    with pytest.raises(dataclasses.FrozenInstanceError, match="sigma"):
        net.sigma = 1.0


def test_sigma_b_defaults_to_sigma():
    net = ntklin.MLP(SMALL, sigma=1.5, scaling="fan_in")
    assert net.bias_scales == (1.5, 1.5)
    assert ntklin.MLP(SMALL, scaling="fan_in", sigma_b=0.5).bias_scales == (0.5, 0.5)


# Bad input


@pytest.mark.parametrize(
    ("widths", "error", "message"),
    [
        ((2, 0, 1), ValueError, r"widths\[1\] must be at least 1, got 0"),
        ((1,), ValueError, "at least an input and an output"),
        ((), ValueError, "at least an input and an output"),
        (7, TypeError, "widths must be a sequence"),
        ((2, 2.5, 1), TypeError, r"widths\[1\] must be an integer, got 2.5"),
        ((2, "3", 1), TypeError, r"widths\[1\] must be an integer, got '3'"),
        ((2, True, 1), TypeError, r"widths\[1\] must be an integer, got True"),
        ((2, math.nan, 1), TypeError, r"widths\[1\] must be an integer, got nan"),
    ],
)
def test_bad_widths(widths, error, message):
    with pytest.raises(error, match=message):
        ntklin.MLP(widths)


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        ({"sigma": 0}, ValueError, "sigma must be positive and finite, got 0"),
        ({"sigma": math.inf}, ValueError, "sigma must be positive and finite, got inf"),
        ({"sigma": "a"}, TypeError, "sigma must be a number, got 'a'"),
        ({"scaling": "ntk"}, ValueError, "scaling must be one of 'fan_out'.*got 'ntk'"),
        ({"bias": True}, ValueError, "bias must be one of 'zero'.*got True"),
        (
            {"sigma_b": 1.0},
            ValueError,
            "sigma_b belongs to scaling='fan_in' or 'standard', not 'fan_out'",
        ),
        ({"sigma_b": 0, "scaling": "fan_in"}, ValueError, "sigma_b must be positive and finite"),
    ],
)
def test_bad_options(choice, error, message):
    with pytest.raises(error, match=message):
        ntklin.MLP(SMALL, **choice)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([[1.0, math.nan]], ValueError, "X contains NaN or infinite.*row 0, column 1"),
        ([[1.0, 2.0], [-math.inf, 0.0]], ValueError, "X contains NaN or infinite.*row 1, column 0"),
        (np.ones((2, 3)), ValueError, r"X has 3 columns.*dimension 2"),
        (np.ones(2), ValueError, r"X must have shape \(N, d\), got shape \(2,\).*X\[None, :\]"),
        (np.ones((1, 2, 2)), ValueError, r"X must have shape \(N, d\), got shape \(1, 2, 2\)"),
        (np.ones((0, 2)), ValueError, r"X is empty: shape \(0, 2\)"),
        ([[1j, 0]], TypeError, "X must be an array of real numbers, got dtype complex"),
        ([["a", "b"]], TypeError, "X must be an array of real numbers"),
        ([[1.0], [1.0, 2.0]], TypeError, "X must be a rectangular array"),
        (None, TypeError, "X must be an array of real numbers"),
    ],
)
def test_bad_inputs(X, error, message):
    net = ntklin.MLP(SMALL)
    for method in (net.apply, net.jacobian, net.features):
        with pytest.raises(error, match=message):
            method(net.init(), X)


@pytest.mark.parametrize(
    ("theta", "error", "message"),
    [
        (np.ones(12), ValueError, r"theta must have shape \(13,\).*got shape \(12,\)"),
        (np.ones((1, 13)), ValueError, r"theta must have shape \(13,\).*got shape \(1, 13\)"),
        (np.full(13, math.nan), ValueError, "theta contains NaN or infinite.*entry 0"),
        (np.ones(13, complex), TypeError, "theta must be an array of real numbers"),
        (None, TypeError, "theta must be .* real numbers, got the missing value None"),
    ],
)
def test_bad_parameters(theta, error, message):
    net = ntklin.MLP(SMALL)
    for method in (net.apply, net.jacobian, net.features):
        with pytest.raises(error, match=message):
            method(theta, np.ones((1, 2)))


@pytest.mark.parametrize(
    ("layers", "bias", "message"),
    [
        ([(np.ones((3, 2)), np.ones(3))], "zero", "expected 2 layers, got 1"),
        (
            [np.ones((2, 3)), np.ones((1, 3))],
            "none",
            r"W\^1 must have shape \(3, 2\), got \(2, 3\)",
        ),
        ([np.ones((3, 2)), np.ones((1, 3))], "zero", "layer 1 comes without a bias"),
        ([(np.ones((3, 2)), np.ones(3)), np.ones((1, 3))], "none", "layer 1 comes with a bias"),
        (
            [(np.ones((3, 2)), np.ones(2)), (np.ones((1, 3)), np.ones(1))],
            "zero",
            r"b\^1 must have shape \(3,\), got shape \(2,\)",
        ),
        ([np.full((3, 2), np.inf), np.ones((1, 3))], "none", r"W\^1 contains NaN or infinite"),
    ],
)
def test_bad_layers(layers, bias, message):
    with pytest.raises(ValueError, match=message):
        ntklin.MLP(SMALL, bias=bias).pack(layers)


@pytest.mark.parametrize("dtype", [int, np.float16, complex])
def test_bad_init_dtype(dtype):
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        ntklin.MLP(SMALL).init(0, dtype)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((4, 12)),
        np.empty((4, 13), np.float32),
        np.empty((13, 4)).T,
        np.empty((4, 26))[:, ::2],
        np.frombuffer(bytearray(4 * 13 * 8 + 4), np.uint8)[4:].view(float).reshape(4, 13),
    ],
)
def test_bad_out(out):
    case = make_case(SMALL)
    with pytest.raises(ValueError, match=r"out must be .* float64 array of shape \(4, 13\)"):
        case.net.jacobian(case.theta, case.X, out=out)


def test_a_jacobian_that_does_not_fit_is_refused_beforehand():
    net = ntklin.MLP(SMALL)
    X = np.broadcast_to(np.ones(2), (10**12, 2))
    with pytest.raises(ntklin.MemoryLimitError, match=r"needs 52\.0 TB.*free; use net.features"):
        net.jacobian(net.init(), X)
