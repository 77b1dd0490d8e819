"""The fused steps, of real and linearized networks, against the direct ones, and their tiles."""

import copy
import importlib
import pickle
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import BIASES, SCALINGS, make_case
from tolerances import EPS, assert_close

import ntklin
from ntklin.kernels.cpu import ordering, rules, sums, tiles
from ntklin.kernels.cpu.aligned import aligned_zeros
from ntklin.kernels.cpu.sizes import SAMPLES
from ntklin.training.descents import ENGINES
from ntklin.training.task import TrainingTask

OPTIMIZERS = {
    "descent": ntklin.GradientDescent(0.02),
    "momentum": ntklin.Momentum(0.01, 0.8),
    "nesterov": ntklin.Momentum(0.01, 0.8, nesterov=True),
    "adagrad": ntklin.AdaGrad(0.01),
    "adagrad without eps": ntklin.AdaGrad(0.01, eps=0.0),
    "rmsprop": ntklin.RMSprop(0.001, alpha=0.9),
    "adam": ntklin.Adam(0.01),
}
STEPS = 4
CHOICES = {
    "scaling": st.sampled_from(SCALINGS),
    "bias": st.sampled_from(BIASES),
    "loss": st.sampled_from(["squared", "logistic"]),
    "batches": st.sampled_from([None, ntklin.Batches(size=1), ntklin.Batches(split=0.4)]),
    "sparse": st.booleans(),
    "seed": st.integers(0, 100),
}


def problem(widths, n, seed=0, dtype=np.float64, sparse=False, **options):
    """A case with targets in (0, 1); ``sparse`` inputs have dead columns and a zero row."""
    case = make_case(widths, seed=seed, n=n, dtype=dtype, start="init", **options)
    rng = np.random.default_rng(seed + 1)
    if sparse:
        case.X[rng.random(case.X.shape) < 0.7] = 0
        case.X[:, ::3] = 0
        case.X[0] = 0
    return case, rng.uniform(0, 1, n).astype(dtype)


def real(case, Y, optimizer, **options):
    return ntklin.train(case.net, case.theta, case.X, Y, optimizer, steps=STEPS, **options)


def agree(one, other, n):
    """Losses, parameters and the optimizer's D of two runs, up to the rounding of their steps."""
    dtype = one.parameters.dtype
    assert_close(one.losses, other.losses, kind="trajectory", n=n, dtype=dtype)
    assert_close(one.parameters, other.parameters, kind="trajectory", n=n)


def fused_is_direct(case, Y, optimizer, n, **options):
    """Real steps of both engines agree up to the rounding of sums of n terms."""
    one, other = (
        real(case, Y, optimizer, method=method, **options) for method in ("fused", "direct")
    )
    assert (one.method, other.method) == ("fused", "direct")
    agree(one, other, STEPS * n)


