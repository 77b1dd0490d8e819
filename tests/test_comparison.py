"""The comparison of optimizers: its numbers, computed again step by step, with the dense J."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import naive
import numpy as np
import pytest
import test_study
from test_study import N_TEST, N, dataset, loss

import ntklin
from ntklin.apps.study import (
    METHODS,
    OptimizerResult,
    StudyObserver,
    StudyResult,
    ends,
    optimizer_results,
    rates,
    require_comparable,
    scale_results,
)
from ntklin.apps.study.real import RealEnd
from ntklin.edge.errors import DegenerateKernelError

ADAPTIVE = ("adagrad", "rmsprop", "adam")
RULES = {
    "descent": {},
    "adagrad": {"eps": 1e-10},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8},
    "adam": {"betas": (0.9, 0.999), "eps": 1e-8},
}
ADAMW = {"weight_decay": 0.01, "decoupled": True}
HEAVY_BALL = {"momentum": 0.9, "nesterov": False}


def config(optimizers=("gd", "adagrad"), **changes):
    settings = {
        "optimizers": optimizers,
        "optimizer_sigma": 1.3,
        "split": 0.5,
        "until": 1e-3,
        "max_steps": None,
    }
    return test_study.config(**settings | changes)


def rms(f):
    return float(np.sqrt(np.mean(np.square(f))))


def accuracy(f, Y):
    return float(np.mean((f > 0.5) == (Y > 0.5)))


def rule(name, learning_rate, **options):
    name = name.removesuffix("-sgd")
    if name.endswith("momentum"):
        return naive.optimizer("momentum", learning_rate, **HEAVY_BALL | options)
    if name == "adamw":
        name, options = "adam", ADAMW | options
    name = name if name in RULES else "descent"
    return naive.optimizer(name, learning_rate, **RULES[name] | options)


def weights(study, name, seed, steps):
    """1/|B| on the batch of each step, else 0."""
    found = np.full((steps, N), 1 / N)
    if "sgd" in name:
        batches = ntklin.Batches(study.split, rng=seed)
        for t, row in enumerate(found):
            batch = batches.at(t, N)
            row[:] = 0
            row[batch] = 1 / len(batch)
    return found


def until_below(study, trajectory, which):
    """The steps after which the loss first drops below the target."""
    return next(t for t, state in enumerate(trajectory) if state[which] < study.until)


def by_hand(study, name, seed, learning_rate, most=400):
    """The record's numbers with explicit steps of the optimizer's definition."""
    X, Y, X_test, Y_test = study.arrays
    net = study.network(study.optimizer_sigma)
    theta = net.init(rng=seed)
    J, J_test = net.jacobian(theta, X), net.jacobian(theta, X_test)
    f_0, f_0_test = net.apply(theta, X), net.apply(theta, X_test)
    K = J @ J.T
    gd_rate = 0.5 * N / np.linalg.eigvalsh(K)[-1]
    if not METHODS[name].adaptive:
        assert learning_rate == pytest.approx(gd_rate, rel=1e-12)
    shares = weights(study, name, seed, most)
    step = rule(name, learning_rate)

    walk = naive.linearized_training(J, f_0, Y, step, shares, theta0=theta)
    t = until_below(study, walk, 2)
    moved, f, final, diagonal = walk[t]
    A = diagonal[:, None] * J.T @ np.linalg.inv(J * diagonal @ J.T)
    interpolating = f_0_test + J_test @ A @ (f - f_0)
    linear = f_0_test + J_test @ moved

    plain = SimpleNamespace(**vars(net) | {"activation": net.activation.name})
    real_walk = naive.training(plain, theta, X, Y, step, shares)
    taken = until_below(study, real_walk, 1)
    real = net.apply(real_walk[taken][0], X_test)
    gd_walk = naive.training(plain, theta, X, Y, rule("gd", gd_rate), weights(study, "gd", 0, most))
    gd = net.apply(gd_walk[until_below(study, gd_walk, 1)][0], X_test)
    limit = f_0_test + J_test @ J.T @ np.linalg.solve(K, Y - f_0)
    return {
        "optimizer": name,
        "seed": seed,
        "sigma": study.optimizer_sigma,
        "split": study.split if "sgd" in name else None,
        "learning_rate": learning_rate,
        "outcome_linearized": "converged",
        "outcome": "converged",
        "steps_linearized": t,
        "steps_taken": taken,
        "final_loss_linearized": final,
        "final_loss": real_walk[taken][1],
        "test_loss_minimizer": loss(limit, Y_test),
        "test_loss_linearized": loss(linear, Y_test),
        "test_loss_network": loss(real, Y_test),
        "test_loss_interpolating": loss(interpolating, Y_test),
        "accuracy_linearized": accuracy(linear, Y_test),
        "accuracy_network": accuracy(real, Y_test),
        "accuracy_interpolating": accuracy(interpolating, Y_test),
        "path_dependent_size": rms(linear - interpolating),
        "minimizer_distance_linearized": rms(linear - limit),
        "minimizer_distance": rms(real - limit),
        "gd_distance": rms(real - gd),
        "distance": rms(real - f_0_test - J_test @ walk[taken][0]),
    }


@pytest.mark.parametrize("name", METHODS)
def test_every_number_is_that_of_the_definition(name):
    study = config(optimizers=dict.fromkeys((name, "gd")), seeds=(2,))
    record = {r.optimizer: r for r in optimizer_results(study)}[name]
    expected = by_hand(study, name, 2, record.learning_rate)
    actual = dataclasses.asdict(record)
    assert actual.keys() == expected.keys()
    assert expected["steps_linearized"] > 5
    for key, value in expected.items():
        if isinstance(value, str | int | None):
            assert actual[key] == value, key
        else:
            # What vanishes, does so up to the rounding of outputs of the order of 1.
            assert actual[key] == pytest.approx(value, rel=1e-8, abs=1e-13), key
    if not METHODS[name].adaptive:
        assert actual["path_dependent_size"] < 1e-13


@pytest.mark.compiled
def test_what_the_theorems_say_shows():
    """D constant: GD's minimizer whatever the batches; D changing: another one (Thms 3 to 6)."""
    study = config(optimizers=tuple(METHODS), until=1e-10, train=False)
    found = {r.optimizer: r for r in optimizer_results(study)}
    for name, record in found.items():
        near = record.minimizer_distance_linearized < 1e-3
        assert near == (not METHODS[name].adaptive), name
        assert record.outcome_linearized == "converged"


