"""What a plan says: sums of flops, bytes that are then taken, and what it refuses."""

import re
import tracemalloc

import numpy as np
import pytest

import ntklin
from ntklin.networks.memory import passes
from ntklin.theory import plan as planning
from ntklin.theory import rates

NET = ntklin.MLP((5, 40, 1))


class Fixed(rates.Rates):
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
        first, *lines = str(plan).splitlines()
        assert first.startswith("solver=")
        assert all(re.match("  [a-z]", line) and line == line.rstrip() for line in lines)
    assert [p.name for p in ntklin.plan(NET, 1000, "pcg", preconditioner="none").phases][1] == (
        "iterations"
    )


def test_one_output_in_the_place_of_all_has_features_of_its_own(fixed):
    net = ntklin.MLP((5, 40, 3))
    mean, limit = (ntklin.plan(net, 100, "pcg", preconditioner=p) for p in ("mean_output", "ntk"))
    # Passes of one output, and a tile's product beside the tile.
    assert mean.memory - limit.memory == 8 * passes(ntklin.MLP((5, 40, 1)), 100) + 8 * 100 * 100


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


def test_iterations_that_nobody_says_grow_with_the_inputs(fixed):
    guessed = {
        (n, p): ntklin.plan(NET, n, "pcg", preconditioner=p).iterations
        for n in (2000, 32_000)
        for p in ("ntk", "mean_output", "nystrom", "none")
    }
    few = [guessed[2000, p] for p in ("ntk", "mean_output", "nystrom", "none")]
    assert few == [40, 40, 54, 300]
    assert [guessed[32_000, p] for p in ("ntk", "nystrom", "none")] == [320, 248, 1200]
    assert ntklin.plan(NET, 60_000, "mixed").iterations == 16
    assert ntklin.plan(NET, 1, "mixed").iterations == 1


def test_auto_says_what_it_takes(fixed, monkeypatch):
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 24_000_000_000)
    assert ntklin.plan(NET, 60_000).solver == "packed"
    assert ntklin.plan(NET, 60_000).fits
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 10_000_000_000)
    assert ntklin.plan(NET, 60_000).solver == "mixed"
    assert not ntklin.plan(NET, 60_000, "packed").fits
    assert "14.6 GB of 10 GB free" in str(ntklin.plan(NET, 60_000, "packed"))
    assert "memory 14.6 GB; free 10 GB" in repr(ntklin.plan(NET, 60_000, "packed"))


@pytest.mark.compiled
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

    def solve():
        ntklin.linearize(net, theta, X).minimizer(targets, solver=solver, ridge=0.1, **options)

    solve()  # compiles what there is to compile
    tracemalloc.start()
    try:
        solve()
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert expected / 1.5 < taken < 1.5 * expected


def test_rates_are_measured(monkeypatch):
    for name in ("_INPUTS", "_ROWS", "_SPECTRUM"):
        monkeypatch.setattr(rates, name, 32)
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


