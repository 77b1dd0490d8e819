"""The loop of all runs, on an engine of plain Python: its ends, its records, and Ctrl-C."""

import signal
import threading
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.runs import loop
from ntklin.runs.batches import SampleWeights
from ntklin.runs.engine import Engine
from ntklin.runs.loop import EngineMaker, Track, carry_out
from ntklin.runs.losses import Loss
from ntklin.runs.recording import Record, RecordedSteps, Recorder
from ntklin.runs.stops import (
    FirstRise,
    Horizon,
    Stop,
    TimeLimit,
    every_run_ends,
)
from ntklin.runs.task import Task

N = 3


class Plain(Engine):
    """Its loss after step t is ``loss_at(t)``; it keeps the sample weights that it was given."""

    method = "plain"
    dtype = np.dtype(np.float64)

    def __init__(self, loss_at=lambda t: 1 / (1 + t), on_step=lambda t: None):
        self.loss_at, self.on_step = loss_at, on_step
        self.steps, self.seen, self.blocks = 0, [], []

    @staticmethod
    def requires(task):
        return None

    @staticmethod
    def pays(task):
        return True

    @staticmethod
    def needs(task):
        return 0

    def loss(self):
        return self.loss_at(self.steps)

    def advance(self, weights, until, ceiling):
        losses = []
        for w in weights:
            self.steps += 1
            self.seen.append(w.tolist())
            self.on_step(self.steps)
            losses.append(self.loss_at(self.steps))
            if not self.is_blind and (losses[-1] < until or not losses[-1] <= ceiling):
                break
        self.blocks.append(len(losses))
        return np.array(losses)

    def arrays(self):
        return {"count": np.array(self.steps)}

    def restore(self, arrays):
        self.steps = int(arrays["count"])
        del self.seen[self.steps :]

    def optimizer_state(self):
        raise NotImplementedError


class PlainTask(Task):
    """Leaves its engine and its track as they are."""

    optimizer, loss = ntklin.GradientDescent(1.0), Loss()
    on_cpu, dtype, fingerprints, search = True, np.dtype(np.float64), {}, "nothing"
    engine_type = Plain

    def __init__(self, engine, batches=None):
        self._engine, self.batches = engine, batches
        self.targets = np.zeros(N)

    def engine(self):
        return self._engine

    def outcome(self, engine, track):
        return Ended(track)

    def initial_outputs(self):
        return np.full(N, np.nan)  # which no range is asked of

    def stability_bound(self):
        return 1.0


class Ended:
    def __init__(self, track):
        self.losses, self.by = np.array(track.losses), track.ended_by
        self.arrays, self.steps = None, len(track.losses) - 1


class StepNumbers(Record):
    name = "numbers"

    def __init__(self):
        self.taken = []

    def take(self, moment):
        self.taken.append((moment.step, int(moment.arrays["count"])))

    def nbytes(self):
        return 0


def track_of(engine, batches=None, *, when=None, told=None, **options):
    records = [StepNumbers() if told is None else told]
    recorder = Recorder(RecordedSteps(when), records, what="", advice="")
    horizon = Horizon(options.pop("steps", None), options.pop("until", None))
    horizon = replace(horizon, stop=options.pop("stop", None))
    options = {"recorder": recorder} | options
    return Track(PlainTask(engine, batches), horizon, **options)


def go(engine, batches=None, progress=None, **options):
    """The losses of a whole run."""
    track = track_of(engine, batches, **options)
    (outcome,) = carry_out([track], progress=progress)
    go.ended_by = track.ended_by
    if isinstance(outcome, ntklin.DivergenceError):
        assert track.diverged
    return track.losses


