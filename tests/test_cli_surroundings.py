"""The command line among closed pipes, full disks, foreign settings and signals."""

import ast
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unicodedata
import warnings
from pathlib import Path

import pytest
from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

import ntklin.apps.cli
from ntklin.apps.cli import failures, inherited, signals, spelling, streams, threads
from ntklin.apps.cli.app import app
from ntklin.apps.cli.console import FILE_COLUMNS, Console
from ntklin.apps.cli.progress import is_live
from ntklin.apps.report.study import NAMES
from ntklin.runs.interrupts import DeferredInterrupt

ROOT = Path(__file__).resolve().parents[1]
POSIX = pytest.mark.skipif(os.name == "nt", reason="descriptors and signals are POSIX's")
TINY = (
    *("minimizer", "--n-train", "4", "--n-test", "3", "--width", "20", "--sigma", "1"),
    *("--no-train", "--optimizer", "none", "--out", "out"),
)


def strings(path):
    """Every text of a source, docstrings included: those of statements are shown."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.once
def test_every_sign_that_is_used_has_a_name():
    signs = set()
    for folder in ("ntklin", "validation"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            signs |= {sign for text in strings(path) for sign in text if sign > "\x9f"}
    assert {"σ", "θ", "λ", "η", "φ", "×", "≤", "∞", "‖", "·", "–", "²", "₀"} <= signs
    for sign in signs:
        assert spelling.spell(sign).isascii()
        assert "\\" not in spelling.spell(sign), sign
        assert "?" not in spelling.spell(sign), sign


def test_greek_letters_have_the_names_that_unicode_gives_them():
    for sign, name in spelling.NAMES.items():
        kind, _, letter = unicodedata.name(sign).partition(" LETTER ")
        if kind.startswith("GREEK"):
            letter = {"LAMDA": "LAMBDA"}.get(letter, letter)
            assert name == (letter.lower() if "SMALL" in kind else letter.capitalize())


def test_signs_that_come_in_pairs():
    assert spelling.spell("⌊x⌋ ⌈y⌉ ⟨z⟩ ‖v‖") == "floor(x) ceil(y) <z> ||v||"
    assert spelling.spell("‘a’ “b”") == "'a' \"b\""
    assert spelling.spell("a ≤ b ≥ c ≠ d ≪ e ≫ f") == "a <= b >= c != d << e >> f"
    assert spelling.spell("a ≯ b") == "a not > b"
    assert spelling.spell("← → ↦") == "<- -> |->"


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("‖f − Y‖²/(2N), θ₀ ≤ σ²", "ascii", "||f - Y||^2/(2N), theta_0 <= sigma^2"),
        ("2 × λ_max · 10⁻⁴ … ∞", "ascii", "2 x lambda_max * 10^-^4 ... inf"),
        ("σ² × 3 – ‖", "cp1252", "sigma² × 3 – ||"),
        ("┏━┳┃╇⠋", "latin-1", "+-+|+*"),
        ("北 é 🎉", "ascii", r"\u5317 \xe9 \U0001f389"),
        ("a\udcffb σ", "utf-8", r"a\xffb σ"),
        ("a\udc80b σ", "utf-8", r"a\x80b σ"),
        ("\ud800", "utf-8", r"\ud800"),
        ("σ", "cp037", "sigma"),
    ],
)
def test_what_an_encoding_lacks_is_spelled(text, encoding, shown):
    assert text.encode(encoding, spelling.ERRORS).decode(encoding) == shown
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=spelling.ERRORS)
    assert spelling.as_shown(text, stream) == shown


def test_a_stream_that_would_refuse_a_sign_is_left_to_do_so():
    assert spelling.as_shown("σ", io.TextIOWrapper(io.BytesIO(), encoding="ascii")) == "σ"
    assert spelling.as_shown("σ", io.StringIO()) == "σ"
    with pytest.raises(UnicodeDecodeError, match="can't decode"):
        b"\xff".decode("utf-8", spelling.ERRORS)


def stream_to(descriptor, encoding="utf-8"):
    return io.TextIOWrapper(os.fdopen(descriptor, "wb"), encoding=encoding)


@pytest.fixture
def gone():
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    with stream_to(writer) as stream:
        yield stream


@pytest.fixture
def full():
    """A disk without room."""
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with stream_to(os.open("/dev/full", os.O_WRONLY)) as stream:
        yield stream


@POSIX
@pytest.mark.parametrize(("kind", "left"), [("gone", True), ("full", False)])
def test_what_nobody_takes_harms_nobody(kind, left, request, monkeypatch):
    stream = request.getfixturevalue(kind)
    monkeypatch.setattr(sys, "stdout", stream)
    with streams.enduring() as raws:
        assert sys.stdout is not stream
        for _ in range(3):
            print("x" * 100_000)
        sys.stdout.flush()
        assert raws["stdout"].lost.errno == (errno.EPIPE if left else errno.ENOSPC)
        assert raws["stdout"].reader_left == left
        assert raws["stderr"].lost is None
    assert sys.stdout is stream


@pytest.mark.parametrize(("platform", "left"), [("win32", True), ("linux", False)])
def test_windows_has_its_own_word_for_a_reader_that_left(platform, left, monkeypatch):
    class Closed(io.RawIOBase):
        def write(self, data):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(sys, "platform", platform)
    raw = streams.Enduring(Closed())
    assert raw.write(b"abc") == 3
    assert raw.reader_left == left


@POSIX
def test_a_closed_terminal_is_a_reader_that_left():
    class Closed(io.RawIOBase):
        def __init__(self, terminal):
            self.terminal = terminal

        def isatty(self):
            return self.terminal

        def write(self, data):
            raise OSError(errno.EIO, "Input/output error")

    for terminal in (True, False):
        raw = streams.Enduring(Closed(terminal))
        assert raw.write(b"abc") == 3
        assert raw.reader_left == terminal


@POSIX
def test_a_pipe_that_does_not_wait_is_waited_for(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text, got = "y" * 300_000, []

    def read():
        time.sleep(0.05)
        while part := os.read(reader, 4096):
            got.append(part)

    thread = threading.Thread(target=read)
    with stream_to(writer) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        thread.start()
        with streams.enduring() as raws:
            print(text, end="")
            sys.stdout.flush()
            assert raws["stdout"].lost is None
    thread.join()
    os.close(reader)
    assert b"".join(got) == text.encode()


def test_streams_that_are_not_the_systems_stay(monkeypatch):
    notebook = io.StringIO()
    monkeypatch.setattr(sys, "stdout", notebook)
    monkeypatch.setattr(sys, "stderr", None)
    with streams.enduring() as raws:
        assert sys.stdout is notebook
        assert raws == {"stdout": None, "stderr": None}
        print("σ\udcff", file=sys.stderr)
    assert sys.stderr is None


def run_main(monkeypatch, app):
    """The exit status of the command line with something else for the commands."""
    monkeypatch.setattr("ntklin.apps.cli.app.app", app)
    monkeypatch.setattr("ntklin.apps.cli.blas.prepare", lambda: None)
    with pytest.raises(SystemExit) as caught:
        ntklin.apps.cli.main()
    return caught.value.code or 0


def printing(code):
    def app(prog_name):
        print("σ" * 10_000)
        sys.exit(code)

    return app


@POSIX
@pytest.mark.parametrize(
    ("kind", "code", "expected"), [("gone", 0, 0), ("gone", 1, 1), ("full", 0, 2), ("full", 1, 1)]
)
def test_the_status_tells_of_what_was_lost(kind, code, expected, request, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", request.getfixturevalue(kind))
    assert run_main(monkeypatch, printing(code)) == expected
    err = capsys.readouterr().err
    assert err == (
        ""
        if kind == "gone"
        else "error: cannot write to standard output: No space left on device\n"
    )


@pytest.fixture
def default_signals():
    """Handlers as in a fresh process, though the tests may run in the background of a script."""
    numbers = (signal.SIGINT, *signals.ENDING)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in signals.ENDING:
        signal.signal(number, signal.SIG_DFL)
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_command_line_leaves_nothing_behind(monkeypatch, default_signals):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setenv("COLUMNS", "0")
    seen = {}

    def app(prog_name):
        seen.update(os.environ)
        assert all(signal.getsignal(n) is not signal.SIG_DFL for n in signals.ENDING)

    def state():
        handlers = [signal.getsignal(number) for number in default_signals]
        return handlers, dict(os.environ), sys.stdout, sys.stderr, warnings.filters[:]

    before = state()
    assert run_main(monkeypatch, app) == 0
    assert state() == before
    assert seen["MPLBACKEND"] == "agg"
    assert "COLUMNS" not in seen


@POSIX
@pytest.mark.parametrize("number", signals.ENDING)
def test_a_signal_is_taken_as_ctrl_c_and_told(number, monkeypatch, default_signals):
    def app(prog_name):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt:
            sys.exit(signals.INTERRUPTED)

    assert run_main(monkeypatch, app) == 128 + number
    assert run_main(monkeypatch, lambda prog_name: sys.exit(signals.INTERRUPTED)) == 130


@POSIX
def test_a_signal_waits_for_the_end_of_a_step(default_signals):
    with signals.as_ctrl_c() as handler:
        with DeferredInterrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # as timeout does
            assert interrupt.pending
        assert handler.status(130) == 143
        assert handler.status(0) == 0


@POSIX
def test_a_second_signal_strikes_but_not_the_same_twice(default_signals, monkeypatch):
    now = 100.0
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)
    with signals.as_ctrl_c() as handler, DeferredInterrupt():
        signal.raise_signal(signal.SIGTERM)
        now += signals.AT_ONCE / 2
        signal.raise_signal(signal.SIGHUP)
        now += signals.AT_ONCE
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        assert handler.first == signal.SIGTERM


@POSIX
def test_signals_that_are_somebody_elses_or_ignored_stay(default_signals):
    mine = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    signal.signal(signal.SIGTERM, lambda *_: mine.append(1))
    with signals.as_ctrl_c():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert mine == [1]


@POSIX
def test_a_job_in_the_background_ignores_ctrl_c_but_not_sigterm(default_signals):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with signals.as_ctrl_c():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_install_no_handlers(default_signals):
    found = []

    def work():
        with signals.as_ctrl_c(), signals.held():
            found.extend(signal.getsignal(number) for number in signals.ENDING)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL] * len(signals.ENDING)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_files_are_finished_before_an_interruption(number, default_signals, monkeypatch):
    now, written = 100.0, []
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)

    def write(name, seconds):
        nonlocal now
        with signals.held():
            signal.raise_signal(number)
            now += seconds
            signal.raise_signal(number)
            written.append(name)

    with signals.as_ctrl_c():
        with pytest.raises(KeyboardInterrupt):
            write("told twice", 0.0)
        now += signals.AT_ONCE
        with pytest.raises(KeyboardInterrupt):
            write("struck", signals.AT_ONCE)
        assert written == ["told twice"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@POSIX
def test_after_an_interruption_the_next_one_strikes(default_signals, monkeypatch):
    now, written = 100.0, []
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)

    def write(name, seconds):
        nonlocal now
        with signals.held(interrupted=True):
            now += seconds
            signal.raise_signal(signal.SIGINT)
            written.append(name)

    write("the same event, told twice", 0.0)
    with pytest.raises(KeyboardInterrupt):
        write("another one", signals.AT_ONCE)
    assert written == ["the same event, told twice"]


@POSIX
def test_what_comes_every_second_never_strikes(default_signals, monkeypatch):
    """The system tells of a used up limit of processor time again and again."""
    now, written = 100.0, []
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)

    def tell():
        nonlocal now
        now += 2 * signals.AT_ONCE
        signal.raise_signal(signal.SIGXCPU)

    def write(interrupted):
        with signals.held(interrupted):
            tell()
            tell()
            written.append(interrupted)

    with signals.as_ctrl_c() as handler:
        with pytest.raises(KeyboardInterrupt):
            write(False)
        assert handler.status(130) == 128 + signal.SIGXCPU
        tell()
        write(True)
        now += 2 * signals.AT_ONCE
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)  # while another signal does
    with signals.as_ctrl_c(), DeferredInterrupt() as interrupt:
        tell()
        tell()
        assert interrupt.pending
    assert written == [False, True]


@pytest.mark.once
@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU])
def test_a_real_process_that_is_told_to_end_keeps_what_is_finished(number, tmp_path):
    """At the second σ the kernel is so ill-conditioned that training takes ages."""
    flags = ("--n-train", "4", "--n-test", "3", "--width", "20", "--optimizer", "none")
    flags += ("--sigma", "1,1e-4", "--until", "0.01", "--max-steps", "1000000000", "--out", "out")

    def as_fresh():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # in the background of a script
        signal.signal(number, signal.SIG_DFL)

    with subprocess.Popen(
        [sys.executable, "-m", "ntklin", "minimizer", *flags],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=as_fresh,
    ) as process:
        assert process.stdout.readline().startswith("σ = 1 ")
        process.send_signal(number)
        process.send_signal(number)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number, errors
    assert "Incomplete: 1 of 2 runs finished" in output
    assert errors == ""
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(NAMES)


@pytest.mark.once
def test_a_real_process_in_hostile_surroundings(tmp_path):
    settings = {
        "PYTHONIOENCODING": "ascii:strict",
        "MPLBACKEND": "module://no_such_module.backend",
        "COLUMNS": "20",
        "PYTHONWARNINGS": "error",
        "TERMINAL_WIDTH": "wide",
        "SOURCE_DATE_EPOCH": "yesterday",
        "TERM": "dumb",
    }
    done = subprocess.run(
        [sys.executable, "-m", "ntklin", *TINY],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("ascii")
    assert "sigma: 1" in text
    (record,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))["records"]
    for name in ("interpolator", "minimizer", "linearized"):
        assert f"{record[f'test_loss_{name}']:.2e}" in text
    assert "σ" in (tmp_path / "out" / "report.html").read_text("utf-8")


@pytest.mark.once
@POSIX
def test_a_real_process_whose_reader_left(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "ntklin", *TINY],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process:
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(NAMES)


@pytest.mark.once
@POSIX
def test_closed_descriptors_are_given_to_no_file(tmp_path):
    """Else the first file that is opened gets number 1, and what is printed into it."""
    script = """
