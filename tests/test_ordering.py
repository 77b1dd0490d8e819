import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.kernels.cpu import ordering


def sparse(n, d, zeros, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, d)) * (rng.random((n, d)) >= zeros)


def greedy(X, candidates=None):
    """The definition, by loops; only the next ``candidates`` rows by sparsity where given."""
    used = [tuple(row != 0) for row in X]
    left = list(range(len(X)))
    if candidates is not None:
        left.sort(key=lambda n: sum(used[n]))
    place = min(range(len(left)), key=lambda k: sum(used[left[k]]))
    order = [left.pop(place)]
    while left:
        latest = used[order[-1]]
        differences = [
            sum(a != b for a, b in zip(used[n], latest, strict=True)) for n in left[:candidates]
        ]
        order.append(left.pop(differences.index(min(differences))))
    return order


@given(
    n=st.integers(1, 30),
    d=st.sampled_from([1, 3, 9, 64, 65, 130]),
    zeros=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    seed=st.integers(0, 9),
)
def test_each_row_is_followed_by_the_nearest_that_is_left(n, d, zeros, seed):
    X = sparse(n, d, zeros, seed)
    assert ordering.neighbors_first(X).tolist() == greedy(X)


@pytest.mark.parametrize("window", [1, 2, 7])
def test_many_rows_look_for_it_among_the_sparsest(monkeypatch, window):
    monkeypatch.setattr(ordering, "SEEK_AMONG_ALL", 20)
    monkeypatch.setattr(ordering, "WINDOW", window)
    X = sparse(40, 12, 0.5)
    assert ordering.neighbors_first(X).tolist() == greedy(X, window)


@pytest.mark.parametrize("zeros", [0.0, 0.5])
def test_no_square_of_the_samples_is_stored(zeros):
    n, d = 6000, 8
    assert n > ordering.SEEK_AMONG_ALL
    X = sparse(n, d, zeros)
    ordering.neighbors_first(X[:50])
    tracemalloc.start()
    found = ordering.neighbors_first(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sorted(found) == list(range(n))
    assert peak < 100 * n * d


def test_many_samples_train_in_any_order(monkeypatch):
    monkeypatch.setattr(ordering, "SEEK_AMONG_ALL", 10)
    net = ntklin.MLP((5, 8, 1))
    theta, X = net.init(0), 0.3 * sparse(30, 5, 0.4)
    Y = X.sum(axis=1)
    o = ntklin.AdaGrad(0.01)
    one, other = (ntklin.train(net, theta, X, Y, o, 5, method=m) for m in ("fused", "direct"))
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-11)
