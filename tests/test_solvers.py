"""Every solver's minimizer against dense algebra of the naive J, and what it says of itself."""

import pickle

import naive
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator
from tolerances import EPS, assert_close, tolerance

import ntklin
from ntklin.algebra import certificate
from ntklin.theory import solver_choice, solver_options

SOLVERS = ["eigh", "cholesky", "packed", "mixed", "pcg"]
FREE = ["cholesky", "packed", "mixed", "pcg"]  # of a kernel that is kept
N, WIDTHS = 12, (3, 40, 1)


def problem(widths=WIDTHS, n=N, bias="zero", activation="relu", seed=0):
    """A network, θ_0, X, X_new, Y, and the naive J, J_new, f_0, f_0_new."""
    rng = np.random.default_rng(seed)
    net = ntklin.MLP(widths, bias=bias, activation=activation)
    witness = naive.Network(widths, 1.0, "fan_out", bias)
    theta = net.init(rng=seed)
    X, X_new = (rng.uniform(-0.57, 0.57, (k, 3)) for k in (n, 5))
    exact = [f(witness, theta, Z) for f in (naive.jacobian, naive.apply) for Z in (X, X_new)]
    return net, theta, X, X_new, rng.standard_normal(n), *exact


NET, THETA, X, X_NEW, Y, J, J_NEW, F0, F0_NEW = problem()
LIN = ntklin.linearize(NET, THETA, X)
P = NET.n_parameters


def solved(lin=LIN, targets=Y, **options):
    return lin.minimizer(targets, **options)


@settings(max_examples=15)
@given(
    solver=st.sampled_from(SOLVERS),
    form=st.sampled_from(["none", "number", "diagonal", "matrix", "low rank"]),
    ridge=st.sampled_from([0.0, 0.05]),
    preconditioner=st.sampled_from(["nystrom", "none", "ntk", "mean_output"]),
    depth=st.integers(2, 3),
    seed=st.integers(0, 20),
)
def test_minimizer_of_every_solver(solver, form, ridge, preconditioner, depth, seed):
    widths = (3, *[30] * (depth - 1), 1)
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = problem(widths, seed=seed, n=8)
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((net.n_parameters, 20))
    D, weights = {
        "none": (np.eye(net.n_parameters), None),
        "number": (2.5 * np.eye(net.n_parameters), 2.5),
        "diagonal": ((d := rng.random(net.n_parameters) + 0.1) * np.eye(len(d)), d),
        "matrix": (W @ W.T + np.eye(len(W)),) * 2,
        "low rank": (W @ W.T, ntklin.LowRank(W)),
    }[form]
    K, K_new = J @ D @ J.T + ridge * np.eye(8), J_new @ D @ J.T
    kappa = np.linalg.cond(K)
    assume(kappa < 1e6)
    options = {"preconditioner": preconditioner} if solver == "pcg" else {}
    m = ntklin.linearize(net, theta, X).minimizer(
        Y, weights=weights, ridge=ridge, solver=solver, **options
    )
    assert m.solver == solver
    assert (m.iterations > 0) == (solver in ("mixed", "pcg"))
    # What the residual leaves of the solution, and what rounding does to the kernel.
    right = np.array([Y, f0]).T
    alpha = np.linalg.solve(K, right)
    sizes = np.linalg.norm(alpha, axis=0)
    errors = np.linalg.norm(m.coefficients - alpha, axis=0) / sizes
    allowed = tolerance("solve", n=50, kappa=kappa)
    assert (errors <= np.array(m.error_bounds) + allowed).all()
    left = np.linalg.norm(right - K @ m.coefficients, axis=0) / np.linalg.norm(right, axis=0)
    noise = tolerance("gram", n=50) * np.linalg.norm(K) * sizes / np.linalg.norm(right, axis=0)
    assert abs(m.residual - left.max()) <= noise.max()
    assert m.residual <= (1e-10 if solver in ("mixed", "pcg") else noise.max())
    assert m.residual <= m.residual_bound() * (1 + noise.max()) + noise.max()
    scale = np.abs(K_new) @ np.abs(alpha) + np.abs(f0_new)[:, None]
    slack = (allowed + 2 * max(m.error_bounds)) * scale.max() * kappa**0.5
    f_int = K_new @ alpha[:, 0]
    f_init = f0_new - K_new @ alpha[:, 1]
    np.testing.assert_allclose(m.interpolator(X_new), f_int, rtol=0, atol=slack)
    np.testing.assert_allclose(m.initialization(X_new), f_init, rtol=0, atol=slack)
    np.testing.assert_allclose(m.predict(X_new), f_int + f_init, rtol=0, atol=slack)
    moved = D @ J.T @ (alpha[:, 0] - alpha[:, 1])
    np.testing.assert_allclose(m.parameters - theta, moved, rtol=0, atol=slack * 10)


