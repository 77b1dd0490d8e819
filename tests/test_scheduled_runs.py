"""Runs whose learning rate depends on the step, with every optimizer and engine."""

import math
import warnings

import naive
import numpy as np
import pytest
import tasks
from networks import make_case
from test_gpu import OPTIMIZERS
from tolerances import assert_close

import ntklin
from ntklin.runs import loop
from ntklin.theory.engines import ENGINES as LINEARIZED
from ntklin.training.descents import ENGINES

STEPS = 6
SCHEDULES = {
    "cosine": ntklin.WarmupSchedule(2) * ntklin.CosineSchedule(0.06, 8),
    "steps": ntklin.StepSchedule(0.05, 2, 0.5),
    "function": lambda t: 0.02 * (1 + math.sin(t)),
    "idle": lambda t: 0.04 * (t % 2),  # begins with 0
}
NETWORKS = {
    "shallow": ((3, 6, 1), {}),
    "deep": ((3, 5, 4, 1), {"bias": "normal"}),
    "tanh": ((3, 5, 4, 1), {"activation": "tanh"}),
    "outputs": ((3, 5, 2), {"bias": "normal"}),
}
COMBINATIONS = [
    (method, rule, network)
    for method in ENGINES
    for rule in OPTIMIZERS
    for network, (widths, options) in NETWORKS.items()
    if tasks.serves(ENGINES[method], ntklin.MLP(widths, **options), OPTIMIZERS[rule][0])
]
BATCHES = [[0, 1], [3], [2, 4], [1, 3], [0, 2, 4], [1]]
pytestmark = [
    pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning"),
    pytest.mark.filterwarnings("ignore::ntklin.UnitBallWarning"),
]


def problem(network, dtype=np.float64):
    widths, options = NETWORKS[network]
    case = make_case(widths, seed=3, n=5, start="init", dtype=dtype, **options)
    Y = np.random.default_rng(4).uniform(0, 1, (5, widths[-1])[: 1 + (widths[-1] > 1)])
    return case, Y.astype(dtype)


def sample_weights(batches):
    weights = np.full((STEPS, 5), 0.0 if batches else 0.2)
    for row, batch in zip(weights, batches or (), strict=False):
        row[batch] = 1 / len(batch)
    return weights


def scheduled(rule, schedule):
    return OPTIMIZERS[rule][0].with_learning_rate(schedule)


@pytest.mark.parametrize("schedule", ["cosine", "idle"])
@pytest.mark.parametrize(("method", "rule", "network"), COMBINATIONS)
def test_against_explicit_steps(method, rule, network, schedule):
    case, Y = problem(network)
    step = naive.optimizer(rule, SCHEDULES[schedule], **OPTIMIZERS[rule][1])
    batches = BATCHES if schedule == "idle" else None
    walk = naive.training(case.reference, case.theta, case.X, Y, step, sample_weights(batches))
    run = ntklin.train(
        *(case.net, case.theta, case.X, Y, scheduled(rule, SCHEDULES[schedule]), STEPS),
        **{"batches": batches, "method": method},
    )
    options = {"kind": "trajectory", "n": STEPS * case.n, "kappa": 1e3 if "ad" in rule else 1}
    assert_close(run.losses, [value for _, value in walk], **options)
    assert_close(run.parameters, walk[-1][0], **options)
    assert run.rates.tolist() == [SCHEDULES[schedule](t) for t in range(STEPS)]


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("method", LINEARIZED)
def test_the_linearized_network_against_explicit_steps(method, rule):
    case, Y = problem("deep")
    lin = ntklin.linearize(case.net, case.theta, case.X)
    optimizer = scheduled(rule, SCHEDULES["cosine"])
    if method == "reduced" and rule not in ("descent", "momentum"):
        return
    step = naive.optimizer(rule, SCHEDULES["cosine"], **OPTIMIZERS[rule][1])
    J, f0 = case.jacobian(), naive.apply(case.reference, case.theta, case.X)
    walk = naive.linearized_training(J, f0, Y, step, sample_weights(None))
    run = lin.train(Y, optimizer, STEPS, method=method, record=2)
    options = {"kind": "trajectory", "n": STEPS * case.n, "kappa": 1e3 if "ad" in rule else 1}
    assert_close(run.losses, [value for _, _, value, _ in walk], **options)
    assert_close(run.displacement, walk[-1][0], **options)
    assert len(run.at(2).rates) == 2
    assert run.at(2).rates.tolist() == run.rates[:2].tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("method", "rule", "network"), COMBINATIONS)
