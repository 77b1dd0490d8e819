"""Commands that are killed, and meet full disks: a few of what ``python -m fuzz kills`` does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.kills import COMMANDS, fault_in, lost

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="forks and kills"),
    pytest.mark.compiled,
]


def disturb(name, out, *words):
    """In a process of its own: this one has threads, with which none should fork."""
    command = [sys.executable, "-m", "fuzz", "kills", "--commands", name, "--out", str(out)]
    tests = Path(__file__).parent
    done = subprocess.run(
        [*command, *words], cwd=tests, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["checkpoint", "verify"])
def test_what_is_killed_goes_on(name, tmp_path):
    said = disturb(name, tmp_path, "--moments", "4", "--faults", "killed,full")
    assert "'killed': 4" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_survives_every_fault(name, tmp_path):
    disturb(name, tmp_path, "--moments", "20")


def test_half_a_file_is_found(tmp_path):
    for name, content in {
        "results.json": b'{"a": 1}',
        "x.png": b"\x89PNG half",
        "report.html": b"<html>",
        "x.npz": b"PK",
        "x.pdf": b"%PDF",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert name in fault_in(tmp_path)
        (tmp_path / name).unlink()
    assert fault_in(tmp_path) == ""


def test_what_is_lost_is_found(tmp_path):
    path = tmp_path / "runs" / "a.json"
    assert lost({path: b"1"}, tmp_path, COMMANDS["figure"]) == "a.json is gone"
    path.parent.mkdir()
    path.write_bytes(b"2")
    assert "is another" in lost({path: b"1"}, tmp_path, COMMANDS["figure"])
    path.write_bytes(b"1")
    assert lost({path: b"1"}, tmp_path, COMMANDS["figure"]) == ""
