"""Products of inputs with rows of weights: packed inputs and BLAS, in all shapes."""

import numpy as np
import pytest
from tolerances import assert_close

from ntklin.kernels.cpu import layer_products
from ntklin.kernels.cpu.compiler import kernel
from ntklin.kernels.cpu.layer_products import (
    COLUMNS,
    FEWEST,
    LEAST,
    MOST,
    lower_gram,
    multiply,
    packed_inputs,
    product_sums,
    work_size,
)
from ntklin.kernels.cpu.sizes import PANEL_ROWS

SHAPES = [
    (FEWEST, 1, PANEL_ROWS),
    (FEWEST + 1, 3, PANEL_ROWS + 1),
    (25, 17, 3 * PANEL_ROWS - 1),
    (100, COLUMNS, 4 * PANEL_ROWS),
    (49, 2 * COLUMNS + 5, 20),
    (MOST, 7, 33),
]


@kernel
def run(w, X, packed, W, start, stop, a, sums):
    multiply(w, X, packed, W, start, stop, a, sums[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "m"), SHAPES)
def test_rows_from_start_to_stop_are_set_and_no_others(n, d, m, dtype):
    rng = np.random.default_rng(n)
    X, W = (rng.standard_normal(shape).astype(dtype) for shape in ((n, d), (m, d)))
    packed = packed_inputs(X, W)
    assert len(packed) > 0
    for start, stop in ((0, m), (0, m - 1), (m - 1, m), (m // 2, m // 2)):
        a = np.full((n, m), 7, dtype)
        run(dtype(0.5), X, packed, W, start, stop, a, product_sums(packed, 1))
        expected = 0.5 * X.astype(float) @ W[start:stop].astype(float).T
        assert_close(a[:, start:stop], expected, kind="gram", n=d, scale=d)
        assert np.all(a[:, :start] == 7)
        assert np.all(a[:, stop:] == 7)


@pytest.mark.parametrize(("n", "m"), [(FEWEST - 1, 40), (MOST + 1, 40), (20, PANEL_ROWS - 1)])
def test_other_shapes_are_those_of_blas(n, m):
    rng = np.random.default_rng(n)
    X, W = rng.standard_normal((n, 5)), rng.standard_normal((m, 5))
    packed, a = packed_inputs(X, W), np.empty((n, m))
    assert len(packed) == 0
    run(1.0, X, packed, W, 0, m, a, product_sums(packed, 1))
    assert_close(a, X @ W.T, kind="gram", n=5, scale=5)


def test_no_large_copy_is_made(monkeypatch):
    X = np.ones((10, 4))
    monkeypatch.setattr(layer_products, "SMALL", X.nbytes)
    assert len(packed_inputs(X, np.ones((20, 4)))) > 0
    assert len(packed_inputs(X[:9], np.ones((20, 4)))) > 0
    monkeypatch.setattr(layer_products, "SMALL", X.nbytes - 1)
    assert len(packed_inputs(X, np.ones((20, 4)))) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [PANEL_ROWS, 21, 24, 25, 97, MOST])
@pytest.mark.parametrize("columns", [300, COLUMNS + 9, 10 * COLUMNS])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_lower_triangle(n, columns, dtype, order):
    x = np.random.default_rng(n).standard_normal((n, columns)).astype(dtype, order)
    K = np.tril(lower_gram(x))
    y = x.astype(float)
    assert_close(K, np.tril(y @ y.T), kind="gram", n=x.shape[1], scale=2 * x.shape[1])


def test_a_lower_triangle_of_other_shapes_is_not_made():
    assert lower_gram(np.ones((MOST + 1, 3))) is None
    assert lower_gram(np.ones((FEWEST - 1, 3))) is None
    assert lower_gram(np.ones((10, LEAST // 10))) is None
    assert work_size(10, LEAST // 10, 8) == work_size(MOST + 1, LEAST, 8) == 0


def test_a_row_that_is_not_finite_stays_in_its_row():
    X, W = np.ones((10, 3)), np.ones((20, 3))
    W[4, 1], X[7, 2] = np.nan, np.inf
    packed, a = packed_inputs(X, W), np.empty((10, 20))
    run(1.0, X, packed, W, 0, 20, a, product_sums(packed, 1))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(a, X @ W.T)
