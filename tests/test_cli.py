"""The command line as a whole: its commands, its help, how it starts."""

import os
import runpy
import subprocess
import sys

import pytest
from commands import SWEEP, invoke
from rich.console import Console

import ntklin
from ntklin.apps.cli import blas
from ntklin.apps.report.study import NAMES


def in_process(*words, cwd, **settings):
    """The command in a Python of its own."""
    command = [sys.executable, "-m", "ntklin", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | settings, capture_output=True, text=True, timeout=300
    )


def test_commands_are_listed():
    done = invoke("--help")
    assert done.exit_code == 0
    for name in ("minimizer", "mitigate", "scale", "verify", "figure", "bench", "info"):
        assert name in done.output


def test_without_a_command_there_is_help():
    assert "Usage: ntklin" in invoke().output


def test_the_version():
    assert invoke("--version").output == f"ntklin {ntklin.__version__}\n"


@pytest.mark.parametrize("command", ["minimizer", "mitigate", "scale", "verify", "figure", "bench"])
def test_help_has_examples(command):
    done = invoke(command, "--help")
    assert done.exit_code == 0
    assert "Examples" in done.output
    assert f"ntklin {command}" in done.output


@pytest.mark.parametrize("words", [["--help"], ["minimizer", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words, tmp_path):
    script = """
import atexit, sys
heavy = ("numpy", "scipy", "numba", "matplotlib", "pooch", "threadpoolctl")
atexit.register(lambda: print("loaded:", [name for name in heavy if name in sys.modules]))
from ntklin.apps.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded: []\n")


@pytest.mark.once
def test_a_real_process_uses_the_folder_that_it_runs_in(tmp_path):
    done = in_process("minimizer", *SWEEP, "--no-train", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "ntklin-minimizer").iterdir()} == set(NAMES)
    refused = in_process("minimizer", "--data", "nothing", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no data set")
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("code", [0, 1, 130])
def test_bench_hands_over(code, monkeypatch):
    seen = {}

    def bench(typed, console):
        seen.update(vars(typed), console=console)
        return code

    monkeypatch.setattr("ntklin.validation.benchmarks.main", bench)
    done = invoke("bench", "--works", "gram, jacobian", "--sizes", "100", "--rounds", 2, "--quick")
    assert done.exit_code == code
    assert isinstance(seen.pop("console"), Console)
    assert seen == {
        "files": None,
        "works": ["gram", "jacobian"],
        "cases": None,
        "dtypes": None,
        "sizes": (100,),
        "inputs": None,
        "rounds": 2,
        "peers": None,
        "peer_scripts": None,
        "out": "ntklin-bench",
        "plot": False,
        "quick": True,
        "threads": None,
        "device": "cpu",
    }


def test_bench_refuses_what_it_does_not_know(tmp_path):
    done = invoke("bench", "--works", "sorting", "--out", tmp_path)
    assert done.exit_code == 2
    assert "error: works must be from" in done.output
    done = invoke("bench", "--sizes", "big", "--out", tmp_path)
    assert "error: --sizes: 'big' is not an integer" in done.output


def test_the_package_runs_as_a_module(monkeypatch):
    called = []
    monkeypatch.setattr("ntklin.apps.cli.main", lambda: called.append(True))
    runpy.run_module("ntklin", run_name="__main__")
    assert called == [True]


def test_ctrl_c_while_loading(monkeypatch):
    def interrupted(**settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("ntklin.apps.cli.app.app", interrupted)
    monkeypatch.setattr(blas, "prepare", lambda: None)
    from ntklin.apps.cli import main

    with pytest.raises(SystemExit, match="130"):
        main()
