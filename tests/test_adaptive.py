"""Training of the linearized network: the recursion, its split, its records and how it ends."""

import signal
import warnings

import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from linear_model import linear_model
from networks import cases, make_case
from tolerances import EPS, assert_close

import ntklin
from ntklin.edge import checks as _validate
from ntklin.runs.losses import Loss
from ntklin.runs.monotone import LINEAR_RULES
from ntklin.runs.stability import stability_factor
from ntklin.theory.engines import METHODS

STEPS = 5
# Each rule as the library has it and as the witness has it; the rates are set by `rates`.
RULES = {
    "descent": (ntklin.GradientDescent, {}),
    "momentum": (ntklin.Momentum, {"momentum": 0.8, "nesterov": False}),
    "nesterov": (ntklin.Momentum, {"momentum": 0.8, "nesterov": True}),
    "adagrad": (ntklin.AdaGrad, {"eps": 1e-10}),
    "adagrad without eps": (ntklin.AdaGrad, {"eps": 0.0}),
    "rmsprop": (ntklin.RMSprop, {"alpha": 0.9, "eps": 1e-8}),
    "adam": (ntklin.Adam, {"betas": (0.8, 0.9), "eps": 1e-8}),
}
WITNESS = {"nesterov": "momentum", "adagrad without eps": "adagrad"}
VELOCITY = {"momentum", "nesterov", "adam"}


def rate_for(rule, J, residual):
    """A rate at which no step changes an output by more than a tenth of the residual, or so."""
    if rule in ("descent", "momentum", "nesterov"):
        return 0.2 * len(J) / (float(np.linalg.norm(J @ J.T, 2)) or 1.0)
    return 0.1 * float(np.abs(residual).max()) / (float(np.abs(J).sum(axis=1).max()) or 1.0)


def pair(rule, rate):
    """The library's optimizer and the witness's."""
    optimizer, options = RULES[rule]
    return optimizer(rate, **options), naive.optimizer(WITNESS.get(rule, rule), rate, **options)


def sample_weights(batches, n, steps):
    """The weights of the samples in each step, from the batches' own indices."""
    weights = np.zeros((steps, n))
    for t in range(steps):
        if batches is None:
            batch = range(n)
        else:
            batch = batches.at(t, n) if isinstance(batches, ntklin.Batches) else batches[t]
        for k in batch:
            weights[t, k] += 1 / len(batch)
    return weights


def sensitivity(case, f0, Y, step, weights, loss="squared", dtype=None):
    """How much a trajectory magnifies roundings of J, f_0 and Y, in units of them; at least 1.

    A rounding of a ∂f/∂θ_j is relative to the terms that it sums, which can be much larger.
    """
    eps = 4 * EPS[case.dtype if dtype is None else np.dtype(dtype)]
    J, bound = case.jacobian(), case.jacobian_bound()
    rng = np.random.default_rng(0)
    end = naive.linearized_training(J, f0, Y, step, weights, loss)[-1]
    sizes = [np.abs(end[k]).max() or 1 for k in (0, 1, 3)]
    largest = 1.0
    for _ in range(3):
        noise = [eps * rng.choice([-1.0, 1.0], np.shape(a)) for a in (J, f0, Y)]
        other = naive.linearized_training(
            J + noise[0] * bound * (J != 0),
            f0 * (1 + noise[1]),
            Y * (1 + noise[2]),
            *(step, weights, loss),
        )[-1]
        changes = [np.abs(end[k] - other[k]).max() for k in (0, 1, 3)]
        largest = max(largest, *(c / (eps * s) for c, s in zip(changes, sizes, strict=True)))
    return largest


@st.composite
def problems(draw, **options):
    """A case, its linearization, targets in (0, 1), J and f_0 of the witness, and batches."""
    case = draw(cases(**options))
    n = len(case.X)
    Y = np.random.default_rng(draw(st.integers(0, 99))).uniform(0, 1, n).astype(case.dtype)
    batches = draw(
        st.sampled_from(
            [
                None,
                ntklin.Batches(size=1),
                ntklin.Batches(split=0.5, shuffle=False),
                [[0], [n - 1], [0, 0, n - 1], range(n), [0]],
            ]
        )
    )
    f0 = naive.apply(case.reference, case.theta, case.X)
    return case, Y, case.jacobian(), f0, batches


def linearize(net, theta, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.UnitBallWarning)
        return ntklin.linearize(net, theta, X)


