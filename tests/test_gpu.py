"""All of ntklin on CuPy arrays, against the independent reference.

Each test runs on a stand-in for CuPy that computes on the host with the kernels' own sources, and
with ``pytest -m gpu`` on a GPU.
"""

import inspect
import math
import sys
from functools import partial

import naive
import numpy as np
import pytest
import stand_in_cupy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import cases, inputs, make_case
from test_infinite import CONVENTIONS, degenerate_inputs, exact, long_opposite_rows
from test_infinite import network as infinite_network
from tolerances import EPS, assert_close

import ntklin
from ntklin.edge import backends

DTYPES = [np.float32, np.float64]
# A fixture that lasts for all examples is what is wanted here.
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
BIASES = ("none", "zero", "normal")


def test_the_stand_in_knows_nothing_that_cupy_lacks():
    cupy = pytest.importorskip("cupy", reason="needs CuPy")
    for name in (*stand_in_cupy.FUNCTIONS, *stand_in_cupy.DOORS):
        assert callable(getattr(cupy, name)), name
    for name in stand_in_cupy.LINEAR_ALGEBRA:
        assert callable(getattr(cupy.linalg, name)), name
    for name in (*stand_in_cupy.ATTRIBUTES, *stand_in_cupy.METHODS):
        assert hasattr(cupy.ndarray, name), name
    cupyx = pytest.importorskip("cupyx.scipy.linalg", reason="needs CuPy")
    known = inspect.signature(cupyx.solve_triangular).parameters
    assert known.keys() >= {"a", "b", "trans", "lower", "overwrite_b"}


def test_arrays_choose_their_kernels(device):
    from ntklin.kernels import cpu, gpu

    assert backends.kernels(device.xp.zeros(2)) is gpu
    assert backends.kernels(np.zeros(2)) is cpu


# Kernels


@shared
@given(case=cases(general=True, max_rows=6))
def test_outputs_and_jacobian(device, case):
    theta, X = device.put((case.theta, case.X))
    outputs = device.get(case.net.apply(theta, X))
    assert outputs.dtype == case.dtype
    expected = naive.apply(case.reference, case.theta, case.X)
    scale = naive.apply(case.bounding, *case.bound)
    assert_close(outputs, expected, kind="output", n=case.n, scale=scale)
    J = device.get(case.net.jacobian(theta, X))
    assert J.dtype == case.dtype
    assert_close(J, case.jacobian(), kind="jacobian", n=case.n, scale=case.jacobian_bound())


@shared
@given(case=cases(general=True, max_rows=5), seed=st.integers(0, 99))
def test_products_without_the_jacobian(device, case, seed):
    rng = np.random.default_rng(seed)
    phi = case.net.features(*device.put((case.theta, case.X)))
    J, bound = case.jacobian(), case.jacobian_bound()
    v = rng.standard_normal(J.shape[1]).astype(case.dtype)
    r = rng.standard_normal(len(J)).astype(case.dtype)
    n = case.n + sum(J.shape)
    forward, back = device.get(phi @ device.put(v)), device.get(phi.T @ device.put(r))
    assert forward.dtype == back.dtype == case.dtype
    assert_close(forward, J @ v, kind="jacobian", n=n, scale=bound @ abs(v))
    assert_close(back, J.T @ r, kind="jacobian", n=n, scale=bound.T @ abs(r))
    two = device.put(np.stack([v, 2 * v], axis=1))
    assert_close(
        device.get(phi @ two),
        np.stack([J @ v, 2 * (J @ v)], 1),
        kind="jacobian",
        n=n,
        scale=2 * bound @ abs(v),
    )
    two, both = device.put(np.stack([r, -r], axis=1)), np.stack([J.T @ r, -J.T @ r], axis=1)
    scale = bound.T @ abs(r)
    assert_close(device.get(phi.T @ two), both, kind="jacobian", n=n, scale=scale[:, None])
    for rows in (2, None):
        back = device.get(
            case.net.features(*device.put((case.theta, case.X)), rows=rows).gram_product(two)
        )
        assert_close(back, J @ both, kind="gram", n=n, scale=(bound @ scale)[:, None])
    assert_close(
        device.get(phi.T.T @ device.put(v)), J @ v, kind="jacobian", n=n, scale=bound @ abs(v)
    )


