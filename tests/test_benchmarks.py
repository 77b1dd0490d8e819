"""``ntklin bench``: frozen numbers, gates that can fail, turns, peers and the target table."""

import dataclasses
import functools
import io
import itertools
import json
import os
import stat
import subprocess
import sys
import time

import naive
import numpy as np
import pytest
from rich.console import Console
from tolerances import assert_close

from ntklin.apps.cli.bench import Options
from ntklin.validation.benchmarks import (
    benchmark,
    cases,
    compare,
    costs,
    gates,
    gemm,
    handmade,
    machine,
    main,
    measure,
    memory,
    noise,
    options,
    peers,
    plain,
    report,
    scores,
    streams,
    targets,
    timing,
    work,
    works,
)

A, B, A10, ATANH = cases.QUICK.cases


def reference_of(case=B, n=6, inputs="gaussian", dtype="float64"):
    return plain.Reference(cases.draw(case, n, inputs, dtype))


def naive_network(problem, **changes):
    net = naive.Network(problem.case.widths, cases.SIGMA, "eq1", "zero")
    return net._replace(activation=problem.case.activation, **changes)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def bench(tmp_path, console, monkeypatch):
    """``main`` on tiny sizes: a function that returns status, bench.json and what it printed."""
    monkeypatch.setattr(gemm, "core_types", lambda: ())

    def call(**selection):
        selection = {"quick": True, "out": tmp_path / "out", "threads": 1} | selection
        status = main(Options(**selection), console)
        text = (tmp_path / "out" / "bench.json").read_text()
        document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
        return status, document, console.file.getvalue()

    return call


# The frozen cases

FROZEN = {
    "A": (-1.789456864952712, 0.2854731475176147, -0.03971107821152339, 0.4368459719734782),
    "B": (-1.789456864952712, 0.9802868695541995, 0.027399554899039943, -0.4674306456233675),
    "A10": (-1.789456864952712, 0.4302620163347079, 0.024566720128722165, -0.2739925874820423),
}
FROZEN["Atanh"] = FROZEN["A"]
FROZEN_WEIGHT = {"A": 1.3414584014665802, "B": 1.0747539804115083, "A10": 0.6966174023087717}
FROZEN_WEIGHT["Atanh"] = FROZEN_WEIGHT["A"]


@pytest.mark.parametrize("case", cases.FULL.cases, ids=lambda case: case.name)
def test_the_cases_are_frozen(case):
    problem = cases.draw(case, 100, "gaussian", "float64")
    last_weight = problem.theta[-case.n_outputs - 1]
    found = problem.theta[0], last_weight, problem.X[0, 0], problem.Y.flat[-1]
    assert found == FROZEN[case.name]
    assert problem.weights[-1] == FROZEN_WEIGHT[case.name]
    assert len(problem.theta) == problem.net.n_parameters
    assert problem.X.shape == (100, 784)
    assert problem.X_test.shape == (100, 784)
    assert problem.theta[-1] == 0


def test_float32_is_the_same_draw_rounded():
    double, single = (cases.draw(B, 5, "gaussian", dtype) for dtype in cases.DTYPES)
    for name in ("theta", "X", "X_test", "Y", "weights"):
        value = getattr(single, name)
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, getattr(double, name).astype(np.float32))
    np.testing.assert_array_equal(single.probe, double.probe)


def test_inputs_are_unit_rows():
    for inputs in cases.INPUTS:
        problem = cases.draw(A, 5, inputs, "float64")
        for X in (problem.X, problem.X_test):
            np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-14)
    assert set(problem.Y) <= {0.0, 1.0}


def test_whole_images_stay_as_they_are_and_others_are_summed_in_blocks():
    image = np.arange(784.0)[None]
    assert cases.pooled(image, 784) is image
    pooled = cases.pooled(image, 16)[0]
    first = image.reshape(28, 28)[:7, :7].sum()
    last = image.reshape(28, 28)[21:, 21:].sum()
    np.testing.assert_allclose(pooled[-1] / pooled[0], last / first, rtol=1e-14)


# What is true, against the loops of naive.py


@pytest.mark.parametrize("case", [B, A10, ATANH], ids=lambda case: case.name)
def test_plain_kernels_are_those_of_the_loops(case):
    reference = reference_of(case)
    problem = reference.problem
    J = naive.jacobian(naive_network(problem), problem.theta, problem.X)
    n = sum(problem.case.widths)
    assert_close(reference.gram, naive.gram(J), kind="gram", n=n)
    K_D = naive.weighted_gram(J, problem.weights)
    assert_close(reference.weighted_gram, K_D, kind="weighted_gram", n=n)
    rows = np.array([reference.passes.jacobian_row(i) for i in range(len(J))])
    assert_close(rows, J, kind="jacobian", n=n)
    if case.n_outputs == 1:
        assert_close(reference.jacobian_probe, J @ problem.probe, kind="jacobian", n=len(J.T))
    outputs = naive.apply(naive_network(problem), problem.theta, problem.X)
    assert_close(reference.passes.outputs, outputs, kind="output", n=n)


def test_plain_test_kernel_has_test_rows_and_training_columns():
    reference = reference_of(A, 3)
    problem, net = reference.problem, naive_network(reference.problem)
    J = naive.jacobian(net, problem.theta, problem.X)
    J_test = naive.jacobian(net, problem.theta, problem.X_test[:2])
    assert_close(reference.test_gram[:2], naive.gram(J_test, J), kind="gram", n=33)


