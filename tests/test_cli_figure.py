"""``ntklin figure`` from the command line to its files, through crashes and on other machines."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import invoke

from ntklin.apps.cli.figure import shares
from ntklin.validation import figures
from ntklin.validation.figures import FIGURES, Store, executors
from ntklin.validation.figures.execution import execute
from ntklin.validation.figures.scheduler import results_of

TINY = {"n_train": 6, "n_test": 4, "n_seeds": 2, "until": 0.1, "max_steps": 12}
TINY |= {"sigmas": {2: 0.5}, "layers": {2: (4, 8)}}


@pytest.fixture
def tiny(monkeypatch):
    for number in (5, 9):
        for name in ("quick", "paper"):
            monkeypatch.setitem(FIGURES[number].scales, name, TINY)


def figure(*arguments, status=0):
    result = invoke("figure", *arguments)
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.usefixtures("tiny")
def test_it_trains_draws_and_goes_on(tmp_path):
    options = ("--scale", "quick", "--processes", 1, "--out", tmp_path)
    shown = figure(9, *options)
    # 2 widths × 2 seeds × 4 methods, and the searches of two methods for two widths
    assert "Figure 9, quick: 20/20" in shown
    assert f"Written to {tmp_path}: figure09-quick.png" in shown
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs", *(f"figure09-quick.{kind}" for kind in ("png", "pdf", "csv", "json"))}
    results = sorted((tmp_path / "runs").glob("*.json"))
    assert len(results) == 20
    stamps = [path.stat().st_mtime_ns for path in results]
    payload = json.loads((tmp_path / "figure09-quick.json").read_text())
    assert payload["provenance"]["command"] == "ntklin figure 9 --scale quick"

    (tmp_path / "figure09-quick.png").unlink()
    assert "figure09-quick.png" in figure("9", *options, "--replot")
    results[0].unlink()
    figure(5, 9, *options)
    assert [path.stat().st_mtime_ns for path in results[1:]] == stamps[1:]
    assert results[0].exists()
    assert (tmp_path / "figure05-quick.pdf").exists()


def test_the_time_that_a_figure_took_is_told(tmp_path, monkeypatch):
    told = []

    def slow(tasks, device):
        time.sleep(0.2)
        return execute(tasks, device)

    def write(plan, results, folder, provenance):
        told.append((len(results.items), provenance["elapsed_seconds"]))
        return [Path(folder) / "figure.png"]

    one = TINY | {"n_seeds": 1, "layers": {2: (4, (0.5,))}}
    monkeypatch.setitem(FIGURES[2].scales, "quick", one)
    monkeypatch.setattr("ntklin.validation.figures.planning.execute", slow)
    monkeypatch.setattr(figures, "write", write)
    options = ("--scale", "quick", "--processes", 1, "--out", tmp_path, "--quiet")
    figure(2, *options)
    figure(2, *options, "--replot")
    (n, computing), drawing = told
    assert n == 1
    assert 0.2 <= computing < 60
    assert drawing == (1, 0)


@pytest.mark.compiled
@pytest.mark.usefixtures("tiny")
def test_other_data_have_other_names(tmp_path):
    figure(9, "--scale", "quick", "--processes", 1, "--out", tmp_path, "--dataset", "fashion01")
    assert (tmp_path / "figure09-fashion01-quick.csv").exists()
    payload = json.loads((tmp_path / "figure09-fashion01-quick.json").read_text())
    command = "ntklin figure 9 --scale quick --dataset fashion01"
    assert payload["provenance"]["command"] == command


@pytest.mark.compiled
@pytest.mark.usefixtures("tiny")
def test_the_papers_scale_is_estimated_first(tmp_path):
    shown = figure(9, "--scale", "paper", "--processes", 1, "--out", tmp_path)
    assert shown.index("This takes about") < shown.index("Figure 9, paper: 20/20")


@pytest.mark.usefixtures("tiny")
def test_ctrl_c_keeps_what_is_finished(tmp_path, monkeypatch):
    calls = []

    def interrupted(tasks, device):
        calls.append(tasks)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return execute(tasks, device)

    monkeypatch.setattr("ntklin.validation.figures.planning.execute", interrupted)
    options = ("--scale", "quick", "--processes", 1, "--out", tmp_path, "--quiet")
    shown = figure(9, *options, status=130)
    assert shown == ""
    assert len(list((tmp_path / "runs").glob("*.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["11"], "no figure '11'; there are 1 to 10, decay, moments, and all"),
        (["two"], "no figure 'two'"),
        (["2", "--scale", "huge"], "--scale must be one of quick, standard, paper, got 'huge'"),
        (["2", "--device", "tpu"], "device must be 'cpu' or 'gpu', got 'tpu'"),
        (["2", "--processes", "0"], "--processes must be at least 1, got 0"),
        (["2", "--processes", "9" * 23], "--processes must be at most 65536, got 999"),
        (["2", "--threads", "9" * 23], "--threads must be at most 65536, got 999"),
        (["2", "--threads", "0"], "--threads must be at least 1, got 0"),
        (["2", "--threads", "2", "--dask", "tcp://x:1"], "--threads is for this machine's"),
        (["2", "--replot", "--dask", "tcp://x:1"], "--replot computes nothing"),
        (["2", "--dataset", "mnist10"], "no data set or path is called 'mnist10'"),
        (["2", "--dataset", ""], "the data set's name is empty"),
        (["2", "--out", ""], "the output folder's name is empty"),
    ],
)
def test_bad_arguments(arguments, message):
    assert message in figure(*arguments, status=2)


@pytest.mark.parametrize(
    ("words", "cpu", "gpu"),
    [
        ({}, (6, 1), (1, 6)),
        ({"processes": 2}, (2, 1), (2, 3)),
        ({"threads": 4}, (1, 4), (1, 4)),
        ({"processes": 9, "threads": 2}, (9, 2), (9, 2)),
        ({"processes": 9}, (9, 1), (9, 1)),
    ],
)
def test_cores_are_shared_out(words, cpu, gpu, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    for device, expected in (("cpu", cpu), ("gpu", gpu)):
        options = SimpleNamespace(**{"processes": None, "threads": None} | words, device=device)
        assert shares(options) == expected


@pytest.mark.parametrize(("platform", "processes"), [("win32", 61), ("linux", 128)])
def test_windows_takes_no_more_processes(platform, processes, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(128)), raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    options = SimpleNamespace(processes=None, threads=None, device="cpu")
    assert shares(options) == (processes, 1)


def test_replot_needs_the_runs(tmp_path):
    shown = figure(2, "--replot", "--out", tmp_path, status=2)
    assert "runs of the standard scale on mnist01 have not been computed" in shown


def test_all_means_all(monkeypatch):
    from ntklin.apps.cli.figure import chosen_of

    assert chosen_of(("all",), FIGURES) == [*range(1, 11), "decay", "moments"]
    assert chosen_of(("decay", "10", "2", "2"), FIGURES) == [2, 10, "decay"]


def children(pid):
    """Processes that this one started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.compiled
