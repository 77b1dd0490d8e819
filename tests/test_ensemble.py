"""Several initializations at once: each network's run is the one that it has alone."""

import sys
import warnings
from functools import partial

import numpy as np
import pytest
import stand_in_cupy
from test_gpu import OPTIMIZERS, problem
from test_networks_of_others import Model
from tolerances import assert_close

import ntklin
from ntklin.kernels.gpu import loader
from ntklin.training import ensemble
from ntklin.training.direct_descent import DirectDescent
from ntklin.training.reduced_descent import ReducedDescent
from ntklin.training.stacked_optimizers import StackedOptimizers

ignore_rises = pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
SHALLOW, DEEP, LINEAR, CLASSES = (4, 9, 1), (4, 8, 7, 1), (4, 1), (4, 9, 3)
RATES = (0.3, 0.1, 0.2)
SCHEDULES = 0.1 * ntklin.WarmupSchedule(3, 0.0), 0.1, ntklin.CosineSchedule(0.2, 4)
ORDERS = [ntklin.Batches(0.4, rng=seed) for seed in range(3)]
DIFFERENT = [ntklin.Batches(size=2), None, ntklin.Batches(size=3, rng=1)]


def several(widths=SHALLOW, count=3, dtype=np.float64, **options):
    """A problem, and as many θ_0."""
    case, Y = problem(widths, dtype=dtype, **options)
    if widths[-1] > 1:
        Y = np.random.default_rng(1).dirichlet(np.ones(widths[-1]), len(Y)).astype(dtype)
    return case, [case.net.init(seed, dtype=dtype) for seed in range(count)], Y


def one_by_one(net, thetas, X, Y, optimizers, batches, **options):
    """What ``train`` gives for each, or raises."""
    found = []
    for theta, optimizer, one in zip(thetas, optimizers, batches, strict=True):
        try:
            found.append(ntklin.train(net, theta, X, Y, optimizer, batches=one, **options))
        except ntklin.DivergenceError as e:
            found.append(e)
    return found


def alike(device, case, together, alone, kappa=1.0):
    """Assert that the runs are those of the networks alone, up to rounding."""
    assert len(together) == len(alone)
    for run, expected in zip(together, alone, strict=True):
        assert type(run) is type(expected)
        if isinstance(run, ntklin.DivergenceError):
            assert (str(run), run.step) == (str(expected), expected.step)
            continue
        options = {"kind": "trajectory", "n": (1 + run.steps) * case.n, "kappa": kappa}
        assert (run.steps, run.converged) == (expected.steps, expected.converged)
        assert (run.method, run.loss) == (expected.method, expected.loss)
        assert_close(run.losses, expected.losses, dtype=case.dtype, **options)
        parameters = device.get(run.parameters)
        assert parameters.dtype == case.dtype
        assert_close(parameters, device.get(expected.parameters), **options)
        assert run.arrays.keys() == expected.arrays.keys()
        assert all(run.arrays[name].shape == a.shape for name, a in expected.arrays.items())
        assert run.optimizer == expected.optimizer
        assert run.identity == expected.identity


def at_rates(name):
    return [OPTIMIZERS[name][0].with_learning_rate(0.05 * rate) for rate in RATES]


CASES = {
    "descent": (SHALLOW, "zero", None, None, "squared"),
    "rates": (DEEP, "zero", [ntklin.GradientDescent(rate) for rate in RATES], None, "logistic"),
    "one rate": (DEEP, "none", ntklin.GradientDescent(0.1), ORDERS, "squared"),
    "orders": (SHALLOW, "normal", None, ORDERS, "logistic"),
    "linear": (LINEAR, "zero", [ntklin.GradientDescent(rate) for rate in RATES], None, "squared"),
    "schedules": (SHALLOW, "zero", list(map(ntklin.GradientDescent, SCHEDULES)), ORDERS, "squared"),
    "scheduled adam": (DEEP, "none", list(map(ntklin.Adam, SCHEDULES)), None, "squared"),
    "momentum": (SHALLOW, "none", OPTIMIZERS["momentum"][0], DIFFERENT, "squared"),
    "adagrad": (DEEP, "normal", at_rates("adagrad"), ORDERS, "squared"),
    "rmsprop": (SHALLOW, "zero", OPTIMIZERS["rmsprop"][0], ntklin.Batches(0.4), "logistic"),
    "adam": (DEEP, "zero", OPTIMIZERS["adam"][0], None, "logistic"),
    "deep classes": ((4, 8, 7, 3), "zero", ntklin.GradientDescent(0.1), ORDERS, "logistic"),
    "classes": (CLASSES, "normal", None, ORDERS, "softmax"),
    "classes at rates": (CLASSES, "zero", at_rates("adam"), None, "softmax"),
    "adam at rates": (DEEP, "none", at_rates("adam"), None, "squared"),
}


