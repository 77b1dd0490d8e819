"""Features whose passes are made anew for some rows at a time, against those that keep them."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import cases, inputs, keep_clear_of_kinks
from tolerances import assert_close

import ntklin
from ntklin.edge import checks as _validate
from ntklin.networks import memory

NET = ntklin.MLP((3, 8, 2), bias="normal")
THETA = NET.init(0)


@pytest.mark.parametrize("free", [10**12, 10**8])
def test_as_many_rows_as_a_gibibyte_or_a_quarter_of_the_memory_takes(free, monkeypatch):
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: free)
    each = 8 * memory.passes(NET, 1)
    rows = memory.rows_that_fit(NET, 10**12, 8, np.zeros((1, 3)))
    assert rows * each <= min(2**30, free // 4) < (rows + 1) * each
    assert memory.rows_that_fit(NET, 10, 8, np.zeros((1, 3))) is None


@given(cases(general=True, max_rows=7), st.integers(0, 99), st.integers(1, 9), st.booleans())
def test_all_that_is_asked_of_features(case, seed, rows, weighted):
    kept, phi = (
        case.net.features(case.theta, case.X),
        case.net.features(case.theta, case.X, rows=rows),
    )
    assert isinstance(phi, ntklin.StreamedFeatures)
    assert (phi.shape, phi.dtype, phi.n_outputs) == (kept.shape, kept.dtype, kept.n_outputs)
    rng, bound = np.random.default_rng(seed), case.jacobian_bound()
    V, R = (rng.standard_normal((n, 2)).astype(case.dtype) for n in phi.shape[::-1])
    D = rng.random(phi.shape[1]).astype(case.dtype) if weighted else None
    X = inputs(rng, case.net.n_inputs, 3, case.dtype)
    keep_clear_of_kinks(case, X)
    other, other_bound = case.net.features(case.theta, X), case.jacobian_bound(X)
    n = case.n + sum(phi.shape)
    for actual, expected, kind, scale in (
        (phi @ V, kept @ V, "jacobian", bound @ abs(V)),
        (phi @ V[:, 0], kept @ V[:, 0], "jacobian", bound @ abs(V[:, 0])),
        (phi.T @ R, kept.T @ R, "jacobian", bound.T @ abs(R)),
        (phi.gram_product(R), kept.gram_product(R), "gram", bound @ (bound.T @ abs(R))),
        (phi.gram(weights=D), kept.gram(weights=D), "weighted_gram", bound @ bound.T),
        (phi.gram(other, D), kept.gram(other, D), "weighted_gram", bound @ other_bound.T),
        (other.gram(phi, D), other.gram(kept, D), "weighted_gram", other_bound @ bound.T),
        (phi.at(X).gram(phi, D), other.gram(kept, D), "weighted_gram", other_bound @ bound.T),
        (phi.toarray(), kept.toarray(), "jacobian", bound),
    ):
        assert actual.dtype == case.dtype
        assert_close(actual, expected, kind=kind, n=n, scale=scale)
    reference = np.abs(kept.outputs).max() + bound.max()
    assert_close(phi.outputs, kept.outputs, kind="output", n=n, scale=reference)
    np.testing.assert_array_equal(phi.gram(), phi.gram().T)
    np.testing.assert_array_equal(
        phi.gram(blocks=True),
        phi.gram().reshape(len(case.X), phi.n_outputs, -1, phi.n_outputs).swapaxes(1, 2),
    )


def pixels(tmp_path, n=40, dtype=np.uint8):
    """A read-only file of inputs, and the same numbers in memory."""
    X = np.eye(3, dtype=dtype)[np.random.default_rng(1).integers(0, 3, n)]
    X.tofile(tmp_path / "X")
    return np.memmap(tmp_path / "X", dtype, "r", shape=X.shape), X


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_inputs_in_a_file_stay_there(tmp_path, dtype):
    mapped, X = pixels(tmp_path, dtype=dtype)
    phi = NET.features(THETA, mapped, rows=7)
    assert np.shares_memory(phi.inputs, mapped)
    kept = NET.features(THETA, X.astype(float))
    v, r = np.cos(np.arange(phi.shape[1])), np.sin(np.arange(phi.shape[0]))
    np.testing.assert_allclose(phi @ v, kept @ v, rtol=1e-12)
    np.testing.assert_allclose(phi.T @ r, kept.T @ r, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(phi.outputs, kept.outputs, rtol=1e-12)
    lin = ntklin.linearize(NET, THETA, mapped, rows=7)
    assert np.shares_memory(lin.features.inputs, mapped)


@pytest.mark.compiled
def test_a_file_of_inputs_is_read_a_block_at_a_time(tmp_path):
    """Neither a copy nor a conversion of the whole: 8 MB of bytes, 64 MB in float64."""
    net = ntklin.MLP((500, 2, 1))
    theta = net.init(0)
    mapped = np.memmap(tmp_path / "X", np.uint8, "w+", shape=(16_000, 500))
    mapped[::7, 3] = 1

    def work(X):
        ntklin.linearize(net, theta, X, rows=200).features.gram_product(np.ones(len(X)))

    work(mapped[:300])  # compiles
    tracemalloc.start()
    work(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mapped.nbytes


def test_closed_forms_and_training_take_them(tmp_path):
    """A linearization of them is one of the features that are kept, to rounding."""
    X = np.random.default_rng(2).standard_normal((12, 3)) / 6
    Y = np.stack([X[:, 0], X[:, 1] > 0], axis=1).astype(float)
    lin, kept = ntklin.linearize(NET, THETA, X, rows=5), ntklin.linearize(NET, THETA, X)
    X_new = X[::-1] / 2
    for some in (
        lambda lin: lin.default_learning_rate(),
        lambda lin: lin.minimizer(Y, ridge=0.1).predict(X_new),
        lambda lin: lin.gradient_descent(Y).predict(X_new, t=[0, 30]),
        lambda lin: lin.train(Y, ntklin.GradientDescent(0.1), 5).parameters,
        lambda lin: lin.train(Y, ntklin.Adam(0.01), 5).parameters,
    ):
        np.testing.assert_allclose(some(lin), some(kept), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_beyond_the_range(dtype):
    """One unit for all blocks, that of the largest number in X."""
    k = {np.float32: 60, np.float64: 500}[dtype]
    net = ntklin.MLP((3, 6, 1), sigma=2.0**-k)
    X = np.ldexp(np.random.default_rng(0).standard_normal((5, 3)), -np.arange(5)[:, None])
    theta, X = net.init(0, dtype), X[::-1].astype(dtype)
    kept, phi = net.features(theta, X), net.features(theta, X, rows=2)
    (even, e), (streamed, same) = kept.balanced(), phi.balanced()
    assert e == same != 0
    assert isinstance(streamed, ntklin.StreamedFeatures)
    assert_close(streamed.gram(), even.gram(), kind="gram", n=60)
    assert phi.balanced(np.float64)[0].dtype == np.float64
    ordinary = NET.features(THETA, np.eye(3), rows=2)
    assert ordinary.balanced() == (ordinary, 0)


def test_any_network_can_be_streamed():
    pair = ntklin.AntisymmetricPair(ntklin.MLP((3, 6, 1)))
    theta, X = pair.init(0) + 0.1, np.random.default_rng(0).standard_normal((7, 3))
    kept, phi = pair.features(theta, X), ntklin.StreamedFeatures.of(pair, theta, X, 3)
    r = np.arange(7.0)
    np.testing.assert_allclose(phi.gram(), kept.gram(), rtol=1e-12)
    np.testing.assert_allclose(phi.gram_product(r), kept.gram_product(r), rtol=1e-12)


def test_linearize_streams_what_does_not_fit(monkeypatch):
    net = ntklin.MLP((4, 300, 1))
    X = np.random.default_rng(0).standard_normal((1000, 4)) / 9
    whole = ntklin.linearize(net, net.init(0), X).features
    assert isinstance(whole, ntklin.FeatureMap)
    monkeypatch.setattr(_validate, "available_memory", lambda: 2_000_000)
    told = r"feature map of 1000 inputs.*free; make passes of fewer.*features\(theta, X, rows=...\)"
    with pytest.raises(ntklin.MemoryLimitError, match=told):
        net.features(net.init(0), X)
    phi = ntklin.linearize(net, net.init(0), X).features
    assert isinstance(phi, ntklin.StreamedFeatures)
    assert 8 * 300 * phi.chunk_rows < 500_000
    r = np.cos(np.arange(1000))
    np.testing.assert_allclose(phi.gram_product(r), whole.gram_product(r), rtol=1e-10)
    with pytest.raises(ntklin.MemoryLimitError, match=r"kernel of shape .*phi\.gram_product\(r\)"):
        phi.gram()
    with pytest.raises(ntklin.MemoryLimitError, match=r"dense Jacobian"):
        phi.toarray()


@pytest.mark.parametrize(
    ("X", "rows", "error", "match"),
    [
        (np.ones((4, 3)), 0, ValueError, "rows must be at least 1, got 0"),
        (np.ones((4, 3)), 1.5, TypeError, "rows must be an integer"),
        (np.ones(3), 2, ValueError, r"X must have shape \(N, d\).*X\[None, :\]"),
        (np.ones((0, 3)), 2, ValueError, "X is empty"),
        (np.ones((4, 2)), 2, ValueError, "has 2 columns, but the network takes inputs of dim.* 3"),
        (np.diag([1.0, 1, np.nan]), 2, ValueError, r"X\[2:3\] contains NaN .*row 0, column 2"),
        (np.ones((4, 3), complex), 2, TypeError, "X must be an array of real numbers"),
    ],
)
def test_bad_arguments(X, rows, error, match):
    with pytest.raises(error, match=match):
        NET.features(THETA, X, rows=rows)
    if rows == 2:
        phi = NET.features(THETA, np.ones((4, 3)), rows=2)
        with pytest.raises(error, match=match.replace("X", "X_new")):
            phi.at(X)


MEASURED = """
import resource, sys
import numpy as np, ntklin
N, d, m = 20_000, 4, 16
net = ntklin.MLP((d, m, 1))
theta, X = net.init(0), np.random.default_rng(0).standard_normal((N, d)) / 2
Y = X[:, 0].copy()

def work(n):
    A, b = X[:n], Y[:n]
    lin = ntklin.linearize(net, theta, A)
    streamed = ntklin.linearize(net, theta, A, rows=1000)
    for optimizer in (None, ntklin.Momentum(0.01), ntklin.Adam(0.01)):
        ntklin.train(net, theta, A, b, optimizer, 2)
        lin.train(b, optimizer, 2).parameters
    streamed.train(b, None, 2).parameters
    streamed.features.gram_product(np.stack([b, b], axis=1))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

work(2500)  # compiles, and loads what is loaded once
before = peak()
work(N)
print(peak() - before)
"""


@pytest.mark.compiled
def test_training_on_many_inputs_makes_no_array_of_their_square():
    """At N = 20,000 a kernel would take 3.2 GB, and passes take 5 MB."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=False
    )
    assert int(done.stdout) < 300e6, done.stderr
