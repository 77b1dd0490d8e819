"""Kernels without a network: the same closed forms, columns that share one factorization."""

import pickle

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from several_outputs import Problem
from tolerances import assert_close

import ntklin
from ntklin.edge import checks as _validate

X = np.linspace(-1, 1, 5)[:, None] * np.array([0.6, 0.3]) + np.array([0.0, 0.2])
X_NEW = np.array([[0.1, 0.2], [-0.3, 0.5], [0.4, 0.4]])
Y = np.array([0.0, 1.0, 0.5, -1.0, 2.0])
COLUMNS = np.stack([Y, Y**2, np.cos(Y)], axis=1)
RNG = np.random.default_rng(0)


def bump(X1, X2):
    return np.exp(-4 * ((X1[:, None] - X2[None]) ** 2).sum(axis=2))


def wave(X):
    return np.sin(3 * X[:, 0]) + X[:, 1]


def waves(X):
    return np.stack([wave(X), X[:, 0], 0 * X[:, 0]], axis=1)


K, K_NEW = bump(X, X), bump(X_NEW, X)
KAPPA = np.linalg.cond(K)
CLOSE = {"kind": "trajectory", "n": 5, "kappa": KAPPA}


def test_a_function_and_its_array_are_the_same_kernel():
    by_function, by_array = ntklin.linearize_kernel(bump, X), ntklin.linearize_kernel(K)
    for lin in (by_function, by_array):
        assert lin.n_samples == 5
        np.testing.assert_array_equal(lin.kernel, K)
        np.testing.assert_array_equal(lin.initial_outputs, np.zeros(5))
    first, second = by_function.gradient_descent(Y), by_array.gradient_descent(Y)
    np.testing.assert_array_equal(first.predict(X_NEW, [3, 10]), second.predict(K_NEW, [3, 10]))
    assert first.steps_to(1e-3) == second.steps_to(1e-3)
    np.testing.assert_array_equal(
        by_function.minimizer(Y).predict(X_NEW), by_array.minimizer(Y).predict(K_NEW)
    )


def test_closed_forms_are_those_of_the_references():
    lin = ntklin.linearize_kernel(bump, X, wave)
    gd = lin.gradient_descent(Y)
    assert gd.learning_rate == pytest.approx(0.5 * 5 / np.linalg.eigvalsh(K)[-1], rel=1e-12)
    f0, f0_new = wave(X), wave(X_NEW)
    for t in (0, 1, 40):
        expected = naive.closed_form(K, K_NEW, f0, f0_new, Y, gd.learning_rate, t)
        assert_close(gd.predict(X_NEW, t), expected, **CLOSE, scale=np.linalg.norm(Y))
    limit, m = naive.minimizer(K, K_NEW, f0, f0_new, Y), lin.minimizer(Y)
    scale = np.linalg.norm(Y - f0)
    assert_close(gd.predict(X_NEW), limit, **CLOSE, scale=scale)
    assert_close(m.predict(X_NEW), limit, **CLOSE, scale=scale)
    f_int = K_NEW @ np.linalg.solve(K, Y)
    assert_close(m.interpolator(X_NEW), f_int, **CLOSE, scale=scale)
    assert_close(m.initialization(X_NEW), limit - f_int, **CLOSE, scale=scale)
    norm = np.sqrt(Y @ np.linalg.solve(K, Y))
    assert m.interpolator_norm == pytest.approx(norm, rel=1e-9)
    assert m.condition == pytest.approx(np.linalg.cond(K, 1), rel=0.5)


@pytest.mark.parametrize("options", [{"ridge": 0.1}, {"rcond": 0.05}, {"ridge": 0.2, "rcond": 0.1}])
def test_ridge_and_rank_cut(options):
    lin = ntklin.linearize_kernel(K)
    values, V = np.linalg.eigh(K)
    kept = values > options.get("rcond", 0) * values[-1]
    inverse = V[:, kept] / (values[kept] + options.get("ridge", 0)) @ V[:, kept].T
    expected = K_NEW @ inverse @ Y
    np.testing.assert_allclose(lin.minimizer(Y, **options).predict(K_NEW), expected, rtol=1e-9)
    gd = lin.gradient_descent(Y, **options)
    np.testing.assert_allclose(gd.predict(K_NEW), expected, rtol=1e-9)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "packed", "mixed", "pcg"])
