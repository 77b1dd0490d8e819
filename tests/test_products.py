"""Thms 3 and 6: their product formulas in exact arithmetic, and the float code against that."""

from fractions import Fraction

import numpy as np
import pytest
import rational
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import assert_close

import ntklin
from ntklin.edge import checks as _validate
from ntklin.theory.products import adaptive_map, product_form

KINDS = ("number", "diagonal", "zeros", "matrix", "mixed")


def preconditioner(kind, P, rng):
    """A random D_t of fractions; a matrix is neither symmetric nor definite."""
    if kind == "mixed":
        kind = KINDS[rng.integers(4)]
    if kind == "number":
        return Fraction(int(rng.integers(1, 5)), int(rng.integers(1, 4)))
    if kind == "matrix":
        return rational.small(rng, (P, P))
    D = abs(rational.small(rng, P)) + Fraction(1, 7)
    if kind == "zeros":
        D[rng.permutation(P)[: rng.integers(1, P - 1)]] = Fraction(0)
    return D


def dense(D, P):
    """D as a matrix."""
    if np.ndim(D) == 2:
        return D
    return rational.identity(P) * D


def batch_weights(n, rng, full):
    """A batch, possibly of one sample, and the weights 1/|B| of its samples."""
    batch = np.arange(n) if full else rng.permutation(n)[: rng.integers(1, n + 1)]
    weights = rational.exact(np.zeros(n, int))
    weights[batch] = Fraction(1, len(batch))
    return batch, weights


def random_path(kind, t, n, P, seed, full):
    """φ, Y − f_0(X), D_0 … D_{t−1}, the batches with their weights, and η."""
    rng = np.random.default_rng(seed)
    phi, residual = rational.small(rng, (n, P)), rational.small(rng, n)
    D = [preconditioner(kind, P, rng) for _ in range(t)]
    batches = [batch_weights(n, rng, full) for _ in range(t)]
    eta = Fraction(int(rng.integers(1, 9)), 10)
    try:
        rational.solve(phi @ phi.T, rational.identity(n))
        for d in D:
            adaptive_map(phi, d, rational.solve)
    except ZeroDivisionError:
        assume(False)
    return phi, residual, D, batches, eta


def formula(phi, residual, D, batches, eta):
    weights = [w for _, w in batches]
    return product_form(phi, residual, D, weights, eta, rational.solve)


paths = {
    "kind": st.sampled_from(KINDS),
    "t": st.integers(0, 6),
    "n": st.integers(1, 3),
    "seed": st.integers(0, 10**6),
}


@pytest.mark.parametrize("full", [True, False], ids=["theorem 3", "theorem 6"])
@settings(max_examples=100)
@given(**paths)
def test_the_formula_is_the_recursion(full, kind, t, n, seed):
    """θ_t of θ_{t+1} = θ_t − η D_t ∇L_{B_t}, without any tolerance."""
    P = n + 2
    phi, residual, D, batches, eta = random_path(kind, t, n, P, seed, full)
    moved = rational.exact(np.zeros(P, int))
    for d, (batch, _) in zip(D, batches, strict=True):
        error = phi[batch] @ moved - residual[batch]
        moved = moved - eta * dense(d, P) @ (phi[batch].T @ error) / len(batch)
    A, B, fitted = formula(phi, residual, D, batches, eta)
    assert (phi @ moved == fitted).all()
    assert (phi @ B == 0).all()
    if t == 0:
        assert A is None
        assert (moved == B).all()
    else:
        assert (phi @ A == rational.identity(n)).all()
        assert (moved == A @ fitted + B).all()


@pytest.mark.parametrize("full", [True, False], ids=["theorem 3", "theorem 6"])
@settings(max_examples=100)
@given(**paths)
def test_the_formula_as_printed(full, kind, t, n, seed):
    """Eqs. (7), (17) term by term, with the P × P matrices D_k D_{B_k} in the bracket."""
    P = n + 2
    phi, residual, D, batches, eta = random_path(kind, t, n, P, seed, full)
    one = rational.identity(n)
    inverse = rational.solve(phi @ phi.T, one)
    steps = []
    for d, (batch, _) in zip(D, batches, strict=True):
        D_B = Fraction(n, len(batch)) * phi[batch].T @ inverse[batch] @ phi
        steps.append(one - eta / n * phi @ dense(d, P) @ D_B @ phi.T)

    def bracket(last):
        """1 − Π_{u=last..0}."""
        product = one
        for u in range(last, -1, -1):
            product = product @ steps[u]
        return one - product

    def A(v):
        K = phi @ dense(D[v - 1], P) @ phi.T
        return dense(D[v - 1], P) @ phi.T @ rational.solve(K, one)

    B = rational.exact(np.zeros(P, int))
    for v in range(2, t + 1):
        B = B + (A(v - 1) - A(v)) @ bracket(v - 2) @ residual
    actual_A, actual_B, fitted = formula(phi, residual, D, batches, eta)
    assert (actual_B == B).all()
    assert (fitted == bracket(t - 1) @ residual).all()
    if t:
        assert (actual_A == A(t)).all()


