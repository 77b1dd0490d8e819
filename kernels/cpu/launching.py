"""Who may start the threads of a parallel kernel, and what stands in where nobody may.

Numba's threads come from one of three layers. TBB and OpenMP serve several Python threads at a
time; the workqueue ends the process when a second one comes, so that there they take turns. GNU
OpenMP does not survive a fork: the first parallel loop in a child process would end or hang it. A
child therefore runs the same kernels on one thread.
"""

import functools
import os
import sys
import threading
from inspect import signature

import numba

from ntklin.kernels.cpu.parallel_for import parallel_for
from ntklin.kernels.cpu.plain import JIT_DISABLED

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


def launcher(compiled):
    """A kernel that launches threads, as Python calls it.

    Parameters
    ----------
    compiled : callable

    Returns
    -------
    callable
    """

    @functools.wraps(compiled)
    def launch(*arguments):
        if _launches.rule == _FREE:
            return compiled(*arguments)
        if _launches.rule == _UNKNOWN:
            _launches.learn()
            return launch(*arguments)
        if _launches.rule == _IN_TURN:
            with _launches.turn:
                return compiled(*arguments)
        n_threads = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            return compiled(*arguments)
        finally:
            numba.set_num_threads(n_threads)

    return launch


class Turns:
    """A parallel kernel: ``kernel[n](*arguments)`` takes its turns 0 to n − 1 on all threads.

    Parameters
    ----------
    turn : callable
        Takes one: ``turn(k, *arguments)``.
    launch : callable
        ``launch(n, *arguments)`` takes them all.
    """

    def __init__(self, turn, launch):
        self.__name__, self.__module__, self.__doc__ = turn.__name__, turn.__module__, turn.__doc__
        self._launch = launch

    def __getitem__(self, n_turns):
        return functools.partial(self._launch, n_turns)


def turns(turn, compiled):
    """A parallel kernel from the source of one turn.

    Parameters
    ----------
    turn : callable
    compiled : callable
        Compiles a function.

    Returns
    -------
    Turns
    """
    if JIT_DISABLED:
        return Turns(turn, lambda n_turns, *arguments: parallel_for(turn, n_turns, arguments))
    return Turns(turn, launcher(compiled(_launch_of(turn, compiled(turn)))))


def _launch_of(turn, compiled_turn):
    """``launch(n, *arguments)``, to be compiled: with a parameter for each that the turn has.

    With any number of them Numba would look at their types in Python at each call. It bears the
    turn's place in the sources, since files of compiled code are named after that.

    Returns
    -------
    callable
    """
    names = ", ".join([*signature(turn).parameters][1:])
    name, code = f"{turn.__name__}_launch", turn.__code__
    source = f"def {name}(n_turns, {names}): parallel_for(turn, n_turns, ({names},))"
    known = {"__name__": turn.__module__, "parallel_for": parallel_for, "turn": compiled_turn}
    exec(compile("\n" * (code.co_firstlineno - 1) + source, code.co_filename, "exec"), known)
    return known[name]
