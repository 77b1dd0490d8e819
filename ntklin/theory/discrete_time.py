"""Powers of 1 − ηλ/N: what t gradient steps do to an eigendirection, for t of any size."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntklin.edge.arrays import Array, to_numpy
from ntklin.edge.values import said


@dataclass(frozen=True, eq=False)
class Steps:
    """T numbers of gradient steps: their size as float64, their parity kept exactly.

    Attributes
    ----------
    count : ndarray, shape (T,), float64
    odd : ndarray, shape (T,), bool
    shape : tuple
        The shape that they came in.
    """

    count: Array
    odd: Array
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, block: slice) -> Steps:
        count = self.count[block]
        return Steps(count, self.odd[block], count.shape)


def as_steps(t: ArrayLike, *, name: str = "t") -> Steps:
    """Check numbers of steps and split them into size and parity.

    Parameters
    ----------
    t : int or array_like of int
        Integers ≥ 0 of any size and any shape; floats that hold integers pass too.
    name : str
        The argument's name in messages.

    Returns
    -------
    Steps

    Raises
    ------
    TypeError
        For what are no integers.
    ValueError
        For parts of a step, and numbers below 0.
    """
    # As objects, since a list may hold integers of any size.
    raw = to_numpy(t, name, dtype=None if isinstance(t, np.ndarray | np.generic) else object)
    flat = raw.reshape(-1)
    if raw.dtype.kind == "O":
        flat = [_as_python_integer(v, name) for v in flat]
        _refuse_negative(min(flat, default=0), name)
        return Steps(
            np.array([_as_float(v) for v in flat], dtype=np.float64),
            np.array([v % 2 == 1 for v in flat], dtype=bool),
            raw.shape,
        )
    if raw.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold integers, got dtype {raw.dtype}")
    if raw.dtype.kind == "f":
        whole = np.isfinite(flat) & (flat == np.floor(flat))
        if not whole.all():
            raise ValueError(f"{name} must hold whole numbers of steps, got {flat[~whole][0]}")
    _refuse_negative(flat.min(initial=0), name)
    if flat.dtype.itemsize > 8:  # long doubles, of which some are beyond the range
        return Steps(np.array([_as_float(int(v)) for v in flat]), flat % 2 == 1, raw.shape)
    return Steps(flat.astype(np.float64), flat % 2 == 1, raw.shape)


def _as_python_integer(value: Any, name: str) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must hold integers, got {said(value)}")
    if isinstance(value, float | np.floating):
        if not (math.isfinite(value) and value == math.floor(value)):
            raise ValueError(f"{name} must hold whole numbers of steps, got {value}")
        return int(value)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must hold integers, got {said(value)}") from None


def _as_float(integer: int) -> float:
    try:
        return float(integer)
    except OverflowError:
        return np.finfo(np.float64).max


def _refuse_negative(smallest: Any, name: str) -> None:
    if smallest < 0:
        smallest = smallest.item() if isinstance(smallest, np.generic) else smallest
        raise ValueError(f"{name} must be at least 0 steps, got {said(smallest)}")


def decay(values: Array, rate: float, steps: Steps) -> Array:
    """(1 − rate · λ)^t, the factor that t gradient steps leave of a residual.

    Parameters
    ----------
    values : ndarray, shape (N,)
        λ ≥ 0.
    rate : float
        η/N.
    steps : Steps
        T numbers of steps.

    Returns
    -------
    ndarray, shape (T, N)
        Beyond the range of float64, where rate · λ > 2, infinite.
    """
    logs, flips = _logarithms(values, rate, steps)
    with np.errstate(over="ignore", under="ignore"):
        powers = np.exp(logs)
    np.negative(powers, where=flips, out=powers)
    return powers


def gradient_filter(values: Array, rate: float, steps: Steps) -> Array:
    """(1 − (1 − rate · λ)^t)/λ, and t · rate where λ = 0.

    Evaluated through log1p and expm1: no digits cancel, however small rate · λ and however large t.

    Parameters
    ----------
    values : ndarray, shape (N,)
        λ ≥ 0.
    rate : float
        η/N.
    steps : Steps
        T numbers of steps.

    Returns
    -------
    ndarray, shape (T, N)
        Beyond the range of float64, where rate · λ > 2, infinite.
    """
    x = rate * values
    logs, flips = _logarithms(values, rate, steps)
    with np.errstate(all="ignore"):
        gained = np.expm1(logs, out=logs)
        np.negative(gained, out=gained, where=~flips)
        np.add(gained, 2.0, out=gained, where=flips)  # an odd power of a negative base: 1 + |·|^t
        gained /= x
        progress = np.multiply.outer(steps.count, x)
    # Below eps the power series of the bracket is t·x(1 + O(t·x)), and x may be 0 or subnormal.
    small = progress < np.finfo(np.float64).eps
    np.copyto(gained, steps.count[:, None], where=small)
    with np.errstate(over="ignore", under="ignore"):
        gained *= rate
    return gained


def decay_time(values: Array, rate: float) -> int:
    """A number of steps after which every |1 − rate · λ|^t with 0 < rate · λ < 2 underflows.

    Parameters
    ----------
    values : ndarray, shape (n,)
        λ > 0; n may be 0.
    rate : float
        η/N.

    Returns
    -------
    int
    """
    slowest = float(np.min(-log_base(rate * values), initial=np.inf))
    return math.ceil(800 / max(slowest, 1e-300))  # exp(−745) is the smallest float64


def log_base(x: Array) -> Array:
    """log|1 − x|; x − 2 is exact for 1 ≤ x ≤ 4, so a base near −1 loses no digits either."""
    with np.errstate(divide="ignore"):
        return np.log1p(np.where(x > 1, x - 2, -x))


def _logarithms(values: Array, rate: float, steps: Steps) -> tuple[Array, NDArray[np.bool_]]:
    """t · log|1 − rate·λ| and where the power of 1 − rate·λ is negative, both (T, N)."""
    x = rate * values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        logs = np.multiply.outer(steps.count, log_base(x))
    logs[steps.count == 0] = 0.0  # 0 · log 0 at x = 1
    return logs, np.logical_and.outer(steps.odd, x > 1)
