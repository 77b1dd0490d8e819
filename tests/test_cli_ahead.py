"""The second process that works ahead of a command: that it is of use, and harms nobody."""

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from commands import typed

from ntklin.apps.cli import ahead, mitigate, verify
from ntklin.apps.study import StudyConfig, rehearsal
from ntklin.data import load_data
from ntklin.kernels.cpu import caching, skipping_layers
from ntklin.validation import theorems
from ntklin.validation.theorems import verdicts

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
compiled = pytest.mark.compiled("about compiled code")
SECONDS = 60


def awaited(path):
    """The text of a file that another process is about to write."""
    until = time.monotonic() + SECONDS
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, f"nobody wrote {path}"
        time.sleep(0.05)
    return path.read_text()


def told(path, code=""):
    """The source of a helper's work that tells its number."""
    number = f"pathlib.Path({str(path)!r}).write_text(str(os.getpid()))"
    return f"import os, pathlib, time\n{number}\n{code}"


def is_alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    # What has ended but was not waited for is a zombie.
    status = Path(f"/proc/{number}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(number):
    until = time.monotonic() + SECONDS
    while is_alive(number) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_alive(number)


@pytest.fixture
def roomy(monkeypatch):
    """A machine with two cores and memory, whatever this one has."""
    monkeypatch.setattr(ahead, "has_room", lambda: True)


@POSIX
def test_it_works_and_ends_with_the_command(tmp_path, roomy):
    helper = ahead.Helper()
    with helper.ended():
        helper.start(exec, told(tmp_path / "number", "time.sleep(1000)"))
        helper.start(exec, told(tmp_path / "second"))  # one at most
        number = int(awaited(tmp_path / "number"))
        assert number != os.getpid()
        assert is_alive(number)
    assert not is_alive(number)
    assert not (tmp_path / "second").exists()


@POSIX
def test_a_command_that_fails_leaves_none_either(tmp_path, roomy):
    helper, numbers = ahead.Helper(), []

    def command():
        with helper.ended():
            helper.start(exec, told(tmp_path / "number", "time.sleep(1000)"))
            numbers.append(int(awaited(tmp_path / "number")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command()
    assert not is_alive(*numbers)


def test_without_a_command_line_there_is_none(tmp_path, roomy):
    helper = ahead.Helper()
    helper.start(exec, told(tmp_path / "number"))
    with helper.ended():
        pass
    helper.start(exec, told(tmp_path / "number"))
    helper.start_if_missing(exec, told(tmp_path / "number"))
    caching.when_missing(None)
    time.sleep(0.5)
    assert not (tmp_path / "number").exists()


@POSIX
def test_ctrl_c_is_the_commands(tmp_path, roomy):
    helper = ahead.Helper()
    with helper.ended():
        helper.start(exec, told(tmp_path / "number", "time.sleep(1000)"))
        number = int(awaited(tmp_path / "number"))
        os.kill(number, signal.SIGINT)
        time.sleep(0.3)
        assert is_alive(number)
    assert not is_alive(number)


@POSIX
def test_it_ends_when_the_command_is_killed(tmp_path):
    code = (
        "import sys, time\nfrom ntklin.apps.cli import ahead\n"
        "ahead.has_room = lambda: True\n"
        "with ahead.helper.ended():\n"
        f"    ahead.helper.start(exec, {told(tmp_path / 'number', 'time.sleep(1000)')!r})\n"
        "    time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        number = int(awaited(tmp_path / "number"))
        process.kill()
    assert gone(number)


@POSIX
def test_its_failures_and_its_words_are_nobodys(tmp_path, roomy, capfd):
    helper = ahead.Helper()
    with helper.ended():
        code = "import sys\nprint(1)\nprint(2, file=sys.stderr)\nraise ValueError"
        helper.start(exec, told(tmp_path / "number", code))
        number = int(awaited(tmp_path / "number"))
        assert gone(number)
    assert capfd.readouterr() == ("", "")


def test_where_no_process_can_be_started_the_command_goes_on(roomy, monkeypatch):
    def refused(*args, **kwargs):
        raise BlockingIOError

    helper = ahead.Helper()
    with helper.ended():
        helper.start(print, lambda: "what pickle cannot send")
        monkeypatch.setattr(ahead.subprocess, "Popen", refused)
        helper.start(print, "")


@pytest.mark.parametrize(
    ("cores", "free", "disabled", "expected"),
    [
        (2, 1 << 40, False, True),
        (2, None, False, True),
        (1, 1 << 40, False, False),
        (2, 1 << 20, False, False),
        (2, 1 << 40, True, False),
    ],
)
def test_who_has_room_for_it(cores, free, disabled, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setattr("ntklin.edge.memory.available_memory", lambda: free)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", disabled)
    assert ahead.has_room() is expected


def double(x):
    return 2 * x


@compiled
def test_it_is_started_once_something_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    function = caching.with_cache(numba.njit(double))
    helper, started = ahead.Helper(), []
    monkeypatch.setattr(helper, "start", lambda *what: started.append(what))
    with helper.ended():
        helper.start_if_missing(print, "x")
        assert started == []
        function(1)
        function(1.0)
        assert started == [(print, "x")]
    with helper.ended():
        helper.start_if_missing(print, "y")
        again = caching.with_cache(numba.njit(double))
        assert (again(1), again(1.0)) == (2, 2)
    assert len(started) == 1
    function(1 + 1j)  # behind the command's end nobody asks
    assert len(started) == 1


def test_behind_the_command_s_end_nothing_is_waited_for():
    helper = ahead.Helper()
    with helper.ended():
        helper.start_if_missing(print, "x")
        assert caching._when_missing is not None
    assert caching._when_missing is None


def test_verdicts_of_the_helper_are_the_commands(tmp_path, monkeypatch):
    options = typed(verify.Options, names=["theorem3"], exact=True, quick=True, out=str(tmp_path))
    verify.judge_backwards(pickle.loads(pickle.dumps(options)))
    statements, wanted, setting = verify.asked_for(options)

    def judged():
        folder = tmp_path / verify.VERDICTS
        return list(theorems.run(statements, setting, strengths=wanted, folder=folder))

    monkeypatch.setattr(verdicts, "judge", None)
    kept = judged()
    monkeypatch.undo()
    alone = list(theorems.run(statements, setting, strengths=wanted))
    assert [replace(v, seconds=0) for v in kept] == [replace(v, seconds=0) for v in alone]
    assert len(kept) > 0


CONFIGS = [
    {},
    {"optimizers": ("gd", "adam-sgd", "sgd+momentum"), "schedule": "warmup:10"},
    {"hidden_widths": (3000, 700), "activation": "tanh", "bias": "none", "train": False},
    {"dtype": "float32", "weight_decay": 0.01, "optimizers": ("adamw",)},
]


def config_of(n_train=100, classes=(0, 1), **settings):
    data = load_data("mnist01" if len(classes) == 2 else "mnist_like", n_train, 30, classes=classes)
    return StudyConfig(data=data, **{"optimizers": ("gd", "adagrad"), **settings})


@pytest.mark.parametrize("settings", CONFIGS)
def test_a_small_study_is_the_same_but_for_its_size(settings):
    config = config_of(**settings)
    small = pickle.loads(pickle.dumps(rehearsal.in_small(config)))
    assert len(pickle.dumps(small)) < 1 << 16
    assert small.depth == config.depth
    assert max(small.widths) <= rehearsal.WIDTH
    for name in ("activation", "bias", "dtype", "optimizers", "train", "schedule", "scaling"):
        assert getattr(small, name) == getattr(config, name)
    assert [a.dtype for a in small.arrays] == [a.dtype for a in config.arrays]
    assert [a.ndim for a in small.arrays] == [a.ndim for a in config.arrays]


@pytest.mark.parametrize("zeros", [0, 32, 52])
@pytest.mark.parametrize(("n", "expected"), [(2, 2), (79, 79), (80, 80), (6000, 80)])
def test_few_samples_choose_the_kernels_of_many(n, expected, zeros):
    like = np.ones((n, rehearsal.FEATURES))
    like[:, :zeros] = 0
    X, Y = rehearsal.random_samples(like, 3, 0)
    assert (X.shape, Y.shape) == ((expected, rehearsal.FEATURES), (expected, 3))
    assert set(rehearsal.random_samples(like, 1, 0)[1]) == {0.0, 1.0}
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1)
    W = np.ones((rehearsal.WIDTH, rehearsal.FEATURES))
    assert skipping_layers.pays(X, W) == skipping_layers.pays(like, W)


@pytest.mark.slow
@pytest.mark.parametrize("settings", CONFIGS)
def test_every_kind_of_study_can_be_rehearsed(settings):
    rehearsal.rehearse(rehearsal.in_small(config_of(**settings)))


def test_a_mitigation_in_small():
    problem = mitigate.configure(typed(mitigate.Options, n_train=50, n_val=300, n_test=5))
    small = mitigate.in_small(problem)
    assert small.net.widths == (rehearsal.FEATURES, rehearsal.WIDTH, 1)
    assert replace(small.net, widths=problem.net.widths) == problem.net
    assert {name: len(a) for name, a in small.samples.items()} == {
        **{"X": 50, "Y": 50, "X_val": 80, "Y_val": 80, "X_test": 5, "Y_test": 5}
    }
    assert len(pickle.dumps(small)) < 1 << 18


# What only long runs and larger data need, a second of compilation.
NOT_IN_SMALL = {"_fold_launch", "_sum_parts_launch", "_walk"}


@compiled
@pytest.mark.slow
def test_behind_a_rehearsal_nothing_is_left_to_compile(tmp_path):
    """In an empty cache the helper, in its own process; then the command, which lists the rest."""
    command = ["minimizer", "--sigma", "1", "--until", "0.02"]
    rehearsed = (
        "from ntklin.apps.cli import ahead, main\n"
        "import pickle, sys\n"
        "def here(work, subject):\n"
        "    work(pickle.loads(pickle.dumps(subject)))\n"
        "    sys.exit(0)\n"
        "ahead.helper.start_if_missing = here\n"
        "main()\n"
    )
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", rehearsed, *command], env=env, cwd=tmp_path, check=True)
    listed = (
        "import compile_costs\n"
        "from ntklin.apps.cli import main\n"
        "ledger = compile_costs.Ledger()\n"
        "compile_costs.listening(ledger)\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print('\\nleft', *{m.kernel for m in ledger.found if not m.asked_by})\n"
    )
    tests = str(Path(__file__).parent)
    env |= {"PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", listed, *command],
        env=env,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    word, *left = done.stdout.splitlines()[-1].split()
    assert word == "left"
    assert set(left) <= NOT_IN_SMALL