class Clock:
    """In the place of ``time``: stands still but for what a test adds to ``now``."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(loop, "time", Clock())
    monkeypatch.setattr(loop, "PULSE", 1.0)  # fractions of it that are powers of two add up
    return loop.time


# How a run ends


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 500])
def test_after_so_many_steps(steps):
    engine = Plain()
    assert go(engine, steps=steps) == [1 / (1 + t) for t in range(steps + 1)]
    assert engine.steps == steps
    assert go.ended_by == "steps"


@pytest.mark.parametrize("pulse", [0.0, loop.PULSE])
@pytest.mark.parametrize("until", [2.0, 1.0, 0.9, 0.25, 1 / 300])
def test_at_the_first_loss_below_until(monkeypatch, until, pulse):
    monkeypatch.setattr(loop, "PULSE", pulse)
    losses = go(Plain(), until=until)
    assert losses[-1] < until
    assert all(loss >= until for loss in losses[:-1])
    assert go.ended_by == "until"


def test_steps_or_until_whichever_comes_first():
    assert len(go(Plain(), steps=5, until=0.01)) == 6
    assert go.ended_by == "steps"
    assert len(go(Plain(), steps=500, until=0.2)) == 6
    assert go.ended_by == "until"


@pytest.mark.parametrize("bad", [10_500, np.inf, np.nan])
def test_above_the_ceiling_or_at_nan(bad):
    told = []
    engine = Plain(lambda t: bad if t >= 6 else 10.0)
    found = StepNumbers()
    losses = go(engine, when=1, told=found, progress=lambda *a: told.append(a))
    assert losses[:6] == [10.0] * 6
    assert len(losses) == engine.steps + 1 == 7
    assert found.taken == [(t, t) for t in range(6)]
    assert (6, bad) not in told
    assert go.ended_by == "divergence"


def test_a_divergence_is_returned_not_raised():
    (error,) = carry_out([track_of(Plain(lambda t: 1e4 * t + 1), steps=5)])
    assert isinstance(error, ntklin.DivergenceError)
    assert error.step == 1


def test_a_start_that_is_no_number_takes_no_step():
    engine = Plain(lambda t: np.nan)
    assert len(go(engine, steps=5)) == 1
    assert engine.steps == 0


@pytest.mark.parametrize("batches", [[], [[0]], [[t % N] for t in range(50)]])
def test_when_the_batches_end(batches):
    engine, told = Plain(), []
    losses = go(engine, iter(batches), until=1e-9, progress=lambda *a: told.append(a))
    assert len(losses) == len(batches) + 1
    assert engine.seen == np.eye(N)[[b[0] for b in batches]].tolist()
    assert go.ended_by == "batches"
    if batches:
        assert told[-1] == (len(batches), losses[-1])


class Past:
    """A run to go on from, as the loop sees it."""

    def __init__(self, losses):
        self.losses = np.array(losses)
        self.arrays = {"count": np.array(len(losses) - 1)}


def test_losses_are_appended_to_what_came_before():
    engine, batches = Plain(), ntklin.Batches(size=1)
    losses = go(engine, batches, steps=6, past=Past([9.0, 8.0, 7.0, 6.0, 5.0]))
    assert losses == [9.0, 8.0, 7.0, 6.0, 5.0, 1 / 6, 1 / 7]
    assert engine.seen == SampleWeights(batches, N).take(6, np.dtype(float))[4:].tolist()
    assert len(go(Plain(), steps=6, past=Past(losses))) == 7


# Conditions that an engine does not know of


class EveryThird(Stop):
    """Of the caller's own: at the first multiple of three from ``least`` on."""

    name = "third"

    def __init__(self, least):
        self.least = least

    def first(self, block):
        steps = block.taken + 1 + np.arange(len(block.losses))
        found = np.flatnonzero((steps >= self.least) & (steps % 3 == 0))
        return int(found[0]) if len(found) else None


class Blind(Plain):
    is_blind = True


