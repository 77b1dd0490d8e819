"""The paper's figures: from configurations to records, and from records to pictures."""

import csv
import io
import json
import math
import multiprocessing
import os
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, fields, replace

import numba
import numpy as np
import pytest

import ntklin
from ntklin.edge.files.seal import sealed
from ntklin.validation import figures
from ntklin.validation.figures import FIGURES, Store
from ntklin.validation.figures.configuration import Run, digest
from ntklin.validation.figures.drawing import draw
from ntklin.validation.figures.estimate import LOGISTIC_STEPS, step_seconds, steps
from ntklin.validation.figures.execution import execute
from ntklin.validation.figures.executors import Here, OneThread, Processes, local
from ntklin.validation.figures.figure2_6 import power_guides
from ntklin.validation.figures.outcomes import End, Rate, Result, Results
from ntklin.validation.figures.output import caption, points, stem
from ntklin.validation.figures.panel import Panel, Series
from ntklin.validation.figures.planning import rated
from ntklin.validation.figures.scheduler import ATTEMPTS, WorkerDiedError, results_of

DATA = {"dataset": "mnist01", "digest": digest("mnist01", 8, 5), "n_pool": 8, "n_test": 5}
NETWORK = {"depth": 2, "width": 16, "sigma": 0.5, "seed": 0}
TRAINING = {"n_train": 8, "loss": "squared", "optimizer": "gd", "until": 0.05, "max_steps": 60}


def make(**values):
    return Run(**DATA | NETWORK | TRAINING | values)


def executed(task, device="cpu"):
    return execute((task,), device)[0]


def rate(value=0.01):
    return Rate(learning_rate=value, steps=3, n_trials=1, seconds=0.0)


def end(**values):
    losses = {"train_loss": 1e-6, "test_loss": 0.1, "test_error": 0.0}
    return End(**{"outcome": "converged", "steps": 7, "outputs": (0.0, 1.0)} | losses | values)


def left(network=None, **values):
    ends = {"network": network or end(), "linearized": end()}
    names = ("learning_rate", "interpolator_loss", "minimizer_loss", "interpolating_loss")
    others = {"monotone": True, "path_dependent": 0.0, "seconds": 0.0}
    return Result(**ends | dict.fromkeys(names, 0.1) | others | values)


def close(outputs):
    """Up to rounding: η comes from λ_max of a kernel that was computed in another order."""
    return pytest.approx(tuple(outputs), abs=1e-10)


def timeless(result):
    return replace(result, seconds=0.0)


# Configurations


def test_a_key_depends_on_every_field():
    run = make()
    others = {"digest": "0", "n_pool": 9, "n_train": 7, "n_test": 4, "depth": 3, "width": 8}
    others |= {"sigma": 1.0, "loss": "logistic", "optimizer": "adam", "seed": 1, "until": 0.1}
    others |= {"max_steps": 5, "learning_rate": 0.1, "split": 0.5, "shuffle": False}
    assert {"dataset", *others} == {field.name for field in fields(Run)}
    assert replace(run, dataset="elsewhere/mnist01.npz").key == run.key  # the digest tells
    keys = {replace(run, **{name: value}).key for name, value in others.items()}
    assert len(keys | {run.key}) == len(others) + 1
    assert make().key == run.key
    assert run.search.key != run.key


def test_smaller_training_sets_are_nested_and_share_the_test_points():
    X, Y, X_test, Y_test = make().arrays
    few = make(n_train=3).arrays
    np.testing.assert_array_equal(few[0], X[:3])
    np.testing.assert_array_equal(few[1], Y[:3])
    np.testing.assert_array_equal(few[2], X_test)
    np.testing.assert_array_equal(few[3], Y_test)


def test_other_data_under_the_same_name_are_refused():
    with pytest.raises(ValueError, match="not the data that the figure was begun with"):
        make(digest="0").arrays  # noqa: B018


def test_methods():
    assert make().method == "gd"
    assert make(split=0.5).method == "sgd"
    assert make(split=0.5, optimizer="adagrad").method == "adagrad"
    assert make(split=0.5, shuffle=False).batches == ntklin.Batches(0.5, shuffle=False)
    assert make().batches is None


# Runs


