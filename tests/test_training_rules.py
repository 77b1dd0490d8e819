"""Training with every optimizer, loss, kind of batches and engine, against explicit steps."""

import naive
import numpy as np
import pytest
import tasks
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import BIASES, SCALINGS, make_case
from tolerances import EPS, assert_close

import ntklin
from ntklin.runs import loop
from ntklin.training.descents import ENGINES

STEPS = 4
# A large ε: where a gradient is all but cancelled, g/(|g| + ε) is as uncertain as rounding over ε.
RULES = {
    "descent": (ntklin.GradientDescent(0.03), ("descent", 0.03, {})),
    "momentum": (
        ntklin.Momentum(0.02, 0.8),
        ("momentum", 0.02, {"momentum": 0.8, "nesterov": False}),
    ),
    "nesterov": (
        ntklin.Momentum(0.02, 0.8, nesterov=True),
        ("momentum", 0.02, {"momentum": 0.8, "nesterov": True}),
    ),
    "adagrad": (ntklin.AdaGrad(0.02, eps=0.05), ("adagrad", 0.02, {"eps": 0.05})),
    "rmsprop": (
        ntklin.RMSprop(0.01, alpha=0.9, eps=0.05),
        ("rmsprop", 0.01, {"alpha": 0.9, "eps": 0.05}),
    ),
    "adam": (
        ntklin.Adam(0.01, (0.8, 0.9), 0.05),
        ("adam", 0.01, {"betas": (0.8, 0.9), "eps": 0.05}),
    ),
}
COMBINATIONS = [
    (method, rule, widths)
    for method in ENGINES
    for rule in RULES
    for widths in ((3, 5, 1), (2, 4, 3, 1), (3, 3, 4, 2, 1), (4, 1))
    if tasks.serves(ENGINES[method], ntklin.MLP(widths), RULES[rule][0])
]
BATCHES = {
    "full": None,
    "one by one": [[0], [3], [1], [2]],
    "ragged": [[0, 1, 2], [3, 4], [2, 0, 4], [1, 3]],
    "some never": [[0, 1], [1, 2], [0, 2], [1, 0]],
    "twice": [[0, 0, 1], [4, 4], [1, 2, 1, 2], [3]],
    "everything": [[4, 2, 0, 1, 3]] * STEPS,
}


def problem(widths, n=5, seed=0, dtype=np.float64, **options):
    case = make_case(widths, seed=seed, n=n, dtype=dtype, **options)
    return case, np.random.default_rng(seed + 1).uniform(0, 1, n).astype(dtype)


def sample_weights(batches, n):
    weights = np.zeros((STEPS, n))
    for t in range(STEPS):
        batch = range(n) if batches is None else batches[t]
        for k in batch:
            weights[t, k] += 1 / len(batch)
    return weights


def explicit(case, Y, rule, batches=None, loss="squared"):
    """θ and losses of explicit steps; none where rounding may flip a ReLU on their way."""
    name, rate, options = RULES[rule][1]
    trajectory = naive.training(
        *(case.reference, case.theta, case.X, Y, naive.optimizer(name, rate, **options)),
        *(sample_weights(batches, len(Y)), loss),
    )
    distances = [naive.kink_distance(case.reference, theta, case.X) for theta, _ in trajectory]
    if min(distances) < 1e3 * EPS[case.dtype]:
        return None
    return trajectory[-1][0], np.array([value for _, value in trajectory])


