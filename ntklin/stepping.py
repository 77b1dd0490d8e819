"""How a run of training steps goes on and ends, whatever it is that takes the steps.

An engine, as far as ``run`` is concerned, has a ``dtype`` and ``advance(weights, until, ceiling)``.
The latter takes one step for each row of sample weights (see ``ntklin.batches.Schedule``), stops
early only where the loss is below ``until``, above ``ceiling`` or NaN, and returns the losses after
each step it took, at least one, as a vector.

An engine may also train S networks at once: each of the losses and of the ceilings is then an (S,)
vector, each row of weights (S, N), and the first network that ends is an end for all.
"""

import signal
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np

from ntklin._arrays import rows_of
from ntklin._validate import as_count, as_positive
from ntklin.backends import beside, host, namespace

# Seconds between two calls of ``progress``, and the longest that Ctrl-C has to wait.
PULSE = 0.1
# Sample weights that are made at once: 16 MB in float64, thousands of steps for a few hundred
# samples.
MAX_WEIGHTS = 1 << 21


def over(losses, until, ceiling):
    """Where losses end a run: below ``until``, above ``ceiling`` or NaN."""
    return np.less(losses, until) | ~np.less_equal(losses, ceiling)


class Stepwise:
    """The part that engines share which take their steps one by one.

    They have ``_targets``, ``_loss``, the outputs f_t(X) in ``_outputs``, and ``_step(signal,
    weights)``, which takes a step along φ(X)^T signal and renews the outputs. Those that serve a
    GPU well also have ``_changing()``, all that a step changes, and ``_go_back(kept)``.
    """

    def loss(self):
        """L(f_t), on all samples."""
        return self._loss.value(self._outputs, self._targets)

    def advance(self, weights, until, ceiling):
        """Take a step for each row of sample weights; see the module."""
        on_gpu = namespace(self._targets) is not np
        # A rule of the caller's own may remember, so that no step of it is taken twice.
        if on_gpu and hasattr(self, "_changing") and self._optimizer.rule is not None:
            return self._advance_blindly(weights, until, ceiling)
        losses = []
        # A diverging run is told by its loss, and what fades is rounding.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for w in weights:
                slopes = self._loss.derivative(self._outputs, self._targets)
                self._step(beside(w, slopes) * slopes, w)
                losses.append(self.loss())
                if losses[-1] < until or not losses[-1] <= ceiling:
                    break
        return np.array(losses)

    def _advance_blindly(self, weights, until, ceiling):
        """The same without waiting for every loss, which a GPU would have to stop for.

        The losses of the whole block are looked at together. If the run ended amid it, the state
        goes back to the block's start and takes only as many steps, which repeat themselves bit by
        bit; that happens once a run.
        """
        kept = tuple(a.copy() for a in self._changing())
        losses = self._take(weights)
        ends = np.flatnonzero(over(losses, until, ceiling).reshape(len(losses), -1).any(axis=1))
        if len(ends) and ends[0] + 1 < len(losses):
            self._go_back(kept)
            losses = self._take(weights[: ends[0] + 1])
        return losses

    def _take(self, weights):
        """The losses after each of some steps, as NumPy array."""
        xp = namespace(self._targets)
        losses = xp.empty(weights.shape[:-1])
        for t, (w, row) in enumerate(zip(weights, xp.asarray(weights), strict=True)):
            self._step(row * self._loss.derivative(self._outputs, self._targets), w)
            losses[t] = self._loss.mean(self._outputs, self._targets)
        return host(losses)


class Interrupted(Exception):
    """Ctrl-C between two blocks of steps: everything before it is kept."""


class Record:
    """At which steps something is recorded; ``t in record`` tells.

    Parameters
    ----------
    when : None, int or iterable of int
        Never; every so many steps, 0 included; or at these steps.
    name : str
        The argument's name in messages.

    Attributes
    ----------
    every : int or None
    steps : tuple of int
        The steps that were listed, in order.
    """

    def __init__(self, when, name="record"):
        self.every, self.steps = None, ()
        if when is None:
            return
        when = rows_of(when, name)
        several = isinstance(when, Iterable) and not isinstance(when, str | bytes)
        if several and getattr(when, "ndim", 1):
            when = [as_count(t, name=f"{name}[{i}]", minimum=0) for i, t in enumerate(when)]
            self.steps = tuple(sorted(set(when)))
        else:
            self.every = as_count(when, name=name)

    def __contains__(self, step):
        return self.until_next(step - 1) == 1

    def count(self, stop):
        """How many of the steps 0 … ``stop`` are recorded."""
        return stop // self.every + 1 if self.every else bisect_right(self.steps, stop)

    def until_next(self, step):
        """How many steps after ``step`` the next record is due; None when there is none."""
        if self.every:
            return self.every - step % self.every
        following = bisect_right(self.steps, step)
        return self.steps[following] - step if following < len(self.steps) else None


