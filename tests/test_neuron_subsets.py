"""Products with 0/1 matrices by subset sums, against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from ntklin.kernels.cpu import neuron_subsets as subsets
from ntklin.kernels.cpu.sizes import WORD

DTYPES = (np.float32, np.float64)


def draw(seed, n, m, dtype):
    """Activations with about half of them zero, whole rows and columns among them."""
    rng = np.random.default_rng(seed)
    a = np.maximum(rng.standard_normal((n, m)), 0)
    a[rng.random(n) < 0.1] = 0
    a[:, rng.random(m) < 0.1] = 0
    return a.astype(dtype), rng.standard_normal(m).astype(dtype)


@given(st.integers(0, 2**20), st.integers(1, 70), st.integers(1, 70), st.sampled_from(DTYPES))
def test_bits_say_where_an_array_is_not_zero(seed, n, m, dtype):
    a, _ = draw(seed, n, m, dtype)
    bits = subsets.active_bits(a)
    assert bits.shape == (-(-m // WORD), n)
    unpacked = bits[:, :, None] >> np.arange(WORD, dtype=np.uint32) & 1
    unpacked = unpacked.transpose(1, 0, 2).reshape(n, -1)
    np.testing.assert_array_equal(unpacked[:, :m], a != 0)
    assert not unpacked[:, m:].any()


sizes = st.one_of(
    st.tuples(st.integers(1, 80), st.integers(1, 80)),
    st.tuples(st.integers(subsets.ROWS - 2, subsets.ROWS + 70), st.integers(1, 40)),
)


@given(st.integers(0, 2**20), sizes, st.sampled_from(DTYPES))
def test_the_layer_is_added_on_and_below_the_diagonal(seed, size, dtype):
    n, m = size
    a, scale = draw(seed, n, m, dtype)
    rng = np.random.default_rng(seed)
    K, G = rng.standard_normal((2, n, n)).astype(dtype)
    before = K.copy()
    delta = (scale * (a != 0)).astype(np.float64)
    expected = K + (1.3 * G.astype(np.float64) + 0.2) * (delta @ delta.T)
    scale_of_terms = (abs(K) + (1.3 * abs(G) + 0.2) * (delta @ delta.T)).max()
    subsets.add_layer(K, G, dtype(1.3), dtype(0.2), a, scale)
    lower = np.tril_indices(n)
    assert_close(K[lower], expected[lower], kind="gram", n=m + 4, scale=scale_of_terms)
    upper = np.triu_indices(n, 1)
    np.testing.assert_array_equal(K[upper], before[upper])


@given(st.integers(0, 2**20), sizes, st.integers(1, 80), st.sampled_from(DTYPES))
def test_the_signal_below(seed, size, width, dtype):
    n, m = size
    above, scale = draw(seed, n, m, dtype)
    a, _ = draw(seed + 1, n, width, dtype)
    W = np.random.default_rng(seed).standard_normal((m, width)).astype(dtype)
    delta = (scale * (above != 0)).astype(np.float64)
    expected = (delta @ W) * (a > 0)
    result = subsets.signal_below(above, scale, W, a)
    assert_close(result, expected, kind="output", n=m + 2, scale=(abs(delta) @ abs(W)).max())
    np.testing.assert_array_equal(result[a == 0], 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_whole_numbers_are_exact(dtype):
    """Sums of integers have no rounding, whatever their order."""
    rng = np.random.default_rng(5)
    a = rng.integers(0, 2, (50, 45)).astype(dtype)
    W = rng.integers(-9, 10, (45, 70)).astype(dtype)
    ones = np.ones((50, 70), dtype)
    scale = rng.integers(-3, 4, 45).astype(dtype)
    np.testing.assert_array_equal(subsets.signal_below(a, scale, W, ones), (scale * a) @ W)


step_sizes = st.tuples(st.integers(1, 100), st.integers(1, 80), st.integers(1, 200))
chunks = st.tuples(st.integers(158, 325), st.integers(1, 40), st.integers(1, 70))


@given(st.integers(0, 2**20), st.one_of(step_sizes, chunks), st.sampled_from(DTYPES))
def test_a_step_of_the_last_hidden_layer(seed, size, dtype):
    n, m, width = size
    above, scale = draw(seed, n, m, dtype)
    below, _ = draw(seed + 1, n, width, dtype)
    rng = np.random.default_rng(seed)
    r, W = rng.standard_normal(n).astype(dtype), rng.standard_normal((m, width)).astype(dtype)
    w, rate = dtype(0.7), dtype(0.3)
    signal = 0.7 * scale.astype(float) * (above > 0)
    expected = (signal @ W.astype(float)) * (below > 0)
    size_of_terms = (abs(signal) @ abs(W)).max()
    change = 0.3 * signal.T @ (r[:, None].astype(float) * below)
    size_of_step = (abs(W) + 0.3 * abs(signal).T @ abs(r[:, None] * below)).max()
    stepped, delta = W.copy(), np.empty((width, n), dtype)
    neuron_major = [np.ascontiguousarray(a.T) for a in (above, below)]
    subsets.backward_step(stepped, scale, neuron_major[0], r, neuron_major[1], delta, w, rate)
    assert_close(delta.T, expected, kind="gram", n=m + 4, scale=size_of_terms or 1)
    assert_close(stepped, W - change, kind="gram", n=n + 4, scale=size_of_step)
