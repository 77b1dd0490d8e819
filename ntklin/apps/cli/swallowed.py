"""Interruptions that came where Python can raise nothing, and are sent again.

KeyboardInterrupt is raised in whatever frame runs when the signal comes. In a callback from C, in
``__del__`` and in a weak reference's callback Python only prints it, and the program goes on;
compiling and loading kernels is full of them.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Seconds until it is sent again. That may be too early as well: then it is sent once more.
AGAIN = 0.05


class SendingAgain:
    """A ``sys.unraisablehook`` for the main thread's interruptions; the rest is the former hook's.

    Parameters
    ----------
    send : callable
        ``send()`` sends the interruption from another thread.
    former : callable
    """

    def __init__(self, send: Callable[[], None], former: Callable[[Any], Any]) -> None:
        self._send, self.former = send, former
        self._timer: threading.Timer | None = None
        self._ended = False
        # The hook may be called amid any of these methods, in the same thread.
        self._lock = threading.RLock()

    def __call__(self, unraisable: Any) -> None:
        """Send the main thread's interruption again a little later."""
        if is_half_made(unraisable):
            return
        # Python's handlers run in the main thread; a subclass is raised by code, for itself.
        ours = unraisable.exc_type is KeyboardInterrupt
        if not ours or threading.current_thread() is not threading.main_thread():
            self.former(unraisable)
            return
        with self._lock:
            if self._timer is not None or self._ended:
                return
            self._timer = threading.Timer(AGAIN, self._due)
            self._timer.daemon = True
            try:
                self._timer.start()
            except RuntimeError:  # no thread to be had: at least it is told
                self._timer = None
                self.former(unraisable)

    def _due(self) -> None:
        with self._lock:
            self._timer = None
            if not self._ended:
                self._send()

    def end(self) -> None:
        """Send nothing any more."""
        with self._lock:
            self._ended = True
            if self._timer is not None:
                self._timer.cancel()


def is_half_made(unraisable: Any) -> bool:
    """Whether a compiler's object is taken down that an interruption kept from being made."""
    owner = getattr(getattr(unraisable, "object", None), "__module__", None) or ""
    return issubclass(unraisable.exc_type, AttributeError) and owner.startswith("llvmlite")


class SilentOfHalfMade:
    """A ``sys.unraisablehook`` that leaves such objects to nobody, and the rest to the former."""

    def __init__(self, former: Callable[[Any], Any]) -> None:
        self.former = former

    def __call__(self, unraisable: Any) -> None:
        """Tell of all else."""
        if not is_half_made(unraisable):
            self.former(unraisable)


@contextmanager
def sent_again(send: Callable[[], None]) -> Iterator[None]:
    """Have interruptions that Python swallows inside sent again by ``send()``."""
    hook = SendingAgain(send, sys.unraisablehook)
    sys.unraisablehook, following = hook, hook.former
    try:
        yield
    except BaseException:
        # What was amid is in the traceback, and is taken down after this.
        if not isinstance(following, SilentOfHalfMade):
            following = SilentOfHalfMade(following)
        raise
    finally:
        hook.end()
        if sys.unraisablehook is hook:
            sys.unraisablehook = following
