"""Runs that stop and go on: the same bits as one run, and files that are what they claim to be."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import tasks
from networks import make_case

import ntklin
from ntklin.edge.files.seal import sealed
from ntklin.networks.descriptions import describe_network, network_from
from ntklin.runs import checkpoint
from ntklin.training.descents import ENGINES

pytestmark = pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")

FIRST, WHOLE = 7, 16
RATE = ntklin.GradientDescent(0.05)
OPTIMIZERS = {
    "descent": ntklin.GradientDescent(0.05),
    "default": None,
    "momentum": ntklin.Momentum(0.02, 0.8),
    "nesterov": ntklin.Momentum(0.02, 0.8, nesterov=True),
    "adagrad": ntklin.AdaGrad(0.02),
    "rmsprop": ntklin.RMSprop(0.01),
    "adam": ntklin.Adam(0.01),
    "diagonal": ntklin.Preconditioned(0.02, lambda t, g: 1 / (np.abs(g) + 0.1 * (1 + t))),
    "matrix": ntklin.Preconditioned(0.02, lambda t, g: np.eye(len(g)) / (1 + t)),
}
BATCHES = {
    "full": lambda: None,
    "shuffled": lambda: ntklin.Batches(size=2, rng=1),
    "listed": lambda: [[t % 5, (2 * t + 1) % 5] for t in range(WHOLE)],
    "generated": lambda: ([t % 5] for t in range(WHOLE)),
}
NETWORKS = {
    "shallow": ntklin.MLP((3, 70, 1)),
    "deep": ntklin.MLP((3, 33, 5, 1), sigma=1.1, scaling="fan_in", sigma_b=0.3, bias="normal"),
    "linear": ntklin.MLP((3, 1), bias="none"),
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((3, 9, 1))),
    "doubled": ntklin.DoubledNetwork(ntklin.MLP((3, 9, 1))),
}


def problem(net, dtype=np.float64):
    rng = np.random.default_rng(0)
    return (
        net.init(1, dtype),
        rng.standard_normal((5, 3)).astype(dtype),
        rng.random(5).astype(dtype),
    )


@pytest.mark.parametrize("method", ["direct", "fused"])
def test_no_array_is_in_a_file_twice(method, tmp_path):
    net = NETWORKS["shallow"]
    ntklin.train(net, *problem(net), RATE, 5, method=method).save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        large = [file[name].ravel() for name in file.files if file[name].size >= net.n_parameters]
    assert large
    for k, a in enumerate(large):
        assert not any(np.array_equal(a, b) for b in large[:k])


def train(net, data, optimizer, steps, **options):
    """With records at every third step and at two more, and outputs on the first two inputs."""
    recording = {"record": [0, 3, 6, 7, 12, 15, 16], "X_record": data[1][:2]}
    return ntklin.train(net, *data, optimizer, steps, **recording | options)


def assert_same(one, two):
    """Every bit of two runs."""
    for name in ("parameters", "losses"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert getattr(one, name).dtype == getattr(two, name).dtype
    for name in ("steps", "losses", "distances", "initial_norm", "outputs", "inputs"):
        np.testing.assert_array_equal(getattr(one.records, name), getattr(two.records, name))
    for a, b in zip(one.records.snapshots or (), two.records.snapshots or (), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("steps", "converged", "method", "loss", "identity"):
        assert getattr(one, name) == getattr(two, name)
    assert one.arrays.keys() == two.arrays.keys()
    for name, a in one.arrays.items():
        np.testing.assert_array_equal(a, two.arrays[name])


def _combinations():
    for network, net in NETWORKS.items():
        for rule, optimizer in OPTIMIZERS.items():
            for method, engine in ENGINES.items():
                if tasks.serves(engine, net, optimizer or ntklin.GradientDescent()):
                    yield network, rule, method


COMBINATIONS = list(_combinations())


@pytest.mark.parametrize(("network", "rule", "method"), COMBINATIONS)
def test_a_run_that_goes_on_is_one_run(network, rule, method, tmp_path):
    net, optimizer = NETWORKS[network], OPTIMIZERS[rule]
    # All of these in turn, not each with each.
    turn = COMBINATIONS.index((network, rule, method))
    batches = list(BATCHES.values())[turn % 4]
    options = {"method": method, "loss": ("squared", "logistic")[turn % 3 == 0]}
    data = problem(net, (np.float64, np.float32)[turn % 5 == 0])
    whole = train(net, data, optimizer, WHOLE, batches=batches(), **options)
    first = train(net, data, optimizer, FIRST, batches=batches(), **options)
    before = {name: a.copy() for name, a in first.arrays.items()}
    first.save(tmp_path / "run")
    for past in (tmp_path / "run", first):
        again = train(*(net, data, optimizer, WHOLE), batches=batches(), **options, resume=past)
        assert_same(again, whole)
    for name, a in before.items():  # what goes on leaves the past alone
        np.testing.assert_array_equal(first.arrays[name], a)


@pytest.mark.parametrize("method", ENGINES)
def test_an_engine_is_where_its_arrays_were_taken(method):
    net, (theta, X, Y) = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    optimizer = ntklin.GradientDescent(0.05) if method == "reduced" else ntklin.Adam(0.01)
    engine, other = (tasks.descent(method, net, theta, X, Y, optimizer) for _ in range(2))
    losses = engine.advance(np.full((4, 5), 0.2), 0.0, np.inf)
    other.restore(engine.arrays())
    assert engine.loss() == other.loss() == losses[-1]
    assert engine.optimizer_state() == other.optimizer_state()
    assert other.optimizer_state().count == 4
    np.testing.assert_array_equal(other.parameters(), engine.parameters())
    assert other.dtype == np.float64


@pytest.mark.parametrize("rule", ["descent", "adam", "diagonal"])
def test_in_many_pieces(rule, tmp_path):
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    batches = ntklin.Batches(size=2, rng=1)
    whole = train(net, data, OPTIMIZERS[rule], WHOLE, batches=batches)
    path = None
    for steps in (0, 1, 2, 6, 7, 7, WHOLE):
        run = train(net, data, OPTIMIZERS[rule], steps, batches=batches, resume=path)
        path = tmp_path / "run.npz"
        run.save(path)
    assert_same(run, whole)
    assert os.listdir(tmp_path) == ["run.npz"]


def test_what_the_caller_leaves_open_is_as_before(tmp_path):
    """The optimizer, its default learning rate, and the engine."""
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    first = train(net, data, None, FIRST, method="direct")
    first.save(tmp_path / "run")
    whole = train(net, data, None, WHOLE, method="direct")
    for optimizer in (None, ntklin.GradientDescent(), first.optimizer):
        assert_same(train(net, data, optimizer, WHOLE, resume=tmp_path / "run"), whole)


def test_the_horizon_counts_from_the_start():
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    first = train(net, data, None, FIRST)
    assert train(net, data, None, FIRST, resume=first).steps == FIRST
    assert train(net, data, None, 3, resume=first).steps == FIRST
    target = float(train(net, data, None, WHOLE).losses[12]) * (1 + 1e-12)
    run = train(net, data, None, None, until=target, resume=first)
    assert (run.steps, run.converged) == (12, True)
    assert first.converged is False
    assert train(net, data, None, None, until=target, resume=run).steps == 12


@pytest.mark.parametrize("rule", ["descent", "adam"])
def test_an_interrupted_run_goes_on(rule, tmp_path):
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])

    def batches(interrupt):
        for t in range(200):
            if t == 50 and interrupt:
                signal.raise_signal(signal.SIGINT)
            yield [t % 5, t % 3]

    def run(interrupt=False, **options):
        return ntklin.train(
            *(net, *data, OPTIMIZERS[rule], 200),
            batches=batches(interrupt),
            record=10,
            X_record=data[1],
            **options,
        )

    with pytest.raises(ntklin.TrainingInterrupted, match="interrupted after") as caught:
        run(interrupt=True)
    assert 50 <= caught.value.run.steps < 200
    caught.value.run.save(tmp_path / "run")
    assert_same(run(resume=tmp_path / "run"), run())


# Records that go on


def test_records_may_end_or_begin_later():
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    first = train(net, data, None, FIRST)
    ended = train(net, data, None, WHOLE, resume=first, record=None, X_record=None)
    np.testing.assert_array_equal(ended.records.steps, [0, 3, 6, 7])
    np.testing.assert_array_equal(ended.records.outputs, first.records.outputs)
    other = train(net, data, None, WHOLE, resume=first, record=[2, 9])
    np.testing.assert_array_equal(other.records.steps, [0, 3, 6, 7, 9])
    bare = train(net, data, None, FIRST, record=None, X_record=None)
    assert len(bare.records.steps) == 0
    later = train(net, data, None, WHOLE, resume=bare, record=7)
    np.testing.assert_array_equal(later.records.steps, [7, 14])
    np.testing.assert_array_equal(later.snapshot(7), first.parameters)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"X_record": np.ones((2, 3))}, "resume continues records of another X_record"),
        ({"X_record": None}, "resume continues records of another X_record"),
        ({"snapshots": False}, "resume continues records with snapshots=True, not False"),
    ],
)
def test_records_go_on_as_they_began(change, match):
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    first = train(net, data, None, FIRST)
    with pytest.raises(ValueError, match=match):
        train(net, data, None, WHOLE, resume=first, **change)
    bare = train(net, data, None, FIRST, X_record=None)
    with pytest.raises(ValueError, match="resume continues records of no X_record"):
        train(net, data, None, WHOLE, resume=bare)


# Another run than the saved one


DIFFERENT = {
    "network": (
        {"net": ntklin.MLP((3, 70, 1), sigma=0.5)},
        r"network was MLP\(.*sigma=1\.0.*\), not MLP\(.*sigma=0\.5",
    ),
    "kind of network": (
        {"net": ntklin.MLP((3, 70, 1), bias="none")},
        r"network was .*bias=zero.*bias=none.*; theta holds other values",
    ),
    "learning rate": (
        {"optimizer": ntklin.Adam(0.02)},
        r"optimizer was Adam\(learning_rate=0\.01,.*\), not Adam\(learning_rate=0\.02",
    ),
    "optimizer": (
        {"optimizer": ntklin.RMSprop(0.01)},
        r"optimizer was Adam\(.*\), not RMSprop\(learning_rate=0\.01, alpha=0\.99",
    ),
    "method": ({"method": "direct"}, "method was fused, not direct"),
    "loss": ({"loss": "logistic"}, "loss was squared, not logistic"),
    "no batches": ({"batches": None}, r"batches was Batches\(.*size=2.*\), not the full batch"),
    "listed": ({"batches": [[0]]}, r"batches was Batches\(.*\), not an iterable"),
    "seed": (
        {"batches": ntklin.Batches(size=2, rng=2)},
        r"batches was .*rng=1\), not Batches\(.*rng=2\)",
    ),
    "theta": (
        {"theta": lambda a: a + 1e-16 * (np.arange(len(a)) == 280)},
        "theta holds other values$",
    ),
    "X": (
        {"X": lambda a: np.nextafter(a, 9)},
        "X holds other values$",
    ),
    "Y": ({"Y": lambda a: np.sort(a)}, "Y holds other values$"),
    "dtype": (
        {name: lambda a: a.astype(np.float32) for name in ("theta", "X", "Y")},
        "dtype was float64, not float32$",
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("saved", [False, True])
def test_another_run_is_refused_and_what_differs_named(name, saved, tmp_path):
    net = NETWORKS["shallow"]
    theta, X, Y = problem(net)
    base = {
        **{"net": net, "theta": theta, "X": X, "Y": Y, "optimizer": ntklin.Adam(0.01)},
        **{"steps": 3, "batches": ntklin.Batches(size=2, rng=1)},
    }
    run = ntklin.train(**base)
    change, match = DIFFERENT[name]
    change = {k: v(base[k]) if k in ("theta", "X", "Y") else v for k, v in change.items()}
    if name == "kind of network":
        change["theta"] = change["net"].init(1)
    if saved:
        run.save(tmp_path / "run")
    with pytest.raises(ValueError, match=f"resume: the saved run is another one; {match}"):
        ntklin.train(**base | change, resume=tmp_path / "run" if saved else run)


def test_only_batches_are_called_full(tmp_path):
    """None means something else in each other place."""
    net = NETWORKS["shallow"]
    theta, X, Y = problem(net)
    run = ntklin.train(net, theta, X, Y, ntklin.Adam(0.01), steps=2)
    other = ntklin.MLP(net.widths, sigma=0.5)
    with pytest.raises(ValueError, match="network was MLP") as caught:
        ntklin.train(other, theta, X, Y, ntklin.Adam(0.01), steps=3, resume=run)
    assert "sigma_b=None" in str(caught.value)
    assert "full batch" not in str(caught.value)
    with pytest.raises(ValueError, match=r"batches was the full batch, not Batches\(.*size=None"):
        ntklin.train(
            *(net, theta, X, Y, ntklin.Adam(0.01)),
            **{"steps": 3, "batches": ntklin.Batches(0.5), "resume": run},
        )


def test_what_is_no_path_is_refused_by_its_name(tmp_path):
    net = NETWORKS["shallow"]
    theta, X, Y = problem(net)
    run = ntklin.train(net, theta, X, Y, steps=2)
    path = os.fsencode(tmp_path / "run\udcff")
    run.save(path)
    assert_same(ntklin.load_run(path), run)
    ntklin.train(net, theta, X, Y, steps=3, resume=path)
    linearized = ntklin.linearize(net, theta, X).train(Y, steps=2)
    message = "resume must be a TrainingRun or the path of a saved one, got"
    with open(path, "rb") as f:
        for resume in (f, f.fileno(), True, 0, linearized):
            with pytest.raises(TypeError, match=message):
                ntklin.train(net, theta, X, Y, steps=3, resume=resume)
        for value in (f, f.fileno(), True):
            with pytest.raises(TypeError, match="path must be a path, got"):
                ntklin.load_run(value)
            with pytest.raises(TypeError, match="path must be a path, got"):
                run.save(value)


def test_functions_must_be_passed_again(tmp_path):
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    first = train(net, data, OPTIMIZERS["diagonal"], FIRST)
    first.save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"optimizer must be passed again: .* a Preconditioned"):
        train(net, data, None, WHOLE, resume=tmp_path / "run")
    with pytest.raises(ValueError, match=r"optimizer must be passed: .* a Preconditioned"):
        ntklin.load_run(tmp_path / "run")
    loaded = ntklin.load_run(tmp_path / "run", optimizer=OPTIMIZERS["diagonal"])
    assert loaded.optimizer is OPTIMIZERS["diagonal"]
    assert_same(loaded, first)
    whole = train(net, data, OPTIMIZERS["diagonal"], WHOLE)
    assert_same(train(net, data, None, WHOLE, resume=loaded), whole)


# Loading


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("rule", ["descent", "nesterov", "adagrad", "rmsprop", "adam"])
def test_a_loaded_run_is_the_saved_one(network, rule, tmp_path):
    net, data = NETWORKS[network], problem(NETWORKS[network], np.float32)
    run = train(net, data, OPTIMIZERS[rule], FIRST)
    run.save(str(tmp_path / "run"))
    loaded = ntklin.load_run(str(tmp_path / "run"))
    assert_same(loaded, run)
    assert loaded.network == net
    assert loaded.optimizer == run.optimizer
    np.testing.assert_array_equal(loaded.predict(data[1]), run.predict(data[1]))
    np.testing.assert_array_equal(loaded.snapshot(6), run.snapshot(6))


class Foreign(ntklin.MLP):
    """A network of the user's own."""


