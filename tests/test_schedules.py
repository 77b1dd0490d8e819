"""Learning rates that depend on the step: closed forms against PyTorch's recursions and values."""

import copy
import doctest
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.runs import schedules

STEPS, EPS = 40, float(np.finfo(float).eps)
RATES = st.floats(1e-3, 10.0)
COUNTS = st.integers(1, 12)


def step_lr(rate, step_size, gamma):
    """StepLR.get_lr of ``torch.optim.lr_scheduler``, step by step."""
    yield rate
    for epoch in range(1, STEPS):
        rate = rate * gamma if epoch % step_size == 0 else rate
        yield rate


def cosine_lr(base, steps, minimum):
    """CosineAnnealingLR.get_lr, with its way out of the minimum."""
    rate = base
    yield rate
    for epoch in range(1, STEPS):
        if (epoch - 1 - steps) % (2 * steps) == 0:
            rate += (base - minimum) * (1 - math.cos(math.pi / steps)) / 2
        else:
            now, before = (1 + math.cos(math.pi * e / steps) for e in (epoch, epoch - 1))
            rate = now / before * (rate - minimum) + minimum
        yield rate


def linear_lr(base, steps, start, end):
    """LinearLR.get_lr."""
    rate = base * start
    yield rate
    for epoch in range(1, STEPS):
        if epoch <= steps:
            rate *= 1 + (end - start) / (steps * start + (epoch - 1) * (end - start))
        yield rate


def assert_follows(schedule, recursion, scale, condition=1.0):
    expected = np.array(list(recursion))
    difference = np.abs(schedules.rates(schedule, 0, STEPS) - expected)
    assert np.max(difference) <= 8 * STEPS * EPS * scale * condition


@given(RATES, COUNTS, st.floats(0.1, 1.0))
def test_steps_are_those_of_the_recursion(rate, step_size, gamma):
    schedule = ntklin.StepSchedule(rate, step_size, gamma)
    assert_follows(schedule, step_lr(rate, step_size, gamma), rate)


@given(RATES, COUNTS, st.floats(0.0, 1.0))
def test_the_cosine_is_that_of_the_recursion(rate, steps, share):
    # The recursion divides by 1 + cos at the step before the minimum, which loses digits.
    condition = 2 / (1 + math.cos(math.pi * (1 - 1 / steps))) if steps > 1 else 1
    schedule = ntklin.CosineSchedule(rate, steps, share * rate)
    assert_follows(schedule, cosine_lr(rate, steps, share * rate), rate, condition)


@given(RATES, COUNTS, st.floats(0.01, 1.0), st.floats(0.1, 2.0))
def test_warm_up_is_that_of_the_recursion(rate, steps, start, end):
    schedule = rate * ntklin.WarmupSchedule(steps, start, end)
    assert_follows(schedule, linear_lr(rate, steps, start, end), 2 * rate, 1 / start)


# By PyTorch 2.14.1: SGD's lr before each step of one parameter, with scheduler.step() after it.
STORED = {
    ntklin.StepSchedule(0.5, 2, 0.25): [0.5, 0.5, 0.125, 0.125, 0.03125, 0.03125],
    ntklin.CosineSchedule(0.5, 4, 0.1): [
        *(0.5, 0.4414213562373095, 0.30000000000000004, 0.15857864376269054),
        *(0.1, 0.15857864376269049, 0.30000000000000004, 0.4414213562373096, 0.5000000000000001),
    ],
    0.5 * ntklin.WarmupSchedule(4, 0.2, 1.0): [0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.5],
    ntklin.WarmupSchedule(3, 0.25) * ntklin.CosineSchedule(0.8, 6): [
        *(0.2, 0.3732050807568878, 0.45000000000000007, 0.4),
        *(0.2000000000000001, 0.05358983848622452, 0.0),
    ],
}


@pytest.mark.parametrize("schedule", STORED, ids=repr)
def test_values_by_pytorch(schedule):
    stored = STORED[schedule]
    np.testing.assert_allclose(schedules.rates(schedule, 0, len(stored)), stored, atol=16 * EPS)


