"""Weight decay up to the step at which the linearized network is the interpolator."""

import naive
import numpy as np
import pytest
from tolerances import assert_close

import ntklin
from ntklin.recipes import mitigation


def problem(widths=(4, 12, 1), n=4, seed=0, dtype=float, **options):
    """A network, θ_0, X and Y, and inputs that are not trained on."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + 20, widths[0]))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(dtype)
    net = ntklin.MLP(widths, **options)
    return net, net.init(seed, dtype), X[:n], (X[:n, 0] > 0).astype(dtype), X[n:]


def decayed(net, theta, X, Y, **options):
    return ntklin.decay_initialization(net, theta, X, Y, **options)


@pytest.mark.parametrize("bias", ["zero", "none"])
@pytest.mark.parametrize("widths", [(4, 12, 1), (4, 9, 8, 1)])
def test_the_steps_by_hand(widths, bias):
    net, theta, X, Y, _ = problem(widths, bias=bias)
    run = decayed(net, theta, X, Y)
    witness, depth = naive.Network(widths, 1.0, "fan_out", bias), len(widths) - 1
    J = naive.jacobian(witness, theta, X)
    eigenvalues = np.linalg.eigvalsh(J @ J.T)
    w = run.optimizer.weight_decay
    assert w == pytest.approx(eigenvalues[0] / (10 * len(X)), rel=1e-9)
    eta = run.optimizer.learning_rate
    assert eta == pytest.approx(0.5 * len(X) / (eigenvalues[-1] + len(X) * w), rel=1e-9)
    left = (1 - eta * w) ** np.arange(run.steps + 2)
    assert run.steps == np.argmin(np.abs(left - (1 - 1 / depth)))
    by_hand = theta.copy()
    for _ in range(run.steps):
        J = naive.jacobian(witness, by_hand, X)
        residual = naive.apply(witness, by_hand, X) - Y
        by_hand = by_hand - eta * (J.T @ residual / len(X) + w * by_hand)
    assert_close(run.parameters, by_hand, kind="trajectory", n=run.steps * sum(widths))
    assert (run.ended_by, run.network) == ("steps", net)


@pytest.mark.parametrize("widths", [(4, 60, 1), (4, 40, 40, 1), (4, 60, 2)])
def test_there_the_linearized_network_is_the_interpolator(widths):
    net, theta, X, Y, X_new = problem(widths)
    Y = np.stack([Y, 1 - Y], axis=1) if widths[-1] == 2 else Y
    lin = ntklin.linearize(net, theta, X)
    f_int = lin.minimizer(Y).interpolator(X_new)
    size = np.linalg.norm(lin.minimizer(Y).initialization(X_new))
    distances = []
    for part in (1e-2, 1e-3):
        w = part * lin.eigenvalues[0] / len(X)
        t = mitigation.half_life.DecayCourse.of(net, theta, X, Y, weight_decay=w).steps
        f_t = lin.gradient_descent(Y, weight_decay=w).predict(X_new, t)
        distances.append(np.linalg.norm(f_t - f_int))
    assert distances[1] == pytest.approx(distances[0] / 10, rel=0.2)
    assert distances[1] < 1e-2 * size


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("widths", "seed", "least", "most"),
    [((6, 1000, 1), 0, 0.2, 0.3), ((6, 1000, 1), 1, 0.2, 0.3), ((6, 100, 100, 1), 0, 0.2, 0.5)],
)
def test_the_real_network_keeps_a_power_of_it(widths, seed, least, most):
    """Of f_init it has about (1 − 1/L)^L, 0.25 and 0.30, where its linearization has nothing."""
    net, theta, X, Y, X_new = problem(widths, n=3, seed=seed)
    lin = ntklin.linearize(net, theta, X)
    minimizer, w = lin.minimizer(Y), 1e-2 * lin.eigenvalues[0] / 3
    f_int, f_init = minimizer.interpolator(X_new), minimizer.initialization(X_new)

    def share(outputs):
        return (outputs - f_int) @ f_init / (f_init @ f_init)

    run = decayed(net, theta, X, Y, weight_decay=w)
    assert least < share(run.predict(X_new)) < most
    linearized = lin.gradient_descent(Y, weight_decay=w).predict(X_new, run.steps)
    assert abs(share(linearized)) < 0.02
    # Without decay all of it stays.
    plain = ntklin.train(net, theta, X, Y, until=1e-6)
    assert share(plain.predict(X_new)) == pytest.approx(1, abs=0.05)


def test_numbers_that_are_given_are_taken():
    net, theta, X, Y, _ = problem()
    run = decayed(net, theta, X, Y, weight_decay=0.1, learning_rate=0.2)
    assert run.optimizer == ntklin.GradientDescent(0.2, weight_decay=0.1)
    assert run.steps == 34  # 0.98^34 = 0.503, 0.98^35 = 0.493
    with pytest.warns(ntklin.NonMonotoneLossWarning):
        same = ntklin.train(net, theta, X, Y, run.optimizer, steps=34)
    np.testing.assert_array_equal(run.parameters, same.parameters)
    assert decayed(net, theta, X, Y, weight_decay=0.1, learning_rate=0.2, depth=4).steps == 14


def test_single_precision_and_limits():
    net, theta, X, Y, _ = problem(dtype=np.float32)
    heard = []
    slow = {"weight_decay": 1e-9, "stop": ntklin.TimeLimit(0.2)}
    run = decayed(net, theta, X, Y, progress=lambda *call: heard.append(call), **slow)
    assert run.parameters.dtype == np.float32
    assert run.ended_by == "time limit"
    assert heard[-1] == (run.steps, run.losses[-1])


@pytest.mark.filterwarnings("error")
def test_a_loss_that_rises_with_decay_is_no_news():
    net, theta, X, Y, _ = problem()
    losses = decayed(net, theta, X, Y).losses
    assert (np.diff(losses) > 0).any()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"weight_decay": 0}, ValueError, "weight_decay must be positive and finite, got 0"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be positive and finite, got -1"),
        ({"learning_rate": 1e4}, ntklin.DivergenceError, "is not below 2N/"),
        (
            {"max_steps": 3},
            ValueError,
            r"steps, and max_steps = 3: allow more, or take a weight_de",
        ),
        ({"max_steps": 0}, ValueError, "max_steps must be at least 1"),
        ({"depth": 1}, ValueError, "depth must be at least 2, got 1"),
        ({"theta": np.ones(3)}, ValueError, r"theta must have shape \(73,\)"),
        ({"theta": np.ones(73)}, ValueError, "θ_0 has biases other than 0"),
        ({"X": np.ones((4, 4))}, ntklin.DegenerateKernelError, "or pass weight_decay="),
    ],
)
def test_what_is_refused(change, error, match):
    net, theta, X, Y, _ = problem()
    with pytest.raises(error, match=match):
        ntklin.decay_initialization(**{"net": net, "theta": theta, "X": X, "Y": Y} | change)


def test_networks_that_are_refused():
    _, _, X, Y, _ = problem()
    for net, match in (
        (ntklin.MLP((4, 1)), "depth must be at least 2"),
        (ntklin.MLP((4, 5, 1), activation="tanh"), "'tanh' is not homogeneous"),
        (ntklin.AntisymmetricPair(ntklin.MLP((4, 5, 1))), "only of an MLP it is known"),
    ):
        with pytest.raises(ValueError, match=match):
            ntklin.decay_initialization(net, net.init(0), X, Y)


# Beside Sect. 3's algorithm


def mitigate(**options):
    net, theta, X, Y, X_val = problem(sigma=1.5)
    Y_val = (X_val[:, 0] > 0).astype(float)
    given = {"theta": theta, "until": 1e-2, "min_sigma": 1.0, "compare_decay": True}
    return ntklin.mitigate_initialization(net, X, Y, X_val, Y_val, **given | options)


def test_decay_stands_beside_the_algorithm():
    net, theta, X, Y, X_val = problem(sigma=1.5)
    heard = []
    found = mitigate(compare_baselines=True, on_trial=heard.append)
    trial, run = found.decayed, decayed(net, theta, X, Y)
    assert tuple(heard) == found.everything == (*found.trials, *found.baselines, trial)
    assert (trial.outcome, trial.network, trial.steps) == ("half-life", net, run.steps)
    assert trial.weight_decay == run.optimizer.weight_decay
    assert trial.training_loss == run.losses[-1]
    f_int = ntklin.linearize(net, theta, X).minimizer(Y).interpolator(X_val)
    distance = np.linalg.norm(run.predict(X_val) - f_int) / np.sqrt(2 * len(X_val))
    assert trial.interpolator_distance == pytest.approx(distance, rel=1e-9)
    assert trial.interpolator_distance < 0.7 * found.trials[0].interpolator_distance
    assert found.trials[0].weight_decay == 0
    assert mitigate(compare_decay=False).decayed is None
    assert mitigate(weight_decay=0.125).decayed.weight_decay == 0.125


def test_the_limits_are_those_of_the_others():
    trial = mitigate(max_steps=5).decayed
    assert (trial.outcome, trial.steps, trial.converged) == ("step limit", 5, False)
    options = {"weight_decay": 1e-12, "max_steps": 10**9, "time_limit": 0.2}
    assert mitigate(**options).decayed.outcome == "time limit"


def test_a_learning_rate_that_is_given_is_that_of_the_decay():
    heard = []
    trial = mitigate(
        optimizer=ntklin.GradientDescent(0.25),
        weight_decay=0.04,
        progress=lambda *call: heard.append(call),
    ).decayed
    assert heard[-1] == (trial.network, trial.steps, trial.training_loss)
    assert (trial.outcome, trial.steps) == ("half-life", 69)  # 0.99^69 = 0.4998


def test_ctrl_c_in_the_decay_keeps_the_search():
    def strike(trial):
        if trial.weight_decay:
            raise KeyboardInterrupt

    with pytest.raises(ntklin.MitigationInterrupted) as e:
        mitigate(on_trial=strike)
    assert e.value.result.decayed.outcome == "half-life"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"optimizer": ntklin.Adam(0.1)}, "needs plain gradient descent .* got optimizer=Adam"),
        ({"optimizer": ntklin.GradientDescent(0.1, momentum=0.5)}, "needs plain gradient descent"),
        ({"optimizer": ntklin.CosineSchedule(0.1, 9)}, "needs plain gradient descent"),
        ({"optimizer": ntklin.GradientDescent(lambda t: 0.1)}, "at a constant rate"),
        ({"batches": ntklin.Batches(0.5)}, "needs loss='squared' and no batches"),
        ({"loss": "logistic"}, "needs loss='squared' and no batches"),
        ({"theta": np.ones(73)}, "θ_0 has biases other than 0"),
        ({"weight_decay": -1.0}, "weight_decay must be positive and finite"),
    ],
)
def test_what_the_comparison_refuses(options, match):
    trials = []
    with pytest.raises(ValueError, match=match):
        mitigate(on_trial=trials.append, **options)
    assert trials == []
