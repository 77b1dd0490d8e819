"""Theory with C outputs: N·C rows, losses summed over outputs, means over N samples."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from several_outputs import Problem
from tolerances import assert_close

import ntklin
from ntklin.edge import checks as _validate

C = 3


def of_samples(rate, problem):
    """The rate at which references that average over all entries take the steps of ``rate``.

    They divide by the number of entries, N·C, where the library divides by N.
    """
    return rate * problem.net.n_outputs


def kappa(lin):
    return lin.eigenvalues[-1] / lin.eigenvalues[0]


def options(problem, kind="trajectory"):
    scale = np.abs(problem.f0).max() + np.linalg.norm(problem.Y.reshape(-1) - problem.f0)
    return {"kind": kind, "n": problem.net.n_parameters, "kappa": kappa(problem.lin)} | {
        "scale": scale
    }


def test_the_linearization_counts_samples_and_outputs():
    p = Problem()
    assert p.lin.n_samples == 4
    assert p.lin.initial_outputs.shape == (4, C)
    assert p.lin.kernel.shape == (4 * C, 4 * C)
    largest = np.linalg.eigvalsh(p.J @ p.J.T)[-1]
    assert p.lin.max_learning_rate == pytest.approx(2 * 4 / largest, rel=1e-12)
    assert p.lin.gradient_descent(p.Y).learning_rate == pytest.approx(2 / largest, rel=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_gradient_descent_is_explicit(steps):
    p = Problem()
    gd = p.lin.gradient_descent(p.Y)
    rate, Y = of_samples(gd.learning_rate, p), p.Y.reshape(-1)
    theta = naive.linearized_gradient_descent(p.J, p.f0, p.theta, Y, rate, steps)
    assert_close(gd.parameters(steps), theta, **options(p))
    expected = naive.closed_form(p.J @ p.J.T, p.J_new @ p.J.T, p.f0, p.f0_new, Y, rate, steps)
    assert_close(gd.predict(p.X_new, steps), expected.reshape(5, C), **options(p))
    residual = p.f0 + p.J @ (theta - p.theta) - Y
    assert_close(gd.loss(steps), residual @ residual / (2 * 4), **options(p))


def test_the_limit_and_its_split():
    p = Problem()
    K, K_new, Y = p.J @ p.J.T, p.J_new @ p.J.T, p.Y.reshape(-1)
    limit = naive.minimizer(K, K_new, p.f0, p.f0_new, Y).reshape(5, C)
    m, gd = p.lin.minimizer(p.Y), p.lin.gradient_descent(p.Y)
    assert_close(m.predict(p.X_new), limit, **options(p, "solve"))
    assert_close(gd.predict(p.X_new), limit, **options(p))
    f_int = (K_new @ np.linalg.solve(K, Y)).reshape(5, C)
    assert_close(m.interpolator(p.X_new), f_int, **options(p, "solve"))
    assert_close(m.initialization(p.X_new), limit - f_int, **options(p, "solve"))
    size = np.linalg.norm(limit - f_int) / np.sqrt(2 * 5)
    assert m.initialization_size(p.X_new) == pytest.approx(size, rel=1e-9)
    assert_close(m.parameters, gd.parameters(), **options(p))
    assert m.coefficients.shape == (4, C, 2)
    assert_close(m.coefficients[..., 0].reshape(-1), np.linalg.solve(K, Y), kind="solve",
                 n=40, kappa=kappa(p.lin), scale=np.linalg.norm(np.linalg.solve(K, Y)))  # fmt: skip
    assert m.step_norm == pytest.approx(np.linalg.norm(m.parameters - p.theta), rel=1e-9)
    assert max(m.error_bounds) == m.error_bound < 1e-8


def test_t_leads_the_shape_and_outputs_end_it():
    p = Problem()
    gd = p.lin.gradient_descent(p.Y)
    t = np.array([[0, 3, 10**9], [1, 2, 5]])
    together = gd.predict(p.X_new, t)
    assert together.shape == (2, 3, 5, C)
    for index in np.ndindex(2, 3):
        alone = gd.predict(p.X_new, int(t[index]))
        assert_close(together[index], alone, **options(p))
    assert gd.predict(p.X_new, []).shape == (0, 5, C)
    assert gd.parameters([1, 2]).shape == (2, p.net.n_parameters)
    assert gd.loss(t).shape == (2, 3)


def test_steps_to_counts_all_outputs():
    p = Problem()
    gd = p.lin.gradient_descent(p.Y)
    t = gd.steps_to(0.01)
    assert gd.loss(t) < 0.01 <= gd.loss(t - 1)


@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from([0, 1, 5, 10**6, None]))
def test_independent_outputs_are_separate_problems(seed, n_outputs, t):
    """A J whose blocks of parameters belong to one output each: C problems of one output."""
    p, ones = Problem(n_outputs, seed=seed, n_parameters=20), []
    blocks = np.zeros((n_outputs, n_outputs * 20, 2))
    for c in range(n_outputs):
        ones.append(Problem(1, seed=seed, n_parameters=20))
        ones[c].net.T = p.net.T[c : c + 1]
        blocks[c, 20 * c : 20 * (c + 1)] = p.net.T[c]
    p.net.T, p.net.n_parameters = blocks, n_outputs * 20
    theta = np.random.default_rng(seed).standard_normal((n_outputs, 20))
    lin = ntklin.linearize(p.net, theta.reshape(-1), p.X)
    rate = 0.5 * lin.max_learning_rate
    found = lin.gradient_descent(p.Y, rate, ridge=1e-3).predict(p.X_new, t)
    losses = []
    for c, one in enumerate(ones):
        single = ntklin.linearize(one.net, theta[c], p.X).gradient_descent(p.Y[:, c], rate, 1e-3)
        expected = single.predict(p.X_new, t)
        np.testing.assert_allclose(found[:, c], expected, rtol=1e-7, atol=1e-7)
        losses.append(single.loss(t))
    gd = lin.gradient_descent(p.Y, rate, ridge=1e-3)
    assert gd.loss(t) == pytest.approx(sum(losses), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("kind", ["number", "diagonal", "matrix", "low rank"])
def test_minimizers_with_a_preconditioner(kind):
    p, rng = Problem(), np.random.default_rng(3)
    P = p.net.n_parameters
    W = rng.standard_normal((P, P))
    D, weights = {
        "number": (3 * np.eye(P), 3.0),
        "diagonal": (np.diag(np.linspace(0.5, 2, P)), np.linspace(0.5, 2, P)),
        "matrix": (W @ W.T, W @ W.T),
        "low rank": (W[:, :20] @ W[:, :20].T, ntklin.LowRank(W[:, :20])),
    }[kind]
    K, K_new = p.J @ D @ p.J.T, p.J_new @ D @ p.J.T
    expected = naive.minimizer(K, K_new, p.f0, p.f0_new, p.Y.reshape(-1))
    m = p.lin.minimizer(p.Y, weights=weights)
    np.testing.assert_allclose(m.predict(p.X_new), expected.reshape(5, C), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(m.predict(p.X), p.Y, atol=1e-8)
    np.testing.assert_allclose((p.J @ m.parameters).reshape(4, C), p.Y, atol=1e-7)


def test_a_constant_d_for_any_interpolating_w():
    p = Problem()
    w = np.linalg.lstsq(p.J, p.Y.reshape(-1), rcond=None)[0]
    w += 0.3 * (np.eye(len(w)) - np.linalg.pinv(p.J) @ p.J)[0]
    m = p.lin.minimizer(p.Y, weights=p.lin.preconditioner_for(w, p.Y))
    np.testing.assert_allclose(m.interpolator(p.X_new), (p.J_new @ w).reshape(5, C), atol=1e-8)


def test_adagrad_weights_take_one_input_and_one_output():
    with pytest.raises(ValueError, match="needs one output, but there are 3"):
        Problem(n=1).lin.adagrad_weights()
    with pytest.raises(ValueError, match="needs one training input, but there are 4"):
        Problem().lin.adagrad_weights()
    assert Problem(1, n=1).lin.adagrad_weights().shape == (40,)


def test_single_precision_is_that_of_the_results():
    p, single = Problem(), Problem(dtype=np.float32)
    gd = single.lin.gradient_descent(p.Y)
    found = gd.predict(single.X_new, [3, 50])
    assert found.dtype == np.float32
    expected = p.lin.gradient_descent(p.Y, gd.learning_rate).predict(p.X_new, [3, 50])
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)
    assert single.lin.minimizer(p.Y).predict(single.X_new).dtype == np.float32


# Batches by samples, Thms 3 and 6


def test_product_formulas_go_by_samples():
    p = Problem()
    batches = [np.array([0, 2]), np.array([1]), np.array([3, 1])]
    rng = np.random.default_rng(0)
    Ds = [rng.uniform(0.5, 2, p.net.n_parameters) for _ in batches]
    form = p.lin.theorem6(p.Y, Ds, 0.05, batches=batches)
    theta, Y = p.theta.copy(), p.Y.reshape(-1)
    for D, batch in zip(Ds, batches, strict=True):
        rows = (batch[:, None] * C + np.arange(C)).reshape(-1)
        residual = (p.f0 + p.J @ (theta - p.theta) - Y)[rows]
        theta = theta - 0.05 / len(batch) * D * (p.J[rows].T @ residual)
    np.testing.assert_allclose(form.parameters, theta, rtol=1e-8, atol=1e-8)
    moved = (p.J_new @ (theta - p.theta) + p.f0_new).reshape(5, C)
    np.testing.assert_allclose(form.predict(p.X_new), moved, rtol=1e-8, atol=1e-8)
    assert form.fitted.shape == (4, C)
    np.testing.assert_allclose(form.path_dependent(p.X), np.zeros((4, C)), atol=1e-7)


# Bad input, memory


@pytest.mark.parametrize("call", ["gradient_descent", "minimizer", "train"])
@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (np.array([0, 2, 1, 1]), r"Y must have shape \(4, 3\).*one-hot, by numpy\.eye\(3\)\[Y\]"),
        (np.zeros((4, 2)), r"Y must have shape \(4, 3\), a column for each of the 3 outputs"),
        (np.zeros((4, 1)), r"Y must have shape \(4, 3\)"),
        (np.zeros((5, 3)), "Y has 5 entries for 4 training inputs"),
        (np.full((4, 3), np.nan), "Y contains NaN or infinite values, the first at row 0, col"),
    ],
)
def test_targets_of_another_shape_are_refused(call, Y, message):
    with pytest.raises(ValueError, match=message):
        getattr(Problem().lin, call)(Y)


def test_one_output_takes_no_columns():
    lin = Problem(1).lin
    with pytest.raises(ValueError, match=r"Y must have shape \(4,\), got shape \(4, 3\)"):
        lin.minimizer(np.zeros((4, 3)))
    column = lin.minimizer(np.ones((4, 1)))
    assert column.targets.shape == column.predict(Problem(1).X).shape == (4,)


def test_memory_is_asked_for_with_all_rows(monkeypatch):
    p = Problem(n=40)
    monkeypatch.setattr(_validate, "available_memory", lambda: 3 * 8 * 40 * 40 + 1)
    words = "the kernel of 40 training inputs with 3 outputs each needs"
    with pytest.raises(ntklin.MemoryLimitError, match=f"solving with {words} 346 kB"):
        p.lin.minimizer(p.Y)
    with pytest.raises(ntklin.MemoryLimitError, match=f"factorizing {words} 576 kB"):
        p.lin.gradient_descent(p.Y)
