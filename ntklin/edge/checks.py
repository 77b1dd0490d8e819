"""Checks at the public edge; what passes them is trusted below."""

import math
import os
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from operator import index
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ntklin.edge.amounts import format_bytes
from ntklin.edge.arrays import Array, as_array, place
from ntklin.edge.backends import contiguous, free_device_memory, kernels, namespace
from ntklin.edge.errors import FloatRangeError, MemoryLimitError, UnitBallWarning
from ntklin.edge.memory import available_memory
from ntklin.edge.values import said

# Bytes that are taken without asking whether they are there.
NEGLIGIBLE = 1 << 20
# One more than the last step that an int64 can count.
MOST_STEPS = 1 << 63
# Bits of integers that Python still writes in decimals: it has 4300 of those.
LONGEST = 10_000
# Layers, classes or steps that somebody lists.
MOST_ENTRIES = 1 << 20
# Numbers of inputs that are looked at together.
BLOCK = 1 << 18
# Elements from which on a sum is worth several threads.
LARGE = 1 << 17


def _as_floating(a: Any, name: str, *, rows: bool = False) -> Array:
    """``a`` as a float32 or float64 array: float32 stays, every other real type becomes float64."""
    a = as_array(a, name)
    dtype = a.dtype.newbyteorder("=")
    return narrowed(a, dtype if dtype in (np.float32, np.float64) else np.float64, name, rows=rows)


def narrowed(a: Array, dtype: DTypeLike, name: str, *, rows: bool = False) -> Array:
    """``a`` in ``dtype``, not copied where it is so already.

    Parameters
    ----------
    a : ndarray
    dtype : dtype
        float32 or float64.
    name : str
        The argument's name in messages.
    rows : bool
        Whether each row must keep digits, and not only ``a`` as a whole.

    Returns
    -------
    ndarray, of the shape of ``a``

    Raises
    ------
    FloatRangeError
        If finite entries overflow, or all that are not 0 underflow.
    """
    result, fault = _narrow(a, dtype, rows)
    if fault:
        remedy = f"scale {name}"
        if dtype != np.float64:
            remedy += ", or use float64 for theta and X"
        raise FloatRangeError(f"{name} {fault}; {remedy}")
    return result


def _narrow(a: Array, dtype: DTypeLike, rows: bool) -> tuple[Array, str | None]:
    """``a`` in ``dtype``, and what is wrong with that; None for nothing."""
    if np.can_cast(a.dtype, dtype) or not a.size:
        return a.astype(dtype, copy=False), None
    xp, dtype = namespace(a), np.dtype(dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = a.astype(dtype)
    lost = xp.isfinite(a) & ~xp.isfinite(result)
    if bool(lost.any()):
        return result, f"overflows {dtype} at {_first(lost)}"
    rows = rows and a.ndim > 1
    axis = tuple(range(1 if rows else 0, a.ndim))
    lost = (abs(result).max(axis=axis) < np.finfo(dtype).tiny) & (a != 0).any(axis=axis)
    if bool(lost.any()):
        return result, f"underflows {dtype}{f' in row {int(lost.argmax())}' if rows else ''}"
    return result, None


def _first(where: Array) -> str:
    """The place of the first truth value, in words."""
    xp = namespace(where)
    return place([i[0] for i in xp.nonzero(xp.atleast_1d(where))])


def require_finite(a: Array, name: str) -> None:
    """Refuse NaN and infinity by the place of the first one."""
    xp = namespace(a)
    with np.errstate(over="ignore", invalid="ignore"):
        total = kernels(a).total(a) if a.size > LARGE else a.sum()
    # A finite sum has finite terms, and needs one pass without a second array.
    if not xp.isfinite(total) and not bool(xp.isfinite(a).all()):
        first = _first(~xp.isfinite(a))
        raise ValueError(f"{name} contains NaN or infinite values, the first at {first}")


def as_inputs(X: Any, dimension: int | None = None, *, name: str = "X") -> Array:
    """Inputs as a finite (N, d) array of float32 or float64 that kernels take.

    Parameters
    ----------
    X : array_like, shape (N, d)
        float32 stays float32; any other real type becomes float64.
    dimension : int, optional
        The d that the network expects.
    name : str
        The argument's name in messages.

    Returns
    -------
    ndarray, shape (N, d)

    Raises
    ------
    ValueError
        For another shape, NaN or infinity.
    """
    X = _as_floating(X, name, rows=True)
    if X.ndim != 2:
        hint = f"; for one sample pass {name}[None, :]" if X.ndim == 1 else ""
        if X.ndim > 2:
            hint = f"; flatten each sample: {name}.reshape(len({name}), -1)"
        raise ValueError(f"{name} must have shape (N, d), got shape {X.shape}{hint}")
    if 0 in X.shape:
        raise ValueError(f"{name} is empty: shape {X.shape}")
    if dimension is not None and X.shape[1] != dimension:
        raise ValueError(
            f"{name} has {X.shape[1]} columns, but the network takes inputs of dimension "
            f"{dimension} (net.widths[0])"
        )
    require_finite(X, name)
    return contiguous(X)


def as_new_inputs(X_new: Any, phi: Any) -> Array:
    """Inputs for the network of these features: in their dtype, where that has digits of each row.

    Elsewhere float64 stays: features of both dtypes go together, and what follows is computed in
    the wider one.

    Returns
    -------
    ndarray, shape (N_new, d)
    """
    X_new = as_inputs(X_new, phi.inputs.shape[1], name="X_new")
    result, fault = _narrow(X_new, phi.dtype, rows=True)
    return X_new if fault else result


def as_vector(
    v: Any, n: int, *, name: str, dtype: DTypeLike | None = None, finite: bool = True
) -> Array:
    """A contiguous vector of length ``n``; (n, 1) is accepted too.

    Parameters
    ----------
    v : array_like
    n : int
    name : str
        The argument's name in messages.
    dtype : dtype, optional
    finite : bool
        Whether NaN and infinity are refused, or the caller sees to that.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ValueError
        For another shape, NaN or infinity.
    """
    v = _as_floating(v, name)
    if v.shape == (n, 1):
        v = v[:, 0]
    if v.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), got shape {v.shape}")
    if finite:
        require_finite(v, name)
    return contiguous(v if dtype is None else narrowed(v, dtype, name))


