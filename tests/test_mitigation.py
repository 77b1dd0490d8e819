"""Sect. 3's algorithm: its steps, why it stops, what it keeps, and the baselines."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import BIASES, SCALINGS
from tolerances import assert_close

import ntklin
from ntklin.recipes import mitigation
from ntklin.recipes.mitigation import trial as trial_module
from ntklin.recipes.mitigation.baselines import are_one_network

UNTIL = 1e-2


def problem(widths=(3, 24, 1), n=5, seed=0, dtype=float, **options):
    """A network, X, Y, X_val, Y_val: unit rows, and targets that a smooth function makes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + 7, widths[0]))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(dtype)
    Y = (X[:, 0] > 0).astype(dtype)
    net = ntklin.MLP(widths, **{"sigma": 2.0} | options)
    return net, X[:n], Y[:n], X[n:], Y[n:]


def mitigate(*arguments, **options):
    return ntklin.mitigate_initialization(*arguments, **{"until": UNTIL} | options)


def half_mean_square(outputs, Y):
    return float(((outputs - Y) ** 2).mean() / 2)


# Steps (a) to (e)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [0.5, 0.8])
def test_the_algorithm_by_hand(seed, factor):
    net, X, Y, X_val, Y_val = problem(seed=seed)
    found = mitigate(net, X, Y, X_val, Y_val, rng=seed, factor=factor, margin=0.1, min_sigma=0.3)
    theta, sigma, runs, losses = net.init(seed), net.sigma, [], []
    while True:
        run = ntklin.train(ntklin.MLP(net.widths, sigma=sigma), theta, X, Y, until=UNTIL)
        runs.append(run)
        losses.append(half_mean_square(run.predict(X_val), Y_val))
        sigma *= factor
        if len(losses) > 1 and not losses[-1] < 0.9 * losses[-2]:
            stopped = "no significant decrease"
            break
        if sigma < 0.3:
            stopped = "smallest sigma reached"
            break
    assert found.stopped == stopped
    assert [t.outcome for t in found.trials] == ["converged"] * len(runs)
    assert [t.sigma for t in found.trials] == pytest.approx([r.network.sigma for r in runs])
    assert [t.steps for t in found.trials] == [r.steps for r in runs]
    assert [t.training_loss for t in found.trials] == [r.losses[-1] for r in runs]
    assert [t.validation_loss for t in found.trials] == pytest.approx(losses, rel=1e-12)
    best = int(np.argmin(losses))
    assert found.best is found.trials[best]
    assert found.sigma == found.best.sigma
    np.testing.assert_array_equal(found.parameters, runs[best].parameters)
    np.testing.assert_array_equal(found.predict(X_val), runs[best].predict(X_val))
    assert found.network == runs[best].network
    assert (found.factor, found.margin, found.baselines) == (factor, 0.1, ())


def test_validation_falls_by_the_margin_until_the_end():
    for seed in range(6):
        found = mitigate(*problem(seed=seed), rng=seed, margin=0.2)
        losses = np.array([t.validation_loss for t in found.trials])
        assert (losses[1:-1] < 0.8 * losses[:-2]).all()
        if found.stopped == "no significant decrease":
            assert losses[-1] >= 0.8 * losses[-2]
        assert found.best.validation_loss == losses.min()
        assert all(t.training_loss < UNTIL for t in found.trials)


def test_a_large_initialization_is_mitigated():
    """What f_init leaves at σ = 3 is worth many times the validation loss that is reached."""
    found = mitigate(*problem((3, 60, 1), n=8, sigma=3.0), factor=0.6)
    first, best = found.trials[0], found.best
    assert len(found.trials) >= 4
    assert best.validation_loss < first.validation_loss / 5
    assert found.sigma < 1
    sizes = [t.initialization_size for t in found.trials]
    assert (np.diff(sizes) < 0).all()


