"""Constant D of every form, Eq. (9): the minimizer, Example 1, any interpolating w, App. A, B."""

import naive
import numpy as np
import pytest
import rational
from hypothesis import assume, currently_in_test_context, given
from hypothesis import strategies as st
from linear_model import linear_model
from networks import BIASES, SCALINGS
from tolerances import EPS, assert_close

import ntklin
from ntklin.algebra import preconditioners
from ntklin.edge import checks as _validate

KINDS = ("number", "diagonal", "matrix", "low rank")


def draw(kind, P, rng, dtype=np.float64):
    """A D of this kind as the library takes it, and dense."""
    if kind == "number":
        c = float(rng.uniform(0.1, 5))
        return c, c * np.eye(P)
    if kind == "diagonal":
        d = rng.uniform(0.05, 2, P).astype(dtype)
        return d, np.diag(d)
    W = rng.standard_normal((P, P if kind == "matrix" else 6)).astype(dtype)
    dense = W.astype(float) @ W.T.astype(float)
    return (dense if kind == "matrix" else ntklin.LowRank(W)), dense


def problem(widths=(3, 5, 1), n=3, seed=0, dtype=np.float64, **options):
    """A network, θ_0, X, X_new, Y, and its naive witness's J, J_new, f_0, f_0_new."""
    rng = np.random.default_rng(seed)
    net, witness = ntklin.MLP(widths, **options), naive.Network(widths, **options)
    theta = net.init(rng=seed, dtype=dtype)
    X, X_new = (rng.uniform(-0.35, 0.35, (k, widths[0])).astype(dtype) for k in (n, 4))
    clear = naive.kink_distance(witness, theta, np.vstack([X, X_new])) > 1e3 * EPS[np.dtype(dtype)]
    if currently_in_test_context():
        assume(clear)
    exact = [f(witness, theta, Z) for f in (naive.jacobian, naive.apply) for Z in (X, X_new)]
    return net, theta, X, X_new, rng.standard_normal(n), *exact


def condition(K):
    values = np.linalg.eigvalsh(K)
    return values[-1] / values[0]


# Eq. (9) for every form of D


@given(
    kind=st.sampled_from(KINDS),
    widths=st.sampled_from([(2, 6, 1), (3, 4, 3, 1), (8, 1)]),
    bias=st.sampled_from(BIASES),
    scaling=st.sampled_from(SCALINGS),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 999),
)
def test_the_minimizer_of_any_constant_preconditioner(kind, widths, bias, scaling, dtype, seed):
    options = {"bias": bias, "scaling": scaling, "sigma": 1.3}
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = problem(widths, 3, seed, dtype, **options)
    weights, D = draw(kind, net.n_parameters, np.random.default_rng(seed), dtype)
    K, K_new = J @ D @ J.T, J_new @ D @ J.T
    kappa = np.linalg.cond(K)
    assume(kappa < (1e2 if dtype == np.float32 else 1e6))
    m = ntklin.linearize(net, theta, X).minimizer(Y, weights=weights)
    alpha = np.linalg.solve(K, np.array([Y, f0]).T)
    moves = alpha[:, 0] - alpha[:, 1]
    sizes = np.abs(J_new) @ np.abs(D) @ np.abs(J.T) @ np.abs(alpha)
    # Sums over P inside sums over P, for a matrix and a factor.
    close = {"kind": "solve", "n": 4 * net.n_parameters, "kappa": kappa, "dtype": dtype}
    outputs = {"scale": sizes.sum(axis=1).max() + np.abs(f0_new).max(), **close}
    assert_close(m.interpolator(X_new), K_new @ alpha[:, 0], **outputs)
    assert_close(m.initialization(X_new), f0_new - K_new @ alpha[:, 1], **outputs)
    assert_close(m.predict(X_new), f0_new + K_new @ moves, **outputs)
    scale = np.abs(theta).max() + (np.abs(D) @ np.abs(J.T) @ np.abs(alpha)).sum(axis=1).max()
    assert_close(m.parameters, theta + D @ J.T @ moves, scale=scale, **close)
    assert m.rank == 3
    assert m.predict(X_new).dtype == m.parameters.dtype == dtype


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 999), exponent=st.integers(-9, 9))
def test_the_scale_of_a_preconditioner_is_free(kind, seed, exponent):
    rng = np.random.default_rng(seed)
    J, J_new, Y = (rng.standard_normal(shape) for shape in ((4, 9), (3, 9), 4))
    weights, D = draw(kind, 9, rng)
    kappa = np.linalg.cond(J @ D @ J.T)
    assume(kappa < 1e6)
    lin = linear_model(J, rng.standard_normal(9))
    m = lin.minimizer(Y, weights=weights)
    if kind == "low rank":
        scaled = lin.minimizer(Y, weights=ntklin.LowRank(10.0**exponent * weights.W))
    else:
        scaled = lin.minimizer(Y, weights=10.0**exponent * weights)
    size = np.abs(J_new) @ np.abs(D) @ np.abs(J.T) @ np.abs(m.coefficients).sum(axis=1)
    options = {"kind": "solve", "n": 36, "kappa": kappa, "scale": size.max() + 1}
    assert_close(scaled.predict(J_new), m.predict(J_new), **options)
    assert_close(scaled.interpolator(J_new), m.interpolator(J_new), **options)


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 999))
def test_a_preconditioned_pseudo_inverse_is_a_right_inverse(kind, seed):
    """φ(X) A = 1 with A = D φ^T K_D^{-1}, column by column."""
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((3, 8))
    weights, D = draw(kind, 8, rng)
    kappa = np.linalg.cond(J @ D @ J.T)
    assume(kappa < 1e6)
    lin = linear_model(J)
    A = np.array([lin.minimizer(e, weights=weights).parameters for e in np.eye(3)]).T
    scale = np.abs(J).max() * np.abs(A).sum(axis=0).max()
    assert_close(J @ A, np.eye(3), kind="solve", n=32, kappa=kappa, scale=scale)