@pytest.mark.parametrize("solver", FREE)
def test_nothing_of_n_by_n_beside_the_factor(solver, monkeypatch):
    """No whole kernel is asked for, neither to solve nor to predict."""

    def refuse(self, weights=None):
        raise AssertionError("a whole kernel")

    monkeypatch.setattr("ntklin.theory.feature_source.FeatureSource.kernel", refuse)
    monkeypatch.setattr("ntklin.theory.solver_costs.BLOCK", 5)
    m = solved(ntklin.linearize(NET, THETA, X), solver=solver)
    expected = naive.minimizer(J @ J.T, J_NEW @ J.T, F0, F0_NEW, Y)
    np.testing.assert_allclose(m.predict(X_NEW), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("solver", SOLVERS)
def test_several_outputs(solver):
    net = ntklin.MLP((3, 50, 2))
    theta, targets = net.init(rng=3), np.random.default_rng(4).standard_normal((N, 2))
    lin = ntklin.linearize(net, theta, X)
    phi, new = lin.features.toarray(), net.features(theta, X_NEW)
    alpha = np.linalg.solve(phi @ phi.T, (targets - lin.initial_outputs).reshape(-1))
    expected = new.outputs + (new.toarray() @ phi.T @ alpha).reshape(5, 2)
    m = lin.minimizer(targets, solver=solver)
    assert m.coefficients.shape == (N, 2, 2)
    np.testing.assert_allclose(m.predict(X_NEW), expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(m.predict(X), targets, rtol=0, atol=1e-7)
    assert np.abs(m.initialization(X)).max() < 1e-7


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", ["array", "function", "infinite"])
def test_kernels_without_a_network(solver, form, monkeypatch):
    monkeypatch.setattr("ntklin.theory.kernel_source.LARGE", 0)
    inf = ntklin.InfiniteMLP(ntklin.MLP((3, 10, 2)))
    targets = np.random.default_rng(4).standard_normal((N, 2))
    K, new = inf.ntk(X), inf.ntk(X_NEW, X)
    if form == "array":
        lin, at = ntklin.linearize_kernel(K), new
    elif form == "function":
        lin, at = ntklin.linearize_kernel(inf.ntk, X), X_NEW
    else:
        lin, at = inf.linearize(X), X_NEW
    m = lin.minimizer(targets, solver=solver)
    np.testing.assert_allclose(m.predict(at), new @ np.linalg.solve(K, targets), atol=1e-7)
    assert m.residual_bound() < 1e-8
    if form == "function" and solver in FREE:
        assert "_K" not in vars(m.linearization.source)  # nobody made the whole
        assert m.linearization.largest_eigenvalue == pytest.approx(np.linalg.eigvalsh(K)[-1], 1e-3)
    covariance = lin.minimizer(targets).covariance if form == "infinite" else None
    if covariance is not None:
        np.testing.assert_allclose(m.covariance(at), covariance(at), rtol=0, atol=1e-7)


def test_scales_far_from_one():
    """Units keep every solver within the range, float32 factors too."""
    for e in (-300, 300):
        K, targets = np.ldexp(J @ J.T, e), np.ldexp(Y, 200)
        expected = np.linalg.solve(J @ J.T, Y)
        for solver in SOLVERS:
            m = ntklin.linearize_kernel(K).minimizer(targets, solver=solver)
            found = np.ldexp(m.coefficients[:, 0], e - 200)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * abs(expected).max())


@pytest.mark.parametrize("e", [-400, 400])
@pytest.mark.parametrize("solver", ["mixed", "pcg"])
def test_targets_far_from_the_outputs(solver, e):
    """Both are columns for one factor in float32, which reaches from 2^-149 to 2^128."""
    lin = ntklin.linearize(NET, THETA, X)
    m, expected = lin.minimizer(np.ldexp(Y, e), solver=solver), lin.minimizer(Y)
    found = np.ldexp(m.coefficients, [-e, 0])
    np.testing.assert_allclose(found, expected.coefficients, rtol=0, atol=1e-7 * abs(found).max())


@pytest.mark.parametrize("solver", FREE)
def test_float32_is_solved_in_float64(solver):
    theta, X32 = THETA.astype(np.float32), X.astype(np.float32)
    lin = ntklin.linearize(NET, theta, X32)
    double = ntklin.linearize(NET, theta.astype(float), X32.astype(float))
    m, expected = lin.minimizer(Y, solver=solver), double.minimizer(Y)
    assert m.residual < 1e-10
    np.testing.assert_allclose(m.coefficients, expected.coefficients, rtol=1e-6)
    assert m.predict(X_NEW.astype(np.float32)).dtype == np.float32


def test_the_certified_residual_agrees_with_arb():
    """α from floating point, K as it is stored: the enclosure of the true residual lies below."""
    m = ntklin.linearize_kernel(J @ J.T, f0=F0).minimizer(Y)
    K = m.linearization.kernel
    with certificate.ctx.workprec(200):
        exact = certificate.arb_mat([[float(v) for v in row] for row in K])
        worst = 0.0
        for i, b in enumerate((Y, F0)):
            alpha, b = ([[float(v)] for v in a] for a in (m.coefficients[:, i], b))
            left = certificate.arb_mat(b) - exact * certificate.arb_mat(alpha)
            squares = [sum((v * v for v in a.entries()), certificate.arb(0)) for a in
                       (left, certificate.arb_mat(b))]  # fmt: skip
            worst = max(worst, float((squares[0] / squares[1]).sqrt().upper()))
    assert worst <= m.residual_bound() < 1e-9


@pytest.mark.parametrize("C", [1, 2])
@pytest.mark.parametrize("solver", ["eigh", "packed", "pcg"])
def test_the_certified_residual_in_blocks_of_rows(solver, C, monkeypatch):
    net = ntklin.MLP((3, 40, C))
    targets = np.random.default_rng(4).standard_normal((N, C)).squeeze()
    m = ntklin.linearize(net, net.init(rng=3), X).minimizer(targets, ridge=0.1, solver=solver)
    whole = m.residual_bound()
    assert m.residual <= whole < 1e-9
    monkeypatch.setattr("ntklin.theory.kernel_equation._ENTRIES", 5 * N * C * C)
    assert m.residual_bound() == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("C", [1, 2])
@pytest.mark.parametrize("form", ["none", "number", "diagonal", "low rank"])
def test_columns_of_some_inputs_are_those_of_the_kernel(form, C):
    net = ntklin.MLP((3, 6, C))
    lin = ntklin.linearize(net, net.init(rng=3), X[:5])
    J, p = lin.features.toarray(), net.n_parameters
    W = np.random.default_rng(0).standard_normal((p, 4))
    D, weights = {
        "none": (np.eye(p), None),
        "number": (2.5 * np.eye(p), 2.5),
        "diagonal": (np.diag(W[:, 0] ** 2), W[:, 0] ** 2),
        "low rank": (W @ W.T, ntklin.LowRank(W)),
    }[form]
    expected = (J @ D @ J.T).reshape(5 * C, 5, C)[:, [3, 0]].reshape(5 * C, -1)
    found = lin.source.columns_of(np.array([3, 0]), weights)
    assert_close(found, expected, kind="weighted_gram", n=50, scale=abs(J) @ abs(D) @ abs(J.T))


# Refinement, iterations, preconditioners


@pytest.mark.parametrize("solver", ["cholesky", "packed"])
def test_a_tolerance_refines_what_a_factor_gives(solver, monkeypatch):
    """The factor of another matrix has to be refined; that of the right one has not."""
    assert solved(solver=solver, tol=1e-8).iterations == 0
    monkeypatch.setattr(
        "ntklin.algebra.panels.PanelMatrix.shift_diagonal",
        lambda self, value: self.panel(0).__setitem__((0, 0), self.panel(0)[0, 0] + 0.1),
    )
    rough, fine = solved(solver=solver), solved(solver=solver, tol=1e-11)
    assert rough.iterations == 0
    assert rough.residual > 1e-4  # and says so
    assert fine.iterations > 0
    assert fine.residual <= 1e-11


def test_preconditioners_of_ones_own():
    inverse = np.linalg.inv(J @ J.T)
    plain = solved(solver="pcg", preconditioner="none")
    for own in (inverse, aslinearoperator(inverse), lambda R: inverse @ R):
        m = solved(solver="pcg", preconditioner=own)
        assert m.iterations <= 3 < plain.iterations
        np.testing.assert_allclose(m.coefficients, plain.coefficients, rtol=1e-5)
        again = pickle.loads(pickle.dumps(m))
        np.testing.assert_array_equal(again.predict(X_NEW), m.predict(X_NEW))


def test_preconditioners_that_are_nearly_symmetric():
    inverse = np.linalg.inv(J @ J.T)
    rough = inverse * (1 + 1e-5 * np.random.default_rng(0).standard_normal(inverse.shape))
    assert solved(solver="pcg", preconditioner=lambda R: rough @ R).residual < 1e-9


@pytest.mark.compiled
def test_infinite_width_preconditions_well():
    """Wide networks come close to Θ: few iterations where none takes many."""
    rng = np.random.default_rng(0)
    net = ntklin.MLP((5, 2000, 2))
    X = rng.uniform(-0.4, 0.4, (60, 5))
    lin, targets = ntklin.linearize(net, net.init(rng=0), X), rng.standard_normal((60, 2))
    plain, with_limit = (
        lin.minimizer(targets, solver="pcg", preconditioner=p) for p in ("none", "ntk")
    )
    assert 2 * with_limit.iterations < plain.iterations
    assert lin.minimizer(targets, solver="pcg").iterations == with_limit.iterations


def test_starting_from_a_solution_takes_nothing():
    m = solved(solver="pcg")
    for solver in ("pcg", "mixed"):
        assert solved(solver=solver, start=m.coefficients, tol=1e-9).iterations == 0
    other = solved(targets=Y + 1e-3 * np.cos(np.arange(N)), solver="pcg", start=m.coefficients)
    assert 0 < other.iterations <= m.iterations


@pytest.mark.parametrize("solver", FREE)
def test_progress_and_interruption(solver, monkeypatch):
    monkeypatch.setattr("ntklin.theory.solver_costs.BLOCK", 5)
    seen = []
    solved(solver=solver, progress=seen.append)
    assert all(isinstance(s, ntklin.SolverProgress) for s in seen)
    phases = list(dict.fromkeys(s.phase for s in seen))
    expected = ["kernel", "factor", "iterations"]
    assert phases == (expected if solver in ("mixed", "pcg") else expected[:2])
    assert all(s.done <= s.total for s in seen if s.total is not None)
    residuals = [s.residual for s in seen if s.phase == "iterations"]
    assert residuals == [] or residuals[-1] <= 1e-10

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solved(solver=solver, progress=stop)


@pytest.mark.parametrize("solver", FREE)
def test_arrays_on_a_gpu(solver, device):
    """Blocks and products are the device's, factors and iterations the host's."""
    lin = ntklin.linearize(NET, *device.put((THETA, X)))
    m, host = lin.minimizer(device.put(Y), solver=solver), LIN.minimizer(Y)
    for name in ("predict", "interpolator", "initialization"):
        found = device.get(getattr(m, name)(device.put(X_NEW)))
        np.testing.assert_allclose(found, getattr(host, name)(X_NEW), rtol=0, atol=1e-7)
    np.testing.assert_allclose(device.get(m.parameters), host.parameters, rtol=0, atol=1e-7)
    assert m.residual < 1e-10
    at = lin.gradient_descent(device.put(Y)).by_products(20)
    expected = LIN.gradient_descent(Y).predict(X_NEW, 20)
    np.testing.assert_allclose(device.get(at.predict(device.put(X_NEW))), expected, atol=1e-7)


# Choice


def test_auto_is_what_it_was_for_small_problems():
    for options in ({}, {"ridge": 0.1}, {"rcond": 1e-3}, {"weights": np.linspace(0, 1, P)}):
        m, named = solved(**options), solved(solver="auto", **options)
        np.testing.assert_array_equal(m.coefficients, named.coefficients)
        assert m.solver == ("eigh" if "rcond" in options else "cholesky")
    narrow = ntklin.MLP((3, 1))
    assert ntklin.linearize(narrow, narrow.init(rng=0), X).minimizer(Y).solver == "eigh"


def test_auto_takes_what_fits(monkeypatch):
    monkeypatch.setattr(solver_choice, "SMALL", 4)
    needs = [solver_choice.memory_of(name, N, 1) for name in ("auto", "packed", "mixed")]
    assert solver_choice.large(60_000, 1, free=24e9) == "packed"
    assert solver_choice.large(60_000, 1, free=12e9) == "mixed"
    assert solver_choice.large(60_000, 10, free=24e9) == "pcg"
    assert solver_choice.large(10_000, 1, free=24e9) == "auto"
    assert solved().solver == "cholesky"
    monkeypatch.setattr(solver_choice, "fits", lambda need: need < 0)
    assert solved().solver == "pcg"
    assert solved(rcond=1e-3).solver == "eigh"
    monkeypatch.setattr(solver_choice, "fits", lambda need: need == needs[1])
    assert solved().solver == "packed"


# Refusals


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"solver": "lu"}, "solver must be one of 'auto', 'eigh', .* got 'lu'"),
        ({"solver": None}, "solver must be one of"),
        ({"solver": "packed", "rcond": 1e-3}, "rcond cuts the spectrum, which solver='packed'"),
        ({"solver": "pcg", "rcond": 1e-3}, "rcond cuts the spectrum"),
        ({"preconditioner": "ntk"}, "preconditioner is for solver='pcg', got solver='auto'"),
        ({"solver": "pcg", "preconditioner": "jacobi"}, "must be one of 'ntk', .*got 'jacobi'"),
        ({"solver": "pcg", "preconditioner": np.eye(3)}, r"shape \(12, 12\), .* got \(3, 3\)"),
        (
            {"solver": "pcg", "preconditioner": lambda R: R[:3]},
            r"must return an array of the shape \(12, 2\) .* got shape \(3, 2\)",
        ),
        ({"solver": "pcg", "preconditioner": lambda R: R * np.nan}, "returned NaN or infinite"),
        (
            {"solver": "pcg", "preconditioner": np.tri(12) + 12 * np.eye(12)},
            "preconditioner must be symmetric",
        ),
        ({"solver": "pcg", "tol": 0.0}, "tol must be positive"),
        ({"solver": "pcg", "tol": 1e-17}, "float64 knows no smaller error, got 1e-17"),
        ({"solver": "pcg", "tol": 1.0}, "must be below 1"),
        ({"tol": 1e-9, "rcond": 1e-3}, "tol cannot be kept with rcond"),
        ({"start": np.zeros((N, 2))}, "start is for solver='mixed' and 'pcg'"),
        ({"solver": "pcg", "start": np.zeros(N)}, r"start must have shape \(12, 2\)"),
        ({"solver": "mixed", "weights": np.eye(P)[0]}, "12 rows have 1 trained parameters"),
    ],
)
def test_what_cannot_be_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        solved(**options)


