"""What a MemoryLimitError says to do instead works for that very call, within the same limit."""

import ast
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator, lsmr

import ntklin
from ntklin.edge import checks as _validate
from ntklin.runs.engine import choose

N, SHAPE = 120, (4, 10, 1)
NET = ntklin.MLP(SHAPE)
RNG = np.random.default_rng(0)
THETA, X = NET.init(1), RNG.standard_normal((N, 4)) / 3
Y = X[:, 0].copy()
SMALL = X[:12]
D = RNG.random(NET.n_parameters) + 0.5
W = RNG.standard_normal((NET.n_parameters, 20))


def blocks(call, n=N, size=3):
    return np.concatenate([call(slice(i, i + size)) for i in range(0, n, size)])


def features():
    return NET.features(THETA, X)


def small():
    return ntklin.linearize(NET, THETA, SMALL)


def minimizer(**options):
    return lambda: small().minimizer(Y[:12], **options).parameters - THETA


def by_lsmr(factor=None, damp=0.0):
    def solve():
        lin, exact = small(), {"atol": 1e-13, "btol": 1e-13, "conlim": 0, "maxiter": 9999}
        A = lin.features if factor is None else lin.features @ aslinearoperator(factor)
        z = lsmr(A, Y[:12] - lin.initial_outputs, damp=damp, **exact)[0]
        return z if factor is None else factor @ z

    return solve


def projected():
    v = np.cos(np.arange(NET.n_parameters))
    phi = NET.features(THETA, SMALL)
    r = lsmr(phi.T, v, atol=1e-13, btol=1e-13, conlim=0, maxiter=9999)[0]
    return phi.T @ r


# The call, what it is told, the free bytes, and what to do instead.
CASES = {
    "kernel": (
        lambda: features().gram(),
        r"features\(theta, X\[i:j\]\)\.gram",
        60_000,
        lambda: blocks(lambda i: NET.features(THETA, X[i]).gram(features())),
    ),
    "weighted kernel": (
        lambda: features().gram(weights=D) @ Y,
        r"or apply phi @ \(weights \* \(phi\.T @ r\)\)",
        60_000,
        lambda: features() @ (D * (features().T @ Y)),
    ),
    "ntk": (
        lambda: ntklin.ntk(NET, THETA, X),
        "take fewer rows at a time",
        60_000,
        lambda: blocks(lambda i: ntklin.ntk(NET, THETA, X[i], X)),
    ),
    "infinite": (
        lambda: ntklin.infinite_ntk(NET, X),
        "fewer rows of X1",
        60_000,
        lambda: blocks(lambda i: ntklin.infinite_ntk(NET, X[i], X)),
    ),
    "jacobian": (
        lambda: NET.jacobian(THETA, X) @ D,
        r"use net\.features",
        50_000,
        lambda: features() @ D,
    ),
    "minimizer": (minimizer(), r"lsmr\(A, Y - f_0\(X\)\)\[0\] for A", 3000, by_lsmr()),
    "ridge": (minimizer(ridge=0.5), r"damp=ridge\*\*0\.5", 3000, by_lsmr(damp=0.5**0.5)),
    "diagonal": (
        minimizer(weights=D),
        r"A = lin\.features @ R and D = R R\^T",
        3000,
        by_lsmr(np.diag(D**0.5)),
    ),
    "low rank": (minimizer(weights=ntklin.LowRank(W)), r"R z with", 3000, by_lsmr(W)),
    "a factor": (
        minimizer(solver="packed"),
        "take solver='pcg' with preconditioner='none'",
        5000,
        minimizer(solver="pcg", preconditioner="none", tol=1e-13),
    ),
    "projection": (
        lambda: NET.features(THETA, SMALL).project(np.cos(np.arange(NET.n_parameters))),
        r"lsmr\(phi\.T, v\)\[0\]",
        5000,
        projected,
    ),
    "new inputs": (
        lambda: _minimizer().predict(X),
        "fewer rows of X_new",
        20_000,
        lambda: blocks(lambda i: _minimizer().predict(X[i])),
    ),
    "a D for w": (
        lambda: _interpolated(),
        r"φ\(X_new\) @ w",
        4000,
        lambda: NET.features(THETA, X[:20]) @ _w(),
    ),
}
LIN = small()
LIN.spectrum  # noqa: B018  (kept)


def _minimizer():
    return small().minimizer(Y[:12])


def _w():
    return LIN.features.T @ np.linalg.solve(LIN.kernel, Y[:12])


def _interpolated():
    D = LIN.preconditioner_for(_w(), Y[:12])
    return LIN.minimizer(Y[:12], weights=D).interpolator(X[:20])


