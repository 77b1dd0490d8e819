"""Training of the real network: both engines against explicit steps, and how runs begin and end."""

import naive
import numpy as np
import pytest
import tasks
from hypothesis import given
from hypothesis import strategies as st
from networks import make_case
from tolerances import assert_close

import ntklin
from ntklin.kernels import cpu
from ntklin.kernels.cpu import deep_descent
from ntklin.kernels.structures import Activations, Layers, Passes
from ntklin.runs import loop
from ntklin.training.descents import ENGINES
from ntklin.training.reduced_descent import ReducedDescent
from ntklin.training.task import TrainingTask

SCALINGS = ("fan_out", "fan_in", "eq1")
BIASES = ("none", "zero", "normal")
STEPS = 4


def problem(widths=(3, 5, 1), n=4, seed=0, dtype=np.float64, **options):
    """A case of unit rows away from ReLU kinks, with targets and a stable learning rate."""
    case = make_case(widths, seed=seed, n=n, dtype=dtype, **options)
    Y = np.random.default_rng(seed + 1).standard_normal(n).astype(dtype)
    J = naive.jacobian(case.reference, case.theta.astype(float), case.X.astype(float))
    # With all neurons dead at the start, any rate will do.
    rate = 0.25 * n / (float(np.linalg.norm(J @ J.T, 2)) or 1.0)
    return case, Y, rate


@pytest.mark.parametrize("method", ENGINES)
def test_what_an_engine_needs_grows_with_all_that_it_holds(method):
    engine, plain = ENGINES[method], ntklin.GradientDescent(0.01)

    def needs(widths=(20, 30, 1), n=40, activation="relu", optimizer=plain, dtype=np.float64):
        net = ntklin.MLP(widths, activation=activation)
        if not tasks.serves(engine, net, optimizer):
            return np.inf
        X, Y = np.zeros((n, widths[0]), dtype), np.zeros((n, widths[-1])[: 1 + (widths[-1] > 1)])
        return engine.needs(TrainingTask(net, net.init(0, dtype), X, Y.astype(dtype), optimizer))

    base = needs()
    assert base > 8 * (40 * (20 + 30) + 20 * 30)
    for more in (
        *({"n": 80}, {"widths": (40, 30, 1)}, {"widths": (20, 60, 1)}, {"widths": (20, 30, 3)}),
        *({"widths": (20, 30, 30, 1)}, {"activation": "tanh"}, {"optimizer": ntklin.Adam(0.01)}),
    ):
        assert needs(**more) > base, more
    assert base / 2 <= needs(dtype=np.float32) < base


def explicit_losses(case, Y, rate, steps):
    """L(θ_0), …, L(θ_steps) by explicit steps."""
    losses = []
    for t in range(steps + 1):
        theta = naive.gradient_descent(case.reference, case.theta, case.X, Y, rate, t)
        losses.append(((naive.apply(case.reference, theta, case.X) - Y) ** 2).mean() / 2)
    return np.array(losses)


def train(case, Y, rate=None, **options):
    return ntklin.train(
        case.net, case.theta, case.X, Y, ntklin.GradientDescent(rate), **{"steps": STEPS} | options
    )


@pytest.mark.parametrize("method", ["direct", "reduced"])
@pytest.mark.parametrize("widths", [(3, 5, 1), (2, 4, 3, 1), (3, 3, 4, 2, 1)])
@given(scaling=st.sampled_from(SCALINGS), bias=st.sampled_from(BIASES), seed=st.integers(0, 1000))
def test_against_explicit_steps(method, widths, scaling, bias, seed):
    case, Y, rate = problem(widths, seed=seed, scaling=scaling, bias=bias)
    # A network of few neurons can have a small kernel at the start and a large one soon after: a
    # rate that would be stable for its linearization need not be for it.
    rate = min(rate, 0.05)
    run = train(case, Y, rate, method=method)
    expected = naive.gradient_descent(case.reference, case.theta, case.X, Y, rate, STEPS)
    # Each step adds the rounding of a forward and a backward pass; stable steps do not amplify it.
    chain = STEPS * sum(widths)
    assert_close(run.parameters, expected, kind="trajectory", n=chain)
    losses = explicit_losses(case, Y, rate, STEPS)
    assert_close(run.losses, losses, kind="trajectory", n=chain)
    assert run.steps == STEPS
    assert run.method == method


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 100, 129])
@pytest.mark.parametrize("widths", [(3, 70, 1), (3, 66, 5, 1), (3, 66, 67, 5, 1)])
def test_engines_agree_across_tiles(n, widths):
    case, Y, rate = problem(widths, n=n)
    direct, reduced = (train(case, Y, rate, method=m) for m in ("direct", "reduced"))
    assert_close(reduced.parameters, direct.parameters, kind="trajectory", n=STEPS * n)
    assert_close(reduced.losses, direct.losses, kind="trajectory", n=STEPS * n)