def train(case, Y, optimizer, **options):
    return ntklin.train(case.net, case.theta, case.X, Y, optimizer, STEPS, **options)


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
@pytest.mark.parametrize(("method", "rule", "widths"), COMBINATIONS)
@given(
    scaling=st.sampled_from(SCALINGS),
    bias=st.sampled_from(BIASES),
    loss=st.sampled_from(["squared", "logistic"]),
    batches=st.sampled_from(list(BATCHES)),
    dtype=st.sampled_from([np.float64, np.float32]),
    seed=st.integers(0, 1000),
)
def test_against_explicit_steps(method, rule, widths, scaling, bias, loss, batches, dtype, seed):
    case, Y = problem(widths, seed=seed, dtype=dtype, scaling=scaling, bias=bias)
    expected = explicit(case, Y, rule, BATCHES[batches], loss)
    assume(expected is not None)
    theta, losses = expected
    assume(losses.max() < 100)  # where steps are unstable, they amplify their rounding
    run = train(case, Y, RULES[rule][0], batches=BATCHES[batches], loss=loss, method=method)
    assert run.parameters.dtype == dtype
    assert (run.method, run.loss, run.steps) == (method, loss, STEPS)
    # An error of an output has moved a parameter by η/ε ≤ 1 of it in each step.
    chain = STEPS * (sum(widths) + len(Y))
    size = max(1, float(np.abs(theta).max()))
    assert_close(run.parameters, theta, kind="trajectory", n=chain, scale=size)
    assert_close(
        run.losses, losses, kind="trajectory", n=chain, scale=max(1, losses.max()), dtype=dtype
    )


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
@pytest.mark.parametrize("kind", ["number", "diagonal", "matrix"])
@pytest.mark.parametrize("batches", ["full", "ragged", "twice"])
def test_any_preconditioner(kind, batches):
    case, Y = problem((3, 5, 1))
    rng = np.random.default_rng(0)
    P = case.net.n_parameters
    root = rng.standard_normal((P, P)) / P
    D = {"number": 0.5, "diagonal": rng.random(P), "matrix": root @ root.T}[kind]

    def step(t, g, memory):
        D_t = D * (1 + t)
        return -0.02 * (D_t @ g if kind == "matrix" else D_t * g), D_t

    optimizer = ntklin.Preconditioned(0.02, lambda t, g: D * (1 + t))
    run = train(case, Y, optimizer, batches=BATCHES[batches])
    trajectory = naive.training(
        case.reference, case.theta, case.X, Y, step, sample_weights(BATCHES[batches], len(Y))
    )
    assert run.method == "direct"
    assert_close(run.parameters, trajectory[-1][0], kind="trajectory", n=STEPS * P)


@pytest.mark.parametrize("batches", [None, "ragged"])
@pytest.mark.parametrize("rule", ["descent", "adam"])
def test_shuffled_batches_are_those_of_the_schedule(batches, rule):
    """`Batches` here and its own indices in the reference: same samples, same weights."""
    case, Y = problem((3, 5, 1))
    chosen = ntklin.Batches(size=2, rng=3)
    listed = [chosen.at(t, len(Y)).tolist() for t in range(STEPS)]
    theta, _ = explicit(case, Y, rule, listed)
    run = train(case, Y, RULES[rule][0], batches=chosen)
    assert_close(run.parameters, theta, kind="trajectory", n=STEPS * 20)
    assert {len(b) for b in listed} == {1, 2}  # the last one of an epoch is smaller


class Opaque:
    """A network that is none of the library's, with the least that training asks for."""

    def __init__(self, net):
        self._net = net
        self.n_inputs, self.n_parameters = net.n_inputs, net.n_parameters

    def apply(self, theta, X):
        return self._net.apply(theta, X)

    def features(self, theta, X):
        return self._net.features(theta, X)


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batches", ["full", "ragged"])
def test_any_network_with_features(rule, batches):
    case, Y = problem((3, 5, 4, 1))
    options = {"batches": BATCHES[batches], "loss": "logistic"}
    theta, _ = explicit(case, Y, rule, **options)
    run = ntklin.train(Opaque(case.net), case.theta, case.X, Y, RULES[rule][0], STEPS, **options)
    assert run.method == "direct"
    assert_close(run.parameters, theta, kind="trajectory", n=STEPS * 30)