def test_which_network_takes_which_steps(monkeypatch):
    module = importlib.import_module("ntklin.kernels.cpu.fused_network")
    monkeypatch.setattr(module, "ShallowNetwork", lambda *arguments: "of subsets")
    monkeypatch.setattr(module, "GeneralShallowNetwork", lambda *arguments: "any")
    monkeypatch.setattr(module, "DeepNetwork", lambda *arguments: "deep")
    for activation, Y, n_layers, expected in (
        ("relu", np.zeros(3), 2, "of subsets"),
        ("relu", np.zeros((3, 2)), 2, "any"),
        ("tanh", np.zeros(3), 2, "any"),
        ("relu", np.zeros(3), 3, "deep"),
    ):
        activation = SimpleNamespace(name=activation)
        layers = SimpleNamespace(activation=activation, parameters=[None] * n_layers)
        assert module.fused_network(None, Y, layers, [], "descent", "squared") == expected


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
@pytest.mark.parametrize("name", OPTIMIZERS)
@given(
    n=st.sampled_from([1, 2, 5, 6, 13, 171]),
    m=st.sampled_from([1, 31, 32, 33, 70]),
    **CHOICES,
)
def test_real_steps_are_the_direct_ones(name, n, m, scaling, bias, loss, batches, sparse, seed):
    case, Y = problem((7, m, 1), n, seed, sparse=sparse, scaling=scaling, bias=bias)
    fused_is_direct(case, Y, OPTIMIZERS[name], m + n + 7, loss=loss, batches=batches)


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
@pytest.mark.parametrize("name", OPTIMIZERS)
@given(
    widths=st.sampled_from([(7, 1, 1, 1), (7, 33, 5, 1), (6, 40, 70, 1), (6, 5, 70, 4, 9, 1)]),
    n=st.sampled_from([1, 6, 13, 49, 166]),
    **CHOICES,
)
def test_steps_of_deep_networks_are_the_direct_ones(
    name, widths, n, scaling, bias, loss, batches, sparse, seed
):
    case, Y = problem(widths, n, seed, sparse=sparse, scaling=scaling, bias=bias)
    fused_is_direct(case, Y, OPTIMIZERS[name], sum(widths) + n, loss=loss, batches=batches)


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(
    widths=st.sampled_from([(4, 1), (7, 33, 1), (5, 3, 1), (6, 40, 35, 1), (6, 5, 70, 4, 1)]),
    n=st.sampled_from([1, 5, 6, 13]),
    **CHOICES,
)
def test_linearized_steps_are_the_direct_ones(
    name, widths, n, scaling, bias, loss, batches, sparse, seed
):
    case, Y = problem(widths, n, seed, sparse=sparse, scaling=scaling, bias=bias)
    if not case.X.any():
        return
    lin = ntklin.linearize(case.net, case.theta, case.X / np.linalg.norm(case.X))
    one, other = (
        lin.train(Y, OPTIMIZERS[name], steps=STEPS, loss=loss, batches=batches, method=method)
        for method in ("fused", "direct")
    )
    agree(one, other, STEPS * (sum(widths) + n))
    if isinstance(one.weights, np.ndarray):
        # D of a coordinate with a tiny gradient is large and as uncertain as the gradient is: what
        # it multiplies is compared.
        gradients = np.abs(case.net.jacobian(case.theta, case.X)).max(axis=0)
        assert_close(
            one.weights * gradients, other.weights * gradients, kind="trajectory", n=STEPS * 100
        )


@pytest.mark.parametrize("name", ["nesterov", "adam"])
@given(
    widths=st.sampled_from([(4, 3), (7, 33, 3), (5, 9, 1), (6, 40, 35, 2), (6, 5, 33, 4, 3)]),
    n=st.sampled_from([1, 5, 13]),
    activation=st.sampled_from(["relu", "leaky_relu", "tanh"]),
    scaling=st.sampled_from(SCALINGS),
    bias=st.sampled_from(BIASES),
    loss=st.sampled_from(["squared", "logistic", "softmax"]),
    batches=st.sampled_from([None, ntklin.Batches(size=1), ntklin.Batches(split=0.4)]),
    sparse=st.booleans(),
    seed=st.integers(0, 100),
)
def test_linearized_steps_of_any_network_are_the_direct_ones(
    name, widths, n, activation, scaling, bias, loss, batches, sparse, seed
):
    options = {"scaling": scaling, "bias": bias, "activation": activation}
    case, Y = problem(widths, n, seed, sparse=sparse, **options)
    if not case.X.any() or (loss == "softmax" and widths[-1] == 1):
        return
    if widths[-1] > 1:
        Y = np.random.default_rng(seed).dirichlet(np.ones(widths[-1]), n)
    lin = ntklin.linearize(case.net, case.theta, case.X / np.linalg.norm(case.X))
    one, other = (
        lin.train(Y, OPTIMIZERS[name], steps=STEPS, loss=loss, batches=batches, method=method)
        for method in ("fused", "direct")
    )
    agree(one, other, STEPS * (sum(widths) + n * widths[-1]))
    close = {"kind": "trajectory", "n": STEPS * (sum(widths) + n * widths[-1])}
    moved = lin.initial_outputs + (lin.features @ one.displacement).reshape(Y.shape)
    assert_close(one.outputs, moved, **close, scale=1 + np.abs(moved))


@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=9)])
@pytest.mark.parametrize(
    ("n_outputs", "activation", "loss"), [(3, "relu", "softmax"), (1, "gelu", "squared")]
)
def test_linearized_steps_of_more_neurons_than_a_slab(n_outputs, activation, loss, batches):
    case, Y = problem((70, 300, n_outputs), 37, sparse=True, activation=activation)
    Y = np.eye(3)[np.arange(37) % 3] if n_outputs > 1 else Y
    lin = ntklin.linearize(case.net, case.theta, case.X / 20)
    options = {"steps": STEPS, "loss": loss, "batches": batches}
    one, other = (lin.train(Y, ntklin.Adam(1e-3), **options, method=m) for m in ("fused", "direct"))
    assert lin.train(Y, ntklin.Adam(1e-3), **options).method == "fused"
    agree(one, other, STEPS * (371 + 37 * n_outputs))