SCHEDULES = [*STORED, ntklin.ConstantSchedule(0.3), ntklin.WarmupSchedule()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_is_a_value(schedule):
    assert isinstance(schedule, ntklin.Schedule)
    for again in (
        eval(repr(schedule), vars(ntklin) | {n: getattr(ntklin, n) for n in ntklin.__all__}),
        copy.deepcopy(schedule),
        pickle.loads(pickle.dumps(schedule)),
    ):
        assert again == schedule
        assert hash(again) == hash(schedule)
    assert schedule not in [other for other in SCHEDULES if other is not schedule]
    with pytest.raises(AttributeError):
        schedule.gamma = schedule.steps = 3


def inverse(t):
    return 1 / (1 + t)


# A function's repr has its address, which differs between the processes of pytest-xdist.
@pytest.mark.parametrize(
    "schedule", [*SCHEDULES, 0.2, inverse], ids=lambda s: getattr(s, "__name__", repr(s))
)
def test_any_stretch_has_the_same_rates(schedule):
    whole = schedules.rates(schedule, 0, 20)
    assert whole.dtype == np.float64
    for start, stop in ((3, 20), (7, 8), (5, 5)):
        np.testing.assert_array_equal(schedules.rates(schedule, start, stop), whole[start:stop])
    one_by_one = [schedules.rate_at(schedule, t) for t in range(20)]
    np.testing.assert_array_equal(one_by_one, whole)


def test_far_steps_keep_their_digits():
    T = 1000
    schedule = ntklin.CosineSchedule(1.0, T)
    for t in (123, 1000, 1999):
        assert schedule(t + 2 * T * 10**9) == schedule(t)
    assert schedule(10**18 + T) == 0.0
    assert ntklin.StepSchedule(1.0, 1)(10**9) == 0.0
    assert ntklin.WarmupSchedule(3)(10**18) == 1.0


def test_products_are_products_step_by_step():
    first, second, third = ntklin.WarmupSchedule(4), ntklin.StepSchedule(0.3, 2), 0.7
    product = first * (third * second)
    for t in range(10):
        assert product(t) == pytest.approx(first(t) * second(t) * third, rel=4 * EPS)
    assert product == first * second * third
    assert np.float64(third) * first == first * third
    with pytest.raises(TypeError, match="unsupported operand"):
        first * None


REFUSED = {
    "learning_rate must be positive": lambda: ntklin.StepSchedule(0.0, 3),
    "step_size must be at least 1": lambda: ntklin.StepSchedule(0.1, 0),
    "gamma must be positive": lambda: ntklin.StepSchedule(0.1, 3, 0),
    "steps must be an integer": lambda: ntklin.CosineSchedule(0.1, 2.5),
    "minimum must be finite and at least 0": lambda: ntklin.CosineSchedule(0.1, 3, -0.1),
    "start_factor must be finite and at least 0": lambda: ntklin.WarmupSchedule(3, -1),
    "end_factor must be positive": lambda: ntklin.WarmupSchedule(3, 1, 0),
    "a class": lambda: schedules.as_rate(ntklin.CosineSchedule),
    "learning_rate must be a number": lambda: schedules.as_rate("fast"),
    r"what learning_rate\(0\) returns must be finite and at least 0, got -1.0": lambda: (
        schedules.as_rate(lambda t: -1)
    ),
    r"what learning_rate\(2\) returns must be finite and at least 0, got nan": lambda: (
        schedules.rates(lambda t: math.nan if t == 2 else 1, 0, 4)
    ),
    r"what learning_rate\(0\) returns must be a number, got None": lambda: schedules.as_rate(
        lambda t: None
    ),
    r"what learning_rate\(9000\) returns must be finite": lambda: schedules.rate_at(
        ntklin.StepSchedule(1, 1, 2), 9000
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_meant_is_refused_by_name(message):
    with pytest.raises((TypeError, ValueError), match=message):
        REFUSED[message]()


def test_a_rate_of_zero_is_one():
    assert schedules.rates(lambda t: 0, 0, 3).tolist() == [0, 0, 0]
    assert schedules.as_rate(0.5 * ntklin.WarmupSchedule(2, 0.0))(0) == 0


def test_examples():
    assert doctest.testmod(schedules).attempted > 0
    assert doctest.testmod(schedules).failed == 0
