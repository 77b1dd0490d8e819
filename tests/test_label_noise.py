"""What label noise becomes: explicit maps, rationals, draws of noise, runs with other labels."""

import numpy as np
import pytest
import rational
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import assert_close

import ntklin

NET = ntklin.MLP((3, 12, 1))


def problem(seed=0, n=4, net=NET):
    rng = np.random.default_rng(seed)
    X, x = rng.uniform(-0.5, 0.5, (n, 3)), rng.uniform(-0.5, 0.5, (2, 3))
    C = net.widths[-1]
    Y = rng.standard_normal(n if C == 1 else (n, C))
    return ntklin.linearize(net, net.init(rng), X), Y, x


@given(st.integers(0, 10**6), st.sampled_from(["plain", "diagonal", "ridge"]))
def test_amplification_is_the_norm_of_the_map(seed, kind):
    lin, Y, x = problem(seed)
    rng = np.random.default_rng(seed)
    D = rng.uniform(0.2, 3.0, lin.features.shape[1]) if kind == "diagonal" else None
    ridge = 0.1 if kind == "ridge" else 0.0
    weights = np.ones(lin.features.shape[1]) if D is None else D
    J, J_new = (
        NET.jacobian(lin.features.parameters, inputs) for inputs in (lin.features.inputs, x)
    )
    K = J * weights @ J.T + ridge * np.eye(4)
    S = np.linalg.solve(K, J * weights @ J_new.T).T
    found = lin.minimizer(Y, weights=D, ridge=ridge).noise_amplification(x)
    options = {"kind": "solve", "n": 50, "kappa": np.linalg.cond(K), "scale": 1 + (S**2).sum()}
    assert_close(found, (S**2).sum(axis=1), **options)


def test_amplification_in_rational_arithmetic():
    rng = np.random.default_rng(3)
    phi, D = rational.small(rng, (5, 6)), rational.exact([1, 2, 3, 1, 4, 2])
    K = phi[:3] * D @ phi[:3].T
    S = rational.solve(K, phi[:3] * D @ phi[3:].T).T
    lin = linear_model(rational.floats(phi[:3]))
    found = lin.minimizer([1.0, 2.0, 0.5], weights=rational.floats(D)).noise_amplification(
        rational.floats(phi[3:])
    )
    expected = rational.floats((S * S).sum(axis=1))
    kappa = np.linalg.cond(rational.floats(K))
    assert_close(found, expected, kind="solve", n=6, kappa=kappa)


def test_draws_of_noise_have_that_variance():
    lin, Y, x = problem(1)
    D = np.random.default_rng(0).uniform(0.2, 3.0, lin.features.shape[1])
    scale, draws = 0.3, 4000
    noise = scale * np.random.default_rng(1).standard_normal((draws, 4))
    m = lin.minimizer(Y, weights=D)
    S = np.stack([lin.minimizer(e, weights=D).interpolator(x) for e in np.eye(4)])
    outputs = m.interpolator(x) + noise @ S
    expected = scale**2 * m.noise_amplification(x)
    error = 5 * np.sqrt(2 / draws) * expected
    assert (np.abs(outputs.var(axis=0) - expected) < error).all()


def test_training_inputs_keep_their_noise_and_a_ridge_takes_some():
    lin, Y, _ = problem(2)
    X = lin.features.inputs
    np.testing.assert_allclose(lin.minimizer(Y).noise_amplification(X), np.ones(4), rtol=1e-8)
    damped = [lin.minimizer(Y, ridge=r).noise_amplification(X).sum() for r in (0.01, 0.1, 1.0)]
    assert 4 > damped[0] > damped[1] > damped[2]


