"""What users pass as an array, as an array of real numbers: decided here, for all arguments alike.

Lists, NumPy and CuPy arrays, and whatever has ``__array__`` or ``__dlpack__``: pandas, Polars,
PyTorch and JAX on the CPU. What would be lost on the way, a mask, a unit, a missing value, an
imaginary part, is refused by the argument's name instead.
"""

import decimal
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ntklin.edge.backends import namespace

# What is returned: float32 or float64, of CuPy where that came in, which no type tells.
Array = NDArray[Any]

# Subclasses of ndarray that say nothing about their entries.
PLAIN = (np.ndarray, np.memmap, np.matrix, np.recarray)
# Two more are put behind those of t, and some functions of NumPy take 32 and no more.
MOST_AXES = 30
TEXT = "convert text to numbers first, such as by numpy.asarray(..., dtype=float)"
REMEDIES = {
    "c": "pass its .real where the imaginary part means nothing",
    "M": "turn times into numbers of some unit first",
    "m": "turn times into numbers of some unit first",
    "U": TEXT,
    "S": TEXT,
    "T": TEXT,
    "V": "take one field, or numpy.lib.recfunctions.structured_to_unstructured(...)",
}


def as_array(a: Any, name: str, *, exact: bool = False) -> Array:
    """``a`` as a NumPy or CuPy array of real numbers; not copied where it is one.

    Parameters
    ----------
    a : array_like
        Its dtype is kept. Numbers that come as Python objects become int64 where all are integers
        that fit, else float64.
    name : str
        The argument's name in messages.
    exact : bool
        Refuse objects that float64 would round, such as the fraction 1/3.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        For what is no array of real numbers, or more than that.
    """
    if namespace(a) is np:
        a = to_numpy(a, name)
    kind = a.dtype.kind
    if kind in "biuf":
        return a
    if kind == "O":
        return _from_objects(a, name, exact)
    if kind == "V" and a.dtype.names is None and np.can_cast(a.dtype, np.float64):
        return a.astype(np.float64)  # bfloat16 and its like
    raise TypeError(
        f"{name} must be an array of real numbers, got dtype {a.dtype}; {REMEDIES[kind]}"
    )


def to_numpy(a: Any, name: str, *, dtype: DTypeLike | None = None) -> Array:
    """``a`` as a NumPy array of any dtype, nothing of it lost; see ``as_array``."""
    if type(a) is np.ndarray:
        _refuse_axes(a, name)
        return a
    given: Any = a
    if isinstance(a, list | tuple):
        _refuse_tagged_inside(a, name)
    elif hasattr(a, "nnz") and hasattr(a, "toarray"):  # sparse; NumPy would take it for an object
        raise TypeError(f"{name} must be a dense array, got a {_kind(a)}; pass {name}.toarray()")
    exchanged = hasattr(a, "__dlpack__") and not hasattr(a, "__array__")
    try:
        result = np.from_dlpack(given) if exchanged else np.asanyarray(given, dtype)
    except MemoryError:
        raise
    except Exception as e:  # whatever another library's __array__ raises
        raise TypeError(_unreadable(a, name, e)) from e
    _refuse_tagged(result, name)
    _refuse_axes(result, name)
    return np.asarray(result)


def rows_of(a: Any, name: str) -> Any:
    """The entries of a sequence, or the rows of what is an array; others stay as they are."""
    if isinstance(a, Mapping):
        raise TypeError(f"{name} must be a sequence, got a {_kind(a)}; pass list({name}.values())")
    known = ("__array__", "__dlpack__", "toarray")
    is_array = isinstance(a, memoryview) or any(hasattr(a, name) for name in known)
    # Iterating over a table of pandas would give the names of its columns.
    return as_array(a, name) if is_array else a


def place(index: Sequence[int]) -> str:
    """Where an entry is, in words."""
    if len(index) == 1:
        return f"entry {int(index[0])}"
    if len(index) == 2:
        return f"row {int(index[0])}, column {int(index[1])}"
    return f"index {tuple(map(int, index))}"


def _refuse_axes(a: Array, name: str) -> None:
    if a.ndim > MOST_AXES:
        raise ValueError(f"{name} must have at most {MOST_AXES} axes, got {a.ndim}")


def _refuse_tagged(a: Any, name: str) -> None:
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, and what lies under a mask is no data; drop these samples, "
            "or pass its .filled(value)"
        )
    if type(a) not in PLAIN:
        raise TypeError(
            f"{name} is a {_kind(a)}, and what it knows beyond its numbers, such as a unit, would "
            f"be lost; pass numpy.asarray({name}) where that is meant"
        )


def _refuse_tagged_inside(items: Any, name: str, depth: int = 3) -> None:
    """The same for arrays in lists, of which NumPy takes the numbers only."""
    kinds = set(map(type, items))
    for kind in kinds:
        if issubclass(kind, np.ndarray) and kind not in PLAIN:
            i, item = next((i, item) for i, item in enumerate(items) if type(item) is kind)
            _refuse_tagged(item, f"{name}[{i}]")
    if depth and kinds & {list, tuple}:
        for i, item in enumerate(items):
            if isinstance(item, list | tuple):
                _refuse_tagged_inside(item, f"{name}[{i}]", depth - 1)


def _unreadable(a: Any, name: str, error: Exception) -> str:
    if isinstance(a, list | tuple):
        return f"{name} must be a rectangular array of real numbers: {error}"
    tensor = " (a PyTorch tensor may need .detach(), .cpu(), .to_dense() or .float())"
    return (
        f"{name} must be an array of real numbers in the memory of the CPU, but NumPy cannot read "
        f"this {_kind(a)}: {error}{tensor if hasattr(a, 'detach') else ''}"
    )


def _kind(a: Any) -> str:
    kind = type(a)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | decimal.Decimal | np.bool_)


def _from_objects(a: Array, name: str, exact: bool) -> Array:
    """An array of Python's numbers as one of NumPy's."""
    kinds = set(map(type, a.flat))
    if kinds and all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return a.astype(bool)
    if kinds and all(issubclass(kind, numbers.Integral) for kind in kinds):
        try:
            return a.astype(np.int64)
        except OverflowError:
            pass  # float64 has the range
    result = np.empty(a.shape)
    for index, value in np.ndenumerate(a):
        result[index] = _as_float(value, exact, name, index)
    return result


def _as_float(value: Any, exact: bool, name: str, index: tuple[int, ...]) -> float:
    where = f" at {place(index)}" if index else ""
    if not _is_number(value):
        what, hint = f"a {_kind(value)}", ""
        if isinstance(value, str | bytes):
            what, hint = f"the text {value!r}", f"; {TEXT}"
        elif value is None or type(value).__name__ in ("NAType", "NaTType"):
            what = f"the missing value {value!r}"
        elif hasattr(value, "__iter__"):
            hint = "; pass a list or an array"
        raise TypeError(f"{name} must be an array of real numbers, got {what}{where}{hint}")
    try:
        number = float(value)
        beyond = math.isinf(number) and number != value  # NumPy's long doubles become infinite
    except (ArithmeticError, ValueError):
        beyond = True
    if beyond:
        raise ValueError(f"{name} has a number beyond the range of float64{where}")
    if exact and number != value:
        raise TypeError(
            f"{name} must hold numbers that float64 has exactly, got {value!r}{where}; pass a "
            "flint.arb_mat"
        )
    return number