@pytest.mark.compiled
def test_a_small_margin_asks_for_more_trials():
    samples = problem((3, 60, 1), n=8, sigma=3.0)
    counts = [len(mitigate(*samples, margin=m, min_sigma=0.5).trials) for m in (0.0, 0.1, 0.5, 0.9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 2
    assert counts[0] > 4


def test_all_trials_start_from_the_same_draw(monkeypatch):
    starts = []

    def spy(net, theta, *arguments, **options):
        starts.append((net, theta.copy()))
        return ntklin.train(net, theta, *arguments, **options)

    monkeypatch.setattr(trial_module, "train", spy)
    net, *samples = problem()
    theta = net.init(3)
    kept = theta.copy()
    found = mitigate(net, *samples, theta=theta)
    assert len(starts) == len(found.trials)
    for k, (network, start) in enumerate(starts):
        np.testing.assert_array_equal(start, kept)
        assert network.widths == net.widths
        assert network.sigma == pytest.approx(2 * 0.7**k)
    np.testing.assert_array_equal(theta, kept)
    again = mitigate(net, *samples, rng=3)
    np.testing.assert_array_equal(again.parameters, found.parameters)


def test_a_bias_scale_of_its_own_stays():
    net, *samples = problem(scaling="fan_in", sigma_b=0.3)
    found = mitigate(net, *samples)
    assert {t.network.sigma_b for t in found.trials} == {0.3}
    assert len({t.sigma for t in found.trials}) == len(found.trials)


@given(
    bias=st.sampled_from(BIASES),
    scaling=st.sampled_from(SCALINGS),
    seed=st.integers(0, 99),
)
def test_the_size_of_the_initialization_term(bias, scaling, seed):
    net, X, Y, X_val, Y_val = problem((3, 9, 1), n=3, seed=seed, bias=bias, scaling=scaling)
    theta = net.init(seed)
    found = mitigate(net, X, Y, X_val, Y_val, rng=seed, max_steps=1)
    witness = naive.Network(net.widths, net.sigma, scaling, bias)
    J, J_val = (naive.jacobian(witness, theta, Z) for Z in (X, X_val))
    K = J @ J.T
    if np.linalg.cond(K) < 1e5:
        f0, f0_val = (naive.apply(witness, theta, Z) for Z in (X, X_val))
        f_init = f0_val - J_val @ J.T @ np.linalg.solve(K, f0)
        expected = np.linalg.norm(f_init) / np.sqrt(2 * len(X_val))
        assert found.trials[0].initialization_size == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_no_size_where_the_kernel_is_singular():
    net, X, Y, X_val, Y_val = problem()
    X, Y = np.vstack([X, X[:1]]), np.append(Y, Y[:1])
    found = mitigate(net, X, Y, X_val, Y_val)
    assert {t.initialization_size for t in found.trials} == {None}
    assert found.best.converged


# Why it stops


def rates(*per_trial):
    """An optimizer for each network: gradient descent at these rates, then at the default."""
    left = list(per_trial)
    return lambda net: ntklin.GradientDescent(left.pop(0) if left else None)


@pytest.mark.compiled
def test_training_that_takes_too_many_steps_is_impractically_slow():
    net, *samples = problem((3, 60, 1), n=8, sigma=3.0)
    steps = [t.steps for t in mitigate(net, *samples).trials]
    assert len(steps) > 3
    limit = max(steps[:2])
    found = mitigate(net, *samples, optimizer=rates(None, None, 1e-6), max_steps=limit)
    assert found.stopped == "impractically slow"
    assert len(found.trials) == 3
    last = found.trials[-1]
    assert (last.outcome, last.steps, last.converged) == ("step limit", limit, False)
    assert last.training_loss >= UNTIL
    assert last.validation_loss > 0
    assert found.best.converged  # an unfinished network is not returned
    assert found.best in found.trials[:-1]


@pytest.mark.compiled
def test_an_unfinished_network_does_not_win():
    net, X, Y, X_val, Y_val = problem()
    theta = net.init(0)
    # Validated by its own start, no trained network can be better than the untrained second.
    Y_val = ntklin.MLP(net.widths, sigma=0.7 * net.sigma).apply(theta, X_val)
    found = mitigate(*(net, X, Y, X_val, Y_val), optimizer=rates(None, 1e-9), max_steps=2000)
    first, last = found.trials
    assert last.validation_loss < 1e-3 * first.validation_loss
    assert found.best is first


def test_training_that_takes_too_long_is_impractically_slow():
    slow = ntklin.GradientDescent(1e-9)
    found = mitigate(*problem(), optimizer=slow, max_steps=10**9, time_limit=0.3)
    assert found.stopped == "impractically slow"
    (trial,) = found.trials
    assert trial.outcome == "time limit"
    assert 0 < trial.steps < 10**9
    assert 0.3 < trial.seconds < 10
    # With nothing better the unfinished network is returned, and says so.
    assert found.best is trial
    assert not found.best.converged
    assert len(found.run.losses) == trial.steps + 1
    assert found.run.losses[-1] == trial.training_loss


def test_sigma_has_an_end():
    net, *samples = problem()
    found = mitigate(net, *samples, margin=0.0, min_sigma=1.4)
    assert found.stopped == "smallest sigma reached"
    assert [t.sigma for t in found.trials] == pytest.approx([2.0, 1.4])
    found = mitigate(net, *samples, min_sigma=2.0)
    assert [t.sigma for t in found.trials] == [2.0]


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
def test_divergence_at_the_first_sigma_is_an_error():
    with pytest.raises(ntklin.DivergenceError, match="the loss rose"):
        mitigate(*problem(), optimizer=ntklin.GradientDescent(1e3))


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
def test_divergence_later_ends_the_search():
    found = mitigate(*problem(), optimizer=rates(None, 1e6))
    assert found.stopped == "diverged"
    first, last = found.trials
    assert last.outcome == "diverged"
    assert (last.training_loss, last.validation_loss, last.test_loss) == (None, None, None)
    assert last.steps >= 1
    assert found.best is first


# Interruption


class Interruption:
    """Ctrl-C at the first call of ``progress`` in a trial."""

    def __init__(self, trial):
        self.trial, self.seen = trial, []

    def __call__(self, network, step, loss):
        if network not in self.seen:
            self.seen.append(network)
        if len(self.seen) > self.trial:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_finished():
    net, *samples = problem((3, 60, 1), n=8, sigma=3.0)
    with pytest.raises(ntklin.MitigationInterrupted, match="after 2 trained networks") as e:
        mitigate(net, *samples, progress=Interruption(2))
    found = e.value.result
    assert isinstance(e.value, KeyboardInterrupt)
    assert found.stopped == "interrupted"
    assert len(found.trials) == 2
    assert found.best.converged
    assert found.predict(samples[2]).shape == (7,)


def test_ctrl_c_before_the_first_network_is_trained():
    with pytest.raises(ntklin.MitigationInterrupted, match="after 0 trained networks") as e:
        mitigate(*problem(), progress=Interruption(0))
    assert e.value.result is None


def test_ctrl_c_in_the_baselines_keeps_the_search():
    net, *samples = problem((3, 12, 6, 1))
    free = mitigate(net, *samples)
    n = len(free.trials)
    with pytest.raises(ntklin.MitigationInterrupted, match=f"after {n + 1} trained") as e:
        mitigate(net, *samples, compare_baselines=True, progress=Interruption(n + 1))
    found = e.value.result
    assert found.stopped == free.stopped
    assert len(found.trials) == n
    assert len(found.baselines) == 1


def test_ctrl_c_between_trials():
    def strike(trial):
        raise KeyboardInterrupt

    with pytest.raises(ntklin.MitigationInterrupted, match=r"after 1 trained network$") as e:
        mitigate(*problem(), on_trial=strike)
    assert len(e.value.result.trials) == 1


# Options


def test_what_observers_hear():
    net, *samples = problem()
    heard, trials = [], []
    found = mitigate(
        net,
        *samples,
        compare_baselines=True,
        progress=lambda *call: heard.append(call),
        on_trial=trials.append,
    )
    assert tuple(trials) == found.trials + found.baselines
    last = {network: (step, loss) for network, step, loss in heard}
    for trial in found.trials:
        assert last[trial.network] == (trial.steps, trial.training_loss)


def test_a_test_set_is_reported_and_nothing_is_chosen_by_it():
    net, X, Y, X_val, Y_val = problem()
    plain = mitigate(net, X, Y, X_val, Y_val)
    assert {t.test_loss for t in plain.trials} == {None}
    found = mitigate(net, X, Y, X_val, Y_val, X_test=X_val[:3], Y_test=1 - Y_val[:3])
    assert [t.validation_loss for t in found.trials] == [t.validation_loss for t in plain.trials]
    expected = half_mean_square(found.predict(X_val[:3]), 1 - Y_val[:3])
    assert found.best.test_loss == pytest.approx(expected, rel=1e-12)


def test_another_loss_optimizer_and_batches():
    net, X, Y, X_val, Y_val = problem()
    found = mitigate(
        *(net, X, Y, X_val, Y_val),
        optimizer=lambda net: ntklin.Adam(0.05 / net.sigma),
        loss="logistic",
        batches=ntklin.Batches(0.5, rng=1),
        until=0.05,
    )
    assert found.run.loss == "logistic"
    for trial in found.trials:
        run = ntklin.train(
            *(trial.network, net.init(0), X, Y, ntklin.Adam(0.05 / trial.sigma)),
            until=0.05,
            batches=ntklin.Batches(0.5, rng=1),
            loss="logistic",
        )
        assert trial.steps == run.steps
        f = run.predict(X_val)
        assert trial.validation_loss == pytest.approx(
            (np.logaddexp(0, f) - Y_val * f).mean(), rel=1e-12
        )


def test_single_precision_stays():
    net, *samples = problem(dtype=np.float32)
    found = mitigate(net, *samples)
    assert found.parameters.dtype == found.predict(samples[0]).dtype == np.float32


def test_inputs_are_not_changed():
    net, *samples = problem()
    kept = [a.copy() for a in samples]
    mitigate(net, *samples, X_test=samples[2], Y_test=samples[3], compare_baselines=True)
    for array, copy in zip(samples, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"factor": 1.0}, ValueError, "factor must be below 1, so that σ decreases; got 1"),
        ({"factor": 0}, ValueError, "factor must be positive and finite, got 0"),
        ({"margin": 1.0}, ValueError, r"margin must be in \[0, 1\), got 1.0"),
        ({"margin": -0.1}, ValueError, "margin must be finite and at least 0"),
        ({"min_sigma": 3.0}, ValueError, "min_sigma = 3 is above the network's sigma = 2"),
        ({"min_sigma": 0}, ValueError, "min_sigma must be positive"),
        ({"max_steps": 0}, ValueError, "max_steps must be at least 1, got 0"),
        ({"time_limit": 0}, ValueError, "time_limit must be positive"),
        ({"until": 0}, ValueError, "until must be positive"),
        ({"loss": "hinge"}, ValueError, "loss must be one of 'squared', 'logistic'"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be an optimizer of ntklin"),
        ({"theta": np.ones(3)}, ValueError, r"theta must have shape \(121,\), got shape \(3,\)"),
        ({"X": np.ones((5, 2))}, ValueError, "X has 2 columns"),
        ({"Y": np.ones(2)}, ValueError, "Y has 2 entries for 5 training inputs"),
        ({"X_val": np.ones((7, 2))}, ValueError, "X_val has 2 columns"),
        ({"Y_val": np.ones(2)}, ValueError, r"Y_val must have shape \(7,\), got shape \(2,\)"),
        ({"Y_val": np.full(7, np.nan)}, ValueError, "Y_val contains NaN"),
        ({"X_test": np.ones((2, 3))}, ValueError, "X_test and Y_test go together"),
        ({"Y_test": np.ones(2)}, ValueError, "X_test and Y_test go together"),
        (
            {"X_test": np.ones((2, 3)), "Y_test": np.ones(3)},
            ValueError,
            r"Y_test must have shape \(2,\)",
        ),
        ({"batches": iter([[0]])}, TypeError, "batches must be ntklin.Batches or a list"),
        ({"net": (3, 24, 1)}, TypeError, "net must be an ntklin.MLP, got tuple"),
        (
            {"net": ntklin.AntisymmetricPair(ntklin.MLP((3, 4, 1)))},
            TypeError,
            "net must be an ntklin.MLP, got AntisymmetricPair",
        ),
        (
            {"net": ntklin.DoubledNetwork(ntklin.MLP((3, 4, 1)))},
            TypeError,
            "a DoubledNetwork starts at f_0 = 0",
        ),
    ],
)
def test_bad_arguments(change, error, match):
    arguments = dict(zip(("net", "X", "Y", "X_val", "Y_val"), problem(), strict=True))
    with pytest.raises(error, match=match):
        mitigate(**arguments | change)


