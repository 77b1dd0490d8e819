"""Momentum's closed form: against 400-digit powers, explicit steps, and step by step passages."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model
from tolerances import assert_close, tolerance

import ntklin
from ntklin.theory.discrete_time import as_steps
from ntklin.theory.momentum import MomentumRule

T = [0, 1, 2, 3, 20, 101, 1000, 10**5 + 1, 10**9]
MOMENTA = [1e-8, 0.1, 0.5, 0.9, 0.9999]
RULES = pytest.mark.parametrize("nesterov", [False, True], ids=["heavy-ball", "nesterov"])


def bound(momentum, nesterov):
    return 2 * (1 + momentum) / (1 + 2 * momentum if nesterov else 1)


def interesting(momentum, nesterov):
    """x = ηλ/N from 0 to beyond the bound, with what lies around double roots and around ±1."""
    doubles = [(1 - momentum**0.5) ** 2, (1 + momentum**0.5) ** 2]
    if nesterov:
        doubles = [((1 - momentum) / (1 + momentum)) ** 2]
    around = [d * (1 + s * e) for d in doubles for e in (0, 1e-15, 1e-12, 1e-8) for s in (1, -1)]
    edge = bound(momentum, nesterov)
    near = [edge * (1 - e) for e in (1e-15, 1e-9, 1e-3, 0.1)] + [1.01 * edge]
    return np.array([1e-300, 1e-18, 1e-9, 1e-3, 0.3, 1, 1 - 1e-9, 1 + 1e-9, *around, *near])


def exact(x, momentum, nesterov, t):
    """p_t for the float64 x and β, by powers of the matrix of a step, on (p, N v/μ)."""
    with mpmath.workdps(400):
        x, beta = (mpmath.mpf(float(v)) for v in (x, momentum))
        own, carried = (1 + beta, beta) if nesterov else (mpmath.mpf(1), mpmath.mpf(1))
        A = mpmath.matrix([[1 - x * own, -x * carried * beta], [1, beta]])
        return (A**t)[0, 0] if t else mpmath.mpf(1)


@pytest.mark.once
@RULES
@pytest.mark.parametrize("momentum", MOMENTA)
def test_powers_are_those_of_nearly_the_same_numbers(momentum, nesterov):
    """Within a few times what a change of x or β by eps does, whatever t, and next to 0 and 1."""
    x, rule, eps = interesting(momentum, nesterov), MomentumRule(1.0, momentum, nesterov), 2.0**-52
    for t in T:
        left, growth = (f(x, as_steps([t]))[0] for f in (rule.left, rule.growth))
        for x_i, p, g in zip(x, left, growth, strict=True):
            expected = exact(x_i, momentum, nesterov, t)
            if abs(expected) > 1e300:
                assert not abs(p) < 1e290
                continue
            nearby = [(x_i * (1 + s), momentum) for s in (eps, -eps)]
            nearby += [(x_i, momentum * (1 + s)) for s in (eps, -eps)]
            moved = max(abs(exact(*v, nesterov, t) - expected) for v in nearby)
            allowed = tolerance("trajectory") / eps
            assert abs(p - expected) <= allowed * max(moved, abs(expected) * eps, 1e-300)
            expected = (1 - expected) / mpmath.mpf(float(x_i))
            assert abs(g - expected) <= allowed * max(moved / x_i, abs(expected) * eps)


@RULES
def test_underflow_is_0_and_never_nan(nesterov):
    for momentum in MOMENTA:
        x = interesting(momentum, nesterov)
        x = x[x < bound(momentum, nesterov)]
        rule = MomentumRule(1.0, momentum, nesterov)
        for t in (10**15, 10**400):
            left, growth = (f(x, as_steps([t]))[0] for f in (rule.left, rule.growth))
            assert np.isfinite(left).all()
            assert np.isfinite(growth[1:]).all()
            assert (left[x > 1e-2] == 0).all() or t == 10**15


@RULES
@pytest.mark.parametrize("momentum", [0.3, 0.9, 0.99])
def test_what_oscillates_stays_below_its_amplitude_and_comes_near(momentum, nesterov):
    """|cos φ + c sin φ| is at most √(1 + c²), of which 1 + |c| is no more than √2 times."""
    x = np.linspace(0, 0.999 * bound(momentum, nesterov), 60)[1:]
    roots = MomentumRule(1.0, momentum, nesterov).roots(x)
    amplitude, log_size = (roots.spread(name) for name in ("amplitude", "log_size"))
    turns = roots.oscillates & (np.exp(log_size) > 0.1)
    assert turns.sum() > 10
    t = np.arange(200)
    size = np.abs(roots.left(as_steps(t))) / np.exp(np.multiply.outer(t, log_size))
    ratio = amplitude[turns] / size[:, turns].max(axis=0)
    assert ratio.min() >= 1 - 1e-9
    assert ratio.max() <= 1.05 * math.sqrt(2)


def explicit(J, f0, theta, Y, rates, *, momentum=0.0, nesterov=False, decay=0.0, ridge=0.0):
    """θ_t of PyTorch's steps, one by one; exact for fractions."""
    path, v = [theta], 0 * theta
    for rate in rates:
        moved = path[-1] - theta
        g = (J.T @ (f0 + J @ moved - Y) + ridge * moved) / len(Y) + decay * path[-1]
        v = momentum * v + g
        path.append(path[-1] - rate * (g + momentum * v if nesterov else v))
    return path


