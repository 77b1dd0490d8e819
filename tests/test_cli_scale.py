"""`ntklin scale`: the minimizer that a library call gives, and what is left when it is killed."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from commands import invoke, results, typed
from rich.console import Console
from test_data import write_idx

import ntklin
from ntklin.algebra import packed
from ntklin.algebra.panels import NotPositiveDefiniteError
from ntklin.apps.cli.scale_progress import progress
from ntklin.apps.options.declared import declarations
from ntklin.apps.options.scale import ScaleSettings
from ntklin.apps.report import scale as report
from ntklin.apps.report.scale import NAMES
from ntklin.apps.scale import checkpoint as checkpoint_module
from ntklin.apps.scale import clock as clock_module
from ntklin.apps.scale import course, plans
from ntklin.apps.scale.clock import FACTOR, Clock, Phase
from ntklin.apps.scale.problem import Problem, network_for
from ntklin.apps.scale.result import SizeResult
from ntklin.edge.files.seal import read_sealed
from ntklin.theory import solver_costs

N, BLOCK = 90, 16
N_PANELS = 6
SMALL = ("--n", N, "--n-test", 20, "--width", 25, "--sizes", f"30,{N}")
LAST = f"checkpoint/n-{N:08d}"
ITERATED = pytest.mark.compiled("hundreds of products, minutes of plain Python")

# Runs a command in panels of BLOCK columns, and kills itself when panel LEFT of the last size is to
# be put in its place.
LEFT = 4
KILLED = f"""
import os, signal
from ntklin.apps.cli import main
from ntklin.theory import solver_costs
solver_costs.BLOCK = {BLOCK}
replace = os.replace
def replaced(source, target, *rest):
    if str(target).endswith("{LAST}/panel-{LEFT:04d}.npz"):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target, *rest)
