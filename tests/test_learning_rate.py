"""The search for the largest learning rate whose loss only falls (App. D)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model

import ntklin
from ntklin.recipes.learning_rate import STRIDE


def trainer(limit, seen=None):
    """Losses that fall up to ``limit``, and beyond it rise at the third step."""

    def train(optimizer):
        if seen is not None:
            seen.append(optimizer.learning_rate)
        rises = optimizer.learning_rate > limit
        return [4.0, 3.0, 2.0, 2.5 if rises else 1.0, 0.5]

    return train


@given(
    start=st.floats(1e-3, 1e3),
    limit=st.floats(1e-3, 1e3),
    precision=st.sampled_from([0.5, 0.05, 1e-3, 1e-9]),
)
def test_the_limit_is_found_to_the_precision(start, limit, precision):
    seen = []
    found = ntklin.search_learning_rate(
        trainer(limit, seen), ntklin.AdaGrad(start), precision=precision, reach=1e9
    )
    assert found.reason == "precision"
    assert found.learning_rate <= limit < found.rising
    assert found.rising <= (1 + precision) * found.learning_rate * (1 + 1e-15)
    assert found.optimizer == ntklin.AdaGrad(found.learning_rate)
    assert [t.learning_rate for t in found.trials] == seen
    assert len(set(seen)) == len(seen)
    strides = abs(math.log(limit / start)) / math.log(STRIDE) + 2
    halvings = math.log2(math.log(STRIDE) / math.log1p(precision)) + 1
    assert len(seen) <= strides + max(0, halvings)
    for t in found.trials:
        assert t.monotone == (t.learning_rate <= limit)
        assert (t.rise, t.steps, t.final_loss) == ((None, 4, 0.5) if t.monotone else (3, 3, 2.5))


def test_the_finest_precision_ends_at_neighbors():
    found = ntklin.search_learning_rate(trainer(1.3), ntklin.AdaGrad(1.0), precision=1e-300)
    assert found.learning_rate <= 1.3 < found.rising
    assert found.rising - found.learning_rate <= 4 * np.spacing(1.3)


def test_where_all_rates_fall_the_reach_ends_the_search():
    found = ntklin.search_learning_rate(trainer(np.inf), ntklin.Adam(0.1), reach=100)
    assert (found.reason, found.rising) == ("reach", None)
    assert found.learning_rate == 10.0
    assert [t.learning_rate for t in found.trials] == [0.1, 0.4, 1.6, 6.4, 10.0]


def test_where_no_rate_falls_an_error_has_the_trials():
    match = r"rises at every learning rate that was tried, from 0\.1 down to 0\.001: .* step 3"
    with pytest.raises(ntklin.LearningRateError, match=match) as caught:
        ntklin.search_learning_rate(trainer(0.0), ntklin.Adam(0.1), reach=100)
    rates = [t.learning_rate for t in caught.value.trials]
    assert rates == pytest.approx([0.1, 0.025, 0.00625, 0.0015625, 0.001])
    assert not any(t.monotone for t in caught.value.trials)


def test_a_trainer_that_diverges_rises():
    def train(optimizer):
        if optimizer.learning_rate > 2:
            raise ntklin.DivergenceError("!", learning_rate=1.0, step=None)
        if optimizer.learning_rate > 1:
            raise ntklin.DivergenceError("!", learning_rate=1.0, step=7)
        return [2.0, 1.0]

    found = ntklin.search_learning_rate(train, ntklin.GradientDescent(1.0), precision=0.5)
    assert 0.6 < found.learning_rate <= 1
    assert (found.trials[1].steps, found.trials[1].final_loss) == (None, None)
    assert found.trials[2].rise == found.trials[2].steps
    with pytest.raises(ntklin.LearningRateError, match="there from the start"):
        ntklin.search_learning_rate(train, ntklin.GradientDescent(100.0), reach=2)


def test_progress_tells_every_trial():
    told = []
    found = ntklin.search_learning_rate(trainer(1), ntklin.Adam(1.0), progress=told.append)
    assert tuple(told) == found.trials


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"trainer": 3}, TypeError, "trainer must be callable"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be an ntklin optimizer, got 0.1"),
        ({"optimizer": ntklin.GradientDescent()}, ValueError, "optimizer needs a learning_rate"),
        ({"precision": 0}, ValueError, "precision must be positive"),
        ({"reach": 1}, ValueError, "reach is a factor above 1, got 1"),
        ({"trainer": lambda o: [1.0]}, ValueError, r"at least one step.*got shape \(1,\)"),
        ({"trainer": lambda o: 1.0}, ValueError, r"must return the losses.*got shape \(\)"),
    ],
)
def test_bad_arguments(change, error, match):
    arguments = {"trainer": trainer(1), "optimizer": ntklin.Adam(1.0)} | change
    with pytest.raises(error, match=match):
        ntklin.search_learning_rate(**arguments)


# On networks


def test_gradient_descent_on_one_input_falls_up_to_its_bound():
    """With one eigenvalue the loss is multiplied by (1 − ηλ)² each step: it falls iff η < 2/λ."""
    net = ntklin.MLP((3, 1), bias="none")
    theta, X, Y = np.array([1.0, -1.0, 0.5]), np.array([[0.6, 0.0, 0.8]]), np.array([2.0])
    bound = ntklin.linearize(net, theta, X).max_learning_rate
    found = ntklin.largest_learning_rate(net, theta, X, Y, precision=1e-3)
    assert bound / (1 + 1.1e-3) <= found.learning_rate <= bound * (1 + 1e-9)
    assert found.trials[0].learning_rate == pytest.approx(bound / 4, rel=1e-12)
    again = ntklin.largest_learning_rate(net, theta, X, Y, precision=1e-3)
    assert again == found


def test_the_linearized_network_is_searched_as_well():
    lin = linear_model([[1.0, 0.0], [0.0, 2.0]])
    Y = [0.0, 1.0]
    found = ntklin.search_learning_rate(
        lambda optimizer: lin.train(Y, optimizer, 100), ntklin.GradientDescent(0.01), precision=0.01
    )
    assert found.learning_rate == pytest.approx(lin.max_learning_rate, rel=0.011)


def problem():
    net = ntklin.MLP((3, 50, 1))
    rng = np.random.default_rng(0)
    return net, net.init(0), rng.standard_normal((6, 3)), rng.random(6)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize(
    "optimizer",
    [
        None,
        *(
            pytest.param(o, marks=pytest.mark.compiled)
            for o in (ntklin.AdaGrad(0.01), ntklin.Adam(0.01))
        ),
    ],
)
def test_the_loss_falls_at_the_rate_that_is_found_and_rises_at_the_next(optimizer, loss):
    net, *data = problem()
    found = ntklin.largest_learning_rate(net, *data, optimizer, 100, loss=loss)
    run = ntklin.train(net, *data, found.optimizer, 100, until=1e-5, loss=loss)
    assert (np.diff(run.losses) <= 1e-12).all()
    above = found.optimizer.with_learning_rate(found.rising)
    with pytest.warns(ntklin.NonMonotoneLossWarning) as caught:
        ntklin.train(net, *data, above, 100, until=1e-5, loss=loss)
    (trial,) = [t for t in found.trials if t.learning_rate == found.rising]
    assert (trial.rise, trial.final_loss) == (caught[0].message.step, caught[0].message.after)


@pytest.mark.parametrize("batches", [None, [[0, 1, 2, 3, 4, 5]] * 5000])
def test_a_trial_ends_at_its_first_rise(batches):
    net, *data = problem()
    taken = []

    def fn(t, gradient):
        taken.append(t)
        return 1.0

    found = ntklin.largest_learning_rate(
        net, *data, ntklin.Preconditioned(0.01, fn), 5000, until=1e-3, batches=batches
    )
    falling = sum(t.steps for t in found.trials if t.monotone)
    rising = [t.rise for t in found.trials if not t.monotone]
    assert rising
    # A block is finished in which the loss rises; blocks grow fourfold.
    assert len(taken) <= falling + sum(5 * t for t in rising)


def test_every_trial_has_the_same_batches():
    net, *data = problem()
    with pytest.raises(
        TypeError, match=r"batches must be ntklin\.Batches or a list.*got generator"
    ):
        ntklin.largest_learning_rate(net, *data, batches=([0] for _ in range(9)))


def test_a_start_below_until_has_nothing_to_search():
    net, theta, X, _ = problem()
    with pytest.raises(ValueError, match="If the loss starts below until"):
        ntklin.largest_learning_rate(net, theta, X, net.apply(theta, X))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": None}, TypeError, "steps must be an integer, got None"),
        ({"until": -1}, ValueError, "until must be positive"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be an optimizer of ntklin.*'adam'"),
        ({"method": "quick"}, ValueError, "method must be one of 'auto'"),
    ],
)
def test_bad_options(options, error, match):
    net, *data = problem()
    with pytest.raises(error, match=match):
        ntklin.largest_learning_rate(net, *data, **options)