@pytest.mark.parametrize("rule", RULES)
@given(
    problem=problems(),
    loss=st.sampled_from(["squared", "logistic"]),
    method=st.sampled_from(METHODS),
)
def test_against_the_dense_recursion(rule, problem, loss, method):
    case, Y, J, f0, batches = problem
    rate = rate_for(rule, J, Y - f0)
    optimizer, step = pair(rule, rate)
    assume(method != "reduced" or optimizer.rule in LINEAR_RULES)
    weights = sample_weights(batches, len(Y), STEPS)
    lin = linearize(case.net, case.theta, case.X)
    run = lin.train(Y, optimizer, STEPS, batches=batches, loss=loss, record=1, method=method)
    expected = naive.linearized_training(J, f0, Y, step, weights, loss)
    kappa = sensitivity(case, f0, Y, step, weights, loss)
    assume(kappa < 1e4)
    chain = case.n * (STEPS + 1)
    options = {"kind": "trajectory", "n": chain, "kappa": kappa}
    assert run.displacement.dtype == run.outputs.dtype == case.dtype
    assert run.steps == STEPS
    assert_close(run.losses, [e[2] for e in expected], **options, dtype=case.dtype)
    for snapshot, (moved, outputs, _, D) in zip(run.snapshots, expected, strict=True):
        size = np.abs(case.jacobian_bound()).sum() * np.abs(moved).max() + np.abs(f0).max()
        assert_close(snapshot.displacement, moved, **options)
        assert_close(snapshot.outputs, outputs, **options, scale=size)
        if D is not None:
            assert_close(np.broadcast_to(snapshot.weights, len(D)), D, **options, dtype=case.dtype)


@pytest.mark.parametrize("wrap", [ntklin.AntisymmetricPair, ntklin.DoubledNetwork])
@pytest.mark.parametrize("rule", ["adagrad", "adam"])
def test_symmetrized_networks(wrap, rule):
    # One hidden layer: with more, the doubled network's lower layers have gradients of rounding,
    # and these rules normalize whatever is not exactly 0.
    case = make_case((3, 5, 1), n=4, start="init", sigma=1.2)
    net = wrap(case.net)
    theta = net.init(0)
    J, Y = net.jacobian(theta, case.X), np.array([-0.5, 0.1, 0.4, 0.9])
    optimizer, step = pair(rule, rate_for(rule, J, Y))
    run = linearize(net, theta, case.X).train(Y, optimizer, STEPS)
    weights = np.full((STEPS, 4), 0.25)
    moved, outputs, *_ = naive.linearized_training(J, np.zeros(4), Y, step, weights)[-1]
    chain = case.n * (STEPS + 1)
    assert_close(run.displacement, moved, kind="trajectory", n=chain, kappa=10)
    assert_close(run.outputs, outputs, kind="trajectory", n=chain, kappa=10)


@given(problem=problems(dtypes=[np.float64], rows=["plain"]), seed=st.integers(0, 99))
def test_any_preconditioner_of_the_caller(problem, seed):
    """Numbers, diagonals with zeros and matrices that are not symmetric, one after the other."""
    case, Y, J, f0, batches = problem
    rng = np.random.default_rng(seed)
    P = len(case.theta)
    D = [
        0.5,
        rng.uniform(0, 1, P) * (rng.random(P) < 0.5),
        rng.standard_normal((P, P)) / P,
        0.0,
        rng.uniform(0, 1, P),
    ]
    rate = rate_for("descent", J, Y - f0)
    seen = []

    def fn(t, gradient):
        seen.append(t)
        return D[t]

    def step(t, g, memory):
        return -rate * (D[t] @ g if np.ndim(D[t]) == 2 else D[t] * g), np.zeros(P)

    run = linearize(case.net, case.theta, case.X).train(
        Y, ntklin.Preconditioned(rate, fn), STEPS, batches=batches, record=1
    )
    weights = sample_weights(batches, len(Y), STEPS)
    expected = naive.linearized_training(J, f0, Y, step, weights)
    kappa = sensitivity(case, f0, Y, step, weights)
    options = {"kind": "trajectory", "n": (case.n + P) * (STEPS + 1), "kappa": kappa}
    assert seen == list(range(STEPS))
    assert_close(run.displacement, expected[-1][0], **options)
    assert_close(run.losses, [e[2] for e in expected], **options)
    for snapshot, d in zip(run.snapshots[1:], D, strict=True):
        np.testing.assert_array_equal(snapshot.weights, d)


# The split


def split_problem(rule="adagrad", dtype=np.float64, steps=40, seed=0, **options):
    """A run on a network with P > N, with its linearization and new inputs."""
    rng = np.random.default_rng(seed)
    net = ntklin.MLP((3, 9, 6, 1), sigma=1.3)
    theta = net.init(seed, dtype)
    X, X_new = (rng.uniform(-0.57, 0.57, (k, 3)).astype(dtype) for k in (4, 6))
    Y = rng.standard_normal(4)
    lin = ntklin.linearize(net, theta, X)
    J = naive.jacobian(naive.Network((3, 9, 6, 1), 1.3), theta, X)
    optimizer, _ = pair(rule, rate_for(rule, J, Y - lin.initial_outputs))
    return lin, X_new, Y, optimizer, lin.train(Y, optimizer, steps, **options)


def split_options(run, n=40):
    """Tolerances of what is solved with K_D: ‖A_t‖ times a rounding of f_t."""
    kappa = run.split.condition
    return {"kind": "trajectory", "n": n * len(run.displacement), "kappa": kappa}


