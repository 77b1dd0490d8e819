"""The frozen factorization, its rank cut, and the words for a degenerate kernel."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import EPS, assert_close

from ntklin.algebra.spectrum import (
    as_rank_cut,
    as_ridge,
    degenerate_error,
    factorize,
    modes,
    parallel_rows,
    refuse_degenerate,
)
from ntklin.edge.errors import DegenerateKernelError

DTYPES = [np.float32, np.float64]


def features(n, p, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, p)).astype(dtype)


@given(n=st.integers(1, 8), p=st.integers(1, 8), seed=st.integers(0, 99))
def test_factors_give_the_kernel_back(n, p, seed):
    K = features(n, p, seed)
    K = K @ K.T
    s = factorize(K, rank_bound=p)
    assert_close((s.vectors * s.values) @ s.vectors.T, K, kind="solve", n=n)
    assert_close(s.vectors.T @ s.vectors, np.eye(n), kind="solve", n=n)
    assert (np.diff(s.values) >= 0).all()
    assert s.smallest == s.values[0]
    assert s.largest == s.values[-1]
    assert s.n_excess == max(0, n - p)
    assert s.kept().sum() == min(n, p)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_algebra_is_float64_and_the_cut_that_of_the_kernel(dtype):
    K = np.diag(np.array([1.0, 3 * EPS[np.dtype(dtype)], 5 * EPS[np.dtype(dtype)], 1.0], dtype))
    s = factorize(K)
    assert s.values.dtype == s.vectors.dtype == np.float64
    assert s.resolution == 4 * EPS[np.dtype(dtype)]
    np.testing.assert_array_equal(s.kept(), [False, True, True, True])


@pytest.mark.parametrize(("dtype", "rank"), [(np.float32, 1), (np.float64, 2)])
def test_the_cut_is_that_of_the_features_precision(dtype, rank):
    lin = linear_model(np.diag([1, 2.0**-12]).astype(dtype))
    assert lin.spectrum.kept().sum() == rank
    assert lin.spectrum.values.tolist() == [2.0**-24, 1]


def test_a_factorization_is_frozen():
    s = factorize(np.eye(2))
    with pytest.raises(ValueError, match="read-only"):
        s.values[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        s.vectors[0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="values"):
        s.values = None


def test_the_kernel_is_left_alone():
    K = features(3, 5)
    K = K @ K.T
    before = K.copy()
    factorize(K)
    np.testing.assert_array_equal(K, before)


def test_rank_cut_and_inverse():
    s = factorize(np.diag([1e-20, 1e-6, 1e-2, 1.0]))
    np.testing.assert_array_equal(s.kept(), [False, True, True, True])
    np.testing.assert_array_equal(s.kept(1e-3), [False, False, True, True])
    np.testing.assert_array_equal(s.kept(1e-2), [False, False, False, True])
    np.testing.assert_array_equal(s.kept(0.0), [True] * 4)
    np.testing.assert_allclose(s.inverse(), [0, 1e6, 1e2, 1], rtol=1e-15)
    np.testing.assert_allclose(s.inverse(rcond=1e-3), [0, 0, 1e2, 1], rtol=1e-15)
    np.testing.assert_allclose(s.inverse(ridge=1.0), 1 / (s.values + 1), rtol=1e-15)
    np.testing.assert_allclose(s.inverse(1e-3, 1.0), [0, 0, 1 / 1.01, 0.5], rtol=1e-15)
    assert s.is_degenerate
    assert not factorize(np.diag([1e-6, 1e-2, 1.0])).is_degenerate


def test_rounding_below_zero_counts_as_zero():
    s = factorize(np.diag([-1e-17, 1.0]))
    assert s.smallest == -1e-17
    np.testing.assert_array_equal(s.nonnegative, [0, 1])
    np.testing.assert_array_equal(s.significant, [0, 1])
    np.testing.assert_array_equal(s.inverse(ridge=0.5), [2, 1 / 1.5])


def test_excess_directions_are_null_whatever_rounding_says():
    s = factorize(np.diag([1e-3, 1.0, 2.0]), rank_bound=2)
    assert s.n_excess == 1
    assert not s.is_degenerate
    for array in (s.nonnegative, s.significant, s.inverse(0.0), s.inverse(ridge=1.0)):
        assert array[0] == 0
        assert (array[1:] > 0).all()


def test_a_zero_kernel_keeps_nothing():
    s = factorize(np.zeros((2, 2)))
    assert s.largest == s.threshold() == 0
    assert not s.kept().any()
    assert s.is_degenerate


# modes


@pytest.mark.parametrize("decades", [0, 2, 4, 6])
def test_modes_lose_what_rounding_leaves_of_an_exact_null_space(decades):
    """Of duplicate rows, beside eigenvalues over twice as many decades, which tilt it."""
    largest = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        U, W = (np.linalg.qr(rng.standard_normal(s))[0] for s in ((5, 5), (8, 5)))
        J = ((U * np.logspace(0, -decades, 5)) @ W.T)[rng.permutation([0, 1, 2, 3, 4, 2, 0])]
        J_new = rng.standard_normal((6, 8))
        s = factorize(J @ J.T, rank_bound=8)
        null = ~s.kept()
        assert null.sum() == 2
        raw = (J_new @ J.T) @ s.vectors
        projected, doubtful = modes(J_new @ J.T, s)
        largest = max(largest, np.abs(raw[:, null]).max())
        np.testing.assert_array_equal(projected[:, null], np.zeros((6, 2)))
        np.testing.assert_array_equal(projected[:, ~null], raw[:, ~null])
        np.testing.assert_array_equal(doubtful, raw[:, s.significant == 0])
    assert largest > 10.0**decades * EPS[np.dtype(float)] / 10


def test_modes_keep_a_null_direction_that_new_inputs_resolve():
    """Two rows 1e-8 apart: λ_min/λ_max = 1e-17, yet K(x, X)v = 1e-8 is far above rounding."""
    J = np.array([[1.0, 0.0], [1.0, 1e-8]])
    J_new = np.array([[0.0, 1.0]])
    s = factorize(J @ J.T, rank_bound=2)
    assert s.is_degenerate
    assert abs(modes(J_new @ J.T, s)[0][0, 0]) == pytest.approx(1e-8 / np.sqrt(2), rel=1e-6)


def test_modes_of_an_input_do_not_depend_on_the_others():
    J = np.array([[1.0, 0.0], [1.0, 1e-8]])
    s = factorize(J @ J.T, rank_bound=2)
    J_new = np.array([[0.0, 1.0], [1e12, 0.0]])
    for found, alone in zip(modes(J_new @ J.T, s), modes(J_new[:1] @ J.T, s), strict=True):
        np.testing.assert_array_equal(found[:1], alone)


def test_modes_of_excess_directions_vanish_whatever_they_are():
    s = factorize(np.diag([1.0, 2.0, 3.0]), rank_bound=2)
    np.testing.assert_array_equal(modes(np.ones((1, 3)), s)[0], [[0.0, 1.0, 1.0]])


# Degenerate kernels


def degenerate_message(J):
    K = J @ J.T
    return str(degenerate_error(K, factorize(K)))


def test_no_row_is_blamed_for_what_single_precision_cannot_resolve():
    """Of many rows N·eps·λ_max is above whole rows of K, none of which is zero or parallel."""
    K = (0.5 + 0.5 * np.eye(60)).astype(np.float32)
    spectrum = dataclasses.replace(factorize(K), resolution=0.05)
    assert K.max() <= spectrum.threshold()
    assert parallel_rows(K, spectrum.threshold()) == []
    assert "no two rows have parallel features" in str(degenerate_error(K, spectrum))
    K[4, 7] = K[7, 4] = 1
    assert parallel_rows(K, spectrum.threshold()) == [(4, 7)]


def test_parallel_rows_are_named():
    J = features(6, 30)
    J[4] = J[1]
    J[5] = -2.5 * J[2]
    K = J @ J.T
    assert parallel_rows(K, factorize(K).threshold()) == [(1, 4), (2, 5)]
    message = degenerate_message(J)
    assert "Counting rows from 0: rows of X with parallel features" in message
    assert "(1, 4), (2, 5)." in message
    assert "λ_min = " in message
    assert "ridge=" in message
    assert "rcond=" in message


def test_a_long_list_of_rows_is_cut():
    message = degenerate_message(np.ones((5, 7)) * np.arange(1, 6)[:, None])
    assert "(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3) and 4 more" in message


def test_zero_rows_are_named():
    J = features(4, 30)
    J[[1, 3]] = 0
    assert "rows without features, φ(x) = 0 to rounding: 1, 3." in degenerate_message(J)


def test_dependent_rows_are_named_where_no_two_are_parallel():
    J = features(5, 30)
    J[4] = J[0] - 2 * J[2]
    message = degenerate_message(J)
    assert "no two rows have parallel features" in message
    assert "linearly dependent ones: 0, 2, 4." in message


def test_only_single_precision_is_told_of_double():
    hint = "float64 inputs and parameters resolve more"
    for dtype, expected in ((np.float32, True), (np.float64, False)):
        J = features(3, 9, dtype=dtype)
        J[2] = J[0]
        assert (hint in degenerate_message(J)) == expected


@given(
    n=st.integers(2, 6),
    angle=st.sampled_from([0.0, 1e-12, 1e-3, 0.3]),
    length=st.sampled_from([1e-3, 1.0, 1e3]),
    dtype=st.sampled_from(DTYPES),
)
def test_a_pair_is_named_exactly_when_it_alone_makes_the_kernel_singular(n, angle, length, dtype):
    J = np.eye(n, n + 1)
    J[1] = length * (np.cos(angle) * J[0] + np.sin(angle) * np.eye(n + 1)[n])
    K = (J @ J.T).astype(dtype)
    s = factorize(K)
    exact = length**2 * np.sin(angle) ** 2 / (1 + length**2)  # to first order in the angle
    named = parallel_rows(K, s.threshold())
    assert named in ([], [(0, 1)])
    if exact > 10 * s.threshold():
        assert named == []
    if exact < 0.1 * s.threshold():
        assert named == [(0, 1)]


def test_degenerate_is_refused_only_where_nobody_said_what_to_do():
    K = np.ones((2, 2))
    s = factorize(K)
    with pytest.raises(DegenerateKernelError, match=r"\(0, 1\)"):
        refuse_degenerate(K, s, rcond=None, ridge=0.0)
    refuse_degenerate(K, s, rcond=1e-10, ridge=0.0)
    refuse_degenerate(K, s, rcond=None, ridge=1e-10)
    refuse_degenerate(K, factorize(K, rank_bound=1), rcond=None, ridge=0.0)


# Options


def test_options_pass():
    assert as_ridge(0) == 0.0
    assert as_ridge(np.float32(2)) == 2.0
    assert as_rank_cut(None) is None
    assert as_rank_cut(0) == 0.0
    assert as_rank_cut(1e-3) == 1e-3


@pytest.mark.parametrize(
    ("check", "value", "error", "match"),
    [
        (as_ridge, -1e-3, ValueError, r"ridge must be finite and at least 0, got -0\.001"),
        (as_ridge, np.inf, ValueError, r"ridge must be finite and at least 0, got inf"),
        (as_ridge, np.nan, ValueError, r"ridge must be finite and at least 0, got nan"),
        (as_ridge, "much", TypeError, r"ridge must be a number, got 'much'"),
        (as_ridge, None, TypeError, r"ridge must be a number, got None"),
        (as_rank_cut, -1, ValueError, r"rcond must be finite and at least 0, got -1"),
        (as_rank_cut, 1.0, ValueError, r"rcond must be below 1 \(it is relative to λ_max\), got 1"),
        (as_rank_cut, [1, 2], TypeError, r"rcond must be a number, got \[1, 2\]"),
    ],
)
def test_options_that_are_refused(check, value, error, match):
    with pytest.raises(error, match=match):
        check(value)