@ignore_rises
@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, np.float64) for name in CASES), ("orders", np.float32), ("adam", np.float32)],
)
def test_every_network_is_trained_as_alone(device, name, dtype):
    widths, bias, optimizer, batches, loss = CASES[name]
    case, thetas, Y = several(widths, dtype=dtype, bias=bias)
    arguments = (case.net, *device.put((thetas, case.X, Y)))
    runs = ntklin.train_ensemble(*arguments, optimizer, 5, batches=batches, loss=loss)
    optimizers, batches = (x if isinstance(x, list) else [x] * 3 for x in (optimizer, batches))
    alone = one_by_one(*arguments, optimizers, batches, steps=5, loss=loss)
    alike(
        device,
        case,
        runs,
        alone,
        kappa=1e3 if "ad" in name or "rates" in name or name == "rmsprop" else 1,
    )
    assert len({run.losses[-1] for run in runs}) == 3


@ignore_rises
@pytest.mark.parametrize(("name", "drawn"), [("descent", True), ("adam", False)])
def test_each_ends_at_its_own_step(device, name, drawn):
    """Some before the first step, some amid a block; the rest goes on, with its own batches."""
    case, thetas, Y = several((4, 40, 1), 5)
    arguments = (case.net, *device.put((thetas, case.X, Y)))
    optimizers = [OPTIMIZERS[name][0]] * 5
    batches = [ntklin.Batches(0.4, rng=seed) if drawn else None for seed in range(5)]
    starts = [run.losses[0] for run in ntklin.train_ensemble(*arguments, steps=0)]
    until = sum(sorted(starts)[1:3]) / 2  # far from every loss, whose last bit may be another
    alone = one_by_one(*arguments, optimizers, batches, until=until)
    runs = ntklin.train_ensemble(*arguments, optimizers, until=until, batches=batches)
    alike(device, case, runs, alone, kappa=10)
    assert sorted(run.steps for run in runs)[0] == 0
    assert len({run.steps for run in runs}) >= 3
    for run in runs:
        assert run.losses[-1] < until
        assert run.steps == 0 or run.losses[-2] >= until


@ignore_rises
@pytest.mark.parametrize("name", ["descent", "adagrad"])
def test_one_that_diverges_ends_none_of_the_others(device, name):
    case, thetas, Y = several((4, 20, 1), 4)
    arguments = (case.net, *device.put((thetas, case.X, Y)))
    rule = OPTIMIZERS[name][0]
    optimizers = [rule, rule.with_learning_rate(1e4), rule, rule]
    options = {"steps": 12, "until": 0.05}
    runs = ntklin.train_ensemble(*arguments, optimizers, **options)
    alone = one_by_one(*arguments, optimizers, [None] * 4, **options)
    alike(device, case, runs, alone, kappa=1e3 if name == "adagrad" else 1)
    assert [isinstance(run, ntklin.DivergenceError) for run in runs] == [False, True, False, False]
    assert runs[1].learning_rate == 1e4


