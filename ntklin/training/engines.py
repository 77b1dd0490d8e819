"""What takes the steps of training on the real network: engines for ``ntklin.runs.stepping.run``.

An engine is made from ``(net, theta, X, Y, optimizer, loss)``, arrays of one dtype and the
optimizer with its learning rate. Beyond what ``stepping`` asks for it has ``arrays()``, what
a run must keep to go on with the same bits, and ``restore(arrays)``. Two functions of its class
tell where it serves: ``requires(net, optimizer)`` names what is missing, or is None, and
``pays(net, X, optimizer)`` whether it is the engine to take where nothing is missing. A third,
``needs(net, X, optimizer)``, is about how many numbers it holds on a CPU at its peak.

On a GPU, ``reduced`` and ``direct`` also take θ of shape (S, P), of S networks that are trained at
once, see ``stepping``; the optimizer is then one for all or ``Several``. What ``loss()`` and
``arrays()`` give has an axis S first, but for ``count``; an engine of one network can be restored
from its part. ``parameters()`` and ``optimizer_state()`` are of one network alone.
"""

import numpy as np

from ntklin.edge.backends import namespace
from ntklin.edge.checks import NEGLIGIBLE, fits, require_memory
from ntklin.training.direct import DirectDescent
from ntklin.training.fused import FusedDescent
from ntklin.training.reduced import ReducedDescent
from ntklin.training.several import Several
from ntklin.training.sizes import workspace

# The first one that serves and pays is taken; ``direct`` always does both.
ENGINES = {engine.method: engine for engine in (ReducedDescent, FusedDescent, DirectDescent)}
METHODS = ("auto", *ENGINES)

__all__ = ["ENGINES", "METHODS", "Several", "engine_for"]


def engine_for(method, net, X, optimizer):
    """The engine that ``method`` names, or with ``"auto"`` the one that is fastest.

    Parameters
    ----------
    method : str
        One of ``METHODS``.
    net : MLP, AntisymmetricPair or DoubledNetwork
    X : ndarray, shape (N, d)
    optimizer : Optimizer

    Returns
    -------
    type
        A value of ``ENGINES``.

    Raises
    ------
    ValueError
        If the method is unknown or cannot train this network with this optimizer.
    MemoryLimitError
        If the engine, or with ``"auto"`` every one that pays, holds more than is free.
    """
    serving = [engine for engine in ENGINES.values() if engine.requires(net, optimizer) is None]
    if method == "auto":
        paying = [engine for engine in serving if engine.pays(net, X, optimizer)]
        if namespace(X) is not np:
            return paying[0]
        for engine in paying:
            if _fits(engine, net, X, optimizer):
                return engine
        least = min(paying, key=lambda engine: engine.needs(net, X, optimizer))
        _require(least, net, X, optimizer, "take fewer inputs, a smaller network or float32 arrays")
        return least
    if method not in ENGINES:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    missing = ENGINES[method].requires(net, optimizer)
    if missing is not None:
        raise ValueError(f"method={method!r} needs {missing}; use method='direct'")
    if namespace(X) is np:
        others = [one for one in serving if _fits(one, net, X, optimizer)]
        advice = "take fewer inputs, a smaller network or float32 arrays"
        if others:
            advice = f"method={others[0].method!r} needs no more than is free"
        _require(ENGINES[method], net, X, optimizer, advice)
    return ENGINES[method]


def _bytes(engine, net, X, optimizer):
    return X.itemsize * engine.needs(net, X, optimizer)


def _is_small(size, X):
    """Whether a run takes little beside the threads' tables, and may go without asking."""
    return size <= NEGLIGIBLE + X.itemsize * workspace(0)


def _fits(engine, net, X, optimizer):
    size = _bytes(engine, net, X, optimizer)
    return _is_small(size, X) or fits(size)


def _require(engine, net, X, optimizer, advice):
    size = _bytes(engine, net, X, optimizer)
    if not _is_small(size, X):
        what = f"training on {len(X)} inputs with method={engine.method!r}"
        require_memory(size, what, advice)
