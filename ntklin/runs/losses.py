"""The losses that networks are trained on, as functions of their outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import host, namespace
from ntklin.edge.errors import FloatRangeError

LossName = Literal["squared", "logistic"]
LOSSES = ("squared", "logistic")


@dataclass(frozen=True)
class Loss:
    """A mean over the samples, L(f) = (1/N) Σ_n ℓ(f_n, y_n).

    ========== ===================== ===================
    name       ℓ(f, y)               ℓ'(f, y)
    ========== ===================== ===================
    squared    (f − y)²/2            f − y
    logistic   log(1 + e^f) − y f    1/(1 + e^{−f}) − y
    ========== ===================== ===================

    ``logistic`` is the binary cross-entropy of the probability 1/(1 + e^{−f}), 0 ≤ y ≤ 1.

    Parameters
    ----------
    name : {"squared", "logistic"}
    """

    name: LossName = "squared"

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise ValueError(
                f"loss must be one of {', '.join(map(repr, LOSSES))}, got {self.name!r}"
            )

    def check_targets(self, Y: Array) -> None:
        """Refuse targets that the loss has no meaning for."""
        if self.name == "logistic":
            outside = np.flatnonzero(~((Y >= 0) & (Y <= 1)))
            if len(outside):
                raise ValueError(
                    "the logistic loss takes targets between 0 and 1 (the probability of class 1), "
                    f"but Y[{int(outside[0])}] = {float(Y[outside[0]]):g}"
                )

    def value(self, outputs: Array, Y: Array) -> Any:
        """L(f), summed in float64; a NumPy array (S,) for outputs (S, N) of several networks."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # told by the value
            mean = self.mean(outputs, Y)
        return host(mean) if mean.ndim else float(mean)

    def require_in_range(
        self,
        value: float,
        outputs: Callable[[], Array],
        Y: Array,
        what: str = "the loss",
        remedy: str = "scale Y",
    ) -> None:
        """Refuse a squared loss of finite outputs that float64 has no digits of.

        Parameters
        ----------
        value : float
            L(f).
        outputs : callable
            Returns f, (N,); called only where the value is in doubt.
        Y : ndarray, shape (N,)
        what, remedy : str
            The subject of the message, and what to do.

        Raises
        ------
        FloatRangeError
        """
        if self.name != "squared" or np.finfo(np.float64).tiny <= value < np.inf:
            return
        f = outputs()
        if not bool(namespace(f).isfinite(f).all()):
            return
        if not value < np.inf:
            raise FloatRangeError(f"{what} overflows float64; {remedy}")
        if bool((f != Y).any()):
            raise FloatRangeError(f"{what} underflows float64; {remedy}")

    def mean(self, outputs: Array, Y: Array) -> Array:
        """L(f) as an array of no dimension, or (S,), which on a GPU nobody has to wait for."""
        f, y = outputs.astype(np.float64, copy=False), Y.astype(np.float64, copy=False)
        if self.name == "squared":
            return ((f - y) ** 2).mean(axis=-1) / 2
        # The terms of ℓ do not cancel: 1[f ≥ 0] − y has the sign of f, and is 0 where y fits f.
        return (np.log1p(np.exp(-np.abs(f))) + f * ((f >= 0) - y)).mean(axis=-1)

    def derivative(self, outputs: Array, Y: Array) -> Array:
        """ℓ'(f_n, y_n) for each sample, shape (N,), in the dtype of ``outputs``."""
        if self.name == "squared":
            return outputs - Y
        # By the probability of the less likely class: e^{−|f|} cannot overflow, and where y fits f
        # the derivative keeps its digits, while 1/(1 + e^{−f}) − 1 would lose them all.
        with np.errstate(under="ignore"):
            small = np.exp(-np.abs(outputs))
            unlikely = small / (1 + small)
            return np.where(outputs >= 0, (1 - Y) - unlikely, unlikely - Y)
