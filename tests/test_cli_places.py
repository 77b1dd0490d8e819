"""Output folders that are links, files or in the way: refused before the work; and full disks."""

import os
import re
import resource
import signal

import numba
import pytest
from typer.testing import CliRunner

from ntklin.apps.cli.app import app
from ntklin.edge.files import writing
from ntklin.edge.files.seal import read_sealed
from ntklin.edge.files.writing import require_writable
from ntklin.validation import figures

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and limits are POSIX's")

SMALL = ("--n-train", "4", "--n-test", "3", "--width", "20", "--sigma", "1", "--until", "0.01")
COMMANDS = {
    "minimizer": (*SMALL, "--optimizer", "none", "--no-train"),
    "mitigate": (*SMALL, "--n-val", "3", "--no-baselines"),
    "scale": ("--n", "20", "--n-test", "3", "--width", "20"),
    "verify": ("lemma3", "--quick", "--exact"),
    "figure": ("2", "--scale", "quick", "--processes", "1"),
    "bench": ("--quick",),
}
# A result of each command, and a folder that it writes into besides.
RESULTS = {
    "minimizer": ("report.html", "unfinished"),
    "mitigate": ("network.npz", "unfinished"),
    "scale": ("sizes.csv", "checkpoint"),
    "verify": ("results.json", "verdicts"),
    "figure": ("figure02-quick.csv", "runs"),
    "bench": ("bench.json", "unfinished"),
}
WORK = {
    "minimizer": "ntklin.apps.study.scale_results",
    "mitigate": "ntklin.recipes.mitigation.mitigate_initialization",
    "scale": "ntklin.apps.scale.minimizers.minimizers",
    "verify": "ntklin.validation.theorems.run",
    "figure": "ntklin.validation.figures.compute",
    "bench": "ntklin.validation.benchmarks.benchmark.Benchmark",
}


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """``refusal(command)``: what it says in place of its work, into the output folder o."""

    def begins(*arguments, **options):
        raise AssertionError("the work has begun")

    def refuse(command):
        monkeypatch.setattr(WORK[command], begins)
        words = [command, *COMMANDS[command], "--out", "o"]
        done = CliRunner().invoke(app, words, prog_name="ntklin")
        assert done.exit_code == 2, done.output
        return done.output

    monkeypatch.chdir(tmp_path)
    return refuse


@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_that_leads_nowhere_is_refused(command, refusal):
    os.symlink("nowhere", "o")
    said = refusal(command)
    assert "cannot write into the output folder o: " in said
    assert "o is a link to nowhere, which does not exist; create that folder, or remove" in said
    assert os.listdir() == ["o"]
    os.mkdir("nowhere")
    require_writable("o")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_that_leads_to_itself_is_refused(command, refusal):
    os.symlink("o", "o")
    assert re.search(r"o is a link that leads nowhere \(Too many .*\); remove it", refusal(command))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_the_place_of_a_result_is_refused(command, refusal):
    name, _ = RESULTS[command]
    os.makedirs(f"o/{name}")
    expected = f"cannot write o/{name}: it is a directory; move it away, or choose another output"
    assert expected in refusal(command)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_in_the_way_of_a_folder_within_is_refused(command, kind, refusal):
    _, part = RESULTS[command]
    os.mkdir("o")
    if kind == "file":
        open(f"o/{part}", "w").close()
    else:
        os.symlink("nowhere", f"o/{part}")
    assert f"cannot write into the output folder o/{part}: " in refusal(command)


def test_links_in_the_place_of_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("o")
    os.symlink("absent", "o/x")  # a file that is to come
    require_writable("o", ["x"])
    os.symlink("loop", "o/loop")
    with pytest.raises(OSError, match=r"cannot write o/loop: Too many levels .*; move it away"):
        require_writable("o", ["loop"])
    os.symlink("../file/y", "o/y")
    open("file", "w").close()
    with pytest.raises(NotADirectoryError, match="cannot write o/y: Not a directory"):
        require_writable("o", ["y"])
    os.mkfifo("o/pipe")
    with pytest.raises(FileExistsError, match="cannot write o/pipe: it is a pipe; move it away"):
        require_writable("o", ["pipe"])
    assert sorted(os.listdir("o")) == ["loop", "pipe", "x", "y"]


