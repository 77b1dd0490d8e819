"""Runs of the linearized network that are saved and go on, to the last bit."""

import numpy as np
import pytest

import ntklin
from ntklin.runs import loop
from ntklin.theory.engines import ENGINES

OPTIMIZERS = {
    "descent": ntklin.GradientDescent(0.3),
    "nesterov": ntklin.Momentum(0.1, 0.8, nesterov=True),
    "adagrad": ntklin.AdaGrad(0.05),
    "rmsprop": ntklin.RMSprop(0.01),
    "adam": ntklin.Adam(0.02),
    "constant": ntklin.Preconditioned(0.2, lambda t, g: 1 + np.arange(len(g)) % 3),
}
SERVES = {"reduced": ("descent", "nesterov"), "fused": tuple(OPTIMIZERS)[:-1], "direct": OPTIMIZERS}
NETWORKS = {
    "shallow": ntklin.MLP((4, 30, 1)),
    "deep": ntklin.MLP((4, 20, 11, 1), bias="normal"),
    "classes": ntklin.MLP((4, 30, 3)),
    "smooth": ntklin.MLP((4, 20, 11, 2), bias="normal", activation="tanh"),
    "linear": ntklin.MLP((4, 1), bias="none"),
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((4, 9, 1))),
}
FIRST, WHOLE = 17, 60


def problem(net, dtype=np.float64, n=6):
    X = np.random.default_rng(0).uniform(-0.4, 0.4, (n, 4)).astype(dtype)
    Y = np.linspace(0, 1, n).astype(dtype)
    if net.widths[-1] > 1:
        Y = np.stack([np.roll(Y, c) for c in range(net.widths[-1])], axis=1)
    return ntklin.linearize(net, net.init(1, dtype=dtype), X), Y


