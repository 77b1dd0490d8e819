"""Values that no argument expects, by what is expected in their place."""

import array
import datetime
import functools
import math
import re
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from foreign_arrays import NAType, OnlyArray, OnlyDLPack, Quantity, Recording, objects
from hypothesis import strategies as st


class Hostile(NamedTuple):
    """A value, made when it is needed, and how it is called in reports."""

    label: str
    make: Any


class Subnumber(float):
    """A kind of float."""


class Subinteger(int):
    """A kind of integer."""


class Subtext(str):
    """A kind of text."""


class Failing:
    """Raises whatever it is asked for."""

    def _fail(self, *arguments):
        raise ZeroDivisionError("asked")

    __float__ = __int__ = __index__ = __bool__ = __len__ = __iter__ = __call__ = __eq__ = _fail
    __hash__ = object.__hash__


class FailingArray:
    """Has a shape and a type, but no numbers."""

    shape, ndim, dtype, size = (4,), 1, np.dtype(float), 4

    def __array__(self, dtype=None, copy=None):
        raise KeyError("numbers")


class Lying:
    """Says that it is a number, and is none."""

    def __float__(self):
        return "none"

    def __index__(self):
        return 1.5


def itself():
    """A list that is its own entry."""
    found = []
    found.append(found)
    return found


def deep(depth=500):
    """A number in so many lists."""
    found = 1.0
    for _ in range(depth):
        found = [found]
    return found


def read_only(a):
    a = np.array(a)
    a.flags.writeable = False
    return a


def unaligned(a):
    """The same array at an odd address."""
    a = np.asarray(a)
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:]
    found = memory[: a.nbytes].view(a.dtype).reshape(a.shape)
    found[...] = a
    return found


def entry(a, value):
    """With one entry replaced."""
    found = np.array(a, dtype=float if np.asarray(a).dtype.kind != "f" else None)
    if found.size:
        found.flat[found.size // 2] = value
    return found


def as_objects(a, value):
    """Python objects, the last of which is something else."""
    found = objects(np.asarray(a), lambda x: x)
    if found.size:
        found.flat[-1] = value
    return found


INTEGERS = (
    *(0, 1, -1, 2, 3, 7, -128, 255, 2**15, 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1),
    *(2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 10**30, -(10**30), 10**400, -(10**400)),
)
FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 3.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324),
    *(1e-310, 1e-200, 1e-160, 1e-45, 1e-38, 1e-16, 1 - 1e-16, 1e16, 1e38, 1e160, 1e200, 1.7e308),
)
SCALED = (
    1e-310,
    1e-200,
    1e-160,
    1e-100,
    1e-45,
    1e-38,
    1e-20,
    1e20,
    1e38,
    1e100,
    1e155,
    1e200,
    1e307,
)


def _numbers():
    """Numbers of every kind."""
    found = {repr(x)[:40]: x for x in (*INTEGERS, *FLOATS)}
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
        "Subnumber(0.5)": Subnumber(0.5),
        "Subinteger(2)": Subinteger(2),
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
    "Subtext('x')": lambda: Subtext("x"),
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
    "a list of itself": itself,
    "a deep list": deep,
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
    "Failing()": Failing,
    "FailingArray()": FailingArray,
    "Lying()": Lying,
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
}
NUMBERS = _numbers()
ANYTHING = NUMBERS | OTHERS