def test_a_run_is_what_the_library_says():
    run = make(until=0.02, max_steps=500)
    found = executed(run)
    X, Y, X_test, Y_test = run.arrays
    net = ntklin.MLP((784, 16, 1), sigma=0.5)
    theta = net.init(rng=0)
    trained = ntklin.train(net, theta, X, Y, until=0.02)
    lin = ntklin.linearize(net, theta, X)
    gd = lin.gradient_descent(Y)
    steps = gd.steps_to(0.02)
    assert found.network.outcome == "converged"
    assert found.network.steps == trained.steps
    assert found.network.outputs == close(trained.predict(X_test))
    assert found.network.train_loss == pytest.approx(trained.losses[-1])
    f = np.array(found.network.outputs)
    assert found.network.test_loss == pytest.approx(np.sum((f - Y_test) ** 2) / (2 * len(f)))
    assert found.network.test_error == np.mean((f > 0.5) != Y_test)
    assert found.linearized.steps == steps
    assert found.linearized.outputs == close(gd.predict(X_test, steps))
    assert found.linearized.train_loss == pytest.approx(gd.loss(steps))
    f_int = lin.minimizer(Y).interpolator(X_test)
    assert found.interpolator_loss == pytest.approx(np.mean((f_int - Y_test) ** 2) / 2)
    assert found.monotone is True
    assert found.path_dependent == 0


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    "task",
    [
        make(),
        make(depth=3, split=0.5),
        pytest.param(
            make(optimizer="adagrad", learning_rate=0.01, split=0.5, shuffle=False),
            marks=pytest.mark.compiled,
        ),
        pytest.param(
            make(optimizer="adam", learning_rate=0.01, loss="logistic"),
            marks=pytest.mark.compiled,
        ),
        make(learning_rate=1e6, split=0.5),
        make(optimizer="rmsprop").search,
    ],
    ids=["gd", "sgd", "adagrad", "logistic", "divergence", "search"],
)
def test_a_gpu_leaves_the_same_record(task):
    same(executed(task, "gpu"), executed(task, "cpu"))


def same(one, other):
    """Assert that records are equal up to rounding."""
    assert flat(asdict(one)) == {
        key: pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
        for key, value in flat(asdict(other)).items()
    }


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    "runs",
    [
        [make(seed=seed, split=0.5, max_steps=8) for seed in range(2)],
        [
            make(optimizer="adagrad", seed=k, learning_rate=r, max_steps=8)
            for k, r in enumerate((5e-3, 1e3, 0.5))
        ],
    ],
    ids=["sgd", "divergence"],
)
def test_runs_that_are_alike_leave_their_records_together(runs):
    assert len({run.alike for run in runs}) == 1
    records = execute(runs, "gpu")
    for one, run in zip(records, runs, strict=True):
        same(one, executed(run, "gpu"))
    assert len({one.network for one in records}) == len(runs)
    if runs[0].adaptive:  # falls, diverges, and rises but comes back
        found = [(one.monotone, one.network.outcome) for one in records]
        assert found == [(True, "step limit"), (False, "diverged"), (False, "converged")]


def test_alike_are_runs_that_differ_in_seed_and_rate():
    run = make(seed=3, learning_rate=0.5)
    assert run.alike == make().alike
    for other in ({"width": 8}, {"split": 0.5}, {"optimizer": "adam"}, {"n_train": 7}):
        assert make(**other).alike != run.alike
    search = make(optimizer="adam").search
    assert search.alike == search


def flat(values):
    """Nested values by their path, but for the time that it took."""
    found = {}
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, dict | tuple):
            found |= {(key, *path): inner for path, inner in flat(value).items()}
        elif key != "seconds":
            found[key,] = value
    return found


@pytest.mark.parametrize("optimizer", ["adagrad", "rmsprop", "adam"])
@pytest.mark.parametrize("split", [1.0, 0.5])
def test_an_adaptive_run_is_what_the_library_says(optimizer, split):
    run = make(optimizer=optimizer, split=split, learning_rate=0.005, max_steps=10)
    found = executed(run)
    X, Y, X_test, _ = run.arrays
    net = ntklin.MLP((784, 16, 1), sigma=0.5)
    theta = net.init(rng=0)
    rule = {"adagrad": ntklin.AdaGrad, "rmsprop": ntklin.RMSprop, "adam": ntklin.Adam}[optimizer]
    options = {"steps": 10, "until": 0.05, "batches": run.batches}
    trained = ntklin.train(net, theta, X, Y, rule(0.005), **options)
    linearized = ntklin.linearize(net, theta, X).train(Y, rule(0.005), **options)
    assert found.network.outputs == tuple(trained.predict(X_test))
    assert found.linearized.outputs == tuple(linearized.predict(X_test))
    path = linearized.path_dependent(X_test)
    assert found.path_dependent == pytest.approx(np.sqrt(np.mean(path**2)))
    assert found.path_dependent > 1e-6
    f, Y_test = linearized.interpolating(X_test), run.arrays[3]
    assert found.interpolating_loss == pytest.approx(np.mean((f - Y_test) ** 2) / 2)
    assert (found.monotone is None) == (split < 1)