def test_a_foreign_network_must_be_passed(tmp_path):
    net = Foreign((3, 9, 1))
    run = train(net, problem(net), None, FIRST)
    run.save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"network must be passed: .* a test_checkpoint\.Foreign"):
        ntklin.load_run(tmp_path / "run")
    assert_same(ntklin.load_run(tmp_path / "run", network=net), run)
    with pytest.raises(ValueError, match=r"network was test_checkpoint\.Foreign\(P=46\), not MLP"):
        ntklin.load_run(tmp_path / "run", network=ntklin.MLP((3, 9, 1)))


def test_records_without_snapshots_or_outputs_are_saved_too(tmp_path):
    net, data = NETWORKS["shallow"], problem(NETWORKS["shallow"])
    run = train(net, data, None, FIRST, X_record=None, snapshots=False)
    run.save(tmp_path / "run")
    loaded = ntklin.load_run(tmp_path / "run")
    assert_same(loaded, run)
    assert loaded.records.snapshots is None
    assert loaded.records.outputs is None


# Files


@pytest.fixture
def saved(tmp_path):
    """The path of a saved run."""
    net = NETWORKS["shallow"]
    train(net, problem(net), ntklin.Adam(0.01), FIRST).save(tmp_path / "run")
    return tmp_path / "run"


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        ntklin.load_run(tmp_path / "nothing")


