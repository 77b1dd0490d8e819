"""The two networks with f_0 = 0: the antisymmetrical pair and the doubled last hidden layer."""

import dataclasses

import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import DTYPES, cases, inputs, keep_clear_of_kinks, make_case
from tolerances import assert_close

import ntklin

seeds = st.integers(0, 10**6)


def two_halves(case, seed):
    """θ and another θ', both free."""
    other = np.random.default_rng(seed).standard_normal(case.net.n_parameters)
    return np.concatenate([case.theta, other.astype(case.dtype)])


# The antisymmetrical pair


def test_the_pair_has_the_networks_settings():
    net = ntklin.MLP((3, 4, 1), sigma=1.7, scaling="fan_in", bias="normal", sigma_b=0.3)
    pair = ntklin.AntisymmetricPair(net)
    for name in ("depth", "widths", "n_inputs", "has_bias", "sigma", "scaling", "bias"):
        assert getattr(pair, name) == getattr(net, name)
    assert (pair.weight_scales, pair.bias_scales) == (net.weight_scales, net.bias_scales)


@given(cases(general=True), seeds)
def test_pair_against_the_reference(case, seed):
    pair = ntklin.AntisymmetricPair(case.net)
    theta = two_halves(case, seed)
    keep_clear_of_kinks(case._replace(theta=theta[case.net.n_parameters :]))
    scale = naive.apply(case.bounding, *case.bound) + naive.apply(
        case.bounding, np.abs(theta[case.net.n_parameters :]), np.abs(case.X)
    )
    expected = naive.pair_apply(case.reference, theta, case.X)
    outputs = pair.apply(theta, case.X)
    assert outputs.dtype == case.dtype
    assert_close(outputs, expected, kind="output", n=case.n, scale=scale)
    J = naive.pair_jacobian(case.reference, theta, case.X)
    bound = np.abs(naive.pair_jacobian(case.bounding, np.abs(theta), np.abs(case.X)))
    phi = pair.features(theta, case.X)
    assert phi.shape == J.shape == (len(case.X) * pair.n_outputs, pair.n_parameters)
    assert phi.dtype == case.dtype
    assert_close(phi.outputs, expected, kind="output", n=case.n, scale=scale)
    for dense in (pair.jacobian(theta, case.X), phi.toarray(out=np.empty(J.shape, case.dtype))):
        assert dense.dtype == case.dtype
        assert_close(dense, J, kind="jacobian", n=case.n, scale=bound)

    v, r = (np.random.default_rng(seed + 1).standard_normal((m, 2)) for m in J.shape[::-1])
    v, r = v.astype(case.dtype), r.astype(case.dtype)
    n = case.n + J.shape[1]
    for actual, product, size in (
        (phi @ v, J @ v, bound @ np.abs(v)),
        (phi @ v[:, 0], J @ v[:, 0], bound @ np.abs(v[:, 0])),
        (phi.T @ r, J.T @ r, bound.T @ np.abs(r)),
        (phi.T @ r[:, 0], J.T @ r[:, 0], bound.T @ np.abs(r[:, 0])),
    ):
        assert actual.dtype == case.dtype
        assert_close(actual, product, kind="jacobian", n=n, scale=size)


@given(cases(general=True), seeds)
def test_pair_grams(case, seed):
    pair = ntklin.AntisymmetricPair(case.net)
    theta = two_halves(case, seed)
    rng = np.random.default_rng(seed + 1)
    X = inputs(rng, pair.n_inputs, 3, case.dtype)
    other_half = case._replace(theta=theta[case.net.n_parameters :])
    for half in (case, other_half):
        keep_clear_of_kinks(half)
        keep_clear_of_kinks(half, X)
    phi, other = pair.features(theta, case.X), pair.features(theta, X)
    J, J_other = (naive.pair_jacobian(case.reference, theta, x) for x in (case.X, X))
    sizes = [
        np.abs(naive.pair_jacobian(case.bounding, np.abs(theta), np.abs(x))) for x in (case.X, X)
    ]
    D = (rng.random(pair.n_parameters) * (rng.random(pair.n_parameters) < 0.5)).astype(case.dtype)
    ones = np.ones(pair.n_parameters)
    for actual, weights, right, size in (
        (phi.gram(), ones, J, sizes[0]),
        (phi.gram(other), ones, J_other, sizes[1]),
        (phi.gram(weights=D), D, J, sizes[0]),
        (phi.gram(other, weights=D), D, J_other, sizes[1]),
        (ntklin.ntk(pair, theta, case.X, X, weights=D), D, J_other, sizes[1]),
    ):
        assert actual.dtype == case.dtype
        expected = naive.weighted_gram(J, weights.astype(float), right)
        n = case.n + len(ones)
        scale = (sizes[0] * weights) @ size.T
        assert_close(actual, expected, kind="weighted_gram", n=n, scale=scale)