os.replace = replaced
main()
"""


class Stopped(BaseException):
    """What ends a run within this process, as nothing that it expects does."""


@pytest.fixture(autouse=True)
def small_panels(monkeypatch):
    """Panels of BLOCK columns, and a picture of one run alone: it takes longer than the rest."""
    monkeypatch.setattr(solver_costs, "BLOCK", BLOCK)
    monkeypatch.setattr(report, "png", lambda figure: b"no picture")


@pytest.fixture
def filled(monkeypatch):
    """The panels that were computed, by number."""
    found = []
    note = course.KeptCourse.filled

    def counted(self, j):
        found.append(j)
        note(self, j)

    monkeypatch.setattr(course.KeptCourse, "filled", counted)
    return found


def run(out, *words, status=0):
    done = invoke("scale", *SMALL, "--out", out, *words)
    assert done.exit_code == status, done.output
    return done.output


def stopped(out, name, left, *words):
    """A run that ended when it was to put file ``left`` of this name in its place."""
    replace = os.replace

    def replaced(source, target, *rest):
        nonlocal left
        if name in str(target):
            if left == 0:
                raise Stopped
            left -= 1
        return replace(source, target, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replaced)
        with pytest.raises(Stopped):
            run(out, *words)


def coefficients(out):
    with np.load(out / "minimizer.npz") as archive:
        return archive["coefficients"]


def measured(out):
    """The numbers of results.json that do not depend on time."""
    return [{k: v for k, v in size.items() if k != "phases"} for size in results(out)["sizes"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver_costs, "BLOCK", BLOCK)
        run(out, "--solver", "packed")
    return out


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The output folder of a run that was killed by force amid the factor."""
    out = tmp_path_factory.mktemp("killed") / "out"
    words = [*map(str, SMALL), "--solver", "packed", "--out", str(out)]
    command = [sys.executable, "-c", KILLED, "scale", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr + done.stdout
    return out


@pytest.fixture
def left(killed, tmp_path):
    """A copy of it."""
    return shutil.copytree(killed, tmp_path / "left")


def test_it_is_the_library_s_minimizer(whole):
    data = ntklin.load_data("mnist_like", N, 20)
    net = ntklin.MLP((784, 25, 1))
    sizes = results(whole)["sizes"]
    assert [size["n"] for size in sizes] == [30, N]
    for size in sizes:
        n = size["n"]
        m = ntklin.linearize(net, net.init(0), data.X_train[:n]).minimizer(data.Y_train[:n])
        f = m.predict(data.X_test)
        assert size["test_loss"] == pytest.approx(((f - data.Y_test) ** 2).mean() / 2, rel=1e-9)
        f_int = m.interpolator(data.X_test)
        expected = ((f_int - data.Y_test) ** 2).mean() / 2
        assert size["interpolator_test_loss"] == pytest.approx(expected, rel=1e-9)
        right = (data.labels_of(f) == data.labels_test).mean()
        assert size["test_accuracy"] == right
        size_of = m.initialization_size(data.X_test)
        assert size["initialization_size"] == pytest.approx(size_of, rel=1e-8)
        assert size["residual"] < 1e-10
    scale_of = np.abs(m.coefficients).max()
    np.testing.assert_allclose(coefficients(whole), m.coefficients, rtol=0, atol=1e-9 * scale_of)


def test_files(whole):
    assert sorted(os.listdir(whole)) == sorted(NAMES)
    values = read_sealed(whole / "results.json")
    assert values["complete"]
    assert values["config"]["data"] == "mnist_like"
    assert (whole / "scale.png").read_bytes().startswith(b"\x89PNG")
    page = (whole / "report.html").read_text()
    assert "mnist_like" in page
    assert "not mnist itself" in page
    rows = list(csv.DictReader((whole / "sizes.csv").open()))
    assert [int(row["n"]) for row in rows] == [30, N]
    for row, size in zip(rows, values["sizes"], strict=True):
        assert float(row["test_loss"]) == size["test_loss"]
        assert float(row["seconds_factor"]) > 0
    names = [phase["name"] for phase in values["sizes"][-1]["phases"]]
    assert names == ["features", "kernel", "factor", "solve", "test", "files"]


def test_the_command_repeats_the_run(whole, tmp_path):
    words = results(whole)["provenance"]["command"].split()
    assert words[:2] == ["ntklin", "scale"]
    done = invoke(*words[1:], "--out", tmp_path, "--quiet")
    assert done.exit_code == 0
    assert done.output == ""
    np.testing.assert_array_equal(coefficients(tmp_path), coefficients(whole))


@pytest.mark.parametrize(
    "solver", ["mixed", pytest.param("pcg", marks=ITERATED), "cholesky", "auto"]
)
def test_other_solvers(solver, whole, tmp_path):
    said = run(tmp_path, "--solver", solver)
    assert ("packed" if solver == "auto" else solver) in said
    expected = coefficients(whole)
    bound = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(coefficients(tmp_path), expected, rtol=0, atol=bound)
    size = results(tmp_path)["sizes"][-1]
    assert size["residual"] < 1e-9
    assert (size["iterations"] > 0) == (solver in ("mixed", "pcg"))


@pytest.mark.parametrize(
    "preconditioner",
    [
        pytest.param("ntk", marks=ITERATED),
        "mean_output",
        "nystrom",
        pytest.param("none", marks=ITERATED),
    ],
)
def test_preconditioners(preconditioner, whole, tmp_path):
    said = run(tmp_path, "--solver", "pcg", "--preconditioner", preconditioner)
    assert f"pcg+{preconditioner}" in said
    expected = coefficients(whole)
    bound = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(coefficients(tmp_path), expected, rtol=0, atol=bound)
    for size in results(tmp_path)["sizes"]:
        assert len(size["residuals"]) == size["iterations"]
        assert size["residuals"][-1] < 1e-10 < size["residuals"][0]


def test_killed_by_force_amid_the_factor(whole, left, filled):
    panels = [f"panel-{j:04d}.npz" for j in range(LEFT)]
    unfinished, *finished = sorted(os.listdir(left / LAST))
    assert unfinished.endswith(".part")
    assert finished == panels
    assert "Going on with what an earlier run kept" in run(left, "--solver", "packed")
    assert filled == [4, 5]
    np.testing.assert_array_equal(coefficients(left), coefficients(whole))
    assert measured(left) == measured(whole)
    for phase in results(left)["sizes"][-1]["phases"]:
        if phase["name"] in ("kernel", "factor"):
            assert 0 < phase["restored"] < phase["seconds"]
    assert sorted(os.listdir(left)) == sorted(NAMES)


def test_stopped_amid_a_factor_in_single_precision(tmp_path, filled):
    words = ("--solver", "mixed")
    run(tmp_path / "whole", *words)
    stopped(tmp_path, f"{LAST}/panel", 3, *words)
    filled.clear()
    run(tmp_path, *words)
    assert filled == [3, 4, 5]
    np.testing.assert_array_equal(coefficients(tmp_path), coefficients(tmp_path / "whole"))


def test_a_raised_shift_is_not_found_again(tmp_path, filled, monkeypatch):
    """float32 breaks down with the first shift; a resumed run begins with the one that served."""
    first, tried, build = {}, [], packed.PackedMatrix.build

    def breaking(self, tile, shift, *rest):
        tried.append((self.n, shift))
        if shift <= first.setdefault(self.n, shift):
            raise NotPositiveDefiniteError(3)
        build(self, tile, shift, *rest)

    monkeypatch.setattr(packed.PackedMatrix, "build", breaking)
    words = ("--solver", "mixed")
    run(tmp_path / "whole", *words)
    assert len(tried) == 2 * len(first)
    stopped(tmp_path, f"{LAST}/panel", 3, *words)
    filled.clear()
    tried.clear()
    run(tmp_path, *words)
    assert filled == [3, 4, 5]
    ((n, shift),) = tried
    assert n == N
    assert shift > first[N]
    np.testing.assert_array_equal(coefficients(tmp_path), coefficients(tmp_path / "whole"))
    assert sorted(os.listdir(tmp_path)) == sorted([*NAMES, "whole"])


@pytest.mark.compiled("18 commands, of which others here are examples")
@pytest.mark.parametrize("solver", ["packed", "mixed", "pcg"])
def test_stopped_again_and_again(solver, tmp_path, monkeypatch):
    """Behind every second file of panels and results, in one precision and the other."""
    monkeypatch.setattr(course, "SECONDS_BETWEEN", np.inf)  # iterates would not keep the bits
    words, times = ("--solver", solver), 0
    run(tmp_path / "whole", *words)
    out = tmp_path / "out"
    while True:
        try:
            stopped(out, "checkpoint/n-", 2, *words)
        except pytest.fail.Exception:  # nothing stopped it
            break
        times += 1
    assert times >= 4  # 2 and 6 panels, and two results
    np.testing.assert_array_equal(coefficients(out), coefficients(tmp_path / "whole"))
    assert measured(out) == measured(tmp_path / "whole")


@ITERATED
def test_stopped_amid_iterations(tmp_path, monkeypatch):
    words = ("--solver", "pcg", "--tol", "1e-12")
    run(tmp_path / "whole", *words)
    monkeypatch.setattr(course, "SECONDS_BETWEEN", 0.0)
    stopped(tmp_path, f"{LAST}/iterate", 30, *words)
    run(tmp_path, *words)
    there, here = (results(out)["sizes"][-1] for out in (tmp_path / "whole", tmp_path))
    assert here["iterations"] < there["iterations"] <= len(here["residuals"])
    assert here["residuals"][:3] == there["residuals"][:3]
    assert here["residual"] < 1e-12
    assert here["test_loss"] == pytest.approx(there["test_loss"], rel=1e-8)


def test_a_damaged_panel_is_computed_anew(whole, left, filled):
    path = left / LAST / "panel-0001.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    shutil.copy(left / LAST / "panel-0003.npz", left / LAST / "panel-0002.npz")
    said = run(left, "--solver", "packed")
    assert re.search(r"warning: .*panel-0001\.npz .*; what it held is computed anew", said)
    assert re.search(r"panel-0002\.npz is a copy of n-0+90/panel-0003\.npz; what", said)
    assert filled == [1, 2, 4, 5]
    np.testing.assert_array_equal(coefficients(left), coefficients(whole))


def test_a_finished_size_is_not_solved_again(left, monkeypatch):
    assert os.listdir(left / "checkpoint" / "n-00000030") == ["result.npz"]
    monkeypatch.setattr(packed.PackedMatrix, "build", None)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        run(left, "--solver", "packed", "--debug")
    assert results(left)["complete"] is False
    assert [size["n"] for size in results(left)["sizes"]] == [30]


def test_another_run_s_checkpoint_is_refused(left):
    before = sorted(left.rglob("*"))
    said = run(left, "--solver", "packed", "--sigma", "2", "--seed", "1", status=2)
    assert "holds an unfinished run of other settings: its sigma is 1.0, not 2.0; " in said
    assert "its theta holds other values" in said
    assert sorted(left.rglob("*")) == before


def test_data_that_has_changed_is_another_run(tmp_path):
    samples = np.random.default_rng(0).random((120, 5)) + 0.1
    path, out = tmp_path / "mine.npz", tmp_path / "out"
    np.savez(path, images=samples, labels=np.arange(120) % 2)
    words = ("--data", path, "--solver", "packed")
    stopped(out, f"{LAST}/panel", 2, *words)
    np.savez(path, images=samples + 0.1, labels=np.arange(120) % 2)
    assert "other settings: its X holds other values. " in run(out, *words, status=2)


def test_files_of_others_stay(tmp_path):
    folder = tmp_path / LAST
    folder.mkdir(parents=True)
    for place in (tmp_path, tmp_path / "checkpoint", folder):
        (place / "notes.txt").write_text("mine")
    run(tmp_path, "--solver", "packed")
    left = [str(path.relative_to(tmp_path / "checkpoint")) for path in folder.parent.rglob("*")]
    assert sorted(left) == sorted(["notes.txt", f"n-{N:08d}", f"n-{N:08d}/notes.txt"])


def test_without_checkpoints_nothing_is_kept(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "whole", None)
    run(tmp_path, "--solver", "packed", "--no-checkpoint")
    np.testing.assert_array_equal(coefficients(tmp_path), coefficients(whole))


def test_a_full_disk_ends_no_run(tmp_path, whole, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "cannot write panel-0000.npz: No space left on device")

    monkeypatch.setattr(checkpoint_module, "whole", full)
    said = run(tmp_path, "--solver", "packed")
    assert "No space left on device; the run goes on, and keeps no more checkpoints" in said
    np.testing.assert_array_equal(coefficients(tmp_path), coefficients(whole))


def test_less_memory_changes_no_solver_that_has_begun(tmp_path, whole, monkeypatch):
    stopped(tmp_path, f"{LAST}/panel", 3)
    monkeypatch.setattr(plans, "AUTO", ("mixed", "pcg+ntk"))
    assert "mixed" not in run(tmp_path)
    np.testing.assert_array_equal(coefficients(tmp_path), coefficients(whole))
    assert "mixed" in run(tmp_path / "anew")


def test_what_does_not_fit_is_refused_beforehand(tmp_path, left, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    said = run(tmp_path, "--solver", "packed", status=2)
    assert re.search(r"checkpoints of .* do not fit into .*1 kB are free; choose an --out", said)
    # What an earlier run has there already needs no more room.
    half = 4 * packed.PackedMatrix.size(N, BLOCK)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=half))
    run(tmp_path, "--solver", "packed", status=2)
    run(left, "--solver", "packed")
    monkeypatch.undo()
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 50_000)
    said = run(tmp_path, "--solver", "packed", status=2)
    assert "needs" in said
    assert os.listdir(tmp_path) == ["left"]