def uncertainty(case, X, Y):
    """How much cancels in each coordinate of the first gradient, Σ_n |φ_nj s_n| / |g_j|, (P,).

    A rule that divides gradients by their size makes this the relative error of a step.
    """
    J = case.net.jacobian(case.theta, X).astype(float)
    s = case.net.apply(case.theta, X).astype(float) - Y
    gradient, terms = J.T @ s, np.abs(J).T @ np.abs(s)
    return np.divide(terms, np.abs(gradient), where=gradient != 0, out=np.ones_like(terms))


@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
@pytest.mark.parametrize(
    "dtype", [pytest.param(np.float32, marks=pytest.mark.compiled), np.float64]
)
@pytest.mark.parametrize("n", [64, 161])
@pytest.mark.parametrize("name", ["adam", "adagrad"])
def test_many_samples_and_columns(name, n, dtype):
    """More groups than a table takes, more columns than a tile, more neurons than a slab."""
    case, Y = problem((70, 300, 1), n, dtype=dtype)
    optimizer = OPTIMIZERS[name]
    lin = ntklin.linearize(case.net, case.theta, (case.X / 30).astype(dtype))
    for X, run in (
        (case.X, lambda method: real(case, Y, optimizer, method=method)),
        (case.X / 30, lambda method: lin.train(Y, optimizer, steps=STEPS, method=method)),
    ):
        one, other = run("fused"), run("direct")
        assert_close(one.losses, other.losses, kind="trajectory", n=STEPS * 300, dtype=dtype)
        kappa = uncertainty(case, X.astype(dtype), Y)
        moved, expected = ((r.parameters - case.theta) / kappa for r in (one, other))
        size = STEPS * optimizer.learning_rate + EPS[np.dtype(dtype)] * np.abs(case.theta).max()
        assert_close(
            moved, expected, kind="trajectory", n=STEPS * 300, scale=size, dtype=np.dtype(dtype)
        )


@pytest.mark.parametrize("options", [{}, {"activation": "tanh"}])
@pytest.mark.parametrize("train", ["real", "linearized"])
def test_the_same_bits_on_one_and_two_threads(train, options):
    case, Y = problem((40, 700, 1), 23, sparse=True, **options)
    lin = ntklin.linearize(case.net, case.theta, case.X / 20)
    runs = []
    for n_threads in {1, min(2, numba.config.NUMBA_NUM_THREADS)}:
        before = numba.get_num_threads()
        numba.set_num_threads(n_threads)
        try:
            if train == "real":
                runs.append(real(case, Y, ntklin.Adam(0.001), method="fused"))
            else:
                runs.append(lin.train(Y, ntklin.Adam(0.001), steps=STEPS, method="fused"))
        finally:
            numba.set_num_threads(before)
    for run in runs[1:]:
        np.testing.assert_array_equal(run.parameters, runs[0].parameters)
        np.testing.assert_array_equal(run.losses, runs[0].losses)


def test_weights_without_inputs_stay_bit_for_bit():
    case, Y = problem((9, 20, 1), 6, sparse=True)
    dead = ~case.X.any(axis=0)
    assert dead.any()
    run = real(case, Y, ntklin.Adam(0.01), method="fused")
    W0, W = (case.net.unpack(theta)[0][0] for theta in (case.theta, run.parameters))
    np.testing.assert_array_equal(W[:, dead], W0[:, dead])
    assert (W[:, ~dead] != W0[:, ~dead]).any()


@pytest.mark.parametrize(
    ("net", "optimizer", "message"),
    [
        (ntklin.MLP((3, 1)), ntklin.Adam(0.1), "method='fused' needs an MLP with a hidden layer"),
        (
            ntklin.MLP((3, 4, 4, 1), activation="tanh"),
            ntklin.Adam(0.1),
            "method='fused' needs an MLP with one hidden layer, or several of ReLU and one output",
        ),
        (
            ntklin.MLP((3, 4, 1)),
            ntklin.Preconditioned(0.1, lambda t, g: 1.0),
            "method='fused' needs an optimizer with a rule of its own, not Preconditioned",
        ),
    ],
)
def test_what_it_does_not_serve(net, optimizer, message):
    with pytest.raises(ValueError, match=message):
        ntklin.train(net, net.init(0), np.eye(3), np.ones(3), optimizer, steps=1, method="fused")