import os, sys
from ntklin.apps.cli import streams
with streams.enduring():
    descriptor = os.open("file", os.O_WRONLY | os.O_CREAT)
    os.write(1, b"from some library")
    os.write(2, b"from another")
    sys.exit(0 if descriptor > 2 else 9)
"""
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, script], cwd=tmp_path
    )
    assert done.returncode == 0
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize(
    ("environ", "columns", "loaded", "expected"),
    [
        ({}, 80, False, {"MPLBACKEND": "agg"}),
        ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, 80, True, {}),
        ({"COLUMNS": "120", "LINES": "30"}, 120, True, {"COLUMNS": "120", "LINES": "30"}),
        ({"COLUMNS": "0"}, 80, True, {"COLUMNS": None}),
        ({"COLUMNS": "²", "LINES": "many"}, 80, True, {"COLUMNS": None, "LINES": None}),
        ({"COLUMNS": "9" * 12}, 80, True, {"COLUMNS": "1000"}),
        ({"COLUMNS": "7"}, 80, True, {"COLUMNS": "7", "TERMINAL_WIDTH": "64"}),
        ({}, 40, True, {"TERMINAL_WIDTH": "64"}),
        ({"TERMINAL_WIDTH": "wide"}, 90, True, {"TERMINAL_WIDTH": "90"}),
        ({"SOURCE_DATE_EPOCH": "1700000000"}, 80, True, {}),
        *[
            ({"SOURCE_DATE_EPOCH": text}, 80, True, {"SOURCE_DATE_EPOCH": None})
            for text in ("", "abc", "1.5", "9" * 20)
        ],
        ({"TERMINAL_WIDTH": "70"}, 90, True, {"TERMINAL_WIDTH": "70"}),
    ],
)
def test_what_of_the_environment_is_changed(environ, columns, loaded, expected):
    assert inherited.changed(environ, columns, loaded) == expected


@pytest.mark.parametrize("command", ["minimizer", "mitigate", "verify", "figure", "bench", "info"])
def test_help_is_whole_at_its_smallest_width(command, monkeypatch):
    def cut(width):
        monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", width)
        done = CliRunner().invoke(app, [command, "--help"], prog_name="ntklin")
        assert done.exit_code == 0
        return "\N{HORIZONTAL ELLIPSIS}" in done.output

    assert not cut(inherited.HELP_COLUMNS)
    assert cut(20)


def test_warnings_end_no_command():
    options = ["error", "ignore::DeprecationWarning", "e:loss:UserWarning"]
    before = options[:]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        with inherited.shown_warnings(options):
            assert options == ["ignore::DeprecationWarning"]
            warnings.warn("of no interest", DeprecationWarning, stacklevel=1)
            warnings.warn("the loss rose", stacklevel=1)
        with pytest.raises(UserWarning, match="of a test"):
            warnings.warn("of a test", stacklevel=1)
    assert options == before
    assert [str(w.message) for w in caught] == ["the loss rose"]


def test_errors_of_a_program_that_tests_warnings_stay_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with inherited.shown_warnings([]), pytest.raises(UserWarning, match="of a test"):
            warnings.warn("of a test", stacklevel=1)


def numbers_table():
    table = Table(title="Losses of 3 networks")
    table.add_column("σ", justify="right", no_wrap=True)
    table.add_column("test\nloss", justify="right")
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("what is said of it")
    table.add_row("0.5", "1.2345e-02", "1,234,567", "holds: 3.4e-16, of 1e-15 that may be")
    table.add_row("12.5", "-9.87e+100", "7", Text("fails by 123456.789 standard deviations"))
    return table


NUMBERS = (
    *("0.5", "12.5", "1.2345e-02", "-9.87e+100", "1,234,567", "3.4e-16", "1e-15"),
    *("123456.789", "deviations"),
)


def shown(width, *objects, encoding="utf-8", **settings):
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, errors=spelling.ERRORS)
    console = Console(file=stream, width=width, **settings)
    for thing in objects:
        console.print(thing)
    stream.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 120, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_number_is_cut_in_any_width(width, encoding):
    text = shown(width, numbers_table(), encoding=encoding)
    words = text.split()
    for number in NUMBERS:
        assert any(number == word.strip(",:;") for word in words), number
    longest = max(len(line.rstrip()) for line in text.splitlines())
    assert longest <= max(width, 4 + len("deviations"))


def test_rich_itself_cuts_numbers():
    """The control of the test above."""
    buffer = io.StringIO()
    RichConsole(file=buffer, width=40).print(numbers_table())
    assert not all(number in buffer.getvalue() for number in NUMBERS)


def test_a_table_stays_a_table_where_it_fits():
    assert "┃" in shown(80, numbers_table())
    assert "σ: 12.5\n" in shown(30, numbers_table())
    assert "  steps: 1,234,567\n" in shown(30, numbers_table())


def test_a_list_has_all_that_a_table_has():
    """Title, each row's name, its numbers by heading, the caption; lines end between words."""
    table = numbers_table()
    table.caption = "of the last step"
    lines = shown(24, table, no_color=True).splitlines()
    assert lines == [
        "Losses of 3 networks",
        "σ: 0.5",
        "  test loss: 1.2345e-02",
        "  steps: 1,234,567",
        "  what is said of it:",
        "    holds: 3.4e-16, of",
        "    1e-15 that may be",
        "σ: 12.5",
        "  test loss: -9.87e+100",
        "  steps: 7",
        "  what is said of it:",
        "    fails by 123456.789",
        "    standard deviations",
        "of the last step",
    ]


