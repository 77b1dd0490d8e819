"""What training records on the way, and what it warns of."""

import warnings

import numpy as np
import pytest
from networks import make_case

import ntklin
from ntklin.edge import checks as _validate
from ntklin.runs import monotone
from ntklin.training.descents import ENGINES

LAST = 10


def problem(widths=(3, 40, 1), n=5, dtype=np.float64):
    case = make_case(widths, n=n, dtype=dtype, start="init")
    return case.net, (case.theta, case.X, np.random.default_rng(1).random(n).astype(dtype))


def train(net, data, steps=LAST, optimizer=None, **options):
    return ntklin.train(net, *data, optimizer or ntklin.GradientDescent(0.05), steps, **options)


# Records


@pytest.mark.parametrize("method", ENGINES)
@pytest.mark.parametrize(
    ("record", "steps"),
    [(4, [0, 4, 8]), ([7, 2, 2, 99], [2, 7]), ([0, 10], [0, 10]), (11, [0]), ([], [])],
)
def test_records_are_the_states_of_shorter_runs(method, record, steps):
    net, data = problem()
    run = train(net, data, record=record, X_record=data[1][:3], method=method)
    r = run.records
    np.testing.assert_array_equal(r.steps, steps)
    np.testing.assert_array_equal(r.losses, run.losses[steps])
    assert len(r.snapshots) == len(r.distances) == len(steps)
    assert r.outputs.shape == (len(steps), 3)
    for k, t in enumerate(steps):
        short = train(net, data, t, method=method)
        np.testing.assert_array_equal(run.snapshot(t), short.parameters)
        np.testing.assert_array_equal(r.outputs[k], short.predict(data[1][:3]))
        moved = np.linalg.norm(short.parameters - data[0])
        assert r.distances[k] == pytest.approx(moved, rel=1e-12)
        relative = moved / np.linalg.norm(data[0])
        assert r.relative_distances[k] == pytest.approx(relative, rel=1e-12)
    plain = train(net, data, method=method)
    np.testing.assert_array_equal(run.parameters, plain.parameters)
    np.testing.assert_array_equal(run.losses, plain.losses)
    assert len(plain.records.steps) == 0


def test_linearization_goes_on_from_a_snapshot():
    """Sect. 6, Eq. (11): its outputs at the start are those that were recorded."""
    net, data = problem()
    run = train(net, data, record=[6], X_record=data[1])
    with pytest.warns(ntklin.UnitBallWarning):
        lin = ntklin.linearize(net, run.snapshot(6), data[1])
    np.testing.assert_array_equal(
        lin.gradient_descent(data[2]).predict(data[1], 0), run.records.outputs[0]
    )
    assert lin.train(data[2], run.optimizer, 1).losses[0] == pytest.approx(run.losses[6], rel=1e-12)


def test_snapshots_are_copies_and_the_last_step_always_has_one():
    net, data = problem()
    run = train(net, data, record=[3])
    run.snapshot(3)[:] = 0
    run.snapshot(LAST)[:] = 0
    assert run.snapshot(3).any()
    np.testing.assert_array_equal(run.snapshot(LAST), run.parameters)
    assert run.parameters.any()
    with pytest.raises(ValueError, match=r"no snapshot of step 4, only of 3, 10: .*record="):
        run.snapshot(4)


def test_snapshots_can_be_left_out():
    net, data = problem()
    run = train(net, data, record=2, snapshots=False)
    assert run.records.snapshots is None
    assert run.records.outputs is None
    assert run.records.distances[-1] > 0
    with pytest.raises(ValueError, match="no snapshot of step 2, only of 10"):
        run.snapshot(2)


def test_single_precision_is_recorded_in_single_precision():
    net, data = problem(dtype=np.float32)
    run = train(net, data, record=5, X_record=data[1].astype(float))
    assert run.records.outputs.dtype == np.float32
    assert run.snapshot(5).dtype == np.float32
    moved = np.linalg.norm(run.snapshot(5).astype(float) - data[0].astype(float))
    assert run.records.distances[1] == pytest.approx(moved, rel=1e-12)


def test_what_does_not_fit_is_refused_beforehand(monkeypatch):
    net, data = problem()
    P = net.n_parameters
    monkeypatch.setattr(_validate, "available_memory", lambda: 8 * (3 * P) - 1)
    with pytest.raises(ntklin.MemoryLimitError, match=r"recording 3 more steps needs.*snapshots=F"):
        train(net, data, record=5)
    train(net, data, record=5, snapshots=False)
    train(net, data, record=[5, 10])
    first = train(net, data, 6, record=[5, 10])
    monkeypatch.setattr(_validate, "available_memory", lambda: 8 * P - 1)
    with pytest.raises(ntklin.MemoryLimitError, match="recording 1 more step needs"):
        train(net, data, record=[5, 10], resume=first)


def test_memory_that_ends_on_the_way_keeps_what_was_finished(monkeypatch):
    """With no last step the number of snapshots is not known beforehand."""
    net, data = problem()
    free = iter([10**9] * 3)
    monkeypatch.setattr(_validate, "available_memory", lambda: next(free, 0))
    with pytest.raises(ntklin.MemoryLimitError, match="record fewer of them") as caught:
        train(net, data, None, record=4, X_record=data[1])
    run = caught.value.run
    np.testing.assert_array_equal(run.records.steps, [0, 4])
    assert run.steps == 8
    monkeypatch.undo()
    again = train(net, data, 12, record=4, X_record=data[1], resume=run)
    np.testing.assert_array_equal(again.losses, train(net, data, 12).losses)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"X_record": np.ones((2, 3))}, ValueError, "X_record is recorded at .* record= chooses"),
        ({"record": 1, "X_record": np.ones((2, 4))}, ValueError, "X_record has 4 columns"),
        ({"record": 0}, ValueError, "record must be at least 1, got 0"),
        ({"record": "all"}, TypeError, "record must be an integer"),
        ({"record": [1.5]}, TypeError, r"record\[0\] must be an integer, got 1\.5"),
    ],
)
def test_bad_records(options, error, match):
    net, data = problem()
    with pytest.raises(error, match=match):
        train(net, data, **options)


