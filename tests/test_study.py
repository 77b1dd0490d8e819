"""The initialization study: its numbers, computed again from the dense Jacobian step by step."""

import dataclasses
import math

import numpy as np
import pytest

import ntklin
from ntklin.apps.study import (
    ScaleResult,
    StudyConfig,
    StudyObserver,
    StudyResult,
    default_hidden_widths,
    scale_results,
)
from ntklin.apps.study import real as real_module
from ntklin.apps.study.infinite_width import InfiniteWidth
from ntklin.apps.study.study_result import fit_power_law, statistic
from ntklin.edge import checks
from ntklin.edge.errors import DegenerateKernelError, DivergenceError, MemoryLimitError
from ntklin.runs.stops import Horizon
from ntklin.training.train import run_task

N, N_TEST, D = 4, 3, 5


def dataset(n_test=N_TEST, seed=3, n=N, n_classes=2):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + n_test, D))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Y = rng.integers(0, n_classes, n + n_test).astype(float)
    if n_classes > 2:
        Y = np.eye(n_classes)[Y.astype(int)]
    return ntklin.Dataset(
        name="gauss",
        X_train=X[:n],
        Y_train=Y[:n],
        X_test=X[n:],
        Y_test=Y[n:],
        provenance="drawn here",
    )


def config(**changes):
    settings = {
        "data": dataset(),
        "hidden_widths": (7,),
        "sigmas": (0.5, 1.0, 2.0),
        "until": 1e-2,
        "max_steps": 5000,
    }
    return StudyConfig(**settings | changes)


def loss(f, Y):
    return float(np.sum((f - Y) ** 2) / (2 * len(Y)))


def by_hand(study, sigma, seed, infinite=True):
    """The record's numbers from dense linear algebra and explicit gradient steps; outputs flat."""
    data = study.data
    X, X_test, C = data.X_train, data.X_test, data.n_outputs
    Y, Y_test = data.Y_train.ravel(), data.Y_test.ravel()
    kinds = {"bias": study.bias, "scaling": study.scaling, "activation": study.activation}
    net = ntklin.MLP((D, *study.hidden_widths, C), sigma=sigma, **kinds)
    theta = net.init(rng=seed)

    def apply(theta, X):
        return net.apply(theta, X).ravel()

    def loss(f, Y):
        return float(np.sum((f - Y) ** 2) / (2 * len(Y) / C))

    def accuracy(f):
        if C == 1:
            return float(np.mean((f > 0.5) == (Y_test > 0.5)))
        return float(np.mean(f.reshape(-1, C).argmax(1) == Y_test.reshape(-1, C).argmax(1)))

    J, J_test = net.jacobian(theta, X), net.jacobian(theta, X_test)
    f_0, f_0_test = apply(theta, X), apply(theta, X_test)
    K = J @ J.T
    lambdas = np.linalg.eigvalsh(K)
    rate = 0.5 * N / lambdas[-1]

    # The linearized network, step by step on its parameters.
    moved, steps = np.zeros_like(theta), 0
    while loss(f_0 + J @ moved, Y) >= study.until:
        moved -= rate / N * J.T @ (f_0 + J @ moved - Y)
        steps += 1

    # The real network, step by step with a fresh Jacobian.
    trained, taken = theta.copy(), 0
    while loss(apply(trained, X), Y) >= study.until:
        trained -= rate / N * net.jacobian(trained, X).T @ (apply(trained, X) - Y)
        taken += 1
    f_real = apply(trained, X_test)
    moved = np.zeros_like(theta)
    for _ in range(taken):
        moved -= rate / N * J.T @ (f_0 + J @ moved - Y)
    f_lin = f_0_test + J_test @ moved

    f_int = J_test @ J.T @ np.linalg.solve(K, Y)
    f_init = f_0_test - J_test @ J.T @ np.linalg.solve(K, f_0)
    return {
        "sigma": sigma,
        "seed": seed,
        "lambda_min": lambdas[0],
        "lambda_max": lambdas[-1],
        "learning_rate": rate,
        "initial_loss": loss(f_0, Y),
        "steps_predicted": steps,
        "outcome": "converged",
        "steps_taken": taken,
        "final_loss": loss(apply(trained, X), Y),
        "test_loss_interpolator": loss(f_int, Y_test),
        "test_loss_minimizer": loss(f_int + f_init, Y_test),
        "test_loss_linearized": loss(f_lin, Y_test),
        "test_loss_network": loss(f_real, Y_test),
        "accuracy_interpolator": accuracy(f_int),
        "accuracy_minimizer": accuracy(f_int + f_init),
        "accuracy_linearized": accuracy(f_lin),
        "accuracy_network": accuracy(f_real),
        "distance": float(np.linalg.norm(f_real - f_lin) / math.sqrt(N_TEST)),
        "initialization_size": float(np.linalg.norm(f_init) / math.sqrt(2 * N_TEST)),
        "initialization_size_infinite": infinite_size(net, X, X_test) if infinite else None,
    }


