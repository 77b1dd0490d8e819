"""Cholesky on a GPU: the same factor as on the host, panel by panel, and the same refusals."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tolerances import assert_close

from ntklin.algebra.device_matrix import DeviceMatrix
from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import NotPositiveDefiniteError

DTYPES = [np.float32, np.float64]
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)


def definite(n, seed, dtype):
    F = np.random.default_rng(seed).standard_normal((n, n + 3))
    return (F @ F.T / n + np.eye(n)).astype(dtype)


def on_device(device, A, block):
    M = DeviceMatrix(len(A), A.dtype, block, anchor=device.put(np.zeros(1)))
    there = device.put(A)
    M.fill(lambda rows, columns: there[rows, columns], rows=3)
    return M


@shared
@given(
    n=st.integers(1, 14),
    block=st.integers(1, 6),
    k=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_factor_and_solutions(device, n, block, k, dtype, seed):
    A, told = definite(n, seed, dtype), []
    M = on_device(device, A, block)
    assert M.norm() == pytest.approx(abs(A.astype(float)).sum(axis=0).max(), rel=1e-6)
    M.shift_diagonal(0.5)
    shifted = A.astype(float) + 0.5 * np.eye(n)
    M.factorize(lambda *now: told.append(now))
    assert told == [(j + 1, M.n_panels) for j in range(M.n_panels)]
    L, kappa = np.linalg.cholesky(shifted), np.linalg.cond(shifted)
    for j in range(M.n_panels):
        columns = M.columns(j)
        found = np.tril(device.get(M.panel(j)))
        assert found.dtype == dtype
        assert_close(found, L[columns.start :, columns], kind="solve", n=n, kappa=kappa)
    assert_close(M.diagonal(), np.diag(L), kind="solve", n=n, kappa=kappa, dtype=dtype)
    B = np.random.default_rng(seed + 1).standard_normal((n, k))
    found = M.solve(B)
    assert found.dtype == dtype
    assert_close(found, np.linalg.solve(shifted, B), kind="solve", n=n, kappa=kappa)


@pytest.mark.parametrize("row", [0, 3, 6])
def test_a_row_without_a_root_is_named_as_on_the_host(device, row):
    A = definite(7, 0, np.float64)
    A[row, row] = -1
    there, here = on_device(device, A, 3), PackedMatrix(7, block=3)
    here.fill(lambda rows, columns: A[rows, columns])
    for matrix in (there, here):
        with pytest.raises(NotPositiveDefiniteError, match=f"leading {row + 1} rows") as caught:
            matrix.factorize()
        assert caught.value.row == row