@shared
@given(
    case=cases(general=True, max_rows=6),
    weighted=st.booleans(),
    split=st.integers(0, 5),
    zeros=st.booleans(),
    seed=st.integers(0, 99),
)
def test_gram_matrices(device, case, weighted, split, zeros, seed):
    rng = np.random.default_rng(seed)
    D = np.ones(case.net.n_parameters)
    if weighted:
        D = rng.random(len(D)) * (rng.random(len(D)) < 0.7 if zeros else 1)
    D = D.astype(case.dtype)
    weights = device.put(D) if weighted else None
    theta, X = device.put((case.theta, case.X))
    J, bound = case.jacobian(), case.jacobian_bound()
    n, kind = case.n + J.shape[1], "weighted_gram" if weighted else "gram"
    K = device.get(ntklin.ntk(case.net, theta, X, weights=weights))
    assert K.dtype == case.dtype
    assert np.array_equal(K, K.T)
    scale = naive.weighted_gram(bound, D)
    assert_close(K, naive.weighted_gram(J, D), kind=kind, n=n, scale=scale)
    n_rows = min(split, len(X) - 1) + 1
    rows, J_rows = slice(0, n_rows), slice(0, n_rows * case.net.n_outputs)
    K = device.get(ntklin.ntk(case.net, theta, X[rows], X, weights=weights))
    assert_close(K, naive.weighted_gram(J[J_rows], D, J), kind=kind, n=n, scale=scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("group", [1, 1 << 9, 1 << 28])
@pytest.mark.parametrize(
    ("widths", "activation"),
    [((4, 9, 3), "relu"), ((4, 6, 8, 2), "tanh"), ((4, 6, 5, 1), "gelu"), ((4, 3), "relu")],
)
def test_products_of_many_columns(device, widths, activation, group, dtype, monkeypatch):
    """Some at a time, or one by one."""
    from ntklin.kernels.gpu import products

    monkeypatch.setattr(products, "GROUP_BYTES", group)
    case = make_case(widths, n=5, dtype=dtype, bias="normal", activation=activation)
    J, bound, rng = case.jacobian(), case.jacobian_bound(), np.random.default_rng(3)
    phi = case.net.features(*device.put((case.theta, case.X)))
    options = {"kind": "jacobian", "n": case.n + sum(J.shape)}
    for k in (1, 2, 7):
        V, R = (rng.standard_normal((size, k)).astype(dtype) for size in J.shape[::-1])
        scales = bound @ abs(V), bound.T @ abs(R)
        assert_close(device.get(phi @ device.put(V)), J @ V, scale=scales[0], **options)
        assert_close(device.get(phi.T @ device.put(R)), J.T @ R, scale=scales[1], **options)
        found = device.get(phi.gram_product(device.put(R)))
        assert_close(found, J @ (J.T @ R), scale=bound @ scales[1], **options)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("widths", [(4, 9, 3), (4, 6, 5, 1), (4, 6, 5, 7, 2)])
def test_features_of_some_of_the_inputs(device, widths, activation):
    """Before anything was asked of all of them, and after."""
    case = make_case(widths, n=5, bias="normal", activation=activation)
    C, rng = widths[-1], np.random.default_rng(3)
    rows = slice(C, 4 * C)
    J, bound = case.jacobian(), case.jacobian_bound()
    V, R = rng.standard_normal((J.shape[1], 2)), rng.standard_normal((3 * C, 2))
    options = {"kind": "jacobian", "n": case.n + sum(J.shape)}
    phi = case.net.features(*device.put((case.theta, case.X)))
    for _ in range(2):
        part = phi.rows(slice(1, 4))
        found = device.get(part @ device.put(V)), device.get(part.T @ device.put(R))
        assert_close(found[0], J[rows] @ V, scale=bound[rows] @ abs(V), **options)
        assert_close(found[1], J[rows].T @ R, scale=bound[rows].T @ abs(R), **options)
        K = device.get(part.gram(phi))
        assert_close(K, J[rows] @ J.T, scale=bound[rows] @ bound.T, **options | {"kind": "gram"})


@pytest.mark.parametrize("widths", [(4, 3), (4, 9, 3)])
def test_signals_that_products_do_without_are_not_made(device, widths):
    """In the last hidden layer and, but for their number, in the output."""
    case = make_case(widths, n=5)
    phi = case.net.features(*device.put((case.theta, case.X)))
    R, V = np.ones((5 * widths[-1], 2)), np.ones((case.net.n_parameters, 2))
    phi.T @ device.put(R)
    assert not phi.passes.deltas._known
    phi @ device.put(V)
    assert phi.passes.deltas._known.keys() <= {len(widths) - 2}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["relu", "tanh", "abs"])
@pytest.mark.parametrize("widths", [(4, 9, 3), (4, 6, 8, 2)])
def test_weighted_matrices_in_batches_of_several_outputs(
    device, widths, activation, dtype, monkeypatch
):
    from ntklin.kernels.gpu import weighted

    monkeypatch.setattr(weighted, "BLOCK_BYTES", 1 << 10)
    case = make_case(widths, n=7, dtype=dtype, bias="normal", activation=activation)
    other = inputs(np.random.default_rng(1), 4, 5, dtype)
    J, other_J = case.jacobian(), case.jacobian(other)
    D = np.random.default_rng(2).random(J.shape[1]).astype(dtype)
    theta, X, other_X, weights = device.put((case.theta, case.X, other, D))
    options = {"kind": "weighted_gram", "n": case.n + J.shape[1]}
    bounds = case.jacobian_bound(), case.jacobian_bound(other)
    for X2, J2, bound in ((None, J, bounds[0]), (other_X, other_J, bounds[1])):
        K = device.get(ntklin.ntk(case.net, theta, X, X2, weights=weights))
        scale = naive.weighted_gram(bounds[0], D, bound)
        assert_close(K, naive.weighted_gram(J, D, J2), scale=scale, **options)


def wide_jacobian(case, X):
    """J in float64 by matrix products, and the smallest |h| relative to the terms that it sums."""
    w, v = naive.scales(case.reference)
    layers = case.net.unpack(case.theta.astype(float))
    activations, masks, kink = [X.astype(float)], [], math.inf
    for l, (W, b) in enumerate(layers):
        h = w[l] * activations[-1] @ W.T + v[l] * b
        terms = w[l] * abs(activations[-1]) @ abs(W).T + v[l] * abs(b)
        if l < len(layers) - 1:
            kink = min(kink, (abs(h) / terms)[terms > 0].min())
        activations.append(np.maximum(h, 0))
        masks.append(h > 0)
    delta, columns = np.ones((len(X), 1)), []
    for l in range(len(layers) - 1, -1, -1):
        outer = delta[:, :, None] * activations[l][:, None, :]
        columns = [w[l] * outer.reshape(len(X), -1), v[l] * delta, *columns]
        delta = w[l] * (delta @ layers[l][0]) * (masks[l - 1] if l else 1)
    return np.hstack(columns), kink


def wide_case(widths, n, other_n, dtype):
    """A case, other inputs, and both Jacobians; no ReLU is within rounding of its kink."""
    for seed in range(100):
        case = make_case(widths, seed=seed, n=n, dtype=dtype, bias="normal")
        other = inputs(np.random.default_rng(seed + 1), widths[0], other_n, dtype)
        case.X[:, ::3] = 0
        (J, kink), (other_J, other_kink) = (wide_jacobian(case, X) for X in (case.X, other))
        if min(kink, other_kink) > 8 * EPS[case.dtype] * math.sqrt(case.n):
            return case, other, J, other_J
    raise AssertionError("every draw has a ReLU at its kink")


