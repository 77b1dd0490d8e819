"""One output in the place of all: its kernel, and what it does for conjugate gradients."""

import naive
import numpy as np
import pytest
from tolerances import assert_close

import ntklin
from ntklin.networks.mean_output import mean_output

RNG = np.random.default_rng(5)
X = RNG.uniform(-0.5, 0.5, (12, 4))
X_NEW = RNG.uniform(-0.5, 0.5, (5, 4))
Y = RNG.standard_normal((12, 3))


def kernel(net, theta, inputs=X):
    one, parameters, factor = mean_output(net, theta)
    return factor * one.features(parameters, inputs).gram()


@pytest.mark.parametrize("scaling", ["fan_out", "fan_in", "eq1", "standard"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_with_two_layers_it_is_the_mean_of_the_outputs_kernels(scaling, activation):
    net = ntklin.MLP((4, 30, 3), sigma=1.3, scaling=scaling, bias="none", activation=activation)
    theta = net.init(rng=2)
    blocks = net.features(theta, X).gram(blocks=True)
    own = np.mean([blocks[:, :, c, c] for c in range(3)], axis=0)
    assert_close(kernel(net, theta), own, kind="gram", n=100, scale=np.abs(own).max())


@pytest.mark.parametrize("scaling", ["fan_out", "fan_in", "eq1", "standard"])
def test_biases_below_count_as_those_of_an_output(scaling):
    net = ntklin.MLP((4, 30, 3), sigma=0.7, scaling=scaling, bias="normal")
    theta = net.init(rng=3)
    reference = naive.Network(net.widths, 0.7, scaling, "normal")
    J = naive.jacobian(reference, theta, X).reshape(12, 3, -1)
    own = np.mean([J[:, c] @ J[:, c].T for c in range(3)], axis=0)
    # The last bias has the derivative v_L in K_cc, and w_L v_1/w_1 in the units of one output.
    one, _, factor = mean_output(net, theta)
    constant = factor * one.bias_scales[-1] ** 2 - net.bias_scales[-1] ** 2
    found = kernel(net, theta) - constant
    assert_close(found, own, kind="gram", n=100, scale=np.abs(own).max())


def test_deeper_it_has_root_mean_squares_with_signs():
    net = ntklin.MLP((4, 20, 15, 3), bias="normal")
    theta = net.init(rng=4)
    layers = naive.unpack(naive.Network(net.widths, bias="normal"), theta)
    W, b = map(np.array, layers[-1])
    rms = np.sqrt((W[0] ** 2 + W[1] ** 2 + W[2] ** 2) / 3) * np.where(W[0] < 0, -1, 1)
    one = naive.Network((4, 20, 15, 1), bias="normal")
    J = naive.jacobian(one, naive.pack([*layers[:-1], (rms[None], b[:1])]), X)
    expected = J @ J.T / 3  # w_L is σ/√3 with three outputs and σ with one
    assert_close(kernel(net, theta), expected, kind="gram", n=200, scale=np.abs(expected).max())


def test_of_one_output_it_is_the_network_itself():
    net = ntklin.MLP((4, 20, 1))
    theta = net.init(rng=4)
    one, parameters, factor = mean_output(net, theta)
    assert (one, factor) == (net, 1.0)
    np.testing.assert_allclose(parameters, theta, rtol=1e-15)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_weights_whose_squares_leave_the_range(size):
    net = ntklin.MLP((4, 20, 3), scaling="standard")
    theta = net.init(rng=4)
    W, last = (net.unpack(t)[-1][0] for t in (theta, theta * size))
    one, parameters, _ = mean_output(net, theta * size)
    expected = np.sqrt((W**2).mean(axis=0)) * np.sign(last[0]) * size
    np.testing.assert_allclose(one.unpack(parameters)[-1][0][0], expected, rtol=1e-14)


@pytest.mark.parametrize("rows", [None, 5])
@pytest.mark.parametrize("weights", [None, 2.5, "diagonal"])
def test_minimizer_is_the_same_whatever_preconditions(rows, weights):
    net = ntklin.MLP((4, 40, 3), sigma=1.2)
    theta = net.init(rng=6)
    lin = ntklin.linearize(net, theta, X, rows=rows)
    if weights == "diagonal":
        weights = np.random.default_rng(1).random(net.n_parameters) + 0.5
    options = {"weights": weights, "ridge": 1e-3}
    expected = lin.minimizer(Y, solver="cholesky", **options)
    found = lin.minimizer(Y, solver="pcg", preconditioner="mean_output", **options)
    bound = 1e-6 * np.abs(expected.coefficients).max()
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=0, atol=bound)
    np.testing.assert_allclose(found.predict(X_NEW), expected.predict(X_NEW), rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sigma", [1e-60, 1.0, 1e60])
def test_of_one_output_it_inverts_but_for_rounding(sigma, dtype):
    """In the units of the features, whatever these are: a few iterations, as "mixed" takes."""
    if dtype == np.float32:
        sigma = sigma ** (1 / 6)
    net = ntklin.MLP((4, 60, 1), sigma=sigma, bias="none")
    lin = ntklin.linearize(net, net.init(rng=6, dtype=dtype), X.astype(dtype))
    f0 = lin.features.outputs
    targets = f0 + np.abs(f0).max() * Y[:, 0].astype(dtype)
    found = lin.minimizer(targets, solver="pcg", preconditioner="mean_output")
    assert found.iterations <= 8
    assert lin.minimizer(targets, solver="pcg", preconditioner="none").iterations > 8


def test_fewer_iterations_than_of_the_limit_where_outputs_have_few_parameters():
    net = ntklin.MLP((4, 30, 3))
    rng = np.random.default_rng(0)
    inputs, targets = rng.uniform(-0.5, 0.5, (30, 4)), rng.standard_normal((30, 3))
    lin = ntklin.linearize(net, net.init(rng=0), inputs)
    options = {"solver": "pcg", "tol": 1e-6, "ridge": 1e-2}
    limit, mean = (
        lin.minimizer(targets, preconditioner=p, **options).iterations
        for p in ("ntk", "mean_output")
    )
    assert mean < limit


def test_what_has_no_one_output():
    pair = ntklin.AntisymmetricPair(ntklin.MLP((4, 20, 3)))
    lin = ntklin.linearize(pair, pair.init(rng=0), X)
    with pytest.raises(ValueError, match=r"needs the features of an ntklin\.MLP.*take 'ntk'"):
        lin.minimizer(Y, solver="pcg", preconditioner="mean_output")
    with pytest.raises(TypeError, match=r"net must be an ntklin\.MLP, got AntisymmetricPair"):
        mean_output(pair, pair.init(rng=0))
    limit = ntklin.InfiniteMLP(ntklin.MLP((4, 20, 3))).linearize(X)
    with pytest.raises(ntklin.NoParametersError, match="this linearization is of a kernel"):
        limit.minimizer(Y, solver="pcg", preconditioner="mean_output")
