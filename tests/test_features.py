"""φ(X) as an operator: against a dense J, its adjoint, both Gram matrices and the projector P_F."""

import pickle

import naive
import numba
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import cases, inputs, keep_clear_of_kinks, make_case
from scipy.sparse.linalg import LinearOperator, aslinearoperator, lsqr
from tolerances import EPS, assert_close

import ntklin

seeds = st.integers(0, 10**6)


def normal(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def diagonal(kind, seed, n, dtype):
    """Non-negative weights: with many zeros, all zero, or over many orders of magnitude."""
    rng = np.random.default_rng(seed)
    D = rng.random(n)
    if kind == "sparse":
        D *= rng.random(n) < 0.3
    elif kind == "zero":
        D *= 0
    elif kind == "wild":
        reach = 12 if dtype == np.float32 else 80
        D = 10.0 ** rng.uniform(-reach, reach, n)
    return D.astype(dtype)


diagonals = st.sampled_from(["plain", "sparse", "zero", "wild"])


# Products


@given(cases(general=True), seeds)
def test_products_with_vectors_and_blocks(case, seed):
    phi = case.net.features(case.theta, case.X)
    J, bound = case.jacobian(), case.jacobian_bound()
    n_rows, n_parameters = J.shape
    V, R = (normal(seed, m, 3, dtype=case.dtype) for m in (n_parameters, n_rows))
    for actual, expected, scale in (
        (phi @ V[:, 0], J @ V[:, 0], bound @ np.abs(V[:, 0])),
        (phi @ V, J @ V, bound @ np.abs(V)),
        (phi.T @ R[:, 0], J.T @ R[:, 0], bound.T @ np.abs(R[:, 0])),
        (phi.T @ R, J.T @ R, bound.T @ np.abs(R)),
        (phi.H @ R, J.T @ R, bound.T @ np.abs(R)),
    ):
        assert actual.dtype == case.dtype
        assert_close(actual, expected, kind="jacobian", n=case.n + n_parameters, scale=scale)


@given(cases(general=True), seeds)
def test_adjoint(case, seed):
    phi = case.net.features(case.theta, case.X)
    v = normal(seed, phi.shape[1], dtype=case.dtype)
    r = normal(seed + 1, phi.shape[0], dtype=case.dtype)
    scale = np.abs(r) @ case.jacobian_bound() @ np.abs(v)
    forward, backward = np.float64(r @ (phi @ v)), np.float64((phi.T @ r) @ v)
    n = case.n + phi.shape[1]
    assert_close(forward, backward, kind="jacobian", n=n, scale=scale, dtype=case.dtype)


@given(cases(general=True))
def test_dense_form_outputs_and_attributes(case):
    phi = case.net.features(case.theta, case.X)
    assert isinstance(phi, ntklin.FeatureMap)
    assert isinstance(phi, LinearOperator)
    assert aslinearoperator(phi) is phi
    assert phi.shape == (len(case.X) * case.net.n_outputs, case.net.n_parameters)
    assert phi.dtype == case.dtype
    assert phi.network == case.net
    np.testing.assert_array_equal(phi.parameters, case.theta)
    np.testing.assert_array_equal(phi.inputs, case.X)
    np.testing.assert_array_equal(phi.outputs, case.net.apply(case.theta, case.X))
    scale = case.jacobian_bound()
    assert_close(phi.toarray(), case.jacobian(), kind="jacobian", n=case.n, scale=scale)
    out = np.full(phi.shape, np.nan, case.dtype)
    assert phi.toarray(out=out) is out
    np.testing.assert_array_equal(out, phi.toarray())


def test_scipy_solvers_take_it():
    case = make_case((3, 8, 1), n=4)
    phi = case.net.features(case.theta, case.X)
    r = normal(1, 4)
    solution = lsqr(phi, r, atol=1e-14, btol=1e-14)[0]
    J = phi.toarray()
    kappa = np.linalg.cond(J) ** 2
    expected = np.linalg.lstsq(J, r, rcond=None)[0]
    assert_close(solution, expected, kind="solve", n=case.n * 100, kappa=kappa)


# Gram matrices


def gram_scale(left, right):
    return np.outer(*(np.sqrt((b**2).sum(axis=1)) for b in (left, right)))


@given(cases(general=True))
def test_gram_is_j_j_transposed(case):
    K = case.net.features(case.theta, case.X).gram()
    assert K.dtype == case.dtype
    np.testing.assert_array_equal(K, K.T)
    scale = gram_scale(*2 * [case.jacobian_bound()])
    assert_close(K, naive.gram(case.jacobian()), kind="gram", n=case.n, scale=scale)


@given(cases(general=True), seeds, st.integers(1, 4))
def test_cross_gram(case, seed, n):
    X = inputs(np.random.default_rng(seed), case.net.n_inputs, n, case.dtype)
    keep_clear_of_kinks(case, X)
    phi, other = (case.net.features(case.theta, x) for x in (case.X, X))
    K = phi.gram(other)
    expected = naive.gram(case.jacobian(), case.jacobian(X))
    scale = gram_scale(case.jacobian_bound(), case.jacobian_bound(X))
    assert_close(K, expected, kind="gram", n=case.n, scale=scale)
    np.testing.assert_array_equal(phi.gram(phi), phi.gram())


@given(cases(general=True), seeds, st.integers(1, 4), diagonals)
def test_weighted_gram_is_j_d_j_transposed(case, seed, n, kind):
    D = diagonal(kind, seed, case.net.n_parameters, case.dtype)
    X = inputs(np.random.default_rng(seed), case.net.n_inputs, n, case.dtype)
    keep_clear_of_kinks(case, X)
    phi, other = (case.net.features(case.theta, x) for x in (case.X, X))
    bounds = [case.jacobian_bound(x) * np.sqrt(D.astype(float)) for x in (case.X, X)]
    symmetric = phi.gram(weights=D)
    assert symmetric.dtype == case.dtype
    np.testing.assert_array_equal(symmetric, symmetric.T)
    for actual, J2, bound in (
        (symmetric, case.jacobian(), bounds[0]),
        (phi.gram(other, weights=D), case.jacobian(X), bounds[1]),
    ):
        expected = naive.weighted_gram(case.jacobian(), D.astype(float), J2)
        scale = gram_scale(bounds[0], bound)
        assert_close(actual, expected, kind="weighted_gram", n=case.n, scale=scale)


@given(cases(general=True), seeds)
def test_unit_weights_give_the_plain_gram(case, seed):
    phi = case.net.features(case.theta, case.X)
    scale = gram_scale(*2 * [case.jacobian_bound()])
    weighted = phi.gram(weights=np.ones(phi.shape[1]))
    assert_close(weighted, phi.gram(), kind="weighted_gram", n=case.n, scale=scale)


@pytest.mark.parametrize(
    "dtype", [pytest.param(np.float32, marks=pytest.mark.compiled), np.float64]
)
@pytest.mark.parametrize(
    ("widths", "n", "n_other"),
    [
        ((850, 9, 1), 6, 5),  # more columns than one panel of the weighted Gram
        ((1600, 8, 1), 3, 2),
        ((3, 33, 20, 1), 13, 6),  # tiles of four rows with every remainder
        ((2, 130, 1), 3, 9),  # few inputs, several slices of neurons
        ((2, 70, 1), 131, 3),  # more inputs than one tile
        ((3, 70, 4), 70, 35),  # the same of several outputs, by products of their weights
        ((3, 20, 70, 3), 39, 7),  # and by backward signals of each
        ((850, 9, 5), 6, 33),
    ],
)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_grams_beyond_one_block(widths, n, n_other, dtype, activation):
    case = make_case(widths, n=n, dtype=dtype, activation=activation)
    case.X[:, 0] = 0
    X = inputs(np.random.default_rng(1), widths[0], n_other, dtype)
    phi, other = (case.net.features(case.theta, x) for x in (case.X, X))
    D = diagonal("sparse", 0, phi.shape[1], dtype)
    J, J_other = (f.toarray().astype(float) for f in (phi, other))
    for actual, right, weights in (
        (phi.gram(), J, 1.0),
        (phi.gram(other), J_other, 1.0),
        (phi.gram(weights=D), J, D.astype(float)),
        (phi.gram(other, weights=D), J_other, D.astype(float)),
    ):
        scale = gram_scale(J * np.sqrt(weights), right * np.sqrt(weights))
        expected = (J * weights) @ right.T
        assert_close(actual, expected, kind="weighted_gram", n=case.n, scale=scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("widths", [(3, 70, 1), (3, 20, 130, 1)])
def test_gram_of_many_inputs(widths, dtype):
    # From some 200 inputs on, the products skip zeros instead of calling BLAS.
    case = make_case(widths, n=210, dtype=dtype)
    phi = case.net.features(case.theta, case.X)
    J = phi.toarray().astype(float)
    K = phi.gram()
    np.testing.assert_array_equal(K, K.T)
    assert_close(K, J @ J.T, kind="gram", n=case.n, scale=gram_scale(J, J))


@pytest.mark.compiled("without the JIT there are no threads")
def test_thread_counts_agree():
    case = make_case((20, 40, 130, 1), n=140)
    D = diagonal("plain", 0, case.net.n_parameters, np.float64)
    v, r = normal(0, len(D)), normal(1, 140)
    n_threads = numba.get_num_threads()
    results = []
    for n in (1, n_threads):
        numba.set_num_threads(n)
        try:
            phi = case.net.features(case.theta, case.X)
            results.append((phi.gram(), phi.gram(weights=D), phi @ v, phi.T @ r, phi.outputs))
        finally:
            numba.set_num_threads(n_threads)
    for one, several in zip(*results, strict=True):
        assert_close(several, one, kind="weighted_gram", n=case.n + len(D))


def test_dead_network_keeps_its_output_bias_only():
    net = ntklin.MLP((2, 9, 1), sigma=2.0)
    theta = net.init(0)
    net.unpack(theta)[0][1][:] = -100.0
    X = normal(0, 3, 2)
    phi = net.features(theta, X)
    np.testing.assert_array_equal(phi.gram(), np.full((3, 3), 4.0))
    D = np.zeros(net.n_parameters)
    D[-1] = 0.25
    np.testing.assert_array_equal(phi.gram(weights=D), np.full((3, 3), 1.0))
    np.testing.assert_array_equal(phi.T @ np.ones(3), 12 * np.eye(net.n_parameters)[-1] / 2)


# The projector


@given(cases(min_depth=2, rows=["plain"], dtypes=[np.float64]), seeds)
def test_projector_algebra(case, seed):
    """P_F² = P_F = P_F^T, φ(X)(1 − P_F) = 0, rank N, and the reference's matrix."""
    J = case.jacobian()
    assume(len(J) <= J.shape[1])
    singular = np.linalg.svd(J, compute_uv=False)
    assume(singular[-1] > 1e-5 * singular[0])
    kappa = (singular[0] / singular[-1]) ** 2
    phi = case.net.features(case.theta, case.X)
    n = case.n + len(case.theta)
    close = {"kind": "projector", "n": n, "kappa": kappa, "scale": 1.0}
    P = np.stack([phi.project(e) for e in np.eye(phi.shape[1])], axis=1)
    assert_close(P, naive.projector(J), **close)
    assert_close(P @ P, P, **close)
    assert_close(P, P.T, **close)
    assert np.linalg.matrix_rank(P, tol=0.5) == len(J)
    v = normal(seed, phi.shape[1])
    v /= np.linalg.norm(v)
    assert_close((phi @ (v - phi.project(v))) / singular[0], np.zeros(len(J)), **close)
    assert_close(phi.project(phi.project(v)), phi.project(v), **close)
    row = phi.T @ normal(seed, len(J))
    assert_close(phi.project(row) / np.linalg.norm(row), row / np.linalg.norm(row), **close)


@pytest.mark.parametrize("wrap", [lambda net: net, ntklin.AntisymmetricPair])
def test_projector_of_blocks(wrap):
    case = make_case((3, 9, 1), n=3)
    net = wrap(case.net)
    phi = net.features(net.init(0), case.X)
    V = normal(1, 3 * net.n_parameters).reshape(-1, 3)
    columns = np.stack([phi.project(v) for v in V.T], axis=1)
    assert_close(phi.project(V), columns, kind="projector", n=9)
    assert phi.project(V[:, :1]).shape == (net.n_parameters, 1)


def test_projector_in_single_precision():
    case = make_case((3, 9, 1), n=3, dtype=np.float32)
    phi = case.net.features(case.theta, case.X)
    J = case.jacobian()
    v = normal(0, phi.shape[1], dtype=np.float32)
    actual = phi.project(v)
    assert actual.dtype == np.float32
    kappa = np.linalg.cond(J) ** 2
    expected = naive.projector(J) @ v
    scale = np.linalg.norm(v)
    assert_close(actual, expected, kind="projector", n=case.n, kappa=kappa, scale=scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_projector_of_duplicate_rows_is_refused(seed, dtype):
    case = make_case((3, 9, 1), n=4, seed=seed, dtype=dtype)
    case.X[3] = case.X[1]
    phi = case.net.features(case.theta, case.X)
    with pytest.raises(ntklin.DegenerateKernelError, match=r"equal or parallel inputs.*\(1, 3\)"):
        phi.project(np.ones(phi.shape[1], dtype))


# What goes in


def test_nothing_is_mutated():
    case = make_case((3, 9, 4, 1))
    v, r, D = normal(0, case.net.n_parameters), normal(1, 4), np.ones(case.net.n_parameters)
    arrays = [case.theta, case.X, v, r, D]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    phi = case.net.features(case.theta, case.X)
    first = [phi @ v, phi.T @ r, phi.gram(), phi.gram(weights=D), phi.project(v), phi.outputs]
    for result in first:
        result += 1
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_results_do_not_depend_on_what_callers_do_to_earlier_ones():
    case = make_case((3, 9, 4, 1))
    phi = case.net.features(case.theta, case.X)
    v = normal(0, phi.shape[1])
    before = phi @ v, phi.gram(), phi.project(v), phi.toarray()
    for result in (phi.gram(), phi.toarray(), phi.project(v)):
        result[:] = 7
    case.theta[:] = 0
    case.X[:] = 0
    for a, b in zip((phi @ v, phi.gram(), phi.project(v), phi.toarray()), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_vectors_may_be_strided_and_of_other_dtypes():
    case = make_case((2, 3, 1))
    phi = case.net.features(case.theta, case.X)
    v = np.arange(2 * phi.shape[1])[::2]
    np.testing.assert_array_equal(phi @ v, phi @ v.astype(float))
    V = np.asfortranarray(normal(0, phi.shape[1], 4))[:, ::2]
    np.testing.assert_array_equal(phi @ V, phi @ np.ascontiguousarray(V))
    np.testing.assert_array_equal(phi.gram(weights=v), phi.gram(weights=v.astype(float)))


def test_empty_blocks():
    phi = ntklin.MLP((2, 3, 1)).features(np.ones(13), np.ones((2, 2)))
    assert (phi @ np.ones((13, 0))).shape == (2, 0)
    assert (phi.T @ np.ones((2, 0))).shape == (13, 0)


def test_mixed_precision_gram_is_float64():
    case = make_case((2, 3, 1), dtype=np.float32)
    single = case.net.features(case.theta, case.X)
    double = case.net.features(case.theta.astype(float), case.X.astype(float))
    K = single.gram(double)
    assert K.dtype == np.float64
    scale = gram_scale(*2 * [case.jacobian_bound()])
    assert_close(K, double.gram(), kind="gram", n=case.n, scale=scale, dtype=np.float32)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(12), ValueError, r"weights must have shape \(13,\), got shape \(12,\)"),
        (-np.ones(13), ValueError, "weights must be non-negative.*smallest entry is -1"),
        (np.full(13, np.nan), ValueError, "weights contains NaN or infinite.*entry 0"),
        (np.full(13, np.inf), ValueError, "weights contains NaN or infinite"),
        (np.eye(13), ValueError, r"weights must have shape \(13,\), got shape \(13, 13\)"),
        (np.ones(13, complex), TypeError, "weights must be an array of real numbers"),
    ],
)
def test_bad_weights(weights, error, message):
    phi = ntklin.MLP((2, 3, 1)).features(np.ones(13), np.ones((2, 2)))
    with pytest.raises(error, match=message):
        phi.gram(weights=weights)


def test_weights_beyond_single_precision_do_not_become_infinite():
    phi = ntklin.MLP((2, 3, 1)).features(np.ones(13, np.float32), np.ones((2, 2), np.float32))
    with pytest.raises(ValueError, match=r"weights.*float32"):
        phi.gram(weights=np.full(13, 1e60))


@pytest.mark.parametrize(
    "other",
    [
        ntklin.MLP((2, 3, 1), sigma=2.0).features(np.ones(13), np.ones((2, 2))),
        np.ones((2, 2)),
        ntklin.AntisymmetricPair(ntklin.MLP((2, 3, 1))).features(np.ones(26), np.ones((2, 2))),
    ],
)
def test_bad_other(other):
    phi = ntklin.MLP((2, 3, 1)).features(np.ones(13), np.ones((2, 2)))
    with pytest.raises(ValueError, match="other must be a FeatureMap of the same network"):
        phi.gram(other)


def test_bad_vectors():
    phi = ntklin.MLP((2, 3, 1)).features(np.ones(13), np.ones((2, 2)))
    with pytest.raises(ValueError, match="mismatch"):
        phi @ np.ones(12)
    with pytest.raises(ValueError, match="mismatch"):
        phi.T @ np.ones((3, 2))
    with pytest.raises(TypeError, match="real"):
        phi @ np.ones(13, complex)


def test_a_kernel_that_does_not_fit_is_refused_beforehand(monkeypatch):
    from ntklin.edge import checks as _validate

    phi = ntklin.MLP((2, 3, 1)).features(np.ones(13), np.ones((2, 2)))
    monkeypatch.setattr(_validate, "available_memory", lambda: 10)
    with pytest.raises(ntklin.MemoryLimitError, match=r"a kernel of shape \(2, 2\) needs"):
        phi.gram()
    with pytest.raises(ntklin.MemoryLimitError, match=r"dense Jacobian of shape \(2, 13\) needs"):
        phi.toarray()


def test_single_precision_gram_tracks_double():
    case = make_case((5, 30, 1), n=8, dtype=np.float32)
    single = case.net.features(case.theta, case.X).gram()
    double = case.net.features(case.theta.astype(float), case.X.astype(float)).gram()
    assert_close(single, double, kind="gram", n=case.n)
    assert np.abs(single - double).max() > EPS[np.dtype(np.float64)] * double.max()


@pytest.mark.parametrize("wrap", [lambda net: net, ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_features_stay_those_of_their_inputs(wrap):
    """Whoever made them may fill X anew."""
    net = wrap(ntklin.MLP((3, 20, 1)))
    X = np.eye(3)
    phi, kept = net.features(net.init(1), X), net.features(net.init(1), X.copy())
    X[:] = 7
    np.testing.assert_array_equal(phi.inputs, np.eye(3))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(phi)).gram(), kept.gram())
    np.testing.assert_array_equal(
        phi.balanced(np.float32)[0].outputs, kept.balanced(np.float32)[0].outputs
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_a_kernel_with_other_inputs_needs_their_signals_too(weighted, monkeypatch):
    """As many numbers for each as the last hidden layer has neurons, and layers if D is given."""
    seen = []
    monkeypatch.setattr(
        "ntklin.networks.features.require_memory", lambda size, *what, **beside: seen.append(size)
    )
    net, X = ntklin.MLP((3, 7, 5, 1)), np.eye(3)
    theta = net.init(0)
    phi, other = net.features(theta, X), net.features(theta, X)
    weights = np.ones(net.n_parameters) if weighted else None
    phi.gram(weights=weights)
    phi.gram(other, weights)
    own, both = seen
    assert both - own == 8 * 3 * (5 + weighted * 2 * (7 + 5))
