"""A stand-in for CuPy that is as strict as CuPy and computes with NumPy.

It knows the functions and methods that are named below and no others; the tests compare these with
CuPy itself where that is installed. Like CuPy it refuses to become a NumPy array by itself or to
meet one, gives arrays of no dimension where NumPy gives scalars, and lacks what CuPy lacks:
read-only arrays, ``where=`` and ``initial=``.
"""

import types

import host_gpu
import numpy as np
import scipy.linalg
from numpy.lib.mixins import NDArrayOperatorsMixin

from ntklin.kernels.gpu import loader

FUNCTIONS = (
    *("abs", "arange", "arccos", "arcsin", "array_equal", "concatenate", "copyto"),
    *("count_nonzero", "cumsum", "diag", "einsum", "empty", "fill_diagonal", "minimum", "outer"),
    "sin",
    *("empty_like", "exp", "eye", "flatnonzero", "full", "full_like", "isfinite", "log1p"),
    *("ldexp", "repeat", "take_along_axis"),
    *("matmul", "maximum", "multiply", "ndim", "nonzero", "ones", "ones_like", "reshape"),
    *("result_type", "shape", "size", "split", "sqrt", "stack", "tile", "tri", "where"),
    *("zeros", "zeros_like"),
)
# Those that take NumPy arrays, to bring them here.
DOORS = ("array", "asarray", "ascontiguousarray")
LINEAR_ALGEBRA = ("norm",)
ATTRIBUTES = ("dtype", "itemsize", "nbytes", "ndim", "shape", "size", "T")
METHODS = (
    *(
        "all",
        "any",
        "argmax",
        "astype",
        "copy",
        "diagonal",
        "max",
        "mean",
        "min",
        "ravel",
        "transpose",
    ),
    *("fill", "reshape", "sum", "swapaxes", "tolist", "view"),
)
REFUSED = {"where", "initial"}


class ndarray(NDArrayOperatorsMixin):
    __module__ = "cupy"
    __hash__ = None

    def __init__(self, host):
        self.host = host

    def __array__(self, *args, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or ufunc.__name__ not in ALLOWED_UFUNCS:
            return NotImplemented
        return call(ufunc, inputs, options)

    def __array_function__(self, function, kinds, args, options):
        names = LINEAR_ALGEBRA if function.__module__ == "numpy.linalg" else FUNCTIONS
        return call(function, args, options) if function.__name__ in names else NotImplemented

    def __getattr__(self, name):
        if name in ATTRIBUTES:
            return wrapped(getattr(self.host, name))
        if name in METHODS:
            return lambda *args, **options: call(getattr(self.host, name), args, options)
        raise AttributeError(f"the stand-in for CuPy knows no {name}")

    @property
    def flags(self):
        return Flags(self.host.flags)

    def get(self):
        return self.host.copy()

    def __getitem__(self, key):
        return ndarray(np.asarray(self.host[unwrapped(key)]))

    def __setitem__(self, key, value):
        self.host[unwrapped(key)] = unwrapped(value)

    def __len__(self):
        return len(self.host)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __float__(self):
        return float(self.host)

    def __int__(self):
        return int(self.host)

    def __index__(self):
        return self.host.__index__()

    def __bool__(self):
        return bool(self.host)


class Flags:
    """Nothing here can be set."""

    __slots__ = ("_known",)

    def __init__(self, known):
        object.__setattr__(self, "_known", known)

    def __getattr__(self, name):
        if name not in ("c_contiguous", "f_contiguous", "owndata"):
            raise AttributeError(name)
        return getattr(self._known, name)

    def __setattr__(self, name, value):
        raise AttributeError(f"flags.{name} cannot be set")


ALLOWED_UFUNCS = {
    *FUNCTIONS,
    *("absolute", "add", "subtract", "divide", "power", "negative", "equal", "not_equal"),
    *("less", "less_equal", "greater", "greater_equal", "bitwise_and", "bitwise_or", "invert"),
    *("logical_and", "logical_not", "tanh"),
}


def unwrapped(x):
    """What NumPy gets for ``x``."""
    if isinstance(x, ndarray):
        return x.host
    if isinstance(x, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(x, tuple | list):
        return type(x)(unwrapped(part) for part in x)
    return x


def wrapped(x):
    """What comes back for NumPy's ``x``."""
    if isinstance(x, np.ndarray | np.number | np.bool_):
        return ndarray(np.asarray(x))
    if isinstance(x, tuple | list) and any(isinstance(part, np.ndarray) for part in x):
        return type(x)(wrapped(part) for part in x)
    return x


def call(function, args, options):
    if REFUSED & options.keys():
        raise TypeError(f"CuPy's {function} takes no {', '.join(REFUSED & options.keys())}")
    options = {name: unwrapped(value) for name, value in options.items()}
    with np.errstate(all="ignore"):  # a card does not warn
        return wrapped(function(*unwrapped(tuple(args)), **options))


def function(name):
    return lambda *args, **options: call(getattr(np, name), args, options)


def door(name):
    def enter(a, *args, **options):
        inside = a.host if isinstance(a, ndarray) else a
        made = getattr(np, name)(inside, *args, **options)
        # NumPy's own array is never shared.
        return (
            a if made is inside and isinstance(a, ndarray) else ndarray(np.array(made, order="K"))
        )

    return enter


def module(free=1 << 33):
    """The stand-in, with so many bytes of memory free."""
    cupy = types.ModuleType("cupy")
    cupy.ndarray = ndarray
    for name in FUNCTIONS:
        setattr(cupy, name, function(name))
    for name in DOORS:
        setattr(cupy, name, door(name))
    cupy.asnumpy = lambda a: a.get()
    runtime = types.SimpleNamespace(memGetInfo=lambda: (free, 2 * free), getDeviceCount=lambda: 1)
    runtime.runtimeGetVersion = runtime.driverGetVersion = lambda: 12090
    runtime.getDeviceProperties = lambda number: {
        "name": b"stand-in",
        "multiProcessorCount": 1,
        "totalGlobalMem": 2 * free,
    }
    stream = types.SimpleNamespace(synchronize=lambda: None)
    cupy.cuda = types.SimpleNamespace(
        runtime=runtime,
        Device=lambda: types.SimpleNamespace(id=0, compute_capability="00"),
        get_current_stream=lambda: stream,
    )
    cupy.__version__ = "0"
    pool = types.SimpleNamespace(free_bytes=lambda: 0)
    cupy.get_default_memory_pool = lambda: pool
    return cupy


def solvers():
    """The stand-in for cupyx.scipy.linalg."""
    cupyx = types.ModuleType("cupyx.scipy.linalg")

    def solve_triangular(a, b, trans=0, lower=False, overwrite_b=False):
        assert isinstance(a, ndarray)
        assert isinstance(b, ndarray)
        assert a.dtype == b.dtype
        found = scipy.linalg.solve_triangular(a.host, b.host, trans=trans, lower=lower)
        if not overwrite_b:
            return ndarray(found)
        assert b.host.flags.f_contiguous  # or CuPy would solve in a copy
        b.host[...] = found
        return b

    cupyx.solve_triangular = solve_triangular
    return cupyx


def launch(name, function, dtype, shape, arguments, definitions=""):
    """As ``ntklin.kernels.gpu.loader.launch``, on the host."""
    loader.require_contiguous(function, arguments, ndarray)
    host_gpu.launch(name, function, dtype, shape, unwrapped(tuple(arguments)), definitions)
