"""Matrices that are filled and factorized in place, panel by panel, against NumPy's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import EPS, assert_close

from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import NotPositiveDefiniteError
from ntklin.algebra.square import SquareMatrix

KINDS = [PackedMatrix, SquareMatrix]


def definite(n, seed=0):
    A = np.random.default_rng(seed).standard_normal((n, n + 4))
    return A @ A.T / n + np.eye(n)


def filled(kind, A, dtype=np.float64, block=8, rows=11):
    M = kind(len(A), dtype, block)
    M.fill(lambda i, j: A[i, j], rows)
    return M


def whole(M):
    """The panels as one lower triangle."""
    A = np.zeros((M.n, M.n))
    for j in range(M.n_panels):
        A[M.columns(j).start :, M.columns(j)] = M.panel(j)
    return np.tril(A)


@given(
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from([np.float32, np.float64]),
    n=st.integers(1, 40),
    block=st.sampled_from([1, 3, 8, 40, 64]),
    rows=st.integers(1, 20),
    seed=st.integers(0, 9),
)
def test_factor_and_solution(kind, dtype, n, block, rows, seed):
    A = definite(n, seed)
    M = filled(kind, A, dtype, block, rows)
    np.testing.assert_array_equal(whole(M), np.tril(A.astype(dtype)))
    assert M.norm() == pytest.approx(np.abs(A).sum(axis=0).max(), rel=n * EPS[np.dtype(dtype)])
    M.shift_diagonal(0.5)
    shifted = A + 0.5 * np.eye(n)
    np.testing.assert_allclose(M.diagonal(), shifted.diagonal(), rtol=EPS[np.dtype(dtype)])
    places = [M.panel(j).ctypes.data for j in range(M.n_panels)]
    M.factorize()
    assert places == [M.panel(j).ctypes.data for j in range(M.n_panels)]  # in place
    kappa = np.linalg.cond(shifted)
    options = {"kind": "solve", "n": n, "kappa": kappa, "dtype": dtype}
    assert_close(whole(M), np.linalg.cholesky(shifted), **options)
    B = np.random.default_rng(seed).standard_normal((n, 3))
    kept = B.copy()
    X = M.solve(B)
    assert X.dtype == dtype
    np.testing.assert_array_equal(B, kept)
    assert_close(X, np.linalg.solve(shifted, B), **options)


def test_half_the_memory():
    for n, block in ((1, 512), (64, 8), (65, 8), (100, 512), (7, 3)):
        M = PackedMatrix(n, np.float32, block)
        assert sum(M.panel(j).size for j in range(M.n_panels)) == PackedMatrix.size(n, block)
    assert PackedMatrix.size(60_000) < 0.51 * 60_000**2


def test_finished_panels_are_final():
    """A factorization goes on where it was interrupted, to the same bits."""
    A = definite(50)
    straight, stopped = filled(PackedMatrix, A), filled(PackedMatrix, A)
    straight.factorize()

    def stop(done, total):
        assert total == 7
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.factorize(stop)
    for j in range(7):
        expected = straight.panel(j) if j < 3 else A[8 * j :, 8 * j : 8 * (j + 1)]
        np.testing.assert_array_equal(np.tril(stopped.panel(j)), np.tril(expected))
    seen = []
    stopped.factorize(lambda done, total: seen.append(done), start=3)
    assert seen == [4, 5, 6, 7]
    np.testing.assert_array_equal(whole(stopped), whole(straight))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", [0, 5, 8, 19])
def test_what_is_not_positive_definite_names_its_row(kind, row):
    A = definite(20)
    A[row, row] = -1.0
    with pytest.raises(NotPositiveDefiniteError, match=f"leading {row + 1} rows") as caught:
        filled(kind, A).factorize()
    assert caught.value.row == row


@pytest.mark.parametrize("kind", KINDS)
def test_progress_of_filling_and_factorizing(kind):
    M, seen = kind(20, np.float64, 8), []
    A = definite(20)
    M.fill(lambda i, j: A[i, j], progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    M.factorize(lambda *at: seen.append(at))
    assert seen[-1] == (3, 3)
