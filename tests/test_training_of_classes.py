"""Training of several outputs and of any activation, against explicit steps and by every engine."""

import pickle

import naive
import numpy as np
import pytest
import tasks
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import ACTIVATIONS, BIASES, DTYPES, SCALINGS, make_case
from tolerances import EPS, assert_close

import ntklin
from ntklin.kernels.cpu import general_descent
from ntklin.kernels.cpu.plain import JIT_DISABLED
from ntklin.kernels.cpu.tile_steps import SLAB
from ntklin.runs.losses import LOSSES
from ntklin.training.descents import ENGINES

STEPS = 3
WIDTHS = ((3, 5, 3), (2, 4, 3, 2), (3, 3, 4, 2, 4), (4, 3), (3, 6, 1))
RULES = {
    "descent": (ntklin.GradientDescent(0.03), ("descent", 0.03, {})),
    "adam": (
        ntklin.Adam(0.01, (0.8, 0.9), 0.05),
        ("adam", 0.01, {"betas": (0.8, 0.9), "eps": 0.05}),
    ),
}
BATCHES = {
    "full": None,
    "ragged": [[0, 1, 2], [3, 4], [2, 0, 4]],
    "some never": [[0, 1], [1, 2], [0, 2]],
    "twice": [[0, 0, 1], [4, 4], [1, 2, 1, 2]],
}
COMBINATIONS = [
    (method, rule, widths)
    for method in ENGINES
    for rule in RULES
    for widths in WIDTHS
    if tasks.serves(ENGINES[method], ntklin.MLP(widths, activation="tanh"), RULES[rule][0])
]

quiet = pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")


def targets(loss, n, n_outputs, seed=0):
    """What the loss takes, as users give it, and the rows that are meant."""
    rng = np.random.default_rng(seed + 1)
    if loss == "softmax":
        labels = rng.integers(0, n_outputs, n)
        return labels, np.eye(n_outputs)[labels]
    Y = rng.uniform(0, 1, (n, n_outputs))
    return (Y[:, 0] if n_outputs == 1 else Y), Y


def sample_weights(batches, n):
    weights = np.zeros((STEPS, n))
    for t in range(STEPS):
        batch = range(n) if batches is None else batches[t]
        for k in batch:
            weights[t, k] += 1 / len(batch)
    return weights


@quiet
@pytest.mark.parametrize(("method", "rule", "widths"), COMBINATIONS)
@given(
    activation=st.sampled_from(ACTIVATIONS),
    loss=st.sampled_from(LOSSES),
    scaling=st.sampled_from(SCALINGS),
    bias=st.sampled_from(BIASES),
    batches=st.sampled_from(list(BATCHES)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 1000),
)
def test_against_explicit_steps(
    method, rule, widths, activation, loss, scaling, bias, batches, dtype, seed
):
    assume(loss != "softmax" or widths[-1] > 1)
    options = {"scaling": scaling, "bias": bias, "activation": activation}
    case = make_case(widths, seed=seed, n=5, dtype=dtype, **options)
    Y, rows = targets(loss, 5, widths[-1], seed)
    rows = rows.astype(dtype)
    name, rate, coefficients = RULES[rule][1]
    trajectory = naive.training(
        *(case.reference, case.theta, case.X, rows, naive.optimizer(name, rate, **coefficients)),
        *(sample_weights(BATCHES[batches], 5), loss),
    )
    distances = [naive.kink_distance(case.reference, theta, case.X) for theta, _ in trajectory]
    assume(min(distances) > 1e3 * EPS[case.dtype])
    theta, losses = trajectory[-1][0], np.array([value for _, value in trajectory])
    assume(losses.max() < 100)  # where steps are unstable, they amplify their rounding
    run = ntklin.train(
        *(case.net, case.theta, case.X, Y, RULES[rule][0], STEPS),
        **{"batches": BATCHES[batches], "loss": loss, "method": method, "until": 1e-30},
    )
    assert run.parameters.dtype == dtype
    assert (run.method, run.loss, run.steps) == (method, loss, STEPS)
    chain = STEPS * (sum(widths) + 5 * widths[-1])
    size = max(1, float(np.abs(theta).max()))
    assert_close(run.parameters, theta, kind="trajectory", n=chain, scale=size)
    assert_close(
        run.losses, losses, kind="trajectory", n=chain, scale=max(1, losses.max()), dtype=dtype
    )