def test_mini_batches_of_gradient_descent_have_no_path():
    options = {"until": 1e-3, "max_steps": 400}
    found, whole = executed(make(split=0.25, **options)), executed(make(**options))
    assert found.path_dependent < 1e-12
    assert found.network.outcome == whole.network.outcome == "converged"
    assert found.network.steps == pytest.approx(whole.network.steps, rel=0.1)


def test_the_logistic_loss():
    run = make(loss="logistic", until=0.3)
    found = executed(run)
    f, Y = np.array(found.network.outputs), run.arrays[3]
    expected = np.mean(np.log1p(np.exp(f)) - Y * f)
    assert found.network.test_loss == pytest.approx(expected)
    assert found.network.test_error == np.mean((f > 0) != Y)
    assert found.interpolator_loss is None
    assert found.minimizer_loss is None
    assert found.learning_rate == pytest.approx(4 * executed(make()).learning_rate)
    assert run.search.loss == "squared"


def test_runs_that_fail_say_how():
    short = executed(make(max_steps=2))
    assert short.network.outcome == "step limit"
    assert short.network.steps == 2
    wild = executed(make(optimizer="adagrad", learning_rate=1e3))
    assert wild.network.outcome == wild.linearized.outcome == "diverged"
    assert wild.network.outputs == ()
    assert wild.network.test_loss is None
    assert wild.monotone is False


def test_data_that_no_network_fits_end_nothing_else(tmp_path):
    images = np.tile(np.arange(1, 5, dtype=np.uint8), (20, 1))
    np.savez(tmp_path / "same.npz", images=images, labels=np.arange(20) % 2)
    source = str(tmp_path / "same.npz"), 8, 5
    run = make(dataset=source[0], digest=digest(*source), until=1e-6)
    found = executed(run)
    assert found.network.outcome == found.linearized.outcome == "step limit"
    assert steps(run) == run.max_steps
    adaptive = executed(replace(run, optimizer="adagrad", learning_rate=0.01))
    assert adaptive.linearized.outcome == "step limit"


def test_an_adaptive_run_needs_its_rate():
    with pytest.raises(ValueError, match="adam has no learning rate yet"):
        executed(make(optimizer="adam"))


def test_a_search_finds_a_rate_that_falls_and_hardly_a_larger_one():
    run = make(optimizer="adagrad", seed=3)
    assert run.search == make(optimizer="adagrad", split=0.5).search
    found = executed(run.search)
    first = replace(run, seed=0)
    good = executed(replace(first, learning_rate=found.learning_rate))
    assert good.monotone
    assert good.network.steps == found.steps
    beyond = executed(replace(first, learning_rate=1.25 * found.learning_rate))
    assert not beyond.monotone


# The store


def test_records_come_back_as_they_were(tmp_path):
    store, run = Store(tmp_path), make()
    tasks = {run: executed(run), run.search: rate(), make(seed=1): left(end(outputs=()))}
    for task, kept in tasks.items():
        assert store.read(task) is None
        lock = store.claim(task)
        store.write(task, kept)
        lock.release()
    assert [store.read(task) for task in tasks] == list(tasks.values())
    configuration = json.loads(store.path(run).read_text())["configuration"]
    assert configuration == asdict(run)
    assert not list(tmp_path.glob("*.tmp"))


def test_results_can_be_shared(tmp_path):
    store = Store(tmp_path / "new")
    store.write(make(), rate())
    (tmp_path / "plain").touch()
    assert store.path(make()).stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("text", ["", "{", "{}", '{"record": {"seconds": 1}}', "[]", "[" * 99_999])
def test_a_damaged_result_is_none(tmp_path, text):
    store = Store(tmp_path)
    store.path(make()).write_text(text)
    with pytest.warns(UserWarning, match=r"json .*; it does not count as computed"):
        assert store.read(make()) is None


def test_a_result_of_another_run_is_none(tmp_path, monkeypatch):
    store, run = Store(tmp_path), make()
    for other in (make(seed=1), run.search):
        store.write(other, left())
        store.path(other).rename(store.path(run))
        with pytest.warns(UserWarning, match="is of another run: its (configuration|kind) is not"):
            assert store.read(run) is None
    elsewhere = make(dataset="/elsewhere")  # the same data, by their digest
    store.write(run, left())
    assert store.read(elsewhere) == left()
    values = json.loads(store.path(run).read_text())
    for name in ("schema", "version"):
        changed = {k: v for k, v in values.items() if k != "digest"} | {name: 0}
        store.path(run).write_text(json.dumps(sealed(changed)))
        with pytest.warns(UserWarning, match=f"its {name} is not that of this one"):
            assert store.read(run) is None


