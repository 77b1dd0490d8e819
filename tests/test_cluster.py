"""Features on a Dask cluster of two processes against one machine, with workers that die."""

import logging
import os
import pickle
import signal
import sys
import time
from types import SimpleNamespace

import naive
import numpy as np
import pytest
from test_pages import run
from tolerances import assert_close, tolerance

import ntklin
from ntklin.edge import cluster as edge
from ntklin.networks.cluster import chunks as chunks_module
from ntklin.networks.cluster import tasks
from ntklin.networks.cluster.memory import require_cluster_memory

distributed = pytest.importorskip("distributed", reason="needs Dask")


def test_a_chunk_is_as_large_as_its_arrays():
    """Each counts once, however often it is held, and whatever holds itself."""
    A, b = np.zeros((5, 3)), np.zeros(7, np.float32)
    features = SimpleNamespace(first=A, more=[A, {"b": b}], text="none")
    features.itself = features
    assert tasks.Chunk(features, 1).__sizeof__() == A.nbytes + b.nbytes


QUIET = {"dashboard_address": ":0", "worker_dashboard_address": None}
N = 13
RNG = np.random.default_rng(0)
X = RNG.uniform(-0.57, 0.57, (N, 3))
X_NEW = RNG.uniform(-0.57, 0.57, (4, 3))
RIDGE = 1e-3