def test_a_rise_is_told_with_its_place(device):
    case, thetas, Y = several((4, 20, 1))
    arguments = (case.net, *device.put((thetas, case.X, Y)))
    rates = [ntklin.GradientDescent(rate) for rate in (0.1, 1e4, 0.1)]
    for options in ({}, {"batches": [None, ntklin.Batches(0.5), None]}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ntklin.train_ensemble(*arguments, rates, steps=3, **options)
        told = [(w.message.index, w.filename) for w in caught]
        assert told == ([] if options else [(1, __file__)])
    with pytest.warns(ntklin.NonMonotoneLossWarning, match="loss of network 1 rose at step 1,"):
        ntklin.train_ensemble(*arguments, rates, steps=3)


@pytest.fixture
def counted(monkeypatch):
    """How many networks each call of ``advance`` took steps of, by the shape of their θ."""
    sizes = []
    for engine in (ReducedDescent, DirectDescent):

        def advance(self, *arguments, original=engine.advance):
            sizes.append(self._theta.shape[:-1])
            return original(self, *arguments)

        monkeypatch.setattr(engine, "advance", advance)
    return sizes


@ignore_rises
@pytest.mark.parametrize("name", ["descent", "rmsprop"])
def test_they_share_every_launch(device, name, counted, monkeypatch):
    case, thetas, Y = several()
    arguments = (case.net, *device.put((thetas, case.X, Y)), OPTIMIZERS[name][0])
    launched, launch = [], loader.launch

    def spy(source, function, *rest):
        launched.append(function)
        launch(source, function, *rest)

    monkeypatch.setattr(loader, "launch", spy)
    ntklin.train_ensemble(*arguments, steps=5)
    assert set(counted) == {(3,)}
    assert launched.count("update") == (5 if name == "rmsprop" else 0)


@ignore_rises
def test_what_differs_in_kind_is_not_in_one_batch(device, counted):
    case, thetas, Y = several(count=5)
    thetas[4] = thetas[4].astype(np.float32)
    X, targets = (a.astype(np.float32) for a in (case.X, Y))
    arguments = (case.net, *device.put((thetas, X, targets)))
    adam, descent = OPTIMIZERS["adam"][0], OPTIMIZERS["descent"][0]
    optimizers = [adam, descent, adam, descent, descent]
    runs = ntklin.train_ensemble(*arguments, optimizers, steps=3)
    assert set(counted) == {(2,), ()}
    assert [run.method for run in runs] == ["direct", "reduced", "direct", "reduced", "reduced"]
    assert [run.parameters.dtype for run in runs] == [np.float64] * 4 + [np.float32]
    alone = one_by_one(*arguments, optimizers, [None] * 5, steps=3)
    alike(device, case, runs[:4], alone[:4], kappa=1e3)
    assert_close(runs[4].losses, alone[4].losses, kind="trajectory", dtype=np.float32, n=case.n)


@ignore_rises
@pytest.mark.parametrize("kind", ["pair", "own rule", "one"])
def test_others_go_one_after_the_other(device, kind, counted):
    case, Y = problem((4, 10, 1))
    net, optimizer = case.net, ntklin.GradientDescent(0.1)
    if kind == "own rule":
        optimizer = ntklin.Preconditioned(0.1, lambda t, gradient: 1.0)
    elif kind == "pair":
        net = ntklin.AntisymmetricPair(net)
    count = 1 if kind == "one" else 2
    thetas = [net.init(seed) for seed in range(count)]
    arguments = (net, *device.put((thetas, case.X, Y)))
    runs = ntklin.train_ensemble(*arguments, optimizer, steps=4)
    assert set(counted) == {()}
    alone = one_by_one(*arguments, [optimizer] * count, [None] * count, steps=4)
    for run, expected in zip(runs, alone, strict=True):
        assert np.array_equal(run.losses, expected.losses)
        assert np.array_equal(device.get(run.parameters), device.get(expected.parameters))


@ignore_rises
def test_networks_of_others_need_no_widths(monkeypatch):
    """How many go at once is asked where there is a GPU's memory to ask for."""
    monkeypatch.setattr(ensemble, "free_device_memory", lambda X: 1 << 30)
    net, X, Y = Model(), np.eye(3), np.arange(3.0)
    thetas = np.ones((2, net.n_parameters)) / [[4], [5]]
    runs = ntklin.train_ensemble(net, thetas, X, Y, ntklin.GradientDescent(0.1), steps=3)
    for run, theta in zip(runs, thetas, strict=True):
        alone = ntklin.train(net, theta, X, Y, ntklin.GradientDescent(0.1), steps=3)
        assert (run.parameters == alone.parameters).all()


def test_doubled_networks_are_mlps(device, counted):
    case, Y = problem((4, 10, 1))
    net = ntklin.DoubledNetwork(case.net)
    thetas = [net.init(seed) for seed in range(2)]
    arguments = (net, *device.put((thetas, case.X, Y)))
    runs = ntklin.train_ensemble(*arguments, steps=4)
    assert set(counted) == {(2,)}
    alike(device, case, runs, one_by_one(*arguments, [None] * 2, [None] * 2, steps=4))


@ignore_rises
@pytest.mark.parametrize("name", ["descent", "adam"])
def test_a_run_can_be_continued_alone(device, name, tmp_path):
    case, thetas, Y = several()
    thetas, X, targets = device.put((thetas, case.X, Y))
    optimizer, options = OPTIMIZERS[name][0], {"batches": ORDERS[1]}
    runs = ntklin.train_ensemble(case.net, thetas, X, targets, optimizer, steps=4, **options)
    runs[1].save(tmp_path / "run.npz")
    again = partial(ntklin.train, case.net, thetas[1], X, targets, optimizer, 9, **options)
    for past in (runs[1], tmp_path / "run.npz"):
        alike(device, case, [again(resume=past)], [again()], kappa=1e3)


@pytest.mark.parametrize(
    ("networks", "sizes"), [(9, {6}), (4.5, {3}), (3, {3}), (2.9, {2}), (0.5, {1})]
)
def test_batches_are_as_large_as_memory_allows(device, networks, sizes, counted, monkeypatch):
    """Six networks, in equal batches; a card without room for one is asked for one at a time."""
    if device.real:
        pytest.skip("a real GPU has the memory")
    case, thetas, Y = several(count=6)
    size = 8 * 8 * case.net.n_parameters + 8 * 6 * (12 * sum(SHALLOW) + 2 * 6)
    free = stand_in_cupy.module(free=int(networks * size))
    # The arrays' own class is the one that knows them.
    monkeypatch.setitem(sys.modules, "cupy", free)
    arguments = (case.net, *device.put((thetas, case.X, Y)))
    runs = ntklin.train_ensemble(*arguments, ntklin.GradientDescent(0.1), steps=3)
    assert {shape[0] if shape else 1 for shape in counted} == sizes
    alone = one_by_one(*arguments, [ntklin.GradientDescent(0.1)] * 6, [None] * 6, steps=3)
    alike(device, case, runs, alone)


def test_progress_and_ctrl_c(device):
    """The largest loss is told; at an interruption every run is kept."""
    case, thetas, Y = several((4, 40, 1))
    arguments = (case.net, *device.put((thetas, case.X, Y)), ntklin.GradientDescent(0.1))
    told = []
    runs = ntklin.train_ensemble(*arguments, steps=4, progress=lambda *now: told.append(now))
    assert told[-1] == (4, max(run.losses[-1] for run in runs))

    def stop(step, loss):
        raise KeyboardInterrupt

    with pytest.raises(ntklin.TrainingInterrupted, match="interrupted after") as caught:
        ntklin.train_ensemble(*arguments, steps=10**7, progress=stop)
    found = caught.value.runs
    assert caught.value.run is found[0]
    assert len({run.steps for run in found}) == 1
    assert 0 < found[0].steps < 10**7
    assert not any(run.converged for run in found)


def test_inputs_stay_as_they_are(device):
    case, thetas, Y = several()
    here, X, targets = device.put((thetas, case.X, Y))
    for optimizer in (ntklin.GradientDescent(0.1), ntklin.Adam(0.01)):
        runs = ntklin.train_ensemble(case.net, here, X, targets, optimizer, steps=3)
        runs[0].parameters[:] = 7  # nobody else's
    for a, original in zip((*here, X, targets), (*thetas, case.X, Y), strict=True):
        assert np.array_equal(device.get(a), original)
    assert not np.any(device.get(runs[1].parameters) == 7)


# On the CPU


@ignore_rises
def test_on_the_cpu_it_is_train_one_after_the_other():
    case, thetas, Y = several(count=4)
    rates = [None, ntklin.GradientDescent(1e5), ntklin.Adam(0.01), ntklin.GradientDescent(0.1)]
    batches = [None, None, ORDERS[0], ORDERS[1]]
    options = {"steps": 6, "until": 1e-3, "loss": "logistic"}
    runs = ntklin.train_ensemble(
        case.net, np.stack(thetas), case.X, Y, rates, batches=batches, **options
    )
    alone = one_by_one(case.net, thetas, case.X, Y, rates, batches, **options)
    for run, expected in zip(runs, alone, strict=True):
        if isinstance(expected, ntklin.DivergenceError):
            assert str(run) == str(expected)
            assert run.__traceback__ is None  # which would hold on to the engine
            continue
        assert np.array_equal(run.losses, expected.losses)
        assert np.array_equal(run.parameters, expected.parameters)
        assert run.identity == expected.identity
    assert isinstance(runs[1], ntklin.DivergenceError)


def test_ctrl_c_on_the_cpu_keeps_what_is_finished():
    case, thetas, Y = several()
    calls = []

    def stop(step, loss):
        calls.append(step)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(ntklin.TrainingInterrupted) as caught:
        ntklin.train_ensemble(case.net, thetas, case.X, Y, steps=2, progress=stop)
    first, second, third = caught.value.runs
    assert first.steps == 2
    assert second is caught.value.run
    assert third is None


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"thetas": []}, ValueError, "thetas is empty"),
        ({"thetas": 5}, TypeError, "thetas must be a sequence of vectors, got 5"),
        ({"thetas": np.zeros(55)}, ValueError, r"have shape \(S, 55\), got shape \(55,\)"),
        (
            {"thetas": [np.zeros(55), np.zeros(3)]},
            ValueError,
            r"thetas\[1\] must have shape \(55,\)",
        ),
        ({"optimizer": 0.1}, TypeError, "optimizer must be ntklin.Optimizer, or a list with one"),
        ({"optimizer": [ntklin.Adam(0.1)]}, ValueError, "optimizer has 1 entries for 3 θ_0"),
        ({"optimizer": [None, None, "gd"]}, TypeError, "optimizer must be"),
        ({"batches": [[0], [1], [2]]}, TypeError, "batches must be ntklin.Batches, or a list"),
        ({"batches": iter([[0]])}, TypeError, "batches must be ntklin.Batches, or a list"),
        ({"batches": [None, None]}, ValueError, "batches has 2 entries for 3 θ_0"),
        ({"batches": [None, None, ntklin.Batches(size=9)]}, ValueError, "size = 9 exceeds"),
        ({"loss": "hinge"}, ValueError, "loss must be one of"),
        ({"loss": "logistic", "Y": np.full(6, 2.0)}, ValueError, "between 0 and 1"),
        ({"steps": -1}, ValueError, "steps must be at least 0"),
    ],
)
def test_bad_arguments_are_named_before_any_work(changes, error, message, monkeypatch):
    monkeypatch.setattr(ensemble, "run_task", None)
    case, thetas, Y = several()
    arguments = {"thetas": thetas, "X": case.X, "Y": Y} | changes
    with pytest.raises(error, match=message):
        ntklin.train_ensemble(case.net, **arguments)