@pytest.mark.parametrize("optimizer", [ntklin.GradientDescent(0.1), ntklin.AdaGrad(0.05, eps=0)])
def test_a_pair_learns_by_both_its_halves(optimizer):
    case, Y = problem((3, 20, 1), start="init")
    pair = ntklin.AntisymmetricPair(case.net)
    theta0 = pair.init(0)
    run = ntklin.train(pair, theta0, case.X, Y, optimizer, 1)
    J = naive.pair_jacobian(case.reference, theta0, case.X)
    g = J.T @ (0 - Y) / len(Y)
    change = g if isinstance(optimizer, ntklin.GradientDescent) else np.sign(g)
    # Where a gradient is rounding alone, its sign is: no neuron of these is that dead.
    expected = theta0 - optimizer.learning_rate * np.where(np.abs(g) > 1e-12, change, 0)
    assert_close(run.parameters, expected, kind="trajectory", n=40, kappa=1e3)


def test_sums_go_on_over_blocks_whatever_their_size(monkeypatch):
    """The same bits whether steps are taken one by one or many at once."""
    case, Y = problem((3, 70, 1), start="init")
    deep, Y_deep = problem((3, 40, 5, 1), start="init")
    runs = []
    for size in (1, 4096):
        monkeypatch.setattr(loop, "MAX_WEIGHTS", size * len(Y))
        runs.append(
            [
                ntklin.train(c.net, c.theta, c.X, targets, optimizer, 12, method=method)
                for c, targets in ((case, Y), (deep, Y_deep))
                for method, engine in ENGINES.items()
                for optimizer in (ntklin.GradientDescent(0.05), ntklin.Adam(1e-3))
                if tasks.serves(engine, c.net, optimizer)
            ]
        )
    assert len(runs[0]) >= 6
    for other in runs[1:]:
        for one, two in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(one.parameters, two.parameters)
            np.testing.assert_array_equal(one.losses, two.losses)


@pytest.mark.parametrize("widths", [(3, 200, 1), (3, 100, 90, 1)])
@pytest.mark.parametrize("method", ENGINES)
@pytest.mark.parametrize("rule", ["descent", "adam"])
def test_results_do_not_depend_on_the_threads_beyond_rounding(widths, method, rule):
    numba = pytest.importorskip("numba")
    if numba.config.NUMBA_NUM_THREADS < 2 or numba.config.DISABLE_JIT:
        pytest.skip("needs two threads")
    case, Y = problem(widths, start="init")
    optimizer = RULES[rule][0]
    if not tasks.serves(ENGINES[method], case.net, optimizer):
        pytest.skip("not an engine for this")
    runs = []
    before = numba.get_num_threads()
    for threads in (2, 1):
        numba.set_num_threads(threads)
        try:
            runs.append(train(case, Y, optimizer, method=method))
        finally:
            numba.set_num_threads(before)
    two, one = runs
    assert_close(one.parameters, two.parameters, kind="trajectory", n=STEPS * 200)
    assert_close(one.losses, two.losses, kind="trajectory", n=STEPS * 200)


def test_an_iterable_ends_the_run_when_it_ends():
    case, Y = problem((3, 5, 1))
    run = ntklin.train(
        case.net, case.theta, case.X, Y, ntklin.GradientDescent(0.01), 100, batches=[[0], [1, 2]]
    )
    assert (run.steps, run.converged) == (2, False)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"loss": "hinge"}, "loss must be one of 'squared', 'logistic', 'softmax', got 'hinge'"),
        ({"loss": "logistic", "Y": np.array([0.0, 1, 2, 0, 1])}, r"between 0 and 1.*Y\[2\] = 2"),
        ({"batches": [[5]]}, "the batch of step 0 has the index 5, outside 0 … 4"),
        ({"batches": ntklin.Batches(size=6)}, "size = 6 exceeds the number of samples, 5"),
        ({"method": "reduced"}, "method='reduced' needs GradientDescent, not Adam"),
    ],
)
def test_bad_choices(change, match):
    case, Y = problem((3, 5, 1))
    arguments = {"theta": case.theta, "X": case.X, "Y": Y, "optimizer": ntklin.Adam(0.1)}
    with pytest.raises(ValueError, match=match):
        ntklin.train(case.net, **arguments | change, steps=1)
