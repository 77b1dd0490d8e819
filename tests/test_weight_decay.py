"""Weight decay, coupled and decoupled, and momentum of gradient descent, in every engine."""

import dataclasses
import json
from pathlib import Path

import naive
import numpy as np
import pytest
from networks import make_case
from tolerances import assert_close, assert_each_close

import ntklin
from ntklin.runs.descriptions import describe_optimizer, optimizer_from

pytestmark = [
    pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning"),
    pytest.mark.filterwarnings("ignore::ntklin.UnitBallWarning"),
]
HERE = Path(__file__)
GIVEN = json.loads(HERE.with_name("reference_optimizers.json").read_text("utf-8"))
STORED = json.loads(HERE.with_name("reference_decay.json").read_text("utf-8"))["runs"]
STEPS = 5
SCHEDULE = ntklin.StepSchedule(0.06, 2, 0.5)
DECAYING = {
    "descent": ntklin.GradientDescent(0.05, weight_decay=0.3),
    "descent, decoupled": ntklin.GradientDescent(SCHEDULE, weight_decay=0.3, decoupled=True),
    "momentum": ntklin.GradientDescent(SCHEDULE, 0.8, weight_decay=0.2),
    "nesterov": ntklin.GradientDescent(0.05, 0.8, True, 0.2),
    "nesterov, decoupled": ntklin.Momentum(0.05, 0.8, True, 0.2, True),
    "adagrad": ntklin.AdaGrad(SCHEDULE, 0.01, 0.2),
    "adagrad, decoupled": ntklin.AdaGrad(0.05, 0.01, 0.2, True),
    "rmsprop": ntklin.RMSprop(0.01, 0.9, 0.01, 0.2),
    "rmsprop, decoupled": ntklin.RMSprop(SCHEDULE, 0.9, 0.01, 0.2, True),
    "adam": ntklin.Adam(0.02, (0.8, 0.9), 0.01, 0.2),
    "adamw": ntklin.AdamW(SCHEDULE, (0.8, 0.9), 0.01, 0.3),
}
PLAIN = {
    "descent": ntklin.GradientDescent(0.1),
    "heavy ball": ntklin.GradientDescent(0.1, 0.5),
    "adamw of nothing": ntklin.AdamW(0.1, weight_decay=0.0),
}
each = pytest.mark.parametrize("optimizer", DECAYING.values(), ids=DECAYING)
NETWORKS = {
    "shallow": ((3, 6, 1), {}),
    "outputs": ((3, 5, 4, 2), {"bias": "normal", "activation": "tanh"}),
}


def loops(optimizer):
    """The same rule in `naive`."""
    options = dict(vars(optimizer))
    name = optimizer.rule if optimizer.rule in ("descent", "momentum") else None
    kind = type(optimizer).__name__.lower().removesuffix("w")
    return naive.optimizer(name or kind, options.pop("learning_rate"), **options)


def problem(network, dtype=np.float64):
    widths, options = NETWORKS[network]
    case = make_case(widths, seed=3, n=5, start="init", dtype=dtype, **options)
    Y = np.random.default_rng(4).uniform(0, 1, (5, widths[-1])[: 1 + (widths[-1] > 1)])
    return case, Y.astype(dtype)