def infinite_size(net, X, X_test):
    """√(C mean_x E f_init(x)²/2) for f_init = f_0(X_T) − S f_0(X), by f_0's covariance."""
    both = np.concatenate([X_test, X])
    theta, sigma = ntklin.infinite_ntk(net, both), ntklin.infinite_nngp(net, both)
    S = np.linalg.solve(theta[N_TEST:, N_TEST:], theta[N_TEST:, :N_TEST]).T
    left = np.concatenate([np.eye(N_TEST), -S], axis=1)
    return math.sqrt(net.n_outputs * np.trace(left @ sigma @ left.T) / (2 * N_TEST))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bias": "none"},
        {"hidden_widths": (6, 5)},
        {"bias": "normal"},
        {"data": dataset(n_classes=3)},
        {"data": dataset(n_classes=4), "hidden_widths": (20, 15), "scaling": "fan_in"},
    ],
)
def test_every_number_is_that_of_the_definition(changes):
    study = config(**{"sigmas": (1.3,), "seeds": (2,)} | changes)
    (record,) = scale_results(study)
    expected = by_hand(study, 1.3, 2)
    assert expected["steps_taken"] > 5
    actual = record.numbers()
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, str | int):
            assert actual[name] == value, name
        else:
            assert actual[name] == pytest.approx(value, rel=1e-9), name
    assert record.compared_at == record.steps_taken


@pytest.mark.compiled
def test_the_term_of_thm_2_is_that_of_infinite_width_on_average():
    """Over initializations of a wide network; its mean square has χ²'s spread at most."""
    n_seeds = 200
    study = config(
        data=dataset(n_classes=3),
        hidden_widths=(600,),
        sigmas=(1.2,),
        seeds=range(n_seeds),
        train=False,
    )
    squares = np.array([r.initialization_size**2 for r in scale_results(study)])
    expected = next(iter(InfiniteWidth.of(study).sizes.values())) ** 2
    error = 5 * squares.std() / math.sqrt(n_seeds)
    assert error < expected / 4
    assert squares.mean() == pytest.approx(expected, abs=error)


def test_a_kernel_that_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    """N C = 180 rows, 5 arrays of them; P and the gradients are small beside it."""
    data = dataset(n=60, n_classes=3)
    study = config(data=data, hidden_widths=(200,), until=0.4, train=False, sigmas=(1.0,))
    monkeypatch.setattr(checks, "available_memory", lambda: 5 * 8 * 180**2 - 1)
    message = "factorizing the kernel of 60 training inputs with 3 outputs each"
    with pytest.raises(MemoryLimitError, match=message):
        list(scale_results(study))
    monkeypatch.setattr(checks, "available_memory", lambda: 50 * 8 * 180**2)
    (record,) = scale_results(study)
    assert record.lambda_min > 0


@pytest.mark.compiled
def test_the_papers_term_of_thm_2():
    """MNIST 0/1, L = 2, N = 100: E J² = 0.02403; without biases a power of σ, exactly."""
    study = StudyConfig(data=ntklin.load_data("mnist01"), sigmas=(1.0,))
    assert InfiniteWidth.of(study).sizes[1.0] ** 2 == pytest.approx(0.02403, rel=3e-4)
    bare = dataclasses.replace(study, sigmas=(1.0, 2.0), bias="none")
    sizes = InfiniteWidth.of(bare).sizes
    assert sizes[2.0] == pytest.approx(4 * sizes[1.0], rel=1e-8)


def test_where_there_is_no_infinite_width_that_is_said():
    study = config(scaling="eq1", train=False)
    result = StudyResult(study, tuple(scale_results(study)))
    assert "no infinite-width limit" in result.infinite_width_missing
    assert {r.initialization_size_infinite for r in result.scale_results} == {None}
    assert result.rows[0].statistics["initialization_size_infinite"] is None