@pytest.mark.parametrize("kind", ["empty", "text", "npy", "npz", "pickle", "json"])
def test_foreign_files_are_refused(kind, tmp_path):
    path = tmp_path / "run"
    with open(path, "wb") as f:
        if kind == "text":
            f.write(b"PK and so on")
        elif kind == "npy":
            np.save(f, np.ones(3))
        elif kind == "npz":
            np.savez(f, images=np.ones(3))
        elif kind == "pickle":
            np.savez(f, run=np.array([{}], dtype=object))
        elif kind == "json":
            np.savez(f, run=np.array('{"format": "another"}'))
    with pytest.raises(
        ntklin.CheckpointError, match=r"run is (not a|damaged, or no saved) training run"
    ):
        ntklin.load_run(path)


def rewrite(path, meta, arrays):
    """Other contents with a digest that is right."""
    values = {name: value for name, value in meta.items() if name != "digest"}
    with open(path, "wb") as f:
        np.savez(f, run=np.array(json.dumps(sealed(values, arrays))), **arrays)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_files_are_refused(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ntklin.CheckpointError, match="run is damaged, or no saved training run"):
        ntklin.load_run(saved)


def test_no_changed_bit_goes_unnoticed(saved):
    content = saved.read_bytes()
    run = ntklin.load_run(saved)
    noticed = 0
    # All of the head, most of which are names and numbers, and one of each kind beyond.
    for k in (*range(0, 8 * 400, 3), *range(8 * 400, 8 * len(content), 8009)):
        changed = bytearray(content)
        changed[k // 8] ^= 1 << k % 8
        saved.write_bytes(changed)
        try:
            assert_same(ntklin.load_run(saved), run)  # a bit that says nothing, a date for one
        except ntklin.CheckpointError:
            noticed += 1
    assert noticed > 700


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 99, "ntklin": "9.9"}, r"by ntklin 9\.9 in version 99 of its format; .* reads"),
        ({"format": "something"}, "run is not a training run that ntklin saved"),
        ({"identity": {}}, "run is incomplete: it lacks 'network'"),
        ({"identity": None}, "run holds no training run of ntklin"),
        ({"version": 1}, r"version 1 of its format; .* load it with the other one, or train anew"),
        ({"initial_norm": float("nan")}, "one distance for each recorded step"),
    ],
)
def test_other_contents_are_refused(saved, change, match):
    with np.load(saved) as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays.pop("run"))) | change
    rewrite(saved, meta, arrays)
    with pytest.raises(ntklin.CheckpointError, match=match):
        ntklin.load_run(saved)


