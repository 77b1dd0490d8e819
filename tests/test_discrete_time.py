"""Powers of 1 − ηλ/N against arithmetic with hundreds of digits."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import tolerance

from ntklin.theory.discrete_time import as_steps, decay, decay_time, gradient_filter

NEAR = [2.0**-k for k in (4, 20, 40, 52)]
# x = ηλ/N over the whole range of convergence, with the places where naive formulas lose digits.
X = np.array(
    [
        *(10.0**-k for k in range(18)),
        *(1e-100, 1e-300, 5e-324, 0.3, 1.5),
        *(1 - d for d in NEAR),
        *(1 + d for d in NEAR),
        *(2 - d for d in NEAR),
    ]
)
T = [0, 1, 2, 3, 10, 11, 10**3, 10**6 + 1, 10**9, 10**9 + 1, 10**12, 2**60, 2**60 + 1, 10**25]
LOST = 324  # digits of 1 that x = 5e-324 needs, before the 50 that are wanted


def exact_power(x, t):
    """(1 − x)^t for the float64 x."""
    with mpmath.workdps(50 + LOST):
        return (1 - mpmath.mpf(float(x))) ** t


def exact_filter(x, t):
    """(1 − (1 − x)^t)/x for the float64 x."""
    with mpmath.workdps(50 + LOST):
        return (1 - exact_power(x, t)) / mpmath.mpf(float(x))


def relative_error(actual, expected):
    """|actual/expected − 1|, and |actual| where the expected value is 0 or underflows."""
    if abs(expected) < mpmath.mpf("1e-300"):
        return abs(float(actual))
    return abs(float(mpmath.mpf(float(actual)) / expected - 1))


@pytest.mark.parametrize("t", T)
def test_filter_keeps_all_digits(t):
    actual = gradient_filter(X, 1.0, as_steps(t))[0]
    errors = [relative_error(a, exact_filter(x, t)) for a, x in zip(actual, X, strict=True)]
    assert max(errors) <= tolerance("trajectory")


@pytest.mark.parametrize("t", T)
def test_decay_keeps_the_digits_that_its_rate_has(t):
    actual = decay(X, 1.0, as_steps(t))[0]
    for a, x in zip(actual, X, strict=True):
        expected = exact_power(x, t)
        # exp turns the relative error of its argument into t·|log|1 − x|| times as much.
        kappa = 1 + (abs(float(mpmath.log(abs(expected)))) if expected else 0)
        assert relative_error(a, expected) <= tolerance("trajectory", kappa=kappa), x


@given(
    values=st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=4),
    rate=st.floats(1e-6, 2.0, exclude_max=True),
    t=st.integers(0, 60),
)
def test_filter_is_the_sum_of_the_steps(values, rate, t):
    """(1 − p^t)/λ = rate Σ_{s<t} p^s, and decay is the product."""
    values = np.array(values)
    steps = as_steps(t)
    total, power = np.zeros_like(values), np.ones_like(values)
    for _ in range(t):
        total += rate * power
        power *= 1 - rate * values
    scale = rate * max(t, 1)
    allowed = tolerance("trajectory", n=max(t, 1))
    assert np.abs(gradient_filter(values, rate, steps)[0] - total).max() <= allowed * scale
    assert np.abs(decay(values, rate, steps)[0] - power).max() <= allowed


def test_filter_of_a_vanishing_eigenvalue_is_the_number_of_steps():
    steps = as_steps([0, 1, 7, 10**9, 10**30])
    actual = gradient_filter(np.array([0.0]), 0.25, steps)[:, 0]
    np.testing.assert_array_equal(actual, [0, 0.25, 1.75, 0.25e9, 0.25e30])
    np.testing.assert_array_equal(decay(np.array([0.0]), 0.25, steps)[:, 0], np.ones(5))


def test_parity_survives_beyond_the_integers_of_float64():
    slow = np.array([2 - 2.0**-52])
    even, odd = decay(slow, 1.0, as_steps([2**56, 2**56 + 1]))[:, 0]
    assert float(2**56) == float(2**56 + 1)
    assert even > 0 > odd
    assert even == -odd


def test_integers_beyond_the_range_of_float64_are_the_limit():
    steps = as_steps([10**400, 10**400 + 1])
    values = np.array([1e-3, 0.7, 1.0, 1.9])
    np.testing.assert_array_equal(decay(values, 1.0, steps), np.zeros((2, 4)))
    np.testing.assert_array_equal(gradient_filter(values, 1.0, steps), np.tile(1 / values, (2, 1)))


def test_a_diverging_power_overflows_to_infinity():
    assert decay(np.array([3.5]), 1.0, as_steps([10**6]))[0, 0] == np.inf
    assert gradient_filter(np.array([3.5]), 1.0, as_steps([10**6]))[0, 0] == -np.inf


@given(
    values=st.lists(st.floats(1e-14, 1.0), max_size=4),
    rate=st.floats(1e-6, 2.0, exclude_max=True),
)
def test_nothing_is_left_after_the_decay_time(values, rate):
    values = np.array(values)
    t = decay_time(values, rate)
    assert isinstance(t, int)
    assert not decay(values, rate, as_steps(t)).any()
    if len(values) and t > 100:
        assert decay(values, rate, as_steps(t // 2)).any()


@pytest.mark.parametrize(
    ("t", "shape"),
    [
        (5, ()),
        (np.int64(5), ()),
        (np.uint8(5), ()),
        (5.0, ()),
        (np.float64(5), ()),
        ([5, 1], (2,)),
        ((5, 10**30), (2,)),
        (range(5, 8), (3,)),
        (np.array([[5, 1]]), (1, 2)),
        (np.array([5.0, 2.0**60]), (2,)),
        (np.array([5, 10**30], dtype=object), (2,)),
        ([], (0,)),
    ],
)
def test_steps_come_in_many_forms(t, shape):
    steps = as_steps(t)
    assert steps.shape == shape
    assert steps.count.dtype == np.float64
    assert len(steps) == np.prod(shape, dtype=int)
    if len(steps):
        assert steps.count[0] == 5
        assert steps.odd[0]
    assert not steps.odd[1:2].any() or steps.count[1] % 2 == 1


@pytest.mark.parametrize(
    ("t", "error", "match"),
    [
        (-1, ValueError, r"t must be at least 0 steps, got -1"),
        ([3, -2], ValueError, r"t must be at least 0 steps, got -2"),
        (np.array([3, -2]), ValueError, r"t must be at least 0 steps, got -2"),
        (2.5, ValueError, r"t must hold whole numbers of steps, got 2\.5"),
        ([1, 2.5], ValueError, r"t must hold whole numbers of steps, got 2\.5"),
        (np.array([1, 2.5]), ValueError, r"t must hold whole numbers of steps, got 2\.5"),
        (float("nan"), ValueError, r"t must hold whole numbers of steps, got nan"),
        (np.array([np.inf]), ValueError, r"t must hold whole numbers of steps, got inf"),
        ("3", TypeError, r"t must hold integers, got '3'"),
        (True, TypeError, r"t must hold integers, got True"),
        (np.array([True]), TypeError, r"t must hold integers, got dtype bool"),
        ([1, None], TypeError, r"t must hold integers, got None"),
        (np.array([1j]), TypeError, r"t must hold integers, got dtype complex128"),
    ],
)
def test_steps_that_are_none(t, error, match):
    with pytest.raises(error, match=match):
        as_steps(t)