def as_targets(
    Y: Any, n: int, *, n_outputs: int = 1, name: str = "Y", dtype: DTypeLike | None = None
) -> Array:
    """Finite targets with one entry per training input, or a row of one for each output.

    Parameters
    ----------
    Y : array_like
    n : int
        N.
    n_outputs : int
        C.
    name : str
        The argument's name in messages.
    dtype : dtype, optional
        Of the result.

    Returns
    -------
    ndarray, shape (N,), or (N, C) of more than one output
        Contiguous. (N, 1) becomes (N,).

    Raises
    ------
    ValueError
        For another shape, NaN or infinity.
    """
    Y = _as_floating(Y, name)
    if Y.ndim >= 1 and Y.shape[0] != n:
        raise ValueError(f"{name} has {Y.shape[0]} entries for {n} training inputs")
    if n_outputs == 1:
        return as_vector(Y, n, name=name, dtype=dtype)
    if Y.shape != (n, n_outputs):
        hint = f"; class labels become such rows, one-hot, by numpy.eye({n_outputs})[{name}]"
        raise ValueError(
            f"{name} must have shape ({n}, {n_outputs}), a column for each of the {n_outputs} "
            f"outputs, got shape {Y.shape}{hint if Y.shape in ((n,), (n, 1)) else ''}"
        )
    require_finite(Y, name)
    return contiguous(Y if dtype is None else narrowed(Y, dtype, name))


def as_weights(
    D: Any, n_parameters: int, *, name: str = "weights", dtype: DTypeLike | None = None
) -> Array:
    """The diagonal of D as a finite, non-negative vector of length P."""
    D = as_vector(D, n_parameters, name=name)
    if dtype is not None and D.dtype != dtype:
        largest = float(D.max())
        if largest > float(np.finfo(dtype).max):
            raise ValueError(
                f"{name} go up to {largest:.3g}, beyond the range of {np.dtype(dtype)}; "
                "scale them down, or use float64 parameters and inputs"
            )
        D = D.astype(dtype, copy=False)
    smallest = float(D.min())
    if smallest < 0:
        raise ValueError(f"{name} must be non-negative, but its smallest entry is {smallest:.3g}")
    return D


def as_learning_rate(value: Any, *, name: str = "learning_rate") -> float:
    """A finite learning rate η > 0."""
    return as_positive(value, name=name)


