"""Values that no argument expects, by kind: each is made when it is needed, by its function."""

import array
import datetime
import enum
import functools
import io
import math
import os
import re
import types
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import scipy.sparse
from foreign_arrays import NAType

from fuzz import oddities as odd

INTEGERS = (
    *(0, 1, -1, 2, 3, 7, -128, 255, 2**15, 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1),
    *(2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 10**30, -(10**30), 10**400, -(10**400)),
    *(10**5000, -(10**5000)),  # more digits than Python writes
)
FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 3.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324),
    *(1e-310, 1e-200, 1e-160, 1e-45, 1e-38, 1e-16, 1 - 1e-16, 1e16, 1e38, 1e160, 1e200, 1.7e308),
)


class Level(enum.IntEnum):
    """Integers with names."""

    ONE = 1


def _written(x):
    """A number's label."""
    return f"{'-' * (x < 0)}10**5000" if abs(x) == 10**5000 else repr(x)[:40]


def _numbers():
    """Numbers of every kind."""
    found = {_written(x): x for x in (*INTEGERS, *FLOATS)}
    found |= {
        **{f"np.{t.__name__}({x})": t(x) for t in (np.float16, np.float32) for x in (0.5, 3.0)},
        **{f"np.{t.__name__}(3)": t(3) for t in (np.int8, np.uint8, np.int64, np.uint64)},
        "np.int8(-128)": np.int8(-128),
        "np.uint64(2**64-1)": np.uint64(2**64 - 1),
        "np.float32(nan)": np.float32("nan"),
        "np.float16(inf)": np.float16("inf"),
        "np.longdouble(1e4000)": np.longdouble("1e4000"),
        "np.longdouble(0.5)": np.longdouble("0.5"),
        "Fraction(1, 3)": Fraction(1, 3),
        "Fraction(10**400)": Fraction(10**400),
        "Decimal(0.1)": Decimal("0.1"),
        "Decimal(NaN)": Decimal("NaN"),
        "Decimal(sNaN)": Decimal("sNaN"),
        "Decimal(Infinity)": Decimal("Infinity"),
        "Decimal(1e5000)": Decimal("1e5000"),
        "Decimal(1e999999999)": Decimal("1e999999999"),
        "Decimal(1e-999999999)": Decimal("1e-999999999"),
        "Fraction(10**5000)": Fraction(10**5000, 3),
        "mpmath.mpf(0.5)": mpmath.mpf("0.5"),
        "mpmath.mpf(1e999)": mpmath.mpf("1e999"),
        "mpmath.mpc(1)": mpmath.mpc(1),
        "Level.ONE": Level.ONE,
        "Subnumber(0.5)": odd.Subnumber(0.5),
        "Subinteger(2)": odd.Subinteger(2),
        "True": True,
        "False": False,
        "np.True_": np.True_,
        "np.False_": np.False_,
        "1j": 1j,
        "np.complex64(1)": np.complex64(1),
        "np.array(0.5)": np.array(0.5),
        "np.array(2)": np.array(2),
        "np.array(True)": np.array(True),
        "np.array(nan)": np.array(math.nan),
        "np.array([2])": np.array([2]),
        "np.array(None)": np.array(None),
        "np.array('2')": np.array("2"),
        "np.array(2, object)": np.array(2, object),
        "np.datetime64(1, 's')": np.datetime64(1, "s"),
        "np.timedelta64(1, 's')": np.timedelta64(1, "s"),
        "np.timedelta64('NaT')": np.timedelta64("NaT"),
        "np.ma.masked": np.ma.masked,
        "np.ma.array(0.5)": np.ma.array(0.5),
        "np.clongdouble(1)": np.clongdouble(1),
        "np.datetime64('NaT')": np.datetime64("NaT"),
        "np.array(1, '>i8')": np.array(1, ">i8"),
        "np.array(0.5, '>f4')": np.array(0.5, ">f4"),
        "np.array(0.5, 'f2')": np.array(0.5, "f2"),
        "np.matrix(0.5)": np.matrix(0.5),
        "datetime.timedelta(1)": datetime.timedelta(1),
    }
    return {label: lambda x=x: x for label, x in found.items()}


