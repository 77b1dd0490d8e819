"""Powers as Chebyshev sums, against mpmath."""

import mpmath
import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval

from ntklin.algebra.chebyshev import degree, power_coefficients

INTERVALS = [(0.0, 1.0), (-1.0, 1.0), (-0.3, 1.02), (0.8, 1.0), (0.999, 1.0)]


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_sums_are_powers(low, high):
    t = np.array([0, 1, 2, 7, 64, 1000, 20001])
    coefficients = power_coefficients(t, low, high)
    y = np.cos(np.pi * np.linspace(0, 1, 23))
    exact = [mpmath.mpf(high + low) / 2 + mpmath.mpf(high - low) / 2 * mpmath.mpf(v) for v in y]
    for s, c in zip(t.tolist(), coefficients, strict=True):
        expected = np.array([float((x / high) ** s) for x in exact])
        found = chebval(y, c) / float(mpmath.mpf(high) ** s)
        # x^s of a rounded x is off by s eps of itself.
        np.testing.assert_allclose(found, expected, rtol=0, atol=4e-16 * (4 + s))


def test_degrees_grow_like_a_root():
    assert [degree(t, 0.0, 1.0) for t in (0, 1, 30)] == [0, 1, 30]
    assert degree(10**4, -1.0, 1.0) < 1000
    assert 9 < degree(10**8, 0.0, 1.0) / degree(10**6, 0.0, 1.0) < 11
    assert degree(10**4, 0.99, 1.0) < degree(10**4, 0.0, 1.0) / 4
    assert power_coefficients(np.zeros(0, np.int64), 0.0, 1.0).shape == (0, 1)


def test_the_power_0_is_1_wherever():
    """Also where x is 0: here the only node is, and so small that it becomes 0."""
    assert power_coefficients(np.array([0]), -1e-310, 1e-310).tolist() == [[1.0]]


def test_no_more_terms_than_degrees():
    c = power_coefficients(np.array([3, 400]), 0.0, 1.0)
    assert not c[0, 4:].any()
    assert c.shape[1] == degree(400, 0.0, 1.0) + 1


def test_what_is_left_out_is_rounding():
    """Against all 2,000 terms of the polynomial."""
    low, high, t = -0.5, 1.0, 2000
    c = power_coefficients(np.array([t]), low, high)[0]
    nodes = np.cos(np.pi * (np.arange(t + 1) + 0.5) / (t + 1))
    values = (0.25 + 0.75 * nodes) ** t
    rest = np.abs(chebval(nodes, c) - values)
    assert len(c) < t / 4
    assert rest.max() < 1e-12
