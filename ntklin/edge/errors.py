"""Named errors and warnings that users meet."""

from typing import Any

import numpy as np

from ntklin.kernels import UncachedWarning as UncachedWarning  # of the floor below


class Portable(BaseException):
    """Exceptions whose constructors take more than a message, and that pickle all the same."""

    def __reduce__(self) -> Any:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: Any, arguments: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


class NtklinError(Exception):
    """Base of every error that ntklin raises on its own account."""


class DegenerateKernelError(NtklinError, np.linalg.LinAlgError):
    """The kernel K(X, X) is singular to working precision; the message names rows and remedies."""


class InterpolationError(NtklinError, ValueError):
    """No D leads to this w: it does not interpolate the targets, φ(X)w ≠ Y, or they are all 0."""


class NoParametersError(NtklinError, TypeError):
    """A call needs parameters θ, but the linearization is of a kernel, which has none."""


class FloatRangeError(NtklinError, ValueError):
    """A result is too large or too small for its floating-point type; the message has a remedy."""


class AccuracyError(NtklinError, ArithmeticError):
    """A result is not found to the accuracy that its function states; the message says how far."""


class ClusterError(NtklinError, RuntimeError):
    """A Dask cluster cannot be computed on, or no longer; the message says why."""


class ConvergenceError(Portable, AccuracyError):
    """Iterations end before the residual is what was asked for; the message says why, and how far.

    Parameters
    ----------
    message : str
    solution : ndarray or None
        The best iterate, in the units of the solver.
    residual : float
        The largest ‖R − Kα‖/‖R‖ of it, over the columns of R.
    iterations : int
    """

    def __init__(self, message: str, *, solution: Any, residual: float, iterations: int) -> None:
        super().__init__(message)
        self.solution, self.residual, self.iterations = solution, residual, iterations


class DivergenceError(Portable, NtklinError, ArithmeticError):
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

    def __init__(
        self,
        message: str,
        *,
        learning_rate: float,
        bound: float | None = None,
        step: int | None = None,
    ) -> None:
        super().__init__(message)
        self.learning_rate = learning_rate
        self.bound = bound
        self.step = step


class TrainingInterrupted(Portable, KeyboardInterrupt):
    """Ctrl-C in training, of the real network or of its linearization.

    Parameters
    ----------
    run : TrainingRun or LinearizedRun
        What was finished: the run up to the interruption.
    runs : list, optional
        Of ``train_ensemble``, of which ``run`` is one that was interrupted: what it would have
        returned, with None for each network that had not begun.
    """

    def __init__(self, run: Any, runs: list[Any] | None = None) -> None:
        super().__init__(f"interrupted after {run.steps} steps at loss {run.losses[-1]:.3g}")
        self.run, self.runs = run, runs


# MemoryError and OSError have a __new__ of their own, which wants to be the first base's; or else
# such errors cannot be made again where Dask sends them.
class MemoryLimitError(MemoryError, NtklinError):
    """A call would need more memory than is free; refused before any work.

    Where training stops because the next snapshot does not fit, ``run`` holds what was finished.
    """

    run: Any = None


class DeviceError(NtklinError, RuntimeError):
    """CuPy or a GPU is missing."""


class MissingPackageError(Portable, ImportError, NtklinError):
    """A call needs a package that is not installed, and that all others do without.

    Parameters
    ----------
    call : str
        The call that needs it.
    package : str
        What to install.
    name : str
        The module that is missing.
    extra : str, optional
        ntklin's extra by which it is installed, in a version that serves.
    """

    def __init__(self, call: str, package: str, name: str, extra: str | None = None) -> None:
        what = package if extra is None else f"'ntklin[{extra}]'"
        super().__init__(
            f"{call} needs the package {package}, which is not installed: pip install {what}",
            name=name,
        )


class CheckpointError(NtklinError, ValueError):
    """A file is not a saved training run, or a damaged one, or one of another version."""


class LearningRateError(Portable, NtklinError, ArithmeticError):
    """No learning rate that was tried keeps the training loss monotone.

    Parameters
    ----------
    message : str
    trials : tuple of Trial
        What was tried, in this order.
    """

    def __init__(self, message: str, *, trials: tuple[Any, ...]) -> None:
        super().__init__(message)
        self.trials = trials


class DataUnavailableError(OSError, NtklinError):
    """A data set could not be found, downloaded or read."""


class UnitBallWarning(UserWarning):
    """Inputs lie outside the unit ball that the paper's theorems assume."""


class NonMonotoneLossWarning(Portable, UserWarning):
    """The training loss rose in a step, by more than its own rounding.

    Parameters
    ----------
    message : str
    step : int
        t, the step after which it is larger.
    before, after : float
        L(θ_{t−1}) and L(θ_t).
    index : int or None
        The network's place among those of ``train_ensemble``, counted from 0.
    """

    def __init__(
        self, message: str, *, step: int, before: float, after: float, index: int | None = None
    ) -> None:
        super().__init__(message)
        self.index = index
        self.step = step
        self.before = before
        self.after = after