@pytest.mark.parametrize("name", CASES)
def test_the_advice_helps(name, monkeypatch):
    call, told, free, instead = CASES[name]
    expected = call()
    monkeypatch.setattr(_validate, "available_memory", lambda: free)
    with pytest.raises(ntklin.MemoryLimitError, match=told):
        call()
    found = instead()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_training_in_place_of_the_closed_form(monkeypatch):
    monkeypatch.setattr(_validate, "available_memory", lambda: 3000)
    lin = small()
    with pytest.raises(ntklin.MemoryLimitError, match=r"train step by step \(ntklin\.train\)"):
        lin.gradient_descent(Y[:12])
    assert ntklin.train(NET, THETA, SMALL, Y[:12], steps=3).steps == 3
    assert lin.train(Y[:12], steps=3).method == "fused"


def test_another_engine(monkeypatch):
    net = ntklin.MLP((2, 4, 1))
    X = np.random.default_rng(0).standard_normal((2000, 2))
    data = net.init(0), X, X[:, 0].copy(), ntklin.GradientDescent(0.01), 2
    monkeypatch.setattr(_validate, "available_memory", lambda: 20_000_000)
    told = r"training on 2000 inputs with method='reduced' needs .*method='fused' needs no more"
    with pytest.raises(ntklin.MemoryLimitError, match=told):
        ntklin.train(net, *data, method="reduced")
    assert ntklin.train(net, *data, method="fused").steps == 2
    assert ntklin.train(net, *data).method == "fused"


def taking(name, size):
    """An engine that needs so many bytes."""
    functions = {"requires": lambda task: None, "pays": lambda task: True}
    functions |= {"needs": lambda task: size}
    return type(name, (), {"method": name, **functions})


@pytest.mark.parametrize("method", ["auto", "a"])
def test_the_threads_tables_and_a_little_more_are_never_refused(method, monkeypatch):
    monkeypatch.setattr(_validate, "available_memory", lambda: 0)
    task = SimpleNamespace(on_cpu=True, dtype=np.dtype(float), n_samples=7)
    little = 2**20 + 8 * 2**17 * numba.get_num_threads()
    assert choose({"a": taking("a", little)}, method, task).method == "a"
    with pytest.raises(ntklin.MemoryLimitError, match="with method='a' needs"):
        choose({"a": taking("a", little + 1)}, method, task)


def test_where_no_engine_fits_the_smallest_is_refused_by_name():
    engines = {name: taking(name, k * 10**17) for name, k in (("a", 3), ("b", 1), ("c", 2))}
    task = SimpleNamespace(on_cpu=True, dtype=np.dtype(float), n_samples=7)
    with pytest.raises(
        ntklin.MemoryLimitError, match=r"7 inputs with method='b' needs 100,000\.0 TB"
    ):
        choose(engines, "auto", task)


# Where memory is asked for, and what follows the advice: a case above, or a test of that module's.
ASKED = {
    "algebra/preconditioners.py": "a D for w, test_preconditioners",
    "algebra/semidefinite.py": "test_any_kernel",
    "apps/scale/plans.py": "test_cli_scale",
    "data/idx.py": "test_data",
    "data/selection.py": "test_likeness",
    "edge/files/archives.py": "test_data",
    "runs/batches.py": "test_refusals",
    "networks/cluster/features.py": "test_cluster",
    "networks/cluster/nystrom.py": "test_cluster",
    "networks/features.py": "kernel",
    "networks/infinite.py": "infinite",
    "networks/layer_weights.py": "test_layer_weights",
    "networks/memory.py": "jacobian, test_memory_needs",
    "networks/mlp.py": "test_memory_needs",
    "networks/network.py": "projection",
    "networks/streamed.py": "test_streamed",
    "runs/engine.py": "test_another_engine",
    "runs/recording.py": "test_training_records, test_adaptive",
    "theory/approximate_inverses.py": "a factor",
    "theory/epoch_moments.py": "test_epoch_moments",
    "theory/factorized.py": "test_training_in_place_of_the_closed_form",
    "theory/gradient_descent.py": "test_linearization",
    "theory/linearized_run.py": "test_adaptive",
    "theory/minimize.py": "minimizer",
    "theory/moments.py": "test_moments",
    "theory/theorems.py": "test_products",
}


def test_whoever_asks_is_listed():
    root = Path(ntklin.__file__).parent
    asking = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            if name in ("require_memory", "require_bulk"):
                asking.add(path.relative_to(root).as_posix())
    assert asking - {"edge/checks.py"} == ASKED.keys()