@pytest.fixture(scope="module")
def client():
    """Of a cluster of two worker processes."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **QUIET) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module", params=[1, 2], ids=["one output", "two outputs"])
def both(client, request):
    """The same linearization here and on the cluster, in three chunks, and targets."""
    C = request.param
    net = ntklin.MLP((3, 40, C), bias="normal")
    theta = net.init(0)
    spread = ntklin.ClusterNetwork(net, client, chunk_rows=5)
    Y = np.random.default_rng(1).standard_normal((N, C) if C > 1 else N)
    return ntklin.linearize(net, theta, X), ntklin.linearize(spread, theta, X), Y


def jacobian(phi, Z):
    """That of the same network at Z, by loops."""
    witness = naive.Network(tuple(phi.network.widths), 1.0, "fan_out", "normal")
    return naive.jacobian(witness, phi.parameters, Z)


def kill_one(client):
    """SIGKILL one of the workers, and return once the scheduler knows."""
    pids = client.run(os.getpid)
    address, pid = sorted(pids.items())[0]
    os.kill(pid, signal.SIGKILL)
    while address in client.nthreads():
        time.sleep(0.01)


def test_features_are_those_of_one_machine(both):
    here, there, _ = both
    phi, spread = here.features, there.features
    rng = np.random.default_rng(2)
    V, R = (rng.standard_normal((n, 3)) for n in reversed(phi.shape))
    n = max(phi.shape)
    assert [rows.stop for rows in spread.chunks.rows] == [5, 10, 13]
    assert_close(spread.outputs, phi.outputs, kind="output", n=n)
    assert_close(spread @ V, phi @ V, kind="jacobian", n=n)
    assert_close(spread @ V[:, 0], phi @ V[:, 0], kind="jacobian", n=n)
    assert_close(spread.T @ R, phi.T @ R, kind="jacobian", n=n)
    J = jacobian(phi, X)
    assert_close(spread.gram_product(R), J @ (J.T @ R), kind="gram", n=n)
    assert_close(spread.gram(), J @ J.T, kind="gram", n=n)
    D = rng.random(phi.shape[1])
    assert_close(spread.gram(None, D), J * D @ J.T, kind="weighted_gram", n=n)
    new = jacobian(phi, X_NEW)
    assert_close(spread.at(X_NEW).gram(spread), new @ J.T, kind="gram", n=n)
    assert_close(spread.output_rounding(), phi.output_rounding(), kind="output", n=n)


@pytest.mark.parametrize("way", ["none", "nystrom", "cholesky", "by name"])
def test_the_minimizer_is_that_of_one_machine(both, way):
    here, there, Y = both
    spread = there.features
    preconditioner = {
        "none": lambda: "none",
        "nystrom": lambda: spread.nystrom(8, ridge=RIDGE),
        "cholesky": lambda: spread.cholesky(RIDGE),
        "by name": lambda: "ntk",
    }[way]()
    known = here.minimizer(Y, ridge=RIDGE)
    m = there.minimizer(Y, ridge=RIDGE, solver="pcg", preconditioner=preconditioner, tol=1e-13)
    assert m.residual <= 1e-13
    if way == "cholesky":
        assert m.iterations <= 3
    # Two solutions, each of an equation with its own rounding and residual, amplified by κ.
    allowed = 2 * (tolerance("solve", n=N, kappa=known.condition) + 1e-13 * known.condition)
    for name in ("predict", "interpolator", "initialization"):
        expected = getattr(known, name)(X_NEW)
        scale = abs(known.coefficients).max() * abs(here.kernel).max()
        np.testing.assert_allclose(getattr(m, name)(X_NEW), expected, rtol=0, atol=allowed * scale)
    np.testing.assert_allclose(
        m.coefficients, known.coefficients, rtol=0, atol=allowed * abs(known.coefficients).max()
    )


def test_nystrom_is_a_low_rank_inverse(both):
    _, there, _ = both
    spread = there.features
    K, n = spread.gram(), spread.shape[0]
    found = spread.nystrom(6, rng=3)
    M = np.linalg.inv(found(np.eye(n)))
    assert found.rank == 6
    F = M - found.shift * np.eye(n)
    assert np.linalg.matrix_rank(F, tol=1e-8 * abs(K).max()) == 6
    assert np.linalg.eigvalsh(K - F).min() > -1e-8 * abs(K).max()  # what pivoting leaves is ≥ 0
    assert abs(found.shift - np.trace(K - F) / n) < 1e-6 * found.shift
    np.testing.assert_array_equal(spread.nystrom(6, rng=3)(np.eye(n)), found(np.eye(n)))


def test_nystrom_has_no_more_columns_than_the_kernel_has_rank(client):
    net = ntklin.MLP((3, 1), bias="none")  # φ(X) = X, of rank 3
    spread = ntklin.ClusterNetwork(net, client, chunk_rows=5)
    assert spread.features(net.init(0), X).nystrom(8, ridge=RIDGE).rank == 3
    # Of the third input both outputs together are above the rounding of the others, neither is.
    net = ntklin.MLP((2, 2), scaling="standard", bias="none")
    spread = ntklin.ClusterNetwork(net, client, chunk_rows=2)
    inputs = np.array([[1, 0], [1, 0], [0, 2.0**-25]])
    found = spread.features(net.init(0), inputs).nystrom(4, ridge=RIDGE)
    assert found.rank == 2
    inverse = np.linalg.inv(np.kron(inputs @ inputs.T, np.eye(2)) + found.shift * np.eye(6))
    np.testing.assert_allclose(found(np.eye(6)), inverse, atol=1e-9 * abs(inverse).max())


def test_tiles_of_the_kernel(both):
    here, there, _ = both
    K = there.features.gram_array()
    C = here.source.columns.rows
    assert K.chunks == ((5 * C, 5 * C, 3 * C),) * 2
    found = there.features.chunks.client.compute(K).result()
    assert_close(found, here.kernel, kind="gram", n=here.features.shape[1])
    np.testing.assert_array_equal(found, found.T)


def test_what_does_not_fit_the_client_has_another_way(both, monkeypatch):
    _, there, Y = both
    free = 600
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: free)
    with pytest.raises(ntklin.MemoryLimitError, match=r"take solver='pcg'.* or gram_array\(\)"):
        there.features.gram()
    assert there.features.gram_array().shape == (len(Y.reshape(-1)),) * 2
    free = 5_000  # of so few inputs the vectors of conjugate gradients are larger than the kernel
    assert there.minimizer(Y, ridge=RIDGE, solver="pcg", preconditioner="none").solver == "pcg"
    free = 3_000
    with pytest.raises(ntklin.MemoryLimitError, match="take a lower rank"):
        there.features.nystrom(13, rng=0)
    assert there.features.nystrom(4, rng=0).rank == 4


def test_a_copy_does_without_the_cluster(both):
    here, there, Y = both
    m = there.minimizer(Y, ridge=RIDGE, solver="pcg", preconditioner="none")
    copy = pickle.loads(pickle.dumps(m))
    # The same coefficients, and k summed in another order.
    terms = abs(m.coefficients).sum() * abs(here.kernel).max()
    P = here.features.shape[1]
    assert_close(copy.predict(X_NEW), m.predict(X_NEW), kind="gram", n=P, scale=terms)
    phi = copy.linearization.features
    V = np.linspace(-1, 1, phi.shape[1])
    assert_close(phi @ V, there.features @ V, kind="jacobian", n=len(V))
    R = np.ones((phi.shape[0], 2))
    scale = abs(there.kernel).sum(axis=1).max()
    assert_close(
        phi.gram_product(R), there.features.gram_product(R), kind="gram", n=len(V), scale=scale
    )
    with pytest.raises(ntklin.ClusterError, match="left their cluster behind"):
        phi.gram()


def test_a_worker_killed_in_mid_solve_costs_one_iteration(both, caplog):
    _, there, Y = both
    spread, logger = there.features, logging.getLogger("distributed")
    nystrom = spread.nystrom(4, ridge=RIDGE)
    options = {"ridge": RIDGE, "solver": "pcg", "preconditioner": nystrom}
    quiet = there.minimizer(Y, **options)
    seen, before = [], spread.losses

    def progress(now):
        if now.phase == "iterations":
            seen.append(now.done)
            if now.done == 3:
                kill_one(spread.chunks.client)

    with caplog.at_level(logging.CRITICAL, logger=logger.name):
        m = there.minimizer(Y, progress=progress, **options)
    assert spread.losses > before, "nobody noticed: the kill came too late"
    # The iterations before it are not done again, and sums keep their order: the same bits.
    assert seen == list(range(1, quiet.iterations + 1))
    np.testing.assert_array_equal(m.coefficients, quiet.coefficients)
    assert m.residual == quiet.residual


def test_no_workers_any_more(monkeypatch):
    monkeypatch.setattr(chunks_module, "_REPLACED", 0.1)
    monkeypatch.setattr(chunks_module, "_ABSENT", 0.1)
    net = ntklin.MLP((3, 5, 1))
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, **QUIET
        ) as cluster,
        ntklin.ClusterNetwork(net, cluster.scheduler_address) as spread,
    ):
        phi = spread.features(net.init(0), X)
        cluster.scale(0)
        while spread.client.nthreads():
            time.sleep(0.01)
        with pytest.raises(ntklin.ClusterError, match="no workers left"):
            phi @ np.ones(phi.shape[1])
        with pytest.raises(ntklin.ClusterError, match="has no workers"):
            ntklin.ClusterNetwork(net, cluster.scheduler_address)
    with pytest.raises(ntklin.ClusterError, match="has left its cluster"):
        spread.features(net.init(0), X)


def test_what_a_cluster_must_be(client, monkeypatch):
    net = ntklin.MLP((3, 5, 1))
    with pytest.raises(ntklin.ClusterError, match="write the scheduler's address"):
        ntklin.ClusterNetwork(net, "bogus")
    with pytest.raises(TypeError, match=r"an address or a distributed\.Client"):
        ntklin.ClusterNetwork(net, 3)
    for name in ("chunk_rows", "threads"):
        with pytest.raises(ValueError, match=f"{name} must be .*, got 0"):
            ntklin.ClusterNetwork(net, client, **{name: 0})
    with pytest.raises(TypeError, match="network must be a Network"):
        ntklin.ClusterNetwork(np.ones(3), client)
    with monkeypatch.context() as patched:
        patched.setattr(edge, "__version__", "0.0.0")
        with pytest.raises(ntklin.ClusterError, match=r"and here it is 0\.0\.0"):
            ntklin.ClusterNetwork(net, client)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "distributed", None)
        with pytest.raises(ntklin.ClusterError, match=r"pip install 'ntklin\[dask\]'"):
            ntklin.ClusterNetwork(net, "tcp://127.0.0.1:1")


def test_arrays_in_any_form(client):
    net = ntklin.MLP((3, 5, 2))
    theta, spread = net.init(0), ntklin.ClusterNetwork(net, client)
    phi = spread.features(theta.tolist(), X.tolist())
    assert_close(phi.outputs, net.apply(theta, X), kind="output", n=9)
    np.testing.assert_array_equal(spread.apply(theta.tolist(), X.tolist()), net.apply(theta, X))
    single = spread.features(theta.astype(np.float32), X.astype(np.float32))
    assert (single.dtype, single.balanced(np.float64)[0].dtype) == (np.float32, np.float64)
    for call in (spread.features, spread.apply):
        with pytest.raises((TypeError, ValueError), match="complex"):
            call(theta, X * 1j)
    with pytest.raises((TypeError, ValueError), match="theta must"):
        spread.features(theta[1:], X)


def test_memory_is_asked_for_first():
    class Told:
        def scheduler_info(self, n_workers=5):
            return {"workers": {str(i): {"memory_limit": 10**9} for i in range(2)}}

    rows = [slice(0, 50_000), slice(50_000, 100_000)]
    with pytest.raises(ntklin.MemoryLimitError, match=r"100000 inputs on 2 workers.*limit of 1"):
        require_cluster_memory(Told(), ntklin.MLP((784, 4000, 1)), rows, 8)
    require_cluster_memory(Told(), ntklin.MLP((784, 40, 1)), rows, 8)


def test_a_kernel_with_other_inputs_is_made_for_a_chunk_of_these_at_a_time(client, monkeypatch):
    net = ntklin.MLP((3, 5, 1))
    theta, made = net.init(0), []
    phi = ntklin.ClusterNetwork(net, client, chunk_rows=5).features(theta, X)
    columns = type(phi)._columns

    def counted(self, some, weights):
        made.append(len(some))
        return columns(self, some, weights)

    monkeypatch.setattr(type(phi), "_columns", counted)
    K = phi.gram(phi.at(X[:12]))
    assert made == [5, 5, 2]
    here = net.features(theta, X)
    assert_close(K, here.gram(net.features(theta, X[:12])), kind="gram", n=len(theta))


def test_an_error_on_a_worker_comes_as_it_is(client):
    net = ntklin.MLP((3, 5, 1))
    spread = ntklin.ClusterNetwork(net, client)
    with pytest.raises(ValueError, match="X has 2 columns"):
        spread.features(net.init(0), np.ones((4, 2)))
    phi = ntklin.ClusterNetwork(net, client, chunk_rows=2).features(net.init(0), X[[0, 1, 0, 2]])
    with pytest.raises(ntklin.DegenerateKernelError, match="row 2, counting from 0"):
        phi.cholesky()


@pytest.mark.compiled("minutes as plain Python")
def test_the_page_runs(client, capsys):
    net = ntklin.MLP((3, 40, 1), bias="normal")
    theta, Y = net.init(0), np.random.default_rng(1).standard_normal(N)
    smaller = [("tcp://10.0.0.1:8786", client.scheduler.address), ("nystrom(1000)", "nystrom(5)")]
    known = {"ntklin": ntklin, "net": net, "theta": theta, "X": X, "Y": Y, "X_new": X_NEW}
    m = run("cluster.md", smaller, **known)["m"]
    assert m.residual <= 1e-10
    here = ntklin.linearize(net, theta, X)
    close = {"kind": "solve", "n": N, "kappa": np.linalg.cond(here.kernel)}
    assert_close(m.coefficients, here.minimizer(Y).coefficients, **close)
    assert "100 workers" in capsys.readouterr().out
