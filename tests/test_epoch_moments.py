"""Moments over shuffled epochs: all orders in rationals, runs of the library, identities."""

import itertools
import math

import numpy as np
import pytest
import rational
from tolerances import assert_close

import ntklin

OPTIONS = {"kind": "trajectory", "n": 40, "kappa": 4.0}


def problem(n, b, seed=0, outputs=None, share=0.3):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n + 2, n + 3))
    K = A @ A.T
    lin = ntklin.linearize_kernel(K[:n, :n])
    Y = rng.standard_normal(n if outputs is None else (n, outputs))
    rate = share * lin.moments(Y, 1.0, b).max_learning_rate
    return lin.moments(Y, rate, b), K[n:, :n]


@pytest.mark.parametrize(("n", "b", "t"), [(4, 2, 3), (4, 2, 4), (3, 2, 3), (4, 3, 1), (3, 1, 3)])
def test_all_orders_in_rational_arithmetic(n, b, t):
    rng = np.random.default_rng(n + b)
    A = rational.small(rng, (n + 2, 5))
    kernel, Y, rate = A @ A.T, rational.small(rng, (n,)), rational.exact(1 / 64)[()]
    K, rows = kernel[:n, :n], kernel[n:, :n]
    orders = [
        [list(order[i : i + b]) for i in range(0, n, b)]
        for order in itertools.permutations(range(n))
    ]
    runs = []
    for epochs in itertools.product(orders, repeat=math.ceil(t / len(orders[0]))):
        c = 0 * Y
        for batch in list(itertools.chain(*epochs))[:t]:
            step = 0 * Y
            step[batch] = (K @ c - Y)[batch]
            c = c - rate / len(batch) * step
        runs.append(c)
    runs = np.array(runs)
    residuals, outputs = runs @ K - Y, runs @ rows.T
    mean = outputs.sum(axis=0) / len(runs)
    covariance = outputs.T @ outputs / len(runs) - np.multiply.outer(mean, mean)
    loss = (residuals**2).sum() / (2 * n * len(runs))
    moments = ntklin.linearize_kernel(rational.floats(K)).moments(
        rational.floats(Y), float(rate), b
    )
    epochs, x = moments.epochs(), rational.floats(rows)
    assert epochs.draws is None
    scale = np.abs(rational.floats(rows)).sum() ** 2 * np.abs(rational.floats(runs)).max() ** 2
    assert_close(epochs.loss(t).value, float(loss), **OPTIONS)
    assert_close(epochs.predict(x, t).value, rational.floats(mean), scale=scale, **OPTIONS)
    found = epochs.covariance(x, t)
    assert_close(found.value, rational.floats(covariance), scale=scale, **OPTIONS)
    np.testing.assert_array_equal(found.error, np.zeros((2, 2)))


