"""X that is mapped from a file is read where it is: nothing makes a second one in memory."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest

import ntklin
from ntklin.edge.backends import contiguous, is_mapped
from ntklin.kernels.cpu.plain import JIT_DISABLED

N, d = (12, 5) if JIT_DISABLED else (300, 6000)
NET = ntklin.MLP((d, 4, 1))
THETA = NET.init(rng=0)
RNG = np.random.default_rng(0)
Y, V, R = RNG.standard_normal(N), RNG.standard_normal(NET.n_parameters), RNG.standard_normal(N)
GD = ntklin.GradientDescent(0.01)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "X.npy"
    X = RNG.standard_normal((N, d))
    np.save(path, X / np.linalg.norm(X, axis=1, keepdims=True))
    return path


def peak(call):
    """What a call returns, and the most memory that it took."""
    tracemalloc.start()
    try:
        found = call()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def features(X):
    phi = NET.features(THETA, X)
    return [phi.outputs, phi @ V, phi.T @ R, phi.gram_product(R), phi.output_rounding()]


def linearized(X):
    lin = ntklin.linearize(NET, THETA, X)
    return [lin.train(Y, GD, steps=3, method="direct").parameters]


def limit(X):
    lin = ntklin.linearize(NET, THETA, X)
    m = lin.minimizer(Y, solver="pcg", preconditioner="none", ridge=0.1)
    return [m.coefficients, lin.gradient_descent(Y, 0.1).by_products(3).parameters]


def trained(X):
    runs = [ntklin.train(NET, THETA, X, Y, rule, steps=3, method="direct") for rule in (None, GD)]
    return [run.parameters for run in runs]


USES = {
    "apply": lambda X: [NET.apply(THETA, X)],
    "features": features,
    "pair": lambda X: [ntklin.AntisymmetricPair(NET).apply(np.append(THETA, THETA), X)],
    "streamed": lambda X: [NET.features(THETA, X, rows=100).T @ R],
    "lin.train": linearized,
    "by products": limit,
    "train": trained,
}


@pytest.mark.parametrize("mode", ["r"] if JIT_DISABLED else ["r", "r+", "c"])
@pytest.mark.parametrize("name", USES)
def test_nothing_copies_it(name, mode, path):
    X, use = np.load(path, mmap_mode=mode), USES[name]
    before = path.read_bytes()
    expected = use(np.load(path))  # and all that it needs is compiled
    found, taken = peak(lambda: use(X))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    if not JIT_DISABLED:  # where X is the large part of what there is
        assert taken < 0.5 * X.nbytes
        assert peak(lambda: use(np.array(X)))[1] > 0.9 * X.nbytes
    assert path.read_bytes() == before


def test_it_counts_as_no_memory(path, monkeypatch):
    """What it takes there are activations, gates and signals of 4 neurons, and the output."""
    X, beside_it = np.load(path, mmap_mode="r"), 8 * N * (4 + 4)
    free = beside_it
    monkeypatch.setattr("ntklin.edge.checks.NEGLIGIBLE", 0)
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: free)
    NET.features(THETA, X)
    free = beside_it - 1
    with pytest.raises(ntklin.MemoryLimitError, match="the feature map of"):
        NET.features(THETA, X)
    free = beside_it + X.nbytes - 1
    with pytest.raises(ntklin.MemoryLimitError, match="the feature map of"):
        NET.features(THETA, np.array(X))


def test_views_of_it_too(path):
    X = np.load(path, mmap_mode="r")
    for view in (X, X[10:11], np.asarray(X), X[:, :5].T, contiguous(X)[3:], X[:2].view()):
        assert is_mapped(view)
    for other in (np.load(path), X.copy(), X[[1, 2]], X.astype(np.float32), None, [1.0]):
        assert not is_mapped(other)
    assert contiguous(X).flags.writeable
    assert np.shares_memory(contiguous(X), X)
    phi = NET.features(THETA, X)
    assert not phi.inputs.flags.writeable
    assert np.shares_memory(phi.inputs, X)
    for again in (pickle.loads(pickle.dumps(phi)), NET.features(THETA, X[:]), phi.rows(slice(N))):
        np.testing.assert_array_equal(again.inputs, X)
        np.testing.assert_array_equal(again.outputs, phi.outputs)


def test_other_layouts_are_converted(path, tmp_path):
    """Integers, another byte order, columns first: one copy in the network's own dtype."""
    X = np.load(path)
    for name, other in {"order": np.asfortranarray(X), "bytes": X.astype(">f8")}.items():
        np.save(tmp_path / name, other)
        mapped = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        np.testing.assert_array_equal(NET.apply(THETA, mapped), NET.apply(THETA, X))


@pytest.mark.compiled("a thousand inputs take too long as plain Python")
@pytest.mark.parametrize("method", ["auto", "direct"])
@pytest.mark.parametrize("rule", [None, ntklin.Adam(0.01)], ids=["default", "Adam"])
@pytest.mark.parametrize("kind", ["train", "lin.train"])
def test_training_takes_memory_for_each_input_and_not_for_each_pair(
    kind, rule, method, monkeypatch
):
    """N (d + Σ m) numbers; where kernels are small enough for one, such limits are set to 0."""
    monkeypatch.setattr("ntklin.runs.stability.LARGE", 0)
    monkeypatch.setattr("ntklin.theory.span_engine.LARGEST", 0)
    net = ntklin.MLP((5, 8, 1))
    theta, taken = net.init(rng=0), []

    def use(n):
        X = np.random.default_rng(n).uniform(-0.4, 0.4, (n, 5))
        if kind == "train":
            return ntklin.train(net, theta, X, X[:, 0], rule, steps=2, method=method)
        return ntklin.linearize(net, theta, X).train(X[:, 0], rule, steps=2, method=method)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
        use(20)
        for n in (500, 1000):
            taken.append(peak(lambda n=n: use(n))[1])
    assert taken[1] < 0.5 * 8 * 1000**2
    assert taken[1] - taken[0] < 1.5 * taken[0] + 10**5