@pytest.mark.parametrize(
    "size", [1, 5, *(pytest.param(n, marks=pytest.mark.compiled) for n in (17, 166)), 331]
)
def test_engines_agree_on_mini_batches(size):
    """More samples than one table holds, and neurons for several tasks."""
    case, Y, rate = problem((3, 200, 1), n=331)
    batches = ntklin.Batches(size=size, rng=1)
    direct, reduced = (
        train(case, Y, rate, method=m, batches=batches, steps=4) for m in ("direct", "reduced")
    )
    assert_close(reduced.parameters, direct.parameters, kind="trajectory", n=4 * 331)
    assert_close(reduced.losses, direct.losses, kind="trajectory", n=4 * 331)


def test_single_precision():
    case, Y, rate = problem((3, 70, 1), n=5, dtype=np.float32)
    run = train(case, Y, rate)
    expected = naive.gradient_descent(case.reference, case.theta, case.X, Y, rate, STEPS)
    assert run.parameters.dtype == np.float32
    assert_close(run.parameters, expected, kind="trajectory", n=STEPS * 80)


@pytest.mark.parametrize("wrap", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
def test_symmetrized_networks_start_at_zero_and_learn(wrap):
    case, Y, _ = problem((3, 20, 1), start="init")
    net = wrap(case.net)
    run = ntklin.train(net, net.init(0), case.X, Y, steps=200)
    assert_close(run.losses[0], (Y**2).mean() / 2, kind="output", n=20)
    assert run.losses[-1] < 0.5 * run.losses[0]


def test_the_default_learning_rate_is_half_of_n_over_the_largest_eigenvalue():
    case, Y, rate = problem()
    run = train(case, Y)
    assert run.optimizer.learning_rate == pytest.approx(2 * rate, rel=1e-12)


def test_until_stops_at_the_first_loss_below():
    case, Y, _ = problem((3, 60, 1), start="init")
    whole = train(case, Y, steps=300)
    target = float(whole.losses[150]) * (1 + 1e-9)
    run = train(case, Y, steps=None, until=target)
    assert run.converged
    assert run.steps == int(np.argmax(whole.losses < target))
    assert (run.losses[:-1] >= target).all()
    assert len(run.losses) == run.steps + 1


@pytest.mark.parametrize("method", ["direct", "reduced"])
def test_no_steps_return_the_start(method):
    case, Y, rate = problem()
    run = train(case, Y, rate, steps=0, method=method)
    np.testing.assert_array_equal(run.parameters, case.theta)
    assert (run.steps, run.converged, len(run.losses)) == (0, False, 1)


def test_a_start_below_the_target_takes_no_step():
    case, Y, _ = problem()
    Y = case.net.apply(case.theta, case.X)
    run = train(case, Y, steps=None)
    assert run.converged
    assert run.steps == 0


def test_auto_reduces_only_where_that_is_cheaper():
    few, many = problem(n=5), problem(n=6)
    assert train(*few).method == "reduced"  # N < 2 d
    assert train(*many).method == "fused"
    linear, Y, rate = problem((9, 1), n=3)
    assert train(linear, Y, rate).method == "direct"


def test_predict_is_the_trained_network():
    case, Y, rate = problem()
    run = train(case, Y, rate)
    np.testing.assert_array_equal(run.predict(case.X), case.net.apply(run.parameters, case.X))


def test_nothing_is_mutated():
    case, Y, rate = problem()
    arrays = [case.theta, case.X, Y]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    for method in ("direct", "reduced"):
        train(case, Y, rate, method=method).parameters[:] = 0
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_bits_on_one_and_two_threads():
    numba = pytest.importorskip("numba")
    if numba.get_num_threads() < 2 or numba.config.DISABLE_JIT:
        pytest.skip("needs two threads")
    case, Y, rate = problem((3, 200, 1), n=5)
    two = train(case, Y, rate, steps=50)
    numba.set_num_threads(1)
    try:
        one = train(case, Y, rate, steps=50)
    finally:
        numba.set_num_threads(2)
    np.testing.assert_array_equal(one.losses, two.losses)


# How a run ends early


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
@pytest.mark.parametrize("method", ["direct", "reduced"])
@pytest.mark.parametrize("widths", [(3, 5, 1), (3, 5, 4, 1)])
def test_divergence_names_the_rate_and_its_bound(method, widths):
    case, Y, rate = problem(widths)
    bound = 8 * rate
    with pytest.raises(ntklin.DivergenceError, match=r"learning rate η = .*2N/λ_max = ") as caught:
        train(case, Y, 1e3 * bound, steps=1000, method=method)
    assert caught.value.learning_rate == 1e3 * bound
    assert caught.value.bound == pytest.approx(bound, rel=1e-12)
    assert 1 <= caught.value.step < 20


def test_an_interruption_keeps_what_was_finished():
    case, Y, rate = problem((3, 70, 1))

    def interrupt(step, loss):
        if step >= 20:
            raise KeyboardInterrupt

    with pytest.raises(ntklin.TrainingInterrupted, match="interrupted after") as caught:
        train(case, Y, rate, steps=10**6, progress=interrupt)
    run = caught.value.run
    assert isinstance(caught.value, KeyboardInterrupt)
    assert 20 <= run.steps < 10**6
    again = train(case, Y, rate, steps=run.steps)
    np.testing.assert_array_equal(run.losses, again.losses)
    np.testing.assert_array_equal(run.parameters, again.parameters)


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
def test_progress_tells_steps_and_losses():
    case, Y, rate = problem()
    seen = []
    run = train(case, Y, rate, steps=500, progress=lambda *a: seen.append(a))
    steps = [s for s, _ in seen]
    assert steps == sorted(set(steps))
    assert seen[-1] == (500, run.losses[-1])
    assert all(loss == run.losses[s] for s, loss in seen)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"steps": -1}, ValueError, "steps must be at least 0, got -1"),
        ({"steps": 1.5}, TypeError, "steps must be an integer, got 1.5"),
        ({"steps": "many"}, TypeError, "steps must be an integer, got 'many'"),
        ({"until": 0}, ValueError, "until must be positive and finite, got 0"),
        ({"until": "low"}, TypeError, "until must be a number, got 'low'"),
        (
            {"method": "fast"},
            ValueError,
            "method must be one of 'auto', 'reduced', 'fused', 'direct'",
        ),
        ({"Y": np.ones(3)}, ValueError, "Y has 3 entries for 4 training inputs"),
        ({"Y": np.full(4, np.nan)}, ValueError, "Y contains NaN"),
        ({"X": np.ones((4, 2))}, ValueError, "X has 2 columns.*dimension 3"),
        ({"theta": np.ones(3)}, ValueError, r"theta must have shape \(26,\), got shape \(3,\)"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be an optimizer of ntklin.*, got 0.1"),
    ],
)
def test_bad_arguments(change, error, match):
    case, Y, _ = problem()
    arguments = {"theta": case.theta, "X": case.X, "Y": Y} | change
    with pytest.raises(error, match=match):
        ntklin.train(case.net, **arguments)