def as_number(value: Any, name: str) -> float:
    """``value`` as a float; truth values and text are none, though Python would convert them."""
    try:
        if is_flag(value) or is_no_number(value):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be a number, got {said(value)}") from None


def is_no_number(value: Any) -> bool:
    """Whether Python or NumPy would make a number of what is none: text, masks, times, complex."""
    if isinstance(value, str | bytes | bytearray | complex | np.ma.MaskedArray):
        return True
    return getattr(getattr(value, "dtype", None), "kind", "f") in "cmMSUV"


def as_finite(value: Any, *, name: str) -> float:
    """A finite real number."""
    number = as_number(value, name)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {said(value)}")
    return number


def is_flag(value: Any) -> bool:
    """Whether ``value`` is one truth value: Python's, NumPy's, or an array of one, of shape ()."""
    if isinstance(value, bool | np.bool_):
        return True
    return isinstance(value, np.ndarray) and value.shape == () and value.dtype == bool


def as_positive(value: Any, *, name: str) -> float:
    """A finite real number > 0."""
    number = as_number(value, name)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {said(value)}")
    return number


def as_nonnegative(value: Any, *, name: str) -> float:
    """A finite real number ≥ 0."""
    number = as_number(value, name)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be finite and at least 0, got {said(value)}")
    return number


def as_fraction(value: Any, *, name: str) -> float:
    """A real number in [0, 1)."""
    number = as_nonnegative(value, name=name)
    if number >= 1:
        raise ValueError(f"{name} must be in [0, 1), got {said(value)}")
    return number


def as_count(value: Any, *, name: str, minimum: int = 1) -> int:
    """An integer ≥ ``minimum``; bool and fractional values are refused."""
    try:
        refused = is_flag(value) or is_no_number(value)
        # Decimal("1e999999999") would take minutes to become an integer.
        bounded = not refused and (isinstance(value, int) or math.isfinite(value))
        whole = bounded and int(value) == value
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise TypeError(f"{name} must be an integer, got {said(value)}")
    if int(value).bit_length() > LONGEST:
        raise ValueError(f"{name} must have at most {LONGEST} bits, got {said(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def as_list(entries: Iterable[Any], *, name: str) -> list[Any]:
    """The entries of an iterable; ValueError where it has no end in sight."""
    try:
        if hasattr(entries, "toarray"):  # a sparse matrix, which fails as soon as it is iterated
            raise TypeError
        given = iter(entries)
    except TypeError:
        raise TypeError(f"{name} must be a sequence, got {said(entries)}") from None
    found = list(islice(given, MOST_ENTRIES + 1))
    if len(found) > MOST_ENTRIES:
        raise ValueError(f"{name} must have an end, and has more than {MOST_ENTRIES} entries")
    return found


def as_step(t: Any, *, name: str = "t", minimum: int = 0) -> int:
    """The number of a step, from ``minimum`` to what 64 bits hold; quick, as it is asked often."""
    if type(t) is int and minimum <= t < MOST_STEPS:
        return t
    t = as_count(t, name=name, minimum=minimum)
    if t >= MOST_STEPS:
        raise ValueError(f"{name} must be below 2^63, and it is {t.bit_length()} bits long")
    return t


def as_word(value: Any, known: Collection[str], *, name: str) -> Any:
    """One of these texts."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {said(value)}")
    return value


def as_callback(value: Any, *, name: str = "progress") -> Any:
    """What is called as work goes on, or None; refused before the work if it cannot be called."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable, got {said(value)}")
    return value


def as_progress(value: Any) -> Any:
    """What is called as work goes on: a callable, None for nothing, True for a bar."""
    if is_flag(value):
        return True if value else None
    try:
        return as_callback(value)
    except TypeError as e:
        raise TypeError(f"{e}; True shows a bar") from None


def as_float_dtype(
    dtype: Any, *, name: str = "dtype", error: type[Exception] = TypeError
) -> np.dtype[Any]:
    """float32 or float64, however it is written."""
    try:
        found = np.dtype(dtype)
    except Exception:  # whatever NumPy makes of what describes no type
        raise error(f"{name} must be float32 or float64, got {said(dtype)}") from None
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise error(f"{name} must be float32 or float64, got {found}")
    return found


