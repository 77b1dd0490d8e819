"""Who may start the threads of a parallel kernel, and what stands in where nobody may.

Numba's threads come from one of three layers. TBB and OpenMP serve several Python threads at a
time; the workqueue ends the process when a second one comes, so that there they take turns. GNU
OpenMP does not survive a fork: the first parallel loop in a child process would end or hang it. A
child therefore runs the same kernels without threads.
"""

import functools
import os
import sys
import threading
from types import FunctionType

import numba

_UNKNOWN, _FREE, _IN_TURN, _ALONE = range(4)  # who may launch


class _Launches:
    """The state of this process."""

    def __init__(self):
        self.rule = _UNKNOWN
        self.turn = threading.RLock()

    def learn(self):
        """Start Numba's threads, by which the layer is chosen."""
        numba.get_num_threads()
        if self.rule == _UNKNOWN:
            layer = numba.threading_layer()  # pyright: ignore
            self.rule = _IN_TURN if layer == "workqueue" else _FREE

    def forked(self):
        """Start anew in a new process: the threads of its parent are not here."""
        self.turn = threading.RLock()  # a thread that is not here may have held the other
        try:
            layer = numba.threading_layer()  # pyright: ignore
        except ValueError:  # nobody has started any; this process may
            return
        if layer == "omp" and sys.platform.startswith("linux"):
            self.rule = _ALONE


_launches = _Launches()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_launches.forked)


def launcher(function, compiled, compile_alone):
    """A parallel kernel as Python calls it.

    Parameters
    ----------
    function : callable
        The kernel's source.
    compiled : callable
        It with its loops shared out to threads.
    compile_alone : callable
        Returns a function compiled without threads, by the same numbers bit for bit.

    Returns
    -------
    callable
    """
    alone = None

    @functools.wraps(function)
    def launch(*arguments):
        nonlocal alone
        if _launches.rule == _FREE:
            return compiled(*arguments)
        if _launches.rule == _UNKNOWN:
            _launches.learn()
            return launch(*arguments)
        if _launches.rule == _IN_TURN:
            with _launches.turn:
                return compiled(*arguments)
        if alone is None:
            alone = compile_alone(_renamed(function))
        return alone(*arguments)

    return launch


def _renamed(function):
    """The same under another name: files of compiled code are named after functions."""
    name = f"{function.__name__}_alone"
    copy = FunctionType(function.__code__, function.__globals__, name, function.__defaults__)
    copy.__module__, copy.__qualname__ = function.__module__, name
    return copy