@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=3)], ids=["full", "batches"])
@pytest.mark.parametrize("rule", ["descent", "adagrad", "rmsprop"])
def test_the_end_state_splits_as_the_product_formula(rule, batches):
    lin, X_new, Y, _, run = split_problem(rule, steps=12, batches=batches, record=1)
    form = lin.theorem6(Y, run.optimizer, steps=12, batches=batches)
    # The formula inverts the K_D of every step, and A_t (f_t − f_0) sums terms of both signs.
    kappa = max(run.at(t).split.condition for t in range(1, 13))
    terms = np.abs(form.A) @ np.abs(form.fitted)
    options = split_options(run) | {"kappa": kappa, "scale": terms}
    moved = form.parameters - lin.features.parameters
    assert_close(run.displacement, moved, **options)
    assert_close(run.path_dependent_displacement, form.B, **options)
    assert_close(run.interpolating_displacement, form.interpolating_displacement, **options)
    phi = lin.features
    J_new = phi.network.jacobian(phi.parameters, X_new)
    options["scale"] = np.abs(J_new) @ terms + np.abs(lin.at(X_new).outputs)
    for part in ("predict", "interpolating", "path_dependent"):
        assert_close(getattr(run, part)(X_new), getattr(form, part)(X_new), **options)
    if rule == "adagrad":
        assert np.abs(form.path_dependent(X_new)).max() > 1e-3


def test_the_product_formula_takes_as_many_steps_as_are_asked_for():
    lin, _, Y, *_ = split_problem("descent", steps=1)
    D = [np.full(lin.features.shape[1], d) for d in (1.0, 0.5, 2.0)]
    for steps in (0, 2):
        some, all_of_few = lin.theorem6(Y, D, 0.01, steps=steps), lin.theorem6(Y, D[:steps], 0.01)
        np.testing.assert_array_equal(some.parameters, all_of_few.parameters)
    assert not np.array_equal(some.parameters, lin.theorem6(Y, D, 0.01).parameters)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_the_two_parts(rule, dtype):
    """f_t = interpolating + path-dependent; on X the one is f_t and the other 0."""
    lin, X_new, _, _, run = split_problem(rule, dtype)
    options = split_options(run)
    f, parts = run.predict(X_new), (run.interpolating(X_new), run.path_dependent(X_new))
    assert {a.dtype for a in (f, *parts, run.interpolating_displacement)} == {np.dtype(dtype)}
    size = np.abs(f).max()
    assert_close(sum(parts), f, **options, scale=size)
    X = lin.features.inputs
    assert_close(run.predict(X), run.outputs, **options)
    assert_close(run.interpolating(X), run.outputs, **options)
    assert_close(run.path_dependent(X), np.zeros(4), **options, scale=size)
    both = run.interpolating_displacement + run.path_dependent_displacement
    assert_close(both, run.displacement, **options)
    assert_close(run.parameters, lin.features.parameters + run.displacement, **options)
    J_new = lin.features.network.jacobian(lin.features.parameters, X_new)
    B = run.path_dependent_displacement
    assert_close(J_new @ B, parts[1], **options, scale=size)


@pytest.mark.parametrize("rule", ["descent", "momentum"])
def test_a_velocity_of_gradients_alone_leaves_the_map_of_gradient_descent(rule):
    """Momentum has D = 1: its interpolating part is what gradient descent's minimizer makes of f_t.

    And since θ_t − θ_0 stays in the span of the gradients, it has no other part.
    """
    lin, X_new, _, _, run = split_problem(rule)
    assert run.weights == 1
    of_gd = lin.minimizer(run.outputs).predict(X_new)
    options = split_options(run) | {"scale": np.abs(of_gd).max()}
    assert_close(run.interpolating(X_new), of_gd, **options)
    assert_close(run.path_dependent(X_new), np.zeros(6), **options)


@pytest.mark.parametrize("form", ["number", "diagonal", "matrix"])
def test_a_constant_preconditioner_has_no_path_dependent_part(form):
    lin, X_new, Y, _, gd = split_problem("descent")
    P = len(gd.displacement)
    rng = np.random.default_rng(1)
    D = {
        "number": 0.5,
        "diagonal": rng.uniform(0.2, 1, P),
        "matrix": (lambda W: W @ W.T / P)(rng.standard_normal((P, P))),
    }[form]
    optimizer = ntklin.Preconditioned(gd.optimizer.learning_rate / 2, lambda t, g: D / (1 + t))
    run = lin.train(Y, optimizer, 40, batches=ntklin.Batches(size=1))
    options = split_options(run)
    size = np.abs(run.predict(X_new)).max()
    assert_close(run.path_dependent(X_new), np.zeros(6), **options, scale=size)
    assert_close(run.interpolating(X_new), run.predict(X_new), **options)
    assert_close(run.path_dependent_displacement, np.zeros(P), **options, scale=run.displacement)


def test_the_split_before_the_first_step_is_f_0():
    lin, X_new, Y, optimizer, run = split_problem(record=[0])
    start = lin.train(Y, optimizer, 0)
    f0 = lin.at(X_new).outputs
    assert (start.steps, start.weights, start.converged) == (0, 1.0, False)
    for at_start in (start, run.at(0)):
        np.testing.assert_array_equal(at_start.predict(X_new), f0)
        np.testing.assert_array_equal(at_start.interpolating(X_new), f0)
        np.testing.assert_array_equal(at_start.path_dependent(X_new), 0)
        np.testing.assert_array_equal(at_start.parameters, lin.features.parameters)