@pytest.mark.parametrize("kind", [Plain, Blind])
@pytest.mark.parametrize("pulse", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize("least", [1, 3, 100, 1000])
def test_a_condition_of_the_callers_own_ends_a_run_at_its_step(monkeypatch, pulse, least, kind):
    monkeypatch.setattr(loop, "PULSE", pulse)
    engine, batches = kind(), ntklin.Batches(size=1)
    losses = go(engine, batches, steps=5000, stop=EveryThird(least))
    end = -(-least // 3) * 3
    assert go.ended_by == "third"
    assert losses == [1 / (1 + t) for t in range(end + 1)]
    assert engine.steps == end
    assert engine.seen == SampleWeights(batches, N).take(end, np.dtype(float)).tolist()


def test_an_engine_that_cannot_repeat_a_step_takes_one_at_a_time():
    engine = Plain()
    engine.repeats = False
    assert len(go(engine, steps=500, stop=EveryThird(100))) == 103
    assert set(engine.blocks) == {1}
    engine = Plain()
    engine.repeats = False
    go(engine, steps=50)
    assert set(engine.blocks) != {1}


@pytest.mark.parametrize("until", [0.9, 1 / 300])
def test_a_blind_engine_ends_where_another_does(until):
    engine = Blind()
    assert go(engine, until=until) == go(Plain(), until=until)
    assert engine.loss() < until


def rising(t):
    return 1 / (1 + t) if t < 40 else 1.0


def test_at_the_first_rise():
    assert len(go(Plain(rising), steps=100, stop=FirstRise())) == 41
    assert go.ended_by == "first rise"
    past = Past([rising(t) for t in range(45)])
    assert len(go(Plain(rising), steps=100, past=past, stop=FirstRise())) == 101


def test_a_time_limit(clock):
    engine = Plain(on_step=lambda t: setattr(clock, "now", clock.now + 1 / 4))
    losses = go(engine, steps=1000, stop=TimeLimit(10.0))
    assert go.ended_by == "time limit"
    assert 40 < len(losses) - 1 <= 45


def test_conditions_compose():
    for stop in (EveryThird(500) | FirstRise(), FirstRise() | EveryThird(500) | TimeLimit(1e9)):
        assert len(go(Plain(rising), steps=100, stop=stop)) == 41
        assert go.ended_by == "first rise"
        assert len(go(Plain(), steps=1000, stop=stop)) == 502
        assert go.ended_by == "third"
        assert len(go(Plain(), steps=7, stop=stop)) == 8


def test_runs_within_a_block_end_by_its_condition():
    with every_run_ends(FirstRise()):
        assert Horizon(None, 1.0).ends_at_rise
        assert len(go(Plain(rising), steps=100)) == 41
        other = []
        thread = threading.Thread(target=lambda: other.append(go(Plain(rising), steps=100)))
        thread.start()
        thread.join()
        assert len(other[0]) == 101
    assert not Horizon(None, 1.0).ends_at_rise
    assert len(go(Plain(rising), steps=100)) == 101


@pytest.mark.parametrize("stop", [7, "steps", [FirstRise()], FirstRise])
def test_what_is_no_condition_is_refused(stop):
    with pytest.raises(TypeError, match=r"stop must be a stop condition, such as TimeLimit"):
        Horizon.of(3, None, stop)


@pytest.mark.parametrize("seconds", [0, -1, np.nan, "long"])
def test_bad_time_limits(seconds):
    with pytest.raises((ValueError, TypeError), match="seconds must be"):
        TimeLimit(seconds)


# Several at once


class Rows(Plain):
    """Of several tracks, with a column of losses for each."""

    def __init__(self, losses_at, steps=0):
        super().__init__(lambda t: np.array([loss(t) for loss in losses_at]))
        self.losses_at, self.steps = losses_at, steps

    def advance(self, weights, until, ceiling):
        losses = []
        for _ in weights:
            self.steps += 1
            losses.append(self.loss_at(self.steps))
            if (losses[-1] < until).any() or not (losses[-1] <= ceiling).all():
                break
        return np.array(losses)


class RowMaker(EngineMaker):
    def engine(self, tracks):
        return Rows([track.task.engine().loss_at for track in tracks])

    def part(self, engine, place, track):
        return track.task.engine()

    def rest(self, engine, places, tracks):
        return Rows([engine.losses_at[k] for k in places], engine.steps)


def test_each_of_several_ends_by_itself():
    rates = [1.0, 3.0, 0.2, -20.0, 1.0]
    tracks = [
        Track(PlainTask(Plain(lambda t, a=a: 1 / (1 + t) ** a)), Horizon(60, 0.02)) for a in rates
    ]
    told = []
    ends = carry_out(tracks, RowMaker(), progress=lambda *a: told.append(a))
    assert [track.ended_by for track in tracks] == [
        "until", "until", "steps", "divergence", "until",
    ]  # fmt: skip
    assert [track.taken for track in tracks] == [50, 3, 60, 1, 50]
    for track, a, end in zip(tracks, rates, ends, strict=True):
        assert track.losses == [1 / (1 + t) ** a for t in range(track.taken + 1)]
        assert isinstance(end, ntklin.DivergenceError if a < 0 else Ended)
    assert told[-1] == (60, tracks[2].losses[-1])


# Blocks


@given(
    pulse=st.sampled_from([0.0, 1e-4, 1.0]),
    most=st.sampled_from([1, 7, 100, 10**6]),
    when=st.one_of(st.none(), st.integers(1, 9), st.lists(st.integers(0, 60))),
    steps=st.integers(0, 60),
    until=st.sampled_from([None, 1 / 20, 1 / 45]),
    size=st.sampled_from([None, 1, 2]),
)
def test_nothing_depends_on_where_blocks_are_cut(pulse, most, when, steps, until, size):
    batches = size and ntklin.Batches(size=size)
    expected = [1 / (1 + t) for t in range(steps + 1)]
    end = next((t for t, loss in enumerate(expected) if until and loss < until), steps)
    engine, found, blocks = Plain(), StepNumbers(), []
    when = RecordedSteps(when)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "PULSE", pulse)
        patch.setattr(loop, "MAX_WEIGHTS", most)
        losses = go(
            engine,
            batches,
            steps=steps,
            until=until,
            recorder=Recorder(when, [found], what="", advice=""),
            warning=Listener(blocks),
        )
    assert losses == expected[: end + 1]
    assert blocks == losses[1:]
    assert engine.seen == SampleWeights(batches, N).take(end, np.dtype(float)).tolist()
    assert found.taken == [(t, t) for t in range(end + 1) if t in when]
    assert max(engine.blocks, default=0) <= max(1, most // N)


class Listener:
    """In the place of what warns of rises."""

    def __init__(self, losses):
        self.losses = losses

    def begin(self, losses, yardstick):
        assert len(losses) == 1

    def __call__(self, new):
        self.losses.extend(new)


def test_blocks_grow_to_a_pulse(clock):
    engine = Plain(on_step=lambda t: setattr(clock, "now", clock.now + 1 / 8))
    go(engine, steps=50)
    assert engine.blocks == [1, 4, 8, 8, 8, 8, 8, 5]


def test_a_step_longer_than_a_pulse_is_a_block(clock):
    engine = Plain(on_step=lambda t: setattr(clock, "now", clock.now + 3))
    go(engine, steps=4)
    assert engine.blocks == [1, 1, 1, 1]


def test_blocks_are_as_long_as_it_pays_to_keep_what_they_begin_with(clock):
    engine = Blind(on_step=lambda t: setattr(clock, "now", clock.now + 1 / 8))
    keep = engine.keep
    engine.keep = lambda: setattr(clock, "now", clock.now + 1 / 4) or keep()
    go(engine, steps=150)
    # 1/4 is a twentieth of 5, in which there are nearly 38 steps beside it.
    assert engine.blocks == [1, 4, 16, 35, 37, 37, 20]


def test_weights_have_the_engines_dtype():
    engine, dtypes = Plain(), []
    engine.dtype, plain = np.float32, engine.advance
    engine.advance = lambda w, *a: dtypes.append(w.dtype) or plain(w, *a)
    go(engine, ntklin.Batches(0.5), steps=9)
    assert set(dtypes) == {np.dtype(np.float32)}


# Records and progress


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (None, []),
        (1, list(range(13))),
        (5, [0, 5, 10]),
        (20, [0]),
        ([], []),
        ([7, 3, 3, 0, 99], [0, 3, 7]),
        (np.array([12, 1]), [1, 12]),
        (iter([4]), [4]),
        (range(2, 9, 3), [2, 5, 8]),
    ],
)
def test_records_are_due_when_they_were_asked_for(when, expected):
    record = RecordedSteps(when)
    assert [t for t in range(13) if t in record] == expected
    for t in range(13):
        assert record.count(t) == sum(k <= t for k in expected)
        following = [k for k in expected if k > t]
        if following:
            assert record.until_next(t) == following[0] - t
        else:
            assert record.until_next(t) is None or t + record.until_next(t) > 12