@pytest.mark.parametrize("outputs", [1, 3])
def test_each_phase_takes_its_work_at_its_own_rate(monkeypatch, outputs):
    """By hand: flops and seconds of all phases, with a rate of its own for each kind of work."""

    class Apart(rates.Rates):
        features, pair, own_pair, limit_pair, product, spectrum = 2.0, 3.0, 5.0, 7.0, 11.0, 13.0
        mean_pair = 59.0

        def factor(self, kind):
            rates = {"packed": 17.0, "cholesky": 19.0, "mixed": 23.0, "ntk": 29.0, "nystrom": 53.0}
            return (rates | {"mean_output": 61.0})[kind]

        def solve(self, work, rows):
            return {"packed": 31.0, "cholesky": 37.0, "mixed": 41.0}.get(work, 43.0) * rows

    monkeypatch.setattr(planning, "Rates", Apart)
    net, N, M = ntklin.MLP((5, 40, outputs)), 1000, 1000 * outputs
    P, pairs, r = net.n_parameters, N * (N + 1) / 2, planning.nystrom_rank(M)
    per_pair = 2 * (5 + 40 * (1 + outputs**2))
    below = {"kernel": (per_pair * pairs, 3 * pairs)}
    own = {"kernel": (per_pair * pairs, 5 * pairs)}
    some = {
        "kernel": (per_pair * r * N / outputs, 3 * r * N / outputs),
        "factor": (8 * M * r * r, 53 * 8 * M * r * r),
    }
    limit = {"kernel": (0, 7 * pairs), "factor": (N**3 / 3, 29 * N**3 / 3)}
    mean = {"kernel": (2 * (5 + 80) * pairs, 59 * pairs), "factor": (N**3 / 3, 61 * N**3 / 3)}

    def factor(rate):
        return {"factor": (M**3 / 3, rate * M**3 / 3)}

    def solved(rate, iterations=0):
        """Of products with φ and solutions, for Y and f_0(X) together."""
        flops, product, solve = 8 * N * P * outputs, 11 * N, rate * M
        if not iterations:
            return {"condition": (0, 12 * solve), "residual": (flops, product)}
        turns = {"iterations": (iterations * flops, iterations * (product + solve))}
        condition = {"condition": (0, 12 * (solve + product / 2))}
        return turns | condition | {"residual": (flops, product)}

    expected = {
        ("auto", "ntk"): own | factor(19),
        ("eigh", "ntk"): own | {"spectrum": (9 * M**3, 9 * 13 * M**3)},
        ("cholesky", "ntk"): below | factor(19) | solved(37),
        ("packed", "ntk"): below | factor(17) | solved(31),
        ("mixed", "ntk"): below | factor(23) | solved(41, 5),
        ("pcg", "ntk"): limit | solved(43, 5),
        ("pcg", "mean_output"): mean | solved(43, 5),
        ("pcg", "nystrom"): some | solved(43, 5),
        ("pcg", "none"): solved(43, 5),
    }
    for (solver, preconditioner), phases in expected.items():
        iterations = 5 if solver in ("mixed", "pcg") else None
        plan = ntklin.plan(net, N, solver, preconditioner=preconditioner, iterations=iterations)
        found = {phase.name: (phase.flops, phase.seconds) for phase in plan.phases}
        phases = {"features": (4 * N * P, 2 * N)} | phases
        assert list(found) == list(phases)
        assert found == {name: pytest.approx(pair) for name, pair in phases.items()}


def test_what_is_timed_is_the_work_that_its_units_are_of(monkeypatch):
    """A second for each: rates are 1/units, and what was timed has as many numbers as it should."""
    done = []

    def timed(work):
        done.append(work())
        return 1.0

    monkeypatch.setattr(rates, "_seconds", timed)
    net, n = ntklin.MLP((5, 40, 2)), 30
    measured = rates.Rates(net, n)
    X = np.random.default_rng(0).standard_normal((n, 5))
    phi = net.features(net.init(rng=0), X / np.sqrt((X * X).sum(axis=1, keepdims=True)))
    assert measured.features == 1 / n
    assert done.pop().shape == phi.passes.deltas[0].shape
    assert measured.own_pair == 2 / (n * (n + 1))
    np.testing.assert_array_equal(done.pop(), phi.gram())
    assert measured.pair == 1 / n**2
    assert done.pop().shape == (2 * n, 2 * n)
    assert measured.limit_pair == 1 / n**2
    assert done.pop().shape == (n, n)
    assert measured.mean_pair == 1 / n**2
    assert done.pop().shape == (n, n)
    assert measured.product == 1 / n
    V = np.ones((2 * n, 2))
    np.testing.assert_array_equal(done.pop(), phi @ (phi.T @ V))
    assert measured.spectrum == 1 / (9 * (2 * n) ** 3)
    values, _ = done.pop()
    assert (values > 0).all()
    for kind in ("packed", "cholesky", "mixed"):
        assert measured.factor(kind) > 0
        assert measured.solve(kind, 2 * n) == 1.0
        assert done.pop().shape == (2 * n, 1)
    for kind in ("ntk", "mean_output"):  # of n rows, for as many columns as there are outputs
        assert measured.solve(kind, 2 * n) == pytest.approx(n**2 / (2 * n) ** 2 * 2**0.5)
        assert done.pop().shape == (2 * n, 1)
    assert done == []
    assert measured.own_pair == 2 / (n * (n + 1))  # what is known is not timed again
    assert done == []
