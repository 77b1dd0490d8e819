"""What can be done to an array that is as it should be, by kind."""

import array
import math
from collections import deque
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import scipy.sparse
from foreign_arrays import OnlyArray, OnlyDLPack, Quantity, Recording

from fuzz import oddities as odd
from fuzz.tables import FLOATS

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

# In other types, with more than numbers,
TYPES = {
    **{
        dtype: lambda a, dtype=dtype: np.asarray(a).astype(dtype)
        for dtype in (
            *("f2", "f4", "f8", ">f4", ">f8", "g", "i1", "i2", "i4", "i8", ">i4", "u1", "u8"),
            *("?", "c8", "c16", "G", "U", "S", "O", "M8[s]", "m8[s]"),
            *(">f2", ">g", ">i2", ">i8", ">u4", ">c16", ">U8", "u2", "u4", "M8[ns]", "m8"),
        )
    },
    "structured": lambda a: np.asarray(a).astype([("x", float)]),
    "structured of several": lambda a: np.asarray(a).astype([("x", "f4"), ("y", "i8")]),
    "structured within": lambda a: np.asarray(a).astype([("x", [("y", float)])]),
    "StringDType": lambda a: np.asarray(a).astype(str).astype(np.dtypes.StringDType()),
    "void": lambda a: np.ascontiguousarray(a).view(f"V{np.asarray(a).dtype.itemsize}"),
    "objects with None": lambda a: odd.as_objects(a, None),
    "objects with nan": lambda a: odd.as_objects(a, math.nan),
    "objects with text": lambda a: odd.as_objects(a, "0"),
    "objects with 10**400": lambda a: odd.as_objects(a, 10**400),
    "objects with Fraction": lambda a: odd.as_objects(a, Fraction(1, 3)),
    "objects with sNaN": lambda a: odd.as_objects(a, Decimal("sNaN")),
    "objects with True": lambda a: odd.as_objects(a, True),
    "objects with a list": lambda a: odd.as_objects(a, [1]),
    "objects with an array": lambda a: odd.as_objects(a, np.ones(2)),
    "objects with 1j": lambda a: odd.as_objects(a, 1j),
    "objects with 10**5000": lambda a: odd.as_objects(a, 10**5000),
    "objects with Decimal(1e999999999)": lambda a: odd.as_objects(a, Decimal("1e999999999")),
    "objects with np.float32(nan)": lambda a: odd.as_objects(a, np.float32("nan")),
    "objects with np.longdouble(1e4000)": lambda a: odd.as_objects(a, np.longdouble("1e4000")),
    "objects with bytes": lambda a: odd.as_objects(a, b"0"),
    "objects with a class": lambda a: odd.as_objects(a, float),
    "objects with NaT": lambda a: odd.as_objects(a, np.datetime64("NaT")),
    "objects with mpf": lambda a: odd.as_objects(a, mpmath.mpf("0.5")),
    "objects with Unspeakable": lambda a: odd.as_objects(a, odd.Unspeakable()),
    "objects with Failing": lambda a: odd.as_objects(a, odd.Failing()),
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
    "np.memmap of a file": odd.in_a_file,
    "np.ma with fields": lambda a: np.ma.array(np.asarray(a).astype([("x", float)])),
    "list of masked rows": lambda a: [np.ma.masked_array(row) for row in np.asarray(a)],
    "list with itself": lambda a: [*np.asarray(a).tolist(), odd.itself()],
    "list with None": lambda a: [*np.asarray(a).tolist()[:-1], None],
    "list with text": lambda a: [*np.asarray(a).tolist()[:-1], "0"],
    "list with 10**5000": lambda a: [*np.asarray(a).tolist()[:-1], 10**5000],
    "list of Decimals": lambda a: [Decimal(x) for x in np.ravel(a).tolist()],
    "Sublist": lambda a: odd.Sublist(np.asarray(a).tolist()),
    "map": lambda a: map(np.asarray, np.asarray(a)),
    "Changing": odd.Changing,
    "pandas": odd.in_pandas,
    "pandas of missing values": lambda a: odd.in_pandas(a, dtype="Float64").mask(np.asarray(a) > 0),
    "pandas of text": lambda a: odd.in_pandas(np.asarray(a).astype(str)),
    "array.array": lambda a: array.array("d", np.ravel(a).tolist()),
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
    "read-only": odd.read_only,
    "unaligned": odd.unaligned,
    "within a larger one": odd.within_larger,
    "columns reversed": lambda a: np.asarray(a)[..., ::-1].copy()[..., ::-1],
    "overlapping": odd.overlapping,
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
    "many rows": odd.long,
    "many rows of nothing": lambda a: odd.long(a)[..., :0],
    "64 axes": lambda a: np.reshape(a, np.shape(a) + (1,) * (64 - np.ndim(a))),
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
    "negative zeros": lambda a: np.full(np.shape(a), -0.0),
    "NaN": lambda a: np.full(np.shape(a), math.nan),
    "subnormal": lambda a: np.full(np.shape(a), 5e-324),
    "of both signs and huge": lambda a: np.resize([1.7e308, -1.7e308], np.shape(a)),
    "alike up to a rounding": lambda a: np.nextafter(np.asarray(a)[[0] * len(a)], 1),
    "huge integers": lambda a: np.full(np.shape(a), 2**63 - 1),
    **{f"entry {x!r}": lambda a, x=x: odd.entry(a, x) for x in FLOATS},
    **{f"times {x:g}": lambda a, x=x: np.asarray(a) * x for x in SCALED},
    **{
        f"times {x:g} in f4": lambda a, x=x: (np.asarray(a) * x).astype("f4") for x in (1e-45, 1e38)
    },
}
FORMS = {"type": TYPES, "class": CLASSES, "layout": LAYOUTS, "shape": SHAPES, "entries": ENTRIES}