def problem(widths, activation="relu", loss="squared", n=9, dtype=np.float64, wrap=None):
    net = ntklin.MLP(widths, activation=activation)
    net = net if wrap is None else wrap(net)
    X = np.random.default_rng(0).uniform(-1, 1, (n, widths[0])).astype(dtype)
    return net, net.init(1, dtype), X, targets(loss, n, widths[-1])[0]


# Wider than one block of the first layer, than one part of the outputs, and narrower.
BLOCKS = (general_descent.BLOCK + 5, general_descent.PART + general_descent.BLOCK)


@quiet
@pytest.mark.parametrize("width", BLOCKS)
@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=4)])
@pytest.mark.parametrize(
    ("hidden", "n_outputs", "activation", "loss"),
    [
        ((), 3, "relu", "softmax"),
        ((), 1, "tanh", "squared"),
        ((6,), 2, "gelu", "logistic"),
        ((40, 7), 3, "leaky_relu", "squared"),
    ],
)
def test_the_reduction_takes_the_same_steps(width, batches, hidden, n_outputs, activation, loss):
    data = problem((5, width, *hidden, n_outputs), activation, loss)
    steps = 6 if JIT_DISABLED else 300
    options = {"steps": steps, "until": 1e-30, "batches": batches, "loss": loss}
    one, other = (
        ntklin.train(*data, ntklin.GradientDescent(0.1), method=method, **options)
        for method in ("reduced", "direct")
    )
    chain = steps + sum(data[0].widths)
    size = np.abs(one.parameters).max()
    assert_close(one.parameters, other.parameters, kind="trajectory", n=chain, scale=size)
    assert_close(one.losses, other.losses, kind="trajectory", n=chain)
    assert one.losses[-1] < one.losses[0]


@quiet
@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=3)])
@pytest.mark.parametrize(
    ("n_outputs", "activation", "loss"),
    [(3, "relu", "softmax"), (1, "tanh", "squared"), (10, "softplus", "logistic")],
)
@pytest.mark.parametrize("n", [4, 11 if JIT_DISABLED else 37])
@pytest.mark.parametrize(
    "optimizer", [ntklin.Momentum(0.02, 0.8, nesterov=True), ntklin.Adam(0.01)]
)
def test_fused_steps_are_the_direct_ones(optimizer, n, n_outputs, activation, loss, batches):
    """Of more neurons than a slab, more columns than a tile, and inputs that are often zero."""
    net, theta, X, Y = problem((70, SLAB + 41, n_outputs), activation, loss, n)
    X[np.random.default_rng(3).random(X.shape) < 0.6] = 0
    X[:, ::3] = 0
    options = {"steps": STEPS, "batches": batches, "loss": loss}
    one, other = (
        ntklin.train(net, theta, X, Y, optimizer, method=method, **options)
        for method in ("fused", "direct")
    )
    assert ntklin.train(net, theta, X, Y, optimizer, **options).method == "fused"
    chain = STEPS * (sum(net.widths) + n)
    # Adam's steps keep of a gradient its size relative to others, in which cancellation shows.
    kappa = 4 if isinstance(optimizer, ntklin.Adam) else 1
    assert_close(one.losses, other.losses, kind="trajectory", n=chain, kappa=kappa)
    assert_close(one.parameters, other.parameters, kind="trajectory", n=chain, kappa=kappa)
    dead = net.unpack(one.parameters)[0][0][:, ::3]
    np.testing.assert_array_equal(dead, net.unpack(theta)[0][0][:, ::3])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("activation", "loss"), [("tanh", "squared"), ("relu", "softmax")])
def test_losses_are_those_of_the_parameters(dtype, activation, loss):
    """After so many steps, too, that a sum of them would have lost its last digits."""
    net, theta, X, Y = problem((5, 60, 3), activation, loss, dtype=dtype)
    steps = 300 if JIT_DISABLED else 5000  # a minute each without compiled loops
    options = {"steps": steps, "until": 1e-30, "loss": loss, "method": "reduced"}
    run = ntklin.train(net, theta, X, Y, ntklin.GradientDescent(0.5), **options)
    kind = ntklin.runs.losses.Loss(loss)
    outputs = net.apply(run.parameters.astype(float), X.astype(float))
    found = kind.value(outputs, kind.as_targets(Y, len(X), 3))
    # An error of the outputs moves L by √(2L) of it, and some more.
    rounding = EPS[np.dtype(dtype)] * np.abs(outputs).max() * 60**0.5
    assert abs(run.losses[-1] - found) <= 8 * rounding * (np.sqrt(2 * found) + rounding)