# Baselines


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")  # of the smallest networks
@pytest.mark.parametrize(
    ("widths", "options"),
    [
        ((3, 12, 1), {}),
        ((3, 12, 1), {"scaling": "fan_in", "sigma_b": 0.4}),
        ((3, 40, 1), {"scaling": "eq1", "bias": "none", "sigma": 2.0}),
        ((3, 12, 1), {"scaling": "eq1"}),
        ((3, 10, 8, 1), {"bias": "normal"}),
    ],
)
def test_baselines_are_trained_from_the_same_draw(widths, options):
    net, X, Y, X_val, Y_val = problem(widths, **{"sigma": 1.0} | options)
    theta = net.init(5)
    found = mitigate(net, X, Y, X_val, Y_val, theta=theta, compare_baselines=True, until=0.01)
    doubled, pair = found.baselines
    for trial, kind, count in (
        (doubled, ntklin.DoubledNetwork, ntklin.DoubledNetwork(net).n_parameters),
        (pair, ntklin.AntisymmetricPair, 2 * net.n_parameters),
    ):
        network = kind(net)
        assert trial.network == network
        assert trial.network.n_parameters == count
        assert trial.sigma == net.sigma
        start = network.symmetrize(theta)
        np.testing.assert_array_equal(start, network.init(5))
        # Trained with the engine that works on θ itself, whatever the trial used.
        run = ntklin.train(network, start, X, Y, until=0.01, method="direct")
        assert trial.steps == run.steps
        chain = run.steps * sum(widths)
        assert_close(trial.training_loss, run.losses[-1], kind="trajectory", n=chain)
        expected = half_mean_square(run.predict(X_val), Y_val)
        assert_close(trial.validation_loss, expected, kind="trajectory", n=chain, scale=1)
        assert trial.initialization_size == pytest.approx(0, abs=1e-12)