def test_a_link_in_a_results_place_leads_to_what_stays(tmp_path):
    store, run, users = Store(tmp_path / "runs"), make(), tmp_path / "users"
    users.write_text("mine")
    store.folder.mkdir()
    store.path(run).symlink_to(users)
    with pytest.warns(UserWarning, match="does not count"):
        assert store.read(run) is None
    store.write(run, left())
    assert (store.read(run), users.read_text()) == (left(), "mine")


def test_a_failed_write_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(TypeError, match="serializable"):
        store.write(make(), rate(value=object()))
    assert not list(tmp_path.iterdir())


def test_a_task_is_claimed_once(tmp_path):
    lock = Store(tmp_path).claim(make())
    assert Store(tmp_path).claim(make()) is None
    assert Store(tmp_path).claim(make(seed=1)) is not None
    lock.release()
    assert Store(tmp_path).claim(make()) is not None


# The scheduler


def counted(calls):
    def function(tasks):
        calls.extend(tasks)
        time.sleep(0.01)
        return [rate(task.seed) for task in tasks]

    return function


def test_the_scheduler_computes_what_is_missing_once(tmp_path):
    tasks, calls = [make(seed=k) for k in range(6)], []
    store = Store(tmp_path)
    first = dict(results_of([*tasks[:2], tasks[0]], store, Here(), 1, counted(calls)))
    assert list(first) == calls == tasks[:2]
    found = dict(results_of(tasks, store, Here(), 1, counted(calls)))
    assert found == {task: rate(task.seed) for task in tasks}
    assert calls == tasks


def test_two_schedulers_share_a_folder(tmp_path):
    tasks, calls = [make(seed=k) for k in range(20)], []

    def whole(order):
        return dict(results_of(order, Store(tmp_path), Here(), 1, counted(calls)))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(whole, (tasks, tasks)))
    assert found[0] == found[1] == {task: rate(task.seed) for task in tasks}
    assert sorted(calls, key=lambda task: task.seed) == tasks


@pytest.mark.parametrize("slots", [1, 4])
def test_an_error_keeps_what_is_finished(tmp_path, slots):
    tasks = [make(seed=k) for k in range(9)]

    def function(group):
        (task,) = group
        if task.seed == 1:
            raise OSError("no such run")
        time.sleep(0.05 * task.seed)
        return [rate(task.seed)]

    store = Store(tmp_path)
    with ThreadPoolExecutor(slots) as pool, pytest.raises(OSError, match="no such run"):
        list(results_of(tasks, store, pool, slots, function))
    kept = {k for k in range(9) if store.read(tasks[k]) is not None}
    started = set(range(slots)) | {0}
    assert started - {1} <= kept <= set(range(slots + 1)) - {1}
    assert store.claim(tasks[1]) is not None


def test_whoever_stops_listening_keeps_what_is_finished(tmp_path):
    tasks, store = [make(seed=k) for k in range(4)], Store(tmp_path)
    found = results_of(tasks, store, Here(), 4, counted([]))
    next(found)
    found.close()
    assert all(store.read(task) for task in tasks)


def test_tasks_that_are_alike_are_computed_together(tmp_path):
    """Those that are missing and free: each task once, and every one with a file of its own."""
    store, calls = Store(tmp_path), []
    tasks = [*(make(seed=k) for k in range(5)), make(depth=3), make(width=8), make(width=8, seed=1)]
    store.write(tasks[1], rate(1))
    lock = store.claim(tasks[2])

    def function(group):
        lock.release()
        calls.append(group)
        return [rate(task.seed) for task in group]

    found = list(results_of(tasks, store, Here(), 1, function, together=True))
    assert len(found) == len(tasks)
    assert dict(found) == {task: rate(task.seed) for task in tasks}
    assert calls == [(tasks[0], *tasks[3:5]), (tasks[2],), (tasks[5],), (tasks[6], tasks[7])]
    assert all(store.read(task) == rate(task.seed) for task in tasks)
    assert all(store.claim(task) is not None for task in tasks)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_tasks_that_fail_together_are_free_again(tmp_path, error):
    tasks, store = [make(seed=k) for k in range(3)], Store(tmp_path)

    def function(group):
        raise error("no such card")

    with pytest.raises(error, match="no such card"):
        list(results_of(tasks, store, Here(), 1, function, together=True))
    assert all(store.claim(task) is not None for task in tasks)