def test_several_outputs():
    lin, Y, x = problem(3, net=ntklin.MLP((3, 12, 2)))
    m = lin.minimizer(Y)
    J = lin.features.network.jacobian(lin.features.parameters, lin.features.inputs)
    S = np.linalg.solve(J @ J.T, J @ lin.features.network.jacobian(lin.features.parameters, x).T).T
    expected = (S**2).sum(axis=1).reshape(2, 2)
    np.testing.assert_allclose(m.noise_amplification(x), expected, rtol=1e-8)
    K = J[::2] @ J[::2].T
    both = ntklin.linearize_kernel(K).minimizer(Y).noise_amplification(K[:2])
    np.testing.assert_allclose(both, np.ones((2, 2)), rtol=1e-8)


# Along a path


@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=2)])
def test_gradient_descent_is_linear_in_the_labels(batches):
    lin, Y, x = problem(4)
    run = lin.train(Y, ntklin.GradientDescent(0.3), steps=30, batches=batches)
    slopes = run.label_sensitivity(x)
    for n, e in enumerate(np.eye(4)):
        other = lin.train(Y + e, ntklin.GradientDescent(0.3), steps=30, batches=batches)
        np.testing.assert_allclose(slopes[:, n], other.predict(x) - run.predict(x), atol=1e-8)


def test_a_converged_run_with_a_constant_preconditioner():
    lin, Y, x = problem(5, n=3)
    D = np.random.default_rng(0).uniform(0.5, 2.0, lin.features.shape[1])
    rate = lin.gradient_descent(Y, weights=D).learning_rate
    run = lin.train(Y, ntklin.Preconditioned(rate, lambda t, g: D), until=1e-22)
    expected = lin.minimizer(Y, weights=D).noise_amplification(x)
    np.testing.assert_allclose(run.noise_amplification(x), expected, rtol=1e-8)
    slopes = run.label_sensitivity(x)
    np.testing.assert_allclose((slopes**2).sum(axis=1), expected, rtol=1e-4)


@pytest.mark.compiled
def test_adagrad_of_one_sample():
    """Example 1: its limit is linear in the label, whatever the learning rate."""
    lin, Y, x = problem(6, n=1)
    phi = NET.jacobian(lin.features.parameters, lin.features.inputs)[0]
    expected = NET.jacobian(lin.features.parameters, x) @ np.sign(phi) / np.abs(phi).sum()
    run = lin.train(Y, ntklin.AdaGrad(0.05, eps=0), until=1e-24)
    np.testing.assert_allclose(run.label_sensitivity(x)[:, 0], expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(run.noise_amplification(x), expected**2, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("optimizer", [ntklin.AdaGrad(0.05), ntklin.Adam(0.02)])
def test_adaptive_paths_answer_to_every_label(optimizer):
    """Against the outputs for labels with a small error in all of them at once."""
    lin, Y, x = problem(7)
    run = lin.train(Y, optimizer, steps=60)
    slopes = run.label_sensitivity(x)
    assert slopes.shape == (2, 4)
    error = 1e-4 * np.random.default_rng(0).standard_normal(4)
    ends = [lin.train(Y + s * error, optimizer, steps=60).predict(x) for s in (1, -1)]
    np.testing.assert_allclose(slopes @ error, (ends[0] - ends[1]) / 2, rtol=1e-3, atol=1e-8)
    fixed = run.noise_amplification(x)
    assert fixed.shape == (2,)
    assert not np.allclose(fixed, (slopes**2).sum(axis=1), rtol=1e-3)


def test_several_outputs_and_bad_input():
    lin, Y, x = problem(8, net=ntklin.MLP((3, 12, 2)))
    run = lin.train(Y, ntklin.AdaGrad(0.05), steps=5)
    assert run.label_sensitivity(x).shape == (2, 2, 4, 2)
    assert run.noise_amplification(x).shape == (2, 2)
    used_up = lin.train(Y, ntklin.AdaGrad(0.05), steps=2, batches=iter([[0], [1], [2]]))
    with pytest.raises(ValueError, match="batches were an iterator, which is used up"):
        used_up.label_sensitivity(x)
    with pytest.raises(ValueError, match="relative_step must be positive"):
        run.label_sensitivity(x, 0)
