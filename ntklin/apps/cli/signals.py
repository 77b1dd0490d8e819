"""Signals that ask a process to end, taken as Ctrl-C is: what is finished is written."""

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ntklin.apps.cli.swallowed import sent_again

# The scheduler's limit of time, the terminal that is closed, and the limit of processor time;
# Windows has Ctrl-Break for all.
NAMES = ("SIGTERM", "SIGHUP", "SIGXCPU", "SIGBREAK")
ENDING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
# Seconds in which signals count as one: timeout signals a process and then its group, a session
# that ends sends SIGTERM and SIGHUP.
AT_ONCE = 1.0
INTERRUPTED = 130
# Sent again in every second of processor time up to the hard limit: that is no second signal.
REPEATED = tuple(getattr(signal, name) for name in ("SIGXCPU",) if hasattr(signal, name))


class AsCtrlC:
    """A handler of signals that does what Ctrl-C would do at this moment.

    So it waits for the end of a step in training, ends everything else with KeyboardInterrupt, and
    strikes at once when it comes a second time.

    Attributes
    ----------
    first : int or None
        The first signal that came.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._latest: float | None = None
        self._again = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Do what Ctrl-C would do."""
        now, again = time.monotonic(), self._again
        self._again = False
        at_once = self._latest is not None and now - self._latest < AT_ONCE
        if not again and (at_once or (number in REPEATED and self.first is not None)):
            return
        self._latest = now
        if self.first is None:
            self.first = number
        ctrl_c = signal.getsignal(signal.SIGINT)
        if callable(ctrl_c):
            ctrl_c(signal.SIGINT, frame)
        else:  # Ctrl-C is ignored, as a shell's background jobs do; this signal is not
            raise KeyboardInterrupt

    def send_again(self) -> None:
        """Send what has not reached the main thread; it does not count as a second signal."""
        number = signal.SIGINT
        if self.first is not None and not callable(signal.getsignal(number)):
            number, self._again = self.first, True
        thread = threading.main_thread().ident
        if thread is not None and hasattr(signal, "pthread_kill"):
            signal.pthread_kill(thread, number)  # which ends a wait in the system, too
        else:
            _thread.interrupt_main(signal.Signals(number))

    def status(self, code: str | int | None) -> str | int | None:
        """The exit status: 128 + the signal's number in place of Ctrl-C's."""
        return 128 + self.first if code == INTERRUPTED and self.first is not None else code


@contextmanager
def as_ctrl_c() -> Iterator[AsCtrlC]:
    """Take SIGTERM, SIGHUP and SIGXCPU as Ctrl-C inside; only in the main thread.

    That one gets all signals. One that is ignored stays so, as nohup wants SIGHUP to be, and so
    does a handler of somebody else's. An interruption that Python swallows is sent again.

    Yields
    ------
    AsCtrlC
    """
    handler, before = AsCtrlC(), {}
    if threading.current_thread() is not threading.main_thread():
        yield handler
        return
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, handler)
    try:
        with sent_again(handler.send_again):
            yield handler
    finally:
        _put_back(before, handler)


@contextmanager
def held(interrupted: bool = False) -> Iterator[None]:
    """Let what is being written be finished: an interruption waits for the end, a second strikes.

    Parameters
    ----------
    interrupted : bool
        Whether this is what an interruption has led to: then the next one strikes at once.
    """
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}
    waiting: list[int] = []
    began = time.monotonic() if interrupted else None

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal began
        now = time.monotonic()
        if began is None:
            began = now
            waiting.append(number)
        elif now - began >= AT_ONCE and number not in REPEATED:
            before[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *ENDING):
            handler = signal.getsignal(number)
            ours = handler is signal.default_int_handler or isinstance(handler, AsCtrlC)
            if callable(handler) and ours:
                before[number] = handler
                signal.signal(number, hold)
    try:
        yield
    finally:
        _put_back(before, hold)
    for number in waiting:
        before[number](number, None)


def _put_back(before: Mapping[int, Any], handler: Any) -> None:
    for number, previous in before.items():
        if signal.getsignal(number) is handler:
            signal.signal(number, previous)