def test_a_preconditioner_without_a_split_is_named():
    lin, _, Y, _, run = split_problem()
    P = len(run.displacement)
    skew = np.eye(P) + np.diag(np.ones(P - 1), 1)
    for D, error, match in (
        (0.0, ntklin.DegenerateKernelError, r"D_1 = 0: .* there is no A_t"),
        (skew, ValueError, r"D_1 must be a symmetric matrix"),
    ):
        done = lin.train(Y, ntklin.Preconditioned(0.01, lambda t, g, D=D: D), 2)
        assert len(done.predict(np.zeros((1, 3)))) == 1
        with pytest.raises(error, match=match):
            done.interpolating(np.zeros((1, 3)))


def test_a_degenerate_kernel_is_named_when_the_split_is_asked_for():
    lin = linear_model(np.array([[1.0, 2, 3], [2, 4, 6]]))
    run = lin.train([1.0, 2.0], ntklin.GradientDescent(0.01), 3)
    assert run.losses[-1] < run.losses[0]
    with pytest.raises(
        ntklin.DegenerateKernelError, match=r"singular .*\(0, 1\).* A_t needs its inv"
    ):
        _ = run.split


def test_the_split_costs_one_weighted_gram_matrix(monkeypatch):
    *_, run = split_problem()
    calls = []
    original = ntklin.FeatureMap.gram
    monkeypatch.setattr(
        ntklin.FeatureMap,
        "gram",
        lambda self, *a, **k: calls.append(k) or original(self, *a, **k),
    )
    for _ in range(2):
        assert run.split.rank == 4
        assert len(run.interpolating_displacement) == len(run.path_dependent_displacement)
    assert len(calls) == 1


# Where training goes


@pytest.mark.parametrize("form", ["number", "diagonal"])
@pytest.mark.parametrize("batches", [None, ntklin.Batches(size=1), ntklin.Batches(size=3)])
def test_batches_do_not_change_the_limit_of_a_constant_preconditioner(form, batches):
    """Thms 4 a) and 5: SGD ends where gradient descent does, at Eq. (9)."""
    lin, X_new, Y, _, gd = split_problem("descent")
    P = len(gd.displacement)
    D = 1.0 if form == "number" else np.random.default_rng(1).uniform(0.2, 1, P)
    optimizer = ntklin.Preconditioned(gd.optimizer.learning_rate, lambda t, g: D)
    run = lin.train(Y, optimizer, until=1e-20, steps=200_000, batches=batches)
    assert run.converged
    expected = lin.minimizer(Y, weights=None if form == "number" else D)
    # What is left of the residual is √(2N · 1e-20), and A_t brings it to any x.
    left = np.sqrt(8e-20) * np.linalg.norm(lin.at(X_new).kernel) / lin.eigenvalues[0]
    np.testing.assert_allclose(run.predict(X_new), expected.predict(X_new), rtol=0, atol=10 * left)


def test_gradient_descent_is_the_closed_form():
    lin, X_new, Y, optimizer, run = split_problem("descent", record=[7])
    closed = lin.gradient_descent(Y, learning_rate=optimizer.learning_rate)
    options = {"kind": "trajectory", "n": 40 * len(run.displacement)}
    for t in (0, 7, None):
        expected = closed.predict(X_new, 40 if t is None else t)
        assert_close(run.predict(X_new, t), expected, **options)
    assert_close(run.losses, closed.loss(range(41)), **options)
    assert_close(run.parameters, closed.parameters(40), **options)


@pytest.mark.parametrize(
    "optimizer",
    [
        ntklin.AdaGrad(0.5),
        ntklin.RMSprop(0.3, alpha=0.5, eps=1.0),
        ntklin.Adam(0.3, betas=(0.5, 0.9), eps=1.0),
        ntklin.Momentum(0.05),
        ntklin.Preconditioned(0.2, lambda t, g: np.linspace(1, 2, 3) / (1 + t % 3)),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_with_fewer_parameters_than_samples_all_end_at_one_minimizer(optimizer):
    """App. A: no effect of D_t, of a velocity or of θ_0, and no path-dependent part."""
    rng = np.random.default_rng(2)
    J = np.linalg.qr(rng.standard_normal((7, 3)))[0] * [2.6, 2.2, 1.8]
    Y = rng.standard_normal(7)
    lin = linear_model(J, rng.standard_normal(3))
    run = lin.train(Y, optimizer, 1000)
    least_squares = np.linalg.lstsq(J, Y)[0]
    options = {"kind": "solve", "n": 100, "kappa": np.linalg.cond(J.T @ J)}
    assert_close(run.parameters, least_squares, **options)
    assert_close(lin.minimizer(Y).parameters, least_squares, **options)
    options["scale"] = np.abs(run.displacement).max()
    assert_close(run.path_dependent_displacement, np.zeros(3), **options)
    assert run.split.rank == 3


@pytest.mark.parametrize(
    "optimizer", [ntklin.AdaGrad(0.05, eps=0.0), ntklin.RMSprop(0.01, eps=0.0)]
)
def test_coordinates_without_gradient_stay_and_drop_out(optimizer):
    """Dead inputs and neurons: D = 0, no step, no part in K_D or in a norm; ε = 0 is safe."""
    net = ntklin.MLP((4, 8, 1))
    theta = net.init(0)
    X = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 4))
    X[:, 1] = 0
    W, _ = net.unpack(theta)[0]
    W[2] = -np.sign(X).T @ np.ones(3) * 1e3  # no input reaches this neuron, or all do
    lin = ntklin.linearize(net, theta, X)
    silent = ~lin.features.toarray().any(axis=0)
    run = lin.train([0.0, 1.0, 1.0], optimizer, 20, record=5)
    assert silent.sum() >= 8
    np.testing.assert_array_equal(run.displacement[silent], 0)
    np.testing.assert_array_equal(run.weights[silent], 0)
    assert (run.weights[~silent] > 0).all()
    assert np.isfinite(run.predict(X)).all()
    measured = run.concentration()
    live = np.array([s.weights[~silent] for s in run.snapshots[1:]])
    np.testing.assert_allclose(measured.norms[1:], live.max(axis=1), rtol=1e-15)
    # A D that is not 0 on silent coordinates is compared on the others only.
    elsewhere = run.concentration(np.where(silent, 1e9, run.weights))
    np.testing.assert_array_equal(elsewhere.distances, measured.distances)