@pytest.mark.parametrize("case", [B, A10, ATANH], ids=lambda case: case.name)
def test_plain_training_is_that_of_the_loops(case):
    reference = reference_of(case)
    problem, net = reference.problem, naive_network(reference.problem)
    J = naive.jacobian(net, problem.theta, problem.X)
    rate = 0.5 * problem.n / np.linalg.eigvalsh(J @ J.T)[-1]
    theta = naive.gradient_descent(net, problem.theta, problem.X, problem.Y, rate, 3)
    X = np.concatenate([problem.X, problem.X_test])
    before, after = reference.trained_outputs(3)
    assert_close(before, naive.apply(net, problem.theta, X), kind="output", n=35)
    assert_close(after, naive.apply(net, theta, X), kind="trajectory", n=35)


def test_plain_infinite_width_is_that_of_the_scalar_formulas():
    reference = reference_of(B, 4)
    net = naive_network(reference.problem, scaling="fan_in", bias="normal")
    expected, _ = naive.infinite(net, reference.problem.X)
    # arccos has an error of eps/θ.
    kappa = 1 / reference.infinite_angle
    assert_close(reference.infinite_ntk, expected, kind="infinite", n=16, kappa=kappa)


def test_doubling_counts_steps():
    reference = reference_of(A, 5)
    K, K_new, residual = reference.gram, reference.test_gram, reference.Y
    rate = 0.5 / np.linalg.eigvalsh(K)[-1]
    changes = plain.linearized_outputs(K, K_new, residual, rate, 3)
    for k, change in enumerate(changes):
        zero, zeros = np.zeros(5), np.zeros(len(K_new))
        expected = naive.closed_form(K, K_new, zero, zeros, residual, rate * 5, 2**k)
        assert_close(change, expected, kind="trajectory", n=40)


# Gates


def all_rows(dtype="float64"):
    for case, n, frozen in ((B, 8, 100), (B, 12, 1000), (A10, 8, 100), (ATANH, 8, 100)):
        setup = work.Setup(cases.draw(case, n, "gaussian", dtype), cases.QUICK)
        names = [name for name in works.CPU_WORKS if works.WORKS[name].has(case, frozen)]
        yield from work.rows(names, setup, frozen)


def test_all_works_pass_their_gates_in_float32():
    """In float64 the quick run shows it."""
    for row in all_rows("float32"):
        row.pass_gate()
        assert not row.failed, f"{row.facts}: {row.failed}"
        assert row.agreement.tolerance < 5e-2


def spoiled(result, change):
    """The result with its last entry changed; of a tuple, the last array's."""
    if isinstance(result, tuple):
        return (*result[:-1], spoiled(result[-1], change))
    result = np.array(result)
    result.flat[-1] = change(result.flat[-1])
    return result


@pytest.mark.parametrize("change", [lambda x: x * (1 + 1e-6) + 1e-6, lambda x: np.nan])
def test_every_gate_sees_one_wrong_entry(change):
    for row in all_rows():
        if row.facts["implementation"] == "ntklin":
            agreement = row.gate(spoiled(row.way.result(), change))
            assert agreement.failure, f"{row.label}: {agreement}"


@pytest.mark.parametrize(
    "gate",
    [
        *(gates.gram, gates.weighted_gram, gates.jacobian, gates.jacobian_probe),
        *(gates.infinite, gates.training),
    ],
)
def test_gates_refuse_wrong_shapes(gate):
    agreement = gate(reference_of(), np.ones((2, 2)))
    assert agreement.error == np.inf
    assert agreement.failure


def test_inputs_at_a_kink_are_left_out():
    problem = cases.draw(A, 5, "gaussian", "float32")
    W, _ = problem.layers[0]
    x = problem.X[2].astype(float)
    # One neuron's preactivation at one input becomes rounding.
    W[3] -= ((W[3] @ x) / (x @ x) * x).astype(np.float32)
    reference = plain.Reference(problem)
    assert list(reference.clear) == [True, True, False, True, True]
    K = reference.gram.copy()
    K[2, 0] *= 2
    agreement = gates.gram(reference, K)
    assert not agreement.failure
    assert agreement.left_out == 1
    K[1, 0] *= 2
    assert gates.gram(reference, K).failure


# Costs


