import tracemalloc

import numpy as np
import pytest

import ntklin
from ntklin.edge import checks as _validate
from ntklin.runs import stability

NETWORKS = {
    "shallow": ntklin.MLP((3, 20, 1)),
    "deep": ntklin.MLP((3, 9, 7, 1), bias="normal"),
    "linear": ntklin.MLP((3, 1), bias="none"),
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((3, 8, 1))),
    "doubled": ntklin.DoubledNetwork(ntklin.MLP((3, 5, 4, 1))),
}


@pytest.fixture
def few(monkeypatch):
    """As if N were large already beyond three inputs; K is then not to be made."""
    monkeypatch.setattr(stability, "LARGE", 3)

    def gram(*arguments, **options):
        raise AssertionError("the kernel was made")

    for kind in (ntklin.FeatureMap, ntklin.networks.symmetrized.PairFeatures):
        monkeypatch.setattr(kind, "gram", gram)


def problem(net, n=12, dtype=float):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, net.n_inputs)).astype(dtype) / 3
    return net.init(1, dtype), X, X[:, 0].copy()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_without_the_kernel_it_is_the_same(net, dtype, request):
    theta, X, _ = problem(net, dtype=dtype)
    phi = net.features(theta, X)
    expected = np.linalg.eigvalsh(phi.gram().astype(float))[-1]
    assert stability.largest_eigenvalue(phi) == expected
    request.getfixturevalue("few")
    found = stability.largest_eigenvalue(phi)
    assert found == pytest.approx(expected, rel=1e-9 if dtype == np.float64 else 1e-5)


def test_one_default_rate_for_all(few):
    net = NETWORKS["shallow"]
    theta, X, Y = problem(net)
    rate = ntklin.train(net, theta, X, Y, steps=1).optimizer.learning_rate
    lin = ntklin.linearize(net, theta, X)
    assert lin.default_learning_rate() == rate
    assert lin.max_learning_rate == 4 * rate
    assert lin.gradient_descent(Y).learning_rate == rate
    assert lin.train(Y, steps=1, method="direct").optimizer.learning_rate == rate
    assert lin.theorem6(Y, ntklin.GradientDescent(), steps=1).learning_rate == rate
    (run,) = ntklin.train_ensemble(net, [theta], X, Y, steps=1)
    assert run.optimizer.learning_rate == rate
    found = ntklin.largest_learning_rate(net, theta, X, Y, steps=2, precision=10.0)
    assert found.trials[0].learning_rate == rate


def test_a_continued_run_keeps_its_rate(few, tmp_path):
    net = NETWORKS["deep"]
    theta, X, Y = problem(net)
    whole = ntklin.train(net, theta, X, Y, steps=6)
    ntklin.train(net, theta, X, Y, steps=3).save(tmp_path / "run.npz")
    again = ntklin.train(net, theta, X, Y, steps=6, resume=tmp_path / "run.npz")
    assert np.array_equal(again.losses, whole.losses)
    assert again.optimizer == whole.optimizer


def test_a_kernel_of_zeros_has_none(few):
    net = ntklin.MLP((3, 4, 1), bias="none")
    X = np.zeros((5, 3))
    for call in (
        lambda: ntklin.train(net, net.init(0), X, np.ones(5), steps=1),
        lambda: ntklin.linearize(net, net.init(0), X).default_learning_rate(),
    ):
        with pytest.raises(ntklin.DegenerateKernelError, match=r"K\(X, X\) = 0"):
            call()


def test_a_rate_beyond_floating_point_is_none():
    with pytest.raises(ntklin.DegenerateKernelError, match="is so small that there is no default"):
        stability.default_learning_rate(10, 1e-310)


# Uncompiled kernels warn where compiled ones overflow in silence.
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_a_kernel_beyond_floating_point_is_refused(few):
    net = NETWORKS["shallow"]
    theta, X, Y = problem(net, dtype=np.float32)
    with pytest.raises(ValueError, match="overflows float32"):
        ntklin.train(net, np.float32(1e20) * theta, X, Y, steps=1)


@pytest.mark.compiled
def test_it_stores_no_square_of_the_samples():
    net, n = ntklin.MLP((4, 6, 1)), 3000
    theta, X, Y = problem(net, n)
    ntklin.train(net, theta, X, Y, steps=1)  # compiles
    tracemalloc.start()
    ntklin.train(net, theta, X, Y, steps=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n


def test_where_the_kernel_does_not_fit_it_is_not_made(monkeypatch):
    net = NETWORKS["shallow"]
    theta, X, Y = problem(net, 50)
    expected = ntklin.train(net, theta, X, Y, steps=1).optimizer.learning_rate
    monkeypatch.setattr(_validate, "available_memory", lambda: 8 * 50 * 50)
    for run in (
        ntklin.train(net, theta, X, Y, steps=1),
        ntklin.linearize(net, theta, X).train(Y, steps=1),
    ):
        assert run.optimizer.learning_rate == pytest.approx(expected, rel=1e-9)
