"""Ctrl-C, held back until a run is between two steps."""

import signal
import threading
from typing import Self


class Interrupted(Exception):
    """Ctrl-C between two blocks of steps: everything before it is kept."""


class DeferredInterrupt:
    """Hold back Ctrl-C in the main thread, so that no step is half counted; a second one strikes.

    ``pending`` tells whether one came. A handler of the user's own is left in place.
    """

    def __enter__(self) -> Self:
        self.pending = False
        self._holding = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._holding:
            signal.signal(signal.SIGINT, self._hold)
        return self

    def _hold(self, number: int, frame: object) -> None:
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    def __exit__(self, *exception: object) -> None:
        if self._holding:
            signal.signal(signal.SIGINT, signal.default_int_handler)