def losses_of(study, name, learning_rate, steps=400):
    X, Y, _, _ = study.arrays
    net = study.network(study.optimizer_sigma)
    theta = net.init(0)
    J, f_0 = net.jacobian(theta, X), net.apply(theta, X)
    walk = naive.linearized_training(
        J, f_0, Y, rule(name, learning_rate), weights(study, name, 0, steps)
    )
    history = np.array([state[2] for state in walk])
    below = np.flatnonzero(history < study.until)
    return history[: below[0] + 1] if len(below) else history


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_rate_is_the_largest_whose_loss_only_falls(name, monkeypatch):
    searches = []

    def spy(*args, **settings):
        searches.append(ntklin.search_learning_rate(*args, **settings))
        return searches[-1]

    monkeypatch.setattr(rates, "search_learning_rate", spy)
    study = config(optimizers=(name,), train=False)
    (record,) = optimizer_results(study)
    (search,) = searches
    assert record.learning_rate == search.learning_rate
    assert search.rising <= 1.2 * record.learning_rate
    falling = losses_of(study, name, record.learning_rate)
    assert (np.diff(falling) < 0).all()
    assert falling[-1] < study.until
    assert (np.diff(losses_of(study, name, search.rising)) > 0).any()


def test_a_late_rise_is_found():
    """RMSprop's loss rises near its end."""
    study = config(optimizers=("rmsprop",), until=1e-5, train=False)
    (record,) = optimizer_results(study)
    assert record.steps_linearized > 8
    assert (np.diff(losses_of(study, "rmsprop", record.learning_rate)) < 0).all()
    assert (np.diff(losses_of(study, "rmsprop", 1.3 * record.learning_rate)) > 0).any()


@pytest.mark.parametrize("kind", [ntklin.AdaGrad, ntklin.RMSprop, ntklin.Adam])
def test_the_search_starts_at_the_best_first_step(kind):
    study = config()
    X, Y, _, _ = study.arrays
    net = study.network(1.3)
    theta = net.init(0)
    lin = ntklin.linearize(net, theta, X)
    rate = rates.best_first_step(lin, Y, kind(1.0))
    name = kind.__name__.lower()
    first = {s: losses_of(study, name, s * rate, 1)[1] for s in (0.99, 1.0, 1.01, 2.0)}
    assert first[1.0] < min(first[0.99], first[1.01])
    assert first[2.0] == pytest.approx(losses_of(study, name, rate, 1)[0], rel=1e-9)