def test_a_constant_schedule_takes_the_very_steps_of_its_number(method, rule, network, dtype):
    case, Y = problem(network, dtype)

    def train(rate):
        optimizer = scheduled(rule, rate)
        return ntklin.train(case.net, case.theta, case.X, Y, optimizer, 3, method=method)

    number, constant = train(0.037), train(ntklin.ConstantSchedule(0.037))
    np.testing.assert_array_equal(constant.parameters, number.parameters)
    np.testing.assert_array_equal(constant.losses, number.losses)
    assert number.rates is None


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", ENGINES)
def test_a_rate_of_zero_leaves_the_network_where_it_is(method, network):
    case, Y = problem(network)
    rest = ntklin.GradientDescent(lambda t: 0.0 if 1 <= t < 4 else 0.02)
    if not tasks.serves(ENGINES[method], case.net, rest):
        return
    run = ntklin.train(case.net, case.theta, case.X, Y, rest, 5, method=method)
    moves = run.losses[1:] != run.losses[:-1]
    assert moves.tolist() == [True, False, False, False, True]


RESUMED = [
    ("train", "shallow", "reduced", "descent"),
    ("train", "shallow", "fused", "adam"),
    ("train", "deep", "direct", "momentum"),
    ("linearized", "deep", "reduced", "momentum"),
    ("linearized", "deep", "fused", "adagrad"),
    ("linearized", "deep", "direct", "rmsprop"),
]


def trainer(kind, network, method):
    case, Y = problem(network)
    if kind == "train":
        start = case.net, case.theta, case.X, Y
        return lambda optimizer, steps, **o: ntklin.train(
            *start, optimizer, steps, method=method, **o
        )
    lin = ntklin.linearize(case.net, case.theta, case.X)
    return lambda optimizer, steps, **o: lin.train(Y, optimizer, steps, method=method, **o)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("kind", "network", "method", "rule"), RESUMED)
def test_a_run_goes_on_wherever_it_was_cut(kind, network, method, rule, schedule, tmp_path):
    train, optimizer = trainer(kind, network, method), scheduled(rule, SCHEDULES[schedule])
    whole, file = train(optimizer, 9), tmp_path / "run"
    is_function = schedule in ("function", "idle")
    for cut in (0, 1, 4):
        first = train(optimizer, cut)
        first.save(file)
        for resume in (first, file):
            given = optimizer if is_function and resume is file else None
            again = train(given, 9, resume=resume)
            np.testing.assert_array_equal(again.losses, whole.losses)
            np.testing.assert_array_equal(again.rates, whole.rates)
            assert again.optimizer == optimizer
            assert again.identity == whole.identity
    if is_function:
        with pytest.raises(ValueError, match="optimizer must be passed again"):
            train(None, 9, resume=file)


def test_wherever_blocks_are_cut(monkeypatch):
    results = []
    for pulse in (1e-9, 10.0):
        monkeypatch.setattr(loop, "PULSE", pulse)
        train = trainer("train", "shallow", "reduced")
        results.append(train(ntklin.GradientDescent(SCHEDULES["cosine"]), 150).losses)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("kind", ["train", "linearized"])
def test_another_schedule_is_refused(kind, saved, tmp_path):
    train = trainer(kind, "shallow", "direct")

    def refused(first, then, match):
        run = train(ntklin.Adam(first), 3)
        run.save(tmp_path / "run")
        with pytest.raises(ValueError, match=f"resume: the saved run is another one; {match}"):
            train(ntklin.Adam(then), 5, resume=tmp_path / "run" if saved else run)

    steps, cosine = ntklin.StepSchedule(0.01, 5), ntklin.CosineSchedule(0.01, 50)
    refused(steps, 0.01, r"optimizer was Adam\(learning_rate=StepSchedule\(.*step_size=5")
    refused(0.01, steps, r"optimizer was Adam\(learning_rate=0.01, .*not Adam.*StepSchedule")
    refused(steps, ntklin.StepSchedule(0.01, 6), r"optimizer was .*step_size=6")
    refused(steps * cosine, cosine, "optimizer was .*Product")
    refused(steps, lambda t: steps(t), "optimizer was .*learning_rate=a function")
    refused(lambda t: 0.01, lambda t: 0.01 if t < 2 else 0.02, r"learning_rate\(2\) was 0.01, not")
    run = train(ntklin.Adam(lambda t: 0.01), 3)
    assert train(ntklin.Adam(lambda t: 0.01 if t < 3 else 0.5), 5, resume=run).steps == 5


