"""The book of compile times: whose seconds are whose, and what specializations differ in."""

import ast
from pathlib import Path
from types import SimpleNamespace

import compile_costs
import numpy as np
import pytest

from ntklin.kernels import cpu
from ntklin.kernels.cpu import blas


def kernel(name, module="ntklin.kernels.cpu.x"):
    return SimpleNamespace(py_func=SimpleNamespace(__qualname__=name, __module__=module))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def ledger():
    """Of an outer kernel with two passes, in the first of which an inner one is compiled."""
    clock = Clock()
    ledger = compile_costs.Ledger(clock)

    def after(seconds, happens, *what):
        clock.now += seconds
        happens(*what)

    inference, lowering = {"name": "nopython_type_inference [f]"}, {"name": "native_lowering [f]"}
    inner = {"dispatcher": kernel("inner"), "args": ("array(float64, 2d, C)", "int64")}
    outer = {"dispatcher": kernel("outer"), "args": ()}
    after(0, ledger.begin, compile_costs.COMPILE, outer)
    after(1, ledger.begin, compile_costs.PASS, inference)
    after(2, ledger.begin, compile_costs.COMPILE, inner)
    after(4, ledger.begin, compile_costs.PASS, lowering)
    after(8, ledger.end, compile_costs.PASS, lowering)
    after(16, ledger.end, compile_costs.COMPILE, inner)
    after(32, ledger.end, compile_costs.PASS, inference)
    after(64, ledger.begin, compile_costs.PASS, lowering)
    after(128, ledger.end, compile_costs.PASS, lowering)
    after(256, ledger.end, compile_costs.COMPILE, outer)
    return ledger


def test_what_a_kernel_calls_is_not_its_own(ledger):
    assert [(one.kernel, one.asked_by, one.own, one.total) for one in ledger.found] == [
        ("inner", "outer", 4 + 8 + 16, 28),
        ("outer", "", 1 + 2 + 32 + 64 + 128 + 256, 511),
    ]
    assert ledger.passes == {"nopython_type_inference": 2 + 32, "native_lowering": 8 + 128}
    assert ledger.found[0].types == "array(float64, 2d, C), int64"
    assert ledger.stack == []


def test_the_most_expensive_kernel_comes_first(ledger):
    head, first, second = compile_costs.table(ledger.found)
    assert head.split() == ["own", "times", "each", "kernel"]
    assert first.split() == ["483.00s", "1", "483.00", "cpu.x.outer"]
    assert second.split() == ["28.00s", "1", "28.00", "cpu.x.inner"]
    assert compile_costs.table(ledger.found, 1)[-1].split() == ["28.00s", "1", "1", "others"]
    assert compile_costs.asked_by_python(ledger.found)[1:] == [" 511.00s  cpu.x.outer"]
    text = compile_costs.summary(ledger, 600.0)
    assert text[0].startswith("600.0 s")
    assert text[1].strip() == "511.00s  ntklin's kernels: 2, in 2 specializations"


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["array(float64, 2d, C)"], {}),
        (["array(float64, 2d, C)", "array(float32, 2d, C)"], {"precision": 1}),
        (["array(float64, 2d, C)", "readonly array(float64, 2d, C)"], {"read-only": 1}),
        (["array(float64, 2d, C)", "array(float64, 2d, A)"], {"layout": 1}),
        (["array(float64, 2d, C)", "array(float64, 1d, C)"], {"axes": 1}),
        (["int64", "Literal[int](3)", "Literal[int](4)"], {"literals": 2}),
        (["UniTuple(int64 x 2)", "UniTuple(int64 x 3)"], {"lengths": 1}),
        (["int64", "float64"], {"other types": 1}),
        (
            ["array(float64, 2d, C)", "readonly array(float32, 2d, A)", "none"],
            {"other types": 1, "precision": 1},
        ),
    ],
)
def test_differences_are_named(types, expected):
    assert compile_costs.differences(types) == expected


def calls(name):
    """The arguments of every call of a kernel in ``kernels/cpu``, as text."""
    for path in sorted(Path(cpu.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield [ast.unparse(argument) for argument in node.args]


def test_no_kernel_gives_a_literal_to_what_is_long_to_compile():
    products = list(calls("gemm"))
    assert len(products) > 20
    assert {flag for one in products for flag in one[:2]} == {"PLAIN", "TRANSPOSED"}
    for name in ("gemm", "apply_step", "add_gradients", "_find_active"):
        for arguments in calls(name):
            if "self._bias" not in arguments and "gradient" not in arguments:  # Python's own calls
                assert not [a for a in arguments if a.isdecimal()], (name, arguments)


@pytest.mark.compiled("about compiled code")
def test_products_of_slices_are_compiled_once():
    before = len(blas.gemm.signatures)
    A, C = np.ones((8, 8)), np.empty((8, 8))
    for transpose_a in (blas.PLAIN, blas.TRANSPOSED):
        for transpose_b in (blas.PLAIN, blas.TRANSPOSED):
            blas.gemm(transpose_a, transpose_b, 1.0, A[:5, :5], A[:5, :5], 0.0, C[:5, :5])
            np.testing.assert_array_equal(C[:5, :5], 5)
    assert len(blas.gemm.signatures) <= before + 1
