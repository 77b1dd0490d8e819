"""α (f_θ − f_{θ_0}) of any network."""

import numpy as np
import pytest

import ntklin

X = np.random.default_rng(0).standard_normal((5, 3)) / 3
NETWORKS = {
    "one output": ntklin.MLP((3, 8, 1)),
    "two outputs": ntklin.MLP((3, 8, 2), activation="tanh"),
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((3, 8, 1))),
}


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_outputs_and_features_are_those_of_the_network_times_alpha(net):
    origin = net.init(1)
    theta = origin + 0.1
    scaled = ntklin.ScaledNetwork(net, 3.0, origin)
    expected = 3 * (net.apply(theta, X) - net.apply(origin, X))
    np.testing.assert_allclose(scaled.apply(theta, X), expected, atol=1e-14)
    assert not scaled.apply(origin, X).any()
    phi, J = scaled.features(theta, X), 3 * net.jacobian(theta, X)
    np.testing.assert_array_equal(phi.outputs, scaled.apply(theta, X))
    np.testing.assert_allclose(phi.toarray(), J, atol=1e-14)
    np.testing.assert_allclose(phi @ theta, J @ theta, atol=1e-13)
    D = np.linspace(1, 2, len(theta))
    np.testing.assert_allclose(phi.gram(weights=D), J @ (D[:, None] * J.T), atol=1e-12)
    np.testing.assert_allclose(phi.gram(phi.at(X[:2])), J @ J[: 2 * len(J) // 5].T, atol=1e-12)


def test_rounding_errors_grow_with_alpha_and_are_none_at_the_origin():
    net = NETWORKS["one output"]
    origin = net.init(1)
    once, fourfold = (ntklin.ScaledNetwork(net, alpha, origin) for alpha in (1.0, 4.0))
    assert not fourfold.features(origin, X).output_rounding().any()
    found, plain = (n.features(origin + 0.1, X).output_rounding() for n in (fourfold, once))
    assert (plain >= net.features(origin + 0.1, X).output_rounding()).all()
    np.testing.assert_array_equal(found, 4 * plain)


def test_the_default_rate_has_the_loss_over_alpha_squared():
    net = NETWORKS["one output"]
    theta, Y = net.init(1), X[:, 0]
    rate, scaled_rate = (
        ntklin.train(n, theta, X, Y, steps=1).optimizer.learning_rate
        for n in (net, ntklin.ScaledNetwork(net, 4.0, theta))
    )
    assert scaled_rate == pytest.approx(rate / 16, rel=1e-12)


def test_a_saved_run_knows_its_scale(tmp_path):
    net = NETWORKS["one output"]
    theta, Y = net.init(1), X[:, 0]
    lazy, other = (ntklin.ScaledNetwork(net, alpha, theta) for alpha in (4.0, 5.0))
    run = ntklin.train(lazy, theta, X, Y, steps=3)
    run.save(tmp_path / "run.npz")
    again = ntklin.load_run(tmp_path / "run.npz", network=lazy)
    np.testing.assert_array_equal(again.predict(X), run.predict(X))
    with pytest.raises(ValueError, match="scale"):
        ntklin.load_run(tmp_path / "run.npz", network=other)


def test_bad_arguments():
    net = NETWORKS["one output"]
    with pytest.raises(TypeError, match=r"network must be a network, .* got int"):
        ntklin.ScaledNetwork(3, 1.0, [1.0])
    with pytest.raises(ValueError, match="scale must be"):
        ntklin.ScaledNetwork(net, 0.0, net.init(1))
    with pytest.raises(ValueError, match="origin must have shape"):
        ntklin.ScaledNetwork(net, 1.0, [1.0])
