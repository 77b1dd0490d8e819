"""The cost model of a cluster: its formulas, and that each term is there."""

import numpy as np
import pytest

import ntklin

NET = ntklin.MLP((10, 40, 2))
P = NET.n_parameters
N = 1000
FREE = {"bandwidth": 1e300, "latency": 0.0}


@pytest.fixture(autouse=True)
def _known_rates(monkeypatch):
    """Rates that need no clock."""
    for name, value in {"features": 1e-3, "product": 2e-3, "pair": 1e-6}.items():
        monkeypatch.setattr(f"ntklin.theory.plan.Rates.{name}", value)
    monkeypatch.setattr("ntklin.theory.plan.Rates.factor", lambda self, kind: 1e-9)


def phases(workers, **options):
    plan = ntklin.plan_cluster(NET, N, workers, **options)
    assert plan.seconds == pytest.approx(sum(p.seconds for p in plan.phases))
    return {p.name: p for p in plan.phases}, plan


def test_work_is_shared():
    one, plan = phases(1, iterations=7, **FREE)
    four, _ = phases(4, iterations=7, **FREE)
    for name, phase in one.items():
        assert four[name].seconds == pytest.approx(phase.seconds / 4)
        assert four[name].flops == pytest.approx(phase.flops / 4)
    assert one["features"].seconds == pytest.approx(N * 1e-3)
    assert one["residual"].flops == 4 * N * P * 2 * 2
    assert one["iterations"].seconds == pytest.approx(7 * N * 2e-3)
    assert plan.iteration == pytest.approx(N * 2e-3)
    assert plan.n_rows == 2 * N


@pytest.mark.parametrize(
    ("workers", "received", "levels"), [(1, 0, 0), (2, 1, 1), (4, 3, 1), (5, 4, 2), (16, 6, 2)]
)
def test_what_is_sent(workers, received, levels):
    k, rows = 2, 2 * N
    found, _ = phases(workers, iterations=1, bandwidth=1e6, latency=0.0)
    product = found["residual"]
    assert product.bytes == 2 * received * 8 * P * k + 2 * 8 * rows * k
    compute = -(-N // workers) * 2e-3
    assert product.seconds == pytest.approx(compute + product.bytes / 1e6)
    slow, _ = phases(workers, iterations=1, bandwidth=1e6, latency=0.1)
    # To the workers and back, down and up the tree; and a tenth for each of a worker's three tasks.
    waits = 0.1 * (4 + 2 * levels + 0.3 * workers)
    assert slow["residual"].seconds == pytest.approx(product.seconds + waits)


def test_nystrom_is_a_phase_and_part_of_an_iteration():
    plain, _ = phases(2, iterations=3, **FREE)
    found, plan = phases(2, iterations=3, preconditioner="nystrom", rank=64, **FREE)
    assert list(found) == ["features", "factor", "iterations", "condition", "residual"]
    q, r = N // 2, 64
    solve = 4 * q * 2 * r * 2 * 1e-9
    assert found["iterations"].seconds == pytest.approx(plain["iterations"].seconds + 3 * solve)
    expected = q * r / 2 * 1e-6 + 4 * q * 2 * r * r * 1e-9
    # Pairs of inputs: inner products of them, of activations and of the signals of all outputs.
    pair = 2 * (NET.widths[0] + sum(m * (1 + 2 * 2) for m in NET.widths[1:-1]))
    assert found["factor"].flops == pytest.approx(pair * q * r / 2 + 4 * q * 2 * r * r)
    assert found["factor"].seconds == pytest.approx(expected)
    small = ntklin.plan_cluster(NET, N, 2, iterations=3)
    assert plan.worker_memory - small.worker_memory == 8 * 2 * q * 2 * r
    assert "on 2 workers" in str(plan)
    assert "for 3 iterations" in str(plan)


def test_memory_grows_with_rows():
    few, many = (ntklin.plan_cluster(NET, n, 10) for n in (10**6, 10**8))
    assert many.client_memory == 100 * few.client_memory
    assert many.client_memory == 8 * 10**8 * (10 + 10 * 2 * 2)
    assert np.isclose(many.worker_memory, 100 * few.worker_memory, rtol=1e-3)


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"net must be an ntklin\.MLP"):
        ntklin.plan_cluster(3, N, 2)
    with pytest.raises(ValueError, match="preconditioner must be 'nystrom' or 'none'"):
        ntklin.plan_cluster(NET, N, 2, preconditioner="ntk")
    for name in ("workers", "rank", "iterations", "threads"):
        options = {"workers": 2, "preconditioner": "nystrom", name: 0}
        with pytest.raises(ValueError, match=name):
            ntklin.plan_cluster(NET, N, **options)
    with pytest.raises(ValueError, match="bandwidth"):
        ntklin.plan_cluster(NET, N, 2, bandwidth=0)
