"""Tasks for engines that tests drive themselves."""

from ntklin.runs.losses import Loss
from ntklin.theory.engines import ENGINES as LINEARIZED
from ntklin.theory.task import LinearizedTask
from ntklin.training.descents import ENGINES
from ntklin.training.task import TrainingTask


def serves(engine, net, optimizer):
    """Whether an engine takes steps of this network by this rule, whatever the data."""
    return engine.requires(TrainingTask(net, None, None, None, optimizer)) is None


def descent(method, net, theta, X, Y, optimizer):
    """An engine of the real network, at θ_0, for the squared loss."""
    return ENGINES[method](TrainingTask(net, theta, X, Y, optimizer, Loss()))


def linearized(method, lin, Y, optimizer):
    """An engine of the linearized network, at θ_0, for the squared loss."""
    return LINEARIZED[method](LinearizedTask(lin, Y, optimizer, Loss()))
