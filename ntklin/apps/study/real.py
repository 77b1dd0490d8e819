"""The real network's part in a study, which can fail where its linearization does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ntklin.apps.study.config import StudyConfig
from ntklin.apps.study.outcomes import CONVERGED, DIVERGED, NOT_TRAINED, STEP_LIMIT
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.errors import DivergenceError
from ntklin.networks.mlp import MLP
from ntklin.runs.batches import Batches
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.stops import Horizon
from ntklin.training.task import TrainingTask
from ntklin.training.train import as_problem, run_task


@dataclass(frozen=True, eq=False)
class RealEnd:
    """Where a real network's training ended; without training, nowhere.

    Attributes
    ----------
    outcome : str
    steps : int or None
    loss : float or None
        The training loss after them.
    outputs : ndarray, shape (N_T,) or (N_T, C), or None
        On the test points, NumPy's; None where it diverged, too.
    """

    outcome: str = NOT_TRAINED
    steps: int | None = None
    loss: float | None = None
    outputs: Array | None = None


def train_real(
    config: StudyConfig,
    net: MLP,
    theta: Array,
    optimizer: Optimizer,
    *,
    steps: int | None,
    batches: Batches | None = None,
    progress: Callable[[int, float], object] | None = None,
    warn: bool = True,
) -> RealEnd:
    """Train the real network from θ_0 until the study's target.

    Parameters
    ----------
    config : StudyConfig
    net : MLP
    theta : ndarray, shape (P,)
    optimizer : Optimizer
    steps : int
        Give up after so many.
    batches : Batches, optional
    progress : callable, optional
        Called as ``progress(step, loss)`` about ten times a second.
    warn : bool
        Whether the first rise of the loss is warned of, without batches.

    Returns
    -------
    RealEnd

    Raises
    ------
    TrainingInterrupted
        On Ctrl-C.
    """
    X, Y, X_test, _ = config.arrays
    task = TrainingTask(net, *as_problem(net, theta, X, Y, Loss()), optimizer, batches=batches)
    run = run_task(task, Horizon(steps, config.until), progress=progress, warn=warn)
    if isinstance(run, DivergenceError):  # the linearization is stable: a narrow network leaves it
        return RealEnd(DIVERGED, run.step)
    outcome = CONVERGED if run.converged else STEP_LIMIT
    return RealEnd(outcome, run.steps, float(run.losses[-1]), host(run.predict(X_test)))
