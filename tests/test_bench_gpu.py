"""``ntklin bench --device gpu``: the same gates, on CuPy arrays, beside PyTorch and JAX."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from ntklin.apps.cli.bench import Options
from ntklin.kernels.gpu import unweighted
from ntklin.validation.benchmarks import cases, gates, gpu_peers, main, plain, work, works


@pytest.fixture
def bench(device, tmp_path):
    """``main`` on tiny sizes: a function that returns status, bench.json and what it printed."""

    def call(**selection):
        console = Console(file=io.StringIO(), width=200)
        options = {"quick": True, "out": tmp_path, "threads": 1, "device": "gpu"} | selection
        status = main(Options(**options), console)
        return status, json.loads((tmp_path / "bench.json").read_text()), console.file.getvalue()

    return call


@pytest.mark.compiled("its gates compare with the CPU's kernels")
def test_every_work_of_a_gpu_passes_its_gate(bench):
    status, document, text = bench(inputs=["gaussian"])
    assert status == 0, text
    rows = document["rows"]
    assert {row["work"] for row in rows} == set(works.GPU_WORKS)
    assert {row["implementation"] for row in rows} >= {"ntklin", "cupy"}
    assert all(row["error"] <= row["tolerance"] and row["median_ms"] > 0 for row in rows)
    assert all(row.get("peak_bytes") is None for row in rows)
    assert set(document["limits"]["gemm"]) == {"cuBLAS"}
    assert document["limits"]["fill"]["fill"] > 0
    assert document["options"]["device"] == "gpu"
    assert document["machine"]["gpu"]["name"] in text
    assert document["targets"] == []
    timed = [row for row in rows if row["work"] == "weighted_gram" and row["case"] != "A10"]
    assert all(row["of_gemm"] > 0 and row["of_bandwidth"] > 0 for row in timed)


def test_a_wrong_kernel_does_not_pass(bench, monkeypatch):
    good = unweighted.gram
    monkeypatch.setattr("ntklin.kernels.gpu.gram", lambda *args: 1.001 * good(*args))
    status, document, text = bench(works=["gram"], cases=["A"], dtypes=["float64"])
    assert status == 1
    assert "relative error" in text
    failed = [row["implementation"] for row in document["rows"] if row["failed"]]
    assert set(failed) == {"ntklin"}


def test_the_hosts_algebra_is_not_a_gpus_work(bench):
    with pytest.raises(ValueError, match=r"works must be from jacobian.*got closed_form"):
        bench(works=["closed_form"])
    with pytest.raises(ValueError, match="peers run on the CPU"):
        bench(quick=False, peers=".", peer_scripts=".")


def peer(name, problem):
    library = pytest.importorskip(name, reason=f"needs {name}")
    assert library
    return gpu_peers.Torch(problem, "cpu") if name == "torch" else gpu_peers.Jax(problem, "cpu")


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_peers_compute_the_same(name, dtype):
    problem = cases.draw(cases.QUICK.cases[1], 8, "gaussian", dtype)
    setup = work.Setup(problem, cases.QUICK)
    ways = gpu_peers.ways_of(peer(name, problem), problem, setup.reference)
    rows = work.rows(works.GPU_WORKS, setup, 100, {name: ways})
    found = [row for row in rows if row.facts["implementation"] == name]
    assert [row.facts["work"] for row in found] == [
        *("jacobian", "gram", "gd_step", "adagrad_step", "adam_step"),
    ]
    for row in found:
        row.pass_gate()
        assert not row.failed, row.facts


def test_a_jacobian_beyond_all_memory_is_left_out(monkeypatch):
    class Nobody:
        name, finish, jacobian, train = "nobody", print, print, print

    problem = cases.draw(cases.QUICK.cases[0], 8, "gaussian", "float64")
    steps = {(name, "") for name in ("gd_step", "adagrad_step", "adam_step")}
    reference = plain.Reference(problem)
    taken = {("jacobian", "fresh"), ("gram", "")}
    assert gpu_peers.ways_of(Nobody, problem, reference).keys() == steps | taken
    monkeypatch.setattr(gpu_peers, "MOST_BYTES", 8)
    assert gpu_peers.ways_of(Nobody, problem, reference).keys() == steps


def test_a_problem_moves_as_a_whole(device):
    problem = cases.draw(cases.QUICK.cases[0], 8, "gaussian", "float32")
    moved = problem.on(device.xp)
    for name in ("theta", "X", "X_test", "Y", "weights"):
        assert np.array_equal(device.get(getattr(moved, name)), getattr(problem, name))
    assert gates.rounding(moved.dtype, 1) == gates.rounding(np.float32, 1)


def test_a_gpu_is_waited_for(device, monkeypatch):
    def wait():
        """Stands in for the stream's own."""

    stream = SimpleNamespace(synchronize=wait)
    monkeypatch.setattr(device.xp.cuda, "get_current_stream", lambda: stream)
    problem = cases.draw(cases.QUICK.cases[0], 8, "gaussian", "float64")
    rows = work.rows(("gram",), work.Setup(problem, cases.QUICK, device.xp), 100)
    assert [row.facts["implementation"] for row in rows] == ["ntklin", "cupy"]
    assert all(row.way.finish is wait for row in rows)