@pytest.mark.parametrize("name", ["version", "format", "ntklin"])
def test_a_head_that_lacks_something_is_refused(saved, name):
    with np.load(saved) as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays.pop("run")))
    del meta[name]
    rewrite(saved, meta, arrays)
    with pytest.raises(ntklin.CheckpointError, match="run is not a training run that ntklin saved"):
        ntklin.load_run(saved)


CHANGED = {
    "nothing": lambda meta, arrays: None,
    "an array": lambda meta, arrays: arrays.update(losses=arrays["losses"] * 2),
    "its type": lambda meta, arrays: arrays.update(losses=arrays["losses"].astype(np.float32)),
    "its shape": lambda meta, arrays: arrays.update(losses=arrays["losses"][None]),
    "its name": lambda meta, arrays: arrays.update(foreign=arrays.pop("losses")),
    "one more": lambda meta, arrays: arrays.update(foreign=arrays["losses"]),
    "one less": lambda meta, arrays: arrays.pop("records.distances"),
    "a number": lambda meta, arrays: meta.update(initial_norm=1.0),
    "a name": lambda meta, arrays: meta["identity"].update(loss="logistic"),
    "no digest": lambda meta, arrays: meta.pop("digest"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_whatever_the_digest_does_not_fit_is_refused(saved, change):
    with np.load(saved) as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays.pop("run")))
    CHANGED[change](meta, arrays)
    with open(saved, "wb") as f:
        np.savez_compressed(f, **arrays, run=np.array(json.dumps(meta, indent=2)))
    if change == "nothing":  # the same contents, written otherwise
        assert ntklin.load_run(saved).steps == FIRST
        return
    with pytest.raises(ntklin.CheckpointError, match=r"run is damaged: it .* digest"):
        ntklin.load_run(saved)