@given(cases(), st.integers(0, 99))
def test_pair_starts_at_zero_with_the_kernel_of_the_network(case, seed):
    pair = ntklin.AntisymmetricPair(case.net)
    theta = pair.init(seed, case.dtype)
    single = case.net.init(seed, case.dtype)
    assert theta.dtype == case.dtype
    np.testing.assert_array_equal(theta, np.tile(single, 2))
    np.testing.assert_array_equal(pair.apply(theta, case.X), 0)
    np.testing.assert_array_equal(pair.features(theta, case.X).outputs, 0)
    K = ntklin.ntk(case.net, single, case.X)
    assert_close(ntklin.ntk(pair, theta, case.X), K, kind="gram", n=case.n)


@given(cases(general=True), seeds)
def test_pair_layout(case, seed):
    pair = ntklin.AntisymmetricPair(case.net)
    theta = two_halves(case, seed)
    layers = pair.unpack(theta)
    assert len(layers) == 2 * pair.depth
    assert all(np.shares_memory(W, theta) for W, _ in layers)
    first, second = pair.halves(theta)
    np.testing.assert_array_equal(case.net.pack(layers[: pair.depth]), first)
    np.testing.assert_array_equal(case.net.pack(layers[pair.depth :]), second)
    packed = pair.pack(layers)
    assert packed.dtype == case.dtype
    np.testing.assert_array_equal(packed, theta)
    assert pair.n_parameters == 2 * case.net.n_parameters
    assert (pair.depth, pair.widths) == (case.net.depth, case.net.widths)
    assert (pair.n_inputs, pair.has_bias) == (case.net.n_inputs, case.net.has_bias)


def test_pair_projector():
    case = make_case((3, 6, 1), n=3)
    pair = ntklin.AntisymmetricPair(case.net)
    theta = two_halves(case, 1)
    J = naive.pair_jacobian(case.reference, theta, case.X)
    v = np.random.default_rng(2).standard_normal(pair.n_parameters)
    kappa = np.linalg.cond(J) ** 2
    assert_close(
        pair.features(theta, case.X).project(v),
        naive.projector(J) @ v,
        kind="projector",
        n=case.n,
        kappa=kappa,
    )


def test_pairs_are_values():
    net = ntklin.MLP((2, 3, 1))
    pair = ntklin.AntisymmetricPair(net)
    assert pair == ntklin.AntisymmetricPair(ntklin.MLP((2, 3, 1)))
    assert hash(pair) == hash(ntklin.AntisymmetricPair(net))
    assert pair != ntklin.AntisymmetricPair(ntklin.MLP((2, 3, 1), sigma=2.0))
    assert pair != net
    assert repr(pair).startswith("AntisymmetricPair(MLP(widths=(2, 3, 1)")


# The doubled network


@given(cases(min_depth=2), st.integers(0, 99))
def test_doubled_initialization(case, seed):
    net = ntklin.DoubledNetwork(case.net)
    reference = naive.doubled(case.reference)
    assert net.widths == reference.widths
    assert net.weight_scales == pytest.approx(naive.scales(reference)[0], rel=1e-15)
    theta = net.init(seed, case.dtype)
    assert theta.dtype == case.dtype
    base = case.net.init(seed, case.dtype)
    np.testing.assert_array_equal(theta, naive.doubled_parameters(case.reference, base))
    scale = naive.apply(reference, np.abs(theta), np.abs(case.X))
    f0 = net.apply(theta, case.X)
    assert_close(f0, np.zeros(len(case.X)), kind="output", n=case.n, scale=scale)


@given(cases(min_depth=2), seeds)
def test_doubled_network_is_an_mlp_of_doubled_width(case, seed):
    net = ntklin.DoubledNetwork(case.net)
    assert isinstance(net, ntklin.MLP)
    reference = naive.doubled(case.reference)
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(net.n_parameters).astype(case.dtype)
    assume(naive.kink_distance(reference, theta, case.X) > 1e-4)
    J = naive.jacobian(reference, theta, case.X)
    scale = naive.jacobian(reference, np.abs(theta), np.abs(case.X))
    assert_close(net.jacobian(theta, case.X), J, kind="jacobian", n=2 * case.n, scale=scale)
    np.testing.assert_array_equal(net.pack(net.unpack(theta)), theta)