def test_costs_count_what_the_formulas_say():
    widths = (3, 4, 2, 1)
    problem = cases.draw(cases.Case("C", widths, 1), 5, "gaussian", "float64")
    passes = plain.Reference(problem).passes
    P = 3 * 4 + 4 + 4 * 2 + 2 + 2 + 1
    assert costs.forward(widths, 5) == 2 * 5 * (12 + 8 + 2)
    assert costs.backward(widths, 5) == 2 * 5 * (8 + 2)
    dense = costs.gram(problem, passes, skips_zeros=False)
    assert dense.dense_flops == 2 * 25 * P
    assert dense.flops == 320 + 5 * 6 * ((3 + 4 + 2) + (4 + 2))
    multiplications = 0
    for factor in (passes.a[1], passes.a[2], passes.delta[0]):
        for i, j in itertools.product(range(5), repeat=2):
            multiplications += np.count_nonzero(factor[i]) if j <= i else 0
    skipping = costs.gram(problem, passes, skips_zeros=True)
    additions = (5 * 4 * 2 + 15 * 2) / 4  # δ^2 W^2 and δ^2 δ^2T by fours
    assert skipping.flops == 220 + 5 * 6 * 3 + 2 * multiplications + additions
    assert skipping.unskipped_flops == dense.unskipped_flops == dense.flops
    assert costs.jacobian(problem).n_bytes == 5 * P * 8
    triangles = 0
    for a, delta in zip(passes.a, passes.delta, strict=True):
        for i, j in itertools.product(range(5), repeat=2):
            pairs = sum(1 for d in delta.T if d[i] != 0 and d[j] != 0)
            triangles += pairs * a.shape[1] if i <= j else 0
    assert all((a != 0).any(axis=0).all() for a in passes.a)
    weighted = costs.weighted_gram(problem, passes, skips_zeros=True)
    assert weighted.flops == 320 + 2 * triangles
    weighted = costs.weighted_gram(problem, passes, skips_zeros=False)
    assert weighted.flops == 320 + 5 * 6 * P + 2 * 5 * P
    step = costs.gradient_step(problem, passes, reduced=True)
    # δ^1 with G, the output, δ^2 W^2 by fours and its step by fives, and a^1 with W^2.
    sums = 5 * 4 * 2 / 4 + 4 * 2
    active = np.count_nonzero(passes.delta[0]), np.count_nonzero(passes.a[1])
    assert step.flops == 10 * active[0] + 30 * 2 + sums + 2 * 2 * active[1]
    assert step.dense_flops == 2 * 220 + 100
    assert costs.gradient_step(problem, passes, reduced=False).flops == 2 * 220 + 100
    deeper = cases.draw(cases.Case("D", (3, 4, 2, 5, 1), 1), 100, "gaussian", "float64")
    passes = plain.Reference(deeper).passes
    step = costs.gradient_step(deeper, passes, reduced=True)
    active = [np.count_nonzero(a) for a in (passes.delta[0], *passes.a[1:])]
    sums = 100 * 2 * 5 / 4 + 2 * 5 * 20
    forward = 2 * (active[1] * 2 + active[2] * 5)
    assert step.flops == 200 * active[0] + 600 * 5 + 400 * 4 * 2 + sums + forward
    assert costs.skipping_forward(passes, (3, 4, 2, 5, 1), 100) == (
        2 * (300 * 4 + active[3]) + forward
    )
    assert costs.skipping_forward(passes, (3, 4, 2, 5, 1), 99) == 2 * 99 * (12 + 8 + 10 + 5)
    shallow = cases.draw(cases.Case("D", (3, 4, 1), 1), 6, "gaussian", "float64")
    step = costs.gradient_step(shallow, plain.Reference(shallow).passes, reduced=True)
    assert step.flops == 6 * 4 * 2 + 36 * 4  # two groups of at most five samples


# Turns


