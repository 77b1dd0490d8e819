"""One measure of rises and divergence for all runs, also those that start near the targets."""

from itertools import pairwise

import numpy as np
import pytest

import ntklin
from ntklin.kernels.cpu.plain import JIT_DISABLED
from ntklin.runs import monotone

pytestmark = pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")

NET = ntklin.MLP((5, 60, 1))
METHODS = ("reduced", "fused", "direct")


def problem(dtype=np.float64):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6, 5))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X.astype(dtype), (rng.random(6) + 1).astype(dtype)


def trained(until, dtype=np.float64):
    """θ near the targets, and the bound 2N/λ_max there."""
    X, Y = problem(dtype)
    theta = ntklin.train(NET, NET.init(1, dtype), X, Y, until=until).parameters
    return theta, ntklin.linearize(NET, theta, X).max_learning_rate


# Rises


@pytest.mark.compiled
@pytest.mark.parametrize(("dtype", "begin", "until"), [("f8", 1e-22, 1e-29), ("f4", 1e-6, 1e-12)])
def test_rounding_near_the_targets_is_no_rise_for_a_search(dtype, begin, until):
    """Full batches as a list are not watched in training, so that the search has to judge."""
    theta, bound = trained(begin, dtype)
    X, Y = problem(dtype)
    ends = {"steps": 1200, "until": until}
    start = ntklin.GradientDescent(bound / 4)
    plain = ntklin.train(NET, theta, X, Y, start, **ends)
    losses = plain.losses
    assert plain.first_rise() is None
    # By the size of the start alone it would be one: the test is about something.
    assert monotone.first_rise(losses, losses[0], np.dtype(dtype)) is not None

    lin = ntklin.linearize(NET, theta, X)
    everything = [range(6)] * 1200
    trainers = {
        "the real network": lambda o: ntklin.train(NET, theta, X, Y, o, batches=everything, **ends),
        "the linearized one": lambda o: lin.train(Y, o, **ends),
    }
    for who, trainer in trainers.items():
        found = ntklin.search_learning_rate(trainer, start, precision=0.5, reach=1.01)
        assert found.trials[0].monotone, who
    found = ntklin.largest_learning_rate(NET, theta, X, Y, start, **ends, reach=1.01, precision=0.5)
    assert found.trials[0].monotone
    assert found.trials[0].final_loss == losses[-1]


@pytest.mark.compiled
def test_a_run_that_is_loaded_has_the_same_measure(tmp_path):
    theta, bound = trained(1e-22)
    run = ntklin.train(NET, theta, *problem(), ntklin.GradientDescent(bound / 4), 900)
    run.save(tmp_path / "run.npz")
    again = ntklin.load_run(tmp_path / "run.npz")
    assert again.yardstick == run.yardstick
    assert again.first_rise() is run.first_rise() is None


def test_a_rise_of_mini_batches_is_found_though_none_is_warned_of():
    X, Y = problem()
    batches = [[0]] * 4 + [[5]] * 40
    run = ntklin.train(
        NET, NET.init(1), X, Y, ntklin.GradientDescent(0.9), steps=44, batches=batches
    )
    steps = [after > before for before, after in pairwise(run.losses)]
    assert run.first_rise() == 1 + steps.index(True)


# Divergence


def beyond(bound):
    return ntklin.GradientDescent(1.2 * bound)


@pytest.mark.parametrize("optimizer", [beyond, lambda b: ntklin.Momentum(2.6 * b, 0.2)])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("until", [1e-7, pytest.param(1e-15, marks=pytest.mark.compiled)])
def test_a_thousand_times_the_start_is_divergence(until, method, optimizer):
    theta, bound = trained(until)
    X, Y = problem()
    optimizer = optimizer(bound)
    if method == "reduced" and type(optimizer) is not ntklin.GradientDescent:
        method = "auto"
    with pytest.raises(ntklin.DivergenceError, match=r"the loss rose from .* by step") as caught:
        ntklin.train(NET, theta, X, Y, optimizer, steps=900, method=method)
    steps = caught.value.step
    before = ntklin.train(NET, theta, X, Y, optimizer, steps=steps - 1, method=method)
    assert before.losses.max() <= 1000.01 * before.losses[0]
    lin = ntklin.linearize(NET, theta, X)
    with pytest.raises(ntklin.DivergenceError, match=r"the loss rose from .* by step") as caught:
        lin.train(Y, optimizer, steps=900)
    before = lin.train(Y, optimizer, steps=caught.value.step - 1)
    assert before.losses.max() <= 1000.01 * before.losses[0]


def test_a_member_of_an_ensemble_diverges_as_it_would_alone():
    until, steps = (1e-7, 100) if JIT_DISABLED else (1e-15, 300)
    theta, bound = trained(until)
    X, Y = problem()
    good = ntklin.GradientDescent(bound / 4)
    runs = ntklin.train_ensemble(NET, [theta, theta], X, Y, [good, beyond(bound)], steps=steps)
    assert runs[0].steps == steps
    assert isinstance(runs[1], ntklin.DivergenceError)
    assert runs[1].step < steps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_rounding_at_a_start_on_the_targets_is_no_divergence(method, dtype):
    """From a loss that is rounding alone it may rise by any factor."""
    theta, bound = trained(1e-2, dtype)
    X, _ = problem(dtype)
    Y = NET.apply(theta, X)  # a start at L = 0, but for the order of the sums
    optimizer = ntklin.GradientDescent(bound / 2)
    run = ntklin.train(NET, theta, X, Y, optimizer, steps=300, method=method)
    assert run.steps == 300
    assert ntklin.linearize(NET, theta, X).train(Y, optimizer, steps=300).steps == 300


@pytest.mark.compiled
@pytest.mark.parametrize("optimizer", [ntklin.Adam(2e-3), ntklin.AdaGrad(2e-3)])
def test_adaptive_steps_away_from_a_trained_start_may_come_back(optimizer):
    """Their first step is as long as ever, so that a thousand times the start says nothing."""
    theta, _ = trained(1e-12)
    X, Y = problem()
    run = ntklin.train(NET, theta, X, Y, optimizer, steps=1500)
    assert run.losses.max() > 1e4 * run.losses[0]
    assert run.losses[-1] < 1e-2 * run.losses.max()
    assert ntklin.linearize(NET, theta, X).train(Y, optimizer, steps=1500).steps == 1500
    zero = (Y**2).mean() / 2
    assert run.yardstick.ceiling(optimizer) == pytest.approx(1000 * zero, rel=1e-3)