def test_a_kernel_of_zeros_has_no_default_learning_rate():
    net = ntklin.MLP((2, 1, 1), bias="none")
    theta, X, Y = np.array([-1.0, -1.0, 1.0]), np.eye(2), np.ones(2)  # its one neuron is dead
    with pytest.raises(ntklin.DegenerateKernelError, match=r"K\(X, X\) = 0.*learning_rate=\.\.\."):
        ntklin.train(net, theta, X, Y)
    run = ntklin.train(net, theta, X, Y, ntklin.GradientDescent(1.0), steps=2)
    np.testing.assert_array_equal(run.losses, 0.5)


def test_reduction_needs_a_hidden_layer():
    case, Y, rate = problem((3, 1))
    with pytest.raises(ValueError, match="needs an MLP with a hidden layer; use method='direct'"):
        train(case, Y, rate, method="reduced")


@pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf])
def test_bad_learning_rates(rate):
    with pytest.raises(ValueError, match="learning_rate must be positive and finite"):
        ntklin.GradientDescent(rate)


def test_blocks_grow_to_the_pulse(monkeypatch):
    """Ctrl-C never waits for more than about a pulse: blocks are sized by their own time."""
    case, Y, rate = problem()
    monkeypatch.setattr(loop, "PULSE", 0.0)
    seen = []
    train(case, Y, rate, steps=5, progress=lambda step, _: seen.append(step))
    assert seen == [1, 2, 3, 4, 5]


