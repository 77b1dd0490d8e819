"""Intervals and the checks that are made of them: they cover the truth, and no more than that."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from ntklin.validation.theorems import Setting, Statement, run, statistics
from ntklin.validation.theorems.statistics import (
    Above,
    Below,
    Grid,
    Interval,
    Near,
    power_law,
)

QUICK = Setting(quick=True)


def test_mean_is_students_interval():
    values = np.random.default_rng(0).normal(3, 2, 12)
    found = statistics.mean(values)
    low, high = stats.t.interval(1 - 1e-4, 11, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    with pytest.raises(ValueError, match="at least 2 draws, got 1"):
        statistics.mean([1.0])


def test_exponent_is_the_regression_line():
    rng = np.random.default_rng(0)
    x = np.array([1, 4, 10, 100])
    y = 3 * x[:, None] ** -0.7 * np.exp(rng.normal(0, 0.2, (4, 5)))
    found = statistics.exponent(x, y)
    line = stats.linregress(np.log(np.repeat(x, 5)), np.log(y.ravel()))
    assert found.center == pytest.approx(line.slope)
    assert found.half == pytest.approx(line.stderr * stats.t.ppf(1 - 5e-5, 18))


def test_paired_draws_share_their_size():
    """The sizes of the columns scatter, their slopes do not."""
    x = np.array([1, 2, 8])
    y = x[:, None] ** 2.0 * np.array([1, 10, 1000])
    assert statistics.exponent(x, y, paired=True).half < 1e-12
    assert statistics.exponent(x, y).half > 1
    assert statistics.exponent(x, y, paired=True).center == pytest.approx(2)


def test_intervals_cover_the_truth():
    """As often as the level says."""
    rng, x, n = np.random.default_rng(1), np.array([1, 3, 9, 27]), 2_000
    covered = np.zeros(3)
    for _ in range(n):
        noise = rng.normal(0, 0.3, (4, 3))
        intervals = (
            (statistics.mean(noise[:, 0], 0.9), 0),
            (statistics.exponent(x, np.exp(noise), level=0.9), 0),
            (statistics.exponent(x, np.exp(noise), True, 0.9), 0),
        )
        covered += [found.low <= truth <= found.high for found, truth in intervals]
    # Five standard deviations of a share of 0.9 in 2,000.
    np.testing.assert_allclose(covered / n, 0.9, atol=5 * np.sqrt(0.09 / n))


def test_what_is_claimed_of_an_exponent():
    found = Interval(-0.45, 0.1)
    assert Near(-0.5).margin(found) == pytest.approx(0.05)
    assert Near(-0.6).margin(found) < 0 < Near(-0.6, bias=0.06).margin(found)
    assert Below(-0.3).margin(found) == pytest.approx(0.05)
    assert Below(-0.36).margin(found) < 0
    assert Above(-0.6).margin(found) == pytest.approx(0.05)
    assert Above(-0.5).margin(found) < 0
    assert str(Near(1.0, 0.1, paper=0.0)) == "exponent 1 ± 0.1 (0 in the paper)"
    assert str(Below(-0.3, -0.5)) == "exponent < -0.3 (-0.5 in the paper)"
    assert str(Above(0.9)) == "exponent > 0.9"


GRID = Grid((1, 10, 100), 8, ((1, 10, 100), 6))


def power(value=-0.5, grid=GRID):
    """A check of draws that fall like x^−0.5, and how often it drew."""
    calls = []

    def sample(problem, x, rng):
        calls.append(x)
        return problem * np.power(x, -0.5) * np.exp(rng.normal(0, 0.05, np.shape(x)))

    claims = Near(value), Near(-1.0), "m^-1"
    check = power_law("law", "it falls", lambda rng, setting: 2.0, sample, *claims, grid)
    return check, calls


def verdict(check, setting=QUICK, **options):
    statement = Statement(key="s", title="S", claim="c", text="t", checks=(check,))
    [found] = run([statement], setting, **options)
    return found


@pytest.mark.parametrize("paired", [False, True])
def test_a_power_law_is_told_from_another(paired):
    grid = replace(GRID, paired=paired)
    check, calls = power(grid=grid)
    found = verdict(check)
    assert found.passed
    assert len(calls) == (6 if paired else 18)  # the control has the same draws
    curve = found.measurement.curve
    assert curve.x == (1.0, 10.0, 100.0)
    assert curve.fit == pytest.approx(-0.5, abs=0.05)
    assert (curve.predicted, found.control.curve.predicted) == (-0.5, -1.0)
    assert not verdict(power(-0.8, grid)[0]).passed


def test_a_formula_chooses_its_quantity():
    """The other one does not fall."""

    def sample(problem, x, rng):
        return np.exp(rng.normal(0, 0.05, 2)) * [x**-0.5, 1]

    claims = Below(-0.3), Below(-0.3, column=1), "the second"
    check = power_law("law", "it falls", lambda rng, setting: None, sample, *claims, GRID)
    found = verdict(check)
    assert found.passed
    assert found.control.curve.fit == pytest.approx(0, abs=0.05)


def test_a_curve_survives_storing(tmp_path):
    check, calls = power()
    first = verdict(check, folder=tmp_path)
    drawn = len(calls)
    assert verdict(check, folder=tmp_path) == first
    assert len(calls) == drawn
    json.dumps(asdict(first))


def test_other_settings_draw_anew():
    check, calls = power()
    assert verdict(check, Setting(quick=True, seed=1)) != verdict(check)
    drawn = len(calls)
    verdict(check, Setting())
    assert len(calls) == drawn + 24


def test_an_expectation_is_told_from_another():
    check = statistics.expectation(
        "mean",
        "it is 1",
        lambda rng, setting: 1.0,
        lambda mu, rng: rng.normal(mu),
        lambda mu: mu,
        lambda mu: 1.5 * mu,
        "half as much again",
        n_draws=2_000,
        quick=1_000,
    )
    assert verdict(check).passed
    assert not verdict(replace(check, formula=lambda mu: 0.5 * mu)).passed


def test_an_inequality_has_to_hold_everywhere():
    check = statistics.everywhere(
        "bound",
        "u ≥ 0",
        lambda rng, setting: 0.0,
        lambda low, rng: rng.uniform(low, 1),
        lambda u: u,
        lambda u: u - 0.5,
        "u ≥ 1/2",
        n_draws=50,
        quick=30,
    )
    found = verdict(check)
    assert found.passed
    assert found.measurement.measured == "holds in 30 of 30 draws"