MISFITS = {
    "losses of two runs": ("losses", lambda a: np.r_[a, a], r"at step 7, its losses end at step"),
    "no losses": ("losses", lambda a: a[:0], "must be vectors"),
    "infinite losses": ("losses", lambda a: a + np.inf, "no vector of finite numbers"),
    "part of theta": ("engine.theta", lambda a: a[:1], "the parameters have shape"),
    "no parameters": ("parameters", lambda a: np.empty(0), "the parameters have shape"),
    "NaN": ("engine.slot.means", lambda a: a * np.nan, "'slot.means' contains NaN"),
    "a slot": ("engine.slot.means", lambda a: a[:1], "'slot.means' should have shape"),
    "steps beyond": ("records.steps", lambda a: a[::-1], "not steps of the run"),
    "steps as floats": ("records.steps", lambda a: a.astype(float), "holds no training run"),
    "few distances": ("records.distances", lambda a: a[:1], "one distance for each"),
    "other outputs": ("records.outputs", lambda a: a[:1], "the recorded outputs have shape"),
    "a snapshot": ("records.snapshot.1", lambda a: a[:1], "a snapshot has shape"),
    "the count": ("engine.count", lambda a: a + 1, "its engine is at step 8"),
    "no count": ("engine.count", None, "lacks the engine's 'count'"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_parts_that_do_not_fit_are_refused_even_with_a_digest(saved, name):
    key, change, match = MISFITS[name]
    with np.load(saved) as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays.pop("run")))
    old = arrays.pop(key, None)
    if change is not None:
        arrays[key] = change(old)
    rewrite(saved, meta, arrays)
    net = NETWORKS["shallow"]
    with pytest.raises(ntklin.CheckpointError, match=match):
        train(net, problem(net), ntklin.Adam(0.01), WHOLE, resume=saved)