# The kernels where blocks, tiles and slices end


@pytest.mark.parametrize("n", [1, 64, 129, 191, 192, 257])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_at_block_ends(n, dtype):
    rng = np.random.default_rng(n)
    for k in (1, 63, 64, 65, 130):
        x = np.maximum(rng.standard_normal((n, k)), 0).astype(dtype)
        y = rng.standard_normal((7, k)).astype(dtype)
        a = Activations([x, np.maximum(x @ rng.standard_normal((k, 66)).astype(dtype), 0)])
        layers = [(np.empty((66, k), dtype), None), (np.full((1, 66), 0.25, dtype), None)]
        d = [np.where(a[1] > 0, dtype(0.5), dtype(0)), np.ones((n, 1), dtype)]
        scales = (1.0, 2.0), (0.5, 0.25)
        K = cpu.gram(Passes(a, cpu.backward(Layers(layers, *scales), a), *scales))
        wide = [v.astype(float) for v in (*a, *d)]
        expected = 4 * wide[1] @ wide[1].T + 0.0625
        expected += (wide[0] @ wide[0].T + 0.25) * (wide[2] @ wide[2].T)
        assert_close(K, expected, kind="gram", n=k + 66)
        np.testing.assert_array_equal(K, K.T)
        b = [y, np.maximum(y[:, :1] @ np.ones((1, 66), dtype), 0)]
        e = [np.where(b[1] > 0, dtype(0.5), dtype(0)), np.ones((7, 1), dtype)]
        cross = cpu.gram(Passes(a, d, *scales), Passes(b, e, *scales))
        wide_b = [v.astype(float) for v in (*b, *e)]
        expected = 4 * wide[1] @ wide_b[1].T + 0.0625
        expected += (wide[0] @ wide_b[0].T + 0.25) * (wide[2] @ wide_b[2].T)
        size = 4 * wide[1] @ abs(wide_b[1]).T
        size += (abs(wide[0]) @ abs(wide_b[0]).T + 0.25) * (wide[2] @ wide_b[2].T)
        assert_close(cross, expected, kind="gram", n=k + 66, scale=size.max() + 0.0625)


def test_a_step_that_is_broken_off_leaves_no_activations(monkeypatch):
    """What follows is the loss of the weights as they are then."""
    case, Y, rate = problem((3, 9, 7, 1))
    task = TrainingTask(case.net, case.theta, case.X, Y, ntklin.GradientDescent(rate))
    engine, other = ReducedDescent(task), ReducedDescent(task)
    weights = np.full((1, len(Y)), 1 / len(Y))

    class Broken:
        def __getitem__(self, n_turns):
            raise KeyboardInterrupt

    monkeypatch.setattr(deep_descent, "_first_layer", Broken())
    with pytest.raises(KeyboardInterrupt):
        engine.advance(weights, 0.0, np.inf)
    monkeypatch.undo()
    other.restore(engine.arrays())
    assert other.loss() != ReducedDescent(task).loss()
    assert engine.advance(weights, 0.0, np.inf) == other.advance(weights, 0.0, np.inf)