def test_a_list_without_headings_has_a_line_for_each_row():
    table = Table(show_header=False, box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("memory of all", "64 kB")
    table.add_row("", "none")
    assert shown(12, table).splitlines() == ["memory of", "all 64 kB", "none"]


def test_what_spells_a_sign_gets_room_in_a_table():
    lines = shown(80, numbers_table(), encoding="ascii").splitlines()[1:]
    assert "| sigma |" in "\n".join(lines)
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("width", [14, 20, 40, 100])
def test_no_number_of_a_bar_is_cut(width):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width)
    columns = TextColumn("{task.description}"), BarColumn(16), TextColumn("{task.fields[state]}")
    with Progress(*columns, console=console, auto_refresh=False) as bars:
        bars.add_task("σ = 0.5", state="loss 1.2e-03, step 1,234,567 of ≈ 7,654,321")
    words = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).split()
    assert {"0.5", "1.2e-03,", "1,234,567", "7,654,321"} <= set(words)
    assert ("━" in stream.getvalue()) == (width == 100)


def test_names_are_shown_as_they_are():
    assert shown(80, "a\x1b[31mb:dog:\x07") == "a\\x1b[31mb:dog:\\x07\n"
    assert shown(80, Text("a\x1b[31mb\udcff")) == "a\\x1b[31mb\\xff\n"
    assert "x\\x1by" in shown(80, table_of("x\x1by"))


