"""The one loop of all runs: of the real network, of the linearized one, of many at once.

Where steps are cut into blocks depends on the clock, and no result on where they are cut.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntklin.edge.arrays import Array
from ntklin.edge.errors import MemoryLimitError, TrainingInterrupted
from ntklin.runs import checkpoint
from ntklin.runs.batches import SampleWeights
from ntklin.runs.engine import Engine
from ntklin.runs.interrupts import DeferredInterrupt, Interrupted
from ntklin.runs.monotone import RiseWarning, Yardstick
from ntklin.runs.outcome import Run
from ntklin.runs.recording import Recorder
from ntklin.runs.stops import Block, Divergence, Horizon, Stop
from ntklin.runs.task import Task

_log = logging.getLogger("ntklin.runs")

# Seconds between two calls of ``progress``, and the longest that Ctrl-C has to wait; but where
# blocks are gone back to, at most this share of the time is spent on keeping what that takes.
PULSE = 0.1
KEPT = 0.05
# Sample weights that are made at once: 16 MB in float64, thousands of steps for a few hundred
# samples.
MAX_WEIGHTS = 1 << 21

#: What ``ended_by`` says where no stop condition ended a run.
OUT_OF_BATCHES, INTERRUPTED = "batches", "interrupt"


class Track:
    """One run on its way: its task, its losses, what ends it, and what is kept of it.

    Parameters
    ----------
    task : Task
    horizon : Horizon
    recorder : Recorder, optional
    warning : RiseWarning, optional
        Told of every block of steps.
    past : run, optional
        With ``losses`` and ``arrays``, to go on from.

    Attributes
    ----------
    losses : list of float
        L(θ_0) … up to now.
    yardstick : Yardstick
    ended_by : str or None
        The name of the condition that ended it.
    """

    def __init__(
        self,
        task: Task,
        horizon: Horizon,
        *,
        recorder: Recorder | None = None,
        warning: RiseWarning | None = None,
        past: Run | None = None,
    ) -> None:
        self.task, self.horizon, self.past = task, horizon, past
        self.recorder, self._warning = recorder, warning
        self.losses: list[float] = []
        self.ended_by: str | None = None

    def start(self, loss: float) -> None:
        """Begin at the engine's loss, or where the past run ended."""
        task = self.task
        task.loss.require_in_range(loss, task.initial_outputs, task.targets)
        self.losses = [loss] if self.past is None else self.past.losses.tolist()
        self.yardstick = Yardstick(self.losses[0], self.task.loss_of_zero, self.task.dtype)
        self.ceiling = self.yardstick.ceiling(self.task.optimizer)
        self.stops: tuple[Stop, ...] = (Divergence(self.ceiling), *self.horizon.conditions())
        if self._warning is not None:
            self._warning.begin(self.losses, self.yardstick)
        _, self.ended_by = self._end(None, self.losses[-1:], self.taken - 1, 0.0)

    @property
    def taken(self) -> int:
        """How many steps were taken, counted from θ_0."""
        return len(self.losses) - 1

    def end_among(self, losses: NDArray, seconds: float) -> tuple[int | None, str | None]:
        """The first of some new steps, counted from 0, that ends the run, and by what."""
        return self._end(self.losses[-1], losses, self.taken, seconds)

    def _end(
        self, before: float | None, losses: ArrayLike, taken: int, seconds: float
    ) -> tuple[int | None, str | None]:
        block = Block(
            taken=taken,
            before=before,
            losses=np.asarray(losses, np.float64),
            seconds=seconds,
            yardstick=self.yardstick,
        )
        found = [(k, stop.name) for stop in self.stops if (k := stop.first(block)) is not None]
        return min(found, key=lambda end: end[0], default=(None, None))

    def extend(self, losses: NDArray) -> None:
        """Take down the losses of new steps."""
        if self._warning is not None:
            self._warning(losses)
        self.losses.extend(losses.tolist())

    def room(self) -> int | None:
        """How many steps may follow before something else has to happen; None for any number."""
        found = [stop.room(self.taken) for stop in self.stops]
        if self.recorder is not None:
            found.append(self.recorder.until_next(self.taken))
        return min((n for n in found if n is not None), default=None)

    @property
    def ends_amid_blocks(self) -> bool:
        """Whether a condition may end it where the engine does not stop by itself."""
        return not all(stop.is_plain for stop in self.stops)

    @property
    def converged(self) -> bool:
        """Whether the latest loss is below ``until``."""
        until = self.horizon.until
        return until is not None and self.losses[-1] < until

    @property
    def diverged(self) -> bool:
        """Whether the latest loss is beyond the ceiling, or NaN."""
        return not self.losses[-1] <= self.ceiling