def test_other_activations():
    """The sweep takes them; a power of σ is predicted for homogeneous ones only."""
    for name, power in (("tanh", None), ("leaky_relu(0.2)", 2)):
        study = config(activation=name, scaling="fan_in", sigmas=(1.3,), hidden_widths=(40,))
        assert study.power == power
        assert study.describe()["activation"] == name
        (record,) = scale_results(study)
        expected = by_hand(study, 1.3, 0, infinite=False)
        for key in ("lambda_max", "test_loss_minimizer", "test_loss_network", "distance"):
            assert record.numbers()[key] == pytest.approx(expected[key], rel=1e-9), key
        assert record.outcome == "converged"
    with pytest.raises(TypeError, match="activation must be a name, got NamedActivation"):
        config(activation=ntklin.MLP((2, 2, 1)).activation)


def test_targets_of_no_classes_have_no_accuracy():
    data = dataclasses.replace(dataset(), Y_train=np.linspace(0, 1, N))
    (record,) = scale_results(config(data=data, sigmas=(1.0,)))
    assert record.accuracy_network is None
    assert record.test_loss_network is not None


def test_the_order_is_seed_by_seed_and_observers_hear_everything():
    heard = []

    class Listener(StudyObserver):
        def started(self, sigma, seed):
            heard.append(("started", sigma, seed))

        def predicted(self, initial_loss, steps):
            heard.append(("predicted", initial_loss, steps))

        def trained(self, step, loss):
            heard.append(("trained", step, loss))

        def finished(self, record):
            heard.append(("finished", record))

    study = config(sigmas=(2.0, 0.5), seeds=(4, 1))
    found = list(scale_results(study, Listener()))
    assert [(r.seed, r.sigma) for r in found] == [(4, 2.0), (4, 0.5), (1, 2.0), (1, 0.5)]
    assert [event[1:] for event in heard if event[0] == "started"] == [
        (2.0, 4),
        (0.5, 4),
        (2.0, 1),
        (0.5, 1),
    ]
    assert [event[1] for event in heard if event[0] == "finished"] == found
    predictions = [event[1:] for event in heard if event[0] == "predicted"]
    assert predictions == [(r.initial_loss, r.steps_predicted) for r in found]
    last = [event for event in heard if event[0] == "trained"][-1]
    assert last[1:] == (found[-1].steps_taken, found[-1].final_loss)


@pytest.mark.parametrize("widths", [(), (7,), (6, 5)])
def test_all_scales_share_one_draw(widths):
    """Without biases f_init ∝ σ^L and f_int does not change: exact only for the same θ_0."""
    study = config(hidden_widths=widths, bias="none", train=False, seeds=(0, 1))
    result = StudyResult(study, tuple(scale_results(study)))
    depth = len(widths) + 1
    assert result.slope.mean == pytest.approx(depth, abs=1e-9)
    assert result.slope.std == pytest.approx(0, abs=1e-9)
    for seed in study.seeds:
        losses = [r.test_loss_interpolator for r in result.scale_results if r.seed == seed]
        assert losses == pytest.approx([losses[0]] * 3, rel=1e-9)
    sizes = {r.initialization_size for r in result.scale_results if r.sigma == 1.0}
    assert len(sizes) == 2


def test_without_training_only_the_closed_forms_remain(monkeypatch):
    monkeypatch.setattr(real_module, "run_task", None)
    study = config(sigmas=(1.0,), train=False)
    (record,) = scale_results(study)
    assert record.outcome == "not trained"
    missing = ("steps_taken", "final_loss", "test_loss_network", "distance")
    assert [getattr(record, name) for name in missing] == [None] * 4
    assert record.compared_at == record.steps_predicted
    expected = by_hand(study, 1.0, 0)
    assert record.steps_predicted == expected["steps_predicted"]


def test_the_step_limit_ends_training_and_the_comparison_follows_it():
    study = config(sigmas=(1.0,), max_steps=3)
    (record,) = scale_results(study)
    assert (record.outcome, record.steps_taken, record.compared_at) == ("step limit", 3, 3)
    assert record.final_loss > study.until
    net = study.network(1.0)
    gd = ntklin.linearize(net, net.init(0), study.data.X_train).gradient_descent(study.data.Y_train)
    after_three = loss(gd.predict(study.data.X_test, 3), study.data.Y_test)
    assert record.test_loss_linearized == pytest.approx(after_three, rel=1e-12)