@given(**{**paths, "t": st.integers(1, 6)})
def test_a_constant_direction_has_no_path_dependent_part(kind, t, n, seed):
    """D_t = c_t D leaves A_t alone, so that B_t = 0, whatever the batches."""
    P = n + 2
    phi, residual, D, batches, eta = random_path(kind, t, n, P, seed, full=False)
    multiples = [Fraction(u + 1, 3) * D[0] for u in range(t)]
    A, B, _ = formula(phi, residual, multiples, batches, eta)
    assert (B == 0).all()
    alone, _ = adaptive_map(phi, D[0], rational.solve)
    assert (alone == A).all()


def test_a_change_of_direction_leaves_one():
    """The one above is no accident: two diagonals that are not multiples have B_2 ≠ 0."""
    phi = rational.exact([[1, 2, 3], [0, 1, -1]])
    D = [rational.exact([1, 1, 1]), rational.exact([1, 2, 1])]
    batches = [batch_weights(2, None, full=True) for _ in D]
    _, B, _ = formula(phi, rational.exact([1, 1]), D, batches, Fraction(1, 10))
    assert (B != 0).any()


# The float code


def float_path(kind, t, n, P, seed):
    """J of integers, Y, D's and batches for ``theorem6``; the K_D and their largest κ."""
    rng = np.random.default_rng(seed)
    J = rng.integers(-4, 5, (n, P)).astype(float)
    D = [np.array(preconditioner(kind, P, rng), float) for _ in range(t)]
    batches = [rng.permutation(n)[: rng.integers(1, n + 1)] for _ in range(t)]
    kernels = [J @ (d if d.ndim == 2 else np.eye(P) * d) @ J.T for d in D]
    kappa = max((float(np.linalg.cond(K)) for K in kernels), default=1.0)
    return J, rng.standard_normal(n), D, batches, kernels, kappa


def growth(kernels, weights, eta):
    """How much the steps can amplify an error in f_t."""
    factors = [np.eye(len(K)) - eta * K * w for K, w in zip(kernels, weights, strict=True)]
    return np.prod([max(1.0, np.linalg.norm(factor, 2)) for factor in factors])


@given(**paths)
def test_floats_agree_with_fractions(kind, t, n, seed):
    P, eta = n + 2, 0.05
    J, Y, D, batches, kernels, kappa = float_path(kind, t, n, P, seed)
    assume(kappa < 1e6)
    weights = [np.where(np.isin(range(n), b), 1 / len(b), 0.0) for b in batches]
    theta = np.full(P, 0.1)
    form = linear_model(J, theta).theorem6(Y, D, learning_rate=eta, batches=batches)
    A, B, fitted = product_form(
        rational.exact(J),
        rational.exact(Y) - rational.exact(J) @ rational.exact(theta),
        [rational.exact(d) if d.ndim else Fraction(float(d)) for d in D],
        rational.exact(np.reshape(weights, (t, n))),
        Fraction(eta),
        rational.solve,
    )
    interpolating = rational.exact(np.zeros(P)) if A is None else A @ fitted
    known = [a for a in (A, B, fitted, interpolating) if a is not None]
    scale = growth(kernels, weights, eta) * max(1.0, *(abs(a).max() for a in known))
    options = {"kind": "trajectory", "n": (t + 1) * (n + P), "kappa": kappa, "scale": scale}
    assert (form.steps, form.learning_rate) == (t, eta)
    for actual, expected in (
        (form.B, B),
        (form.fitted, fitted),
        (form.path_dependent_displacement, B),
        (form.interpolating_displacement, interpolating),
        (form.parameters, rational.exact(theta) + interpolating + B),
    ):
        assert_close(actual, rational.floats(expected), **options)
    if t:
        assert_close(form.A, rational.floats(A), **options)
    new = rational.exact(np.vstack([J, np.ones(P), np.arange(P)]))
    X_new = rational.floats(new)
    options["scale"] = scale * P * abs(X_new).max()
    parts = new @ (rational.exact(theta) + interpolating), new @ B
    assert_close(form.interpolating(X_new), rational.floats(parts[0]), **options)
    assert_close(form.path_dependent(X_new), rational.floats(parts[1]), **options)
    assert_close(form.predict(X_new), rational.floats(sum(parts)), **options)