def test_tasks_that_lost_a_worker_together_run_alone(tmp_path):
    tasks, calls, store = [make(seed=k) for k in range(4)], [], Store(tmp_path)
    lock = store.claim(tasks[3])  # which then is free, and waits

    def function(group):
        lock.release()
        calls.append(group)
        if len(group) > 1:
            raise BrokenProcessPool("killed")
        return [rate(task.seed) for task in group]

    found = dict(results_of(tasks, store, Here(), 1, function, together=True))
    assert found == {task: rate(task.seed) for task in tasks}
    assert calls == [tuple(tasks[:3]), *((task,) for task in tasks)]


class Pool(Executor):
    """Breaks with all that runs in it when a deadly task is one of them, like a process pool."""

    def __init__(self, deadly, deaths):
        self.deadly, self.deaths, self.waiting, self.log = deadly, deaths, [], []

    def submit(self, function, tasks):
        future = Future()
        self.waiting.append((future, function, tasks))
        self.log += [task.seed for task in tasks]
        threading.Timer(0.05, self.run).start()
        return future

    def run(self):
        batch, self.waiting = self.waiting, []
        breaks = self.deaths and any(self.deadly in tasks for _, _, tasks in batch)
        self.deaths -= bool(breaks)
        for future, function, tasks in batch:
            if breaks:
                future.set_exception(BrokenProcessPool("killed"))
            else:
                future.set_result(function(tasks))


def test_a_dead_worker_is_replaced_and_the_culprit_found(tmp_path):
    tasks = [make(seed=k) for k in range(4)]
    pool = Pool(tasks[1], deaths=2)
    found = dict(results_of(tasks, Store(tmp_path / "a"), pool, 2, counted([])))
    assert found == {task: rate(task.seed) for task in tasks}
    assert sorted(pool.log) == [0, 0, 1, 1, 1, 2, 3]
    assert sorted(pool.log[:5]) == [0, 0, 1, 1, 1]  # suspects first
    store = Store(tmp_path / "b")
    with pytest.raises(WorkerDiedError, match=r"seed=1,.*killed; .*use fewer processes"):
        list(results_of(tasks, store, Pool(tasks[1], 1 + ATTEMPTS), 2, counted([])))


def test_a_pool_that_stays_broken_is_told(tmp_path):
    class Broken(Executor):
        def submit(self, function, task):
            raise BrokenProcessPool("a child process terminated abruptly")

    store = Store(tmp_path)
    with pytest.raises(WorkerDiedError, match="terminated abruptly"):
        list(results_of([make()], store, Broken(), 1))
    assert store.claim(make()) is not None


