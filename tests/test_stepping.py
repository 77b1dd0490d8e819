"""The loop of all runs, on an engine of plain Python: its ends, its records, and Ctrl-C."""

import signal
import threading
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.runs import stepping
from ntklin.runs.batches import Schedule
from ntklin.runs.stepping import Interrupted, Record, as_horizon, run

N = 3


class Engine:
    """Its loss after step t is ``loss_at(t)``; it keeps the sample weights that it was given."""

    dtype = np.float64

    def __init__(self, loss_at=lambda t: 1 / (1 + t), on_step=lambda t: None):
        self.loss_at, self.on_step = loss_at, on_step
        self.steps, self.seen, self.blocks = 0, [], []

    def advance(self, weights, until, ceiling):
        losses = []
        for w in weights:
            self.steps += 1
            self.seen.append(w.tolist())
            self.on_step(self.steps)
            losses.append(self.loss_at(self.steps))
            if losses[-1] < until or not losses[-1] <= ceiling:
                break
        self.blocks.append(len(losses))
        return np.array(losses)


def go(engine, batches=None, **options):
    """The losses of a whole run."""
    losses = [engine.loss_at(0)]
    run(engine, Schedule(batches, N), losses, **options)
    return losses


class Clock:
    """In the place of ``time``: stands still but for what a test adds to ``now``."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(stepping, "time", Clock())
    monkeypatch.setattr(stepping, "PULSE", 1.0)  # fractions of it that are powers of two add up
    return stepping.time


# How a run ends


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 500])
def test_after_so_many_steps(steps):
    engine = Engine()
    assert go(engine, steps=steps) == [1 / (1 + t) for t in range(steps + 1)]
    assert engine.steps == steps


@pytest.mark.parametrize("pulse", [0.0, stepping.PULSE])
@pytest.mark.parametrize("until", [2.0, 1.0, 0.9, 0.25, 1 / 300])
def test_at_the_first_loss_below_until(monkeypatch, until, pulse):
    monkeypatch.setattr(stepping, "PULSE", pulse)
    losses = go(Engine(), until=until)
    assert losses[-1] < until
    assert all(loss >= until for loss in losses[:-1])


def test_steps_or_until_whichever_comes_first():
    assert len(go(Engine(), steps=5, until=0.01)) == 6
    assert len(go(Engine(), steps=500, until=0.2)) == 6


@pytest.mark.parametrize("bad", [10.5, np.inf, np.nan])
def test_above_the_ceiling_or_at_nan(bad):
    recorded, told = [], []
    engine = Engine(lambda t: bad if t >= 6 else 10.0)
    losses = go(
        engine,
        ceiling=10.0,
        record=Record(1),
        on_record=recorded.append,
        progress=lambda *a: told.append(a),
    )
    assert losses[:6] == [10.0] * 6
    assert len(losses) == engine.steps + 1 == 7
    assert recorded == [1, 2, 3, 4, 5]
    assert (6, bad) not in told


def test_without_a_ceiling_only_nan_ends_a_run():
    losses = go(Engine(lambda t: np.nan if t == 9 else np.inf))
    assert losses[:9] == [np.inf] * 9
    assert len(losses) == 10


@pytest.mark.parametrize("start", [np.nan, 11.0])
def test_a_start_beyond_the_ceiling_takes_no_step(start):
    engine = Engine(lambda t: start)
    assert len(go(engine, ceiling=10.0, steps=5)) == 1
    assert engine.steps == 0


@pytest.mark.parametrize("batches", [[], [[0]], [[t % N] for t in range(50)]])
def test_when_the_batches_end(batches):
    engine, told = Engine(), []
    losses = go(engine, iter(batches), until=1e-9, progress=lambda *a: told.append(a))
    assert len(losses) == len(batches) + 1
    assert engine.seen == np.eye(N)[[b[0] for b in batches]].tolist()
    if batches:
        assert told[-1] == (len(batches), losses[-1])


def test_losses_are_appended_to_what_came_before():
    engine = Engine()
    engine.steps, losses = 4, [9.0, 8.0, 7.0, 6.0, 5.0]
    run(engine, Schedule(ntklin.Batches(size=1), N, start=4), losses, steps=6)
    assert losses == [9.0, 8.0, 7.0, 6.0, 5.0, 1 / 6, 1 / 7]
    assert engine.seen == Schedule(ntklin.Batches(size=1), N).take(6, np.dtype(float))[4:].tolist()
    run(engine, Schedule(None, N, start=6), losses, steps=6)
    assert len(losses) == 7


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
    engine, recorded, blocks, record = Engine(), [], [], Record(when)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "PULSE", pulse)
        patch.setattr(stepping, "MAX_WEIGHTS", most)
        losses = go(
            engine,
            batches,
            steps=steps,
            until=until,
            record=record,
            on_record=recorded.append,
            on_block=blocks.extend,
        )
    assert losses == expected[: end + 1]
    assert blocks == losses[1:]
    assert engine.seen == Schedule(batches, N).take(end, np.dtype(float)).tolist()
    assert recorded == [t for t in range(1, end + 1) if t in record]
    assert max(engine.blocks, default=0) <= max(1, most // N)


def test_blocks_grow_to_a_pulse(clock):
    engine = Engine(on_step=lambda t: setattr(clock, "now", clock.now + 1 / 8))
    go(engine, steps=50)
    assert engine.blocks == [1, 4, 8, 8, 8, 8, 8, 5]


def test_a_step_longer_than_a_pulse_is_a_block(clock):
    engine = Engine(on_step=lambda t: setattr(clock, "now", clock.now + 3))
    go(engine, steps=4)
    assert engine.blocks == [1, 1, 1, 1]


def test_weights_have_the_engines_dtype():
    engine, dtypes = Engine(), []
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
    record = Record(when)
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
        Record(when)


def test_errors_name_the_argument_that_the_caller_has():
    with pytest.raises(ValueError, match="snapshots must be at least 1"):
        Record(0, name="snapshots")


def test_a_record_finds_the_engine_at_its_step():
    engine, found = Engine(), []
    go(engine, steps=40, record=Record(7), on_record=lambda t: found.append((t, engine.steps)))
    assert found == [(t, t) for t in (7, 14, 21, 28, 35)]


def test_the_start_is_the_callers_to_record():
    engine, recorded = Engine(), []
    engine.steps, losses = 3, [1.0, 0.5, 0.3, 0.25]
    record = Record([0, 3, 5])
    run(engine, Schedule(None, N, 3), losses, steps=8, record=record, on_record=recorded.append)
    assert recorded == [5]


def test_progress_comes_once_a_pulse_and_at_the_end(clock):
    told = []
    engine = Engine(on_step=lambda t: setattr(clock, "now", clock.now + 1 / 4))
    # A record at every step makes blocks of one; progress keeps its own time.
    losses = go(engine, steps=18, record=Record(1), progress=lambda *a: told.append(a))
    assert [t for t, _ in told] == [4, 8, 12, 16, 18]
    assert all(loss == losses[t] for t, loss in told)


def test_progress_is_not_told_of_the_start_nor_twice_of_the_end(monkeypatch):
    monkeypatch.setattr(stepping, "PULSE", 0.0)
    told = []
    go(Engine(), steps=0, progress=lambda *a: told.append(a))
    assert told == []
    go(Engine(), steps=3, progress=lambda *a: told.append(a))
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
    engine, losses = Engine(on_step=strikes_at(30)), [1.0]
    schedule = Schedule(batches, N)
    with pytest.raises(Interrupted):
        run(engine, schedule, losses, steps=10**6)
    taken = engine.steps
    assert 30 <= taken == sum(engine.blocks) < 10**6
    assert losses == [1 / (1 + t) for t in range(taken + 1)]
    # Schedule, engine and losses are at one step: the run goes on as if nothing had been.
    engine.on_step = lambda t: None
    run(engine, schedule, losses, steps=taken + 20)
    assert engine.seen == Schedule(batches, N).take(taken + 20, np.dtype(float)).tolist()
    assert losses == go(Engine(), batches, steps=taken + 20)


def test_a_second_interrupt_strikes_at_once():
    def on_step(t):
        if t == 5:
            strike()
            engine.steps = 50
            strike()
            engine.steps = 99

    engine, losses = Engine(on_step=on_step), [1.0]
    with pytest.raises(KeyboardInterrupt):
        run(engine, Schedule(None, N), losses, steps=1000)
    assert engine.steps == 50
    assert len(losses) <= 5


@pytest.mark.parametrize(
    "end",
    [
        {"steps": 6},
        {"until": 1 / 6.5},
        {"ceiling": 10.0},
        {"batches": [[0]] * 6},
    ],
    ids=lambda end: next(iter(end)),
)
def test_the_end_of_a_run_swallows_no_interrupt(end):
    """Or else a study would go on with its next run."""
    engine = Engine(lambda t: np.nan if t == 6 and "ceiling" in end else 1 / (1 + t))
    engine.on_step = strikes_at(6)
    losses = [1.0]
    options = dict(end)
    schedule = Schedule(options.pop("batches", None), N)
    with pytest.raises(Interrupted):
        run(engine, schedule, losses, **options)
    assert len(losses) == engine.steps + 1 == 7


def test_an_interrupt_while_batches_are_read():
    def batches():
        for t in count():
            if t == 20:
                strike()
            yield [t % N]

    engine = Engine()
    with pytest.raises(Interrupted):
        go(engine, batches())
    assert engine.seen == np.eye(N)[np.arange(engine.steps) % N].tolist()


def test_what_was_recorded_and_told_before_an_interrupt():
    engine, recorded = Engine(on_step=strikes_at(12)), []
    with pytest.raises(Interrupted):
        go(engine, steps=100, record=Record(4), on_record=recorded.append)
    assert recorded == [4, 8, 12]
    assert engine.steps == 12


def test_progress_may_interrupt(monkeypatch):
    monkeypatch.setattr(stepping, "PULSE", 0.0)

    def progress(t, loss):
        if t == 3:
            raise KeyboardInterrupt

    engine, losses = Engine(), [1.0]
    with pytest.raises(Interrupted):
        run(engine, Schedule(None, N), losses, steps=10, progress=progress)
    assert engine.steps == 3
    assert len(losses) == 4


def test_errors_of_the_engine_pass_and_leave_the_handler():
    def on_step(t):
        raise ArithmeticError("broken")

    with pytest.raises(ArithmeticError, match="broken"):
        go(Engine(on_step=on_step), steps=3)


def test_a_handler_of_the_users_own_stays():
    came = []

    def own(number, frame):
        came.append(number)

    signal.signal(signal.SIGINT, own)
    try:
        losses = go(Engine(on_step=strikes_at(2)), steps=5)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert came == [signal.SIGINT]
    assert len(losses) == 6


def test_other_threads_leave_signals_alone():
    seen, results = [], []
    engine = Engine(on_step=lambda t: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=lambda: results.append(go(engine, steps=5)))
    thread.start()
    thread.join()
    assert len(results[0]) == 6
    assert set(seen) == {signal.default_int_handler}


def test_the_main_thread_holds_the_signal_while_it_runs():
    seen = []
    go(Engine(on_step=lambda t: seen.append(signal.getsignal(signal.SIGINT))), steps=2)
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
    assert as_horizon(*arguments) == expected


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
        as_horizon(steps, until)