@RULES
@given(
    n=st.integers(1, 4),
    rate=st.sampled_from([0.01, 0.3, 0.7, 0.99]),
    momentum=st.sampled_from([0.3, 0.9, 0.99]),
    ridge=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 999),
)
def test_closed_form_is_explicit_steps(nesterov, n, rate, momentum, ridge, seed):
    rng = np.random.default_rng(seed)
    J, theta, Y = (rng.standard_normal(shape) for shape in ((n, n + 2), n + 2, n))
    lin = linear_model(J, theta)
    options = {"momentum": momentum, "nesterov": nesterov}
    eta = rate * lin.gradient_descent(Y, 1.0, ridge, **options).max_learning_rate
    gd = lin.gradient_descent(Y, eta, ridge, **options)
    path = explicit(J, J @ theta, theta, Y, [eta] * 40, ridge=ridge, **options)
    t = np.arange(41)
    scale = np.abs(path).max()
    close = {"kind": "trajectory", "n": 40, "kappa": 41, "scale": scale}
    assert_close(gd.parameters(t), np.array(path), **close)
    X_new = rng.standard_normal((3, n + 2))
    expected = np.array(path) @ X_new.T
    assert_close(gd.predict(X_new, t), expected, **{**close, "scale": 4 * scale})
    losses = ((np.array(path) @ J.T - Y) ** 2).sum(axis=1) / (2 * n)
    assert_close(gd.loss(t), losses, **{**close, "scale": losses.max()})


@RULES
def test_the_limit_is_that_of_gradient_descent(nesterov):
    rng = np.random.default_rng(3)
    lin = linear_model(rng.standard_normal((4, 6)), rng.standard_normal(6))
    Y, X_new = rng.standard_normal(4), rng.standard_normal((3, 6))
    gd = lin.gradient_descent(Y, momentum=0.9, nesterov=nesterov)
    expected = lin.minimizer(Y).predict(X_new)
    for t in (None, 10**6):
        assert_close(gd.predict(X_new, t), expected, kind="trajectory", kappa=1e3)
    assert gd.loss(10**6) < 1e-25