def test_cross_entropy_is_that_of_other_libraries():
    """torch.nn.CrossEntropyLoss()(logits, labels), its mean over the batch and its gradient."""
    net, theta, X, labels = problem((5, 7, 4), "tanh", "softmax")
    logits = net.apply(theta, X)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(9), labels]).mean()
    gradient = naive.jacobian(naive.Network((5, 7, 4), activation="tanh"), theta, X).T @ (
        (p - np.eye(4)[labels]) / 9
    ).reshape(-1)
    run = ntklin.train(net, theta, X, labels, ntklin.GradientDescent(0.25), steps=1, loss="softmax")
    assert_close(run.losses[0], expected, kind="loss", n=36)
    assert_close(run.parameters, theta - 0.25 * gradient, kind="trajectory", n=36)


@pytest.mark.parametrize("wrap", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_networks_that_start_at_zero(wrap):
    net, theta, X, Y = problem((3, 4, 2), "softplus(2.0)", wrap=wrap)
    reference = naive.Network((3, 4, 2), activation="softplus(2.0)")
    run = ntklin.train(net, theta, X, Y, ntklin.GradientDescent(0.1), steps=20)
    np.testing.assert_allclose(run.losses[0], (Y**2).sum() / 18)
    expected = np.array(theta)
    for _ in range(20):
        if wrap is ntklin.AntisymmetricPair:
            f = naive.pair_apply(reference, expected, X)
            J = naive.pair_jacobian(reference, expected, X)
        else:
            wide = naive.doubled(reference)
            f, J = naive.apply(wide, expected, X), naive.jacobian(wide, expected, X)
        expected = expected - 0.1 / 9 * J.T @ (f - Y).reshape(-1)
    assert_close(run.parameters, expected, kind="trajectory", n=20 * 20)


# What a run is and leaves


@quiet
@pytest.mark.parametrize(
    ("optimizer", "method"),
    [
        (ntklin.GradientDescent(0.1), "reduced"),
        (ntklin.GradientDescent(0.1), "direct"),
        (ntklin.Adam(0.01), "direct"),
        (ntklin.Adam(0.01), "fused"),
        (ntklin.Momentum(0.01, 0.8), "fused"),
    ],
)
@pytest.mark.parametrize(("activation", "widths"), [("relu", (5, 20, 3)), ("tanh", (5, 9, 8, 3))])
def test_a_run_that_goes_on_is_one_run(optimizer, method, activation, widths, tmp_path):
    if method == "fused":  # has one hidden layer
        widths = widths[0], 40, widths[-1]
    net, theta, X, labels = problem(widths, activation, "softmax")
    options = {"loss": "softmax", "record": 25, "X_record": X[:4], "until": 1e-30}
    options |= {"batches": ntklin.Batches(size=4), "method": method}
    end, cut = (60, 37) if JIT_DISABLED else (200, 133)
    whole = ntklin.train(net, theta, X, labels, optimizer, steps=end, **options)
    part = ntklin.train(net, theta, X, labels, optimizer, steps=cut, **options)
    part.save(tmp_path / "run.npz")
    rows = np.eye(3)[labels]  # the same targets in other words
    after = ntklin.train(
        net, theta, X, rows, optimizer, steps=end, resume=tmp_path / "run.npz", **options
    )
    np.testing.assert_array_equal(after.parameters, whole.parameters)
    np.testing.assert_array_equal(after.losses, whole.losses)
    np.testing.assert_array_equal(after.records.outputs, whole.records.outputs)
    loaded = ntklin.load_run(tmp_path / "run.npz")
    np.testing.assert_array_equal(loaded.records.outputs, part.records.outputs)
    assert loaded.network == net
    with pytest.raises(ValueError, match="resume"):
        ntklin.train(net, theta, X, (labels + 1) % 3, optimizer, steps=end, resume=part, **options)


def test_outputs_are_recorded_for_each_class():
    net, theta, X, labels = problem((5, 20, 3), "tanh", "softmax")
    run = ntklin.train(
        *(net, theta, X, labels, ntklin.GradientDescent(0.1), 6),
        **{"loss": "softmax", "record": 3, "X_record": X[:4]},
    )
    assert run.records.outputs.shape == (3, 4, 3)
    for theta_t, f in zip(run.records.snapshots, run.records.outputs, strict=True):
        np.testing.assert_array_equal(f, net.apply(theta_t, X[:4]))
    assert run.predict(X).shape == (9, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(run)).predict(X), run.predict(X))


