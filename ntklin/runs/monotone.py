"""Whether a training loss only falls, or diverges, up to the rounding of the loss itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.edge.arrays import Array
from ntklin.edge.errors import NonMonotoneLossWarning
from ntklin.runs.optimizer import Optimizer

# A loss this many times its start counts as divergence: below it, a wide network can still come
# back although η is above the bound of the linearized one.
CEILING = 1e3
# Rules whose steps are linear in the gradients, so that they shrink with the loss.
LINEAR_RULES = ("descent", "momentum")

# The rounding of an output in units of eps times the size of outputs and targets: the sums over
# neurons, and a step's rounding of every parameter. Rises in runs at their floor, or at learning
# rates too small to move, were explained by at most 0.25, in both precisions, up to m = 4000.
ROUNDINGS = 2


def rounding(losses: Array | float, reference: float, dtype: DTypeLike = np.float64) -> Array:
    """How far rounding may have moved a loss L = (1/N) Σ_n ℓ(f_n, y_n).

    If rounding moves a sample's outputs by at most δ in norm, it moves L by at most
    δ √(2L) + δ²/2, since ℓ'' ≤ 1 and |ℓ'| ≤ √(2ℓ): with equality for the squared loss, by Pinsker's
    inequality for the others. δ is ``ROUNDINGS`` eps times √(2 ``reference``), the size of outputs
    and targets.

    Parameters
    ----------
    losses : ndarray
    reference : float
        The larger of the losses at θ_0 and of f = 0.
    dtype : dtype
        Of the training.

    Returns
    -------
    ndarray
    """
    delta = ROUNDINGS * float(np.finfo(dtype).eps) * np.sqrt(2 * reference)
    return delta * np.sqrt(2 * np.maximum(losses, 0)) + delta * delta / 2


def first_rise(losses: ArrayLike, reference: float, dtype: DTypeLike = np.float64) -> int | None:
    """The first t with L_t > L_{t−1}, or NaN, by more than rounding explains; None without one."""
    losses = np.asarray(losses, np.float64)
    with np.errstate(invalid="ignore"):
        bounds = losses + rounding(losses, reference, dtype)
        falls = losses[1:] - rounding(losses[1:], reference, dtype) <= bounds[:-1]
    return None if falls.all() else int(np.argmin(falls)) + 1


@dataclass(frozen=True)
class Yardstick:
    """What the losses of one run are measured by: what is a rise, and what divergence.

    Attributes
    ----------
    start : float
        L(θ_0).
    zero : float
        The loss of f = 0 on the same targets.
    dtype : dtype
        Of the training.
    """

    start: float
    zero: float
    dtype: DTypeLike

    @property
    def reference(self) -> float:
        """See :func:`rounding`."""
        return max(self.start, self.zero, 1e-30)

    def first_rise(self, losses: ArrayLike) -> int | None:
        """See :func:`first_rise`."""
        return first_rise(losses, self.reference, self.dtype)

    def ceiling(self, optimizer: Optimizer) -> float:
        """The loss beyond which training diverges.

        ``CEILING`` times the start, or what rounding may make of it. The first steps of the other
        rules are as long from a θ that is trained as from any, and the loss may have to come down
        from where they lead: the start that counts is never below the loss of f = 0. Nor is it with
        weight decay, which leads towards that f from wherever training starts.

        Parameters
        ----------
        optimizer : Optimizer

        Returns
        -------
        float
        """
        shrinks = optimizer.rule in LINEAR_RULES and not optimizer.weight_decay
        start = self.start if shrinks else self.reference
        return CEILING * (start + float(rounding(start, self.reference, self.dtype)))


class RiseWarning:
    """Warns once, at the first rise of a run's loss.

    Parameters
    ----------
    optimizer : Optimizer
        With its learning rate.
    stacklevel : int
        Of the warning, from the caller of ``__call__``.
    index : int, optional
        The network's place among those that are trained together.
    """

    def __init__(self, optimizer: Optimizer, stacklevel: int, index: int | None = None) -> None:
        self._optimizer, self._stacklevel, self._index = optimizer, stacklevel, index

    def begin(self, losses: Sequence[float], yardstick: Yardstick) -> None:
        """Begin after L(θ_0) … up to now: who continues a run after a rise was warned before."""
        self._yardstick, self._taken, self._latest = yardstick, len(losses) - 1, losses[-1]
        self._warned = yardstick.first_rise(losses) is not None

    def __call__(self, new: Array) -> None:
        """Look at the losses of a block of steps."""
        if self._warned:
            return
        losses = np.concatenate([[self._latest], new])
        rise = self._yardstick.first_rise(losses)
        if rise is None:
            self._taken, self._latest = self._taken + len(new), losses[-1]
            return
        self._warned = True
        step, before, after = self._taken + rise, float(losses[rise - 1]), float(losses[rise])
        whose = "" if self._index is None else f" of network {self._index}"
        warnings.warn(
            NonMonotoneLossWarning(
                f"the training loss{whose} rose at step {step}, from {before:.4g} to {after:.4g} "
                f"(by {after - before:.2g}), with "
                f"{type(self._optimizer).__name__} at learning rate η = "
                f"{self._optimizer.rate(step - 1):.4g}. {_advice(self._optimizer)}",
                step=step,
                before=before,
                after=after,
                index=self._index,
            ),
            stacklevel=self._stacklevel + 1,
        )


def _advice(optimizer: Optimizer) -> str:
    advice = (
        "Take a smaller one; ntklin.largest_learning_rate finds the largest whose loss only falls"
    )
    if optimizer.weight_decay:
        advice += (
            ". With weight decay L + (λ/2)‖θ‖² falls, and L alone may rise where the decay is what "
            "moves θ"
        )
    if optimizer.rule in ("momentum", "adam"):
        advice += ". With a velocity some rises are usual, and harmless where the loss comes back"
    return advice
