"""The largest learning rate whose training loss only falls, by bisection (App. D)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import as_array
from ntklin.edge.backends import host
from ntklin.edge.checks import as_count, as_positive, as_progress
from ntklin.edge.errors import DivergenceError, FloatRangeError, LearningRateError
from ntklin.edge.faces.bars import TrialMeter, followed
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.values import said
from ntklin.networks.network import Network
from ntklin.runs.batches import BatchSource
from ntklin.runs.engine import MethodName
from ntklin.runs.losses import Loss, LossName
from ntklin.runs.monotone import Yardstick
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.outcome import Run
from ntklin.runs.stops import FirstRise, every_run_ends
from ntklin.training.train import as_problem, train, with_learning_rate

_log = logging.getLogger("ntklin.recipes")

# Between trials, until one falls and one rises: each needs a whole run where it falls.
STRIDE = 4.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A run at one learning rate.

    Attributes
    ----------
    learning_rate : float
    monotone : bool
        Whether the loss fell, or stayed, in every step.
    steps : int or None
        How many steps were looked at: all of them, or those up to the first rise. Where the trainer
        raised a DivergenceError, those up to where it was noticed, or None where it was foreseen.
    final_loss : float or None
        The loss after them; None after a DivergenceError.
    """

    learning_rate: float
    monotone: bool
    steps: int | None
    final_loss: float | None

    @property
    def rise(self) -> int | None:
        """The step of the first rise; None without one, or where divergence was foreseen."""
        return None if self.monotone else self.steps


@dataclass(frozen=True, kw_only=True, repr=False)
class LearningRateSearch(Shown):
    """The largest learning rate that was found to keep the loss monotone.

    Attributes
    ----------
    learning_rate : float
        The largest one of the trials whose loss only fell.
    optimizer : Optimizer
        With this learning rate.
    rising : float or None
        The smallest one of the trials above it, whose loss rose; None where none did.
    trials : tuple of Trial
        In the order in which they were made.
    reason : {"precision", "reach"}
        Why the search ended: ``rising`` is within the precision, or all rates up to the reach keep
        the loss monotone.
    """

    learning_rate: float
    optimizer: Optimizer
    rising: float | None
    trials: tuple[Trial, ...]
    reason: str

    def _facts(self) -> Facts:
        return facts(
            "LearningRateSearch",
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            rising=self.rising,
            trials=len(self.trials),
            reason=self.reason,
        )


def search_learning_rate(
    trainer: Callable[[Optimizer], Any],
    optimizer: Optimizer,
    *,
    precision: float = 0.05,
    reach: float = 1e6,
    progress: Callable[[Trial], object] | bool | None = None,
) -> LearningRateSearch:
    """The largest learning rate whose training loss only falls, whatever it is that trains.

    From the optimizer's own rate the search strides up by factors of 4 while the loss falls, or
    down while it rises, and then halves the interval between the largest rate that falls and the
    smallest that rises, in logarithms. Monotone means L_{t+1} ≤ L_t in every step up to the
    rounding of the loss. That a rate is monotone does not say that all smaller ones are.

    Parameters
    ----------
    trainer : callable
        ``trainer(optimizer)`` trains from the same start for the whole horizon, and returns a run
        with ``losses``, or the losses themselves. Runs of ntklin's own that it makes end at their
        first rise, in its thread, and are judged by their ``first_rise()``, as ``train`` judges
        them; of bare losses the first tells the size of outputs and targets, so return the run
        where training starts near the targets.
    optimizer : Optimizer
        With the learning rate to start from.
    precision : float
        Relative: the search ends when ``rising`` ≤ (1 + precision) ``learning_rate``.
    reach : float
        Only rates between a ``reach``-th part of the optimizer's own and ``reach`` times it are
        tried.
    progress : callable or bool, optional
        Called as ``progress(trial)`` after each trial. True shows a bar.

    Returns
    -------
    LearningRateSearch

    Raises
    ------
    TypeError
        For what is no trainer or no optimizer.
    LearningRateError
        If the loss rises at every rate down to the reach; with the ``trials``.
    ValueError
        If the trainer takes no step, or the optimizer has a schedule.
    FloatRangeError
        If the loss at the start is not finite.

    Examples
    --------
    On the linearized network:

    >>> search_learning_rate(lambda o: lin.train(Y, o, steps=1000), ntklin.AdaGrad(0.01))
    """
    if not callable(trainer):
        raise TypeError(f"trainer must be callable as trainer(optimizer), got {said(trainer)}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an ntklin optimizer, got {said(optimizer)}")
    if optimizer.has_schedule:
        raise ValueError(
            "optimizer has a learning rate that depends on the step, and the search is for a "
            "number; pass the number to start from, and let trainer(optimizer) multiply a schedule "
            "by optimizer.learning_rate"
        )
    if optimizer.learning_rate is None:
        raise ValueError("optimizer needs a learning_rate for the search to start from")
    precision = as_positive(precision, name="precision")
    reach = as_positive(reach, name="reach")
    if reach <= 1:
        raise ValueError(f"reach is a factor above 1, got {reach:g}")
    progress, trials = as_progress(progress), []

    with followed(progress, TrialMeter) as told:

        def falls(rate: float) -> bool:
            trials.append(_trial(trainer, optimizer.with_learning_rate(rate)))
            _log.debug("trial %d: %s", len(trials), trials[-1])
            if told is not None:
                told(trials[-1])
            return trials[-1].monotone

        falling, rising = _bracket(falls, optimizer.learning_rate, reach)
        if falling is None:
            raise LearningRateError(
                f"the training loss rises at every learning rate that was tried, from "
                f"{trials[0].learning_rate:.3g} down to {rising:.3g}: "
                f"{_where(trials[-1])}. With mini-batches or a velocity no rate may keep it "
                "monotone; otherwise start from a smaller rate, or raise reach",
                trials=tuple(trials),
            )
        while rising is not None and rising > (1 + precision) * falling:
            rate = math.sqrt(falling) * math.sqrt(rising)
            if not falling < rate < rising:  # neighbors among the floating-point numbers
                break
            falling, rising = (rate, rising) if falls(rate) else (falling, rate)
    return LearningRateSearch(
        learning_rate=falling,
        optimizer=optimizer.with_learning_rate(falling),
        rising=rising,
        trials=tuple(trials),
        reason="reach" if rising is None else "precision",
    )


