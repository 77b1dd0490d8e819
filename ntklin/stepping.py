"""How a run of training steps goes on and ends, whatever it is that takes the steps.

An engine has ``loss()``; ``advance(weights, until, ceiling)``, which takes one step for each row of
sample weights (see ``ntklin.batches.Schedule``), stops early where the loss is below ``until``,
above ``ceiling`` or NaN, and returns the losses after each step it took; and ``parameters()``.
"""

import signal
import threading
import time
from collections.abc import Iterable

import numpy as np

from ntklin._validate import as_count, as_positive

# A loss this many times the largest of its start and that of f = 0 counts as divergence: below it,
# a wide network can still come back although η is above the bound of the linearized one.
CEILING = 1e3
# Seconds between two calls of ``progress``, and the longest that Ctrl-C has to wait.
PULSE = 0.1
# Rows of sample weights that are made at once.
MAX_BLOCK = 4096


class Interrupted(Exception):
    """Ctrl-C between two blocks of steps: everything before it is kept."""


class Record:
    """At which steps something is recorded.

    Parameters
    ----------
    when : None, int or iterable of int
        Never; every so many steps, 0 included; or at these steps.
    """

    def __init__(self, when, name="record"):
        self.every, self.steps = None, ()
        if when is None:
            return
        if isinstance(when, Iterable) and not isinstance(when, str | bytes):
            when = [as_count(t, name=f"{name}[{i}]", minimum=0) for i, t in enumerate(when)]
            self.steps = tuple(sorted(set(when)))
        else:
            self.every = as_count(when, name=name)

    def __contains__(self, step):
        return step % self.every == 0 if self.every else step in self.steps

    def count(self, stop):
        """How many of the steps 0 … ``stop`` are recorded."""
        return stop // self.every + 1 if self.every else sum(t <= stop for t in self.steps)

    def until_next(self, step):
        """How many steps after ``step`` the next record is due; None when there is none."""
        if self.every:
            return self.every - step % self.every
        return next((t - step for t in self.steps if t > step), None)


class deferred_interrupt:
    """Hold back Ctrl-C in the main thread, so that no step is half counted; a second one strikes.

    ``pending`` tells whether one came.
    """

    def __enter__(self):
        self.pending = False
        self._previous = None
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if previous is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._hold)
                self._previous = previous
        return self

    def _hold(self, number, frame):
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    def __exit__(self, *exception):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)


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

    Parameters
    ----------
    engine : object
        See the module.
    schedule : Schedule
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
        Called as ``on_record(t)`` when the engine is at a step t to record.
    on_block : callable, optional
        Called as ``on_block(new)`` with the losses of a block of steps.
    progress : callable, optional
        Called as ``progress(t, loss)`` about ten times a second.

    Raises
    ------
    Interrupted
        On Ctrl-C, or when ``progress`` raises a KeyboardInterrupt, with the engine, the schedule
        and ``losses`` at the same step.
    """
    record = Record(None) if record is None else record
    dtype = np.dtype(engine.dtype)
    block = 1
    with deferred_interrupt() as interrupt:
        while True:
            taken = len(losses) - 1
            if (until and losses[-1] < until) or (steps is not None and taken >= steps):
                return
            limits = [block, None if steps is None else steps - taken, record.until_next(taken)]
            weights = schedule.take(min(n for n in limits if n is not None), dtype)
            if len(weights) == 0:
                return
            began = time.perf_counter()
            new = engine.advance(weights, until or 0.0, ceiling)
            seconds = time.perf_counter() - began
            losses.extend(new.tolist())
            if on_block is not None:
                on_block(new)
            if not losses[-1] <= ceiling:
                return
            if on_record is not None and len(losses) - 1 in record:
                on_record(len(losses) - 1)
            if progress is not None:
                try:
                    progress(len(losses) - 1, losses[-1])
                except KeyboardInterrupt:
                    raise Interrupted from None
            pace = int(len(new) * PULSE / max(seconds, 1e-9))
            block = max(1, min(4 * block, pace, MAX_BLOCK))
            if interrupt.pending:
                raise Interrupted


def as_horizon(steps, until, default_until=1e-5):
    """``steps`` and ``until`` checked; ``until`` gets its default when neither is given."""
    if steps is not None:
        steps = as_count(steps, name="steps", minimum=0)
    if until is not None:
        until = as_positive(until, name="until")
    elif steps is None:
        until = default_until
    return steps, until