def die_once(path):
    """Ends its process the first time."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return "alive"
    os._exit(1)


def test_processes_are_renewed(tmp_path):
    with Processes(1, 1) as executor:
        with pytest.raises(BrokenProcessPool, match="terminated abruptly"):
            executor.submit(die_once, tmp_path / "once").result()
        assert executor.submit(die_once, tmp_path / "once").result() == "alive"


def test_a_worker_has_the_threads_that_were_asked_for():
    before = numba.get_num_threads()
    with local(1, 1) as (here, _):
        assert here.submit(numba.get_num_threads).result() == 1
    assert numba.get_num_threads() == before
    with local(2, 1) as (processes, _):
        assert processes.submit(numba.get_num_threads).result() == 1
    with ThreadPoolExecutor(1) as pool:  # as in a Dask worker, whose tasks run in another thread
        assert OneThread(pool).submit(numba.get_num_threads).result() == 1


def test_only_its_own_processes_are_killed():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    processes = Processes(1, 1)
    assert processes.submit(abs, -1).result() == 1
    stuck = processes.submit(time.sleep, 60)
    processes.kill()
    with pytest.raises(BrokenProcessPool, match="terminated abruptly"):
        stuck.result(timeout=30)
    processes.shutdown()
    assert other.is_alive()
    other.terminate()


def test_the_same_record_here_and_in_another_process(tmp_path):
    run = make(optimizer="adam", learning_rate=0.01, split=0.5, max_steps=5)
    with local(1, 1) as (here, slots):
        assert slots == 1
        mine = here.submit(execute, (run,)).result()[0]
    with local(2, 1) as (processes, slots):
        assert slots == 2
        theirs = processes.submit(execute, (run,)).result()[0]
    assert timeless(theirs) == timeless(mine)


# Panels and pictures


def test_statistics_of_a_series():
    series = Series(name="GD", x=(1, 2), draws=((1.0, 3.0), (5.0,)), look="gd")
    np.testing.assert_array_equal(series.mean, [2, 5])
    np.testing.assert_allclose(series.std, [math.sqrt(2), np.nan])
    np.testing.assert_allclose(series.sem, [1, np.nan])
    np.testing.assert_array_equal(series.half, series.std)
    np.testing.assert_array_equal(replace(series, error="sem").half, series.sem)
    assert replace(series, kind="linearized").label == "GD, linearized"


def test_series_are_chosen_from_results():
    items = tuple(
        (make(seed=seed, width=width), left(end(steps=10 * width + seed)))
        for width in (4, 8)
        for seed in (0, 1)
    )
    results = Results(items)
    assert results.values("width") == [4, 8]
    series = results.series("s", "width", lambda run, found: found.network.steps, "gd")
    assert series.x == (4, 8)
    assert series.draws == ((40, 41), (80, 81))
    one = results.where(seed=1, width=8).series("s", "width", lambda run, found: None, "gd")
    assert one.x == ()


def test_the_fitted_exponent_is_that_of_the_last_points():
    x = (0.5, 1.0, 2.0, 4.0)
    series = Series(name="", x=x, draws=tuple((max(v, 1.0) ** 4,) for v in x), look="gd")
    [guide] = power_guides(series, depth=2)
    assert "fitted: 4.00" in guide.label
    np.testing.assert_allclose(np.diff(np.log(guide.y)) / np.diff(np.log(guide.x)), 4)
    assert power_guides(replace(series, x=x[:1], draws=series.draws[:1]), 2) == ()


def test_deviations_are_paired_by_initialization():
    runs = {
        make(seed=0): (0.0, 0.0),
        make(seed=1): (1.0, 1.0),
        make(seed=0, split=0.5): (3.0, 4.0),
        make(seed=1, split=0.5): (1.0, 2.0),
        make(seed=2): (0.0, 0.0),
    }
    items = [(run, left(end(outputs=outputs))) for run, outputs in runs.items()]
    items.append((make(seed=2, split=0.5), left(end(outcome="diverged", outputs=()))))
    [[panel]] = FIGURES[9].panels(Results(tuple(items)), FIGURES[9].scales["quick"])
    assert panel.series[0].draws == ((5.0, 1.0),)


def test_points_hold_every_curve():
    series = Series(name="GD", x=(1.0, 2.0), draws=((1.0, 3.0), (5.0,)), look="gd")
    panel = Panel(title="t", x_label="x", y_label="y", series=(series,))
    rows = list(csv.DictReader(io.StringIO(points([[panel]]))))
    assert [(row["x"], row["mean"], row["n"]) for row in rows] == [
        ("1.0", "2.0", "2"),
        ("2.0", "5.0", "1"),
    ]
    assert float(rows[0]["std"]) == math.sqrt(2)
    assert rows[1]["std"] == "nan"


def test_a_picture_labels_its_axes_and_explains_its_curves():
    curves = (
        Series(name="GD", x=(1, 2), draws=((1, 2), (3, 4)), look="gd"),
        Series(name="GD", x=(1, 2), draws=((1, 2), (3, 4)), look="gd", kind="linearized"),
        Series(name="none", x=(), draws=(), look="adam"),
    )
    panel = Panel(title="t", x_label="width $m$", y_label="test loss", series=curves)
    picture = draw([[panel, panel], [panel]], "A caption of θ_0.")
    shown = [axes for axes in picture.axes if axes.axison]
    assert [axes.get_xlabel() for axes in shown] == ["width $m$"] * 3
    [legend] = picture.legends
    assert [text.get_text() for text in legend.get_texts()] == ["GD", "GD, linearized"]
    assert picture.get_supxlabel() == r"A caption of $\theta_0$."


# The ten


def test_there_are_ten_and_two():
    assert list(FIGURES) == [*range(1, 11), "decay", "moments"]
    data = {number: figure.dataset for number, figure in FIGURES.items()}
    assert {n for n, name in data.items() if name == "fashion01"} == {6, 7, 8}
    assert FIGURES[10].scales["paper"]["loss"] == "logistic"
    assert FIGURES[10].scales["paper"]["until"] == 1e-5


def test_figures_share_runs():
    widths = {n: set(figures.plan(FIGURES[n], "standard").runs) for n in (3, 5, 9)}
    assert widths[3] < widths[5] == widths[9]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of all quick figures: they share runs."""
    return tmp_path_factory.mktemp("figures")


