"""Interruptions that come where Python can raise nothing: in callbacks from C, in destructors."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from ntklin.apps.cli import signals, swallowed
from ntklin.runs.interrupts import DeferredInterrupt

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")

PLACES = {
    "callback": """
import ctypes

CALLBACK = ctypes.CFUNCTYPE(None)

def swallow(number):
    CALLBACK(lambda: signal.raise_signal(number))()
""",
    "destructor": """
class Held:
    def __del__(self):
        signal.raise_signal(self.number)

def swallow(number):
    held = Held()
    held.number = number
    del held
""",
    "weak reference": """
import weakref

class Held:
    pass

def swallow(number):
    held = Held()
    reference = weakref.ref(held, lambda _: signal.raise_signal(number))
    del held
""",
}
PROGRAM = """
import signal, sys, time
import ntklin.apps.cli, ntklin.apps.cli.app, ntklin.apps.cli.blas
from ntklin.apps.cli import signals
{place}
number, times = int(sys.argv[1]), int(sys.argv[2])

def app(prog_name):
    try:
        for _ in range(times):
            swallow(number)
            time.sleep(0.01)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted")
        time.sleep(0.2)  # nothing strikes a second time
        sys.exit(signals.INTERRUPTED)

ntklin.apps.cli.app.app, ntklin.apps.cli.blas.prepare = app, lambda: None
ntklin.apps.cli.main()
"""


def child(place, number, times=1, ignored=()):
    """A command that swallows a signal: its status, what it prints, and its errors."""

    def before():
        for n in (signal.SIGINT, *signals.ENDING):
            default = signal.default_int_handler if n == signal.SIGINT else signal.SIG_DFL
            signal.signal(n, signal.SIG_IGN if n in ignored else default)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(place=PLACES[place]), str(int(number)), str(times)],
        capture_output=True,
        text=True,
        timeout=55,
        preexec_fn=before,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_swallowed_comes_again_and_in_silence(place, number):
    assert child(place, number) == (128 + number, "interrupted\n", "")


def test_it_is_sent_once_however_often_it_was_swallowed():
    assert child("callback", signal.SIGINT, times=4) == (130, "interrupted\n", "")


def test_a_job_in_the_background_gets_its_own_signal_again():
    """There Ctrl-C is ignored, and cannot stand for the other signal."""
    found = child("callback", signal.SIGTERM, ignored=(signal.SIGINT,))
    assert found == (128 + signal.SIGTERM, "interrupted\n", "")


@pytest.fixture
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def swallow():
    space = {"signal": signal}
    exec(PLACES["callback"], space)
    space["swallow"](signal.SIGINT)


def wait(until):
    end = time.monotonic() + 20
    while not until() and time.monotonic() < end:
        time.sleep(0.01)


def test_the_hook_is_taken_back(ctrl_c, monkeypatch):
    hook = sys.unraisablehook
    with signals.as_ctrl_c():
        assert sys.unraisablehook is not hook
    assert sys.unraisablehook is hook
    with signals.as_ctrl_c():
        other = lambda unraisable: None  # noqa: E731
        monkeypatch.setattr(sys, "unraisablehook", other)
    assert sys.unraisablehook is other  # somebody else's stays


def test_nothing_is_sent_after_the_end(ctrl_c):
    with signals.as_ctrl_c():
        swallow()
    time.sleep(4 * swallowed.AGAIN)


def test_writing_and_training_hold_back_what_comes_again(ctrl_c):
    written = []

    def write():
        with signals.held(), signals.held():
            time.sleep(4 * swallowed.AGAIN)
            written.append(1)

    with signals.as_ctrl_c():
        swallow()
        with pytest.raises(KeyboardInterrupt):
            write()
    assert written == [1]
    with signals.as_ctrl_c(), DeferredInterrupt() as interrupt:
        swallow()
        wait(lambda: interrupt.pending)
        assert interrupt.pending


def test_a_second_ctrl_c_that_is_swallowed_strikes_as_well(ctrl_c):
    with signals.as_ctrl_c(), DeferredInterrupt():
        swallow()
        swallow()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(20)


def test_the_rest_is_the_former_hooks(monkeypatch):
    told, sent = [], []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Other(KeyboardInterrupt):
        pass

    def told_of(kind):
        return SimpleNamespace(exc_type=kind)

    with swallowed.sent_again(lambda: sent.append(1)):
        for kind in (ValueError, Other):
            sys.unraisablehook(told_of(kind))
        thread = threading.Thread(target=sys.unraisablehook, args=(told_of(KeyboardInterrupt),))
        thread.start()
        thread.join()
        time.sleep(2 * swallowed.AGAIN)
        assert ([u.exc_type for u in told], sent) == ([ValueError, Other, KeyboardInterrupt], [])
        sys.unraisablehook(told_of(KeyboardInterrupt))
        wait(lambda: sent)
        assert (len(told), sent) == (3, [1])


def test_what_an_interruption_left_half_made_goes_in_silence(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    def finalizer(module):
        def __del__(self):
            """Of an object without what its constructor did not come to."""

        __del__.__module__ = module
        return __del__

    def missing(module, kind=AttributeError):
        return SimpleNamespace(exc_type=kind, object=finalizer(module))

    with pytest.raises(SystemExit), swallowed.sent_again(lambda: None):  # noqa: PT012
        sys.unraisablehook(missing("llvmlite.binding.ffi"))
        raise SystemExit(130)
    sys.unraisablehook(missing("llvmlite.binding.ffi"))
    assert told == []
    others = [missing("numpy"), missing("llvmlite.binding.ffi", ValueError)]
    for other in others:
        sys.unraisablehook(other)
    assert told == others
    with swallowed.sent_again(lambda: None):  # is not stacked
        pass
    assert sys.unraisablehook.former == told.append


def test_without_a_thread_it_is_told(monkeypatch):
    told = []

    def start(timer):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(sys, "unraisablehook", told.append)
    monkeypatch.setattr(threading.Timer, "start", start)
    with swallowed.sent_again(lambda: None):
        sys.unraisablehook(SimpleNamespace(exc_type=KeyboardInterrupt))
    assert len(told) == 1


def test_the_library_leaves_the_hook_alone():
    program = "import sys, ntklin.apps.cli; assert sys.unraisablehook is sys.__unraisablehook__"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


AMID = """
import signal, sys
from llvmlite.binding.executionengine import ExecutionEngine