def test_patience_ends_at_ten_times_the_prediction(monkeypatch):
    limits = []

    def stuck(task, horizon, **settings):
        limits.append(horizon.steps)
        return run_task(task, Horizon(2, None))

    monkeypatch.setattr(real_module, "run_task", stuck)
    (record,) = scale_results(config(sigmas=(1.0,), max_steps=None))
    assert limits == [10 * record.steps_predicted]
    assert record.outcome == "step limit"
    assert config(max_steps=None).step_limit(0) == 10


def test_divergence_leaves_the_closed_forms(monkeypatch):
    def diverge(*args, **kwargs):
        return DivergenceError("too fast", learning_rate=1.0, bound=0.5, step=17)

    monkeypatch.setattr(real_module, "run_task", diverge)
    study = config(sigmas=(1.0, 2.0))
    found = list(scale_results(study))
    assert [(r.outcome, r.steps_taken, r.test_loss_network) for r in found] == [
        ("diverged", 17, None)
    ] * 2
    assert [r.compared_at for r in found] == [r.steps_predicted for r in found]


def test_ctrl_c_keeps_the_records_before_it():
    class Impatient(StudyObserver):
        def started(self, sigma, seed):
            self.sigma = sigma

        def trained(self, step, loss):
            if self.sigma == 2.0:
                raise KeyboardInterrupt

    study = config(until=1e-3)
    found = []
    with pytest.raises(KeyboardInterrupt, match="interrupted after"):
        found.extend(scale_results(study, Impatient()))
    assert [record.sigma for record in found] == [0.5, 1.0]
    result = StudyResult(study, tuple(found))
    assert not result.complete
    assert [row.sigma for row in result.rows] == [0.5, 1.0]


def test_what_is_announced_is_kept():
    class Interrupted(StudyObserver):
        def finished(self, record):
            raise KeyboardInterrupt("pressed")

    found = []
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        found.extend(scale_results(config(), Interrupted()))
    assert [record.sigma for record in found] == [0.5]


def test_float32_stays_float32():
    study = config(dtype="float32", sigmas=(1.0,))
    assert {a.dtype for a in study.arrays} == {np.dtype(np.float32)}
    (record,), (exact,) = scale_results(study), scale_results(config(sigmas=(1.0,)))
    assert record.lambda_max == pytest.approx(exact.lambda_max, rel=1e-5)
    assert record.lambda_max != exact.lambda_max


def test_parallel_rows_are_refused():
    data = dataset()
    X = data.X_train.copy()
    X[3] = X[1]
    study = config(data=dataclasses.replace(data, X_train=X))
    with pytest.raises(DegenerateKernelError, match=r"parallel features.*\(1, 3\).*--rcond"):
        list(scale_results(study))


def test_a_rank_cut_admits_inputs_that_occur_twice():
    """The cut minimizer is that of the distinct samples where the twins agree."""
    data = dataset()
    X, Y = (np.concatenate([a, a[1:2]]) for a in (data.X_train, data.Y_train))
    twins = config(data=dataclasses.replace(data, X_train=X, Y_train=Y), rcond=1e-12, train=False)
    for cut, plain in zip(scale_results(twins), scale_results(config(train=False)), strict=True):
        assert cut.lambda_min == pytest.approx(0, abs=1e-13 * cut.lambda_max)
        for name in ("test_loss_interpolator", "test_loss_minimizer", "initialization_size"):
            assert getattr(cut, name) == pytest.approx(getattr(plain, name), rel=1e-8)


# Uncompiled kernels warn where compiled ones overflow in silence.
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_sigma_beyond_floating_point_is_refused():
    with pytest.raises(ValueError, match=r"0\.5 N/λ_max underflows float64.*change sigma"):
        list(scale_results(config(sigmas=(1e100,))))


