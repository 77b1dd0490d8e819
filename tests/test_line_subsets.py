"""Sums over sets of rows, a cache line at a time, against their definitions."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tolerances import assert_close

from ntklin.kernels.cpu import line_subsets
from ntklin.kernels.cpu.aligned import aligned_empty, aligned_zeros
from ntklin.kernels.cpu.line_subsets import Span
from ntklin.kernels.cpu.sizes import LINE, SET_BYTES

DTYPES = (np.float32, np.float64)


def lanes(dtype):
    return LINE // np.dtype(dtype).itemsize


def aligned(rng, shape, dtype):
    out = aligned_empty(shape, dtype)
    out[...] = rng.standard_normal(shape)
    return out


@given(
    st.integers(0, 2**20),
    st.integers(0, 20),
    st.integers(0, 5),
    st.integers(1, 30),
    st.integers(1, 9),
    st.sampled_from(DTYPES),
)
def test_sums_over_sets(seed, start, n_rows, n_bytes, n_lines, dtype):
    """Of all bytes and lines at once or of some of them, for rows in any number."""
    rng = np.random.default_rng(seed)
    k, n = lanes(dtype), 8 * n_bytes
    A = aligned(rng, (26, (n_lines + 2) * k), dtype)
    rows = aligned(rng, (40, (n_lines + 1) * k), dtype)
    sets = rng.integers(0, 256, (26, n_bytes + 2), dtype=np.uint8)
    listed, factors = rng.integers(0, 40, n), rng.standard_normal(n).astype(dtype)
    scale, factor = rng.standard_normal(26).astype(dtype), dtype(-0.7)
    stop, table = start + n_rows, line_subsets.line_tables(dtype)[0]
    touched = slice(start, stop), slice(k, (n_lines + 1) * k)
    expected = A.astype(float)
    members = np.unpackbits(sets[:, :n_bytes], axis=1, bitorder="little")[start:stop]
    values = factors[:, None] * rows[listed, 3 : n_lines * k + 3].astype(float)
    expected[touched] += factor * scale[start:stop, None] * (members @ values)
    size = line_subsets.bytes_at_a_time(n_bytes)
    together = line_subsets.lines_at_a_time(size)
    for line in range(0, n_lines, together):
        lines = Span(line + 1, min(together, n_lines - line))
        for first in range(0, n_bytes, size):
            some = Span(first, min(size, n_bytes - first))
            for q in range(lines.count):
                j = (line + q) * k + 3
                line_subsets.tabulate_sets(table, q, rows, j, listed, factors, some)
            chosen = Span(start, n_rows)
            line_subsets.add_sets(A, lines, chosen, sets, some, table, scale, factor)
    assert_close(A, expected, kind="gram", n=n + 4, scale=10 * n)
    outside = np.ones(A.shape, bool)
    outside[touched] = False
    np.testing.assert_array_equal(A[outside], expected[outside].astype(dtype))


@given(st.integers(0, 1000))
@example(0)
def test_sets_are_cut_evenly(n_bytes):
    size = line_subsets.bytes_at_a_time(n_bytes)
    assert 1 <= size <= SET_BYTES
    n_parts = -(-n_bytes // SET_BYTES)
    assert max(0, n_parts - 1) * size <= n_bytes <= n_parts * size
    assert 1 <= line_subsets.lines_at_a_time(size) * size <= SET_BYTES


@pytest.mark.parametrize("dtype", DTYPES)
def test_sets_of_positive_elements(dtype):
    rng = np.random.default_rng(5)
    A = aligned(rng, (4, 48), dtype)
    A[1, :4] = 0, -0.0, np.nan, np.inf
    sets = np.full((3, 6), 85, np.uint8)
    line_subsets.positive_set(sets, 2, A, 1)
    bits = np.unpackbits(sets, axis=1, bitorder="little")
    np.testing.assert_array_equal(bits[2], A[1] > 0)
    listed = np.array([47, 0, 3, 3, 20, 1, 2, 9, 8, 46, 5])
    line_subsets.listed_positive_set(sets, 0, A, 1, listed, 10)
    bits = np.unpackbits(sets, axis=1, bitorder="little")
    np.testing.assert_array_equal(bits[0, :10], A[1, listed[:10]] > 0)
    assert not bits[0, 10:16].any()
    assert (sets[0, 2:] == 85).all()
    assert (sets[1] == 85).all()


def test_whole_numbers_are_exact():
    """And no member of a set is forgotten, nor one outside of it counted."""
    A, rows = aligned_zeros((256, 8), np.float64), aligned_zeros((8, 8), np.float64)
    rows[...] = (1 << np.arange(8))[:, None]
    sets = np.arange(256, dtype=np.uint8)[:, None]
    table, ones = line_subsets.line_tables(np.float64)[0], np.ones(256)
    line_subsets.tabulate_sets(table, 0, rows, 0, np.arange(8), ones, Span(0, 1))
    line_subsets.add_sets(A, Span(0, 1), Span(0, 256), sets, Span(0, 1), table, ones, 1.0)
    np.testing.assert_array_equal(A, np.arange(256)[:, None] * np.ones(8))