def test_the_plan_alone(tmp_path):
    said = run(tmp_path, "--plan")
    assert "operations" in said
    assert os.listdir(tmp_path) == []


def test_several_classes(tmp_path, monkeypatch):
    write_idx(tmp_path / "mnist", train=60, test=30)
    monkeypatch.setenv("NTKLIN_DATA_DIR", str(tmp_path))
    out = tmp_path / "out"
    words = ("--data", "mnist_like", "--classes", "0-2", "--n", "40", "--sizes", "40")
    run(out, *words, "--solver", "packed", "--ridge", "0.1")
    assert coefficients(out).shape == (40, 3, 2)
    data = ntklin.load_data("mnist_like", 40, 20, classes=range(3))
    net = ntklin.MLP((6, 25, 3))
    m = ntklin.linearize(net, net.init(0), data.X_train).minimizer(data.Y_train, ridge=0.1)
    f = m.predict(data.X_test)
    size = results(out)["sizes"][0]
    assert size["test_loss"] == pytest.approx(((f - data.Y_test) ** 2).sum() / 40, rel=1e-9)
    assert size["test_accuracy"] == (f.argmax(axis=1) == data.labels_test).mean()


def test_default_sizes():
    settings = typed(ScaleSettings)
    assert settings.all_sizes(60_000) == (937, 3750, 15_000, 60_000)
    assert settings.all_sizes(41) == (10, 41)
    assert settings.all_sizes(5) == (5,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sizes", "200"), "--sizes has 200, but there are --n 90 points"),
        (("--sizes", "30,30"), "contains 30 more than once"),
        (("--solver", "magic"), "--solver must be one of auto, eigh"),
        (("--preconditioner", "ntk"), "--preconditioner is for --solver pcg, got --solver auto"),
        (("--solver", "pcg", "--preconditioner", "magic"), "must be one of ntk, mean_output, nys"),
        (("--tol", "0"), "--tol must be positive"),
        (("--tol", "1e-20"), "tol is relative"),
        (("--n", "0"), "--n must be at least 1"),
        (("--bias", "some"), "bias"),
        (("--ridge", "-1"), "--ridge must be finite and at least 0"),
    ],
)
def test_bad_options_are_named(words, message, tmp_path):
    assert message in run(tmp_path, *words, status=2)
    assert not (tmp_path / "results.json").exists()


