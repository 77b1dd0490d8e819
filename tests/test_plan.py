"""What a plan says: sums of flops, bytes that are then taken, and what it refuses."""

import tracemalloc

import numba
import numpy as np
import pytest

import ntklin
from ntklin.theory import plan as planning

NET = ntklin.MLP((5, 40, 1))


class Fixed(planning.Rates):
    """A nanosecond for each unit of work."""

    features = pair = own_pair = limit_pair = product = spectrum = 1e-9

    def factor(self, kind):
        return 1e-9

    def solve(self, work, rows):
        return 1e-9 * rows**2


@pytest.fixture
def fixed(monkeypatch):
    monkeypatch.setattr(planning, "Rates", Fixed)


def test_phases_of_every_solver(fixed):
    expected = {
        "auto": ["features", "kernel", "factor"],
        "eigh": ["features", "kernel", "spectrum"],
        "cholesky": ["features", "kernel", "factor", "condition", "residual"],
        "packed": ["features", "kernel", "factor", "condition", "residual"],
        "mixed": ["features", "kernel", "factor", "iterations", "condition", "residual"],
        "pcg": ["features", "kernel", "factor", "iterations", "condition", "residual"],
    }
    for solver, names in expected.items():
        plan = ntklin.plan(NET, 1000, solver=solver)
        assert [phase.name for phase in plan.phases] == names
        assert plan.seconds == pytest.approx(sum(phase.seconds for phase in plan.phases))
        assert plan.flops == pytest.approx(sum(phase.flops for phase in plan.phases))
        assert plan.solver == ("cholesky" if solver == "auto" else solver)
        assert all(name in str(plan) for name in names)
    assert [p.name for p in ntklin.plan(NET, 1000, "pcg", preconditioner="none").phases][1] == (
        "iterations"
    )


def test_counts(fixed):
    plan = ntklin.plan(NET, 1000, "packed")
    kernel, factor = plan.phases[1:3]
    # Pairs on and below the diagonal: inner products of inputs, activations, signals.
    assert kernel.flops == 2 * (5 + 40 + 40) * 1000 * 1001 / 2
    assert factor.flops == 1000**3 / 3
    assert factor.seconds == pytest.approx(1000**3 / 3 * 1e-9)
    twice = ntklin.plan(NET, 1000, "mixed", iterations=20)
    once = ntklin.plan(NET, 1000, "mixed", iterations=10)
    assert twice.phases[3].seconds == pytest.approx(2 * once.phases[3].seconds)
    assert twice.iterations == 20
    outputs = ntklin.plan(ntklin.MLP((5, 40, 3)), 1000, "packed")
    assert outputs.n_rows == 3000
    assert outputs.phases[2].flops == 3000**3 / 3


def test_auto_says_what_it_takes(fixed, monkeypatch):
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 24_000_000_000)
    assert ntklin.plan(NET, 60_000).solver == "packed"
    assert ntklin.plan(NET, 60_000).fits
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 10_000_000_000)
    assert ntklin.plan(NET, 60_000).solver == "mixed"
    assert not ntklin.plan(NET, 60_000, "packed").fits
    assert "14.6 GB of 10 GB free" in str(ntklin.plan(NET, 60_000, "packed"))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="minutes without compiled kernels")
@pytest.mark.parametrize("solver", ["cholesky", "packed", "mixed", "pcg"])
def test_memory_is_what_is_then_taken(solver, fixed):
    """Within the factor of 1.5 that is promised; NumPy tells tracemalloc of its arrays."""
    net, n = ntklin.MLP((5, 300, 1)), 1500
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 5))
    X /= np.linalg.norm(X, axis=1)[:, None] + 1e-9
    theta, targets = net.init(rng=0), rng.standard_normal(n)
    expected = ntklin.plan(net, n, solver).memory
    options = {"tol": 1e-3} if solver in ("mixed", "pcg") else {}
    tracemalloc.start()
    try:
        ntklin.linearize(net, theta, X).minimizer(targets, solver=solver, ridge=0.1, **options)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert expected / 1.5 < taken < 1.5 * expected


def test_rates_are_measured(monkeypatch):
    for name in ("_INPUTS", "_ROWS", "_SPECTRUM"):
        monkeypatch.setattr(planning, name, 32)
    for solver in ("eigh", "mixed"):
        plan = ntklin.plan(NET, 200, solver)
        assert all(0 < phase.seconds < 100 for phase in plan.phases)


@pytest.mark.parametrize(
    ("arguments", "kind", "match"),
    [
        ((NET, 100, "lu"), ValueError, "solver must be one of 'auto', .* got 'lu'"),
        ((NET, 0), ValueError, "n_samples must be"),
        ((NET, 2.5), TypeError, "n_samples must be"),
        ((ntklin.AntisymmetricPair(NET), 10), TypeError, "must be an ntklin.MLP, got Antisymm"),
    ],
)
def test_what_has_no_plan(arguments, kind, match):
    with pytest.raises((kind, ValueError), match=match):
        ntklin.plan(*arguments)
    with pytest.raises(ValueError, match="preconditioner must be one of 'ntk'"):
        ntklin.plan(NET, 10, "pcg", preconditioner="jacobi")
    with pytest.raises(ValueError, match="iterations must be"):
        ntklin.plan(NET, 10, "pcg", iterations=0)