@pytest.mark.parametrize("name", ["losses", "engine.theta", "records.snapshot.1"])
def test_missing_arrays_are_named(saved, name):
    with np.load(saved) as archive:
        arrays = dict(archive)
    del arrays[name]
    rewrite(saved, json.loads(str(arrays.pop("run"))), arrays)
    with pytest.raises(
        ntklin.CheckpointError, match=f"run is incomplete: it lacks '.*{name[-5:]}'"
    ):
        ntklin.load_run(saved)


def test_a_failing_save_leaves_the_old_file(saved, monkeypatch):
    old = saved.read_bytes()
    run = ntklin.load_run(saved)

    def fail(f, **arrays):
        f.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint.np, "savez", fail)
    with pytest.raises(OSError, match="no space left"):
        run.save(saved)
    assert saved.read_bytes() == old
    assert os.listdir(saved.parent) == ["run"]


def test_no_pickle_is_in_the_file(saved):
    with np.load(saved, allow_pickle=False) as archive:
        assert all(archive[name].dtype.kind in "fiuU" for name in archive.files)


def test_a_kept_network_is_described_to_the_last_bit():
    case = make_case((3, 5, 1), sigma=1.7, scaling="fan_in", sigma_b=0.1 + 0.2)
    description = json.loads(json.dumps(describe_network(case.net)))
    assert network_from(description) == case.net


def test_parameters_that_are_not_the_engines_are_in_the_file(tmp_path):
    net = NETWORKS["shallow"]
    run = ntklin.train(net, *problem(net), RATE, 3, method="direct")
    moved = dataclasses.replace(run, parameters=run.parameters + 1)
    moved.save(tmp_path / "run.npz")
    found = ntklin.load_run(tmp_path / "run.npz")
    np.testing.assert_array_equal(found.parameters, run.parameters + 1)
    np.testing.assert_array_equal(found.arrays["theta"], run.parameters)


def test_fingerprints_tell_shapes_and_types_apart():
    a = np.zeros((2, 3))
    others = (a.T.copy(), a.ravel(), a.view(np.int64), -a, np.nextafter(a, 1))
    assert len({checkpoint.digest(b) for b in (a, *others)}) == 6
    assert checkpoint.digest(np.asfortranarray(a)) == checkpoint.digest(a)


def test_what_differs_is_told_also_where_the_engine_would_not_serve(tmp_path):
    net = NETWORKS["shallow"]
    theta, X, Y = problem(net)
    run = ntklin.train(net, theta, X, Y, ntklin.GradientDescent(0.05), 3, method="reduced")
    pair = ntklin.AntisymmetricPair(net)
    for changed in ({"optimizer": ntklin.Adam(0.01)}, {"net": pair, "theta": pair.init(0)}):
        base = {"net": net, "theta": theta, "optimizer": ntklin.GradientDescent(0.05)} | changed
        with pytest.raises(ValueError, match="resume: the saved run is another one; "):
            ntklin.train(**base, X=X, Y=Y, steps=5, resume=run)