def test_where_few_coordinates_have_a_gradient_they_decide():
    """As with P < N (App. A), though the others are many: two of them for three samples."""
    J = np.zeros((3, 9))
    J[:, [2, 5]] = [[1, 0], [1, 1], [0, 2]]
    lin = linear_model(J)
    run = lin.train([1.0, 2.0, 3.0], ntklin.AdaGrad(0.1), 20)
    assert run.split.rank == 2
    options = {"kind": "solve", "n": 20, "kappa": run.split.condition}
    assert_close(run.interpolating_displacement, run.displacement, **options)
    assert_close(run.interpolating(J), run.outputs, **options)


def test_a_batch_of_one_moves_along_one_gradient():
    lin, _, Y, _, _ = split_problem()
    phi = lin.features
    run = lin.train(Y, ntklin.GradientDescent(0.01), batches=[[2]])
    assert run.steps == 1
    gradient = (lin.initial_outputs[2] - Y[2]) * phi.toarray()[2]
    assert_close(run.displacement, -0.01 * gradient, kind="jacobian", n=30)


def test_single_precision_errs_as_predicted():
    """The distance to double precision is some roundings, amplified as the end state says."""
    _, X_new, *_, single = split_problem("adagrad", np.float32)
    # The same numbers in both: those of single precision.
    phi = single.linearization.features
    wide = ntklin.linearize(phi.network, phi.parameters.astype(float), phi.inputs.astype(float))
    double = wide.train(single.targets, single.optimizer, 40)
    options = split_options(double)
    for part in ("predict", "interpolating", "path_dependent"):
        one, two = (getattr(run, part)(X_new) for run in (single, double))
        assert_close(one, two, **options, scale=double.predict(X_new), dtype=np.float32)
        assert np.abs(one - two).max() > 0
    assert single.split.error_bound > 1e3 * double.split.error_bound


# Records


def test_a_recorded_step_is_a_run_that_ended_there():
    lin, X_new, Y, optimizer, run = split_problem(record=10)
    assert [s.step for s in run.snapshots] == [0, 10, 20, 30, 40]
    short = lin.train(Y, optimizer, 20)
    seen = run.at(20)
    for name in ("displacement", "outputs", "weights", "losses", "parameters"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(short, name))
    assert (seen.steps, seen.converged) == (20, False)
    assert [s.step for s in seen.snapshots] == [0, 10, 20]
    for part in ("predict", "interpolating", "path_dependent"):
        np.testing.assert_array_equal(getattr(seen, part)(X_new), getattr(short, part)(X_new))
    np.testing.assert_array_equal(run.predict(X_new, 20), short.predict(X_new))
    np.testing.assert_array_equal(run.predict(X_new, 40), run.predict(X_new))
    assert run.at(40) is run
    with pytest.raises(ValueError, match="step 15 was not recorded; known are 0, 10, 20, 30, 40"):
        run.predict(X_new, 15)
    with pytest.raises(ValueError, match="t must be at least 0"):
        run.predict(X_new, -1)


def test_records_change_nothing():
    *_, run = split_problem()
    *_, recorded = split_problem(record=[3, 17, 1000])
    assert [s.step for s in recorded.snapshots] == [3, 17]
    np.testing.assert_array_equal(recorded.losses, run.losses)
    np.testing.assert_array_equal(recorded.displacement, run.displacement)


def test_the_network_can_be_linearized_at_a_recorded_step():
    """Sect. 6: a new linearization at θ_T."""
    *_, run = split_problem(record=[20])
    phi = run.linearization.features
    again = ntklin.linearize(phi.network, run.at(20).parameters, phi.inputs)
    expected = phi.network.apply(run.at(20).parameters, phi.inputs)
    np.testing.assert_array_equal(again.initial_outputs, expected)