@pytest.mark.parametrize("dtype", [pytest.param(np.float32, marks=pytest.mark.once), np.float64])
@pytest.mark.parametrize(
    ("widths", "n", "other_n"),
    [((70, 33, 1), 65, 3), ((5, 17, 40, 1), 130, 64), ((40, 9, 1), 64, 129), ((3, 1100, 1), 2, 1)],
)
def test_gram_matrices_in_batches(device, widths, n, other_n, dtype, monkeypatch):
    """More neurons than a batch, more columns than a block has threads."""
    from ntklin.kernels.gpu import weighted

    monkeypatch.setattr(weighted, "BLOCK_BYTES", 1 << 14)
    case, other, J, other_J = wide_case(widths, n, other_n, dtype)
    theta, X, other_X = device.put((case.theta, case.X, other))
    D = np.random.default_rng(2).random(J.shape[1]).astype(dtype)
    options = {"kind": "weighted_gram", "n": case.n + J.shape[1]}
    for d, w in ((np.ones(len(D)), None), (D.astype(float), device.put(D))):
        for X2, J2 in ((None, J), (other_X, other_J)):
            K = device.get(ntklin.ntk(case.net, theta, X, X2, weights=w))
            assert_close(K, (J * d) @ J2.T, scale=(abs(J) * d) @ abs(J2).T, **options)


def test_a_kernel_of_inputs_without_a_single_number(device):
    net = ntklin.MLP((3, 4, 1), bias="none")
    theta, X = device.put((net.init(0), np.zeros((2, 3))))
    assert not device.get(ntklin.ntk(net, theta, X, weights=device.xp.ones(16))).any()


@shared
@given(
    depth=st.integers(1, 4),
    sigma=st.sampled_from([0.1, 1.4, 5.0]),
    convention=st.sampled_from(CONVENTIONS),
    bias=st.sampled_from(BIASES),
    seed=st.integers(0, 99),
    dtype=st.sampled_from(DTYPES),
)
def test_infinite_width(device, depth, sigma, convention, bias, seed, dtype):
    """Against 50 digits, with rows that are equal, parallel, opposite, nearly so, zero and tiny."""
    scaling, sigma_b = convention
    net, reference = infinite_network(3, depth, sigma, scaling, bias, sigma_b)
    X = degenerate_inputs(3, seed, dtype)
    Z, split = device.put(X), len(X) // 2
    limits = (ntklin.infinite_ntk, ntklin.infinite_nngp)
    for f, expected in zip(limits, exact(reference, X), strict=True):
        root = np.sqrt(np.diag(expected))
        root[root == 0] = 1
        scale = np.outer(root, root)
        for actual, rows in ((f(net, Z), slice(None)), (f(net, Z[:split], Z), slice(split))):
            actual = device.get(actual)
            assert actual.dtype == dtype
            assert_close(
                actual / scale[rows],
                (expected / scale)[rows],
                kind="infinite",
                n=depth,
                scale=1.0,
                dtype=dtype,
            )


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_width_of_long_opposite_rows(device, dtype):
    net, reference = infinite_network(1, 3, 1.3, "fan_out", "normal")
    X = long_opposite_rows(1, dtype)
    limits = (ntklin.infinite_ntk, ntklin.infinite_nngp)
    for f, expected in zip(limits, exact(reference, X), strict=True):
        root = np.sqrt(np.diag(expected))
        relative = (device.get(f(net, device.put(X))), expected)
        relative = [a / np.outer(root, root) for a in relative]
        assert_close(*relative, kind="infinite", n=3, scale=1.0, dtype=dtype)


def test_what_trained_biases_would_add_is_no_matter_of_the_nngp(device):
    """Here it is beyond float32, and Θ with it, while the covariance is not."""
    net, reference = infinite_network(2, 3, 1e8, "fan_in", "zero", 1e10)
    X = np.array([[3, 4], [1, 0], [0, -2]], np.float32) * np.float32(1e-16)
    with pytest.raises(ntklin.FloatRangeError, match="overflows float32"):
        ntklin.infinite_ntk(net, device.put(X))
    found = device.get(ntklin.infinite_nngp(net, device.put(X)))
    _, expected = exact(reference, X)
    root = np.sqrt(np.diag(expected))
    scale = np.outer(root, root)
    assert_close(found / scale, expected / scale, kind="infinite", n=3, dtype=np.float32)


def test_infinite_width_of_other_activations_is_the_cpus(device):
    net = ntklin.MLP((3, 4, 1), activation="tanh", scaling="fan_in")
    with pytest.raises(ntklin.DeviceError, match="'tanh' is computed on the CPU only"):
        ntklin.infinite_ntk(net, device.put(np.eye(3)))


def test_infinite_width_in_blocks(device, monkeypatch):
    """Blocks of two rows, and pairs of rows one by one, change nothing but rounding."""
    from ntklin.kernels.gpu import infinite

    net, _ = infinite_network(3, 3, bias="normal")
    X = device.put(degenerate_inputs(3, 0))
    whole = device.get(ntklin.infinite_ntk(net, X))
    monkeypatch.setattr(infinite, "BLOCK", 2 * len(X))
    monkeypatch.setattr(infinite, "PAIRS", 3)
    assert_close(device.get(ntklin.infinite_ntk(net, X)), whole, kind="infinite", n=3)


def test_a_jacobian_goes_where_it_is_asked_to(device):
    case = make_case((3, 4, 1))
    theta, X = device.put((case.theta, case.X))
    out = device.xp.empty((len(case.X), case.net.n_parameters))
    assert case.net.jacobian(theta, X, out=out) is out
    with pytest.raises(TypeError, match="out must be an array of cupy"):
        case.net.jacobian(theta, X, out=np.empty(out.shape))
    with pytest.raises(ValueError, match="out must be a C-contiguous"):
        case.net.jacobian(theta, X, out=out[:, 1:])


