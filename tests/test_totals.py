"""Sums of whole arrays by several threads, and the values that they must not lose."""

import numpy as np
import pytest
from tolerances import assert_close

from ntklin.edge.checks import LARGE, require_finite
from ntklin.kernels.cpu.totals import PART, total

SIZES = [1, PART, PART + 1, 3 * PART, 5 * PART - 7]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_a_total_is_the_sum(size, dtype):
    a = np.random.default_rng(size).standard_normal(size).astype(dtype)
    assert total(a).dtype == dtype
    assert_close(total(a), a.sum(dtype=float), kind="gram", n=size, scale=abs(a).sum())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", SIZES)
def test_every_element_is_met(size, value):
    for i in {0, size // 2, size - 1, min(PART, size - 1), min(PART - 1, size - 1)}:
        a = np.ones(size)
        a[i] = value
        assert not np.isfinite(total(a))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[::2],
        lambda a: a[::-1],
        lambda a: a.reshape(2, -1),
        lambda a: a.reshape(2, -1).T,
        lambda a: a.reshape(2, -1)[:, ::3],
        lambda a: a.astype(">f8"),
        lambda a: np.frombuffer(a.tobytes()),
        lambda a: np.broadcast_to(a, (2, len(a))),
        lambda a: np.frombuffer(b"0" + a.tobytes(), np.uint8)[1:].view(float),
    ],
)
def test_arrays_of_any_layout(change):
    a = change(np.random.default_rng(0).standard_normal(4 * PART))
    assert_close(total(a), a.sum(), kind="gram", n=a.size, scale=abs(a).sum())


def test_a_sum_that_overflows_is_no_infinite_element():
    a = np.full(2 * LARGE, 1e300)
    require_finite(a, "a")
    a[LARGE + 3] = np.nan
    with pytest.raises(ValueError, match=f"a contains NaN or infinite .* {LARGE + 3}"):
        require_finite(a, "a")