def test_one_search_serves_an_optimizer_with_and_without_batches(monkeypatch):
    searched = []

    def spy(*args, **settings):
        searched.append(type(args[2]).__name__)
        return rates.search_monotone(*args, **settings)

    monkeypatch.setattr(ends, "search_monotone", spy)
    names = ("adam-sgd", "adam", "adagrad", "adagrad-sgd")
    found = list(optimizer_results(config(optimizers=names, seeds=(0, 1), train=False)))
    assert searched == ["Adam", "AdaGrad"] * 2
    alone = list(optimizer_results(config(optimizers=("adam",), seeds=(0, 1), train=False)))
    assert [r for r in found if r.optimizer == "adam"] == alone


SCHEDULES = {
    "warmup:8": lambda t: 1 / 3 + 2 / 3 * min(t, 8) / 8,
    "step:20:0.5 * warmup:4:0.1": lambda t: 0.5 ** (t // 20) * (0.1 + 0.9 * min(t, 4) / 4),
    "cosine:300:0.2": lambda t: 0.2 + 0.4 * (1 + math.cos(math.pi * t / 300)),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ["sgd+momentum", "adam"])
def test_a_schedule_multiplies_the_rate_of_both_networks(name, schedule):
    study = config(optimizers=(name,), schedule=schedule, seeds=(2,))
    (record,) = optimizer_results(study)
    X, Y, X_test, Y_test = study.arrays
    net = study.network(study.optimizer_sigma)
    theta = net.init(rng=2)
    step = rule(name, lambda t: record.learning_rate * SCHEDULES[schedule](t))
    J, shares = net.jacobian(theta, X), weights(study, name, 2, 400)
    walk = naive.linearized_training(J, net.apply(theta, X), Y, step, shares)
    assert record.steps_linearized == until_below(study, walk, 2)
    plain = SimpleNamespace(**vars(net) | {"activation": net.activation.name})
    real = naive.training(plain, theta, X, Y, step, shares)
    assert record.steps_taken == until_below(study, real, 1)
    end = net.apply(real[record.steps_taken][0], X_test)
    assert record.test_loss_network == pytest.approx(loss(end, Y_test), rel=1e-8)


@pytest.mark.parametrize("name", ["sgd", "adamw", "adagrad"])
def test_weight_decay_is_that_of_all_but_gd(name):
    study = config(optimizers=("gd", name), weight_decay=0.02, max_steps=60)
    gd, record = optimizer_results(study)
    (alone,) = optimizer_results(config(optimizers=("gd",), max_steps=60))
    assert gd == alone
    X, Y, X_test, _ = study.arrays
    net = study.network(study.optimizer_sigma)
    theta = net.init(rng=0)
    options = {"weight_decay": 0.02, "decoupled": name == "adamw"}
    step, shares = rule(name, record.learning_rate, **options), weights(study, name, 0, 60)
    J, f_0 = net.jacobian(theta, X), net.apply(theta, X)
    walk = naive.linearized_training(J, f_0, Y, step, shares, theta0=theta)
    t = record.steps_linearized
    assert record.final_loss_linearized == pytest.approx(walk[t][2], rel=1e-8)
    limit = J.T @ np.linalg.solve(J @ J.T, Y - f_0)
    away = rms(net.jacobian(theta, X_test) @ (walk[t][0] - limit))
    assert record.minimizer_distance_linearized == pytest.approx(away, rel=1e-7)


class Listener(StudyObserver):
    def __init__(self):
        self.heard = []

    def started(self, optimizer, seed):
        self.heard.append(("started", optimizer, seed))

    def searched(self, learning_rate, step, loss):
        self.heard.append(("searched", learning_rate, step, loss))

    def linearized(self, step, loss):
        self.heard.append(("linearized", step, loss))

    def predicted(self, initial_loss, steps):
        self.heard.append(("predicted", initial_loss, steps))

    def trained(self, step, loss):
        self.heard.append(("trained", step, loss))

    def finished(self, record):
        self.heard.append(("finished", record))


def test_gradient_descent_comes_first_and_observers_hear_everything():
    listener = Listener()
    study = config(optimizers=("adagrad-sgd", "gd"), seeds=(4, 1))
    found = list(optimizer_results(study, observer=listener))
    order = [("gd", 4), ("adagrad-sgd", 4), ("gd", 1), ("adagrad-sgd", 1)]
    assert [(r.optimizer, r.seed) for r in found] == order
    assert [event[1:] for event in listener.heard if event[0] == "started"] == order
    assert [event[1] for event in listener.heard if event[0] == "finished"] == found
    last = listener.heard[listener.heard.index(("started", "adagrad-sgd", 1)) :]
    kinds = [kind for kind, _ in itertools.groupby(event[0] for event in last)]
    record = found[-1]
    assert kinds[:5] == ["started", "searched", "linearized", "predicted", "trained"]
    assert ("linearized", record.steps_linearized, record.final_loss_linearized) in last
    assert ("trained", record.steps_taken, record.final_loss) in last
    (expected,) = (event for event in last if event[0] == "predicted")
    assert expected[2] == record.steps_linearized
    assert record.learning_rate in {event[1] for event in last if event[0] == "searched"}


def test_what_the_sweep_trained_is_not_trained_again(monkeypatch):
    study = config(sigmas=(1.3, 0.5), seeds=(0, 1))
    alone = list(optimizer_results(study))
    sweep = list(scale_results(study))
    calls, train_real = [], ends.train_real

    def spy(*args, **settings):
        calls.append(args[3])
        return train_real(*args, **settings)

    monkeypatch.setattr(ends, "train_real", spy)
    after = list(optimizer_results(study, sweep))
    assert after == alone
    assert [type(optimizer) for optimizer in calls] == [ntklin.AdaGrad] * 2
    assert {r.seed: r.distance for r in sweep if r.sigma == 1.3} == {
        r.seed: r.distance for r in after if r.optimizer == "gd"
    }


def test_the_trained_gd_network_is_a_reference_only_where_there_is_one():
    study = config(optimizers=("adagrad",), sigmas=(1.3,))
    (alone,) = optimizer_results(study)
    assert alone.gd_distance is None
    (beside,) = optimizer_results(study, list(scale_results(study)))
    assert beside.gd_distance > 0
    assert dataclasses.replace(beside, gd_distance=None) == alone


def test_without_training_the_linearized_networks_remain(monkeypatch):
    monkeypatch.setattr(ends, "train_real", None)
    study = config(optimizers=("gd", "sgd", "adam"), train=False)
    missing = ("steps_taken", "final_loss", "test_loss_network", "minimizer_distance")
    for record in optimizer_results(study):
        assert record.outcome == "not trained"
        values = [getattr(record, name) for name in (*missing, "gd_distance", "distance")]
        assert values == [None] * 6
        assert record.test_loss_linearized > 0


def test_a_start_at_the_target_needs_no_step_and_no_rate():
    study = config(optimizers=tuple(METHODS), until=1e3)
    for record in optimizer_results(study):
        assert (record.steps_linearized, record.steps_taken) == (0, 0)
        assert record.learning_rate is None
        assert record.distance == record.gd_distance == 0
        assert record.test_loss_network == pytest.approx(record.test_loss_linearized)
        assert record.path_dependent_size < 1e-13


def orthogonal():
    """Eight orthogonal inputs: each alone is as steep as all of them together."""
    X = np.eye(8)
    return ntklin.Dataset(
        name="orthogonal",
        X_train=X,
        Y_train=np.tile([0.0, 1.0], 4),
        X_test=X[:3] * 0.5,
        Y_test=np.zeros(3),
        provenance="made here",
    )


def test_a_rate_that_small_batches_do_not_bear_is_halved():
    """Alone, each input has eight times the curvature of the mean: η K_nn = 4, stable below 2."""
    names, single = ("gd", "sgd", "adagrad-sgd"), {"hidden_widths": (), "bias": "none"}
    study = config(optimizers=names, data=orthogonal(), split=0.125, **single)
    gd, sgd, adagrad = optimizer_results(study)
    assert {r.outcome for r in (gd, sgd, adagrad)} == {"converged"}
    assert {r.outcome_linearized for r in (gd, sgd, adagrad)} == {"converged"}
    assert sgd.learning_rate == gd.learning_rate / 4  # at a half it neither falls nor rises
    assert sgd.minimizer_distance_linearized < 0.1


def test_divergence_is_told_where_no_rate_helps(monkeypatch):
    monkeypatch.setattr(ends, "HALVINGS", 0)
    single = {"hidden_widths": (), "bias": "none"}
    study = config(optimizers=("sgd", "gd"), data=orthogonal(), split=0.125, **single)
    gd, sgd = optimizer_results(study)
    assert (gd.outcome_linearized, gd.outcome) == ("converged", "converged")
    assert (sgd.outcome_linearized, sgd.outcome) == ("diverged", "diverged")
    assert sgd.steps_linearized > 0
    assert sgd.steps_taken > 0
    assert (sgd.test_loss_linearized, sgd.test_loss_network, sgd.distance) == (None, None, None)
    assert sgd.learning_rate == gd.learning_rate


@pytest.mark.parametrize("outcome", ["step limit", "diverged"])
def test_a_rate_at_which_the_real_network_fails_is_halved(outcome, monkeypatch):
    (plain,) = optimizer_results(config(optimizers=("adam",)))
    tried, train_real = [], ends.train_real

    def failing(config, net, theta, optimizer, **settings):
        tried.append((optimizer.learning_rate, settings["steps"]))
        if optimizer.learning_rate > plain.learning_rate / 3:
            return RealEnd(outcome, 17)
        return train_real(config, net, theta, optimizer, **settings)

    monkeypatch.setattr(ends, "train_real", failing)
    (record,) = optimizer_results(config(optimizers=("adam",)))
    assert [rate for rate, _ in tried] == [plain.learning_rate / 2**k for k in range(3)]
    assert record.learning_rate == plain.learning_rate / 4
    assert (record.outcome_linearized, record.outcome) == ("converged", "converged")
    assert record.steps_linearized > 2 * plain.steps_linearized
    assert tried[-1][1] == 10 * max(record.steps_linearized, ends.FEW_STEPS)


def test_a_limit_of_the_users_and_a_slow_real_network_are_no_failures(monkeypatch):
    tried = []

    def slow(config, net, theta, optimizer, **settings):
        tried.append(type(optimizer))
        return RealEnd("step limit", 17, 1.0, np.zeros(N_TEST))

    monkeypatch.setattr(ends, "train_real", slow)
    list(optimizer_results(config(optimizers=("adam",), max_steps=17)))
    list(optimizer_results(config(optimizers=("sgd",))))
    assert tried == [ntklin.Adam, ntklin.GradientDescent]
    del tried[:]
    (record,) = optimizer_results(config(optimizers=("adam",)))
    assert tried == [ntklin.Adam] * (1 + ends.HALVINGS)
    assert record.outcome == "step limit"


def test_the_step_limit_ends_both_networks():
    study = config(optimizers=("sgd", "adam"), max_steps=3)
    for record in optimizer_results(study):
        assert (record.outcome_linearized, record.outcome) == ("step limit", "step limit")
        assert (record.steps_linearized, record.steps_taken) == (3, 3)
        assert record.final_loss_linearized > study.until
        assert record.distance is not None


def test_how_long_a_trial_may_take():
    patient, hasty = config(max_steps=None), config(max_steps=70)
    assert (patient.horizon(20), patient.horizon(5000)) == (1000, 5000)
    assert (hasty.horizon(20), hasty.horizon(5000)) == (70, 70)


@pytest.mark.parametrize("stage", ["searched", "linearized", "trained"])
def test_ctrl_c_keeps_the_records_before_it(stage):
    def strike(*args):
        raise KeyboardInterrupt

    class Impatient(StudyObserver):
        def started(self, optimizer, seed):
            if optimizer == "adam-sgd":
                setattr(self, stage, strike)

    found = []
    with pytest.raises(KeyboardInterrupt, match="interrupted after"):
        found.extend(optimizer_results(config(optimizers=("gd", "adam-sgd")), (), Impatient()))
    assert [record.optimizer for record in found] == ["gd"]


def test_what_is_announced_is_kept():
    class Interrupted(StudyObserver):
        def finished(self, record):
            raise KeyboardInterrupt("pressed")

    found = []
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        found.extend(optimizer_results(config(), (), Interrupted()))
    assert [record.optimizer for record in found] == ["gd"]


@pytest.mark.filterwarnings("error")
def test_rising_losses_of_real_networks_are_not_warned_of():
    """A narrow network under the linearized one's largest rate: its loss rises."""
    study = config(optimizers=("adagrad",), hidden_widths=(2,), until=1e-3, seeds=(5,))
    assert list(optimizer_results(study))


def test_float32_stays_float32():
    (record,), (exact,) = (
        optimizer_results(config(optimizers=("adagrad",), dtype=dtype))
        for dtype in ("float32", "float64")
    )
    assert record.test_loss_linearized == pytest.approx(exact.test_loss_linearized, rel=1e-3)
    assert record.test_loss_linearized != exact.test_loss_linearized


def twins():
    data = dataset()
    X, Y = (np.concatenate([a, a[1:2]]) for a in (data.X_train, data.Y_train))
    return dataclasses.replace(data, X_train=X, Y_train=Y)


def test_inputs_that_occur_twice_need_a_rank_cut():
    study = config(data=twins(), train=False)
    for refused in (lambda: require_comparable(study), lambda: list(optimizer_results(study))):
        with pytest.raises(DegenerateKernelError, match=r"at σ = 1.3, seed 0: .*--rcond"):
            refused()
    cut = dataclasses.replace(study, rcond=1e-10)
    require_comparable(cut)
    for record in optimizer_results(cut):
        # The cut part fits the twins, which agree, so that the split is still one.
        assert math.isfinite(record.path_dependent_size)
    assert record.optimizer == "adagrad"


def test_a_method_s_singular_kernel_is_told_with_its_name(monkeypatch):
    def singular(*arguments):
        raise DegenerateKernelError("K_D(X, X) is singular")

    monkeypatch.setattr("ntklin.apps.study.optimizer_comparison.tuned_ends", singular)
    found = optimizer_results(config(("adagrad",), train=False))
    told = r"^AdaGrad at σ = 1.3, seed 0: K_D\(X, X\) is singular\. .*--rcond"
    with pytest.raises(DegenerateKernelError, match=told):
        next(found)


def test_nothing_is_checked_where_nothing_is_compared():
    require_comparable(config(optimizers=(), data=twins()))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"optimizers": ("gd", "lion")},
            ValueError,
            r"contains 'lion'; known are gd, sgd, gd\+mom",
        ),
        ({"optimizers": ("sgd", "gd", "sgd")}, ValueError, "contains sgd more than once"),
        ({"optimizers": "gd"}, TypeError, "a sequence of names, got the string 'gd'"),
        ({"optimizer_sigma": 0}, ValueError, "optimizer_sigma must be positive"),
        ({"split": 0}, ValueError, "split must be positive"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be finite and at least 0, got -1"),
        ({"schedule": 3}, TypeError, "schedule must be a text such as 'cosine:5000', got 3"),
        ({"schedule": "linear:3"}, ValueError, "the factor 'linear:3'; a factor is one of cosine:"),
        ({"schedule": "step:5:2:1"}, ValueError, "the factor 'step:5:2:1'; a factor is one of"),
        ({"schedule": "warmup:9*"}, ValueError, "the factor ''; a factor is one of"),
        ({"schedule": "cosine:0"}, ValueError, "'cosine:0': steps must be at least 1, got 0; a"),
        ({"split": 1.5}, ValueError, r"split is a share of the samples, in \(0, 1\], got 1.5"),
    ],
)
def test_bad_configurations_are_refused_before_any_work(changes, error, message):
    with pytest.raises(error, match=message):
        config(**changes)