def assert_same(one, two):
    """Every bit of two runs."""
    for name in ("losses", "displacement", "outputs", "weights"):
        a, b = (np.asarray(getattr(run, name)) for run in (one, two))
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert len(one.snapshots) == len(two.snapshots)
    for a, b in zip(one.snapshots, two.snapshots, strict=True):
        assert a.step == b.step
        for name in ("displacement", "outputs", "weights"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(np.asarray(one.first_weights), np.asarray(two.first_weights))
    for name in ("converged", "method", "loss", "identity", "ended_by"):
        assert getattr(one, name) == getattr(two, name)
    assert one.arrays.keys() == two.arrays.keys()
    for name, a in one.arrays.items():
        np.testing.assert_array_equal(a, two.arrays[name])


COMBINATIONS = [
    (network, rule, method)
    for network in NETWORKS
    for method in ENGINES
    for rule in SERVES[method]
    if not (network == "pair" and method == "fused")
]


@pytest.mark.parametrize(("network", "rule", "method"), COMBINATIONS)
def test_a_run_that_goes_on_is_one_run(network, rule, method, tmp_path):
    turn = COMBINATIONS.index((network, rule, method))
    lin, Y = problem(NETWORKS[network], (np.float64, np.float32)[turn % 3 == 0])
    batches = (None, ntklin.Batches(size=2, rng=3), [[t % 6, 0] for t in range(WHOLE)])[turn % 3]
    options = {"batches": batches, "method": method, "record": (7, [0, 1, 40], None)[turn % 3]}
    options["loss"] = ("squared", "logistic")[turn % 4 == 0]
    optimizer = OPTIMIZERS[rule]
    whole = lin.train(Y, optimizer, WHOLE, **options)
    first = lin.train(Y, optimizer, FIRST, **options)
    before = {name: a.copy() for name, a in first.arrays.items()}
    first.save(tmp_path / "run.npz")
    for past in (tmp_path / "run.npz", first):
        assert_same(lin.train(Y, optimizer, WHOLE, **options, resume=past), whole)
    for name, a in before.items():  # what goes on leaves the past alone
        np.testing.assert_array_equal(first.arrays[name], a)


def test_in_many_pieces_wherever_blocks_are_cut(tmp_path, monkeypatch):
    lin, Y = problem(NETWORKS["shallow"])
    whole = lin.train(Y, OPTIMIZERS["adam"], WHOLE, record=5)
    monkeypatch.setattr(loop, "PULSE", 0.0)
    path = None
    for steps in (0, 1, 2, 6, 7, 7, WHOLE):
        run = lin.train(Y, OPTIMIZERS["adam"], steps, record=5, resume=path)
        path = tmp_path / "run.npz"
        run.save(path)
    assert_same(run, whole)


def test_it_goes_on_without_being_told_the_optimizer(tmp_path):
    lin, Y = problem(NETWORKS["shallow"])
    first = lin.train(Y, steps=FIRST)
    first.save(tmp_path / "run.npz")
    run = lin.train(Y, steps=WHOLE, resume=tmp_path / "run.npz")
    assert run.optimizer == first.optimizer
    assert_same(run, lin.train(Y, steps=WHOLE))


def test_what_is_no_beginning_of_the_run_is_refused(tmp_path):
    net = NETWORKS["shallow"]
    lin, Y = problem(net)
    adam = OPTIMIZERS["adam"]
    run = lin.train(Y, adam, FIRST, record=5)
    path = tmp_path / "run.npz"
    run.save(path)
    other, _ = problem(net, n=5)
    for past in (run, path):
        with pytest.raises(ValueError, match="the saved run is another one; X holds other"):
            other.train(Y[:5], adam, WHOLE, resume=past)
        with pytest.raises(ValueError, match=r"optimizer was Adam\(.*, not AdaGrad"):
            lin.train(Y, OPTIMIZERS["adagrad"], WHOLE, resume=past)
        with pytest.raises(ValueError, match="Y holds other values"):
            lin.train(Y + 1, adam, WHOLE, resume=past)
    with pytest.raises(ValueError, match=r"resume is the beginning of a run, as at\(t\) gives it"):
        lin.train(Y, adam, WHOLE, resume=run.at(5))
    with pytest.raises(ValueError, match=r"as at\(t\) gives it, cannot be saved"):
        run.at(5).save(path)
    trained = ntklin.train(net, net.init(1), lin.features.inputs, Y, adam, 3)
    trained.save(tmp_path / "trained.npz")
    with pytest.raises(ntklin.CheckpointError, match="is not a linearized run that ntklin saved"):
        lin.train(Y, adam, WHOLE, resume=tmp_path / "trained.npz")
    with pytest.raises(ntklin.CheckpointError, match="is not a training run that ntklin saved"):
        ntklin.load_run(path)


def test_every_changed_bit_of_a_file_is_noticed_or_harmless(tmp_path):
    lin, Y = problem(ntklin.MLP((4, 2, 1)), n=2)
    run = lin.train(Y, OPTIMIZERS["adagrad"], 3, record=2)
    path = tmp_path / "run.npz"
    run.save(path)
    content, noticed = path.read_bytes(), 0
    for k in range(0, 8 * len(content), 97):
        changed = bytearray(content)
        changed[k // 8] ^= 1 << k % 8
        path.write_bytes(changed)
        try:
            again = lin.train(Y, OPTIMIZERS["adagrad"], 3, record=2, resume=path)
        except ntklin.CheckpointError:
            noticed += 1
        else:
            assert_same(again, run)
    assert noticed > 8 * len(content) // 97 // 2


def test_an_interrupted_run_goes_on(tmp_path):
    lin, Y = problem(NETWORKS["deep"])

    def interrupt(step, loss):
        raise KeyboardInterrupt

    with pytest.raises(ntklin.TrainingInterrupted) as e:
        lin.train(Y, OPTIMIZERS["rmsprop"], 10**7, progress=interrupt)
    assert e.value.run.ended_by == "interrupt"
    steps = e.value.run.steps + 20
    e.value.run.save(tmp_path / "run.npz")
    run = lin.train(Y, OPTIMIZERS["rmsprop"], steps, resume=tmp_path / "run.npz")
    assert_same(run, lin.train(Y, OPTIMIZERS["rmsprop"], steps))


@pytest.mark.parametrize("method", ENGINES)
def test_a_run_that_ends_at_its_first_rise_is_a_shorter_run(method):
    lin, Y = problem(NETWORKS["shallow"])
    optimizer = ntklin.GradientDescent(1.02 * lin.max_learning_rate)
    longer = lin.train(Y, optimizer, 40, method=method)
    run = lin.train(Y, optimizer, 40, method=method, stop=ntklin.FirstRise())
    assert run.ended_by == "first rise"
    assert run.steps == run.first_rise() == longer.first_rise() < 40
    np.testing.assert_array_equal(run.losses, longer.losses[: run.steps + 1])
    shorter = lin.train(Y, optimizer, run.steps, method=method)
    np.testing.assert_array_equal(run.displacement, shorter.displacement)