class Clock:
    """Stands in for ``time.perf_counter``; tasks move it on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def fake_way(clock, durations, **fields):
    """A way whose calls take the given durations."""
    durations = iter(durations)

    def work():
        clock.now += next(durations)

    return measure.Way(run=work, **fields)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock)
    return clock


@pytest.mark.parametrize(
    ("durations", "seconds", "turn"),
    [
        ([9, 1, 3, 2, 100], 15, [1, 3, 2]),  # the first of the short calls is dropped
        ([7, 6, 1], 5, [6]),  # long calls are made twice
        ([0.125] * 99, 0, [0.125] * (timing.CALLS - 1)),  # a handful in any case
    ],
)
def test_a_turn(clock, durations, seconds, turn):
    found = timing.Timing()
    assert timing.take_turn(fake_way(clock, durations), seconds, found) == np.median(turn)
    assert found.turns == [turn]


def test_preparation_counts_for_the_length_of_a_turn_only(clock):
    def prepare():
        clock.now += 10
        return ()

    found = timing.Timing()
    timing.take_turn(fake_way(clock, [3, 1], prepare=prepare), 5, found)
    assert found.turns == [[1]]


def test_overhead_is_subtracted_and_kept(clock):
    def overhead():
        clock.now += 4

    found = timing.Timing()
    timing.take_turn(fake_way(clock, [24, 64], overhead=overhead, count=10), 90, found)
    assert found.turns == [[6.0]]
    assert found.overheads == [4, 4]
    assert found.summary()["setup_ms"] == 4000


def test_the_summary_is_of_the_turns():
    found = timing.Timing(turns=[[1.0, 2.0, 3.0], [4.0], [8.0, 8.0]])
    summary = found.summary()
    assert summary["median_ms"] == 4000
    assert summary["min_ms"] == 1000
    assert summary["max_ms"] == 8000
    assert summary["spread"] == (8 - 2) / 4
    assert summary["setup_ms"] is None


def test_rounds_alternate_the_order(clock):
    rows = [
        measure.Row(fake_way(clock, itertools.repeat(1)), None, {"variant": name}) for name in "xy"
    ]
    order = []
    measure.take_rounds(rows, 3, 0, lambda row: order.append(row.facts["variant"]))
    assert order == list("xyyxxy")


def test_foreign_cores_are_what_others_used(monkeypatch):
    cpu = iter([(10.0, 1.0), (16.0, 3.0)])
    wall = iter([0.0, 2.0])
    monkeypatch.setattr(noise, "cpu_seconds", lambda: next(cpu))
    monkeypatch.setattr(noise.time, "perf_counter", lambda: next(wall))
    found = noise.Noise()
    assert found.foreign_cores is None
    with found:
        pass
    assert found.foreign_cores == (6 - 2) / 2


def test_noise_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(noise, "cpu_seconds", lambda: None)
    found = noise.Noise()
    with found:
        found._wall = 5.0
    assert found.foreign_cores is None


# Limits and machine


def test_streams_fill_and_copy():
    out, source = streams.aligned(1 << 12), streams.aligned(1 << 12)
    assert out.ctypes.data % streams.LINE == 0
    assert out.nbytes == 1 << 12
    streams.fill(out)
    assert (out == 1).all()
    source[:] = np.arange(len(source))
    streams.copy(out, source)
    np.testing.assert_array_equal(out, source)


def test_the_gemm_limit_includes_every_setting(monkeypatch):
    monkeypatch.setattr(gemm, "core_types", lambda: ("",))
    found = gemm.limits(16, 1)
    assert set(found) == {"this process", "OpenBLAS's choice"}
    for rates in found.values():
        assert set(rates) == {"float64", "float32"}
        assert min(rates.values()) > 0


def test_each_gemm_setting_replaces_that_of_this_process(monkeypatch):
    environments = []

    def fails(command, env, **options):
        environments.append(env)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(gemm.subprocess, "run", fails)
    monkeypatch.setattr(gemm, "core_types", lambda: ("", "SkylakeX"))
    assert set(gemm.limits(16, 3)) == {"this process"}
    assert [env.get("OPENBLAS_CORETYPE") for env in environments] == [None, "SkylakeX"]
    assert [env["OPENBLAS_NUM_THREADS"] for env in environments] == ["3", "3"]


def test_avx512_kernels_are_tried_where_they_run(monkeypatch):
    monkeypatch.setattr(gemm, "has_avx512", lambda: True)
    assert gemm.core_types() == ("", "SkylakeX")
    monkeypatch.setattr(gemm, "has_avx512", lambda: False)
    assert gemm.core_types() == ("",)


def test_huge_page_setting_is_the_chosen_one(tmp_path, monkeypatch):
    file = tmp_path / "enabled"
    file.write_text("always [madvise] never\n")
    monkeypatch.setattr(memory, "HUGE_PAGES", str(file))
    assert memory.huge_page_setting() == "madvise"
    monkeypatch.setattr(memory, "HUGE_PAGES", str(tmp_path / "absent"))
    assert memory.huge_page_setting() is None


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux's /proc")
def test_peak_memory_is_measured():
    """What else happens in the process, or is reclaimed from it, can fall into any one of them."""
    n_bytes = 3 * memory.LARGE // 2
    found = [memory.measure(lambda: np.ones(n_bytes // 8)) for _ in range(3)]
    peaks = [one["peak_bytes"] for one in found]
    assert max(peaks) > 0.9 * n_bytes
    assert min(peaks) < 1.5 * n_bytes
    assert all(0 <= one["huge_page_share"] <= 1 for one in found if one["peak_bytes"] > n_bytes / 2)
    kept = np.ones(n_bytes // 8)
    for call in (lambda: None, lambda: kept):
        nothing = [memory.measure(call) for _ in range(3)]
        assert min(one["peak_bytes"] for one in nothing) < 1 << 20
        assert any(one["huge_page_share"] is None for one in nothing)


def test_memory_is_required_beforehand(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**9)
    memory.require(10**9, "it")
    with pytest.raises(MemoryError, match=r"the dense Jacobian needs 2\.0 GB, 1\.0 GB are free"):
        memory.require(2 * 10**9, "the dense Jacobian")


def test_the_machine_is_described():
    found = machine.describe(1)
    assert found["threads"] == 1
    assert {"ntklin", "numpy", "scipy", "numba"} <= set(found["versions"])
    text = report.machine_text(found)
    assert "Transparent huge pages: " in text
    assert f"numpy {np.__version__}" in text


# Options


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"works": ["gram", "gramm"]}, "works must be from jacobian, .*, got gramm"),
        ({"works": []}, "works must be from .*, got nothing"),
        ({"cases": "C"}, "cases must be from A, B, A10, Atanh, got C"),
        ({"dtypes": ["float16"]}, "dtypes must be from float64, float32, got float16"),
        ({"sizes": [10]}, "sizes must be from 100, 1000, got 10"),
        ({"inputs": ["fashion"]}, "inputs must be from gaussian, mnist, got fashion"),
        ({"rounds": 0}, "rounds must be a positive integer, got 0"),
        ({"threads": 10**6}, "threads must be at most .* here, got 1000000"),
        ({"peers": "."}, "peers and peer_scripts belong together"),
        ({"peers": "", "peer_scripts": "."}, "peers must be a folder, got ''$"),
        ({"peers": "nowhere", "peer_scripts": "."}, "peers must be a folder, got nowhere"),
        ({"peers": ".", "peer_scripts": "."}, "quick has no peers"),
    ],
)
def test_bad_options_are_named(selection, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Options(**{"quick": True, "out": tmp_path / "out"} | selection))
    assert not (tmp_path / "out").exists()


def as_options(**selection):
    return options.as_options(Options(**{"quick": True} | selection))


def test_everything_is_selected_by_default():
    chosen = as_options(quick=False)
    assert chosen.scale is cases.FULL
    assert chosen.works == works.CPU_WORKS
    assert len(chosen.groups) == 2 * 2 * 2 * 2 + 2 * 2 * 2
    assert all(chosen.wants(target) for target in works.TARGETS)


def test_works_run_at_their_own_sizes():
    chosen = as_options(works=("jacobian", "infinite", "gram"), cases="A", inputs="mnist")
    found = {(dtype, n): names for _, dtype, _, n, names in chosen.groups}
    assert found["float32", 100] == ["jacobian", "gram"]
    assert found["float64", 1000] == ["gram", "infinite"]
    assert not chosen.wants(works.TARGETS[0])


# The run


def test_a_quick_run_measures_everything(bench):
    began = time.perf_counter()
    status, document, printed = bench(dtypes=["float64"], inputs=["gaussian"])
    assert time.perf_counter() - began < 300  # seconds; whatever is not compiled yet included
    assert status == 0
    assert document["quick"]
    assert not document["interrupted"]
    assert document["targets"] == []
    assert document["machine"]["numba_threads"] == 1
    assert {blas["threads"] for blas in document["machine"]["blas"]} == {1}
    rows = document["rows"]
    found = {(r["work"], r["variant"], r["case"], r["frozen_n"]) for r in rows}
    expected = {("jacobian", "into out", 100), ("jacobian", "fresh", 100), ("gram", "", 100)}
    expected |= {("gram", "", 1000), ("weighted_gram", "", 100), ("gd_step", "", 100)}
    expected |= {(f"{rule}_step", "", 100) for rule in ("adagrad", "adam", "linearized")}
    expected |= {("split", variant, 100) for variant in ("A_t", "Gram and Cholesky")}
    expected |= {("infinite", "", 1000)}
    expected |= {("closed_form", variant, 1000) for variant in ("factorize", "queries")}
    expected = {(work, variant, case, n) for work, variant, n in expected for case in "AB"}
    further = {("gram", "A10"), ("gram", "Atanh"), ("gd_step", "A10"), ("gd_step", "Atanh")}
    further |= {("weighted_gram", "A10")}
    assert found == expected | {(work, "", case, 100) for work, case in further}
    assert {r["implementation"] for r in rows} == {"ntklin", "numpy"}
    for r in rows:
        assert r["error"] <= r["tolerance"] < 1e-9
        assert r["n_turns"] == cases.QUICK.rounds
        assert len(r["turns_ms"]) == cases.QUICK.rounds
    gram = next(r for r in rows if r["work"] == "gram")
    assert gram["gflops"] == pytest.approx(gram["flops"] / gram["median_ms"] / 1e6)
    best = max(rates["float64"] for rates in document["limits"]["gemm"].values())
    assert gram["of_gemm"] == pytest.approx(gram["gflops"] / best)
    step = next(r for r in rows if r["work"] == "gd_step" and r["implementation"] == "ntklin")
    steps = A.steps
    assert step["amortized_ms"] == pytest.approx(step["median_ms"] + step["setup_ms"] / steps)
    for heading in ("Limits measured in this run", "Works", "Written to"):
        assert heading in printed


def unlucky(good, *arguments):
    raise RuntimeError("no such luck")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda good, *a: good(*a) * 1.001, "relative error 0.001 exceeds"),
        (lambda good, *a: np.full((8, 8), np.nan), "relative error nan exceeds"),
        (unlucky, "RuntimeError: no such luck"),
    ],
)
def test_a_failed_gate_stops_that_work_alone(bench, monkeypatch, broken, reason):
    monkeypatch.setattr(handmade, "gram", functools.partial(broken, handmade.gram))
    status, document, printed = bench(
        works=["gram", "jacobian"], cases="A", dtypes="float64", sizes=100, inputs="gaussian"
    )
    assert status == 1
    for r in document["rows"]:
        assert ("median_ms" in r) == (r["work"] == "jacobian")
        wrong = r["work"] == "gram" and r["implementation"] == "numpy"
        assert (r["failed"] or "").startswith(reason) == wrong
        assert bool(r["failed"]) == wrong
    assert reason in printed


def test_what_does_not_fit_is_skipped(bench, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    status, document, printed = bench(works="jacobian", cases="A", inputs="gaussian")
    assert status == 0
    for r in document["rows"]:
        assert ("median_ms" in r) == (r["variant"] == "fresh")
    assert "skipped: the dense Jacobian needs" in printed


def test_an_interruption_keeps_what_was_measured(bench, monkeypatch):
    calls = itertools.count()
    take_turn = measure.take_turn

    def interrupted(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return take_turn(*arguments)

    monkeypatch.setattr(measure, "take_turn", interrupted)
    status, document, printed = bench(works="gram", cases="A", sizes=100)
    assert status == 130
    assert document["interrupted"]
    assert [r["n_turns"] for r in document["rows"] if "n_turns" in r] == [1, 2]
    assert "Interrupted; what was measured is kept." in printed


def test_an_unwritable_folder_is_known_before_any_work(tmp_path, console, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(benchmark.Benchmark, "run", lambda self: pytest.fail("it worked already"))
    with pytest.raises(OSError, match="file"):
        main(Options(quick=True, out=tmp_path / "file"), console)


def test_a_failed_write_leaves_the_old_file(tmp_path, console, monkeypatch):
    bench = benchmark.Benchmark(as_options(out=tmp_path), console)
    bench.save()
    before = (tmp_path / "bench.json").read_text()
    monkeypatch.setattr(bench, "machine", object())
    with pytest.raises(TypeError, match="not JSON serializable"):
        bench.save()
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    assert (tmp_path / "bench.json").read_text() == before


# Peers

SCRIPT = """
import json, os, pathlib, shutil, sys, time
here = pathlib.Path(__file__).parent
implementation = sys.argv[2]
if implementation == "fails":
    sys.exit("no such implementation")