@pytest.mark.parametrize("rule", ["descent", "adagrad", "adam"])
def test_concentration_and_drift_by_hand(rule):
    lin, _, _, _, run = split_problem(rule, record=[5, 30])
    J = lin.features.toarray()
    D = [run.first_weights, *(s.weights for s in run.snapshots), run.weights]
    D = [np.broadcast_to(d, J.shape[1]) for d in D]
    measured, drift = run.concentration(), run.kernel_drift()
    assert measured.steps.tolist() == drift.steps.tolist() == [1, 5, 30, 40]
    live = D[0] > 0
    assert (live == (D[-1] > 0)).all()
    distances = [np.abs(d - D[-1]).max() for d in D]
    np.testing.assert_allclose(measured.distances, distances, rtol=1e-14)
    np.testing.assert_allclose(measured.norms, [d.max() for d in D], rtol=1e-14)
    assert measured.width == 6
    assert measured.largest_norm == max(d.max() for d in D)
    Z = np.sqrt(6) * max(distances) / measured.largest_norm
    assert measured.constant == pytest.approx(Z, rel=1e-14)
    kernels = [(J * d) @ J.T for d in D]
    norm = np.linalg.norm(kernels[0])
    expected = [np.linalg.norm(K - kernels[0]) for K in kernels]
    options = {"kind": "weighted_gram", "n": J.shape[1], "scale": norm}
    assert_close(drift.distances, expected, **options)
    assert_close(drift.relative, np.array(expected) / norm, **options | {"scale": 1})
    # Around another D, of another form.
    zero, shifted = run.concentration(0.0), run.concentration(np.diag(D[0]))
    np.testing.assert_allclose(zero.distances, zero.norms, rtol=1e-14)
    size = [np.abs(d - D[0]).max() for d in D]
    np.testing.assert_allclose(shifted.distances, size, rtol=1e-12, atol=1e-12 * max(size))


def test_concentration_of_matrices_and_of_a_network_without_hidden_layers():
    lin = linear_model(np.array([[1.0, 2, 0], [0, 1, 1]]))
    D = [np.array([[2.0, 1, 0], [1, 2, 0], [0, 0, 1]]), np.eye(3)]
    run = lin.train([1.0, 1.0], ntklin.Preconditioned(0.01, lambda t, g: D[t]), 2, record=1)
    measured = run.concentration()
    np.testing.assert_allclose(measured.norms, [3, 1], rtol=1e-14)
    np.testing.assert_allclose(measured.distances, [2, 0], rtol=1e-14, atol=1e-15)
    assert measured.width is None
    assert np.isnan(measured.constant)
    assert measured.relative_distance == pytest.approx(2 / 3)


def test_a_zero_that_the_caller_gave_counts():
    """Preconditioned means its zeros; the other rules mark coordinates without gradient by them."""
    lin = linear_model(np.array([[1.0, 2, 3], [0, 1, 1]]))
    D = [np.array([0.0, 1, 1]), np.array([5.0, 1, 1])]
    run = lin.train([1.0, 1.0], ntklin.Preconditioned(0.01, lambda t, g: D[t]), 2, record=1)
    np.testing.assert_array_equal(run.concentration().distances, [5, 0])


def test_nothing_recorded_is_named():
    *_, run = split_problem()
    for ask in (run.concentration, run.kernel_drift):
        with pytest.raises(ValueError, match=r"D_t was not recorded: pass record= to train\(\)"):
            ask()
    *_, recorded = split_problem(record=5)
    with pytest.raises(ValueError, match="D_t was not recorded"):
        recorded.at(0).concentration()
    with pytest.raises(ValueError, match=r"D must be a number or an array of shape \(103,\)"):
        recorded.concentration(np.ones(3))


def test_records_that_do_not_fit_are_refused_beforehand(monkeypatch):
    lin, _, Y, optimizer, run = split_problem()
    vector = run.displacement.nbytes
    for available, options, count, taken in (
        (11 * vector - 1, {"steps": 10, "record": 1}, 11, 0),
        (3 * vector - 1, {"steps": 50, "record": [2, 3, 40]}, 3, 0),
        (2 * vector - 1, {"until": 1e-9, "record": 2}, 1, 2),
    ):
        monkeypatch.setattr(_validate, "available_memory", lambda n=available: n)
        match = f"the parameters and D_t of {count} steps? needs? .*; record fewer steps"
        with pytest.raises(ntklin.MemoryLimitError, match=match) as refused:
            lin.train(Y, optimizer, **options)
        assert refused.value.run.steps == taken
    monkeypatch.setattr(_validate, "available_memory", lambda: 9 * 2 * vector)
    assert len(lin.train(Y, optimizer, 10, record=1, until=1e-9).snapshots) == 11


# How a run begins and ends


def test_defaults():
    lin, _, Y, *_ = split_problem()
    run = lin.train(Y)
    assert run.optimizer == ntklin.GradientDescent(lin.default_learning_rate())
    assert run.converged
    assert run.losses[-1] < 1e-5 <= run.losses[-2]
    assert run.method in METHODS[1:]
    assert (run.loss, run.batches, run.snapshots) == ("squared", None, ())