# Of an array that is as it should be: in other types, with more than numbers,
TYPES = {
    **{
        dtype: lambda a, dtype=dtype: np.asarray(a).astype(dtype)
        for dtype in (
            *("f2", "f4", "f8", ">f4", ">f8", "g", "i1", "i2", "i4", "i8", ">i4", "u1", "u8"),
            *("?", "c8", "c16", "U", "S", "O", "M8[s]", "m8[s]"),
        )
    },
    "structured": lambda a: np.asarray(a).astype([("x", float)]),
    "void": lambda a: np.ascontiguousarray(a).view(f"V{np.asarray(a).dtype.itemsize}"),
    "objects with None": lambda a: as_objects(a, None),
    "objects with nan": lambda a: as_objects(a, math.nan),
    "objects with text": lambda a: as_objects(a, "0"),
    "objects with 10**400": lambda a: as_objects(a, 10**400),
    "objects with Fraction": lambda a: as_objects(a, Fraction(1, 3)),
    "objects with sNaN": lambda a: as_objects(a, Decimal("sNaN")),
    "objects with True": lambda a: as_objects(a, True),
    "objects with a list": lambda a: as_objects(a, [1]),
    "objects with an array": lambda a: as_objects(a, np.ones(2)),
    "objects with 1j": lambda a: as_objects(a, 1j),
    "objects with Failing": lambda a: as_objects(a, Failing()),
}
# in other classes,
CLASSES = {
    "list": lambda a: np.asarray(a).tolist(),
    "tuple": lambda a: tuple(np.asarray(a).tolist()),
    "list of arrays": lambda a: list(np.asarray(a)),
    "iterator": lambda a: iter(np.asarray(a).tolist()),
    "generator": lambda a: (row for row in np.asarray(a)),
    "deque": lambda a: deque(np.asarray(a).tolist()),
    "set": lambda a: set(np.ravel(a).tolist()),
    "dict": lambda a: dict(enumerate(np.asarray(a).tolist())),
    "ragged": lambda a: [*np.asarray(a).tolist(), [1.0, [2.0]]],
    "np.matrix": lambda a: np.matrix(a),
    "np.recarray": lambda a: np.array(a).view(np.recarray),
    "np.memmap": lambda a: np.array(a).view(np.memmap),
    "np.ma": lambda a: np.ma.masked_array(a),
    "np.ma with a mask": lambda a: np.ma.masked_array(a, np.ones(np.shape(a), bool)),
    "np.char": lambda a: np.asarray(a).astype(str).view(np.char.chararray),
    "Quantity": lambda a: np.array(a).view(Quantity),
    "OnlyArray": OnlyArray,
    "OnlyDLPack": OnlyDLPack,
    "Recording": Recording,
    "memoryview": lambda a: memoryview(np.ascontiguousarray(a)),
    "bytes": lambda a: np.asarray(a).tobytes(),
    "text": lambda a: str(np.asarray(a).tolist()),
    "sparse": lambda a: scipy.sparse.coo_array(np.atleast_2d(a)),
}
# otherwise in memory,
LAYOUTS = {
    "Fortran": np.asfortranarray,
    "reversed": lambda a: np.asarray(a)[::-1].copy()[::-1],
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if np.ndim(a) else np.asarray(a),
    "read-only": read_only,
    "unaligned": unaligned,
    "broadcast": lambda a: np.broadcast_to(np.asarray(a).flat[0], np.shape(a)),
}
# of another shape,
SHAPES = {
    "transposed": lambda a: np.asarray(a).T,
    "raveled": np.ravel,
    "0-d": lambda a: np.asarray(np.asarray(a).flat[0]),
    "one more axis": lambda a: np.asarray(a)[None],
    "one more axis behind": lambda a: np.asarray(a)[..., None],
    "first rows": lambda a: np.asarray(a)[:-1],
    "one row": lambda a: np.asarray(a)[:1],
    "no row": lambda a: np.asarray(a)[:0],
    "no column": lambda a: np.asarray(a)[..., :0],
    "first columns": lambda a: np.asarray(a)[..., :-1],
    "twice": lambda a: np.concatenate([a, a]),
    "twice as wide": lambda a: np.concatenate([a, a], axis=-1),
    "32 axes": lambda a: np.reshape(a, np.shape(a) + (1,) * (32 - np.ndim(a))),
}
# and of other numbers.
ENTRIES = {
    "zeros": lambda a: np.zeros(np.shape(a)),
    "ones": lambda a: np.ones(np.shape(a)),
    "negative": lambda a: -np.asarray(a, float),
    "all the same row": lambda a: np.asarray(a)[[0] * len(a)],
    "random": lambda a: np.random.default_rng(0).standard_normal(np.shape(a)),
    "integers": lambda a: np.arange(np.size(a)).reshape(np.shape(a)),
    "negative integers": lambda a: -1 - np.arange(np.size(a)).reshape(np.shape(a)),
    "huge integers": lambda a: np.full(np.shape(a), 2**63 - 1),
    **{f"entry {x!r}": lambda a, x=x: entry(a, x) for x in FLOATS},
    **{f"times {x:g}": lambda a, x=x: np.asarray(a) * x for x in SCALED},
    **{
        f"times {x:g} in f4": lambda a, x=x: (np.asarray(a) * x).astype("f4") for x in (1e-45, 1e38)
    },
}
FORMS = {"type": TYPES, "class": CLASSES, "layout": LAYOUTS, "shape": SHAPES, "entries": ENTRIES}