if implementation == "babbles":
    print("hello")
    sys.exit()
if implementation == "sleeps":
    time.sleep(60)
result = {"peer": "fake", "median_s": 0.5, "min_s": 0.4, "max_s": 0.6, "foreign_cores": 0.0}
result["argv"] = sys.argv[1:]
result["environment"] = dict(os.environ)
result["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
array = here / f"{implementation}.npy"
if array.exists():
    target = pathlib.Path(os.environ["PEER_OUT"]) / array.name
    shutil.copy(array, target)
    result["result_file"] = str(target)
loss = here / f"{implementation}.loss"
if loss.exists():
    result["loss"] = float(loss.read_text())
print("noise on standard output")
print(json.dumps(result))
"""


@pytest.fixture
def folders(tmp_path):
    """Environments and scripts of one fake peer, JAX."""
    environments, scripts, results = (tmp_path / name for name in ("envs", "scripts", "results"))
    for folder in (environments / "venv-jax" / "bin", scripts, results):
        folder.mkdir(parents=True)
    python = environments / "venv-jax" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (scripts / "peer_jax.py").write_text(SCRIPT)
    return peers.PeerFolders(environments, scripts, results)


GROUP = ("gram", "A", "float64", 100)


def test_a_peer_is_called_as_documented(folders, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    result = peers.run_peer(peers.Peer("JAX", "x"), ("gd_step", "B", "float32", 100), folders, 1)
    assert result["argv"] == [*["gd_step", "x", "--setting", "B", "--n", "100", "--dtype", "f32"]]
    assert result["environment"]["OMP_NUM_THREADS"] == "1"
    assert "OPENBLAS_CORETYPE" not in result["environment"]
    assert result["cores"] == 1


def test_a_peer_gets_its_own_settings(folders, monkeypatch):
    monkeypatch.setattr(peers, "has_avx512", lambda: True)
    monkeypatch.setitem(
        peers.LIBRARIES, "best", ("venv-jax", "peer_jax.py", {"OPENBLAS_CORETYPE": "SkylakeX"})
    )
    result = peers.run_peer(peers.Peer("best", "x"), GROUP, folders, 1)
    assert result["environment"]["OPENBLAS_CORETYPE"] == "SkylakeX"
    monkeypatch.setattr(peers, "has_avx512", lambda: False)
    result = peers.run_peer(peers.Peer("best", "x"), GROUP, folders, 1)
    assert result == {"failed": "this CPU has no AVX-512"}


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (peers.Peer("JAX", "fails"), "exit status 1: no such implementation"),
        (peers.Peer("JAX", "babbles"), "its last line is no result: hello"),
        (peers.Peer("torch", "structured"), "peer_torch.py missing"),
    ],
)
def test_a_peer_that_fails_says_why(folders, peer, reason):
    result = peers.run_peer(peer, GROUP, folders, 1)
    assert set(result) == {"failed"}
    assert reason in result["failed"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("TIMEOUT", 0.3, "stopped after 0 s"),
        ("available_bytes", lambda: peers.SPARE_BYTES // 2, "stopped with 0.5 GB of memory left"),
    ],
)
def test_a_peer_that_takes_too_much_is_stopped(folders, monkeypatch, name, value, reason):
    monkeypatch.setattr(peers, name, value)
    result = peers.run_peer(peers.Peer("JAX", "sleeps"), GROUP, folders, 1)
    assert result == {"failed": reason}


def test_own_affinity_is_restored(folders, monkeypatch):
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("no affinity here")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7})
    calls = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: calls.append(set(cores)))
    peers.run_peer(peers.Peer("JAX", "x"), GROUP, folders, 2)
    assert calls == [{3, 5}, {3, 5, 7}]


@pytest.fixture
def compared(folders, console, tmp_path, monkeypatch):
    """A comparison on tiny sizes with fake peers; call it with the targets of one group."""
    chosen = dataclasses.replace(
        as_options(out=tmp_path / "out", threads=1),
        peers=folders.environments,
        peer_scripts=folders.scripts,
        peer_rounds=2,
    )

    def call(*wanted):
        bench = benchmark.Benchmark(chosen, console)
        monkeypatch.setattr(works, "TARGETS", wanted)
        ((group, grouped),) = bench.peer_groups().items()
        assert list(wanted) == grouped
        bench.compare(group, grouped, folders, lambda text: None)
        return bench

    return call


def gram_target(*implementations, **fields):
    fields = {"work": "gram", "case": "A", "n": 100, "least": 1.0} | fields
    return targets.Target(**fields, peers=tuple(peers.Peer("JAX", i) for i in implementations))


def test_peers_run_between_own_turns(compared, folders):
    K = reference_of(A, 8).gram
    np.save(folders.scripts / "right.npy", K)
    np.save(folders.scripts / "wrong.npy", K * 1.001)
    target = gram_target("right", "wrong", "unchecked")
    images = dataclasses.replace(target, inputs="mnist", least=None)
    bench = compared(target, images)
    (comparison,) = bench.comparisons
    counted = [run for run in comparison.runs if not run.get("failed")]
    assert [(str(run["peer"]), run["round"], run["before"]) for run in counted] == [
        ("JAX right", 0, 0),
        ("JAX unchecked", 0, 1),
        ("JAX unchecked", 1, 2),
        ("JAX right", 1, 3),
    ]
    assert len(comparison.own) == 5
    (failed,) = [run["failed"] for run in comparison.runs if run.get("failed")]
    assert failed.startswith("disagrees: relative error 0.001 exceeds")
    assert counted[0]["agreement"]["error"] == 0
    assert "agreement" not in counted[1]

    key = "", "gaussian"
    around = comparison.own[0][key], comparison.own[1][key]
    assert comparison.ratio(counted[0], key) == pytest.approx(0.5 / np.mean(around))
    verdict = scores.score(target, [], bench.comparisons)
    ratios = {
        name: np.median([comparison.ratio(r, key) for r in counted if str(r["peer"]) == name])
        for name in ("JAX right", "JAX unchecked")
    }
    assert verdict.ratio == pytest.approx(min(ratios.values()))
    assert ratios[verdict.other] == verdict.ratio
    assert verdict.other_ms == 500
    assert verdict.met is True
    assert "wrong: disagrees" in verdict.note
    assert scores.score(images, [], bench.comparisons).met is None
    document = json.loads(json.dumps(bench.comparisons[0].record()))
    assert set(document["own"]) == {"|gaussian", "|mnist"}


def test_without_any_peer_there_is_no_verdict(compared):
    bench = compared(gram_target("fails"))
    verdict = scores.score(gram_target("fails"), [], bench.comparisons)
    assert verdict.ratio is None
    assert verdict.met is None
    assert "no such implementation" in verdict.note
    bench.print_tables()
    assert "JAX fails: exit status 1" in bench.console.file.getvalue()


def test_own_gate_comes_before_the_peers(compared, monkeypatch):
    monkeypatch.setattr(gates, "C", -1.0)  # no error is below it, not even none
    bench = compared(gram_target("right"))
    assert bench.comparisons == []
    (row,) = bench.rows
    assert "relative error" in row.failed


def test_the_loss_of_a_training_peer_is_checked(folders):
    reference = reference_of(A, 8)
    referee = compare.Referee(("gd_step", "A", "float64", 100), reference)
    loss = referee.final_loss
    problem = reference.problem
    by_hand = handmade.descend(
        [(W.copy(), b.copy()) for W, b in problem.layers],
        problem.X,
        problem.Y,
        compare.PEER_LEARNING_RATE,
        compare.PEER_STEPS - 1,
    )
    residual = handmade.both_passes(by_hand, problem.X)[-1] - problem.Y
    assert loss == pytest.approx((residual @ residual) / 16, rel=1e-10)
    assert referee.objection({"loss": loss}) == ""
    assert "disagrees" in referee.objection({"loss": loss * 1.0001})


@pytest.mark.parametrize("work", ["gram", "weighted_gram", "jacobian"])
def test_arrays_of_peers_are_checked(work, tmp_path):
    reference = reference_of(A, 8)
    name = "jacobian_probe" if work == "jacobian" else work
    right = getattr(reference, name)
    referee = compare.Referee((work, "A", "float64", 100), reference)
    for factor, objection in ((1, ""), (1 + 1e-6, "disagrees")):
        np.save(tmp_path / "x.npy", right * factor)
        result = {"result_file": str(tmp_path / "x.npy")}
        assert referee.objection(result).partition(":")[0] == objection
    result = {"result_file": str(tmp_path / "absent.npy")}
    assert "its result cannot be read" in referee.objection(result)


# Targets


def test_the_targets_are_pinned():
    table = {}
    for t in works.TARGETS:
        first = str(t.peers[0]) if t.peers else ""
        table[t.work, t.variant, t.case, t.dtype, t.inputs, t.against, first] = t.least
    assert len(table) == len(works.TARGETS)
    order = [(list(works.WORKS).index(t.work), t.case, -int(t.dtype[-2:])) for t in works.TARGETS]
    assert order == sorted(order)
    weighted = ("weighted_gram", "")
    assert table[*weighted, "A", "float64", "gaussian", "peers", "JAX chunked4"] == 6
    assert table[*weighted, "A", "float64", "mnist", "peers", "JAX chunked4"] == 12
    assert table[*weighted, "B", "float64", "gaussian", "peers", "JAX chunked4"] == 4
    for case in "AB":
        gram = ("gram", "", case, "float64", "gaussian")
        assert table[*gram, "peers", "JAX structured"] == 1.5
        assert table[*gram, "peers", "neural-tangents nt3"] == 4
        assert table[*gram, "gemm", ""] == 0.85
        assert table[*gram, "gemm unskipped", ""] is None
    for dtype in cases.DTYPES:
        for rule in ("adagrad", "adam"):
            step = (f"{rule}_step", "", "A", dtype)
            assert table[*step, "gaussian", "peers", f"JAX jit_{rule}"] == 1.5
            assert table[*step, "mnist", "peers", f"JAX jit_{rule}"] == 4
        step = ("linearized_step", "", "A", dtype)
        assert table[*step, "gaussian", "peers", "torch structured"] == 3
        assert table[*step, "mnist", "peers", "torch structured"] == 8
        assert table[*step, "gaussian", "peers", "JAX dense"] == 30
    split = ("split", "A_t", "A", "float64", "gaussian")
    assert table[*split, "parts", ""] == pytest.approx(1 / 1.2)
    step = ("gd_step", "")
    assert table[*step, "A", "float64", "gaussian", "peers", "JAX jit_sgd"] == 6
    assert table[*step, "A", "float32", "gaussian", "peers", "JAX jit_sgd"] == 3
    assert table[*step, "B", "float64", "gaussian", "peers", "JAX jit_sgd"] == 1.3
    for dtype in cases.DTYPES:
        for kernel, peer in (("gram", "jitted"), ("weighted_gram", "jitted10")):
            several = (kernel, "", "A10", dtype, "gaussian")
            assert table[*several, "peers", f"JAX, own forms {peer}"] == 3
            assert table[*several, "hand", ""] == 3
        step = ("gd_step", "", "A10", dtype, "gaussian", "peers")
        assert table[*step, "JAX, own forms jitted"] == 2
        for name in ("gram", "gd_step"):
            smooth = (name, "", "Atanh", dtype, "gaussian", "peers")
            assert table[*smooth, "JAX, own forms jitted"] == 1
    jacobian = ("jacobian", "into out", "A", "float64", "gaussian")
    assert table[*jacobian, "peers", "torch structured"] == 1
    assert table[*jacobian, "peers", "torch vmap_grad"] == 15


def test_every_target_names_rows_that_exist():
    rows = {(row.facts["work"], row.facts["variant"]) for row in all_rows()}
    for target in works.TARGETS:
        assert (target.work, target.variant) in rows
        assert target.n in works.WORKS[target.work].sizes
        for peer in target.peers:
            assert peer.library in peers.LIBRARIES
            assert target.work in peers.WORKLOADS


def row_record(**changes):
    record = {"work": "closed_form", "variant": "queries", "case": "A", "dtype": "float64"}
    record |= {"inputs": "gaussian", "frozen_n": 1000, "n": 12, "implementation": "ntklin"}
    record |= {"median_ms": 2.0, "foreign_cores": 0.1, "failed": None, "skipped": None}
    return record | changes


def test_targets_against_the_factorization():
    target = targets.Target(
        work="closed_form", variant="queries", case="A", n=1000, against="factorize", least=1
    )
    own = row_record()
    assert scores.score(target, [own], []).note == "not measured"
    for factorize_ms, met in ((3.0, True), (1.0, False)):
        other = row_record(variant="factorize", median_ms=factorize_ms, foreign_cores=0.3)
        numpy = row_record(variant="factorize", median_ms=9.0, implementation="numpy")
        verdict = scores.score(target, [numpy, own, other], [])
        assert verdict.ratio == factorize_ms / 2
        assert verdict.met is met
        assert verdict.foreign_cores == 0.3


def test_targets_against_numpy_by_hand():
    target = targets.Target(work="gram", case="A10", n=100, against="hand", least=3)
    own = row_record(work="gram", variant="", case="A10", frozen_n=100, n=100)
    by_hand = own | {"implementation": "numpy", "median_ms": 5.0}
    verdict = scores.score(target, [own, by_hand], [])
    assert verdict.ratio == 2.5
    assert not verdict.met
    assert verdict.other == "NumPy by hand"
    assert scores.score(target, [own], []).note == "not measured"


def test_jax_forms_are_the_kernels_of_the_problem(monkeypatch):
    pytest.importorskip("jax", reason="needs JAX")
    from ntklin.validation.benchmarks import jax_forms

    jax_forms.jax.config.update("jax_enable_x64", True)
    for case in (A10, ATANH):
        reference = reference_of(case)
        X, _, layers = jax_forms.draw(case.widths, 6, "float64")
        arguments = layers, X
        assert not gates.gram(reference, jax_forms.gram(*arguments, case.activation)).failure
        D = reference.problem.weights
        K_D = jax_forms.weighted_gram(*arguments, D, case.activation, block=4)
        assert not gates.weighted_gram(reference, K_D).failure


def test_targets_against_the_limits():
    own = row_record(work="gram", variant="", of_gemm=0.9, of_gemm_unskipped=0.8, of_bandwidth=0.2)
    for against, met in (("gemm", True), ("gemm unskipped", False), ("fill", False)):
        target = targets.Target(work="gram", case="A", n=1000, against=against, least=0.85)
        assert scores.score(target, [own], []).met is met
        assert scores.score(target, [own | {"case": "B"}], []).note == "not measured"
    target = gram_target("right")
    assert scores.score(target, [own], []).note == "peers not run"


# Tables


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (0.04567, "0.0457"),
        (1.0, "1.00"),
        (23.456, "23.5"),
        (1234.5, "1,234"),
        (1e7, "1.00e+07"),
        (3.2e-16, "3.20e-16"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_short(value, text):
    assert report.number(value) == text


def test_the_tables_show_ratios_and_failures(console):
    own = row_record(work="gram", variant="", error=1e-15, min_ms=1.9, spread=0.1, gflops=5.0)
    own |= {"dense_gflops": 50.0, "gbytes": None, "peak_bytes": 2e6}
    numpy = own | {"implementation": "numpy", "median_ms": 7.0}
    failed = row_record(failed="relative error 1 exceeds 0.1", error=1.0)
    del failed["median_ms"]
    assert report.ratio_to_handmade(own, [own, numpy]) == 3.5
    assert report.ratio_to_handmade(numpy, [own, numpy]) is None
    console.print(report.rows_table([own, numpy, failed]))
    verdict = scores.Score(target=gram_target("x"), own_ms=2.0, other="JAX x", ratio=0.5)
    console.print(report.targets_table([verdict]))
    printed = console.file.getvalue()
    assert "3.5" in printed
    assert "failed" in printed
    assert " no " in printed
    assert "relative error 1 exceeds 0.1" in report.failures([own, failed], [])
