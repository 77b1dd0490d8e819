"""Named errors and warnings that users meet."""

import numpy as np


class NtklinError(Exception):
    """Base of every error that ntklin raises on its own account."""


class DegenerateKernelError(NtklinError, np.linalg.LinAlgError):
    """The kernel K(X, X) is singular to working precision; the message names rows and remedies."""


class InterpolationError(NtklinError, ValueError):
    """No D leads to this w: it does not interpolate the targets, φ(X)w ≠ Y, or they are all 0."""


class DivergenceError(NtklinError, ArithmeticError):
    """Gradient descent diverges.

    Parameters
    ----------
    message : str
        What happened and what to do.
    learning_rate : float
        The learning rate η in use.
    bound : float or None
        The stability bound 2N/λ_max on the linearized network, where it is known.
    step : int or None
        The step at which divergence was found; None when it was foreseen from the spectrum.
    """

    def __init__(self, message, *, learning_rate, bound=None, step=None):
        super().__init__(message)
        self.learning_rate = learning_rate
        self.bound = bound
        self.step = step


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C in training, of the real network or of its linearization.

    Parameters
    ----------
    run : TrainingRun or LinearizedRun
        What was finished: the run up to the interruption.
    """

    def __init__(self, run):
        super().__init__(f"interrupted after {run.steps} steps at loss {run.losses[-1]:.3g}")
        self.run = run


class MemoryLimitError(NtklinError, MemoryError):
    """A call would need more memory than is free; refused before any work."""


class DataUnavailableError(NtklinError, OSError):
    """A data set could not be found, downloaded or read."""


class UnitBallWarning(UserWarning):
    """Inputs lie outside the unit ball that the paper's theorems assume."""