def test_an_unreachable_target_is_refused():
    """With d = 5 and no hidden layer K has rank 5 < N = 7."""
    study = config(data=dataset(n=7), hidden_widths=(), bias="none", until=1e-6)
    with pytest.raises(ValueError, match="never drops below 1e-06"):
        list(scale_results(study))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": "mnist01"}, TypeError, "data must be an ntklin.Dataset, got str"),
        ({"data": dataset(n_test=0)}, ValueError, "at least one test sample"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of float64, float32, got 'float16'"),
        ({"sigmas": ()}, ValueError, "sigmas is empty"),
        ({"sigmas": (1, -2)}, ValueError, r"sigmas\[1\] must be positive and finite"),
        ({"sigmas": (1, 2, 1.0)}, ValueError, "sigmas contains 1 more than once"),
        ({"seeds": ()}, ValueError, "seeds is empty"),
        ({"seeds": (0, -1)}, ValueError, r"seeds\[1\] must be at least 0, got -1"),
        ({"seeds": (1.5,)}, TypeError, r"seeds\[0\] must be an integer, got 1.5"),
        ({"rcond": 2}, ValueError, "rcond must be below 1"),
        ({"until": 0}, ValueError, "until must be positive"),
        ({"max_steps": 0}, ValueError, "max_steps must be at least 1"),
        ({"hidden_widths": (0,)}, ValueError, r"widths\[1\] must be at least 1"),
        ({"scaling": "He"}, ValueError, "scaling must be one of"),
        ({"bias": "yes"}, ValueError, "bias must be one of"),
    ],
)
def test_bad_configurations_are_refused_before_any_work(changes, error, message):
    with pytest.raises(error, match=message):
        config(**changes)


def test_the_default_widths_are_those_of_the_paper():
    assert default_hidden_widths(1) == ()
    assert default_hidden_widths(2) == (4000,)
    assert default_hidden_widths(3) == (2000, 2000)
    with pytest.raises(ValueError, match="depth must be at least 1"):
        default_hidden_widths(0)
    assert StudyConfig(data=dataset()).widths == (D, 4000, 1)


def test_the_description_is_plain():
    described = config(seeds=(1, 2)).describe()
    assert described["widths"] == [D, 7, 1]
    assert described["n_parameters"] == D * 7 + 7 + 7 + 1
    assert (described["classes"], described["activation"]) == ([], "relu")
    assert described["sigmas"] == [0.5, 1.0, 2.0]
    assert (described["n_train"], described["n_test"], described["depth"]) == (N, N_TEST, 2)


def record(sigma, seed, size=1.0, network=0.5, outcome="converged"):
    return ScaleResult(
        sigma=sigma,
        seed=seed,
        lambda_min=1.0,
        lambda_max=2.0,
        learning_rate=0.1,
        initial_loss=1.0,
        steps_predicted=10,
        outcome=outcome,
        steps_taken=12,
        test_loss_interpolator=0.1,
        test_loss_minimizer=0.2,
        test_loss_linearized=0.2,
        test_loss_network=network,
        initialization_size=size,
    )


def test_statistics_over_seeds():
    study = config(sigmas=(1.0, 2.0), seeds=(0, 1, 2))
    found = [record(1.0, s, network=x) for s, x in enumerate((1.0, 2.0, None))]
    found += [record(2.0, 0, outcome="diverged", network=None)]
    result = StudyResult(study, tuple(found))
    first, second = result.rows
    network = first.statistics["test_loss_network"]
    assert (network.mean, network.n) == (1.5, 2)
    assert network.std == pytest.approx(math.sqrt(0.5))
    assert second.statistics["test_loss_network"] is None
    assert second.outcomes == {"diverged": 1}
    assert first.outcomes == {"converged": 3}
    assert not result.complete
    assert statistic([3.0]).std is None
    assert statistic([None]) is None


def test_the_fitted_power_is_that_of_the_sizes():
    study = config(sigmas=(0.5, 1.0, 2.0), seeds=(0, 1))
    found = [record(s, 0, 3.0 * s**2) for s in study.sigmas]
    found += [record(s, 1, 12.0 * s**3) for s in study.sigmas]
    result = StudyResult(study, tuple(found))
    assert result.complete
    assert result.slope.mean == pytest.approx(2.5)
    assert result.slope.std == pytest.approx(math.sqrt(0.5))
    law = result.mean_power_law
    assert (law.exponent, law.coefficient) == (pytest.approx(2.5), pytest.approx(6.0))


def test_no_power_is_fitted_through_one_point_or_none():
    study = config(sigmas=(0.5, 1.0))
    alone = StudyResult(study, (record(1.0, 0),))
    assert (alone.slope, alone.mean_power_law) == (None, None)
    assert fit_power_law([0.5, 1.0, 2.0], [0.0, 1.0, 0.0]) is None
    assert fit_power_law([0.5, 1.0, 2.0], [0.0, 1.0, 4.0]).exponent == pytest.approx(2)