def test_a_loaded_run_knows_its_schedule(tmp_path):
    train, file = trainer("train", "shallow", "auto"), tmp_path / "run"
    optimizer = ntklin.AdaGrad(0.5 * ntklin.WarmupSchedule(3) * ntklin.StepSchedule(0.1, 2))
    train(optimizer, 3).save(file)
    loaded = ntklin.load_run(file)
    assert loaded.optimizer == optimizer
    np.testing.assert_array_equal(loaded.rates, optimizer.rates(0, 3))
    own = ntklin.AdaGrad(lambda t: 0.1 / (1 + t))
    train(own, 3).save(file)
    with pytest.raises(ValueError, match="optimizer must be passed: a file cannot hold all of a"):
        ntklin.load_run(file)
    assert ntklin.load_run(file, optimizer=own).optimizer is own
    with pytest.raises(ValueError, match=r"learning_rate\(1\) was 0.05, not 0.1"):
        ntklin.load_run(file, optimizer=ntklin.AdaGrad(lambda t: 0.1))


def test_what_is_told_of_a_learning_rate_is_that_of_the_step():
    train = trainer("train", "shallow", "auto")
    late = ntklin.GradientDescent(lambda t: 0.02 if t < 3 else 500.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ntklin.NonMonotoneLossWarning)
        with pytest.raises(ntklin.DivergenceError, match="η = 500; gradient descent on") as error:
            train(late, 50)
    assert error.value.learning_rate == 500.0
    assert "at learning rate η = 500. Take" in str(caught[0].message)
    with pytest.raises(ntklin.DivergenceError, match="no bound on η is known beforehand"):
        train(ntklin.Momentum(lambda t: 500.0), 50)


def test_any_preconditioner_takes_a_schedule():
    """Also a rate of 0, where a number has to be above it."""
    case, Y = problem("shallow")
    D = np.linspace(0.5, 2, case.net.n_parameters)
    schedule = SCHEDULES["idle"]
    optimizer = ntklin.Preconditioned(schedule, lambda t, g: D)

    def step(t, g, memory):
        return -schedule(t) * D * g, D

    walk = naive.training(case.reference, case.theta, case.X, Y, step, sample_weights(None))
    run = ntklin.train(case.net, case.theta, case.X, Y, optimizer, STEPS)
    assert_close(run.parameters, walk[-1][0], kind="trajectory", n=STEPS * case.n)
    assert run.rates.tolist() == [schedule(t) for t in range(STEPS)]


def test_a_function_that_fails_later_is_named():
    train = trainer("train", "shallow", "direct")
    with pytest.raises(ValueError, match=r"what learning_rate\(2\) returns must be finite"):
        train(ntklin.AdaGrad(lambda t: 0.1 if t < 2 else -1.0), 5)
    with pytest.raises(ValueError, match=r"what learning_rate\(0\) returns must be finite"):
        ntklin.GradientDescent(lambda t: math.nan)


def test_searches_and_product_formulas_are_for_a_number():
    case, Y = problem("shallow")
    optimizer = ntklin.AdaGrad(SCHEDULES["steps"])
    with pytest.raises(ValueError, match="depends on the step, and the search is for a number"):
        ntklin.largest_learning_rate(case.net, case.theta, case.X, Y, optimizer)
    lin = ntklin.linearize(case.net, case.theta, case.X)
    with pytest.raises(ValueError, match="one learning rate for all steps"):
        lin.theorem6(Y, optimizer, steps=3)
    found = ntklin.search_learning_rate(
        lambda o: lin.train(Y, o.with_learning_rate(o.learning_rate * ntklin.WarmupSchedule(5)), 9),
        ntklin.AdaGrad(0.01),
    )
    assert found.rising > found.learning_rate > 0