@pytest.mark.parametrize(("given", "at"), [((bump, X), X_NEW), ((K,), K_NEW)], ids=["f", "array"])
def test_a_number_is_a_preconditioner(given, at, solver):
    lin = ntklin.linearize_kernel(*given)
    m = lin.minimizer(Y, weights=3.0, ridge=0.3, solver=solver)
    expected = np.linalg.solve(3 * K + 0.3 * np.eye(5), Y)
    np.testing.assert_allclose(m.coefficients[:, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(m.predict(at), 3 * K_NEW @ expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(lin.weighted_kernel(2.0), 2 * K)


def test_a_preconditioner_is_positive():
    lin = ntklin.linearize_kernel(bump, X)
    with pytest.raises(ValueError, match="weights must be positive and finite, got -1"):
        lin.minimizer(Y, weights=-1)


@pytest.mark.parametrize("given", [(bump, X), (K,)], ids=["f", "array"])
def test_the_largest_eigenvalue_without_the_spectrum(given, monkeypatch):
    monkeypatch.setattr("ntklin.runs.stability.LARGE", 4)
    lin, largest = ntklin.linearize_kernel(*given), np.linalg.eigvalsh(K)[-1]
    assert largest * (1 - 1e-14) <= lin.largest_eigenvalue <= largest * (1 + 1e-9)
    assert not lin.has_spectrum


def test_columns_share_the_factorization(monkeypatch):
    calls = []
    original = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda A: calls.append(A.shape) or original(A))
    lin = ntklin.linearize_kernel(bump, X, waves)
    gd, m = lin.gradient_descent(COLUMNS), lin.minimizer(COLUMNS, rcond=1e-12)
    assert gd.predict(X_NEW, [[1, 2], [3, 4]]).shape == (2, 2, 3, 3)
    assert m.predict(X_NEW).shape == m.interpolator(X_NEW).shape == (3, 3)
    assert m.coefficients.shape == (5, 3, 2)
    assert calls == [(5, 5)]


@pytest.mark.parametrize("t", [0, 1, 25, None])
def test_columns_are_the_kronecker_product(t):
    """K ⊗ 1_C on N·C numbers, and each column by itself."""
    lin = ntklin.linearize_kernel(bump, X, waves)
    gd, one = lin.gradient_descent(COLUMNS), np.eye(3)
    found = gd.predict(X_NEW, t)
    big, big_new = np.kron(K, one), np.kron(K_NEW, one)
    f0, f0_new, targets = (a.reshape(-1) for a in (waves(X), waves(X_NEW), COLUMNS))
    if t is None:
        expected = naive.minimizer(big, big_new, f0, f0_new, targets)
    else:
        rate = 3 * gd.learning_rate  # per entry, of which a sample has three
        expected = naive.closed_form(big, big_new, f0, f0_new, targets, rate, t)
    assert_close(found, expected.reshape(3, 3), **CLOSE, scale=np.linalg.norm(COLUMNS))
    for c in range(3):
        single = ntklin.linearize_kernel(bump, X, lambda A, c=c: waves(A)[:, c])
        alone = single.gradient_descent(COLUMNS[:, c])
        np.testing.assert_allclose(found[:, c], alone.predict(X_NEW, t), rtol=1e-9, atol=1e-12)
        assert alone.learning_rate == gd.learning_rate
    m = lin.minimizer(COLUMNS)
    f_int = big_new @ np.linalg.solve(big, targets)
    assert_close(m.interpolator(X_NEW), f_int.reshape(3, 3), **CLOSE, scale=3)
    assert m.step_norm == pytest.approx(
        np.sqrt((targets - f0) @ np.linalg.solve(big, targets - f0)), rel=1e-9
    )
    residual = found.reshape(-1)
    if t is not None:
        trained = naive.closed_form(big, big, f0, f0, targets, rate, t)
        residual = trained - targets
        assert gd.loss(t) == pytest.approx(residual @ residual / (2 * 5), rel=1e-9)


def test_targets_decide_how_many_outputs_there_are():
    lin = ntklin.linearize_kernel(bump, X)
    assert lin.gradient_descent(Y).predict(X_NEW, [1, 2]).shape == (2, 3)
    assert lin.gradient_descent(Y[:, None]).predict(X_NEW, [1, 2]).shape == (2, 3)
    assert lin.gradient_descent(COLUMNS).predict(X_NEW, [1, 2]).shape == (2, 3, 3)
    assert lin.minimizer(COLUMNS).initialization_size(X_NEW) == 0
    with pytest.raises(ValueError, match=r"Y must have shape \(5, 3\)"):
        ntklin.linearize_kernel(K, f0=COLUMNS).minimizer(Y)
    with pytest.raises(ValueError, match=r"Y must have shape \(5,\), got shape \(5, 3\)"):
        ntklin.linearize_kernel(K, f0=Y).minimizer(COLUMNS)


@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0, 2, 10**5, None]))
def test_the_kernel_of_a_network_is_a_kernel(seed, n_outputs, t):
    p = Problem(n_outputs, seed=seed)
    known = p.lin.gradient_descent(p.Y, ridge=1e-3)
    K, K_new = p.J @ p.J.T, p.J_new @ p.J.T

    def f0(rows):  # the rows are K(x, X): f_0 = J θ is known by them
        return rows @ np.linalg.lstsq(K, p.f0, rcond=None)[0]

    flat = p.Y.reshape(-1)
    lin = ntklin.linearize_kernel(K, f0=p.f0)
    # N·C samples in the place of N, with another mean.
    gd = lin.gradient_descent(flat, known.learning_rate * n_outputs, ridge=1e-3)
    assert gd.loss(t) * n_outputs == pytest.approx(known.loss(t), rel=1e-6, abs=1e-12)
    moved = ntklin.linearize_kernel(K).gradient_descent(
        flat - p.f0, known.learning_rate * n_outputs, ridge=1e-3
    )
    found = p.f0_new + moved.predict(K_new, t)
    np.testing.assert_allclose(found, known.predict(p.X_new, t).reshape(-1), rtol=1e-7, atol=1e-7)