@pytest.mark.parametrize(
    ("when", "error", "match"),
    [
        (0, ValueError, "record must be at least 1, got 0"),
        (-3, ValueError, "record must be at least 1, got -3"),
        (1.5, TypeError, "record must be an integer, got 1.5"),
        ("all", TypeError, "record must be an integer, got 'all'"),
        (True, TypeError, "record must be an integer, got True"),
        ([1, -2], ValueError, r"record\[1\] must be at least 0, got -2"),
        ([1, 2.5], TypeError, r"record\[1\] must be an integer, got 2.5"),
    ],
)
def test_bad_records(when, error, match):
    with pytest.raises(error, match=match):
        RecordedSteps(when)


def test_errors_name_the_argument_that_the_caller_has():
    with pytest.raises(ValueError, match="snapshots must be at least 1"):
        RecordedSteps(0, name="snapshots")


def test_a_record_finds_the_engine_at_its_step():
    found = StepNumbers()
    go(Plain(), steps=40, when=7, told=found)
    assert found.taken == [(t, t) for t in (0, 7, 14, 21, 28, 35)]


def test_the_start_is_recorded_unless_it_was_before():
    found = StepNumbers()
    past = Past([1.0, 0.5, 0.3, 0.25])
    go(Plain(), steps=8, when=[0, 3, 5], told=found, past=past)
    assert found.taken == [(3, 3), (5, 5)]
    found = StepNumbers()
    kept = Recorder(RecordedSteps([0, 3, 5]), [found], what="", advice="")
    kept.resume([0, 3], {"numbers": [None, None]})
    go(Plain(), steps=8, recorder=kept, past=past)
    assert found.taken == [(5, 5)]
    assert kept.steps == [0, 3, 5]


