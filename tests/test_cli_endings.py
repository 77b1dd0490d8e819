"""How commands end: finished, interrupted or failed, with what is finished written."""

import io
import os
import signal
import subprocess
import sys
import warnings

import pytest
from commands import MITIGATION, STUDY, SWEEP, invoke, results
from rich.console import Console

import ntklin
from ntklin.apps.cli.ending import concluded
from ntklin.apps.cli.failures import warnings_on
from ntklin.apps.report import mitigation as mitigation_report
from ntklin.apps.report import study as study_report
from ntklin.apps.study import optimizer_results, scale_results
from ntklin.recipes.mitigation import mitigate_initialization as search


@pytest.mark.parametrize(
    ("error", "ending"),
    [(None, "finished"), (KeyboardInterrupt, "interrupted"), (OSError("disk gone"), "failed")],
)
def test_work_is_concluded_however_it_ends(error, ending):
    endings = []

    def work():
        with concluded(endings.append):
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(error if isinstance(error, type) else type(error)):
            work()
    assert endings == [ending]


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (ValueError("the second σ is cursed"), 2)]
)
def test_what_was_finished_of_the_sweep_is_kept(error, code, tmp_path, monkeypatch):
    def failing(config, observer):
        for i, record in enumerate(scale_results(config, observer)):
            if i == 1:
                raise error
            yield record

    monkeypatch.setattr("ntklin.apps.study.scale_results", failing)
    done = invoke("minimizer", *SWEEP, "--out", tmp_path)
    assert done.exit_code == code
    assert "Incomplete: 1 of 2 runs finished" in done.output
    assert ("cursed" in done.output) == (code == 2)
    values = results(tmp_path)
    assert not values["complete"]
    assert [record["sigma"] for record in values["records"]] == [1.0]
    assert "Incomplete" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (ValueError("the second one is cursed"), 2)]
)
def test_what_was_finished_of_the_comparison_is_kept(error, code, tmp_path, monkeypatch):
    def failing(config, sweep, observer):
        for i, record in enumerate(optimizer_results(config, sweep, observer)):
            if i == 1:
                raise error
            yield record

    monkeypatch.setattr("ntklin.apps.study.optimizer_results", failing)
    done = invoke("minimizer", *STUDY, "--out", tmp_path)
    assert done.exit_code == code
    assert "Incomplete: 3 of 5 runs finished" in done.output
    assert ("cursed" in done.output) == (code == 2)
    values = results(tmp_path)
    assert not values["complete"]
    assert [record["sigma"] for record in values["records"]] == [1.0, 2.0]
    assert [r["optimizer"] for r in values["optimizers"]["records"]] == ["gd"]


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


def test_what_was_finished_of_a_mitigation_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("ntklin.recipes.mitigation.mitigate_initialization", interrupting(1))
    done = invoke("mitigate", *MITIGATION, "--out", tmp_path)
    assert done.exit_code == 130
    assert "Incomplete: the search was interrupted" in done.output
    values = results(tmp_path)
    assert values["stopped"] == "interrupted"
    assert [t["sigma"] for t in values["trials"]] == [2.0]
    assert "Incomplete" in (tmp_path / "report.html").read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == set(mitigation_report.NAMES)


def test_an_interruption_before_the_first_result_writes_nothing(tmp_path, monkeypatch):
    def interrupted(config, observer):
        raise KeyboardInterrupt

    monkeypatch.setattr("ntklin.apps.study.scale_results", interrupted)
    monkeypatch.setattr("ntklin.recipes.mitigation.mitigate_initialization", interrupting(0))
    for words in (("minimizer", *SWEEP), ("mitigate", *MITIGATION)):
        done = invoke(*words, "--out", tmp_path)
        assert (done.exit_code, done.output) == (130, "")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "writer", "table"),
    [
        (
            ("minimizer", *SWEEP, "--no-train"),
            "ntklin.apps.report.study.write_study",
            "theory: 2",
        ),
        (
            ("mitigate", *MITIGATION, "--no-baselines"),
            "ntklin.apps.report.mitigation.write_mitigation",
            "Stopped: ",
        ),
    ],
    ids=["minimizer", "mitigate"],
)
def test_a_full_disk_costs_the_files_not_the_tables(words, writer, table, tmp_path, monkeypatch):
    def full(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(writer, full)
    done = invoke(*words, "--out", tmp_path)
    assert done.exit_code == 2
    assert table in done.output
    assert "error: no space left on device" in done.output
    assert "Written" not in done.output


def interrupted_process(*words, cwd, after):
    """What a real process prints when Ctrl-C comes after a line that starts so."""
    with subprocess.Popen(
        [sys.executable, "-m", "ntklin", *map(str, words), "--out", "out"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith(after)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == ""
    return output


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_in_a_real_study(tmp_path):
    """The first σ is quick; at the second, the kernel is so ill-conditioned that it takes ages."""
    words = ("minimizer", *SWEEP, "--sigma", "1,1e-4", "--max-steps", 10**9)
    output = interrupted_process(*words, cwd=tmp_path, after="σ = 1 ")
    assert "Incomplete: 1 of 2 runs finished" in output
    assert [r["sigma"] for r in results(tmp_path / "out")["records"]] == [1.0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(study_report.NAMES)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_in_a_real_mitigation(tmp_path):
    """The first σ is quick; the second would take ages at its step limit."""
    flags = ("--factor", 1e-3, "--min-sigma", 1e-3, "--max-steps", 10**9, "--until", 1e-20)
    words = ("mitigate", *MITIGATION, *flags)
    output = interrupted_process(*words, cwd=tmp_path, after="σ = 2 ")
    assert "Incomplete: the search was interrupted" in output
    assert len(results(tmp_path / "out")["trials"]) == 1


def test_warnings_of_a_run_are_one_line(tmp_path, monkeypatch):
    def warning(config, observer):
        warnings.warn("the loss rose", stacklevel=1)
        yield from scale_results(config, observer)

    monkeypatch.setattr("ntklin.apps.study.scale_results", warning)
    done = invoke("minimizer", *SWEEP, "--no-train", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("warning: the loss rose\n")


def test_warnings_are_one_line():
    stream = io.StringIO()
    before = warnings.showwarning
    with warnings_on(Console(file=stream, width=200)):
        warnings.simplefilter("always")
        warnings.warn("the loss rose", UserWarning, stacklevel=1)
    assert stream.getvalue() == "warning: the loss rose\n"
    assert warnings.showwarning is before