# Linearization


def problem(widths=(4, 30, 1), n=6, dtype=np.float64, seed=0, **options):
    case = make_case(widths, seed=seed, n=n, dtype=dtype, start="init", **options)
    X = (case.X / np.linalg.norm(case.X, axis=1, keepdims=True)).astype(dtype)
    return case._replace(X=X), np.random.default_rng(seed + 1).random(n).astype(dtype)


def matrices(case, X_new):
    J, J_new = (naive.jacobian(case.reference, case.theta, X) for X in (case.X, X_new))
    f0, f0_new = (naive.apply(case.reference, case.theta, X) for X in (case.X, X_new))
    return J, J_new, f0, f0_new


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widths", [(4, 30, 1), (4, 12, 10, 1)])
def test_gradient_descent(device, widths, dtype):
    case, Y = problem(widths, dtype=dtype)
    X_new = inputs(np.random.default_rng(5), 4, 3, dtype)
    J, J_new, f0, f0_new = matrices(case, X_new)
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    gd = lin.gradient_descent(device.put(Y))
    rate, times = gd.learning_rate, [0, 1, 7]
    outputs = device.get(gd.predict(device.put(X_new), times))
    parameters = device.get(gd.parameters(times))
    K, K_new = J @ J.T, J_new @ J.T
    kappa = 10.0
    for t, f, theta in zip(times, outputs, parameters, strict=True):
        expected = naive.closed_form(K, K_new, f0, f0_new, Y, rate, t)
        scale = abs(expected).max() + abs(f0_new).max()
        assert_close(f, expected, kind="trajectory", n=case.n, kappa=kappa, scale=scale)
        expected = naive.linearized_gradient_descent(J, f0, case.theta, Y, rate, t)
        assert_close(theta, expected, kind="trajectory", n=case.n, kappa=kappa)
    assert f.dtype == theta.dtype == dtype
    assert gd.loss(0) == pytest.approx(np.sum((f0 - Y) ** 2) / (2 * len(Y)), rel=1e3 * EPS[f.dtype])
    assert gd.loss(gd.steps_to(1e-3)) < 1e-3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_descent_with_momentum_decay_and_a_schedule(device, dtype):
    """What the host computes of each, whatever the array."""
    case, Y = problem((4, 9, 1), dtype=dtype)
    there = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    here = ntklin.linearize(case.net, case.theta, case.X)
    for options in (
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"learning_rate": ntklin.CosineSchedule(0.1, 20), "weight_decay": 0.01},
        {"weights": np.linspace(0, 1, case.net.n_parameters).astype(dtype), "weight_decay": 0.1},
    ):
        given = {"decoupled": "weights" in options} | options
        gd = here.gradient_descent(Y, **given)
        if "weights" in given:
            given["weights"] = device.put(given["weights"])
        other = there.gradient_descent(device.put(Y), **given)
        close = {"kind": "trajectory", "n": case.n, "kappa": 100}
        for call in (lambda d, X: d.predict(X, [0, 3, 17]), lambda d, X: d.parameters([0, 3, 17])):
            found = call(other, device.put(case.X))
            assert isinstance(found, type(device.put(case.X)))
            expected = call(gd, case.X)
            assert_close(device.get(found), expected, scale=1 + abs(expected).max(), **close)
    m, other = here.minimizer(Y), there.minimizer(device.put(Y))
    close = {"kind": "trajectory", "n": case.n, "kappa": m.condition}
    expected = m.decayed(case.X)
    found = device.get(other.decayed(device.put(case.X)))
    assert_close(found, expected, scale=1 + abs(expected).max(), **close)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_minimizer(device, weighted, dtype):
    case, Y = problem(dtype=dtype)
    X_new = inputs(np.random.default_rng(5), 4, 3, dtype)
    J, J_new, f0, f0_new = matrices(case, X_new)
    D = (0.5 + np.random.default_rng(6).random(J.shape[1])).astype(dtype)
    if not weighted:
        D[:] = 1
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    m = lin.minimizer(device.put(Y), weights=device.put(D) if weighted else None)
    K, K_new = (J * D) @ J.T, (J_new * D) @ J.T
    kappa = np.linalg.cond(K)
    options = {"kind": "trajectory", "n": case.n, "kappa": kappa}
    Z = device.put(X_new)
    solved = np.linalg.solve(K, np.stack([Y, f0], axis=1))
    size = np.abs(K_new).max() * np.abs(solved).sum()
    f_int, f_init, f = (device.get(g(Z)) for g in (m.interpolator, m.initialization, m.predict))
    assert_close(f_int, K_new @ solved[:, 0], scale=size, **options)
    assert_close(f_init, f0_new - K_new @ solved[:, 1], scale=size, **options)
    assert_close(f, naive.minimizer(K, K_new, f0, f0_new, Y), scale=size, **options)
    theta = case.theta + D * (J.T @ (solved @ [1, -1]))
    assert_close(device.get(m.parameters), theta, scale=size, **options)
    assert m.initialization_size(Z) == pytest.approx(
        np.linalg.norm(f_init) / math.sqrt(6), rel=100 * EPS[f.dtype]
    )
    converged = lin.gradient_descent(device.put(Y)).predict(Z)
    if not weighted:
        assert_close(device.get(converged), f, scale=size, **options)