numbers, set_cache = [int(sys.argv.pop())], ExecutionEngine.set_object_cache

def set_object_cache(self, notify, get):
    def told(module, buffer):  # called by C
        if numbers:
            signal.raise_signal(numbers.pop())
        notify(module, buffer)

    set_cache(self, told, get)

ExecutionEngine.set_object_cache = set_object_cache
from ntklin.apps.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.compiled("compiles nothing")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_ends_that_is_told_amid_a_callback_of_the_compiler(number, tmp_path):
    flags = ("--width", "60", "--n-train", "20", "--n-test", "10", "--sigma", "0.5,1")
    done = subprocess.run(
        [sys.executable, "-c", AMID, "minimizer", *flags, "--out", "out", str(int(number))],
        cwd=tmp_path,
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (128 + number, "")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [3.0, 5.0, 8.0])
def test_a_command_that_compiles_ends(number, delay, tmp_path):
    """Without a cache, most of the time of such a small run is spent in compiling."""
    flags = ("--width", "60", "--n-train", "20", "--n-test", "10", "--sigma", "0.5,1")
    with subprocess.Popen(
        [sys.executable, "-m", "ntklin", "minimizer", *flags, "--out", tmp_path / "out"],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    ) as process:
        time.sleep(delay)
        process.send_signal(number)
        try:
            errors = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert (process.returncode, errors) == (128 + number, "")
