"""``ntklin mitigate``: options, errors, interruptions, files."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import ntklin
from ntklin.cli import mitigate
from ntklin.cli.app import app
from ntklin.cli.failures import warnings_on
from ntklin.cli.mitigate_progress import LineProgress, LiveProgress, label, summary
from ntklin.mitigation import Trial
from ntklin.mitigation import mitigate_initialization as search
from ntklin.report.mitigation import NAMES

SMALL = (
    *("--n-train", 4, "--n-val", 5, "--n-test", 3),
    *("--width", 20, "--sigma", 2, "--min-sigma", 1, "--until", 0.01),
)


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="ntklin")


def results(folder):
    return json.loads((folder / "results.json").read_text("utf-8"))


def test_a_run_prints_its_table_and_writes_its_files(tmp_path):
    out = tmp_path / "new" / "out"
    done = invoke("mitigate", *SMALL, "--out", out)
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == set(NAMES)
    for wanted in ("σ = 2 ", "best", "f_init", "Stopped: ", "doubled", f"Written to {out}"):
        assert wanted in done.output
    values = results(out)
    assert values["schema"] == "ntklin-mitigate/1"
    assert values["config"]["widths"] == [784, 20, 1]
    assert values["trials"][0]["sigma"] == 2.0
    assert {t["outcome"] for t in values["trials"]} == {"converged"}
    assert len(values["baselines"]) == 2
    assert values["provenance"]["versions"]["ntklin"] == ntklin.__version__


def test_the_network_that_is_kept_can_be_used(tmp_path):
    assert invoke("mitigate", *SMALL, "--out", tmp_path).exit_code == 0
    values = results(tmp_path)
    best = values["trials"][values["best"]]
    run = ntklin.load_run(tmp_path / "network.npz")
    data = ntklin.load_data("mnist01", n_train=9, n_test=3)
    for X, Y, name in (
        (data.X_train[:4], data.Y_train[:4], "training_loss"),
        (data.X_train[4:], data.Y_train[4:], "validation_loss"),
        (data.X_test, data.Y_test, "test_loss"),
    ):
        loss = ((run.predict(X) - Y) ** 2).mean() / 2
        assert loss == pytest.approx(best[name], rel=1e-6)
    assert run.network.sigma == best["sigma"]


def test_the_training_points_are_those_of_the_study():
    problem = mitigate.configure(options(n_train=6))
    data = ntklin.load_data("mnist01", n_train=6, n_test=3)
    np.testing.assert_array_equal(problem.samples["X"], data.X_train)
    np.testing.assert_array_equal(problem.samples["X_test"], data.X_test)
    rows = np.vstack([problem.samples[name] for name in ("X", "X_val", "X_test")])
    assert len(np.unique(rows, axis=0)) == 6 + 5 + 3


def test_the_reported_command_repeats_the_run(tmp_path):
    flags = (
        *SMALL,
        *("--data", "fashion01", "--depth", 3, "--bias", "normal", "--scaling", "fan_in"),
        *("--seed", 3, "--data-seed", 5, "--dtype", "float32", "--factor", 0.8, "--margin", 0.1),
        *("--max-steps", 400, "--time-limit", 60, "--no-baselines"),
    )
    assert invoke("mitigate", *flags, "--out", tmp_path / "a").exit_code == 0
    first = results(tmp_path / "a")
    words = shlex.split(first["provenance"]["command"])
    assert words[0] == "ntklin"
    assert invoke(*words[1:], "--out", tmp_path / "b").exit_code == 0
    second = results(tmp_path / "b")
    assert second["config"] == first["config"]
    assert second["config"]["time_limit"] == 60
    assert (first["baselines"], second["baselines"]) == ([], [])
    assert second["stopped"] == first["stopped"]
    for old, new in zip(first["trials"], second["trials"], strict=True):
        assert old.pop("outcome") == new.pop("outcome")
        del old["seconds"], new["seconds"]
        assert new == pytest.approx(old, rel=1e-3)
    assert words == shlex.split(second["provenance"]["command"])


def test_quiet_says_nothing_and_writes_all(tmp_path):
    done = invoke("mitigate", *SMALL, "--quiet", "--out", tmp_path)
    assert (done.exit_code, done.output) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


def test_data_of_the_users_own(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    np.savez(path, images=rng.standard_normal((30, 5)), labels=(np.arange(30) % 3 + 1).astype(str))
    out = tmp_path / "out"
    done = invoke("mitigate", *SMALL, "--data", path, "--classes", "1,3", "--out", out)
    assert done.exit_code == 0, done.output
    assert results(out)["config"]["widths"] == [5, 20, 1]
    assert results(out)["config"]["data"] == str(path)


ERRORS = [
    (("--data", "mnst01"), "no data set or path is called 'mnst01'.*Did you mean"),
    (("--classes", "1"), "--classes needs two labels"),
    (
        ("--n-train", "5000"),
        "n_train . n_test = 5008, but .*; n_train is --n-train and --n-val tog",
    ),
    (("--n-train", "0"), "--n-train must be at least 1, got 0"),
    (("--n-val", "0"), "--n-val must be at least 1, got 0"),
    (("--n-test", "0"), "--n-test must be at least 1, got 0"),
    (("--sigma", "0"), "sigma must be positive and finite"),
    (("--sigma", "0.5"), "min_sigma = 1 is above the network's sigma = 0.5"),
    (("--depth", "0"), "depth must be at least 1, got 0"),
    (("--width", "wide"), "--width: 'wide' is not an integer"),
    (("--scaling", "he"), "scaling must be one of 'fan_out', 'fan_in', 'eq1', got 'he'"),
    (("--bias", "yes"), "bias must be one of 'zero', 'none', 'normal', got 'yes'"),
    (("--dtype", "float16"), "dtype must be one of float64, float32, got 'float16'"),
    (("--factor", "1"), "factor must be below 1"),
    (("--margin", "1"), r"margin must be in \[0, 1\)"),
    (("--until", "0"), "until must be positive and finite"),
    (("--max-steps", "0"), "max_steps must be at least 1"),
    (("--time-limit", "0"), "time_limit must be positive"),
    (("--threads", "0"), "--threads must be between 1 and"),
    (("--seed", "-1"), "--seed must be at least 0, got -1"),
    (("--data-seed", "-1"), "--data-seed must be at least 0, got -1"),
    (("--depth", "9" * 23), "--depth must be at most 10000, got 999"),
    (("--out", ""), "the output folder's name is empty"),
]


@pytest.mark.parametrize(("flags", "message"), ERRORS, ids=[" ".join(f) for f, _ in ERRORS])
def test_errors_are_one_line(flags, message, tmp_path):
    done = invoke("mitigate", *SMALL, "--out", tmp_path / "out", *flags)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert done.output.count("\n") == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(done.output)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(mitigate, "configure", None)
    file = tmp_path / "file"
    file.write_text("mine")
    done = invoke("mitigate", "--out", file)
    assert done.exit_code == 2
    assert f"error: cannot write into the output folder {file}: " in done.output


def test_a_limit_of_steps_is_said(tmp_path):
    done = invoke("mitigate", *SMALL, "--max-steps", 2, "--no-baselines", "--out", tmp_path)
    assert done.exit_code == 0
    assert "step limit at loss" in done.output
    assert "training is impractically slow: its loss is" in done.output
    assert "after 2 steps." in done.output
    assert "No network reached the target" in done.output
    assert results(tmp_path)["stopped"] == "impractically slow"


def interrupting(trial):
    """``mitigate_initialization`` with Ctrl-C right after this many networks."""

    def interrupted(*arguments, on_trial, **options):
        heard = []

        def strike(finished):
            on_trial(finished)
            heard.append(finished)
            if len(heard) == trial:
                raise KeyboardInterrupt

        if trial == 0:
            raise ntklin.MitigationInterrupted(None)
        return search(*arguments, on_trial=strike, **options)

    return interrupted


def test_what_was_finished_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("ntklin.mitigation.mitigate_initialization", interrupting(1))
    done = invoke("mitigate", *SMALL, "--out", tmp_path)
    assert done.exit_code == 130
    assert "Incomplete: the search was interrupted" in done.output
    values = results(tmp_path)
    assert values["stopped"] == "interrupted"
    assert [t["sigma"] for t in values["trials"]] == [2.0]
    assert "Incomplete" in (tmp_path / "report.html").read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


def test_an_interruption_before_the_first_result_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("ntklin.mitigation.mitigate_initialization", interrupting(0))
    done = invoke("mitigate", *SMALL, "--out", tmp_path)
    assert (done.exit_code, done.output) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_the_files_not_the_table(tmp_path, monkeypatch):
    def full(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr("ntklin.report.mitigation.write_mitigation", full)
    done = invoke("mitigate", *SMALL, "--no-baselines", "--out", tmp_path)
    assert done.exit_code == 2
    assert "Stopped: " in done.output
    assert "error: no space left on device" in done.output
    assert "Written" not in done.output


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_in_a_real_process(tmp_path):
    """The first σ is quick; the second would take ages at its step limit."""
    flags = [*SMALL, "--factor", 1e-3, "--min-sigma", 1e-3, "--max-steps", 10**9, "--until", 1e-20]
    with subprocess.Popen(
        [sys.executable, "-m", "ntklin.cli", "mitigate", *map(str, flags), "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("σ = 2 ")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Incomplete: the search was interrupted" in output
    assert errors == ""
    assert len(results(tmp_path / "out")["trials"]) == 1


def options(**changes):
    defaults = {
        "data": "mnist01",
        "classes": "0,1",
        "n_train": 4,
        "n_val": 5,
        "n_test": 3,
        "data_seed": 0,
        "depth": 2,
        "width": None,
        "sigma": 1.0,
        "scaling": "fan_out",
        "bias": "zero",
        "seed": 0,
        "dtype": "float64",
        "device": "cpu",
        "factor": 0.7,
        "margin": 0.05,
        "min_sigma": 0.01,
        "baselines": True,
        "until": 1e-5,
        "max_steps": 10,
        "time_limit": None,
        "out": "out",
        "threads": None,
        "quiet": False,
    }
    return mitigate.Options(**defaults | changes)


@pytest.mark.parametrize(
    ("depth", "width", "expected"),
    [(2, None, (1000,)), (4, None, (500,) * 3), (1, None, ()), (3, "50", (50, 50))],
)
def test_widths_by_depth(depth, width, expected):
    widths = mitigate.configure(options(depth=depth, width=width)).net.widths
    assert widths == (784, *expected, 1)


def test_the_defaults(monkeypatch):
    seen = []
    monkeypatch.setattr(mitigate, "run", seen.append)
    assert invoke("mitigate").exit_code == 0
    problem = mitigate.configure(seen[0])
    assert [len(problem.samples[name]) for name in ("X", "X_val", "X_test")] == [100] * 3
    assert problem.net == ntklin.MLP((784, 1000, 1), sigma=1.0)
    for name in ("factor", "margin", "min_sigma", "until", "max_steps", "time_limit"):
        default = search.__kwdefaults__[name]
        assert getattr(seen[0], name) == default == problem.config[name]


def test_single_precision_is_used(tmp_path):
    assert invoke("mitigate", *SMALL, "--dtype", "float32", "--out", tmp_path).exit_code == 0
    assert ntklin.load_run(tmp_path / "network.npz").parameters.dtype == np.float32


# Progress


def run_with(observer, samples, **options):
    net = ntklin.MLP((3, 30, 1), sigma=2.0)
    with observer:
        return ntklin.mitigate_initialization(
            *(net, *samples),
            until=0.01,
            min_sigma=1.0,
            compare_baselines=True,
            progress=observer.trained,
            on_trial=observer.finished,
            **options,
        )


@pytest.fixture
def samples():
    X = np.random.default_rng(0).standard_normal((8, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Y = (X[:, 0] > 0).astype(float)
    return X[:4], Y[:4], X[4:], Y[4:]


def test_bars_on_a_terminal(samples):
    stream = io.StringIO()
    observer = mitigate.progress(Console(file=stream, force_terminal=True, width=100), 0.01)
    assert isinstance(observer, LiveProgress)
    found = run_with(observer, samples)
    tasks = observer.bars.tasks
    assert [task.completed for task in tasks] == [1.0] * (len(found.trials) + 2)
    assert "pair" in tasks[-1].description
    text = stream.getvalue()
    assert f"after {found.trials[0].steps:,} steps" in text


def test_lines_elsewhere(samples):
    stream = io.StringIO()
    observer = mitigate.progress(Console(file=stream, width=100), 0.01)
    assert isinstance(observer, LineProgress)
    found = run_with(observer, samples)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(found.trials) + 2
    assert lines[0].startswith("σ = 2 ")
    assert isinstance(mitigate.progress(Console(quiet=True), 0.01), LineProgress)


def test_what_is_said_of_a_network():
    net = ntklin.MLP((3, 4, 1), sigma=0.49)
    values = {"network": net, "steps": 1234, "seconds": 1.0}
    diverged = Trial(outcome="diverged", **values)
    assert summary(diverged) == "diverged after 1,234 steps"
    slow = Trial(outcome="time limit", training_loss=0.5, validation_loss=0.25, **values)
    assert summary(slow) == (
        "validation loss 2.50e-01 after 1,234 steps, time limit at loss 5.0e-01"
    )
    assert label(net).startswith("σ = 0.49 ")
    assert "doubled" in label(ntklin.DoubledNetwork(net))
    observer = LiveProgress(Console(file=io.StringIO(), force_terminal=True), 0.01)
    with observer:
        observer.finished(diverged)
    assert observer.bars.tasks[0].fields["state"] == summary(diverged)


def test_warnings_are_one_line():
    stream = io.StringIO()
    before = warnings.showwarning
    with warnings_on(Console(file=stream, width=200)):
        warnings.simplefilter("always")
        warnings.warn("the loss rose", UserWarning, stacklevel=1)
    assert stream.getvalue() == "warning: the loss rose\n"
    assert warnings.showwarning is before
