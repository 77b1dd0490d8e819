"""Layers that skip the zeros among their inputs, and the pieces that they are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from ntklin.kernels.cpu import skipping, skipping_layers
from ntklin.kernels.cpu.aligned import aligned_zeros
from ntklin.kernels.cpu.descent import own_copy
from ntklin.kernels.cpu.sizes import GROUP, LINE
from ntklin.kernels.structures import Layer

DTYPES = (np.float32, np.float64)
seeds = st.integers(0, 2**20)


def problem(seed, n, d, m, dtype):
    rng = np.random.default_rng(seed)
    a = np.maximum(rng.standard_normal((n, d)), 0)
    a[rng.random(n) < 0.1] = 0
    W, b = rng.standard_normal((m, d)), rng.standard_normal(m)
    return a.astype(dtype), Layer(W.astype(dtype), b.astype(dtype), dtype(0.7), dtype(0.3))


sizes = st.one_of(
    st.tuples(st.integers(1, 20), st.integers(1, 150), st.integers(1, 150)),
    st.tuples(
        st.integers(skipping_layers.ROWS - 1, skipping_layers.ROWS + 9),
        st.integers(1, 9),
        st.integers(1, 70),
    ),
)


@given(seeds, sizes, st.integers(0, 70), st.sampled_from(DTYPES))
def test_a_layer_against_its_definition(seed, size, behind, dtype):
    """Inputs and activations may be wider than the weights: what is behind them stays."""
    n, d, m = size
    a, layer = problem(seed, n, d, m, dtype)
    W, b = layer.W.astype(float), layer.b.astype(float)
    expected = np.maximum(0.7 * a.astype(float) @ W.T + 0.3 * b, 0)
    wide, out = np.zeros((n, d + behind), dtype), np.full((n, m + behind), 7, dtype)
    wide[:, :d] = a
    assert skipping_layers.skipping_layer(layer, wide, out) == 0
    terms = (0.7 * a.astype(float) @ abs(W).T + 0.3 * abs(b)).max()
    assert_close(out[:, :m], expected, kind="gram", n=d + 2, scale=terms)
    assert (out[:, m:] == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_meet_nothing(dtype):
    """Sums of whole numbers are exact, and weights that no input meets do not count."""
    rng = np.random.default_rng(3)
    a = rng.integers(0, 3, (9, 130)).astype(dtype)
    a[:, 5] = 0
    W = rng.integers(-9, 10, (70, 130)).astype(dtype)
    W[11, 5] = np.inf
    out = np.empty((9, 70), dtype)
    layer = Layer(W, np.arange(70, dtype=dtype), dtype(2), dtype(-1))
    doubtful = skipping_layers.skipping_layer(layer, a, out)
    W[11, 5] = 0
    np.testing.assert_array_equal(out, np.maximum(2 * a @ W.T - np.arange(70), 0))
    assert 1 <= doubtful < 70 + (dtype == np.float32)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [(0, 0), (69, 129), (3, 128)])
def test_weights_that_are_not_finite_are_told(value, place):
    a, layer = problem(0, 5, 130, 70, np.float64)
    out = np.empty((5, 70))
    assert skipping_layers.skipping_layer(layer, a, out) == 0
    layer.W[place] = value
    assert skipping_layers.skipping_layer(layer, a, out) > 0


def test_skipping_pays_for_many_inputs_and_many_zeros():
    W = np.zeros((2 * GROUP, GROUP))
    full, half, few = np.ones((400, GROUP)), np.ones((400, GROUP)), np.zeros((400, GROUP))
    half[:, ::2] = 0
    few[:, ::8] = 1
    assert not skipping_layers.pays(full, W)
    assert [skipping_layers.pays(half[:n], W) for n in (60, 80)] == [False, True]
    assert [skipping_layers.pays(few[:n], W) for n in (28, 40)] == [False, True]
    assert not skipping_layers.pays(few, W[: GROUP - 1])
    assert skipping_layers.pays(few, W[:GROUP])


@given(seeds, st.integers(1, 90), st.integers(1, 90), st.sampled_from(DTYPES))
def test_transposed_blocks(seed, height, width, dtype):
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((width + 3, height + 5)).astype(dtype)
    target = np.full((height + 2, width + 4), 7, dtype)
    skipping.write_transposed(target, 1, 2, B, 4, 3, height, width)
    expected = np.full_like(target, 7)
    expected[1 : height + 1, 2 : width + 2] = B[3:, 4 : height + 4].T
    np.testing.assert_array_equal(target, expected)


@given(seeds, st.booleans(), st.tuples(*[st.integers(0, 40)] * 2), st.sampled_from(DTYPES))
def test_tiles_have_zeros_beyond_the_ends(seed, transpose, place, dtype):
    B = np.random.default_rng(seed).standard_normal((41, 41)).astype(dtype)
    k, j = place
    tile = aligned_zeros((GROUP, 24), dtype)
    tile[:] = 7
    skipping.pack(B, transpose, k, j, tile)
    expected = np.zeros((GROUP + 41, 24 + 41), dtype)
    expected[: 41 - k, : 41 - j] = (B.T if transpose else B)[k:, j:]
    np.testing.assert_array_equal(tile, expected[:GROUP, :24])


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from(DTYPES))
def test_a_copy_for_a_descent_is_aligned_where_its_layers_begin(first, rest, dtype):
    theta = np.arange(first + rest + 1).astype(dtype)
    copy = own_copy(theta, first)
    np.testing.assert_array_equal(copy, theta)
    assert not np.shares_memory(copy, theta)
    assert copy[first:].ctypes.data % LINE == 0