OTHERS = {
    "None": lambda: None,
    "...": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "''": str,
    "'x'": lambda: "x",
    "'0'": lambda: "0",
    "'nan'": lambda: "nan",
    "'auto'": lambda: "auto",
    "'σ\\udcff'": lambda: "σ\udcff",
    "'a\\0b'": lambda: "a\0b",
    "'x' * 5000": lambda: "x" * 5000,
    "Subtext('x')": lambda: odd.Subtext("x"),
    "np.str_('x')": lambda: np.str_("x"),
    "b''": bytes,
    "b'x'": lambda: b"x",
    "b'\\0'": lambda: b"\0",
    "bytearray(b'1')": lambda: bytearray(b"1"),
    "memoryview(b'12345678')": lambda: memoryview(b"12345678"),
    "array.array('d')": lambda: array.array("d", [0.5, 1.0]),
    "[]": list,
    "()": tuple,
    "{}": dict,
    "set()": set,
    "frozenset({1})": lambda: frozenset({1}),
    "[None]": lambda: [None],
    "[[]]": lambda: [[]],
    "[1, [2]]": lambda: [1, [2]],
    "[nan]": lambda: [math.nan],
    "['a', 'b']": lambda: ["a", "b"],
    "[0.5, 1.0]": lambda: [0.5, 1.0],
    "(1, 2)": lambda: (1, 2),
    "(2, 3, 1)": lambda: (2, 3, 1),
    "(-1, 0, 1)": lambda: (-1, 0, 1),
    "[10**400]": lambda: [10**400],
    "[True, False]": lambda: [True, False],
    "a list of itself": odd.itself,
    "a deep list": odd.deep,
    "{'a': 1}": lambda: {"a": 1},
    "{1: 2}": lambda: {1: 2},
    "OrderedDict": lambda: OrderedDict(a=1),
    "deque([1, 2])": lambda: deque([1, 2]),
    "range(3)": lambda: range(3),
    "range(10**9, 10**9)": lambda: range(10**9, 10**9),
    "slice(1, 3)": lambda: slice(1, 3),
    "slice('a', None)": lambda: slice("a", None),
    "iter(())": lambda: iter(()),
    "iter([0.5])": lambda: iter([0.5]),
    "a generator": lambda: (x for x in (1, "a", None)),
    "object()": object,
    "object": lambda: object,
    "float": lambda: float,
    "np.ndarray": lambda: np.ndarray,
    "np": lambda: np,
    "len": lambda: len,
    "lambda: None": lambda: lambda: None,
    "lambda *a: None": lambda: lambda *a: None,
    "lambda *a: nan": lambda: lambda *a: math.nan,
    "lambda *a: 'x'": lambda: lambda *a: "x",
    "Path('x')": lambda: Path("x"),
    "Path('.')": lambda: Path(),
    "re.compile('x')": lambda: re.compile("x"),
    "ValueError('x')": lambda: ValueError("x"),
    "Failing()": odd.Failing,
    "FailingArray()": odd.FailingArray,
    "Lying()": odd.Lying,
    "NAType()": NAType,
    "np.dtype('f4')": lambda: np.dtype("f4"),
    "np.random": lambda: np.random.default_rng(0),
    "np.random.RandomState": lambda: np.random.RandomState(0),
    "np.empty(0)": lambda: np.empty(0),
    "np.empty((0, 2))": lambda: np.empty((0, 2)),
    "np.empty((4, 0))": lambda: np.empty((4, 0)),
    "np.ones((1,) * 32)": lambda: np.ones((1,) * 32),
    "np.void(b'1')": lambda: np.void(b"1"),
    "np.array(['a', 'b'])": lambda: np.array(["a", "b"]),
    "np.array([None, 1])": lambda: np.array([None, 1]),
    "np.eye(2)": lambda: np.eye(2),
    "np.eye(2) as matrix": lambda: np.matrix(np.eye(2)),
    "np.ma.array([1, 2])": lambda: np.ma.array([1.0, 2.0], mask=[0, 1]),
    "structured": lambda: np.zeros(4, [("x", float), ("y", int)]),
    "scipy.sparse": lambda: scipy.sparse.eye_array(4),
    "an iterator without end": lambda: odd.Endless(0.5),
    "an iterator without end of integers": lambda: odd.Endless(1),
    "an iterator without end of text": lambda: odd.Endless("a"),
    "an iterator without end of lists": lambda: odd.Endless([0]),
    "[10**5000]": lambda: [10**5000],
    "(2, 10**5000, 1)": lambda: (2, 10**5000, 1),
    "Sublist([1, 2])": lambda: odd.Sublist([1, 2]),
    "Unspeakable()": odd.Unspeakable,
    "[Unspeakable()]": lambda: [odd.Unspeakable()],
    "NoArray()": odd.NoArray,
    "Elsewhere()": odd.Elsewhere,
    "StringDType": lambda: np.array(["a", "b"], np.dtypes.StringDType()),
    "SimpleNamespace": lambda: types.SimpleNamespace(shape=(4,), n_parameters=13, n_inputs=2),
    "a module": lambda: math,
    "a class of numbers": lambda: np.float64,
    "an open file": lambda: io.FileIO(os.devnull),
    "memoryview of nothing": lambda: memoryview(b""),
    "map": lambda: map(float, "12"),
    "zip": lambda: zip((1, 2), (3, 4), strict=True),
    "dict.items": lambda: {1: 2}.items(),
    "super": lambda: super,
    "np.nditer": lambda: np.nditer(np.ones(2)),
    "np.broadcast": lambda: np.broadcast(1, 2),
    "np.random.SeedSequence": lambda: np.random.SeedSequence(3),
    "np.random.PCG64": lambda: np.random.PCG64(3),
}
# Functions that fail, and what is only called like one. All take any arguments.
FUNCTIONS = {
    **{
        f"raises {kind.__name__}": lambda kind=kind: odd.raising(kind(odd.ASKED))
        for kind in (
            *(Exception, ValueError, TypeError, KeyError, OSError, MemoryError, ArithmeticError),
            *(AttributeError, NotImplementedError, UserWarning, StopIteration, StopAsyncIteration),
            *(KeyboardInterrupt, SystemExit, GeneratorExit, BaseException, EOFError),
        )
    },
    "raises UnicodeDecodeError": lambda: odd.raising(UnicodeDecodeError("u", b"", 0, 1, odd.ASKED)),
    "raises ExceptionGroup": lambda: odd.raising(ExceptionGroup(odd.ASKED, [ValueError()])),
    "calls itself": lambda: odd.endless_calls,
    "trains": lambda: odd.within,
    "a coroutine": lambda: odd.later,
    "a generator function": lambda: odd.piece_by_piece,
    "gives what it gets": lambda: lambda *a: a[-1],
    "gives all it gets": lambda: lambda *a: a,
    "gives itself": lambda: odd.raising,
    "gives a Failing": lambda: lambda *a: odd.Failing(),
    "gives an Endless": lambda: lambda *a: odd.Endless(0.5),
    "gives True": lambda: lambda *a: True,
    "gives 10**5000": lambda: lambda *a: 10**5000,
    "gives -1": lambda: lambda *a: -1,
    "gives np.float32": lambda: lambda *a: np.float32(0.5),
    "gives np.longdouble": lambda: lambda *a: np.longdouble("0.5"),
    "gives np.array(0.5)": lambda: lambda *a: np.array(0.5),
    "gives ints": lambda: lambda *a: np.ones(np.shape(a[-1]), int),
    "gives float32": lambda: lambda *a: np.asarray(a[-1], "f4"),
    "gives float16": lambda: lambda *a: np.asarray(a[-1], "f2"),
    "gives complex": lambda: lambda *a: np.asarray(a[-1], complex),
    "gives objects": lambda: lambda *a: np.asarray(a[-1], object),
    "gives lists": lambda: lambda *a: np.asarray(a[-1]).tolist(),
    "gives a mask": lambda: lambda *a: np.ma.masked_array(a[-1]),
    "gives another shape": lambda: lambda *a: np.asarray(a[-1])[None],
    "gives nothing": lambda: lambda *a: np.empty(0),
    "gives huge numbers": lambda: lambda *a: np.full(np.shape(a[-1]), 1e308),
    "gives tiny numbers": lambda: lambda *a: np.full(np.shape(a[-1]), 5e-324),
    "gives infinity": lambda: lambda *a: np.full(np.shape(a[-1]), math.inf),
    "np.add": lambda: np.add,
    "np.zeros": lambda: np.zeros,
    "partial(max)": lambda: functools.partial(max, 1),
    "'x'.join": lambda: "x".join,
    "takes names only": lambda: lambda *, x: x,
}
TREES = {
    "a dict of itself": lambda: odd.tree_of_itself("params"),
    "a dict of itself, by another name": lambda: odd.tree_of_itself("Dense_0"),
    "a deep dict": lambda: odd.deep_tree("params"),
    "a deep dict, by another name": lambda: {"params": odd.deep_tree("a", 90)},
    "a dict without end": lambda: odd.EndlessTree("params"),
    "a dict without end, by another name": lambda: odd.EndlessTree("K"),
    "UserDict": lambda: UserDict(a=1),
    "ChainMap": lambda: ChainMap({"a": 1}, {"b": 2}),
    "Counter": lambda: Counter("ab"),
    "defaultdict": lambda: defaultdict(list),
    "MappingProxyType": lambda: types.MappingProxyType({"weight": 1.0}),
    "{10**5000: 1}": lambda: {10**5000: 1.0},
    "{nan: 1}": lambda: {math.nan: 1.0},
    "{(): 1}": lambda: {(): 1.0},
    "{Failing(): 1}": lambda: {odd.Failing(): 1.0},
    "{'K': Failing()}": lambda: {"K": odd.Failing()},
    "{'': None}": lambda: {"": None},
}
NUMBERS = _numbers()
ANYTHING = NUMBERS | OTHERS | FUNCTIONS | TREES
