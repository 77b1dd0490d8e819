"""Arrays as people have them: what ``numpy.asarray`` takes, and what it would take too easily."""

from fractions import Fraction

import numpy as np
import scipy.sparse


class OnlyArray:
    """Knows ``__array__`` and nothing else, as a table does."""

    def __init__(self, a):
        self._a = np.asarray(a)

    def __array__(self, dtype=None, copy=None):
        return self._a if dtype is None else self._a.astype(dtype)


class OnlyDLPack:
    """Knows DLPack and nothing else, as the array API standard has it."""

    def __init__(self, a):
        self._a = np.array(a)

    def __dlpack__(self, **options):
        return self._a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._a.__dlpack_device__()


class Recording:
    """A tensor that follows its gradient, and says so in its own words."""

    def __init__(self, a):
        self.shape = np.shape(a)

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")

    def detach(self):
        raise AssertionError("nobody asked for it")


class Quantity(np.ndarray):
    """Numbers with a unit."""


class NAType:
    """A missing value as pandas has it: no number, and no truth value either."""

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __eq__(self, other):
        return self

    __hash__ = None


def objects(a, convert):
    """An array of Python objects."""
    result = np.empty(np.shape(a), object)
    for index, value in np.ndenumerate(a):
        result[index] = convert(value.item())
    return result


def with_last(a, value):
    """The same as objects, but for the last entry."""
    result = objects(a, float)
    result[(-1,) * result.ndim] = value
    return result


def read_only(a):
    a = np.array(a)
    a.flags.writeable = False
    return a


def structured(a):
    return np.array(a, [("x", float)])


# By kind: what is made of a plain array, and is to give the same result.
WELCOME = {
    "list": lambda a: np.asarray(a).tolist(),
    "array of objects": lambda a: objects(a, lambda x: x),
    "fractions": lambda a: objects(a, lambda x: x if isinstance(x, int) else Fraction(x)),
    "__array__": OnlyArray,
    "__array__ of objects": lambda a: OnlyArray(objects(a, lambda x: x)),
    "DLPack": OnlyDLPack,
    "read-only": read_only,
    "big-endian": lambda a: np.asarray(a).astype(np.asarray(a).dtype.newbyteorder(">")),
    "recarray": lambda a: np.array(a).view(np.recarray),
}

# By kind: what is to be refused, and what the message says beside the argument's name.
REFUSED = {
    "mask": (lambda a: np.ma.masked_array(a, np.ones(np.shape(a), bool)), "masked array"),
    "empty mask": (np.ma.masked_array, "masked array"),
    "mask in a list": (lambda a: [np.ma.masked_array(row) for row in a], "masked.array"),
    "unit": (lambda a: np.array(a).view(Quantity), r"Quantity.*numpy\.asarray"),
    "gradient": (Recording, r"Recording: Can't call numpy.*\.detach\(\)"),
    "complex": (lambda a: np.asarray(a) + 1j, r"complex128|integer"),
    "text": (lambda a: np.asarray(a).astype(str), "<U|text|integer"),
    "text as objects": (lambda a: with_last(a, "0"), "'0'"),
    "times": (lambda a: np.asarray(a).astype("M8[s]"), "datetime64|integer"),
    "fields": (structured, r"\('x', '<f8'\)"),
    "missing": (lambda a: with_last(a, None), "None"),
    "NA": (lambda a: with_last(a, NAType()), "NAType"),
    "sparse": (lambda a: scipy.sparse.coo_array(np.atleast_2d(a)), r"\.toarray\(\)"),
    "mapping": (lambda a: dict(enumerate(a)), "dict|missing|shape|integer"),
    "nothing": (lambda a: object(), "object"),
}
