"""What takes the steps of training on the real network: engines for ``ntklin.stepping.run``.

An engine is made from ``(net, theta, X, Y, optimizer, loss)``, arrays of one dtype and the
optimizer with its learning rate. Beyond what ``ntklin.stepping`` asks for it has ``arrays()``, what
a run must keep to go on with the same bits, and ``restore(arrays)``. Two functions of its class
tell where it serves: ``requires(net, optimizer)`` names what is missing, or is None, and
``pays(net, X, optimizer)`` whether it is the engine to take where nothing is missing.

On a GPU, ``reduced`` and ``direct`` also take θ of shape (S, P), of S networks that are trained at
once, see ``ntklin.stepping``; the optimizer is then one for all or ``Several``. What ``loss()`` and
``arrays()`` give has an axis S first, but for ``count``; an engine of one network can be restored
from its part. ``parameters()`` and ``optimizer_state()`` are of one network alone.
"""

from ntklin.descent.direct import DirectDescent
from ntklin.descent.fused import FusedDescent
from ntklin.descent.reduced import ReducedDescent
from ntklin.descent.several import Several

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
    """
    if method == "auto":
        return next(
            engine
            for engine in ENGINES.values()
            if engine.requires(net, optimizer) is None and engine.pays(net, X, optimizer)
        )
    if method not in ENGINES:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    missing = ENGINES[method].requires(net, optimizer)
    if missing is not None:
        raise ValueError(f"method={method!r} needs {missing}; use method='direct'")
    return ENGINES[method]
