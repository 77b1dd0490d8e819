"""Conjugate gradients and the preconditioners made of few columns, against dense algebra."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.algebra.conjugate_gradients import PATIENCE, conjugate_gradients
from ntklin.algebra.pivoted_cholesky import LowRankInverse, pivoted_cholesky
from ntklin.algebra.residuals import residual_bounds
from ntklin.edge.errors import ConvergenceError


def matrix(values, seed=0):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))[0]
    return (Q * values) @ Q.T


def right(n, k=3, seed=1):
    return np.random.default_rng(seed).standard_normal((n, k))


@given(
    n=st.integers(1, 30),
    k=st.integers(1, 4),
    decades=st.floats(0, 5),
    tolerance=st.sampled_from([1e-3, 1e-8, 1e-11]),
    preconditioned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_residuals_are_what_is_left(n, k, decades, tolerance, preconditioned, seed):
    A, B = matrix(np.logspace(-decades, 0, n), seed), right(n, k, seed)
    B[:, 0] = 0.0
    M = A + 0.1 * np.eye(n)
    found = conjugate_gradients(
        lambda V: A @ V,
        B,
        tolerance=tolerance,
        preconditioner=(lambda R: np.linalg.solve(M, R)) if preconditioned else None,
    )
    left = np.linalg.norm(B - A @ found.solution, axis=0)
    sizes = np.linalg.norm(B, axis=0)
    assert found.residuals[0] == 0
    assert not found.solution[:, 0].any()
    np.testing.assert_array_equal(found.residuals[1:], (left / np.where(sizes, sizes, 1))[1:])
    assert (found.residuals <= tolerance).all()
    # Ritz values lie within the spectrum of M^{-1}A.
    spectrum = np.linalg.eigvals(np.linalg.solve(M, A) if preconditioned else A).real
    slack = 1e-6 * spectrum.max()
    if found.iterations:
        assert spectrum.min() - slack <= found.smallest <= found.largest <= spectrum.max() + slack


def test_each_column_stops_by_itself():
    """Products are taken only for columns that are not done."""
    A, B = np.diag(np.arange(1.0, 41)), right(40)
    B[:, 1] = np.eye(40)[3]  # an eigenvector: one iteration
    widths = []

    def product(V):
        widths.append(V.shape[1])
        return A @ V

    conjugate_gradients(product, B, tolerance=1e-10)
    assert widths[:2] == [3, 2]


def test_goes_on_from_an_iterate():
    A, B = matrix(np.logspace(-3, 0, 40)), right(40)
    kept = []

    def stop(iteration, residual, X):
        kept.append((residual, X.copy()))
        if iteration == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conjugate_gradients(lambda V: A @ V, B, tolerance=1e-9, progress=stop)
    residual, X = kept[-1]
    assert np.linalg.norm(B - A @ X, axis=0).max() / np.linalg.norm(B, axis=0).max() < 2 * residual
    whole = conjugate_gradients(lambda V: A @ V, B, tolerance=1e-9)
    rest = conjugate_gradients(lambda V: A @ V, B, tolerance=1e-9, start=X)
    assert rest.iterations < whole.iterations
    done = conjugate_gradients(lambda V: A @ V, B, tolerance=1e-9, start=rest.solution)
    assert done.iterations == 0


@pytest.mark.parametrize(
    ("change", "match", "options"),
    [
        ({}, "rounding of the products leaves no more", {"tolerance": 1e-16}),
        ({"sign": -1}, "the kernel is not positive definite", {"tolerance": 1e-6}),
        ({"inverse": -1}, "the preconditioner is not positive definite", {"tolerance": 1e-6}),
        ({}, "3 iterations have not been enough", {"tolerance": 1e-9, "most": 3}),
        ({"float32": True}, "rounding of the products leaves no more", {"tolerance": 1e-12}),
    ],
)
def test_what_cannot_be_reached_is_told(change, match, options):
    A, B = matrix(np.logspace(-2, 0, 30)) * change.get("sign", 1), right(30)

    def product(V):
        return (A @ V).astype(np.float32).astype(float) if "float32" in change else A @ V

    with pytest.raises(ConvergenceError, match=match) as caught:
        conjugate_gradients(
            product, B, preconditioner=lambda R: change.get("inverse", 1) * R, **options
        )
    error = caught.value
    left = np.linalg.norm(B - product(error.solution), axis=0) / np.linalg.norm(B, axis=0)
    assert error.residual == pytest.approx(left.max())


@pytest.mark.parametrize(
    ("activation", "n", "condition"), [("relu", 330, 1e5), ("relu", 390, 1e7), ("tanh", 220, 1e8)]
)
def test_near_the_interpolation_threshold(activation, n, condition):
    """P = 440: residuals stay for thousands of iterations, while the energy falls, and then go."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 10))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    net = ntklin.MLP((10, 40, 1), bias="none", activation=activation)
    K = ntklin.ntk(net, net.init(rng=0), X)
    assert condition < np.linalg.cond(K) < 1e9
    Y, seen = rng.choice([-1.0, 1.0], (n, 1)), []

    def keep(iteration, residual, alpha):
        seen.append((residual, float((alpha * (K @ alpha - 2 * Y)).sum())))

    found = conjugate_gradients(lambda V: K @ V, Y, tolerance=1e-6, progress=keep)
    assert found.residuals[0] <= 1e-6
    left, energies = np.array(seen).T
    assert len(left) > 3 * PATIENCE
    assert left[:PATIENCE].min() > 0.05
    assert (np.diff(energies) <= 1e-8 * abs(energies[-1])).all()