def test_a_ridge_where_samples_occur_twice(tmp_path):
    samples = np.repeat(np.random.default_rng(0).random((60, 5)) + 0.1, 2, axis=0)
    np.savez(tmp_path / "twice.npz", images=samples, labels=np.arange(120) % 2)
    words = ("--data", tmp_path / "twice.npz", "--solver", "packed")
    assert "singular to working precision" in run(tmp_path / "a", *words, status=2)
    run(tmp_path / "b", *words, "--ridge", "0.1")
    assert results(tmp_path / "b")["sizes"][-1]["residual"] < 1e-10


def test_ctrl_c_keeps_what_is_finished(tmp_path, monkeypatch):
    note = course.KeptCourse.filled

    def interrupted(self, j):
        if j == 2:
            raise KeyboardInterrupt
        note(self, j)

    monkeypatch.setattr(course.KeptCourse, "filled", interrupted)
    run(tmp_path, "--solver", "packed", status=130)
    values = results(tmp_path)
    assert values["complete"] is False
    assert "not finished" in (tmp_path / "report.html").read_text()
    assert len(list((tmp_path / LAST).glob("panel-*"))) == 2


RESULT = SizeResult(
    n=N,
    solver="packed",
    residual=1e-12,
    iterations=0,
    residuals=(),
    error_bound=1e-8,
    test_loss=0.5,
    test_accuracy=0.975,
    interpolator_test_loss=0.4,
    interpolator_accuracy=None,
    initialization_size=0.1,
    phases=(Phase("factor", 3700.0), Phase("test", 0.25)),
)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress(terminal, monkeypatch):
    clock = iter(range(0, 10_000, 45))
    monkeypatch.setattr("ntklin.apps.cli.scale_progress.time.monotonic", lambda: next(clock))
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with progress(console) as observer:
        observer.advanced("data", 100, 100)
        observer.started(N)
        for done in range(5):
            observer.advanced("factor", done, 4.0)
        for done in range(5):
            observer.advanced("iterations", done, None)
        observer.finished(RESULT)
    said = console.file.getvalue()
    assert (
        "N = 90  packed, residual 1.0e-12, test loss 5.000e-01, accuracy 97.50%, 1 h 1 min" in said
    )
    assert "N = 90  Cholesky factor" in said
    assert "4 iterations" in said
    if not terminal:
        assert "N = 90  Cholesky factor: 50%, 90.0 s left" in said


