"""The engines that take the steps of training on the real network.

On a GPU, ``reduced`` and ``direct`` also take θ of shape (S, P), of S networks that are trained at
once; the optimizer is then one for all or ``StackedOptimizers``. What ``loss()`` and ``arrays()``
give has an axis S first, but for ``count``; an engine of one network can be restored from its part.
``parameters()`` and ``optimizer_state()`` are of one network alone.
"""

from ntklin.training.direct_descent import DirectDescent
from ntklin.training.fused_descent import FusedDescent
from ntklin.training.reduced_descent import ReducedDescent

# The first one that serves and pays is taken; ``direct`` always does both.
ENGINES = {engine.method: engine for engine in (ReducedDescent, FusedDescent, DirectDescent)}
METHODS = ("auto", *ENGINES)