def test_when_one_run_serves_both_baselines():
    net = ntklin.MLP((3, 4, 1))
    assert are_one_network(net, None)
    assert are_one_network(net, ntklin.Momentum(0.1))
    assert not are_one_network(net, ntklin.AdaGrad(0.1))
    assert not are_one_network(net, lambda net: ntklin.GradientDescent())
    assert not are_one_network(ntklin.MLP((3, 4, 4, 1)), None)
    assert not are_one_network(ntklin.MLP((3, 4, 1), scaling="eq1"), None)
    assert are_one_network(ntklin.MLP((3, 4, 1), scaling="eq1", bias="none"), None)
    # Of 2m neurons, fan_out puts the pair's 1/√2 into the argument of α.
    for activation, is_one in (("abs", True), ("tanh", False)):
        assert are_one_network(ntklin.MLP((3, 4, 1), activation=activation), None) == is_one
    assert are_one_network(ntklin.MLP((3, 4, 1), scaling="fan_in", activation="tanh"), None)


def test_the_pair_is_trained_by_itself_where_it_is_another_network(monkeypatch):
    net, *samples = problem()
    trained = []

    def spy(net, *arguments, **options):
        trained.append(type(net).__name__)
        return ntklin.train(net, *arguments, **options)

    monkeypatch.setattr(trial_module, "train", spy)
    options = {"compare_baselines": True, "min_sigma": 2.0, "until": 0.03}
    mitigate(net, *samples, **options)
    assert trained == ["MLP", "DoubledNetwork"]
    trained.clear()
    mitigate(net, *samples, optimizer=ntklin.AdaGrad(0.01), **options)
    assert trained == ["MLP", "DoubledNetwork", "AntisymmetricPair"]