# Warnings


def diverging(rate=3.0):
    """One input and one parameter: f = θ, so that a step multiplies the residual by 1 − η."""
    net = ntklin.MLP((1, 1), bias="none")
    return net, (np.array([2.0]), np.ones((1, 1)), np.array([1.0])), ntklin.GradientDescent(rate)


def test_the_first_rise_is_told_once():
    net, data, optimizer = diverging(2.5)
    with pytest.warns(ntklin.NonMonotoneLossWarning) as caught:
        run = train(net, data, 6, optimizer)
    assert len(caught) == 1
    warning = caught[0].message
    assert (warning.step, warning.before, warning.after) == (1, run.losses[0], run.losses[1])
    text = r"rose at step 1, from 0.5 to 1.125 (by 0.62), with GradientDescent at learning rate"
    assert text in str(warning)
    assert "η = 2.5. Take a smaller one; ntklin.largest_learning_rate" in str(warning)
    assert caught[0].filename == __file__  # the caller's line, not the library's


@pytest.mark.parametrize("method", ENGINES)
def test_the_step_of_the_rise_is_right_in_later_blocks(method):
    net, (theta, X, _) = problem()
    K = net.features(theta, X).gram()
    values, vectors = np.linalg.eigh(K)
    # Next to nothing along the one direction in which the steps are unstable: it takes its time.
    Y = net.apply(theta, X) + vectors @ [0.1, 0, 0, 0, 1e-6]
    optimizer = ntklin.GradientDescent(1.05 * 2 * len(Y) / values[-1])
    with pytest.warns(ntklin.NonMonotoneLossWarning) as caught:
        run = train(net, (theta, X, Y), 150, optimizer, method=method)
    warning, change = caught[0].message, np.diff(run.losses)
    step = warning.step
    assert step > 40
    assert (warning.before, warning.after) == (run.losses[step - 1], run.losses[step])
    assert change[step - 1] > 0
    assert change[: step - 1].max() < 1e-14


def test_a_velocity_is_mentioned():
    net, data, _ = diverging()
    with pytest.warns(ntklin.NonMonotoneLossWarning, match=r"With a velocity some rises are usual"):
        train(net, data, 30, ntklin.Momentum(0.3))


def test_a_falling_loss_and_a_mini_batch_are_no_reason_to_warn():
    net, data, _ = diverging()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(net, data, 30, ntklin.GradientDescent(1.9))
        train(net, data, 6, ntklin.GradientDescent(2.5), batches=[[0]] * 6)
        train(net, data, 6, ntklin.GradientDescent(2.0))  # ± the same residual


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rises_at_the_floor_are_rounding(dtype):
    net, data = problem((8, 40, 1), n=4, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = ntklin.train(net, *data, steps=400)
    assert (np.diff(run.losses) > 0).any()


def test_a_run_that_goes_on_does_not_warn_again():
    net, data, optimizer = diverging(2.1)
    with pytest.warns(ntklin.NonMonotoneLossWarning):
        first = train(net, data, 3, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(net, data, 6, optimizer, resume=first)
    calm = train(net, data, 0, optimizer)
    with pytest.warns(ntklin.NonMonotoneLossWarning, match="rose at step 1,"):
        train(net, data, 6, optimizer, resume=calm)


def test_a_watch_compares_across_blocks():
    yardstick = monotone.Yardstick(3.0, 0.0, np.float64)
    watch = monotone.RiseWarning(ntklin.GradientDescent(1.0), stacklevel=1)
    watch.begin([3.0], yardstick)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch(np.array([2.9, 2.0]))
        watch(np.array([1.5]))
    with pytest.warns(ntklin.NonMonotoneLossWarning, match=r"step 4, from 1\.5 to 1\.6 "):
        watch(np.array([1.6, 1.0]))


def test_first_rise():
    assert monotone.first_rise([3, 2, 2, 1], 3) is None
    assert monotone.first_rise([3, 2, 2.1, 3], 3) == 2
    assert monotone.first_rise([3, np.nan, 1], 3) == 1
    assert monotone.first_rise([3, np.inf], 3) == 1
    assert monotone.first_rise([3], 3) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [0.0, 1e-12, 1e-5, 1.0])
def test_rounding_is_what_rounded_outputs_can_do(dtype, loss):
    """An output off by its share of eps moves the squared loss just so far."""
    reference = 0.5  # outputs and targets of size 1
    delta = monotone.ROUNDINGS * float(np.finfo(dtype).eps)
    residual = np.sqrt(2 * loss)
    moved = (residual + delta) ** 2 / 2 - loss
    assert monotone.rounding(np.array([loss]), reference, dtype)[0] == pytest.approx(
        moved, rel=1e-6
    )


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_the_logistic_loss_is_no_steeper_than_its_rounding_says(y):
    """|ℓ'| ≤ √(2ℓ) and ℓ'' ≤ 1, on which `rounding` rests."""
    f = np.linspace(-30, 30, 6001)
    loss = np.logaddexp(0, f) - y * f
    p = 1 / (1 + np.exp(-f))
    assert (np.abs(p - y) <= np.sqrt(2 * loss) + 1e-15).all()
    assert (p * (1 - p) <= 1).all()