def as_generator(rng: Any, *, name: str = "rng") -> np.random.Generator:
    """A random generator from a seed, a generator or None, which NumPy seeds at random."""
    try:
        if is_flag(rng):
            raise TypeError
        # NumPy follows rows of rows without end, as of a matrix and of a list that holds itself.
        if isinstance(rng, np.ndarray):
            rng = np.asarray(rng)
        elif isinstance(rng, Iterable):
            rng = [index(one) for one in as_list(rng, name=name)]
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as e:
        raise type(e)(
            f"{name} must be an integer of at least 0, a numpy.random.Generator or None, "
            f"got {said(rng)}"
        ) from None


def as_path(value: Any, *, name: str, what: str = "a path") -> str:
    """A path as text; the numbers that stand for open files, and files that are open, are none."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"{name} must be {what}, got {said(value)}")
    try:
        path = os.fsdecode(value)
    except TypeError:  # what __fspath__ gives is neither text nor bytes
        raise TypeError(f"{name} must be {what}, and {said(value)} stands for none") from None
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(
            f"{name} must be {what} in characters that names of files have here, got {said(path)}"
        ) from None
    if "\0" in path:
        raise ValueError(f"{name} must be {what} without null characters, got {said(path)}")
    return path


def as_flag(value: Any, *, name: str) -> bool:
    """A Python bool, from a bool or NumPy's; whatever else could be meant by a value is refused."""
    if not is_flag(value):
        raise TypeError(f"{name} must be True or False, got {said(value)}")
    return bool(value)


def warn_outside_unit_ball(X: Array, name: str = "X") -> None:
    """Warn when a row of ``X`` is longer than 1: the theorems assume inputs in the unit ball."""
    xp, blocks = namespace(X), []
    with np.errstate(over="ignore", under="ignore"):
        rows = max(1, BLOCK // max(1, X.shape[1]))
        for start in range(0, len(X), rows):  # X may be larger than the memory
            block = X[start : start + rows]
            block = block if block.dtype.kind == "f" else block.astype(np.float64)
            blocks.append(xp.sqrt((block * block).sum(axis=1)))
    norms = xp.concatenate(blocks)
    outside = int((norms > 1 + 1e-6).sum())
    if outside:
        warnings.warn(
            f"{outside} of {len(X)} rows of {name} lie outside the unit ball that the theorems "
            f"assume (largest norm {float(norms.max()):.4g}); results stay exact, but bounds "
            "in terms of |x| ≤ 1 do not apply",
            UnitBallWarning,
            stacklevel=3,
        )


def fits(n_bytes: float, beside: Any = None) -> bool:
    """Whether so much memory is free; on the device of ``beside`` where that is on one."""
    free = free_memory(beside)[0]
    return free is None or n_bytes <= free


def free_memory(beside: Any = None) -> tuple[int | None, str]:
    """Bytes that are free, or None where nobody knows, and where: " on the GPU" or ""."""
    free = free_device_memory(beside)
    return (available_memory(), "") if free is None else (free, " on the GPU")


def require_memory(n_bytes: float, what: str, instead: str, *, beside: Any = None) -> None:
    """Refuse work that needs more than is free, before it starts.

    Parameters
    ----------
    n_bytes : int
        What the call is about to allocate.
    what, instead : str
        What needs it, and what to do instead.
    beside : ndarray, optional
        An array on the device that the memory is of; the host's when not given.

    Raises
    ------
    MemoryLimitError
    """
    free, where = free_memory(beside)
    if free is not None and n_bytes > free:
        raise MemoryLimitError(
            f"{what} needs {format_bytes(n_bytes)}, but {format_bytes(free)} are free{where}; "
            f"{instead}"
        )


def require_bulk(n_bytes: float, what: str, instead: str, *, beside: Any = None) -> None:
    """As ``require_memory``, for calls that are often small: these go without asking.

    The system takes longer to tell what is free than to give that little.
    """
    if n_bytes > NEGLIGIBLE:
        require_memory(n_bytes, what, instead, beside=beside)


@contextmanager
def advising(instead: str) -> Iterator[None]:
    """Refusals from below with what to do instead of the call that was made, which these know not.

    Parameters
    ----------
    instead : str

    Raises
    ------
    MemoryLimitError
        That of the call, which then says ``instead``.
    """
    try:
        yield
    except MemoryLimitError as e:
        need = str(e).partition("; ")[0]
        raise MemoryLimitError(f"{need}; {instead}") from None