def test_draws_are_the_librarys_runs():
    rng = np.random.default_rng(0)
    net, X = ntklin.MLP((3, 9, 2)), rng.uniform(-0.5, 0.5, (5, 3))
    lin, Y, x = ntklin.linearize(net, net.init(rng), X), rng.standard_normal((5, 2)), X[:3] / 2
    moments, t = lin.moments(Y, None, 2), 7
    epochs = moments.epochs(4, rng=10)
    rule = ntklin.GradientDescent(moments.learning_rate)
    runs = [
        lin.train(Y, rule, steps=t, batches=ntklin.Batches(size=2, rng=10 + i)) for i in range(4)
    ]
    losses = np.array([run.losses[-1] for run in runs])
    outputs = np.array([run.predict(x) for run in runs])
    loss, mean, covariance = epochs.loss(t), epochs.predict(x, t), epochs.covariance(x, t)
    assert loss.value == pytest.approx(losses.mean(), rel=1e-10)
    assert loss.error == pytest.approx(losses.std(ddof=1) / 2, rel=1e-7)
    np.testing.assert_allclose(mean.value, outputs.mean(axis=0), rtol=1e-9, atol=1e-12)
    assert mean.error.shape == (3, 2)
    for c in range(2):
        expected = np.cov(outputs[:, :, c].T)
        np.testing.assert_allclose(covariance.value[..., c], expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("outputs", [None, 2])
def test_draws_scatter_around_what_is_exact(outputs):
    moments, x = problem(5, 2, outputs=outputs)
    t = [2, 3, 7]
    exact, sampled = moments.epochs(), moments.epochs(400)
    for name, arguments in (("loss", (t,)), ("predict", (x, t)), ("covariance", (x, t))):
        true, found = (getattr(law, name)(*arguments) for law in (exact, sampled))
        assert true.value.shape == found.value.shape == found.error.shape
        assert (np.abs(found.value - true.value) < 5 * found.error).all()
        assert (found.error > 0).all()


def test_full_batches_are_gradient_descent():
    moments, x = problem(4, 4)
    epochs = moments.epochs()
    assert epochs.loss(9).value == pytest.approx(moments.loss(9), rel=1e-10)
    assert_close(epochs.predict(x, 9).value, moments.predict(x, 9), **OPTIONS)
    assert np.abs(epochs.covariance(x, 9).value).max() < 1e-12
    assert np.isnan(epochs.difference(x, 9).variance.value)


def test_an_estimate_shows_its_number_and_its_error():
    estimate = ntklin.linearize_kernel(np.eye(2)).moments([1, 2], 0.5, 1).epochs().loss(0)
    assert tuple(estimate) == (1.25, 0)
    assert repr(estimate) == "<Estimate: value 1.25; error 0>"


def test_one_step_knows_nothing_of_epochs():
    moments, x = problem(6, 2)
    epochs = moments.epochs()
    assert epochs.loss(1).value == pytest.approx(moments.loss(1), rel=1e-12)
    assert_close(epochs.covariance(x, 1).value, moments.covariance(x, 1), **OPTIONS)
    difference = epochs.difference(x, 1)
    assert difference.loss.value == pytest.approx(1, rel=1e-12)
    assert difference.mean.value < 1e-7
    assert difference.variance.value == pytest.approx(1, rel=1e-10)


def test_an_epoch_has_less_variance():
    """Every sample had its turn: what is left of the order is of second order in η."""
    moments, x = problem(6, 1, share=0.02)
    whole, half = (moments.epochs().difference(x, t) for t in (6, 3))
    assert whole.variance.value < 0.05 * half.variance.value
    assert half.variance.value < 1
    assert whole.mean.value < 0.1
    drawn = moments.epochs(100).difference(x, 6)
    assert abs(drawn.variance.value - whole.variance.value) < 5 * drawn.variance.error


def test_differences_are_in_units_of_independent_batches():
    moments, x = problem(6, 2)
    epochs = moments.epochs()
    difference, trace = epochs.difference(x, 7), np.trace(moments.covariance(x, 7))
    moved = np.linalg.norm(epochs.predict(x, 7).value - moments.predict(x, 7))
    assert difference.mean.value == pytest.approx(moved / np.sqrt(trace), rel=1e-9)
    assert difference.variance.value == pytest.approx(
        np.trace(epochs.covariance(x, 7).value) / trace, rel=1e-9
    )
    assert difference.loss.value == pytest.approx(epochs.loss(7).value / moments.loss(7), rel=1e-9)
    drawn = moments.epochs(50)
    scatter = np.linalg.norm(drawn.predict(x, 7).error) / np.sqrt(trace)
    assert drawn.difference(x, 7).mean.error == pytest.approx(scatter, rel=1e-9)


def test_how_far_sums_over_sets_go():
    assert problem(12, 5)[0].epochs().draws is None
    assert problem(16, 8)[0].epochs().draws is None
    assert problem(40, 39)[0].epochs().draws is None
    assert problem(13, 4)[0].epochs().draws == 200
    assert problem(13, 4)[0].epochs(7).draws == 7
    with pytest.raises(ValueError, match="draws must be at least 2, got 1"):
        problem(3, 1)[0].epochs(1)
    with pytest.raises(ValueError, match="rng must be at least 0"):
        problem(3, 1)[0].epochs(rng=-1)


def test_memory_is_asked_for_beforehand(monkeypatch):
    moments, _ = problem(5, 2)
    moments.loss(1)
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 1000)
    with pytest.raises(ntklin.MemoryLimitError, match=r"50 runs needs .* ask for fewer draws"):
        moments.epochs(50).loss(3)