def test_every_network_of_an_ensemble_is_trained_as_alone():
    net, theta, X, labels = problem((5, 20, 3), "relu", "softmax")
    thetas = [theta, net.init(2)]
    runs = ntklin.train_ensemble(net, thetas, X, labels, steps=20, loss="softmax")
    for start, run in zip(thetas, runs, strict=True):
        alone = ntklin.train(net, start, X, labels, steps=20, loss="softmax")
        np.testing.assert_array_equal(run.parameters, alone.parameters)
        assert run.method == "reduced"


@pytest.mark.parametrize(("loss", "factor"), [("squared", 1), ("logistic", 4), ("softmax", 2)])
def test_learning_rates_go_by_samples(loss, factor):
    net, theta, X, Y = problem((5, 20, 3), "tanh", loss)
    J = naive.jacobian(naive.Network((5, 20, 3), activation="tanh"), theta, X)
    largest = np.linalg.eigvalsh(J @ J.T)[-1]
    run = ntklin.train(net, theta, X, Y, steps=2, loss=loss)
    assert run.optimizer.learning_rate == pytest.approx(0.5 * 9 / largest)
    with (
        pytest.warns(ntklin.NonMonotoneLossWarning),
        pytest.raises(ntklin.DivergenceError, match=r"stable for η < \dN/λ_max") as caught,
    ):
        ntklin.train(net, theta, X, Y, ntklin.GradientDescent(1e6), 50, 1e-30, loss=loss)
    assert caught.value.bound == pytest.approx(factor * 2 * 9 / largest)


def test_largest_learning_rate_of_classes():
    net, theta, X, labels = problem((5, 20, 3), "relu", "softmax")
    found = ntklin.largest_learning_rate(
        net, theta, X, labels, steps=30, loss="softmax", precision=0.5
    )
    run = ntklin.train(net, theta, X, labels, found.optimizer, steps=30, loss="softmax")
    assert run.first_rise() is None
    assert found.rising > found.learning_rate


def cube(h):
    return 0.1 * h * h * h


def cube_slope(h):
    return 0.3 * h * h


def test_functions_of_ones_own():
    net, theta, X, Y = problem((5, 12, 2), ntklin.Activation(cube, cube_slope))
    one, *others = (
        ntklin.train(net, theta, X, Y, ntklin.GradientDescent(0.5), 50, method=method)
        for method in ENGINES
    )
    for other in others:
        assert_close(one.parameters, other.parameters, kind="trajectory", n=60)
    h = naive.scales(naive.Network((5, 12, 2)))[0][0] * X @ net.unpack(theta)[0][0].T
    W = net.unpack(theta)[1][0]
    f = net.weight_scales[1] * cube(h) @ W.T
    assert_close(one.losses[0], ((f - Y) ** 2).sum() / 18, kind="loss", n=60)


# What is refused, before anything is computed


@pytest.mark.parametrize(
    ("widths", "Y", "loss", "match"),
    [
        ((5, 4, 3), [0, 1, 2], "squared", r"shape \(3, 3\), a column for each .* numpy.eye\(3\)"),
        ((5, 4, 3), [0, 1, 3], "softmax", r"from 0 to 2, .* but Y\[2\] = 3"),
        ((5, 4, 1), [0, 1, 1], "softmax", "at least two, but the network has one"),
        ((5, 4, 3), np.ones((3, 3)), "softmax", "row 0 of Y sums to 3"),
        ((5, 4, 3), np.eye(3)[:, :2], "logistic", r"must have shape \(3, 3\)"),
        ((5, 4, 3), np.eye(3), "hinge", "loss must be one of"),
    ],
)
def test_targets_that_do_not_fit(widths, Y, loss, match, monkeypatch):
    net, theta, X, _ = problem(widths, n=3)
    monkeypatch.setattr(ntklin.MLP, "features", None)
    for call in (
        lambda: ntklin.train(net, theta, X, Y, loss=loss),
        lambda: ntklin.train_ensemble(net, [theta], X, Y, loss=loss),
        lambda: ntklin.largest_learning_rate(net, theta, X, Y, loss=loss),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_what_has_no_meaning_in_the_mitigation():
    net, theta, X, Y = problem((5, 4, 3), "tanh")
    with pytest.raises(ValueError, match=r"homogeneous activation .* got 'tanh'"):
        ntklin.mitigate_initialization(net, X, Y, X, Y, theta=theta)
    net, theta, X, Y = problem((5, 4, 3))
    labels = np.zeros(9, int)
    wrong = np.where(np.arange(9) == 1, 7, 0)
    with pytest.raises(ValueError, match=r"Y_val\[1\] = 7"):
        ntklin.mitigate_initialization(net, X, labels, X, wrong, theta=theta, loss="softmax")
