"""Cholesky of tiles against the matrix itself."""

import numpy as np
import pytest
from tolerances import assert_close

import ntklin
from ntklin.algebra import tiled
from ntklin.algebra.tiled import TiledCholesky

da = pytest.importorskip("dask.array", reason="needs Dask")
optimization = pytest.importorskip("dask.optimization", reason="needs Dask")


def matrix(n=17, dtype=np.float64):
    B = np.random.default_rng(0).standard_normal((n, n + 5)).astype(dtype)
    return B @ B.T


@pytest.mark.parametrize("tiles", [(17,), (4, 4, 4, 4, 1), (9, 8)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_factor_and_its_solutions(tiles, dtype, shift):
    A = matrix(dtype=dtype)
    R = np.random.default_rng(1).standard_normal((17, 3)).astype(dtype)
    before = A.copy()
    factor = TiledCholesky(da.from_array(A, chunks=(tiles, tiles)), shift=shift)
    np.testing.assert_array_equal(A, before)
    assert factor.factor.name.startswith("tiled-cholesky-")  # by which a dashboard tells of it
    L, shifted = factor.factor.compute(), A + shift * np.eye(17, dtype=dtype)
    assert L.dtype == dtype
    np.testing.assert_array_equal(L, np.tril(L))
    assert_close(L @ L.T, shifted, kind="solve", n=17)
    kappa = np.linalg.cond(shifted.astype(np.float64))
    expected = np.linalg.solve(shifted.astype(np.float64), R.astype(np.float64))
    assert_close(factor(R), expected, kind="solve", n=17, kappa=kappa)
    assert_close(factor(R[:, 0]), expected[:, 0], kind="solve", n=17, kappa=kappa)


def test_only_the_lower_triangle_is_used():
    A = matrix()
    rubbish = np.where(np.tri(17, dtype=bool), A, np.nan)
    for start in range(0, 17, 4):  # LAPACK reads no more of a tile on the diagonal either
        rubbish[start : start + 4, start : start + 4] = A[start : start + 4, start : start + 4]
    factor = TiledCholesky(da.from_array(rubbish, chunks=4))
    assert_close(factor.factor.compute(), np.linalg.cholesky(A), kind="solve", n=17, kappa=1e3)


def test_nothing_is_computed_that_the_factor_does_not_need():
    for count in range(1, 5):
        A = da.ones((4 * count, 4 * count), chunks=4)
        L = tiled._factor(A, 0.0)
        graph = dict(L.__dask_graph__())
        needed, _ = optimization.cull(graph, L.__dask_keys__())
        assert graph.keys() - A.__dask_graph__().keys() <= needed.keys()


def test_what_is_not_positive_definite_is_named():
    A = matrix()
    A[9] = A[3]
    A[:, 9] = A[:, 3]
    A[9, 9] = A[3, 3] - 1
    with pytest.raises(ntklin.DegenerateKernelError, match="row 9, counting from 0"):
        TiledCholesky(da.from_array(A, chunks=4))
    with pytest.raises(ValueError, match="same tiles in rows and columns"):
        TiledCholesky(da.from_array(A, chunks=(4, 5)))
