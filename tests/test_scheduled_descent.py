"""Closed forms with a schedule: Π_s (1 − η_s λ_i/N), or products of 2×2 matrices with momentum."""

import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model
from test_momentum import explicit
from tolerances import assert_close, tolerance

import ntklin
from ntklin.theory.discrete_time import as_steps
from ntklin.theory.scheduled import ScheduledRule

SCHEDULES = {
    "step": ntklin.StepSchedule(1.2, 7, 0.5),
    "cosine": ntklin.CosineSchedule(1.1, 40),
    "warm-up": ntklin.WarmupSchedule(5) * ntklin.CosineSchedule(1.0, 60),
    "callable": lambda t: 0.0 if t % 5 == 3 else 1.0 / (1 + t),
}


@pytest.mark.parametrize("name", SCHEDULES)
@given(
    momentum=st.sampled_from([(0.0, False), (0.9, False), (0.6, True)]),
    decay=st.sampled_from([0.0, 0.1]),
    ridge=st.sampled_from([0.0, 0.3]),
    t=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_closed_form_is_explicit_steps(name, momentum, decay, ridge, t, seed):
    """Whatever the t and their order."""
    rng = np.random.default_rng(seed)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((3, 5), 5, 3))
    lin, schedule = linear_model(J, theta), SCHEDULES[name]
    options = {"momentum": momentum[0], "nesterov": momentum[1]}
    gd = lin.gradient_descent(Y, schedule, ridge, weight_decay=decay, **options)
    rates = [schedule(s) for s in range(60)]
    path = np.array(explicit(J, J @ theta, theta, Y, rates, ridge=ridge, decay=decay, **options))
    size = max(np.abs(path[: max(t) + 1]).max(), 1)
    close = {"kind": "trajectory", "n": 60, "kappa": 400, "scale": 10 * size}
    assert_close(gd.parameters(t), path[t], **close)
    assert_close(gd.predict(np.eye(5), t), path[t], **close)
    losses = ((path @ J.T - Y) ** 2).sum(axis=1) / 6
    scale = max(losses[: max(t) + 1].max(), 1)
    assert_close(gd.loss(t), losses[t], **{**close, "scale": scale})


def test_a_constant_schedule_is_that_rate():
    rng = np.random.default_rng(0)
    lin = linear_model(rng.standard_normal((4, 6)), rng.standard_normal(6))
    Y, t = rng.standard_normal(4), [0, 1, 50, 3000]
    for options in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}):
        plain = lin.gradient_descent(Y, **options)
        eta = plain.learning_rate
        gd = lin.gradient_descent(Y, lambda t, eta=eta: eta, **options)
        assert gd.max_learning_rate == plain.max_learning_rate
        close = {"kind": "trajectory", "n": 3000, "kappa": 10}
        assert_close(gd.predict(np.eye(6), t), plain.predict(np.eye(6), t), **close)
        for target in (0.5, 1e-2, 1e-6):
            assert gd.steps_to(target) == plain.steps_to(target)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_later_steps_go_on_from_earlier_ones(momentum):
    asked = []

    def schedule(t):
        asked.append(t)
        return 0.1

    rule = ScheduledRule(schedule=schedule, exponent=0, n_samples=1, momentum=momentum)
    values = np.array([0.5, 1.0])
    rule.left(values, as_steps([50]))
    assert min(asked) == 0
    asked.clear()
    later = rule.left(values, as_steps([60]))
    assert min(asked) == 50
    rule.left(values, as_steps([7]))  # from the start again
    assert min(asked) == 0
    other = ScheduledRule(schedule=schedule, exponent=0, n_samples=1, momentum=momentum)
    np.testing.assert_allclose(later, other.left(values, as_steps([60])), rtol=1e-12)


def test_products_keep_their_digits():
    """Π_s (1 − η_s μ) and one less it over μ, against 60 digits, with signs and small rates."""
    values = np.array([1e-17, 1e-9, 1e-3, 0.4, 0.99, 1.7])
    schedule = ntklin.CosineSchedule(1.1, 1000)
    rule = ScheduledRule(schedule=schedule, exponent=0, n_samples=1)
    steps = as_steps([1, 10, 777, 2500])
    left, growth = rule.left(values, steps), rule.growth(values, steps)
    with mpmath.workdps(60):
        rates = [mpmath.mpf(schedule(t)) for t in range(2500)]
        for k, t in enumerate((1, 10, 777, 2500)):
            for i, mu in enumerate(map(mpmath.mpf, values.tolist())):
                p = mpmath.fprod(1 - rate * mu for rate in rates[:t])
                kappa = 1 + sum(abs(mpmath.log(abs(1 - rate * mu))) for rate in rates[:t])
                allowed = tolerance("trajectory", kappa=float(kappa))
                assert abs(left[k, i] - p) <= allowed * max(abs(p), 1e-300)
                g = (1 - p) / mu
                assert abs(growth[k, i] - g) <= tolerance("trajectory", n=t) * abs(g)


def test_one_pass_serves_many_t():
    """Asked for block by block, for all t or for few, the walk goes on where it was."""
    calls = []
    lin = linear_model(np.diag(np.linspace(0.1, 1, 50)))

    def schedule(t):
        calls.append(t)
        return 0.5

    gd = lin.gradient_descent(np.ones(50), schedule)
    calls.clear()
    losses = gd.loss(np.arange(50_000))
    assert len(calls) < 50_000 + 10
    few = lin.gradient_descent(np.ones(50), lambda t: 0.5).loss([3, 49_999])
    assert_close(few, losses[[3, -1]], kind="trajectory", n=50_000)
    assert gd.steps_to(float(losses[777])) == 778


def test_a_schedule_travels_along():
    lin = linear_model(np.diag([1.0, 0.5]))
    gd = lin.gradient_descent([1.0, 2.0], ntklin.CosineSchedule(1.0, 10), momentum=0.5)
    before = gd.loss(np.arange(20))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(gd)).loss(np.arange(20)), before)


def test_rates_may_fade_away():
    lin = linear_model(np.diag([1.0, 0.5]))
    gd = lin.gradient_descent([1.0, 2.0], ntklin.StepSchedule(1.0, 10, 0.1))
    assert gd.loss(10_000) == gd.loss(9_000) == pytest.approx(gd.loss(200), rel=1e-13)


def test_what_is_refused():
    lin = linear_model(np.diag([1.0, 0.5]))
    gd = lin.gradient_descent([1.0, 2.0], ntklin.CosineSchedule(1.0, 10))
    with pytest.raises(ValueError, match="limit, which a schedule's rates alone decide"):
        gd.predict(np.eye(2))
    with pytest.raises(ValueError, match="rates decide whether it converges"):
        _ = gd.converges
    with pytest.raises(ValueError, match=r"t must be at most 1e\+07, got 1e\+09"):
        gd.loss(10**9)
    with pytest.raises(ntklin.DivergenceError, match="has outgrown float64 at t = 5000"):
        lin.gradient_descent([1.0, 2.0], lambda t: 9.0).loss([10, 5000])
    with pytest.raises(ntklin.DivergenceError, match="no longer a number after"):
        lin.gradient_descent([1.0, 2.0], lambda t: 9.0).steps_to(1e-5)
    with pytest.raises(ValueError, match=r"what learning_rate\(0\) returns must be finite"):
        lin.gradient_descent([1.0, 2.0], lambda t: -1.0)
    with pytest.raises(ValueError, match=r"what learning_rate\(3\) returns must be finite"):
        lin.gradient_descent([1.0, 2.0], lambda t: np.nan if t == 3 else 0.1).loss(5)