@pytest.mark.parametrize("name", FIGURES)
def test_a_quick_figure(name, folder):
    if numba.config.DISABLE_JIT:
        pytest.skip("trains dozens of networks: minutes without compiled kernels")
    planned, store = figures.plan(FIGURES[name], "quick"), Store(folder / "runs")
    with local(1, 1) as (executor, slots):
        done = list(figures.compute(planned, store, executor, slots))
    assert len(done) == planned.n_tasks
    results = figures.results(planned, store)
    if FIGURES[name].task is Run:
        assert all(found.network.outcome == "converged" for _, found in results.items)
        assert all(found.linearized.outcome == "converged" for _, found in results.items)
    paths = figures.write(planned, results, folder, {"command": "c"})
    assert [path.suffix for path in paths] == [".png", ".pdf", ".csv", ".json"]
    assert all(path.stat().st_size > 1000 for path in paths)
    again = [path.read_bytes() for path in paths]
    figures.write(planned, results, folder, {"command": "c"})
    assert [path.read_bytes() for path in paths[1:]] == again[1:]
    payload = json.loads(paths[3].read_text())
    assert payload["figure"] == name
    assert len(payload["runs"]) == len(planned.runs)
    rows = list(csv.DictReader(io.StringIO(paths[2].read_text())))
    if FIGURES[name].task is Run:
        assert {int(row["n"]) for row in rows} == {planned.scale["n_seeds"]}
    assert all(math.isfinite(float(row["mean"])) for row in rows)


def test_a_figure_of_missing_runs_is_refused(tmp_path):
    planned = figures.plan(FIGURES[2], "quick")
    with pytest.raises(figures.IncompleteError, match=r"12 of 12 runs .* without --replot"):
        figures.results(planned, Store(tmp_path))


def test_an_estimate_counts_what_is_missing(tmp_path):
    planned = figures.plan(FIGURES[3], "quick")
    small = replace(planned, runs=tuple(r for r in planned.runs if r.width == 32))
    store = Store(tmp_path)
    whole = figures.estimate([small], store)
    assert whole > 0
    assert figures.estimate([small, small], store) == whole
    assert whole / 2 <= figures.estimate([small], store, slots=2) < whole
    slowest = figures.estimate([small], store, slots=1000)
    assert 0 < slowest < whole  # a run cannot be shared
    for task in small.searches:
        store.write(task, rate())
    assert 0 < figures.estimate([small], store) < whole
    for run in small.runs:
        store.write(rated(run, dict.fromkeys(small.searches, rate().learning_rate)), left())
    assert figures.estimate([small], store) == 0


@pytest.mark.parametrize("optimizer", ["gd", "adagrad"])
def test_steps_are_timed_without_what_comes_before_them(optimizer):
    assert 1e-6 < step_seconds(make(n_train=4, optimizer=optimizer)) < 1


def test_steps_of_an_estimate():
    long = make(until=1e-3, max_steps=1000)
    # A narrower network's own training takes about as many.
    assert steps(long) == pytest.approx(executed(long).network.steps, rel=0.3)
    assert steps(make(loss="logistic", until=1e-2, max_steps=10**6)) == LOGISTIC_STEPS / 1e-2
    assert steps(make(until=1e-3, max_steps=3)) == 3


# Beyond the paper

compiled_only = pytest.mark.compiled("trains many networks: minutes without compiled kernels")


@compiled_only
@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
def test_fading_is_what_the_library_says():
    planned = figures.plan(FIGURES["decay"], "quick")
    task = replace(planned.runs[-1], levels=(0.9, 0.6), decay=0.02)
    found = executed(task)
    X, Y, X_test, Y_test = task.arrays
    net, theta = task.network
    lin = ntklin.linearize(net, theta, X)
    w = 0.02 * lin.eigenvalues[0] / len(X)
    gd = lin.gradient_descent(Y, weight_decay=w)
    rate = gd.learning_rate
    assert found.remaining == pytest.approx([(1 - rate * w) ** t for t in found.steps])
    assert all(
        c <= level < c / (1 - rate * w)
        for c, level in zip(found.remaining, task.levels, strict=True)
    )
    m = lin.minimizer(Y)
    f_int, f_init = m.interpolator(X_test), m.initialization(X_test)
    for k, t in enumerate(found.steps):
        rule = ntklin.GradientDescent(rate, weight_decay=w)
        real = ntklin.train(net, theta, X, Y, rule, steps=t)
        assert found.train_losses[k] == pytest.approx(real.losses[-1])
        for f, share, loss in (
            (real.predict(X_test), found.shares[k], found.losses[k]),
            (gd.predict(X_test, t), found.linearized_shares[k], found.linearized_losses[k]),
        ):
            assert loss == pytest.approx(np.mean((f - Y_test) ** 2) / 2)
            left = f - f_int - share * f_init
            assert abs(left @ f_init) < 1e-10 * (f_init @ f_init)
    assert found.interpolator_loss == pytest.approx(np.mean((f_int - Y_test) ** 2) / 2)
    assert found.minimizer_loss == pytest.approx(np.mean((f_int + f_init - Y_test) ** 2) / 2)
    # Of the two laws, each network keeps to its own.
    far, L = 1 - found.remaining[-1], task.depth
    assert found.linearized_shares[-1] == pytest.approx(1 - L * far, abs=0.02)
    assert found.shares[-1] > 0