def as_torch(entry):
    """The optimizer that a stored run was made with."""
    options = dict(entry["options"])
    kinds = {"SGD": "GradientDescent", "Adagrad": "AdaGrad"}
    return getattr(ntklin, kinds.get(entry["class"], entry["class"]))(options.pop("lr"), **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("entry", STORED, ids=lambda e: f"{e['class']}-{e['options']}")
def test_stored_values_of_pytorch(entry, dtype):
    optimizer = as_torch(entry)
    theta, gradients = (np.array(GIVEN[name], dtype) for name in ("theta", "gradients"))
    expected = np.array(entry[np.dtype(dtype).name], dtype)
    state, memory, size = optimizer.init(theta), {}, np.abs(theta.astype(float))
    step = loops(optimizer)
    for t, g in enumerate(gradients):
        memory["theta"] = theta.astype(float)
        size = size + np.abs(step(t, g.astype(float), memory)[0])
        theta, state = optimizer.update(state, theta, g)
        # PyTorch's own rounding is as large as ours.
        assert_each_close(theta, expected[t], scale=2 * size, kind="rule", n=t + 1)
        assert theta.dtype == dtype


@each
def test_steps_on_a_vector(optimizer):
    rng = np.random.default_rng(0)
    theta, *gradients = rng.standard_normal((7, 9))
    state, memory, step = optimizer.init(theta), {}, loops(optimizer)
    kept = [g.copy() for g in gradients]
    explicit = theta.copy()
    for t, g in enumerate(gradients):
        memory["theta"] = explicit
        change, D = step(t, g, memory)
        explicit = explicit + change
        theta, state = optimizer.update(state, theta, g)
        assert_close(theta, explicit, kind="rule", n=t + 1, kappa=10)
        if optimizer.rule not in ("descent", "momentum"):
            assert_close(optimizer.preconditioner(state), D, kind="rule", n=t + 1, kappa=10)
    np.testing.assert_array_equal(gradients, kept)


@each
@pytest.mark.parametrize("network", NETWORKS)
def test_training_of_the_real_network(network, optimizer):
    case, Y = problem(network)
    batches = [[0, 1], [3], [2, 4], [1, 3], [0, 2, 4]] if network == "shallow" else None
    weights = np.full((STEPS, 5), 0.2)
    for row, batch in zip(weights, batches or (), strict=False):
        row[:] = 0
        row[batch] = 1 / len(batch)
    walk = naive.training(case.reference, case.theta, case.X, Y, loops(optimizer), weights)
    run = ntklin.train(case.net, case.theta, case.X, Y, optimizer, STEPS, batches=batches)
    options = {"kind": "trajectory", "n": STEPS * case.n, "kappa": 100}
    assert run.method == "direct"
    assert_close(run.losses, [value for _, value in walk], **options)
    assert_close(run.parameters, walk[-1][0], **options)


@each
@pytest.mark.parametrize("network", NETWORKS)
def test_training_of_the_linearized_network(network, optimizer):
    """Decay is of θ, not of θ − θ_0."""
    case, Y = problem(network)
    lin = ntklin.linearize(case.net, case.theta, case.X)
    J, f0 = lin.features.toarray(), lin.initial_outputs
    walk = naive.linearized_training(
        *(J, f0, Y, loops(optimizer), np.full((STEPS, 5), 0.2)), theta0=case.theta
    )
    moved, f, _, D = walk[-1]
    options = {"kind": "trajectory", "n": STEPS * case.n, "kappa": 100}
    for method in ("auto", "direct"):
        run = lin.train(Y, optimizer, STEPS, method=method)
        expected = "reduced" if optimizer.rule in ("descent", "momentum") else "direct"
        assert run.method == (method if method != "auto" else expected)
        assert_close(run.losses, [value for _, _, value, _ in walk], **options)
        assert_close(run.displacement, moved, **options)
        assert_close(run.outputs, f, **options)
        np.testing.assert_allclose(run.weights * np.ones(len(D)), D, rtol=1e-9)
        split = run.interpolating(case.X) + run.path_dependent(case.X)
        assert_close(split, f, kind="solve", n=case.n, kappa=run.split.condition)
        assert_close(run.predict(case.X), f, **options)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_long_run_ends_at_the_minimizer_of_the_penalized_loss(network):
    """θ_∞ = φ^T (K + Nλ)^{-1} (Y − f_0 + φ θ_0), whatever the momentum."""
    case, Y = problem(network)
    lin, decay = ntklin.linearize(case.net, case.theta, case.X), 0.05
    J, K = lin.features.toarray(), lin.kernel
    target = (Y - lin.initial_outputs).reshape(-1) + J @ case.theta
    theta = J.T @ np.linalg.solve(K + 5 * decay * np.eye(len(K)), target)
    for optimizer in (
        ntklin.GradientDescent(weight_decay=decay),
        ntklin.GradientDescent(momentum=0.9, nesterov=True, weight_decay=decay),
        ntklin.GradientDescent(weight_decay=decay, decoupled=True),
    ):
        run = lin.train(Y, optimizer, 4000, until=1e-30)
        assert_close(run.displacement, theta - case.theta, kind="trajectory", n=case.n, kappa=1e3)


@pytest.mark.parametrize("decoupled", [False, True])
def test_the_bound_on_the_learning_rate_counts_the_decay(decoupled):
    case, Y = problem("shallow")
    lin = ntklin.linearize(case.net, case.theta, case.X)
    decay, largest = 0.7, lin.eigenvalues[-1] / 5
    cases = [({}, 2 / (largest + decay))]
    if not decoupled:
        mu = 0.6
        cases += [
            ({"momentum": mu}, 2 * (1 + mu) / (largest + decay)),
            (
                {"momentum": mu, "nesterov": True},
                2 * (1 + mu) / ((1 + 2 * mu) * (largest + decay)),
            ),
        ]
    for options, bound in cases:
        make = dataclasses.replace(
            ntklin.GradientDescent(0.98 * bound, weight_decay=decay, decoupled=decoupled), **options
        ).with_learning_rate
        assert lin.train(Y, make(0.98 * bound), 3000).losses[-1] < 10
        with pytest.raises(ntklin.DivergenceError, match=r"η < B/\(1 \+ λ B/") as error:
            lin.train(Y, make(1.02 * bound), 30000)
        assert error.value.bound == pytest.approx(bound, rel=1e-9)
    with pytest.raises(ntklin.DivergenceError, match="no bound on η is known"):
        lin.train(Y, ntklin.Momentum(1e3, weight_decay=decay, decoupled=True), 300)


@each
def test_a_run_goes_on(optimizer, tmp_path):
    case, Y = problem("shallow")
    lin = ntklin.linearize(case.net, case.theta, case.X)
    trainers = [
        lambda steps, **o: ntklin.train(case.net, case.theta, case.X, Y, optimizer, steps, **o),
        lambda steps, **o: lin.train(Y, optimizer, steps, **o),
    ]
    for train in trainers:
        whole, first = train(7), train(3)
        first.save(tmp_path / "run")
        for resume in (first, tmp_path / "run"):
            again = train(7, resume=resume)
            np.testing.assert_array_equal(again.losses, whole.losses)
            for name, a in whole.arrays.items():
                np.testing.assert_array_equal(again.arrays[name], a)


@pytest.mark.parametrize("name", [*DECAYING, *PLAIN])
def test_a_description_gives_the_optimizer_back(name):
    optimizer = {**DECAYING, **PLAIN}[name]
    description = json.loads(json.dumps(describe_optimizer(optimizer)))
    assert optimizer_from(description) == optimizer
    assert type(optimizer_from(description)) is type(optimizer)


def test_descriptions_are_those_of_older_files():
    assert describe_optimizer(ntklin.GradientDescent(0.1)) == {
        "class": "GradientDescent",
        "learning_rate": 0.1,
    }
    momentum = {"class": "Momentum", "learning_rate": 0.1, "momentum": 0.9, "nesterov": False}
    assert describe_optimizer(ntklin.Momentum(0.1)) == momentum
    adam = {"class": "Adam", "learning_rate": 0.1, "betas": [0.9, 0.999], "eps": 1e-8}
    assert describe_optimizer(ntklin.Adam(0.1)) == adam


def test_a_run_with_other_decay_is_another_run():
    case, Y = problem("shallow")
    start = case.net, case.theta, case.X, Y
    run = ntklin.train(*start, ntklin.GradientDescent(weight_decay=0.1), 2)
    for other in (ntklin.GradientDescent(), ntklin.GradientDescent(momentum=0.5)):
        with pytest.raises(ValueError, match="resume: the saved run is another one; optimizer was"):
            ntklin.train(*start, other, 4, resume=run)
    assert ntklin.train(*start, ntklin.GradientDescent(weight_decay=0.1), 4, resume=run).steps == 4


@pytest.mark.parametrize("method", ["fused", "direct", "reduced"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_an_option_of_gradient_descent(method, nesterov):
    case, Y = problem("shallow")
    both = [kind(0.05, 0.9, nesterov) for kind in (ntklin.GradientDescent, ntklin.Momentum)]
    lin = ntklin.linearize(case.net, case.theta, case.X)
    runs = [lin.train(Y, one, 6, method=method) for one in both]
    np.testing.assert_array_equal(runs[0].displacement, runs[1].displacement)
    if method == "reduced":
        return
    runs = [ntklin.train(case.net, case.theta, case.X, Y, one, 6, method=method) for one in both]
    np.testing.assert_array_equal(runs[0].parameters, runs[1].parameters)


def test_adamw_is_adam_with_decoupled_decay():
    theta, g = np.array([1.0, -2.0]), np.array([0.5, 0.0])
    adamw, adam = ntklin.AdamW(0.1), ntklin.Adam(0.1, weight_decay=0.01, decoupled=True)
    one, two = (kind.update(kind.init(theta), theta, g)[0] for kind in (adamw, adam))
    np.testing.assert_array_equal(one, two)
    assert one[1] == -2.0 * (1 - 0.1 * 0.01)
    assert isinstance(adamw, ntklin.Adam)
    assert adamw != adam
    assert adamw.with_learning_rate(0.2) == ntklin.AdamW(0.2)


def test_engines_that_cannot_say_so():
    case, Y = problem("shallow")
    lin = ntklin.linearize(case.net, case.theta, case.X)
    decaying, heavy = DECAYING["descent"], ntklin.GradientDescent(0.1, 0.9)
    needs = {
        (decaying, "reduced"): "GradientDescent without momentum and weight decay",
        (heavy, "reduced"): "GradientDescent without momentum and weight decay",
        (decaying, "fused"): "an optimizer without weight decay",
    }
    for (optimizer, method), what in needs.items():
        message = f"method='{method}' needs {what}; use method='direct'"
        with pytest.raises(ValueError, match=message):
            ntklin.train(case.net, case.theta, case.X, Y, optimizer, 2, method=method)
    with pytest.raises(ValueError, match="needs an optimizer without weight decay"):
        lin.train(Y, DECAYING["adam"], 2, method="fused")


def test_what_cannot_be_meant_is_refused():
    for (name, value), message in {
        ("weight_decay", -1.0): "weight_decay must be finite and at least 0",
        ("decoupled", 1): "decoupled must be True or False",
        ("nesterov", True): "nesterov=True needs a momentum above 0",
        ("momentum", 1.0): r"momentum must be in \[0, 1\)",
    }.items():
        with pytest.raises((TypeError, ValueError), match=message):
            ntklin.GradientDescent(0.1, **{name: value})
    with pytest.raises(TypeError, match="decoupled"):
        ntklin.AdamW(0.1, decoupled=False)
    case, Y = problem("shallow")
    lin = ntklin.linearize(case.net, case.theta, case.X)
    for optimizer, message in {
        ntklin.GradientDescent(0.1, weight_decay=0.1): "GradientDescent has weight decay, so that",
        ntklin.GradientDescent(0.1, momentum=0.1): "GradientDescent carries a velocity, so that",
        ntklin.AdamW(0.1): "AdamW has weight decay, so that",
    }.items():
        with pytest.raises(ValueError, match=message):
            lin.theorem6(Y, optimizer, steps=3)


def test_a_rise_under_decay_is_explained():
    case, _ = problem("shallow")
    Y = case.net.apply(case.theta, case.X) + 1e-3
    with pytest.warns(ntklin.NonMonotoneLossWarning, match="L alone may rise where the decay is"):
        run = ntklin.train(
            *(case.net, case.theta, case.X, Y, ntklin.GradientDescent(weight_decay=1.0), 40)
        )
    assert run.losses[-1] > 1e3 * run.losses[0]  # and is no divergence


def test_an_ensemble_takes_those_together_that_go_together(device):
    case, Y = problem("shallow")
    thetas = [case.net.init(seed) for seed in range(4)]
    arguments = case.net, *device.put((thetas, case.X, Y))
    optimizers = [
        ntklin.GradientDescent(0.05),
        ntklin.GradientDescent(0.05, weight_decay=0.2),
        ntklin.GradientDescent(0.02, 0.9),
        ntklin.GradientDescent(SCHEDULE, weight_decay=0.1, decoupled=True),
    ]
    runs = ntklin.train_ensemble(*arguments, optimizers, 5)
    assert [run.method for run in runs] == ["reduced", "direct", "direct", "direct"]
    for theta, optimizer, run in zip(thetas, optimizers, runs, strict=True):
        walk = naive.training(
            *(case.reference, theta, case.X, Y, loops(optimizer), np.full((5, 5), 0.2))
        )
        options = {"kind": "trajectory", "n": 5 * case.n, "kappa": 10}
        assert_close(device.get(run.parameters), walk[-1][0], **options)
        assert_close(run.losses, [value for _, value in walk], **options)
    lin = ntklin.linearize(case.net, *device.put((case.theta, case.X)))
    J, f0 = case.jacobian(), naive.apply(case.reference, case.theta, case.X)
    for name in ("momentum", "adamw"):
        walk = naive.linearized_training(
            *(J, f0, Y, loops(DECAYING[name]), np.full((5, 5), 0.2)), theta0=case.theta
        )
        run = lin.train(device.put(Y), DECAYING[name], 5)
        assert_close(device.get(run.displacement), walk[-1][0], **options)