def test_progress_must_be_callable():
    with pytest.raises(TypeError, match="progress must be callable, got 3"):
        solved(solver="packed", progress=3)


def test_what_float64_cannot_reach_is_told():
    with pytest.raises(ntklin.ConvergenceError, match="rounding of the products") as caught:
        solved(solver="pcg", tol=solver_options.LEAST)
    assert 0 < caught.value.residual < 1e-10
    for solver in ("auto", "eigh"):
        with pytest.raises(ntklin.ConvergenceError, match="of a direct solution is not below"):
            solved(solver=solver, tol=solver_options.LEAST)
        assert solved(solver=solver, tol=1e-9).residual < 1e-9


@pytest.mark.parametrize("solver", FREE)
def test_singular_kernels_are_refused(solver):
    twice = np.vstack([X, X[3:4]])
    lin, targets = ntklin.linearize(NET, THETA, twice), np.append(Y, Y[3])
    with pytest.raises((ntklin.DegenerateKernelError, ntklin.ConvergenceError)) as caught:
        lin.minimizer(targets + np.eye(N + 1)[3], solver=solver)
    if solver in ("cholesky", "packed"):
        assert "solver='eigh'" in str(caught.value)
    regularized = lin.minimizer(targets, solver=solver, ridge=0.1)
    expected = lin.minimizer(targets, ridge=0.1)
    np.testing.assert_allclose(regularized.coefficients, expected.coefficients, atol=1e-7)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("solver", ["cholesky", "packed"])