def test_progress_comes_once_a_pulse_and_at_the_end(clock):
    told = []
    engine = Plain(on_step=lambda t: setattr(clock, "now", clock.now + 1 / 4))
    # A record at every step makes blocks of one; progress keeps its own time.
    losses = go(engine, steps=18, when=1, progress=lambda *a: told.append(a))
    assert [t for t, _ in told] == [4, 8, 12, 16, 18]
    assert all(loss == losses[t] for t, loss in told)


def test_progress_is_not_told_of_the_start_nor_twice_of_the_end(monkeypatch):
    monkeypatch.setattr(loop, "PULSE", 0.0)
    told = []
    go(Plain(), steps=0, progress=lambda *a: told.append(a))
    assert told == []
    go(Plain(), steps=3, progress=lambda *a: told.append(a))
    assert [t for t, _ in told] == [1, 2, 3]


# Ctrl-C


def strike():
    signal.raise_signal(signal.SIGINT)


def strikes_at(*steps):
    return lambda t: strike() if t in steps else None


@pytest.fixture(autouse=True)
def handler():
    """Python's own handler before and after, whatever a test did."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    yield
    left = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert left is signal.default_int_handler


@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=1)])
def test_an_interrupt_waits_for_the_end_of_the_block(batches):
    engine = Plain(on_step=strikes_at(30))
    with pytest.raises(ntklin.TrainingInterrupted) as e:
        go(engine, batches, steps=10**6)
    taken = engine.steps
    assert 30 <= taken == sum(engine.blocks) < 10**6
    assert e.value.run.losses.tolist() == [1 / (1 + t) for t in range(taken + 1)]
    assert e.value.run.by == "interrupt"
    # The run goes on as if nothing had been.
    engine.on_step = lambda t: None
    losses = go(engine, batches, steps=taken + 20, past=Past(e.value.run.losses))
    assert engine.seen == SampleWeights(batches, N).take(taken + 20, np.dtype(float)).tolist()
    assert losses == go(Plain(), batches, steps=taken + 20)


def test_a_second_interrupt_strikes_at_once():
    def on_step(t):
        if t == 5:
            strike()
            engine.steps = 50
            strike()
            engine.steps = 99

    engine = Plain(on_step=on_step)
    track = track_of(engine, steps=1000)
    with pytest.raises(KeyboardInterrupt) as e:
        carry_out([track])
    assert e.type is KeyboardInterrupt
    assert engine.steps == 50
    assert len(track.losses) <= 5


@pytest.mark.parametrize(
    "end",
    [
        {"steps": 6},
        {"until": 1 / 6.5},
        {"diverges": True},
        {"batches": [[0]] * 6},
    ],
    ids=lambda end: next(iter(end)),
)
def test_the_end_of_a_run_swallows_no_interrupt(end):
    """Or else a study would go on with its next run."""
    options = dict(end)
    diverges = options.pop("diverges", False)
    engine = Plain(lambda t: np.nan if t == 6 and diverges else 1 / (1 + t))
    engine.on_step = strikes_at(6)
    with pytest.raises(ntklin.TrainingInterrupted) as e:
        go(engine, **options)
    assert e.value.run.steps == engine.steps == 6


def test_an_interrupt_while_batches_are_read():
    def batches():
        for t in count():
            if t == 20:
                strike()
            yield [t % N]

    engine = Plain()
    with pytest.raises(ntklin.TrainingInterrupted):
        go(engine, batches())
    assert engine.seen == np.eye(N)[np.arange(engine.steps) % N].tolist()


def test_what_was_recorded_before_an_interrupt():
    engine, found = Plain(on_step=strikes_at(12)), StepNumbers()
    with pytest.raises(ntklin.TrainingInterrupted):
        go(engine, steps=100, when=4, told=found)
    assert found.taken == [(t, t) for t in (0, 4, 8, 12)]
    assert engine.steps == 12


def test_progress_may_interrupt(monkeypatch):
    monkeypatch.setattr(loop, "PULSE", 0.0)

    def progress(t, loss):
        if t == 3:
            raise KeyboardInterrupt

    engine = Plain()
    with pytest.raises(ntklin.TrainingInterrupted) as e:
        go(engine, steps=10, progress=progress)
    assert engine.steps == e.value.run.steps == 3


def test_errors_of_the_engine_pass_and_leave_the_handler():
    def on_step(t):
        raise ArithmeticError("broken")

    with pytest.raises(ArithmeticError, match="broken"):
        go(Plain(on_step=on_step), steps=3)


def test_a_handler_of_the_users_own_stays():
    came = []

    def own(number, frame):
        came.append(number)

    signal.signal(signal.SIGINT, own)
    try:
        losses = go(Plain(on_step=strikes_at(2)), steps=5)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert came == [signal.SIGINT]
    assert len(losses) == 6


def test_other_threads_leave_signals_alone():
    seen, results = [], []
    engine = Plain(on_step=lambda t: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=lambda: results.append(go(engine, steps=5)))
    thread.start()
    thread.join()
    assert len(results[0]) == 6
    assert set(seen) == {signal.default_int_handler}


def test_the_main_thread_holds_the_signal_while_it_runs():
    seen = []
    go(Plain(on_step=lambda t: seen.append(signal.getsignal(signal.SIGINT))), steps=2)
    assert signal.default_int_handler not in seen


# How long a run is to be


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((None, None), (None, 1e-5)),
        ((7, None), (7, None)),
        ((0, None), (0, None)),
        ((None, 0.5), (None, 0.5)),
        ((np.int32(7), np.float32(0.5)), (7, 0.5)),
        ((None, None, 1e-3), (None, 1e-3)),
        ((None, 0.5, 1e-3), (None, 0.5)),
    ],
)
def test_horizons(arguments, expected):
    horizon = Horizon.of(*arguments[:2], **dict(zip(["default"], arguments[2:], strict=False)))
    assert (horizon.steps, horizon.until) == expected


@pytest.mark.parametrize(
    ("steps", "until", "error", "match"),
    [
        (-1, None, ValueError, "steps must be at least 0, got -1"),
        (1.5, None, TypeError, "steps must be an integer, got 1.5"),
        ("many", None, TypeError, "steps must be an integer, got 'many'"),
        (None, 0, ValueError, "until must be positive and finite, got 0"),
        (3, np.nan, ValueError, "until must be positive and finite, got nan"),
        (None, "low", TypeError, "until must be a number, got 'low'"),
    ],
)
def test_bad_horizons(steps, until, error, match):
    with pytest.raises(error, match=match):
        Horizon.of(steps, until)
