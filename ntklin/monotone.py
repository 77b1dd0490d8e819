"""Whether a training loss only falls, up to the rounding of the loss itself."""

import warnings

import numpy as np

from ntklin.errors import NonMonotoneLossWarning

# The rounding of an output in units of eps times the size of outputs and targets: the sums over
# neurons, and a step's rounding of every parameter. Rises in runs at their floor, or at learning
# rates too small to move, were explained by at most 0.25, in both precisions, up to m = 4000.
ROUNDINGS = 2


def rounding(losses, reference, dtype=np.float64):
    """How far rounding may have moved a loss L = (1/N) Σ_n ℓ(f_n, y_n).

    If rounding moves every output by at most δ, it moves L by at most δ √(2L) + δ²/2, since
    ℓ'' ≤ 1 and |ℓ'| ≤ √(2ℓ): with equality for the squared loss, by Pinsker's inequality for the
    logistic one. δ is ``ROUNDINGS`` eps times √(2 ``reference``), the size of outputs and targets.

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


def first_rise(losses, reference, dtype=np.float64):
    """The first t with L_t > L_{t−1}, or NaN, by more than rounding explains; None without one."""
    losses = np.asarray(losses, np.float64)
    with np.errstate(invalid="ignore"):
        bounds = losses + rounding(losses, reference, dtype)
        falls = losses[1:] - rounding(losses[1:], reference, dtype) <= bounds[:-1]
    return None if falls.all() else int(np.argmin(falls)) + 1


class Watch:
    """Warns once, at the first rise of a run's loss; an ``on_block`` of ``ntklin.stepping.run``.

    Parameters
    ----------
    losses : sequence of float
        L(θ_0) … up to now. A run that is continued after a rise warned before.
    reference, dtype
        See :func:`rounding`.
    optimizer : Optimizer
        With its learning rate.
    stacklevel : int
        Of the warning, from ``__call__``.
    index : int, optional
        The network's place among those that are trained together.
    """

    def __init__(self, losses, reference, dtype, optimizer, stacklevel=4, index=None):
        self._reference, self._dtype, self._index = reference, dtype, index
        self._optimizer, self._stacklevel = optimizer, stacklevel
        self._taken, self._latest = len(losses) - 1, losses[-1]
        self._warned = first_rise(losses, reference, dtype) is not None

    def __call__(self, new):
        """Look at the losses of a block of steps."""
        if self._warned:
            return
        losses = np.concatenate([[self._latest], new])
        rise = first_rise(losses, self._reference, self._dtype)
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
                f"{self._optimizer.learning_rate:.4g}. {_advice(self._optimizer)}",
                step=step,
                before=before,
                after=after,
                index=self._index,
            ),
            stacklevel=self._stacklevel,
        )


def _advice(optimizer):
    advice = (
        "Take a smaller one; ntklin.largest_learning_rate finds the largest whose loss only falls"
    )
    if not optimizer.is_preconditioner:
        advice += ". With a velocity some rises are usual, and harmless where the loss comes back"
    return advice
