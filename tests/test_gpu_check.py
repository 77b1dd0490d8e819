"""The command that checks a GPU: its steps, their limits, and what it says without one."""

import json
import re
import sys

import pytest

from ntklin.validation import gpu_check
from ntklin.validation.gpu_check import Step, main, steps


@pytest.fixture
def check(device, tmp_path, capsys):
    """``main`` with steps of one's own: status, summary and what it printed."""

    def call(*chosen):
        status = main(["--out", str(tmp_path / "out")], lambda out: chosen)
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        return status, summary["steps"], capsys.readouterr().out

    return call


def python(text):
    return sys.executable, "-c", text


def test_all_steps_pass(check):
    status, found, text = check(Step("one", 60, python("print('so far'); print('all well\\n')")))
    assert status == 0
    assert [(s["name"], s["state"], s["note"]) for s in found] == [("one", "passed", "all well")]
    assert "one: passed in " in text


def test_a_step_that_fails_or_hangs_does_not_stop_the_others(check, tmp_path):
    status, found, _ = check(
        Step("fails", 60, python("raise SystemExit('wrong')")),
        Step("hangs", 0.5, python("import time; print('waiting', flush=True); time.sleep(60)")),
        Step("lacks", 60, python("print(1)"), needs="no-such-program"),
        Step("passes", 60, python("print('done')")),
    )
    assert status == 1
    assert [s["state"] for s in found] == ["failed", "timed out", "left out", "passed"]
    assert [s["note"] for s in found[:2]] == ["wrong", "waiting"]
    assert found[2]["note"] == "no-such-program is not installed"
    assert (tmp_path / "out" / "hangs.log").read_text() == "waiting\n"


def test_what_is_left_out_is_no_failure(check):
    assert check(Step("lacks", 60, python("print(1)"), needs="no-such-program"))[0] == 0


def test_it_fits_into_ten_minutes(tmp_path):
    chosen = steps(tmp_path)
    assert sum(step.seconds for step in chosen) <= 600
    for step in chosen:
        for word in step.command:
            if word.startswith("tests/"):
                assert (gpu_check.ROOT / word).is_file()


def test_what_the_sanitizer_looks_at_is_there():
    names = set()
    for name in ("test_gpu", "test_ensemble"):
        text = (gpu_check.ROOT / "tests" / f"{name}.py").read_text("utf-8")
        names.update(re.findall(r"^def (test_\w+)\(device", text, re.MULTILINE))
    for word in gpu_check.SANITIZED:
        assert any(word in name for name in names), word


def test_without_a_gpu_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["--out", str(tmp_path / "out")]) == 2
    assert "error: the GPU needs CuPy, which is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