@dataclass(frozen=True, eq=False)
class Argument:
    """What is expected in an argument's place.

    Attributes
    ----------
    make : callable
        Without arguments; returns a value that is as it should be.
    kind : str
        "array", "count", "number", "text", "function" or "thing".
    words : tuple
        Other values that may be right.
    most : int or None
        Integers above are left out: they would be right, and only long work.
    unless : callable
        Values for which it holds are left out, for the same reason.
    """

    make: Callable[[], Any]
    kind: str = "thing"
    words: tuple = ()
    most: int | None = None
    unless: Callable[[Any], bool] | None = None


def is_long(value, most):
    """Whether a value is taken for an integer above ``most``, if it is taken for one at all."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return most is not None and bool(float(value) > most)
    except OverflowError:
        return True
    except Exception:
        return False


def _admitted(argument, label, make):
    """A hostile value, unless it asks for long work."""
    if argument.most is None and argument.unless is None:
        return Hostile(label, make)
    try:
        value = make()
        refused = is_long(value, argument.most) or (
            argument.unless is not None and bool(argument.unless(value))
        )
    except Exception:
        refused = False
    return None if refused else Hostile(label, make)


def _pool(choices, argument):
    found = (_admitted(argument, label, make) for label, make in choices.items())
    return st.sampled_from([one for one in found if one is not None])


def _formed(argument, forms, name):
    def form(change):
        label, convert = change
        return Hostile(f"{name}: {label}", lambda: convert(argument.make()))

    return st.sampled_from(sorted(forms)).map(lambda label: form((label, forms[label])))


def _twice_formed(argument):
    """Two changes, one after the other, as of the type and of the shape."""
    kinds = st.lists(st.sampled_from(sorted(FORMS)), min_size=2, max_size=2, unique=True)

    def pair(names):
        one, two = (FORMS[name] for name in names)
        return st.tuples(st.sampled_from(sorted(one)), st.sampled_from(sorted(two))).map(
            lambda both: Hostile(
                f"{both[0]}, then {both[1]}",
                lambda: two[both[1]](one[both[0]](argument.make())),
            )
        )

    return kinds.flatmap(pair)


def _drawn(strategy, argument):
    def admit(value):
        found = _admitted(argument, repr(value)[:60], lambda: value)
        return found if found is not None else Hostile("None", lambda: None)

    return strategy.map(admit)


@functools.cache
def values(argument):
    """Hostile values in an argument's place.

    Parameters
    ----------
    argument : Argument

    Returns
    -------
    hypothesis.strategies.SearchStrategy of Hostile
    """
    found = [_pool(ANYTHING, argument)]
    if argument.kind == "array":
        found += [_formed(argument, forms, name) for name, forms in FORMS.items()]
        found += [_twice_formed(argument)] * 2
    if argument.kind in ("number", "count"):
        found += [_pool(NUMBERS, argument)] * 2
        found += [_drawn(st.floats(), argument), _drawn(st.integers(), argument)]
    if argument.kind == "text":
        found += [_drawn(st.text(max_size=8), argument)]
    if argument.words:
        words = {repr(word)[:60]: lambda word=word: word for word in argument.words}
        found += [_pool(words, argument)] * 2
    return st.one_of(found)