def test_moments_and_label_noise(device):
    """What the host finds for the same arrays."""
    case, Y = problem()
    X_new = inputs(np.random.default_rng(5), 4, 3, np.float64)
    D = 0.5 + np.random.default_rng(6).random(case.net.n_parameters)

    def found(put, get):
        theta, X, targets, new, weights = put((case.theta, case.X, Y, X_new, D))
        lin = ntklin.linearize(case.net, theta, X)
        moments = lin.moments(targets, None, 2, weights=weights)
        epochs = [moments.epochs(), moments.epochs(3)]
        run = lin.train(targets, ntklin.GradientDescent(0.1), steps=4)
        outputs = [moments.predict(new, [0, 9]), moments.covariance(new, [3, 200])]
        outputs += [part for law in epochs for part in law.predict(new, 4)]
        outputs += [part for law in epochs for part in law.covariance(new, 4)]
        outputs += [lin.minimizer(targets, weights=weights).noise_amplification(new)]
        outputs += [run.noise_amplification(new), run.label_sensitivity(new)]
        numbers = [moments.loss(200), moments.max_learning_rate, epochs[0].loss(4).value]
        return [get(a) for a in outputs], numbers + list(epochs[1].difference(new, 4).loss)

    here, there = found(lambda arrays: arrays, lambda a: a), found(device.put, device.get)
    for a, b in zip(here[0], there[0], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(there[1], here[1], rtol=1e-9)


def test_a_singular_kernel_names_its_rows(device):
    case, Y = problem()
    case.X[2] = case.X[4]
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    with pytest.raises(ntklin.DegenerateKernelError, match=r"parallel features.*\(2, 4\)"):
        lin.minimizer(device.put(Y))


def test_preconditioners_made_for_a_purpose(device):
    case, Y = problem(n=4)
    theta, X = device.put((case.theta, case.X))
    lin = ntklin.linearize(case.net, theta, X)
    J = naive.jacobian(case.reference, case.theta, case.X)
    v = np.random.default_rng(3).standard_normal(J.shape[1])
    projected = device.get(lin.features.project(device.put(v)))
    kappa = np.linalg.cond(J @ J.T)
    assert_close(projected, naive.projector(J) @ v, kind="projector", n=case.n, kappa=kappa)
    w = np.linalg.pinv(J) @ Y + v - naive.projector(J) @ v
    D = lin.preconditioner_for(device.put(w), device.put(Y))
    found = device.get(lin.minimizer(device.put(Y), weights=D).interpolator(X))
    assert_close(found, Y, kind="solve", n=case.n, kappa=kappa)
    full = np.diag(0.5 + np.random.default_rng(4).random(len(v)))
    by_matrix = lin.minimizer(device.put(Y), weights=device.put(full))
    by_diagonal = lin.minimizer(device.put(Y), weights=device.put(np.diag(full).copy()))
    new = device.put(inputs(np.random.default_rng(5), 4, 3, float))
    assert_close(
        device.get(by_matrix.predict(new)),
        device.get(by_diagonal.predict(new)),
        kind="solve",
        n=case.n,
        kappa=kappa,
    )
    one = ntklin.linearize(case.net, theta, X[:1])
    expected = np.divide(1, abs(J[0]), where=J[0] != 0, out=np.zeros(len(v)))
    D = device.get(one.adagrad_weights())
    assert_close(D / D.max(), expected / expected.max(), kind="jacobian", n=case.n)


# Training

OPTIMIZERS = {
    "descent": (ntklin.GradientDescent(0.1), {}),
    "momentum": (ntklin.Momentum(0.05, 0.8), {"momentum": 0.8, "nesterov": False}),
    "adagrad": (ntklin.AdaGrad(0.02), {"eps": 1e-10}),
    "rmsprop": (ntklin.RMSprop(0.005, alpha=0.9), {"alpha": 0.9, "eps": 1e-8}),
    "adam": (ntklin.Adam(0.01), {"betas": (0.9, 0.999), "eps": 1e-8}),
}
SCHEDULE = 2 * (ntklin.WarmupSchedule(2, 0.0) * ntklin.CosineSchedule(0.05, 6))
ignore_rises = pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")


def batches_of(kind, n, steps):
    """Mini-batches, and the weights of the samples in each step."""
    if kind == "full":
        return None, np.full((steps, n), 1 / n)
    batches = [np.random.default_rng(t).permutation(n)[:2] for t in range(steps)]
    weights = np.zeros((steps, n))
    for row, batch in zip(weights, batches, strict=True):
        row[batch] = 1 / 2
    return batches, weights


SHALLOW, DEEP = (4, 9, 1), (4, 8, 7, 6, 1)
ENGINES = [
    *((SHALLOW, "reduced", "descent"), (DEEP, "reduced", "descent")),
    *((widths, "direct", name) for widths in (SHALLOW, DEEP) for name in OPTIMIZERS),
    *((widths, "fused", name) for widths in (SHALLOW, DEEP) for name in OPTIMIZERS),
    *((SHALLOW, "auto", "descent"), (SHALLOW, "auto", "adam")),
]


@ignore_rises
@pytest.mark.parametrize("kind", ["full", "batches"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize(("widths", "method", "name"), ENGINES)
def test_training(device, widths, method, name, loss, kind):
    """Every engine, step by step as the reference takes them."""
    case, Y = problem(widths, bias="zero")
    optimizer, options = OPTIMIZERS[name]
    batches, weights = batches_of(kind, len(Y), 5)
    step = naive.optimizer(name, optimizer.learning_rate, **options)
    trajectory = naive.training(case.reference, case.theta, case.X, Y, step, weights, loss)
    options = {"steps": 5, "loss": loss, "batches": batches, "method": method}
    run = ntklin.train(case.net, *device.put((case.theta, case.X, Y)), optimizer, **options)
    n = 5 * case.n
    assert_close(run.losses, [value for _, value in trajectory], kind="trajectory", n=n)
    kappa = 1e3 if "ada" in name or name == "rmsprop" else 1
    assert_close(device.get(run.parameters), trajectory[-1][0], kind="trajectory", n=n, kappa=kappa)
    expected = naive.apply(case.reference, trajectory[-1][0], case.X)
    assert_close(
        device.get(run.predict(device.put(case.X))),
        expected,
        kind="trajectory",
        n=n,
        kappa=kappa,
        scale=1 + abs(expected),
    )


@ignore_rises
@pytest.mark.parametrize("name", ["descent", "momentum", "adagrad"])
@pytest.mark.parametrize("method", ["reduced", "fused", "direct"])
def test_training_with_a_schedule(device, method, name):
    case, Y = problem(SHALLOW, bias="zero")
    optimizer, options = OPTIMIZERS[name]
    optimizer = optimizer.with_learning_rate(SCHEDULE)
    given = device.put((case.theta, case.X, Y))
    if method == "reduced" and name != "descent":
        return
    step = naive.optimizer(name, SCHEDULE, **options)
    walk = naive.training(case.reference, case.theta, case.X, Y, step, [[1 / len(Y)] * len(Y)] * 5)
    run = ntklin.train(case.net, *given, optimizer, steps=5, method=method)
    close = {"kind": "trajectory", "n": 5 * case.n, "kappa": 1e3 if name == "adagrad" else 1}
    assert_close(run.losses, [value for _, value in walk], **close)
    assert_close(device.get(run.parameters), walk[-1][0], **close)


@ignore_rises
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("method", ["reduced", "fused", "direct"])
def test_training_of_several_outputs(device, method, loss, activation):
    """By every engine; the kernel's closed form beside it."""
    widths = (3, 7, 4) if method == "fused" else (3, 7, 5, 4)
    case = make_case(widths, n=5, activation=activation, bias="normal")
    Y = np.random.default_rng(1).dirichlet(np.ones(4), 5)
    step = naive.optimizer("descent", 0.1)
    trajectory = naive.training(case.reference, case.theta, case.X, Y, step, [[0.2] * 5] * 4, loss)
    given = device.put((case.theta, case.X, Y))
    options = {"steps": 4, "loss": loss, "method": method}
    run = ntklin.train(case.net, *given, ntklin.GradientDescent(0.1), **options)
    assert run.method == method
    n = 4 * case.n
    assert_close(run.losses, [value for _, value in trajectory], kind="trajectory", n=n)
    assert_close(device.get(run.parameters), trajectory[-1][0], kind="trajectory", n=n)
    outputs = device.get(run.predict(device.put(case.X)))
    assert outputs.shape == (5, 4)
    gd = ntklin.linearize(case.net, *given[:2]).gradient_descent(given[2])
    moved = device.get(gd.predict(given[1], t=10**9))
    assert_close(moved, Y, kind="solve", n=n, kappa=1e6)


@ignore_rises
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "batches"])
@pytest.mark.parametrize(
    ("n_outputs", "activation", "bias"),
    [
        (3, "relu", "zero"),
        (1, "tanh", "none"),
        (1, "leaky_relu", "normal"),
        (2, "softplus", "zero"),
    ],
)
@pytest.mark.parametrize(
    ("method", "name"), [("reduced", "descent"), ("fused", "momentum"), ("fused", "adam")]
)
def test_training_of_other_networks(device, method, name, n_outputs, activation, bias, kind, dtype):
    """Of other activations, several outputs or both: as on the CPU, and the first step below."""
    options = {"activation": activation, "bias": bias, "start": "init"}
    case = make_case((6, 9, n_outputs), n=6, dtype=dtype, **options)
    targets = np.random.default_rng(1).dirichlet(np.ones(3), 6).astype(dtype)[:, :n_outputs]
    arrays = case.theta, case.X / 3, targets if n_outputs > 1 else targets[:, 0]
    batches, _ = batches_of(kind, 6, 5)
    options = {"steps": 5, "batches": batches, "loss": "logistic"}
    run = ntklin.train(case.net, *device.put(arrays), OPTIMIZERS[name][0], method=method, **options)
    expected = ntklin.train(case.net, *arrays, OPTIMIZERS[name][0], method="direct", **options)
    close = {"kind": "trajectory", "n": 5 * case.n, "kappa": 1e3 if name == "adam" else 1}
    assert_close(run.losses, expected.losses, dtype=dtype, **close)
    assert_close(device.get(run.parameters), expected.parameters, **close)
    if method == "reduced" and kind == "full":
        options = {"until": run.losses[3], "loss": "logistic"}
        again = ntklin.train(case.net, *device.put(arrays), OPTIMIZERS[name][0], **options)
        assert (again.method, again.steps) == ("reduced", 4)
        assert again.losses.tolist() == run.losses[:5].tolist()


@ignore_rises
@pytest.mark.parametrize("kind", ["full", "batches"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("method", ["auto", "fused", "direct"])
def test_training_of_the_linearized_network(device, method, name, loss, kind):
    case, Y = problem((4, 9, 5, 1))
    optimizer, options = OPTIMIZERS[name]
    batches, weights = batches_of(kind, len(Y), 5)
    step = naive.optimizer(name, optimizer.learning_rate, **options)
    J, _, f0, _ = matrices(case, case.X)
    trajectory = naive.linearized_training(J, f0, Y, step, weights, loss)
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    run = lin.train(
        device.put(Y), optimizer, steps=5, loss=loss, batches=batches, method=method, record=2
    )
    n, kappa = 5 * case.n, 1e3 if "ada" in name or name == "rmsprop" else 1
    moved, f, _, _ = trajectory[-1]
    assert_close(run.losses, [value for _, _, value, _ in trajectory], kind="trajectory", n=n)
    assert_close(device.get(run.displacement), moved, kind="trajectory", n=n, kappa=kappa)
    X = device.put(case.X)
    assert_close(device.get(run.outputs), f, kind="trajectory", n=n, kappa=kappa, scale=1 + abs(f))
    split = device.get(run.interpolating(X)), device.get(run.path_dependent(X))
    assert_close(sum(split), device.get(run.predict(X)), kind="trajectory", n=n, kappa=kappa)
    condition = max(kappa, run.split.condition)
    assert_close(split[0], f, kind="trajectory", n=n, kappa=condition, scale=1 + abs(f))
    assert run.concentration().norms.shape == run.kernel_drift().distances.shape
    moved_then = device.get(run.at(2).displacement)
    assert_close(moved_then, trajectory[2][0], kind="trajectory", n=n, kappa=kappa)


@ignore_rises
@pytest.mark.parametrize("name", ["momentum", "adagrad"])
@pytest.mark.parametrize("method", ["fused", "direct"])
@pytest.mark.parametrize(
    ("n_outputs", "activation", "loss"), [(3, "relu", "softmax"), (1, "tanh", "squared")]
)
def test_steps_of_other_linearized_networks(device, n_outputs, activation, loss, method, name):
    case = make_case((4, 9, n_outputs), n=6, activation=activation, bias="normal")
    Y = np.random.default_rng(1).dirichlet(np.ones(n_outputs), 6)
    Y = Y if n_outputs > 1 else Y[:, 0]
    optimizer = OPTIMIZERS[name][0]
    run, expected = (
        ntklin.linearize(case.net, theta, X / 3).train(Y, optimizer, steps=4, loss=loss, method=how)
        for theta, X, Y, how in (
            (*device.put((case.theta, case.X, Y)), method),
            (case.theta, case.X, Y, "direct"),
        )
    )
    close = {"kind": "trajectory", "n": 4 * case.n, "kappa": 1e3 if name == "adagrad" else 1}
    assert_close(run.losses, expected.losses, **close)
    assert_close(device.get(run.displacement), expected.displacement, **close)


@ignore_rises
@pytest.mark.parametrize(
    ("method", "name"), [("reduced", "descent"), ("direct", "descent"), ("direct", "adam")]
)
def test_a_run_ends_at_the_step_where_the_loss_is_low_enough(device, method, name):
    """Blocks are taken blindly; the state is nevertheless that of the first step below."""
    case, Y = problem((4, 40, 1))
    optimizer = OPTIMIZERS[name][0]
    arguments = (case.net, *device.put((case.theta, case.X, Y)), optimizer)
    run = ntklin.train(*arguments, until=0.02, method=method)
    assert run.steps > 20
    assert run.losses[-1] < 0.02 <= run.losses[-2]
    again = ntklin.train(*arguments, steps=run.steps, method=method)
    assert np.array_equal(run.losses, again.losses)
    assert np.array_equal(device.get(run.parameters), device.get(again.parameters))


def test_a_linearized_run_ends_there_too(device):
    case, Y = problem((4, 40, 1))
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    run = lin.train(device.put(Y), ntklin.AdaGrad(0.02), until=0.02)
    assert run.method == "direct"
    assert run.steps > 20
    assert run.losses[-1] < 0.02 <= run.losses[-2]
    again = lin.train(device.put(Y), ntklin.AdaGrad(0.02), steps=run.steps)
    assert np.array_equal(device.get(run.displacement), device.get(again.displacement))


@ignore_rises
@pytest.mark.parametrize("method", ["reduced", "direct"])
def test_divergence_is_told(device, method):
    case, Y = problem()
    with pytest.raises(ntklin.DivergenceError, match="2N/λ_max"):
        ntklin.train(
            case.net,
            *device.put((case.theta, case.X, Y)),
            ntklin.GradientDescent(1e4),
            until=1e-5,
            method=method,
        )


@ignore_rises
@pytest.mark.parametrize("name", ["descent", "adam"])
def test_runs_are_saved_and_continued(device, name, tmp_path):
    case, Y = problem()
    X_record = device.put(case.X[:2])
    arguments = (case.net, *device.put((case.theta, case.X, Y)), OPTIMIZERS[name][0])
    options = {"record": 3, "X_record": X_record}
    whole = ntklin.train(*arguments, steps=9, **options)
    ntklin.train(*arguments, steps=4, **options).save(tmp_path / "run.npz")
    rest = ntklin.train(*arguments, steps=9, resume=tmp_path / "run.npz", **options)
    assert np.array_equal(whole.losses, rest.losses)
    assert np.array_equal(device.get(whole.parameters), device.get(rest.parameters))
    assert np.array_equal(device.get(whole.records.outputs), device.get(rest.records.outputs))
    assert np.array_equal(device.get(whole.snapshot(3)), device.get(rest.snapshot(3)))


def test_the_theorems_formulas(device):
    case, Y = problem((3, 4, 1), n=3)
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    formula = lin.theorem3(device.put(Y), ntklin.AdaGrad(0.1), steps=4)
    run = lin.train(device.put(Y), ntklin.AdaGrad(0.1), steps=4)
    kappa = 1e3 * run.split.condition
    expected = formula.parameters
    assert_close(device.get(run.parameters), expected, kind="trajectory", n=case.n, kappa=kappa)


@pytest.mark.parametrize("kind", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_networks_that_start_at_zero(device, kind):
    case, Y = problem((4, 10, 1))
    net = kind(case.net)
    theta, X, targets = device.put((net.init(0), case.X, Y))
    assert_close(
        device.get(net.apply(theta, X)), np.zeros(len(Y)), kind="output", n=case.n, scale=1.0
    )
    one = case.net.init(0)
    if kind is ntklin.AntisymmetricPair:
        start = np.tile(one, 2)
        apply, jacobian = (
            partial(f, case.reference) for f in (naive.pair_apply, naive.pair_jacobian)
        )
    else:
        start = naive.doubled_parameters(case.reference, one)
        twice = naive.doubled(case.reference)
        apply, jacobian = partial(naive.apply, twice), partial(naive.jacobian, twice)
    J = jacobian(start, case.X)
    assert_close(device.get(net.jacobian(theta, X)), J, kind="jacobian", n=case.n)
    kernel = device.get(ntklin.linearize(net, theta, X).kernel)
    assert_close(kernel, J @ J.T, kind="gram", n=case.n + J.shape[1])
    run = ntklin.train(net, theta, X, targets, ntklin.GradientDescent(0.1), steps=5)
    moved = start
    for loss in run.losses:
        residual = apply(moved, case.X) - Y
        assert_close(loss, residual @ residual / (2 * len(Y)), kind="trajectory", n=5 * case.n)
        moved = moved - 0.1 / len(Y) * jacobian(moved, case.X).T @ residual


@pytest.mark.parametrize("kind", ["diagonal", "matrix"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_preconditioner_of_ones_own(device, dtype, kind):
    case, Y = problem(dtype=dtype)
    P, rng = case.net.n_parameters, np.random.default_rng(0)
    D = (0.5 + rng.random(P)).astype(dtype)
    if kind == "matrix":
        D = (np.diag(D) + rng.random((P, P)) / P).astype(dtype)
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    weights = device.put(D)
    run = lin.train(device.put(Y), ntklin.Preconditioned(0.1, lambda t, g: weights), steps=3)
    J, _, f0, _ = matrices(case, case.X)

    def step(t, g, memory):
        return -0.1 * (D @ g if kind == "matrix" else D * g), D

    expected = naive.linearized_training(J, f0, Y, step, np.full((3, 6), 1 / 6))[-1][0]
    assert_close(device.get(run.displacement), expected, kind="trajectory", n=3 * case.n)


@ignore_rises
def test_steps_of_ones_own_are_taken_once(device):
    case, Y = problem()
    times = []

    def fn(t, gradient):
        times.append(t)
        return 1.0

    arguments = (case.net, *device.put((case.theta, case.X, Y)), ntklin.Preconditioned(0.5, fn))
    run = ntklin.train(*arguments, until=0.02)
    assert times == list(range(run.steps))
    assert run.steps > 10


def test_inputs_stay_as_they_are(device):
    case, Y = problem()
    theta, X, targets = device.put((case.theta, case.X, Y))
    for method in ("reduced", "direct", "fused"):
        ntklin.train(case.net, theta, X, targets, ntklin.GradientDescent(0.1), 3, method=method)
    ntklin.linearize(case.net, theta, X).train(targets, ntklin.Adam(0.1), steps=3)
    for a, original in ((theta, case.theta), (X, case.X), (targets, Y)):
        assert np.array_equal(device.get(a), original)


# Errors


def test_mixed_arrays_are_refused(device):
    case, Y = problem()
    theta, X, targets = device.put((case.theta, case.X, Y))
    mixed = {"match": "NumPy and CuPy arrays in one call"}
    with pytest.raises(TypeError, **mixed):
        case.net.apply(case.theta, X)
    with pytest.raises(TypeError, **mixed):
        case.net.apply(theta, case.X)
    with pytest.raises(TypeError, **mixed):
        ntklin.train(case.net, theta, X, Y, steps=1)
    with pytest.raises(TypeError, **mixed):
        ntklin.infinite_ntk(case.net, X, case.X)
    lin = ntklin.linearize(case.net, theta, X)
    for call in (lin.minimizer, lin.gradient_descent, lin.train):
        with pytest.raises(TypeError, **mixed):
            call(Y)
    m = lin.minimizer(targets)
    for call in (m.predict, lin.gradient_descent(targets).predict, lin.features.dot):
        with pytest.raises(TypeError, **mixed):
            call(case.X)
    with pytest.raises(TypeError, **mixed):
        lin.features.T @ Y
    with pytest.raises(ValueError, match="dimension mismatch"):
        lin.features @ targets


@pytest.fixture
def small_device(device, monkeypatch):
    if device.real:
        pytest.skip("a real GPU has the memory")
    cupy = stand_in_cupy.module(free=1000)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return device


def test_memory_is_asked_for_on_the_device(small_device):
    case, _ = problem()
    theta, X = small_device.put((case.theta, case.X))
    with pytest.raises(ntklin.MemoryLimitError, match=r"Jacobian.* are free on the GPU; use net.f"):
        case.net.jacobian(theta, X)
    D = small_device.put(np.ones(len(case.theta)))
    with pytest.raises(ntklin.MemoryLimitError, match=r"kernel.*on the GPU; take fewer rows"):
        ntklin.ntk(case.net, theta, X, weights=D)


def test_devices_by_name(device):
    assert backends.device_namespace("cpu") is np
    assert backends.device_namespace("gpu") is device.xp
    with pytest.raises(ValueError, match="device must be 'cpu' or 'gpu', got 'tpu'"):
        backends.device_namespace("tpu")


def test_a_cupy_that_cannot_be_loaded_says_why(tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcublas.so.12: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with pytest.raises(ntklin.DeviceError, match=r"cannot be imported: libcublas.so.12"):
        ntklin.device_namespace("gpu")


@pytest.mark.parametrize("mirrored", [1, 2, 3, 100])
def test_the_lower_triangle_is_mirrored_in_pieces(device, mirrored, monkeypatch):
    from ntklin.kernels.gpu import arrays

    monkeypatch.setattr(arrays, "MIRRORED", mirrored)
    K = np.random.default_rng(0).random((7, 7))
    assert np.array_equal(
        device.get(arrays.symmetric(device.put(K))), np.tril(K) + np.tril(K, -1).T
    )


def test_a_missing_cupy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ntklin.DeviceError, match=r"pip install 'ntklin\[gpu\]' for CUDA 12"):
        backends.device_namespace("gpu")


def test_a_missing_gpu_is_told(monkeypatch):
    cupy = stand_in_cupy.module()

    class CUDARuntimeError(RuntimeError):
        pass

    def no_driver():
        raise CUDARuntimeError("no driver")

    cupy.cuda.runtime.CUDARuntimeError = CUDARuntimeError
    cupy.cuda.runtime.getDeviceCount = no_driver
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(ntklin.DeviceError, match="CuPy finds no GPU that it can use: no driver"):
        backends.device_namespace("gpu")
    cupy.cuda.runtime.getDeviceCount = lambda: 0
    with pytest.raises(ntklin.DeviceError, match="no CUDA device is visible"):
        backends.device_namespace("gpu")