@pytest.mark.parametrize("kind", KINDS)
def test_the_minimizer_in_rational_arithmetic(kind):
    """The library's θ_∞ against Eq. (9) in fractions, of the very floats that it was given."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        J, theta, Y = (rng.integers(-4, 5, s) / 4 for s in ((3, 7), 7, 3))
        J[:, :3] += 2 * np.eye(3)
        weights, D = draw(kind, 7, rng)
        if kind == "low rank":
            W = rational.exact(weights.W)
            D_exact = W @ W.T
        else:
            D_exact = rational.exact(D)
        J_exact, theta_exact = rational.exact(J), rational.exact(theta)
        K = J_exact @ D_exact @ J_exact.T
        residual = rational.exact(Y) - J_exact @ theta_exact
        A = D_exact @ J_exact.T @ rational.solve(K, rational.identity(3))
        assert (J_exact @ A == rational.identity(3)).all()
        m = linear_model(J, theta).minimizer(Y, weights=weights)
        expected = rational.floats(theta_exact + A @ residual)
        scale = (np.abs(D) @ np.abs(J.T) @ np.abs(m.coefficients)).sum(axis=1).max() + 1
        options = {"kind": "solve", "n": 28, "kappa": m.condition, "scale": scale}
        assert_close(m.parameters, expected, **options)


def test_symmetrized_networks_take_every_form():
    net = ntklin.AntisymmetricPair(ntklin.MLP((2, 4, 1)))
    theta, P = net.init(0), net.n_parameters
    X, Y = np.array([[0.3, 0.1], [-0.2, 0.5]]), np.array([1.0, -1.0])
    J = net.jacobian(theta, X)
    for kind in KINDS:
        weights, D = draw(kind, P, np.random.default_rng(1))
        m = ntklin.linearize(net, theta, X).minimizer(Y, weights=weights)
        expected = theta + D @ J.T @ np.linalg.solve(J @ D @ J.T, Y)
        scale = np.abs(theta).max() + np.abs(D @ J.T).max() * np.abs(m.coefficients).sum()
        options = {"kind": "solve", "n": 4 * P, "kappa": m.condition, "scale": scale}
        assert_close(m.parameters, expected, **options)
        assert_close(m.predict(X), Y, **options)


def test_the_kernel_function_takes_every_form():
    net, theta, X, X_new, _, J, J_new, *_ = problem()
    for kind in KINDS:
        weights, D = draw(kind, net.n_parameters, np.random.default_rng(1))
        for other, J_other in ((None, J), (X_new, J_new)):
            K = ntklin.ntk(net, theta, X, other, weights=weights)
            size = np.abs(J) @ np.abs(D) @ np.abs(J_other.T)
            n = 2 * net.n_parameters
            assert_close(K, J @ D @ J_other.T, kind="weighted_gram", n=n, scale=size)
    with pytest.raises(ValueError, match="weights must be positive and finite, got -1"):
        ntklin.ntk(net, theta, X, weights=-1)


def test_a_factor_is_applied_to_the_training_inputs_once():
    rng = np.random.default_rng(0)
    lin = linear_model(rng.standard_normal((3, 6)))
    D = ntklin.LowRank(rng.standard_normal((6, 4)))
    m = lin.minimizer(np.ones(3), weights=D)
    kept = lin.source.factor(D)
    m.predict(rng.standard_normal((2, 6)))
    assert lin.source.factor(D) is kept
    first = lin.at(lin.features.inputs, D)
    assert lin.at(lin.features.inputs.copy(), D) is first
    lin.minimizer(np.ones(3), weights=ntklin.LowRank(rng.standard_normal((6, 4))))
    assert lin.source.factor(D) is not kept


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_not_changed_and_what_they_become_does_not_matter(kind):
    rng = np.random.default_rng(0)
    J, J_new, Y = (rng.standard_normal(shape) for shape in ((3, 6), (2, 6), 3))
    weights, _ = draw("matrix" if kind == "low rank" else kind, 6, rng)
    raw = np.array(weights)
    before = raw.copy()
    given_weights = ntklin.LowRank(raw) if kind == "low rank" else raw
    m = linear_model(J).minimizer(Y, weights=given_weights)
    np.testing.assert_array_equal(raw, before)
    expected = m.predict(J_new)
    raw[...] = 0
    np.testing.assert_array_equal(
        linear_model(J).minimizer(Y, weights=m.weights).predict(J_new), expected
    )


# Singular and refused D's


def test_a_matrix_may_be_singular():
    """A projector: only its range is trained."""
    rng = np.random.default_rng(2)
    J, J_new, Y = (rng.standard_normal(shape) for shape in ((2, 6), (3, 6), 2))
    Q = np.linalg.qr(rng.standard_normal((6, 4)))[0]
    m = linear_model(J).minimizer(Y, weights=Q @ Q.T)
    same = linear_model(J).minimizer(Y, weights=ntklin.LowRank(Q))
    z = np.linalg.pinv(J @ Q) @ Y
    options = {"kind": "solve", "n": 24, "kappa": m.condition, "scale": np.abs(z).sum()}
    assert_close(m.parameters, Q @ z, **options)
    assert_close(same.parameters, Q @ z, **options)
    assert_close(
        same.predict(J_new),
        J_new @ Q @ z,
        scale=10 * np.abs(z).sum(),
        **{k: v for k, v in options.items() if k != "scale"},
    )


def test_a_factor_of_few_columns_fits_as_in_the_underparametrized_case():
    rng = np.random.default_rng(3)
    J, Y, W = (rng.standard_normal(shape) for shape in ((5, 9), 5, (9, 2)))
    m = linear_model(J).minimizer(Y, weights=ntklin.LowRank(W))
    z = np.linalg.lstsq(J @ W, Y, rcond=None)[0]
    assert m.rank == 2
    assert_close(m.parameters, W @ z, kind="solve", n=36, kappa=m.condition)


J_BLAME = np.array([[1.0, 0.0, 0.5, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.3, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("D", "rows"),
    [
        ([1.0, 0.0, 1.0, 1.0], r"rows without features, weighted by D: 1\."),
        ([0.0, 1.0, 0.0, 1.0], None),  # two directions for three inputs: App. A
        ([1.0, 1.0, 1.0, 1e-30], r"parallel features, weighted by D: \(1, 2\)\."),
        (np.diag([1.0, 0.0, 1.0, 1.0]), r"rows without features, weighted by D: 1\."),
    ],
)
def test_a_preconditioner_that_makes_the_kernel_singular_is_named_as_the_cause(D, rows):
    lin, Y = linear_model(J_BLAME), np.ones(3)
    if rows is None:
        assert lin.minimizer(Y, weights=D).rank == 2
        return
    message = (
        r"kernel K_D\(X, X\) = φ\(X\) D φ\(X\)\^T is singular.*K\(X, X\) itself is not \(its λ_min "
        rf"= .*\): D is the cause. Counting rows from 0: .*{rows} Give D fewer zeros"
    )
    with pytest.raises(ntklin.DegenerateKernelError, match=message):
        lin.minimizer(Y, weights=D)
    assert lin.minimizer(Y, weights=D, rcond=1e-12).rank == 2
    assert lin.minimizer(Y, weights=D, ridge=0.1).rank == 3


def test_dependent_rows_under_d_are_named():
    J = np.array([[1.0, 0, 0, 0.1], [0, 1.0, 0, 0], [1.0, 1.0, 0, 0], [0, 0, 1.0, 0]])
    message = r"no two rows have parallel features, weighted by D, but .* dependent ones: 0, 1, 2\."
    with pytest.raises(ntklin.DegenerateKernelError, match=message):
        linear_model(J).minimizer(np.ones(4), weights=[1.0, 1.0, 1.0, 1e-33])


def test_a_kernel_that_is_singular_by_itself_is_not_blamed_on_d():
    J = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]])
    with pytest.raises(
        ntklin.DegenerateKernelError, match=r"parallel features, as of.*\(0, 1\)"
    ) as e:
        linear_model(J).minimizer(np.ones(2), weights=[1.0, 2.0, 3.0])
    assert "cause. C" not in str(e.value)


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        (0.0, ValueError, "weights must be positive and finite, got 0.0"),
        (-1, ValueError, "weights must be positive and finite, got -1"),
        ("many", TypeError, "weights must be a number, got 'many'"),
        ([1.0, 2.0], ValueError, r"weights must have shape \(3,\), got shape \(2,\)"),
        (
            [1.0, -2.0, 0.5],
            ValueError,
            "weights must be non-negative, but its smallest entry is -2",
        ),
        ([0.0, 0.0, 0.0], ValueError, "weights are 0 everywhere: no parameter would be trained"),
        (np.zeros((3, 3)), ValueError, "weights are 0 everywhere"),
        (np.ones((3, 2)), ValueError, r"a matrix of shape \(3, 3\) or an ntklin.LowRank\(W\), got"),
        (np.ones((2, 3, 3)), ValueError, r"must have shape \(3,\), got shape \(2, 3, 3\)"),
        (
            np.array([[1.0, 0, 0.5], [0, 1, 0], [0.4, 0, 1]]),
            ValueError,
            r"symmetric matrix, but entries \(0, 2\) and \(2, 0\) are 0.5 and 0.4",
        ),
        (np.diag([1.0, -1e-3, 1.0]), ValueError, "smallest eigenvalue is -0.001"),
        (np.full((3, 3), np.nan), ValueError, "weights contains NaN"),
        (ntklin.LowRank(np.ones((2, 1))), ValueError, r"W of shape \(2, 1\), but .* 3 parameters"),
    ],
)
def test_bad_weights(weights, error, match):
    with pytest.raises(error, match=match):
        linear_model(np.eye(2, 3)).minimizer([1.0, 2.0], weights=weights)


@pytest.mark.parametrize("weights", [["a"], -1, [1, -1], np.ones((3, 2)), np.diag([1, -1]), [0, 0]])
def test_bad_weights_have_the_name_that_they_are_given(weights):
    with pytest.raises((TypeError, ValueError), match=r"^D_7 "):
        preconditioners.as_preconditioner(weights, 2, name="D_7")


@pytest.mark.parametrize(
    ("W", "error", "match"),
    [
        (np.ones(3), ValueError, r"W must have shape \(P, k\) with k ≥ 1, got shape \(3,\)"),
        (np.ones((3, 0)), ValueError, r"got shape \(3, 0\)"),
        (np.ones((3, 1), complex), TypeError, "real numbers, got dtype complex128"),
        (np.array([[1.0], [np.inf]]), ValueError, "W contains NaN or infinite values"),
    ],
)
def test_bad_factors(W, error, match):
    with pytest.raises(error, match=match):
        ntklin.LowRank(W)


def test_a_factor_is_copied_once_and_kept_from_change():
    W = np.ones((4, 2), int)
    D = ntklin.LowRank(W)
    assert D.W.dtype == np.float64
    assert not D.W.flags.writeable
    assert ntklin.LowRank(D.W).W is D.W
    W[0] = 7
    assert D.W[0, 0] == 1
    assert repr(D) == "LowRank(W of shape (4, 2), float64)"
    assert ntklin.LowRank(np.ones((4, 2), np.float32)).W.dtype == np.float32


def test_rounding_does_not_make_a_matrix_asymmetric_or_indefinite():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((40, 3))
    D = W @ W.T
    D[3, 5] *= 1 + 1e-15
    m = linear_model(rng.standard_normal((2, 40))).minimizer([1.0, 2.0], weights=D)
    np.testing.assert_array_equal(m.weights, m.weights.T)


@pytest.mark.parametrize("form", ["matrix", "factor", "made"])
def test_memory_is_refused_beforehand(form, monkeypatch):
    lin = linear_model(np.eye(2, 50))
    D, W, w = np.eye(50), np.ones((50, 20)), np.ones(50)
    lin.spectrum  # noqa: B018  (kept, so that only what follows asks for memory)
    monkeypatch.setattr(_validate, "available_memory", lambda: 700)
    calls = {
        "matrix": lambda: lin.minimizer([1.0, 1.0], weights=D),
        "factor": lambda: ntklin.LowRank(W),
        "made": lambda: lin.preconditioner_for(w, [1.0, 1.0]),
    }
    shape = {"matrix": r"D of shape \(50, 50\)", "factor": r"\(50, 20\)", "made": r"\(50, 2\)"}
    with pytest.raises(ntklin.MemoryLimitError, match=f"{shape[form]} needs"):
        calls[form]()


# Any interpolating w


@given(seed=st.integers(0, 999), bias=st.sampled_from(BIASES), dtype=st.sampled_from(["f4", "f8"]))
def test_any_interpolating_w_is_the_interpolator_of_some_preconditioner(seed, bias, dtype):
    dtype = np.dtype(dtype)
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = problem((3, 5, 1), 3, seed, dtype, bias=bias)
    kappa = np.linalg.cond(J @ J.T)
    assume(kappa < (30 if dtype == np.float32 else 1e5))
    rng = np.random.default_rng(seed)
    away = rng.standard_normal(net.n_parameters)
    away -= np.linalg.pinv(J) @ (J @ away)
    lin = ntklin.linearize(net, theta, X)
    options = {"kind": "projector", "n": 4 * net.n_parameters, "kappa": kappa**1.5, "dtype": dtype}

    w = np.linalg.pinv(J) @ Y + away
    D = lin.preconditioner_for(w.astype(dtype), Y)
    m = lin.minimizer(Y, weights=D)
    scale = np.abs(J_new).max() * np.abs(w).sum() + np.abs(f0_new).max()
    assert_close(m.interpolator(X_new), J_new @ w, scale=scale, **options)
    f_init = m.initialization(X_new)
    assert_close(m.predict(X_new), J_new @ w + f_init, scale=scale, **options)
    assert D.W.dtype == dtype

    residual = Y - f0
    w = np.linalg.pinv(J) @ residual + away
    m = lin.minimizer(Y, weights=lin.preconditioner_for(w.astype(dtype), residual))
    scale = max(scale, np.abs(J_new).max() * np.abs(w).sum() + np.abs(f0_new).max())
    assert_close(m.parameters, theta + w, scale=max(scale, np.abs(theta + w).max()), **options)
    assert_close(m.predict(X_new), f0_new + J_new @ w, scale=scale, **options)


def exact_construction(J, w, Y):
    """A = D φ^T K_D^{-1} for D = W W^T, W = φ^+ + (w − φ^+Y)Y^T/|Y|², all in fractions."""
    one = rational.identity(len(Y))
    plus = J.T @ rational.solve(J @ J.T, one)
    W = plus + np.outer(w - plus @ Y, Y) / (Y @ Y)
    D = W @ W.T
    K = J @ D @ J.T
    assert (one == J @ W).all()
    assert (one == K).all()
    return D @ J.T @ rational.solve(K, one)


@pytest.mark.parametrize("seed", range(10))
def test_what_the_construction_does_in_rational_arithmetic(seed):
    """φW = 1, K_D = 1 and A Y = w; with f_0 it is Y − f_0(X) that leads to θ_∞ = θ_0 + w."""
    rng = np.random.default_rng(seed)
    J, J_new, away = (rational.small(rng, s) for s in ((3, 6), (2, 6), 6))
    J[:, :3] = J[:, :3] + 9 * rational.identity(3)
    Y, f0, f0_new = (rational.small(rng, n) for n in (3, 3, 2))
    Y[0] = f0[0] + 9  # neither Y nor Y − f_0(X) is 0
    away = away - J.T @ rational.solve(J @ J.T, J @ away)

    w = J.T @ rational.solve(J @ J.T, Y) + away
    A = exact_construction(J, w, Y)
    assert (w == A @ Y).all()
    f_init = f0_new - J_new @ (A @ f0)
    assert (J_new @ w + f_init == f0_new + J_new @ (A @ (Y - f0))).all()

    w = J.T @ rational.solve(J @ J.T, Y - f0) + away
    A = exact_construction(J, w, Y - f0)
    assert (w == A @ (Y - f0)).all()
    assert (J_new @ w == J_new @ (A @ (Y - f0))).all()


def test_w_must_interpolate():
    rng = np.random.default_rng(0)
    J, Y, w = (rng.standard_normal(shape) for shape in ((3, 8), 3, 8))
    lin = linear_model(J)
    error = J @ w - Y
    row = int(np.abs(error).argmax())
    message = rf"‖φ\(X\)w − Y‖ = {np.linalg.norm(error):.3g}.* {error[row]:.3g} at row {row}\. Add"
    with pytest.raises(ntklin.InterpolationError, match=message):
        lin.preconditioner_for(w, Y)
    mended = w + np.linalg.pinv(J) @ (Y - J @ w)
    assert lin.preconditioner_for(mended, Y).W.shape == (8, 3)
    with pytest.raises(ntklin.InterpolationError, match="w does not interpolate"):
        lin.preconditioner_for(mended * (1 + 1e-11), Y)
    with pytest.raises(ntklin.InterpolationError, match=r"Y = 0: the step A Y .* whatever D"):
        lin.preconditioner_for(mended, np.zeros(3))
    with pytest.raises(ValueError, match=r"w must have shape \(8,\), got shape \(3,\)"):
        lin.preconditioner_for(Y, Y)
    with pytest.raises(ValueError, match="Y has 2 entries for 3 training inputs"):
        lin.preconditioner_for(w, Y[:2])


def test_the_construction_needs_independent_rows():
    J = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]])
    with pytest.raises(ntklin.DegenerateKernelError, match=r"φ\^\+ needs independent rows"):
        linear_model(J).preconditioner_for([1.0, 0.0, 0.0], [1.0, 2.0])


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_targets_of_any_size(size):
    J, w = np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 1.0]]), np.array([1.0, -1.0, 2.0])
    lin = linear_model(J)
    m = lin.minimizer(size * (J @ w), weights=lin.preconditioner_for(size * w, size * (J @ w)))
    assert_close(m.parameters / size, w, kind="solve", n=12, kappa=10)


# Example 1


def adagrad(J, theta, Y, f0, rate, steps):
    """AdaGrad with ε = 0 on f_0 + J(θ − θ_0), one explicit step after the other."""
    start, theta = theta, theta.copy()
    squares = np.zeros_like(theta)
    for _ in range(steps):
        g = J.T @ (f0 + J @ (theta - start) - Y) / len(Y)
        squares += g * g
        theta = theta - rate * np.divide(g, np.sqrt(squares), where=g != 0, out=np.zeros_like(g))
    return theta


@given(seed=st.integers(0, 999), bias=st.sampled_from(BIASES), rate=st.sampled_from([0.2, 0.9]))
def test_example_1_is_where_adagrad_ends(seed, bias, rate):
    net, theta, X, X_new, Y, J, J_new, f0, f0_new = problem((3, 6, 1), 1, seed, bias=bias)
    assume(np.abs(J).sum() > 0.5 and (J == 0).any())  # some neurons inactive, but not all
    lin = ntklin.linearize(net, theta, X)
    D = lin.adagrad_weights()
    m = lin.minimizer(Y, weights=D)
    sign = np.sign(J[0])
    step = (Y[0] - f0[0]) * sign / np.abs(J[0]).sum()
    scale = np.abs(theta).max() + np.abs(J_new).sum() * np.abs(step).max()
    options = {"kind": "solve", "n": 4 * net.n_parameters, "scale": scale}
    assert_close(m.parameters, theta + step, **options)
    assert_close(m.predict(X_new), f0_new + J_new @ step, **options)
    np.testing.assert_array_equal(D[J[0] == 0], 0)
    eta = rate * abs(Y[0] - f0[0]) / np.abs(J).sum()  # the first step covers this share of the way
    trained = adagrad(J, theta, Y, f0, eta, 400)
    assert abs(f0[0] + J[0] @ (trained - theta) - Y[0]) < 1e-9
    assert np.abs(trained - m.parameters).max() < 1e-9


def test_example_1_is_another_minimizer_than_that_of_gradient_descent():
    net, theta, X, X_new, Y, *_ = problem(n=1)
    lin = ntklin.linearize(net, theta, X)
    adaptive, plain = lin.minimizer(Y, weights=lin.adagrad_weights()), lin.minimizer(Y)
    assert_close(adaptive.predict(X), plain.predict(X), kind="solve", n=30)
    assert np.abs(adaptive.predict(X_new) - plain.predict(X_new)).max() > 0.05


def test_example_1_in_rational_arithmetic():
    rng = np.random.default_rng(0)
    g, x = rational.small(rng, 8), rational.small(rng, 8)
    g[3] = rational.exact(0).item()
    inverse = np.array([0 if v == 0 else 1 / abs(v) for v in g], object)
    D_g = inverse * g
    closed = sum(x * np.sign(g)) / sum(abs(g))
    assert sum(x * D_g) / sum(g * D_g) == closed


def test_example_1_needs_one_input_that_reaches_the_output():
    with pytest.raises(ValueError, match="Example 1 needs one training input, but there are 2"):
        linear_model(np.eye(2)).adagrad_weights()
    with pytest.raises(ValueError, match=r"φ\(x_1\) = 0: no parameter moves f\(x_1\)"):
        linear_model(np.zeros((1, 3))).adagrad_weights()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_example_1_with_features_whose_reciprocals_overflow(dtype):
    tiny = np.finfo(dtype).tiny / 8
    J = np.array([[tiny, -4 * tiny, 0]], dtype)
    D = linear_model(J).adagrad_weights()
    assert np.isfinite(D).all()
    np.testing.assert_array_equal(D, np.array([1, 0.25, 0], dtype))


# Where mini-batches end


@pytest.mark.parametrize("kind", KINDS)
def test_stochastic_descent_with_a_constant_preconditioner_ends_where_the_full_batch_does(kind):
    """Thm 4 (a), exactly: θ_{t+1} = θ_t − η D ∇L_{B_t}, explicit steps to convergence."""
    rng = np.random.default_rng(5)
    J, J_new, theta = (rng.standard_normal(shape) for shape in ((4, 10), (3, 10), 10))
    J = np.linalg.qr(J.T)[0].T + 0.1 * J
    Y = rng.standard_normal(4)
    weights, D = draw(kind, 10, rng)
    m = linear_model(J, theta).minimizer(Y, weights=weights)
    for batches in ([[0, 1, 2, 3]], [[0], [1], [2], [3]], [[2, 0], [3, 1, 0]], [[3], [0, 1], [2]]):
        rate = min(0.5 * len(b) / np.linalg.norm(J[b] @ D @ J[b].T, 2) for b in batches)
        trained = theta.copy()
        for t in range(20_000):
            b = batches[t % len(batches)]
            trained -= rate / len(b) * (D @ (J[b].T @ (J[b] @ trained - Y[b])))
            if t % 50 == 0 and np.abs(J @ trained - Y).max() < 1e-13:
                break
        assert np.abs(J @ trained - Y).max() < 1e-13
        assert np.abs(trained - m.parameters).max() < 1e-10
        assert np.abs(J_new @ trained - m.predict(J_new)).max() < 1e-10


# App. A


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 999))
def test_underparametrized_there_is_one_minimizer_whatever_theta_0_and_d(kind, seed):
    rng = np.random.default_rng(seed)
    J, J_new, Y, theta = (rng.standard_normal(shape) for shape in ((8, 3), (4, 3), 8, 3))
    weights, D = draw(kind, 3, rng)
    kappa = np.linalg.cond(J) ** 2 * np.linalg.cond(D)
    assume(kappa < 1e6)
    m = linear_model(J, theta).minimizer(Y, weights=weights)
    w = np.linalg.lstsq(J, Y, rcond=None)[0]
    scale = np.abs(w).max() + np.abs(theta).max()
    options = {"kind": "solve", "n": 32, "kappa": kappa}
    assert m.rank == 3
    assert_close(m.parameters, w, scale=scale, **options)
    assert_close(m.predict(J_new), J_new @ w, scale=10 * scale, **options)


# App. B


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 999))
def test_no_other_interpolating_parameters_are_closer(kind, seed):
    """Lemma 2: ‖θ_∞ − θ_0‖ in D^{-1} is √(r^T K_D^{-1} r) and the least of all that interpolate."""
    rng = np.random.default_rng(seed)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((3, 8), 8, 3))
    weights, D = draw(kind, 8, rng)
    kappa = np.linalg.cond(J @ D @ J.T)
    assume(kappa < 1e6)
    m = linear_model(J, theta).minimizer(Y, weights=weights)
    D_inverse = np.linalg.pinv(D, hermitian=True)

    def norm(v):
        return np.sqrt(v @ D_inverse @ v)

    step = m.parameters - theta
    options = {"kind": "solve", "n": 32, "kappa": kappa * 8}
    rows = np.linalg.cond(D_inverse + np.eye(8)) if kind == "matrix" else 1e3
    assert m.step_norm == pytest.approx(norm(step), rel=1e-12 * kappa * rows)
    for _ in range(5):
        # Any other: along D's range (else its norm is infinite) and the null space of φ.
        z = D @ rng.standard_normal(8)
        z -= D @ J.T @ np.linalg.solve(J @ D @ J.T, J @ z)
        other = step + z
        assert_close(J @ (theta + other), Y, scale=np.abs(J).max() * np.abs(z).sum() + 9, **options)
        assert norm(other) > m.step_norm
        # Pythagoras: the step is D^{-1}-orthogonal to the null space.
        assert norm(other) ** 2 == pytest.approx(
            m.step_norm**2 + norm(z) ** 2, rel=1e-10 * kappa * rows
        )


@given(seed=st.integers(0, 999), kind=st.sampled_from(KINDS))
def test_the_interpolator_has_the_least_norm_in_the_kernels_space(seed, kind):
    """Lemma 3: for f = Σ c_i K_D(z_i, ·) with f(X) = Y, ‖f‖² = c^T K_D(Z, Z)c ≥ Y^T K_D^{-1} Y."""
    rng = np.random.default_rng(seed)
    J, J_more, Y = (rng.standard_normal(shape) for shape in ((3, 9), (2, 9), 3))
    weights, D = draw(kind, 9, rng)
    Z = np.vstack([J, J_more])
    K = Z @ D @ Z.T
    assume(np.linalg.cond(K) < 1e6)
    m = linear_model(J, rng.standard_normal(9)).minimizer(Y, weights=weights)
    least = Y @ np.linalg.solve(K[:3, :3], Y)
    assert m.interpolator_norm**2 == pytest.approx(least, rel=1e-9)
    alpha = m.coefficients[:, 0]
    w = D @ J.T @ alpha
    assert m.interpolator_norm**2 == pytest.approx(
        w @ np.linalg.pinv(D, hermitian=True) @ w, rel=1e-6
    )
    for values in rng.standard_normal((5, 2)):
        # Any values at two more points pick one more function of the space that interpolates Y.
        c = np.linalg.solve(K, np.concatenate([Y, values]))
        assert c @ K @ c > m.interpolator_norm**2
    c = np.linalg.solve(K, np.concatenate([Y, m.interpolator(J_more)]))
    assert c @ K @ c == pytest.approx(m.interpolator_norm**2, rel=1e-6)


def test_norms_in_rational_arithmetic():
    rng = np.random.default_rng(1)
    J, theta, Y = (rng.integers(-3, 4, s) / 2 for s in ((2, 5), 5, 2))
    J[:, :2] += 3 * np.eye(2)
    d = rng.integers(1, 5, 5) / 4
    m = linear_model(J, theta).minimizer(Y, weights=d)
    J, theta, Y, d = (rational.exact(a) for a in (J, theta, Y, d))
    K, residual = (J * d) @ J.T, Y - J @ theta
    step = d * (J.T @ rational.solve(K, residual))
    assert sum(step**2 / d) == residual @ rational.solve(K, residual)
    assert m.step_norm**2 == pytest.approx(float(sum(step**2 / d)), rel=1e-13)
    assert m.interpolator_norm**2 == pytest.approx(float(Y @ rational.solve(K, Y)), rel=1e-13)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("rcond", [None, 0.05])
def test_norms_with_a_ridge_or_a_cut_are_those_of_the_step_taken(ridge, rcond):
    rng = np.random.default_rng(4)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((4, 7), 7, 4))
    J[3] *= 0.01
    m = linear_model(J, theta).minimizer(Y, ridge=ridge, rcond=rcond)
    assert m.rank == (4 if rcond is None else 3)
    assert m.step_norm == pytest.approx(np.linalg.norm(m.parameters - theta), rel=1e-10)
    w = J.T @ m.coefficients[:, 0]
    assert m.interpolator_norm == pytest.approx(np.linalg.norm(w), rel=1e-10)


# What the dynamics use


def test_precondition_and_weighted_kernel_agree_for_every_form():
    rng = np.random.default_rng(0)
    J = rng.standard_normal((3, 6))
    phi, other = (linear_model(A).features for A in (J, J[:2]))
    for kind in KINDS:
        weights, D = draw(kind, 6, rng)
        v = rng.standard_normal(6)
        assert_close(
            preconditioners.precondition(weights, v),
            D @ v,
            kind="solve",
            n=36,
            scale=np.abs(D).sum(),
        )
        K = preconditioners.weighted_kernel(phi, weights, other)
        size = np.abs(J) @ np.abs(D) @ np.abs(J.T)
        assert_close(K, J @ D @ J[:2].T, kind="weighted_gram", n=36, scale=size)
    assert preconditioners.precondition(None, v) is v
    skew = rng.standard_normal((6, 6))
    assert_close(
        preconditioners.weighted_kernel(phi, skew, other),
        J @ skew @ J[:2].T,
        kind="weighted_gram",
        n=36,
        scale=np.abs(J) @ np.abs(skew) @ np.abs(J.T),
    )