def test_theorem3_is_theorem6_on_all_samples():
    J, Y, D, *_ = float_path("diagonal", 4, 3, 6, 0)
    lin = linear_model(J)
    three = lin.theorem3(Y, D, learning_rate=0.02)
    six = lin.theorem6(Y, D, learning_rate=0.02, batches=[np.arange(3)] * 4)
    fewer = lin.theorem3(Y, D, learning_rate=0.02, steps=2)
    np.testing.assert_array_equal(three.parameters, six.parameters)
    np.testing.assert_array_equal(
        fewer.parameters, lin.theorem3(Y, D[:2], learning_rate=0.02).parameters
    )
    assert fewer.steps == 2


def test_an_optimizer_brings_its_own_sequence():
    """AdaGrad's D_t are taken along its path: by hand on two orthogonal features."""
    lin = linear_model(np.diag([2.0, 1.0]))
    form = lin.theorem3([1.0, 1.0], ntklin.AdaGrad(0.1, eps=0.0), steps=1)
    np.testing.assert_allclose(form.parameters, [0.1, 0.1], rtol=1e-15)
    default = lin.theorem3([1.0, 1.0], ntklin.GradientDescent(), steps=1)
    assert default.learning_rate == 0.5 * 2 / 4
    np.testing.assert_allclose(default.parameters, [0.25, 0.125], rtol=1e-15)


ADAGRAD = ntklin.AdaGrad(0.1)


@pytest.mark.parametrize(
    ("D", "options", "error", "match"),
    [
        (ntklin.Adam(0.1), {"steps": 1}, ValueError, "Adam carries a velocity.*train\\(\\) splits"),
        (ntklin.Momentum(0.1), {"steps": 1}, ValueError, "Momentum carries a velocity"),
        (ADAGRAD, {}, ValueError, "steps must be given with an optimizer"),
        (ADAGRAD, {"steps": -1}, ValueError, "steps must be at least 0"),
        (ADAGRAD, {"steps": 1, "learning_rate": 0.1}, ValueError, "is the optimizer's own"),
        ([1.0], {}, ValueError, "learning_rate must be given with a sequence"),
        ([1.0], {"learning_rate": 0}, ValueError, "learning_rate must be positive"),
        ([1.0], {"learning_rate": 1, "steps": 2}, ValueError, "steps = 2, but .* only 1 matr"),
        (1.0, {"learning_rate": 1}, TypeError, "must be an optimizer or a sequence of D_t, got 1"),
        ([1, [1, 2]], {"learning_rate": 1}, ValueError, r"preconditioners\[1\] must .*\(2,\)"),
        ([np.nan], {"learning_rate": 1}, ValueError, r"preconditioners\[0\] contains NaN"),
        (
            [1.0, 1.0],
            {"learning_rate": 1, "batches": [[0]]},
            ValueError,
            "batches has only 1 batches for 2 steps",
        ),
        ([1.0, 0.0], {"learning_rate": 1}, ntklin.DegenerateKernelError, "K_D of D_1 is singular"),
    ],
)
def test_bad_arguments(D, options, error, match):
    lin = linear_model(np.array([[1.0, 2, 3], [0, 1, -1]]))
    with pytest.raises(error, match=match):
        lin.theorem6([1.0, 2.0], D, **options)


def test_dependent_rows_have_no_formula():
    lin = linear_model(np.array([[1.0, 2, 3], [2, 4, 6]]))
    with pytest.raises(ntklin.DegenerateKernelError, match=r"K_D of D_0 .* there is no A_1"):
        lin.theorem3([1.0, 2.0], [1.0], learning_rate=0.1)


def test_large_problems_are_refused_beforehand(monkeypatch):
    lin = linear_model(np.array([[1.0, 2, 3], [0, 1, -1]]))
    monkeypatch.setattr(_validate, "available_memory", lambda: 8 * 3 * 10 - 1)
    with pytest.raises(ntklin.MemoryLimitError, match=r"2 inputs, 3 parameters .*use train\(\)"):
        lin.theorem3([1.0, 2.0], [1.0], learning_rate=0.1)