def test_a_linear_network_has_no_layer_to_double():
    net, *samples = problem((8, 1), n=4, sigma=1.0)
    found = mitigate(net, *samples, compare_baselines=True)
    assert [type(t.network) for t in found.baselines] == [ntklin.AntisymmetricPair]


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
def test_a_baseline_that_diverges_is_reported():
    # The callable is asked for the first network, then for the doubled one.
    found = mitigate(*problem(), optimizer=rates(None, 1e6), compare_baselines=True, min_sigma=2.0)
    doubled, pair = found.baselines
    assert (doubled.outcome, doubled.validation_loss) == ("diverged", None)
    assert pair.converged


def test_symmetrized_starts_give_zero():
    net, X, *_ = problem((3, 5, 4, 1), bias="normal")
    theta = net.init(2)
    for kind in (ntklin.AntisymmetricPair, ntklin.DoubledNetwork):
        network = kind(net)
        outputs = network.apply(network.symmetrize(theta), X)
        assert_close(outputs, np.zeros(5), kind="output", n=20, scale=5.0)
        with pytest.raises(ValueError, match="theta must have shape"):
            network.symmetrize(theta[:-1])


def test_public_names():
    assert ntklin.Mitigation is mitigation.Mitigation
    assert issubclass(ntklin.MitigationInterrupted, KeyboardInterrupt)