def test_f0_that_is_known_on_x_alone():
    lin = ntklin.linearize_kernel(K, f0=wave(X))
    full = ntklin.linearize_kernel(bump, X, wave)
    gd = lin.gradient_descent(Y)
    assert gd.loss(9) == full.gradient_descent(Y).loss(9)
    assert gd.steps_to(1e-3) == full.gradient_descent(Y).steps_to(1e-3)
    f_int = full.minimizer(Y).interpolator(X_NEW)
    np.testing.assert_array_equal(lin.minimizer(Y).interpolator(K_NEW), f_int)
    for call in (gd.predict, lin.minimizer(Y).predict, lin.minimizer(Y).initialization):
        with pytest.raises(ValueError, match="f0 was given as an array"):
            call(K_NEW)


def test_single_precision_and_far_scales():
    single = ntklin.linearize_kernel(K.astype(np.float32))
    gd = single.gradient_descent(Y)
    assert gd.predict(K_NEW.astype(np.float32), 5).dtype == np.float32
    np.testing.assert_allclose(
        gd.predict(K_NEW, 5), ntklin.linearize_kernel(K).gradient_descent(Y).predict(K_NEW, 5),
        rtol=1e-5,
    )  # fmt: skip
    by_function = ntklin.linearize_kernel(bump, X.astype(np.float32))
    assert by_function.kernel.dtype == np.float32
    assert by_function.minimizer(Y).predict(X_NEW.astype(np.float32)).dtype == np.float32
    near = ntklin.linearize_kernel(bump, X, wave).gradient_descent(Y)
    for e in (-900, 900):
        far = ntklin.linearize_kernel(
            lambda A, B, e=e: np.ldexp(bump(A, B), e), X, lambda A, e=e: np.ldexp(wave(A), e // 2)
        )
        gd = far.gradient_descent(np.ldexp(Y, e // 2))
        assert gd.learning_rate == np.ldexp(near.learning_rate, -e)
        for t in (3, None):
            found = np.ldexp(gd.predict(X_NEW, t), -e // 2)
            np.testing.assert_allclose(found, near.predict(X_NEW, t), rtol=1e-12)
        m = far.minimizer(np.ldexp(Y, e // 2))
        np.testing.assert_allclose(
            np.ldexp(m.predict(X_NEW), -e // 2), near.predict(X_NEW), rtol=1e-9
        )


def test_what_was_passed_may_change():
    given, inputs, offset = K.copy(), X.copy(), wave(X)
    lin, other = ntklin.linearize_kernel(given, f0=offset), ntklin.linearize_kernel(bump, inputs)
    for a in (given, inputs, offset):
        a *= -1
    np.testing.assert_array_equal(lin.kernel, K)
    np.testing.assert_array_equal(lin.initial_outputs, wave(X))
    np.testing.assert_array_equal(other.kernel, K)
    with pytest.raises(ValueError, match="read-only"):
        lin.kernel[0, 0] = 1


def test_it_says_how_many_outputs_it_has():
    assert "outputs 3" in repr(ntklin.linearize_kernel(K, f0=waves(X)))
    assert "outputs" not in repr(ntklin.linearize_kernel(K))


def test_it_can_be_sent():
    lin = ntklin.linearize_kernel(bump, X, wave, covariance=bump)
    gd = pickle.loads(pickle.dumps(lin.gradient_descent(Y)))
    np.testing.assert_array_equal(gd.predict(X_NEW, 3), lin.gradient_descent(Y).predict(X_NEW, 3))
    np.testing.assert_array_equal(gd.covariance(X_NEW), lin.gradient_descent(Y).covariance(X_NEW))


@pytest.mark.parametrize(
    "call",
    [
        lambda lin: lin.train(Y),
        lambda lin: lin.theorem3(Y, [1.0], 0.1),
        lambda lin: lin.gradient_descent(Y).parameters(3),
        lambda lin: lin.gradient_descent(Y).parameters(),
        lambda lin: lin.minimizer(Y).parameters,
        lambda lin: lin.minimizer(Y, weights=np.ones(7)),
        lambda lin: lin.minimizer(Y, weights=ntklin.LowRank(np.ones((7, 2)))),
        lambda lin: lin.weighted_kernel(np.ones(7)),
        lambda lin: lin.at(X_NEW, np.ones(7)),
        lambda lin: lin.preconditioner_for(np.ones(7), Y),
        lambda lin: lin.adagrad_weights(),
        lambda lin: lin.features,
        lambda lin: lin.fingerprints,
    ],
)
def test_what_needs_parameters_is_refused(call):
    with pytest.raises(ntklin.NoParametersError, match=r"of a kernel, which has no parameters θ"):
        call(ntklin.linearize_kernel(bump, X))


def changed(value, *places):
    A = K.copy()
    for place in places:
        A[place] = value
    return A


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (K[:, :4], r"K must be a square matrix, \(N, N\), got shape \(5, 4\)"),
        (K[0], r"K must be a square matrix, \(N, N\), got shape \(5,\)"),
        (changed(np.nan, (1, 3)), "K contains NaN or infinite values, the first at row 1, col"),
        (changed(0.4, (1, 3)), r"K must be a symmetric matrix, but entries \(1, 3\) and \(3, 1\)"),
        (-K, "K must be positive semidefinite, but its smallest eigenvalue is -"),
        (changed(2.0, (1, 3), (3, 1)), "K must be positive semidefinite, but its smallest"),
    ],
)
def test_what_is_no_kernel_is_refused_before_any_work(bad, message):
    with pytest.raises(ValueError, match=message):
        ntklin.linearize_kernel(bad)
    if bad.shape == (5, 5):
        lin = ntklin.linearize_kernel(lambda A, B: bad, X)
        with pytest.raises(ValueError, match=message.replace("K ", r"K\(X, X\) ", 1)):
            lin.gradient_descent(Y)
        with pytest.raises(ValueError, match=message.replace("K ", "covariance ", 1)):
            ntklin.linearize_kernel(K, covariance=bad)


def test_rounding_is_no_reason_to_refuse():
    noisy = K + 1e-16 * RNG.standard_normal((5, 5))
    kernel = ntklin.linearize_kernel(noisy).kernel
    np.testing.assert_array_equal(kernel, kernel.T)
    low = RNG.standard_normal((30, 3))
    ntklin.linearize_kernel(low @ low.T)  # rank 3: smallest eigenvalue about −1e-15
    single = K.astype(np.float32)
    single[0, 1] = np.nextafter(single[0, 1], np.float32(2))
    ntklin.linearize_kernel(single)
    with pytest.raises(ValueError, match="if that is the rounding of float32, pass it in float32"):
        ntklin.linearize_kernel(single.astype(np.float64))
    ntklin.linearize_kernel(np.zeros((2, 2)))


def test_memory_is_asked_for(monkeypatch):
    big = np.eye(300)
    lin = ntklin.linearize_kernel(big)
    monkeypatch.setattr(_validate, "available_memory", lambda: 1_000_000)
    with pytest.raises(
        ntklin.MemoryLimitError, match=r"matrix of shape \(300, 300\) needs 2.16 MB"
    ):
        ntklin.linearize_kernel(big)
    for call in (lin.minimizer, lin.gradient_descent):
        with pytest.raises(ntklin.MemoryLimitError, match=r"300 training inputs.*fewer inputs$"):
            call(np.ones(300))
    assert ntklin.linearize_kernel(big[:100, :100]).minimizer(np.ones(100)).rank == 100


def test_arguments_that_do_not_go_together():
    with pytest.raises(ValueError, match="X must be given with a function K"):
        ntklin.linearize_kernel(bump)
    with pytest.raises(ValueError, match="X is for a function K"):
        ntklin.linearize_kernel(K, X)
    with pytest.raises(TypeError, match="f0 can be a function of inputs only where K is one"):
        ntklin.linearize_kernel(K, f0=wave)
    with pytest.raises(TypeError, match="covariance can be a function of inputs only where K"):
        ntklin.linearize_kernel(K, covariance=bump)
    with pytest.raises(ValueError, match=r"f0 must have shape \(5,\), got shape \(4,\)"):
        ntklin.linearize_kernel(K, f0=Y[:4])
    with pytest.raises(ValueError, match=r"X_new must be K\(X_new, X\).*\(N_new, 5\), got shape"):
        ntklin.linearize_kernel(K).minimizer(Y).predict(X_NEW)
    with pytest.raises(ValueError, match=r"X_new must have shape \(N_new, 2\), as X has"):
        ntklin.linearize_kernel(bump, X).minimizer(Y).predict(K_NEW)
    with pytest.raises(ValueError, match=r"covariance\(X1, X2\) must have shape \(3, 5\), got"):
        ntklin.linearize_kernel(
            bump, X, covariance=lambda A, B: bump(A, B) if len(A) == 5 else bump(B, A)
        ).minimizer(Y).covariance(X_NEW)
    with pytest.raises(ValueError, match=r"K\(X_new, X\) must have shape \(3, 5\), got shape"):
        ntklin.linearize_kernel(
            lambda A, B: bump(A, B) if len(A) == 5 else bump(B, A), X
        ).minimizer(Y).predict(X_NEW)
    with pytest.raises(ValueError, match=r"f0\(X\) must have shape \(5,\), got shape \(2,\)"):
        ntklin.linearize_kernel(bump, X, lambda A: A[0]).minimizer(Y)
    with pytest.raises(ntklin.DegenerateKernelError, match=r"K\(X, X\) = 0"):
        ntklin.linearize_kernel(np.zeros((5, 5))).gradient_descent(Y)
    with pytest.raises(ntklin.DegenerateKernelError, match="singular to working precision"):
        ntklin.linearize_kernel(np.ones((5, 5))).minimizer(Y)


def test_kernels_on_a_gpu_stay_there(device):
    lin = ntklin.linearize_kernel(device.put(K), f0=device.put(0 * COLUMNS))
    host = ntklin.linearize_kernel(K, f0=0 * COLUMNS)
    targets, rows = device.put(COLUMNS), device.put(K_NEW)
    np.testing.assert_array_equal(device.get(lin.kernel), K)
    np.testing.assert_array_equal(device.get(lin.initial_outputs), 0 * COLUMNS)
    gd, m = lin.gradient_descent(targets), lin.minimizer(targets)
    for call, name in ((gd, "gradient_descent"), (m, "minimizer")):
        expected = getattr(host, name)(COLUMNS)
        with pytest.raises(ValueError, match="f0 was given as an array"):
            call.predict(rows)
        with pytest.raises(TypeError, match="NumPy and CuPy"):
            getattr(lin, name)(COLUMNS)
        assert call.targets.shape == expected.targets.shape
    np.testing.assert_allclose(
        device.get(m.interpolator(rows)), host.minimizer(COLUMNS).interpolator(K_NEW), rtol=1e-10
    )
    plain = ntklin.linearize_kernel(device.put(K), covariance=device.put(K)).gradient_descent(
        device.put(Y)
    )
    known = ntklin.linearize_kernel(K, covariance=K).gradient_descent(Y)
    for t in (None, 3, [1, 2]):
        np.testing.assert_allclose(
            device.get(plain.predict(rows, t)), known.predict(K_NEW, t), rtol=1e-12
        )
        np.testing.assert_allclose(
            device.get(plain.covariance(t=t)), known.covariance(t=t), rtol=1e-10, atol=1e-13
        )