def test_a_link_above_the_folder_is_found(tmp_path):
    (tmp_path / "o").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError, match="o is a link to nowhere"):
        require_writable(tmp_path / "o" / "below" / "that")
    with pytest.raises(OSError, match="loop/below: Too many levels of symbolic links"):
        require_writable(tmp_path / "loop" / "below")


@pytest.fixture
def small_files():
    """``small_files(n)``: no file can have more than n bytes; the control of a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda n: resource.setrlimit(resource.RLIMIT_FSIZE, (n, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_what_does_not_fit_keeps_nothing_else_away(tmp_path, small_files):
    names = ("a", "b", "c", "d")
    for name in names:
        (tmp_path / name).write_text("old")
    small_files(1000)
    sizes = {"a": 10, "b": 5000, "c": 5000, "d": 10}
    contents = {tmp_path / name: bytes(n) for name, n in sizes.items()}
    contents[tmp_path / "c"] = lambda f: f.write(bytes(5000))
    with pytest.raises(OSError, match="File too large") as caught:
        writing.write_together(contents)
    a, b, c, d = (tmp_path / name for name in names)
    assert str(caught.value).endswith(
        f"cannot write {b}: File too large; {c}: File too large; what was there is unchanged. "
        f"Written: {a}, {d}"
    )
    assert [path.stat().st_size for path in (a, b, c, d)] == [10, 3, 3, 10]
    assert sorted(os.listdir(tmp_path)) == list(names)


def test_what_cannot_be_moved_keeps_nothing_else_away(tmp_path, monkeypatch):
    replace = os.replace

    def fail(source, target):
        if target.name == "a":
            raise PermissionError(1, "Operation not permitted")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError, match=r"a: Operation not permitted; .*Written: .*/b$"):
        writing.write_together({tmp_path / "a": b"", tmp_path / "b": b""})
    assert os.listdir(tmp_path) == ["b"]
    with pytest.raises(PermissionError, match=r"cannot write .*/a: Operation not permitted; what"):
        writing.write_together({tmp_path / "a": b""})


@pytest.mark.parametrize("command", ["minimizer", "mitigate", "verify", "figure"])
def test_where_files_cannot_be_large_the_numbers_are_kept(command, tmp_path, small_files):
    if command == "figure" and numba.config.DISABLE_JIT:
        pytest.skip("trains a dozen networks: minutes without compiled kernels")
    words = [command, *COMMANDS[command], "--out", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    sizes = {p.name: p.stat().st_size for p in tmp_path.iterdir() if p.is_file()}
    (numbers,) = (name for name in sizes if name.endswith(".json"))
    for name in sizes:
        (tmp_path / name).unlink()
    limit = sizes[numbers] + 2000
    lost = sorted(name for name, n in sizes.items() if n > limit + 2000)
    small_files(limit)
    done = CliRunner().invoke(app, words, prog_name="ntklin")
    assert done.exit_code == 2, done.output
    message = done.output[done.output.index("error: ") :]
    for name in lost:
        assert message.count(str(tmp_path / name)) == 1
    assert message.count("cannot write") == 1
    assert numbers in message.partition("Written: ")[2]
    read_sealed(tmp_path / numbers)
    assert not [path for path in os.listdir(tmp_path) if path.endswith(".part")]


def test_a_figures_names_are_known_beforehand():
    planned = figures.plan(figures.FIGURES[2], "quick")
    assert figures.names(planned) == [
        f"figure02-quick.{kind}" for kind in ("png", "pdf", "csv", "json")
    ]