@given(cases(min_depth=2, scalings=["fan_out", "fan_in"]), st.integers(0, 99))
def test_doubling_keeps_the_kernel_of_two_layers_and_starves_the_lower_ones(case, seed):
    net = ntklin.DoubledNetwork(case.net)
    theta = net.init(seed, case.dtype)
    J = net.jacobian(theta, case.X)
    scale = naive.jacobian(naive.doubled(case.reference), np.abs(theta), np.abs(case.X))
    lower = sum(W.size + (0 if b is None else b.size) for W, b in net.unpack(theta)[:-2])
    assert_close(
        J[:, :lower], np.zeros((len(J), lower)), kind="jacobian", n=2 * case.n, scale=scale
    )
    if net.depth == 2:
        K = ntklin.ntk(case.net, case.net.init(seed, case.dtype), case.X)
        size = (scale**2).sum(axis=1)
        assert_close(ntklin.ntk(net, theta, case.X), K, kind="gram", n=2 * case.n, scale=size)


def test_doubled_networks_are_values():
    net = ntklin.MLP((2, 3, 1), sigma=1.5)
    doubled = ntklin.DoubledNetwork(net)
    assert doubled == ntklin.DoubledNetwork(ntklin.MLP((2, 3, 1), sigma=1.5))
    assert hash(doubled) == hash(ntklin.DoubledNetwork(net))
    assert doubled != ntklin.MLP((2, 6, 1), sigma=1.5)
    assert doubled != ntklin.DoubledNetwork(dataclasses.replace(net, sigma=1.0))
    assert (doubled.sigma, doubled.network) == (1.5, net)


def test_doubling_keeps_the_conventions():
    net = ntklin.MLP((2, 3, 1), sigma=2.0, scaling="fan_in", bias="normal", sigma_b=0.5)
    doubled = ntklin.DoubledNetwork(net)
    assert (doubled.sigma, doubled.scaling, doubled.bias) == (2.0, "fan_in", "normal")
    assert doubled.bias_scales == (0.5, 0.5)


# Both


@pytest.mark.parametrize("wrap", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_only_networks_are_wrapped(wrap):
    with pytest.raises(TypeError, match=r"network must be an ntklin.MLP, got tuple"):
        wrap((2, 3, 1))


def test_doubling_needs_a_hidden_layer():
    with pytest.raises(ValueError, match="doubling needs a hidden layer"):
        ntklin.DoubledNetwork(ntklin.MLP((2, 1)))


@pytest.mark.parametrize("method", ["apply", "features", "jacobian"])
@pytest.mark.parametrize("wrap", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_bad_input(wrap, method):
    net = wrap(ntklin.MLP((2, 3, 1)))
    call = getattr(net, method)
    theta = net.init()
    with pytest.raises(ValueError, match=r"theta must have shape \(2[56],\).*got shape \(13,\)"):
        call(np.ones(13), np.ones((1, 2)))
    with pytest.raises(ValueError, match="theta contains NaN or infinite"):
        call(theta * np.nan, np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"X has 3 columns.*dimension 2"):
        call(theta, np.ones((1, 3)))
    with pytest.raises(ValueError, match="X contains NaN"):
        call(theta, [[np.nan, 0.0]])


def test_bad_pair_arguments():
    pair = ntklin.AntisymmetricPair(ntklin.MLP((2, 3, 1)))
    theta = pair.init()
    phi = pair.features(theta, np.eye(2))
    with pytest.raises(ValueError, match="expected 4 layers, got 2"):
        pair.pack(pair.unpack(theta)[:2])
    with pytest.raises(ValueError, match=r"out must be .* float64 array of shape \(2, 26\)"):
        pair.jacobian(theta, np.eye(2), out=np.empty((2, 26), np.float32))
    with pytest.raises(ValueError, match="other must be the features of the same pair"):
        phi.gram(pair.network.features(theta[:13], np.eye(2)))
    with pytest.raises(ValueError, match=r"weights must have shape \(26,\)"):
        phi.gram(weights=np.ones(13))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrap", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_inputs_are_not_mutated_and_results_are_fresh(wrap, dtype):
    net = wrap(ntklin.MLP((2, 3, 1)))
    theta = np.random.default_rng(0).standard_normal(net.n_parameters).astype(dtype)
    X = np.eye(2, dtype=dtype)
    before = theta.copy(), X.copy()
    theta.flags.writeable = X.flags.writeable = False
    phi = net.features(theta, X)
    for result in (net.apply(theta, X), net.jacobian(theta, X), phi.gram(), phi.T @ X[0]):
        result += 1
    np.testing.assert_array_equal(theta, before[0])
    np.testing.assert_array_equal(X, before[1])
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        net.init(0, int)


@pytest.mark.parametrize("rate", [1e3, 1e200, 1e300])
def test_outputs_beyond_all_numbers_are_divergence(rate):
    pair, X = ntklin.AntisymmetricPair(ntklin.MLP((3, 8, 1))), np.eye(3)
    with pytest.raises(ntklin.DivergenceError, match="the loss rose from"):
        ntklin.train(pair, pair.init(0), X, X[0], ntklin.GradientDescent(rate), steps=50)