def test_a_degenerate_kernel_names_its_network(monkeypatch):
    monkeypatch.setattr(ensemble, "run_task", None)
    case, thetas, Y = several(bias="none")
    thetas[2][:] = 0
    with pytest.raises(ntklin.DegenerateKernelError, match=r"check X and thetas\[2\] for zeros"):
        ntklin.train_ensemble(case.net, thetas, case.X, Y)


def test_mixed_arrays_are_refused(device):
    case, thetas, Y = several()
    X, targets = device.put((case.X, Y))
    with pytest.raises(TypeError, match="NumPy and CuPy arrays in one call"):
        ntklin.train_ensemble(case.net, thetas, X, targets)


def test_rules_that_differ_take_each_its_own_step():
    optimizers = [ntklin.RMSprop(0.1, alpha=0.5), ntklin.RMSprop(0.2, alpha=0.9)]
    both = StackedOptimizers(optimizers)
    theta = np.arange(6.0)
    state = both.init(theta)
    expected = [theta[:3].copy(), theta[3:].copy()]
    states = [rule.init(part) for rule, part in zip(optimizers, expected, strict=True)]
    for t in range(3):
        gradient = np.linspace(-1, 1, 6) + t
        state = both.step(state, theta, gradient)
        for s in range(2):
            part = gradient[3 * s : 3 * s + 3]
            expected[s], states[s] = optimizers[s].update(states[s], expected[s], part)
    assert state.count == 3
    assert np.array_equal(theta, np.concatenate(expected))


def test_views_of_several_networks():
    net = ntklin.MLP((3, 4, 1))
    thetas = np.stack([net.init(seed) for seed in range(2)])
    for both, *each in zip(net.unpack(thetas), *map(net.unpack, thetas), strict=True):
        for part, *parts in zip(both, *each, strict=True):
            assert np.array_equal(part, np.stack(parts))
            assert np.shares_memory(part, thetas)
    with pytest.raises(ValueError, match=r"theta must have shape \(21,\)"):
        net.unpack(thetas.T)
