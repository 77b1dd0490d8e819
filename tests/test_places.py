"""Compiled code names arrays and places in them; it has no addresses, which outlive arrays."""

import ast
import itertools
from pathlib import Path

import numpy as np
import pytest
from layouts import LAYOUTS
from numba import njit
from numba.core.errors import TypingError
from tolerances import assert_close

from ntklin.kernels import cpu
from ntklin.kernels.cpu import aligned, blas, intrinsics
from ntklin.kernels.cpu.sizes import LINE

compiled_only = pytest.mark.compiled("needs the JIT")
rng = np.random.default_rng(8)
# What gives an address, and what is made of one.
ADDRESSES = {"ctypes", "__array_interface__"}
ADDRESSES |= {"carray", "farray", "ExternalFunction", "address_as_void_pointer"}


def test_no_compiled_code_takes_an_address():
    """``places`` alone does; ``aligned_empty`` is Python, where names keep arrays."""
    takers = set()
    for path in Path(cpu.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", getattr(node, "id", None))
            if name in ADDRESSES:
                takers.add((path.name, name))
    assert takers == {("aligned.py", "__array_interface__")}


def prefetched(array):
    intrinsics.prefetch((array, 0))


def added(target, table):
    intrinsics.add_subsets((target, 0), np.uint32(1), (table, 0))


def test_copies_are_aligned_and_what_is_aligned_stays():
    a = aligned.aligned_zeros((3, 5), np.float64)
    held = aligned.Aligned()
    held.__setstate__({"whole": a, "others": [a[1:], (a[2:], "text")]})
    assert held.whole is a
    first, (second, text) = held.others
    assert text == "text"
    for copy, part in ((first, a[1:]), (second, a[2:])):
        assert copy.ctypes.data % LINE == 0
        np.testing.assert_array_equal(copy, part)


@compiled_only
@pytest.mark.parametrize("layout", ["columns", "reversed", "Fortran"])
def test_places_are_in_contiguous_arrays(layout):
    a = np.zeros((4, 6))
    other = {"columns": a[:, 1:], "reversed": a[::-1], "Fortran": a.T}[layout]
    with pytest.raises(TypingError, match="a place must be in a C-contiguous array"):
        njit(prefetched)(other)
    with pytest.raises(TypingError, match="a place must be in a C-contiguous array"):
        njit(prefetched)(1.0)


@compiled_only
@pytest.mark.parametrize("dtypes", [(int, int), (np.float32, np.float64), (float, np.uint8)])
def test_elements_are_of_one_floating_point_type(dtypes):
    arrays = [np.zeros(64, dtype) for dtype in dtypes]
    with pytest.raises(TypingError, match="expected arrays of one floating-point type"):
        njit(added)(*arrays)


@compiled_only
def test_the_next_line_of_a_place():
    @njit
    def found(a, at):
        return intrinsics.to_next_line((a, at))

    a = np.zeros(40)
    for at in (0, 8, 120):
        assert found(a, at) == -(a.ctypes.data + at) % LINE


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [
        *(("no step", np.float32), ("no step", float), ("negative step", float)),
        *(("huge step", float), ("within", np.float32), ("within", float), ("Fortran", float)),
        *(("every other", float), ("backwards", float)),
    ],
)
def test_products_of_any_layout(layout, dtype, capfd):
    """What BLAS cannot take is summed; of what it can take it does not complain."""
    relaid, alpha, beta = LAYOUTS[layout], dtype(2), dtype(-0.5)
    shapes = [(2, 3, 4), (4, 2, 3)]
    if layout.endswith("step"):
        shapes = [(1, 4, 3), (3, 4, 1), (3, 1, 4), (1, 1, 1), (2, 3, 4), (2, 0, 3), (0, 2, 3)]
    for (m, k, n), ta, tb in itertools.product(shapes, (False, True), (False, True)):
        A = rng.standard_normal((k, m) if ta else (m, k)).astype(dtype)
        B = rng.standard_normal((n, k) if tb else (k, n)).astype(dtype)
        C = rng.standard_normal((m, n)).astype(dtype)
        left, right = A.T if ta else A, B.T if tb else B
        expected = 2 * left.astype(float) @ right
        scale = np.abs(left).astype(float) @ np.abs(right) + np.abs(C)
        for b in (beta, 0 * beta):
            out, nothing = relaid(C.copy()), np.zeros_like(C)
            blas.gemm(ta, tb, alpha, relaid(A), relaid(B), b, out)
            error = (out - expected - b * C) / scale
            assert_close(error.astype(dtype), nothing, kind="gram", n=k + 2, scale=4)
    assert capfd.readouterr() == ("", "")


@compiled_only
def test_what_blas_cannot_take_is_told():
    a = np.zeros((4, 6))
    as_strided = np.lib.stride_tricks.as_strided
    assert blas.leading_dimension(a) == 6
    assert blas.leading_dimension(a[:, 1:3]) == 6
    assert blas.leading_dimension(a[0][None]) == 6
    assert blas.leading_dimension(a[:, :1]) == 6
    assert blas.leading_dimension(a[:0]) == 6
    assert blas.leading_dimension(a[:, :0]) > 0
    assert blas.leading_dimension(as_strided(a, (1, 6), (-8, 8))) == 6
    assert blas.leading_dimension(as_strided(a, (1, 1), (0, 0))) == 1
    for refused in (a[:, ::2], a.T, a[::-1], np.broadcast_to(a[0], (4, 6))):
        assert blas.leading_dimension(refused) == 0
    assert blas.leading_dimension(np.broadcast_to(a[:1, :1], (4, 1))) == 0
    assert blas.leading_dimension(as_strided(a, (2, 6), (44, 8))) == 0  # no whole elements
    assert blas.leading_dimension(as_strided(a, (2, 6), (8 * 2**31, 8))) == 0  # 32-bit integers
    assert blas.leading_dimension(as_strided(a, (1, 2**31), (8, 8))) == 0