def test_no_word_of_a_sentence_is_broken():
    assert shown(5, "BLAS 0.3.31.188.0", Text("in 1,234,567 steps")) == (
        "BLAS 0.3.31.188.0\nin 1,234,567 steps\n"
    )


def table_of(cell):
    table = Table()
    table.add_column("name")
    table.add_row(cell)
    return table


def test_a_file_has_room_for_every_table(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert Console(file=io.StringIO()).width == FILE_COLUMNS
    monkeypatch.setenv("COLUMNS", "44")
    assert Console(file=io.StringIO()).width == 44


def test_a_dumb_terminal_gets_lines_of_its_width(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "44")
    console = Console(file=io.StringIO(), force_terminal=True)
    assert console.width == 44
    assert not is_live(console)


def test_a_folder_that_was_deleted_is_refused(monkeypatch):
    def getcwd():
        raise FileNotFoundError

    monkeypatch.setattr(failures.os, "getcwd", getcwd)
    with pytest.raises(FileNotFoundError, match="the current folder has been deleted"):
        failures.require_folder()


@pytest.mark.parametrize("text", ["", "abc", "0", "-3", "1.5", "9" * 20])
def test_a_number_of_threads_that_numba_cannot_take_is_refused(text, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", text)
    done = CliRunner().invoke(app, ["info"], prog_name="ntklin")
    assert done.exit_code == 2
    assert f"NUMBA_NUM_THREADS must be an integer from 1 to 65536, got {text!r}" in done.output
    threads.require_number({"NUMBA_NUM_THREADS": " 2 "})