def _bracket(
    falls: Callable[[float], bool], start: float, reach: float
) -> tuple[float | None, float | None]:
    """The last rate that falls and the first that rises, or None, STRIDE by STRIDE."""
    up = falls(start)
    end = start * reach if up else start / reach
    falling, rising = (start, None) if up else (None, start)
    latest = start
    while latest != end and (falling is None or rising is None):
        latest = min(latest * STRIDE, end) if up else max(latest / STRIDE, end)
        if falls(latest):
            falling = latest
        else:
            rising = latest
    return falling, rising


def _trial(trainer: Callable[[Optimizer], Any], optimizer: Optimizer) -> Trial:
    rate = optimizer.learning_rate
    try:
        with every_run_ends(FirstRise()):
            result = trainer(optimizer)
    except DivergenceError as e:
        return Trial(learning_rate=rate, monotone=False, steps=e.step, final_loss=None)
    losses = host(as_array(getattr(result, "losses", result), "what trainer(optimizer) returns"))
    losses = losses.astype(np.float64, copy=False)
    if losses.ndim != 1 or len(losses) < 2:
        raise ValueError(
            "trainer(optimizer) must return the losses L(θ_0), L(θ_1), … of at least one step, or "
            f"a run with them; got shape {losses.shape}. If the loss starts below until, no "
            "learning rate is too large"
        )
    if not np.isfinite(losses[0]):
        raise FloatRangeError(
            f"the loss that trainer(optimizer) starts at is {losses[0]}, so that no learning rate "
            "can be judged; scale the targets"
        )
    if isinstance(result, Run):
        rise = result.first_rise()
    else:
        rise = Yardstick(losses[0], 0.0, losses.dtype).first_rise(losses)
    last = len(losses) - 1 if rise is None else rise
    return Trial(
        learning_rate=rate, monotone=rise is None, steps=last, final_loss=float(losses[last])
    )


def _where(trial: Trial) -> str:
    return "there from the start" if trial.rise is None else f"there at step {trial.rise}"


def largest_learning_rate(
    net: Network,
    theta: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    optimizer: Optimizer | None = None,
    steps: int = 1000,
    until: float = 1e-5,
    batches: BatchSource | None = None,
    loss: LossName = "squared",
    *,
    method: MethodName = "auto",
    precision: float = 0.05,
    reach: float = 1e6,
    progress: Callable[[Trial], object] | bool | None = None,
) -> LearningRateSearch:
    """The largest learning rate that keeps the training loss of the real network monotone (App. D).

    Every trial trains from θ_0 for at most ``steps`` steps, until the loss is below ``until`` or
    rises for the first time. See :func:`ntklin.search_learning_rate`, which this is for the real
    network, for how the rates are chosen and what monotone means.

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
        Or any network that :func:`ntklin.train` takes.
    theta : ndarray, shape (P,)
        θ_0; not changed.
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,), or (N, C) of more than one output
        As for :func:`ntklin.train`.
    optimizer : Optimizer, optional
        With the learning rate to start from; ``GradientDescent()`` when not given.
    steps : int
    until : float
    batches : Batches or list of index arrays, optional
        The samples that each step sees, the same in every trial.
    loss : {"squared", "logistic", "softmax"}
    method : {"auto", "reduced", "fused", "direct"}
        See :func:`ntklin.train`.
    precision, reach : float
        As for :func:`ntklin.search_learning_rate`.
    progress : callable or bool, optional
        Called as ``progress(trial)`` after each trial. True shows a bar.

    Returns
    -------
    LearningRateSearch

    Raises
    ------
    TypeError
        For batches that can be read only once.
    LearningRateError
        If the loss rises at every rate down to the reach.
    ValueError
        If the loss starts below ``until``, or the optimizer has a schedule.
    """
    steps = as_count(steps, name="steps")
    until = as_positive(until, name="until")
    if isinstance(batches, Iterator):
        raise TypeError(
            "batches must be ntklin.Batches or a list for a search, which trains several times; "
            f"got {type(batches).__name__}, which can be read only once"
        )
    theta, X, Y = as_problem(net, theta, X, Y, Loss(loss))
    options = {"steps": steps, "until": until, "batches": batches, "loss": loss, "method": method}
    return search_learning_rate(
        lambda optimizer: train(net, theta, X, Y, optimizer, **options),
        with_learning_rate(optimizer, net, theta, X),
        precision=precision,
        reach=reach,
        progress=progress,
    )