class EngineMaker(ABC):
    """How an engine is made of tracks, and taken apart when the first of them ends."""

    #: Whether losses, ceilings and sample weights have an axis for the tracks, be it of one.
    stacks: ClassVar[bool] = True

    @abstractmethod
    def engine(self, tracks: Sequence[Track]) -> Engine:
        """An engine of all these tracks, at their θ_0."""

    @abstractmethod
    def part(self, engine: Engine, place: int, track: Track) -> Engine:
        """An engine of one of them alone, where it is now."""

    @abstractmethod
    def rest(self, engine: Engine, places: Sequence[int], tracks: Sequence[Track]) -> Engine:
        """An engine of those that go on, where they are now."""


class Alone(EngineMaker):
    """Of a single track."""

    stacks = False

    def engine(self, tracks: Sequence[Track]) -> Engine:
        """That of its task."""
        (track,) = tracks
        return track.task.engine()

    def part(self, engine: Engine, place: int, track: Track) -> Engine:
        """All of it."""
        return engine

    def rest(self, engine: Engine, places: Sequence[int], tracks: Sequence[Track]) -> Engine:
        """Nothing: refused."""
        raise NotImplementedError("of one run nothing is left when it ends")


def carry_out(
    tracks: Sequence[Track],
    maker: EngineMaker | None = None,
    *,
    progress: Callable[[int, float], object] | None = None,
) -> list[Any]:
    """Run tracks to their ends, all at once.

    Parameters
    ----------
    tracks : sequence of Track
        Of one number of samples; several share ``until``, and have no recorder and no past.
    maker : EngineMaker, optional
        ``Alone`` for one track.
    progress : callable, optional
        Called as ``progress(t, loss)`` about ten times a second and at the end, with the largest
        loss of those that are under way. It may raise KeyboardInterrupt to end them.

    Returns
    -------
    list of run or DivergenceError
        For each track what its task makes of its end; where it diverged an error, not raised.

    Raises
    ------
    TrainingInterrupted
        On Ctrl-C, at the end of a block of steps, and for a KeyboardInterrupt of ``progress``.
    KeyboardInterrupt
        On a second Ctrl-C, at once.
    MemoryLimitError
        Where a record does not fit; ``run`` holds what was finished.
    """
    maker = Alone() if maker is None else maker
    outcomes: list[Any] = [None] * len(tracks)
    engine = maker.engine(tracks)
    for track, loss in zip(tracks, np.atleast_1d(engine.loss()).tolist(), strict=True):
        track.start(loss)
        if track.past is not None:
            kept = cast(Mapping[str, Any], track.past.arrays)  # None is refused where runs begin
            checkpoint.require_fitting(engine.arrays(), kept, track.taken)
            engine.restore(kept)
            _log.info("resumed at step %d, loss %.3g", track.taken, track.losses[-1])

    def finish(k: int, place: int) -> None:
        track = tracks[place]
        outcomes[place] = track.task.outcome(maker.part(engine, k, track), track)
        end = track.ended_by, track.taken, track.losses[-1]
        _log.info("a run was ended by %r after %d steps at loss %.3g", *end)

    places, pulse = list(range(len(tracks))), _Pulse(progress, tracks[0].taken)
    try:
        for track in tracks:
            if track.recorder is not None:
                track.recorder.begin(track.taken, track.horizon.steps, engine)
        while places:
            going = [tracks[place] for place in places]
            _until_one_ends(engine, going, pulse, maker.stacks)
            left = []
            for k, (place, track) in enumerate(zip(places, going, strict=True)):
                if track.ended_by is None:
                    left.append(k)
                elif track.diverged:
                    outcomes[place] = track.task.divergence(track.losses)
                    _log.info("a run diverged after %d steps", track.taken)
                else:
                    finish(k, place)
            if left:
                engine = maker.rest(engine, left, [going[k] for k in left])
            places = [places[k] for k in left]
    except Interrupted:
        for k, place in enumerate(places):
            tracks[place].ended_by = INTERRUPTED
            finish(k, place)
        several = outcomes if len(tracks) > 1 else None
        raise TrainingInterrupted(outcomes[places[0]], several) from None
    except MemoryLimitError as e:
        finish(0, places[0])
        e.run = outcomes[places[0]]
        raise
    return outcomes


