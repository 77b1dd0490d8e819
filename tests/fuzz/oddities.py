"""Objects that are not what they seem, and arrays made otherwise than usual."""

import collections
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from foreign_arrays import objects

import ntklin

# What a value of ours says when it fails on purpose.
ASKED = "asked for trouble"
# Entries behind which an iterator without end is told from a long one.
ENDLESS = 1 << 21
LONG = 100_000


class Subnumber(float):
    """A kind of float."""


class Subinteger(int):
    """A kind of integer."""


class Subtext(str):
    """A kind of text."""


class Subpath(type(Path())):
    """A kind of path."""


class Sublist(collections.UserList):
    """A kind of list that is none."""


class Failing:
    """Raises whatever it is asked for."""

    def _fail(self, *arguments):
        raise ZeroDivisionError(ASKED)

    __float__ = __int__ = __index__ = __bool__ = __len__ = __iter__ = __call__ = __eq__ = _fail
    __hash__ = object.__hash__


class Unspeakable:
    """Nothing, of which nobody can print what it is."""

    def __repr__(self):
        raise ZeroDivisionError(ASKED)


class Lying:
    """Says that it is a number, and is none."""

    def __float__(self):
        return "none"

    def __index__(self):
        return 1.5


class FailingArray:
    """Has a shape and a type, but no numbers."""

    shape, ndim, dtype, size = (4,), 1, np.dtype(float), 4

    def __array__(self, dtype=None, copy=None):
        raise KeyError("numbers")


class NoArray:
    """Gives something else where it is asked for an array."""

    def __array__(self, dtype=None, copy=None):
        return [1.0, 2.0]


class Changing:
    """Gives one entry more each time."""

    def __init__(self, a):
        self._a = np.asarray(a)

    def __array__(self, dtype=None, copy=None):
        a, self._a = self._a, np.concatenate([self._a, self._a[:1]])
        return a if dtype is None else a.astype(dtype)


class Elsewhere:
    """An array on a device that is not here."""

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **options):
        raise BufferError("on another device")


class Endless:
    """An iterator without end, which ends itself once it is clear that somebody wants it all."""

    def __init__(self, value):
        self._value, self._given = value, 0

    def __iter__(self):
        return self

    def __next__(self):
        self._given += 1
        if self._given > ENDLESS:
            raise AssertionError("an iterator without end was asked for everything")
        return self._value


class EndlessTree(Mapping):
    """A tree without leaves, all of it under one name."""

    def __init__(self, name):
        self._name = name

    def __getitem__(self, name):
        if name != self._name:
            raise KeyError(name)
        return EndlessTree(name)

    def __iter__(self):
        return iter([self._name])

    def __len__(self):
        return 1


class Place(os.PathLike):
    """Leads to whatever it is made with."""

    def __init__(self, to):
        self._to = to

    def __fspath__(self):
        if isinstance(self._to, Exception):
            raise self._to
        return self._to

    def __repr__(self):
        return f"Place({self._to!r})"


def itself():
    """A list that is its own entry."""
    found = []
    found.append(found)
    return found


def tree_of_itself(name):
    """A dict that has itself under a name."""
    found = {}
    found[name] = found
    return found


def deep(depth=500):
    """A number in so many lists."""
    found = 1.0
    for _ in range(depth):
        found = [found]
    return found


def deep_tree(name, depth=500):
    """A number in so many dicts."""
    found = 1.0
    for _ in range(depth):
        found = {name: found}
    return found


# Functions


def raising(error):
    """A function that raises this, as a user's may."""

    def function(*arguments, **named):
        raise error

    return function


def endless_calls(*arguments):
    """Calls itself."""
    return endless_calls(*arguments)


async def later(*arguments):
    """What is called by others than ntklin."""


def piece_by_piece(*arguments):
    """A generator."""
    yield 1.0


def within(*arguments):
    """Trains another network."""
    net = ntklin.MLP((1, 2, 1))
    ntklin.train(net, net.init(0), [[0.5], [0.25]], [0.0, 1.0], ntklin.Adam(0.1), 2)
    return 0.1


# Arrays


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


def within_larger(a):
    """The same array amid a larger one of NaN."""
    a = np.asarray(a)
    found = np.full([n + 2 for n in a.shape], np.nan, a.dtype)[(slice(1, -1),) * a.ndim]
    found[...] = a
    return found


def overlapping(a):
    """Rows that share entries, in the order of memory."""
    a = np.ascontiguousarray(a)
    return np.lib.stride_tricks.as_strided(a, strides=(a.itemsize,) * a.ndim)


def in_a_file(a):
    """The same array mapped from a file without a name."""
    a = np.asarray(a)
    with TemporaryFile() as file:
        found = np.memmap(file, a.dtype, "w+", shape=a.shape)
    found[...] = a
    return found


def long(a):
    """The first row, many times, in the memory of one."""
    a = np.asarray(a)
    return np.broadcast_to(a[:1], (LONG, *a.shape[1:]))


def entry(a, value):
    """With one entry replaced."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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


def in_pandas(a, **options):
    """A table, or a column of one."""
    import pandas

    return (pandas.DataFrame if np.ndim(a) == 2 else pandas.Series)(np.asarray(a), **options)
