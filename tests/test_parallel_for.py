"""Turns that threads share out: each is taken once, with what was passed, by any number of them."""

from typing import NamedTuple

import numba
import numpy as np
import pytest

from ntklin.edge.threads import limited
from ntklin.kernels.cpu.compiler import kernel, launching_kernel, parallel_kernel
from ntklin.kernels.cpu.parallel_for import parallel_for
from ntklin.kernels.cpu.plain import JIT_DISABLED


class Pair(NamedTuple):
    a: np.ndarray
    c: float


class Nested(NamedTuple):
    first: Pair
    second: Pair


@parallel_kernel
def _count(k, taken):
    taken[k] += 1


@parallel_kernel
def _everything(k, out, nested: Nested, matrix, vector, is_odd, number, both):
    first, second = nested
    total = first.c * first.a[k] + second.c * second.a[k] + matrix[k, 1] + vector[k] + number
    total += both[0][k] + both[1]
    out[k] = -total if is_odd else total


@kernel
def _add(k, out, x):
    out[k] += x[k]


@launching_kernel
def _fibonacci(a, b, n):
    """n times a ← a + b and b ← b + a, each by turns of its own."""
    for _ in range(n):
        parallel_for(_add, a.shape[0], (a, b))
        parallel_for(_add, b.shape[0], (b, a))
    return n


@pytest.fixture(params=[1, 2, 64])
def threads(request):
    """One thread, two and all."""
    with limited(request.param):
        yield


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 3, 7, 1000])
def test_every_turn_is_taken_once(n, threads):
    taken = np.zeros(max(n, 1), np.int64)
    assert _count[n](taken) is None
    assert taken.sum() == max(n, 0)
    assert taken.max() == (n > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_turns_get_what_was_passed(dtype, threads):
    n, rng = 9, np.random.default_rng(0)
    a, b, vector = rng.standard_normal((3, n)).astype(dtype)
    matrix = np.asfortranarray(rng.standard_normal((n, 3)).astype(dtype))
    strided = np.repeat(vector, 2)[::2]
    strided.flags.writeable = False
    out = np.empty(n, dtype)
    nested, both = Nested(Pair(a, dtype(2)), Pair(b, dtype(-3))), (b, 5)
    for is_odd in (False, True):
        _everything[n](out, nested, matrix, strided, is_odd, 7, both)
        total = dtype(2) * a + dtype(-3) * b + matrix[:, 1] + vector + 7 + (b + 5)
        np.testing.assert_allclose(out, -total if is_odd else total, rtol=1e-5)


def test_a_kernel_launches_as_often_as_it_likes(threads):
    a, b = np.ones(50), np.ones(50)
    assert _fibonacci(a, b, 10) == 10
    np.testing.assert_array_equal(a, 10946)
    np.testing.assert_array_equal(b, 17711)


@kernel
def _divide(k, out, x):
    out[k] = 1 / x[k]


@launching_kernel
def _divide_all(out, x):
    parallel_for(_divide, out.shape[0], (out, x))


@pytest.mark.parametrize("n", [1, 9])
def test_an_error_in_a_turn_is_one_of_the_kernel(n, threads):
    out, x = np.zeros(n), np.arange(1.0, n + 1)
    _divide_all(out, x)
    np.testing.assert_array_equal(out, 1 / x)
    out[:], x[-1] = 0, 0
    if JIT_DISABLED:  # NumPy's division
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            _divide_all(out, x)
    else:
        with pytest.raises(RuntimeError, match="turn of a parallel kernel has failed"):
            _divide_all(out, x)
    np.testing.assert_array_equal(out[:-1], 1 / x[:-1])


def test_it_keeps_the_name_and_the_words_of_its_turn():
    assert _everything.__name__ == "_everything"
    assert _everything.__module__ == __name__


@pytest.mark.skipif(JIT_DISABLED, reason="about compiled code")
def test_threads_share_turns_out():
    if numba.get_num_threads() < 2:
        pytest.skip("one core")

    @parallel_kernel
    def _own(k, threads):
        threads[k] = numba.get_thread_id()

    threads = np.full(1000, -1)
    _own[1000](threads)
    assert len(set(threads)) == numba.get_num_threads()
    with limited(1):
        _own[1000](threads)
    assert len(set(threads)) == 1