def _until_one_ends(engine: Engine, tracks: Sequence[Track], pulse: _Pulse, stacked: bool) -> None:
    """Let the engine take steps until one of its tracks has ended, ``ended_by`` something."""
    taken = tracks[0].taken
    n_samples = tracks[0].task.n_samples
    sources = [SampleWeights(track.task.batches, n_samples, start=taken) for track in tracks]
    until = tracks[0].horizon.until or 0.0
    ceiling = np.array([one.ceiling for one in tracks]) if stacked else tracks[0].ceiling
    # What ends amid a block goes back to its start, and takes only as many steps.
    goes_back = engine.is_blind or any(track.ends_amid_blocks for track in tracks)
    longest = max(1, MAX_WEIGHTS // (n_samples * len(tracks)))
    longest = 1 if goes_back and not engine.repeats else longest
    block = 1

    with DeferredInterrupt() as interrupt:
        while not (interrupt.pending or any(track.ended_by for track in tracks)):
            began = time.perf_counter()
            limits = [block, *(track.room() for track in tracks)]
            size = min(n for n in limits if n is not None)
            weights = [source.take(size, np.dtype(engine.dtype)) for source in sources]
            size = min(map(len, weights))
            if size == 0:
                for track in tracks:
                    track.ended_by = OUT_OF_BATCHES
                break
            weights = np.stack(weights, axis=1) if stacked else weights[0]
            kept = engine.keep() if goes_back and size > 1 else {}
            seconds = max(PULSE, (time.perf_counter() - began) / KEPT if kept else 0.0)
            losses = engine.advance(weights, until, ceiling)
            ends = _ends(tracks, losses, pulse)
            last = min((k for k, _ in ends if k is not None), default=len(losses) - 1)
            if last + 1 < len(losses):
                engine.restore(kept)
                losses = engine.advance(weights[: last + 1], until, ceiling)
            for track, column, (k, name) in zip(tracks, _columns(losses), ends, strict=True):
                track.extend(column)
                track.ended_by = name if k == last else None
                if track.recorder is not None and not track.diverged:
                    track.recorder.after(track.taken, engine)
            pace = int(len(losses) * seconds / max(time.perf_counter() - began, 1e-9))
            block = max(1, min(4 * block, pace, longest))
            pulse.beat(tracks)
    if interrupt.pending:
        raise Interrupted
    if not any(track.diverged for track in tracks):
        pulse.beat(tracks, ended=True)


def _ends(
    tracks: Sequence[Track], losses: Array, pulse: _Pulse
) -> list[tuple[int | None, str | None]]:
    seconds = time.perf_counter() - pulse.began
    pairs = zip(tracks, _columns(losses), strict=True)
    return [track.end_among(column, seconds) for track, column in pairs]


def _columns(losses: Array) -> Array:
    """The losses of each track, from those of one or of several, step by step."""
    return losses.reshape(len(losses), -1).T


class _Pulse:
    """Calls ``progress`` when its time has come, and never twice for one step."""

    def __init__(self, progress: Callable[[int, float], object] | None, taken: int) -> None:
        self._progress, self._told = progress, taken
        self.began = time.perf_counter()
        self._due = self.began + PULSE

    def beat(self, tracks: Sequence[Track], ended: bool = False) -> None:
        taken = tracks[0].taken
        if self._progress is None or self._told == taken:
            return
        if ended or time.perf_counter() >= self._due:
            self._told, self._due = taken, time.perf_counter() + PULSE
            try:
                self._progress(taken, float(np.max([track.losses[-1] for track in tracks])))
            except KeyboardInterrupt:
                raise Interrupted from None
