import numpy as np
import pytest

from ntklin.algebra.lanczos import largest_eigenvalue

EPS = np.finfo(float).eps


def operator(values, seed=0):
    n = len(values)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return (Q * values) @ Q.T


SPECTRA = {
    "one number": [3.0],
    "two numbers": [1.0, 2.0],
    "a gap": [*np.linspace(0, 0.2, 199), 1.0],
    "an edge": np.linspace(0, 1, 200),
    "all equal": np.full(50, 0.7),
    "twice": [*np.linspace(0, 0.5, 60), 1.0, 1.0],
    "nearly twice": [*np.linspace(0, 0.9, 100), 1 - 1e-9, 1.0],
    "crowded": np.linspace(0, 1, 300) ** 0.01,
    "low rank": [*np.zeros(150), 1, 2, 5],
}


@pytest.mark.parametrize("scale", [1.0, 1e-250, 1e250])
@pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA)
def test_the_largest_from_above(values, scale):
    A = operator(np.array(values)) * scale
    largest = max(values) * scale
    found = largest_eigenvalue(lambda v: A @ v, len(A), 1e-10)
    assert -1e2 * EPS * largest <= found - largest <= 2e-10 * largest


@pytest.mark.parametrize("value", [1.7e308, 2.0**1023, 2.0**-1022])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_the_largest_up_to_the_ends_of_the_range(n, value):
    found = largest_eigenvalue(lambda v: value * v, n, 1e-10)
    assert found == pytest.approx(value, rel=1e-10)


def test_what_is_not_resolved_is_on_the_safe_side(monkeypatch):
    monkeypatch.setattr("ntklin.algebra.lanczos.MOST_VECTORS", 10)
    monkeypatch.setattr("ntklin.algebra.lanczos.MOST_ROUNDS", 1)
    values = np.linspace(0, 1, 400)
    A = operator(values)
    assert 1 < largest_eigenvalue(lambda v: A @ v, 400, 1e-10) < 1.1


def test_a_few_vectors_in_many_rounds(monkeypatch):
    monkeypatch.setattr("ntklin.algebra.lanczos.MOST_VECTORS", 10)
    A = operator(np.array(SPECTRA["a gap"]))
    assert largest_eigenvalue(lambda v: A @ v, 200, 1e-12) == pytest.approx(1, rel=1e-11)


def test_the_same_operator_gives_the_same_number():
    A = operator(np.linspace(0, 1, 100))
    assert len({largest_eigenvalue(lambda v: A @ v, 100, 1e-10) for _ in range(3)}) == 1


def test_zero_and_what_is_not_finite():
    assert largest_eigenvalue(lambda v: 0 * v, 5, 1e-10) == 0
    assert not np.isfinite(largest_eigenvalue(lambda v: np.inf * v, 5, 1e-10))
    assert not np.isfinite(largest_eigenvalue(lambda v: np.nan * v, 5, 1e-10))


@pytest.mark.once
def test_a_gap_takes_few_products():
    A, calls = operator(np.array([*np.linspace(0, 0.2, 999), 1.0])), []
    largest_eigenvalue(lambda v: calls.append(1) or A @ v, 1000, 1e-10)
    assert len(calls) < 20