def test_contradicting_targets_are_not_waited_for():
    """Two equal rows with different targets: the energy falls for ever, and no residual does."""
    rows = np.r_[:300, 0]
    A = matrix(np.logspace(-4, 0, 300))[np.ix_(rows, rows)]
    B = np.ones((301, 1))
    B[0] = -1.0
    with pytest.raises(ConvergenceError, match=r"not positive definite|gained nothing") as caught:
        conjugate_gradients(lambda V: A @ V, B, tolerance=1e-8)
    assert caught.value.iterations < 5000


# Randomly pivoted Cholesky


@given(
    n=st.integers(1, 12),
    group=st.integers(1, 3),
    rank=st.integers(1, 40),
    true=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_pivoted_cholesky(n, group, rank, true, seed):
    rows = n * group
    G = np.random.default_rng(seed).standard_normal((rows, true))
    A = G @ G.T
    asked = []

    def columns(groups):
        asked.extend(groups)
        return A.reshape(rows, n, group)[:, groups].reshape(rows, -1)

    rng = np.random.default_rng(seed)
    F = pivoted_cholesky(A.diagonal(), columns, rank, group=group, rng=rng)
    size = np.trace(A) * 1e-10
    assert F.shape[1] <= min(rank, rows, true)
    assert len(set(asked)) == len(asked)
    values = np.linalg.eigvalsh(A - F @ F.T)
    assert values[0] >= -size
    if rank >= rows:
        assert values[-1] <= size
    M = LowRankInverse(F.copy(), 0.3)
    B = right(rows)
    expected = np.linalg.solve(F @ F.T + 0.3 * np.eye(rows), B)
    np.testing.assert_allclose(M.solve(B), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("power", [-40, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pivots_know_no_units(power, dtype):
    """A power of 4 times A has the same power of 2 times F, to the bit, and so in either dtype."""
    G = np.random.default_rng(3).integers(-4, 5, (12, 5)).astype(dtype)
    A = G @ G.T

    def factor(A):
        rng = np.random.default_rng(0)
        return pivoted_cholesky(A.diagonal(), lambda g: A[:, g], 12, rng=rng)

    F = factor(A)
    assert F.dtype == np.float64
    assert F.shape[1] == np.linalg.matrix_rank(A)
    np.testing.assert_allclose(F @ F.T, A, atol=1e-12 * A.max())
    np.testing.assert_array_equal(factor(np.ldexp(A, 2 * power)), np.ldexp(F, power))


def test_low_rank_speeds_conjugate_gradients_up():
    values = np.concatenate([np.linspace(1e-4, 3e-4, 100), np.logspace(-3, 1, 20)])
    A, B = matrix(values), right(120)
    F = pivoted_cholesky(A.diagonal(), lambda g: A[:, g], 40, rng=np.random.default_rng(0))
    M = LowRankInverse(F, float(np.trace(A) - (F * F).sum()) / 80)
    plain, better = (
        conjugate_gradients(lambda V: A @ V, B, tolerance=1e-8, preconditioner=p).iterations
        for p in (None, M.solve)
    )
    assert 3 * better < plain


# Certified residuals


@given(
    n=st.integers(1, 8),
    dtype=st.sampled_from([np.float32, np.float64]),
    ridge=st.sampled_from([0.0, 0.3]),
    error=st.sampled_from([0.0, 1e-17, 1e-12, 1e-3, 1.0]),
    size=st.sampled_from([1.0, 2.0**-400, 2.0**400]),
    seed=st.integers(0, 99),
)
def test_certified_residuals_hold_in_exact_arithmetic(n, dtype, ridge, error, size, seed):
    rng = np.random.default_rng(seed)
    A = (rng.standard_normal((n, n)) * 10.0 ** rng.integers(-6, 6, (n, n))).astype(dtype)
    B = rng.standard_normal((n, 2)) * size
    X = np.linalg.solve(A.astype(float) + ridge * np.eye(n), B)
    X += error * np.abs(X).max() * rng.standard_normal(X.shape)
    tiles = [(slice(i, i + 3), A[i : i + 3]) for i in range(0, n, 3)]
    for column, bound in enumerate(residual_bounds(tiles, B, X, ridge)):
        x, b = ([Fraction(float(v)) for v in M[:, column]] for M in (X, B))
        rows = [[Fraction(float(v)) for v in row] for row in A]
        left = [
            b[i] - sum(r * v for r, v in zip(rows[i], x, strict=True)) - Fraction(ridge) * x[i]
            for i in range(n)
        ]
        true = sum(r * r for r in left) / sum(v * v for v in b)
        assert true <= Fraction(bound) ** 2
        if error >= 1e-3:  # and says something where there is something to say
            assert Fraction(bound) ** 2 <= true * (1 + Fraction(1, 100)) + Fraction(1, 10**20)


def test_no_right_hand_side_has_no_residual():
    tiles = [(slice(0, 2), np.eye(2))]
    zero = np.zeros((2, 1))
    assert residual_bounds(tiles, zero, zero, 0.0) == (0.0,)
    assert residual_bounds(tiles, zero, zero + 1, 0.0) == (np.inf,)