def test_a_condition_number_beyond_double_precision_is_told(solver):
    lin = ntklin.linearize_kernel(np.diag([1, 1e-17]))
    match = r"condition number is about 1e\+17, not below 1/\(N·eps\) = 2e\+15"
    with pytest.raises(ntklin.DegenerateKernelError, match=match):
        lin.minimizer(np.ones(2), solver=solver)


def test_memory_is_asked_for_beforehand(monkeypatch):
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 200)
    for solver in ("eigh", "cholesky", "packed", "mixed", "pcg"):
        lin = ntklin.linearize(NET, THETA, X)
        with pytest.raises(ntklin.MemoryLimitError, match=r"needs .* but 200 bytes are free"):
            lin.minimizer(Y, solver=solver)


def test_error_bounds_grow_with_the_residual():
    rough, fine = (solved(solver="pcg", tol=tol) for tol in (1e-3, 1e-11))
    exact = np.linalg.solve(J @ J.T, np.array([Y, F0]).T)
    for m in (rough, fine):
        errors = np.linalg.norm(m.coefficients - exact, axis=0) / np.linalg.norm(exact, axis=0)
        assert (errors <= m.error_bounds).all()
        assert m.error_bound < 1e-3 * np.linalg.cond(J @ J.T) * 10
    assert fine.error_bound < 1e-3 * rough.error_bound
    assert EPS[np.dtype(float)] < fine.residual < 1e-11 < rough.residual < 1e-3


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("widths", [(3, 20, 1), (3, 9, 7, 5, 1), (3, 9, 7, 2)])
def test_runs_of_rows_are_those_of_the_features(widths, activation):
    net = ntklin.MLP(widths, activation=activation)
    theta, C = net.init(rng=0), widths[-1]
    phi, K = net.features(theta, X), ntklin.ntk(net, theta, X)
    rows, columns = phi.rows(slice(2, 7)), phi.rows(slice(4, 12))
    i, j = slice(2 * C, 7 * C), slice(4 * C, 12 * C)
    np.testing.assert_allclose(rows.gram(columns), K[i, j], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(rows.gram(), K[i, i], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(rows.outputs, phi.outputs[2:7])
    np.testing.assert_allclose(rows.toarray(), phi.toarray()[i], rtol=1e-13, atol=1e-15)
    assert rows.shape == (5 * C, net.n_parameters)
    again = pickle.loads(pickle.dumps(rows))
    np.testing.assert_allclose(again.gram(), rows.gram(), rtol=1e-13)
    np.testing.assert_array_equal(rows.rows(slice(1, 3)).outputs, phi.outputs[3:5])