def test_a_killed_figure_leaves_no_process_and_resumes(tmp_path):
    command = [sys.executable, "-m", "ntklin", "figure", "2", "--scale", "quick", "--processes",
               "2", "--out", str(tmp_path)]  # fmt: skip
    runs = tmp_path / "runs"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: len(list(runs.glob("*.json"))) >= 2)
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not any(alive(pid) for pid in workers), seconds=60)
    kept = {path: path.stat().st_mtime_ns for path in runs.glob("*.json")}
    assert 2 <= len(kept) < 12
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "Figure 2, quick: 12/12" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (tmp_path / "figure02-quick.png").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a group")
@pytest.mark.compiled
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_ends_all_quietly(number, tmp_path):
    """By Ctrl-C, or when it is closed: each tells every process."""
    command = [sys.executable, "-m", "ntklin", "figure", "2", "--scale", "quick", "--processes",
               "2", "--out", str(tmp_path)]  # fmt: skip
    runs = tmp_path / "runs"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        until(lambda: len(list(runs.glob("*.json"))) >= 2)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert "Interrupted. What is finished is in" in out
    assert err == ""


@pytest.mark.skipif(os.name != "posix", reason="asks for what is blocked")
def test_a_closed_terminal_leaves_the_tracker_alive():
    """In a fresh process, whose tracker is not that of the tests."""
    program = """
import os, signal, time
from multiprocessing import resource_tracker
from ntklin.validation.figures.executors import keep_track

signal.signal(signal.SIGHUP, signal.SIG_DFL)
before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
keep_track()
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
tracker = resource_tracker._resource_tracker
os.kill(tracker._pid, signal.SIGHUP)
time.sleep(0.5)
assert os.waitpid(tracker._pid, os.WNOHANG) == (0, 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_worker_that_dies_is_one_red_line(tmp_path, monkeypatch):
    def dying(tasks, device):
        raise BrokenProcessPool("killed")

    monkeypatch.setattr("ntklin.validation.figures.planning.execute", dying)
    shown = figure(2, "--scale", "quick", "--processes", 1, "--out", tmp_path, status=2)
    assert "error: a worker process died at" in shown
    assert "use fewer processes. What is finished is kept" in shown


def slow_execute(tasks):
    """A run that lasts, so that its worker can be killed in the middle, and says where it is."""
    folder = Path(os.environ["NTKLIN_TEST_FOLDER"])
    (folder / f"{tasks[0].key}-{os.getpid()}").touch()
    time.sleep(1.0)
    return execute(tasks)


def kill_third(marks):
    """Kill the worker that starts a third run, in the middle of it."""

    def in_order():
        return sorted(marks.iterdir(), key=lambda path: path.stat().st_mtime_ns)

    until(lambda: len(in_order()) >= 3)
    os.kill(int(in_order()[2].name.split("-")[1]), signal.SIGKILL)


@pytest.mark.compiled
def test_a_dask_cluster_loses_nothing_when_a_worker_is_killed(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("NTKLIN_TEST_FOLDER", str(marks))
    monkeypatch.setitem(FIGURES[2].scales, "quick", {**TINY, "layers": {2: (8, (0.5, 1.0, 2.0))}})
    planned, store = figures.plan(FIGURES[2], "quick"), Store(tmp_path / "runs")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        executors.dask(cluster.scheduler_address) as (executor, slots),
    ):
        assert slots == 2
        killer = threading.Thread(target=kill_third, args=(marks,))
        killer.start()
        found = dict(results_of(planned.runs, store, executor, slots, slow_execute))
        killer.join()
    assert set(found) == set(planned.runs)
    assert {run: store.read(run) for run in planned.runs} == found
    assert figures.results(planned, store)
    tries = [path.name.split("-")[0] for path in marks.iterdir()]
    assert len(tries) > len(set(tries)), "no run was started twice: the kill came too late"


@pytest.mark.compiled
def test_a_figure_on_a_dask_cluster(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setitem(FIGURES[2].scales, "quick", {**TINY, "layers": {2: (8, (0.5, 1.0))}})
    options = {"dashboard_address": None, "worker_dashboard_address": None}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster:
        shown = figure(
            2, "--scale", "quick", "--dask", cluster.scheduler_address, "--out", tmp_path
        )
    assert "Figure 2, quick: 4/4" in shown
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, **options
    ) as cluster:
        shown = figure(2, "--dask", cluster.scheduler_address, "--out", tmp_path, status=2)
    assert "start them with --nthreads 1" in shown


def test_dask_has_to_be_there(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    shown = figure(2, "--dask", "tcp://127.0.0.1:1", "--out", tmp_path, status=2)
    assert "pip install 'ntklin[dask]'" in shown


@pytest.mark.parametrize("address", ["bogus", "foo://x:1", ""])
def test_what_is_no_address_is_told_with_the_option(address, tmp_path):
    pytest.importorskip("distributed", reason="needs Dask")
    shown = figure(2, "--dask", address, "--out", tmp_path, status=2)
    assert f"error: --dask {address}: " in shown
    assert "write the scheduler's address, such as tcp://" in shown


def test_here_is_an_executor():
    here = executors.Here()
    futures = [here.submit(divmod, 7, 2), here.submit(divmod, 1, 0)]
    wait(futures)
    assert futures[0].result() == (3, 1)
    with pytest.raises(ZeroDivisionError, match="by zero"):
        futures[1].result()