def test_the_description_names_the_comparison():
    described = config(optimizers=("adam", "gd")).describe()
    assert described["optimizers"] == ["gd", "adam"]
    assert (described["optimizer_sigma"], described["split"]) == (1.3, 0.5)


def record(optimizer, seed, distance=0.1, outcome="converged"):
    return OptimizerResult(
        optimizer=optimizer,
        seed=seed,
        sigma=1.3,
        learning_rate=0.5,
        outcome_linearized="converged",
        outcome=outcome,
        steps_linearized=10,
        steps_taken=12,
        test_loss_minimizer=0.1,
        minimizer_distance=distance,
    )


def test_rows_per_optimizer():
    study = config(optimizers=("adam", "gd"), sigmas=(1.0,), seeds=(0, 1))
    swept = tuple(test_study.record(1.0, seed) for seed in (0, 1))
    found = (record("gd", 0, 1.0), record("adam", 0, 2.0), record("gd", 1, 3.0, "diverged"))
    result = StudyResult(study, swept, found)
    gd, adam = result.optimizer_rows
    assert (gd.optimizer, adam.optimizer) == ("gd", "adam")
    assert gd.statistics["minimizer_distance"].mean == 2.0
    assert gd.statistics["minimizer_distance"].std == pytest.approx(math.sqrt(2))
    assert gd.outcomes == {"converged": 1, "diverged": 1}
    assert gd.outcomes_linearized == {"converged": 2}
    assert adam.statistics["distance"] is None
    assert adam.statistics["learning_rate"].n == 1
    assert (result.complete, result.expected) == (False, 6)
    assert StudyResult(study, swept, (*found, record("adam", 1))).complete