def test_the_linearized_engine_names_what_it_needs():
    net = ntklin.MLP((3, 4, 1))
    lin = ntklin.linearize(net, net.init(0), np.eye(3))
    with pytest.raises(ValueError, match="method='fused' needs the features of an MLP"):
        lin.train(np.ones(3), ntklin.Preconditioned(0.1, lambda t, g: 1.0), steps=1, method="fused")


# The layout


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("n_columns", [1, 15, 16, 64, 65])
def test_tiles_hold_each_live_column_once(n_columns, has_bias, dtype):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((12, n_columns)).astype(dtype)
    a[rng.random(a.shape) < 0.5] = 0
    a[:, 0] = 0
    made = tiles.tile_inputs(a, 0.5, 0.25, has_bias)
    assert set(made.columns) == set(np.flatnonzero(a.any(axis=0)))
    n_tiles, width = made.shape
    assert n_tiles * width >= len(made.columns) + has_bias
    grid = made.grid
    flat = grid.X.transpose(1, 0, 2).reshape(12, -1)
    np.testing.assert_array_equal(
        flat[:, : len(made.columns)], dtype(0.5) * a[made.order][:, made.columns]
    )
    rest = flat[:, len(made.columns) :]
    assert (rest[:, :1] == (0.25 if has_bias else 0)).all()
    assert not rest[:, 1:].any()
    for t in range(n_tiles):
        live = np.flatnonzero(grid.X[t].any(axis=1))
        assert set(grid.samples[t, : grid.n_samples[t]]) == set(live)
        groups = {n // SAMPLES for n in live}
        assert set(grid.groups[t, : grid.n_groups[t]]) == groups

    ones = tiles.tile_inputs(np.ones((4, 2), dtype), 1.0, 1.0, has_bias).grid
    assert (ones.n_samples[0], ones.n_groups[0]) == (4, 1)  # what is 1 is there as well

    W = rng.standard_normal((5, n_columns)).astype(dtype)
    b = rng.standard_normal(5).astype(dtype) if has_bias else None
    W2, b2 = np.zeros_like(W), None if b is None else np.zeros_like(b)
    made.join(made.split(W, b), W2, b2)
    np.testing.assert_array_equal(W2[:, made.columns], W[:, made.columns])
    assert not W2[:, 0].any()
    if has_bias:
        np.testing.assert_array_equal(b2, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_panels_are_the_inputs(dtype):
    rng = np.random.default_rng(1)
    a = rng.standard_normal((21, 70)).astype(dtype)
    a[rng.random(a.shape) < 0.8] = 0
    made = tiles.tile_inputs(a, 1.0, 1.0, True)
    p = tiles.panels(made)
    n_tiles, n, width = made.grid.X.shape
    lanes = p.values.shape[1]
    found = np.zeros((n_tiles, -(-n // lanes) * lanes, width), dtype)
    for t in range(n_tiles):
        for line in range(p.starts.shape[1] - 1):
            for k in range(p.starts[t, line], p.starts[t, line + 1]):
                column = p.offsets[k] // np.dtype(dtype).itemsize
                found[t, line * lanes : (line + 1) * lanes, column] = p.values[k]
    np.testing.assert_array_equal(found[:, :n], made.grid.X)
    assert not found[:, n:].any()
    assert (p.values != 0).any(axis=1).all()


def test_products_and_gradients_of_a_tile():
    rng = np.random.default_rng(2)
    n, m, n_columns = 23, 64, 20
    made = tiles.tile_inputs(rng.standard_normal((n, n_columns)), 1.0, 1.0, False)
    W = rng.standard_normal((m, n_columns))
    split = made.split(W, None)
    p = tiles.panels(made)
    H = aligned_zeros((m, 24), np.float64)
    for t in range(made.shape[0]):
        for row in range(0, m, 32):
            tiles.add_product(H, row, split, t, p)
    grid = made.grid
    X = grid.X.transpose(1, 0, 2).reshape(n, -1)
    Wt = split.transpose(1, 0, 2).reshape(m, -1)
    assert_close(H[:, :n], Wt @ X.T, kind="output", n=n_columns, scale=np.abs(Wt) @ np.abs(X.T))

    active = rng.random((m, n)) < 0.5
    index = np.zeros((m, 5), np.uint8)
    for k in range(n):
        index[:, k // 5] |= active[:, k].astype(np.uint8) << (k % 5)
    s, scale = rng.standard_normal(n), rng.standard_normal(m)
    s[5:10] = 0  # a group that no batch has
    found = np.empty(5, np.int32)
    count = tiles.live_groups(grid.groups[0], grid.n_groups[0], s, found)
    assert list(found[:count]) == [0, 2, 3, 4]
    table = aligned_zeros((4, 32, made.shape[1]), np.float64)
    tiles.tabulate_groups(table, s, grid.X, 0, found, 0, count)
    g = aligned_zeros((m, made.shape[1]), np.float64)
    tiles.add_gradients(g, 0, m, index, found, 0, count, table, scale)
    expected = scale[:, None] * ((active * s) @ grid.X[0])
    size = np.abs(scale[:, None]) * ((active * np.abs(s)) @ np.abs(grid.X[0]))
    assert_close(g, expected, kind="output", n=n, scale=size)


def test_the_staircase_orders_columns_by_first_use():
    a = np.array([[0.0, 0, 0, 2], [0, 1, 0, 1], [3, 0, 0, 0]])
    columns, (stops,) = ordering.staircase(a)
    assert list(columns) == [3, 1, 0]
    assert list(stops) == [1, 2, 3]
    assert list(ordering.sparsest_first(a)) == [0, 2, 1]


def test_the_staircase_of_two_arrays_is_one():
    """A column that is dead in one of them is used where the other uses it."""
    a, b = np.array([[0.0, 1, 0], [0, 1, 0]]), np.array([[0.0, 1, 0], [1, 0, 0]])
    columns, (stops, others) = ordering.staircase(a, b)
    assert list(columns) == [1, 0]
    assert (list(stops), list(others)) == ([1, 1], [1, 2])


def test_neighbors_follow_each_other():
    a = np.array(
        [[1, 1, 1, 0, 0], [0, 0, 0, 0, 5], [1, 1, 0, 0, 0], [0, 0, 0, 4, 5], [1, 0, 0, 0, 0]]
    )
    assert list(ordering.neighbors_first(a)) == [1, 3, 4, 2, 0]
    assert list(ordering.neighbors_first(np.zeros((3, 2)))) == [0, 1, 2]
    a = np.random.default_rng(0).random((40, 9)) * (np.random.default_rng(1).random((40, 9)) > 0.6)
    assert sorted(ordering.neighbors_first(a)) == list(range(40))


def test_every_rule_has_its_slots():
    for optimizer in OPTIMIZERS.values():
        slots = optimizer.init(np.zeros(3)).slots
        assert len(slots) == rules.SLOTS[optimizer.rule]


@pytest.mark.parametrize("widths", [(5, 40, 1), (5, 40, 33, 1), (5, 40, 37, 33, 1)])
@pytest.mark.parametrize("bias", BIASES)
def test_copies_go_on_as_the_network_itself(widths, bias):
    """Wherever the arrays of a copy lie: those that are one stay one."""
    case, Y = problem(widths, 40, bias=bias)
    task = TrainingTask(case.net, case.theta, case.X, Y, ntklin.Adam(0.01))
    weights = np.full((3, 40), 1 / 40)
    engine = ENGINES["fused"](task)
    engine.advance(weights, 0.0, np.inf)
    copies = [copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))]
    losses = engine.advance(weights, 0.0, np.inf)
    for one in copies:
        np.testing.assert_array_equal(one.advance(weights, 0.0, np.inf), losses)
        np.testing.assert_array_equal(one.parameters(), engine.parameters())


def test_no_sum_looks_at_an_empty_array():
    nothing, A = np.full(1, np.nan)[:0], np.ones((1, 0))
    assert (sums.dot(nothing, A, 0), sums.active_sum(nothing, A, 0)) == (0, 0)
    assert (sums.relu_dot(nothing, A, 0), sums.sum_of(nothing)) == (0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_that_are_all_zero(dtype):
    """A tile on which no sample counts."""
    net = ntklin.MLP((3, 5, 1), bias="none")
    lin = ntklin.linearize(net, net.init(0, dtype=dtype), np.zeros((2, 3), dtype))
    run = lin.train(np.ones(2, dtype), ntklin.AdaGrad(0.1), steps=3, method="fused")
    assert run.losses.tolist() == [0.5] * 4
    assert not run.displacement.any()
