"""When the loss first drops below a target, by quadrature, against the spectrum's answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_model import linear_model

import ntklin
from ntklin.algebra.krylov import recursions
from ntklin.edge.errors import ConvergenceError

NET = ntklin.MLP((3, 30, 1))
THETA = NET.init(rng=0)
RNG = np.random.default_rng(1)
X, Y = RNG.uniform(-0.5, 0.5, (14, 3)), RNG.normal(size=14)
LIN = ntklin.linearize(NET, THETA, X)
OPTIONS = {
    "plain": {},
    "fast": {"learning_rate": 0.97 * LIN.max_learning_rate},
    "slow": {"learning_rate": 1e-9 * LIN.max_learning_rate},
    "ridge": {"ridge": 0.1},
    "fast ridge": {"ridge": 0.1, "learning_rate": 0.9 * LIN.max_learning_rate},
    "momentum": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "schedule": {"learning_rate": lambda t: (0.2 + 0.1 * (t % 3)) * LIN.max_learning_rate},
    "diagonal": {"weights": np.linspace(0.5, 2, NET.n_parameters)},
    "low rank": {"weights": ntklin.LowRank(np.eye(NET.n_parameters)[:, 3:100])},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("fraction", [2.0, 0.9, 0.3, 1e-2, 1e-4])
def test_is_the_answer_of_the_spectrum(name, fraction):
    gd = LIN.gradient_descent(Y, **OPTIONS[name])
    target = fraction * gd.loss(0)
    try:
        expected = gd.steps_to(target)
    except ValueError:
        with pytest.raises(ValueError, match=r"never drops below|does not drop below"):
            gd.steps_to_by_products(target)
        return
    found = gd.steps_to_by_products(target)
    assert found.steps == expected
    low, high = found.loss
    assert low <= gd.loss(found.steps) * (1 + 1e-9)
    if found.is_proved:
        assert gd.loss(found.steps) <= high * (1 + 1e-9)
    assert found.is_exact
    assert found.iterations <= 14


# n is far above the products that a target takes, so that bounds decide, and not the whole space.
VALUES = np.logspace(-4, 0, 300)


@pytest.mark.parametrize("options", [{}, {"ridge": 1e-6}, {"momentum": 0.9}], ids=str)
@pytest.mark.parametrize("fraction", [0.5, 0.05, 2e-3])
def test_long_before_the_space_is_exhausted(options, fraction):
    lin = linear_model(np.diag(np.sqrt(VALUES)))
    gd = lin.gradient_descent(np.random.default_rng(3).normal(size=300), **options)
    target = fraction * gd.loss(0)
    found = gd.steps_to_by_products(target)
    assert found.steps == gd.steps_to(target)
    assert found.is_proved or "momentum" in options
    assert found.is_exact
    assert found.iterations < 200


@given(
    n=st.integers(1, 5),
    rate=st.sampled_from([0.05, 0.25, 0.5, 0.6, 0.95, 0.999]),
    ridge=st.sampled_from([0.0, 1e-3, 0.3, 5.0]),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    fraction=st.floats(0.01, 1.2),
    seed=st.integers(0, 999),
)
def test_small_models(n, rate, ridge, momentum, fraction, seed):
    """With ridges and momentum at large η, where the loss does not only fall."""
    rng = np.random.default_rng(seed)
    lin = linear_model(rng.standard_normal((n, n + 2)), rng.standard_normal(n + 2))
    Y = rng.standard_normal(n)
    bound = lin.gradient_descent(Y, ridge=ridge, momentum=momentum).max_learning_rate
    gd = lin.gradient_descent(Y, rate * bound, ridge, momentum=momentum)
    target = fraction * float(gd.loss(rng.integers(0, 60)))
    try:
        expected = gd.steps_to(target)
    except ValueError:
        with pytest.raises(ValueError, match="never drops below"):
            gd.steps_to_by_products(target)
    else:
        found = gd.steps_to_by_products(target)
        # Spectra and Ritz values differ by rounding, which t steps multiply by t.
        assert abs(found.steps - expected) <= 1e-9 * expected


@pytest.mark.parametrize("C", [1, 2])
def test_kernels_and_outputs(C):
    targets = RNG.normal(size=(14, C)).squeeze()
    inf = ntklin.InfiniteMLP(ntklin.MLP((3, 10, C)))
    net = ntklin.MLP((3, 20, C))
    for lin in (inf.linearize(X), ntklin.linearize(net, net.init(rng=0), X)):
        gd = lin.gradient_descent(targets)
        target = 1e-2 * gd.loss(0)
        assert gd.steps_to_by_products(target).steps == gd.steps_to(target)


def test_scales_do_not_matter():
    """Targets whose squares leave the range of floating point."""
    for size in (2.0**-500, 2.0**500, 2.0**511):
        gd = ntklin.linearize_kernel(np.diag([1.0, 0.1, 0.01])).gradient_descent(
            size * np.ones(3), 1.0
        )
        target = 0.2 * gd.loss(0)
        assert gd.steps_to_by_products(target).steps == gd.steps_to(target) > 0


@given(
    n=st.integers(2, 30),
    products=st.integers(1, 12),
    decades=st.floats(0, 6),
    t=st.integers(0, 10**6),
    rate=st.floats(0.01, 1.99),
    seed=st.integers(0, 99),
)
def test_quadratures_are_bounds(n, products, decades, t, rate, seed):
    """Gauss below and Gauss-Lobatto above Σ_i w_i (1 − η λ_i)^{2t}, up to rounding."""
    values = np.logspace(-decades, 0, n)
    b = np.random.default_rng(seed).standard_normal((n, 1))
    *_, (_, (run,)) = recursions(lambda V: values[:, None] * V, b, min(products, n))

    def total(nodes, weights):
        return float(weights @ np.abs(1 - rate * nodes) ** (2 * t))

    true = total(values, b[:, 0] ** 2)
    slack = 1e-9 * true + 1e-13 * float(b[:, 0] @ b[:, 0])
    assert total(*run.gauss()) <= true + slack
    assert true <= total(*run.lobatto(0.0, max(2 / rate, 1.0 + 1e-9))) + slack
    # Exact for polynomials of degree below twice the products.
    power = 2 * len(run.gauss()[0]) - 1
    for nodes, weights in (run.gauss(), run.lobatto(0.0, 2.1)):
        moment = float(weights @ nodes**power)
        assert moment == pytest.approx(float(b[:, 0] ** 2 @ values**power), rel=1e-6)


def test_beyond_the_spectrum_steps_to_takes_it(monkeypatch):
    expected = LIN.gradient_descent(Y)
    target = 0.01 * expected.loss(0)
    steps = expected.steps_to(target)
    for room in ("descent_without_spectrum", "descend", "solver_choice"):
        monkeypatch.setattr(f"ntklin.theory.{room}.SMALL", 4)
    monkeypatch.setattr("ntklin.runs.stability.LARGE", 4)
    monkeypatch.setattr("ntklin.theory.descent_without_spectrum.fits", lambda need: False)
    lin = ntklin.linearize(NET, THETA, X)
    assert lin.gradient_descent(Y).steps_to(target) == steps
    with pytest.raises(ntklin.DivergenceError, match="so the loss has no limit") as caught:
        lin.gradient_descent(Y, 1.01 * LIN.max_learning_rate).steps_to(target)
    assert caught.value.bound == pytest.approx(LIN.max_learning_rate)
    with pytest.raises(ntklin.DivergenceError, match="there is no limit t = None"):
        lin.gradient_descent(Y, 1.01 * LIN.max_learning_rate).predict(X)
    assert not lin.has_spectrum


def test_what_does_not_come_is_told():
    singular = linear_model([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).gradient_descent([1.0, 2.0, 3.0])
    floor = singular.loss()
    with pytest.raises(ValueError, match=r"it approaches 0\.0833.*the null space of K"):
        singular.steps_to_by_products(0.9 * floor)
    assert singular.steps_to_by_products(1.1 * floor).steps == singular.steps_to(1.1 * floor)
    with pytest.raises(ValueError, match=r"ridge=0\.5 holds θ near θ_0"):
        LIN.gradient_descent(Y, ridge=0.5).steps_to_by_products(1e-9)
    with pytest.raises(ValueError, match="weight_decay needs the spectrum"):
        LIN.gradient_descent(Y, weight_decay=0.1).steps_to_by_products(1e-3)
    with pytest.raises(ValueError, match="loss must be positive"):
        LIN.gradient_descent(Y).steps_to_by_products(0.0)


def test_too_few_products_are_told(monkeypatch):
    monkeypatch.setattr("ntklin.theory.steps_by_products.MOST", 12)
    gd = linear_model(np.diag(np.sqrt(VALUES))).gradient_descent(np.ones(300))
    with pytest.raises(ConvergenceError, match=r"after 12 products .* then, later, or never"):
        gd.steps_to_by_products(1e-3 * gd.loss(0))
    told = []
    gd.steps_to_by_products(0.9 * gd.loss(0), progress=lambda *now: told.append(now))
    assert told[-1][1] <= 1e-12
    loose = gd.steps_to_by_products(0.1 * gd.loss(0), tol=9.0)
    assert loose.loss[0] < 0.1 * gd.loss(0) <= gd.loss(loose.steps - 1)
    assert gd.loss(loose.steps) <= loose.loss[1]