def test_the_loss_is_that_of_all_samples_and_of_the_right_kind():
    lin, _, Y, *_ = split_problem()
    Y = (Y > 0).astype(float)
    f0 = lin.initial_outputs
    squared = lin.train(Y, ntklin.AdaGrad(0.01), 3, batches=[[0], [1], [0]])
    assert squared.losses[0] == pytest.approx(((f0 - Y) ** 2).mean() / 2, rel=1e-14)
    assert squared.losses[-1] == pytest.approx(((squared.outputs - Y) ** 2).mean() / 2, rel=1e-14)
    logistic = lin.train(Y, ntklin.AdaGrad(0.01), 3, loss="logistic")
    expected = (np.log1p(np.exp(f0)) - Y * f0).mean()
    assert logistic.losses[0] == pytest.approx(expected, rel=1e-14)
    assert logistic.losses[-1] < logistic.losses[0]
    assert_close(
        logistic.path_dependent(lin.features.inputs),
        np.zeros(4),
        **split_options(logistic),
        scale=1,
    )


def test_until_stops_at_the_first_loss_below_and_before_the_first_step():
    lin, _, Y, optimizer, run = split_problem()
    target = float(run.losses[20]) * (1 + 1e-9)
    assert lin.train(Y, optimizer, until=target).steps == int(np.argmax(run.losses < target))
    for record in (None, 1):
        done = lin.train(Y, optimizer, until=float(run.losses[0]) * 2, record=record)
        assert (done.steps, done.converged) == (0, True)


def test_batches_that_end_end_the_run():
    lin, _, Y, optimizer, _ = split_problem()
    for record in (None, 1):
        run = lin.train(Y, optimizer, batches=iter([[0], [1, 2], [3]]), record=record)
        assert (run.steps, run.converged) == (3, False)
        assert lin.train(Y, optimizer, batches=[], record=record).steps == 0


@pytest.mark.parametrize("record", [None, 1])
def test_divergence_names_the_rate_and_its_bound(record):
    lin, _, Y, *_ = split_problem()
    bound = lin.max_learning_rate
    rate = 1e3 * bound
    match = (
        r"loss rose from .* learning rate η = .*linearized network .*2N/λ_max = .*take a smaller"
    )
    with pytest.raises(ntklin.DivergenceError, match=match) as caught:
        lin.train(Y, ntklin.GradientDescent(rate), 1000, record=record)
    assert (caught.value.learning_rate, caught.value.bound) == (rate, bound)
    assert 1 <= caught.value.step < 5
    for options in ({"batches": ntklin.Batches(size=1)}, {"optimizer": ntklin.AdaGrad(1e6)}):
        arguments = {"optimizer": ntklin.GradientDescent(rate)} | options
        match = "no bound on η is known .*ntklin.search_learning_rate finds"
        with pytest.raises(ntklin.DivergenceError, match=match) as caught:
            lin.train(Y, steps=1000, record=record, **arguments)
        assert caught.value.bound is None


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("rule", ["descent", "momentum", "nesterov"])
def test_the_bounds_on_the_learning_rate_are_sharp(rule, loss):
    """Below them the loss falls to the end; above, where they are sharp, it grows without end."""
    lin, _, Y, optimizer, _ = split_problem(rule)
    Y = (Y > 0).astype(float)
    factor, _ = stability_factor(optimizer, Loss(loss), full=True)
    if rule != "descent" and loss == "logistic":
        assert factor is None
        return
    bound = factor * lin.max_learning_rate
    stable = lin.train(Y, optimizer.with_learning_rate(0.99 * bound), 3000, loss=loss)
    assert stable.losses[-1] < 0.1 * stable.losses[0]
    if loss == "squared":
        with pytest.raises(ntklin.DivergenceError) as caught:
            lin.train(Y, optimizer.with_learning_rate(1.01 * bound), 3000)
        assert caught.value.bound == pytest.approx(bound, rel=1e-12)


@pytest.mark.parametrize("start", [0.0, 0.999])
def test_divergence_is_a_thousand_times_the_start(start):
    """One weight, η thrice the inverse curvature: the residual grows by −2 in each step."""
    lin = linear_model(np.ones((1, 1)), np.array([start]))
    with pytest.raises(ntklin.DivergenceError) as caught:
        lin.train([1.0], ntklin.GradientDescent(3.0), 100)
    losses = (1 - start) ** 2 / 2 * 4.0 ** np.arange(30)
    assert caught.value.step == int(np.argmax(losses > 1e3 * losses[0]))
    mild = lin.train([1.0], ntklin.GradientDescent(3.0), caught.value.step - 1)
    np.testing.assert_allclose(mild.losses, losses[: caught.value.step], rtol=1e-9)


def test_divergence_is_told_with_the_bound_also_where_the_kernel_does_not_fit(monkeypatch):
    lin = linear_model(np.ones((1, 1)))
    monkeypatch.setattr(_validate, "available_memory", lambda: 30)
    with pytest.raises(ntklin.DivergenceError, match=r"η < 2N/λ_max = 2, so take") as caught:
        lin.train([1.0], ntklin.GradientDescent(3.0), 100)
    assert caught.value.bound == 2


