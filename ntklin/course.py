"""One network's way through training, whatever takes the steps."""

import numpy as np

from ntklin import checkpoint
from ntklin.monotone import Watch, Yardstick
from ntklin.recording import Recorder
from ntklin.stability import divergence_error, stability_bound
from ntklin.training_run import TrainingRun


class Course:
    """One network in training: what it is of, its losses, and the run or the error it ends in.

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
    theta, X, Y : ndarray
        Checked, and of one dtype.
    optimizer : Optimizer
        With its learning rate.
    loss : Loss
    batches : Batches, iterable of index arrays, or None
    engine_type : type
        One of ``ntklin.descent.ENGINES``.
    until : float or None

    Attributes
    ----------
    identity : dict
        By which a saved run is known.
    losses : list of float
        L(θ_0) … up to now, once ``start`` has been called.
    yardstick : Yardstick
    ceiling : float
        The loss beyond which training diverges.
    """

    def __init__(self, net, theta, X, Y, optimizer, loss, batches, engine_type, until):
        self.net, self.theta, self.X, self.Y = net, theta, X, Y
        self.optimizer, self.loss, self.batches = optimizer, loss, batches
        self.engine_type, self.until = engine_type, until
        self.identity = {
            "network": checkpoint.describe_network(net),
            "optimizer": checkpoint.describe_optimizer(optimizer),
            "method": engine_type.method,
            "loss": loss.name,
            "loss_of_zero": loss.value(np.zeros_like(Y), Y),
            "batches": checkpoint.describe_batches(batches),
            "dtype": str(theta.dtype),
            "theta": checkpoint.digest(theta),
            "X": checkpoint.digest(X),
            "Y": checkpoint.digest(Y),
        }

    def engine(self):
        """An engine at θ_0, of this network alone."""
        return self.engine_type(self.net, self.theta, self.X, self.Y, self.optimizer, self.loss)

    def start(self, losses):
        """Begin with the losses up to now, of which the first is L(θ_0)."""
        self.loss.require_in_range(losses[0], lambda: self.net.apply(self.theta, self.X), self.Y)
        self.losses = losses
        self.yardstick = Yardstick(losses[0], self.identity["loss_of_zero"], self.theta.dtype)
        self.ceiling = self.yardstick.ceiling(self.optimizer)

    def watch(self, **options):
        """What warns of the first rise of the loss, with the options of ``Watch``."""
        return Watch(self.losses, self.yardstick, self.optimizer, **options)

    @property
    def converged(self):
        """Whether the latest loss is below ``until``."""
        return self.until is not None and self.losses[-1] < self.until

    @property
    def diverged(self):
        """Whether the latest loss is beyond the ceiling, or NaN."""
        return not self.losses[-1] <= self.ceiling

    def run(self, engine, recorder=None):
        """What was trained, from its engine, at the step of the latest loss.

        Parameters
        ----------
        engine : object
            Of this network alone.
        recorder : Recorder, optional

        Returns
        -------
        TrainingRun
        """
        if recorder is None:
            recorder = Recorder(None, self.net, self.theta, None, snapshots=True)
        history = np.array(self.losses)
        return TrainingRun(
            network=self.net,
            parameters=engine.parameters(),
            losses=history,
            steps=len(history) - 1,
            converged=self.converged,
            optimizer=self.optimizer,
            method=engine.method,
            loss=self.loss.name,
            records=recorder.records(history),
            identity=self.identity,
            arrays=engine.arrays(),
        )

    def error(self):
        """The error of a network that diverged.

        Returns
        -------
        DivergenceError
        """
        return divergence_error(
            *(self.optimizer, self.loss, self.batches is None, self.losses),
            bound=lambda: stability_bound(self.net, self.theta, self.X),
            search="ntklin.largest_learning_rate",
        )