@RULES
@given(
    n=st.integers(1, 4),
    rate=st.sampled_from([0.05, 0.25, 0.5, 0.8, 0.999]),
    momentum=st.sampled_from([0.1, 0.5, 0.9, 0.97]),
    ridge=st.sampled_from([0.0, 1e-3, 0.3]),
    fraction=st.floats(0.01, 1.2),
    seed=st.integers(0, 999),
)
def test_steps_to_is_the_first_below(nesterov, n, rate, momentum, ridge, fraction, seed):
    """Whether the loss falls, oscillates or dips below its limit."""
    rng = np.random.default_rng(seed)
    lin = linear_model(rng.standard_normal((n, n + 2)), rng.standard_normal(n + 2))
    Y, options = rng.standard_normal(n), {"momentum": momentum, "nesterov": nesterov}
    bound = lin.gradient_descent(Y, 1.0, ridge, **options).max_learning_rate
    gd = lin.gradient_descent(Y, rate * bound, ridge, **options)
    losses = gd.loss(np.arange(3000))
    target = fraction * losses[rng.integers(0, 60)]
    below = np.flatnonzero(losses < target)
    if len(below):
        assert gd.steps_to(target) == below[0]
    elif gd.loss() >= target:
        with pytest.raises(ValueError, match="the training loss never drops below"):
            gd.steps_to(target)


@RULES
def test_steps_to_reaches_far(nesterov):
    """λ over 12 decades: the fast direction oscillates, the slow one needs 10^11 steps."""
    lin = linear_model(np.diag([1.0, 1e-6]))
    gd = lin.gradient_descent([1.0, 1.0], learning_rate=1.0, momentum=0.9, nesterov=nesterov)
    t = gd.steps_to(1e-5)
    assert 10**11 < t < 10**13
    assert gd.loss(t) < 1e-5 <= gd.loss(t - 1)


@RULES
def test_the_bound_is_where_it_begins_to_diverge(nesterov):
    lin = linear_model(np.diag([1.0, 0.7]))
    at = {"momentum": 0.8, "nesterov": nesterov}
    bound = lin.gradient_descent([1.0, 1.0], **at).max_learning_rate
    below, above = (lin.gradient_descent([1.0, 1.0], c * bound, **at) for c in (0.999, 1.001))
    assert below.converges
    assert below.loss(10**6) < 1e-300
    assert not above.converges
    assert above.loss(10**4) > 1e10
    formula = r"2\(1 \+ β\)" + (r"/\(1 \+ 2β\) · N" if nesterov else "N")
    with pytest.raises(ntklin.DivergenceError, match=formula):
        above.predict(np.eye(2))


def test_no_momentum_is_plain_descent_to_the_bit():
    rng = np.random.default_rng(0)
    lin = linear_model(rng.standard_normal((4, 6)), rng.standard_normal(6))
    plain, other = (lin.gradient_descent(np.ones(4), **o) for o in ({}, {"momentum": 0.0}))
    t = [0, 3, 10**9]
    np.testing.assert_array_equal(other.predict(np.eye(6), t), plain.predict(np.eye(6), t))


@pytest.mark.parametrize("momentum", [1.0, -0.1, np.nan])
def test_momenta_that_are_none(momentum):
    with pytest.raises(ValueError, match="momentum must be"):
        linear_model(np.eye(2)).gradient_descent([1, 2], momentum=momentum)
    with pytest.raises(ValueError, match="nesterov=True needs a momentum above 0"):
        linear_model(np.eye(2)).gradient_descent([1, 2], nesterov=True)


@pytest.mark.parametrize(
    ("momentum", "nesterov"), [(0.0, False), (0.3, False), (0.9, False), (0.3, True), (0.9, True)]
)
def test_the_best_rate_contracts_fastest(momentum, nesterov):
    rng = np.random.default_rng(0)
    lin = linear_model(rng.standard_normal((4, 6)))
    Y, options = rng.standard_normal(4), {"momentum": momentum, "nesterov": nesterov}

    def decline(eta):
        """log ‖residual‖ per step, over times long enough for oscillations to matter little."""
        gd = lin.gradient_descent(Y, eta, **options)
        losses = gd.loss(np.arange(2000))
        losses = losses[losses > 1e-280]
        return np.log(losses[len(losses) // 2 :].max() / losses.max()) / (len(losses) // 2)

    gd = lin.gradient_descent(Y, **options)
    best = gd.best_learning_rate
    assert best < gd.max_learning_rate
    fastest = decline(best)
    for factor in (0.5, 0.8, 1.15):
        if factor * best < gd.max_learning_rate:
            assert fastest < decline(factor * best) + 0.02 * abs(fastest)
