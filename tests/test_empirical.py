"""`ntk`: the empirical kernel in its order of arguments, symmetric, semidefinite, weighted."""

import tracemalloc

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import cases, inputs, keep_clear_of_kinks, make_case
from tolerances import assert_close, tolerance

import ntklin
from ntklin.kernels import cpu

WRAPPERS = (lambda net: net, ntklin.AntisymmetricPair, ntklin.DoubledNetwork)


@given(cases(general=True), st.integers(0, 10**6), st.booleans())
def test_against_the_reference(case, seed, weighted):
    rng = np.random.default_rng(seed)
    X2 = inputs(rng, case.net.n_inputs, 3, case.dtype)
    keep_clear_of_kinks(case, X2)
    weights = rng.random(case.net.n_parameters).astype(case.dtype) if weighted else None
    D = np.ones(case.net.n_parameters) if weights is None else weights.astype(float)
    n, C = len(case.X), case.net.n_outputs
    for X_other, shape in ((None, (n * C, n * C)), (X2, (n * C, 3 * C))):
        K = ntklin.ntk(case.net, case.theta, case.X, X_other, weights=weights)
        assert K.shape == shape
        assert K.dtype == case.dtype
        J2, bound2 = case.jacobian(X_other), case.jacobian_bound(X_other)
        expected = naive.weighted_gram(case.jacobian(), D, J2)
        scale = (case.jacobian_bound() * D) @ bound2.T
        assert_close(K, expected, kind="weighted_gram", n=case.n + len(D), scale=scale)


@given(cases(general=True), st.integers(0, 10**6))
def test_symmetric_and_positive_semidefinite(case, seed):
    weights = np.random.default_rng(seed).random(case.net.n_parameters).astype(case.dtype)
    for D in (None, weights):
        K = ntklin.ntk(case.net, case.theta, case.X, weights=D)
        np.testing.assert_array_equal(K, K.T)
        allowed = tolerance("weighted_gram", case.dtype, n=case.n) * np.trace(K)
        assert np.linalg.eigvalsh(K.astype(float))[0] >= -allowed


@given(cases(min_depth=2, rows=["plain"]), st.sampled_from(WRAPPERS), st.integers(0, 99))
def test_swapping_the_inputs_transposes(case, wrap, seed):
    net = wrap(case.net)
    theta = net.init(seed, case.dtype)
    X2 = inputs(np.random.default_rng(seed), net.n_inputs, 3, case.dtype)
    K = ntklin.ntk(net, theta, case.X, X2)
    size = np.sqrt(ntklin.ntk(net, theta, case.X).max() * ntklin.ntk(net, theta, X2).max())
    transposed = ntklin.ntk(net, theta, X2, case.X).T
    assert_close(K, transposed, kind="gram", n=case.n, scale=size)
    both = ntklin.ntk(net, theta, np.vstack([case.X, X2]))
    n = len(case.X)
    assert_close(both[:n, n:], K, kind="gram", n=case.n, scale=np.abs(both).max())


@pytest.mark.parametrize("n", [400, 1000])
def test_a_weighted_kernel_takes_the_copies_that_it_says(n):
    net, rng = ntklin.MLP((3, 4, 1)), np.random.default_rng(0)
    phi = net.features(net.init(0, np.float32), rng.standard_normal((n, 3), np.float32))
    other = phi.rows(slice(0, n))
    tracemalloc.start()
    K = phi.gram(other, weights=np.ones(net.n_parameters, np.float32))
    taken = tracemalloc.get_traced_memory()[1] / K.nbytes
    tracemalloc.stop()
    copies = cpu.weighted_gram_copies(K.shape, K.itemsize)
    assert copies - 1.5 < taken < copies + 0.5


@pytest.mark.parametrize("scaling", ["fan_out", "fan_in", "eq1"])
def test_duplicate_rows_make_it_singular(scaling):
    case = make_case((3, 10, 1), n=4, scaling=scaling)
    case.X[3] = case.X[0]
    K = ntklin.ntk(case.net, case.theta, case.X)
    np.testing.assert_array_equal(K[3], K[0])
    assert np.linalg.matrix_rank(K) == 3


def test_eq1_kernel_grows_like_the_width_and_fan_out_does_not():
    # v_l² Σ_i δ_i² with v_l = σ: σ² times the number of active neurons.
    X = np.random.default_rng(0).standard_normal((2, 3))
    means = {}
    for scaling in ("eq1", "fan_out"):
        for width in (64, 512):
            net = ntklin.MLP((3, width, 1), scaling=scaling)
            kernels = [np.trace(ntklin.ntk(net, net.init(seed), X)) for seed in range(20)]
            means[scaling, width] = np.mean(kernels)
    assert 6 < means["eq1", 512] / means["eq1", 64] < 9
    assert 0.9 < means["fan_out", 512] / means["fan_out", 64] < 1.1


@pytest.mark.parametrize(
    ("X1", "X2", "message"),
    [
        (np.ones((2, 3)), None, "X has 3 columns.*dimension 2"),
        (np.ones((2, 2)), np.ones((2, 3)), "X has 3 columns.*dimension 2"),
        (np.ones((2, 2)), [[np.nan, 0.0]], "X contains NaN"),
    ],
)
def test_bad_inputs(X1, X2, message):
    net = ntklin.MLP((2, 3, 1))
    with pytest.raises(ValueError, match=message):
        ntklin.ntk(net, net.init(), X1, X2)


def test_bad_weights():
    net = ntklin.MLP((2, 3, 1))
    with pytest.raises(ValueError, match=r"weights must have shape \(13,\)"):
        ntklin.ntk(net, net.init(), np.eye(2), weights=np.ones(2))