class DeferredInterrupt:
    """Hold back Ctrl-C in the main thread, so that no step is half counted; a second one strikes.

    ``pending`` tells whether one came. A handler of the user's own is left in place.
    """

    def __enter__(self):
        self.pending = False
        self._holding = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._holding:
            signal.signal(signal.SIGINT, self._hold)
        return self

    def _hold(self, number, frame):
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    def __exit__(self, *exception):
        if self._holding:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class _Teller:
    """Calls ``progress(t, loss)`` when its time has come, and never twice for one step."""

    def __init__(self, progress, losses):
        self._progress, self._losses = progress, losses
        self._told, self._due = len(losses), time.perf_counter() + PULSE

    def tell(self, ended=False):
        if self._progress is None or self._told == len(self._losses):
            return
        if ended or time.perf_counter() >= self._due:
            self._told, self._due = len(self._losses), time.perf_counter() + PULSE
            try:
                self._progress(len(self._losses) - 1, self._losses[-1])
            except KeyboardInterrupt:
                raise Interrupted from None


def run(
    engine,
    schedule,
    losses,
    *,
    steps=None,
    until=None,
    ceiling=np.inf,
    record=None,
    on_record=None,
    on_block=None,
    progress=None,
):
    """Let ``engine`` take steps until one of the ends is reached.

    The ends are ``steps``, ``until``, ``ceiling`` and that of the schedule. Where steps are cut
    into blocks depends on the clock, and no result on where they are cut.

    Parameters
    ----------
    engine : object
        See the module.
    schedule : Schedule
        At the step of the engine. A run that was cut short by ``until`` or ``ceiling`` leaves it
        further on.
    losses : list of float
        L(θ_0) … up to now; what comes is appended, so that the caller has it whatever happens.
    steps : int, optional
        The number of the last step, counted from θ_0.
    until : float, optional
        Stop when the loss is below.
    ceiling : float
        Stop when the loss is above, or NaN; the caller then tells divergence from the last loss.
    record : Record, optional
    on_record : callable, optional
        Called as ``on_record(t)`` when a step has led to one to record, unless beyond ``ceiling``.
        The state at the start, step 0 or another, is the caller's to record.
    on_block : callable, optional
        Called as ``on_block(new)`` with the losses of a block of steps.
    progress : callable, optional
        Called as ``progress(t, loss)`` about ten times a second and at the end. It may raise
        KeyboardInterrupt to end the run.

    Raises
    ------
    Interrupted
        On Ctrl-C, at the end of a block of steps, and for a KeyboardInterrupt of ``progress``; the
        engine, ``losses`` and, unless an end was reached as well, the schedule are at one step.
    KeyboardInterrupt
        On a second Ctrl-C, at once: the engine may be amid a step.
    """
    record = Record(None) if record is None else record
    dtype = np.dtype(engine.dtype)
    longest = max(1, MAX_WEIGHTS // schedule.n_samples)
    until = 0.0 if until is None else until
    teller = _Teller(progress, losses)
    block = 1

    def ended():
        enough = steps is not None and len(losses) - 1 >= steps
        return enough or np.any(over(losses[-1], until, ceiling))

    with DeferredInterrupt() as interrupt:
        while not (interrupt.pending or ended()):
            began, taken = time.perf_counter(), len(losses) - 1
            limits = [block, None if steps is None else steps - taken, record.until_next(taken)]
            weights = schedule.take(min(n for n in limits if n is not None), dtype)
            if len(weights) == 0:
                break
            new = engine.advance(weights, until, ceiling)
            losses.extend(new.tolist())
            pace = int(len(new) * PULSE / max(time.perf_counter() - began, 1e-9))
            block = max(1, min(4 * block, pace, longest))
            if on_block is not None:
                on_block(new)
            taken += len(new)
            if on_record is not None and taken in record and losses[-1] <= ceiling:
                on_record(taken)
            teller.tell()
    if interrupt.pending:
        raise Interrupted
    if np.all(np.less_equal(losses[-1], ceiling)):
        teller.tell(ended=True)


def as_horizon(steps, until, default_until=1e-5):
    """``steps`` and ``until`` checked; ``until`` gets its default when neither is given."""
    if steps is not None:
        steps = as_count(steps, name="steps", minimum=0)
    if until is not None:
        until = as_positive(until, name="until")
    elif steps is None:
        until = default_until
    return steps, until
