"""The losses that networks are trained on, as functions of their outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import host, namespace
from ntklin.edge.checks import as_targets, as_word
from ntklin.edge.errors import FloatRangeError

LossName = Literal["squared", "logistic", "softmax"]
LOSSES = ("squared", "logistic", "softmax")
# How far the probabilities of a sample may be from summing to one: some that come in float32.
SUM_ROUNDING = 1e-5


@dataclass(frozen=True)
class Loss:
    """A mean over the samples, L(f) = (1/N) Σ_n ℓ(f_n, y_n), of one output or C.

    ========== ============================= =============================
    name       ℓ(f, y)                       ∂ℓ/∂f_c
    ========== ============================= =============================
    squared    Σ_c (f_c − y_c)²/2            f_c − y_c
    logistic   Σ_c log(1 + e^{f_c}) − y_c f_c  1/(1 + e^{−f_c}) − y_c
    softmax    log Σ_c e^{f_c} − Σ_c y_c f_c   e^{f_c}/Σ_c' e^{f_c'} − y_c
    ========== ============================= =============================

    ``logistic`` is the binary cross-entropy of the probability 1/(1 + e^{−f}), 0 ≤ y ≤ 1, summed
    over outputs; ``softmax`` the cross-entropy −Σ_c y_c log p_c of p = softmax(f), for y ≥ 0 that
    sum to one.

    Outputs and targets are (N,) of one output, (N, C) of several; outputs of S networks at once
    have an axis S in front, and how many dimensions the targets have tells which of the two is
    meant.

    Parameters
    ----------
    name : {"squared", "logistic", "softmax"}
    """

    name: LossName = "squared"

    def __post_init__(self) -> None:
        as_word(self.name, LOSSES, name="loss")

    def as_targets(
        self,
        Y: ArrayLike,
        n_samples: int,
        n_outputs: int,
        dtype: DTypeLike | None = None,
        *,
        name: str = "Y",
    ) -> Array:
        """Targets that this loss takes, checked.

        Parameters
        ----------
        Y : array_like, shape (N,), or (N, C) of more than one output
            For ``softmax`` also the classes' numbers 0 … C − 1, (N,), in any dtype.
        n_samples : int
            N.
        n_outputs : int
            C.
        dtype : dtype, optional
            Of the result.
        name : str
            The argument's name in messages.

        Returns
        -------
        ndarray, shape (N,), or (N, C) of more than one output
            Class labels as one-hot rows. Perhaps ``Y`` itself.

        Raises
        ------
        ValueError
            For other shapes, and targets that the loss has no meaning for.
        """
        if self.name == "softmax":
            if n_outputs == 1:
                raise ValueError(
                    "the softmax loss takes an output for each class, at least two, but the "
                    "network has one; loss='logistic' is for two classes and one output"
                )
            Y = as_array(Y, name)
            if Y.shape in ((n_samples,), (n_samples, 1)):
                Y = _one_hot(Y.reshape(-1), n_outputs, name)
        Y = as_targets(Y, n_samples, n_outputs=n_outputs, dtype=dtype, name=name)
        self.check_targets(Y, name=name)
        return Y

    def check_targets(self, Y: Array, *, name: str = "Y") -> None:
        """Refuse targets that the loss has no meaning for."""
        if self.name == "squared":
            return
        Y = host(Y)
        if self.name == "logistic":
            _require(
                (Y >= 0) & (Y <= 1),
                Y,
                name,
                "the logistic loss takes targets between 0 and 1 (the probability of class 1)",
            )
            return
        _require(
            Y >= 0, Y, name, "the softmax loss takes probabilities of the classes, none negative"
        )
        sums = Y.sum(axis=1, dtype=np.float64)
        wrong = np.flatnonzero(~(np.abs(sums - 1) <= SUM_ROUNDING))
        if len(wrong):
            raise ValueError(
                "the softmax loss takes probabilities of the classes that sum to 1, but row "
                f"{int(wrong[0])} of {name} sums to {sums[wrong[0]]:.7g}"
            )

    def value(self, outputs: Array, Y: Array) -> Any:
        """L(f), summed in float64; a NumPy array (S,) for outputs of several networks."""
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
            Returns f, of the shape of Y; called only where the value is in doubt.
        Y : ndarray, shape (N,) or (N, C)
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
        if self.name == "softmax":
            gaps, _, others = _below_the_largest(f)
            losses = np.log1p(others.sum(axis=-1)) + (y * gaps).sum(axis=-1)
            return losses.mean(axis=-1)
        if self.name == "squared":
            losses = (f - y) ** 2 / 2
        else:
            # The terms do not cancel: 1[f ≥ 0] − y has the sign of f, and is 0 where y fits f.
            losses = np.log1p(np.exp(-np.abs(f))) + f * ((f >= 0) - y)
        if Y.ndim > 1:
            losses = losses.sum(axis=-1)
        return losses.mean(axis=-1)

    def derivative(self, outputs: Array, Y: Array) -> Array:
        """∂ℓ/∂f for each sample, of the shape of ``outputs`` and in their dtype."""
        if self.name == "squared":
            return outputs - Y
        with np.errstate(under="ignore"):
            if self.name == "softmax":
                f, y = outputs.astype(np.float64, copy=False), Y.astype(np.float64, copy=False)
                _, is_largest, others = _below_the_largest(f)
                rest = others.sum(axis=-1, keepdims=True)
                # Of the likeliest class by the probability of all others, as below.
                likely = (1 - y) - rest / (1 + rest)
                slopes = np.where(is_largest, likely, others / (1 + rest) - y)
                return slopes.astype(outputs.dtype, copy=False)
            # By the probability of the less likely class: e^{−|f|} cannot overflow, and where y
            # fits f the derivative keeps its digits, while 1/(1 + e^{−f}) − 1 would lose them all.
            small = np.exp(-np.abs(outputs))
            unlikely = small / (1 + small)
            return np.where(outputs >= 0, (1 - Y) - unlikely, unlikely - Y)


def _require(holds: Array, Y: Array, name: str, rule: str) -> None:
    """Refuse the first target for which the rule does not hold."""
    wrong = np.argwhere(~holds)
    if len(wrong):
        at = tuple(map(int, wrong[0]))
        raise ValueError(f"{rule}, but {name}[{', '.join(map(str, at))}] = {float(Y[at]):g}")


def _one_hot(labels: Array, n_classes: int, name: str) -> Array:
    """Rows that are 1 at the label and else 0, (N, C), of labels in any dtype."""
    xp = namespace(labels)
    numbers = host(labels)
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers < n_classes) & (numbers % 1 == 0)))
    if len(wrong):
        raise ValueError(
            f"the classes' labels are whole numbers from 0 to {n_classes - 1}, the number of "
            f"outputs less one, but {name}[{int(wrong[0])}] = {numbers[wrong[0]]:g}"
        )
    return xp.eye(n_classes)[labels.astype(np.intp)]


def _below_the_largest(f: Array) -> tuple[Array, Array, Array]:
    """max f − f; which output is the largest, the first of equal ones; e^{f − max f} of others."""
    top = f.argmax(axis=-1)[..., None]
    is_largest = namespace(f).arange(f.shape[-1]) == top
    gaps = np.take_along_axis(f, top, axis=-1) - f
    return gaps, is_largest, np.exp(-gaps) * ~is_largest