@compiled_only
def test_scattering_is_what_the_library_says():
    planned = figures.plan(FIGURES["moments"], "quick")
    task = replace(planned.runs[1], n_runs=40, steps=(2, 5))
    found = executed(task)
    X, Y, X_test, _ = task.arrays
    net, theta = task.network
    lin = ntklin.linearize(net, theta, X)
    rate = 0.8 * len(X) / lin.eigenvalues[-1]
    assert found.learning_rate == pytest.approx(rate)
    assert found.descents_rate == pytest.approx(2 * rate / 0.8)
    moments = lin.moments(Y, rate, task.batch_size)
    assert found.stable_rate == pytest.approx(moments.max_learning_rate)
    assert found.expected_losses == pytest.approx([moments.loss(t) for t in (2, 5)])
    spread = [moments.covariance(X_test, t).diagonal().mean() ** 0.5 for t in (2, 5)]
    assert found.expected_deviations == pytest.approx(spread)
    losses = np.array(found.losses)
    assert losses.shape == (2, 40)
    assert np.array(found.deviations).shape == (2, 2)
    error = losses.std(axis=1) / np.sqrt(40)
    assert np.all(abs(losses.mean(axis=1) - found.expected_losses) < 5 * error)
    np.testing.assert_allclose(np.mean(found.deviations, axis=1), spread, rtol=0.4)


@compiled_only
def test_measurements_come_back_as_they_were(tmp_path):
    store = Store(tmp_path)
    for name in ("decay", "moments"):
        task = figures.plan(FIGURES[name], "quick").runs[0]
        task = replace(task, **{"levels": (0.9,)} if name == "decay" else {"n_runs": 2})
        found = executed(task)
        store.write(task, found)
        assert store.read(task) == found
        other = replace(task, seed=1)
        assert store.read(other) is None


@compiled_only
@pytest.mark.parametrize("name", ["decay", "moments"])
def test_measurements_are_estimated(name, tmp_path):
    planned = figures.plan(FIGURES[name], "quick")
    small = replace(planned, runs=planned.runs[-1:])
    assert 0 < figures.estimate([small], Store(tmp_path)) < 600


# Captions


def test_a_caption_tells_the_configuration_and_what_went_wrong():
    planned = figures.plan(FIGURES[9], "quick")
    items = [
        (make(), left()),
        (make(seed=1), left(end(outcome="step limit"), monotone=False)),
        (make(split=0.1), left(monotone=None)),
        (make(optimizer="adam"), left(linearized=end(outcome="diverged", outputs=()))),
    ]
    results = Results(tuple(items))
    text = caption(planned, results, [])
    for part in (
        "Figure 9. Deviation from gradient descent",
        "mnist01, N = 8 training and 5 test points; L = 2, m = 16, σ = 0.5, biases trained from 0",
        "first drops below 0.05.",
        "SGD has mini-batches of 0.1 N, shuffled.",
        "Adam: the largest learning rate",
        "1 of 4 networks did not get there",
        "1 of 4 linearized networks did not get there",
        "In 1 of 3 runs on all samples the loss rose",
    ):
        assert part in text
    assert "AdaGrad" not in text
    wide = Series(name="GD", x=(1, 2), draws=((1.0, 9.0), (1.0, 2.0)), look="gd")
    panel = Panel(title="t", x_label="x", y_label="y", series=(wide,))
    assert "are cut." in caption(planned, results, [[panel]])
    sem = replace(panel, series=(replace(wide, error="sem"),))
    assert "standard errors" in caption(planned, results, [[sem]])


def test_other_data_of_the_same_name_have_other_files(tmp_path):
    for folder, seed in (("a", 0), ("b", 1)):
        rng = np.random.default_rng(seed)
        (tmp_path / folder).mkdir()
        np.savez(
            tmp_path / folder / "data.npz",
            images=rng.integers(1, 255, (100, 4), dtype=np.uint8),
            labels=np.arange(100) % 2,
        )
    plans = [figures.plan(FIGURES[2], "quick", str(tmp_path / f / "data.npz")) for f in "ab"]
    first, second = map(stem, plans)
    assert first.startswith("figure02-data-")
    assert first != second