@pytest.mark.parametrize(
    ("solver", "rows"),
    [
        pytest.param(("pcg", "--preconditioner", "ntk"), 60, marks=pytest.mark.compiled),
        (("packed",), 180),
    ],
)
def test_progress_of_a_factor_is_that_of_its_own_rows(solver, rows, tmp_path, monkeypatch):
    """Of several outputs the factor of Θ has N rows, and that of the kernel N C."""
    told = []

    def tell(self, phase, done, total):
        if phase == FACTOR:
            told.append(done / total)

    write_idx(tmp_path / "mnist", train=60, test=30)
    monkeypatch.setenv("NTKLIN_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(Clock, "tell", tell)
    words = ("--classes", "0-2", "--n", 60, "--n-test", 5, "--width", 50, "--sizes", 60)
    run = invoke("scale", *words, "--solver", *solver, "--out", tmp_path / "out")
    assert run.exit_code == 0
    assert len(told) == -(-rows // BLOCK)
    assert told == sorted(told)
    assert 0 < told[0] < 0.6
    assert told[-1] == pytest.approx(1)


def test_the_work_of_panels_is_the_integral_that_it_says(tmp_path):
    """∫ (n − x)(k + 2x) dx with k = 26: all of it with the last panel."""
    told = []
    teller = SimpleNamespace(advanced=lambda *now: told.append(now))
    n, block = 10, 4
    kept = course.KeptCourse(checkpoint_module.SizeFiles(None, ""), Clock(teller), n, 26.0)
    matrix = packed.PackedMatrix(n, np.float64, block)
    for j in range(matrix.n_panels):
        kept.save(j, matrix.panel(j), 0.0)
    work = (np.poly1d([-1, n]) * np.poly1d([2, 26])).integ()
    assert [name for name, *_ in told] == ["factor"] * 3
    np.testing.assert_allclose([done for _, done, _ in told], [work(4), work(8), work(10)])
    np.testing.assert_allclose([total for *_, total in told], work(10))


def test_every_setting_of_the_network_is_the_network_s():
    kinds = {"sigma": 2.0, "activation": "tanh", "scaling": "fan_in", "bias": "normal"}
    settings = typed(ScaleSettings, **kinds, width="7", depth=3)
    assert network_for(settings, 5, 2) == ntklin.MLP((5, 7, 7, 2), **kinds)


def test_results_tell_every_setting_by_its_option_s_name():
    given = {
        **{"sigma": 2.0, "activation": "tanh", "scaling": "fan_in", "bias": "normal", "seed": 5},
        **{"dtype": "float32", "solver": "pcg", "preconditioner": "ntk", "tol": 1e-6},
        "ridge": 0.5,
    }
    names = {one.name for one in declarations(ScaleSettings)}
    assert names - given.keys() == {"hidden_widths", "sizes", "checkpoint"}
    settings = typed(ScaleSettings, **given, width="7", depth=3)
    data = ntklin.load_data("mnist01", 4, 2)
    described = Problem(settings, data, 6, (3, 4), network_for(settings, 784, 1)).describe()
    assert {name: described[name] for name in given} == given
    assert (described["widths"], described["data_seed"]) == ([784, 7, 7, 1], 6)
    assert (described["n"], described["n_test"], described["classes"]) == (4, 2, ["0", "1"])
    assert json.loads(json.dumps(described)) == described


@pytest.mark.skipif(clock_module.resource is None, reason="Windows tells no peak")
@pytest.mark.parametrize(("platform", "n_bytes"), [("linux", 3_072_000), ("darwin", 3000)])
def test_the_peak_of_memory_is_in_bytes_where_systems_tell_kilobytes_too(
    platform, n_bytes, monkeypatch
):
    told = SimpleNamespace(ru_maxrss=3000)
    monkeypatch.setattr(clock_module.resource, "getrusage", lambda who: told)
    monkeypatch.setattr(sys, "platform", platform)
    assert clock_module.peak_memory() == n_bytes


def test_the_first_solver_that_fits_is_taken(monkeypatch):
    net = ntklin.MLP((3, 5, 2))
    for fits, expected in (
        (lambda need, beside=None: True, {"auto": "packed", "pcg": "pcg+ntk", "mixed": "mixed"}),
        (lambda need, beside=None: False, {"auto": "pcg+nystrom", "pcg": "pcg+nystrom"}),
    ):
        monkeypatch.setattr(plans, "fits", fits)
        for wanted, solver in (expected | {"eigh": "eigh", "pcg+nystrom": "pcg+nystrom"}).items():
            assert plans.chosen(wanted, net, 100) == solver


def test_what_panels_take_on_the_disk():
    net, n = ntklin.MLP((3, 5, 2)), 10
    whole = packed.PackedMatrix.size(2 * n, min(2 * n, 2 * solver_costs.tile_inputs(2)))
    sizes = {name: plans.disk_of(name, net, n) for name in (*plans.AUTO, "eigh")}
    assert sizes == {
        "packed": 8 * whole,
        "mixed": 4 * whole,
        "pcg+ntk": 4 * packed.PackedMatrix.size(n, n),
        **{"pcg+nystrom": 0, "eigh": 0},
    }