def test_overflow_is_divergence():
    lin, _, Y, *_ = split_problem(dtype=np.float32)
    with pytest.raises(ntklin.DivergenceError, match=r"rose from .* to (inf|nan) by step 1 "):
        lin.train(Y, ntklin.GradientDescent(3e38), 10)


@pytest.mark.parametrize("how", ["raised", "signalled"])
def test_an_interruption_keeps_what_was_finished(how):
    lin, X_new, Y, optimizer, _ = split_problem()

    def interrupt(step, loss):
        if step >= 20:
            if how == "raised":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(ntklin.TrainingInterrupted, match="interrupted after") as caught:
        lin.train(Y, optimizer, 10**7, record=10, progress=interrupt)
    run = caught.value.run
    assert isinstance(caught.value, KeyboardInterrupt)
    assert isinstance(run, ntklin.LinearizedRun)
    assert 20 <= run.steps < 10**6
    again = lin.train(Y, optimizer, run.steps, record=10)
    np.testing.assert_array_equal(run.losses, again.losses)
    np.testing.assert_array_equal(run.path_dependent(X_new), again.path_dependent(X_new))
    assert len(run.snapshots) == len(again.snapshots) == run.steps // 10 + 1


def test_nothing_is_mutated_and_results_are_read_only():
    lin, X_new, Y, optimizer, _ = split_problem()
    phi = lin.features
    before = [a.copy() for a in (phi.parameters, phi.inputs, phi.outputs, Y, X_new)]
    for a in (phi.parameters, phi.inputs, Y, X_new):
        a.flags.writeable = False
    run = lin.train(Y, optimizer, 10, record=5)
    run.predict(X_new)
    run.path_dependent(X_new)
    for a, b in zip((phi.parameters, phi.inputs, phi.outputs, Y, X_new), before, strict=True):
        np.testing.assert_array_equal(a, b)
    for a in (run.displacement, run.outputs, run.weights, run.parameters, run.snapshots[0].outputs):
        with pytest.raises(ValueError, match="read-only"):
            a[0] = 0
    Y = Y.copy()
    later = lin.train(Y, optimizer, 10)
    Y[:] = 0
    assert later.targets.any()


@pytest.mark.parametrize("method", METHODS[1:])
def test_the_number_of_threads_changes_no_more_than_rounding(method):
    numba = pytest.importorskip("numba")
    if numba.get_num_threads() < 2 or numba.config.DISABLE_JIT:
        pytest.skip("needs two threads")
    net = ntklin.MLP((5, 300, 70, 1))
    X = np.random.default_rng(0).uniform(-0.4, 0.4, (9, 5))
    lin = ntklin.linearize(net, net.init(0), X)
    Y = np.linspace(0, 1, 9)
    runs = []
    for threads in (2, 1, 1):
        numba.set_num_threads(threads)
        try:
            optimizer = (ntklin.Momentum if method == "reduced" else ntklin.AdaGrad)(0.001)
            runs.append(lin.train(Y, optimizer, 30, method=method))
        finally:
            numba.set_num_threads(2)
    two, one, again = runs
    assert_close(one.losses, two.losses, kind="trajectory", n=30 * 370)
    assert_close(one.displacement, two.displacement, kind="trajectory", n=30 * 370)
    np.testing.assert_array_equal(one.losses, again.losses)
    np.testing.assert_array_equal(one.displacement, again.displacement)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"Y": np.ones(3)}, ValueError, "Y has 3 entries for 4 training inputs"),
        ({"Y": np.full(4, np.nan)}, ValueError, "Y contains NaN"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be an optimizer of ntklin, .* got 0.1"),
        ({"steps": -1}, ValueError, "steps must be at least 0"),
        ({"until": 0}, ValueError, "until must be positive"),
        ({"batches": 3}, TypeError, "batches must be an ntklin.Batches or an iterable"),
        ({"batches": ntklin.Batches(size=5)}, ValueError, "size = 5 exceeds"),
        ({"batches": [[7]]}, ValueError, "the batch of step 0 has"),
        ({"record": 0}, ValueError, "record must be at least 1"),
        ({"record": [-1]}, ValueError, r"record\[0\] must be at least 0"),
        ({"loss": "absolute"}, ValueError, "loss must be one of 'squared', 'logistic'"),
        ({"loss": "logistic", "Y": np.arange(4.0)}, ValueError, r"between 0 and 1.*Y\[2\] = 2"),
        ({"method": "fast"}, ValueError, "method must be one of 'auto', .*'direct', got 'fast'"),
    ],
)
def test_bad_arguments(change, error, match):
    lin, _, Y, optimizer, _ = split_problem()
    with pytest.raises(error, match=match):
        lin.train(**({"Y": Y, "optimizer": optimizer} | change))


def test_a_kernel_of_zeros_has_no_default_learning_rate():
    lin = linear_model(np.zeros((2, 3)), theta=np.ones(3))
    with pytest.raises(ntklin.DegenerateKernelError, match=r"K\(X, X\) = 0: no output depends"):
        lin.train([1.0, 2.0])
    run = lin.train([1.0, 2.0], ntklin.AdaGrad(0.1), 2)
    np.testing.assert_array_equal(run.losses, 1.25)
